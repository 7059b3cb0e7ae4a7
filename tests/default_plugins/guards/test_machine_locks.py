from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.guards import machine_locks
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.guards import reasons as ask_guard
from tests.support.holding import Holding, holding

OLD = File("x" * 5000, age_days=400)
LOCKS = {
    "POSIX": "fcntl.fcntl(file, fcntl.F_SETLK, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0))",
    "OFD": "fcntl.fcntl(file, getattr(fcntl, 'F_OFD_SETLK', 37), struct.pack('hhqqi', fcntl.F_RDLCK, 0, 100, 1, 0))",
    "whole": "fcntl.flock(file, fcntl.LOCK_EX)",
}


@pytest.fixture(name="hold")
def _hold() -> Iterator[Holding]:
    with holding() as hold:
        yield hold


def reasons(root: Path, name: str = "item") -> list[str]:
    return ask_guard(root, name, "machine_locks")


def locked(path: Path, how: str) -> str:
    return f"import fcntl, struct; file = open({str(path)!r}, 'r+b'); {LOCKS[how]}"


def test_a_lock_folder_of_a_running_machine_keeps_its_item(root: Path) -> None:
    make_tree(root, {"item": {"a.vmx": OLD, "a.vmx.lck": {"M12345.lck": File("", 1)}}}, now=NOW)
    assert reasons(root)[0] == (
        "item/a.vmx.lck is a lock of a virtual machine or another program: stop that, or remove a stale lock"
    )


def test_a_disk_in_the_root_is_kept_by_the_lock_beside_it(root: Path) -> None:
    make_tree(root, {"a.vmdk": OLD, "b.vmdk": OLD, "a.vmdk.lck": {"M1.lck": OLD}}, now=NOW)
    assert reasons(root, "a.vmdk")
    assert reasons(root, "b.vmdk") == []


@pytest.mark.parametrize("how", LOCKS)
def test_a_lock_of_the_kernel_keeps_its_item_and_no_other(root: Path, hold: Holding, how: str) -> None:
    make_tree(root, {"item": {"a.qcow2": OLD}, "other": {"a.qcow2": OLD}}, now=NOW)
    hold(locked(root / "item" / "a.qcow2", how))
    (reason,) = reasons(root)
    who = "a program" if how == "OFD" else "python"
    assert reason.startswith(f"item/a.qcow2 is locked by {who}")
    assert reason.endswith(", like the disk of a running virtual machine: stop that first")
    assert reasons(root, "other") == []


def test_a_lock_that_is_waited_for_is_read_too(root: Path, hold: Holding) -> None:
    make_tree(root, {"item": {"a.qcow2": OLD}}, now=NOW)
    hold(locked(root / "item" / "a.qcow2", "whole"))
    path = str(root / "item" / "a.qcow2")
    waiting = [sys.executable, "-c", f"import fcntl; f = open({path!r}); print('w', flush=True); fcntl.flock(f, 2)"]
    with subprocess.Popen(waiting, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert len(reasons(root)) == 1
        process.kill()


def test_our_own_locks_do_not_count(root: Path) -> None:
    make_tree(root, {"item": {"a.qcow2": OLD}}, now=NOW)
    names: dict[str, Any] = {}
    exec(locked(root / "item" / "a.qcow2", "POSIX"), names)
    assert reasons(root) == []
    names["file"].close()


def test_a_lock_on_another_device_is_none_of_this_items(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(root, {"item": {"a": OLD}}, now=NOW)
    facts = (root / "item" / "a").stat()
    found = {facts.st_ino: [machine_locks.Holder(machine_locks.device_name(facts.st_dev + 1), -1)]}
    monkeypatch.setattr(machine_locks, "kernel_locks", lambda: found)
    assert reasons(root) == []
    found[facts.st_ino].append(machine_locks.Holder(machine_locks.device_name(facts.st_dev), -1))
    assert reasons(root) != []


def test_without_a_table_of_locks_nothing_is_claimed(tmp_path: Path) -> None:
    assert machine_locks.kernel_locks(str(tmp_path / "none")) == {}
