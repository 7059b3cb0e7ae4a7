"""Are the contents of a local item those that a manifest speaks of?"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from archive_tasks.entries import Listed
from archive_tasks.manifest import Record, name_in, read_manifest
from archive_tasks.records import describe_entry
from archive_tasks.source import SourceFile

_PIECE = 4 * 1024 * 1024


def matches_manifest(manifest: bytes, listing: Iterator[Listed]) -> bool:
    """Compare every entry, and every file's SHA-256, reading the files once.

    Args:
        manifest: as it lies in the target.
        listing: the item's entries, in the same fixed order as the manifest's.

    Raises:
        ManifestError: the manifest cannot be read.
        ItemError: the item cannot be read, or changes while it is.
    """
    records = read_manifest(manifest)
    next(records, None)
    wanted = (record for record in records if "left_out" not in record)
    present = (listed for listed in listing if listed.why is None)
    return all(
        record is not None and listed is not None and _matches(record, listed)
        for record, listed in itertools.zip_longest(wanted, present)
    )


def _matches(record: Record, listed: Listed) -> bool:
    path, kind, facts = listed.entry
    if name_in(record, "path") != path or record.get("type") != kind:
        return False
    if kind == "link":
        here = describe_entry(listed)
        return name_in(here, "target") == name_in(record, "target")
    if kind == "folder" or "hardlink" in record:
        return True
    return record.get("size") == facts.st_size and record.get("sha256") == _sha256(listed)


def _sha256(listed: Listed) -> str:
    digest = hashlib.sha256()
    with SourceFile(listed) as source:
        for offset in range(0, source.size, _PIECE):
            digest.update(source.piece(offset, min(_PIECE, source.size - offset)))
        source.check()
    return digest.hexdigest()
