"""Archives -> files. Ranges are fetched side by side; every file is checked before it gets its name.

Folders come first, then files as their bytes arrive, then links, and last the folders' own rights and times. What
is there already with the same contents is not fetched again, so an interrupted restore goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from archive_tasks.catalogue import Catalogue
from archive_tasks.destination import Destination, OnConflict, check_path
from archive_tasks.entry_index import kept_records
from archive_tasks.errors import (
    EntryError,
    EntryOccupied,
    IntegrityError,
    Interrupted,
    ManifestError,
    ObjectFrozen,
    ObjectMissing,
)
from archive_tasks.events import EntryFailed, ItemRestored, Progress
from archive_tasks.fetch_plan import Fetch, FetchPlanner
from archive_tasks.manifest import Record, name_in
from archive_tasks.manifest_entry import ManifestEntry, Place, entry_of
from archive_tasks.model import Archive, Failure
from archive_tasks.names import display
from archive_tasks.pace import Pace, Patience
from archive_tasks.processes import Processes
from archive_tasks.selection import Selection
from archive_tasks.store import Store
from archive_tasks.unpack import Result, UnpackOrder, unpack

Conflict = Literal["refuse", "skip", "overwrite", "both"]

_UNDER_WAY = 24


@dataclass(slots=True)
class Restored:
    """What a restore did.

    Attributes:
        items: archives of which something was asked for.
        files, bytes: that were written.
        already: files that were there with the same contents.
        skipped: names that were taken, as the user wished.
        failed: what was not restored, and why.
        lost: what could not be brought back of what was restored.
        frozen: keys of objects that must be thawed, with their bytes that are wanted.
    """

    items: list[Archive] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    already: int = 0
    skipped: int = 0
    failed: list[Failure] = field(default_factory=list)
    lost: list[Failure] = field(default_factory=list)
    frozen: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a restore works with."""

    store: Store
    catalogue: Catalogue
    pace: Pace
    patience: Patience
    helpers: Processes
    progress: Progress
    concurrency: int


def wanted_entries(selection: Selection, catalogue: Catalogue) -> Iterator[tuple[str, Record]]:
    """(path below the destination, line of the manifest) of every entry that was asked for. Raises ManifestError."""
    for record in kept_records(catalogue, selection.archive.id):
        if "path" in record:
            place = selection.place(name_in(record, "path"))
            if place is not None:
                yield place, record


def restore(
    selections: Sequence[Selection],
    means: Means,
    *,
    on_conflict: Conflict,
    frozen: frozenset[str] = frozenset(),
    continued: Callable[[Selection], bool] = lambda _selection: False,
) -> Restored:
    """Write what was selected.

    Args:
        on_conflict: what to do where a name is taken by something else.
        frozen: keys of objects that are known to be in a cold class: they are not asked for.
        continued: was this selection begun before, and cut off?

    Raises:
        DestinationUnusable: nothing more can be written.
        StoreError: the target failed; what is written stays, and the same again goes on.
    """
    restored = Restored()
    fetchers = ThreadPoolExecutor(means.concurrency, thread_name_prefix="fetch")
    work = _Work(means, fetchers, restored, on_conflict, frozen)
    try:
        for selection in selections:
            _ItemRestorer(selection, work, continued=continued(selection)).run()
        work.settle_all()
        for item in work.items:
            item.finish()
    except KeyboardInterrupt:
        means.pace.stop()
        raise Interrupted("stopped. What is restored is whole; run the same again to go on") from None
    except BaseException:
        means.pace.stop()
        raise
    finally:
        fetchers.shutdown(wait=True, cancel_futures=True)
    os.sync()  # small files were not synced one by one
    return restored


