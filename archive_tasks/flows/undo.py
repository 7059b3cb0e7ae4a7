"""What `undo` does, and what it shares with `clean`: the locked folder of what is set aside, and the journal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from archive_tasks.amounts import count_text
from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.clean import undo as undoing
from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.recover import recover
from archive_tasks.clean.slot import Slot, state_of
from archive_tasks.clean.stub import remove_stub
from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.errors import PartlyFailed, RootLocked, UsageError
from archive_tasks.flows.invocation import session_of
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.items.recently_restored import note_restored
from archive_tasks.items.root import root_path
from archive_tasks.model import Failure, nanoseconds
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show import clean as reporting
from archive_tasks.show.clean import nothing_text, say_undone
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document


def undo(c: Any, item: str | None, flags: Mapping[str, Any], *, everything: bool, json_document: bool) -> Document:
    """Put back what the last clean set aside."""
    console = Console(json_document=json_document)
    session = session_of(c, flags)
    root = root_path(session)
    undone = undo_root(root, session, item, console, everything=everything)
    document = reporting.undo_document(root, undone)
    console.document(document)
    if undone.failed:
        raise PartlyFailed(f"{count_text(len(undone.failed), 'item')} could not be put back, see above")
    if item and not undone.back:
        raise UsageError(nothing_text(root, item))
    return document


def undo_root(root: str, session: Session, item: str | None, console: Console, *, everything: bool) -> undoing.Undone:
    """All of `undo` but the printing of its document."""
    with locked_quarantine(root) as (root_fd, quarantine):
        unclear = _recover(quarantine, session, console)
        slots = undoing.choose(quarantine.slots(), item=(item or "").rstrip("/"), everything=everything)

        def done(slot: Slot) -> None:
            state = state_of(slot)
            _note_in_its_catalogue(session, slot)
            note_restored(session.data, undoing.home_of(quarantine, state), now_ns=nanoseconds(session.now))
            remove_stub(root_fd, state.item)
            console.say(f"back: {display(state.item)}")

        undone = undoing.undo(quarantine, slots, done=done)
    say_undone(undone, root, item, console)
    undone.failed += unclear
    return undone


def finish_what_died(root: str, session: Session, console: Console) -> None:
    """Bring home what a run of clean that died was about to set aside. Another run that is at work is left alone."""
    if not os.path.isdir(os.path.join(root, SET_ASIDE)):
        return
    try:
        with locked_quarantine(root) as (_, quarantine):
            _recover(quarantine, session, console)
    except (RootLocked, OSError):
        return


def _recover(quarantine: Quarantine, session: Session, console: Console) -> list[Failure]:
    """Finish what died. Returns slots that need a person, which were said."""
    unclear = recover(quarantine, lambda _what, slot: _note_in_its_catalogue(session, slot))
    say_unclear(unclear, console)
    return unclear


def say_unclear(unclear: Sequence[Failure], console: Console) -> None:
    """Slots that need a person."""
    for where, problem in unclear:
        console.warn(f"{display(where)}: {problem}")


@contextmanager
def locked_quarantine(root: str) -> Iterator[tuple[int, Quarantine]]:
    """Handle of the root, and what is set aside under it, for one run alone. Raises RootLocked, UsageError, OSError."""
    root_fd = os.open(root, FOLDER_THROUGH_LINKS)
    try:
        with Quarantine(root, root_fd) as quarantine:
            yield root_fd, quarantine
    finally:
        os.close(root_fd)


def noting(catalogue: Catalogue, session: Session) -> Callable[[str, Slot], None]:
    """What adds a step to the catalogue's journal."""

    def note(what: str, slot: Slot) -> None:
        state = slot.state
        about = {"item": state.item, "archive": state.archive_id, "manifest": state.manifest} if state else {}
        journal.note(catalogue, what, now=session.wall(), slot=slot.name, **about)

    return note


def _note_in_its_catalogue(session: Session, slot: Slot) -> None:
    path = catalogue_path(session.data, state_of(slot).target)
    if os.path.exists(path):
        with Catalogue(path) as catalogue:
            noting(catalogue, session)("put back by the user", slot)
