"""What prune takes for an orphan, and everything that ends it before anything is removed."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.attempts import AttemptOf, begin_attempt, find_attempt
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import IntegrityError, Interrupted, NotPruned, StoreUnusable, UsageError
from archive_tasks.flows import prune as pruning
from archive_tasks.flows.using_target import open_catalogue
from archive_tasks.formats import layout
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import ObjectInfo
from archive_tasks.target.last_look import check_attempt
from archive_tasks.target.vault import write_vault
from archive_tasks.testing.stores import MemoryStore, put
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.prune import LEAST_GRACE, Orphan, Pruner, check_grace, objects_of, seconds_awake_or_not
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.yard import DEVICE, ID, MIB, SCOPE, Yard
from tests.upkeep.test_verify import look, patience, store_of

GRACE = timedelta(days=14)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    with made.catalogue:
        yield made


class Seconds:
    """A clock that a test moves, and that may move at each look at it."""

    def __init__(self, *, each: float = 0) -> None:
        self.now = 0.0
        self._each = each

    def __call__(self) -> float:
        self.now += self._each
        return self.now


def pruner(yard: Yard, **options: Any) -> Pruner:
    return Pruner(yard.store, yard.catalogue, yard.patience, **options)


def orphans(yard: Yard, **options: Any) -> list[str]:
    return [one.attempt for one in pruner(yard, **options).look().orphans]


def remove(of: Pruner, found: Sequence[Orphan], told: Callable[[Orphan], None] = lambda _orphan: None) -> None:
    of.remove(found, now=NOW, on_progress=told)


def data_of(yard: Yard) -> set[str]:
    return {key for key in yard.store.objects if key.startswith("data/")}


# -- what an orphan is --------------------------------------------------------------------------------


def test_attempts_that_no_manifest_refers_to_are_orphans_in_the_order_of_their_keys(yard: Yard) -> None:
    second, first = yard.attempt("thesis", 1, 2), yard.attempt("film", 3)
    yard.commit(yard.attempt("papers"))
    found = pruner(yard).look()
    assert [(one.attempt, one.bytes) for one in found.orphans] == [(first, 3), (second, 3)]
    assert [info.key for info in found.orphans[1].objects] == [f"{second}files/0", f"{second}files/1"]
    assert (found.objects, found.bytes) == (4, 16)


def test_an_attempt_that_holds_a_copy_of_its_manifest_is_none(yard: Yard) -> None:
    """Though its manifest is not there, and whether another attempt is one or not."""
    prefix = yard.attempt("thesis", 1, 2)
    yard.put(layout.copy_key(prefix), b"of whatever it holds", days=40)
    assert orphans(yard) == []
    assert orphans(yard) == []
    other = yard.attempt("film")
    assert orphans(yard) == [other]


def test_manifests_are_read_only_where_an_attempt_has_no_copy(yard: Yard) -> None:
    """As the attempts of older formats have none."""
    keys = [yard.commit(yard.attempt("thesis"), copy=True), yard.commit(yard.attempt("film"), copy=True)]
    yard.store.calls.clear()
    assert orphans(yard) == []
    assert yard.calls("read", "manifests/") == []
    old = yard.attempt("papers")
    keys.append(yard.commit(old))
    yard.store.calls.clear()
    assert orphans(yard) == []
    assert sorted(yard.calls("read", "manifests/")) == sorted(keys)


def test_a_manifest_refers_to_packs_and_to_files_and_to_those_of_other_attempts(yard: Yard) -> None:
    """Formats 1 and 2 had archives that lay in several attempts."""
    first, second = yard.attempt("thesis"), yard.attempt("thesis")
    key, data = yard.manifest(first)
    assert key
    lines = [{"object": f"{first}packs/00001.tar.zst"}, {"key": f"{second}files/0", "within": 3}, {"object": 1}, {}]
    assert list(objects_of(lines)) == [f"{first}packs/00001.tar.zst", f"{second}files/0"]
    yard.put(key, data)
    assert orphans(yard) == [second]


FOREIGN = ("notes.txt", "packs/x.tar.zst", "packs/00001.tar", "files/../x", "alive/x", "vault", "files")


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_of_our_shape_is_nobodys_orphan_and_saves_the_attempt_that_it_is_in(yard: Yard, name: str) -> None:
    held, free = yard.attempt("thesis", 5), yard.attempt("thesis", 7)
    yard.put(f"{held}{name}", b"mine", days=99)
    yard.put("data/holiday.jpg", b"mine", days=99)
    yard.put(f"data/{SCOPE}/trip~{ID}/0123456789ab/files/x", b"mine", days=99)
    found = pruner(yard).look()
    assert [one.attempt for one in found.orphans] == [free]
    assert (found.objects, found.bytes) == (1, 7), "and the share is of what is ours"


def test_signs_of_life_and_packs_are_part_of_an_attempt(yard: Yard) -> None:
    prefix = yard.attempt("thesis")
    yard.put(f"{prefix}alive/1700000000", b"x")
    yard.put(f"{prefix}packs/00001.tar.zst", b"x")
    (one,) = pruner(yard).look().orphans
    assert len(one.objects) == 3


# -- how old it is ------------------------------------------------------------------------------------


def test_an_orphan_is_as_old_as_its_newest_object(yard: Yard) -> None:
    prefix = yard.attempt("thesis", days=50)
    yard.put(f"{prefix}files/late", b"x", days=14)
    found = pruner(yard).look()
    (one,) = found.orphans
    assert one.newest == NOW - GRACE
    assert one.is_old(now=found.now, grace=GRACE)
    assert not one.is_old(now=found.now - timedelta(seconds=1), grace=GRACE)


def test_an_orphan_of_which_one_object_has_no_date_is_young(yard: Yard) -> None:
    prefix = yard.attempt("thesis", 1, 2, days=50)
    facts = yard.store._facts
    facts[f"{prefix}files/1"] = facts[f"{prefix}files/1"]._replace(modified=None)
    found = pruner(yard).look()
    (one,) = found.orphans
    assert one.newest is None
    assert not one.is_old(now=found.now, grace=timedelta(0))


def test_now_is_the_stores_date_of_an_object_that_is_gone_again(yard: Yard) -> None:
    """However wrong this machine's clock is, which nobody asks."""
    yard.now = NOW + timedelta(days=365)
    before = set(yard.store.objects)
    assert pruner(yard).look().now == yard.now
    assert pruner(yard).look().now == yard.now
    assert set(yard.store.objects) == before
    written = yard.calls("put", "prune/")
    assert len(set(written)) == 2, "of another name each time: a name that is there would keep its date"
    assert all(re.fullmatch(r"prune/[0-9a-f]{24}", key) for key in written)
    assert yard.calls("delete") == written


