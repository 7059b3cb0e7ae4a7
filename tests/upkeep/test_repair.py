"""Manifests are written again only as they were: from the copy beside the data, or from what this device kept."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.errors import (
    IntegrityError,
    ManifestError,
    ObjectExists,
    ObjectMissing,
    StoreBusy,
    StoreUnusable,
)
from archive_tasks.flows import verify as verifying
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Failure
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import ObjectInfo
from archive_tasks.target.commit import key_of, write_from_copy, write_manifest
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.repair import Repaired, repair
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.manifests import forged, written
from tests.support.yard import ID, SCOPE, Yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    with made.catalogue:
        yield made


def again(yard: Yard, prefix: str, *, sha256: str = "", trusted: bool = True) -> str:
    with yard.transfer(trusted=trusted) as transfer:
        return write_from_copy(prefix, transfer, sha256=sha256).key


def refused(yard: Yard, prefix: str, error: type[Exception], message: str, *, sha256: str = "") -> None:
    before = dict(yard.store.objects)
    with pytest.raises(error, match=message):
        again(yard, prefix, sha256=sha256)
    assert yard.store.objects == before


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def died(yard: Yard) -> str:
    """An attempt that died at its commit: the copy is there, the manifest is not."""
    prefix = yard.attempt("thesis", 5, 6)
    yard.put(layout.copy_key(prefix), yard.manifest(prefix)[1], days=20)
    return prefix


# -- from the copy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trusted", [True, False])
def test_the_manifest_is_the_copy_byte_for_byte(yard: Yard, died: str, *, trusted: bool) -> None:
    key, data = yard.manifest(died)
    assert again(yard, died, trusted=trusted) == key
    assert yard.store.objects[key] == data
    assert again(yard, died, sha256=digest(data), trusted=trusted) == key, "and to write it twice is no harm"


def test_it_is_read_back_whatever_the_targets_checksums_say(
    yard: Yard, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = yard.manifest(died)
    again(yard, died)
    calls = yard.store.calls
    assert ("read", key) in calls[calls.index(("put", key)) :]
    read = yard.store.read
    monkeypatch.setattr(yard.store, "read", lambda one, **at: iter([b"other"]) if one == key else read(one, **at))
    with pytest.raises(IntegrityError, match=f"returns another manifest than the one written as {key}"):
        again(yard, died)


def test_another_manifest_than_the_receipt_knows_is_not_written(yard: Yard, died: str) -> None:
    refused(yard, died, IntegrityError, "is not the manifest that was written", sha256="0" * 64)


def test_where_there_is_no_copy_there_is_nothing_to_write(yard: Yard) -> None:
    refused(yard, yard.attempt("thesis"), ObjectMissing, "there is no")


@pytest.mark.parametrize("cut", [40, 1])
def test_a_copy_that_is_damaged_is_not_written(yard: Yard, died: str, cut: int) -> None:
    copy = layout.copy_key(died)
    yard.store.objects[copy] = yard.store.objects[copy][:-cut]
    refused(yard, died, ManifestError, "cut short|damaged")


@pytest.mark.parametrize("how", ["gone", "larger"])
def test_an_object_that_is_not_there_as_it_was_is_not_promised(yard: Yard, died: str, how: str) -> None:
    objects = yard.store.objects
    if how == "gone":
        del objects[f"{died}files/1"]
    else:
        objects[f"{died}files/1"] += b"x"
    refused(yard, died, IntegrityError, f"{died}files/1, which it refers to, is not in the target")


def test_what_is_not_listed_is_asked_for_by_its_name(yard: Yard, died: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = yard.store.list

    def hiding(prefix: str) -> Iterator[ObjectInfo]:
        for info in listing(prefix):
            if not info.key.endswith("/0"):
                yield info._replace(size=1) if info.key.endswith("/1") else info

    monkeypatch.setattr(yard.store, "list", hiding)
    again(yard, died)
    assert sorted(yard.calls("describe", f"{died}files/")) == [f"{died}files/0", f"{died}files/1"]


def test_an_attempt_that_prune_may_have_met_is_not_committed(yard: Yard) -> None:
    prefix = yard.attempt("thesis", 5, days=20)
    yard.put(layout.copy_key(prefix), yard.manifest(prefix)[1], days=13)
    refused(yard, prefix, IntegrityError, "was paused for 7 days")


def test_the_copy_of_another_attempt_is_refused(yard: Yard, died: str) -> None:
    other = yard.attempt("thesis", 5, 6)
    copies = [layout.copy_key(prefix) for prefix in (died, other)]
    yard.put(copies[1], yard.store.objects[copies[0]], days=20)
    refused(yard, other, ManifestError, "belongs to another attempt")
    lines = [{**line, "data": other} if "item" in line else line for line in read_manifest(yard.manifest(died)[1])]
    yard.store.objects[copies[1]] = written(lines)
    refused(yard, other, ManifestError, "belongs to another attempt")
    yard.store.objects[copies[1]] = forged(yard.manifest(other)[1], lambda lines: lines[0].update(data=died))
    refused(yard, other, ManifestError, "belongs to another attempt")


def test_a_copy_that_is_not_read_the_same_way_twice_is_not_written(
    yard: Yard, died: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, read = layout.copy_key(died), yard.store.read
    answers = iter([yard.store.objects[copy]])
    monkeypatch.setattr(
        yard.store, "read", lambda key, **at: iter([next(answers, b"other")]) if key == copy else read(key, **at)
    )
    refused(yard, died, IntegrityError, "reads differently each time")


def test_a_target_that_is_busy_is_asked_again(yard: Yard, died: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that the copy is read."""
    copy, read, tries = layout.copy_key(died), yard.store.read, iter(range(10))

    def busy(key: str, **at: Any) -> Iterator[bytes]:
        if key == copy and next(tries) % 2 == 0:
            raise StoreBusy("503")
        return read(key, **at)

    monkeypatch.setattr(yard.store, "read", busy)
    with yard.transfer() as transfer:
        pace = Pace(concurrency=2, memory=1 << 20)
        patient = Patience(pace=pace, seconds=60, sleep=lambda _seconds: None)
        write_from_copy(died, dataclasses.replace(transfer, patience=patient))
    assert yard.manifest(died)[0] in yard.store.objects
    assert next(tries) == 4


