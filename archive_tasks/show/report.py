"""Plan, outcome and catalogue -> documents for scripts, rows for people. Nothing is printed here.

The keys of the documents are a contract: they stay, further ones may come.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from archive_tasks.amounts import amount_text, count_text, size_text
from archive_tasks.model import Archive, Decision, Limits, Outcome, Plan, nanoseconds
from archive_tasks.names import display

if TYPE_CHECKING:
    from archive_tasks.catalogue.database import Catalogue
    from archive_tasks.catalogue.rows import Known, Run
    from archive_tasks.plugins import PluginInfo

Document = dict[str, Any]

_GONE = ("set aside", "purged", "moved", "in the trash")
_BACK = ("put back", "put back by the user", "restored")
_AT_HOME: Document = {"local": None, "local_since": None}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class PlanRow(NamedTuple):
    """An item as a person reads it; all harmless on a terminal."""

    item: str
    idle: str
    files: str
    size: str
    decision: str
    reason: str
    amount: str


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


def plan_document(plan: Plan) -> Document:
    """The document of `scan`. `days_idle` and `newest` are of the entry that settled the item; what a scan
    did not need to know is null.
    """
    return {
        "root": plan.root,
        "days": plan.days,
        "clock": plan.clock,
        "now": plan.now.isoformat(),
        "items": [_decision_document(decision, _limits(plan)) for decision in plan.decisions],
        "warnings": list(plan.warnings),
    }


def _decision_document(decision: Decision, limits: Limits) -> Document:
    used = decision.newest_ns
    return {
        "name": decision.item.name,
        "path": decision.item.path,
        "kind": decision.item.kind,
        "decision": "archive" if decision.archive else "keep",
        "reason": decision.reason,
        "days_idle": None if used is None else limits.days_idle(used),
        "newest": decision.newest,
        "files": decision.files,
        "bytes": decision.bytes,
        "fresh": decision.fresh,
        "left_out": decision.left_out,
    }


def plan_rows(plan: Plan) -> list[PlanRow]:
    """What goes first, the longest idle on top; then what stays, the nearest to stale on top."""
    limits = _limits(plan)

    def by_age(decision: Decision) -> tuple[bool, float]:
        return (not decision.archive, decision.newest_ns if decision.newest_ns is not None else float("inf"))

    return [_plan_row(decision, limits) for decision in sorted(plan.decisions, key=by_age)]


def _plan_row(decision: Decision, limits: Limits) -> PlanRow:
    return PlanRow(
        item=display(decision.item.name) + ("/" if decision.item.kind == "folder" else ""),
        idle="" if decision.newest_ns is None else f"{limits.days_idle(decision.newest_ns):,}",
        files="" if decision.files is None else f"{decision.files:,}",
        size=size_text(decision.bytes),
        decision="archive" if decision.archive else "keep",
        reason=decision.reason + (f" ({decision.left_out:,} left out)" if decision.left_out else ""),
        amount=amount_text(decision.files, decision.bytes) if decision.files else "",
    )


def plan_summary(plan: Plan) -> str:
    """`3 items are stale (412 files, 1.2 GB); 7 stay`."""
    stale = plan.to_archive
    files = sum(decision.files or 0 for decision in stale)
    size = sum(decision.bytes or 0 for decision in stale)
    amount = f" ({count_text(files, 'file')}, {size_text(size)})" if stale else ""
    verb = "is" if len(stale) == 1 else "are"
    return f"{count_text(len(stale), 'item')} {verb} stale{amount}; {count_text(len(plan.to_keep), 'stays', 'stay')}"


def _limits(plan: Plan) -> Limits:
    return Limits(now_ns=nanoseconds(plan.now), days=plan.days)


# -- archive ------------------------------------------------------------------------------------------


def outcome_document(outcome: Outcome) -> Document:
    """The document of `archive`."""
    return {
        "target": outcome.target,
        "archives": [_archive_document(archive) for archive in outcome.archives],
        "already": [_archive_document(archive) for archive in outcome.already],
        "kept": [{"item": item, "reason": reason} for item, reason in outcome.kept],
        "failed": [{"item": item, "reason": reason} for item, reason in outcome.failed],
    }


def dry_run_document(plan: Plan, target: str) -> Document:
    """The document of `archive --dry-run`: that of a run in which nothing was done, and what would have been."""
    kept = [{"item": decision.item.name, "reason": decision.reason} for decision in plan.to_keep]
    would = [
        {"item": decision.item.name, "files": decision.files, "bytes": decision.bytes} for decision in plan.to_archive
    ]
    nothing: Document = {"target": target, "archives": [], "already": [], "kept": kept, "failed": []}
    return nothing | {"dry_run": True, "would_archive": would}


def _archive_document(archive: Archive) -> Document:
    return {
        "id": archive.id,
        "item": archive.item,
        "files": archive.files,
        "bytes": archive.bytes,
        "manifest": archive.manifest,
    }


def outcome_summary(outcome: Outcome) -> str:
    """One sentence about what a run did."""
    files = sum(archive.files for archive in outcome.archives)
    size = sum(archive.bytes for archive in outcome.archives)
    parts = [f"{count_text(len(outcome.archives), 'item')} archived ({count_text(files, 'file')}, {size_text(size)})"]
    if outcome.already:
        parts.append(f"{len(outcome.already):,} archived before")
    if outcome.failed:
        parts.append(f"{len(outcome.failed):,} FAILED")
    return ", ".join(parts)


# -- report -------------------------------------------------------------------------------------------


def report_document(catalogues: Iterable[Catalogue]) -> Document:
    """The document of `report`."""
    runs: list[Document] = []
    archives: list[Document] = []
    for catalogue in catalogues:
        runs += [_run_document(run, catalogue.target) for run in catalogue.runs()]
        gone = _local_copies(catalogue)
        archives += [_known_document(known) | _local_copy(known, gone) for known in catalogue.archives()]
    total = {"files": sum(one["files"] for one in archives), "bytes": sum(one["bytes"] for one in archives)}
    return {"runs": runs, "archives": archives, **total}


def _local_copy(known: Known, copies: Mapping[str, Document]) -> Document:
    """Older versions journalled what they did by the archive's id."""
    archive = known.archive
    by_id = None if archive.number else copies.get(archive.id)
    return copies.get(archive.manifest) or by_id or _AT_HOME


