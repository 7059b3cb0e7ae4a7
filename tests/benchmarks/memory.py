"""How much memory a command and its children take, seen from outside."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measure import CommandFailed, Turn

_SECONDS_BETWEEN = 0.05
_REST = 9
"""To tell shared pages apart the kernel walks all of them, while the command waits: for a tenth of the time at most."""
_MB = 1024


class Watched(NamedTuple):
    """Seconds of a command; the peak resident set of each of its processes in MB, its own first; and the most that
    all held together at one moment, pages that they share counted once.
    """

    seconds: float
    peaks: list[float]
    together: float


def watch(turn: Turn) -> Watched:
    """Run a command, and look at its tree of processes twenty times a second. Raises CommandFailed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            turn.command, cwd=turn.cwd, env=turn.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words
        )
        peaks, together = _look_on(process)
        took = time.perf_counter() - began
        if process.returncode:
            words.seek(0)
            said = words.read()[-500:].decode(errors="replace").strip()
            raise CommandFailed(f"{' '.join(turn.command)} ended with {process.returncode}: {said}")
    return Watched(took, list(peaks.values()), together)


def _look_on(process: subprocess.Popen[bytes]) -> tuple[dict[int, float], float]:
    """Until it ends: peaks by process, and the most together. What grows in the last moment is missed."""
    peaks: dict[int, float] = {}
    together = again_at = 0.0
    while process.poll() is None:
        family = [process.pid, *_descendants(process.pid)]
        for pid in family:
            peaks[pid] = max(peaks.get(pid, 0.0), _megabytes(pid, "status", "VmHWM"))
        if (began := time.perf_counter()) >= again_at:
            together = max(together, sum(_megabytes(pid, "smaps_rollup", "Pss") for pid in family))
            again_at = time.perf_counter() + _REST * (time.perf_counter() - began)
        time.sleep(_SECONDS_BETWEEN)
    return peaks, together


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent_of(name), []).append(int(name))
    waiting = [pid]
    while waiting:
        found = children.get(waiting.pop(), [])
        yield from found
        waiting += found


def _parent_of(pid: str) -> int:
    """0 for one that has ended. The name, in brackets, may hold anything. (proc(5))"""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _megabytes(pid: int, file: str, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", _read(f"/proc/{pid}/{file}"), re.MULTILINE)
    return int(found[1]) / _MB if found else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
