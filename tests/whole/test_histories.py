"""Simulated histories of several devices, users and a store: nothing is lost, nothing is claimed that is not so."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.histories import situations, verbs
from tests.histories.patched import patched
from tests.histories.plan import THEMES, History, make
from tests.histories.play import Played, play
from tests.histories.rules import RULES
from tests.histories.shrink import shrunk
from tests.support.checkout import ROOT, TESTS

HISTORIES = int(os.environ.get("HISTORIES", "1000"))
"""By hand, e.g. `HISTORIES=20000`; `FIRST_HISTORY=7000` begins elsewhere."""
FIRST = int(os.environ.get("FIRST_HISTORY", "0"))
PARTS = len(THEMES)
REPLAYED = 5
"""One of so many is played twice."""
KEPT = TESTS / "histories" / "kept"
pytestmark = pytest.mark.timeout(0 if "HISTORIES" in os.environ else 300)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """For one history after the other: in memory, where there is such a place."""
    shm = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else tmp_path))
    with patched(), verbs.harnessed():
        yield made / "history"
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def met_in_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the parts, which run in several processes, write what they met."""
    shared = tmp_path_factory.getbasetemp()
    place = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "histories met"
    place.mkdir(exist_ok=True)
    return place


@pytest.mark.parametrize("part", range(PARTS), ids=[theme.__name__.strip("_") for theme in THEMES])
def test_in_no_history_is_anything_lost_wrong_or_claimed_without_being_so(
    folder: Path, met_in_all: Path, part: int
) -> None:
    met: Counter[str] = Counter()
    for seed in range(FIRST + part, FIRST + HISTORIES, PARTS):
        history = make(seed)
        played = play(history, folder)
        met.update(dict.fromkeys(+played.met, 1))
        if played.broken:
            pytest.fail(_report(history, played, folder))
        if seed % REPLAYED == 0:
            assert play(history, folder).digest == played.digest, f"seed {seed} is not played twice alike"
    _meet(met, met_in_all, part)


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_a_history_that_failed_once_does_not_fail_again(folder: Path, file: Path) -> None:
    played = play(json.loads(file.read_text()), folder)
    assert not played.broken, played.broken


def test_what_the_table_of_rules_takes_out_is_in_the_code() -> None:
    for rule in RULES:
        for edit in rule.edits:
            assert edit.old in (ROOT / "archive_tasks" / f"{edit.module}.py").read_text(), rule.name


def test_a_failing_history_is_made_small(folder: Path) -> None:
    """As if it were wrong that anything is set aside."""

    def fails(one: History) -> bool:
        actors = [actor for step in one["steps"] for actor in step["actors"]]
        return {"clean", "archive"} <= {actor["do"] for actor in actors}

    small = shrunk(next(one for one in map(make, range(100)) if fails(one)), fails)
    assert sum(len(step["actors"]) for step in small["steps"]) == 2
    assert not any(step["faults"] or step["losses"] for step in small["steps"])
    assert not play(small, folder).broken


def _meet(met: Counter[str], place: Path, part: int) -> None:
    """The last part to end asks whether all that must be met was met."""
    (place / f"{part}.json").write_text(json.dumps(met))
    parts = [json.loads(path.read_text()) for path in place.glob("*.json")]
    if len(parts) < PARTS:
        return
    missing = situations.missing(sum(map(Counter, parts), Counter()))
    assert not missing or HISTORIES < 600


def _report(history: History, played: Played, folder: Path) -> str:
    """What failed, made small, as the file to keep."""
    small = shrunk(history, lambda one: _kind(one, folder) == played.kind)
    again = play(small, folder, keep_lines=True)
    name = f"{played.kind.replace(' ', '-')}-{history['seed']}.json"
    place = Path(os.environ.get("FAILED_HISTORIES", tempfile.gettempdir())) / name
    place.write_text(json.dumps(small, indent=1) + "\n")
    last = "\n".join(again.lines[-60:])
    return f"seed {history['seed']} ({history['theme']}): {played.broken}\nsmall: {again.broken}\n{place}\n{_text(small)}\n{last}"


def _kind(history: History, folder: Path) -> str:
    return play(history, folder).kind


def _text(history: History) -> str:
    def actor(one: dict[str, Any]) -> str:
        return " ".join(f"{name}={value}" for name, value in one.items() if value not in (None, 0))

    lines = [f"store {history['store']}", f"places {history['places']}", f"devices {history['devices']}"]
    for number, step in enumerate(history["steps"]):
        more = {name: step[name] for name in ("days", "losses", "faults", "schedule") if step[name]}
        lines += [f"step {number} {more}", *(f"  {actor(one)}" for one in step["actors"])]
    return "\n".join(lines)
