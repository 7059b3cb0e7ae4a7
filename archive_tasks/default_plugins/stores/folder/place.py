"""The place of a folder target: its top folder, seen to be the same all the time, and what is written below it.

The store and its uploads share one `FolderPlace`.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Sequence

from archive_tasks.default_plugins.stores.folder.errors import refused
from archive_tasks.default_plugins.stores.folder.folders import INCOMING, Rights, made, opened, rights_below
from archive_tasks.default_plugins.stores.folder.incoming import make_incoming, sweep
from archive_tasks.errors import ArchiveTasksError, StoreUnusable
from archive_tasks.names import display

_OLD_INCOMING = ".incoming"
"""Its name in the first versions; it may be the user's own, so it is neither used nor hidden."""
_KEY = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")


class FolderPlace:
    """The top folder of a target, at the absolute `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._swept = False
        self._identity: tuple[int, int] | None = None

    def exists(self) -> bool:
        found = self._found()
        self._identity = self._identity or _identity_of(found)
        return found is not None

    def never_was(self) -> bool:
        """There never was a target, as far as this run knows."""
        return self._identity is None and self._found() is None

    def check_still_here(self) -> os.stat_result:
        """The folder's stat. Raises StoreUnusable when it is not the one that the store was opened with.

        A mount point of fstab's or autofs' stays when its disk goes away, as an empty folder on another disk.
        """
        now = self._found()
        if now is None or self._identity not in {None, _identity_of(now)}:
            raise StoreUnusable(f"the target {display(self.path)} is gone: is its disk still mounted?")
        return now

    def _found(self) -> os.stat_result | None:
        """None when the folder does not exist."""
        try:
            facts = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.refused(error, "looking at") from error
        if not stat.S_ISDIR(facts.st_mode):
            raise StoreUnusable(f"the target {display(self.path)} is a file, not a folder; name a folder")
        return facts

    def create(self) -> None:
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self.refused(error, "creating") from error
        self._identity = _identity_of(self._found())

    def path_of_object(self, key: str) -> str:
        """Path of an object. Raises ValueError for what is not a key."""
        segments = key.split("/")
        is_ours = segments[0].startswith(INCOMING) or segments[0] == _OLD_INCOMING
        if not _KEY.fullmatch(key) or any(segment.strip(".") == "" for segment in segments) or is_ours:
            raise ValueError(f"{key!r} is not a key")
        return os.path.join(self.path, *segments)

    def refused(self, error: OSError, doing: str, *, at: str | None = None) -> ArchiveTasksError:
        """What an OSError at the target means for the run. `at` is a path in it, where one is known."""
        return refused(error, doing, self.path, at=at)

    def incoming(self) -> tuple[str, Rights]:
        """The folder in which objects are written before they appear, and the rights that they are to have."""
        rights = rights_below(self.check_still_here())
        path = os.path.join(self.path, INCOMING)
        make_incoming(path, rights)
        return path, rights

    def sweep_once(self, incoming: str, fresh: int) -> None:
        """Remove leftovers of dead runs, at the first object of a run; `fresh` is its handle."""
        if not self._swept:
            self._swept = True
            sweep(incoming, os.fstat(fresh))

    def folder_for(self, key: str, rights: Rights) -> contextlib.AbstractContextManager[int]:
        """The folder that an object is put into, made where it is missing, as a handle."""
        return made(self._top(), key.split("/")[:-1], path=self.path, rights=rights)

    def folder_of(self, segments: Sequence[str]) -> contextlib.AbstractContextManager[int]:
        """A folder below, which is there, as a handle. Raises as `folders.opened` does."""
        return opened(self._top(), segments, path=self.path)

    def _top(self) -> int:
        """The top folder as a handle. Raises StoreUnusable when it is not the one that the store was opened with."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._identity not in {None, _identity_of(os.fstat(handle))}:
            os.close(handle)
            raise StoreUnusable(f"the target {display(self.path)} is gone: is its disk still mounted?")
        return handle


def _identity_of(facts: os.stat_result | None) -> tuple[int, int] | None:
    return (facts.st_dev, facts.st_ino) if facts else None
