"""Whose archive is meant, and where its entries go: by device, root, host, id, and what the user says of them."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import SeveralSources, UsageError
from archive_tasks.model import Archive
from archive_tasks.restore.patterns import PathPattern
from archive_tasks.restore.select import RestoreRequest, Selected, select, short_id
from archive_tasks.restore.selection import Selection, wanted_entries
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.yard import MIB

ME, OTHER = "1" * 32, "2" * 32
DAY = timedelta(days=1)


class Shelf:
    """Archives that tests name by letters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.archives: list[Archive] = []
        for name in ("anna", "bob"):
            (folder / name / "Documents").mkdir(parents=True)

    def root(self, user: str) -> str:
        return str(self.folder / user / "Documents")

    def put(self, item: str = "thesis", *, user: str = "anna", commit: str = "", id_: str = "", **more: Any) -> Archive:
        number = len(self.archives) + 1
        commit, id_ = commit or f"{number:x}" * 12, id_ or f"{number:032x}"
        more = {"device": ME, "host": "laptop", "scope": "laptop/Documents", "number": 1, "created": NOW, **more}
        key = f"manifests/{more['scope']}/2024-01-31/{item}~{commit}~{id_}.jsonl.zst"
        if more["device"] == "":
            key = f"manifests/{more['scope']}/2024-01-31/{item}~{id_}.jsonl.zst"
        made = Archive(
            id=id_, item=item, root=self.root(user), target="memory://x", manifest=key, files=1, bytes=1, **more
        )
        self.archives.append(made)
        return made

    def select(self, *patterns: str, **asked: Any) -> Selected:
        roots = frozenset(asked.pop("roots", {self.root("anna"), self.root("bob")}))
        request = RestoreRequest(patterns=patterns or ("thesis",), **{"device": ME, "roots": roots, **asked})
        return select(request, self.archives)

    def chosen(self, *patterns: str, **asked: Any) -> list[Archive]:
        return [one.archive for one in self.select(*patterns, **asked).selections]

    def unclear(self, *patterns: str, by: str = "", **asked: Any) -> Sequence[Archive]:
        with pytest.raises(SeveralSources, match=f"choose one with {by or '.*--id'}$") as caught:
            self.select(*patterns, **asked)
        return caught.value.candidates


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def places(one: Selection, *paths: str) -> list[str | None]:
    return [one.place(path) for path in paths]


# -- whose archive is meant ---------------------------------------------------------------------------


def test_this_devices_own_is_meant_before_anybody_elses(shelf: Shelf) -> None:
    """However much newer that one says it is."""
    mine = shelf.put()
    other = shelf.put(device=OTHER, number=9, created=datetime(2099, 1, 1, tzinfo=UTC))
    found = shelf.select()
    assert [one.archive for one in found.selections] == [mine]
    assert found.others == (other,)
    assert shelf.chosen(device=OTHER) == [other]


def test_of_two_roots_of_this_device_the_one_at_hand_is_meant(shelf: Shelf) -> None:
    anna, bob = shelf.put(), shelf.put(user="bob")
    shelf.put(device=OTHER)
    for user, archive in (("anna", anna), ("bob", bob)):
        found = shelf.select(root=shelf.root(user))
        assert [one.archive for one in found.selections] == [archive]
        assert len(found.others) == 2
    assert shelf.unclear() == tuple(shelf.archives), "all are shown"
    assert shelf.unclear(root=str(shelf.folder / "carl")) == tuple(shelf.archives)


def test_the_root_at_hand_is_that_of_this_device(shelf: Shelf) -> None:
    """Another device's of the same path is another source."""
    mine, _ = shelf.put(user="bob"), shelf.put(device=OTHER)
    assert shelf.chosen(root=shelf.root("anna")) == [mine]


def test_the_only_one_at_all_is_meant_whoevers_it_is(shelf: Shelf) -> None:
    other = shelf.put(device=OTHER)
    found = shelf.select()
    assert ([one.archive for one in found.selections], found.others) == ([other], ())


def test_of_several_that_are_none_of_this_devices_none_is_meant(shelf: Shelf) -> None:
    shelf.put(device=OTHER)
    shelf.put(device="3" * 32)
    assert len(shelf.unclear(by="--id")) == 2, "host and root are the same: nothing else tells them apart"
    assert len(shelf.unclear(root=shelf.root("anna"), by="--id")) == 2


