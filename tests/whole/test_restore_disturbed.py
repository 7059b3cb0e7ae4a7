"""Restores that the target or somebody else disturbs: nothing is half, nothing goes astray, and what is missing is told."""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.disk.destination import Destination
from archive_tasks.errors import DestinationUnusable, StoreBusy
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.fault_proxy import Fault
from tests.support.restoring import bring_back, same_trees
from tests.support.servers import S3Server

MIB = 1024 * 1024
LEFTOVER = ".0123456789abcdef.restoring"


class Watched(FolderStore):
    """A folder store that does something before each read of an archived object, and counts them."""

    def __init__(self, bench: Bench, before: Callable[[int], None] = lambda _number: None) -> None:
        super().__init__(bench.target.as_uri(), make_settings({}, {}, {}))
        self._before = before
        self._counting = threading.Lock()
        self.reads = 0

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterable[bytes]:
        if key.startswith("data/"):
            with self._counting:
                self.reads += 1
                number = self.reads
            self._before(number)
        return super().read(key, offset=offset, length=length)


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def silent_after(reads: int) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number > reads:
            raise StoreBusy("the target does not answer")

    return before


# -- the target stops answering -----------------------------------------------------------------------


def fill(root: Path) -> None:
    make_tree(
        root,
        {
            "thesis": {
                "read only": {f"f{n}": File(os.urandom(9000), age_days=400) for n in range(20)},
                "big": File(os.urandom(34 * MIB), age_days=400),
                "link": Link("big", age_days=400),
            },
            "papers": {f"p{n:02}": File(os.urandom(700_000), age_days=400) for n in range(20)},
            "note": File("note", age_days=400),
        },
        now=NOW,
    )
    os.link(root / "thesis" / "read only" / "f1", root / "thesis" / "same")
    os.chmod(root / "thesis" / "read only", 0o555)


@pytest.mark.parametrize("reads", [0, 1, 3, 5])
def test_a_target_that_falls_silent_is_told_of_with_what_is_missing_and_the_next_run_goes_on(
    bench: Bench, tmp_path: Path, reads: int
) -> None:
    fill(bench.root)
    bench.run()
    store = Watched(bench, silent_after(reads))
    restored = bring_back(store, bench.catalogue, tmp_path / "out")
    before, after = read_tree(bench.root), read_tree(tmp_path / "out")
    missing = set(before) - set(after)
    assert all(after[path].contents == before[path].contents for path in after), "what is there is whole"
    assert {one.item for one in restored.failed} == {path.split("/")[0] for path in missing}
    assert sum(int(one.reason.split(" ")[0]) for one in restored.failed) == len(missing)
    assert all("does not answer. Run the same command again to resume" in one.reason for one in restored.failed)
    assert restored.files == len([path for path in after if not (tmp_path / "out" / path).is_dir() or path == "link"])
    assert store.reads <= reads + 4, "nothing more is asked for, but by the four that are asking already"
    assert not bring_back(Watched(bench), bench.catalogue, tmp_path / "out").failed
    assert same_trees(bench.root, tmp_path / "out")


def test_a_restore_from_a_server_in_an_outage_ends_with_3_and_says_what_to_do(
    cli: CommandLine, root: Path, rclone_s3: S3Server, fault_proxy: Any
) -> None:
    make_tree(
        root,
        {
            "thesis": {"a": File("a", age_days=90), "big": File(os.urandom(2 * MIB), age_days=90)},
            "note": File("note", age_days=90),
        },
    )
    proxy = fault_proxy(rclone_s3.endpoint)
    cli.environment |= proxy.env(rclone_s3) | {"ARCHIVE_TASKS_RETRY_MINUTES": "0"}
    target = ("--target", f"s3://{rclone_s3.make_bucket()}/laptop")
    assert cli.run("archive", "--root", str(root), *target, "--yes").code == 0
    proxy.add(Fault("status", method="GET", contains="/data/", times=1 << 30))
    ran = cli.run("restore", "--all", "--to", "out", *target)
    assert ran.code == 3, ran.err
    assert re.search(r"thesis: 2 files were not fetched: .*SlowDown. Run the same command again to resume", ran.out), (
        ran.out
    )
    assert re.search(r"note: 1 file was not fetched: ", ran.out), ran.out
    proxy.faults.clear()
    assert cli.run("restore", "--all", "--to", "out", *target).code == 0
    assert same_trees(root, cli.project / "out")


# -- somebody moves what is restored into -------------------------------------------------------------


