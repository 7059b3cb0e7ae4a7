"""After a crash: what earlier runs left half done is finished, or brought home."""

from __future__ import annotations

from collections.abc import Callable

from archive_tasks.clean.quarantine import Aside
from archive_tasks.clean.slot import Slot
from archive_tasks.errors import NotCleaned
from archive_tasks.model import Failure


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
