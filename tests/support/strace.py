"""Faults of system calls, by `strace -f -e inject`: which calls of a command touch given folders, and what becomes
of the command when one of them is its last, or fails.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import CommandLine, Ran
from tests.support import apt

_CALL = re.compile(r"(\d+) +(\w+)\(")
KILLED = -signal.SIGKILL


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A call of a command's: the `when`-th of its kind in its thread, which is how strace counts."""

    call: str
    when: int


class Traced(CommandLine):
    """The commands of a project, run by strace; what it saw is in `log`."""

    def __init__(self, cli: CommandLine, *options: str) -> None:
        super().__init__(cli.project)
        self.environment = cli.environment
        self.log = cli.project / "strace.log"
        self._options = options

    def command(self, *arguments: str) -> list[str]:
        return ["strace", "-f", "-o", str(self.log), *self._options, *super().command(*arguments)]


def why_not(tmp_path: Path) -> str:
    """Why strace is no use here; empty when it is. Where it can be had from Debian or Ubuntu, it is."""
    if not apt.is_there("strace", "strace"):
        return "strace is not installed, and could not be"
    log = str(tmp_path / "probe")
    ran = subprocess.run(["strace", "-f", "-o", log, "true"], capture_output=True, text=True, check=False)
    return f"strace may not trace here: {ran.stderr.strip()[-200:]}" if ran.returncode else ""


def record(cli: CommandLine, arguments: Sequence[str], calls: Sequence[str], folders: Sequence[Path]) -> list[Point]:
    """Run the command; its calls of those kinds that touch something in the folders, in the order they were made."""
    known = ",".join(f"?{call}" for call in calls)  # not every processor's Linux has them all
    traced = Traced(cli, "-y", "-e", f"trace={known}")
    ran = traced.run(*arguments)
    assert ran.code == 0, ran.err
    seen: Counter[tuple[str, str]] = Counter()
    points: dict[Point, None] = {}
    for line in traced.log.read_text(errors="replace").splitlines():
        if found := _CALL.match(line):
            thread, call = found.groups()
            seen[thread, call] += 1
            if any(str(folder) in line for folder in folders):
                points[Point(call, seen[thread, call])] = None
    return list(points)


def inject(cli: CommandLine, arguments: Sequence[str], point: Point, fault: str) -> tuple[Ran, bool]:
    """Run the command with a fault (`signal=KILL`, `error=EIO`) at a point. Was it met?"""
    traced = Traced(cli, "-e", f"inject={point.call}:{fault}:when={point.when}")
    ran = traced.run(*arguments)
    return ran, ran.code == KILLED or "(INJECTED)" in traced.log.read_text(errors="replace")


def choose(points: Sequence[Point], kinds: Mapping[str, Sequence[str]], number: int) -> list[tuple[Point, str]]:
    """(point, fault) of so many points, or of all: kind by kind in turn, each kind's evenly within its calls.

    Args:
        kinds: faults of each kind of call, taken in turn.
    """
    by_kind = [[point for point in points if point.call == call] for call in kinds]
    shares = [0] * len(by_kind)
    while sum(shares) < min(number, sum(map(len, by_kind))):
        for place, calls in enumerate(by_kind):
            shares[place] += shares[place] < len(calls) and sum(shares) < number
    chosen = (
        calls[len(calls) * (2 * place + 1) // (2 * share)]
        for calls, share in zip(by_kind, shares, strict=True)
        for place in range(share)
    )
    return [(point, kinds[point.call][turn % len(kinds[point.call])]) for turn, point in enumerate(chosen)]
