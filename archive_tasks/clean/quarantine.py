"""Where items are set aside: a hidden folder under the root, with a slot for each item.

```
<root>/.archive-set-aside/
  README.txt
  2026-06-01~thesis~4f0c2a91/   a slot
    state.json                  what is here and how far it has come; the truth about the slot
    item/thesis                 the item under its own name
```
An item is moved in and back by one rename that replaces nothing. Everything is reached by handles that follow no
link. A slot's state is on the disk before the step that it announces; so what a run that died has left behind follows
from the disk alone, and no catalogue is needed to put things back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from archive_tasks.clean.root_lock import HOLDER, forget_holder, lock_root
from archive_tasks.clean.slot import Slot, Stage, State, dumped, parsed, state_of
from archive_tasks.clean.small_files import leave_word, read_text, write_over, write_whole
from archive_tasks.disk.ctime_trial import CtimeTrial, try_ctime
from archive_tasks.disk.open_flags import FOLDER
from archive_tasks.disk.rename import rename_to_free_name
from archive_tasks.errors import NotCleaned
from archive_tasks.formats.layout import key_segment
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.names import display

_STATE = "state.json"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The system's errors for a full disk."""
_SLOT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}~.+~[0-9a-f]{8}", re.S)
"""What a slot is called."""
_ITEM = "item"
_README = "README.txt"
_OWN_FILES = frozenset(name + ending for name in (HOLDER, _README) for ending in ("", ".new"))
_README_TEXT = """\
archive_tasks set aside here what it has archived, before it is purged for good.
`invoke undo` puts things back where they were. By hand: move <slot>/item/<name> to where you want it.
"""


