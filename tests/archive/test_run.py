"""From plan to archives, into a folder: what lies in the target, what is refused, what happens when things go wrong."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks import hookimpl
from archive_tasks.archive import run as archiving
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import Interrupted, StoreBusy, StoreUnusable
from archive_tasks.events import Event
from archive_tasks.items.root import resolve_root
from archive_tasks.store import Store
from archive_tasks.target.open import open_target
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from archive_tasks.workers.processes import processes
from tests.conftest import NOW
from tests.support.bench import Bench, Watching, without_times_of_reading
from tests.support.foreign import (
    files_of,
    folder_fetch,
    manifest_lines,
    objects_of,
    of_items,
)
from tests.support.scanning import scan

OLD = File("old", age_days=400)
MIB = 1024 * 1024


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def test_an_item_comes_back_byte_for_byte_by_the_words_of_the_readme(bench: Bench, tmp_path: Path) -> None:
    bad = os.fsdecode(b"caf\xe9\n\x1b[31m")
    spec = {
        "item": {
            "a": OLD,
            "empty": File("", age_days=400),
            "big": File(os.urandom(11 * MIB + 7), age_days=400, mode=0o600),
            "run.sh": File("#!/bin/sh\n", age_days=500, mode=0o755),
            "deep": {"-rf": OLD, "..text..": OLD, "n" * 255: OLD, bad: OLD, "📷": OLD, "hollow": {}},
            "link": Link("deep/../a", age_days=400),
            "bad link": Link(bad, age_days=400),
        },
        bad: File("top", age_days=400),
    }
    make_tree(bench.root, spec, now=NOW)
    os.link(bench.root / "item" / "a", bench.root / "item" / "deep" / "same as a")
    before = read_tree(bench.root)
    outcome = bench.run()
    assert [archive.item for archive in outcome.archives] == sorted(["item", bad])
    assert not outcome.failed
    assert read_tree(bench.root) == before, "archiving must leave no trace, not even an access time"
    for item in ("item", bad):
        bench.restored(item, tmp_path / "restored")
    assert without_times_of_reading(read_tree(tmp_path / "restored")) == without_times_of_reading(before)
    again = (tmp_path / "restored" / "item" / "a").stat()
    assert again.st_nlink == 2


def test_extended_attributes_are_in_the_manifest(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    try:
        os.setxattr(bench.root / "item" / "a", "user.origin", b"\x00scan")
    except OSError:
        pytest.skip("this filesystem has no extended attributes")
    bench.run()
    lines = manifest_lines((bench.target / bench.items()["item"]).read_bytes())
    assert [line["xattrs"] for line in lines if line.get("path") == "item/a"] == [{"user.origin": "AHNjYW4="}]


def test_what_lies_in_the_target_is_what_the_design_says(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"sub": {"a b": OLD}}, "note.txt": OLD}, now=NOW)
    bench.run(scope="laptop/Documents")
    top = {key.split("/")[0] for key in bench.listed()}
    assert top == {"README.txt", "vault.json", "manifests", "data"}
    day = f"{NOW:%Y-%m-%d}"
    assert all(key.split("/")[1:4] == ["laptop", "Documents", day] for key in bench.listed("data/"))
    assert all(key.startswith(f"manifests/laptop/Documents/{day}/") for key in bench.listed("manifests/"))
    header = manifest_lines((bench.target / bench.items()["item"]).read_bytes())[0]
    assert (header["format"], header["item"], header["files"], header["bytes"]) == (3, "item", 1, 3)
    assert (header["number"], header["commit"]) == (1, bench.items()["item"].split("~")[1])
    assert len(header["device"]) == 32
    copies = [key for key in bench.listed("data/") if key.endswith("/manifest.jsonl.zst")]
    assert {(bench.target / key).read_bytes() for key in copies} == {
        (bench.target / key).read_bytes() for key in bench.listed("manifests/")
    }
    assert header["newest"]["path"] == "item/sub/a b"


def test_a_second_run_uploads_nothing(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "b": OLD}}, now=NOW)
    bench.run()
    before = bench.listed()
    outcome = bench.run(now=NOW + timedelta(days=1))
    assert not outcome.archives
    assert [archive.item for archive in outcome.already] == ["item"]
    assert bench.listed() == before


def test_another_device_finds_what_is_there_by_its_contents(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "b": File("", age_days=400), "l": Link("a", age_days=400)}}, now=NOW)
    bench.run()
    before = bench.listed()
    bench.catalogue = bench.catalogue.with_name("other.sqlite")
    outcome = bench.run()
    assert [archive.item for archive in outcome.already] == ["item"]
    assert bench.listed() == before


def test_other_contents_behind_the_same_size_and_time_are_archived_too(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    bench.run()
    make_tree(bench.root, {"item": {"a": File("new", age_days=400)}}, now=NOW)
    outcome = bench.run()
    assert len(outcome.archives) == 1
    manifests = [(bench.target / key).read_bytes() for key in bench.listed("manifests/")]
    assert len(manifests) == 2
    stored = [files_of(manifest, folder_fetch(bench.target)) for manifest in manifests]
    assert {one["item/a"] for one in stored} == {b"old", b"new"}
    assert [archive.item for archive in bench.run().already] == ["item"]


def test_an_item_that_changed_is_a_new_archive_beside_the_old(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    bench.run()
    make_tree(bench.root, {"item": {"b": OLD}}, now=NOW)
    outcome = bench.run()
    assert len(outcome.archives) == 1
    assert len(bench.listed("manifests/")) == 2


def test_an_emptied_target_is_not_mistaken_for_a_full_one(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    bench.run()
    (bench.target / bench.listed("manifests/")[0]).unlink()
    assert [archive.item for archive in bench.run().archives] == ["item"]


@pytest.mark.parametrize("how", ["append", "rewrite", "truncate", "replace", "add", "remove", "rename", "link"])
def test_an_item_that_changes_while_it_is_archived_is_not_committed(bench: Bench, how: str) -> None:
    spec = {"item": {"a": OLD, "b": OLD, "z": File(os.urandom(6 * MIB), age_days=400)}, "other": OLD}
    make_tree(bench.root, spec, now=NOW)
    item = bench.root / "item"
    old = (item / "a").stat()

    def change() -> None:
        if how == "append":
            with (item / "a").open("a") as file:
                file.write("more")
        elif how == "rewrite":  # same size, and the time set back
            (item / "a").write_text("OLD")
            os.utime(item / "a", ns=(old.st_atime_ns, old.st_mtime_ns))
        elif how == "truncate":
            os.truncate(item / "z", 5)
        elif how == "replace":
            (item / "new").write_text("new")
            (item / "new").rename(item / "b")
        elif how == "add":
            (item / "added").write_text("new")
        elif how == "remove":
            (item / "b").unlink()
        elif how == "rename":
            (item / "b").rename(item / "c")
        elif how == "link":
            (item / "b").unlink()
            (item / "b").symlink_to("a")

    class Changing:
        """Changes the item when its first object is about to be written."""

        def __init__(self, store: Store) -> None:
            self._store = store
            self._once = threading.Lock()

        def __getattr__(self, name: str) -> Any:
            if name in {"put", "upload"}:
                return lambda key, *rest, **named: self._write(name, key, *rest, **named)
            return getattr(self._store, name)

        def _write(self, name: str, key: str, *rest: Any, **named: Any) -> Any:
            if "/item~" in key and self._once.acquire(blocking=False):
                change()
            return getattr(self._store, name)(key, *rest, **named)

    outcome = bench.run(wrap=Changing)  # type: ignore[arg-type]
    assert [failure.item for failure in outcome.failed] == ["item"]
    assert "changed" in outcome.failed[0].reason or "vanished" in outcome.failed[0].reason
    assert [archive.item for archive in outcome.archives] == ["other"]
    assert set(bench.items()) == {"other"}


def test_an_item_used_after_the_plan_was_made_is_kept(bench: Bench, make_session: Any) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    session = make_session(bench.root)
    plan = scan(session)
    os.utime(bench.root / "item" / "a")
    store = session.open_store(bench.target.as_uri())
    with Catalogue(str(bench.catalogue), target=store.url) as catalogue:
        target = open_target(store, catalogue, now=NOW, may_create=lambda _store: True)
        with processes(files=0) as packing:
            outcome = archiving.archive(
                plan, resolve_root(session), session, target, progress=Watching(), helpers=packing
            )
    assert [(one.item, one.reason) for one in outcome.kept] == [("item", "item/a was used after the plan was made")]
    assert bench.listed("data/") == bench.listed("manifests/") == []


def test_one_unreadable_file_keeps_its_item_and_stops_no_other(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "b": OLD}, "other": OLD}, now=NOW)

    class Vanishing:
        @hookimpl
        def on_event(self, event: Any) -> None:
            if type(event).__name__ == "RunStarted":
                os.mkfifo(bench.root / "item" / "pipe")

    outcome = bench.run(plugins=[Vanishing()])
    assert [tuple(one) for one in outcome.failed] == [("item", "item/pipe is a fifo, which cannot be archived")]
    assert [archive.item for archive in outcome.archives] == ["other"]


def test_an_observer_that_raises_changes_nothing(bench: Bench, caplog: Any) -> None:
    class Broken:
        @hookimpl
        def on_event(self, event: Any) -> None:
            raise RuntimeError("observer")

    make_tree(bench.root, {"item": OLD}, now=NOW)
    assert len(bench.run(plugins=[Broken()]).archives) == 1
    assert len([record for record in caplog.records if "observer" in record.message]) == 1


def test_what_is_left_out_is_listed_and_not_uploaded(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "b.log": OLD, "cache": {"c": OLD}}}, now=NOW)
    bench.run(exclude=["*.log", "cache/"])
    manifest = (bench.target / bench.items()["item"]).read_bytes()
    left_out = {line["left_out"]: line["why"] for line in manifest_lines(manifest)[1:] if "left_out" in line}
    assert left_out == {
        "item/b.log": "left out by the pattern *.log",
        "item/cache": "left out by the pattern cache/",
    }
    assert len(objects_of(manifest)) == 1


def test_a_store_that_loses_or_changes_an_object_is_found_out(bench: Bench) -> None:
    class Lying:
        def __init__(self, store: Store, how: str) -> None:
            self._store = store
            self._how = how

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if "/lost~" in key and key.startswith("data/"):
                return
            if "/changed~" in key and key.startswith("data/"):
                import hashlib

                data = bytes([data[0] ^ 1]) + data[1:]
                named["sha256"] = hashlib.sha256(data).digest()
            self._store.put(key, data, **named)

    make_tree(bench.root, {"lost": {"a": OLD}, "changed": {"a": OLD}, "good": {"a": OLD}}, now=NOW)
    outcome = bench.run(wrap=lambda store: Lying(store, ""))  # type: ignore[arg-type, return-value]
    assert sorted(failure.item for failure in outcome.failed) == ["changed", "lost"]
    assert set(bench.items()) == {"good"}
    assert not bench.run().failed
    assert set(bench.items()) == {"good", "changed", "lost"}


def test_passing_faults_are_waited_out(bench: Bench, monkeypatch: Any) -> None:
    monkeypatch.setattr("archive_tasks.target.patience.FIRST_WAIT", 0.001)

    class Flaky:
        def __init__(self, store: Store) -> None:
            self._store = store
            self._failed: set[str] = set()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.startswith(("data/", "manifests/")) and key not in self._failed:
                self._failed.add(key)
                if "b" in key.rpartition("/")[2]:  # the answer is lost, the write is not
                    self._store.put(key, data, **named)
                raise StoreBusy("503", slow_down=True)
            self._store.put(key, data, **named)

    make_tree(bench.root, {"item": {"a": OLD, "b": OLD}}, now=NOW)
    outcome = bench.run(wrap=Flaky)  # type: ignore[arg-type]
    assert not outcome.failed
    assert set(bench.items()) == {"item"}


def test_a_target_that_becomes_unusable_stops_the_run_and_keeps_what_is_committed(bench: Bench) -> None:
    class Filling:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if "/b~" in key:
                raise StoreUnusable("the disk is full")
            self._store.put(key, data, **named)

    make_tree(bench.root, {"a": OLD, "b": OLD, "c": OLD}, now=NOW)
    with pytest.raises(StoreUnusable, match="the disk is full"):
        bench.run(wrap=Filling, items_at_once=1)  # type: ignore[arg-type]
    assert set(bench.items()) == {"a"}
    assert [archive.item for archive in bench.run().archives] == ["b", "c"]


def test_an_interrupted_run_goes_on_where_it_was(bench: Bench) -> None:
    make_tree(bench.root, {"item": {f"file{number:02}": OLD for number in range(40)}}, now=NOW)
    puts: list[str] = []

    class Stopping:
        def __init__(self, store: Store, after: int) -> None:
            self._store = store
            self._after = after

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if "/files/" in key:
                if len(puts) >= self._after:
                    raise StoreUnusable("cut off")
                puts.append(key)
            self._store.put(key, data, **named)

    with pytest.raises(StoreUnusable):
        bench.run(pack_below=0, wrap=lambda store: Stopping(store, 25))  # type: ignore[arg-type, return-value]
    assert len(bench.listed("data/")) == 25
    bench.run(pack_below=0, wrap=lambda store: Stopping(store, 40))  # type: ignore[arg-type, return-value]
    assert len(puts) == len(set(puts)) == 40
    objects = objects_of((bench.target / bench.items()["item"]).read_bytes())
    assert set(of_items(bench.listed("data/"))) == set(objects)


def test_a_stopped_run_raises_interrupted(bench: Bench) -> None:
    make_tree(bench.root, {name: {"a": OLD} for name in "abcdef"}, now=NOW)

    def stop(event: Event) -> None:
        if type(event).__name__ == "ItemArchived":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="run the same command again to resume"):
        bench.run(at=stop, items_at_once=1)
    bench.items()
    assert not bench.run().failed
    assert set(bench.items()) == set("abcdef")


def test_memory_is_bounded_while_large_files_are_sent(bench: Bench) -> None:
    held: list[int] = []

    class Measuring:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

    from archive_tasks.target.pace import Pace

    original = Pace.take

    def take(self: Pace, size: int) -> None:
        original(self, size)
        held.append(self._held)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pace, "take", take)
        make_tree(
            bench.root, {f"item{n}": {"big": File(os.urandom(21 * MIB), age_days=400)} for n in range(4)}, now=NOW
        )
        outcome = bench.run(memory=10 * MIB)
    assert len(outcome.archives) == 4
    assert 5 * MIB <= max(held) <= 10 * MIB
    assert bench.watching.bytes == 4 * 21 * MIB
    assert bench.watching.files == 4


def test_the_wrong_disk_in_the_targets_place_is_refused(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": OLD}, now=NOW)
    bench.run()
    bench.target.rename(tmp_path / "unmounted")
    with pytest.raises(StoreUnusable, match="is gone"):
        bench.run()
    bench.target.mkdir()
    with pytest.raises(StoreUnusable, match=r"lost its vault\.json"):
        bench.run()
    assert list(bench.target.iterdir()) == []
    (bench.target / "vault.json").write_text('{"archive_tasks": "vault", "format": 1, "id": "another"}')
    with pytest.raises(StoreUnusable, match="is not the one it was before"):
        bench.run()


def test_a_disk_that_goes_away_in_mid_run_stops_it_and_nothing_is_committed_elsewhere(
    bench: Bench, tmp_path: Path
) -> None:
    """A mount point of fstab's stays, as an empty folder on another disk."""

    class Unmounting:
        def __init__(self, store: Store) -> None:
            self._store = store
            self._left = 3

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.startswith("data/"):
                self._left -= 1
                if self._left == 0:
                    bench.target.rename(tmp_path / "unmounted")
                    bench.target.mkdir()
            self._store.put(key, data, **named)

    make_tree(bench.root, {"item": {f"f{number}": OLD for number in range(9)}}, now=NOW)
    with pytest.raises(StoreUnusable, match="is gone: is its disk still mounted"):
        bench.run(wrap=Unmounting, concurrency=1, pack_below=0)  # type: ignore[arg-type]
    assert list(bench.target.iterdir()) == []