@pytest.mark.parametrize("answer", [None, "no date"])
def test_where_the_store_gives_no_dates_nothing_can_be_pruned(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    describe = yard.store.describe

    def silent(key: str) -> ObjectInfo | None:
        info = describe(key)
        return info._replace(modified=None) if info and answer else None

    monkeypatch.setattr(yard.store, "describe", silent)
    yard.attempt("thesis")
    with pytest.raises(StoreUnusable, match="memory://test gives no dates, so nothing can be pruned"):
        pruner(yard).look()
    assert not [key for key in yard.store.objects if key.startswith("prune/")]


def test_what_was_written_to_learn_the_time_goes_when_the_store_fails(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_key: str) -> None:
        raise StoreUnusable("403")

    monkeypatch.setattr(yard.store, "describe", failing)
    with pytest.raises(StoreUnusable, match="403"):
        pruner(yard).look()
    assert not [key for key in yard.store.objects if key.startswith("prune/")]


def test_a_grace_in_which_a_run_may_go_on_is_refused() -> None:
    assert timedelta(days=8) == LEAST_GRACE
    check_grace(LEAST_GRACE)
    with pytest.raises(UsageError, match="at least 8 days"):
        check_grace(LEAST_GRACE - timedelta(seconds=1))


def test_the_clock_of_the_removal_is_one_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(seconds_awake_or_not() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert abs(seconds_awake_or_not() - time.monotonic()) < 60


# -- what ends it -------------------------------------------------------------------------------------


def ends(yard: Yard, message: str, **options: Any) -> None:
    """Looking ends with this message, and nothing was written or removed."""
    before = dict(yard.store.objects)
    yard.store.calls.clear()
    with pytest.raises(NotPruned, match=message):
        pruner(yard, **options).look()
    assert yard.store.objects == before
    asked = {method for method, key in yard.store.calls if not key.startswith("prune/")}
    assert asked <= {"read", "list", "describe"}, "but for the object that tells the store's time"


def test_another_target_in_its_place_ends_it(yard: Yard) -> None:
    yard.attempt("thesis")
    yard.store.objects["vault.json"] = b'{"archive_tasks": "vault", "format": 1, "id": "another"}'
    with pytest.raises(StoreUnusable, match="not the one it was before"):
        pruner(yard).look()
    assert not yard.calls("delete")


def test_a_target_around_it_ends_it(tmp_path: Path) -> None:
    outer = MemoryStore("memory://bucket")
    write_vault(outer)
    yard = Yard(tmp_path, "memory://bucket/inner")
    with yard.catalogue:
        prefix = yard.attempt("thesis")
        ends(yard, "is inside the target memory://bucket: nothing is removed in either", open_store=lambda _url: outer)
        assert orphans(yard, open_store=lambda url: MemoryStore(url)) == [prefix]
        assert orphans(yard) == [prefix], "where none can be opened, nobody looks"


def test_a_target_inside_of_it_ends_it(yard: Yard) -> None:
    yard.attempt("thesis")
    inner = MemoryStore()
    write_vault(inner)
    yard.put("data/vault.json", b"{}", days=99)
    assert len(orphans(yard)) == 1, "somebody else's file of that name is none"
    yard.put("data/copy/vault.json", inner.objects["vault.json"])
    ends(yard, "another target is inside this one, memory://test/data/copy: nothing is removed in either")


@pytest.mark.parametrize("receipt", [True, False])
def test_an_archive_that_is_known_here_and_not_listed_ends_it(yard: Yard, *, receipt: bool) -> None:
    prefix = yard.attempt("film")
    yard.attempt("thesis")
    archive = yard.know(prefix, receipt=receipt)
    ends(yard, f"the manifest {archive.manifest} is known here and not listed in the target")
    yard.commit(prefix)
    assert len(orphans(yard)) == 1


def test_an_archive_that_was_archived_again_need_not_be_listed(yard: Yard) -> None:
    lost, whole = yard.attempt("film"), yard.attempt("film")
    earlier = yard.know(lost)
    later = yard.know(whole, replaces=earlier.manifest)
    ends(yard, "is known here and not listed")
    yard.commit(whole, replaces=earlier.manifest)
    assert orphans(yard) == [lost]
    del yard.store.objects[later.manifest]
    yard.commit(lost)
    ends(yard, re.escape(later.manifest))


@pytest.mark.parametrize("how", ["damaged", "cut", "another file", "listed and not there"])
def test_a_manifest_that_cannot_be_read_ends_it(yard: Yard, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    yard.attempt("thesis")
    key = yard.commit(yard.attempt("film"), copy=True)
    data = yard.store.objects[key]
    if how == "listed and not there":
        read = yard.store.read
        monkeypatch.setattr(yard.store, "read", lambda one, **where: read("nowhere" if one == key else one, **where))
    else:
        others = {"damaged": data[:-5] + bytes(5), "cut": data[:-40], "another file": b"notes"}
        yard.store.objects[key] = others[how]
    ends(yard, f"{key} cannot be read .*, so it is unknown what is an orphan; nothing was removed: run verify")


# -- removal ------------------------------------------------------------------------------------------


def test_orphans_go_one_by_one_and_nothing_else_does(yard: Yard) -> None:
    prefixes = [yard.attempt("thesis", 1, 2), yard.attempt("thesis", 3)]
    kept = yard.attempt("film")
    manifest = yard.commit(kept, copy=True)
    of, told = pruner(yard), []
    found = of.look().orphans
    assert [one.attempt for one in found] == prefixes
    remove(of, found, lambda one: told.append((one.attempt, sorted(data_of(yard)))))  # as each is done
    left = sorted(key for key in data_of(yard) if key.startswith(kept))
    assert told == [(prefixes[0], sorted([f"{prefixes[1]}files/0", *left])), (prefixes[1], left)]
    assert sorted(data_of(yard)) == left
    assert manifest in yard.store.objects


def test_it_is_in_the_journal_and_nobody_resumes_it_before_the_first_object_goes(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = yard.attempt("thesis")
    of = AttemptOf(DEVICE, "/home", "thesis", ID)
    begin_attempt(yard.catalogue, of, prefix=prefix, how="so", now=NOW)
    delete, seen = yard.store.delete, []

    def deleting(key: str) -> None:
        if key.startswith(prefix):
            notes = [details["prefix"] for _, _, details in journal.notes(yard.catalogue, "orphan removed")]
            seen.append((notes, find_attempt(yard.catalogue, of, how="so", since=NOW)))
        delete(key)

    monkeypatch.setattr(yard.store, "delete", deleting)
    of_prune = pruner(yard)
    found = of_prune.look().orphans
    assert find_attempt(yard.catalogue, of, how="so", since=NOW)
    remove(of_prune, found)
    assert seen == [([prefix], None)] * 2, "the object, and the mark"


def between(yard: Yard, happens: Callable[[str], object], message: str) -> None:
    """After the first orphan went something happens to the second: that one stays as it is."""
    first, second = yard.attempt("film", 1), yard.attempt("thesis", 2, 3)
    of, before = pruner(yard), set[str]()
    found = of.look().orphans
    assert [one.attempt for one in found] == [first, second]

    def told(_orphan: Orphan) -> None:
        happens(second)
        before.update(yard.store.objects)

    with pytest.raises(NotPruned, match=message):
        remove(of, found, told)
    assert set(yard.store.objects) == before
    assert f"{first}files/0" not in before
    assert [one["prefix"] for _, _, one in journal.notes(yard.catalogue, "orphan removed")] == [first]


def test_an_attempt_to_which_somebody_writes_stays(yard: Yard) -> None:
    between(yard, lambda prefix: yard.put(f"{prefix}files/new", b"x"), "another run is writing to data/.*/thesis~")


def test_an_attempt_of_which_something_is_gone_by_then_goes_all_the_same(yard: Yard) -> None:
    prefix = yard.attempt("thesis", 2, 3)
    of = pruner(yard)
    found = of.look().orphans
    del yard.store.objects[f"{prefix}files/0"]
    remove(of, found)
    assert data_of(yard) == set()


def test_an_attempt_whose_manifest_is_there_by_then_stays(yard: Yard) -> None:
    between(yard, yard.commit, "data/.*/thesis~.* was committed meanwhile: run prune again")


def test_an_attempt_to_which_another_manifest_refers_by_then_stays(yard: Yard) -> None:
    """Whatever that one's own attempt is."""

    def happens(prefix: str) -> None:
        key, _ = yard.manifest(yard.attempt("papers"))
        yard.put(key, yard.manifest(prefix)[1])

    first = yard.attempt("film", 1)
    of = pruner(yard)
    found = of.look().orphans
    happens(first)
    with pytest.raises(NotPruned, match="was committed meanwhile"):
        remove(of, found)
    assert f"{first}files/0" in yard.store.objects


def test_a_copy_that_is_not_listed_is_asked_for_by_its_name(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = yard.store.list
    shown = lambda prefix: (info for info in listing(prefix) if not info.key.endswith("/manifest.jsonl.zst"))  # noqa: E731
    monkeypatch.setattr(yard.store, "list", shown)
    between(
        yard,
        lambda prefix: yard.put(layout.copy_key(prefix), b"x"),
        "data/.*/thesis~.* holds a copy of its manifest, which was not listed before",
    )


def test_an_archive_that_is_not_listed_by_then_ends_it(yard: Yard) -> None:
    prefix = yard.attempt("papers")
    yard.know(prefix)
    key = yard.commit(prefix, copy=True)
    between(yard, lambda _prefix: yard.store.objects.pop(key), "is known here and not listed in the target")


def test_a_manifest_that_came_meanwhile_and_cannot_be_read_ends_it(yard: Yard) -> None:
    def happens(_prefix: str) -> None:
        key, _ = yard.manifest(yard.attempt("papers"))
        yard.put(key, b"nothing of ours")

    between(yard, happens, "cannot be read")


def test_each_manifest_is_read_once_and_new_ones_before_each_attempt(yard: Yard) -> None:
    old = yard.commit(yard.attempt("papers"))
    yard.attempt("film")
    yard.attempt("thesis")
    of = pruner(yard)
    found = of.look().orphans
    assert yard.calls("read", "manifests/") == [old]
    new = yard.commit(yard.attempt("slides"))
    listed = len(yard.calls("list", "manifests/"))
    remove(of, found)
    assert yard.calls("read", "manifests/") == [old, new]
    assert len(yard.calls("list", "manifests/")) == listed + 2


@pytest.mark.parametrize(("each", "looks"), [(300, 2), (301, 3)])
def test_what_takes_longer_than_five_minutes_is_looked_at_again(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, each: float, looks: int
) -> None:
    """Each removal takes so long; the time of a look counts from where it began."""
    prefix, seconds = yard.attempt("thesis", 1, 2, 3), Seconds()
    delete = yard.store.delete

    def slowly(key: str) -> None:
        delete(key)
        if key.startswith(prefix) and not key.endswith("/1"):
            seconds.now += each

    of = pruner(yard, seconds=seconds)
    found = of.look().orphans
    monkeypatch.setattr(yard.store, "delete", slowly)
    yard.store.calls.clear()
    remove(of, found)
    assert len(yard.calls("list", "manifests/")) == looks
    assert data_of(yard) == set()


def test_a_look_that_takes_long_is_itself_old(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix, seconds = yard.attempt("thesis", 1), Seconds()
    of = pruner(yard, seconds=seconds)
    found = of.look().orphans
    listing, slow = yard.store.list, iter([301.0])

    def slowly(below: str) -> Iterator[ObjectInfo]:
        seconds.now += next(slow, 0) if below == prefix else 0
        return listing(below)

    monkeypatch.setattr(yard.store, "list", slowly)
    yard.store.calls.clear()
    remove(of, found)
    assert len(yard.calls("list", prefix)) == 2
    assert data_of(yard) == set()


def test_a_commit_while_its_objects_go_ends_it_in_the_middle(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix, seconds = yard.attempt("thesis", 1, 2, 3), Seconds()
    of = pruner(yard, seconds=seconds)
    found = of.look().orphans
    delete = yard.store.delete

    def suspended(key: str) -> None:
        delete(key)
        if key.startswith(prefix):
            seconds.now += 10_000
            yard.put(layout.copy_key(prefix), b"x")

    monkeypatch.setattr(yard.store, "delete", suspended)
    with pytest.raises(NotPruned, match="another run is writing"):
        remove(of, found)
    assert {f"{prefix}files/1", f"{prefix}files/2"} <= data_of(yard)


# -- what the command says ----------------------------------------------------------------------------


class Person(Console):
    """Somebody at a terminal, or nobody."""

    def __init__(self, answer: bool | None) -> None:
        super().__init__(json_document=True)
        self._answer = answer
        self.said: list[str] = []
        self.asked: list[tuple[str, bool]] = []

    @property
    def can_ask(self) -> bool:
        return self._answer is not None

    def say(self, text: str = "", style: str = "") -> None:
        self.said.append(text)

    def ask(self, question: str, *, default: bool) -> bool:
        self.asked.append((question, default))
        return bool(self._answer)


class Desk:
    """The command, on a target in memory."""

    def __init__(self, yard: Yard, session: Session) -> None:
        self.yard = yard
        self.session = session
        session.open_store = lambda _url: yard.store  # type: ignore[method-assign]

    def prune(self, person: Person | None = None, **wanted: Any) -> Any:
        self.person = person or Person(None)
        asked = {
            "orphans": True,
            "grace": None,
            "max_share": None,
            "yes": True,
            "dry_run": False,
            "all_devices": True,
            **wanted,
        }
        return pruning.prune_target(self.session, pruning.options(**asked), self.person)


@pytest.fixture
def desk(yard: Yard, root: Path, make_session: Any) -> Desk:
    """Twenty objects that are archived, and two orphans: an old one and a young one."""
    made = Desk(yard, make_session(root, target=yard.store.url))
    yard.commit(yard.attempt("papers", *[100] * 20), copy=True)
    yard.attempt("thesis", 5, 6, days=14)
    yard.attempt("film", 7, days=13.9)
    return made


def sizes(listed: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(one["objects"], one["bytes"]) for one in listed]


def test_the_old_ones_go_and_the_document_tells_of_both(desk: Desk) -> None:
    document = desk.prune()
    assert set(document) == {"target", "dry_run", "removed", "young", "of_other_devices"}
    assert (document["target"], document["dry_run"]) == ("memory://test", False)
    assert (sizes(document["removed"]), sizes(document["young"])) == ([(2, 11)], [(1, 7)])
    assert "/thesis~" in document["removed"][0]["attempt"]
    assert not [key for key in data_of(desk.yard) if "/thesis~" in key]
    assert len(data_of(desk.yard)) == 22
    attempt = document["removed"][0]["attempt"]
    assert desk.person.said == [
        f"orphan   {attempt} (2 objects (11 B))",
        "1 attempt that nothing refers to; 1 attempt younger than 14 days stays",
        "removed 2 objects (11 B)",
    ]


def test_where_nothing_is_old_nobody_is_asked_and_nothing_goes(desk: Desk) -> None:
    before = data_of(desk.yard)
    document = desk.prune(Person(True), grace="15", yes=False)
    assert (sizes(document["removed"]), sizes(document["young"])) == ([], [(2, 11), (1, 7)][::-1])
    assert desk.person.asked == []
    assert desk.person.said == ["0 attempts that nothing refers to; 2 attempts younger than 15 days stay"]
    assert data_of(desk.yard) == before


def test_a_dry_run_says_what_would_go(desk: Desk) -> None:
    before = data_of(desk.yard)
    document = desk.prune(Person(True), yes=False, dry_run=True, max_share="0")
    assert document["dry_run"]
    assert (sizes(document["would_remove"]), "removed" in document) == ([(2, 11)], False)
    assert desk.person.asked == []
    assert data_of(desk.yard) == before


def test_nothing_young_is_not_mentioned(desk: Desk) -> None:
    desk.prune(grace="13", max_share="100%")
    assert desk.person.said[2:] == ["2 attempts that nothing refers to", "removed 3 objects (18 B)"]


def test_somebody_is_asked_whose_silence_is_no(desk: Desk) -> None:
    before = data_of(desk.yard)
    with pytest.raises(Interrupted, match="nothing was removed"):
        desk.prune(Person(False), yes=False)
    assert desk.person.asked == [("Remove 2 objects (11 B) for good?", False)]
    assert data_of(desk.yard) == before
    desk.prune(Person(True), yes=False)
    assert len(data_of(desk.yard)) == len(before) - 2


def test_where_nobody_can_be_asked_yes_must_be_said(desk: Desk) -> None:
    before = data_of(desk.yard)
    with pytest.raises(UsageError, match="no terminal to ask on: add --yes"):
        desk.prune(Person(None), yes=False)
    assert data_of(desk.yard) == before


@pytest.mark.parametrize(
    ("objects", "size", "shown", "needed"), [(3, 1, 13, 14), (1, 1000, 33, 34), (1, 1999, 50, 50), (3, 99, 13, 14)]
)
def test_more_than_a_tenth_of_the_objects_or_bytes_needs_a_further_word(
    yard: Yard, root: Path, make_session: Any, objects: int, size: int, shown: int, needed: int
) -> None:
    """Beside 20 objects of 2,000 bytes: what is more, a share of the objects or one of the bytes, counts."""
    desk = Desk(yard, make_session(root, target=yard.store.url))
    yard.commit(yard.attempt("papers", *[100] * 20))
    yard.attempt("thesis", *[size] * objects)
    before = data_of(yard)
    with pytest.raises(UsageError, match=f"which is {shown} % .* and more than 10 %.* add --max-share {needed}$"):
        desk.prune()
    assert data_of(yard) == before
    desk.prune(max_share=str(needed))
    assert len(data_of(yard)) == 20


def test_less_than_a_tenth_needs_none(yard: Yard, root: Path, make_session: Any) -> None:
    desk = Desk(yard, make_session(root, target=yard.store.url))
    yard.commit(yard.attempt("papers", *[100] * 20))
    yard.attempt("thesis", 90, 90)
    desk.prune()
    assert len(data_of(yard)) == 20


def test_a_share_of_little_is_counted_like_one_of_much(yard: Yard, root: Path, make_session: Any) -> None:
    desk = Desk(yard, make_session(root, target=yard.store.url))
    prefix = yard.attempt("thesis", 1)
    with pytest.raises(UsageError, match="which is 100 % "):
        desk.prune(max_share="99")
    yard.commit(yard.attempt("papers", *[0] * 20))
    with pytest.raises(UsageError, match="which is 100 % "):
        desk.prune(max_share="99")
    desk.prune(max_share="100")
    assert not [key for key in data_of(yard) if key.startswith(prefix)]


def test_a_share_that_is_just_reached_is_none_too_many(yard: Yard, root: Path, make_session: Any) -> None:
    desk = Desk(yard, make_session(root, target=yard.store.url))
    yard.commit(yard.attempt("papers", *[10] * 9))
    yard.attempt("thesis", 10)
    with pytest.raises(UsageError, match="10 % of this target, and more than 9 %"):
        desk.prune(max_share="9")
    desk.prune(max_share="10")
    assert len(data_of(yard)) == 9


def test_all_of_a_target_goes_where_that_is_said(yard: Yard, root: Path, make_session: Any) -> None:
    """Of empty objects, too."""
    desk = Desk(yard, make_session(root, target=yard.store.url))
    yard.put(f"{yard.attempt('thesis', 0)}files/x", b"", days=20)
    with pytest.raises(UsageError, match=r"which is 100 % .*--max-share 100$"):
        desk.prune(max_share="99")
    desk.prune(max_share="100")
    assert data_of(yard) == set()


def test_no_more_than_fifty_are_shown(yard: Yard, root: Path, make_session: Any) -> None:
    desk = Desk(yard, make_session(root, target=yard.store.url))
    for _ in range(52):
        yard.attempt("thesis", 1)
    document = desk.prune(max_share="100")
    assert (len(document["removed"]), len([one for one in desk.person.said if "orphan" in one])) == (52, 50)


def test_where_writers_set_the_dates_nothing_is_looked_at(desk: Desk) -> None:
    desk.yard.store.dates_can_be_set = True
    desk.yard.store.calls.clear()
    with pytest.raises(UsageError, match="objects in memory://test have dates set by whoever wrote them"):
        desk.prune()
    assert {method for method, _ in desk.yard.store.calls} <= {"read"}


def test_the_targets_around_are_looked_at_by_the_command_too(tmp_path: Path, root: Path, make_session: Any) -> None:
    yard = Yard(tmp_path, "memory://bucket/inner")
    outer = MemoryStore("memory://bucket")
    write_vault(outer)
    with yard.catalogue:
        desk = Desk(yard, make_session(root, target=yard.store.url))
        desk.session.open_store = lambda url: yard.store if url == yard.store.url else outer  # type: ignore[method-assign]
        yard.attempt("thesis")
        with pytest.raises(NotPruned, match="inside the target memory://bucket"):
            desk.prune(max_share="100")


WRONG = [
    ({"orphans": False}, "add --orphans"),
    ({"grace": "7"}, "--grace must be at least 8 days"),
    ({"grace": "two weeks"}, "--grace is 'two weeks', but must be a number of days"),
    ({"max_share": "101"}, "--max-share is 101, but must be a percentage from 0 to 100"),
    ({"max_share": "-1"}, "--max-share is -1"),
    ({"max_share": "much"}, "--max-share is 'much', but must be a number of percent"),
]


@pytest.mark.parametrize(("wanted", "message"), WRONG)
def test_what_cannot_be_meant_is_refused(wanted: dict[str, Any], message: str) -> None:
    asked = {"orphans": True, "grace": None, "max_share": None, "yes": False, "dry_run": False, **wanted}
    with pytest.raises(UsageError, match=message):
        pruning.options(**asked)


@pytest.mark.parametrize("json_document", [True, False])
def test_the_document_is_printed_where_that_is_asked_for(
    yard: Yard, root: Path, make_session: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, *, json_document: bool
) -> None:
    desk = Desk(yard, make_session(root, target=yard.store.url))
    monkeypatch.setattr(pruning, "session_of", lambda _c, flags: desk.session if flags == {"target": "x"} else None)
    document = pruning.prune(None, {"target": "x"}, pruning.PruneRequest(), json_document=json_document)
    out = capsys.readouterr().out
    assert document["removed"] == []
    if json_document:
        assert json.loads(out) == document
    else:
        assert out == "0 attempts that nothing refers to\n"


def test_without_a_word_two_weeks_and_a_tenth_are_meant() -> None:
    meant = pruning.options(orphans=True, grace=None, max_share=None, yes=False, dry_run=False)
    assert meant == pruning.PruneRequest()
    assert (meant.grace, meant.max_share, meant.yes, meant.dry_run) == (GRACE, 10, False, False)
    said = pruning.options(orphans=True, grace=" 8 ", max_share="0%", yes=True, dry_run=True)
    assert (said.grace, said.max_share, said.yes, said.dry_run) == (LEAST_GRACE, 0, True, True)


# -- with runs that were really cut off ---------------------------------------------------------------


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    made = Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")
    files = {f"f{n}": File(os.urandom(1000), age_days=400) for n in range(5)}
    make_tree(root, {"item": files | {"big": File(os.urandom(2 * MIB), 400)}, "note": File("n", 400)}, now=NOW)
    return made


def begun(bench: Bench) -> None:
    """A run that was cut off after its data and before its commit."""

    class Stopping:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.endswith("/manifest.jsonl.zst"):
                raise StoreUnusable("cut off")
            self._store.put(key, data, **named)

    with pytest.raises(StoreUnusable):
        bench.run(wrap=Stopping)


@contextmanager
def pruner_of(bench: Bench) -> Iterator[Pruner]:
    store = store_of(bench)
    with Catalogue(str(bench.catalogue), target=store.url) as catalogue:
        yield Pruner(store, catalogue, patience())


def test_what_a_run_left_is_an_orphan_until_the_next_run_goes_on_with_it(bench: Bench) -> None:
    begun(bench)
    assert look(store_of(bench)).orphans
    with pruner_of(bench) as of:
        found = of.look().orphans
    assert sum(len(one.objects) for one in found) == len(bench.listed("data/"))
    assert not bench.run().failed
    assert look(store_of(bench)).orphans == {}
    with pruner_of(bench) as of:
        assert of.look().orphans == ()


def test_orphans_are_removed_when_they_are_old_and_archives_never(bench: Bench) -> None:
    bench.run()
    before = bench.listed()
    make_tree(bench.root, {"item": {"new": File(os.urandom(1000), age_days=400)}}, now=NOW)
    begun(bench)
    then = (datetime.now(UTC) - timedelta(days=20)).timestamp()
    for key in set(bench.listed("data/")) - set(before):
        os.utime(bench.target / key, (then, then))
    with pruner_of(bench) as of:
        found = of.look()
        assert found.orphans
        assert all(one.is_old(now=found.now, grace=GRACE) for one in found.orphans)
        assert not any(one.is_old(now=found.now, grace=timedelta(days=21)) for one in found.orphans)
        remove(of, found.orphans)
    assert bench.listed() == before
    assert not look(store_of(bench)).damaged
    assert not bench.run().failed


def test_the_command_removes_nothing_while_a_manifest_cannot_be_read(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"item": {"a": File("a", age_days=90)}, "other": {"b": File("b", age_days=90)}})
    target = cli.project / "target"
    cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes")
    stray = target / f"data/h/r/2020-01-01/x~{'0' * 32}/0123456789ab/files/x"
    stray.parent.mkdir(parents=True)
    stray.write_text("x")
    for path in target.rglob("*"):
        os.utime(path, (1, 1))
    manifest = next(target.glob("manifests/**/item~*"))
    manifest.write_bytes(manifest.read_bytes()[:-1])
    before = sorted(target.rglob("*"))
    cli.environment["XDG_DATA_HOME"] = str(cli.project / "new")
    ran = cli.run("prune", "--orphans", "--yes", "--target", target.as_uri())
    assert (ran.code, "it is unknown what is an orphan" in ran.err) == (1, True)
    assert sorted(target.rglob("*")) == before
    assert cli.run("prune", "--target", target.as_uri()).code == 2


def test_a_device_removes_what_it_began_itself_and_shows_what_others_left(desk: Desk) -> None:
    before = set(desk.yard.store.objects)
    document = desk.prune(max_share="100", all_devices=False)
    assert document["removed"] == []
    (other,) = document["of_other_devices"]
    assert set(desk.yard.store.objects) == before
    with open_catalogue(desk.session, desk.yard.store.url) as catalogue:
        of = AttemptOf(desk.session.device, "/r", "item", "0" * 32)
        begin_attempt(catalogue, of, prefix=other["attempt"], how="so", now=desk.session.now)
    document = desk.prune(max_share="100", all_devices=False)
    assert [one["attempt"] for one in document["removed"]] == [other["attempt"]]
    assert before - set(desk.yard.store.objects) == {key for key in before if key.startswith(other["attempt"])}


def test_a_mark_is_there_before_the_copy_is_asked_for_and_a_commit_that_sees_it_is_refused(yard: Yard) -> None:
    """Whichever of the two looks second sees the other."""
    prefix = yard.attempt("thesis")
    of = pruner(yard)
    found = of.look().orphans
    yard.store.calls.clear()
    remove(of, found)
    asked = [call for call in yard.store.calls if call[1] in {layout.pruned_key(prefix), layout.copy_key(prefix)}]
    assert [method for method, _ in asked] == ["describe", "put", "describe", "delete"]
    assert data_of(yard) == set()
    other = yard.attempt("film", 1)
    put(yard.store, layout.pruned_key(other), b"x")
    with pytest.raises(IntegrityError, match="prune is removing what its interrupted run left behind"):
        check_attempt(other, {}, yard.store, yard.patience)


def test_the_mark_goes_last_and_one_that_a_dead_run_left_will_do(yard: Yard) -> None:
    """While anything of an attempt is there that may be incomplete, whoever resumes or commits it sees the mark."""
    prefix = yard.attempt("thesis", 1, 2)
    mark = yard.put(layout.pruned_key(prefix), b"of a run that died", days=20)
    of = pruner(yard)
    found = of.look().orphans
    yard.store.calls.clear()
    remove(of, found)
    assert yard.calls("put") == []
    assert yard.calls("delete") == [f"{prefix}files/0", f"{prefix}files/1", mark]


@pytest.mark.parametrize("at", ["list", "delete"])
def test_a_run_that_fails_leaves_its_mark_and_the_next_one_ends_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Nobody commits what may be half gone."""
    prefix = yard.attempt("thesis", 1, 2)
    of = pruner(yard)
    found = of.look().orphans

    def failing(_key: str) -> Iterator[ObjectInfo]:
        raise StoreUnusable("403")

    with monkeypatch.context() as patch:
        patch.setattr(yard.store, at, failing)
        with pytest.raises(StoreUnusable):
            remove(of, found)
    mark = layout.pruned_key(prefix)
    assert data_of(yard) == {f"{prefix}files/0", f"{prefix}files/1", mark}
    with pytest.raises(IntegrityError, match="prune is removing what its interrupted run left behind"):
        check_attempt(prefix, {}, yard.store, yard.patience)
    yard.now += GRACE
    again = pruner(yard)
    (one,) = again.look().orphans
    assert one.is_old(now=yard.now, grace=GRACE)
    remove(again, [one])
    assert data_of(yard) == set()


def test_the_time_is_asked_for_before_anything_is_listed(yard: Yard) -> None:
    """What is written meanwhile is younger, and not older, than what is called now."""
    yard.store.calls.clear()
    pruner(yard).look()
    calls = yard.store.calls
    (asked,) = [number for number, (method, key) in enumerate(calls) if method == "put" and key.startswith("prune/")]
    assert asked < min(number for number, (method, _) in enumerate(calls) if method == "list")


def test_what_others_began_is_said_apart_from_what_is_young(desk: Desk) -> None:
    document = desk.prune(Person(True), all_devices=False, yes=False)
    assert (sizes(document["of_other_devices"]), sizes(document["young"])) == ([(2, 11)], [(1, 7)])
    assert desk.person.said == [
        "0 attempts that nothing refers to; 1 attempt younger than 14 days stays",
        "2 objects (11 B) of 1 attempt that this device did not start: prune on the device that did, or add --all-devices",
    ]
    assert desk.person.asked == []
    assert not pruning.PruneRequest().all_devices
