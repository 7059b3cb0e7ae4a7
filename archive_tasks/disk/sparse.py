"""Files with holes: which ranges of a file hold data, and the digest of the whole from these ranges alone.

A filesystem is asked where the holes are (lseek(2), SEEK_DATA), not trusted: a sent file's holes are read too.
Filesystems have reported holes that held data which was not written back yet. (OpenZFS issue 15526)
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

Extent = tuple[int, int]
"""(start, length) of a range that holds data, in bytes."""

BLOCK = 512
"""Unit of st_blocks. (inode(7))"""
LEAST_HOLE = 4096
"""Bytes: a smaller hole is sent as zeros."""
LEAST_SAVED = 64 * 1024
"""Bytes: a file with fewer bytes of holes is sent as it is."""
MOST_EXTENTS = 4096
"""Of one file, so that its line of the manifest stays small: of a file that has more, small holes are filled."""
_ZEROS = bytes(1024 * 1024)


def extents_of(fd: int, size: int) -> tuple[Extent, ...] | None:
    """The ranges that hold data, as the filesystem says; None where it cannot say, or nothing is saved by it."""
    if not hasattr(os, "SEEK_DATA"):
        return None
    try:
        extents = joined(_ranges(fd, size))
    except OSError:
        return None
    return extents if size - sum(length for _, length in extents) >= LEAST_SAVED else None


def allocated_bytes(path: str) -> int:
    """Of a file, or of the files of a folder, without their holes; what cannot be looked at counts as nothing."""
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names] or [path]
    found = 0
    for one in paths:
        with suppress(OSError):
            facts = os.lstat(one)
            found += min(facts.st_size, facts.st_blocks * BLOCK)
    return found


def joined(extents: Iterable[Extent], *, most: int = MOST_EXTENTS) -> tuple[Extent, ...]:
    """Extents in their order, with holes that are too small filled; at most `most`."""
    found = list(extents)
    least = LEAST_HOLE
    while True:
        merged: list[Extent] = []
        for start, length in found:
            if merged and start - sum(merged[-1]) < least:
                merged[-1] = (merged[-1][0], start + length - merged[-1][0])
            else:
                merged.append((start, length))
        if len(merged) <= most:
            return tuple(merged)
        found, least = merged, 2 * least


def spread(extents: Sequence[Extent], begin: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Where `size` bytes belong that are at `begin` in the data of a file, its extents concatenated.

    Yields (offset in the file, offset in these bytes, length).
    """
    passed = 0
    for start, length in extents:
        first, last = max(begin, passed), min(begin + size, passed + length)
        if first < last:
            yield start + first - passed, first - begin, last - first
        passed += length


def is_zeros(data: bytes) -> bool:
    """Are all bytes zero?"""
    step = len(_ZEROS)
    return all(data[at : at + step] == _ZEROS[: len(data) - at] for at in range(0, len(data), step))


def forget_zeros(fd: int, offset: int, data: bytes) -> None:
    """Let the system forget what was just read, where that was a hole.

    Otherwise gigabytes of zeros would push what programs use out of memory.
    """
    if hasattr(os, "posix_fadvise") and is_zeros(data):
        with suppress(OSError):
            os.posix_fadvise(fd, offset, len(data), os.POSIX_FADV_DONTNEED)


class SparseDigest:
    """SHA-256 of a file of `size` bytes, of which only the ranges that hold data are given, in their order."""

    def __init__(self, extents: Sequence[Extent], size: int) -> None:
        self._extents = deque(extents)
        self._size = size
        self._at = 0
        self._digest = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Take more of the data. Raises ValueError for more than the ranges hold."""
        view = memoryview(data)
        while view:
            if not self._extents:
                raise ValueError("more data than its ranges hold")
            start, length = self._extents[0]
            self._add_zeros(start)
            part = view[: start + length - self._at]
            self._digest.update(part)
            self._at += len(part)
            view = view[len(part) :]
            if self._at == start + length:
                self._extents.popleft()

    def hexdigest(self) -> str:
        """Of the whole. What was not given counts as zeros."""
        self._add_zeros(self._size)
        return self._digest.hexdigest()

    def _add_zeros(self, end: int) -> None:
        while self._at < end:
            size = min(len(_ZEROS), end - self._at)
            self._digest.update(memoryview(_ZEROS)[:size])
            self._at += size


def _ranges(fd: int, size: int) -> Iterable[Extent]:
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole to the end
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        if start >= size or end <= start:
            return
        yield start, min(end, size) - start
        at = end