def test_another_vault_in_the_targets_place_is_noticed_before_the_commit(bench: Bench) -> None:
    class Swapping:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.startswith("data/"):
                (bench.target / "vault.json").write_text('{"archive_tasks": "vault", "format": 1, "id": "another"}')
            self._store.put(key, data, **named)

    make_tree(bench.root, {"item": OLD}, now=NOW)
    with pytest.raises(StoreUnusable, match="is not the one it was before"):
        bench.run(wrap=Swapping)  # type: ignore[arg-type]
    assert bench.listed("manifests/") == []


def test_a_rotten_copy_elsewhere_is_not_taken_for_the_good_one(bench: Bench, tmp_path: Path) -> None:
    """Same names, sizes and times on two disks; the one archived second was made first, so its ctime is older."""
    good, rotten = tmp_path / "good", bench.root
    make_tree(good, {"item": {"photo": File("good", age_days=400)}}, now=NOW)
    make_tree(rotten, {"item": {"photo": File("ROTN", age_days=400)}}, now=NOW)
    bench.run()
    bench.root = good
    assert len(bench.run().archives) == 1
    manifests = [(bench.target / key).read_bytes() for key in bench.listed("manifests/")]
    stored = [files_of(manifest, folder_fetch(bench.target)) for manifest in manifests]
    assert {one["item/photo"] for one in stored} == {b"good", b"ROTN"}


