"""kill -9 at hundreds of moments of every kind of run: nothing half, nothing lost, nothing twice, and the next run
finishes it.

`KILL_POINTS=all pytest tests/whole/test_kill_matrix.py` kills at every event.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.catalogue.forget import forget_entries
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.disk.folders import TEMPORARY
from archive_tasks.settings import make_settings
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.testing.trees import File, Link, TreeEntry, make_tree, read_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.foreign import check_target, folder_fetch, keys_of_archive, of_items
from tests.support.kills import count_events, run_and_die, spread
from tests.support.restoring import bring_back, comparable

MIB = 1024 * 1024
ITEMS = {"papers", "film", "note"}
PARTS = 3
EVERY = os.environ.get("KILL_POINTS") == "all"
pytestmark = pytest.mark.timeout(7200 if EVERY else 300)

Tree = Mapping[str, TreeEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A kind of run, and what must be true of what it leaves.

    Attributes:
        run: what is killed, and done again.
        at_once: fails when something is half done after a kill.
        in_the_end: fails when something is missing, or there twice, after the run that followed.
    """

    run: Callable[[], object]
    at_once: Callable[[], None]
    in_the_end: Callable[[], None]


class Place:
    """A root that must never change, and beside it a folder with all that a run may write to."""

    def __init__(self, root: Path, folder: Path, make_session: Any) -> None:
        self.root = root
        self.written = folder / "written"
        self.out = self.written / "out"
        self.bench = Bench(root, self.written / "target", make_session, self.written / "data" / "catalogue.sqlite")
        self._before = folder / "before"
        fill(root)
        self.source = read_tree(root)

    def store(self) -> FolderStore:
        return FolderStore(self.bench.target.as_uri(), make_settings({"part_size": "5M"}, {}, {}))

    def remember(self) -> None:
        """What is there now is what each run begins with."""
        self.written.mkdir(exist_ok=True)
        shutil.copytree(self.written, self._before, symlinks=True)

    def go_back(self) -> None:
        shutil.rmtree(self.written)
        shutil.copytree(self._before, self.written, symlinks=True)


def fill(root: Path) -> None:
    papers = {
        "a": File("alpha", age_days=400, mode=0o640),
        "empty": File("", age_days=400),
        "sub": {"b": File("b" * 5000, age_days=300), "hollow": {}},
        "link": Link("sub/b", age_days=400),
    }
    film = {"reel": File(os.urandom(5 * MIB + 7), age_days=400), "title": File("film", age_days=400)}
    make_tree(root, {"papers": papers, "film": film, "note": File("note", age_days=400)}, now=NOW)
    os.link(root / "papers" / "a", root / "papers" / "same")


# -- archiving ----------------------------------------------------------------------------------------


def archiving(place: Place, **options: Any) -> Scenario:
    bench = place.bench

    def run() -> None:
        assert not bench.run(items_at_once=2, concurrency=2, **options).failed

    def no_half() -> None:
        if bench.target.exists():
            assert set(check_target(bench.listed(), folder_fetch(bench.target))) <= ITEMS

    def complete() -> None:
        """Every item once, every object spoken of, and none beside."""
        items = bench.items()
        assert set(items) == ITEMS
        spoken_of = [key for item in items.values() for key in keys_of_archive((bench.target / item).read_bytes())]
        assert sorted(of_items(spoken_of)) == of_items(bench.listed("data/"))
        assert len(bench.listed("manifests/")) == len(ITEMS)

    return Scenario(run=run, at_once=no_half, in_the_end=complete)


def archive_with_packs(place: Place) -> Scenario:
    return archiving(place)


def archive_with_plain_objects(place: Place) -> Scenario:
    return archiving(place, pack_below=0)


def archive_with_a_catalogue_that_exists(place: Place) -> Scenario:
    """The target and its verdict are known, and one item is there."""
    quarantine = place.root.with_name("aside")
    quarantine.mkdir()
    for name in ITEMS - {"note"}:
        (place.root / name).rename(quarantine / name)
    place.bench.run()
    for name in ITEMS - {"note"}:
        (quarantine / name).rename(place.root / name)
    return archiving(place)


