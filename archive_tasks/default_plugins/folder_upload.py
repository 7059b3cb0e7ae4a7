"""Writing one object of the folder store: beside its place, synced, then published under a name that was free."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import threading
from typing import TYPE_CHECKING

from archive_tasks.errors import IntegrityError, ObjectExists, StoreBusy
from archive_tasks.names import display

if TYPE_CHECKING:
    from archive_tasks.default_plugins.folder import FolderStore

_CHUNK = 1024 * 1024
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class FolderUpload:
    """An object being written. Parts go to their places in any order and from any thread."""

    def __init__(self, store: FolderStore, key: str, size: int) -> None:
        self.part_size = store.part_size(size)
        self._store = store
        self._key = key
        self._place = store.place(key)
        self._lock = threading.Lock()
        self._written: dict[int, int] = {}
        try:
            self._path = os.path.join(store.incoming(), secrets.token_hex(12))
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store.refused(error, "writing to") from error
        self._open = True

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        check_digest(data, sha256)
        self.write((number - 1) * self.part_size, data)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes in their place."""
        try:
            view, position = memoryview(data), offset
            while view:
                count = os.pwrite(self._fd, view, position)
                view, position = view[count:], position + count
        except OSError as error:
            raise self._store.refused(error, "writing to") from error
        with self._lock:
            self._written[offset] = len(data)

    def complete(self, size: int) -> None:
        written = sum(self._written.values())
        if written != size:
            raise IntegrityError(f"{display(self._key)} has {written} of {size} bytes")
        try:
            self._sync()
            self._publish()
        except OSError as error:
            raise self._store.refused(error, "writing to") from error
        self._store.check_still_here()
        self.abort()

    def abort(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _sync(self) -> None:
        """See that the bytes are on the disk, and that they are read from there when they are proven.

        Linux reports a failed write once, so a second fsync that succeeds proves nothing: what failed in passing
        has to be written again from the beginning.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            refused = self._store.refused(error, "writing to")
            if isinstance(refused, StoreBusy):
                raise StoreBusy(str(refused), start_over=True) from error
            raise refused from error
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _publish(self) -> None:
        """Give the object its name, which must be free, and see that the name is on the disk too."""
        _make_folders(self._store.path, os.path.dirname(self._place))
        try:
            _link(self._path, self._place)
        except FileExistsError:
            if not self._is_there_already():
                raise ObjectExists(
                    f"{display(self._key)} is in {display(self._store.path)} with other contents"
                ) from None
        _sync_folder(os.path.dirname(self._place))

    def _is_there_already(self) -> bool:
        with open(self._path, "rb") as mine, open(self._place, "rb") as theirs:
            size = os.fstat(mine.fileno()).st_size
            if os.fstat(theirs.fileno()).st_size != size:
                return False
            return all(mine.read(_CHUNK) == theirs.read(_CHUNK) for _ in range(0, size + 1, _CHUNK))


def _link(source: str, place: str) -> None:
    """Raises FileExistsError when the place is taken.

    exFAT and some network shares have no hard links: there the place is first taken, create-only, by an empty
    file, and the object renamed over it. A crash between the two leaves an empty object, which no manifest
    speaks of, and which the next attempt at the same key meets as ObjectExists.
    """
    try:
        os.link(source, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        os.replace(source, place)


def _make_folders(root: str, folder: str) -> None:
    """Make the folders below the root that are missing, never the root: a disk that went away stays away."""
    made: list[str] = []
    while folder != root and not os.path.isdir(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(made):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        _sync_folder(os.path.dirname(path))


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # filesystems that cannot sync a folder
            raise
    finally:
        os.close(handle)


def check_digest(data: bytes, sha256: bytes) -> None:
    """Raises IntegrityError when `sha256` is not the data's raw digest."""
    if hashlib.sha256(data).digest() != sha256:
        raise IntegrityError("the data does not have the checksum that it was given with")
