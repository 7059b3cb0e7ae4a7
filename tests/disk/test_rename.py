"""One rename that replaces nothing, whatever lies in its way and whatever the system can do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_tasks.disk import rename as renaming
from archive_tasks.disk.rename import rename_to_free_name


@pytest.fixture
def handles(tmp_path: Path) -> Iterator[tuple[int, int]]:
    folders = [tmp_path / name for name in ("from", "to")]
    for folder in folders:
        folder.mkdir()
    opened = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders]
    yield opened[0], opened[1]
    for fd in opened:
        os.close(fd)


@pytest.fixture(params=["in one step", "look and rename", "the filesystem cannot"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "look and rename":
        monkeypatch.setattr(renaming, "_in_one_step", lambda: None)
    elif request.param == "the filesystem cannot":
        monkeypatch.setattr(renaming, "_in_one_step", lambda: lambda *_: 22)  # EINVAL, as of some FUSE filesystems


@pytest.mark.parametrize("name", ["a", "new\nline", os.fsdecode(b"caf\xe9"), "n" * 255])
def test_a_file_and_a_folder_move_under_any_name(handles: tuple[int, int], tmp_path: Path, name: str) -> None:
    (tmp_path / "from" / "file").write_text("x")
    (tmp_path / "from" / "folder").mkdir()
    (tmp_path / "from" / "folder" / "in it").write_text("y")
    rename_to_free_name("file", name, from_fd=handles[0], to_fd=handles[1])
    rename_to_free_name("folder", "folder", from_fd=handles[0], to_fd=handles[1])
    assert (tmp_path / "to" / name).read_text() == "x"
    assert (tmp_path / "to" / "folder" / "in it").read_text() == "y"
    assert os.listdir(tmp_path / "from") == []


@pytest.mark.parametrize("there", ["file", "folder", "link", "broken link"])
def test_nothing_is_replaced(handles: tuple[int, int], tmp_path: Path, there: str) -> None:
    (tmp_path / "from" / "a").write_text("mine")
    place = tmp_path / "to" / "a"
    if there == "file":
        place.write_text("theirs")
    elif there == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "from" if there == "link" else tmp_path / "nowhere")
    before = place.lstat()
    with pytest.raises(FileExistsError):
        rename_to_free_name("a", "a", from_fd=handles[0], to_fd=handles[1])
    assert (tmp_path / "from" / "a").read_text() == "mine"
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)


def test_what_is_not_there_cannot_be_moved(handles: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename_to_free_name("a", "b", from_fd=handles[0], to_fd=handles[1])
    assert os.listdir(tmp_path / "to") == []


def test_another_filesystem_is_refused_and_nothing_moves(tmp_path: Path, other_disk: Path) -> None:
    (tmp_path / "a").write_text("x")
    here, there = os.open(tmp_path, os.O_RDONLY), os.open(other_disk, os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="cross-device"):
            rename_to_free_name("a", "a", from_fd=here, to_fd=there)
    finally:
        os.close(here)
        os.close(there)
    assert (tmp_path / "a").read_text() == "x"
    assert os.listdir(other_disk) == []
