"""Plan -> local copies freed: one item after the other through the gate, until too many of them fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archive_tasks.clean.disposal import Disposal, dispose
from archive_tasks.clean.gate import Gate
from archive_tasks.clean.plan import Candidate, Cleaning
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.errors import ArchiveTasksError, ItemError, NotCleaned
from archive_tasks.model import Failure
from archive_tasks.names import display
from archive_tasks.settings import CleanSettings

_log = logging.getLogger("archive_tasks")
_FEWEST_FAILURES = 3
"""Below that, a share of failures means nothing."""


@dataclass(slots=True)
class Cleaned:
    """What a run did.

    Attributes:
        freed: items whose space was freed, or that were set aside, with their states.
        purged: items of earlier runs that were purged.
        kept: items that stay, and why.
        failed: items that should have gone, and what went wrong.
        stopped: why the run stopped early; empty when it did not.
        untried: how many items it did not reach then.
    """

    freed: list[State] = field(default_factory=list)
    purged: list[State] = field(default_factory=list)
    kept: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stopped: str = ""
    untried: int = 0


def clean(
    cleaning: Cleaning,
    gate: Gate,
    disposal: Disposal,
    *,
    limits: CleanSettings,
    tell: Callable[[str, State | Failure], None] = lambda _what, _of: None,
) -> Cleaned:
    """Carry it out, one item after the other.

    Args:
        tell: called for each step: `purged`, `freed`, `kept`, `failed`.

    Raises:
        StoreUnusable: the target can no longer be used.
    """
    return _CleanRun(gate, disposal, limits, tell, Cleaned(kept=list(cleaning.kept))).carry_out(cleaning)


class _CleanRun:
    def __init__(
        self,
        gate: Gate,
        disposal: Disposal,
        limits: CleanSettings,
        tell: Callable[[str, State | Failure], None],
        cleaned: Cleaned,
    ) -> None:
        self._gate = gate
        self._disposal = disposal
        self._limits = limits
        self._tell = tell
        self._cleaned = cleaned

    def carry_out(self, cleaning: Cleaning) -> Cleaned:
        for slot in cleaning.due:
            self._try(state_of(slot).item, lambda slot=slot: self._finish(slot))  # type: ignore[misc]
        for number, candidate in enumerate(cleaning.candidates):
            if self._fails_too_often(number):
                self._leave_untried(cleaning.candidates[number:])
                break
            self._try(candidate.item, lambda one=candidate: self._free(one))  # type: ignore[misc]
        return self._cleaned

    def _leave_untried(self, rest: Sequence[Candidate]) -> None:
        self._cleaned.untried = len(rest)
        self._cleaned.kept += [Failure(one.item, "not tried: the run stopped before it") for one in rest]

    def _free(self, candidate: Candidate) -> None:
        mode = self._limits.mode
        proof = self._gate.set_aside(candidate.decision.item, candidate.known, mode=mode, to=self._disposal.to)
        if mode != "quarantine":
            dispose(proof, self._gate, self._disposal)
        self._disposal.leave_stub(state_of(proof.slot), candidate.known)
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
            dispose(proof, self._gate, self._disposal)
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
        except Exception as error:  # noqa: BLE001 - one item's failure must not stop the others
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
