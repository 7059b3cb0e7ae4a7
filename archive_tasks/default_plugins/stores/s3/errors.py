"""botocore's exceptions -> our errors, in words that say what, where and what to do.

Which answers are final and which are worth another try: S3's list of error codes, and what boto3 1.44 was seen
to raise (a HEAD request has no body, so its code is the bare status).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from archive_tasks.errors import (
    ArchiveTasksError,
    IntegrityError,
    ItemUnreadable,
    ObjectFrozen,
    ObjectMissing,
    StoreBusy,
    StoreError,
    StoreUnusable,
)
from archive_tasks.names import display

BUSY_CODES = frozenset(
    {
        "409",
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    }
)
SLOW_DOWN_CODES = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    }
)
BUSY_STATUS = frozenset({429, 500, 502, 503, 504})
WRONG_BYTES_CODES = frozenset(
    {
        "BadDigest",
        "InvalidDigest",
        "InvalidPart",
        "XAmzContentChecksumMismatch",  # MinIO's word for BadDigest (pgsty/silo#48, milvus-io/milvus-storage#488)
        "XAmzContentSHA256Mismatch",
    }
)
EXISTS_CODES = frozenset({"PreconditionFailed", "412", "ConditionNotMet"})
FROZEN_CODES = frozenset({"InvalidObjectState"})
MISSING_CODES = frozenset({"NoSuchKey", "404", "NotFound"})
_UNTRUSTED_TLS = ("certificate", "CERTIFICATE", "ostname", "WRONG_VERSION_NUMBER", "wrong version", "UNKNOWN_PROTOCOL")
"""What an SSLError says when trying again will not help; a connection that breaks is an SSLError too."""
TOO_MUCH_CODES = frozenset(
    {"EntityTooLarge", "KeyTooLongError", "KeyTooLong", "InvalidObjectName", "XMinioInvalidObjectName"}
)
"""About one object, not about the target."""
_BUSY_EXCEPTIONS = frozenset(
    {
        "SSLError",
        "ConnectionClosedError",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    }
)
_ADVICE = {
    "AccessDenied": "these credentials may not do that: ask for the permission, or use another profile",
    "403": "these credentials may not do that: ask for the permission, or use another profile",
    "AllAccessDisabled": "the provider has disabled all access to it",
    "AccountProblem": "there is a problem with the account: ask the provider",
    "ExpiredToken": "the session's token has expired: log in again",
    "TokenRefreshRequired": "the session's token has expired: log in again",
    "InvalidToken": "the session's token is wrong: log in again",
    "InvalidAccessKeyId": "the access key is not known there: check AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key is wrong: check AWS_SECRET_ACCESS_KEY or the profile",
    "NoSuchBucket": "there is no such bucket: run setup to create it, or name another",
    "PermanentRedirect": "the bucket is in another region: set archive.s3.region or AWS_REGION",
    "301": "the bucket is in another region: set archive.s3.region or AWS_REGION",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set archive.s3.region or AWS_REGION",
    "IllegalLocationConstraintException": "the bucket cannot be made in that region: set archive.s3.region",
    "InvalidLocationConstraint": "there is no such region: set archive.s3.region",
    "BucketAlreadyExists": "somebody else has a bucket of that name: choose another",
    "InvalidBucketName": "the store does not accept that bucket name: choose another",
    "InvalidStorageClass": "the store does not know that class: see archive.s3.storage_class",
    "KMS.NotFoundException": "there is no such key: see archive.s3.kms_key",
}


@contextmanager
def translated(where: str, doing: str) -> Iterator[None]:
    """Raise our error for whatever boto3 raises. `where` is the target, `doing` e.g. `writing to`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise of_answer(error.response, where=where, doing=doing) from error
    except BotoCoreError as error:
        raise of_exception(error, where=where, doing=doing) from error
    except KeyError as error:
        raise StoreBusy(f"{doing} {where}: the store's answer lacks {error}") from error


def code_of(answer: Mapping[str, Any]) -> str:
    """The error code of an answer; `404` and the like where the server gave no body."""
    return str(answer.get("Error", {}).get("Code", ""))


def status_of(answer: Mapping[str, Any]) -> int:
    """The HTTP status of an answer."""
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def says_it_exists(answer: Mapping[str, Any]) -> bool:
    """Did a create-only write meet an object?"""
    return code_of(answer) in EXISTS_CODES or status_of(answer) == 412


