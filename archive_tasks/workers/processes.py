"""Processes that pack and unpack, where that is safe and worth it; else threads do.

A small file costs some 40 µs in Python either way, and Python runs one thread at a time. The children are forked,
before there are threads and locks that they would inherit, and die with their parent however it dies.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from archive_tasks.workers.forks import MOST_PROCESSES, may_fork

A = TypeVar("A")
R = TypeVar("R")

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Processes:
    """Has work done by an executor: functions of one picklable argument."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(self, work: Callable[[A], R], argument: A) -> Callable[[], R]:
        """Have `work(argument)` done; what is returned waits for the answer, and raises what the work raised.

        Where a process was killed (for want of memory, say), the work is done by who waits.
        """
        try:
            future = self._executor.submit(work, argument)
        except BrokenProcessPool:
            return lambda: work(argument)
        return lambda: _answer(future, work, argument)


def _answer(future: Future[R], work: Callable[[A], R], argument: A) -> R:
    try:
        return future.result()
    except BrokenProcessPool:
        return work(argument)


@contextmanager
def processes(*, files: int, fewest: int = 500) -> Iterator[Processes]:
    """Processes for a run over so many files. Call it before the run opens its catalogue, locks and threads."""
    number = min(MOST_PROCESSES, len(os.sched_getaffinity(0))) if may_fork(()) and files >= fewest else 0
    executor = _forked(number) if number > 1 else ThreadPoolExecutor(2, thread_name_prefix="work")
    try:
        yield Processes(executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _forked(number: int) -> ProcessPoolExecutor:
    executor = ProcessPoolExecutor(
        number,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_die_with_parent,
        initargs=(os.getpid(),),
    )
    executor.submit(os.getpid)  # forks them all, now
    return executor


def _die_with_parent(parent: int) -> None:
    """Have the kernel end children of a killed parent: its pipes stay open in them. Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
