"""A work of `transfer`: what an item of very many files takes of us, in memory, and in time to search it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.benchmarks.ground import Ours
from tests.benchmarks.measure import CommandFailed, Job, Turn, show, take_turns
from tests.benchmarks.memory import watch
from tests.benchmarks.works import Contest, start_archive

_BUCKET = "million"


def measure_many(contest: Contest) -> None:
    """Archive, find, restore: seconds, and peak memory of every process of ours; and the time of searching.

    Raises:
        CommandFailed: also where something is not found, or not all came back.
    """
    print("peak resident set of every process; together: shared pages counted once; not repeated")
    _show_memory("archive", start_archive(contest, contest.ours, contest.ground.make_bucket(_BUCKET)))
    searches = {f"find, {what}": _search(contest.ours, piece) for what, piece in _pieces(contest).items()}
    for name, turn in searches.items():
        _show_memory(name, turn)
    _check_found(contest)
    jobs = {name: Job(start=lambda _, turn=turn: turn) for name, turn in searches.items()}
    show(take_turns(jobs, rounds=contest.rounds), ours=next(iter(jobs)))
    _bring_back(contest, contest.ours, "restore")
    _bring_back(contest, contest.ours.without_catalogue(contest.ground.make_folder("data", "new")), "restore anew")


def _pieces(contest: Contest) -> dict[str, str]:
    """What is searched for: a name that one file has, one in every folder, every file, none."""
    path = contest.shape.path_of(contest.shape.files // 2)
    return {"one": path, "one a folder": os.path.basename(path), "all": ".dat", "none": "no-such-name"}


def _search(ours: Ours, piece: str) -> Turn:
    return ours.invoke("find", piece, "--target", ours.target(_BUCKET), "--json")


def _check_found(contest: Contest) -> None:
    turn = _search(contest.ours, _pieces(contest)["one"])
    said = subprocess.run(turn.command, cwd=turn.cwd, env=turn.env, capture_output=True, check=True).stdout
    if (number := len(json.loads(said)["found"])) != 1:
        raise CommandFailed(f"one file was to be found, and {number} were")


def _bring_back(contest: Contest, ours: Ours, name: str) -> None:
    folder = contest.ground.make_folder("restored", name)
    contest.ground.settle()
    _show_memory(name, ours.restore(bucket=_BUCKET, to=folder))
    if (number := _files_in(folder)) != contest.shape.files:
        raise CommandFailed(f"{number:,} files came back of {contest.shape.files:,}")


def _files_in(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _show_memory(name: str, turn: Turn) -> None:
    watched = watch(turn)
    own, *children = [f"{peak:.0f}" for peak in watched.peaks]
    beside = f"children {' '.join(children)} MB" if children else "no children"
    print(f"{name:<20} {watched.seconds:8.1f} s   {own:>6} MB, {beside}; together {watched.together:.0f} MB")
