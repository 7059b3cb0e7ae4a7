"""What counts as evidence: everything is asked of the target in this run, and looked at again where that took long."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.clean.evidence import FRESH, Evidence, Witness
from archive_tasks.errors import ManifestError, NotProven, ObjectFrozen, StoreBusy, StoreUnusable
from archive_tasks.formats.frames import unpack_frame
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Archive, Failure
from archive_tasks.store import ObjectInfo
from archive_tasks.target import packed_entries
from archive_tasks.target.open import open_target
from archive_tasks.target.pace import Pace
from archive_tasks.target.packed_entries import packed_problems
from archive_tasks.target.patience import Patience
from archive_tasks.target.ranges import Fetch
from archive_tasks.target.transfer import Transfer
from archive_tasks.testing.stores import MIB, MemoryStore
from archive_tasks.testing.trees import File, Link, make_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.manifests import Line, entry, exchange, forged, written


class Made(NamedTuple):
    """What was really archived, once for all tests: the target's objects, and what the run said."""

    objects: dict[str, bytes]
    facts: dict[str, ObjectInfo]
    archives: dict[str, Archive]


def make(bench: Bench) -> Made:
    store = MemoryStore()
    make_tree(
        bench.root,
        {
            "thesis": {name: File(f"{name} of it", 400) for name in ("a", "b", "c")}
            | {"empty": File("", 400), "link": Link("a", 400), "cache": {"x": File("x", 400)}}
            | {"large": File(os.urandom(2 * MIB), 400), "huge": File(os.urandom(11 * MIB), 400)},
            "film": {"cut": File("cut", 400)},
        },
        now=NOW,
    )
    os.link(bench.root / "thesis" / "b", bench.root / "thesis" / "same as b")
    outcome = bench.run(wrap=lambda _store: store, exclude=["cache"])  # type: ignore[arg-type, return-value]
    return Made(store.objects, store._facts, {archive.item: archive for archive in outcome.archives})


class Stand:
    """A target in memory of which nothing is remembered but its id, and a witness whose clocks the test moves."""

    def __init__(self, made: Made, catalogue: Catalogue, workers: Executor) -> None:
        self.store = MemoryStore()
        self.store.objects.update(made.objects)
        self.store._facts.update(made.facts)
        self.archives = made.archives
        self.seconds = 1000.0
        self.now = NOW
        self.target = open_target(self.store, catalogue, now=NOW, may_create=lambda _store: False)
        self.written = self.manifest
        self._workers = workers
        self.store.calls.clear()

    def witness(self, *, trusted: bool = True, patient: float = 0) -> Witness:
        pace = Pace(concurrency=2, memory=64 * MIB)
        patience = Patience(pace=pace, seconds=patient, sleep=lambda _seconds: None)
        transfer = Transfer(store=self.store, pace=pace, patience=patience, workers=self._workers, trusted=trusted)
        return Witness(target=self.target, transfer=transfer, wall=lambda: self.now, monotonic=lambda: self.seconds)

    def gather(
        self, *, trusted: bool = True, patient: float = 0, receipt: bool = True, archive_id: str = "", item: str = ""
    ) -> Evidence:
        """Of the thesis, with the receipt of how it was archived or without one."""
        archive = self.archives["thesis"]
        sha256 = hashlib.sha256(self.written).hexdigest() if receipt else ""
        return self.witness(trusted=trusted, patient=patient).gather(
            archive_id or archive.id, archive.manifest, item=item or "thesis", sha256=sha256
        )

    @property
    def manifest(self) -> bytes:
        return self.store.objects[self.archives["thesis"].manifest]

    def object(self, ending: str) -> str:
        prefix = self.archives["thesis"].data
        (key,) = [key for key in self.store.objects if key.startswith(prefix) and key.endswith(ending)]
        return key

    def forge(self, change: Callable[[list[Line]], object]) -> None:
        self.store.objects[self.archives["thesis"].manifest] = forged(self.manifest, change)

    def calls(self, method: str) -> list[str]:
        return [key for one, key in self.store.calls if one == method]


