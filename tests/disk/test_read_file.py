"""A file is read once, whole and as it was listed, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_tasks.disk.read_file import Identity, SourceFile, extended_attributes, identity_of
from archive_tasks.errors import ItemChanged, ItemUnreadable

CONTENTS = bytes(range(256)) * 64


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(CONTENTS)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def listed(file: Path) -> Identity:
    return identity_of(file.lstat())


def test_pieces_are_the_bytes_and_no_access_time_is_left(file: Path, folder: int) -> None:
    os.utime(file, (1_000_000_000, 1_000_000_000))
    before = file.stat()
    with SourceFile("item/file", "file", folder, listed(file)) as source:
        assert source.piece(0, source.size) == CONTENTS
        assert source.piece(5, 10) == CONTENTS[5:15]
        source.check()
    after = file.stat()
    assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_atime_ns,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )
    source.close()  # safe to call twice


def test_it_must_be_the_file_that_was_listed(file: Path, folder: int) -> None:
    was = listed(file)
    for other in (
        was._replace(size=was.size + 1),
        was._replace(mtime_ns=was.mtime_ns + 1),
        was._replace(inode=was.inode + 1),
        was._replace(mode=was.mode ^ 0o1),
        was._replace(device=was.device + 1),
    ):
        with pytest.raises(ItemChanged, match="item/file changed while it was read"):
            SourceFile("item/file", "file", folder, other)
    SourceFile("item/file", "file", folder, was._replace(inode=0)).close()


def test_what_it_was_replaced_by_is_not_read(file: Path, folder: int, tmp_path: Path) -> None:
    was = listed(file)
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENTS)
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises((ItemChanged, ItemUnreadable)):
        SourceFile("item/file", "file", folder, was)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises((ItemChanged, ItemUnreadable)):
        SourceFile("item/file", "file", folder, was)
    file.unlink()
    with pytest.raises(ItemUnreadable, match="item/file"):
        SourceFile("item/file", "file", folder, was)


def test_a_change_while_it_is_read_is_noticed_at_the_end(file: Path, folder: int) -> None:
    with SourceFile("item/file", "file", folder, listed(file)) as source:
        source.piece(0, source.size)
        facts = file.stat()
        with file.open("r+b") as writer:
            writer.write(b"other")
        os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        with pytest.raises(ItemChanged):
            source.check()


def test_a_file_that_became_shorter_or_longer_is_not_padded_nor_cut(file: Path, folder: int) -> None:
    with SourceFile("item/file", "file", folder, listed(file)) as source:
        os.truncate(file, 100)
        with pytest.raises(ItemChanged):
            source.piece(0, source.size)
        os.truncate(file, len(CONTENTS) + 1)
        with pytest.raises(ItemUnreadable, match="claims 16,384 bytes and holds more"):
            source.check()


def test_extended_attributes_come_along_where_there_are_any(file: Path, folder: int) -> None:
    try:
        os.setxattr(file, "user.note", b"hello")
    except OSError:
        pytest.skip("this filesystem has no extended attributes")
    with SourceFile("item/file", "file", folder, listed(file)) as source:
        assert source.extended_attributes() == {"user.note": b"hello"}
    assert extended_attributes(str(file), "item/file") == {"user.note": b"hello"}
