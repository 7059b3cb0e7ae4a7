"""No path, link, or race leads a restore out of its folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.disk.destination import Destination
from archive_tasks.disk.give_name import OnConflict
from archive_tasks.errors import EntryError, EntryOccupied
from archive_tasks.model import Attributes
from archive_tasks.testing.trees import read_tree
from tests.support.destinations import PLAIN, fill, names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "destination"
    made.mkdir()
    return made


@pytest.fixture
def destination(folder: Path) -> Iterator[Destination]:
    with Destination(str(folder)) as opened:
        yield opened


NEVER_A_PATH = [
    "", "/", "//", ".", "..", "./", "../", "/.", "/..", "a/", "/a", "//a", "a//b", "a/./b", "./a", "a/.",
    "../a", "../../a", "../../../../../../../../../../etc/canary", "a/..", "a/../b", "a/../../x", "a/../../../x",
    "a/b/../../../x", "d/..", "d/../x", "d/../../canary/x", "d/../../canary/secret", "d/.//x", "d/./../../x",
    "/etc/canary", "/tmp/canary", "//etc/canary", "///x", "d//x", "d///../x", "d/x/", "d/x//", "d/x/.", "d/x/..",
    "../canary/x", "../canary/secret", "../destination/x", "../destination", "..//x", ".//x", "x/..//y",
    "\0", "a\0", "\0a", "a\0b", "a/\0", "a\0/b", "d/x\0.txt", "d\0/../x", "../\0", "x\0/../../canary/x",
    "\ud800", "d/\udbff", "\ud800/x", "\udfff/../x",
]  # fmt: skip
THROUGH_WHAT_IS_NO_FOLDER = [
    "out/x", "out/secret", "out/new/x", "out/deep/f", "up/x", "up/canary/x", "up/canary/secret", "root/etc/canary_x",
    "root/tmp/canary_x", "d/out/x", "d/out/deep/x", "dangling/x", "me/x", "me/me/x", "loop/x", "dot/x", "file/x",
    "file/x/y", "d/file/x", "proc/cwd/canary_x", "hop/x", "hop/deep/f",
]  # fmt: skip


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A destination full of links that lead out of it, beside a canary."""
    canary, folder = tmp_path / "canary", tmp_path / "destination"
    (canary / "deep").mkdir(parents=True)
    fill(canary, {"secret": b"secret", "deep/f": b"f"})
    (folder / "d").mkdir(parents=True)
    fill(folder, {"file": b"file", "d/file": b"file"})
    links = {"out": canary, "up": "..", "root": "/", "d/out": "../../canary", "dangling": canary / "new", "me": "me",
             "loop": "loop2", "loop2": "loop", "dot": ".", "proc": "/proc/self", "hop": "d/out"}  # fmt: skip
    for name, target in links.items():
        os.symlink(target, folder / name)
    return folder


def attempts(destination: Destination, path: str) -> Iterator[Any]:
    """Everything that could write at `path`."""
    yield lambda: destination.put_file(path, b"attack", PLAIN)
    yield lambda: destination.new_file(path, 6).publish(PLAIN)
    yield lambda: destination.make_link(path, "/etc/passwd", PLAIN)
    yield lambda: destination.make_hardlink(path, "file")
    yield lambda: destination.make_hardlink("stolen", path)
    yield lambda: destination.make_folder(path)
    yield lambda: destination.finish_folder(path, Attributes(mode=0o777, mtime_ns=1))
    yield lambda: destination.find(path)
    yield lambda: destination.holds(path, size=6, sha256=hashlib.sha256(b"secret").hexdigest())


@pytest.mark.parametrize("policy", ["refuse", "overwrite", "both"])
def test_no_path_leads_out_and_none_changes_anything(trap: Path, policy: OnConflict) -> None:
    before = read_tree(trap.parent)
    with Destination(str(trap), on_conflict=policy) as destination:
        for path in NEVER_A_PATH + THROUGH_WHAT_IS_NO_FOLDER:
            for number, attempt in enumerate(attempts(destination, path)):
                with pytest.raises(EntryError):
                    pytest.fail(f"{path!r} in way {number} came to {attempt()!r}")
    assert read_tree(trap.parent) == before
    assert not [name for name in ("x", "etc", "canary_x") if name in names(trap.parent)]
    assert not os.path.lexists("/etc/canary_x")
    assert not os.path.lexists("/tmp/canary_x")
    assert len(set(NEVER_A_PATH + THROUGH_WHAT_IS_NO_FOLDER)) >= 60


@pytest.mark.parametrize("first", ["out", "up", "dangling", "me", "d", "missing", "missing/x", "hop"])
def test_a_hard_link_is_never_made_of_what_is_no_file(trap: Path, first: str) -> None:
    before = read_tree(trap.parent)
    with Destination(str(trap)) as destination, pytest.raises(EntryError):
        destination.make_hardlink("stolen", first)
    assert read_tree(trap.parent) == before


@pytest.mark.parametrize("path", ["out", "up", "dangling", "me", "root"])
def test_overwriting_a_link_replaces_the_link_and_not_what_it_points_to(trap: Path, path: str) -> None:
    before = read_tree(trap.parent / "canary")
    with Destination(str(trap), on_conflict="overwrite") as destination:
        destination.put_file(path, b"restored", PLAIN)
    assert (trap / path).read_bytes() == b"restored"
    assert not (trap / path).is_symlink()
    assert read_tree(trap.parent / "canary") == before


