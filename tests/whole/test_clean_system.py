"""Cleaning when the system refuses, at each of its calls; and in which order it is asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.items.own_files import SET_ASIDE
from tests.support.checkout import ROOT
from tests.support.cleaning import CleanBench, make_items, sums_in
from tests.support.strace import why_not

CALLS = ("fsync", "fdatasync", "unlinkat", "renameat2", "rename,renameat", "mkdirat", "pwrite64", "ftruncate")
POINTS = int(os.environ.get("SYSCALL_POINTS", "2").replace("all", "1000000"))
"""For each call and fault; by hand, `SYSCALL_POINTS=all` fails every one."""


@pytest.fixture
def strace(tmp_path: Path) -> None:
    if why := why_not(tmp_path):
        pytest.skip(why)


class System:
    """A bench whose clean runs under strace."""

    def __init__(self, folder: Path, make_session: Any, data: Path, mode: str) -> None:
        self.mode = mode
        (folder / "root").mkdir(parents=True)
        (folder / "to").mkdir()
        make_items(folder / "root")
        shutil.rmtree(data, ignore_errors=True)
        self.bench = CleanBench(folder / "root", folder, make_session)
        assert not self.bench.archive().failed
        self.before = self.bench.home()
        self.data = data

    def run(self, *strace: str) -> tuple[int, str]:
        """Exit code (negative for a signal), and what was said."""
        to = [str(self.bench.folder / "to")] if self.mode == "move" else []
        command = [
            sys.executable,
            "-m",
            "tests.support.clean_driver",
            str(self.bench.root),
            self.bench.target,
            str(self.data),
        ]
        done = subprocess.run(
            ["strace", "-f", "-qq", *strace, *command, self.mode, *to] if strace else [*command, self.mode, *to],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr

    def trace(self, calls: str) -> list[str]:
        log = self.bench.folder / "trace"
        code, said = self.run("-y", "-o", str(log), "-e", f"trace={calls}")
        assert code == 0, said
        return log.read_text().splitlines()

    def check_nothing_lost(self) -> None:
        reachable = self.bench.sums_of(self.bench.folder / "to")
        assert sums_in(self.before) <= reachable | self.bench.sums_in_target()
        home = self.bench.home()
        for path, entry in self.before.items():
            if path.partition("/")[0] in home:
                assert home.get(path) == entry


@pytest.fixture
def make_system(tmp_path: Path, make_session: Any) -> Callable[[str], System]:
    number = iter(range(1_000_000))
    return lambda mode: System(tmp_path / str(next(number)), make_session, tmp_path / "data", mode)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("calls", CALLS)
def test_a_call_that_kills_or_fails_loses_nothing_and_the_next_run_ends(
    make_system: Callable[[str], System], calls: str, fault: str
) -> None:
    mode = "move" if calls in {"renameat2", "mkdirat"} else "delete"
    number = len(make_system(mode).trace(calls))
    assert number
    for when in range(1, number + 1, max(1, number // POINTS)):
        system = make_system(mode)
        code, said = system.run("-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}:when={when}")
        assert code in ({-9, 137} if "KILL" in fault else {0, 1, 3}), f"{when} of {number}: {said}"
        assert "Traceback" not in said, f"{when} of {number}: {said}"
        system.check_nothing_lost()
        code, said = system.run()
        assert code == 0, f"{when} of {number}: {said}"
        system.check_nothing_lost()
        assert {path.partition("/")[0] for path in system.bench.home()} == {"fresh"}
        assert not (system.bench.root / SET_ASIDE).exists()
        shutil.rmtree(system.bench.folder)


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("mode", ["delete", "move", "quarantine"])
def test_nothing_is_renamed_or_removed_before_it_is_written_down_and_on_the_disk(
    make_system: Callable[[str], System], mode: str
) -> None:
    """What a power cut would leave is what the last flush left: the state and the journal must be ahead of the deed."""
    system = make_system(mode)
    lines = system.trace("write,pwrite64,fsync,fdatasync,renameat2,unlinkat")
    state = journal = "unwritten"
    moved = removed = 0
    for line in lines:
        call = re.sub(r"^\d+ +", "", line)
        if call.startswith("write(") and "state.json" in call:
            state = "written"
        elif call.startswith("fsync(") and "state.json" in call:
            state = "flushed"
        elif call.startswith("pwrite64(") and "-wal" in call:
            journal = "written"
        elif call.startswith(("fsync(", "fdatasync(")) and "-wal" in call:
            journal = "flushed"
        elif call.startswith("renameat2(") and SET_ASIDE in call:
            assert (state, journal) == ("flushed", "flushed"), call
            moved += 1
        elif call.startswith("unlinkat(") and "/item" in call and '"item"' not in call:
            assert (state, journal) == ("flushed", "flushed"), call
            removed += 1
    assert moved >= 3
    assert bool(removed) == (mode == "delete")


# -- without permission, on a full disk, on one that is read-only ---------------------------------------------


def as_nobody(action: Callable[[], None]) -> int:
    """Run in a child of another user. Returns its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            action()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_who_may_not_change_the_root_changes_nothing(make_system: Callable[[str], System]) -> None:
    system = make_system("delete")
    folder = system.bench.folder
    for path in (system.data, folder, *folder.rglob("*"), *system.data.rglob("*")):
        if not path.is_symlink() and (path in (folder, system.data) or (folder / "root") not in (path, *path.parents)):
            os.chown(path, 65534, 65534)
    for parent in folder.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    said: list[BaseException] = []

    def run() -> None:
        with pytest.raises(PermissionError):
            system.bench.clean("delete")

    assert as_nobody(run) == 0, said
    assert system.bench.home() == system.before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_root_that_is_full_or_read_only_loses_nothing(tmp_path: Path, make_session: Any, kind: str) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        root = folder / "root"
        root.mkdir()
        make_items(root)
        bench = CleanBench(root, tmp_path, make_session)
        bench.archive()
        before = bench.home()
        if kind == "full":
            with (folder / "ballast").open("wb") as file:
                file.write(b"x" * (os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize))
        else:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        _clean_or_be_refused(bench, kind)
        assert bench.home() == before or not {path for path in bench.home() if not path.startswith("fresh")}
        assert sums_in(before) <= bench.sums_of() | bench.sums_in_target()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _clean_or_be_refused(bench: CleanBench, kind: str) -> None:
    if kind == "read-only":
        with pytest.raises(OSError, match="Read-only file system"):
            bench.clean("delete")
    else:
        document = bench.clean("delete")
        assert {one["item"] for one in document["kept"]} <= {"fresh"}
        assert document["failed"]
        assert all("the disk is full. Free some space there" in one["reason"] for one in document["failed"])
