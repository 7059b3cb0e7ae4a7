"""Times whole commands in turn, several rounds, so that a noisy machine is noisy to all of them alike."""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import archive_tasks

_LAUNCH = Path(__file__).with_name("launch.py")


class Figure(NamedTuple):
    """Of one command: median, least and most seconds; median seconds of processor time (its own and its children's,
    not the server's); the largest resident set of any one of its processes in MB.
    """

    seconds: float
    megabytes: float
    least: float
    most: float
    processor: float


class Turn(NamedTuple):
    """A command, ready to be timed."""

    command: Sequence[str]
    cwd: str | None = None
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What takes part in the rounds. Round 0 warms up and does not count.

    Attributes:
        start: makes everything ready for the round of this number, untimed, and returns what is timed.
        end: looks at what came of it and clears it away, untimed.
        rounds: takes part in so many rounds only, and warms up in none: for what is slow. 0 takes part in all.
    """

    start: Callable[[int], Turn]
    end: Callable[[int], None] = lambda _number: None
    rounds: int = 0

    def takes_part(self, number: int) -> bool:
        return 1 <= number <= self.rounds if self.rounds else True


class CommandFailed(Exception):
    """A command did not end with 0; the message says which, and its last words."""


class _Ran(NamedTuple):
    seconds: float
    processor: float
    megabytes: float


def compile_ours() -> None:
    """As `pip install` compiles a package. Invoke has Python write no bytecode, so that of a checkout, modules that a
    task imports would be compiled in every run.
    """
    compileall.compile_dir(Path(archive_tasks.__file__).parent, quiet=1)


def in_turn(
    commands: Mapping[str, Sequence[str]], *, rounds: int, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> dict[str, Figure]:
    """Run every command `rounds` times, in turn, after one round that does not count."""
    turns = {name: Turn(command, cwd, env) for name, command in commands.items()}
    return take_turns({name: Job(start=lambda _, turn=turn: turn) for name, turn in turns.items()}, rounds=rounds)


def take_turns(jobs: Mapping[str, Job], *, rounds: int) -> dict[str, Figure]:
    """Run every job once a round. One that fails is said, left out from then on, and has no figure."""
    ran: dict[str, list[_Ran]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name in [name for name in ran if jobs[name].takes_part(number)]:
            try:
                one = _take_turn(jobs[name], number)
            except CommandFailed as error:
                print(f"{name} is left out: {error}")
                del ran[name]
            else:
                ran[name] += [one] if number else []
    return {name: _figure(every) for name, every in ran.items() if every}


def run(turn: Turn) -> None:
    """Run a command that is not timed. Raises CommandFailed."""
    _run(turn)


def _take_turn(job: Job, number: int) -> _Ran:
    ran = _run(job.start(number))
    job.end(number)
    return ran


def _figure(every: Sequence[_Ran]) -> Figure:
    seconds = [one.seconds for one in every]
    processor = statistics.median(one.processor for one in every)
    largest = max(one.megabytes for one in every)
    return Figure(statistics.median(seconds), largest, min(seconds), max(seconds), processor)


def _run(turn: Turn) -> _Ran:
    command = [sys.executable, "-I", "-S", str(_LAUNCH), *turn.command]
    done = subprocess.run(
        command, cwd=turn.cwd, env=turn.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandFailed(f"{turn.command[0]} could not be run: {done.stderr.strip()}")
    seconds, processor, megabytes, code = map(float, done.stdout.split())
    if code:
        raise CommandFailed(f"{' '.join(turn.command)} ended with {code:.0f}: {done.stderr[-500:].strip()}")
    return _Ran(seconds, processor, megabytes)


def show(figures: Mapping[str, Figure], *, ours: str) -> None:
    """A line for each command, and how often our time fits into it."""
    if ours not in figures:
        raise SystemExit(f"{ours} failed: there is nothing to compare with")
    print(f"{'':<28} {'median':>11} {'least':>9} {'most':>9} {'processor':>10} {'memory':>9}   theirs/ours")
    for name, figure in figures.items():
        times = f"{figure.seconds * 1000:8.0f} ms {figure.least * 1000:9.0f} {figure.most * 1000:9.0f}"
        ratio = figure.seconds / figures[ours].seconds
        print(f"{name:<28} {times} {figure.processor * 1000:10.0f} {figure.megabytes:6.0f} MB   {ratio:9.2f} x")
