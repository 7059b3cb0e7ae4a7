"""Is a local item what a manifest describes?"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from typing import Any

from archive_tasks.disk.read_file import SourceFile, identity_of
from archive_tasks.disk.sparse import forget_zeros
from archive_tasks.formats.manifest import Record, name_in, read_manifest
from archive_tasks.items.describe import attribute_fields, describe_entry
from archive_tasks.items.survey import Listed
from archive_tasks.names import display

_PIECE = 4 * 1024 * 1024
_DIFFERENCES = {
    "type": "another type",
    "mode": "other rights",
    "size": "another size",
    "sha256": "other contents",
    "xattrs": "other extended attributes",
    "target": "another target",
}


def matches_manifest(manifest: bytes, listing: Iterator[Listed]) -> bool:
    """Compare everything that `first_difference` compares when it reads."""
    return first_difference(manifest, listing, reading=True) is None


def first_difference(manifest: bytes, listing: Iterator[Listed], *, reading: bool, partial: bool = False) -> str | None:
    """What the item and the manifest differ in first, as a sentence; None when they do not.

    Every entry's kind, rights and link target are compared, and every file's size and modification time; with
    `reading`, extended attributes and every file's SHA-256 too, and no modification times, which say nothing then.
    Owners are not compared: the same item has others on another device.

    Args:
        manifest: as it is in the target.
        listing: the item's entries, in the same fixed order as the manifest's. What is left out is not compared.
        partial: True permits that entries of the manifest are gone.

    Raises:
        ManifestError: the manifest cannot be read.
        ItemError: the item cannot be read, or changes while it is.
    """
    records = _entries(manifest) if not reading else _with_sums(manifest)
    for listed in listing:
        if listed.why is not None:
            continue
        record = _next_of(records, listed.entry.path, partial=partial)
        if record is None:
            return f"{display(listed.entry.path)} is not in the archive"
        if name_in(record, "path") != listed.entry.path:
            return f"{display(listed.entry.path)} is new, or {display(name_in(record, 'path'))} is gone"
        if what := _difference(record, listed, reading=reading):
            return f"{display(listed.entry.path)} has {what}"
    missing = None if partial else next(records, None)
    return f"{display(name_in(missing, 'path'))} is gone" if missing else None


def _next_of(records: Iterator[Record], path: str, *, partial: bool) -> Record | None:
    """The next record; of a partial item, the next one of that path."""
    return next((record for record in records if not partial or name_in(record, "path") == path), None)


def _entries(manifest: bytes) -> Iterator[Record]:
    records = read_manifest(manifest)
    next(records, None)
    return (record for record in records if "path" in record)


def _with_sums(manifest: bytes) -> Iterator[Record]:
    """The entries, hard links with the SHA-256 of what they share."""
    first_names = {name_in(record, "hardlink") for record in _entries(manifest) if "hardlink" in record}
    sums: dict[str, object] = {}
    for record in _entries(manifest):
        if "hardlink" in record:
            yield {**record, "sha256": sums.get(name_in(record, "hardlink"))}
            continue
        if name_in(record, "path") in first_names:
            sums[name_in(record, "path")] = record.get("sha256")
        yield record


class Records:
    """The entries of a manifest, to be asked for in its own order.

    Args:
        manifest: as it is in the target.
    """

    def __init__(self, manifest: bytes) -> None:
        self._records = _with_sums(manifest)

    def of(self, path: str) -> Record | None:
        """The entry of this path; those before it are passed over. Raises ManifestError."""
        return _next_of(self._records, path, partial=True)


def holds_the_same(record: Record, listed: Listed) -> bool:
    """Is it of the type, and has the contents or the target, that its line of the manifest says? Raises ItemError."""
    kind = listed.entry.kind
    if record.get("type") != kind:
        return False
    if kind == "file":
        return bool(_contents(listed)["sha256"] == record.get("sha256"))
    return _field_difference(record, describe_entry(listed), ("target",)) is None


def _difference(record: Record, listed: Listed, *, reading: bool) -> str | None:
    return _read_difference(record, listed) if reading else _seen_difference(record, listed)


def _seen_difference(record: Record, listed: Listed) -> str | None:
    """By what a stat shows. It runs once a file: no record is made of the entry."""
    _, kind, facts = listed.entry
    if record.get("type") != kind:
        return "another type"
    if record.get("mode") != f"{stat.S_IMODE(facts.st_mode):o}":
        return "other rights"
    if kind == "folder":
        return None
    if record.get("mtime_ns") != facts.st_mtime_ns:
        return "another modification time"
    if kind == "file":
        return None if record.get("size") == facts.st_size else "another size"
    return _field_difference(record, describe_entry(listed), ("target",))


def _read_difference(record: Record, listed: Listed) -> str | None:
    here = describe_entry(listed)
    if listed.entry.kind == "file" and record.get("size") == here.get("size"):
        here |= _contents(listed)
    return _field_difference(record, here, ("type", "mode", "size", "sha256", "xattrs", "target"))


def _field_difference(record: Record, here: Record, fields: tuple[str, ...]) -> str | None:
    for field in fields:
        if _value(record, field) != _value(here, field):
            return _DIFFERENCES[field]
    return None


def _value(record: Record, field: str) -> Any:
    """A link's target may be spelled in bytes; nothing else has one."""
    if field != "target":
        return record.get(field)
    return name_in(record, "target") if record.get("type") == "link" else None


def _contents(listed: Listed) -> Record:
    """SHA-256 and extended attributes of a file; it is read once, to its end."""
    digest = hashlib.sha256()
    path, _, facts = listed.entry
    with SourceFile(path, listed.name, listed.dir_fd, identity_of(facts)) as source:
        for offset in range(0, source.size, _PIECE):
            data = source.piece(offset, min(_PIECE, source.size - offset))
            digest.update(data)
            forget_zeros(source.fd, offset, data)
        source.check()
        return {"sha256": digest.hexdigest(), **attribute_fields(source.extended_attributes())}
