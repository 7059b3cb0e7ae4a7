"""The real command, killed at a system call or refused one: a clean end, nothing lost, and the next run finishes.

`SYSCALL_POINTS=all pytest tests/whole/test_syscall_faults.py` takes every call that touches the user's files or ours.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import CommandLine, Ran
from tests.support.foreign import check_target, folder_fetch, folder_keys, keys_of_archive, of_items
from tests.support.restoring import same_trees
from tests.support.strace import KILLED, choose, inject, record, why_not

MIB = 1024 * 1024
ITEMS = {"papers", "film", "note"}
EVERY = os.environ.get("SYSCALL_POINTS") == "all"
NUMBER = 1_000_000 if EVERY else 10
pytestmark = pytest.mark.timeout(7200 if EVERY else 300)

_KILL = ("signal=KILL",)
KILLS = dict.fromkeys(
    [
        "pwrite64",
        "fsync",
        "fdatasync",
        "link",
        "linkat",
        "rename",
        "renameat",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "openat",
    ],
    _KILL,
)
ERRORS = {
    "pwrite64": ("error=ENOSPC", "error=EIO"),
    "fsync": ("error=EIO", "error=ENOSPC"),
    "fdatasync": ("error=EIO",),
    "link": ("error=EACCES", "error=ENOSPC"),
    "linkat": ("error=EACCES", "error=ENOSPC"),
    "mkdir": ("error=ENOSPC", "error=EACCES"),
    "mkdirat": ("error=EACCES", "error=ENOSPC"),
    "openat": ("error=EACCES", "error=EIO", "error=EMFILE"),
    "fchmod": ("error=EPERM",),
    "ftruncate": ("error=EIO",),
}


class Desk:
    """A root, a target and what the commands write; each point begins with what was there when it was set up."""

    def __init__(self, cli: CommandLine, root: Path, tmp_path: Path) -> None:
        self.cli = cli
        self.root = root
        self.written = tmp_path / "written"
        self.target, self.out = self.written / "target", self.written / "out"
        self._before = tmp_path / "before"
        cli.environment["XDG_DATA_HOME"] = str(self.written / "data")
        papers = {"a": File("a", age_days=90), "sub": {"b": File("b", age_days=90)}, "l": Link("a", age_days=90)}
        film = {"reel": File(os.urandom(5 * MIB + 7), age_days=90)}
        make_tree(root, {"note": File("note", age_days=90)})
        self.archive = ("archive", "--root", str(root), "--target", self.target.as_uri(), "--yes")
        self.restore = ("restore", "--all", "--to", str(self.out), "--target", self.target.as_uri(), "--yes")
        assert cli.run(*self.archive).code == 0  # the target is known, and examined, before anything goes wrong
        make_tree(root, {"papers": papers, "film": film})
        self.source = read_tree(root)

    def folders(self) -> list[Path]:
        return [self.root, self.written]

    def remember(self) -> None:
        shutil.copytree(self.written, self._before)

    def go_back(self) -> None:
        shutil.rmtree(self.written)
        shutil.copytree(self._before, self.written)

    def check_target(self, *, is_complete: bool) -> None:
        """No half archive; every item once and no object beside, when it is complete. The source is as it was."""
        items = check_target(folder_keys(self.target), folder_fetch(self.target))
        assert set(items) <= ITEMS
        assert read_tree(self.root) == self.source
        if is_complete:
            assert set(items) == ITEMS
            spoken_of = [key for item in items.values() for key in keys_of_archive((self.target / item).read_bytes())]
            assert sorted(of_items(spoken_of)) == of_items(folder_keys(self.target, "data/"))

    def check_restored(self, *, is_complete: bool) -> None:
        """No half file; all of it, when it is complete."""
        there = read_tree(self.out) if self.out.exists() else {}
        assert all(entry.contents == self.source[path].contents for path, entry in there.items())
        if is_complete:
            assert same_trees(self.root, self.out)


@pytest.fixture
def desk(cli: CommandLine, root: Path, tmp_path: Path) -> Desk:
    if reason := why_not(tmp_path):
        pytest.skip(reason)
    return Desk(cli, root, tmp_path)


def check_clean_end(ran: Ran) -> None:
    """Killed; or an end with its code, and where that is not 0, with a line that says what and where."""
    said = ran.out + ran.err
    assert "Traceback" not in said, said
    assert ran.code in {KILLED, 0, 1, 2, 3}, said
    if ran.code > 0:
        assert [line for line in ran.err.splitlines() if line.startswith("error: ")], said


def faults_of(desk: Desk, arguments: tuple[str, ...], kinds: Any, check: Any) -> None:
    desk.remember()
    points = record(desk.cli, arguments, list(kinds), desk.folders())
    chosen = choose(points, kinds, NUMBER)
    met = 0
    for point, fault in chosen:
        desk.go_back()
        ran, was_met = inject(desk.cli, arguments, point, fault)
        met += was_met
        print(point, fault, ran.code, (ran.out + ran.err).strip().splitlines()[-1:])
        check_clean_end(ran)
        is_told = "is back without its permissions" in ran.out + ran.err  # and that is all that is amiss, for good
        is_kept = "\nkeep " in ran.out  # what a scan cannot read, with a reason
        check(is_complete=ran.code == 0 and not (is_told or is_kept))
        again = desk.cli.run(*arguments)
        assert again.code == 0, (point, fault, again.err)
        check(is_complete=not is_told)
    assert met >= 0.8 * min(NUMBER, len(points))


@pytest.mark.parametrize("kinds", [KILLS, ERRORS], ids=["killed", "refused"])
def test_an_archive_run_with_a_fault_of_a_system_call_is_finished_by_the_next(desk: Desk, kinds: Any) -> None:
    faults_of(desk, desk.archive, kinds, desk.check_target)


@pytest.mark.parametrize("kinds", [KILLS, ERRORS], ids=["killed", "refused"])
def test_a_restore_with_a_fault_of_a_system_call_is_finished_by_the_next(desk: Desk, kinds: Any) -> None:
    assert desk.cli.run(*desk.archive).code == 0
    faults_of(desk, desk.restore, kinds, desk.check_restored)
