"""What S3 says of storage classes, and of objects that are frozen, thawing or thawed.

A frozen object answers GET with 403 InvalidObjectState until RestoreObject has made a copy of it, which the
header `x-amz-restore` tells of. (S3 user guide, "Working with archived objects")
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from archive_tasks.default_plugins.s3_errors import code_of
from archive_tasks.store import Thaw

COLD_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_NO_THAW_IS_NEEDED = frozenset({"RestoreAlreadyInProgress", "InvalidObjectState"})
"""The second is the answer to RestoreObject for an object of a class that is read at once."""
_ONGOING = re.compile(r'ongoing-request="(true|false)"')
_EXPIRY = re.compile(r'expiry-date="([^"]*)"')


def storage_class_of(answer: Mapping[str, Any]) -> str:
    """Of an answer to HEAD or of an entry of a listing; S3 leaves STANDARD unsaid in the first."""
    return str(answer.get("StorageClass") or "STANDARD")


def thaw_of(answer: Mapping[str, Any]) -> Thaw | None:
    """What an answer to HEAD says; None for an object of a class that is read at once."""
    if storage_class_of(answer) not in COLD_CLASSES:
        return None
    said = str(answer.get("Restore") or "")
    ongoing = _ONGOING.search(said)
    if ongoing is None:
        return Thaw(state="frozen")
    if ongoing[1] == "true":
        return Thaw(state="thawing")
    return Thaw(state="thawed", until=_expiry(said))


def in_utc(moment: datetime | None) -> datetime | None:
    """A time of botocore's, in the time zone of the standard library."""
    return moment and moment.astimezone(UTC)


def means_no_thaw_is_needed(answer: Mapping[str, Any]) -> bool:
    """Is it a refusal of RestoreObject because a thaw is under way, or because there is nothing to thaw?"""
    return code_of(answer) in _NO_THAW_IS_NEEDED


def _expiry(said: str) -> datetime | None:
    found = _EXPIRY.search(said)
    try:
        return in_utc(parsedate_to_datetime(found[1])) if found else None
    except ValueError:
        return None
