"""What the tasks do that look after a target: verify, catalogue and prune."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from archive_tasks import prune as pruning
from archive_tasks import verify as verifying
from archive_tasks.catalogue import Catalogue
from archive_tasks.catalogue_rows import Known
from archive_tasks.chain import PartlyFailed, session_of
from archive_tasks.console import Console
from archive_tasks.errors import ArchiveTasksError, Interrupted, UsageError
from archive_tasks.names import display, key_segment
from archive_tasks.opened import bring_in_step, existing_target, new_pace, new_patience, one_run_at_a_time
from archive_tasks.report import Document, count_text, size_text
from archive_tasks.sync import Synced
from archive_tasks.target import current_verdict

MOST_SHOWN = 50


class Damaged(ArchiveTasksError):
    """Something in the target is not as it should be."""


# -- verify -------------------------------------------------------------------------------------------


def verify(
    c: Any,
    item: str | None,
    flags: Mapping[str, Any],
    *,
    read_data: bool,
    sample: str | None,
    quick: bool,
    json_document: bool,
) -> Document:
    """Compare the target with its manifests."""
    console = Console(json_document=json_document)
    session = session_of(c, flags)
    share = _share(read_data=read_data, sample=sample, quick=quick)
    with existing_target(session) as (store, catalogue):
        verdict = current_verdict(store, catalogue, now=session.now, on_answer=lambda _probe, _answer: None)
        ask = verifying.Ask(trusted=verdict.trusted, read=share, quick=quick)
        _say_how(ask, console)
        patience = new_patience(session, new_pace(session), console)
        verified = verifying.verify(
            store,
            ask,
            patience=patience,
            concurrency=session.settings.concurrency,
            wanted=_wanted(item),
            written=_written_manifests(catalogue),
            on_progress=lambda done, of: _say_progress(done, of, console),
        )
    document = verify_document(store.url, verified)
    if json_document:
        console.document(document)
    for path, problem in verified.damaged[:MOST_SHOWN]:
        console.say(f"DAMAGED  {display(path)}: {problem}", style="bold red")
    for line in verify_lines(verified):
        console.say(line, style="bold")
    if verified.damaged:
        raise Damaged(
            f"{count_text(len(verified.damaged), 'damage was', 'damages were')} found in {display(store.url)}"
        )
    return document


def _share(*, read_data: bool, sample: str | None, quick: bool) -> float:
    """The share of the objects to read. Raises UsageError."""
    if quick + read_data + (sample is not None) > 1:
        raise UsageError("verify reads everything (--read-data), a part (--sample), or nothing (--quick): choose one")
    if sample is None:
        return 1.0 if read_data else 0.0
    try:
        share = float(sample.strip().removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample is {sample!r}, but must be a share, e.g. 5%")
    return share


def _wanted(item: str | None) -> Any:
    if not item:
        return lambda _key: True
    segment = f"/{key_segment(item)}~"
    return lambda key: segment in key


def _written_manifests(catalogue: Catalogue) -> Callable[[str], str]:
    """Digest of a manifest that this device wrote and proved, by its key."""
    receipts = {
        known.archive.manifest: known.receipt.manifest_sha256 for known in catalogue.archives() if known.receipt
    }
    return lambda key: receipts.get(key, "")


def _say_how(ask: verifying.Ask, console: Console) -> None:
    if ask.quick:
        return
    if not ask.trusted and not ask.read:
        console.say(
            "this target's own checksums are no proof: every object is read (--sample 5% reads less, --quick nothing)",
            style="dim",
        )


def _say_progress(done: int, of: int, console: Console) -> None:
    if done % 100 == 0:
        console.say(f"verified {done:,} of {of:,} archives", style="dim")


def verify_document(target: str, verified: verifying.Verified) -> Document:
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
        "damaged": [{"path": path, "problem": problem} for path, problem in verified.damaged],
        "orphans": [
            {"attempt": attempt, "objects": number, "bytes": size}
            for attempt, (number, size) in sorted(verified.orphans.items())
        ],
    }


def verify_lines(verified: verifying.Verified) -> list[str]:
    """What was found, in sentences."""
    how = [f"{size_text(verified.read)} read"] if verified.read else []
    how += [f"{verified.trusted:,} by the target's checksums"] if verified.trusted else []
    how += [f"{verified.unread:,} by presence and size only"] if verified.unread else []
    how += [f"{verified.frozen:,} in a cold class, not read"] if verified.frozen else []
    found = f"{len(verified.damaged):,} DAMAGED" if verified.damaged else "all is well"
    amount = f"{count_text(verified.archives, 'archive')}, {count_text(verified.objects, 'object')}"
    lines = [f"{amount}, {count_text(verified.files, 'file')}: {found}{' (' + ', '.join(how) + ')' if how else ''}"]
    if verified.orphans:
        objects = sum(number for number, _ in verified.orphans.values())
        size = sum(size for _, size in verified.orphans.values())
        lines.append(
            f"{count_text(objects, 'object')} ({size_text(size)}) of runs that did not finish: the next run goes on "
            "with them, or prune --orphans removes them"
        )
    return lines


# -- catalogue ----------------------------------------------------------------------------------------


def catalogue(c: Any, flags: Mapping[str, Any], *, rebuild: bool, json_document: bool) -> Document:
    """Bring the catalogue in step with the target, or build it anew from it."""
    console = Console(json_document=json_document)
    session = session_of(c, flags)

    def tell(aside: str) -> None:
        console.warn(f"the catalogue was damaged; what was left of it is {display(aside)} now")

    with existing_target(session, on_damaged=tell if rebuild else None) as (store, opened):
        if rebuild:
            opened.forget_entries(now=session.now)
        patience = new_patience(session, new_pace(session), console)
        synced = bring_in_step(session, store, opened, patience, console)
        archives = opened.archives()
    document = catalogue_document(store.url, archives, synced)
    if json_document:
        console.document(document)
    else:
        console.say(catalogue_summary(document), style="bold")
    if synced.unreadable:
        raise PartlyFailed(f"{count_text(len(synced.unreadable), 'manifest')} could not be read, see above; run verify")
    return document


# -- prune --------------------------------------------------------------------------------------------


def prune(
    c: Any, flags: Mapping[str, Any], *, orphans: bool, grace: str | None, yes: bool, dry_run: bool, json_document: bool
) -> Document:
    """Remove what no manifest speaks of."""
    console = Console(json_document=json_document)
    if not orphans:
        raise UsageError("prune removes objects of runs that did not finish: say --orphans")
    days = timedelta(days=_days(grace))
    pruning.check_grace(days)
    session = session_of(c, flags)
    with existing_target(session) as (store, catalogue), one_run_at_a_time(catalogue.path):
        patience = new_patience(session, new_pace(session), console)
        listed = pruning.list_data(store, patience)
        synced = bring_in_step(session, store, catalogue, patience, console)
        if synced.unreadable:
            raise Damaged(
                "a manifest cannot be read, so nobody knows what is an orphan; nothing was removed: run verify"
            )
        found = pruning.find_orphans(listed, catalogue)
        old = [one for one in found if one.is_old(now=session.now, grace=days)]
        _show_orphans(found, old, days, console)
        if old and not dry_run:
            _ask_to_remove(old, console, yes=yes)
            pruning.remove(old, store, catalogue, patience=patience, now=session.now)
            console.say(f"removed {_amount(old)}", style="bold")
    document = _prune_document(store.url, found, old, dry_run=dry_run)
    if json_document:
        console.document(document)
    return document


def _days(grace: str | None) -> int:
    try:
        return int(grace) if grace is not None else 14
    except ValueError:
        raise UsageError(f"--grace is {grace!r}, but must be a number of days") from None


def _amount(orphans: list[pruning.Orphan]) -> str:
    objects = sum(len(one.objects) for one in orphans)
    return f"{count_text(objects, 'object')} ({size_text(sum(one.bytes for one in orphans))})"


def _show_orphans(found: list[pruning.Orphan], old: list[pruning.Orphan], grace: timedelta, console: Console) -> None:
    for one in old[:MOST_SHOWN]:
        console.say(f"orphan   {display(one.attempt)} ({_amount([one])})")
    young = len(found) - len(old)
    waits = f"; {count_text(young, 'attempt')} younger than {grace.days} days stay" if young else ""
    console.say(f"{count_text(len(old), 'attempt')} that no manifest speaks of{waits}", style="bold")


def _ask_to_remove(old: list[pruning.Orphan], console: Console, *, yes: bool) -> None:
    if yes:
        return
    if not console.can_ask:
        raise UsageError("prune asks before it removes, and there is no terminal to ask on: add --yes")
    if not console.ask(f"Remove {_amount(old)} for good?", default=False):
        raise Interrupted("nothing was removed")


def _prune_document(target: str, found: list[pruning.Orphan], old: list[pruning.Orphan], *, dry_run: bool) -> Document:
    def listed(orphans: list[pruning.Orphan]) -> list[Document]:
        return [{"attempt": one.attempt, "objects": len(one.objects), "bytes": one.bytes} for one in orphans]

    young = [one for one in found if one not in old]
    return {
        "target": target,
        "dry_run": dry_run,
        "removed" if not dry_run else "would_remove": listed(old),
        "young": listed(young),
    }


def catalogue_document(target: str, archives: Sequence[Known], synced: Synced) -> Document:
    """The document of `catalogue`."""
    return {
        "target": target,
        "archives": len(archives),
        "files": sum(known.archive.files for known in archives),
        "bytes": sum(known.archive.bytes for known in archives),
        "new": len(synced.new),
        "gone": synced.gone,
        "unreadable": [{"manifest": key, "reason": reason} for key, reason in synced.unreadable],
    }


def catalogue_summary(document: Document) -> str:
    """One sentence about the catalogue."""
    amount = f"{count_text(document['files'], 'file')}, {size_text(document['bytes'])}"
    gone = f", {document['gone']:,} gone" if document["gone"] else ""
    return f"{count_text(document['archives'], 'archive')} ({amount}): {document['new']:,} new{gone}"