def is_about_something_else(answer: Mapping[str, Any]) -> bool:
    """Is the answer about who asked, or when, rather than what was asked? Such an answer proves nothing."""
    code = code_of(answer)
    return code in _ADVICE or code in BUSY_CODES or status_of(answer) in BUSY_STATUS


def of_answer(answer: Mapping[str, Any], *, where: str, doing: str) -> ArchiveTasksError:
    """Our error for an error that the server answered with."""
    code, status = code_of(answer), status_of(answer)
    said = f"{doing} {where}: the store answered {display(code) or status}"
    if code in MISSING_CODES:
        return ObjectMissing(f"{doing} {where}: there is no such object")
    if code in FROZEN_CODES:
        return ObjectFrozen(f"{doing} {where}: the object is in a cold class and must be thawed first")
    if code == "GlacierExpeditedRetrievalNotAvailable":
        return StoreUnusable(f"{said}: expedited thawing is not available now; choose another tier")
    if code == "NoSuchUpload":
        return StoreBusy(f"{doing} {where}: the store has forgotten the upload", start_over=True)
    if code in WRONG_BYTES_CODES:
        return IntegrityError(f"{said}: it received other bytes than were sent")
    if code in TOO_MUCH_CODES:
        return ItemUnreadable(f"{said}: it does not take an object of that size or name")
    if code == "RequestTimeTooSkewed":
        return StoreUnusable(f"{doing} {where}: {_skew(answer)}; set this machine's clock")
    if code in BUSY_CODES or status in BUSY_STATUS:
        return StoreBusy(
            said, slow_down=code in SLOW_DOWN_CODES or status in {429, 503}, retry_after=_retry_after(answer)
        )
    if code in _ADVICE:
        return StoreUnusable(f"{said}: {_ADVICE[code]}")
    message = _one_line(answer.get("Error", {}).get("Message", ""))
    return StoreUnusable(f"{said}{': ' + message if message else ''}")


def of_exception(error: Exception, *, where: str, doing: str) -> StoreError:
    """Our error for one that boto3 met before there was an answer."""
    kind = type(error).__name__
    if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"}:
        return StoreUnusable(
            f"{doing} {where}: no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run "
            "`aws configure`, or name a profile in archive.s3.profile"
        )
    if kind in {"UnauthorizedSSOTokenError", "SSOTokenLoadError", "LoginRefreshRequired"}:
        return StoreUnusable(f"{doing} {where}: the AWS login has expired; run `aws sso login`")
    if kind == "ProfileNotFound":
        return StoreUnusable(f"{error}; see archive.s3.profile or AWS_PROFILE")
    if kind == "NoRegionError":
        return StoreUnusable(f"{doing} {where}: no region is set; set AWS_REGION or archive.s3.region")
    if kind == "SSLError" and any(sign in str(error) for sign in _UNTRUSTED_TLS):
        return StoreUnusable(
            f"{doing} {where}: the server's certificate is not trusted, or it has no TLS; see AWS_CA_BUNDLE and "
            "the endpoint"
        )
    if kind in _BUSY_EXCEPTIONS:
        return StoreBusy(
            f"{doing} {where}: {_server(error)} cannot be reached ({kind}): check its address and the network"
        )
    return StoreUnusable(f"{doing} {where}: {kind}: {_one_line(error)}")


def _server(error: Exception) -> str:
    endpoint = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    return f"the server at {display(endpoint.hostname)}" if endpoint.hostname else "the server"


def _one_line(said: object) -> str:
    """What a server or a library says, short and harmless on a terminal."""
    return display(" ".join(str(said).split())[:200])


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _retry_after(answer: Mapping[str, Any]) -> float | None:
    """Seconds. `Retry-After` may be a date as well, and a server may say anything: then None."""
    headers = _headers(answer)
    try:
        if "x-amz-retry-after" in headers:
            seconds = float(headers["x-amz-retry-after"]) / 1000
        else:
            seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def server_time(answer: Mapping[str, Any]) -> datetime | None:
    """What the server's `Date` header says."""
    try:
        moment = parsedate_to_datetime(_headers(answer)["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _skew(answer: Mapping[str, Any]) -> str:
    theirs = server_time(answer)
    if theirs is None:
        return "this machine's clock differs too much from the server's"
    minutes = (datetime.now(UTC) - theirs).total_seconds() / 60
    return f"this machine's clock is {abs(minutes):.0f} minutes {'ahead' if minutes > 0 else 'behind'}"
