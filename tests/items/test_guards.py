"""Guards are asked of stale items by one walk for all of them, and looked at anew before anything is removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks import hookimpl
from archive_tasks.errors import PluginError
from archive_tasks.items.guards import MOST_REASONS, reasons_to_keep
from archive_tasks.items.rules import make_rules
from archive_tasks.model import Guard, Item, Listing
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW
from tests.support.scanning import scan

OLD = File("x", age_days=400)


def plugin(looks: Callable[[Listing], Any], **more: Any) -> Any:
    class Given:
        made = 0

        @hookimpl
        def make_guard(self, root: str) -> Guard:
            self.made += 1
            return Guard(looks=looks, **more)

    return Given()


def test_a_guard_is_shown_each_folder_once_with_everything_in_it(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"a": OLD, "deep": {"b": OLD, "link": Link("/", 400)}}}, now=NOW)
    shown: list[tuple[str, dict[str, int], set[str]]] = []

    def looks(listing: Listing) -> Iterator[str]:
        shown.append((listing.path, dict(listing.inodes), set(listing.folders)))
        yield from ()

    assert scan(make_session(root, plugins=[plugin(looks)])).to_archive
    inode = {path: os.lstat(root / path).st_ino for path in ("item/a", "item/deep", "item/deep/b", "item/deep/link")}
    assert shown == [
        ("item", {"a": inode["item/a"], "deep": inode["item/deep"]}, {"deep"}),
        ("item/deep", {"b": inode["item/deep/b"], "link": inode["item/deep/link"]}, set()),
    ]


def test_an_item_that_is_a_file_is_shown_with_what_the_guard_asks_for_beside_it(root: Path, make_session: Any) -> None:
    make_tree(root, {"note": OLD, "note.lock": File("x", 1), "other": File("x", 1)}, now=NOW)
    guard = plugin(lambda listing: [" ".join(sorted(listing.inodes))], beside=lambda name: [f"{name}.lock", f"{name}~"])
    (decision,) = (one for one in scan(make_session(root, plugins=[guard])).decisions if one.item.name == "note")
    assert decision.reason == "note note.lock"


def test_what_is_left_out_is_told_and_not_entered(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"a.tmp": OLD, "cache": {"b": OLD}, "c": OLD}}, now=NOW)
    guard = plugin(lambda listing: [f"{name}: {listing.left_out(name)}" for name in sorted(listing.inodes)])
    session = make_session(root, plugins=[guard], exclude=["*.tmp", "cache/"])
    assert scan(session).decisions[0].reason == (
        "a.tmp: left out by the pattern *.tmp; c: None; cache: left out by the pattern cache/"
    )


@pytest.mark.parametrize("error", [ValueError("no\nidea"), SystemExit(3)])
def test_a_guard_that_fails_keeps_the_item_and_the_others_are_asked(
    root: Path, make_session: Any, error: BaseException
) -> None:
    def fails(listing: Listing) -> Any:
        raise error

    class Other:
        @hookimpl
        def make_guard(self) -> Guard:
            return Guard(looks=lambda listing: ["it is dear to me"])

    make_tree(root, {"item": {"a": OLD}}, now=NOW)
    reason = scan(make_session(root, plugins=[plugin(fails), Other()])).decisions[0].reason
    assert "the plugin Given could not judge it: " in reason
    assert "it is dear to me" in reason
    assert "\n" not in reason


def test_a_guard_that_names_much_is_cut_short(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {str(number): {"a": OLD} for number in range(20)}}, now=NOW)
    reason = scan(make_session(root, plugins=[plugin(lambda listing: [listing.path])])).decisions[0].reason
    assert reason.count(";") + 1 == MOST_REASONS


def test_a_folder_that_cannot_be_listed_is_a_reason(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"deep": {"a": OLD}}}, now=NOW)

    def removes(listing: Listing) -> Iterator[str]:
        if listing.path == "item":
            os.rename(root / "item" / "deep", root / "deep")
        yield from ()

    found = scan(make_session(root, plugins=[plugin(removes)]))
    assert found.decisions[0].reason == "item/deep vanished while it was looked at"


def test_an_excluder_that_fails_while_the_guards_look_keeps_the_item(root: Path, make_session: Any) -> None:
    class Broken:
        @hookimpl
        def make_excluder(self) -> Any:
            return lambda path, is_folder: 1 / 0

    make_tree(root, {"item": {"deep": {"a": OLD}}}, now=NOW)
    session = make_session(root, plugins=[Broken()])
    item = Item(name="item", root=str(root), kind="folder")
    assert reasons_to_keep(session, item, make_rules(session, item.root)) == [
        "an excluder failed: ZeroDivisionError: division by zero"
    ]


def test_an_answer_that_is_no_guard_stops_the_run(root: Path, make_session: Any) -> None:
    class Wrong:
        @hookimpl
        def make_guard(self) -> Any:
            return lambda listing: []

    with pytest.raises(PluginError, match=r"make_guard of Wrong .* not a Guard"):
        scan(make_session(root, plugins=[Wrong()]))


def test_a_scan_makes_a_guard_once_and_each_question_before_removing_makes_it_anew(
    root: Path, make_session: Any
) -> None:
    make_tree(root, {"a": OLD, "b": OLD}, now=NOW)
    guard = plugin(lambda listing: [])
    session = make_session(root, plugins=[guard])
    assert len(scan(session).to_archive) == 2
    assert guard.made == 1
    for name in ("a", "b"):
        item = Item(name=name, root=str(root), kind="file")
        assert reasons_to_keep(session, item, make_rules(session, item.root)) == []
    assert guard.made == 3


def test_the_built_in_guards_leave_the_tree_and_its_access_times_as_they_are(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"a.db": OLD, "a.db-wal": OLD, "~$b.docx": OLD, "deep": {"c": OLD}}, "d.db": OLD}, now=NOW)
    os.mkfifo(root / "d.db-wal")
    long_ago = 1_000_000_000 * 10**9
    paths = [root / "item", *(root / "item").rglob("*"), root / "d.db"]
    before = read_tree(root)
    for path in paths:
        os.utime(path, ns=(long_ago, path.lstat().st_mtime_ns))
    scan(make_session(root))
    assert [path for path in paths if path.lstat().st_atime_ns != long_ago] == []
    for path in paths:
        os.utime(path, ns=(path.lstat().st_mtime_ns, path.lstat().st_mtime_ns))
    assert read_tree(root) == before
