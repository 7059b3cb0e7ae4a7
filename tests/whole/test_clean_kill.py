"""kill -9 at every kind of moment while local copies are freed: no byte is lost, and the next run ends well."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.testing.trees import read_tree
from tests.conftest import NOW
from tests.support.cleaning import LOOKS_AT_PROCESSES, CleanBench, make_items, sums_in
from tests.support.kills import count_events, run_and_die, spread

ITEMS = {"papers", "film", "note"}
LATER = NOW + timedelta(days=8)
MODES = ["quarantine", "delete", "move", "move to another disk", "trash", "purge", "undo"]
EVERY = os.environ.get("KILL_POINTS") == "all"
POINTS = 1_000_000 if EVERY else 16
"""For each of 14 cases, 224 in all; by hand, `KILL_POINTS=all` kills at every event."""
PARTS = 2
pytestmark = pytest.mark.timeout(7200 if EVERY else 600)


class Case:
    """A bench with a trash and another folder, anew for each point."""

    def __init__(self, folder: Path, make_session: Any, mode: str, pack_below: str, to: Path) -> None:
        self.trash, self.to = folder / "trash", to
        self.mode = mode.partition(" ")[0]
        root = folder / "root"
        for made in (root, self.trash, self.to):
            made.mkdir(parents=True, exist_ok=True)
        make_items(root)
        self.bench = CleanBench(root, folder, make_session)
        self.bench.plugins_off = LOOKS_AT_PROCESSES
        self.before = self.bench.home()
        self.bench.archive(pack_below=pack_below)
        if mode in {"purge", "undo"}:
            self.bench.clean()

    def run(self) -> None:
        if self.mode == "purge":
            self.bench.clean(now=LATER)
        elif self.mode == "undo":
            self.bench.undo()
        else:
            self.bench.clean(self.mode, to=str(self.to) if self.mode == "move" else "")

    def check_nothing_lost(self) -> None:
        """Every file's bytes are somewhere; what is at home is whole; what is fresh was not touched."""
        reachable = self.bench.sums_of(self.trash, self.to)
        home = self.bench.home()
        for path, entry in self.before.items():
            item = path.partition("/")[0]
            if item in home:
                assert home.get(path) == entry, f"{path} is not as it was"
        if self.mode not in {"delete", "purge"} and not (self.mode == "move" and self.bench.slots()):
            assert sums_in(self.before) <= reachable, "nothing was to be removed"
        assert sums_in(self.before) <= reachable | self.bench.sums_in_target()

    def check_ended(self) -> None:
        """The same again has done what the first was asked to."""
        at_home = {path.partition("/")[0] for path in self.bench.home()}
        places = {"trash": self.trash, "move": self.to}
        if self.mode == "undo":
            assert at_home == {*ITEMS, "fresh"}
        else:
            assert at_home == {"fresh"}
        if self.mode in places:
            gone = {path: one._replace(atime_ns=0) for path, one in self.before.items() if not path.startswith("fresh")}
            assert {path: one._replace(atime_ns=0) for path, one in read_tree(places[self.mode]).items()} == gone
        if self.mode != "quarantine":
            assert not (self.bench.root / SET_ASIDE).exists()


@pytest.fixture
def make_case(
    tmp_path: Path, make_session: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[str, str], Case]:
    number = iter(range(1_000_000))

    def make(mode: str, pack_below: str) -> Case:
        folder = tmp_path / f"case{next(number)}"
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        to = request.getfixturevalue("other_disk") / folder.name if "another disk" in mode else folder / "to"
        case = Case(folder, make_session, mode, pack_below, to)
        monkeypatch.setattr(
            "archive_tasks.flows.clean.send_to_trash", lambda path: os.rename(path, case.trash / os.path.basename(path))
        )
        return case

    return make


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("pack_below", ["1M", "0"])
@pytest.mark.parametrize("mode", MODES)
def test_a_run_killed_at_any_moment_loses_nothing_and_is_finished_by_the_next(
    make_case: Callable[[str, str], Case], mode: str, pack_below: str, part: int
) -> None:
    make_case(mode, pack_below).run()  # what is loaded at the first run is loaded now
    events = count_events(make_case(mode, pack_below).run)
    chosen = spread(events, POINTS)[part::PARTS]
    for point, event in enumerate(chosen):
        case = make_case(mode, pack_below)
        assert run_and_die(case.run, at=event), f"{event} of {events}"
        case.check_nothing_lost()
        if point % 3 == 0:
            case.bench.archive(pack_below=pack_below)
            case.check_nothing_lost()
        case.run()
        case.check_nothing_lost()
        case.check_ended()
        shutil.rmtree(case.bench.folder)
    assert len(chosen) >= min(POINTS, events) // PARTS


@pytest.mark.parametrize("mode", ["delete", "move"])
def test_a_run_killed_again_and_again_still_ends(make_case: Callable[[str, str], Case], mode: str) -> None:
    case = make_case(mode, "1M")
    for moment in range(30, 600, 23):
        run_and_die(case.run, at=moment)
        case.check_nothing_lost()
    case.run()
    case.check_ended()


def test_what_was_being_set_aside_when_a_run_died_is_put_back_by_undo(
    make_case: Callable[[str, str], Case],
) -> None:
    events = count_events(make_case("quarantine", "1M").run)
    for event in spread(events, 10):
        case = make_case("quarantine", "1M")
        run_and_die(case.run, at=event)
        case.bench.undo()
        assert case.bench.home() == case.before
        assert not (case.bench.root / SET_ASIDE).exists()
