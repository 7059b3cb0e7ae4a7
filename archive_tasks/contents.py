"""Is a local item what a manifest speaks of?"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from archive_tasks.entries import Listed
from archive_tasks.manifest import Record, name_in, read_manifest
from archive_tasks.records import attribute_fields, describe_entry
from archive_tasks.source import SourceFile, identity_of

_PIECE = 4 * 1024 * 1024


def matches_manifest(manifest: bytes, listing: Iterator[Listed]) -> bool:
    """Compare every entry's kind, rights, link target and extended attributes, and every file's SHA-256.

    Owners are not compared: the same item has others on another device.

    Args:
        manifest: as it lies in the target.
        listing: the item's entries, in the same fixed order as the manifest's.

    Raises:
        ManifestError: the manifest cannot be read.
        ItemError: the item cannot be read, or changes while it is.
    """
    first_names = {name_in(record, "hardlink") for record in read_manifest(manifest) if "hardlink" in record}
    first_sums: dict[str, object] = {}
    present = (listed for listed in listing if listed.why is None)
    for record, listed in itertools.zip_longest(_entries(manifest), present):
        if record is None or listed is None:
            return False
        if "hardlink" in record:
            record = {**record, "sha256": first_sums.get(name_in(record, "hardlink"))}
        elif name_in(record, "path") in first_names:
            first_sums[name_in(record, "path")] = record.get("sha256")
        if not _matches(record, listed):
            return False
    return True


def _entries(manifest: bytes) -> Iterator[Record]:
    records = read_manifest(manifest)
    next(records, None)
    return (record for record in records if "path" in record)


def _matches(record: Record, listed: Listed) -> bool:
    here = describe_entry(listed)
    if listed.entry.kind == "file":
        here |= _contents(listed)
    same = ("type", "mode", "size", "sha256", "xattrs")
    names = [field for field in ("path", "target") if field in here or field in record]
    return all(record.get(field) == here.get(field) for field in same) and all(
        name_in(record, field) == name_in(here, field) for field in names
    )


def _contents(listed: Listed) -> Record:
    """SHA-256 and extended attributes of a file; it is read once, to its end."""
    digest = hashlib.sha256()
    path, _, facts = listed.entry
    with SourceFile(path, listed.name, listed.dir_fd, identity_of(facts)) as source:
        for offset in range(0, source.size, _PIECE):
            digest.update(source.piece(offset, min(_PIECE, source.size - offset)))
        source.check()
        return {"sha256": digest.hexdigest(), **attribute_fields(source.extended_attributes())}
