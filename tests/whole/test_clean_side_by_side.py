"""Two and three runs at once on one root and one target: nothing is lost.

Two `rclone move` of one folder lose most of it: each takes the source that the other has removed for a failed copy, and
removes the copy. (rclone#5344; `python -m tests.benchmarks.two_movers` shows it beside ours.)
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.foreign import folder_fetch, folder_keys
from tests.support.movers import FILES, archive_and_free, make_folder, sums_at_home, sums_in_target

ROUNDS = 12


@pytest.mark.parametrize("part", range(4))
def test_of_480_files_none_is_lost(tmp_path: Path, part: int) -> None:
    target = tmp_path / "target"
    files = freed = 0
    for round_ in range(part, ROUNDS, 4):
        root = tmp_path / f"root{round_}"
        before = make_folder(root, round_)
        folders = [tmp_path / f"user{number}" for number in range(2 + round_ % 2)]
        archive_and_free(root, target.as_uri(), folders, dict(os.environ))
        here, there = sums_at_home(root), sums_in_target(folder_keys(target), folder_fetch(target))
        assert len(before) == FILES
        assert before <= here | there, f"{len(before - here - there)} of {FILES} files are lost"
        files += len(before)
        freed += len(before - here)
        archive_and_free(root, target.as_uri(), folders[:1], dict(os.environ))
        assert not before & sums_at_home(root), "and the next run frees what is left"
    assert files == FILES * ROUNDS // 4
    assert freed
