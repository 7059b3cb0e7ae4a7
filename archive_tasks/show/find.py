"""What find shows: rows, sentences and the JSON document. Nothing here prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from archive_tasks.amounts import count_text, size_text
from archive_tasks.catalogue.find import Found, number_in
from archive_tasks.names import display
from archive_tasks.show.document import Document

FIND_COLUMNS = (
    ("path", "left"),
    ("size", "right"),
    ("to fetch", "right"),
    ("modified", "left"),
    ("archived", "left"),
    ("scope", "left"),
)


# -- find ---------------------------------------------------------------------------------------------


def find_document(found: Sequence[Found], *, more: bool) -> Document:
    """The document of `find`."""
    return {"found": [_found_document(match) for match in found], "more": more}


def _found_document(match: Found) -> Document:
    record, archive = match.record, match.archive
    return {
        "path": match.path,
        "type": record.get("type"),
        "size": number_in(record, "size"),
        "modified": _date_time(record.get("mtime_ns")),
        "sha256": record.get("sha256"),
        "to_fetch": match.length,
        "item": archive.item,
        "archive": archive.id,
        "created": archive.created.isoformat(),
        "scope": archive.scope,
        "host": archive.host,
        "target": archive.target,
        "storage_class": archive.storage_class or None,
    }


def find_rows(found: Sequence[Found]) -> list[tuple[str, ...]]:
    """A row an entry, for FIND_COLUMNS."""
    return [
        (
            display(match.path) + {"folder": "/", "link": " ->"}.get(str(match.record.get("type")), ""),
            size_text(size) if (size := number_in(match.record, "size")) is not None else "",
            size_text(match.length) if match.length else "",
            (_date_time(match.record.get("mtime_ns")) or "")[:10],
            f"{match.archive.created:%Y-%m-%d}",
            display(match.archive.scope),
        )
        for match in found
    ]


def find_summary(found: Sequence[Found], *, more: bool, archives: int) -> str:
    """`3 entries found in 12 archives`."""
    number = f"the first {len(found):,} entries" if more else count_text(len(found), "entry", "entries")
    narrower = "; add a word to narrow it down" if more else ""
    return f"{number} found; searched {count_text(archives, 'archive')}{narrower}"


def _date_time(mtime_ns: object) -> str | None:
    if not isinstance(mtime_ns, int):
        return None
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None
