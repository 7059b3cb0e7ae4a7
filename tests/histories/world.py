"""Machines, their users' folders, and time. All of it lies in memory, and is gone when the history ends.

All machines have the same paths, as machines do. What is at `<base>/here` is the one whose turn it is: at each change
of machines two renames put the other's folders there. What a thread has open stays open.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from tests.histories.turns import quietly
from tests.support.moment import NOW

SET_ASIDE = ".archive-set-aside"
_SECOND = 10**9
_TICK = 2 * _SECOND
"""Of the coarsest clock of a filesystem, FAT's."""
Tree = dict[str, tuple[bytes, int]]
"""Contents and mtime of each file of an item, by its path below the item; that of an item that is a file is ""."""


@dataclass(eq=False)
class Place:
    """A root of a machine. `path` is below that machine's home of homes; a user may rename it.

    Attributes:
        was: the whole path that it had before.
    """

    number: int
    machine: int
    path: str
    was: str = ""


@dataclass(eq=False)
class Device:
    """An installation.

    Attributes:
        data: its folder of catalogues: on its machine, or one that several machines share.
        identity: goes up when all that tells who it is was lost.
        skew: how wrong its clock is.
        pin: what its settings say that it is; then it is that, whatever it loses.
    """

    name: str
    machine: int
    host: str
    data: str
    places: list[Place]
    pack_below: str
    world: World
    identity: int = 0
    skew: timedelta = timedelta(0)
    pin: str = ""

    @property
    def key(self) -> str:
        """Who it is, for the model."""
        return self.pin or f"{self.name}.{self.identity}"

    def now(self) -> datetime:
        return self.world.now + self.skew


