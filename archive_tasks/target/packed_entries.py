"""What is inside packs and sparse tars, against what a manifest says of it: frames are unpacked, entries hashed.

A digest proves an object, but not what is where in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from archive_tasks.disk.sparse import Extent, SparseDigest
from archive_tasks.formats.entry import ManifestEntry, Place, entry_of
from archive_tasks.formats.frames import LARGEST_UNPACKED, Span, WantedFile, contents_of
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Failure
from archive_tasks.target.ranges import Fetch, FetchPlanner, pieces

_LONGEST_LEAD = 1024 * 1024
"""Bytes: a header with the longest list of extents and extended attributes is far shorter."""

Reader = Callable[[Iterator[Fetch]], Iterator[tuple[Fetch, bytes]]]
"""Reads ranges of objects, in their order; it may read some of them ahead."""


@dataclass(slots=True)
class _Piece(Fetch):
    """A range of the data of a file with holes; the pieces of a file come in their order.

    Attributes:
        lead: bytes at its beginning that are before the data.
        digest: of the file; the last piece has what it must be.
    """

    path: str = ""
    lead: int = 0
    digest: SparseDigest = field(default_factory=lambda: SparseDigest((), 0))
    expected: str = ""


def packed_problems(manifest: bytes, reader: Reader) -> Iterator[Failure]:
    """Each file in a pack or a sparse tar whose bytes are not what the manifest says, and what is wrong.

    Raises:
        ManifestError: the manifest cannot be read.
        StoreError: what `reader` raises.
    """
    for fetch, data in reader(_fetches(manifest)):
        if isinstance(fetch, _Piece):
            yield from _of_piece(data, fetch)
        for span in fetch.spans:
            found = _of_span(data[span.start : span.start + span.length], span)
            yield from (Failure(one.path, f"{problem} ({fetch.key})") for one, problem in found if problem)


def _fetches(manifest: bytes) -> Iterator[Fetch]:
    planner = FetchPlanner()
    for record in read_manifest(manifest):
        if "path" in record and ("within" in record or "extents" in record):
            entry = entry_of(record)
            if entry.place is not None and entry.place.extents is not None:
                yield from _pieces(entry, entry.place, entry.place.extents)
            elif entry.place is not None:
                yield from planner.add(entry.path, entry)
    yield from planner.flush()


def _pieces(entry: ManifestEntry, place: Place, extents: tuple[Extent, ...]) -> Iterator[_Piece]:
    """Gives the first one the bytes before the data, if they are no more than one of our tars has there."""
    digest = SparseDigest(extents, entry.size)
    lead = place.offset if place.offset <= _LONGEST_LEAD else 0
    ranges = pieces(place) or [(place.offset, 0)]
    for number, (offset, length) in enumerate(ranges, start=1):
        before = lead if number == 1 else 0
        expected = entry.sha256 if number == len(ranges) else ""
        yield _Piece(place.key, offset - before, length + before, [], entry.path, before, digest, expected)


def _of_piece(data: bytes, piece: _Piece) -> Iterator[Failure]:
    with suppress(ValueError):  # more than was asked for, from a lying store: the digest differs
        piece.digest.update(data[piece.lead :])
    if piece.expected and piece.digest.hexdigest() != piece.expected:
        yield Failure(piece.path, f"it holds other bytes than were written ({piece.key})")


def _of_span(data: bytes, span: Span) -> Iterator[tuple[WantedFile, str]]:
    sane = [file for file in span.files if file.begin + file.size <= LARGEST_UNPACKED]
    yield from (
        (file, "its manifest gives an impossible position in the pack") for file in span.files if file not in sane
    )
    try:
        contents = contents_of(data, sane)
    except ValueError as error:
        yield from ((file, f"its pack is damaged: {error}") for file in sane)
        return
    for file in sane:
        digest = hashlib.sha256(memoryview(contents)[file.begin : file.begin + file.size]).hexdigest()
        yield file, "" if digest == file.sha256 else "it holds other bytes than were written"