def test_a_device_of_which_nothing_is_known_owns_nothing(shelf: Shelf) -> None:
    """Formats 1 and 2 named none: the unnamed device of a host is not whoever has no id."""
    shelf.put(device="", host="hosta", number=0)
    shelf.put(device="", host="hostb", number=0)
    assert len(shelf.unclear(device="", by="--host or --id")) == 2
    shelf.put(user="bob")
    assert len(shelf.unclear(device="", by="--from-root and --host or --id")) == 3


def test_hosts_without_devices_are_sources_of_their_own(shelf: Shelf) -> None:
    old = shelf.put(device="", host="hosta", number=0, created=NOW - DAY)
    new = shelf.put(device="", host="hosta", number=0)
    assert shelf.chosen() == [new]
    assert old not in shelf.select().others


# -- the newest of a source ---------------------------------------------------------------------------


def test_the_highest_number_is_the_newest_whatever_the_dates_say(shelf: Shelf) -> None:
    shelf.put(number=1, created=datetime(2099, 1, 1, tzinfo=UTC))
    newest = shelf.put(number=3, created=NOW - 9 * DAY)
    shelf.put(number=2)
    found = shelf.select()
    assert ([one.archive for one in found.selections], found.others) == ([newest], ())


def test_at_a_day_the_newest_is_the_one_that_was_made_by_then(shelf: Shelf) -> None:
    first, second = shelf.put(number=1, created=NOW - 9 * DAY), shelf.put(number=2, created=NOW - 2 * DAY)
    assert shelf.chosen(at=NOW) == [second]
    assert shelf.chosen(at=NOW - 2 * DAY) == [second]
    assert shelf.chosen(at=NOW - 3 * DAY) == [first]
    with pytest.raises(UsageError, match="thesis was not archived yet on"):
        shelf.select(at=NOW - 10 * DAY)


# -- what the user says of it -------------------------------------------------------------------------


def test_host_root_scope_and_id_choose(shelf: Shelf) -> None:
    one = shelf.put(device=OTHER, host="hosta", scope="a/Documents")
    two = shelf.put(device="3" * 32, host="hostb", scope="b/Documents", user="bob")
    assert len(shelf.unclear()) == 2
    for archive in (one, two):
        assert shelf.chosen(host=archive.host) == [archive]
        assert shelf.chosen(from_root=archive.root) == [archive]
        assert shelf.chosen(scope=archive.scope) == [archive]
        assert shelf.chosen(archive_id=archive.id) == [archive]
        assert shelf.chosen(archive_id=short_id(archive)) == [archive]
    assert shelf.select(host="hosta").others == ()


@pytest.mark.parametrize("asked", [{"host": "host"}, {"scope": "a"}, {"from_root": "/no"}, {"archive_id": "f00d"}])
def test_what_fits_nothing_is_said_with_what_was_asked_for(shelf: Shelf, asked: dict[str, str]) -> None:
    shelf.put(host="hosta", scope="a/Documents")
    filters = re.escape("nothing named thesis is archived that matches --scope, --host, --from-root or --id")
    with pytest.raises(UsageError, match=filters):
        shelf.select(**asked)
    with pytest.raises(UsageError, match="nothing named film is archived; look for names with find"):
        shelf.select("film")


def test_an_id_is_of_a_commit_or_of_a_listing_and_its_beginning_will_do(shelf: Shelf) -> None:
    """The same listing was archived twice; an older archive of it can be chosen by its commit alone."""
    old = shelf.put(commit="abcd00000000", id_="5" * 32, number=1)
    new = shelf.put(commit="abce00000000", id_="5" * 32, number=2)
    assert shelf.chosen(archive_id="abcd") == [old]
    assert shelf.chosen(archive_id="ABCD") == [old]
    assert shelf.chosen(archive_id="abc") == [new], "of those that are meant, the newest"
    assert shelf.chosen(archive_id="5555") == [new]
    with pytest.raises(UsageError, match="that matches --scope"):
        shelf.select(archive_id="bcd")


def test_an_archive_is_told_by_its_commit_or_by_its_id_where_it_has_none(shelf: Shelf) -> None:
    assert short_id(shelf.put(commit="abcd00000000")) == "abcd00000000"
    assert short_id(shelf.put(device="", id_="0123456789abcdef" * 2)) == "0123456789ab"


