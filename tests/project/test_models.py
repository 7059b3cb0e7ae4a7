"""The model of archive, commit, clean, purge and prune by several devices (models/archive.pml) holds, and each of its
rules is needed.

`MODELS=all pytest tests/project/test_models.py` looks further: larger scenes, some for four minutes each.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.checkout import TESTS
from tests.support.spin import Checked, check, why_not

MODELS = TESTS / "models"
EVERY = os.environ.get("MODELS") == "all"
pytestmark = pytest.mark.timeout(900 if EVERY else 300)

SCENES = {
    # an upload of any length against a prune that may be suspended; any request is slow or sent again, or a run is
    # killed, once; listings hide what they like
    "slow": "HIDE PRUNES SLOW WEEK=3 LAST=6",
    # three objects: two are sent in parts at the same time
    "parts": "HIDE PRUNES SLOW WEEK=3 LAST=6 OBJECTS=3 MISHAPS=0",
    # and another device repairs
    "repair": "HIDE PRUNES REPAIRS LAST=4 MISHAPS=0",
    # something in the target is lost by no fault of ours, and prune is about
    "accident": "ACCIDENTS PRUNES LAST=4",
    # the same, and what is incomplete is sent again, or repaired
    "again": "ACCIDENTS REPAIRS ATTEMPTS=2 LAST=1",
    # two sources of equal names and listings, or two runs of one source
    "two": "RUNS=2 ATTEMPTS=2 LAST=0",
    # an item that is written, and then put back as it was
    "versions": "WRITES HIDE REPAIRS ATTEMPTS=3 LAST=0",
}
SIGHTS = {
    "slow": {
        "a long upload",
        "long in parts",
        "refused for a gap",
        "pruned before its copy",
        "freed, and old",
        "freed after a mishap",
    },
    "parts": {"a long upload", "long in parts", "refused for a gap"},
    "repair": {"repaired", "refused for a gap", "freed, and old"},
    "accident": {"freed, and old", "freed after a mishap"},
    "again": {"sent again, and freed", "repaired"},
    "two": {"two sources freed", "archived twice", "freed after a mishap"},
    "versions": {"freed after two changes", "torn", "repaired"},
}
LEFT_OUT = {
    # prune
    "NO_COPY_CHECK": ("slow", "KEPT"),
    "NO_HEAD": ("slow", "KEPT"),
    "NO_SECOND_LIST": ("accident", "KEPT"),
    "OWN_CLOCK": ("slow", "KEPT"),
    "DATE_AFTER_LIST": ("slow", "KEPT"),
    "SHORT_GRACE": ("slow", "KEPT"),
    # the commit
    "NO_GAP_RULE": ("slow", "KEPT"),
    "NEWEST_ONLY": ("slow", "KEPT"),
    "NO_BEGINNING": ("slow", "KEPT"),
    "PARTS_COUNT": ("parts", "KEPT"),
    "COMMIT_BY_MEMORY": ("accident", "KEPT"),
    "COPY_BEFORE_LOOK": ("versions", "CLAIMED"),
    "REPAIR_UNSEEN": ("again", "CLAIMED"),
    "REPAIR_ANY_DATES": ("repair", "KEPT"),
    # keys
    "ONE_MANIFEST_KEY": ("two", "KEPT"),
    "ONE_DATA_KEY": ("two", "KEPT"),
    # evidence
    "ALREADY_BY_MEMORY": ("again", "CLAIMED"),
    "PURGE_BY_MEMORY": ("again", "KEPT"),
    "OLD_EVIDENCE": ("again", "KEPT"),
    "COMPARE_BEFORE": ("versions", "KEPT"),
    # whose archive, and which
    "CLEAN_BY_ANY": ("versions", "RESTORED"),
    "NUMBER_BY_LIST": ("versions", "RESTORED"),
}
FURTHER = {
    "slow, longer": "HIDE PRUNES SLOW WEEK=3 LAST=8",
    "slow, two mishaps": "HIDE PRUNES SLOW WEEK=3 LAST=6 MISHAPS=2",
    "parts, a mishap": "HIDE PRUNES SLOW WEEK=3 LAST=7 OBJECTS=3",
    "all, hidden": "RUNS=2 ATTEMPTS=2 HIDE PRUNES REPAIRS SLOW LAST=5",
    "all, accidents": "RUNS=2 ATTEMPTS=3 ACCIDENTS PRUNES REPAIRS LAST=4",
    "two of one source": "RUNS=2 ATTEMPTS=3 HIDE WRITES REPAIRS LAST=1 ONLY_KEPT",
}
SEARCH = {"slow, longer": ("-DHC4",), "slow, two mishaps": ("-DHC4",)}
FOUR_MINUTES = ("-DBITSTATE", "-w31", "-Q4")


def checked(tmp_path: Path, switches: str, *, search: tuple[str, ...] = ()) -> Checked:
    if reason := why_not():
        pytest.skip(reason)
    return check(MODELS / "archive.pml", switches.split(), tmp_path, search=search)


@pytest.mark.parametrize("scene", SCENES | FURTHER if EVERY else SCENES)
def test_nothing_is_lost_and_nothing_wrong_is_claimed(scene: str, tmp_path: Path) -> None:
    if scene in SCENES:
        found = checked(tmp_path, f"{SCENES[scene]} SIGHTS")
    else:
        found = checked(tmp_path, FURTHER[scene], search=SEARCH.get(scene, FOUR_MINUTES))
    assert not found.broken, found.said
    assert not SIGHTS.get(scene, set()) & found.unseen


@pytest.mark.parametrize("rule", LEFT_OUT)
def test_each_rule_is_needed(rule: str, tmp_path: Path) -> None:
    scene, harm = LEFT_OUT[rule]
    found = checked(tmp_path, f"{SCENES[scene]} {rule} ONLY_{harm}")
    assert found.broken, f"without this rule, nothing was found in {found.states} states"


@pytest.mark.parametrize("rule", ["NO_GAP_RULE", "NEWEST_ONLY", "NO_BEGINNING", "SHORT_GRACE", "OWN_CLOCK"])
def test_a_prune_that_removes_within_minutes_of_its_look_makes_no_rule_of_dates_needless(
    rule: str, tmp_path: Path
) -> None:
    assert checked(tmp_path, f"{SCENES['slow']} {rule} PRUNES_AT_ONCE ONLY_KEPT").broken


def test_a_mark_before_the_removal_would_do_without_any_date(tmp_path: Path) -> None:
    dates = "NO_GAP_RULE OWN_CLOCK DATE_AFTER_LIST SHORT_GRACE"
    assert checked(tmp_path, f"HIDE PRUNES WEEK=2 LAST=2 {dates} ONLY_KEPT").broken
    found = checked(tmp_path, f"HIDE PRUNES WEEK=2 LAST=2 {dates} MARKS")
    assert not found.broken, found.said


def test_every_switch_of_the_model_is_used_here_and_every_sight_is_seen_in_some_scene() -> None:
    text = "".join(path.read_text() for path in sorted(MODELS.glob("*.pml")))
    switches = set(re.findall(r"(?:ifdef|defined\()\s*([A-Z_]+)", text)) | set(re.findall(r"ifndef ([A-Z_]+)", text))
    scenes = {switch.partition("=")[0] for scene in SCENES.values() for switch in scene.split()}
    harms = {"ONLY_KEPT", "ONLY_CLAIMED", "ONLY_RESTORED"}
    assert switches == set(LEFT_OUT) | scenes | harms | {"SIGHTS", "PRUNES_AT_ONCE", "MARKS"}
    assert set(re.findall(r'printf\("(.*?)"\)', text)) == set().union(*SIGHTS.values())
