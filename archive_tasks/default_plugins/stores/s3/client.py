"""Access to a bucket: which one a URL names, boto3's client for it, and writes that are create-only where they can be.

The store, its uploads and its probes share one `S3Client`.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from archive_tasks.default_plugins.stores.s3.errors import code_of, status_of, translated
from archive_tasks.default_plugins.stores.s3.objects import described
from archive_tasks.errors import ObjectMissing, UsageError
from archive_tasks.names import display
from archive_tasks.settings import Settings
from archive_tasks.store import ObjectInfo

BotoClient = Any
"""boto3 makes its clients at run time; its stubs cannot follow arguments that are put together."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SHORTEST_BUCKET, _LONGEST_BUCKET = 3, 63
"""Characters of its name. (S3 user guide, general purpose bucket naming rules)"""
_NOT_IMPLEMENTED = frozenset({"NotImplemented", "501", "UnsupportedOperation"})


class S3Client:
    """A bucket, a prefix, and boto3's client for them.

    Attributes:
        url: as it is shown and compared, without a slash at its end.

    Raises:
        UsageError: the URL is invalid, or the endpoint would send credentials in clear.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.bucket, self.prefix = _parse(url)
        self.url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._settings = settings
        self._lock = threading.Lock()
        self._made: BotoClient | None = None
        self._creates_only = True

    @property
    def identity(self) -> str:
        """What a verdict of the doctor is remembered for."""
        import boto3

        return f"{self.boto.meta.endpoint_url}/{self.bucket} boto3 {boto3.__version__}"

    @property
    def boto(self) -> BotoClient:
        """boto3's client, made at the first use: loading and making it take a third of a second."""
        with self._lock:
            if self._made is None:
                self._made = _make_client(self._settings, self.url)
            return self._made

    @property
    def owner(self) -> dict[str, str]:
        """`ExpectedBucketOwner`, for every request, where the settings name one."""
        account = self._settings.s3.bucket_owner
        return {"ExpectedBucketOwner": account} if account else {}

    def place(self, key: str) -> dict[str, str]:
        """Bucket, key and owner, as arguments of a request."""
        return {"Bucket": self.bucket, "Key": self.prefix + key, **self.owner}

    def describe(self, key: str) -> ObjectInfo | None:
        """See `archive_tasks.store.Store.describe`."""
        try:
            with translated(self.url, "looking into"):
                answer = self.boto.head_object(**self.place(key), ChecksumMode="ENABLED")
                return described(key, answer)
        except ObjectMissing:
            return None

    def complete(self, key: str, upload_id: str, parts: Sequence[Any]) -> None:
        """Complete a multipart upload, create-only where the server can. Raises botocore's errors."""
        request = {**self.place(key), "UploadId": upload_id, "MultipartUpload": {"Parts": list(parts)}}
        self.conditionally(self.boto.complete_multipart_upload, request)

    def conditionally(self, request: Any, arguments: Mapping[str, Any]) -> None:
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


def _make_client(settings: Settings, url: str) -> BotoClient:
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
            client: BotoClient = session.client("s3", config=config)
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