@pytest.fixture(scope="module")
def once() -> list[Made]:
    return []


@pytest.fixture
def stand(once: list[Made], root: Path, tmp_path: Path, make_session: Any) -> Iterator[Stand]:
    if not once:
        once.append(make(Bench(root, tmp_path / "unused", make_session, tmp_path / "first" / "c.sqlite")))
    with Catalogue(str(tmp_path / "c.sqlite")) as catalogue, ThreadPoolExecutor(2) as workers:
        yield Stand(once[0], catalogue, workers)


PACK, LARGE, HUGE = "packs/00001.tar.zst", "files/large", "files/huge"


# -- gathered -----------------------------------------------------------------------------------------


def test_evidence_says_what_was_seen_and_when_the_looking_began(stand: Stand) -> None:
    archive = stand.archives["thesis"]
    evidence = stand.gather()
    assert (evidence.archive_id, evidence.key) == (archive.id, archive.manifest)
    assert (evidence.manifest, evidence.sha256) == (stand.manifest, hashlib.sha256(stand.manifest).hexdigest())
    assert {one.key for one in evidence.objects} == {stand.object(name) for name in (PACK, LARGE, HUGE)}
    assert {one.key: one.size for one in evidence.objects}[stand.object(HUGE)] == 11 * MIB
    assert [len(one.parts) for one in evidence.objects if one.key == stand.object(HUGE)] == [3]
    assert list(evidence.left_out) == ["thesis/cache"]
    assert "the pattern cache" in evidence.left_out["thesis/cache"]
    assert evidence.at == (1000.0, NOW.timestamp())


