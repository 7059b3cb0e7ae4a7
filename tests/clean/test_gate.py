"""The gate itself: each of its conditions, one by one."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.clean.evidence import FRESH, Witness
from archive_tasks.clean.gate import Gate
from archive_tasks.clean.proof import Comparer
from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.slot import state_of
from archive_tasks.disk.ctime_trial import MARGIN_NS, NOT_TRIED, CtimeTrial
from archive_tasks.errors import (
    IntegrityError,
    ItemUnreadable,
    NotCleaned,
    NotProven,
    ObjectFrozen,
    ObjectMissing,
    PartlyPurged,
    StoreBusy,
    StoreUnusable,
)
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.items.difference import first_difference
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.items.rules import make_rules
from archive_tasks.model import Item
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.open import open_target
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.transfer import Transfer
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.cleaning import CleanBench, make_items


class Clock:
    """Two clocks that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.now = NOW

    def wall(self) -> Any:
        return self.now


class Ground:
    """An open gate, and what it stands on."""

    def __init__(self, bench: CleanBench, stack: ExitStack, *, trusted: bool = False, **options: Any) -> None:
        self.bench = bench
        self.clock = Clock()
        self.session = bench.session(**options.pop("settings", {}))
        self.session.wall = self.clock.wall
        self.catalogue = stack.enter_context(
            Catalogue(catalogue_path(self.session.data, bench.target), target=bench.target)
        )
        store = self.session.open_store(bench.target)
        target = open_target(store, self.catalogue, now=NOW, may_create=lambda _store: False)
        root_fd = os.open(bench.root, os.O_RDONLY)
        stack.callback(os.close, root_fd)
        self.quarantine = stack.enter_context(Quarantine(str(bench.root), root_fd))
        pace = Pace(concurrency=2, memory=64 * 1024 * 1024)
        transfer = Transfer(
            store=store,
            pace=pace,
            patience=Patience(pace=pace, seconds=0),
            workers=stack.enter_context(ThreadPoolExecutor(2)),
            trusted=trusted,
        )
        self.witness = Witness(
            target=target, transfer=transfer, wall=self.clock.wall, monotonic=lambda: self.clock.seconds
        )
        options = {"ctime": self.quarantine.try_ctime()} | options
        self.gate = Gate(
            self.session, make_rules(self.session, str(bench.root)), self.witness, self.quarantine, run="run", **options
        )

    def item(self, name: str) -> Item:
        return Item(name=name, root=str(self.bench.root), kind="file" if name == "note" else "folder")

    def known(self, name: str) -> KnownArchive:
        return next(known for known in self.catalogue.archives() if known.archive.item == name)

    def set_aside(self, name: str = "papers", **options: Any) -> Any:
        return self.gate.set_aside(self.item(name), self.known(name), mode="quarantine", **options)


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> CleanBench:
    make_items(root)
    bench = CleanBench(root, tmp_path, make_session)
    assert not bench.archive().failed
    return bench


@pytest.fixture
def open_gate(bench: CleanBench) -> Iterator[Callable[..., Ground]]:
    with ExitStack() as stack:
        yield lambda **options: Ground(bench, stack, **options)


# -- what is proven, and when --------------------------------------------------------------------------


def test_a_proof_is_good_once_and_only_for_the_gate_that_made_it(open_gate: Callable[..., Ground]) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    other = careful(ground)
    with pytest.raises(ValueError, match="not one of this gate's"):
        other.purge(proof)
    ground.gate.purge(proof)
    with pytest.raises(ValueError, match="not one of this gate's"):
        ground.gate.purge(proof)


