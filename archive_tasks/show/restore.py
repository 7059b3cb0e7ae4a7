"""What restore shows: its plan, candidates, sentences and JSON documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archive_tasks.amounts import count_text, dollars_text, size_text
from archive_tasks.model import Archive
from archive_tasks.names import display, typed
from archive_tasks.restore.context import Restored
from archive_tasks.restore.plan import RestorePlan
from archive_tasks.restore.select import Selected, short_id
from archive_tasks.restore.selection import Selection
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.store import ObjectInfo
from archive_tasks.target.prices import Thawing

_MOST_LOST = 20

# -- the plan of a restore ----------------------------------------------------------------------------


def plan_lines(plan: RestorePlan) -> list[str]:
    """A line an item."""
    return [
        f"restore  {display(item)} -> {display(to)} ({count_text(files, 'file')}, {size_text(size)})"
        for item, to, files, size in plan.items
    ]


def dry_run_document(
    target: str, plan: RestorePlan, dollars: float | None, ways: Sequence[Thawing], *, frozen: int
) -> Document:
    """The document of `restore --dry-run`."""
    return {
        "dry_run": True,
        "target": target,
        "files": plan.files,
        "bytes": plan.bytes,
        "to_fetch": plan.to_fetch,
        "requests": plan.requests,
        "dollars": dollars,
        "frozen_objects": frozen,
        "thawing": [{"tier": way.tier, "time": way.time, "dollars": way.dollars} for way in ways],
        "items": [{"item": item, "to": to, "files": files, "bytes": size} for item, to, files, size in plan.items],
    }


def plan_summary(document: Document, prices: str) -> str:
    """What a restore fetches, and what that costs."""
    fetch = f"{size_text(document['to_fetch'])} to fetch in {count_text(document['requests'], 'request')}"
    cost = f", about {dollars_text(document['dollars'])} ({display(prices)})" if document["dollars"] is not None else ""
    frozen = (
        f"; {count_text(document['frozen_objects'], 'object')} must be thawed first"
        if document["frozen_objects"]
        else ""
    )
    return f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}: {fetch}{cost}{frozen}"


def thaw_offer(frozen: Sequence[ObjectInfo], *, days: int, prices: str) -> str:
    """What must be thawed; `way_lines` say how."""
    size = sum(info.size for info in frozen)
    return (
        f"{count_text(len(frozen), 'object')} ({size_text(size)}) must be thawed, for {days} days ({display(prices)}):"
    )


def way_lines(ways: Sequence[Thawing]) -> list[str]:
    """A line a tier."""
    return [f"  {way.tier:<10} {way.time:<18} {dollars_text(way.dollars)}" for way in ways]


# -- what a restore did -------------------------------------------------------------------------------


def restore_document(target: str, selections: Sequence[Selection], restored: Restored, *, thawing: int) -> Document:
    """The document of `restore`."""
    return {
        "target": target,
        "items": [
            {"item": selection.archive.item, "archive": selection.archive.id, "to": selection.destination}
            for selection in selections
        ],
        "files": restored.files,
        "bytes": restored.bytes,
        "already": restored.already,
        "skipped": restored.skipped,
        "failed": [{"path": path, "reason": reason} for path, reason in sorted(restored.failed)],
        "lost": [{"path": path, "what": what} for path, what in sorted(restored.lost)],
        "thawing": thawing,
    }


def restore_summary(document: Document) -> str:
    """One sentence about what a restore did."""
    parts = [f"{count_text(document['files'], 'file')} restored ({size_text(document['bytes'])})"]
    if document["already"]:
        parts.append(f"{document['already']:,} there already")
    if document["skipped"]:
        parts.append(f"{document['skipped']:,} skipped")
    if document["failed"]:
        parts.append(f"{len(document['failed']):,} FAILED")
    return ", ".join(parts)


def lost_lines(document: Document) -> list[str]:
    """What is back without some of it, as far as that fits."""
    return [f"{display(one['path'])} is back without {one['what']}" for one in document["lost"][:_MOST_LOST]]


# -- which one is meant -------------------------------------------------------------------------------

CANDIDATE_COLUMNS = (
    ("item", "left"),
    ("host", "left"),
    ("root", "left"),
    ("archived", "left"),
    ("size", "right"),
    ("id", "left"),
)


def candidate_rows(archives: Sequence[Archive]) -> list[tuple[str, ...]]:
    """A row an archive, the newest first."""
    return [
        (
            display(archive.item),
            display(archive.host),
            display(archive.root),
            f"{archive.created:%Y-%m-%d %H:%M}",
            size_text(archive.bytes),
            short_id(archive),
        )
        for archive in sorted(archives, key=lambda archive: archive.created, reverse=True)
    ]


def command_of(archive: Archive) -> str:
    """What to type behind `restore` for just this archive, without its destination."""
    return f"{typed(archive.item)} --id {short_id(archive)}"


def candidate_document(archive: Archive) -> Document:
    """An archive that can be chosen, as a part of a document."""
    return {
        "item": archive.item,
        "root": archive.root,
        "host": archive.host,
        "created": archive.created.isoformat(),
        "bytes": archive.bytes,
        "id": short_id(archive),
    }


def show_candidates(archives: Sequence[Archive], console: Console) -> None:
    """Archives of which one is to be chosen."""
    console.show_rows(CANDIDATE_COLUMNS, candidate_rows(archives))


def show_what_else(
    selected: Selected, missing: Sequence[Archive], command: Callable[[str], str], console: Console
) -> None:
    """What is not restored of what was asked for, and what is restored by this device's word alone.

    Args:
        missing: archives whose manifests are not listed in the target.
        command: how a task of this name is called.
    """
    for archive in selected.elsewhere:
        console.warn(
            f"{display(archive.item)} of {display(archive.host)}:{display(archive.root)} is not restored: restore "
            f"{command(command_of(archive))} --to FOLDER"
        )
    if selected.others:
        console.say("archives of that name from other places, not chosen:", style="dim")
        show_candidates(selected.others, console)
    unlisted = {archive.manifest for archive in missing}
    for one in selected.selections:
        if one.archive.manifest in unlisted:
            console.warn(
                f"the manifest of {display(one.archive.item)} is not listed in the target; it is restored from what "
                f"this device knows of it: run {command('verify --repair')}"
            )
