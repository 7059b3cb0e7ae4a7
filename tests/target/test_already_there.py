"""What is archived already was seen in this run, by as few requests as it takes."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue import object_sizes
from archive_tasks.catalogue.damage import note_damage
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.disk.ctime_trial import MARGIN_NS
from archive_tasks.errors import StoreUnusable
from archive_tasks.formats import layout
from archive_tasks.model import Archive, Outcome, Source
from archive_tasks.restore.select import RestoreRequest, select
from archive_tasks.store import ObjectInfo
from archive_tasks.target import already_there
from archive_tasks.target.already_there import Listings, first_missing, newest_of, scopes_to_list_whole, what_is_missing
from archive_tasks.target.refresh import list_manifests
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.yard import DEVICE, SCOPE, Yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    with made.catalogue:
        yield made


def known(yard: Yard, prefix: str, **header: Any) -> KnownArchive:
    """The archive of an attempt, as the catalogue has it with its objects."""
    archive = yard.know(prefix, **header)
    keep(yard, archive, {key: len(data) for key, data in yard.store.objects.items() if key.startswith(prefix)})
    found = yard.catalogue.known(archive.manifest)
    assert found
    return found


def keep(yard: Yard, archive: Archive, sizes: dict[str, int]) -> None:
    with yard.catalogue.writing() as write:
        object_sizes.keep(write, archive.manifest, sizes)


def missing(yard: Yard, one: KnownArchive, *, whole: frozenset[str] = frozenset()) -> str | None:
    listings = Listings(yard.store, manifests=list_manifests(yard.store, yard.patience), whole=whole)
    yard.store.calls.clear()
    return what_is_missing(one, yard.catalogue, yard.store, listings, yard.patience)


# -- what is missing ----------------------------------------------------------------------------------


@pytest.fixture
def there(yard: Yard) -> KnownArchive:
    prefix = yard.attempt("thesis", 5, 6)
    one = known(yard, prefix)
    yard.commit(prefix)
    return one


@pytest.mark.parametrize("whole", [frozenset(), frozenset({f"data/{SCOPE}/"})])
def test_what_is_listed_as_it_was_is_there_and_one_listing_says_so(
    yard: Yard, there: KnownArchive, whole: frozenset[str]
) -> None:
    assert missing(yard, there, whole=whole) is None
    assert yard.store.calls == [("list", next(iter(whole), there.archive.data))]


@pytest.mark.parametrize("whole", [frozenset(), frozenset({f"data/{SCOPE}/"})])
@pytest.mark.parametrize("how", ["gone", "larger", "smaller"])
def test_an_object_that_is_not_there_as_it_was_is_named(
    yard: Yard, there: KnownArchive, how: str, whole: frozenset[str]
) -> None:
    key, objects = f"{there.archive.data}files/1", yard.store.objects
    data = objects.pop(key)
    if how != "gone":
        objects[key] = data + b"x" if how == "larger" else data[:-1]
    assert missing(yard, there, whole=whole) == f"{key} is missing in the target"


def test_what_a_listing_hides_is_asked_for_by_its_name(
    yard: Yard, there: KnownArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects and the manifest alike; it is only said to be missing where it is."""
    monkeypatch.setattr(yard.store, "list", lambda prefix: yard.store.calls.append(("list", prefix)) or iter(()))
    assert missing(yard, there) is None
    prefix = there.archive.data
    assert sorted(yard.calls("describe")) == sorted([there.archive.manifest, f"{prefix}files/0", f"{prefix}files/1"])
    del yard.store.objects[f"{prefix}files/0"]
    assert missing(yard, there) == f"{prefix}files/0 is missing in the target"
    assert yard.calls("describe", "data/") == [f"{prefix}files/0"], "one is enough"


