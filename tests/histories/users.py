"""What the user of a root does between and during runs: each deed at once, at one point."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from tests.histories.model import Broken, Model, Step
from tests.histories.turns import current_actor, current_turns, quietly
from tests.histories.world import SET_ASIDE, OpenFile, Place, World, remove


class UserAt:
    """Somebody at work in one root."""

    def __init__(self, place: Place, world: World, model: Model, places: list[Place], step: Step) -> None:
        self._place = place
        self._world = world
        self._model = model
        self._places = places
        self._step = step

    def do(self, ops: list[list[Any]]) -> None:
        actor = current_actor()
        assert actor is not None
        for op in ops:
            current_turns().point(actor, "disk", f"does {op}")
            with quietly():
                self._world.pass_time(seconds=1)
                getattr(self, f"_{op[0]}")(*op[1:])

    @property
    def _root(self) -> Path:
        return self._world.on_disk(self._place)

    def _changed(self, *items: str) -> None:
        for item in items:
            self._model.user_changed(self._place, item, self._step)

    def _is_gone(self, item: str) -> bool:
        """Not at home: perhaps a run holds it just now."""
        if (self._root / item).exists():
            return False
        self._model.user_saw_it_gone(self._place, item, self._step)
        return True

    def _write(self, item: str, file: str) -> None:
        path = self._root / item / file if file else self._root / item
        self._is_gone(item)
        if (self._root / item).exists() and (self._root / item).is_dir() != bool(file):
            return
        self._world.write(path, self._world.new_contents())
        self._changed(item)

    def _sneak(self, item: str, file: str) -> None:
        """As many bytes, and the old time put back."""
        path = self._root / item / file if file else self._root / item
        if self._is_gone(item) or not path.is_file():
            return
        facts = path.stat()
        self._world.write(path, self._world.new_contents(facts.st_size), mtime_ns=facts.st_mtime_ns)
        self._changed(item)

    def _open(self, item: str, file: str) -> None:
        """To be written through a mapping: the first write moves the ctime, those after it do not."""
        path = self._root / item / file if file else self._root / item
        if not self._is_gone(item) and path.is_file():
            handle = path.open("r+b", buffering=0)
            inode = os.fstat(handle.fileno()).st_ino
            self._world.filesystem.open.append(OpenFile(self._place, item, file, handle, inode))

    def _scribble(self) -> None:
        for one in [one for one in self._world.filesystem.open if one.place is self._place]:
            fd = one.file.fileno()
            before = os.fstat(fd)
            if not before.st_nlink:
                raise Broken("removed while open", f"{one.item}/{one.below} of {self._place.path}")
            contents = self._world.new_contents(before.st_size)
            os.pwrite(fd, contents, 0)
            if one.is_dirty:
                self._world.filesystem.hide(fd, before)
            else:
                os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
                self._world.filesystem.note(os.fstat(fd))
            one.is_dirty = True
            self._model.user_wrote(self._place, one.item, one.below, (contents, before.st_mtime_ns), self._step)

    def _reach(self, item: str, file: str) -> None:
        """As many bytes, and the old time, by a program that is in the item's folder, wherever that lies by now."""
        slots = sorted((self._root / SET_ASIDE).glob(f"*/item/{item}"))
        path = (slots[0] if slots else self._root / item) / file
        if not path.is_file():
            return
        facts = path.stat()
        contents = self._world.new_contents(facts.st_size)
        self._world.write(path, contents, mtime_ns=facts.st_mtime_ns)
        self._model.user_wrote(self._place, item, file, (contents, facts.st_mtime_ns), self._step)

    def _close(self) -> None:
        self._world.filesystem.close(self._place)

    def _rename(self, item: str) -> None:
        self._world.filesystem.close(self._place, item)
        other = item[:-1] if item.endswith("2") else f"{item}2"
        if not self._is_gone(item) and not (self._root / other).exists():
            self._is_gone(other)
            (self._root / item).rename(self._root / other)
            self._changed(item, other)

    def _revert(self, item: str, pick: int) -> None:
        """An old version is put back, with its times."""
        self._world.filesystem.close(self._place, item)
        known = self._model.versions.get((self._place.number, item), [])
        if not known:
            return
        self._is_gone(item)
        remove(self._root / item)
        self._world.write_tree(self._root / item, known[pick % len(known)])
        self._changed(item)

    def _delete(self, item: str, file: str | None) -> None:
        if self._is_gone(item):
            return
        self._world.filesystem.close(self._place, item)
        path = self._root / item / file if file else self._root / item
        remove(path)
        if (self._root / item).is_dir() and not any((self._root / item).iterdir()):
            remove(self._root / item)
        self._changed(item)

    def _copy(self, item: str, place: int) -> None:
        """To another root, with its times."""
        other = self._places[place]
        target = self._world.on_disk(other) / item
        if self._is_gone(item) or target.exists():
            return
        if not target.exists():
            self._model.user_saw_it_gone(other, item, self._step)
        source = self._root / item
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
        self._model.user_changed(other, item, self._step)
