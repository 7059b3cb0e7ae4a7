"""Putting back what was set aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.errors import NotCleaned
from archive_tasks.model import Failure


@dataclass(slots=True)
class Undone:
    """What went back, and what did not."""

    back: list[State] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def choose(slots: Sequence[Slot], *, item: str, everything: bool) -> list[Slot]:
    """The slots of the last run that set something aside; or of one item; or all."""
    known = sorted((slot for slot in slots if slot.state), key=lambda slot: state_of(slot).since)
    if item:
        return [slot for slot in known if state_of(slot).item == item]
    if everything or not known:
        return known
    return [slot for slot in known if state_of(slot).run == state_of(known[-1]).run]


def undo(quarantine: Quarantine, slots: Sequence[Slot], *, done: Callable[[Slot], None]) -> Undone:
    """Put each back, the newest first: of two items with one name, the later one was there last.

    Args:
        done: called for each that is back.
    """
    undone = Undone()
    for slot in reversed(slots):
        state = state_of(slot)
        try:
            if state.stage == "purging":
                raise NotCleaned(
                    f"part of it is already purged: restore it; what is left is in {quarantine.path_of(slot)}"
                )
            quarantine.put_back(slot)
        except (NotCleaned, OSError) as error:
            undone.failed.append(Failure(state.item, str(error)))
            continue
        done(slot)
        undone.back.append(state)
    return undone


def home_of(quarantine: Quarantine, state: State) -> str:
    """Where an item was."""
    return os.path.join(os.path.dirname(quarantine.path), state.item)
