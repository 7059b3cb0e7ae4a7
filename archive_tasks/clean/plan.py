"""Plan -> what may go: which items, in which order, how many. Nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from archive_tasks.amounts import amount_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.model import Decision, Failure, Plan, Source
from archive_tasks.settings import CleanSettings
from archive_tasks.target.already_there import newest_of


def bytes_lacking(root: str, wanted: int | None) -> int | None:
    """How much more must become free."""
    if wanted is None:
        return None
    disk = os.statvfs(root)
    return max(0, wanted - disk.f_bavail * disk.f_frsize)


class Candidate(NamedTuple):
    """An item whose archive is known; whether the target still holds it, the gate will check."""

    decision: Decision
    known: KnownArchive

    @property
    def item(self) -> str:
        return self.decision.item.name

    @property
    def bytes(self) -> int:
        return self.known.archive.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What a run would do.

    Attributes:
        candidates: items to free, the longest idle first.
        kept: items that stay, and why.
        due: slots whose items are purged now: their grace is over, or they were interrupted on their way.
        waiting: slots that stay set aside.
    """

    candidates: tuple[Candidate, ...] = ()
    kept: tuple[Failure, ...] = ()
    due: tuple[Slot, ...] = ()
    waiting: tuple[Slot, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.candidates)


def plan_cleaning(
    plan: Plan,
    catalogue: Catalogue,
    slots: Iterable[Slot],
    *,
    device: str,
    limits: CleanSettings,
    free: int | None,
    now: datetime,
) -> Cleaning:
    """Choose, change nothing.

    Args:
        device: id of this device: an item is freed only by the newest archive that it made from this root.
        free: bytes that the disk lacks; None frees all that may go.
    """
    source = Source(device, "", plan.root)
    kept = [Failure(one.item.name, one.reason) for one in plan.to_keep]
    candidates: list[Candidate] = []
    for decision in plan.to_archive:
        found = _candidate(decision, newest_of(catalogue, source, decision.item.name))
        candidates.append(found) if isinstance(found, Candidate) else kept.append(Failure(decision.item.name, found))
    candidates.sort(key=lambda one: one.decision.newest_ns or 0)
    chosen = _within(candidates, limits, free)
    kept += [Failure(one.item, _beyond(limits, free)) for one in candidates[len(chosen) :]]
    mine = [slot for slot in slots if slot.state and slot.state.target == catalogue.target]
    due = [slot for slot in mine if is_due(state_of(slot), grace=limits.grace, now=now)]
    return Cleaning(
        candidates=tuple(chosen),
        kept=tuple(kept),
        due=tuple(due),
        waiting=tuple(slot for slot in mine if slot not in due),
    )


def is_due(state: State, *, grace: int, now: datetime) -> bool:
    """Is it time to finish what is set aside? What is not in quarantine mode was interrupted on its way out."""
    if state.stage == "moving":
        return False
    return state.stage == "purging" or state.mode != "quarantine" or now - state.since >= timedelta(days=grace)


def _candidate(decision: Decision, newest: KnownArchive | None) -> Candidate | str:
    """The item's newest archive, if it has as many files and bytes; else a sentence that says why not."""
    if newest is None:
        return "it is not archived yet, from this device and folder"
    archive = newest.archive
    if (archive.files, archive.bytes) == (decision.files, decision.bytes):
        return Candidate(decision, newest)
    files = decision.files or 0
    then, today = amount_text(archive.files, archive.bytes), amount_text(files, decision.bytes)
    left_out = ", or give the --exclude that it was archived with" if archive.files < files else ""
    return f"archived on {archive.created:%Y-%m-%d} with {then}, and has {today} now: archive it again{left_out}"


def _within(candidates: list[Candidate], limits: CleanSettings, free: int | None) -> list[Candidate]:
    """As many of the first as the limits allow, or as are needed."""
    chosen: list[Candidate] = []
    size = 0
    for one in candidates:
        enough = free is not None and size >= free
        too_many = limits.max_items and len(chosen) >= limits.max_items
        if enough or too_many or (limits.max_bytes and size + one.bytes > limits.max_bytes):
            break
        chosen.append(one)
        size += one.bytes
    return chosen


def _beyond(limits: CleanSettings, free: int | None) -> str:
    what = "the disk has enough room without it" if free is not None else "the run's limit is reached without it"
    return f"{what}; longer idle items go first" if free is not None or limits.max_items or limits.max_bytes else what
