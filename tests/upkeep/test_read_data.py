"""Reading every byte of a target while it changes: what vanishes, and what a bucket moves to a cold class meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import ObjectFrozen
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.verified import Verified, VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.upkeep.test_verify import patience

FILES = {f"f{number:02}": File(os.urandom(60_000), age_days=400) for number in range(40)}


class Changing(MemoryStore):
    """A store that changes when an object that ends so is read."""

    ending = "nothing"
    change: Callable[[Changing, str], None] = lambda _store, _key: None

    def read(self, key: str, **more: Any) -> Iterator[bytes]:
        if key.endswith(self.ending):
            type(self).change(self, key)
        return super().read(key, **more)


def vanish(store: Changing, key: str) -> None:
    store.objects.pop(key, None)
    store._facts.pop(key, None)


def freeze(_store: Changing, key: str) -> None:
    raise ObjectFrozen(f"{key} is in a cold class")


@pytest.fixture
def store(root: Path, make_session: Any, tmp_path: Path) -> Changing:
    made = Changing()
    make_tree(root, {"item": FILES, "other": {"a": File("a", age_days=400)}}, now=NOW)
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    outcome = bench.run(wrap=lambda _store: made)  # type: ignore[arg-type, return-value]
    assert len(outcome.archives) == 2
    return made


def look(store: Changing, **ask: Any) -> Verified:
    asked = VerifyOptions(**{"trusted": False, "read": 1.0, **ask})
    return verify(store, asked, patience=patience(), concurrency=4)


def test_a_pack_that_vanishes_after_it_was_listed_is_damage_and_ends_nothing(
    store: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pack,) = [key for key in store.objects if "/item~" in key and key.endswith("00001.tar.zst")]
    monkeypatch.setattr(store, "ending", pack, raising=False)
    monkeypatch.setattr(Changing, "change", vanish)
    verified = look(store)
    assert verified.archives == 2
    assert {one.item for one in verified.damaged} == {f"item/{name}" for name in FILES}
    assert all(one.reason.endswith(f"({pack})") for one in verified.damaged)


def test_a_pack_that_turns_cold_after_it_was_listed_is_not_read_and_no_damage(
    store: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pack,) = [key for key in store.objects if "/item~" in key and key.endswith("00001.tar.zst")]
    whole = look(store)
    monkeypatch.setattr(store, "ending", pack, raising=False)
    monkeypatch.setattr(Changing, "change", freeze)
    verified = look(store)
    assert (verified.damaged, verified.frozen) == ([], 1)
    assert verified.read == whole.read - len(store.objects[pack])


def test_what_is_counted_by_several_threads_is_counted_whole(root: Path, make_session: Any, tmp_path: Path) -> None:
    store = MemoryStore()
    make_tree(root, {"item": {f"f{number}": File("x", age_days=400) for number in range(300)}}, now=NOW)
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    bench.run(wrap=lambda _store: store, pack_below=0)  # type: ignore[arg-type, return-value]
    asked = VerifyOptions(trusted=True, quick=True)
    assert verify(store, asked, patience=patience(), concurrency=8).trusted == 300