class Filesystem:
    """What the disks of a world say of their files, whatever this machine's own say.

    Attributes:
        ctime: `fine`; `coarse`, which ticks every two seconds; `none`, where it is the mtime.
        inodes_stay: False where a file has another inode at each look.
    """

    def __init__(self, world: World, ctime: str = "fine", *, inodes_stay: bool = True) -> None:
        self.ctime = ctime
        self.inodes_stay = inodes_stay
        self._world = world
        self._written: dict[int, tuple[int, int]] = {}
        self._looks = 0
        self.open: list[OpenFile] = []
        self._met_open = False

    def now_ns(self) -> int:
        return self._ticked(int(self._world.now.timestamp()) * _SECOND)

    def shows(self, facts: os.stat_result) -> os.stat_result:
        """What a look at a file shows."""
        ctime_ns = facts.st_mtime_ns if self.ctime == "none" else self.note(facts)
        self._looks += 1
        inode = facts.st_ino if self.inodes_stay else 10**6 + self._looks
        ordered, named = facts.__reduce__()[1]
        named = {**named, "st_ctime": ctime_ns / _SECOND, "st_ctime_ns": ctime_ns}
        return os.stat_result((ordered[0], inode, *ordered[2:9], ctime_ns // _SECOND, *ordered[10:]), named)

    def note(self, facts: os.stat_result) -> int:
        """The ctime by the world's clock: of the first look since this machine's own moved."""
        known = self._written.get(facts.st_ino)
        if known is None or known[0] != facts.st_ctime_ns:
            known = self._written[facts.st_ino] = facts.st_ctime_ns, self.now_ns()
        return known[1]

    def hide(self, fd: int, before: os.stat_result) -> None:
        """What was just written to a file leaves no sign: its times are what they were."""
        shown = self.note(before)
        os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        self._written[before.st_ino] = os.fstat(fd).st_ctime_ns, shown

    def is_open(self, inode: int) -> bool:
        """Has a user the file open for writing?"""
        found = any(one.inode == inode for one in self.open)
        self._met_open |= found
        return found

    def has_met_open(self) -> bool:
        """Was anybody told so since this was asked last?"""
        found, self._met_open = self._met_open, False
        return found

    def close(self, place: Place | None = None, item: str | None = None) -> None:
        """All that is open, or that of a place, or of an item."""
        for one in [one for one in self.open if place in (None, one.place) and item in (None, one.item)]:
            one.file.close()
            self.open.remove(one)

    def _ticked(self, time_ns: int) -> int:
        return time_ns - time_ns % _TICK if self.ctime == "coarse" else time_ns


@dataclass(eq=False)
class OpenFile:
    """A file that a user keeps open, and writes to without a sign: as through a mapping."""

    place: Place
    item: str
    below: str
    file: BinaryIO
    inode: int
    is_dirty: bool = False


class World:
    """The machines of one history, below `base`."""

    def __init__(self, base: Path, machines: int) -> None:
        self.base = base
        self.now = NOW
        self.here = base / "here"
        self._mounted = 0
        self._written = 0
        self.filesystem = Filesystem(self)
        for number in range(machines):
            self._parked(number).mkdir(parents=True)
        self._parked(0).rename(self.here)

    # -- machines -----------------------------------------------------------------------------------

    def mount(self, machine: int) -> None:
        """Show the folders of that machine."""
        if machine != self._mounted:
            with quietly():
                os.rename(self.here, self._parked(self._mounted))
                os.rename(self._parked(machine), self.here)
            self._mounted = machine

    def disk(self, machine: int) -> Path:
        """Where the folders of a machine are now."""
        return self.here if machine == self._mounted else self._parked(machine)

    def on_disk(self, place: Place) -> Path:
        return self.disk(place.machine) / place.path

    def seen(self, place: Place) -> str:
        """The root as the user of that machine writes it."""
        return str(self.here / place.path)

    def _parked(self, machine: int) -> Path:
        return self.base / f"machine{machine}"

    # -- time ---------------------------------------------------------------------------------------

    def pass_time(self, *, days: float = 0, seconds: float = 0) -> None:
        self.now += timedelta(days=days, seconds=seconds)

    # -- what a user does ---------------------------------------------------------------------------

    def new_contents(self, size: int = 0) -> bytes:
        """Bytes that nobody had before, as many as are wanted."""
        self._written += 1
        text = f"<{self._written}>"
        return text.ljust(size or 8 + self._written % 3, ".").encode()

    def write(self, path: Path, contents: bytes, *, mtime_ns: int = 0) -> int:
        """As programs do; with the old time, for one that puts it back. Returns the mtime."""
        before = path.stat().st_ctime_ns if path.exists() else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        mtime_ns = mtime_ns or int(self.now.timestamp()) * 1_000_000_000
        os.utime(path, ns=(mtime_ns, mtime_ns))
        while path.stat().st_ctime_ns == before:  # kernels move it in steps of milliseconds
            os.utime(path, ns=(mtime_ns, mtime_ns))
        self.filesystem.note(path.stat())
        return mtime_ns

    def date_folder(self, item: Path) -> None:
        """A folder's time is the world's: what is packed must not depend on this machine's clock."""
        if item.is_dir():
            now = int(self.now.timestamp()) * 1_000_000_000
            os.utime(item, ns=(now, now))

    def write_tree(self, path: Path, tree: Tree) -> None:
        for below, (contents, mtime_ns) in tree.items():
            self.write(path / below if below else path, contents, mtime_ns=mtime_ns)


def read_item(path: Path) -> Tree:
    """An item as it is now."""
    if not path.is_dir():
        return {"": (path.read_bytes(), path.stat().st_mtime_ns)}
    found: Tree = {}
    for base, _, names in os.walk(path):
        for name in names:
            file = Path(base, name)
            found[str(file.relative_to(path))] = (file.read_bytes(), file.stat().st_mtime_ns)
    return found


def read_items(folder: Path) -> dict[str, Tree]:
    """All items of a folder but what is set aside."""
    if not folder.is_dir():
        return {}
    return {name: read_item(folder / name) for name in sorted(os.listdir(folder)) if name != SET_ASIDE}


def read_aside(root: Path) -> list[tuple[str, Tree]]:
    """What is set aside in a root: (item, what is left of it)."""
    slots = root / SET_ASIDE
    if not slots.is_dir():
        return []
    folders = [slots / name / "item" for name in sorted(os.listdir(slots))]
    return [(item, tree) for folder in folders if folder.is_dir() for item, tree in read_items(folder).items()]


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


@contextmanager
def world_in(folder: Path, machines: int) -> Iterator[World]:
    """A world, and nothing left of it."""
    folder.mkdir()
    try:
        world = World(folder, machines)
        yield world
        world.filesystem.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