def test_a_name_that_was_a_hard_link_and_has_other_contents_now_is_archived_too(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": File("AAAA", age_days=400)}}, now=NOW)
    a, b = bench.root / "item" / "a", bench.root / "item" / "b"
    os.link(a, b)
    bench.run()
    times = a.stat()
    b.unlink()
    b.write_text("BBBB")
    os.utime(b, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(bench.run().archives) == 1
    with Catalogue(str(bench.catalogue)) as catalogue:
        assert len([known for known in catalogue.archives() if known.receipt]) == 2


@pytest.mark.parametrize("what", ["mode", "attribute"])
def test_changed_rights_and_attributes_are_archived_too(bench: Bench, what: str) -> None:
    make_tree(bench.root, {"item": {"a": OLD}}, now=NOW)
    bench.run()
    if what == "mode":
        (bench.root / "item" / "a").chmod(0o600)
    else:
        try:
            os.setxattr(bench.root / "item" / "a", os.fsdecode(b"user.caf\xe9"), b"x")
        except OSError:
            pytest.skip("this filesystem has no extended attributes")
    assert len(bench.run().archives) == 1
    assert [archive.item for archive in bench.run().already] == ["item"]


def test_archiving_does_not_make_symlinks_look_used(bench: Bench, make_session: Any) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "link": Link("a", age_days=400)}}, now=NOW)
    bench.run()
    assert scan(make_session(bench.root, clock="atime")).decisions[0].archive


