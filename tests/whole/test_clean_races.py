"""Somebody changes an item while it is being cleaned, at any moment: what they wrote always survives."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.testing.trees import read_tree
from tests.support.cleaning import LOOKS_AT_PROCESSES, CleanBench, make_items, sums_in
from tests.support.moments import at_moment, count_moments

NEW = "written meanwhile"
REMOVAL = frozenset({"os.remove"})
MOMENTS = int(os.environ.get("RACE_MOMENTS", "22"))
"""For each change; by hand, `RACE_MOMENTS=100000` tries every moment."""


def place_of(root: Path, path: str) -> Path | None:
    """Where an entry is by now: at home or aside."""
    slots = (root / SET_ASIDE).glob("*/item")
    return next((place / path for place in (root, *slots) if os.path.lexists(place / path)), None)


def append(root: Path) -> str | None:
    path = place_of(root, "papers/p1")
    if path:
        with path.open("a") as file:
            file.write(NEW)
    return path and f"paper 1{NEW}"


def rewrite_in_secret(root: Path) -> str | None:
    """As many bytes, and the old time set back."""
    path = place_of(root, "papers/p1")
    if path:
        facts = path.stat()
        path.write_text("PAPER 1")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return path and "PAPER 1"


def add(root: Path) -> str | None:
    path = place_of(root, "papers/sub")
    if path:
        (path / "new").write_text(NEW)
    return path and NEW


def replace(root: Path) -> str | None:
    path = place_of(root, "papers/p1")
    if path:
        other = root / "other"
        other.write_text(NEW)
        other.rename(path)
    return path and NEW


def replace_item(root: Path) -> str | None:
    """As a program does that saves a folder anew: the old one aside, a new one in its place."""
    if os.path.lexists(root / "papers"):
        (root / "papers").rename(root / "papers~")
    (root / "papers").mkdir()
    (root / "papers" / "p1").write_text(NEW)
    return NEW


def link_elsewhere(root: Path) -> str | None:
    """A folder becomes a link to one with precious things outside of the root."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "x").write_text(NEW)
    path = place_of(root, "papers/sub")
    if path:
        path.rename(root / "sub that was")
        path.symlink_to(outside)
    return NEW


CHANGES = (append, rewrite_in_secret, add, replace, replace_item, link_elsewhere)


@pytest.mark.parametrize("mode", ["quarantine", "delete"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_written_at_any_moment_survives(
    tmp_path: Path, make_session: Any, change: Callable[[Path], str | None], mode: str
) -> None:
    """But for the moment between the last look at a file and its removal, which are one after the other."""

    def made(number: int) -> CleanBench:
        root = tmp_path / str(number) / "root"
        root.mkdir(parents=True)
        make_items(root)
        (root / "note").unlink()
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        bench = CleanBench(root, tmp_path / str(number), make_session)
        bench.plugins_off = LOOKS_AT_PROCESSES
        bench.archive()
        return bench

    first = made(0)
    moments = count_moments(lambda: first.clean(mode, days=0), but=REMOVAL)
    tried = 0
    for moment in range(1, moments + 1, max(1, moments // MOMENTS)):
        bench = made(moment)
        written: list[str | None] = []
        with at_moment(moment, lambda: written.append(change(bench.root)), but=REMOVAL):  # noqa: B023 - used at once
            bench.clean(mode, days=0)
        if text := written and written[0]:
            tried += 1
            found = sums_in(read_tree(bench.root.parent))
            assert hashlib.sha256(text.encode()).hexdigest() in found, f"lost at moment {moment} of {moments}"
        shutil.rmtree(bench.root.parent)
    assert tried >= 10
