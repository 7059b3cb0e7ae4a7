"""The store for `s3://bucket/prefix`: S3, and what speaks its protocol.

Every write carries the SHA-256 of what is sent, so that a server that checks has something to check, and is
create-only where the server honours that. The client library's own transfers are not used: they reopen the
path for every part, refuse create-only writes, and hang on a file that was cut short.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from archive_tasks.default_plugins.stores.s3.bucket import bucket_exists, create_bucket
from archive_tasks.default_plugins.stores.s3.client import S3Client
from archive_tasks.default_plugins.stores.s3.errors import code_of, says_it_exists, translated
from archive_tasks.default_plugins.stores.s3.objects import COLD_CLASSES, NEEDS_NO_THAWING, listed
from archive_tasks.default_plugins.stores.s3.probes import s3_probes
from archive_tasks.default_plugins.stores.s3.upload import S3Upload, checksum_fields
from archive_tasks.errors import ItemUnreadable, ObjectExists, StoreBusy
from archive_tasks.names import display
from archive_tasks.settings import MIB, Settings
from archive_tasks.store import ObjectInfo, Probe

_CHUNK = MIB
_MOST_PARTS = 9_000
"""S3 allows 10,000; the rest is a reserve."""
LARGEST_OBJECT = 5 * 1024 * 1024 * MIB


class S3Store:
    """A bucket and a prefix as a target. See `archive_tasks.store.Store` for what its methods promise.

    Raises:
        UsageError: the URL is invalid, or the endpoint would send credentials in clear.
    """

    dates_can_be_set = False

    def __init__(self, url: str, settings: Settings) -> None:
        self.client = S3Client(url, settings)
        self.url = self.client.url
        self.largest_put = settings.part_size
        self._settings = settings

    @property
    def identity(self) -> str:
        return self.client.identity

    def exists(self) -> bool:
        return bucket_exists(self.client)

    def create(self) -> None:
        create_bucket(self.client)

    @property
    def storage_class(self) -> str:
        return self._settings.s3.storage_class

    def is_cold(self, storage_class: str) -> bool:
        return storage_class in COLD_CLASSES

    def part_size(self, size: int) -> int:
        smallest = math.ceil(math.ceil(size / _MOST_PARTS) / MIB) * MIB
        return max(self._settings.part_size, smallest)

    def free_bytes(self) -> int | None:
        return None

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        from botocore.exceptions import ClientError

        request = {**self.client.place(key), "Body": data, **checksum_fields(sha256), **self._stored_as(storage_class)}
        with translated(self.url, "writing to"):
            try:
                self.client.conditionally(self.client.boto.put_object, request)
            except ClientError as error:
                if not says_it_exists(error.response):
                    raise
                self._check_it_is_ours(key, len(data), sha256.hex())

    def upload(self, key: str, size: int, *, storage_class: str = "") -> S3Upload:
        if size > LARGEST_OBJECT:
            raise ItemUnreadable(f"{display(key)} has {size:,} bytes, and S3 takes {LARGEST_OBJECT:,} in one object")
        request = {**self.client.place(key), "ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}
        with translated(self.url, "writing to"):
            answer = self.client.boto.create_multipart_upload(**request, **self._stored_as(storage_class))
            return S3Upload(self.client, key, answer["UploadId"], self.part_size(size))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:
            return
        end = "" if length is None else offset + length - 1
        span = {"Range": f"bytes={offset}-{end}"} if offset or length is not None else {}
        with translated(self.url, "reading from"):
            try:
                answer = self.client.boto.get_object(**self.client.place(key), **span)
            except self.client.boto.exceptions.ClientError as error:
                if code_of(error.response) == "InvalidRange":
                    return
                raise
            with answer["Body"] as body:
                yield from self._all_of(key, body, answer["ContentLength"])

    def _all_of(self, key: str, body: Any, expected: int) -> Iterator[bytes]:
        received = 0
        while chunk := body.read(_CHUNK):
            received += len(chunk)
            yield chunk
        if received != expected:
            raise StoreBusy(f"reading from {self.url}: {display(key)} ended {expected - received} bytes early")

    def describe(self, key: str) -> ObjectInfo | None:
        return self.client.describe(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        pages = self.client.boto.get_paginator("list_objects_v2")
        with translated(self.url, "listing"):
            for page in pages.paginate(
                Bucket=self.client.bucket, Prefix=self.client.prefix + prefix, **self.client.owner
            ):
                for found in page.get("Contents", []):
                    yield listed(found["Key"].removeprefix(self.client.prefix), found)

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        from botocore.exceptions import ClientError

        request = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
        with translated(self.url, "thawing in"):
            try:
                self.client.boto.restore_object(**self.client.place(key), RestoreRequest=request)
            except ClientError as error:
                if code_of(error.response) not in NEEDS_NO_THAWING:
                    raise

    def delete(self, key: str) -> None:
        with translated(self.url, "removing from"):
            self.client.boto.delete_object(**self.client.place(key))

    def probes(self) -> Sequence[Probe]:
        return s3_probes(self, self.client)

    def _holds(self, key: str, size: int, sha256: str, checksum: str) -> bool:
        """Is the object there with these contents? By its checksum, or without one by reading it."""
        found = self.describe(key)
        if found is None or found.size != size:
            return False
        if found.checksum is not None:
            return found.checksum == checksum
        digest = hashlib.sha256()
        for chunk in self.read(key):
            digest.update(chunk)
        return digest.hexdigest() == sha256

    def _check_it_is_ours(self, key: str, size: int, sha256: str) -> None:
        """The answer to our own write can get lost; its repetition is then refused. (apache/hudi#14286)"""
        if not self._holds(key, size, sha256, sha256):
            raise ObjectExists(f"{display(key)} is in {self.url} with other contents")

    def _stored_as(self, storage_class: str) -> dict[str, str]:
        s3 = self._settings.s3
        fields = {
            "StorageClass": storage_class,
            "ServerSideEncryption": s3.encryption,
            "SSEKMSKeyId": s3.kms_key,
        }
        return {name: value for name, value in fields.items() if value}
