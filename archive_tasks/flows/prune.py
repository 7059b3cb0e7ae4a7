"""What the task prune does: remove what nothing refers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from archive_tasks.amounts import count_text
from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import Interrupted, UsageError
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.using_target import existing_target, new_pace, new_patience, target_of
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.show.upkeep import orphans_text, prune_document, show_orphans
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.upkeep.prune import LEAST_GRACE, Found, Orphan, Pruner, check_grace

GRACE_DAYS = 14
MAX_SHARE = 10
_LONGEST_GRACE = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRequest:
    """What was asked for.

    Attributes:
        grace: an attempt whose newest object is younger stays.
        max_share: percentage of the target's objects, or of their bytes, that may go.
        all_devices: True takes attempts that other devices began too; otherwise each device removes its own.
    """

    grace: timedelta = timedelta(days=GRACE_DAYS)
    max_share: int = MAX_SHARE
    all_devices: bool = False
    yes: bool = False
    dry_run: bool = False


def options(
    *, orphans: bool, grace: str | None, max_share: str | None, yes: bool, dry_run: bool, all_devices: bool = False
) -> PruneRequest:
    """Raises UsageError for what cannot be meant."""
    if not orphans:
        raise UsageError("prune removes objects of runs that did not finish: add --orphans")
    number = _number(grace, "--grace", "days") if grace is not None else GRACE_DAYS
    if not 0 <= number <= _LONGEST_GRACE:
        raise UsageError(f"--grace must be a number of days from {LEAST_GRACE.days} to {_LONGEST_GRACE:,}")
    days = timedelta(days=number)
    check_grace(days)
    share = _number(max_share, "--max-share", "percent") if max_share is not None else MAX_SHARE
    if not 0 <= share <= 100:
        raise UsageError(f"--max-share is {share}, but must be a percentage from 0 to 100")
    return PruneRequest(grace=days, max_share=share, all_devices=all_devices, yes=yes, dry_run=dry_run)


def _number(text: str, flag: str, unit: str) -> int:
    try:
        return int(text.strip().removesuffix("%"))
    except ValueError:
        raise UsageError(f"{flag} is {text!r}, but must be a number of {unit}") from None


def prune(c: Any, flags: Mapping[str, Any], wanted: PruneRequest, *, json_document: bool) -> Document:
    """Remove what no manifest refers to."""
    console = Console(json_document=json_document)
    document = prune_target(session_of(c, flags), wanted, console)
    console.document(document)
    return document


def prune_target(session: Session, wanted: PruneRequest, console: Console) -> Document:
    """All of `prune` but the printing of its document."""
    with existing_target(session, target_of(session)) as (store, catalogue), one_run_at_a_time(catalogue.path):
        if store.dates_can_be_set:
            raise UsageError(
                f"objects in {display(store.url)} have dates set by whoever wrote them, so it is unknown how old they "
                "are: nothing is pruned there"
            )
        patience = new_patience(session, new_pace(session), console)
        pruner = Pruner(store, catalogue, patience, open_store=session.open_store)
        found = pruner.look()
        old = [orphan for orphan in found.orphans if orphan.is_old(now=found.now, grace=wanted.grace)]
        not_begun_here = _of_others(old, catalogue)
        others = [] if wanted.all_devices else not_begun_here
        old = [orphan for orphan in old if orphan not in others]
        show_orphans(found, old, others, wanted.grace, console)
        if not_begun_here and wanted.all_devices:
            console.warn(
                f"{count_text(len(not_begun_here), 'attempt')} of these were started by other devices. An archive of "
                "theirs whose manifest and its copy were both lost looks the same from here: run verify there first"
            )
        removed: list[Orphan] = []
        if old and not wanted.dry_run:
            _check_share(old, found, wanted.max_share)
            _ask_to_remove(old, console, yes=wanted.yes)
            pruner.remove(old, now=session.now, on_progress=removed.append)
            console.say(f"removed {orphans_text(removed)}", style="bold")
    return prune_document(store.url, found, old, others, dry_run=wanted.dry_run)


def _of_others(orphans: Sequence[Orphan], catalogue: Catalogue) -> list[Orphan]:
    """Those that this device did not begin. What another one may know of them, and of a lost manifest, is not seen."""
    begun = {details.get("prefix") for _, _, details in journal.notes(catalogue, "attempt")}
    return [orphan for orphan in orphans if orphan.attempt not in begun]


def _check_share(old: Sequence[Orphan], found: Found, max_share: int) -> None:
    """Raises UsageError where so much would go that something else may be wrong."""
    objects = 100 * sum(len(orphan.objects) for orphan in old) / max(1, found.objects)
    size = 100 * sum(orphan.bytes for orphan in old) / max(1, found.bytes)
    share = max(objects, size)
    if share > max_share:
        raise UsageError(
            f"{orphans_text(old)} would go, which is {share:.0f} % of this target, and more than {max_share} %: "
            f"nothing was removed. If these runs are really abandoned, add --max-share {min(100, int(share) + 1)}"
        )


def _ask_to_remove(old: Sequence[Orphan], console: Console, *, yes: bool) -> None:
    if yes:
        return
    if not console.can_ask:
        raise UsageError("prune asks before it removes, and there is no terminal to ask on: add --yes")
    if not console.ask(f"Remove {orphans_text(old)} for good?", default=False):
        raise Interrupted("nothing was removed")
