"""A line of a manifest as a checked value: whatever a forged manifest holds, what comes out of here has sane types."""

from __future__ import annotations

import base64
import functools
import os
import re
from typing import Any, Literal, NamedTuple

from archive_tasks.errors import ItemUnreadable, ManifestError
from archive_tasks.formats.manifest import Record, name_in
from archive_tasks.model import Attributes
from archive_tasks.names import display

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"data(/[A-Za-z0-9._~-]+)+")
# Because SQLite keeps no whole number beyond 63 bits: a forged one once ended in a traceback.
_LARGEST = 1 << 62
_FARTHEST = (1 << 63) * 10**9
"""Nanoseconds of the farthest time that a filesystem can hold: stat counts seconds in 64 bits. (inode(7))"""
# One less than 32 bits hold, because chown(2) takes the last of them, -1, for "leave the owner as it is".
_LARGEST_OWNER = (1 << 32) - 2


class Place(NamedTuple):
    """Which bytes of which object hold a file.

    Attributes:
        within: where the file begins in what these bytes unpack to; None when they are the file.
        parts: hex SHA-256 of each `part_size` bytes of an object that was sent in parts.
        extents: (start, length) of the ranges of the file that these bytes are, one behind the other, where the rest
            of it are holes; else None.
    """

    key: str
    offset: int
    length: int
    within: int | None = None
    part_size: int = 0
    parts: tuple[str, ...] = ()
    extents: tuple[tuple[int, int], ...] | None = None


class ManifestEntry(NamedTuple):
    """An entry.

    Attributes:
        place: None for what has no contents of its own: an empty file, a hard link, a folder, a symlink.
        hardlink: path of the entry whose contents it shares, or empty.
        target: where a symlink points.
    """

    path: str
    kind: Literal["file", "folder", "link"]
    attributes: Attributes
    size: int = 0
    sha256: str = ""
    place: Place | None = None
    hardlink: str = ""
    target: str = ""
    sparse: bool = False


def entry_of(record: Record) -> ManifestEntry:
    """Raises ManifestError for a line that is not an entry, or makes no sense."""
    path = name_in(record, "path")
    kind = record.get("type")
    if "extents" in record and ("within" in record or "parts" in record):  # nobody writes that yet
        raise ManifestError(f"{path!a} is stored in a way that this version does not know: upgrade archive-tasks")
    if kind not in ("file", "folder", "link"):  # not a set: what a forged line has there may be unhashable
        raise _odd(path, "type")
    try:
        attributes = Attributes(
            mode=int(str(record["mode"]), 8) & 0o7777,
            mtime_ns=_number(record["mtime_ns"], lowest=-_FARTHEST, highest=_FARTHEST),
            uid=_number(record.get("uid", -1), lowest=-1, highest=_LARGEST_OWNER),
            gid=_number(record.get("gid", -1), lowest=-1, highest=_LARGEST_OWNER),
            user=str(record.get("user", "")),
            group=str(record.get("group", "")),
            xattrs=_xattrs(record["xattrs"]) if "xattrs" in record else {},
        )
        if kind == "link":
            return ManifestEntry(path=path, kind="link", attributes=attributes, target=_target(record, path))
        if kind == "folder":
            return ManifestEntry(path=path, kind="folder", attributes=attributes)
        return _file(record, path, attributes)
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(path, display(str(error)[:100])) from error


def check_line(record: Record) -> None:
    """What is written is read first, as every reader will. Raises ItemUnreadable for a line that none would take."""
    try:
        if "path" in record:
            entry_of(record)
        elif "object" in record:
            pack_of(record)
    except ManifestError as error:
        raise ItemUnreadable(f"no archive can hold it: {error}") from error


class PackLine(NamedTuple):
    """What a manifest says of a pack."""

    key: str
    length: int
    sha256: str
    part_size: int
    parts: tuple[str, ...]


def pack_of(record: Record) -> PackLine:
    """Raises ManifestError for a line that is of no pack, or makes no sense."""
    key = str(record["object"])
    try:
        return PackLine(
            key=key,
            length=_number(record["size"]),
            sha256=_digest(record["sha256"], key),
            part_size=_number(record.get("part_size", 0)),
            parts=tuple([_digest(part, key) for part in record.get("parts", ())]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _odd(key, "line") from error


def _file(record: Record, path: str, attributes: Attributes) -> ManifestEntry:
    size = _number(record["size"])
    hardlink = name_in(record, "hardlink") if "hardlink" in record else ""
    place = _place(record, size, path) if size and not hardlink else None
    return ManifestEntry(
        path=path,
        kind="file",
        attributes=attributes,
        size=size,
        sha256="" if hardlink else _digest(record["sha256"], path),
        place=place,
        hardlink=hardlink,
        sparse=bool(record.get("sparse")),
    )


def _place(record: Record, size: int, path: str) -> Place:
    key = record["key"]
    if not is_key(key):
        raise _odd(path, "key")
    within = _number(record["within"]) if "within" in record else None
    parts = tuple([_digest(part, path) for part in record["parts"]]) if "parts" in record else ()
    place = Place(
        key=key,
        offset=_number(record["offset"]),
        length=_number(record["length"]),
        within=within,
        part_size=_number(record["part_size"]) if parts else 0,
        parts=parts,
        extents=_extents(record["extents"], size) if "extents" in record else None,
    )
    held = size if place.extents is None else sum(length for _, length in place.extents)
    if within is None and place.length != held:
        raise _odd(path, "length")
    if parts and (place.part_size < 1 or len(parts) != -(-size // place.part_size)):
        raise _odd(path, "parts")
    return place


def _extents(value: Any, size: int) -> tuple[tuple[int, int], ...]:
    """In their order, none empty, none over another, all in the file."""
    if not isinstance(value, list) or not all(isinstance(one, list) and len(one) == 2 for one in value):
        raise ValueError("extents")
    extents = tuple([(_number(start), _number(length, lowest=1)) for start, length in value])
    at = 0
    for start, length in extents:
        if start < at:
            raise ValueError("extents")
        at = start + length
    if at > size:
        raise ValueError("extents")
    return extents


def is_key(key: Any) -> bool:
    """May this be a key of the target?"""
    return isinstance(key, str) and _is_key(key)


@functools.lru_cache(maxsize=1024)
def _is_key(key: str) -> bool:
    """One pack holds thousands of files."""
    return _KEY.fullmatch(key) is not None and all(segment.strip(".") for segment in key.split("/"))


def _xattrs(value: Any) -> dict[str, bytes]:
    return {_attribute_name(name): base64.b64decode(text) for name, text in dict(value).items()}


def _attribute_name(name: Any) -> str:
    if not isinstance(name, str) or "\0" in os.fsdecode(os.fsencode(name)):
        raise ValueError("xattrs")
    return name


def _target(record: Record, path: str) -> str:
    target = name_in(record, "target")
    if not target or "\0" in target:
        raise _odd(path, "target")
    return target


def _digest(value: Any, path: str) -> str:
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise _odd(path, "sha256")
    return value


def _number(value: Any, *, lowest: int = 0, highest: int = _LARGEST) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise ValueError("number")
    return value


def _odd(path: str, what: str) -> ManifestError:
    return ManifestError(f"{path!a} has an impossible {what} in its manifest")
