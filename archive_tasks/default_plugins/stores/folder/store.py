"""The store for `file:///folder`: a disk, a NAS, and the place archives go before a target is configured.

Every object is written beside its place, synced to the disk, and appears under its key by one hard link: whole,
or not at all, and never over another. It is open to whoever the target's top folder is open to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from archive_tasks.default_plugins.stores.folder.errors import path_of, refused
from archive_tasks.default_plugins.stores.folder.incoming import make_incoming, sweep
from archive_tasks.default_plugins.stores.folder.listing import listed
from archive_tasks.default_plugins.stores.folder.place import INCOMING, Rights, made, opened, rights_below
from archive_tasks.default_plugins.stores.folder.probes import folder_probes
from archive_tasks.default_plugins.stores.folder.upload import FolderUpload, check_digest
from archive_tasks.errors import ArchiveTasksError, ObjectMissing, ObjectUnreadable, StoreBusy, StoreUnusable
from archive_tasks.names import display
from archive_tasks.settings import Settings
from archive_tasks.store import ObjectInfo, Probe

_OLD_INCOMING = ".incoming"
"""Its name in the first versions; it may be the user's own, so it is neither used nor hidden."""
_KEY = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_CHUNK = 1024 * 1024
_OF_ONE_OBJECT = frozenset({errno.EIO, errno.EACCES, errno.EPERM})
"""A bad sector, or a file that its owner keeps from us, says nothing about the rest."""


class FolderStore:
    """A folder as a target. See `archive_tasks.store.Store` for what its methods promise.

    Args:
        url: `file:///absolute/path`, percent-encoded.

    Raises:
        UsageError: the URL names no absolute path on this machine.
    """

    dates_can_be_set = False
    storage_class = ""

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.path = path_of(url)
        self.identity = f"folder {self.path}"
        self.largest_put = settings.part_size
        self._swept = False
        self._place: tuple[int, int] | None = None

    def exists(self) -> bool:
        found = self._found()
        self._place = self._place or _place_of(found)
        return found is not None

    def check_still_here(self) -> os.stat_result:
        """The folder's stat. Raises StoreUnusable when it is not the one that the store was opened with.

        A mount point of fstab's or autofs' stays when its disk goes away, as an empty folder on another disk.
        """
        now = self._found()
        if now is None or self._place not in {None, _place_of(now)}:
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
        self._place = _place_of(self._found())

    def part_size(self, size: int) -> int:
        return self.largest_put

    def free_bytes(self) -> int | None:
        try:
            room = os.statvfs(self.path)
        except OSError as error:
            raise self.refused(error, "looking at") from error
        return room.f_bavail * room.f_frsize

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        check_digest(data, sha256)
        upload = FolderUpload(self, key, len(data))
        try:
            if data:
                upload.write(0, data)
            upload.complete(len(data))
        except StoreBusy as error:
            raise StoreBusy(str(error)) from error  # another `put` writes everything again
        finally:
            upload.abort()

    def upload(self, key: str, size: int, *, storage_class: str = "") -> FolderUpload:
        return FolderUpload(self, key, size)

    def is_cold(self, storage_class: str) -> bool:
        return False

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            with open(self.place(key), "rb", buffering=0, opener=_without_waiting) as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise ObjectMissing(f"{display(key)} in {display(self.path)} is not a file")
                wanted = facts.st_size - offset
                wanted = wanted if length is None else min(length, wanted)
                while wanted > 0:
                    chunk = os.pread(file.fileno(), min(_CHUNK, wanted), offset)
                    if not chunk:
                        raise StoreBusy(f"{display(key)} ended {wanted} bytes early in {display(self.path)}")
                    yield chunk
                    offset += len(chunk)
                    wanted -= len(chunk)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(f"there is no {display(key)} in {display(self.path)}") from None
        except OSError as error:
            if error.errno in _OF_ONE_OBJECT and os.access(self.path, os.R_OK | os.X_OK):
                reason = os.strerror(error.errno).lower()
                raise ObjectUnreadable(f"{display(key)} in {display(self.path)} cannot be read: {reason}") from error
            raise self.refused(error, "reading") from error

    def describe(self, key: str) -> ObjectInfo | None:
        try:
            facts = os.lstat(self.place(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.refused(error, "looking at") from error
        return _info(key, facts) if stat.S_ISREG(facts.st_mode) else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Links are not followed. One in the prefix's path, or below it, raises StoreUnusable: what is
        behind it must not be taken for missing. Without a prefix each is listed itself, so that none is overlooked.
        """
        if self._place is None and self._found() is None:
            return  # there never was a target, as far as this run knows
        self.check_still_here()
        try:
            for key, facts in listed(self.path, prefix):
                yield _info(key, facts)
        except OSError as error:
            raise self.refused(error, "listing", at=error.filename) from error
        self.check_still_here()

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        """Everything here can be read at once."""

    def delete(self, key: str) -> None:
        """Raises StoreUnusable where a link is on the way: what is behind it is not the target's."""
        path = self.place(key)
        *folders, name = key.split("/")
        try:
            with opened(self._top(), folders, path=self.path) as folder:
                os.unlink(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self.refused(error, "removing from", at=path) from error
        self._remove_empty(folders)

    def probes(self) -> Sequence[Probe]:
        return folder_probes(self, self.path)

    def place(self, key: str) -> str:
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

    def _top(self) -> int:
        """The top folder as a handle. Raises StoreUnusable when it is not the one that the store was opened with."""
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._place not in {None, _place_of(os.fstat(handle))}:
            os.close(handle)
            raise StoreUnusable(f"the target {display(self.path)} is gone: is its disk still mounted?")
        return handle

    def _remove_empty(self, folders: Sequence[str]) -> None:
        with contextlib.suppress(OSError, StoreUnusable):
            while folders:
                *folders, name = folders
                with opened(self._top(), folders, path=self.path) as folder:
                    os.rmdir(name, dir_fd=folder)


def _info(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, facts.st_size, modified=datetime.fromtimestamp(facts.st_mtime, UTC))


def _place_of(facts: os.stat_result | None) -> tuple[int, int] | None:
    return (facts.st_dev, facts.st_ino) if facts else None


def _without_waiting(path: str, flags: int) -> int:
    """A pipe with an object's name has nobody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)
