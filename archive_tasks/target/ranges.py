"""What has to be fetched for the files of a restore: neighbouring frames of a pack by one request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from archive_tasks.formats.entry import ManifestEntry, Place
from archive_tasks.formats.frames import Span, WantedFile

MOST_BYTES = 4 * 1024 * 1024
MOST_FILES = 1000
_GAP = 128 * 1024
"""Bytes that are worth fetching for nothing rather than by a further request."""


@dataclass(slots=True)
class Fetch:
    """One range of one object, and the files in it."""

    key: str
    offset: int
    length: int
    spans: list[Span] = field(default_factory=list)

    @property
    def files(self) -> list[WantedFile]:
        return [file for span in self.spans for file in span.files]


def pieces(place: Place) -> list[tuple[int, int]]:
    """(offset, length) of the requests that fetch the data of a file with holes."""
    end = place.offset + place.length
    return [(at, min(MOST_BYTES, end - at)) for at in range(place.offset, end, MOST_BYTES)]


class FetchPlanner:
    """Puts files together that come in the order of their packs."""

    def __init__(self) -> None:
        self._key = ""
        self._frames: list[tuple[int, int, list[WantedFile]]] = []
        self._files = 0

    def add(self, path: str, entry: ManifestEntry) -> Iterator[Fetch]:
        """Take a file that is to be written to `path`; yields the range before it when it is full."""
        place = entry.place or Place(key="", offset=0, length=0)
        wanted = WantedFile(path, entry.size, entry.sha256, place.within, entry.attributes, entry.sparse)
        if not self._takes(place):
            yield from self.flush()
        self._key = place.key
        self._files += 1
        if place.within is not None and self._frames and self._frames[-1][:2] == (place.offset, place.length):
            self._frames[-1][2].append(wanted)
        else:
            self._frames.append((place.offset, place.length, [wanted]))

    def flush(self) -> Iterator[Fetch]:
        """The range that is open."""
        if self._frames:
            first = self._frames[0][0]
            last, length, _ = self._frames[-1]
            spans = [Span(offset - first, size, tuple(files)) for offset, size, files in self._frames]
            yield Fetch(self._key, first, last + length - first, spans)
        self._frames, self._files = [], 0

    def _takes(self, place: Place) -> bool:
        if not self._frames:
            return True
        if self._key != place.key or self._files >= MOST_FILES:
            return False
        offset, length, _ = self._frames[-1]
        if (offset, length) == (place.offset, place.length):
            return True
        near = offset + length <= place.offset <= offset + length + _GAP
        return near and place.offset + place.length - self._frames[0][0] <= MOST_BYTES