# -- restoring ----------------------------------------------------------------------------------------


def restoring(place: Place, *, mine: Tree, **options: Any) -> Scenario:
    expected = comparable(dict(mine) | place.source)

    def run() -> None:
        assert not bring_back(place.store(), place.bench.catalogue, place.out, **options).failed

    def no_half() -> None:
        """Every name has what was there or what was archived, and nothing of the user's is gone."""
        there = named(place.out)
        assert mine.keys() <= there.keys()
        for path, entry in there.items():
            assert entry.contents in {tree[path].contents for tree in (mine, place.source) if path in tree}, path

    def complete() -> None:
        assert comparable(named(place.out)) == expected

    return Scenario(run=run, at_once=no_half, in_the_end=complete)


def named(out: Path) -> dict[str, TreeEntry]:
    """The tree without files that have only the temporary name of their writer."""
    tree = read_tree(out) if out.exists() else {}
    return {path: entry for path, entry in tree.items() if not path.endswith(TEMPORARY)}


def restore_from_packs(place: Place) -> Scenario:
    place.bench.run()
    return restoring(place, mine={})


def restore_from_plain_objects(place: Place) -> Scenario:
    place.bench.run(pack_below=0)
    return restoring(place, mine={})


def restore_that_overwrites(place: Place) -> Scenario:
    place.bench.run()
    papers = {"a": "mine", "mine alone": "mine", "sub": {"b": Link("../a")}, "link": Link("a")}
    make_tree(place.out, {"papers": papers, "film": {"reel": "mine"}, "note": "mine"}, now=NOW)
    return restoring(place, mine=read_tree(place.out), on_conflict="overwrite")


# -- the catalogue ------------------------------------------------------------------------------------


def catalogue_rebuilt(place: Place) -> Scenario:
    """Forgetting what follows from the target and reading it anew, as `catalogue --rebuild` does."""
    place.bench.run()
    store = place.store()
    before = known_of(place.bench.catalogue)

    def run() -> None:
        with Catalogue(str(place.bench.catalogue), target=store.url) as catalogue:
            forget_entries(catalogue, now=NOW)
            patience = Patience(pace=Pace(concurrency=2, memory=64 * MIB), seconds=0)
            assert not sync(store, catalogue, patience=patience, now=NOW, concurrency=2).unreadable

    def nothing_lost() -> None:
        assert known_of(place.bench.catalogue)["archives"] == before["archives"]

    def complete() -> None:
        assert known_of(place.bench.catalogue) == before

    return Scenario(run=run, at_once=nothing_lost, in_the_end=complete)


def known_of(path: Path) -> dict[str, Any]:
    with Catalogue(str(path)) as catalogue:
        indexed = catalogue.rows("select manifest from indexed order by 1")
        lines = {one: list(kept_records(catalogue, one)) for (one,) in indexed}
        return {"archives": catalogue.archives(), "lines": lines}


# -- the matrix ---------------------------------------------------------------------------------------

POINTS = {
    archive_with_packs: 48,
    archive_with_plain_objects: 48,
    archive_with_a_catalogue_that_exists: 48,
    restore_from_packs: 40,
    restore_from_plain_objects: 40,
    restore_that_overwrites: 40,
    catalogue_rebuilt: 30,
}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("make", POINTS)
def test_killed_at_any_moment_it_leaves_nothing_half_and_the_next_run_finishes_it(
    make: Callable[[Place], Scenario], part: int, root: Path, tmp_path: Path, make_session: Any
) -> None:
    place = Place(root, tmp_path, make_session)
    scenario = make(place)
    place.remember()
    events = count_events(scenario.run)
    wanted = events if EVERY else POINTS[make]
    killed = 0
    for step in spread(events, wanted)[part::PARTS]:
        place.go_back()
        killed += run_and_die(scenario.run, at=step)
        scenario.at_once()
        scenario.run()
        scenario.in_the_end()
        assert read_tree(root) == place.source, "the source was touched"
    print(f"{make.__name__}: killed at {killed} of {events} events")
    assert killed >= 0.9 * wanted / PARTS - 1  # threads make some runs a few events shorter than the counted one
