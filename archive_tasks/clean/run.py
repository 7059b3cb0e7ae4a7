"""Plan -> local copies freed: which items may go, in which order, how many; then one by one through the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from archive_tasks.amounts import amount_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import Known
from archive_tasks.clean.disposal import Leaving, leave
from archive_tasks.clean.gate import Gate
from archive_tasks.clean.quarantine import Aside
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.errors import ArchiveTasksError, ItemError, NotCleaned
from archive_tasks.model import Decision, Failure, Plan, Source
from archive_tasks.names import display
from archive_tasks.settings import CleanSettings
from archive_tasks.target.already_there import newest_of

_log = logging.getLogger("archive_tasks")
_FEWEST_FAILURES = 3
"""Before that, a share of failures says nothing."""


class Candidate(NamedTuple):
    """An item whose archive is known; whether the target still holds it, the gate will see."""

    decision: Decision
    known: Known

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
        due: slots whose items are purged now: their grace is over, or they were cut off on their way.
        waiting: slots that stay set aside.
    """

    candidates: tuple[Candidate, ...] = ()
    kept: tuple[Failure, ...] = ()
    due: tuple[Slot, ...] = ()
    waiting: tuple[Slot, ...] = ()

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.candidates)


@dataclass(slots=True)
class Cleaned:
    """What a run did.

    Attributes:
        freed: items whose space was freed, or that were set aside, with their states.
        purged: items of earlier runs that were purged.
        kept: items that stay, and why.
        failed: items that should have gone, and what went wrong.
        stopped: why the run stopped early; empty when it did not.
        untried: how many items it did not come to then.
    """

    freed: list[State] = field(default_factory=list)
    purged: list[State] = field(default_factory=list)
    kept: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stopped: str = ""
    untried: int = 0


# -- first: what earlier runs left ------------------------------------------------------------------------


def recover(aside: Aside, note: Callable[[str, Slot], None]) -> list[Failure]:
    """Finish what a run that died has left behind: items that were not proven yet go home.

    Returns:
        Slots that need a person: (where, what is wrong).
    """
    problems: list[Failure] = []
    for slot in aside.slots():
        try:
            if _recovered(aside, slot):
                note("put back", slot)
        except (NotCleaned, OSError) as error:
            problems.append(Failure(aside.path_of(slot), str(error)))
    return problems


def _recovered(aside: Aside, slot: Slot) -> bool:
    """Tidy one slot. True when its item went home."""
    if slot.state is None:
        if not aside.is_unused(slot):
            raise NotCleaned("its state cannot be read: look what it is, and move it to where it belongs")
        aside.close(slot)
        return False
    held = aside.holds(slot)
    if not held or slot.state.stage == "moving":
        aside.put_back(slot)
        return held
    return False


# -- then: what may go ----------------------------------------------------------------------------------


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
    """Is it time to go on with what lies aside? What is not in quarantine was cut off on its way out."""
    if state.stage == "moving":
        return False
    return state.stage == "purging" or state.mode != "quarantine" or now - state.since >= timedelta(days=grace)


def _candidate(decision: Decision, newest: Known | None) -> Candidate | str:
    """The item's newest archive, if it has as many files and bytes; a sentence where there is none."""
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


# -- and go ---------------------------------------------------------------------------------------------


def clean(
    cleaning: Cleaning,
    gate: Gate,
    leaving: Leaving,
    *,
    limits: CleanSettings,
    tell: Callable[[str, State | Failure], None] = lambda _what, _of: None,
) -> Cleaned:
    """Carry it out, one item after the other.

    Args:
        tell: told of each step: `purged`, `freed`, `kept`, `failed`.

    Raises:
        StoreUnusable: the target cannot be used any more.
    """
    return _Run(gate, leaving, limits, tell, Cleaned(kept=list(cleaning.kept))).carry_out(cleaning)


class _Run:
    def __init__(
        self,
        gate: Gate,
        leaving: Leaving,
        limits: CleanSettings,
        tell: Callable[[str, State | Failure], None],
        cleaned: Cleaned,
    ) -> None:
        self._gate = gate
        self._leaving = leaving
        self._limits = limits
        self._tell = tell
        self._cleaned = cleaned

    def carry_out(self, cleaning: Cleaning) -> Cleaned:
        for slot in cleaning.due:
            self._try(state_of(slot).item, lambda slot=slot: self._finish(slot))  # type: ignore[misc]
        for number, candidate in enumerate(cleaning.candidates):
            if self._fails_too_often(number):
                rest = cleaning.candidates[number:]
                self._cleaned.untried = len(rest)
                self._cleaned.kept += [Failure(one.item, "not tried: the run stopped before it") for one in rest]
                break
            self._try(candidate.item, lambda one=candidate: self._free(one))  # type: ignore[misc]
        return self._cleaned

    def _free(self, candidate: Candidate) -> None:
        mode = self._limits.mode
        proof = self._gate.set_aside(candidate.decision.item, candidate.known, mode=mode, to=self._leaving.to)
        if mode != "quarantine":
            leave(proof, self._gate, self._leaving)
        self._leaving.leave_stub(state_of(proof.slot), candidate.known)
        self._cleaned.freed.append(state_of(proof.slot))
        self._tell("freed", state_of(proof.slot))

    def _finish(self, slot: Slot) -> None:
        state = state_of(slot)
        try:
            proof = self._gate.prove_again(slot)
        except NotCleaned as error:
            if state.stage == "purging":
                raise
            raise NotCleaned(f"{error}; it stays set aside, and undo puts it back") from error
        if state.mode in {"trash", "move"} and state.stage != "purging":
            leave(proof, self._gate, self._leaving)
        else:
            self._gate.purge(proof)
        self._cleaned.purged.append(state)
        self._tell("purged", state)

    def _try(self, item: str, step: Callable[[], None]) -> None:
        try:
            step()
        except NotCleaned as error:
            self._add("kept", self._cleaned.kept, Failure(item, str(error)))
        except (ItemError, OSError) as error:
            self._add("failed", self._cleaned.failed, Failure(item, str(error)))
        except ArchiveTasksError:  # of the target or the catalogue, and so of every item
            raise
        except Exception as error:  # noqa: BLE001 - nobody's fault may keep the other items at home
            _log.exception("unexpected error (a bug; please report it) at %s", display(item))
            what = f"unexpected error (a bug; please report it): {type(error).__name__}: {error}"
            self._add("failed", self._cleaned.failed, Failure(item, what))

    def _add(self, what: str, where: list[Failure], failure: Failure) -> None:
        where.append(failure)
        self._tell(what, failure)

    def _fails_too_often(self, tried: int) -> bool:
        failed = len(self._cleaned.failed)
        if failed < _FEWEST_FAILURES or failed * 100 <= self._limits.max_failures * tried:
            return False
        self._cleaned.stopped = (
            f"stopped: {failed} of {tried} items could not be proven or freed; run doctor and verify"
        )
        return True
