"""Writing back what was fetched: frames of packs, or whole small files. The unit of work is plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archive_tasks.destination import Attributes, Destination, FolderId, OnConflict
from archive_tasks.errors import EntryError
from archive_tasks.pack import unpack_frame

LARGEST_UNPACKED = 256 * 1024 * 1024
"""Of one frame, at most, whatever a manifest says: frames are cut after 512 KiB, and packed files are below 64 MiB."""


class WantedFile(NamedTuple):
    """A file to write.

    Attributes:
        path: below the destination.
        within: where it begins in what its bytes unpack to; None when they are the file.
    """

    path: str
    size: int
    sha256: str
    within: int | None
    attributes: Attributes
    sparse: bool = False

    @property
    def begin(self) -> int:
        """Where it begins in what holds it."""
        return self.within or 0


class Span(NamedTuple):
    """A frame of the data that was fetched, or a whole file, and the files that are wanted of it."""

    start: int
    length: int
    files: Sequence[WantedFile]


class UnpackOrder(NamedTuple):
    """Bytes that were fetched, and what to write of them.

    Attributes:
        folder: which folder the destination is, so that no other is filled when it was moved meanwhile.
    """

    destination: str
    on_conflict: OnConflict
    data: bytes
    spans: Sequence[Span]
    folder: FolderId | None = None


class Result(NamedTuple):
    """What became of one file.

    Attributes:
        wanted: path that was asked for.
        written: path under which it stands; empty when it was not written.
        size: bytes.
        problem: why it was not written.
        damaged: True when the bytes were not those that the manifest speaks of.
        lost: what could not be brought back.
    """

    wanted: str
    written: str = ""
    size: int = 0
    problem: str = ""
    damaged: bool = False
    lost: tuple[str, ...] = ()


def unpack(order: UnpackOrder) -> list[Result]:
    """Check every file against its SHA-256 and write it.

    Raises:
        DestinationUnusable: nothing more can be written.
    """
    results: list[Result] = []
    with Destination(order.destination, on_conflict=order.on_conflict, sweep=False, folder=order.folder) as destination:
        for span in order.spans:
            data = order.data[span.start : span.start + span.length]
            results += _write_span(destination, data, span)
    return results


def _write_span(destination: Destination, data: bytes, span: Span) -> Iterator[Result]:
    sane = [one for one in span.files if one.begin + one.size <= LARGEST_UNPACKED]
    yield from (
        Result(one.path, problem="its manifest gives an impossible position in the pack")
        for one in span.files
        if one not in sane
    )
    try:
        contents = contents_of(data, sane)
    except ValueError as error:
        yield from (
            Result(one.path, problem=f"its pack is damaged in the target: {error}", damaged=True) for one in sane
        )
        return
    for one in sane:
        yield _write(destination, one, contents[one.begin : one.begin + one.size])


def contents_of(data: bytes, files: Sequence[WantedFile]) -> bytes:
    """What holds the files: a frame, unpacked as far as they need it, or the file itself. Raises ValueError."""
    if not files or files[0].within is None:
        return data
    return unpack_frame(data, max(one.begin + one.size for one in files))


def _write(destination: Destination, one: WantedFile, data: bytes) -> Result:
    if len(data) != one.size or hashlib.sha256(data).hexdigest() != one.sha256:
        return Result(one.path, problem="the target returned other bytes than were archived", damaged=True)
    try:
        written = destination.put_file(one.path, data, one.attributes, sparse=one.sparse)
    except EntryError as error:
        return Result(one.path, problem=str(error))
    return Result(one.path, written.path, one.size, lost=written.lost)
