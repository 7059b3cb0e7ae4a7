"""Plan, outcome and catalogue -> documents for scripts, rows for people. Nothing is printed here.

The keys of the documents are a contract: they stay, further ones may come.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from archive_tasks.amounts import amount_text, size_text
from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import KnownArchive, Run
from archive_tasks.catalogue.runs import runs_of
from archive_tasks.names import display
from archive_tasks.show.archive import archive_document
from archive_tasks.show.console import MOST_ROWS, Console, escaped, make_table
from archive_tasks.show.document import Document

_GONE = ("set aside", "purged", "moved", "in the trash")
_BACK = ("put back", "put back by the user", "restored")
_AT_HOME: Document = {"local": None, "local_since": None}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class ArchiveRow(NamedTuple):
    """An archive as a person reads it."""

    when: str
    run: str
    item: str
    files: str
    size: str
    proven: str
    scope: str
    amount: str
    local: str


# -- scan ---------------------------------------------------------------------------------------------


# -- archive ------------------------------------------------------------------------------------------


# -- report -------------------------------------------------------------------------------------------


def report_document(catalogues: Iterable[Catalogue]) -> Document:
    """The document of `report`."""
    runs: list[Document] = []
    archives: list[Document] = []
    for catalogue in catalogues:
        runs += [_run_document(run, catalogue.target) for run in runs_of(catalogue)]
        gone = _local_copies(catalogue)
        archives += [_known_document(known) | _local_copy(known, gone) for known in catalogue.archives()]
    total = {
        "files": sum(archive["files"] for archive in archives),
        "bytes": sum(archive["bytes"] for archive in archives),
    }
    return {"runs": runs, "archives": archives, **total}


def _local_copy(known: KnownArchive, copies: Mapping[str, Document]) -> Document:
    """Older versions journalled what they did by the archive's id."""
    archive = known.archive
    by_id = None if archive.number else copies.get(archive.id)
    return copies.get(archive.manifest) or by_id or _AT_HOME


def _local_copies(catalogue: Catalogue) -> dict[str, Document]:
    """What became of local copies, by archive, as far as this machine's journal says; without those still at home."""
    found: dict[str, Document] = {}
    for at, what, details in journal.notes(catalogue, *_GONE, *_BACK):
        found[details.get("manifest") or details.get("archive", "")] = (
            _AT_HOME if what in _BACK else {"local": what, "local_since": at.isoformat()}
        )
    return found


def _run_document(run: Run, target: str) -> Document:
    return {
        "run": run.number,
        "target": target,
        "root": run.root,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
    }


def _known_document(known: KnownArchive) -> Document:
    archive, receipt = known.archive, known.receipt
    return archive_document(archive) | {
        "root": archive.root,
        "target": archive.target,
        "scope": archive.scope,
        "created": archive.created.isoformat(),
        "run": known.run,
        "proven_by": receipt.proven_by if receipt else None,
        "proven_at": receipt.proven_at.isoformat() if receipt else None,
    }


def report_rows(document: Document) -> dict[str, list[ArchiveRow]]:
    """The archives of a report's document, by target, in its order."""
    rows: dict[str, list[ArchiveRow]] = {}
    for archive in document["archives"]:
        rows.setdefault(display(archive["target"]), []).append(_archive_row(archive))
    return rows


def _archive_row(archive: Document) -> ArchiveRow:
    return ArchiveRow(
        when=f"{datetime.fromisoformat(archive['created']).astimezone(UTC):%Y-%m-%d %H:%M}",
        run="" if archive["run"] is None else str(archive["run"]),
        item=display(archive["item"]),
        files=f"{archive['files']:,}",
        size=size_text(archive["bytes"]),
        proven=archive["proven_by"] or "found there",
        scope=display(archive["scope"]),
        amount=amount_text(archive["files"], archive["bytes"]),
        local=f"{archive['local']} {archive['local_since'][:10]}" if archive["local"] else "",
    )


def report_csv(document: Document) -> str:
    """The archives as CSV with a header. A text that a spreadsheet would take for a formula gets a `'` before it."""
    columns = [
        "created",
        "run",
        "item",
        "files",
        "bytes",
        "root",
        "target",
        "scope",
        "manifest",
        "id",
        "proven_by",
        "local",
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(archive[column]) for column in columns] for archive in document["archives"])
    return text.getvalue()


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    harmless = display(value)
    return "'" + harmless if harmless.startswith(_FORMULA_STARTS) else harmless


# -- plugins ------------------------------------------------------------------------------------------


def show_archives(target: str, rows: Sequence[ArchiveRow], console: Console) -> None:
    """The archives in one target."""
    console.say(target, style="bold")
    if not console.is_terminal:
        for row in rows:
            local = f"  {row.local}" if row.local else ""
            console.say(f"{row.when} UTC  {row.item}  {row.amount}  {row.proven}  {row.scope}{local}")
        return
    right = "right"
    table = make_table(
        ("archived (UTC)", "left"),
        ("run", right),
        ("item", "left"),
        ("files", right),
        ("size", right),
        ("proven by", "left"),
        ("scope", "left"),
        ("local copy", "left"),
    )
    for row in rows[-MOST_ROWS:]:
        cells = (row.when, row.run, row.item, row.files, row.size, row.proven, row.scope, row.local)
        table.add_row(*(escaped(cell) for cell in cells))
    console.rich.print(table)
    console.say_rest(len(rows))