def test_a_path_of_a_root_says_which_root_is_meant(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, bob = shelf.put(), shelf.put(user="bob")
    for archive in (anna, bob):
        (one,) = shelf.select(f"{archive.root}/thesis/a", root=anna.root).selections
        assert one.archive == archive
        assert places(one, "thesis/a", "thesis/b") == ["thesis/a", None]
    monkeypatch.setenv("HOME", str(shelf.folder / "bob"))
    assert shelf.chosen("~/Documents/thesis", root=anna.root) == [bob]
    assert shelf.chosen(f"{anna.root}/thesis", from_root=anna.root) == [anna]
    with pytest.raises(UsageError, match="nothing named"):
        shelf.select(f"{anna.root}2/thesis")


def test_of_roots_within_each_other_the_inner_one_is_meant(shelf: Shelf) -> None:
    outer = shelf.put("Documents", user="anna")
    outer = dataclasses.replace(outer, root=str(shelf.folder / "anna"))
    shelf.archives[:] = [outer]
    inner = shelf.put("thesis")
    for order in (shelf.archives, shelf.archives[::-1]):
        shelf.archives = list(order)
        assert shelf.chosen(f"{inner.root}/thesis", to="/x") == [inner]


# -- several at once ----------------------------------------------------------------------------------


def test_a_pattern_of_many_takes_every_source(shelf: Shelf) -> None:
    anna, bob, film = shelf.put(), shelf.put(user="bob"), shelf.put("film")
    found = shelf.select("*")
    assert {one.archive for one in found.selections} == {anna, bob, film}
    assert found.others == ()
    assert {one.destination for one in found.selections} == {anna.root, bob.root}
    assert shelf.chosen("t*", host="laptop", from_root=bob.root) == [bob]


def test_several_sources_in_one_place_get_folders_of_their_own(shelf: Shelf) -> None:
    shelf.put(scope="laptop/Documents")
    shelf.put(scope="desktop/Documents", device=OTHER)
    shelf.put("film", scope="desktop/Documents", device=OTHER)
    found = {(one.archive.scope, one.archive.item): one for one in shelf.select("*", to="/x").selections}
    assert len(found) == 3
    for (scope, item), one in found.items():
        assert one.destination == "/x"
        assert places(one, item, f"{item}/a") == [f"{scope}/{item}", f"{scope}/{item}/a"]


def test_sources_of_one_scope_are_told_apart_in_its_name(shelf: Shelf) -> None:
    shelf.put()
    shelf.put(user="bob")
    shelf.put(device=OTHER, scope="other")
    names = [str(one.place("thesis")) for one in shelf.select("*", to="/x").selections]
    assert len(set(names)) == 3
    assert sorted(bool(re.fullmatch(r"laptop/Documents~[0-9a-f]{8}/thesis", name)) for name in names) == [
        False,
        True,
        True,
    ]
    assert "other/thesis" in names
    again = [str(one.place("thesis")) for one in shelf.select("*", to="/x").selections]
    assert again == names, "a second restore finds its place"


def test_a_source_keeps_one_folder_though_its_scope_was_changed(shelf: Shelf) -> None:
    shelf.put(scope="old", number=1)
    shelf.put("film", scope="new", number=2)
    shelf.put(user="bob", scope="bobs")
    below = {str(one.place(one.archive.item)).split("/")[0] for one in shelf.select("*", to="/x").selections}
    assert below == {"new", "bobs"}


def test_a_scope_that_is_the_beginning_of_another_is_no_folder_around_it(shelf: Shelf) -> None:
    """An item of the one could bear the name that the other's folder has."""
    shelf.put("Documents", scope="laptop")
    shelf.put(user="bob", scope="laptop/Documents")
    shelf.put("film", scope="laptop2", device=OTHER)
    found = {one.archive.item: str(one.place(one.archive.item)) for one in shelf.select("*", to="/x").selections}
    assert re.fullmatch(r"laptop~[0-9a-f]{8}/Documents", found["Documents"])
    assert (found["thesis"], found["film"]) == ("laptop/Documents/thesis", "laptop2/film")


def test_what_another_pattern_chose_is_not_said_to_be_left(shelf: Shelf) -> None:
    mine, other = shelf.put(), shelf.put(device=OTHER)
    found = shelf.select("thesis", "*", to="/x")
    assert ({one.archive for one in found.selections}, found.others) == ({mine, other}, ())


def test_one_source_needs_no_folder_of_its_own(shelf: Shelf) -> None:
    shelf.put()
    shelf.put("film")
    assert [one.place(one.archive.item) for one in shelf.select("*", to="/x").selections] == ["film", "thesis"]
    shelf.put(user="bob")
    (one,) = shelf.select("film", to="/x").selections
    assert one.place("film") == "film"


def test_without_a_place_nothing_is_put_below_a_folder(shelf: Shelf) -> None:
    shelf.put()
    shelf.put(user="bob")
    assert {one.place("thesis/a") for one in shelf.select("*").selections} == {"thesis/a"}


# -- where it may go ----------------------------------------------------------------------------------


def test_without_a_place_only_this_devices_roots_are_written_into(shelf: Shelf) -> None:
    """Wherever a manifest says that it was."""
    mine, foreign = shelf.put(), shelf.put("ssh", user="bob", device=OTHER)
    found = shelf.select("*", roots={mine.root})
    assert [one.archive for one in found.selections] == [mine]
    assert found.elsewhere == (foreign,)
    found = shelf.select("ssh", roots={mine.root})
    assert (found.selections, found.elsewhere) == ((), (foreign,))
    found = shelf.select("*", roots={mine.root}, to="/x")
    assert ({one.archive for one in found.selections}, found.elsewhere) == ({mine, foreign}, ())


def test_of_many_another_devices_are_not_mixed_into_this_ones_root(shelf: Shelf) -> None:
    """Both roots bear one path; whether an item of this device's is asked for or not."""
    mine, foreign = shelf.put(), shelf.put("film", device=OTHER)
    found = shelf.select("*")
    assert ([one.archive for one in found.selections], found.elsewhere) == ([mine], (foreign,))
    found = shelf.select("f*")
    assert (found.selections, found.elsewhere) == ((), (foreign,))
    assert set(shelf.chosen("*", to="/x")) == {mine, foreign}
    assert shelf.chosen("film") == [foreign], "one that is named is meant"


def test_of_many_those_of_several_others_are_not_mixed_either(shelf: Shelf) -> None:
    """As on a device that lost its data folder, beside one of its name."""
    one, other, alone = shelf.put(device=OTHER), shelf.put("film", device="3" * 32), shelf.put(device=OTHER, user="bob")
    found = shelf.select("*")
    assert ([one.archive for one in found.selections], set(found.elsewhere)) == ([alone], {one, other})
    assert set(shelf.chosen("*", archive_id=one.id)) == {one}, "of one that was chosen, nothing is mixed"
    assert len(shelf.chosen("*", to="/x")) == 3


def test_another_devices_item_is_not_written_into_one_that_is_here(shelf: Shelf) -> None:
    foreign = shelf.put(device=OTHER)
    os.symlink("nowhere", f"{foreign.root}/thesis")
    found = shelf.select()
    assert (found.selections, found.elsewhere) == ((), (foreign,))
    assert shelf.chosen(to="/x") == [foreign]
    assert shelf.chosen(device=OTHER) == [foreign], "its own is"
    assert shelf.chosen(device="") == [foreign], "where nobody knows which device this is, nothing is another's"


def test_many_items_take_no_longer_than_they_must(shelf: Shelf) -> None:
    """Twice as many take twice as long, and not four times."""
    for number in range(4000):
        shelf.put(f"item{number}", commit=f"{number:012x}", device=OTHER if number % 2 else ME)
    began = time.process_time()
    assert len(shelf.chosen("*", to="/x")) == 4000
    assert time.process_time() - began < 2


def test_a_root_that_is_not_here_needs_a_place(shelf: Shelf) -> None:
    archive = dataclasses.replace(shelf.put(), root=str(shelf.folder / "gone"))
    shelf.archives[:] = [archive]
    with pytest.raises(UsageError, match=r"thesis was in .*/gone, which is not here: say where it should go with --to"):
        shelf.select(roots={archive.root})
    assert shelf.chosen(to="/x") == [archive]


def test_a_place_is_taken_from_here_and_from_home(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put()
    monkeypatch.chdir(shelf.folder)
    monkeypatch.setenv("HOME", "/home/anna")
    for to, expected in (("back", f"{os.getcwd()}/back"), ("~/back", "/home/anna/back"), ("/x/../y", "/y")):
        (one,) = shelf.select(to=to).selections
        assert one.destination == expected


# -- which entries ------------------------------------------------------------------------------------


def test_what_is_below_a_path_is_meant_and_nothing_beside_it(shelf: Shelf) -> None:
    shelf.put()
    (one,) = shelf.select("thesis/data", to="/x").selections
    assert not one.is_whole
    assert places(one, "thesis/data", "thesis/data/a", "thesis/data2", "thesis", "thesis/a") == [
        "data",
        "data/a",
        None,
        None,
        None,
    ]
    (one,) = shelf.select("thesis/data").selections
    assert places(one, "thesis/data/a") == ["thesis/data/a"], "at home, it goes where it was"


def test_several_patterns_of_one_archive_are_one_selection(shelf: Shelf) -> None:
    shelf.put()
    (one,) = shelf.select("thesis/a", "thesis/data/*.csv", to="/x").selections
    paths = ("thesis/a", "thesis/data/1.csv", "thesis/data/1.txt", "thesis/data")
    assert places(one, *paths) == ["a", "1.csv", None, None]
    (one,) = shelf.select("thesis/a", "thesis").selections
    assert one.is_whole


def test_a_name_that_is_there_means_itself_before_it_is_a_pattern(shelf: Shelf) -> None:
    plain, odd = shelf.put("data1"), shelf.put("data[1]")
    assert shelf.chosen("data[1]") == [odd]
    assert shelf.chosen("data[1]/") == [odd]
    assert shelf.chosen("data[12]") == [plain]
    shelf.archives.remove(odd)
    assert shelf.chosen("data[1]") == [plain]


def test_an_entry_that_is_there_means_itself_before_it_is_a_pattern(shelf: Shelf) -> None:
    archive = shelf.put()
    request = RestoreRequest(patterns=("thesis/[a]*",), to="/x", device=ME)
    (one,) = select(request, [archive]).selections
    assert places(one, "thesis/[a]*", "thesis/ab") == [None, "ab"]
    (one,) = select(request, [archive], lambda asked, path: (asked, path) == (archive, "thesis/[a]*")).selections
    assert places(one, "thesis/[a]*", "thesis/ab") == ["[a]*", None]


@pytest.mark.parametrize("text", ["", "/", ".", "thesis/../film", "./thesis", "thesis/."])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names nothing"):
        PathPattern(text)


PATTERNS = [
    ("a/*", "a/b", True),
    ("a/*", "a/b/c", True),
    ("a/*", "a", False),
    ("a/?", "a/bc", False),
    ("a/**/c", "a/c", True),
    ("a/**/c", "a/x/y/c", True),
    ("a/**/c", "a/xc", False),
    ("a/[!b]", "a/c", True),
    ("a/[!b]", "a/b", False),
    ("a/[b-d]", "a/c", True),
    ("a/b.c", "a/bxc", False),
    ("a/*", "a/new\nline", True),
    ("a/[[]", "a/[", True),
    ("a/b[--z]c", "a/b/c", False),
    ("a/[^b]", "a/^", True),
    ("a/[^b]", "a/c", False),
    ("a/[--/]x", "a/-x", False),
    ("a/[+--]", "a/,", True),
    ("a/[---]", "a/-", True),
    ("a/[!--.]", "a/-", False),
    ("a/[\\\\d]", "a/7", False),
]


@pytest.mark.parametrize(("text", "path", "matches"), PATTERNS)
def test_patterns_match_within_names_and_across_them(text: str, path: str, *, matches: bool) -> None:
    assert PathPattern(text).matches(path) == matches


def test_a_set_that_is_none_is_said() -> None:
    with pytest.raises(UsageError, match="is not a pattern"):
        PathPattern("a/[z-a]")


# -- the entries themselves ---------------------------------------------------------------------------


def test_entries_come_with_their_places_and_none_from_outside_of_the_item(
    root: Path, tmp_path: Path, make_session: Any
) -> None:
    store = MemoryStore()
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    make_tree(root, {"thesis": {"a": File("a", 400), "data": {"b": File("b" * MIB, 400)}}}, now=NOW)
    (archive,) = bench.run(wrap=lambda _store: store).archives  # type: ignore[arg-type, return-value]
    with Catalogue(str(bench.catalogue)) as catalogue:
        request = RestoreRequest(patterns=("thesis/data",), to="/x")
        (one,) = select(request, [archive]).selections
        assert [place for place, _ in wanted_entries(one, catalogue)] == ["data", "data/b"]
        stranger = dataclasses.replace(one, archive=dataclasses.replace(archive, item="film"), place=lambda path: path)
        outside: list[str] = []
        assert list(wanted_entries(stranger, catalogue, on_outside=outside.append)) == []
        assert outside == ["thesis", "thesis/a", "thesis/data", "thesis/data/b"]
