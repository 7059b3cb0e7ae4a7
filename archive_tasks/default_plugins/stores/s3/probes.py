"""What the doctor asks of an S3 server: twelve questions, because servers that speak S3 differ.

Some store a wrong checksum and hand it back, some ignore create-only writes: each is asked by doing it, with
small objects below a throw-away prefix.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from archive_tasks.default_plugins.stores.probes import keeps_odd_keys, removed
from archive_tasks.default_plugins.stores.s3.client import S3Client
from archive_tasks.default_plugins.stores.s3.errors import (
    WRONG_BYTES_CODES,
    code_of,
    is_about_something_else,
    says_it_exists,
    server_time,
    status_of,
    translated,
)
from archive_tasks.errors import StoreUnusable
from archive_tasks.formats.checksums import composite_checksum, whole_checksum
from archive_tasks.store import Answer, Probe, Store

_RACERS = 16
_MOST_SKEW_SECONDS = 180
_NOBODY = "000000000000"
"""An account id that AWS gives to nobody."""


def s3_probes(store: Store, client: S3Client) -> Sequence[Probe]:
    """The probes of an S3 store; the first three decide whether its checksums are proof."""
    probes = _Probes(store, client)
    return (
        Probe(
            name="refuses-wrong-checksum",
            question="refuses an object with a wrong SHA-256",
            ask=probes.refuses_wrong_checksum,
            needed_for_trust=True,
        ),
        Probe(
            name="refuses-wrong-part-checksum",
            question="refuses a part with a wrong SHA-256",
            ask=probes.refuses_wrong_part_checksum,
            needed_for_trust=True,
        ),
        Probe(
            name="returns-checksums",
            question="returns the right checksums",
            ask=probes.returns_checksums,
            needed_for_trust=True,
        ),
        Probe(name="refuses-wrong-md5", question="refuses a wrong MD5", ask=probes.refuses_wrong_md5, serious=False),
        Probe(name="etag-is-md5", question="has the MD5 as ETag", ask=probes.etag_is_md5, serious=False),
        Probe(name="refuses-overwrite", question="honours create-only writes", ask=probes.refuses_overwrite),
        Probe(name="one-winner", question="lets one of many writers win", ask=probes.one_winner),
        Probe(name="refuses-wrong-etag", question="honours If-Match", ask=probes.refuses_wrong_etag, serious=False),
        Probe(
            name="refuses-wrong-owner",
            question="checks the bucket's owner",
            ask=probes.refuses_wrong_owner,
            serious=False,
        ),
        Probe(name="clock-agrees", question="agrees with our clock", ask=probes.clock_agrees),
        Probe(name="keeps-odd-keys", question="keeps long and odd names", ask=functools.partial(keeps_odd_keys, store)),
        Probe(name="can-delete", question="lets us remove objects", ask=probes.can_delete, serious=False),
    )


class _Probes:
    def __init__(self, store: Store, client: S3Client) -> None:
        self._store = store
        self._client = client

    def refuses_wrong_checksum(self, prefix: str) -> Answer:
        with removed(self._store, [f"{prefix}lie"]):
            noticed = self._notices("put_object", f"{prefix}lie", Body=b"what is sent", **_claim(b"what is claimed"))
        return _refusal(noticed, yes="a wrong SHA-256 was refused", no="it accepted an object with a wrong SHA-256")

    def refuses_wrong_md5(self, prefix: str) -> Answer:
        md5 = base64.b64encode(hashlib.md5(b"what is claimed", usedforsecurity=False).digest()).decode()
        with removed(self._store, [f"{prefix}lie"]):
            noticed = self._notices("put_object", f"{prefix}lie", Body=b"what is sent", ContentMD5=md5)
        return _refusal(noticed, yes="a wrong MD5 was refused", no="it accepted an object with a wrong MD5")

    def refuses_wrong_part_checksum(self, prefix: str) -> Answer:
        upload = self._call("create_multipart_upload", f"{prefix}parts", **_MULTIPART)["UploadId"]
        try:
            part = {"UploadId": upload, "PartNumber": 1, "Body": b"what is sent"}
            noticed = self._notices("upload_part", f"{prefix}parts", **part, **_claim(b"what is claimed"))
        finally:
            self._call("abort_multipart_upload", f"{prefix}parts", UploadId=upload)
        return _refusal(noticed, yes="a wrong part was refused", no="it accepted a part with a wrong SHA-256")

    def returns_checksums(self, prefix: str) -> Answer:
        """Of objects in the class that data will have: so a class that the server does not know shows here."""
        data = os.urandom(1024)
        digest = hashlib.sha256(data).digest()
        with removed(self._store, [f"{prefix}whole", f"{prefix}parts"]):
            self._store.put(f"{prefix}whole", data, sha256=digest, storage_class=self._store.storage_class)
            upload = self._store.upload(f"{prefix}parts", len(data), storage_class=self._store.storage_class)
            upload.put_part(1, data, sha256=digest)
            upload.complete(len(data))
            whole, parts = self._store.describe(f"{prefix}whole"), self._store.describe(f"{prefix}parts")
        right = (
            whole is not None
            and parts is not None
            and whole.checksum == whole_checksum(digest)
            and parts.checksum == composite_checksum([digest])
        )
        return Answer(right, "both kinds came back right" if right else "checksums do not come back as S3 returns them")

    def etag_is_md5(self, prefix: str) -> Answer:
        data = os.urandom(64)
        with removed(self._store, [f"{prefix}etag"]):
            etag = str(self._call("put_object", f"{prefix}etag", Body=data)["ETag"]).strip('"')
        same = etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Answer(same, "the ETag is the MD5" if same else "the ETag is something else (encryption does that)")

    def refuses_overwrite(self, prefix: str) -> Answer:
        key = f"{prefix}one"
        with removed(self._store, [key]):
            self._call("put_object", key, Body=b"first", IfNoneMatch="*")
            refused = self._refused("put_object", key, Body=b"second", IfNoneMatch="*")
            kept = b"".join(self._store.read(key)) == b"first"
        return _refusal(
            refused and kept,
            yes="a second write was refused",
            no="it ignores create-only writes; archives rely on unique keys instead",
        )

    def one_winner(self, prefix: str) -> Answer:
        key = f"{prefix}race"
        with removed(self._store, [key]), ThreadPoolExecutor(_RACERS) as racers:
            lost = list(
                racers.map(
                    lambda number: self._refused("put_object", key, Body=b"%d" % number, IfNoneMatch="*"),
                    range(_RACERS),
                )
            )
        won = lost.count(False)
        return Answer(won == 1, f"{won} of {_RACERS} concurrent writers reported success")

    def refuses_wrong_etag(self, prefix: str) -> Answer:
        key = f"{prefix}etag"
        with removed(self._store, [key]):
            self._call("put_object", key, Body=b"first")
            refused = self._refused("put_object", key, Body=b"second", IfMatch='"00000000000000000000000000000000"')
        return _refusal(refused, yes="a write with a wrong ETag was refused", no="it ignores If-Match")

    def refuses_wrong_owner(self, prefix: str) -> Answer:
        key = f"{prefix}owner"
        with removed(self._store, [key]):
            self._call("put_object", key, Body=b"x")
            self._store.describe(key)  # raises where we may not look at all: a refusal would say nothing then
            refused = self._is_forbidden({**self._client.place(key), "ExpectedBucketOwner": _NOBODY})
        return _refusal(refused, yes="a wrong owner was refused", no="it does not check archive.s3.bucket_owner")

    def clock_agrees(self, _prefix: str) -> Answer:
        with translated(self._client.url, "asking"):
            answer: Any = self._client.boto.head_bucket(Bucket=self._client.bucket, **self._client.owner)
        theirs = server_time(answer)
        if theirs is None:
            return Answer(None, "the server does not report its time")
        skew = abs((datetime.now(UTC) - theirs).total_seconds())
        return Answer(skew <= _MOST_SKEW_SECONDS, f"the clocks are {skew:.0f} s apart")

    def can_delete(self, prefix: str) -> Answer:
        self._call("put_object", f"{prefix}gone", Body=b"x")
        try:
            self._store.delete(f"{prefix}gone")
        except StoreUnusable:
            return Answer(False, "these credentials cannot remove objects (append-only: yes)")
        gone = self._store.describe(f"{prefix}gone") is None
        return Answer(gone, "these credentials can remove objects (append-only: no)" if gone else "it did not go away")

    def _call(self, operation: str, key: str, **arguments: Any) -> Any:
        with translated(self._client.url, "examining"):
            return getattr(self._client.boto, operation)(**self._client.place(key), **arguments)

    def _notices(self, operation: str, key: str, **arguments: Any) -> bool | None:
        """True when the server says that the bytes are not what was claimed; None when it refuses with a code of
        its own, which may mean anything. An answer about something else (a timeout, credentials) is raised.
        """
        from botocore.exceptions import ClientError

        with translated(self._client.url, "examining"):
            try:
                getattr(self._client.boto, operation)(**self._client.place(key), **arguments)
            except ClientError as error:
                if code_of(error.response) in WRONG_BYTES_CODES:
                    return True
                if status_of(error.response) != 400 or is_about_something_else(error.response):
                    raise
                return None
        return False

    def _refused(self, operation: str, key: str, **arguments: Any) -> bool:
        """True when the server says that a condition is not met; other errors are raised: they answer nothing."""
        from botocore.exceptions import ClientError

        with translated(self._client.url, "examining"):
            try:
                getattr(self._client.boto, operation)(**self._client.place(key), **arguments)
            except ClientError as error:
                if says_it_exists(error.response) or code_of(error.response) == "ConditionalRequestConflict":
                    return True
                raise
        return False

    def _is_forbidden(self, arguments: dict[str, Any]) -> bool:
        from botocore.exceptions import ClientError

        with translated(self._client.url, "examining"):
            try:
                self._client.boto.head_object(**arguments)
            except ClientError as error:
                if status_of(error.response) != 403:
                    raise
                return True
        return False


_MULTIPART = {"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}


def _claim(data: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return {"ChecksumSHA256": digest, "ChecksumAlgorithm": "SHA256"}


def _refusal(refused: bool | None, *, yes: str, no: str) -> Answer:
    if refused is None:
        return Answer(None, "it was refused, but not for its bytes: that proves nothing")
    return Answer(refused, yes if refused else no)