def test_a_target_that_answers_nothing_any_more_ends_the_run_after_one_wait(bench: Bench, monkeypatch: Any) -> None:
    waits: list[float] = []
    now = [0.0]

    def sleep(self: Any, seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("archive_tasks.target.pace.Pace.sleep", sleep)
    monkeypatch.setattr(
        "archive_tasks.target.patience.Patience.__init__.__kwdefaults__",
        {**archiving.Patience.__init__.__kwdefaults__, "monotonic": lambda: now[0]},
    )
    monkeypatch.setattr(
        "archive_tasks.target.pace.Pace.__init__.__kwdefaults__",
        {**archiving.Pace.__init__.__kwdefaults__, "monotonic": lambda: now[0]},
    )

    class Dead:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.startswith("data/"):
                raise StoreBusy("no answer")
            self._store.put(key, data, **named)

    make_tree(bench.root, {f"item{number}": OLD for number in range(6)}, now=NOW)
    with pytest.raises(StoreUnusable, match="the target has not answered for 15 minutes"):
        bench.run(wrap=Dead, items_at_once=1)  # type: ignore[arg-type]
    assert 14 * 60 <= sum(waits) <= 16 * 60


def test_what_nobody_expected_fails_one_item_and_no_other(bench: Bench) -> None:
    class Odd:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if "/b~" in key:
                raise LookupError("surprise")
            self._store.put(key, data, **named)

    make_tree(bench.root, {"a": OLD, "b": OLD, "c": OLD}, now=NOW)
    outcome = bench.run(wrap=Odd)  # type: ignore[arg-type]
    assert [tuple(one) for one in outcome.failed] == [
        ("b", "unexpected error (a bug; please report it): LookupError: surprise")
    ]
    assert set(bench.items()) == {"a", "c"}
