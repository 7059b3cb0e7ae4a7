"""What S3 says of an object: its checksum, its class, and how far it is thawed."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from archive_tasks.store import ObjectInfo, Thaw

COLD_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes whose objects answer GET with InvalidObjectState until they are restored. (S3 user guide)"""
NEEDS_NO_THAWING = frozenset({"RestoreAlreadyInProgress", "InvalidObjectState", "ObjectAlreadyInActiveTierError"})
"""Answers to RestoreObject that are not faults: it is on its way, or its class can be read at once."""
_UNTIL = re.compile(r'expiry-date="([^"]+)"')


def described(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    """From the answer to HeadObject, which names no class for STANDARD."""
    storage_class = answer.get("StorageClass") or "STANDARD"
    return ObjectInfo(
        key,
        answer["ContentLength"],
        hex_checksum(answer.get("ChecksumSHA256")),
        answer.get("LastModified"),
        storage_class,
        _thaw(answer.get("Restore")) if storage_class in COLD_CLASSES else None,
    )


def listed(key: str, found: Mapping[str, Any]) -> ObjectInfo:
    """From an entry of ListObjectsV2."""
    return ObjectInfo(
        key,
        found["Size"],
        modified=found.get("LastModified"),
        storage_class=found.get("StorageClass") or "STANDARD",
    )


def _thaw(header: str | None) -> Thaw:
    """`ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"` (S3, HeadObject, x-amz-restore)."""
    if not header:
        return Thaw("frozen")
    if 'ongoing-request="true"' in header:
        return Thaw("thawing")
    until = _UNTIL.search(header)
    return Thaw("thawed", _moment(until[1]) if until else None)


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def hex_checksum(text: str | None) -> str | None:
    """S3's base64, with `-N` behind a composite, in our notation."""
    if not text:
        return None
    digest, hyphen, parts = text.partition("-")
    try:
        return base64.b64decode(digest, validate=True).hex() + hyphen + parts
    except ValueError:
        return None