def _local_copies(catalogue: Catalogue) -> dict[str, Document]:
    """What became of local copies, by archive, as far as this machine's journal tells; without those at home."""
    found: dict[str, Document] = {}
    for at, what, details in catalogue.notes(*_GONE, *_BACK):
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


def _known_document(known: Known) -> Document:
    archive, receipt = known.archive, known.receipt
    return _archive_document(archive) | {
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
    for one in document["archives"]:
        rows.setdefault(display(one["target"]), []).append(_archive_row(one))
    return rows


def _archive_row(one: Document) -> ArchiveRow:
    return ArchiveRow(
        when=f"{datetime.fromisoformat(one['created']).astimezone(UTC):%Y-%m-%d %H:%M}",
        run="" if one["run"] is None else str(one["run"]),
        item=display(one["item"]),
        files=f"{one['files']:,}",
        size=size_text(one["bytes"]),
        proven=one["proven_by"] or "found there",
        scope=display(one["scope"]),
        amount=amount_text(one["files"], one["bytes"]),
        local=f"{one['local']} {one['local_since'][:10]}" if one["local"] else "",
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
    writer.writerows([_csv_cell(one[column]) for column in columns] for one in document["archives"])
    return text.getvalue()


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    harmless = display(value)
    return "'" + harmless if harmless.startswith(_FORMULA_STARTS) else harmless


# -- plugins ------------------------------------------------------------------------------------------


def plugins_document(plugins: Sequence[PluginInfo]) -> Document:
    """The document of `plugins`, in the order in which they are asked."""
    return {
        "plugins": [
            {"name": one.name, "origin": one.origin, "version": one.version, "hooks": list(one.hooks)}
            for one in plugins
        ]
    }