class Quarantine:
    """The folder of a root, locked for one run.

    Args:
        root_fd: handle of the root, which stays the caller's.

    Raises:
        UsageError: it is not a folder, or somebody else's.
        RootLocked: another run works on this root.
        OSError: it cannot be made.
    """

    def __init__(self, root: str, root_fd: int) -> None:
        self.path = os.path.join(root, SET_ASIDE)
        self._root_fd = root_fd
        self._fd = lock_root(root, root_fd)

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind where nothing is set aside."""
        try:
            self._tidy()
        finally:
            os.close(self._fd)

    def _tidy(self) -> None:
        forget_holder(self._fd)
        left = set(os.listdir(self._fd))
        if left <= _OWN_FILES:
            for name in left:
                os.unlink(name, dir_fd=self._fd)
            with contextlib.suppress(OSError):
                os.rmdir(SET_ASIDE, dir_fd=self._root_fd)

    @classmethod
    def glance(cls, root_fd: int) -> list[Slot]:
        """The slots of a root, without a lock and without making anything."""
        try:
            fd = os.open(SET_ASIDE, FOLDER, dir_fd=root_fd)
        except OSError:
            return []
        try:
            return _slots(fd)
        finally:
            os.close(fd)

    # -- slots --------------------------------------------------------------------------------------

    def slots(self) -> list[Slot]:
        """All slots, oldest first."""
        return _slots(self._fd)

    def try_ctime(self) -> CtimeTrial:
        """What the filesystem that the items are on does with a ctime."""
        return try_ctime(self._fd)

    def begin(self, state: State) -> Slot:
        """Make a slot for an item that is still at home."""
        leave_word(self._fd, _README, _README_TEXT)
        name = f"{state.since:%Y-%m-%d}~{key_segment(state.item)}~{secrets.token_hex(4)}"
        os.mkdir(name, 0o700, dir_fd=self._fd)
        with self._opened(name) as slot_fd:
            os.mkdir(_ITEM, 0o700, dir_fd=slot_fd)
            write_whole(slot_fd, _STATE, dumped(state))
        os.fsync(self._fd)
        return Slot(name, state)

    def advance(self, slot: Slot, stage: Stage, *, since: datetime | None = None) -> Slot:
        """Record how far the item has come, before the next step is taken."""
        state = dataclasses.replace(state_of(slot), stage=stage, since=since or state_of(slot).since)
        with self._opened(slot.name) as slot_fd:
            try:
                write_whole(slot_fd, _STATE, dumped(state))
            except OSError as error:
                if error.errno not in FULL:
                    raise
                write_over(slot_fd, _STATE, dumped(state))
        return Slot(slot.name, state)

    def take_in(self, slot: Slot) -> None:
        """Move the item from the root into its slot, by one rename. Raises OSError."""
        name = state_of(slot).item
        with self.item_folder(slot) as item_fd:
            rename_to_free_name(name, name, from_fd=self._root_fd, to_fd=item_fd)
            os.fsync(item_fd)
        os.fsync(self._root_fd)

    def put_back(self, slot: Slot) -> None:
        """Move the item back to where it was, and remove the slot. An item that is not in it stays where it is.

        Raises:
            NotCleaned: something else is there by now, or the system refused; the item stays in its slot.
        """
        try:
            if self.holds(slot):
                self._move_home(slot)
        except OSError as error:
            if self.holds(slot):
                what = "something else has its name now" if isinstance(error, FileExistsError) else refusal(error)
                raise NotCleaned(f"{what}, so it stays in {display(self.path_of(slot))}") from error
        self.close(slot)

    def _move_home(self, slot: Slot) -> None:
        name = state_of(slot).item
        with self.item_folder(slot) as item_fd:
            rename_to_free_name(name, name, from_fd=item_fd, to_fd=self._root_fd)
            os.fsync(self._root_fd)
            os.fsync(item_fd)

    def holds(self, slot: Slot) -> bool:
        """Is the item in its slot?"""
        try:
            with self.item_folder(slot) as item_fd:
                os.stat(state_of(slot).item, dir_fd=item_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def is_unused(self, slot: Slot) -> bool:
        """Is it as left by a run that died before it wrote a state? Anything else in it is somebody's."""
        if not _SLOT.fullmatch(slot.name):
            return False
        try:
            with self._opened(slot.name) as slot_fd:
                if not set(os.listdir(slot_fd)) <= {_ITEM, f"{_STATE}.new"}:
                    return False
            with self.item_folder(slot) as item_fd:
                return not os.listdir(item_fd)
        except FileNotFoundError:
            return True
        except NotADirectoryError:
            return False

    def close(self, slot: Slot) -> None:
        """Remove a slot whose item has left it. Raises OSError when something is in it."""
        with self._opened(slot.name) as slot_fd:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(_ITEM, dir_fd=slot_fd)
            for name in (_STATE, f"{_STATE}.new"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=slot_fd)
        os.rmdir(slot.name, dir_fd=self._fd)
        os.fsync(self._fd)

    def path_of(self, slot: Slot) -> str:
        """Where the item is, for people."""
        return os.path.join(self.path, slot.name, _ITEM, slot.state.item if slot.state else "")

    @contextmanager
    def item_folder(self, slot: Slot) -> Iterator[int]:
        """Handle of the folder that the item is in."""
        with self._opened(slot.name) as slot_fd:
            item_fd = os.open(_ITEM, FOLDER, dir_fd=slot_fd)
            try:
                yield item_fd
            finally:
                os.close(item_fd)

    def _opened(self, name: str) -> AbstractContextManager[int]:
        return _opened(name, self._fd)


def _slots(folder: int) -> list[Slot]:
    names = sorted(set(os.listdir(folder)) - _OWN_FILES)
    facts = {name: os.stat(name, dir_fd=folder, follow_symlinks=False) for name in names}
    return [_slot(name, folder) for name in names if stat.S_ISDIR(facts[name].st_mode)]


def _slot(name: str, folder: int) -> Slot:
    with _opened(name, folder) as slot_fd:
        return Slot(name, parsed(read_text(slot_fd, _STATE)))


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    fd = os.open(name, FOLDER, dir_fd=folder)
    try:
        yield fd
    finally:
        os.close(fd)


def refusal(error: OSError) -> str:
    """What an OSError says, as a part of a sentence."""
    return f"the system refused: {(error.strerror or str(error)).lower()}"
