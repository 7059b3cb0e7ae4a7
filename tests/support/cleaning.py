"""What tests of cleaning share: a root, a target, runs of archive, clean and undo between them, and where bytes are."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from archive_tasks.archive import run as archiving
from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.clean.undo import Undone
from archive_tasks.flows.clean import CleanRequest, clean_root
from archive_tasks.flows.planning import make_plan
from archive_tasks.flows.undo import undo_root
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.items.root import resolve_root, root_path
from archive_tasks.model import Outcome
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import Store
from archive_tasks.target.open import open_target
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from archive_tasks.workers.processes import processes
from tests.conftest import NOW
from tests.support.foreign import folder_fetch, folder_keys
from tests.support.movers import sums_in_target
from tests.support.restoring import Silent

LOOKS_AT_PROCESSES = ("open_files", "machine_locks")
"""Guards that take as many looks as there are processes on the machine: no two runs are alike with them."""
Wrap = Callable[[Store], Store]


class CleanBench:
    """Everything in this process, and nothing of it remembered between two runs but what lies on the disk."""

    def __init__(self, root: Path, folder: Path, make_session: Any, *, target: str = "") -> None:
        self.root = root
        self.folder = folder
        self.target = target or (folder / "target").as_uri()
        self.wrap: Wrap = lambda store: store
        self.plugins_off: tuple[str, ...] = ()
        self._make_session = make_session

    def session(self, *, now: datetime = NOW, plugins: Any = (), **settings: Any) -> Session:
        session: Session = self._make_session(
            self.root, now=now, plugins=plugins, target=self.target, plugins_off=self.plugins_off, **settings
        )
        opened = session.open_store
        session.open_store = lambda url: self.wrap(opened(url))  # type: ignore[method-assign]
        return session

    def archive(self, **settings: Any) -> Outcome:
        session = self.session(**settings)
        plan = make_plan(resolve_root(session), session)
        store = session.open_store(self.target)
        with Catalogue(catalogue_path(session.data, self.target), target=self.target) as catalogue:
            target = open_target(store, catalogue, now=session.now, may_create=lambda _store: True)
            with processes(files=0) as packing:
                return archiving.archive(
                    plan, resolve_root(session), session, target, progress=Silent(), helpers=packing
                )

    def clean(
        self,
        mode: str = "quarantine",
        *,
        now: datetime = NOW,
        plugins: Any = (),
        clean_request: Any = None,
        **limits: Any,
    ) -> dict[str, Any]:
        """Run `clean --yes`; limits are those of `archive.clean`."""
        days = limits.pop("days", 30)
        session = self.session(now=now, plugins=plugins, days=days, clean={"mode": mode, "max_share": 100, **limits})
        return clean_root(session, CleanRequest(**{"yes": True, **(clean_request or {})}), Console(json_document=True))

    def undo(self, item: str | None = None, *, everything: bool = False) -> Undone:
        return undo_root(
            root_path(self.session()), self.session(), item, Console(json_document=True), everything=everything
        )

    def notes(self, *what: str) -> list[dict[str, str]]:
        with Catalogue(catalogue_path(self.session().data, self.target)) as catalogue:
            return [details for _, _, details in journal.notes(catalogue, *what)]

    # -- where bytes are ----------------------------------------------------------------------------

    def home(self) -> dict[str, Any]:
        """What lies in the root, but for what is set aside."""
        return {path: entry for path, entry in read_tree(self.root).items() if not path.startswith(SET_ASIDE)}

    def slots(self) -> list[Path]:
        quarantine = self.root / SET_ASIDE
        return sorted(path for path in quarantine.iterdir() if path.is_dir()) if quarantine.exists() else []

    def quarantine(self) -> dict[str, Any]:
        """What is set aside, by its path at home."""
        found: dict[str, Any] = {}
        for slot in self.slots():
            if (slot / "item").exists():
                found |= read_tree(slot / "item")
        return found

    def sums_of(self, *folders: Path) -> set[str]:
        """SHA-256 of every file at home, set aside, or in further folders."""
        return {sum_ for folder in (self.root, *folders) for sum_ in sums_in(read_tree(folder))}

    def sums_in_target(self) -> set[str]:
        """SHA-256 of every file that the target's manifests give back, read by none of our own code."""
        return sums_in_target(*self.strangers_view())

    def strangers_view(self) -> tuple[list[str], Callable[[str], bytes]]:
        """The target's keys, and how to fetch one, by no code of ours."""
        folder = Path(self.target.removeprefix("file://"))
        return folder_keys(folder), folder_fetch(folder)


def sums_in(tree: dict[str, Any]) -> set[str]:
    """SHA-256 of the files in what `read_tree` gave."""
    return {entry.contents for entry in tree.values() if entry.kind == "-"}


def make_items(root: Path) -> None:
    """Three stale items of every kind of entry, and a fresh one."""
    make_tree(
        root,
        {
            "papers": {f"p{number}": File(f"paper {number}", age_days=400) for number in range(4)}
            | {
                "link": Link("p1", age_days=400),
                "empty": File("", age_days=400),
                "hollow": {},
                "sub": {"x": File("x", age_days=90)},
            },
            "film": {"reel": File(b"reel" * 300_000, age_days=500), "cut": File(b"cut", age_days=500)},
            "note": File("note", age_days=600),
            "fresh": {"today": File("today", age_days=1)},
        },
        now=NOW,
    )
    os.link(root / "papers" / "p0", root / "papers" / "sub" / "same as p0")
