"""The store for `s3://bucket/prefix`: S3, and what speaks its protocol.

Every write carries the SHA-256 of what is sent, so that a server that checks has something to check, and is
create-only where the server honours that. The client library's own transfers are not used: they reopen the
path for every part, refuse create-only writes, and hang on a file that was cut short.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from archive_tasks.default_plugins.stores.s3.bucket import bucket_exists, create_bucket
from archive_tasks.default_plugins.stores.s3.errors import code_of, says_it_exists, status_of, translated
from archive_tasks.default_plugins.stores.s3.objects import COLD_CLASSES, NEEDS_NO_THAWING, described, listed
from archive_tasks.default_plugins.stores.s3.probes import s3_probes
from archive_tasks.default_plugins.stores.s3.upload import S3Upload, checksum_fields
from archive_tasks.errors import ItemUnreadable, ObjectExists, ObjectMissing, StoreBusy, UsageError
from archive_tasks.names import display
from archive_tasks.settings import MIB, Settings
from archive_tasks.store import ObjectInfo, Probe

S3Client = Any
"""boto3 makes its clients at run time; its stubs cannot follow arguments that are put together."""

_CHUNK = MIB
_MOST_PARTS = 9_000
"""S3 allows 10,000; the rest is a reserve."""
LARGEST_OBJECT = 5 * 1024 * 1024 * MIB
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SHORTEST_BUCKET, _LONGEST_BUCKET = 3, 63
"""Characters of its name. (S3 user guide, general purpose bucket naming rules)"""
_NOT_IMPLEMENTED = frozenset({"NotImplemented", "501", "UnsupportedOperation"})


class S3Store:
    """A bucket and a prefix as a target. See `archive_tasks.store.Store` for what its methods promise.

    Raises:
        UsageError: the URL is invalid, or the endpoint would send credentials in clear.
    """

    dates_can_be_set = False

    def __init__(self, url: str, settings: Settings) -> None:
        self.bucket, self._prefix = _parse(url)
        self.url = f"s3://{self.bucket}/{self._prefix}".rstrip("/")
        self.settings = settings
        self.largest_put = settings.part_size
        self._lock = threading.Lock()
        self._made: S3Client | None = None
        self._creates_only = True

    @property
    def identity(self) -> str:
        import boto3

        return f"{self.client.meta.endpoint_url}/{self.bucket} boto3 {boto3.__version__}"

    @property
    def client(self) -> S3Client:
        """boto3's client, made at the first use: loading and making it take a third of a second."""
        with self._lock:
            if self._made is None:
                self._made = _make_client(self.settings, self.url)
            return self._made

    @property
    def owner(self) -> dict[str, str]:
        """`ExpectedBucketOwner`, for every request, where the settings name one."""
        account = self.settings.s3.bucket_owner
        return {"ExpectedBucketOwner": account} if account else {}

    def place(self, key: str) -> dict[str, str]:
        """Bucket, key and owner, as arguments of a request."""
        return {"Bucket": self.bucket, "Key": self._prefix + key, **self.owner}

    def exists(self) -> bool:
        return bucket_exists(self.client, self.bucket, self.owner, where=self.url)

    def create(self) -> None:
        create_bucket(self.client, self.bucket, self.owner, where=self.url)

    @property
    def storage_class(self) -> str:
        return self.settings.s3.storage_class

    def is_cold(self, storage_class: str) -> bool:
        return storage_class in COLD_CLASSES

    def part_size(self, size: int) -> int:
        smallest = math.ceil(math.ceil(size / _MOST_PARTS) / MIB) * MIB
        return max(self.settings.part_size, smallest)

    def free_bytes(self) -> int | None:
        return None

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        from botocore.exceptions import ClientError

        request = {**self.place(key), "Body": data, **checksum_fields(sha256), **self._stored_as(storage_class)}
        with translated(self.url, "writing to"):
            try:
                self._conditionally(self.client.put_object, request)
            except ClientError as error:
                if not says_it_exists(error.response):
                    raise
                self._check_it_is_ours(key, len(data), sha256.hex())

    def upload(self, key: str, size: int, *, storage_class: str = "") -> S3Upload:
        if size > LARGEST_OBJECT:
            raise ItemUnreadable(f"{display(key)} has {size:,} bytes, and S3 takes {LARGEST_OBJECT:,} in one object")
        request = {**self.place(key), "ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}
        with translated(self.url, "writing to"):
            answer = self.client.create_multipart_upload(**request, **self._stored_as(storage_class))
            return S3Upload(self, key, answer["UploadId"], self.part_size(size))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if length == 0:
            return
        end = "" if length is None else offset + length - 1
        span = {"Range": f"bytes={offset}-{end}"} if offset or length is not None else {}
        with translated(self.url, "reading from"):
            try:
                answer = self.client.get_object(**self.place(key), **span)
            except self.client.exceptions.ClientError as error:
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
        try:
            with translated(self.url, "looking into"):
                answer = self.client.head_object(**self.place(key), ChecksumMode="ENABLED")
                return described(key, answer)
        except ObjectMissing:
            return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        pages = self.client.get_paginator("list_objects_v2")
        with translated(self.url, "listing"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix + prefix, **self.owner):
                for found in page.get("Contents", []):
                    yield listed(found["Key"].removeprefix(self._prefix), found)

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        from botocore.exceptions import ClientError

        request = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
        with translated(self.url, "thawing in"):
            try:
                self.client.restore_object(**self.place(key), RestoreRequest=request)
            except ClientError as error:
                if code_of(error.response) not in NEEDS_NO_THAWING:
                    raise

    def delete(self, key: str) -> None:
        with translated(self.url, "removing from"):
            self.client.delete_object(**self.place(key))

    def probes(self) -> Sequence[Probe]:
        return s3_probes(self)

    def complete(self, key: str, upload_id: str, parts: Sequence[Any]) -> None:
        """Complete a multipart upload, create-only where the server can. Raises botocore's errors."""
        request = {**self.place(key), "UploadId": upload_id, "MultipartUpload": {"Parts": list(parts)}}
        self._conditionally(self.client.complete_multipart_upload, request)

    def holds(self, key: str, size: int, sha256: str, checksum: str) -> bool:
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

    def _conditionally(self, request: Any, arguments: Mapping[str, Any]) -> None:
        """Make a write create-only, until the server says that it cannot (Backblaze B2, OVH: 501)."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if self._creates_only else {}
        try:
            request(**arguments, **condition)
        except ClientError as error:
            if not condition or not _is_not_implemented(error.response):
                raise
            request(**arguments)
            self._creates_only = False

    def _check_it_is_ours(self, key: str, size: int, sha256: str) -> None:
        """The answer to our own write can get lost; its repetition is then refused. (apache/hudi#14286)"""
        if not self.holds(key, size, sha256, sha256):
            raise ObjectExists(f"{display(key)} is in {self.url} with other contents")

    def _stored_as(self, storage_class: str) -> dict[str, str]:
        s3 = self.settings.s3
        fields = {
            "StorageClass": storage_class,
            "ServerSideEncryption": s3.encryption,
            "SSEKMSKeyId": s3.kms_key,
        }
        return {name: value for name, value in fields.items() if value}


def _is_not_implemented(answer: Mapping[str, Any]) -> bool:
    return code_of(answer) in _NOT_IMPLEMENTED or status_of(answer) == 501


def _parse(url: str) -> tuple[str, str]:
    rest = url.removeprefix("s3://")
    bucket, _, prefix = rest.partition("/")
    segments = [segment for segment in prefix.split("/") if segment]
    good = all(re.fullmatch(r"[A-Za-z0-9._=~-]+", segment) and segment.strip(".") for segment in segments)
    if re.fullmatch(r"[A-Za-z0-9.-]+", bucket) and not _SHORTEST_BUCKET <= len(bucket) <= _LONGEST_BUCKET:
        raise UsageError(
            f"the bucket in the target {display(url)} has a name of length {len(bucket)}, and S3 takes names of "
            f"{_SHORTEST_BUCKET} to {_LONGEST_BUCKET} characters: write s3://my-bucket/laptop"
        )
    if not _BUCKET.fullmatch(bucket) or not good:
        raise UsageError(
            f"the target {display(url)} is not a bucket and prefix; write s3://my-bucket/laptop, in letters, digits "
            "and . _ -"
        )
    return bucket, "".join(f"{segment}/" for segment in segments)


def _make_client(settings: Settings, url: str) -> S3Client:
    import boto3
    from botocore.config import Config

    logging.getLogger("botocore").setLevel(logging.INFO)  # its DEBUG prints session tokens
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        max_pool_connections=settings.concurrency + 2,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        with translated(url, "opening"):
            session = boto3.Session(
                profile_name=settings.s3.profile or None, region_name=settings.s3.region or _region() or None
            )
            client: S3Client = session.client("s3", config=config)
        _check_endpoint(client.meta.endpoint_url, http_allowed=settings.s3.allow_http)
    except ValueError:  # botocore's message quotes an address without a scheme, which may hold a password
        raise UsageError(_NO_ADDRESS) from None
    return client


def _region() -> str:
    """boto3 reads AWS_DEFAULT_REGION only; every other AWS tool reads AWS_REGION as well."""
    return os.environ.get("AWS_REGION", "")


_NO_ADDRESS = (
    "the endpoint in AWS_ENDPOINT_URL_S3 (or endpoint_url of the AWS profile) is not an address: write https://host or "
    "https://host:port"
)


def _check_endpoint(endpoint: str, *, http_allowed: bool) -> None:
    """Raises UsageError for one that is invalid, holds a password, or would send credentials in clear."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(_NO_ADDRESS)
    if "@" in parts.netloc:
        raise UsageError(
            "the endpoint holds a user or password, which S3 does not use: give the keys in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or name a profile"
        )
    at_home = parts.hostname in {"localhost", "::1"} or parts.hostname.startswith("127.")
    if parts.scheme == "http" and not at_home and not http_allowed:
        raise UsageError(
            f"the endpoint {display(endpoint)} is not encrypted: use https, or set archive.s3.allow_http if you trust "
            "the network"
        )
