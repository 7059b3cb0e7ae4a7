"""The public helpers for tests are right themselves."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.archive import run as archiving
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import StoreBusy
from archive_tasks.items.root import resolve_root
from archive_tasks.target.open import open_target
from archive_tasks.testing.stores import MemoryStore, StoreContract
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from archive_tasks.workers.processes import processes
from tests.conftest import NOW
from tests.support.bench import Watching
from tests.support.foreign import check_target
from tests.support.scanning import scan


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


def test_a_tree_has_the_ages_that_it_was_given(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    make_tree(tmp_path, {"a": File("x", age_days=1.5, mode=0o600), "d": {"l": Link("../a", age_days=2)}}, now=now)
    assert datetime.fromtimestamp((tmp_path / "a").stat().st_mtime, UTC) == now - timedelta(days=1.5)
    assert datetime.fromtimestamp((tmp_path / "d" / "l").lstat().st_mtime, UTC) == now - timedelta(days=2)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("change", ["contents", "mode", "time", "atime", "link", "name", "added"])
def test_every_change_of_a_tree_is_seen(tmp_path: Path, change: str) -> None:
    make_tree(tmp_path, {"a": File("x", age_days=3), "d": {"l": Link("a", age_days=3)}})
    before = read_tree(tmp_path)
    assert read_tree(tmp_path) == before
    a, old = tmp_path / "a", (tmp_path / "a").stat()
    if change == "contents":
        a.write_text("y")
        os.utime(a, ns=(old.st_atime_ns, old.st_mtime_ns))
    elif change == "mode":
        a.chmod(0o600)
    elif change in {"time", "atime"}:
        os.utime(a, ns=(old.st_atime_ns + (change == "atime"), old.st_mtime_ns + (change == "time")))
    elif change == "link":
        (tmp_path / "d" / "l").unlink()
        (tmp_path / "d" / "l").symlink_to("b")
    elif change == "name":
        a.rename(tmp_path / "b")
    else:
        (tmp_path / "d" / "new").mkdir()
    assert read_tree(tmp_path) != before


def test_a_trusted_store_is_proven_by_its_checksums(root: Path, tmp_path: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"a": File("x", age_days=90), "b": File(b"y" * 6_000_000, age_days=90)}}, now=NOW)
    store, session = MemoryStore(), make_session(root)
    with Catalogue(str(tmp_path / "data" / "c.sqlite"), target=store.url) as catalogue:
        target = open_target(store, catalogue, now=NOW, may_create=lambda _store: False)
        assert target.verdict.trusted
        with processes(files=0) as packing:
            outcome = archiving.archive(
                scan(session), resolve_root(session), session, target, progress=Watching(), helpers=packing
            )
        known = catalogue.known(outcome.archives[0].manifest)
    assert known is not None
    assert known.receipt is not None
    assert known.receipt.proven_by == "checksum"
    assert set(check_target(list(store.objects), store.objects.__getitem__)) == {"item"}
    assert not [key for method, key in store.calls if method == "read" and key.startswith("data/")]


def test_a_verdict_that_a_passing_fault_kept_open_is_not_remembered(tmp_path: Path) -> None:
    store = MemoryStore()
    faults = [StoreBusy("503")]
    original = store.put

    def put(key: str, data: bytes, **named: Any) -> None:
        if key.startswith("doctor/") and faults:
            raise faults.pop()
        original(key, data, **named)

    store.put = put  # type: ignore[method-assign]
    with Catalogue(str(tmp_path / "data" / "c.sqlite"), target=store.url) as catalogue:
        first = open_target(store, catalogue, now=NOW, may_create=lambda _store: False)
        second = open_target(store, catalogue, now=NOW, may_create=lambda _store: False)
        assert (first.verdict.trusted, second.verdict.trusted) == (False, True)
        catalogue.set_fact("verdict", "{damaged")
        assert open_target(store, catalogue, now=NOW, may_create=lambda _store: False).verdict.trusted