HEADERS: dict[str, dict[str, Any]] = {
    "no scope": {"scope": ...},
    "a way up": {"scope": "laptop/../other"},
    "no date": {"created": ...},
    "a date that is none": {"created": "yesterday"},
    "a date of another type": {"created": 5},
    "no id": {"id": ...},
    "an id that is none": {"id": "0" * 31},
    "no commit": {"commit": ...},
    "a commit that is none": {"commit": "x"},
    "an empty commit": {"commit": ""},
    "no item": {"item": ...},
}


@pytest.mark.parametrize("odd", HEADERS)
def test_a_first_line_that_makes_no_key_is_damage(yard: Yard, died: str, odd: str) -> None:
    change = HEADERS[odd]

    def damage(lines: list[dict[str, Any]]) -> None:
        lines[0] = {name: change.get(name, value) for name, value in lines[0].items() if change.get(name) is not ...}

    yard.store.objects[layout.copy_key(died)] = forged(yard.manifest(died)[1], damage)
    refused(yard, died, ManifestError, "damaged")


def test_the_key_follows_from_the_first_line(yard: Yard, died: str) -> None:
    key, data = yard.manifest(died)
    assert key_of(next(read_manifest(data))) == key
    assert key == f"manifests/{SCOPE}/{NOW:%Y-%m-%d}/thesis~{died.split('/')[-2]}~{ID}.jsonl.zst"