def test_the_state_of_a_slot_tells_everything(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate(discard_left_out=True)
    state = state_of(ground.set_aside(to="/elsewhere").slot)
    archive = ground.known("papers").archive
    assert (state.item, state.kind, state.archive_id, state.manifest) == (
        "papers",
        "folder",
        archive.id,
        archive.manifest,
    )
    assert (state.target, state.mode, state.stage, state.to) == (bench.target, "quarantine", "aside", "/elsewhere")
    assert (state.since, state.run, state.files, state.bytes) == (NOW, "run", archive.files, archive.bytes)
    assert state.discard_left_out
    assert ground.quarantine.slots()[0].state == state, "and it is on the disk"
    assert state_of(ground.set_aside("note").slot).kind == "file"


def test_each_step_is_in_the_journal_before_it_is_taken(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    told: list[tuple[str, bool, bool]] = []
    note = journal.note

    def noting(catalogue: Catalogue, what: str, **details: Any) -> None:
        note(catalogue, what, **details)
        told.append(
            (what, (bench.root / "papers").exists(), bool(list(bench.root.glob(f"{SET_ASIDE}/*/item/papers/p1"))))
        )

    monkeypatch.setattr(journal, "note", noting)
    ground.gate.purge(ground.set_aside())
    assert told == [
        ("setting aside", True, False),
        ("set aside", False, True),
        ("purging", False, True),
        ("purged", False, False),
    ]


@pytest.mark.parametrize(
    ("wall", "seconds"), [(timedelta(0), 901), (timedelta(minutes=16), 0), (-timedelta(days=1), 0)]
)
def test_evidence_that_is_not_fresh_is_looked_at_again(
    open_gate: Callable[..., Ground], bench: CleanBench, wall: timedelta, seconds: float
) -> None:
    assert timedelta(minutes=15) == FRESH
    ground = open_gate()
    proof = ground.set_aside()
    ground.clock.now += wall
    ground.clock.seconds += seconds
    for path in (bench.folder / "target" / "data").rglob("*.zst"):
        path.unlink()
    with pytest.raises(NotProven, match="no longer holds it"):
        ground.gate.purge(proof)
    assert (bench.root / SET_ASIDE / proof.slot.name / "item" / "papers" / "p1").exists()


def test_evidence_that_is_fresh_is_not(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    ground.clock.now += timedelta(minutes=15)
    ground.clock.seconds += 900
    shutil.rmtree(bench.folder / "target" / "manifests")
    ground.gate.purge(proof)
    assert not bench.slots()


def test_evidence_of_this_very_moment_is_fresh(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    shutil.rmtree(bench.folder / "target" / "manifests")
    ground.gate.purge(proof)
    assert not bench.slots()


def test_an_old_manifest_that_has_changed_is_no_evidence(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    ground.clock.seconds += 10_000
    places = [bench.folder / "target" / ground.known(name).archive.manifest for name in ("papers", "film")]
    places[0].chmod(0o644)
    places[0].write_bytes(places[1].read_bytes())
    with pytest.raises(NotProven, match="no longer holds it as it did a moment ago"):
        ground.gate.purge(proof)
    assert Path(ground.quarantine.path_of(proof.slot), "p1").exists()


def another_target(bench: CleanBench) -> None:
    """Other keys could lie there as well, under another id."""
    vault = bench.folder / "target" / "vault.json"
    vault.chmod(0o644)
    vault.write_text('{"archive_tasks": "vault", "format": 1, "id": "another"}')


def test_another_target_in_its_place_is_no_witness(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    another_target(bench)
    with pytest.raises(StoreUnusable, match="is not the one it was before"):
        ground.set_aside("film")
    ground.clock.seconds += 10_000
    with pytest.raises(StoreUnusable, match="is not the one it was before"):
        ground.gate.purge(proof)
    assert (bench.root / "film").exists()
    assert Path(ground.quarantine.path_of(proof.slot), "p1").exists()


def test_a_manifest_of_another_id_is_none(open_gate: Callable[..., Ground]) -> None:
    """As when an item was archived again, and the older manifest is read."""
    ground = open_gate()
    known = ground.known("papers")
    other = known._replace(archive=dataclasses.replace(known.archive, id="0" * 32), receipt=None)
    with pytest.raises(NotProven, match="is of another item"):
        ground.gate.set_aside(ground.item("papers"), other, mode="quarantine")


def test_old_evidence_that_still_holds_will_do(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside("film")
    ground.clock.seconds += 10_000
    ground.gate.purge(proof)
    assert not bench.slots()


def test_a_manifest_that_is_gone_by_then_is_no_evidence(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    ground.clock.seconds += 10_000
    shutil.rmtree(bench.folder / "target" / "manifests")
    with pytest.raises(NotProven, match="no longer provably holds it"):
        ground.gate.purge(proof)


def test_a_manifest_of_another_digest_than_the_receipts_is_none(open_gate: Callable[..., Ground]) -> None:
    ground = open_gate()
    known = ground.known("papers")
    assert known.receipt
    forged = known._replace(receipt=dataclasses.replace(known.receipt, manifest_sha256="0" * 64))
    with pytest.raises(NotProven, match="not the one that was written"):
        ground.gate.set_aside(ground.item("papers"), forged, mode="quarantine")


def test_a_manifest_of_another_archive_is_none(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    for name, other in (("papers", "film"), ("film", "papers")):
        known = ground.known(name)
        mixed = known._replace(
            archive=dataclasses.replace(known.archive, manifest=ground.known(other).archive.manifest)
        )
        with pytest.raises(NotProven, match="is of another item"):
            ground.gate.set_aside(ground.item(name), mixed._replace(receipt=None), mode="quarantine")
    assert not bench.slots()


def test_the_same_item_under_another_name_is_not_its_archive(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    ground = open_gate()
    (bench.root / "papers").rename(bench.root / "copies")
    with pytest.raises(NotProven, match="is of another item"):
        ground.gate.set_aside(ground.item("copies"), ground.known("papers"), mode="quarantine")


# -- a store that lies ----------------------------------------------------------------------------------


class Lying:
    """A store before another, which does something else in one operation."""

    def __init__(self, store: Store, **answers: Any) -> None:
        self._store = store
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        answer = self._answers.get(name)
        return (lambda *args, **more: answer(self._store, *args, **more)) if answer else getattr(self._store, name)


def of_data(answer: Callable[..., Any]) -> Callable[..., Any]:
    """A lie about data only: manifests and the target's id are read as they are."""

    def read(store: Store, key: str, **where: Any) -> Any:
        return answer(store, key, **where) if key.startswith("data/") else store.read(key, **where)

    return read


def flipped(store: Store, key: str, **where: Any) -> Iterator[bytes]:
    data = bytearray(b"".join(store.read(key, **where)))
    data[0] ^= 1
    yield bytes(data)


def raising(error: Exception) -> Callable[..., Any]:
    def answer(*_: Any, **__: Any) -> Any:
        raise error

    return answer


LIES = {
    "flips bits on the way back": flipped,
    "answers with nothing": lambda *_, **__: iter(()),
    "has lost it": raising(ObjectMissing("no such object")),
    "has frozen it": raising(ObjectFrozen("in GLACIER")),
    "is busy": raising(StoreBusy("503")),
    "has other bytes": raising(IntegrityError("not ours")),
}


@pytest.mark.parametrize("lie", list(LIES))
def test_a_store_that_is_not_trusted_and_lies_frees_nothing(
    open_gate: Callable[..., Ground], bench: CleanBench, lie: str
) -> None:
    before = bench.home()
    bench.wrap = lambda store: Lying(store, read=of_data(LIES[lie]))  # type: ignore[return-value]
    ground = open_gate()
    for item in ("papers", "film", "note"):
        with pytest.raises(NotProven, match="the target does not provably hold it"):
            ground.set_aside(item)
    assert bench.home() == before
    assert not bench.slots()


def test_objects_that_were_sent_in_parts_are_read_part_by_part(root: Path, tmp_path: Path, make_session: Any) -> None:
    make_tree(root, {"film": {"reel": File(os.urandom(11 * 1024 * 1024), age_days=90)}}, now=NOW)
    bench = CleanBench(root, tmp_path, make_session)
    bench.archive(part_size="5M")
    with ExitStack() as stack:
        ground = Ground(bench, stack)
        assert [len(one.parts) for one in ground.set_aside("film").evidence.objects] == [3]
    bench.undo()
    bench.wrap = lambda store: Lying(store, read=of_data(flipped))  # type: ignore[return-value]
    with ExitStack() as stack, pytest.raises(NotProven, match="returns other bytes"):
        Ground(bench, stack).set_aside("film")


def test_a_trusted_store_is_asked_for_every_objects_size_and_checksum(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    asked: list[str] = []

    def describe(store: Store, key: str) -> ObjectInfo | None:
        asked.append(key)
        return store.describe(key)

    bench.wrap = lambda store: Lying(store, describe=describe)  # type: ignore[return-value]
    ground = open_gate(trusted=True)
    proof = ground.set_aside("film")
    assert {one.key for one in proof.evidence.objects} <= set(asked)


def test_a_trusted_store_that_has_another_checksum_frees_nothing(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    def describe(store: Store, key: str) -> ObjectInfo | None:
        info = store.describe(key)
        return info and info._replace(checksum="0" * 64)

    bench.wrap = lambda store: Lying(store, describe=describe)  # type: ignore[return-value]
    ground = open_gate(trusted=True)
    with pytest.raises(NotProven, match="holds other bytes"):
        ground.set_aside()
    assert (bench.root / "papers").exists()


# -- the system refuses ---------------------------------------------------------------------------------


def test_an_item_that_cannot_be_renamed_stays_where_it_was(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()
    ground = open_gate()

    def refuse(old: str, new: str, *, from_fd: int, to_fd: int) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", old)

    monkeypatch.setattr("archive_tasks.clean.quarantine.rename_to_free_name", refuse)
    with pytest.raises(
        NotCleaned, match="cannot be moved aside by one rename: the system refused: invalid cross-device link"
    ):
        ground.set_aside()
    monkeypatch.undo()
    assert bench.home() == before
    assert not bench.slots()


def test_an_item_that_vanished_is_none(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    shutil.rmtree(bench.root / "papers")
    with pytest.raises(NotCleaned, match="papers vanished while it was looked at"):
        ground.set_aside()
    assert not bench.slots()


@pytest.mark.parametrize("call", ["mkdir", "fsync"])
def test_where_nothing_can_be_set_aside_nothing_is(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = bench.home()
    ground = open_gate()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"archive_tasks.clean.quarantine.os.{call}", full)
    with pytest.raises(ItemUnreadable, match=r"nothing can be set aside in .*the disk is full. Free some space there"):
        ground.set_aside()
    monkeypatch.undo()
    assert bench.home() == before


def test_a_disk_that_fills_up_after_the_rename_brings_the_item_home(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()
    ground = open_gate()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ground.quarantine, "advance", full)
    with pytest.raises(ItemUnreadable, match="its progress cannot be recorded: the disk is full"):
        ground.set_aside()
    assert bench.home() == before
    assert not bench.slots()


def test_a_refusal_that_is_no_full_disk_is_the_items_own_and_brings_it_home(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()
    ground = open_gate()

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(ground.quarantine, "advance", refused)
    with pytest.raises(NotCleaned, match="its progress cannot be recorded: the system refused: input/output error"):
        ground.set_aside()
    assert bench.home() == before


def test_what_cannot_be_written_down_is_not_purged(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    held = bench.quarantine()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ground.quarantine, "advance", full)
    with pytest.raises(ItemUnreadable, match="progress cannot be recorded"):
        ground.gate.purge(proof)
    assert bench.quarantine() == held


def test_an_item_whose_name_is_taken_meanwhile_stays_aside_and_both_survive(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    ground = open_gate()
    (bench.root / "papers" / "p1").write_text("changed")
    begin = ground.quarantine.take_in

    def take_in(slot: Any) -> None:
        begin(slot)
        make_tree(bench.root, {"papers": {"p1": File("another program's")}}, now=NOW)

    ground.quarantine.take_in = take_in  # type: ignore[method-assign]
    with pytest.raises(
        NotCleaned, match=r"other bytes|another modification time.*something else has its name now, so it stays in"
    ):
        ground.set_aside()
    assert (bench.root / "papers" / "p1").read_text() == "another program's"
    assert (bench.slots()[0] / "item" / "papers" / "p1").read_text() == "changed"


def test_whatever_goes_wrong_while_it_is_compared_brings_it_home(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()
    ground = open_gate()

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("archive_tasks.clean.proof.first_difference", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ground.set_aside()
    assert bench.home() == before
    assert not bench.slots()


def test_a_slot_that_is_proven_again_is_compared_again(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    slot = ground.set_aside().slot
    ground.gate.purge(ground.gate.prove_again(slot))
    assert not bench.slots()
    slot = ground.set_aside("film").slot
    (bench.slots()[0] / "item" / "film" / "new").write_text("new")
    with pytest.raises(NotCleaned, match="film/new is"):
        ground.gate.prove_again(slot)
    assert (bench.slots()[0] / "item" / "film" / "reel").exists()


def test_a_file_is_read_again_though_its_catalogue_shows_nothing(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    """The rename moves the ctime of a file by itself, behind which a write could hide."""
    ground = open_gate()
    note = bench.root / "note"
    facts = note.stat()
    note.write_text("eton")
    os.utime(note, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(NotCleaned, match="note has other contents"):
        ground.set_aside("note")


# -- while it is purged ---------------------------------------------------------------------------------


def purge_after(ground: Ground, name: str, change: Callable[[Path], object]) -> Path:
    """Prove, change, purge: what is raised is checked. Returns where it lies."""
    proof = ground.set_aside(name)
    place = Path(ground.quarantine.path_of(proof.slot))
    change(place)
    with pytest.raises(PartlyPurged, match="not all of it was purged"):
        ground.gate.purge(proof)
    return place


def test_what_was_written_to_after_the_proof_is_not_removed(open_gate: Callable[..., Ground]) -> None:
    place = purge_after(open_gate(), "papers", lambda place: (place / "p3").write_text("PAPER 3"))
    assert (place / "p3").read_text() == "PAPER 3"
    assert not (place / "p1").exists(), "what was looked at before it is gone: the target holds it"


def test_a_new_file_is_not_removed_and_keeps_its_folder(open_gate: Callable[..., Ground]) -> None:
    place = purge_after(open_gate(), "papers", lambda place: (place / "zzz").write_text("new"))
    assert (place / "zzz").read_text() == "new"


def test_what_vanished_after_the_proof_stops_the_purge(open_gate: Callable[..., Ground]) -> None:
    place = purge_after(open_gate(), "film", lambda place: (place / "reel").unlink())
    assert place.exists()


def test_a_folder_in_which_something_appears_at_the_last_moment_stays(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    proof = ground.set_aside("film")
    place = Path(ground.quarantine.path_of(proof.slot))
    rmdir = os.rmdir

    def late(name: str, **more: Any) -> None:
        if name == "film":
            (place / "late").write_text("late")
        rmdir(name, **more)

    monkeypatch.setattr("archive_tasks.clean.purge.os.rmdir", late)
    with pytest.raises(PartlyPurged, match="directory not empty"):
        ground.gate.purge(proof)
    assert (place / "late").read_text() == "late"


def test_what_is_opened_for_writing_after_the_proof_is_not_removed(open_gate: Callable[..., Ground]) -> None:
    ground = open_gate()
    proof = ground.set_aside("film")
    place = Path(ground.quarantine.path_of(proof.slot))
    with open(place / "reel", "r+b") as writer:
        with pytest.raises(PartlyPurged, match="film/reel is open for writing"):
            ground.gate.purge(proof)
        writer.write(b"REEL")
    assert (place / "reel").read_bytes().startswith(b"REEL")


def test_what_a_purge_left_is_gone_on_with_and_compared_by_its_bytes(
    open_gate: Callable[..., Ground], bench: CleanBench
) -> None:
    ground = open_gate()
    place = purge_after(ground, "papers", lambda place: (place / "p3").write_text("PAPER 3"))
    slot = ground.quarantine.slots()[0]
    assert state_of(slot).stage == "purging"
    with pytest.raises(NotCleaned, match="papers/p3 has"):
        ground.gate.prove_again(slot)
    (place / "p3").write_text("paper 3")
    os.utime(place / "p3", ns=(10**18, bench_mtime(ground, "papers/p3")))
    ground.gate.purge(ground.gate.prove_again(slot))
    assert not bench.slots()


def bench_mtime(ground: Ground, path: str) -> int:
    manifest = b"".join(ground.witness.target.store.read(ground.known("papers").archive.manifest))
    return next(int(one["mtime_ns"]) for one in read_manifest(manifest) if one.get("path") == path)


# -- what was left out ----------------------------------------------------------------------------------


@pytest.fixture
def with_left_out(root: Path, tmp_path: Path, make_session: Any) -> CleanBench:
    make_tree(root, {"code": {"main.py": File("main", age_days=99), "cache": {"a": {"b": "c"}, "d": "e"}}}, now=NOW)
    os.symlink("/etc", root / "code" / "cache" / "etc")
    made = CleanBench(root, tmp_path, make_session)
    made.archive(exclude=["cache"])
    return made


def careful(ground: Ground) -> Gate:
    """Another gate on the same ground, which gives nothing up."""
    rules = make_rules(ground.session, str(ground.bench.root))
    return Gate(ground.session, rules, ground.witness, ground.quarantine, run="other")


def test_a_left_out_folder_goes_with_all_that_is_in_it_and_nothing_that_it_links_to(with_left_out: CleanBench) -> None:
    with ExitStack() as stack:
        ground = Ground(with_left_out, stack, discard_left_out=True, settings={"exclude": ["cache"]})
        with pytest.raises(NotCleaned, match=r"code/cache was left out of the archive; --discard"):
            careful(ground).set_aside(ground.item("code"), ground.known("code"), mode="quarantine")
        ground.gate.purge(ground.set_aside("code"))
    assert not with_left_out.home()
    assert os.path.exists("/etc/passwd")


def test_a_left_out_folder_goes_however_deep_it_is(with_left_out: CleanBench) -> None:
    folder = os.open(with_left_out.root / "code" / "cache", os.O_RDONLY | os.O_DIRECTORY)
    for level in range(1500):
        os.mkdir("deep", dir_fd=folder)
        below = os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = below
        if level % 500 == 0:
            os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    try:
        with ExitStack() as stack:
            ground = Ground(with_left_out, stack, discard_left_out=True, settings={"exclude": ["cache"]})
            ground.gate.purge(ground.set_aside("code"))
        assert not with_left_out.home()
    finally:
        subprocess.run(["rm", "-rf", with_left_out.root], check=True)  # pytest could not remove what is left


def test_a_slot_whose_state_gives_nothing_up_is_not_purged_when_something_is_left_out(
    with_left_out: CleanBench,
) -> None:
    with ExitStack() as stack:
        ground = Ground(with_left_out, stack, discard_left_out=True, settings={"exclude": ["cache"]})
        slot = ground.set_aside("code").slot
        unwilling = dataclasses.replace(slot, state=dataclasses.replace(state_of(slot), discard_left_out=False))
        with pytest.raises(NotCleaned, match="something is left out of it"):
            ground.gate.prove_again(unwilling)
        ground.gate.prove_again(slot)


def test_a_listing_that_ends_too_soon_stops_the_purge(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry vanished after its folder was looked at, and before its turn came."""
    ground = open_gate()
    proof = ground.set_aside("film")
    listing = Comparer.listing

    def shorter(*arguments: Any) -> Iterator[Any]:
        return iter(list(listing(*arguments))[:1])

    monkeypatch.setattr(Comparer, "listing", shorter)
    with pytest.raises(PartlyPurged, match="something in it vanished"):
        ground.gate.purge(proof)
    monkeypatch.undo()
    assert Path(ground.quarantine.path_of(proof.slot), "reel").exists()


def test_a_left_out_folder_on_another_filesystem_is_not_entered(
    with_left_out: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        ground = Ground(with_left_out, stack, discard_left_out=True, settings={"exclude": ["cache"]})
        proof = ground.set_aside("code")
        place = Path(ground.quarantine.path_of(proof.slot))
        inode, fstat = (place / "cache").stat().st_ino, os.fstat

        def mounted(handle: int) -> Any:
            facts = fstat(handle)
            return SimpleNamespace(st_dev=-1) if facts.st_ino == inode else facts

        monkeypatch.setattr("archive_tasks.clean.purge.os.fstat", mounted)
        with pytest.raises(PartlyPurged, match="another filesystem is mounted at cache"):
            ground.gate.purge(proof)
        monkeypatch.undo()
        assert (place / "cache" / "d").read_text() == "e"


def test_a_secret_rewrite_after_the_proof_is_seen_by_its_ctime(open_gate: Callable[..., Ground]) -> None:
    def rewrite(place: Path) -> None:
        facts = (place / "p3").stat()
        (place / "p3").write_text("PAPER 3")
        os.utime(place / "p3", ns=(facts.st_atime_ns, facts.st_mtime_ns))

    place = purge_after(open_gate(), "papers", rewrite)
    assert (place / "p3").read_text() == "PAPER 3"


def test_a_hard_link_that_changes_when_its_first_name_is_gone_is_not_removed(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    proof = ground.set_aside()
    place = Path(ground.quarantine.path_of(proof.slot))
    unlink = os.unlink

    def changing(name: str, **more: Any) -> None:
        unlink(name, **more)
        if name == "p0":
            (place / "sub" / "same as p0").chmod(0o600)

    monkeypatch.setattr("archive_tasks.clean.purge.os.unlink", changing)
    with pytest.raises(PartlyPurged, match="papers/sub/same as p0 changed"):
        ground.gate.purge(proof)
    assert (place / "sub" / "same as p0").read_text() == "paper 0"


def test_more_entries_than_were_proven_stop_the_purge(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    proof = ground.set_aside("film")
    listing, late = Comparer.listing, Path(ground.quarantine.path_of(proof.slot), "late")

    def longer(*arguments: Any) -> Iterator[Any]:
        """What a listing shows when a file appears in its folder before that is read."""
        for listed in listing(*arguments):
            yield listed
            if listed.name == "reel":
                late.write_text("late")
                yield listed._replace(entry=listed.entry._replace(path="film/late"), name="late")

    monkeypatch.setattr(Comparer, "listing", longer)
    with pytest.raises(PartlyPurged, match="film/late changed, appeared"):
        ground.gate.purge(proof)
    assert late.read_text() == "late"


def test_no_handle_stays_open(with_left_out: CleanBench) -> None:
    with ExitStack() as stack:
        ground = Ground(with_left_out, stack, discard_left_out=True, settings={"exclude": ["cache"]})
        proof = ground.set_aside("code")
        before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
        ground.gate.purge(proof)
        assert sorted(os.listdir("/proc/self/fd") if before else []) == before


def test_what_goes_back_is_in_the_journal(open_gate: Callable[..., Ground], bench: CleanBench) -> None:
    ground = open_gate()
    (bench.root / "papers" / "new").write_text("new")
    with pytest.raises(NotCleaned):
        ground.set_aside()
    (note,) = bench.notes("put back")
    assert note["item"] == "papers"
    assert "papers/new is" in note["why"]


class Readings:
    """Whether files are read when an item is compared."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read = False
        compare = first_difference

        def watching(*arguments: Any, reading: bool, **more: Any) -> Any:
            self.read |= reading
            return compare(*arguments, reading=reading, **more)

        monkeypatch.setattr("archive_tasks.clean.proof.first_difference", watching)


def settle(bench: CleanBench) -> None:
    """Let the items grow so old that a ctime shows every write, and have them compared."""
    time.sleep(MARGIN_NS / 10**9 + 0.1)
    assert not bench.archive().archives


def test_what_was_written_a_moment_ago_is_read_again(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write in the same tick of the clock would leave the ctime as it is."""
    ground, readings = open_gate(), Readings(monkeypatch)
    ground.set_aside()
    assert readings.read


@pytest.mark.parametrize("ctime", [NOT_TRIED, CtimeTrial(counts=False, now_ns=1 << 62)])
def test_where_a_ctime_counts_for_nothing_everything_is_read(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch, ctime: CtimeTrial
) -> None:
    settle(bench)
    ground, readings = open_gate(ctime=ctime), Readings(monkeypatch)
    proof = ground.set_aside()
    assert readings.read
    assert not proof.lasts


def test_what_shows_the_inodes_and_times_that_it_had_is_not_read_again(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(bench)
    ground, readings = open_gate(), Readings(monkeypatch)
    slot = ground.set_aside().slot
    ground.gate.prove_again(slot)
    assert not readings.read
    ground.set_aside("note")
    assert readings.read, "but a file by itself is: the rename moved its ctime"


@pytest.mark.parametrize("trusted", [True, False])
def test_without_a_receipt_everything_is_read_and_a_receipt_is_made(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """An archive that was found in the target, though its entries look the same."""
    settle(bench)
    bench.wrap = lambda store: Lying(store, describe=_with_checksum)  # type: ignore[return-value]
    ground, readings = open_gate(trusted=trusted), Readings(monkeypatch)
    without_receipt(ground)
    slot = ground.set_aside().slot
    assert readings.read
    receipt = ground.known("papers").receipt
    assert receipt is not None
    assert receipt.proven_by == ("checksum" if trusted else "read-back")
    assert receipt.proven_at == NOW
    readings.read = False
    ground.gate.prove_again(slot)
    assert not readings.read, "the receipt says what was seen"
    without_receipt(ground)
    ground.gate.prove_again(slot)
    assert readings.read


def without_receipt(ground: Ground) -> None:
    """As when the archive was found in the target, and not made here."""
    known = ground.known("papers")
    ground.catalogue.record(known.archive, run=known.run, fingerprint=known.fingerprint, receipt=None, now=NOW)


def _with_checksum(store: Store, key: str) -> ObjectInfo | None:
    """As a store that keeps checksums says it."""
    info = store.describe(key)
    return info and info._replace(checksum=hashlib.sha256(b"".join(store.read(key))).hexdigest())


def test_with_a_catalogue_that_knows_nothing_everything_is_read(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = open_gate()
    slot = ground.set_aside().slot
    ground.catalogue.forget(ground.known("papers").archive.manifest, now=NOW, why="a test")
    readings = Readings(monkeypatch)
    ground.gate.purge(ground.gate.prove_again(slot))
    assert readings.read


# -- the comparison -------------------------------------------------------------------------------------


def test_an_item_on_which_something_is_mounted_stays(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archive_tasks.clean.proof.mounts_below", lambda _path: frozenset({"papers/sub"}))
    with pytest.raises(NotCleaned, match="another filesystem is mounted at papers/sub"):
        open_gate().set_aside()
    assert (bench.root / "papers" / "p1").exists()


def test_a_file_that_cannot_be_opened_any_more_keeps_its_item(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, _flags: int, **_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    ground = open_gate()
    monkeypatch.setattr("archive_tasks.clean.proof.open_quietly", refuse)
    with pytest.raises(NotCleaned, match="papers/empty cannot be read: permission denied"):
        ground.set_aside()
    assert (bench.root / "papers" / "p1").exists()


def test_where_ctimes_say_nothing_everything_is_read(
    open_gate: Callable[..., Ground], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground, readings = open_gate(), Readings(monkeypatch)
    monkeypatch.setattr("archive_tasks.clean.proof.CTIME_COUNTS", False)
    ground.set_aside()
    assert readings.read


def test_an_item_that_changes_while_it_is_read_stays(
    open_gate: Callable[..., Ground], bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = iter(range(1_000_000))
    monkeypatch.setattr("archive_tasks.clean.proof.facts_of", lambda _facts: bytes([next(moved) % 251]))
    with pytest.raises(NotCleaned, match="something in it changed while it was read"):
        open_gate().set_aside("note")
    assert (bench.root / "note").exists()
