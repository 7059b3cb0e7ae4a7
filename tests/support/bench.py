"""A root, a folder target, and runs of the archive workflow between them: what many tests begin with."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive_tasks.archive import run as archiving
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.events import Event
from archive_tasks.items.root import resolve_root
from archive_tasks.model import Outcome
from archive_tasks.session import Session
from archive_tasks.store import Store
from archive_tasks.target.open import Target, open_target
from archive_tasks.workers.processes import processes
from tests.support.foreign import (
    check_target,
    folder_fetch,
    folder_keys,
    restore_by_hand,
)
from tests.support.scanning import scan

MIB = 1024 * 1024


class Watching:
    """A progress that remembers what it is told, and does what a test wants at an event."""

    def __init__(self, at: Callable[[Event], None] = lambda _event: None) -> None:
        self.events: list[Event] = []
        self.files = self.bytes = 0
        self._at = at
        self._lock = threading.Lock()

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._at(event)

    def stored(self, files: int, size: int) -> None:
        with self._lock:
            self.files += files
            self.bytes += size


class Bench:
    """A root, a folder target, and runs of the archive workflow between them."""

    def __init__(self, root: Path, target: Path, make_session: Any, catalogue: Path) -> None:
        self.root = root
        self.target = target
        self.catalogue = catalogue
        self._make_session = make_session

    def run(self, *, wrap: Callable[[Store], Store] = lambda store: store, at: Any = None, **options: Any) -> Outcome:
        self.watching = Watching(at) if at else Watching()
        session: Session = self._make_session(self.root, part_size=5 * MIB, **options)
        store = wrap(session.open_store(self.target.as_uri()))
        plan = scan(session, private=[str(self.target)])
        with Catalogue(str(self.catalogue), target=store.url) as catalogue:
            target = self._open(store, catalogue, session)
            with processes(files=0) as packing:
                return archiving.archive(
                    plan, resolve_root(session), session, target, progress=self.watching, helpers=packing
                )

    def _open(self, store: Store, catalogue: Catalogue, session: Session) -> Target:
        return open_target(store, catalogue, now=session.now, may_create=lambda _store: True)

    def listed(self, below: str = "") -> list[str]:
        return folder_keys(self.target, below)

    def items(self) -> dict[str, str]:
        return check_target(self.listed(), folder_fetch(self.target))

    def restored(self, item: str, destination: Path) -> None:
        restore_by_hand((self.target / self.items()[item]).read_bytes(), folder_fetch(self.target), destination)


def without_times_of_reading(tree: dict[str, Any]) -> dict[str, Any]:
    return {path: entry._replace(atime_ns=0) if entry.kind != "d" else entry.kind for path, entry in tree.items()}
