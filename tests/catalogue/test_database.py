"""The catalogue: private, durable, and not confused by several threads or processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.attempts import (
    Attempt,
    AttemptOf,
    begin_attempt,
    find_attempt,
    forget_attempt,
    note_commit,
)
from archive_tasks.catalogue.database import Catalogue, catalogue_path, list_catalogues
from archive_tasks.catalogue.runs import begin_run, end_run, runs_of
from archive_tasks.errors import CatalogueDamaged, CatalogueError
from archive_tasks.model import Archive, Receipt
from tests.conftest import NOW

ARCHIVE = Archive(
    id="a" * 32,
    item=os.fsdecode(b"caf\xe9"),
    root="/r",
    scope="h/r",
    target="file:///t",
    manifest="manifests/h/r/x",
    files=2,
    bytes=3,
    created=NOW,
    device="d" * 32,
    number=2,
    replaces="manifests/h/r/w",
    data="data/x/",
)
RECEIPT = Receipt(
    manifest=ARCHIVE.manifest, manifest_sha256="f" * 64, proven_by="read-back", proven_at=NOW, fingerprint="5e"
)

OF = AttemptOf("d" * 32, "/r", ARCHIVE.item, ARCHIVE.id)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "data" / "catalogues" / "c.sqlite")


def test_what_is_recorded_is_there_for_the_next_run(path: str) -> None:
    with Catalogue(path, target="file:///t") as catalogue:
        run = begin_run(catalogue, root="/r", now=NOW)
        begin_attempt(catalogue, OF, prefix="data/x/", how="so", now=NOW)
        catalogue.record(ARCHIVE, run=run, fingerprint="5e", receipt=RECEIPT, now=NOW)
        end_run(catalogue, run, now=NOW + timedelta(minutes=1), outcome={"archives": 1})
    with Catalogue(path) as catalogue:
        known = catalogue.known(ARCHIVE.manifest)
        assert known is not None
        assert (known.archive, known.receipt, known.run, known.fingerprint) == (ARCHIVE, RECEIPT, 1, "5e")
        assert find_attempt(catalogue, OF, how="so", since=NOW) is None
        assert [(one.root, one.ended) for one in runs_of(catalogue)] == [("/r", NOW + timedelta(minutes=1))]
        assert catalogue.known("manifests/h/r/y") is None


def test_an_archive_without_proof_is_known_without_a_receipt(path: str) -> None:
    with Catalogue(path, target="file:///t") as catalogue:
        catalogue.record(ARCHIVE, run=None, fingerprint="5e", receipt=None, now=NOW)
        known = catalogue.known(ARCHIVE.manifest)
        assert known is not None
        assert known.receipt is None
        assert [one.archive for one in catalogue.archives()] == [ARCHIVE]


def test_an_attempt_is_remembered_until_it_ends(path: str) -> None:
    with Catalogue(path, target="file:///t") as catalogue:
        begin_attempt(catalogue, OF, prefix="data/one/", how="so", now=NOW)
        assert find_attempt(catalogue, OF, how="so", since=NOW) == Attempt("data/one/", "")
        note_commit(catalogue, OF, manifest="manifests/m", now=NOW)
        assert find_attempt(catalogue, OF, how="so", since=NOW) == Attempt("data/one/", "manifests/m")
        assert find_attempt(catalogue, OF, how="otherwise", since=NOW) is None
        assert find_attempt(catalogue, OF, how="so", since=NOW + timedelta(seconds=1)) is None
        assert find_attempt(catalogue, OF._replace(device="other"), how="so", since=NOW) is None
        forget_attempt(catalogue, OF, now=NOW, why="a test")
        assert find_attempt(catalogue, OF, how="so", since=NOW) is None


def test_nobody_else_can_read_it(path: str) -> None:
    with Catalogue(path, target="file:///t") as catalogue:
        catalogue.set_fact("x", "y")
        folder = Path(path).parent
        assert [file.stat().st_mode & 0o077 for file in [folder, *folder.iterdir()]] == [0, 0, 0, 0]


def test_a_step_is_on_the_disk_before_the_next_is_taken(path: str) -> None:
    with Catalogue(path, target="file:///t") as catalogue:
        assert catalogue._connection.execute("pragma synchronous").fetchone() == (2,)
        assert catalogue._connection.execute("pragma journal_mode").fetchone() == ("wal",)


def test_several_threads_and_connections_write_at_once(path: str) -> None:
    def work(name: str) -> None:
        with Catalogue(path, target="file:///t") as catalogue:
            for number in range(20):
                manifest = f"manifests/{name}/{number}"
                catalogue.record(replace(ARCHIVE, manifest=manifest), run=None, fingerprint="5e", receipt=None, now=NOW)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Catalogue(path) as catalogue:
        assert len(catalogue.archives()) == 80


def test_a_damaged_or_newer_catalogue_is_refused_with_what_to_do(path: str) -> None:
    Catalogue(path, target="file:///t").close()
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(CatalogueError, match="written by a newer archive-tasks: upgrade"):
        Catalogue(path)
    Path(path).write_bytes(b"this is no database, but it is long enough to be looked at as one" * 30)
    for side in ("-wal", "-shm"):
        Path(path + side).unlink(missing_ok=True)
    with pytest.raises(
        CatalogueError, match=r"damaged .* build it again with catalogue --rebuild; nothing that is archived"
    ):
        Catalogue(path)


def test_each_target_has_a_file_of_its_own(tmp_path: Path) -> None:
    data = str(tmp_path)
    targets = ["s3://bucket/a", "s3://bucket/b", "s3://bucket-a", "file:///mnt/nas/archive " + "x" * 300]
    paths = [catalogue_path(data, target) for target in targets]
    assert len(set(paths)) == 4
    assert all(len(os.path.basename(path)) < 100 for path in paths)
    for path, target in zip(paths, targets, strict=True):
        Catalogue(path, target=target).close()
    assert list_catalogues(data) == sorted(paths)
    with Catalogue(paths[0]) as catalogue:
        assert catalogue.target == targets[0]


def test_a_catalogue_that_turns_out_damaged_while_it_is_opened_is_closed_again(path: str) -> None:
    Catalogue(path, target="file:///t").close()
    connection = sqlite3.connect(path)
    connection.execute("drop table facts")
    connection.close()
    with pytest.raises(CatalogueDamaged, match="no such table: facts"):
        Catalogue(path, target="file:///t")
    handles = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    assert path not in {os.readlink(handle) for handle in handles if os.path.exists(handle)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("when", ["open", "write", "inodes"])
def test_a_full_disk_is_said_and_nobody_is_told_to_move_the_catalogue(tmp_path: Path, when: str) -> None:
    data = tmp_path / "disk"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=6", "none", str(data)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    path = str(data / "catalogues" / "c.sqlite")
    try:
        opened = Catalogue(path, target="file:///t")
        if when != "write":
            opened.close()
        if when == "inodes":
            with suppress(OSError):
                for number in range(6):
                    (data / str(number)).touch()
        else:
            with suppress(OSError), (data / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * 4096)
        with pytest.raises(CatalogueError, match="is full") as full:
            _note_until_it_is_full(opened if when == "write" else Catalogue(path, target="file:///t"))
        assert f"the disk of the data folder {data} is full" in str(full.value)
        assert "moved away" not in str(full.value)
    finally:
        subprocess.run(["umount", "-l", data], check=True)


def _note_until_it_is_full(catalogue: Catalogue) -> None:
    with catalogue:
        for number in range(2000):
            journal.note(catalogue, "something", now=NOW, text="x" * 1000, number=str(number))
