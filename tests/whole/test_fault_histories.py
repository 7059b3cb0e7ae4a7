"""Random histories of a store that fails: every run ends done or with a clean word, and nothing is lost or wrong."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import ArchiveTasksError
from archive_tasks.testing.faults import FAULTS, FailingStore
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.foreign import check_archives
from tests.support.restoring import bring_back, comparable

HISTORIES = int(os.environ.get("HISTORIES", "300"))
"""By hand, e.g. `HISTORIES=100000`."""
PARTS = 12
pytestmark = pytest.mark.timeout(0 if "HISTORIES" in os.environ else 600)


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive_tasks.target.pace.Pace.sleep", lambda _self, _seconds: None)


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_a_store_does_nothing_is_lost_and_nothing_wrong_comes_back(
    root: Path, tmp_path: Path, make_session: Any, part: int
) -> None:
    make_tree(
        root,
        {
            "papers": {f"p{number}": File(f"paper {number}" * 50, age_days=400) for number in range(3)}
            | {"link": Link("p1", age_days=400), "empty": File("", age_days=400)},
            "note": File("note", age_days=400),
        },
        now=NOW,
    )
    before = read_tree(root)
    faults: Counter[str] = Counter()
    for seed in range(part, HISTORIES, PARTS):
        history = _History(root, tmp_path / str(seed), make_session, seed)
        history.run()
        faults.update(f"{operation} {fault}" for operation, fault in history.failing.happened)
        assert read_tree(root) == before
        shutil.rmtree(history.folder)
    assert {one.rpartition(" ")[0].split()[0] for one in faults} >= {"put", "read", "describe"}


class _History:
    def __init__(self, root: Path, folder: Path, make_session: Any, seed: int) -> None:
        self.folder = folder
        folder.mkdir()
        chance = random.Random(seed)
        self.memory = MemoryStore()
        self.failing = FailingStore(
            self.memory,
            chance,
            rate=chance.choice((0.05, 0.2, 0.6)),
            faults=chance.sample(FAULTS, chance.randint(2, len(FAULTS))),
        )
        self.catalogue = folder / "catalogue.sqlite"
        self.bench = Bench(root, folder / "target", make_session, self.catalogue)
        self.pack_below = chance.choice(("0", "1M"))
        self.root = root

    def run(self) -> None:
        for _ in range(2):
            self._archive()
            self.check_no_half()
        self._restore(self.folder / "early")
        self.failing.heal()
        outcome = self._archive()
        assert outcome is not None
        assert not outcome.failed
        assert self.check_no_half() == {"papers", "note"}
        assert not self._restore(self.folder / "late")
        assert comparable(read_tree(self.folder / "late")) == comparable(read_tree(self.root))

    def check_no_half(self) -> set[str]:
        """Every manifest refers to what is there, and to nothing else.

        A store whose listing hides an archive may be given another one of the same: both are whole.
        """
        keys = sorted(self.memory.objects)
        return {item for _, item in check_archives(keys, self.memory.objects.__getitem__).values()}

    def _archive(self) -> Any:
        try:
            return self.bench.run(
                wrap=lambda _store: self.failing,  # type: ignore[arg-type,return-value]
                pack_below=self.pack_below,
                items_at_once=1,
                concurrency=1,
                retry_minutes=1,
            )
        except ArchiveTasksError:
            return None

    def _restore(self, to: Path) -> list[Any]:
        """What is written is right, whatever fails."""
        try:
            failed = bring_back(self.failing, self.catalogue, to, seconds=60).failed  # type: ignore[arg-type]
        except ArchiveTasksError as error:
            failed = [error]  # type: ignore[list-item]
        whole = comparable(read_tree(self.root))
        for path, entry in comparable(read_tree(to) if to.exists() else {}).items():
            assert entry.kind == "d" or entry.contents == whole[path].contents, path
        return list(failed)
