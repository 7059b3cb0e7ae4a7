"""Writing back what was fetched: frames of packs, or whole small files. The unit of work is plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archive_tasks.disk.destination import Destination, FolderId
from archive_tasks.disk.give_name import OnConflict
from archive_tasks.errors import EntryError
from archive_tasks.formats.frames import LARGEST_UNPACKED, Span, WantedFile, contents_of


class UnpackOrder(NamedTuple):
    """Bytes that were fetched, and what to write of them.

    Attributes:
        folder: which folder the destination is, so that no other is filled if it was moved meanwhile.
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
        written: path under which it was written; empty when it was not.
        size: bytes.
        problem: why it was not written.
        damaged: True when the bytes were not those that the manifest describes.
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


def _write(destination: Destination, one: WantedFile, data: bytes) -> Result:
    if len(data) != one.size or hashlib.sha256(data).hexdigest() != one.sha256:
        return Result(one.path, problem="the target returned other bytes than were archived", damaged=True)
    try:
        written = destination.put_file(one.path, data, one.attributes, sparse=one.sparse)
    except EntryError as error:
        return Result(one.path, problem=str(error))
    return Result(one.path, written.path, one.size, lost=written.lost)
