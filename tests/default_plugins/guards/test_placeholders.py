from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archive_tasks.default_plugins.guards.placeholders import is_elsewhere
from archive_tasks.testing.trees import File, Link, make_tree
from tests.conftest import NOW
from tests.support.guards import reasons as ask_guard

OLD = File("x" * 5000, age_days=400)


def reasons(root: Path, name: str = "item") -> list[str]:
    return ask_guard(root, name, "placeholders")


def said(path: str) -> str:
    return f"{path} is a placeholder whose bytes are in the cloud: have it kept on this computer first"


def mark(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            pytest.skip("this filesystem has no extended attributes")
        raise


def test_a_stub_of_icloud_keeps_its_item(root: Path) -> None:
    make_tree(root, {"item": {"deep": {".film.mov.icloud": OLD}}}, now=NOW)
    assert reasons(root) == [said("item/deep/.film.mov.icloud")]


@pytest.mark.parametrize("ending", ["nextcloud", "owncloud"])
@pytest.mark.parametrize("contents", ["", " "])
def test_a_virtual_file_of_at_most_one_byte_keeps_its_item(root: Path, ending: str, contents: str) -> None:
    make_tree(root, {"item": {f"film.mov.{ending}": File(contents, 400)}}, now=NOW)
    assert reasons(root) == [said(f"item/film.mov.{ending}")]


def test_an_item_that_is_a_virtual_file_is_kept(root: Path) -> None:
    make_tree(root, {"film.mov.nextcloud": File(" ", 400)}, now=NOW)
    assert reasons(root, "film.mov.nextcloud") == [said("film.mov.nextcloud")]


@pytest.mark.parametrize("journal", [".", "item", "item/deep"])
@pytest.mark.parametrize(
    ("name", "value"), [("user.nextcloud.hydrate_exec", b"nextcloud"), ("user.openvfs.state", b"virtual")]
)
def test_a_virtual_file_that_bears_an_attribute_keeps_its_item(
    root: Path, name: str, value: bytes, journal: str
) -> None:
    make_tree(root, {"item": {"deep": {"film.mov": File(" ", 400)}}}, now=NOW)
    mark(root / "item" / "deep" / "film.mov", name, value)
    assert reasons(root) == []
    (root / journal / ".sync_0a1b2c3d4e5f.db").touch()
    assert reasons(root) == [said("item/deep/film.mov")]


def test_a_journal_around_the_root_tells_too(root: Path) -> None:
    make_tree(root, {"item": {"film.mov": File(" ", 400)}}, now=NOW)
    mark(root / "item" / "film.mov", "user.openvfs.state", b"virtual")
    (root.parent / "._sync_0a1b2c3d4e5f.db").touch()
    assert reasons(root) == [said("item/film.mov")]


def test_a_virtual_file_whose_size_is_shown_but_holds_no_block_keeps_its_item(root: Path) -> None:
    (root / ".sync_0a1b2c3d4e5f.db").touch()
    make_tree(root, {"item": {"film.mov": File("", 400)}}, now=NOW)
    os.truncate(root / "item" / "film.mov", 10_000_000)
    assert reasons(root) == []
    mark(root / "item" / "film.mov", "user.openvfs.state", b"dehydrated")
    assert reasons(root) == [said("item/film.mov")]


def test_a_file_that_is_here_is_no_placeholder(root: Path) -> None:
    make_tree(
        root,
        {
            "item": {
                "film.mov": OLD,
                "small": File("x", 400),
                "empty": File("", 400),
                "notes.nextcloud": OLD,
                ".icloud": OLD,
                "film.icloud": OLD,
                "link.nextcloud": Link("nowhere", 400),
                "folder.nextcloud": {"a": OLD},
            }
        },
        now=NOW,
    )
    (root / ".sync_0a1b2c3d4e5f.db").touch()
    mark(root / "item" / "small", "user.openvfs.state", b"hydrated")
    mark(root / "item" / "empty", "user.comment", b"mine")
    assert reasons(root) == []


@pytest.mark.parametrize(
    ("bits", "elsewhere"),
    [
        ({"st_flags": 0x40000000}, True),
        ({"st_flags": 0x40000000 | 0x20}, True),
        ({"st_flags": 0x20}, False),
        ({"st_file_attributes": 0x1000 | 0x20}, True),
        ({"st_file_attributes": 0x40000}, True),
        ({"st_file_attributes": 0x400000}, True),
        ({"st_file_attributes": 0x20 | 0x400}, False),
        ({}, False),
    ],
)
def test_the_systems_own_bits_tell_what_is_elsewhere(bits: dict[str, int], elsewhere: bool) -> None:
    facts: Any = SimpleNamespace(st_size=5, **bits)
    assert is_elsewhere(facts) is elsewhere
