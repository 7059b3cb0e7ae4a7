"""Runs that were cut off, and resumed by two installations at once: one data folder was copied, with a disk perhaps.

Both believe that the attempt is theirs. On a server that lets a write replace what is there, each could put its own
bytes under the other's keys.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import StoreUnusable
from archive_tasks.model import Outcome
from archive_tasks.store import Store
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.foreign import check_archives, exact, folder_fetch, folder_keys, manifest_lines

NAMES = ["a", "b", "c", "d"]


class Replacing:
    """A store that lets a write replace what is there.

    Args:
        before: called with the key of each file right before it is written.
    """

    def __init__(self, store: Store, before: Callable[[str], None]) -> None:
        self._store = store
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes, **named: Any) -> None:
        if "/files/" in key:
            self._before(key)
        if "/files/" in key and self._store.describe(key):
            self._store.delete(key)
        self._store.put(key, data, **named)


class Twins:
    """Two installations that were one when their run was cut off, each with a root of its own at the same path."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self._folders = {"one": folder / "one", "other": folder / "other"}
        self._cut_off()
        for at in self._folders.values():
            shutil.copytree(bench.root, at / "root")
            shutil.copytree(bench.catalogue.parent, at / "data")
        path = self._folders["other"] / "root" / "item" / "d"
        facts = path.stat()
        path.write_bytes(b"D" * facts.st_size)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def _cut_off(self) -> None:
        written: list[str] = []

        def stop(key: str) -> None:
            written.append(key)
            if len(written) > 1:
                raise StoreUnusable("cut off")

        with pytest.raises(StoreUnusable):
            self.run("", stop)

    def run(self, which: str, before: Callable[[str], None] = lambda _key: None) -> Outcome:
        """Archive. The root of the one that runs is put in the common place for so long."""
        with self._in_place(which):
            return self.bench.run(
                pack_below=0,
                device="twins",
                concurrency=1,
                wrap=lambda store: Replacing(store, before),  # type: ignore[arg-type, return-value]
            )

    @contextmanager
    def _in_place(self, which: str) -> Iterator[None]:
        if not which:
            yield
            return
        catalogue, root, folder = self.bench.catalogue, self.bench.root, self._folders[which]
        away = root.with_name(f"root while {which} runs")
        self.bench.catalogue = folder / "data" / catalogue.name
        os.rename(root, away)
        os.rename(folder / "root", root)
        try:
            yield
        finally:
            self.bench.catalogue = catalogue
            os.rename(root, folder / "root")
            os.rename(away, root)

    def check(self) -> list[bytes]:
        """Every archive has the bytes that its manifest says. Returns what each has of the file that differs."""
        keys, fetch = folder_keys(self.bench.target), folder_fetch(self.bench.target)
        found = []
        for manifest in check_archives(keys, fetch):
            found += [fetch(one["key"]) for one in manifest_lines(fetch(manifest))[1:] if is_of(one, "item/d")]
        return sorted(found)


def is_of(line: dict[str, Any], path: str) -> bool:
    return "path" in line and exact(line, "path") == path


@pytest.fixture
def twins(root: Path, tmp_path: Path, make_session: Any) -> Twins:
    make_tree(root, {"item": {name: File(name * 50, age_days=400) for name in NAMES}}, now=NOW)
    bench = Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")
    return Twins(bench, tmp_path)


def test_one_after_the_other_they_make_two_archives_each_whole(twins: Twins) -> None:
    assert len(twins.run("one").archives) == 1
    assert len(twins.run("other").archives) == 1
    assert twins.check() == [b"D" * 50, b"d" * 50]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_at_once_they_make_two_archives_each_whole(twins: Twins, at: int) -> None:
    """The other one archives, and may free its disk, while one is about to write."""
    written: list[str] = []

    def meanwhile(key: str) -> None:
        written.append(key)
        if len(written) == at:
            assert len(twins.run("other").archives) == 1
            assert b"D" * 50 in twins.check()

    twins.run("one", meanwhile)
    assert b"D" * 50 in twins.check(), "what the other one may have freed is as it was"
    twins.run("one")
    assert twins.check() == [b"D" * 50, b"d" * 50]
