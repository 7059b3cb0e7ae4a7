"""How a proven item leaves its slot: purged, into the desktop's trash, or to another folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.clean.gate import Gate
from archive_tasks.clean.proof import Proof
from archive_tasks.clean.quarantine import FULL, Quarantine, refusal
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.disk.open_flags import FOLDER, FOLDER_THROUGH_LINKS
from archive_tasks.disk.rename import rename_to_free_name
from archive_tasks.errors import ItemError, ItemUnreadable, NotCleaned, NotProven
from archive_tasks.items.difference import first_difference
from archive_tasks.items.survey import list_entries
from archive_tasks.model import Item
from archive_tasks.names import display


@dataclass(frozen=True, slots=True, kw_only=True)
class Disposal:
    """Where items go.

    Attributes:
        root: where they were.
        to: folder that `move` moves items to.
        trash: moves a path to the desktop's trash; raises OSError.
        leave_stub: writes what stays behind, where that is wanted.
        note: adds to the journal.
    """

    root: str
    quarantine: Quarantine
    to: str
    trash: Callable[[str], None]
    leave_stub: Callable[[State, KnownArchive], None]
    note: Callable[[str, Slot], None]


def dispose(proof: Proof, gate: Gate, disposal: Disposal) -> None:
    """Dispose of it as its state says.

    Raises:
        NotCleaned: it could not; it is at home again, or still aside, and the message says which.
        NotProven: the target no longer holds it; it stays aside.
    """
    mode = state_of(proof.slot).mode
    if mode == "trash":
        _to_trash(proof, disposal)
    elif mode == "move":
        _move(proof, gate, disposal)
    else:
        _purge(proof, gate, disposal)


def _purge(proof: Proof, gate: Gate, disposal: Disposal) -> None:
    try:
        gate.purge(proof)
    except NotProven:
        disposal.quarantine.put_back(proof.slot)  # nothing of it was touched yet
        raise


def _to_trash(proof: Proof, disposal: Disposal) -> None:
    """The trash remembers where things were, so the item is put back first."""
    slot, state = proof.slot, state_of(proof.slot)
    disposal.note("to the trash", slot)
    disposal.quarantine.put_back(slot)
    try:
        disposal.trash(os.path.join(disposal.root, state.item))
    except OSError as error:
        raise NotCleaned(f"it could not be moved to the trash, so it stays where it was: {refusal(error)}") from error
    disposal.note("in the trash", slot)


def _move(proof: Proof, gate: Gate, disposal: Disposal) -> None:
    slot, state = proof.slot, state_of(proof.slot)
    disposal.note("moving", slot)
    try:
        to_fd = os.open(state.to, FOLDER_THROUGH_LINKS)
    except OSError as error:
        raise _stays(disposal, slot, f"{display(state.to)} cannot be used: {refusal(error)}") from error
    try:
        _move_into(to_fd, proof, gate, disposal)
    except FileExistsError as error:
        raise _stays(disposal, slot, f"{display(os.path.join(state.to, state.item))} already exists") from error
    except shutil.Error as error:
        raise _not_copied(disposal, slot, error) from error
    except (OSError, ItemError) as error:
        what = refusal(error) if isinstance(error, OSError) else str(error)
        stays = _stays(disposal, slot, f"it could not be moved to {display(state.to)}: {what}")
        raise _failed(stays, error) from error
    finally:
        os.close(to_fd)
    disposal.note("moved", slot)


def _move_into(to_fd: int, proof: Proof, gate: Gate, disposal: Disposal) -> None:
    slot, state = proof.slot, state_of(proof.slot)
    with disposal.quarantine.item_folder(slot) as folder:
        same_disk = os.fstat(folder).st_dev == os.fstat(to_fd).st_dev
        if same_disk:
            rename_to_free_name(state.item, state.item, from_fd=folder, to_fd=to_fd)
            os.fsync(to_fd)
            os.fsync(folder)
    if same_disk:
        disposal.quarantine.close(slot)
    else:
        _copy(to_fd, proof, disposal, gate)


def _copy(to_fd: int, proof: Proof, disposal: Disposal, gate: Gate) -> None:
    """To another disk: copied beside, compared with the manifest, renamed; then the first copy is purged."""
    slot, state = proof.slot, state_of(proof.slot)
    place = os.path.join(state.to, f".{slot.name}.partial")
    _forget_copy(place)  # from a run that died
    if os.path.lexists(os.path.join(state.to, state.item)):
        _check_copied_before(proof, gate)
        gate.purge(proof)
        return
    os.mkdir(place, 0o700)
    try:
        _copy_tree(disposal.quarantine.path_of(slot), os.path.join(place, state.item))
        _check_copy(place, proof, gate)
        os.sync()
        beside_fd = os.open(place, FOLDER)
        try:
            rename_to_free_name(state.item, state.item, from_fd=beside_fd, to_fd=to_fd)
        finally:
            os.close(beside_fd)
        os.fsync(to_fd)
    finally:
        _forget_copy(place)
    gate.purge(proof)


def _check_copied_before(proof: Proof, gate: Gate) -> None:
    """A run that died may have copied it already. Raises FileExistsError for anything else with that name."""
    try:
        _check_copy(state_of(proof.slot).to, proof, gate)
    except ItemError as error:
        raise FileExistsError from error


def _copy_tree(source: str, copy: str) -> None:
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, copy, symlinks=True)
    else:
        shutil.copy2(source, copy, follow_symlinks=False)


def _check_copy(place: str, proof: Proof, gate: Gate) -> None:
    """Raises NotCleaned when the copy is not what was archived."""
    state = state_of(proof.slot)
    folder = os.open(place, FOLDER_THROUGH_LINKS)  # `place` can be where `move` moves things
    try:
        item = Item(name=state.item, root=place, kind=state.kind)
        rules = gate.compare.rules_for(place, proof.evidence)
        difference = first_difference(proof.evidence.manifest, list_entries(item, rules, folder), reading=True)
    finally:
        os.close(folder)
    if difference:
        raise NotCleaned(f"the copy is not the same: {difference}")


def _not_copied(disposal: Disposal, slot: Slot, error: shutil.Error) -> ItemError:
    """What `shutil.copytree` says of each file that it could not copy, as one sentence."""
    failures = error.args[0]
    path, reason = failures[0][0], str(failures[0][2]).lower()
    more = f", and {len(failures) - 1:,} more" if len(failures) > 1 else ""
    where = display(state_of(slot).to)
    what = f"{display(os.path.basename(path))} could not be copied to {where}: {display(reason)}{more}"
    return ItemUnreadable(str(_stays(disposal, slot, what)))


def _failed(stays: NotCleaned, error: Exception) -> ItemError:
    """A full disk is not a reason of the item's own: that it stays is a failure, which the exit code says."""
    is_full = isinstance(error, OSError) and error.errno in FULL
    return ItemUnreadable(str(stays)) if is_full else stays


def _forget_copy(place: str) -> None:
    """Our own unfinished copy."""
    if os.path.lexists(place):
        shutil.rmtree(place)


def _stays(disposal: Disposal, slot: Slot, why: str) -> NotCleaned:
    """Put it back, and say so."""
    try:
        if disposal.quarantine.holds(slot):
            disposal.quarantine.put_back(slot)
    except NotCleaned as error:
        return NotCleaned(f"{why}; {error}")
    return NotCleaned(f"{why}; it stays where it was")


def send_to_trash(path: str) -> None:
    """Move what is at a path to the desktop's trash. Raises OSError."""
    from send2trash import send2trash

    send2trash(path)