def test_a_link_that_the_archive_brings_is_not_written_through_either(destination: Destination, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    destination.make_link("x", str(victim), PLAIN)
    with pytest.raises(EntryOccupied):
        destination.make_folder("x")
    with pytest.raises(EntryOccupied):
        destination.put_file("x/f", b"attack", PLAIN)
    assert names(victim) == []


@pytest.mark.parametrize("path", ["n" * 256, "d/" + "ä" * 128, "n" * 300 + "/f"])
def test_a_name_that_is_too_long_is_told(destination: Destination, folder: Path, path: str) -> None:
    destination.make_folder("d")
    for attempt in list(attempts(destination, path))[:3]:
        with pytest.raises(EntryError, match="too long"):
            attempt()
    assert names(folder) == ["d"]


def test_an_error_shows_a_hostile_name_harmless(destination: Destination) -> None:
    with pytest.raises(EntryError) as caught:
        destination.put_file("\x1b[2J\n‮\udcff/..", b"", PLAIN)
    assert str(caught.value).isprintable()


def test_a_folder_that_was_moved_away_is_not_filled_any_further(
    destination: Destination, folder: Path, tmp_path: Path
) -> None:
    destination.make_folder("a/b")
    destination.put_file("a/b/f", b"x", PLAIN)
    (folder / "a").rename(tmp_path / "moved")
    os.symlink(tmp_path / "moved", folder / "a")
    with pytest.raises(EntryOccupied):
        destination.put_file("a/b/g", b"x", PLAIN)
    assert names(tmp_path / "moved" / "b") == ["f"]


def test_a_folder_below_more_than_a_path_can_say_is_noticed_too_when_it_is_moved(
    destination: Destination, folder: Path, tmp_path: Path
) -> None:
    path = "/".join(["n" * 200] * 60)
    destination.make_folder(path)
    destination.put_file(f"{path}/f", b"x", PLAIN)
    (folder / ("n" * 200)).rename(tmp_path / "moved")
    with pytest.raises(EntryError, match="its folder is missing"):
        destination.put_file(f"{path}/g", b"x", PLAIN)
    (tmp_path / "moved").rename(folder / ("n" * 200))
    destination.put_file(f"{path}/g", b"x", PLAIN)
    above = folder / "/".join(["n" * 200] * 15)
    (above / ("n" * 200)).rename(tmp_path / "moved")
    with pytest.raises(EntryError, match="its folder is missing"):
        destination.put_file(f"{path}/h", b"x", PLAIN)


def test_two_folders_that_changed_places_are_told_apart(destination: Destination, folder: Path) -> None:
    for name in ("a", "b"):
        destination.make_folder(name)
        destination.put_file(f"{name}/first", b"x", PLAIN)
    for old, new in (("a", "hidden"), ("b", "a"), ("hidden", "b")):
        (folder / old).rename(folder / new)
    destination.put_file("a/second", b"x", PLAIN)
    assert names(folder / "a") == ["first", "second"]
    assert names(folder / "b") == ["first"]


def test_a_folder_that_was_removed_and_made_anew_is_filled_anew(destination: Destination, folder: Path) -> None:
    destination.make_folder("a")
    (folder / "a").rmdir()
    with pytest.raises(EntryError, match="its folder is missing"):
        destination.put_file("a/f", b"x", PLAIN)
    destination.make_folder("a")
    destination.put_file("a/f", b"x", PLAIN)
    assert (folder / "a/f").read_bytes() == b"x"


SWAPPER = """
import os, sys
folder, victim = sys.argv[1:]
print("ready", flush=True)
os.symlink(victim, f"{folder}/link")
while True:
    for path, hidden in (("a", "hidden"), ("a/b", "a/hidden")):
        try:
            os.rename(f"{folder}/{path}", f"{folder}/{hidden}")
            os.symlink(victim, f"{folder}/{path}")
            os.unlink(f"{folder}/{path}")
            os.rename(f"{folder}/{hidden}", f"{folder}/{path}")
        except OSError:
            pass
"""


def test_a_folder_swapped_for_a_link_while_files_are_written_never_lets_one_out(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim / "b").mkdir(parents=True)
    (folder / "a" / "b").mkdir(parents=True)
    swapper = subprocess.Popen([sys.executable, "-c", SWAPPER, folder, victim], stdout=subprocess.PIPE)
    assert swapper.stdout
    swapper.stdout.readline()
    written, refused = set(), 0
    end = time.monotonic() + 3
    try:
        while time.monotonic() < end:
            with Destination(str(folder)) as destination:
                for number in range(50):
                    name = f"{len(written)}-{number}"
                    try:
                        destination.put_file(f"a/b/{name}", name.encode(), PLAIN)
                        written.add(name)
                    except EntryError:
                        refused += 1
    finally:
        swapper.kill()
        swapper.communicate()
    assert names(victim) == ["b"]
    assert names(victim / "b") == []
    assert refused
    assert written
    found = [path for path in folder.rglob("*-*") if not path.is_symlink()]
    assert {path.name for path in found} == written
    assert all(path.read_bytes() == path.name.encode() for path in found)
