"""One object that is there and cannot be read, as behind a bad sector, or of another user's: it is named, alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.default_plugins.stores.test_folder_sharing import BOB, everything
from tests.support.users import common, needs_root

__all__ = ["common"]

ITEMS = [f"item{number}" for number in range(5)]
pytestmark = needs_root


class Bob:
    """A user with five archived items, each with a pack and an object of its own."""

    def __init__(self, common: Path) -> None:
        self.home, self.target = common / "bob", common / "target"
        (self.home / "root").mkdir(parents=True)
        for item in ITEMS:
            large = File(item * 300_000, age_days=90)
            make_tree(self.home / "root", {item: {"a": File(f"{item}a", age_days=90), "large": large}})
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, BOB.uid, BOB.groups[0])
        self.target.mkdir()
        os.chown(self.target, BOB.uid, BOB.groups[0])
        self.ask("archive", "--root", str(self.home / "root"), "--yes")

    def ask(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        ran = BOB.run(*arguments, "--target", self.target.as_uri(), "--json", home=self.home)
        assert ran.code == code, ran.out + ran.err
        return dict(json.loads(ran.out)) if ran.out.strip() else {}

    def hide(self, pattern: str) -> Path:
        (found,) = self.target.glob(pattern)
        os.chown(found, 0, 0)
        found.chmod(0)
        return found


@pytest.fixture
def bob(common: Path) -> Bob:
    warm_up = common / "warm-up"
    make_tree(warm_up / "root", {"x": {"a": File("a", age_days=90)}})
    everything(warm_up, ("--target", (warm_up / "target").as_uri()))
    return Bob(common)


@pytest.mark.parametrize(
    ("pattern", "file"), [("data/**/item2~*/*/files/large", "large"), ("data/**/item2~*/*/packs/00001.tar.zst", "a")]
)
@pytest.mark.parametrize("how", [(), ("--read-data",)])
def test_verify_names_the_file_restore_brings_the_rest_and_archive_sends_it_again(
    bob: Bob, pattern: str, file: str, how: tuple[str, ...]
) -> None:
    key = str(bob.hide(pattern).relative_to(bob.target))
    assert {one["path"] for one in bob.ask("verify", *how, code=1)["damaged"]} - {key} == {f"item2/{file}"}
    restored = bob.ask("restore", "--all", "--to", str(bob.home / "back"), code=3)
    assert [one["path"] for one in restored["failed"]] == [f"item2/{file}"]
    assert "cannot be read: permission denied" in restored["failed"][0]["reason"]
    assert restored["files"] == 2 * len(ITEMS) - 1
    archived = bob.ask("archive", "--root", str(bob.home / "root"), "--yes")
    assert [one["item"] for one in archived["archives"]] == ["item2"]
    assert bob.ask("verify", *how)["damaged"] == []
    freed = bob.ask("clean", "--root", str(bob.home / "root"), "--yes", "--mode", "delete", "--max-share", "100")
    assert sorted(one["item"] for one in freed["freed"]) == ITEMS


def test_clean_frees_everything_else(bob: Bob) -> None:
    bob.hide("data/**/item2~*/*/files/large")
    cleaned = bob.ask(
        "clean", "--root", str(bob.home / "root"), "--yes", "--mode", "delete", "--max-share", "100", code=3
    )
    assert sorted(one["item"] for one in cleaned["freed"]) == [item for item in ITEMS if item != "item2"]
    assert [one["item"] for one in cleaned["failed"]] == ["item2"]
    assert (bob.home / "root" / "item2" / "large").exists()


def test_a_manifest_that_cannot_be_read_keeps_no_other_from_coming_back(bob: Bob) -> None:
    manifest = bob.hide("manifests/**/item2~*")
    (damaged,) = bob.ask("verify", code=1)["damaged"]
    assert damaged["path"] == str(manifest.relative_to(bob.target))
    assert "cannot be read: permission denied" in damaged["problem"]
    before = bob.home / "data"
    before.rename(bob.home / "data of before")
    restored = bob.ask("restore", "--all", "--to", str(bob.home / "back"), code=3)
    assert sorted(path.name for path in (bob.home / "back").iterdir()) == [item for item in ITEMS if item != "item2"]
    assert restored["failed"] == []
    assert bob.ask("catalogue", "--rebuild", code=3)["archives"] == len(ITEMS) - 1
    (bob.home / "data").rename(bob.home / "data of a new device")
    (bob.home / "data of before").rename(before)
    assert bob.ask("verify", "--repair")["damaged"] == []
    assert bob.ask("verify")["damaged"] == []
