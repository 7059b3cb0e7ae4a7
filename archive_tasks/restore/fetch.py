"""Fetching the files of one item: ranges of many small files by one request, large files in parts."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait

from archive_tasks.disk.destination import Destination, FolderId
from archive_tasks.disk.new_file import NewFile
from archive_tasks.disk.sparse import spread
from archive_tasks.errors import EntryError, IntegrityError, ObjectFrozen, ObjectMissing, StoreBusy
from archive_tasks.formats.entry import ManifestEntry, Place
from archive_tasks.restore.context import RestoreRun, raise_first
from archive_tasks.restore.unpack import Result, UnpackOrder, unpack
from archive_tasks.target.ranges import Fetch, FetchPlanner, pieces


class FileFetcher:
    """Has files fetched, checked and written, and knows what became of them.

    Args:
        destination: path of the folder that they are written below.

    Attributes:
        unfetched: paths of files that are missing because the target no longer answers.
        failed: of entries that were not restored.
    """

    def __init__(self, destination: str, run: RestoreRun) -> None:
        self._path = destination
        self._run = run
        self._planner = FetchPlanner()
        self._folder: FolderId | None = None
        self._elsewhere: dict[str, str] = {}
        self.unfetched: set[str] = set()
        self.failed: list[str] = []

    def fetch(self, place: str, entry: ManifestEntry, destination: Destination) -> None:
        """Have a file written to `place`. A large one is there when this returns, small ones when the run settles.

        Raises:
            DestinationUnusable: nothing more can be written.
            StoreError: the target failed, and no retry will help.
        """
        if self._folder is None:
            self._folder = destination.folder
        if entry.place is not None and entry.place.key in self._run.frozen:
            self._freeze(entry.place.key, entry.place.length, [place])
        elif entry.place is not None and (entry.place.parts or entry.place.extents is not None):
            self._fetch_alone(place, entry, entry.place, destination)
        else:
            self._start(self._planner.add(place, entry))

    def flush(self) -> None:
        """Have fetched what waits for neighbours. Raises as `fetch` does."""
        self._start(self._planner.flush())

    def leave(self, place: str) -> None:
        """The entry for `place` is not restored."""
        self._elsewhere[place] = ""

    def fail(self, place: str, reason: str) -> None:
        """The entry for `place` cannot be restored. Safe from several threads."""
        self.leave(place)
        self.failed.append(place)
        self._run.fail(place, reason)

    def path_of(self, place: str) -> str:
        """Where the file for `place` was written; empty when it is not restored."""
        return self._elsewhere.get(place, place)

    # -- many small files ---------------------------------------------------------------------------

    def _start(self, fetches: Iterator[Fetch]) -> None:
        for fetch in fetches:
            self._run.context.pace.take(fetch.length)
            self._run.start(functools.partial(self._fetch_and_free, fetch))

    def _fetch_and_free(self, fetch: Fetch) -> None:
        try:
            self._fetch_range(fetch)
        finally:
            self._run.context.pace.give_back(fetch.length)

    def _fetch_range(self, fetch: Fetch) -> None:
        """Fetch a range, and have its files written; what comes damaged is fetched once more."""
        try:
            if damaged := self._write(fetch):
                fetch = _only(fetch, {one.wanted for one in damaged})
                for result in self._write(fetch):
                    self.fail(result.wanted, result.problem)
        except ObjectFrozen:
            self._freeze(fetch.key, fetch.length, _places(fetch))
        except StoreBusy:
            self.unfetched.update(_places(fetch))
        except (ObjectMissing, IntegrityError) as error:
            for place in _places(fetch):
                self.fail(place, str(error))

    def _write(self, fetch: Fetch) -> list[Result]:
        """Fetch and write; returns what came damaged."""
        data = self._run.read(fetch.key, fetch.offset, fetch.length) if fetch.length else b""
        order = UnpackOrder(self._path, self._run.write_how, data, tuple(fetch.spans), self._folder)
        damaged = []
        for result in self._run.context.helpers.start(unpack, order)():
            if result.damaged:
                damaged.append(result)
            elif result.problem:
                self.fail(result.wanted, result.problem)
            else:
                self._note(result)
        return damaged

    def _note(self, result: Result, *, is_told: bool = False) -> None:
        if result.written != result.wanted:
            self._elsewhere[result.wanted] = result.written
        self._run.lose(result.written, result.lost)
        self._run.wrote(result.size, is_told=is_told)

    def _freeze(self, key: str, size: int, places: Iterable[str]) -> None:
        self._run.freeze(key, size)
        for place in places:
            self.leave(place)

    # -- a large file, or one with holes ------------------------------------------------------------

    def _fetch_alone(self, place: str, entry: ManifestEntry, where: Place, destination: Destination) -> None:
        """Its parts in parallel; it gets its name when all are there and checked."""
        has_holes = where.extents is not None
        try:
            with destination.new_file(place, entry.size, sparse=entry.sparse or has_holes) as new:
                if has_holes:
                    self._fetch_data(where, entry, new)
                else:
                    self._fetch_parts(where, entry.size, new.write)
                written = new.publish(entry.attributes)
        except ObjectFrozen:
            self._freeze(where.key, entry.size, [place])
        except StoreBusy:
            self.unfetched.add(place)
        except (EntryError, ObjectMissing, IntegrityError) as error:
            self.fail(place, str(error))
        else:
            self._note(Result(place, written.path, entry.size, lost=written.lost), is_told=True)

    def _fetch_parts(self, where: Place, size: int, write: Callable[[int, bytes], None]) -> None:
        self._side_by_side(
            functools.partial(self._fetch_part, where, number, min(where.part_size, left), write)
            for number, left in enumerate(range(size, 0, -where.part_size))
        )

    def _fetch_part(self, where: Place, number: int, size: int, write: Callable[[int, bytes], None]) -> None:
        offset = number * where.part_size
        with self._run.context.pace.hold(size):
            for last_try in (False, True):
                data = self._run.read(where.key, where.offset + offset, size)
                if hashlib.sha256(data).hexdigest() == where.parts[number]:
                    break
                if last_try:
                    raise IntegrityError("the target returned other bytes than were archived")
            write(offset, data)
        self._run.context.progress.stored(0, size)

    def _fetch_data(self, where: Place, entry: ManifestEntry, new: NewFile) -> None:
        """The ranges that hold data. What was written is read again: a digest of the whole has its holes in it."""
        for is_first_try in (True, False):
            self._side_by_side(
                functools.partial(self._fetch_piece, where, piece, new, is_told=is_first_try) for piece in pieces(where)
            )
            if new.sha256(where.extents or ()) == entry.sha256:
                break
        else:
            raise IntegrityError("the target returned other bytes than were archived")
        self._run.context.progress.stored(0, entry.size - where.length)

    def _fetch_piece(self, where: Place, piece: tuple[int, int], new: NewFile, *, is_told: bool) -> None:
        offset, size = piece
        with self._run.context.pace.hold(size):
            data = self._run.read(where.key, offset, size)
            if len(data) != size:
                raise IntegrityError("the target returned fewer bytes than were archived")
            for at, begin, length in spread(where.extents or (), offset - where.offset, size):
                new.write(at, data[begin : begin + length])
        if is_told:
            self._run.context.progress.stored(0, size)

    def _side_by_side(self, works: Iterable[Callable[[], None]]) -> None:
        """Raises what the first to fail raised, once none is running."""
        started = [self._run.fetchers.submit(work) for work in works]
        try:
            raise_first(wait(started, return_when="FIRST_EXCEPTION")[0])
        finally:
            wait([one for one in started if not one.cancel()])


def _places(fetch: Fetch) -> list[str]:
    return [one.path for one in fetch.files]


def _only(fetch: Fetch, wanted: set[str]) -> Fetch:
    spans = [
        span._replace(files=tuple(one for one in span.files if one.path in wanted))
        for span in fetch.spans
        if any(one.path in wanted for one in span.files)
    ]
    return Fetch(fetch.key, fetch.offset, fetch.length, spans)