def test_a_listing_that_shows_an_older_size_is_not_believed(
    yard: Yard, there: KnownArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = yard.store.list
    monkeypatch.setattr(yard.store, "list", lambda prefix: (one._replace(size=1) for one in listing(prefix)))
    assert first_missing({"vault.json": 1}, ["vault.json"], yard.store, yard.patience) == "vault.json"
    listings = Listings(yard.store, manifests={}, whole=frozenset())
    assert what_is_missing(there, yard.catalogue, yard.store, listings, yard.patience) is None


def test_a_manifest_that_is_gone_or_was_changed_is_said(yard: Yard, there: KnownArchive) -> None:
    objects, key = yard.store.objects, there.archive.manifest
    data = objects[key]
    objects[key] += b"x"
    assert missing(yard, there) == "its manifest in the target was changed"
    del objects[key]
    assert missing(yard, there) == "its manifest is missing in the target"
    objects[key] = data
    assert missing(yard, there) is None


def test_the_size_of_a_manifest_that_was_never_known_is_no_change(yard: Yard, there: KnownArchive) -> None:
    """Catalogues of older versions did not keep it."""
    archive = dataclasses.replace(there.archive, manifest_size=0)
    assert missing(yard, there._replace(archive=archive)) is None
    del yard.store.objects[there.archive.manifest]
    assert missing(yard, there._replace(archive=archive)) == "its manifest is missing in the target"


def test_what_the_catalogue_cannot_tell_is_missing(yard: Yard) -> None:
    prefix = yard.attempt("thesis")
    archive = yard.know(prefix)
    yard.commit(prefix)
    one = yard.catalogue.known(archive.manifest)
    assert one
    assert "its manifest cannot be read (what is in it is not known here" in str(missing(yard, one))


def test_an_archive_of_an_older_format_may_lie_in_two_attempts(yard: Yard) -> None:
    first, second = yard.attempt("thesis", 5), yard.attempt("thesis", 7)
    archive = yard.know(first)
    yard.commit(first)
    keep(yard, archive, {f"{first}files/0": 5, f"{second}files/0": 7})
    one = yard.catalogue.known(archive.manifest)
    assert one
    assert missing(yard, one) is None
    assert sorted(yard.calls("list")) == [first, second]
    del yard.store.objects[f"{second}files/0"]
    assert missing(yard, one) == f"{second}files/0 is missing in the target"


def test_a_target_that_fails_is_no_target_from_which_something_is_missing(
    yard: Yard, there: KnownArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_prefix: str) -> Iterator[ObjectInfo]:
        raise StoreUnusable("403")

    listings = Listings(yard.store, manifests={}, whole=frozenset())
    monkeypatch.setattr(yard.store, "list", failing)
    with pytest.raises(StoreUnusable):
        what_is_missing(there, yard.catalogue, yard.store, listings, yard.patience)


# -- how much is listed -------------------------------------------------------------------------------


def test_a_scope_is_listed_once_for_all_its_items(yard: Yard) -> None:
    whole = frozenset({f"data/{SCOPE}/"})
    items = [known(yard, yard.attempt(name, 5)) for name in ("film", "thesis", "papers")]
    listings = Listings(yard.store, manifests={}, whole=whole)
    yard.store.calls.clear()
    for one in items:
        (info,) = listings.attempt(one.archive.data, yard.patience).values()
        assert info.key == f"{one.archive.data}files/0"
    assert yard.store.calls == [("list", f"data/{SCOPE}/")]
    assert listings.attempt(f"data/{SCOPE}/2024-01-31/none~{'0' * 32}/{'0' * 12}/", yard.patience) == {}


def test_an_attempt_shows_nothing_of_another(yard: Yard) -> None:
    one, other = yard.attempt("thesis", 5), yard.attempt("thesis", 6)
    for whole in (frozenset[str](), frozenset({f"data/{SCOPE}/"})):
        listings = Listings(yard.store, manifests={}, whole=whole)
        assert list(listings.attempt(one, yard.patience)) == [f"{one}files/0"]
        assert list(listings.attempt(other, yard.patience)) == [f"{other}files/0"]


@pytest.mark.parametrize(
    ("items", "objects", "whole"),
    [
        (1, 1, False),
        (2, 999, True),
        (2, 1000, False),
        (3, 1999, True),
        (3, 2000, False),
        (40, 39_000, False),
        (40, 38_999, True),
    ],
)
def test_a_scope_is_listed_whole_where_that_takes_fewer_requests(
    yard: Yard, items: int, objects: int, whole: bool
) -> None:
    """A listing of so many objects takes 1 + objects / 1,000 requests, and an item by itself takes one."""
    prefix = f"data/{SCOPE}/2024-01-31/thesis~{'0' * 32}/{'0' * 12}/"
    listed = [yard.know(yard.attempt(f"item{number}")) for number in range(items)]
    keep(yard, listed[0], {f"{prefix}files/{number}": 1 for number in range(objects)})
    found = scopes_to_list_whole(yard.catalogue, yard.catalogue.archives())
    assert found == (frozenset({f"data/{SCOPE}/"}) if whole else frozenset())


def test_each_scope_is_counted_by_itself(yard: Yard) -> None:
    """What another scope holds, or one whose name begins the same, makes none dearer."""
    yard.know(yard.attempt("film"))
    archive = yard.know(yard.attempt("thesis"))
    for scope in (f"{SCOPE}2", "laptop", "desktop/Documents"):
        prefix = f"data/{scope}/2024-01-31/thesis~{'0' * 32}/{'0' * 12}/"
        keep(yard, archive, {f"{prefix}files/{number}": 1 for number in range(3000)})
        assert scopes_to_list_whole(yard.catalogue, yard.catalogue.archives()) == {f"data/{SCOPE}/"}


def test_archives_of_older_formats_have_no_scope_to_list(yard: Yard) -> None:
    found = [yard.know(yard.attempt(name), data="") for name in ("film", "thesis", "papers")]
    assert {one.data for one in found} == {""}
    assert scopes_to_list_whole(yard.catalogue, yard.catalogue.archives()) == frozenset()


# -- which archive is the newest ----------------------------------------------------------------------

SOURCE = Source(DEVICE, "", "/home/anna/Documents")


def newest(yard: Yard, item: str = "thesis") -> Archive | None:
    found = newest_of(yard.catalogue, SOURCE, item)
    return found and found.archive


def test_the_highest_number_is_the_newest_whatever_the_dates_say(yard: Yard) -> None:
    made = [
        yard.know(yard.attempt("thesis"), number=number, created=f"20{30 - number}-01-01T00:00:00+00:00")
        for number in (2, 3, 1)
    ]
    assert newest(yard) == made[1]


def test_of_one_number_the_later_one_is_the_newest(yard: Yard) -> None:
    """As of two runs of one source at once; which is the same one that a restore gives."""
    made = [
        yard.know(yard.attempt("thesis"), number=number, created=f"20{year}-01-01T00:00:00+00:00")
        for number, year in ((1, 29), (2, 21), (2, 23), (2, 22))
    ]
    assert newest(yard) == made[2]
    request = RestoreRequest(patterns=("thesis",), to="/x", device=DEVICE)
    assert [one.archive for one in select(request, made).selections] == [made[2]]


def test_without_numbers_the_latest_is_the_newest(yard: Yard) -> None:
    made = [
        yard.know(yard.attempt("thesis"), number=0, created=f"{year}-01-01T00:00:00+00:00")
        for year in (2021, 2023, 2022)
    ]
    assert newest(yard) == made[1]


def test_other_sources_and_items_are_not_asked(yard: Yard) -> None:
    mine = yard.know(yard.attempt("thesis"), number=1)
    yard.know(yard.attempt("thesis"), number=9, device="e" * 32)
    yard.know(yard.attempt("thesis"), number=9, root="/home/bob/Documents")
    yard.know(yard.attempt("film"), number=9)
    assert newest(yard) == mine
    assert newest(yard, "papers") is None


# -- whole runs ---------------------------------------------------------------------------------------


class Twice:
    """Runs into a target in memory, of which the calls of the last are kept."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.store = MemoryStore()

    def run(self, **options: Any) -> Outcome:
        self.store.calls.clear()
        outcome = self.bench.run(wrap=lambda _store: self.store, **options)  # type: ignore[arg-type, return-value]
        assert not outcome.failed
        return outcome

    def calls(self, method: str) -> list[str]:
        return [key for one, key in self.store.calls if one == method]


@pytest.fixture
def twice(root: Path, tmp_path: Path, make_session: Any) -> Twice:
    return Twice(Bench(root, tmp_path / "unused", make_session, tmp_path / "data" / "catalogue.sqlite"))


@pytest.mark.parametrize("items", [1, 2, 30])
def test_a_second_run_that_uploads_nothing_reads_nothing_but_the_targets_id(twice: Twice, items: int) -> None:
    make_tree(
        twice.bench.root,
        {f"i{n}": {"a": File("a", 400), "b": File(os.urandom(10), 400)} for n in range(items)},
        now=NOW,
    )
    time.sleep(MARGIN_NS / 10**9 + 0.1)  # what was written a moment ago would be read again
    assert len(twice.run().archives) == items
    outcome = twice.run()
    assert (len(outcome.already), outcome.archives) == (items, ())
    assert set(twice.calls("read")) == {"vault.json"}
    assert twice.calls("put") == twice.calls("upload") == twice.calls("delete") == []
    assert sorted(twice.calls("list"))[1:] == ["manifests/"]
    assert len(twice.calls("list")) == 2, (
        "a listing of all manifests, and one of the data, whether of an item or a scope"
    )
    assert [key for key in twice.calls("describe") if key.startswith("data/")] == []


def test_a_run_with_few_items_at_hand_lists_these_alone(twice: Twice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the scope holds more than a thousand objects for each of them."""
    monkeypatch.setattr(already_there, "_LISTED_AT_ONCE", 10)
    files = {f"f{n}": File("x", 400) for n in range(30)}
    make_tree(twice.bench.root, {"many": files, "few": {"a": File("a", 400)}}, now=NOW)
    outcome = twice.run(pack_below=0)
    twice.run(pack_below=0)
    listed = [key for key in twice.calls("list") if key.startswith("data/")]
    assert sorted(listed) == sorted(archive.data for archive in outcome.archives)


def test_one_item_that_is_missing_is_sent_again_and_the_others_are_not(twice: Twice) -> None:
    make_tree(twice.bench.root, {f"i{n}": {"a": File("a", 400)} for n in range(3)}, now=NOW)
    first = {archive.item: archive for archive in twice.run().archives}
    lost = f"{first['i1'].data}packs/00001.tar.zst"
    del twice.store.objects[lost]
    outcome = twice.run()
    (made,) = outcome.archives
    assert (made.item, made.number, made.replaces) == ("i1", 2, first["i1"].manifest)
    assert made.data != first["i1"].data
    assert {archive.item for archive in outcome.already} == {"i0", "i2"}
    assert all(key.startswith((made.data, made.manifest)) for key in twice.calls("put"))
    assert not twice.run().archives


@pytest.mark.parametrize("digit", ["0", "f"])
def test_of_two_of_one_number_the_one_that_a_restore_gives_must_be_whole(twice: Twice, digit: str) -> None:
    """The other was made at once with it, and is lost; its key comes before or behind."""
    make_tree(twice.bench.root, {"thesis": {"a": File("a", 400)}}, now=NOW)
    (archive,) = twice.run().archives
    prefix = f"{archive.data[:-13]}{digit * 12}/"
    commit = layout.commit_in(archive.manifest)
    twin = dataclasses.replace(archive, manifest=archive.manifest.replace(commit, digit * 12), data=prefix)
    with Catalogue(str(twice.bench.catalogue)) as catalogue:
        one = catalogue.known(archive.manifest)
        assert one
        catalogue.record(twin, run=one.run, fingerprint=one.fingerprint, receipt=None, now=NOW)
        with catalogue.writing() as write:
            object_sizes.keep(write, twin.manifest, {f"{prefix}packs/00001.tar.zst": 5})
    outcome = twice.run()
    if digit == "0":
        assert [one.manifest for one in outcome.already] == [archive.manifest]
    else:
        assert [(one.number, one.replaces) for one in outcome.archives] == [(2, twin.manifest)]
    assert len(twice.run().already) == 1


def test_what_verify_found_damaged_is_not_there(yard: Yard, there: KnownArchive) -> None:
    """A listing shows no bytes."""
    note_damage(yard.catalogue, [there.archive.manifest], now=NOW)
    assert missing(yard, there) == "verify found its archive damaged"
    other = known(yard, yard.attempt("film"))
    yard.commit(other.archive.data)
    assert missing(yard, other) is None
