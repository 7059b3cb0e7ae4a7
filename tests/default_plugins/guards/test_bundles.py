from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.guards import one_guard
from tests.support.guards import reasons as ask_guard
from tests.support.scanning import scan

OLD = File("x", age_days=400)


def reasons(root: Path, **settings: Any) -> list[str]:
    return ask_guard(root, "item", "bundles", **settings)


@pytest.mark.parametrize("ending", ["photoslibrary", "fcpbundle", "logicx", "vmwarevm", "sparsebundle", "XCODEPROJ"])
def test_a_bundle_of_which_something_would_be_left_out_keeps_its_item(root: Path, ending: str) -> None:
    make_tree(root, {"item": {f"a.{ending}": {"deep": {"x.tmp": OLD, "y": OLD}}}}, now=NOW)
    assert reasons(root, exclude=["*.tmp"]) == [
        f"item/a.{ending}/deep/x.tmp would be left out (left out by the pattern *.tmp), but item/a.{ending} is a bundle, "
        "which its program needs whole: leave out all of it, or nothing"
    ]
    assert reasons(root) == []


def test_an_item_that_is_a_bundle_is_kept(root: Path) -> None:
    make_tree(root, {"Photos.photoslibrary": {"x.tmp": OLD, "y": OLD}}, now=NOW)
    plan = scan(one_guard(root, "bundles", exclude=["*.tmp"]))
    assert plan.decisions[0].reason.startswith("Photos.photoslibrary/x.tmp would be left out")


def test_a_folder_in_a_bundle_that_would_be_left_out_is_named_once(root: Path) -> None:
    make_tree(root, {"item": {"a.logicx": {"cache": {"CACHEDIR.TAG": OLD, "b": OLD}, "c": OLD}}}, now=NOW)
    tag = root / "item" / "a.logicx" / "cache" / "CACHEDIR.TAG"
    tag.write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    (reason,) = reasons(root)
    assert reason.startswith("item/a.logicx/cache would be left out (a cache (CACHEDIR.TAG)), but item/a.logicx is")


def test_what_is_left_out_elsewhere_or_as_a_whole_bundle_keeps_nothing(root: Path) -> None:
    make_tree(root, {"item": {"x.tmp": OLD, "old.band": {"a": OLD}, "y.band": OLD, "z": {"x.tmp": OLD}}}, now=NOW)
    assert reasons(root, exclude=["*.tmp", "old.band/"]) == []


def test_a_folder_named_like_an_application_is_one_when_it_holds_what_an_application_does(root: Path) -> None:
    make_tree(root, {"item": {"web.app": {"node": {"x.tmp": OLD}}}}, now=NOW)
    assert reasons(root, exclude=["*.tmp"]) == []
    (root / "item" / "web.app" / "Contents").mkdir()
    assert len(reasons(root, exclude=["*.tmp"])) == 1
