"""Nothing is committed that prune may have met: the last look at an attempt, and the signs that it is still alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import IntegrityError, StoreBusy, StoreUnusable
from archive_tasks.flows.prune import GRACE_DAYS
from archive_tasks.formats import layout
from archive_tasks.store import ObjectInfo
from archive_tasks.target.last_look import LONGEST_GAP, SignsOfLife, check_attempt, check_gaps
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.prune import LEAST_GRACE, Pruner
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.yard import Yard
from tests.target.test_already_there import Twice

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
STOOD_STILL = "its upload was paused for 7 days or more, so prune may have removed part of it: it is sent again"


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    with made.catalogue:
        yield made


def check(yard: Yard, prefix: str, sizes: dict[str, int] | None = None) -> None:
    found = {key: len(data) for key, data in yard.store.objects.items() if key.startswith(f"{prefix}files/")}
    check_attempt(prefix, found if sizes is None else sizes, yard.store, yard.patience)


# -- is everything there? -----------------------------------------------------------------------------


def test_an_attempt_is_listed_once_more(yard: Yard) -> None:
    prefix = yard.attempt("thesis", 5, 6)
    yard.store.calls.clear()
    check(yard, prefix)
    assert yard.store.calls == [("describe", layout.pruned_key(prefix)), ("list", prefix)]


@pytest.mark.parametrize("how", ["gone", "cut", "grown"])
def test_an_object_that_is_not_there_as_it_was_sent_ends_it(yard: Yard, how: str) -> None:
    prefix = yard.attempt("thesis", 5, 6)
    key = f"{prefix}files/1"
    sizes = {f"{prefix}files/0": 5, key: 6}
    check(yard, prefix, sizes)
    data = yard.store.objects.pop(key)
    if how != "gone":
        yard.store.objects[key] = data[:-1] if how == "cut" else data + b"x"
    with pytest.raises(IntegrityError, match=f"no longer holds {key}: it is sent again by the next run"):
        check(yard, prefix, sizes)


def test_an_object_of_an_attempt_that_nothing_is_left_of_ends_it(yard: Yard) -> None:
    prefix = yard.attempt("thesis", 5)
    yard.store.objects.clear()
    with pytest.raises(IntegrityError, match="no longer holds"):
        check(yard, prefix, {f"{prefix}files/0": 5})


def test_what_a_listing_hides_is_asked_for_by_its_name(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = yard.attempt("thesis", 5, 6)
    listing = yard.store.list
    monkeypatch.setattr(yard.store, "list", lambda below: (one for one in listing(below) if one.key.endswith("/0")))
    check(yard, prefix)
    assert yard.calls("describe", "data/") == [layout.pruned_key(prefix), f"{prefix}files/1"]


def test_a_busy_target_ends_it_without_a_word_of_what_is_gone(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_below: str) -> Iterator[ObjectInfo]:
        raise StoreBusy("503")

    prefix = yard.attempt("thesis")
    monkeypatch.setattr(yard.store, "list", busy)
    with pytest.raises(StoreBusy):
        check(yard, prefix)


# -- did it stand still? ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "stood_still"),
    [
        ([0], False),
        ([], False),
        ([0, 6.9], False),
        ([0, 7], True),
        ([0, 6, 12, 18, 24], False),
        ([24, 0, 18, 6, 12], False),
        ([0, 6, 12, 19, 24], True),
        ([19, 0, 24, 6, 12], True),
        ([0, 0, 0], False),
        ([30, 0], True),
    ],
)
def test_seven_days_between_two_objects_are_too_many(days: list[float], *, stood_still: bool) -> None:
    """In whatever order they are listed."""
    moments = [NOW + day * DAY for day in days]
    if stood_still:
        with pytest.raises(IntegrityError, match=STOOD_STILL):
            check_gaps(moments)
    else:
        check_gaps(moments)


def test_seven_days_are_seven_days_to_the_second() -> None:
    check_gaps([NOW, NOW + 7 * DAY - SECOND])
    with pytest.raises(IntegrityError):
        check_gaps([NOW, NOW + 7 * DAY])


def test_where_a_store_gives_no_dates_nothing_is_pruned_and_so_nothing_refused() -> None:
    check_gaps([None, None])
    check_gaps([None, NOW, None, NOW + DAY])
    with pytest.raises(IntegrityError):
        check_gaps([None, NOW, None, NOW + 7 * DAY])


def test_the_copy_of_the_manifest_is_one_of_the_objects(yard: Yard) -> None:
    """So an upload that was suspended right before its commit is refused."""
    prefix = yard.attempt("thesis", days=7)
    check(yard, prefix)
    yard.put(layout.copy_key(prefix), b"x", days=0)
    with pytest.raises(IntegrityError, match=STOOD_STILL):
        check(yard, prefix)


def test_a_sign_of_life_bridges_a_gap(yard: Yard) -> None:
    prefix = yard.attempt("thesis", days=10)
    yard.put(f"{prefix}files/last", b"x", days=0)
    with pytest.raises(IntegrityError, match=STOOD_STILL):
        check(yard, prefix)
    yard.put(layout.alive_key(prefix, 1), b"x", days=5)
    check(yard, prefix)


def test_what_may_be_committed_is_never_old_enough_for_prune(yard: Yard) -> None:
    """The newest object of what is pruned is as old as the grace; a commit needs one that is half as old at most."""
    assert LONGEST_GAP < LEAST_GRACE
    assert 2 * LONGEST_GAP <= GRACE_DAYS * DAY
    for days in range(20):
        prefix = yard.attempt("thesis", days=days)
        found = {one.attempt: one for one in Pruner(yard.store, yard.catalogue, yard.patience).look().orphans}
        old = found[prefix].is_old(now=yard.now, grace=LEAST_GRACE)
        yard.put(layout.copy_key(prefix), b"x")
        try:
            check(yard, prefix)
        except IntegrityError:
            assert days >= 7
        else:
            assert not old


# -- signs of life ------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def signs(yard: Yard) -> tuple[str, Clock, SignsOfLife]:
    prefix, clock = yard.attempt("thesis"), Clock()
    yard.store.calls.clear()
    return prefix, clock, SignsOfLife(prefix, yard.store, clock)


def test_one_is_given_a_day(yard: Yard) -> None:
    prefix, clock, alive = signs(yard)
    for _ in range(72):
        clock.now += timedelta(hours=1)
        for _ in range(3):
            alive.give()
    given = yard.calls("put")
    assert given == [layout.alive_key(prefix, int((NOW + day * DAY).timestamp())) for day in (1, 2, 3)]
    assert all(layout.attempt_of_ours(key) == prefix for key in given)
    assert len({yard.store.objects[key] for key in given}) == 3


def test_the_first_comes_when_a_day_is_over_and_not_before(yard: Yard) -> None:
    _, clock, alive = signs(yard)
    alive.give()
    clock.now += DAY - SECOND
    alive.give()
    assert yard.calls("put") == []
    clock.now += SECOND
    alive.give()
    assert len(yard.calls("put")) == 1


@pytest.mark.parametrize("error", [StoreBusy("503"), StoreUnusable("403"), IntegrityError("no")])
def test_one_that_fails_does_not_end_the_upload_and_is_given_a_day_later(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    _, clock, alive = signs(yard)
    put, tries = yard.store.put, []

    def failing(key: str, *more: Any, **named: Any) -> None:
        tries.append(key)
        if len(tries) == 1:
            raise error
        put(key, *more, **named)

    monkeypatch.setattr(yard.store, "put", failing)
    for hours in (24, 1, 22, 1):
        clock.now += timedelta(hours=hours)
        alive.give()
        alive.give()
    assert len(tries) == 2
    assert yard.calls("put") == tries[1:]


def test_of_many_threads_one_gives_it(yard: Yard) -> None:
    _, clock, alive = signs(yard)
    clock.now += DAY
    with ThreadPoolExecutor(8) as workers:
        list(workers.map(lambda _: alive.give(), range(64)))
    assert len(yard.calls("put")) == 1


# -- whole runs ---------------------------------------------------------------------------------------


@pytest.fixture
def twice(root: Path, tmp_path: Path, make_session: Any) -> Twice:
    made = Twice(Bench(root, tmp_path / "unused", make_session, tmp_path / "data" / "catalogue.sqlite"))
    make_tree(root, {"thesis": {"a": File("a", 400), "b": File("b" * 2000, 400)}}, now=NOW)
    return made


class Meddling:
    """A store of which something becomes of what was written, right behind the copy of the manifest."""

    def __init__(self, store: Any, meddle: Callable[[str], object]) -> None:
        self._store = store
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes, **named: Any) -> None:
        self._store.put(key, data, **named)
        if key.endswith("/manifest.jsonl.zst"):
            self._meddle(key)


@pytest.mark.parametrize("how", ["gone", "old"])
def test_a_run_does_not_commit_what_is_gone_or_old_by_then(twice: Twice, how: str) -> None:
    store = twice.store

    def meddle(copy: str) -> None:
        key = copy.replace("manifest.jsonl.zst", "packs/00001.tar.zst")
        if how == "gone":
            del store.objects[key]
        else:
            modified = store._facts[key].modified
            assert modified
            store._facts[key] = store._facts[key]._replace(modified=modified - 8 * DAY)

    outcome = twice.bench.run(wrap=lambda _store: Meddling(store, meddle))  # type: ignore[arg-type, return-value]
    (failed,) = outcome.failed
    assert "it is sent again by the next run" in failed.reason
    assert not [key for key in store.objects if key.startswith("manifests/")]
    (cancelled,) = {layout.attempt_of(key) for key in store.objects if key.startswith("data/")}
    (archive,) = twice.run().archives
    assert archive.data != cancelled, "the attempt is given up"
    assert archive.manifest in store.objects
