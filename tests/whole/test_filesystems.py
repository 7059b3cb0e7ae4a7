"""What a filesystem says is not what happened: whole runs on disks that show a write late, wrongly, or not at all."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from archive_tasks.disk.ctime_trial import counting_ctime, try_ctime
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import CommandLine
from tests.support.fuse_disk import can_mount, mounted
from tests.support.restoring import comparable

TREE = {
    "papers": {"a": File("a" * 100, age_days=400), "b": File("b" * 2_000_000, age_days=400), "l": Link("a", 400)},
    "note": File("n" * 50, age_days=400),
}
MKFS = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
CHANGED = {"papers/a": b"A" * 100, "papers/b": b"B" * 2_000_000, "note": b"N" * 50}

Disk = Callable[..., Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """`disk("whole_seconds")`: a root on a filesystem of that kind."""
    if not can_mount():
        pytest.skip("needs FUSE, and the right to mount")
    with ExitStack() as stack:

        def make(*habits: str) -> Path:
            (tmp_path / "under").mkdir()
            top = stack.enter_context(mounted(tmp_path / "under", tmp_path / "disk", *habits))
            (top / "root").mkdir()
            return top / "root"

        yield make


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A root in memory: tmpfs holds times of any year."""
    at = tmp_path / "memory"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(at)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    (at / "root").mkdir()
    yield at / "root"
    subprocess.run(["umount", str(at)], check=True)


class Runs:
    """Runs on one root and one target."""

    def __init__(self, cli: CommandLine, root: Path) -> None:
        self.cli = cli
        self.root = root
        cli.environment["ARCHIVE_TASKS_TARGET"] = (cli.project / "target").as_uri()

    def ask(self, *arguments: str, code: int = 0) -> dict[str, list[dict[str, str]]]:
        ran = self.cli.run(*arguments, "--json")
        assert ran.code == code, ran.out + ran.err
        return dict(json.loads(ran.out))

    def archive(self, code: int = 0) -> dict[str, list[dict[str, str]]]:
        return self.ask("archive", "--root", str(self.root), "--yes", code=code)

    def clean(self, code: int = 0) -> dict[str, list[dict[str, str]]]:
        return self.ask("clean", "--root", str(self.root), "--yes", "--mode", "delete", "--max-share", "100", code=code)

    def back(self) -> Path:
        out = self.cli.project / "out"
        self.ask("restore", "--all", "--to", str(out))
        return out


