"""How an entry gets its name: names beside a taken one, and what may be replaced."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest

from archive_tasks.disk.give_name import check_replaceable, names_beside
from archive_tasks.errors import EntryOccupied


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("a.txt", ["a (restored).txt", "a (restored 2).txt", "a (restored 3).txt"]),
        ("a", ["a (restored)", "a (restored 2)", "a (restored 3)"]),
        (".profile", [".profile (restored)", ".profile (restored 2)", ".profile (restored 3)"]),
        ("a.tar.gz", ["a.tar (restored).gz", "a.tar (restored 2).gz", "a.tar (restored 3).gz"]),
    ],
)
def test_the_ending_stays_where_programs_look_for_it(name: str, beside: list[str]) -> None:
    assert list(islice(names_beside(name), 3)) == beside


@pytest.mark.parametrize(
    "name", ["n" * 255, "n" * 251 + ".txt", "é" * 127, "📷" * 63, os.fsdecode(b"\xe9" * 255), "a." + "e" * 200]
)
def test_no_name_is_longer_than_a_filesystem_takes(name: str) -> None:
    beside = list(islice(names_beside(name), 120))
    assert len(set(beside)) == 120
    for one in beside:
        assert len(os.fsencode(one)) <= 255
        assert name not in beside


class _Place:
    path = "folder/a"


def test_only_files_and_links_are_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "link"):
        check_replaceable(_Place, (tmp_path / name).lstat())  # type: ignore[arg-type]
    for name in ("folder", "pipe"):
        with pytest.raises(
            EntryOccupied, match=r"folder/a was not restored: .+ has its name, and is never overwritten"
        ):
            check_replaceable(_Place, (tmp_path / name).lstat())  # type: ignore[arg-type]