class _Work:
    """What the items of one restore share."""

    def __init__(
        self,
        means: Means,
        fetchers: ThreadPoolExecutor,
        restored: Restored,
        on_conflict: Conflict,
        frozen: frozenset[str],
    ) -> None:
        self.means = means
        self.fetchers = fetchers
        self.restored = restored
        self.on_conflict = on_conflict
        self.write_how: OnConflict = "refuse" if on_conflict == "skip" else on_conflict
        self.frozen = frozen
        self.items: list[_ItemRestorer] = []
        self.lock = threading.Lock()
        self._under_way: set[Future[None]] = set()

    def start(self, work: Callable[[], None]) -> None:
        """Have something done by a fetcher; waits while much is under way."""
        self._under_way.add(self.fetchers.submit(work))
        while len(self._under_way) > _UNDER_WAY:
            done, self._under_way = wait(self._under_way, return_when="FIRST_COMPLETED")
            _raise_first(done)

    def settle_all(self) -> None:
        """Wait for what is under way."""
        done, self._under_way = wait(self._under_way)[0], set()
        _raise_first(done)

    def fail(self, path: str, reason: str) -> None:
        with self.lock:
            self.restored.failed.append(Failure(path, reason))
        self.means.progress.event(EntryFailed(path=path, reason=reason))


def _raise_first(done: set[Future[None]]) -> None:
    for one in done:
        one.result()


