"""The store for `file:///folder`: a disk, a NAS, and the place archives go before a target is configured.

Every object is written beside its place, synced to the disk, and appears under its key by one hard link: whole,
or not at all, and never over another.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes, urlsplit

from archive_tasks import hookimpl
from archive_tasks.default_plugins.folder_probes import folder_probes
from archive_tasks.default_plugins.folder_upload import FolderUpload, check_digest
from archive_tasks.errors import (
    ArchiveTasksError,
    ItemUnreadable,
    ObjectMissing,
    StoreBusy,
    StoreUnusable,
    UsageError,
)
from archive_tasks.names import display
from archive_tasks.settings import Settings
from archive_tasks.store import ObjectInfo, Probe, StoreFactory

INCOMING = ".incoming"
_KEY = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*")
_CHUNK = 1024 * 1024
_ABANDONED_AFTER_SECONDS = 7 * 86_400
_BUSY = frozenset({errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY})
_TOO_MUCH = frozenset({errno.EFBIG, errno.ENAMETOOLONG})
"""About one object, not about the disk: FAT32 takes no file of 4 GiB."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class FolderStore:
    """A folder as a target. See `archive_tasks.store.Store` for what its methods promise.

    Args:
        url: `file:///absolute/path`, percent-encoded.

    Raises:
        UsageError: the URL names no absolute path on this machine.
    """

    def __init__(self, url: str, settings: Settings) -> None:
        self.url = url
        self.path = _path_of(url)
        self.identity = f"folder {self.path}"
        self.largest_put = settings.part_size
        self.storage_class = ""
        self.dates_can_be_set = False
        self._swept = False
        self._place: tuple[int, int] | None = None

    def exists(self) -> bool:
        found = self._found()
        self._place = self._place or found
        return found is not None

    def check_still_here(self) -> None:
        """Raises StoreUnusable when another folder lies here than when the store was opened.

        A mount point of fstab's or autofs' stays when its disk goes away, as an empty folder on another disk.
        """
        first, now = self._place, self._found()
        if now is None or (first is not None and now != first):
            raise StoreUnusable(f"the target {display(self.path)} is gone: is its disk still mounted?")

    def _found(self) -> tuple[int, int] | None:
        """Device and inode of the folder; None when there is none."""
        try:
            facts = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self.refused(error, "looking at") from error
        if not stat.S_ISDIR(facts.st_mode):
            raise StoreUnusable(f"the target {display(self.path)} is a file, not a folder; name a folder")
        return facts.st_dev, facts.st_ino

    def create(self) -> None:
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self.refused(error, "creating") from error
        self._place = self._found()

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
            with open(self.place(key), "rb", buffering=0) as file:
                wanted = os.fstat(file.fileno()).st_size - offset
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
        folder = prefix.rpartition("/")[0]
        try:
            yield from (info for info in self._walk(folder) if info.key.startswith(prefix))
        except OSError as error:
            raise self.refused(error, "listing") from error

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        """Everything here can be read at once."""

    def delete(self, key: str) -> None:
        try:
            os.unlink(self.place(key))
            self._remove_empty(os.path.dirname(self.place(key)))
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self.refused(error, "removing from") from error

    def probes(self) -> Sequence[Probe]:
        return folder_probes(self, self.path)

    def place(self, key: str) -> str:
        """Path of an object. Raises ValueError for what is no key."""
        segments = key.split("/")
        if not _KEY.fullmatch(key) or any(segment.strip(".") == "" for segment in segments) or segments[0] == INCOMING:
            raise ValueError(f"{key!r} is no key")
        return os.path.join(self.path, *segments)

    def refused(self, error: OSError, doing: str) -> ArchiveTasksError:
        """What an OSError at the target means for the run."""
        where = display(self.path)
        if error.errno in _FULL:
            return StoreUnusable(f"the disk that holds {where} is full: free space there or name another target")
        if error.errno in _TOO_MUCH:
            return ItemUnreadable(f"{where} cannot take it: {error.strerror}")
        if error.errno in _BUSY:
            return StoreBusy(f"{doing} {where}: {error.strerror}")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return StoreUnusable(f"the target {where} is gone: is its disk still mounted?")
        reason = (error.strerror or str(error)).lower()
        return StoreUnusable(f"{doing} {where} failed: {reason}; check its disk and who may write there")

    def incoming(self) -> str:
        """The folder in which objects are written before they appear; leftovers of dead runs are swept once."""
        self.check_still_here()
        path = os.path.join(self.path, INCOMING)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        if not self._swept:
            self._swept = True
            _sweep(path)
        return path

    def _remove_empty(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            while folder != self.path:
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def _walk(self, folder: str) -> Iterator[ObjectInfo]:
        try:
            entries = sorted(os.scandir(os.path.join(self.path, folder)), key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if key != INCOMING:
                    yield from self._walk(key)
            elif entry.is_file(follow_symlinks=False):
                yield _info(key, entry.stat(follow_symlinks=False))


def _info(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, facts.st_size, modified=datetime.fromtimestamp(facts.st_mtime, UTC))


def _sweep(incoming: str) -> None:
    limit = time.time() - _ABANDONED_AFTER_SECONDS
    with contextlib.suppress(OSError):
        for entry in os.scandir(incoming):
            if entry.stat(follow_symlinks=False).st_mtime < limit:
                os.unlink(entry.path)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    path = os.fsdecode(unquote_to_bytes(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.startswith("/") or parts.query or parts.fragment:
        raise UsageError(f"the target {display(url)} names no folder here; write file:///absolute/path")
    if "\0" in path or os.path.normpath(path) == "/":
        raise UsageError(f"the target {display(url)} cannot be a target; write file:///absolute/path of a folder")
    return os.path.normpath(path)


@hookimpl
def register_stores(settings: Settings) -> Mapping[str, StoreFactory]:
    return {"file": FolderStore}
