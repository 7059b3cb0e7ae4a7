"""What the items of one restore share: what it works with, what it did, and what is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.disk.destination import Destination, FolderId
from archive_tasks.disk.give_name import OnConflict
from archive_tasks.errors import StoreBusy
from archive_tasks.events import EntryFailed, Progress
from archive_tasks.model import Archive, Failure
from archive_tasks.store import Store
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.read_object import read_object
from archive_tasks.workers.processes import Processes

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
        lost: what restored entries are back without.
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
class RestoreContext:
    """What a restore works with."""

    store: Store
    catalogue: Catalogue
    pace: Pace
    patience: Patience
    helpers: Processes
    progress: Progress
    concurrency: int


class RestoreRun:
    """One restore. The methods that count and report are for any thread, the others for the one that walks.

    Attributes:
        fetchers: threads that ask the store.
        write_how: what the destination does where a name is taken.
        frozen: keys of objects that are known to be in a cold class.
    """

    def __init__(
        self, context: RestoreContext, fetchers: ThreadPoolExecutor, *, on_conflict: Conflict, frozen: frozenset[str]
    ) -> None:
        self.context = context
        self.fetchers = fetchers
        self.on_conflict = on_conflict
        self.write_how: OnConflict = "refuse" if on_conflict == "skip" else on_conflict
        self.frozen = frozen
        self.restored = Restored()
        self._lock = threading.Lock()
        self._under_way: set[Future[None]] = set()
        self._destination: Destination | None = None
        self._folders: dict[str, FolderId] = {}
        self._problem = ""

    def destination(self, path: str) -> Destination:
        """The open destination at `path`, good until another is asked for: most items share one."""
        if self._destination is None or self._destination.path != path:
            self.close()
            self._destination = Destination(path, on_conflict=self.write_how, folder=self._folders.get(path))
            self._folders[path] = self._destination.folder
        return self._destination

    def close(self) -> None:
        """Close the destination."""
        if self._destination is not None:
            self._destination.close()
            self._destination = None

    # -- what is under way --------------------------------------------------------------------------

    def start(self, work: Callable[[], None]) -> None:
        """Have something done by a fetcher; waits while much is under way."""
        self._under_way.add(self.fetchers.submit(work))
        while len(self._under_way) > _UNDER_WAY:
            done, self._under_way = wait(self._under_way, return_when="FIRST_COMPLETED")
            raise_first(done)

    def settle(self) -> None:
        """Wait for what is under way."""
        done, self._under_way = wait(self._under_way)[0], set()
        raise_first(done)

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Ask the store for a range.

        Raises:
            StoreBusy: it does not answer, and gets no more requests in this restore.
            StoreError: whatever else it answers.
        """
        if self._problem:
            raise StoreBusy(self._problem)
        store = self.context.store
        try:
            return read_object(store, key, self.context.patience, offset=offset, length=length)
        except StoreBusy as error:
            self._problem = str(error)
            raise

    @property
    def problem(self) -> str:
        """Why the store gets no more requests; empty while it does."""
        return self._problem

    # -- what was done ------------------------------------------------------------------------------

    def wrote(self, size: int, *, is_told: bool = False) -> None:
        """A file or link of `size` bytes was written; `is_told` when its bytes were already reported as progress."""
        with self._lock:
            self.restored.files += 1
            self.restored.bytes += size
        self.context.progress.stored(1, 0 if is_told else size)

    def was_there(self, size: int) -> None:
        """A file or link was there already, and the same."""
        with self._lock:
            self.restored.already += 1
        self.context.progress.stored(1, size)

    def skip(self) -> None:
        """A name was taken, and the user said to leave those."""
        with self._lock:
            self.restored.skipped += 1

    def fail(self, path: str, reason: str) -> None:
        with self._lock:
            self.restored.failed.append(Failure(path, reason))
        self.context.progress.event(EntryFailed(path=path, reason=reason))

    def lose(self, path: str, lost: Sequence[str]) -> None:
        """What is restored to `path` is back without these."""
        with self._lock:
            self.restored.lost += [Failure(path, what) for what in lost]

    def freeze(self, key: str, size: int) -> None:
        """`size` bytes are wanted of an object that must be thawed first."""
        with self._lock:
            self.restored.frozen[key] = self.restored.frozen.get(key, 0) + size


def raise_first(done: set[Future[None]]) -> None:
    """Raise what one of them raised."""
    for one in done:
        one.result()