def test_a_first_line_that_is_the_last_as_well_is_no_manifest(yard: Yard, died: str) -> None:
    """It would be whole and empty."""
    line = {"archive_tasks": "manifest", "format": 3, "end": 0, "sha256": digest(b"")}
    yard.store.objects[layout.copy_key(died)] = written([line])
    refused(yard, died, ManifestError, "not a manifest of archive_tasks")


def test_a_large_manifest_that_fails_leaves_no_parts(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    aborted: list[str] = []
    upload = yard.store.upload

    def watched(key: str, size: int, **more: Any) -> Any:
        begun = upload(key, size, **more)
        abort = begun.abort
        monkeypatch.setattr(begun, "abort", lambda: (aborted.append(key), abort()))
        return begun

    monkeypatch.setattr(yard.store, "upload", watched)
    data = os.urandom(6 << 20)
    with yard.transfer() as transfer, pytest.raises(IntegrityError, match="reads differently each time"):
        write_manifest("manifests/x", iter([data]), transfer, sha256="0" * 64)
    assert aborted == ["manifests/x"]
    with yard.transfer() as transfer:
        assert write_manifest("manifests/x", iter([data[:9], data[9:]]), transfer, sha256=digest(data)).size == 6 << 20
    assert yard.store.objects == {**yard.store.objects, "manifests/x": data}


# -- what is there already ----------------------------------------------------------------------------


def test_a_manifest_that_is_right_is_not_touched(yard: Yard, died: str) -> None:
    key = yard.commit(died)
    yard.store.calls.clear()
    for sha256 in ("", digest(yard.store.objects[key])):
        assert again(yard, died, sha256=sha256) == key
    assert yard.calls("delete") == []


def test_where_nobody_knows_which_of_the_two_is_right_neither_is_removed(yard: Yard, died: str) -> None:
    key, data = yard.manifest(died, host="another")
    yard.put(key, data)
    refused(yard, died, ObjectExists, f"{key} exists and differs from its copy")


def test_one_that_cannot_be_read_makes_way_for_one_that_can(yard: Yard, died: str) -> None:
    key, data = yard.manifest(died)
    yard.put(key, data[:-9])
    assert again(yard, died) == key
    assert yard.store.objects[key] == data


def test_nothing_makes_way_for_an_archive_that_is_not_whole(yard: Yard, died: str) -> None:
    key, data = yard.manifest(died)
    yard.put(key, data[:-9])
    del yard.store.objects[f"{died}files/0"]
    refused(yard, died, IntegrityError, "is not in the target", sha256=digest(data))


# -- from the copy, else from the catalogue -----------------------------------------------------------


class Shop:
    """Archives that were really made, in a target in memory, and the device's catalogue."""

    def __init__(self, bench: Bench, store: MemoryStore, session: Session) -> None:
        self.store = store
        self.session = session
        self._bench = bench
        session.open_store = lambda _url: store  # type: ignore[method-assign]
        make_tree(
            bench.root, {name: {"a": File(name, 400), "b": File("b", 400)} for name in ("film", "thesis")}, now=NOW
        )
        bench.run(wrap=lambda _store: store)  # type: ignore[arg-type, return-value]

    @property
    def manifests(self) -> list[str]:
        return sorted(key for key in self.store.objects if key.startswith("manifests/"))

    def attempt(self, manifest: str) -> str:
        return str(next(read_manifest(self.store.objects[manifest]))["data"])

    def catalogue(self) -> Catalogue:
        return Catalogue(str(self._bench.catalogue), target=self.store.url, device=self.session.device)

    def repair(self, missing: list[str], uncommitted: list[str], *, copies: Sequence[str] = ()) -> Repaired:
        yard = Yard.__new__(Yard)
        yard.store = self.store
        with self.catalogue() as catalogue, yard.transfer() as transfer:
            return repair(missing, uncommitted, catalogue, transfer, copies=copies)

    def verify(self, *, code: int = 0, **wanted: Any) -> tuple[dict[str, Any], list[str]]:
        """The document, and what was said."""
        heard = Heard()
        options = verifying.VerifyRequest(**{"repair": True, **wanted})
        document = verifying.verify_target(self.session, options, heard)
        assert bool(document["damaged"]) == bool(code)
        return document, heard.said


class Heard(Console):
    def __init__(self) -> None:
        super().__init__(json_document=True)
        self.said: list[str] = []

    def say(self, text: str = "", style: str = "") -> None:
        self.said.append(text)


@pytest.fixture
def shop(root: Path, tmp_path: Path, make_session: Any) -> Shop:
    store = MemoryStore()
    session = make_session(root, target=store.url)
    path = Path(catalogue_path(session.data, store.url))
    return Shop(Bench(root, tmp_path / "unused", make_session, path), store, session)


def test_nothing_that_is_missing_is_no_work(shop: Shop) -> None:
    before = dict(shop.store.objects)
    assert shop.repair([], []) == Repaired()
    assert shop.store.objects == before


@pytest.mark.parametrize("gone", ["nothing", "copy"])
def test_what_has_a_receipt_comes_from_its_copy_or_from_what_this_device_kept(shop: Shop, gone: str) -> None:
    before = dict(shop.store.objects)
    keys, copies = shop.manifests, [layout.copy_key(shop.attempt(key)) for key in shop.manifests]
    for key in (*keys, *(copies if gone == "copy" else [])):
        del shop.store.objects[key]
    shop.store.calls.clear()
    assert shop.repair(keys, []) == Repaired(manifests=keys)
    assert {key: shop.store.objects[key] for key in keys} == {key: before[key] for key in keys}
    assert {("read", copy) for copy in copies} <= set(shop.store.calls), "the copy is asked for first"


def test_the_catalogue_is_not_asked_where_the_copy_will_do(shop: Shop) -> None:
    key = shop.manifests[0]
    del shop.store.objects[key]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("update blocks set lines = x'00'")
    assert shop.repair([key], []) == Repaired(manifests=[key])


def test_what_the_catalogue_keeps_otherwise_than_it_was_written_is_not_taken(shop: Shop) -> None:
    key = shop.manifests[0]
    del shop.store.objects[layout.copy_key(shop.attempt(key))], shop.store.objects[key]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("update blocks set lines = x'00'")
    (failed,) = shop.repair([key], []).failed
    assert (failed.item, "build it again with catalogue --rebuild" in failed.reason) == (key, True)
    assert key not in shop.store.objects


def test_a_copy_that_is_not_what_the_receipt_says_is_passed_over(shop: Shop) -> None:
    key = shop.manifests[0]
    copy, before = layout.copy_key(shop.attempt(key)), shop.store.objects.pop(key)
    shop.store.objects[copy] = forged(before, lambda lines: lines[0].update(host="another"))
    assert shop.repair([key], []) == Repaired(manifests=[key])
    assert shop.store.objects[key] == before


def test_where_neither_is_what_was_written_the_reason_is_said_and_the_others_are_repaired(shop: Shop) -> None:
    lost, other = shop.manifests
    before = shop.store.objects[other]
    del shop.store.objects[layout.copy_key(shop.attempt(lost))], shop.store.objects[lost], shop.store.objects[other]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("delete from indexed where manifest = ?", (lost,))
    repaired = shop.repair([lost, other], [])
    assert repaired.manifests == [other]
    assert repaired.failed == [Failure(lost, "it is not kept in the catalogue of this device")]
    assert shop.store.objects[other] == before
    assert lost not in shop.store.objects


def test_frames_that_come_out_otherwise_than_the_receipt_says_are_not_written(shop: Shop) -> None:
    """As when the manifest was taken in from a target that had been written to by somebody else."""
    key = shop.manifests[0]
    del shop.store.objects[layout.copy_key(shop.attempt(key))], shop.store.objects[key]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("update indexed set blocks = blocks - 1 where manifest = ?", (key,))
        write(
            "delete from blocks where manifest = ?1 and number = (select blocks from indexed where manifest = ?1)",
            (key,),
        )
    (failed,) = shop.repair([key], []).failed
    assert (failed.item, "reads differently each time" in failed.reason) == (key, True)
    assert key not in shop.store.objects


def test_what_the_catalogue_has_lost_of_one_archive_keeps_no_other_from_being_written_again(shop: Shop) -> None:
    lost, other = shop.manifests[:2]
    for key in (lost, other):
        del shop.store.objects[layout.copy_key(shop.attempt(key))], shop.store.objects[key]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("update indexed set blocks = blocks - 1 where manifest = ?", (lost,))
    repaired = shop.repair([lost, other], [])
    assert repaired.manifests == [other]
    assert [(one.item, "is damaged" in one.reason) for one in repaired.failed] == [(lost, True)]


def test_an_archive_without_an_attempt_comes_from_the_catalogue_alone(shop: Shop) -> None:
    """Formats 1 and 2 have no copies, and an empty item has no object that could tell where."""
    key = shop.manifests[0]
    before = shop.store.objects.pop(key)
    with shop.catalogue() as catalogue:
        known = catalogue.known(key)
        assert known
        archive = dataclasses.replace(known.archive, data="")
        catalogue.record(archive, run=known.run, fingerprint=known.fingerprint, receipt=known.receipt, now=NOW)
    shop.store.calls.clear()
    assert shop.repair([key], []) == Repaired(manifests=[key])
    assert shop.store.objects[key] == before
    assert not [one for method, one in shop.store.calls if method == "read" and one.startswith("data/")]


@pytest.mark.parametrize("known", ["never", "without a receipt"])
def test_what_this_device_has_no_receipt_for_is_not_promised_again(shop: Shop, known: str) -> None:
    key = shop.manifests[0]
    del shop.store.objects[key]
    with shop.catalogue() as catalogue:
        found = catalogue.known(key)
        assert found
        catalogue.forget(key, now=NOW, why="a test")
        if known != "never":
            catalogue.record(found.archive, run=None, fingerprint="", receipt=None, now=NOW)
    assert shop.repair([key], []) == Repaired(failed=[Failure(key, "this device has no receipt for it")])
    assert key not in shop.store.objects


# -- copies of manifests --------------------------------------------------------------------------------


def without_receipt(shop: Shop, key: str, known: str) -> None:
    """What this device knows of an archive that another one made: nothing, or what it read in the target."""
    with shop.catalogue() as catalogue:
        found = catalogue.known(key)
        assert found
        catalogue.forget(key, now=NOW, why="a test")
        if known == "read":
            catalogue.record(found.archive, run=None, fingerprint="", receipt=None, now=NOW)


def change_copy(shop: Shop, key: str, how: str) -> tuple[str, bytes]:
    """Returns its key, and what it held."""
    copy = layout.copy_key(shop.attempt(key))
    before = shop.store.objects.pop(copy)
    if how != "gone":
        other = forged(before, lambda lines: lines[0].update(host="another"))
        data = other if how == "another" else before[:-9]
        shop.store.put(copy, data, sha256=hashlib.sha256(data).digest())
    return copy, before


@pytest.mark.parametrize("how", ["gone", "damaged", "another"])
def test_a_copy_is_written_again_from_what_the_receipt_says(shop: Shop, how: str) -> None:
    key = shop.manifests[0]
    copy, before = change_copy(shop, key, how)
    assert shop.repair([], [], copies=[key]) == Repaired(manifests=[copy])
    assert shop.store.objects[copy] == before


@pytest.mark.parametrize("how", ["gone", "damaged"])
@pytest.mark.parametrize("known", ["never", "read"])
def test_without_a_receipt_a_copy_is_written_again_where_there_is_none_to_read(
    shop: Shop, how: str, known: str
) -> None:
    key = shop.manifests[0]
    copy, before = change_copy(shop, key, how)
    without_receipt(shop, key, known)
    assert shop.repair([], [], copies=[key]) == Repaired(manifests=[copy])
    assert shop.store.objects[copy] == before


@pytest.mark.parametrize("known", ["never", "read", "another receipt"])
def test_where_nobody_here_knows_which_of_two_is_right_both_stay(shop: Shop, known: str) -> None:
    """The copy may be what was written, and the manifest what somebody made of it."""
    key = shop.manifests[0]
    change_copy(shop, key, "another")
    if known == "another receipt":
        shop.store.objects[key] = forged(shop.store.objects[key], lambda lines: lines[0].update(host="forged"))
    else:
        without_receipt(shop, key, known)
    before = dict(shop.store.objects)
    (failed,) = shop.repair([], [], copies=[key]).failed
    assert (failed.item, "on the device that made it" in failed.reason) == (key, True)
    assert shop.store.objects == before


@pytest.mark.parametrize("what", ["damaged", "another"])
def test_what_is_not_as_the_receipt_says_makes_way_for_a_copy_that_is(shop: Shop, what: str) -> None:
    key, other = shop.manifests
    before = shop.store.objects[key]
    shop.store.objects[key] = before[:-9] if what == "damaged" else shop.store.objects[other]
    assert shop.repair([key], []) == Repaired(manifests=[key])
    assert shop.store.objects[key] == before


@pytest.mark.parametrize("copy", ["gone", "damaged", "another"])
def test_what_the_catalogue_keeps_takes_the_place_of_what_is_not_as_it_was(shop: Shop, copy: str) -> None:
    key, other = shop.manifests
    place, others = layout.copy_key(shop.attempt(key)), shop.store.objects[layout.copy_key(shop.attempt(other))]
    before = shop.store.objects.pop(place)
    if copy != "gone":
        shop.store.objects[place] = before[:-9] if copy == "damaged" else others
    right, shop.store.objects[key] = shop.store.objects[key], b"another"
    assert shop.repair([key], []) == Repaired(manifests=[key])
    assert (shop.store.objects[place], shop.store.objects[key]) == (before, right)


def test_what_prune_is_removing_is_not_written_again(shop: Shop) -> None:
    """The copy is there before the mark is asked for: `prune` puts the mark there, and then asks for the copy."""
    key = shop.manifests[0]
    mark, copy = layout.pruned_key(shop.attempt(key)), layout.copy_key(shop.attempt(key))
    del shop.store.objects[key], shop.store.objects[copy]
    shop.store.put(mark, b"mark", sha256=hashlib.sha256(b"mark").digest())
    (failed,) = shop.repair([key], []).failed
    assert "wait for prune to end, on every device" in failed.reason
    assert mark in failed.reason
    assert key not in shop.store.objects
    del shop.store.objects[mark], shop.store.objects[copy]
    shop.store.calls.clear()
    assert shop.repair([key], []) == Repaired(manifests=[key])
    steps = [("put", copy), ("describe", mark), ("put", key)]
    assert [call for call in shop.store.calls if call in steps] == steps


def test_a_target_that_cannot_be_used_ends_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    key = shop.manifests[0]
    del shop.store.objects[key]

    def refusing(*_: Any, **__: Any) -> None:
        raise StoreUnusable("403")

    monkeypatch.setattr(shop.store, "put", refusing)
    with pytest.raises(StoreUnusable):
        shop.repair([key], [])


def test_an_attempt_that_died_at_its_commit_is_committed(shop: Shop) -> None:
    """Whoever made it: no receipt is needed."""
    (key, other), before = shop.manifests, dict(shop.store.objects)
    attempt, damaged = shop.attempt(key), shop.attempt(other)
    with shop.catalogue() as catalogue:
        catalogue.forget(key, now=NOW, why="a test")
        catalogue.forget(other, now=NOW, why="a test")
    del shop.store.objects[key], shop.store.objects[other], shop.store.objects[f"{damaged}packs/00001.tar.zst"]
    repaired = shop.repair([], [damaged, attempt])
    assert repaired.manifests == [key]
    assert shop.store.objects[key] == before[key]
    assert [one.item for one in repaired.failed] == [damaged]
    assert "packs/00001.tar.zst, which it refers to, is not in the target" in repaired.failed[0].reason
    assert other not in shop.store.objects


def test_what_was_repaired_by_its_receipt_is_not_written_once_more(shop: Shop) -> None:
    (key, other), attempts = shop.manifests, [shop.attempt(one) for one in shop.manifests]
    with shop.catalogue() as catalogue:
        catalogue.forget(other, now=NOW, why="a test")
    del shop.store.objects[key], shop.store.objects[other]
    shop.store.calls.clear()
    assert shop.repair([key], attempts) == Repaired(manifests=[key, other])
    assert [one for method, one in shop.store.calls if method == "put"] == [key, other]


# -- verify --repair ----------------------------------------------------------------------------------


def test_without_the_word_nothing_is_written(shop: Shop) -> None:
    key = shop.manifests[0]
    del shop.store.objects[key]
    before = dict(shop.store.objects)
    document, _ = shop.verify(repair=False, code=1)
    assert shop.store.objects == before
    assert (document["repaired"], document["not_repaired"]) == ([], [])
    assert [one["path"] for one in document["damaged"]] == [key]


def test_where_all_is_well_nothing_is_written(shop: Shop) -> None:
    before = dict(shop.store.objects)
    document, said = shop.verify()
    assert (document["repaired"], document["archives"]) == ([], 2)
    assert {key: data for key, data in shop.store.objects.items() if key in before} == before
    assert not [line for line in said if "again" in line]


def test_what_was_repaired_is_looked_at_and_said(shop: Shop) -> None:
    key = shop.manifests[0]
    before = shop.store.objects.pop(key)
    document, said = shop.verify()
    assert document["repaired"] == [key]
    assert (document["damaged"], document["uncommitted"], document["archives"]) == ([], [], 2)
    assert f"written again: {key}" in said
    assert shop.store.objects[key] == before


def test_what_cannot_be_repaired_stays_damage_with_its_reason(shop: Shop) -> None:
    key = shop.manifests[0]
    copy = layout.copy_key(shop.attempt(key))
    del shop.store.objects[copy], shop.store.objects[key]
    with shop.catalogue() as catalogue, catalogue.writing() as write:
        write("delete from indexed where manifest = ?", (key,))
    document, said = shop.verify(code=1)
    assert document["not_repaired"] == [{"what": key, "reason": "it is not kept in the catalogue of this device"}]
    assert f"cannot be written again: {key}: it is not kept in the catalogue of this device" in said


def test_a_second_device_finishes_a_commit_and_knows_the_archive_then(
    shop: Shop, root: Path, tmp_path: Path, make_session: Any
) -> None:
    key = shop.manifests[0]
    del shop.store.objects[key]
    second = make_session(root, target=shop.store.url)
    second.data = str(tmp_path / "second")
    second.open_store = lambda _url: shop.store
    heard = Heard()
    document = verifying.verify_target(second, verifying.VerifyRequest(), heard)
    assert document["uncommitted"]
    assert document["damaged"] == []
    assert any("verify --repair writes it again" in line for line in heard.said)
    document = verifying.verify_target(second, verifying.VerifyRequest(repair=True), heard)
    assert (document["repaired"], document["uncommitted"], document["orphans"]) == ([key], [], [])
    with Catalogue(catalogue_path(second.data, shop.store.url)) as catalogue:
        assert [known.archive.manifest for known in catalogue.archives()] == [key], "it alone was taken in"


def test_the_repair_of_one_item_repairs_no_other(shop: Shop) -> None:
    film, thesis = shop.manifests
    del shop.store.objects[film], shop.store.objects[thesis]
    document, _ = shop.verify(item="thesis")
    assert document["repaired"] == [thesis]
    assert film not in shop.store.objects
    document, _ = shop.verify()
    assert document["repaired"] == [film]
