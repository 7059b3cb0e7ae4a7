"""One run at a time writes to a target, from one data folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import filelock

from archive_tasks.errors import ArchiveTasksError
from archive_tasks.names import display

_LOOKS, _SECONDS_BETWEEN_LOOKS = 10, 0.05
"""Looks for what the holder of a lock writes right after taking it."""


@contextmanager
def one_run_at_a_time(path: str) -> Iterator[None]:
    """One run that writes to a target, by the path of its catalogue.

    The kernel releases the lock when a process dies, however it dies.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    holder = f"{path}.holder"
    try:
        with filelock.FileLock(f"{path}.lock", timeout=0, mode=0o600):
            with open(holder, "w", encoding="utf-8", opener=_privately) as file:
                file.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
            yield
    except filelock.Timeout:
        raise ArchiveTasksError(
            f"another run is writing to this target ({_who_holds(holder)}); wait for it to end"
        ) from None


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _who_holds(path: str) -> str:
    """What the holder of a lock writes right after taking it."""
    for _ in range(_LOOKS):
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            if text := display(file.read(200)):
                return text
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return "process unknown"
