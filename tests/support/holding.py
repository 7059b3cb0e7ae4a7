"""Processes that open or lock something and hold it: strangers to the one that tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

HOLD = "import mmap, os, sys\n{statement}\nprint('held', flush=True)\nsys.stdin.read()\n"
"""Holds what the statement opened until its input ends."""
_STRANGER = "import os, sys\nif os.fork():\n    os._exit(0)\nexec(sys.argv[1])\n"
"""Its parent ends at once, so that it is no child of the test's."""
Holding = Callable[[str], None]


@contextmanager
def holding() -> Iterator[Holding]:
    """A function that starts a process with a statement and returns when that was run."""
    running: list[subprocess.Popen[str]] = []

    def hold(statement: str) -> None:
        command = [sys.executable, "-c", _STRANGER, HOLD.format(statement=statement)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout
        assert process.stdout.readline() == "held\n"

    try:
        yield hold
    finally:
        for process in running:
            process.communicate()