class _ItemRestorer:
    """Restores what was selected of one archive."""

    def __init__(self, selection: Selection, work: _Work, *, continued: bool) -> None:
        self._selection = selection
        self._work = work
        self._means = work.means
        self._continued = continued
        self._planner = FetchPlanner()
        self._made: dict[str, ManifestEntry | None] = {}
        self._last_folder: str | None = None
        self._strays: dict[str, list[str]] = {}
        self._has_links = False
        self._elsewhere: dict[str, str] = {}
        self._destination = self._opened()
        self._destination.close()

    def _opened(self) -> Destination:
        return Destination(self._selection.destination, on_conflict=self._work.write_how)

    def run(self) -> None:
        """Make folders, and have files fetched."""
        self._work.items.append(self)
        self._work.restored.items.append(self._selection.archive)
        with self._opened() as self._destination:
            try:
                for place, record in wanted_entries(self._selection, self._means.catalogue):
                    self._guarded(place, self._take, record)
            except ManifestError as error:
                self._work.fail(self._selection.archive.item, str(error))
                return
            if self._strays:
                self._take_strays()
            self._start(self._planner.flush())

    def finish(self) -> None:
        """When all files are there: links, then the folders' own rights and times."""
        with self._opened() as self._destination:
            if self._has_links:
                self._make_links()
            for place, entry in sorted(self._made.items(), key=lambda one: one[0].count("/"), reverse=True):
                if entry is not None:
                    self._finish_folder(place, entry)
        self._means.progress.event(ItemRestored(archive=self._selection.archive, to=self._selection.destination))

    def _finish_folder(self, place: str, entry: ManifestEntry) -> None:
        try:
            self._lose(place, self._destination.finish_folder(place, entry.attributes))
        except EntryError as error:
            self._work.fail(place, str(error))

    def _make_links(self) -> None:
        for place, record in wanted_entries(self._selection, self._means.catalogue):
            if record.get("type") == "link" or "hardlink" in record:
                self._guarded(place, self._link, record)

    def _guarded(self, place: str, do: Callable[[str, ManifestEntry], None], record: Record) -> None:
        try:
            check_path(place)
            do(place, entry_of(record))
        except (EntryError, ManifestError) as error:
            self._work.fail(place, str(error))

    # -- first: folders and files -------------------------------------------------------------------

    def _take(self, place: str, entry: ManifestEntry) -> None:
        if entry.kind == "folder":
            self._make_folder(place, entry)
            return
        self._make_parent(place)
        if entry.kind == "link" or entry.hardlink:
            self._has_links = True
            if entry.hardlink and self._selection.place(entry.hardlink) is None:
                self._strays.setdefault(entry.hardlink, []).append(place)
            return
        if self._is_wanted(place, entry):
            self._have_fetched(place, entry)

    def _make_folder(self, place: str, entry: ManifestEntry | None) -> None:
        if place not in self._made:
            is_new = self._destination.make_folder(place)
            if is_new or self._continued:
                self._made[place] = entry
        elif entry is not None:
            self._made[place] = entry

    def _make_parent(self, place: str) -> None:
        folder = place.rpartition("/")[0]
        if folder != self._last_folder:
            if folder and folder not in self._made:
                self._make_folder(folder, None)
            self._last_folder = folder

    def _is_wanted(self, place: str, entry: ManifestEntry) -> bool:
        """Must it be written? Says why not, where it must not and that is not what was wished."""
        folder = place.rpartition("/")[0]
        if folder in self._made and not self._continued:
            return True
        if self._destination.find(place) is None:
            return True
        if self._destination.holds(place, size=entry.size, sha256=entry.sha256):
            self._work.restored.already += 1
            self._means.progress.stored(1, entry.size)
            return False
        if self._work.on_conflict == "skip":
            self._work.restored.skipped += 1
            self._elsewhere[place] = ""
            return False
        if self._work.on_conflict == "refuse":
            self._elsewhere[place] = ""
            raise EntryOccupied(
                f"{display(place)} is there already with other contents: --overwrite, --skip-existing or --both"
            )
        return True

    def _have_fetched(self, place: str, entry: ManifestEntry) -> None:
        if entry.place is not None and entry.place.key in self._work.frozen:
            self._freeze(entry.place.key, entry.place.length, [place])
        elif entry.place is not None and entry.place.parts:
            self._fetch_in_parts(place, entry, entry.place)
        else:
            self._start(self._planner.add(place, entry))

    def _take_strays(self) -> None:
        """Names of files whose first names were not asked for: the first of each becomes the file."""
        for record in kept_records(self._means.catalogue, self._selection.archive.id):
            if "path" not in record or name_in(record, "path") not in self._strays:
                continue
            places = self._strays[name_in(record, "path")]
            self._guarded(places[0], self._take, record)

    # -- fetching -----------------------------------------------------------------------------------

    def _start(self, fetches: Iterator[Fetch]) -> None:
        for fetch in fetches:
            self._means.pace.take(fetch.length)
            self._work.start(functools.partial(self._fetch_and_free, fetch))

    def _fetch_and_free(self, fetch: Fetch) -> None:
        try:
            self._fetch(fetch)
        finally:
            self._means.pace.give_back(fetch.length)

    def _fetch(self, fetch: Fetch) -> None:
        """Fetch a range, and have its files written; what comes damaged is fetched once more."""
        try:
            results = self._written(fetch)
            if any(one.damaged for one in results):
                bad = {one.wanted for one in results if one.damaged}
                results = [one for one in results if not one.damaged]
                results += self._written(_only(fetch, bad))
        except ObjectFrozen:
            self._freeze(fetch.key, fetch.length, [one.path for one in fetch.files])
            return
        except (ObjectMissing, IntegrityError) as error:
            for one in fetch.files:
                self._work.fail(one.path, str(error))
            return
        for result in results:
            self._note(result)

    def _written(self, fetch: Fetch) -> list[Result]:
        data = self._read(fetch.key, fetch.offset, fetch.length) if fetch.length else b""
        order = UnpackOrder(self._selection.destination, self._work.write_how, data, tuple(fetch.spans))
        return self._means.helpers.start(unpack, order)()

    def _read(self, key: str, offset: int, length: int) -> bytes:
        store = self._means.store
        return self._means.patience.ask(lambda: b"".join(store.read(key, offset=offset, length=length)))

    def _note(self, result: Result) -> None:
        restored = self._work.restored
        if result.problem:
            self._elsewhere[result.wanted] = ""
            self._work.fail(result.wanted, result.problem)
            return
        with self._work.lock:
            restored.files += 1
            restored.bytes += result.size
        if result.written != result.wanted:
            self._elsewhere[result.wanted] = result.written
        self._lose(result.written, result.lost)
        self._means.progress.stored(1, result.size)

    def _lose(self, place: str, lost: Sequence[str]) -> None:
        with self._work.lock:
            self._work.restored.lost += [Failure(place, what) for what in lost]

    def _freeze(self, key: str, size: int, places: Sequence[str]) -> None:
        with self._work.lock:
            self._work.restored.frozen[key] = self._work.restored.frozen.get(key, 0) + size
        for place in places:
            self._elsewhere[place] = ""

    # -- a large file -------------------------------------------------------------------------------

    def _fetch_in_parts(self, place: str, entry: ManifestEntry, where: Place) -> None:
        """Parts side by side, each checked; the file gets its name when all are there."""
        try:
            with self._destination.new_file(place, entry.size, sparse=entry.sparse) as new:
                parts = [
                    self._work.fetchers.submit(self._part, new.write, where, number, min(where.part_size, left))
                    for number, left in enumerate(range(entry.size, 0, -where.part_size))
                ]
                try:
                    _raise_first(wait(parts, return_when="FIRST_EXCEPTION")[0])
                finally:
                    wait([one for one in parts if not one.cancel()])
                written = self._destination.publish(place, new, entry.attributes)
        except ObjectFrozen:
            self._freeze(where.key, entry.size, [place])
        except (EntryError, ObjectMissing, IntegrityError) as error:
            self._elsewhere[place] = ""
            self._work.fail(place, str(error))
        else:
            self._note(Result(place, written.path, 0, lost=written.lost))
            self._work.restored.bytes += entry.size

    def _part(self, write: Callable[[int, bytes], None], where: Place, number: int, size: int) -> None:
        offset = number * where.part_size
        with self._means.pace.hold(size):
            for last_try in (False, True):
                data = self._read(where.key, where.offset + offset, size)
                if hashlib.sha256(data).hexdigest() == where.parts[number]:
                    break
                if last_try:
                    raise IntegrityError("the target returned other bytes than were archived")
            write(offset, data)
        self._means.progress.stored(0, size)

    # -- last: links --------------------------------------------------------------------------------

    def _link(self, place: str, entry: ManifestEntry) -> None:
        if entry.kind == "link":
            self._make_symlink(place, entry)
            return
        first = self._selection.place(entry.hardlink)
        if first is None:
            places = self._strays.get(entry.hardlink, [place])
            if place == places[0]:
                return
            first = places[0]
        self._make_hardlink(place, self._elsewhere.get(first, first), first)

    def _make_symlink(self, place: str, entry: ManifestEntry) -> None:
        facts = self._destination.find(place)
        if facts is not None and self._points_there(place, entry.target):
            if self._continued:  # it may have been cut off between the link and its time
                self._destination.finish_link(place, entry.attributes)
            self._work.restored.already += 1
        elif facts is not None and self._work.on_conflict == "skip":
            self._work.restored.skipped += 1
        else:
            written = self._destination.make_link(place, entry.target, entry.attributes)
            self._work.restored.files += 1
            self._lose(written.path, written.lost)
        self._means.progress.stored(1, 0)

    def _points_there(self, place: str, target: str) -> bool:
        return self._destination.link_target(place) == target

    def _make_hardlink(self, place: str, source: str, first: str) -> None:
        if not source:
            raise EntryError(f"{display(place)} shares its contents with {display(first)}, which was not restored")
        here, there = self._destination.find(place), self._destination.find(source)
        if here is not None and there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            self._work.restored.already += 1
        elif here is not None and self._work.on_conflict == "skip":
            self._work.restored.skipped += 1
        else:
            self._destination.make_hardlink(place, source)
            self._work.restored.files += 1
        self._means.progress.stored(1, 0)


def _only(fetch: Fetch, wanted: set[str]) -> Fetch:
    spans = [
        span._replace(files=tuple(one for one in span.files if one.path in wanted))
        for span in fetch.spans
        if any(one.path in wanted for one in span.files)
    ]
    return Fetch(fetch.key, fetch.offset, fetch.length, spans)
