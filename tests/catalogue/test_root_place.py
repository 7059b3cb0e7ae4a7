"""Is the folder at a path the one that was archived from there?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.root_place import check_place, place_of_root, remember_place
from archive_tasks.errors import UsageError


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(str(tmp_path / "catalogue.sqlite"), target="file:///nas") as opened:
        yield opened


def test_a_folder_of_which_nothing_is_known_is_taken(catalogue: Catalogue, root: Path) -> None:
    check_place(catalogue, str(root))


def test_the_same_folder_is_known_again_and_another_at_its_path_is_refused(catalogue: Catalogue, root: Path) -> None:
    remember_place(catalogue, str(root))
    check_place(catalogue, str(root))
    root.rename(root.with_name("was"))
    root.mkdir()
    with pytest.raises(UsageError, match="is the right disk mounted"):
        check_place(catalogue, str(root))
    remember_place(catalogue, str(root))
    check_place(catalogue, str(root))


def test_each_path_is_remembered_by_itself(catalogue: Catalogue, root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    remember_place(catalogue, str(root))
    check_place(catalogue, str(other))
    assert place_of_root(str(root)) != place_of_root(str(other))
    root.rename(tmp_path / "moved")
    assert place_of_root(str(tmp_path / "moved")) != place_of_root(str(other))
