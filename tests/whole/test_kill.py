"""kill -9 of one run after another, and of a real process; single kills at any moment are in the kill matrix."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, Link, make_tree
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.foreign import check_target, folder_fetch, folder_keys, keys_of_archive, of_items
from tests.support.kills import run_and_die

MIB = 1024 * 1024
ITEMS = {"papers", "film", "note"}


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    make_tree(
        root,
        {
            "papers": {f"p{number}": File(f"paper {number}", age_days=400) for number in range(6)}
            | {"link": Link("p1", age_days=400), "empty": File("", age_days=400)},
            "film": {"reel": File(os.urandom(6 * MIB), age_days=400)},
            "note": File("note", age_days=400),
        },
        now=NOW,
    )
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def killed(bench: Bench, step: int) -> bool:
    return run_and_die(lambda: bench.run(items_at_once=2, concurrency=2), at=step)


def check_no_half(bench: Bench) -> None:
    if bench.target.exists():
        assert set(check_target(bench.listed(), folder_fetch(bench.target))) <= ITEMS


def check_complete(bench: Bench) -> None:
    """Every item once, every object spoken of, and none beside."""
    items = bench.items()
    assert set(items) == ITEMS
    spoken_of = [key for item in items.values() for key in keys_of_archive((bench.target / item).read_bytes())]
    assert sorted(spoken_of) == bench.listed("data/")
    assert len(bench.listed("manifests/")) == len(ITEMS)


def test_a_run_killed_again_and_again_still_ends(bench: Bench) -> None:
    for step in range(40, 800, 46):
        killed(bench, step)
        check_no_half(bench)
    assert not bench.run().failed
    check_complete(bench)


def test_a_real_process_killed_while_it_uploads_is_finished_by_the_next(cli: CommandLine, root: Path) -> None:
    make_tree(
        root,
        {f"item{number}": {f"f{n}": File(os.urandom(100_000), age_days=90) for n in range(9)} for number in range(9)},
    )
    target = cli.project / "target"
    arguments = ("archive", "--root", str(root), "--target", target.as_uri(), "--yes")
    cli.environment |= {"ARCHIVE_TASKS_BANDWIDTH": "6M", "ARCHIVE_TASKS_PACK_BELOW": "0"}
    for objects in (1, 30, 60):
        process = cli.start(*arguments)
        _wait_for_objects(target, objects)
        process.kill()
        process.communicate()
        check_target(folder_keys(target), folder_fetch(target))
    del cli.environment["ARCHIVE_TASKS_BANDWIDTH"]
    ran = cli.run(*arguments)
    assert ran.code == 0, ran.err
    items = check_target(folder_keys(target), folder_fetch(target))
    assert len(items) == 9
    assert len(of_items(folder_keys(target, "data/"))) == 81


def _wait_for_objects(target: Path, number: int) -> None:
    deadline = time.monotonic() + 30
    while len(folder_keys(target, "data/")) < number and time.monotonic() < deadline:
        time.sleep(0.01)
