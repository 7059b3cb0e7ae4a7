"""The notes that stay where items were are known by what is in them, not by their name alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_tasks.items.own_files import ENDING, FIRST_LINE, is_stub, signed, stub_name

TEXT = f"{FIRST_LINE}\n  item  thesis\n"


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def test_a_note_is_known_as_long_as_nobody_wrote_into_it(root: Path, root_fd: int) -> None:
    name = stub_name("thesis")
    note = root / name
    note.write_text(signed(TEXT))
    assert is_stub(root_fd, name)
    for other in (
        signed(TEXT) + "mine\n",
        "mine\n" + signed(TEXT),
        signed(TEXT).replace("thesis", "thesis2"),
        TEXT,
        "",
    ):
        note.write_text(other)
        assert not is_stub(root_fd, name), other


def test_nothing_else_of_that_name_is_one(root: Path, root_fd: int) -> None:
    (root / "folder.archived.txt").mkdir()
    (root / "link.archived.txt").symlink_to(root / "real")
    (root / "real").write_text(signed(TEXT))
    os.mkfifo(root / "pipe.archived.txt")
    (root / "bytes.archived.txt").write_bytes(b"\xff\xfe" + signed(TEXT).encode())
    for name in (
        "folder.archived.txt",
        "link.archived.txt",
        "pipe.archived.txt",
        "bytes.archived.txt",
        "missing.archived.txt",
    ):
        assert not is_stub(root_fd, name), name
    assert not is_stub(root_fd, "real"), "its name says nothing"


@pytest.mark.parametrize("item", ["thesis", "n" * 242, "n" * 243, "é" * 127, os.fsdecode(b"\xe9" * 255)])
def test_the_name_has_room_and_is_the_items_own(item: str) -> None:
    name = stub_name(item)
    assert name.endswith(ENDING)
    assert len(os.fsencode(name)) <= 255
    assert name != stub_name(item[:-1])
    assert (name == item + ENDING) == (len(os.fsencode(item)) <= 242)
