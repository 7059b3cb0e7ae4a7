"""Runs a command and prints its seconds, seconds of processor time, largest resident set in MB, and exit code.

A small process of its own, because a process's largest resident set begins with that of whoever started it: the
kernel counts the memory in which exec was called. (Linux: setmax_mm_hiwater_rss in fs/exec.c)
"""

from __future__ import annotations

import os
import sys
import time


def main() -> None:
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    took = time.perf_counter() - began
    processor = usage.ru_utime + usage.ru_stime
    print(took, processor, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
