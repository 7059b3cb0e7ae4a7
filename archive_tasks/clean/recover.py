"""After a crash: what earlier runs left half done is finished or put back."""

from __future__ import annotations

from collections.abc import Callable

from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.slot import Slot
from archive_tasks.errors import NotCleaned
from archive_tasks.model import Failure


def recover(quarantine: Quarantine, note: Callable[[str, Slot], None]) -> list[Failure]:
    """Finish what a run that died has left behind: items that were not proven yet are put back.

    Returns:
        Slots that need a person: (where, what is wrong).
    """
    problems: list[Failure] = []
    for slot in quarantine.slots():
        try:
            if _recovered(quarantine, slot):
                note("put back", slot)
        except (NotCleaned, OSError) as error:
            problems.append(Failure(quarantine.path_of(slot), str(error)))
    return problems


def _recovered(quarantine: Quarantine, slot: Slot) -> bool:
    """Tidy one slot. True when its item was put back."""
    if slot.state is None:
        if not quarantine.is_unused(slot):
            raise NotCleaned("its state cannot be read: see what it is, and move it to where it belongs")
        quarantine.close(slot)
        return False
    held = quarantine.holds(slot)
    if not held or slot.state.stage == "moving":
        quarantine.put_back(slot)
        return held
    return False
