from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.guards import reasons as ask_guard

OLD = File("x" * 5000, age_days=400)


def reasons(root: Path, name: str = "item") -> list[str]:
    return ask_guard(root, name, "sqlite_journals")


def said(path: str, why: str) -> str:
    return f"{path} is a database that no program has closed ({why}): open and close it with its program"


@pytest.fixture(name="item")
def _item(root: Path) -> Iterator[Path]:
    item = root / "item"
    item.mkdir()
    return item


def filled(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES (randomblob(20000))")
    return connection


def test_a_database_with_changes_in_its_log_keeps_its_item_until_it_is_closed(root: Path, item: Path) -> None:
    with closing(filled(item / "a.db", "WAL")):
        assert (item / "a.db-wal").stat().st_size > 0
        assert reasons(root) == [said("item/a.db", "changes are still in a.db-wal")]
    assert reasons(root) == []


def test_a_log_that_a_crash_left_keeps_its_item(root: Path, item: Path) -> None:
    with closing(filled(item / "a.db", "WAL")):
        (root / "crashed").mkdir()
        for name in ("a.db", "a.db-wal"):
            shutil.copy(item / name, root / "crashed" / name)
    assert reasons(root, "crashed") == [said("crashed/a.db", "changes are still in a.db-wal")]


def test_a_database_in_mid_change_keeps_its_item_and_after_it_does_not(root: Path, item: Path) -> None:
    with closing(filled(item / "a.db", "DELETE")) as connection:
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET x = 5")
        connection.execute("PRAGMA cache_spill = 1")
        assert (item / "a.db-journal").stat().st_size > 0
        assert reasons(root) == [said("item/a.db", "a change is unfinished in a.db-journal")]
        connection.execute("COMMIT")
        assert reasons(root) == []


def test_a_journal_that_was_cut_to_nothing_is_none(root: Path, item: Path) -> None:
    with closing(filled(item / "a.db", "TRUNCATE")):
        assert (item / "a.db-journal").stat().st_size == 0
        assert reasons(root) == []


def test_a_database_that_is_open_without_changes_is_told_by_its_shared_memory(root: Path, item: Path) -> None:
    with closing(filled(item / "a.db", "WAL")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert (item / "a.db-wal").stat().st_size == 0
        assert reasons(root) == [said("item/a.db", "a.db-shm is there only while it is open, or after a crash")]


def test_a_database_in_the_root_and_its_log_are_items_that_are_kept(root: Path) -> None:
    make_tree(root, {"other.db": OLD}, now=NOW)
    with closing(filled(root / "a.db", "WAL")):
        for name in ("a.db", "a.db-wal", "a.db-shm"):
            assert reasons(root, name) == [said("a.db", "changes are still in a.db-wal")]
        assert reasons(root, "other.db") == []


def test_files_that_only_have_such_names_keep_nothing(root: Path) -> None:
    make_tree(
        root,
        {
            "item": {
                "trip": OLD,
                "trip-journal": OLD,
                "lonely-wal": OLD,
                "folder": {"a": OLD},
                "folder-wal": OLD,
                "whole": File("x" * 1024, 400),
                "whole-shm": OLD,
                "-wal": OLD,
            }
        },
        now=NOW,
    )
    os.mkfifo(root / "item" / "whole-journal")
    (root / "item" / "whole-wal").symlink_to("trip")
    assert reasons(root) == []
