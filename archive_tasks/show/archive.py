"""What a run of `archive` did, for people and for scripts."""

from __future__ import annotations

from archive_tasks.amounts import count_text, size_text
from archive_tasks.model import Archive, Outcome, Plan
from archive_tasks.names import display
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document


def outcome_document(outcome: Outcome) -> Document:
    """The document of `archive`."""
    return {
        "target": outcome.target,
        "archives": [archive_document(archive) for archive in outcome.archives],
        "already": [archive_document(archive) for archive in outcome.already],
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


def archive_document(archive: Archive) -> Document:
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


def show_outcome(outcome: Outcome, console: Console) -> None:
    """What a run did; failures by name."""
    for item, reason in outcome.failed:
        console.say(f"FAILED  {display(item)}: {reason}", style="bold red")
    console.say(outcome_summary(outcome), style="bold")
