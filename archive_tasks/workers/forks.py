"""Tallying items in several processes at once: a scan is bound by system calls, and Python runs one at a time.

The children are forked, so they have the root's handle and the rules as they are; each claims the next item from
a counter in shared memory under a lock that the kernel releases when its holder dies. A child that dies before it
has answered loses nothing: what is missing is tallied by the parent.
"""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

MOST_PROCESSES = 4
FEWEST_ITEMS = 8
_COUNTER = struct.Struct("Q")


def may_fork(functions: Sequence[Callable[..., Any]]) -> bool:
    """Is it safe to fork here, for these functions?

    Only where Linux's calls are at hand, no other thread could hold a lock forever, and every function is our
    own: a plugin's may keep count, or hold a connection that two processes must not share.
    """
    at_hand = hasattr(os, "memfd_create") and hasattr(os, "sched_getaffinity")
    ours = all(getattr(function, "__module__", "").startswith("archive_tasks.") for function in functions)
    return at_hand and ours and threading.active_count() == 1


def tally_all(work: Callable[[int], Any], number: int) -> dict[int, Any]:
    """`work(index)` for indexes below `number`, in as many processes as there are processors, up to four.

    Returns:
        Answers by index. What `work` raises, or a child that died did not answer, is missing.
    """
    processes = min(MOST_PROCESSES, len(os.sched_getaffinity(0)), number // (FEWEST_ITEMS // 2))
    if processes < 2:
        return {}
    counter = os.memfd_create("archive_tasks-next-item")
    os.pwrite(counter, _COUNTER.pack(0), 0)
    children: list[tuple[int, int]] = []
    try:
        children += (_fork(work, number, counter) for _ in range(processes - 1))
        answers = _work_through(work, number, counter)
        while children:
            answers.update(_collect(*children.pop()))
        return answers
    finally:
        os.close(counter)
        for child, reader in children:  # the user stopped us
            os.kill(child, signal.SIGKILL)
            _collect(child, reader)


def _fork(work: Callable[[int], Any], number: int, counter: int) -> tuple[int, int]:
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    code = 1
    try:
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(_work_through(work, number, counter), pipe)
        code = 0
    finally:
        os._exit(code)


def _work_through(work: Callable[[int], Any], number: int, counter: int) -> dict[int, Any]:
    answers: dict[int, Any] = {}
    while (index := _claim(counter)) < number:
        try:
            answers[index] = work(index)
        except Exception:  # noqa: BLE001, S112 - the parent meets it again, and reports it
            continue
    return answers


def _claim(counter: int) -> int:
    fcntl.lockf(counter, fcntl.LOCK_EX)
    try:
        index: int = _COUNTER.unpack(os.pread(counter, _COUNTER.size, 0))[0]
        os.pwrite(counter, _COUNTER.pack(index + 1), 0)
        return index
    finally:
        fcntl.lockf(counter, fcntl.LOCK_UN)


def _collect(child: int, reader: int) -> dict[int, Any]:
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if status or not data:
        return {}
    answers: dict[int, Any] = pickle.loads(data)  # noqa: S301 - our own child's, over a pipe of ours
    return answers
