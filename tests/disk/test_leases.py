"""Whether anybody has a file open for writing, as the kernel's leases tell."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archive_tasks.disk import leases
from archive_tasks.disk.leases import can_tell, give_back, is_granted, is_open_for_writing, leases_break_quietly

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(b"x" * 8192)
    return made


@pytest.fixture
def fd(file: Path) -> Iterator[int]:
    opened = os.open(file, os.O_RDONLY)
    yield opened
    os.close(opened)


def test_a_file_that_nobody_writes_to_is_not_open(fd: int) -> None:
    with leases_break_quietly():
        assert is_open_for_writing(fd) is False
        give_back(fd)
    assert is_granted(fd)


@pytest.mark.parametrize("mode", ["r+b", "ab"])
def test_who_has_it_open_for_writing_is_seen(file: Path, fd: int, mode: str) -> None:
    with leases_break_quietly():
        with file.open(mode):
            assert is_open_for_writing(fd) is True
            assert not is_granted(fd)
        assert is_open_for_writing(fd) is False


def test_a_mapping_counts_when_its_file_is_closed_already(file: Path, fd: int) -> None:
    with file.open("r+b") as opened:
        mapped = mmap.mmap(opened.fileno(), 0)
    with leases_break_quietly():
        assert is_open_for_writing(fd) is True
        mapped.close()
        assert is_open_for_writing(fd) is False


def test_readers_do_not_count(file: Path, fd: int) -> None:
    with leases_break_quietly(), file.open("rb"):
        assert is_open_for_writing(fd) is False


def test_nothing_is_known_where_a_broken_lease_would_end_the_process(fd: int) -> None:
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL
    assert is_open_for_writing(fd) is None


def test_nothing_is_known_on_a_system_without_leases(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_SET_LEASE", None)
    with leases_break_quietly():
        assert is_open_for_writing(fd) is None
    assert not is_granted(fd)
    assert not can_tell(os.fstat(fd))


def test_the_handler_that_was_there_comes_back_and_other_threads_leave_it_alone() -> None:
    before = signal.getsignal(signal.SIGIO)
    with leases_break_quietly():
        assert signal.getsignal(signal.SIGIO) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGIO) is before

    def elsewhere() -> object:
        with leases_break_quietly():
            return signal.getsignal(signal.SIGIO)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(elsewhere).result() is before
