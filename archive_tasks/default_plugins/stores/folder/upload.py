"""Writing one object of the folder store: beside its place, synced, then published under a name that was free."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Callable

from archive_tasks.default_plugins.stores.folder.folders import give_rights, part_name, sync_folder
from archive_tasks.default_plugins.stores.folder.place import FolderPlace
from archive_tasks.errors import IntegrityError, ObjectExists, StoreBusy, StoreUnusable
from archive_tasks.names import display

_CHUNK = 1024 * 1024
_TRIES = 5
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class FolderUpload:
    """An object being written. Parts go to their places in any order and from any thread."""

    def __init__(self, place: FolderPlace, key: str, *, part_size: int) -> None:
        self.part_size = part_size
        self._place = place
        self._key = key
        self._name = place.path_of_object(key).rpartition("/")[2]
        self._lock = threading.Lock()
        self._written: dict[int, int] = {}
        try:
            incoming, self._rights = place.incoming()
            self._path = os.path.join(incoming, part_name())
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise place.refused(error, "writing to") from error
        give_rights(self._fd, self._rights.file, self._rights.group)
        place.sweep_once(incoming, self._fd)
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
            raise self._place.refused(error, "writing to") from error
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
            raise self._place.refused(error, "writing to") from error
        self._place.check_still_here()
        self.abort()

    def abort(self) -> None:
        if self._open:
            self._open = False
            os.close(self._fd)
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _sync(self) -> None:
        """See that the bytes are on the disk, and that they are read from there when they are proven.

        Linux reports a failed write once, so a second fsync that succeeds proves nothing: what failed temporarily
        has to be written again from the beginning.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            refused = self._place.refused(error, "writing to")
            if isinstance(refused, StoreBusy):
                raise StoreBusy(str(refused), start_over=True) from error
            raise refused from error
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def _publish(self) -> None:
        """Give the object its name, which must be free, and see that the name is on the disk too.

        Its folder may go again while it is still empty: another run removes the last object there.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                with self._place.folder_for(self._key, self._rights) as folder:
                    self._link_into(folder)
                    sync_folder(folder)
                return
            except NotADirectoryError as error:
                raise StoreUnusable(
                    f"{display(error.filename)} is a file, and a folder of that name is needed: move it away"
                ) from error
            except FileNotFoundError as error:
                if not os.path.exists(self._path):
                    raise StoreBusy(f"{display(self._path)} was removed", start_over=True) from error
                if not tries_left:
                    raise

    def _link_into(self, folder: int) -> None:
        try:
            _link(self._path, self._name, folder)
        except FileExistsError:
            if not self._is_there_already(folder):
                raise ObjectExists(
                    f"{display(self._key)} is in {display(self._place.path)} with other contents"
                ) from None

    def _is_there_already(self, folder: int) -> bool:
        with open(self._path, "rb") as mine, open(self._name, "rb", opener=_opener_in(folder)) as theirs:
            size = os.fstat(mine.fileno()).st_size
            if os.fstat(theirs.fileno()).st_size != size:
                return False
            return all(mine.read(_CHUNK) == theirs.read(_CHUNK) for _ in range(0, size + 1, _CHUNK))


def _opener_in(folder: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)


def _link(source: str, name: str, folder: int) -> None:
    """Raises FileExistsError when the name is taken.

    exFAT and some network shares have no hard links: there the name is first taken, create-only, by an empty
    file, and the object renamed over it. A crash between the two leaves an empty object, which no manifest
    refers to, and which the next attempt at the same key meets as ObjectExists.
    """
    try:
        os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=folder))
        os.replace(source, name, dst_dir_fd=folder)


def check_digest(data: bytes, sha256: bytes) -> None:
    """Raises IntegrityError when `sha256` is not the data's raw digest."""
    if hashlib.sha256(data).digest() != sha256:
        raise IntegrityError("the data does not have the checksum that it was given with")