def test_a_folder_that_is_moved_out_of_the_destination_is_not_written_into(bench: Bench, tmp_path: Path) -> None:
    make_tree(
        bench.root,
        {"item": {name: {f"f{n}": File(f"{n}", age_days=400) for n in range(3)} for name in ("kept", "taken")}},
        now=NOW,
    )
    bench.run()
    out, moved = tmp_path / "out", tmp_path / "moved"

    def take(number: int) -> None:
        if number == 1:
            (out / "item" / "taken").rename(moved)

    restored = bring_back(Watched(bench, take), bench.catalogue, out)
    assert os.listdir(moved) == []
    assert {one.item for one in restored.failed} == {"item/taken", *(f"item/taken/f{n}" for n in range(3))}
    assert set(read_tree(out)) == {"item", "item/kept", *(f"item/kept/f{n}" for n in range(3))}
    assert not bring_back(Watched(bench), bench.catalogue, out).failed
    assert same_trees(bench.root, out)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_destination_that_is_moved_away_stops_the_restore_and_is_not_made_again(
    bench: Bench, tmp_path: Path, is_replaced: bool
) -> None:
    make_tree(bench.root, {"item": {"a": File("a", age_days=400)}}, now=NOW)
    bench.run()
    out, moved = tmp_path / "out", tmp_path / "moved"

    def move(_number: int) -> None:
        out.rename(moved)
        if is_replaced:
            (out / "item").mkdir(parents=True)

    with pytest.raises(DestinationUnusable, match="restored into"):
        bring_back(Watched(bench, move), bench.catalogue, out)
    assert set(read_tree(moved)) == {"item"}
    assert not out.exists() or set(read_tree(out)) == {"item"}


# -- what lies in the way or was left behind ----------------------------------------------------------


@pytest.mark.parametrize(("how", "kind"), [("refuse", "file"), ("refuse", "folder"), ("overwrite", "folder")])
@pytest.mark.parametrize("size", [10, 6 * MIB])
def test_a_conflict_is_told_before_anything_is_fetched(
    bench: Bench, tmp_path: Path, how: Any, kind: str, size: int
) -> None:
    make_tree(bench.root, {"item": {"a": File(os.urandom(size), age_days=400)}}, now=NOW)
    bench.run()
    make_tree(tmp_path / "out", {"item": {"a": "mine" if kind == "file" else {"mine": "mine"}}}, now=NOW)
    store = Watched(bench)
    restored = bring_back(store, bench.catalogue, tmp_path / "out", on_conflict=how)
    assert [one.item for one in restored.failed] == ["item/a"]
    assert store.reads == 0


def test_a_name_of_a_file_that_did_not_come_is_not_given_to_what_was_there(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"first": File("archived", age_days=400)}}, now=NOW)
    os.link(bench.root / "item" / "first", bench.root / "item" / "second")
    bench.run()
    for key in bench.listed("data/"):
        (bench.target / key).unlink()
    make_tree(tmp_path / "out", {"item": {"first": "mine"}}, now=NOW)
    restored = bring_back(Watched(bench), bench.catalogue, tmp_path / "out", on_conflict="overwrite")
    assert {one.item for one in restored.failed} == {"item/first", "item/second"}
    assert os.listdir(tmp_path / "out" / "item") == ["first"]


def test_leftovers_of_a_restore_that_was_killed_are_removed_by_one_a_day_later(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(bench.root, {"item": {"d": {"a": File("a", age_days=400)}}}, now=NOW)
    bench.run()
    folders = [tmp_path / "out", tmp_path / "out" / "item", tmp_path / "out" / "item" / "d"]
    make_tree(folders[0], {LEFTOVER: "half", "item": {LEFTOVER: "half", "d": {LEFTOVER: "half"}}}, now=NOW)
    bring_back(Watched(bench), bench.catalogue, tmp_path / "out")
    assert all((folder / LEFTOVER).exists() for folder in folders), "they may be a run's that is still going on"
    monkeypatch.setitem(Destination.__init__.__kwdefaults__, "clock", lambda: time.time() + 86_460)
    bring_back(Watched(bench), bench.catalogue, tmp_path / "out")
    assert same_trees(bench.root, tmp_path / "out")


def test_files_are_restored_where_the_filesystem_has_no_nameless_ones(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.root)
    bench.run()

    def unsupported(*_arguments: Any) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr("archive_tasks.disk.give_name.open_nameless", unsupported)
    assert not bring_back(Watched(bench), bench.catalogue, tmp_path / "out").failed
    assert same_trees(bench.root, tmp_path / "out")
