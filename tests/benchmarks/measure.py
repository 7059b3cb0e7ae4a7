"""Times whole commands in turn, several rounds, so that a noisy machine is noisy to all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Figure(NamedTuple):
    """Of one command: median seconds, and the largest resident set of its own process in MB."""

    seconds: float
    megabytes: float


def in_turn(
    commands: Mapping[str, Sequence[str]], *, rounds: int, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> dict[str, Figure]:
    """Run every command `rounds` times, in turn, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, float] = dict.fromkeys(commands, 0.0)
    for number in range(rounds + 1):
        for name, command in commands.items():
            took, used = _run(command, cwd, env)
            if number:
                seconds[name].append(took)
                memory[name] = max(memory[name], used)
    return {name: Figure(statistics.median(seconds[name]), memory[name]) for name in commands}


def _run(command: Sequence[str], cwd: str | None, env: Mapping[str, str] | None) -> tuple[float, float]:
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def show(figures: Mapping[str, Figure], *, ours: str) -> None:
    """A line for each command, and how often our time fits into it."""
    for name, figure in figures.items():
        ratio = figure.seconds / figures[ours].seconds
        print(f"{name:<24} {figure.seconds * 1000:8.0f} ms   {figure.megabytes:6.0f} MB   {ratio:5.2f} x")
