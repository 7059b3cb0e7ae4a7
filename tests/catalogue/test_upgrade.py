"""Catalogues of older versions become one of this version, or are said to be damaged; nothing that they knew is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.damage import check
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import is_indexed, kept_frames
from archive_tasks.catalogue.restores import begin_restore
from archive_tasks.catalogue.rows import RECEIPT_COLUMNS, proof_of, proof_of_block
from archive_tasks.catalogue.runs import runs_of
from archive_tasks.catalogue.schema import COLUMNS_OF_3, MIGRATIONS, SCHEMA_VERSION
from archive_tasks.errors import CatalogueDamaged
from archive_tasks.model import Source
from tests.conftest import NOW

ME = "1" * 32
MANIFEST = "manifests/laptop/Documents/2024-01-31/thesis~{}.jsonl.zst"
RECEIPT = ("ab" * 32, "read-back", NOW.isoformat())


class Old:
    """A catalogue of version 3, as that wrote it."""

    def __init__(self, path: Path, version: int = 3) -> None:
        self.path = path
        with self.writing() as write:
            for migration in MIGRATIONS[:version]:
                write.executescript(migration)
            write.execute(f"pragma user_version = {version}")
            write.execute("insert into facts values ('vault', 'the id')")
            write.execute("insert into runs (id, started, root) values (1, ?, ?)", (NOW.isoformat(), b"/home/anna"))

    def writing(self) -> Any:
        connection = sqlite3.connect(self.path, isolation_level=None)
        return closing(connection)

    def put(self, number: int, *, run: int | None = None, receipt: bool = False, blocks: int = 0) -> str:
        """An archive. Returns the key of its manifest."""
        id_ = f"{number:032x}"
        key = MANIFEST.format(id_)
        row = (id_, run, b"thesis", b"/home/anna", "laptop/Documents", key, 3, 40, NOW.isoformat(), "5e")
        row = (*row, "laptop", "GLACIER_IR", 99)
        proven = RECEIPT if receipt else (None,) * len(RECEIPT_COLUMNS)
        with self.writing() as write:
            marks = ",".join("?" * (len(row) + 1))
            columns = ", ".join((*COLUMNS_OF_3, "proof"))
            write.execute(f"insert into archives ({columns}) values ({marks})", (*row, proof_of(*row, *proven)))
            if receipt:
                write.execute("insert into receipts values (?,?,?,?)", (id_, *proven))
            if blocks:
                write.execute("insert into indexed (archive_id, blocks) values (?, ?)", (id_, blocks))
            for at in range(blocks):
                lines = b"lines %d of %d" % (at, number)
                write.execute(
                    "insert into blocks (archive_id, number, names, lines, proof) values (?,?,?,?,?)",
                    (id_, at, b"", lines, proof_of_block(id_, at, lines)),
                )
        return key

    def run(self, statement: str, *values: object) -> None:
        with self.writing() as write:
            write.execute(statement, values)

    def open(self, device: str = ME) -> Catalogue:
        return Catalogue(str(self.path), device=device)


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path / "catalogue.sqlite")


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(
            connection.execute("select type, name, tbl_name from sqlite_master where name not like 'sqlite%'")
        )


def test_of_every_version_the_same_tables_come(tmp_path: Path) -> None:
    Catalogue(str(tmp_path / "new")).close()
    expected = schema(tmp_path / "new")
    for version in range(1, SCHEMA_VERSION):
        path = tmp_path / f"of {version}"
        with Old(path, version).open() as catalogue:
            assert catalogue.fact("vault") == "the id"
            assert [run.root for run in runs_of(catalogue)] == ["/home/anna"]
            assert catalogue.rows("pragma user_version") == [(SCHEMA_VERSION,)]
        assert schema(path) == expected, version


def test_an_archive_is_named_by_its_manifest_and_keeps_all_that_was_known_of_it(old: Old) -> None:
    key = old.put(5, run=1, receipt=True)
    with old.open() as catalogue:
        (known,) = catalogue.archives()
        archive, receipt = known.archive, known.receipt
        assert (archive.manifest, archive.id, archive.item, archive.root) == (key, f"{5:032x}", "thesis", "/home/anna")
        assert (archive.scope, archive.files, archive.bytes) == ("laptop/Documents", 3, 40)
        assert (archive.created, archive.host, archive.storage_class) == (NOW, "laptop", "GLACIER_IR")
        assert (archive.manifest_size, archive.number, archive.replaces, archive.data) == (99, 0, "", "")
        assert (known.run, known.fingerprint) == (1, "5e")
        assert receipt
        assert (receipt.manifest_sha256, receipt.proven_by, receipt.proven_at) == ("ab" * 32, "read-back", NOW)
        assert receipt.manifest == key
        check(catalogue)
    with old.open() as catalogue:
        assert catalogue.archives() == [known], "and it is upgraded once"


def test_what_was_made_or_proven_here_is_this_devices_and_the_rest_is_its_hosts(old: Old) -> None:
    made, proven = old.put(1, run=1), old.put(2, receipt=True)
    found = old.put(3)
    with old.open() as catalogue:
        sources = {known.archive.manifest: known.archive.source for known in catalogue.archives()}
    mine = Source(ME, "", "/home/anna")
    assert sources == {made: mine, proven: mine, found: Source("", "laptop", "/home/anna")}
    with old.open("2" * 32) as catalogue:
        assert catalogue.known(made).archive.device == "2" * 32, "it is the catalogue that knows"  # type: ignore[union-attr]


def test_entries_are_known_by_the_manifest(old: Old) -> None:
    keys = [old.put(1, blocks=2), old.put(2, blocks=1), old.put(3)]
    with old.open() as catalogue:
        assert list(kept_frames(catalogue, keys[0])) == [b"lines 0 of 1", b"lines 1 of 1"]
        assert list(kept_frames(catalogue, keys[1])) == [b"lines 0 of 2"]
        assert [is_indexed(catalogue, key) for key in keys] == [True, True, False]


def test_blocks_of_an_archive_that_was_never_recorded_are_not_taken_over(old: Old) -> None:
    old.put(1, blocks=1)
    lines = b"lines"
    old.run(
        "insert into blocks (archive_id, number, names, lines, proof) values ('other', 0, x'', ?, ?)",
        lines,
        proof_of_block("other", 0, lines),
    )
    with old.open() as catalogue:
        assert len(catalogue.rows("select 1 from blocks")) == 1


def test_restores_that_were_cut_off_are_resumed_and_attempts_are_left_to_prune(old: Old) -> None:
    key = old.put(1)
    old.run("insert into restores values (?, ?, ?)", f"{1:032x}", b"/x", NOW.isoformat())
    old.run("insert into attempts values (?, 'data/x/', ?, 'so')", f"{1:032x}", NOW.isoformat())
    with old.open() as catalogue:
        assert begin_restore(catalogue, key, "/x", now=NOW), "it was begun before"
        assert catalogue.rows("select * from attempts") == []


DAMAGE = {
    "a size": "update archives set bytes = 41",
    "an item": "update archives set item = x'66696c6d'",
    "a key": "update archives set manifest = 'manifests/x'",
    "a digest": "update receipts set manifest_sha256 = 'cd'",
    "a proof": "update archives set proof = x'00'",
    "a receipt that is gone": "delete from receipts",
    "lines": "update blocks set lines = x'00' where number = 1",
    "lines that are none": "update blocks set lines = 'text' where number = 1",
    "the order of lines": "update blocks set number = 7 where number = 1",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_it_was_written_is_not_proven_anew(old: Old, damage: str) -> None:
    """The upgrade writes new proofs, and would make damage look whole."""
    old.put(1, receipt=True, blocks=2)
    old.run(DAMAGE[damage])
    before = schema(old.path)
    with pytest.raises(CatalogueDamaged):
        old.open()
    assert schema(old.path) == before, "nothing was changed"


def test_of_the_first_versions_entries_are_read_again(tmp_path: Path) -> None:
    """They had no proofs."""
    old = Old(tmp_path / "catalogue.sqlite", 2)
    key = MANIFEST.format("0" * 32)
    columns = "id, run, item, root, scope, manifest, files, bytes, created, seen"
    values = ("0" * 32, 1, b"thesis", b"/home/anna", "laptop/Documents", key, 3, 40, NOW.isoformat(), "5e")
    old.run(f"insert into archives ({columns}) values (?,?,?,?,?,?,?,?,?,?)", *values)
    old.run("insert into receipts values (?,?,?,?)", "0" * 32, *RECEIPT)
    old.run("insert into indexed values (?)", "0" * 32)
    old.run("insert into blocks (archive_id, number, names, lines) values (?, 0, x'', x'00')", "0" * 32)
    with old.open() as catalogue:
        (known,) = catalogue.archives()
        assert (known.archive.manifest, known.archive.device) == (key, ME)
        assert known.receipt
        assert not is_indexed(catalogue, key)
        assert catalogue.rows("select * from blocks") == []


def test_an_upgrade_that_fails_leaves_the_catalogue_as_it_was(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one transaction."""
    old.put(1, receipt=True, blocks=1)
    before = schema(old.path)

    def failing(write: Callable[..., Any]) -> None:
        raise MemoryError

    monkeypatch.setattr("archive_tasks.catalogue.upgrade._prove_blocks", failing)
    with pytest.raises(MemoryError):
        old.open()
    assert schema(old.path) == before
    monkeypatch.undo()
    with old.open() as catalogue:
        assert len(catalogue.archives()) == 1
