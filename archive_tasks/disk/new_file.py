"""A file that has no name before it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from itertools import groupby

from archive_tasks.disk.attributes import FILE_BITS, Owners, set_attributes
from archive_tasks.disk.folders import OpenFolders, remove_quietly, temporary_name
from archive_tasks.disk.give_name import NamedPlace, OnConflict, Ways, Written, give_name, open_named, open_nameless
from archive_tasks.disk.rename import rename_to_free_name
from archive_tasks.disk.sparse import Extent, SparseDigest
from archive_tasks.errors import EntryError
from archive_tasks.model import Attributes
from archive_tasks.names import display

_FLUSHED_FROM = 1024 * 1024
_BLOCK = 4096
_PIECE = 1024 * 1024
_ZEROS = bytes(_BLOCK)


class NewFile:
    """A file that has no name yet. It must end with `publish` or `discard`; leaving its `with` block discards it.

    Args:
        sparse: blocks of zeros become holes.
    """

    __slots__ = (
        "_attributes",
        "_fd",
        "_handles",
        "_on_conflict",
        "_owners",
        "_place",
        "_sparse",
        "_temporary",
        "_way",
        "_ways",
        "size",
    )

    def __init__(
        self,
        place: NamedPlace,
        size: int,
        *,
        ways: Ways,
        handles: OpenFolders,
        owners: Owners,
        on_conflict: OnConflict,
        sparse: bool = False,
    ) -> None:
        self.size = size
        self._place = place
        self._ways = ways
        self._way = ways.at(place.folder)
        self._attributes: Attributes | None = None
        self._handles = handles
        self._owners = owners
        self._on_conflict = on_conflict
        self._sparse = sparse
        self._temporary = "" if self._way == "nameless" else temporary_name()
        self._fd = open_nameless(place.folder) if not self._temporary else open_named(place.folder, self._temporary)
        if sparse:
            self._stretch()

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`. Safe from several threads.

        Raises:
            EntryError: it cannot be written, or is beyond the announced size.
            DestinationUnusable: nothing more can be written there at all.
        """
        if offset < 0 or offset + len(data) > self.size:
            raise EntryError(f"{display(self._place.path)} cannot be restored: its contents are longer than its size")
        try:
            if self._sparse:
                self._write_sparsely(offset, data)
            else:
                _write_all(self._fd, data, offset)
        except OSError as error:
            raise self._handles.failure(self._place.path, error) from error

    def sha256(self, extents: Sequence[Extent]) -> str:
        """SHA-256 of all that it holds, in hex, where only these ranges were written: they are read again.

        Raises:
            EntryError: they cannot be.
        """
        digest = SparseDigest(extents, self.size)
        try:
            for start, length in extents:
                for offset in range(start, start + length, _PIECE):
                    digest.update(os.pread(self._fd, min(_PIECE, start + length - offset), offset))
        except OSError as error:
            raise self._handles.failure(self._place.path, error) from error
        return digest.hexdigest()

    def publish(self, attributes: Attributes) -> Written:
        """Set the attributes, then let the name appear.

        Raises:
            EntryOccupied: the name is taken, and may not be replaced.
            EntryError: the file is shorter than announced, or cannot get its name.
            DestinationUnusable: nothing more can be written there at all.
        """
        try:
            self._attributes = attributes
            lost = set_attributes(self._fd, attributes, self._owners, bits=FILE_BITS)
            self._settle()
            return Written(give_name(self._place, self._attach, self._on_conflict), tuple(lost))
        except OSError as error:
            raise self._handles.failure(self._place.path, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove all of it, unless it was published. Safe to call twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._temporary:
            remove_quietly(self._place.folder, self._temporary)
            self._temporary = ""

    def _settle(self) -> None:
        """Make sure that all of it is there.

        A large file is flushed here, so that its name stands for contents on the disk even when the power
        fails. A small one is not: a flush costs milliseconds, for 10,000s of them minutes; the caller syncs the
        filesystem once at the end. One with a temporary name is closed before it gets the right one: NFS
        sends what it holds back only then, and reports a full disk only then. (close(2))
        """
        if os.fstat(self._fd).st_size != self.size:
            raise EntryError(f"{display(self._place.path)} cannot be restored: its contents are shorter than its size")
        if self.size >= _FLUSHED_FROM:
            os.fsync(self._fd)
        if self._way != "nameless":
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _attach(self, name: str) -> None:
        folder = self._place.folder.fd
        if self._way == "nameless":
            self._attach_nameless(name)
        elif self._way == "link":
            os.link(self._temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        else:
            rename_to_free_name(self._temporary, name, from_fd=folder, to_fd=folder)

    def _attach_nameless(self, name: str) -> None:
        try:
            os.link(f"/proc/self/fd/{self._fd}", name, dst_dir_fd=self._place.folder.fd, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:  # made, and not to be named: without /proc, or on a filesystem that is served by a program
            self._take_temporary_name()
            self._attach(name)

    def _take_temporary_name(self) -> None:
        """Continue with a copy that has one."""
        self._way = self._ways.without_nameless(self._place.folder)
        self._temporary = temporary_name()
        nameless, self._fd = self._fd, open_named(self._place.folder, self._temporary)
        try:
            if self._sparse:
                self._stretch()
            for offset in range(0, self.size, _PIECE):
                self.write(offset, os.pread(nameless, _PIECE, offset))
        finally:
            os.close(nameless)
        if self._attributes is not None:
            set_attributes(self._fd, self._attributes, self._owners, bits=FILE_BITS)
        self._settle()

    def _stretch(self) -> None:
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:
            self.discard()
            raise

    def _write_sparsely(self, offset: int, data: bytes) -> None:
        for start, end, is_zero in _runs(offset, data):
            if not (is_zero and self._is_hole(offset + start, end - start)):
                _write_all(self._fd, data[start:end], offset + start)

    def _is_hole(self, offset: int, size: int) -> bool:
        """Was nothing written there? A piece may come a second time, after a first that was damaged."""
        try:
            return os.lseek(self._fd, offset, os.SEEK_DATA) >= offset + size
        except OSError as error:
            return error.errno == errno.ENXIO  # no data from here to the end


def _write_all(fd: int, data: bytes, offset: int) -> None:
    written = os.pwrite(fd, data, offset)
    while written < len(data):  # a full disk or a signal cuts a write short, and says why at the next
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def _runs(offset: int, data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Start, end, and whether all between are whole blocks of zeros; `offset` is where in the file data begins."""
    for is_zero, run in groupby(_blocks(offset, len(data)), key=lambda block: data[block[0] : block[1]] == _ZEROS):
        blocks = list(run)
        yield blocks[0][0], blocks[-1][1], is_zero


def _blocks(offset: int, size: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < size:
        end = min(size, start + _BLOCK - (offset + start) % _BLOCK)
        yield start, end
        start = end
