"""Processes that pack, where that is safe and worth it; else threads do.

Packing a small file is some 40 µs of Python's, and Python runs one thread at a time. The children are forked, before
there are threads and locks that they would inherit, and die with their parent however it dies.
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

from archive_tasks.pack import Order, Segment, pack_segment
from archive_tasks.side_by_side import MOST_PROCESSES, may_fork

_PR_SET_PDEATHSIG = 1  # prctl(2)


class Packers:
    """Has segments packed, by whichever executor: `start(order)` returns what waits for the segment."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def start(self, order: Order) -> Callable[[], Segment]:
        """Have a segment packed. Where a process was killed (for want of memory, say), it is packed by who waits."""
        try:
            future = self._executor.submit(pack_segment, order)
        except BrokenProcessPool:
            return lambda: pack_segment(order)
        return lambda: _segment(future, order)


def _segment(future: Future[Segment], order: Order) -> Segment:
    try:
        return future.result()
    except BrokenProcessPool:
        return pack_segment(order)


@contextmanager
def packers(*, files: int, fewest: int = 500) -> Iterator[Packers]:
    """Packers for a run over so many files. Call it before the run opens its catalogue, locks and threads."""
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0))) if may_fork(()) and files >= fewest else 0
    executor = _forked(processes) if processes > 1 else ThreadPoolExecutor(2, thread_name_prefix="pack")
    try:
        yield Packers(executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _forked(processes: int) -> ProcessPoolExecutor:
    executor = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("fork"),
        initializer=_die_with_parent,
        initargs=(os.getpid(),),
    )
    executor.submit(os.getpid)  # forks them all, now
    return executor


def _die_with_parent(parent: int) -> None:
    """The kernel tells children of a parent that was killed: its pipes stay open in them. Ctrl-C is its affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
