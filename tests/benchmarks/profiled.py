"""Runs `invoke` with every thread and every child process profiled, by processor time: waiting costs nothing.

    python -m tests.benchmarks.profiled FOLDER archive --root ...

The profiles are left in FOLDER; `transfer --profile` adds them up. cProfile itself looks at one thread only, and by
the clock, so that `lock.acquire` would be all that is seen of a run that waits for others. From Python 3.12 on it can
look at one thread at a time; there the main thread's is the profile.
"""

from __future__ import annotations

import cProfile
import multiprocessing.process
import os
import pstats
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def _profile(folder: str) -> Iterator[None]:
    profile = cProfile.Profile(time.thread_time)
    try:
        profile.enable()
    except ValueError:  # another thread is being profiled
        yield
        return
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(os.path.join(folder, f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"))


def _profiling(run: Callable[..., None], folder: str) -> Callable[..., None]:
    def profiled(*arguments: Any) -> None:
        with _profile(folder):
            run(*arguments)

    return profiled


def added_up(folder: Path) -> pstats.Stats:
    """The profiles of all threads and processes together."""
    stats = pstats.Stats(*[str(path) for path in folder.iterdir()])
    stats.files = []  # it would print all their names
    return stats


def main() -> None:
    from invoke import Program

    folder = sys.argv[1]
    sys.argv = ["invoke", *sys.argv[2:]]
    threading.Thread.run = _profiling(threading.Thread.run, folder)  # type: ignore[method-assign]
    process = multiprocessing.process.BaseProcess
    process.run = _profiling(process.run, folder)  # type: ignore[method-assign]
    with _profile(folder):
        Program().run()


if __name__ == "__main__":
    main()
