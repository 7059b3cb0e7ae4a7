"""The store for `file:///folder`: a disk, a NAS, and the place archives go before a target is configured.

Every object is written beside its place, synced to the disk, and appears under its key by one hard link: whole,
or not at all, and never over another. It is open to whoever the target's top folder is open to.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from archive_tasks.default_plugins.stores.folder.errors import path_of
from archive_tasks.default_plugins.stores.folder.listing import listed
from archive_tasks.default_plugins.stores.folder.place import FolderPlace
from archive_tasks.default_plugins.stores.folder.probes import folder_probes
from archive_tasks.default_plugins.stores.folder.upload import FolderUpload, check_digest
from archive_tasks.errors import ObjectMissing, ObjectUnreadable, StoreBusy, StoreUnusable
from archive_tasks.names import display
from archive_tasks.settings import Settings
from archive_tasks.store import ObjectInfo, Probe

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
        self._place = FolderPlace(self.path)

    def exists(self) -> bool:
        return self._place.exists()

    def create(self) -> None:
        self._place.create()

    def part_size(self, size: int) -> int:
        return self.largest_put

    def free_bytes(self) -> int | None:
        try:
            room = os.statvfs(self.path)
        except OSError as error:
            raise self._place.refused(error, "looking at") from error
        return room.f_bavail * room.f_frsize

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        check_digest(data, sha256)
        upload = FolderUpload(self._place, key, part_size=self.largest_put)
        try:
            if data:
                upload.write(0, data)
            upload.complete(len(data))
        except StoreBusy as error:
            raise StoreBusy(str(error)) from error  # another `put` writes everything again
        finally:
            upload.abort()

    def upload(self, key: str, size: int, *, storage_class: str = "") -> FolderUpload:
        return FolderUpload(self._place, key, part_size=self.largest_put)

    def is_cold(self, storage_class: str) -> bool:
        return False

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            with open(self._place.path_of_object(key), "rb", buffering=0, opener=_without_waiting) as file:
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
            raise self._place.refused(error, "reading") from error

    def describe(self, key: str) -> ObjectInfo | None:
        try:
            facts = os.lstat(self._place.path_of_object(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._place.refused(error, "looking at") from error
        return _info(key, facts) if stat.S_ISREG(facts.st_mode) else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Links are not followed. One in the prefix's path, or below it, raises StoreUnusable: what is
        behind it must not be taken for missing. Without a prefix each is listed itself, so that none is overlooked.
        """
        if self._place.never_was():
            return
        self._place.check_still_here()
        try:
            for key, facts in listed(self.path, prefix):
                yield _info(key, facts)
        except OSError as error:
            raise self._place.refused(error, "listing", at=error.filename) from error
        self._place.check_still_here()

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        """Everything here can be read at once."""

    def delete(self, key: str) -> None:
        """Raises StoreUnusable where a link is on the way: what is behind it is not the target's."""
        path = self._place.path_of_object(key)
        *folders, name = key.split("/")
        try:
            with self._place.folder_of(folders) as folder:
                os.unlink(name, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._place.refused(error, "removing from", at=path) from error
        self._remove_empty(folders)

    def probes(self) -> Sequence[Probe]:
        return folder_probes(self, self.path)

    def _remove_empty(self, folders: Sequence[str]) -> None:
        with contextlib.suppress(OSError, StoreUnusable):
            while folders:
                *folders, name = folders
                with self._place.folder_of(folders) as folder:
                    os.rmdir(name, dir_fd=folder)


def _info(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, facts.st_size, modified=datetime.fromtimestamp(facts.st_mtime, UTC))


def _without_waiting(path: str, flags: int) -> int:
    """A pipe with an object's name has nobody at its other end."""
    return os.open(path, flags | os.O_NONBLOCK)
