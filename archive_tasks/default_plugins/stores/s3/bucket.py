"""The bucket itself: is it there, is it ours to use, and making it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from archive_tasks.default_plugins.stores.s3.client import S3Client
from archive_tasks.default_plugins.stores.s3.errors import code_of, of_answer, status_of, translated
from archive_tasks.errors import StoreUnusable

ABORT_UNFINISHED_AFTER_DAYS = 7
"""Parts of unfinished uploads cost storage, and show in no listing, until something removes them."""


def bucket_exists(client: S3Client) -> bool:
    """Raises StoreUnusable when the bucket is somebody else's, or elsewhere."""
    from botocore.exceptions import ClientError

    boto = client.boto
    with translated(client.url, "opening"):
        try:
            boto.head_bucket(Bucket=client.bucket, **client.owner)
        except ClientError as error:
            if status_of(error.response) in {400, 403}:
                _ask_why(client)
            return _judge(error.response, boto.meta.region_name, client.url)
    return True


def _ask_why(client: S3Client) -> None:
    """An answer to HEAD has no body; a listing says whether the key, the secret, the token or the right is wrong."""
    from botocore.exceptions import ClientError

    try:
        client.boto.list_objects_v2(Bucket=client.bucket, MaxKeys=1, **client.owner)
    except ClientError as error:
        if code_of(error.response) not in {"AccessDenied", "403"}:
            raise


def create_bucket(client: S3Client) -> None:
    """Make the bucket in the client's region: no public access, unfinished uploads expiring after 7 days.

    The two extras are refused by servers that do not know them; those have no public access to block either.
    """
    boto = client.boto
    region = boto.meta.region_name
    # us-east-1 must not be named, any other must be. (S3 API reference, CreateBucket)
    place = (
        {} if region in {"us-east-1", "aws-global"} else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    with translated(client.url, "creating"):
        try:
            boto.create_bucket(Bucket=client.bucket, **place)
        except boto.exceptions.BucketAlreadyOwnedByYou as error:
            if not _was_repeated(error.response):
                return
    _try(
        boto.put_public_access_block,
        "block public access to the bucket",
        Bucket=client.bucket,
        PublicAccessBlockConfiguration=_NOTHING_PUBLIC,
        **client.owner,
    )
    _try(
        boto.put_bucket_lifecycle_configuration,
        "let unfinished uploads expire",
        Bucket=client.bucket,
        LifecycleConfiguration=_EXPIRY,
        **client.owner,
    )


def _was_repeated(answer: Mapping[str, Any]) -> bool:
    """After a lost answer the client library asks again, and hears that the bucket exists: it is the new one."""
    return int(answer.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0


_NOTHING_PUBLIC = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_EXPIRY = {
    "Rules": [
        {
            "ID": "archive-tasks-abort-unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_UNFINISHED_AFTER_DAYS},
        }
    ]
}


def _judge(answer: Mapping[str, Any], region: str, where: str) -> bool:
    if code_of(answer) in {"404", "NoSuchBucket", "NotFound"}:
        return False
    actual = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
    if actual and actual != region:
        raise StoreUnusable(
            f"opening {where}: the bucket is in {actual}, but {region} is set; set archive.s3.region or AWS_REGION to "
            f"{actual}"
        )
    if status_of(answer) == 403:
        raise StoreUnusable(
            f"opening {where}: these credentials may not use this bucket, or it is somebody else's; check the name, "
            "the profile and archive.s3.bucket_owner"
        )
    raise of_answer(answer, where=where, doing="opening")


def _try(request: Any, purpose: str, **arguments: Any) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        request(**arguments)
    except (BotoCoreError, ClientError) as error:
        reason = code_of(error.response) if isinstance(error, ClientError) else type(error).__name__
        logging.getLogger("archive_tasks").warning(
            "this server cannot %s (%s): do it by hand if it matters", purpose, reason
        )