def test_the_age_of_evidence_counts_from_before_the_first_look(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    read = stand.store.read

    def slowly(*arguments: Any, **more: Any) -> Iterator[bytes]:
        stand.seconds += 100
        stand.now += timedelta(seconds=50)
        return read(*arguments, **more)

    monkeypatch.setattr(stand.store, "read", slowly)
    assert stand.gather().at == (1000.0, NOW.timestamp())


@pytest.mark.parametrize("name", [PACK, LARGE, HUGE])
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("how", ["gone", "cut", "other bytes"])
def test_each_object_must_be_there_as_it_was(stand: Stand, name: str, how: str, *, trusted: bool) -> None:
    """By the target's own checksum where that is proof, else by reading."""
    stand.gather(trusted=trusted)
    key = stand.object(name)
    data = stand.store.objects[key]
    if how == "gone":
        del stand.store.objects[key]
    elif how == "cut":
        stand.store.objects[key] = data[:-1]
    else:
        stand.store.objects[key] = bytes([data[0] ^ 1]) + data[1:]
        facts = stand.store._facts
        facts[key] = facts[key]._replace(checksum="0" * 64)
    with pytest.raises(NotProven, match="the target does not provably hold it: "):
        stand.gather(trusted=trusted)


def test_where_checksums_are_proof_nothing_but_the_manifest_is_read(stand: Stand) -> None:
    key = stand.archives["thesis"].manifest
    stand.gather()
    assert set(stand.calls("read")) == {"vault.json", key}
    assert set(stand.calls("describe")) == {stand.object(name) for name in (PACK, LARGE, HUGE)}


def test_another_target_in_its_place_is_no_witness(stand: Stand) -> None:
    evidence = stand.gather()
    stand.store.objects["vault.json"] = b'{"archive_tasks": "vault", "format": 1, "id": "another"}'
    with pytest.raises(StoreUnusable, match="not the one it was before"):
        stand.gather()
    stand.seconds += 1000
    with pytest.raises(StoreUnusable, match="not the one it was before"):
        stand.witness().check_fresh(evidence)


@pytest.mark.parametrize("other", [{"archive_id": "0" * 32}, {"item": "thesi"}, {"item": "film"}])
@pytest.mark.parametrize("receipt", [True, False])
def test_a_manifest_of_something_else_is_none(stand: Stand, other: dict[str, str], *, receipt: bool) -> None:
    with pytest.raises(NotProven, match="its manifest in the target is of another item"):
        stand.gather(**other, receipt=receipt)


def test_another_manifest_than_the_receipts_is_none(stand: Stand) -> None:
    stand.forge(exchange("thesis/a", "thesis/b"))
    with pytest.raises(NotProven, match="its manifest in the target is not the one that was written"):
        stand.gather()


def test_what_has_a_receipt_is_not_unpacked(stand: Stand) -> None:
    """What was in its packs was seen where they were made."""
    stand.gather()
    assert stand.object(PACK) not in stand.calls("read")


@pytest.mark.parametrize("trusted", [True, False])
def test_what_has_none_is_unpacked_and_each_entry_hashed(stand: Stand, *, trusted: bool) -> None:
    stand.gather(receipt=False, trusted=trusted)
    stand.forge(exchange("thesis/a", "thesis/b"))
    with pytest.raises(
        NotProven, match=r"thesis/[ab] in the target is not what its manifest says: it holds other bytes"
    ):
        stand.gather(receipt=False, trusted=trusted)


def test_of_what_has_no_receipt_packs_alone_are_read(stand: Stand) -> None:
    stand.gather(receipt=False)
    assert set(stand.calls("read")) == {"vault.json", stand.archives["thesis"].manifest, stand.object(PACK)}


def test_a_busy_target_is_asked_again_for_what_is_in_its_packs(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    read, tries = stand.store.read, iter(range(10))

    def busy(key: str, **where: Any) -> Iterator[bytes]:
        if key == stand.object(PACK) and next(tries) == 0:
            raise StoreBusy("503")
        return read(key, **where)

    monkeypatch.setattr(stand.store, "read", busy)
    assert stand.gather(receipt=False, patient=60)
    assert next(tries) > 1


def test_in_a_cold_class_nothing_is_proven_without_a_receipt(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    read = stand.store.read

    def frozen(key: str, **where: Any) -> Iterator[bytes]:
        if key.startswith("data/"):
            raise ObjectFrozen("in GLACIER")
        return read(key, **where)

    monkeypatch.setattr(stand.store, "read", frozen)
    assert stand.gather(), "with one, its checksums are proof"
    with pytest.raises(NotProven, match="does not provably hold it: in GLACIER"):
        stand.gather(receipt=False)


@pytest.mark.parametrize("how", ["gone", "busy", "damaged", "no header", "an entry elsewhere", "a pack not told of"])
def test_a_manifest_that_is_no_help_proves_nothing(stand: Stand, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    key, read = stand.archives["thesis"].manifest, stand.store.read
    if how == "gone":
        del stand.store.objects[key]
    elif how == "damaged":
        stand.store.objects[key] = stand.manifest[:-30]
    elif how == "no header":
        end = {"archive_tasks": "manifest", "format": 3, "end": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        stand.store.objects[key] = written([end])
    elif how == "an entry elsewhere":
        stand.forge(lambda lines: entry(lines, "thesis/a").update(path="film/a"))
    elif how == "a pack not told of":
        stand.forge(lambda lines: lines.remove(next(line for line in lines if "object" in line)))
    else:

        def busy(one: str, **where: Any) -> Iterator[bytes]:
            if one == key:
                raise StoreBusy("503")
            return read(one, **where)

        monkeypatch.setattr(stand.store, "read", busy)
    with pytest.raises(NotProven, match="the target does not provably hold it: "):
        stand.gather(receipt=False)


# -- looked at again ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "wall"), [(0, 0), (900, 0), (0, 900), (900, 900)])
def test_evidence_is_fresh_for_a_quarter_of_an_hour(stand: Stand, seconds: float, wall: float) -> None:
    assert timedelta(minutes=15) == FRESH
    evidence = stand.gather()
    stand.seconds += seconds
    stand.now += timedelta(seconds=wall)
    stand.store.objects.clear()
    stand.store.calls.clear()
    stand.witness().check_fresh(evidence)
    assert stand.store.calls == []


STALE = [(900.5, 0), (0, 900.5), (-1, 0), (0, -1), (900.5, 900.5)]


@pytest.mark.parametrize(("seconds", "wall"), STALE)
def test_older_evidence_is_looked_at_again(stand: Stand, seconds: float, wall: float) -> None:
    """Of either clock; one that goes back is as good as none."""
    evidence = stand.gather()
    stand.seconds += seconds
    stand.now += timedelta(seconds=wall)
    stand.store.calls.clear()
    stand.witness().check_fresh(evidence)
    assert set(stand.calls("read")) == {"vault.json", evidence.key}
    assert set(stand.calls("describe")) == {one.key for one in evidence.objects}
    stand.store.objects.clear()
    with pytest.raises(StoreUnusable, match=r"has lost its vault\.json"):
        stand.witness().check_fresh(evidence)


@pytest.mark.parametrize("name", [PACK, LARGE, HUGE])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_an_object_that_is_gone_or_cut_by_then_is_no_evidence(stand: Stand, name: str, how: str) -> None:
    evidence, key = stand.gather(), stand.object(name)
    stand.seconds += 1000
    data = stand.store.objects.pop(key)
    if how == "cut":
        stand.store.objects[key] = data[:-1]
    with pytest.raises(NotProven, match="no longer holds it as it did a moment ago"):
        stand.witness().check_fresh(evidence)
    stand.store.objects[key] = data
    stand.witness().check_fresh(evidence)


def test_a_manifest_that_is_another_by_then_is_no_evidence(stand: Stand) -> None:
    evidence = stand.gather()
    stand.seconds += 1000
    stand.store.objects[evidence.key] = evidence.manifest[:-1] + bytes([evidence.manifest[-1] ^ 1])
    with pytest.raises(NotProven, match="no longer holds it as it did a moment ago"):
        stand.witness().check_fresh(evidence)


@pytest.mark.parametrize("how", ["gone", "busy"])
def test_a_manifest_that_cannot_be_read_by_then_is_none(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    evidence, read = stand.gather(), stand.store.read
    stand.seconds += 1000

    def busy(key: str, **where: Any) -> Iterator[bytes]:
        if key == evidence.key:
            raise StoreBusy("503")
        return read(key, **where)

    if how == "busy":
        monkeypatch.setattr(stand.store, "read", busy)
    else:
        del stand.store.objects[evidence.key]
    with pytest.raises(NotProven, match="the target no longer provably holds it: "):
        stand.witness().check_fresh(evidence)


# -- what is in packs ---------------------------------------------------------------------------------


def problems(stand: Stand, change: Callable[[list[Line]], object] = lambda _lines: None) -> list[Failure]:
    """What is wrong with a manifest that is changed so."""

    def reading(fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, bytes]]:
        for one in fetches:
            yield one, stand.store.objects[one.key][one.offset : one.offset + one.length]

    return list(packed_problems(forged(stand.manifest, change), reading))


def test_whole_packs_have_no_problems(stand: Stand) -> None:
    assert problems(stand) == []


def test_only_what_is_in_packs_is_read(stand: Stand) -> None:
    """A file that is its own object is proven by that object's digest."""
    seen: list[tuple[str, list[str]]] = []

    def reading(fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, bytes]]:
        for one in fetches:
            seen.append((one.key, [wanted.path for wanted in one.files]))
            yield one, stand.store.objects[one.key][one.offset : one.offset + one.length]

    assert list(packed_problems(stand.manifest, reading)) == []
    packed = [line["path"] for line in read_manifest(stand.manifest) if "path" in line and "within" in line]
    assert seen == [(stand.object(PACK), packed)]
    assert {"thesis/a", "thesis/b", "thesis/c"} <= set(packed)


def test_each_file_whose_bytes_are_others_is_named_with_its_pack(stand: Stand) -> None:
    pack = stand.object(PACK)
    other = f"it holds other bytes than were written ({pack})"
    found = problems(stand, lambda lines: entry(lines, "thesis/b").update(sha256="0" * 64))
    assert found == [Failure("thesis/b", other)]
    assert {one.item for one in problems(stand, exchange("thesis/a", "thesis/c"))} == {"thesis/a", "thesis/c"}


@pytest.mark.parametrize("by", [1, -1])
def test_a_place_that_is_off_by_one_byte_is_wrong(stand: Stand, by: int) -> None:
    def change(lines: list[Line]) -> None:
        entry(lines, "thesis/a")["within"] += by

    assert [one.item for one in problems(stand, change)] == ["thesis/a"]


@pytest.mark.parametrize("by", [1, -1])
def test_a_size_that_is_off_by_one_byte_is_wrong(stand: Stand, by: int) -> None:
    def change(lines: list[Line]) -> None:
        entry(lines, "thesis/a")["size"] += by

    assert [one.item for one in problems(stand, change)] == ["thesis/a"]


def test_of_a_damaged_frame_every_file_is_named(stand: Stand) -> None:
    pack = stand.object(PACK)
    data = bytearray(stand.store.objects[pack])
    place = next(line for line in read_manifest(stand.manifest) if line.get("path") == "thesis/a")
    data[place["offset"] + 20] ^= 0xFF
    stand.store.objects[pack] = bytes(data)
    found = problems(stand)
    assert {one.item for one in found} >= {"thesis/a", "thesis/b", "thesis/c"}
    assert all(one.reason.startswith("its pack is damaged: ") and pack in one.reason for one in found)


def test_a_position_that_no_pack_has_is_wrong_and_costs_nothing(stand: Stand) -> None:
    found = problems(stand, lambda lines: entry(lines, "thesis/a").update(within=1 << 40))
    assert [(one.item, "impossible position in the pack" in one.reason) for one in found] == [("thesis/a", True)]


def test_a_frame_may_unpack_to_just_as_much_as_is_taken(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    last = max(
        (line for line in read_manifest(stand.manifest) if "within" in line), key=lambda line: int(line["within"])
    )
    monkeypatch.setattr(packed_entries, "LARGEST_UNPACKED", last["within"] + last["size"])
    assert problems(stand) == []
    monkeypatch.setattr(packed_entries, "LARGEST_UNPACKED", last["within"] + last["size"] - 1)
    (one,) = problems(stand)
    assert (one.item, "impossible position" in one.reason) == (last["path"], True)


def test_what_shares_its_contents_or_has_none_is_not_read(stand: Stand) -> None:
    """Though a manifest gives it a place."""

    def change(lines: list[Line]) -> None:
        place = {name: entry(lines, "thesis/a")[name] for name in ("key", "offset", "length")}
        entry(lines, "thesis/same as b").update(**place, within=1)
        entry(lines, "thesis/empty").update(**place, within=1)

    assert problems(stand, change) == []


def test_a_line_that_makes_no_sense_is_damage(stand: Stand) -> None:
    with pytest.raises(ManifestError, match="impossible"):
        problems(stand, lambda lines: entry(lines, "thesis/a").update(sha256="x"))
    with pytest.raises(ManifestError, match="impossible"):
        problems(stand, lambda lines: entry(lines, "thesis/a").update(within=-1))


def test_a_line_that_is_no_entry_is_none(stand: Stand) -> None:
    """Whatever else it says; a newer version may write lines of its own."""
    assert problems(stand, lambda lines: lines.insert(2, {"within": 1, "note": "x"})) == []


def test_a_file_may_begin_where_its_frame_does(stand: Stand) -> None:
    """As another writer than ours may pack it."""
    place = next(line for line in read_manifest(stand.manifest) if line.get("path") == "thesis/a")
    pack = stand.store.objects[stand.object(PACK)]
    frame = unpack_frame(pack[place["offset"] : place["offset"] + place["length"]], place["size"])
    digest = hashlib.sha256(frame).hexdigest()
    assert problems(stand, lambda lines: entry(lines, "thesis/a").update(within=0, sha256=digest)) == []