def change_in_secret(path: Path, contents: bytes) -> None:
    """In its place, and with its time put back, as `exiftool -P` does."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(contents)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def items(document: list[dict[str, str]]) -> set[str]:
    return {one["item"] for one in document}


@pytest.mark.parametrize("habit", ["ctime_is_mtime", "whole_seconds"])
@pytest.mark.parametrize("path", CHANGED)
def test_a_change_that_no_time_shows_is_not_cleaned_and_is_archived(
    cli: CommandLine, disk: Disk, habit: str, path: str
) -> None:
    runs = Runs(cli, disk(habit))
    make_tree(runs.root, TREE)
    assert items(runs.archive()["archives"]) == set(TREE)
    change_in_secret(runs.root / path, CHANGED[path])
    item = path.partition("/")[0]
    assert item in items(runs.clean()["kept"])
    assert (runs.root / path).read_bytes() == CHANGED[path]
    assert items(runs.archive()["archives"]) == {item}
    assert items(runs.clean()["freed"]) == {item}
    assert (runs.back() / path).read_bytes() == CHANGED[path]


@pytest.mark.parametrize(
    "habits", [(), ("ctime_is_mtime",), ("whole_seconds",), ("inodes_change",), ("inodes_change", "ctime_is_mtime")]
)
def test_what_did_not_change_is_archived_freed_and_comes_back(
    cli: CommandLine, disk: Disk, habits: tuple[str, ...]
) -> None:
    runs = Runs(cli, disk(*habits))
    make_tree(runs.root, TREE)
    before = read_tree(runs.root)
    assert items(runs.archive()["archives"]) == set(TREE)
    assert items(runs.archive()["already"]) == set(TREE)
    assert items(runs.clean()["freed"]) == set(TREE)
    assert comparable(read_tree(runs.back())) == comparable(before)


def test_a_file_that_says_that_it_is_empty_and_holds_something_is_kept(cli: CommandLine, disk: Disk) -> None:
    runs = Runs(cli, disk("says_nothing"))
    make_tree(runs.root, {"online": {"a": File("a" * 9_000, age_days=400)}, "alone": File("b" * 9_000, age_days=400)})
    failed = {one["item"]: one["reason"] for one in runs.archive(code=3)["failed"]}
    assert set(failed) == {"online", "alone"}
    assert all("claims 0 bytes and holds more" in reason for reason in failed.values())
    runs.clean()
    assert len((runs.root.parents[1] / "under" / "root" / "online" / "a").read_bytes()) == 9_000


def test_in_memory_a_write_through_a_mapping_that_read_first_leaves_no_sign_and_is_found(
    cli: CommandLine, memory: Path
) -> None:
    """Where a mapping is read first, tmpfs lets it be written without a fault, and so without a new time."""
    runs = Runs(cli, memory)
    make_tree(memory, {"papers": {"a": File("a" * 9_000, age_days=400)}, "film": {"b": File("b", age_days=400)}})
    time.sleep(2.1)  # what was written within two seconds of a look is read in any case
    runs.archive()
    path = memory / "papers" / "a"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[1] += mapped[0] - mapped[1] + 1
    cleaned = runs.clean()
    assert items(cleaned["freed"]) == {"film"}
    assert path.read_bytes()[:3] == b"aba"


def test_where_no_lease_is_granted_a_ctime_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with_leases = try_ctime(folder)
        monkeypatch.setattr("archive_tasks.disk.leases._SET_LEASE", None)
        assert not try_ctime(folder).counts
        (tmp_path / "file").write_bytes(b"x")
        assert counting_ctime((tmp_path / "file").stat()) > 1 << 63
    finally:
        os.close(folder)
    if not with_leases.counts:
        pytest.skip("its ctimes count for nothing anyhow")


@pytest.mark.skipif(not MKFS, reason="needs mkfs.ext4")
def test_on_ext4_that_counts_whole_seconds_a_change_is_not_cleaned(cli: CommandLine, tmp_path: Path) -> None:
    image, at = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(bytes(16 * 1024 * 1024))
    at.mkdir()
    made = subprocess.run([str(MKFS), "-q", "-I", "128", str(image)], check=False, capture_output=True)
    if made.returncode or subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=False).returncode:
        pytest.skip("no filesystem can be made and mounted here")
    try:
        runs = Runs(cli, at / "root")
        make_tree(runs.root, TREE)
        runs.archive()
        for path, contents in CHANGED.items():
            change_in_secret(runs.root / path, contents)
        assert items(runs.clean()["freed"]) == set()
        assert {path: (runs.root / path).read_bytes() for path in CHANGED} == CHANGED
        assert items(runs.archive()["archives"]) == set(TREE)
        assert items(runs.clean()["freed"]) == set(TREE)
        assert {path: (runs.back() / path).read_bytes() for path in CHANGED} == CHANGED
    finally:
        subprocess.run(["umount", str(at)], check=True)


# -- files that somebody has open or mapped --------------------------------------------------------------

MAPS = """
import mmap, os, sys, time
file = open(sys.argv[1], "r+b")
mapped = mmap.mmap(file.fileno(), 0)
mapped[0:1] = b"x"
file.close()
print("mapped", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("path", ["papers/a", "papers/b", "note"])
def test_what_is_mapped_for_writing_is_not_archived(
    cli: CommandLine, memory: Path, root: Path, where: str, path: str
) -> None:
    """The guard that looks at programs is not asked: it cannot see those of other users."""
    runs = Runs(cli, memory if where == "memory" else root)
    cli.environment["ARCHIVE_TASKS_PLUGINS_OFF"] = "open_files"
    make_tree(runs.root, TREE)
    writer = subprocess.Popen([sys.executable, "-c", MAPS, str(runs.root / path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"mapped\n"
        os.utime(runs.root / path, (0, 0))
        item = path.partition("/")[0]
        (failed,) = runs.archive(code=3)["failed"]
        assert (failed["item"], failed["reason"]) == (item, f"{path} is open for writing")
    finally:
        writer.kill()
        writer.communicate()
    assert items(runs.archive()["archives"]) == {item}


# -- dates ------------------------------------------------------------------------------------------------

YEARS = [-30_000, 1601, 1800, 1901, 1969, 2039, 2107, 2200, 2400, 3_000, 30_000]


@pytest.mark.parametrize("year", YEARS)
def test_a_file_of_any_year_comes_back_as_it_was(cli: CommandLine, memory: Path, year: int) -> None:
    seconds = int((year - 1970) * 365.2425 * 86_400)
    runs = Runs(cli, memory)
    make_tree(runs.root, TREE)
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "odd.py").write_text(
        "from archive_tasks import hookimpl\n\n@hookimpl\ndef register_clocks(settings):\n"
        "    return {'odd': lambda path, facts: 0}\n"
    )
    cli.environment["ARCHIVE_TASKS_CLOCK"] = "odd"  # dates to come keep an item at home otherwise
    for path in ("papers/a", "papers/b", "papers/l", "papers", "note"):
        os.utime(runs.root / path, ns=(0, seconds * 10**9 + 7), follow_symlinks=False)
    before = read_tree(runs.root)
    assert before["note"].mtime_ns == seconds * 10**9 + 7
    assert items(runs.archive()["archives"]) == set(TREE)
    assert items(runs.archive()["already"]) == set(TREE)
    assert runs.ask("verify", "--read-data")["damaged"] == []
    assert cli.run("find", "papers").code == 0
    assert items(runs.clean()["freed"]) == set(TREE)
    out = memory.parent / "out"
    runs.ask("restore", "--all", "--to", str(out))
    assert comparable(read_tree(out)) == comparable(before)
