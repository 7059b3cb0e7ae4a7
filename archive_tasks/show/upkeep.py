"""What `verify`, `catalogue` and `prune` found and did, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from archive_tasks.amounts import count_text, size_text
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.names import display
from archive_tasks.show.console import MOST_SHOWN, Console
from archive_tasks.show.document import Document
from archive_tasks.target.refresh import Synced
from archive_tasks.upkeep.prune import Found, Orphan
from archive_tasks.upkeep.verified import Verified


def verify_document(target: str, verified: Verified) -> Document:
    """The document of `verify`."""
    return {
        "target": target,
        "archives": verified.archives,
        "objects": verified.objects,
        "files": verified.files,
        "read_bytes": verified.read,
        "vouched_for": verified.trusted,
        "unread": verified.unread,
        "frozen": verified.frozen,
        "replaced": verified.replaced,
        "uncommitted": verified.uncommitted,
        "damaged": [{"path": path, "problem": problem} for path, problem in verified.damaged],
        "orphans": [
            {"attempt": attempt, "objects": number, "bytes": size}
            for attempt, (number, size) in sorted(verified.orphans.items())
        ],
    }


def verify_lines(verified: Verified) -> list[str]:
    """What was found, in sentences."""
    how = [f"{size_text(verified.read)} read"] if verified.read else []
    how += [f"{verified.trusted:,} by the target's checksums"] if verified.trusted else []
    how += [f"{verified.unread:,} by presence and size only"] if verified.unread else []
    how += [f"{verified.frozen:,} in a cold class, not read"] if verified.frozen else []
    well = "all is well" if verified.archives else "nothing is archived here"
    if verified.uncommitted:
        well = "everything that has a manifest is well"
    found = f"{len(verified.damaged):,} DAMAGED" if verified.damaged else well
    amount = f"{count_text(verified.archives, 'archive')}, {count_text(verified.objects, 'object')}"
    lines = [f"{amount}, {count_text(verified.files, 'file')}: {found}{' (' + ', '.join(how) + ')' if how else ''}"]
    if verified.replaced:
        damaged = count_text(len(verified.replaced), "damaged archive is", "damaged archives are")
        lines.append(f"{damaged} replaced by intact ones with the same contents")
    if verified.uncommitted:
        unfinished = count_text(len(verified.uncommitted), "archive has", "archives have")
        lines.append(
            f"{unfinished} a copy of the manifest but no manifest: a run ended during its commit, or the manifest was "
            "removed; verify --repair writes it again"
        )
    if verified.orphans and not verified.damaged:
        objects = sum(number for number, _ in verified.orphans.values())
        size = sum(size for _, size in verified.orphans.values())
        lines.append(
            f"{count_text(objects, 'object')} ({size_text(size)}) that no manifest refers to, of runs that did not "
            "finish: the device that started them resumes them, or removes them with prune --orphans after 14 days"
        )
    return lines


def catalogue_document(target: str, archives: Sequence[KnownArchive], synced: Synced, *, gone: int = 0) -> Document:
    """The document of `catalogue`."""
    return {
        "target": target,
        "archives": len(archives),
        "files": sum(known.archive.files for known in archives),
        "bytes": sum(known.archive.bytes for known in archives),
        "new": len(synced.new),
        "gone": gone,
        "missing": [archive.manifest for archive in synced.missing],
        "unreadable": [{"manifest": key, "reason": reason} for key, reason in synced.unreadable],
    }


def catalogue_summary(document: Document) -> str:
    """One sentence about the catalogue."""
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}"
    gone = f", {document['gone']:,} gone" if document["gone"] else ""
    return f"{count_text(document['archives'], 'archive')} ({amount}): {document['new']:,} new{gone}"


def orphans_text(orphans: Sequence[Orphan]) -> str:
    objects = sum(len(orphan.objects) for orphan in orphans)
    return f"{count_text(objects, 'object')} ({size_text(sum(orphan.bytes for orphan in orphans))})"


def show_orphans(
    found: Found, old: Sequence[Orphan], others: Sequence[Orphan], grace: timedelta, console: Console
) -> None:
    for orphan in old[:MOST_SHOWN]:
        console.say(f"orphan   {display(orphan.attempt)} ({orphans_text([orphan])})")
    young = len(found.orphans) - len(old) - len(others)
    stay = f"younger than {grace.days} days {'stays' if young == 1 else 'stay'}"
    waits = f"; {count_text(young, 'attempt')} {stay}" if young else ""
    console.say(f"{count_text(len(old), 'attempt')} that nothing refers to{waits}", style="bold")
    if others:
        console.say(
            f"{orphans_text(others)} of {count_text(len(others), 'attempt')} that this device did not start: "
            "prune on the device that did, or add --all-devices"
        )


def prune_document(
    target: str, found: Found, old: Sequence[Orphan], others: Sequence[Orphan], *, dry_run: bool
) -> Document:
    def listed(orphans: Sequence[Orphan]) -> list[Document]:
        return [
            {"attempt": orphan.attempt, "objects": len(orphan.objects), "bytes": orphan.bytes} for orphan in orphans
        ]

    young = [orphan for orphan in found.orphans if orphan not in old and orphan not in others]
    return {
        "target": target,
        "dry_run": dry_run,
        "removed" if not dry_run else "would_remove": listed(old),
        "young": listed(young),
        "of_other_devices": listed(others),
    }
