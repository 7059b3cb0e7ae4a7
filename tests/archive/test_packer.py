"""Packs: what goes in, what an interrupted run finds again, and what they cost."""

from __future__ import annotations

import os
import tarfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_tasks.archive.segment import pack_segment
from archive_tasks.errors import StoreUnusable
from archive_tasks.formats import tar
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.workers.processes import processes
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.foreign import check_target, files_of, folder_fetch, manifest_lines, of_items

MIB = 1024 * 1024


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


class Watched:
    """A store that notes what is written, and is cut off at the commit when it is told to."""

    def __init__(self, store: Any, *, commits: bool) -> None:
        self._store = store
        self._commits = commits
        self.written: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes, **named: Any) -> None:
        if key.endswith("/manifest.jsonl.zst") and not self._commits:
            raise StoreUnusable("cut off")
        self.written.append(key)
        self._store.put(key, data, **named)

    def upload(self, key: str, size: int, **named: Any) -> Any:
        self.written.append(key)
        return self._store.upload(key, size, **named)


def run(bench: Bench, *, commits: bool = True, **options: Any) -> list[str]:
    """Keys of the data that a run has written."""
    made: list[Watched] = []

    def wrap(store: Any) -> Any:
        made.append(Watched(store, commits=commits))
        return made[0]

    if commits:
        assert not bench.run(wrap=wrap, **options).failed
    else:
        with pytest.raises(StoreUnusable):
            bench.run(wrap=wrap, **options)
    return of_items(key for key in made[0].written if key.startswith("data/"))


def spec(files: int, size: int) -> dict[str, File]:
    return {f"f{n:04}": File(os.urandom(size), age_days=400) for n in range(files)}


def test_many_small_files_cost_a_handful_of_objects(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"sub": spec(2000, 500)}}, now=NOW)
    (pack,) = run(bench)
    assert pack.endswith("/packs/00001.tar.zst")
    check_target(bench.listed(), folder_fetch(bench.target))


def test_packs_end_before_they_grow_too_large(bench: Bench) -> None:
    make_tree(bench.root, {"item": spec(60, 400_000)}, now=NOW)
    packs = run(bench, pack_size=9 * MIB)
    assert [key[-13:] for key in packs] == ["00001.tar.zst", "00002.tar.zst", "00003.tar.zst"]
    assert all((bench.target / key).stat().st_size <= 9 * MIB for key in packs)
    contents = files_of((bench.target / bench.items()["item"]).read_bytes(), folder_fetch(bench.target))
    assert contents == {f"item/{name}": file.contents for name, file in _read(bench).items()}


def _read(bench: Bench) -> dict[str, File]:
    return {path.name: File(path.read_bytes()) for path in (bench.root / "item").iterdir()}


@pytest.mark.parametrize("size", [2_000, 400_000])
def test_packs_of_a_run_that_was_cut_off_are_proven_and_not_sent_again(bench: Bench, size: int) -> None:
    make_tree(bench.root, {"item": spec(60, size)}, now=NOW)
    first = run(bench, commits=False, pack_size=9 * MIB)
    assert first
    assert run(bench, now=NOW + timedelta(days=2), pack_size=9 * MIB) == []
    check_target(bench.listed(), folder_fetch(bench.target))
    assert sorted(first) == of_items(bench.listed("data/"))


@pytest.mark.parametrize("how", ["later", "otherwise", "damaged"])
def test_packs_that_are_no_help_are_left_alone_and_made_anew(bench: Bench, how: str) -> None:
    make_tree(bench.root, {"item": spec(20, 2_000)}, now=NOW)
    (first,) = run(bench, commits=False)
    if how == "damaged":
        data = bytearray((bench.target / first).read_bytes())
        data[100] ^= 1
        (bench.target / first).chmod(0o600)
        (bench.target / first).write_bytes(bytes(data))
    options = {"later": {"now": NOW + timedelta(days=8)}, "otherwise": {"pack_size": 10 * MIB}, "damaged": {}}[how]
    (second,) = run(bench, **options)
    assert second.rsplit("/", 3)[1] != first.rsplit("/", 3)[1]
    assert set(check_target(bench.listed(), folder_fetch(bench.target))) == {"item"}


def test_an_item_without_small_files_has_no_pack(bench: Bench) -> None:
    make_tree(
        bench.root, {"item": {"big": File(os.urandom(2 * MIB), age_days=400), "none": File("", age_days=400)}}, now=NOW
    )
    (key,) = run(bench)
    assert key.endswith("/files/big")


def test_an_item_that_is_a_file_stays_as_it_is(bench: Bench) -> None:
    make_tree(bench.root, {"note.txt": File("a note", age_days=400)}, now=NOW)
    (key,) = run(bench)
    assert (bench.target / key).read_text() == "a note"


def test_what_does_not_compress_takes_hardly_more_than_it_is(bench: Bench) -> None:
    make_tree(bench.root, {"item": spec(100, 50_000)}, now=NOW)
    (pack,) = run(bench)
    assert (bench.target / pack).stat().st_size < 100 * 50_000 * 1.02, (
        "tar pads each file to whole blocks and adds 1.5 KiB"
    )


def test_a_file_that_changes_between_listing_and_packing_keeps_its_item(bench: Bench) -> None:
    make_tree(bench.root, {"item": spec(50, 1000)}, now=NOW)

    original = pack_segment

    def pack_late(order: Any) -> Any:
        (bench.root / "item" / "f0030").write_bytes(os.urandom(1000))
        return original(order)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("archive_tasks.archive.run.pack_segment", pack_late)
        outcome = bench.run()
    assert [(one.item, "f0030 changed while it was read" in one.reason) for one in outcome.failed] == [("item", True)]
    assert bench.listed("manifests/") == []


def test_every_frame_unpacks_by_itself_to_whole_members(bench: Bench) -> None:
    make_tree(bench.root, {"item": spec(40, 100_000)}, now=NOW)
    (key,) = run(bench)
    data = (bench.target / key).read_bytes()
    lines = manifest_lines((bench.target / bench.items()["item"]).read_bytes())
    frames = sorted({(one["offset"], one["length"]) for one in lines if "within" in one})
    assert len(frames) >= 3
    from tests.support.foreign import zstd

    for offset, length in frames:
        with tarfile.open(fileobj=BytesIO(zstd.decompress(data[offset : offset + length]))) as members:
            assert all(member.name.startswith("item") for member in members)


NAMES = st.binary(min_size=1, max_size=300).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"x").replace(b"/", b"_")))


@settings(max_examples=300)
@given(
    name=NAMES,
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(10**19), 10**19),
    uid=st.integers(0, 2**32 - 2),
    size=st.integers(0, 3000),
    target=NAMES,
    attribute=st.binary(max_size=50),
)
def test_every_header_is_read_by_the_standard_library(
    name: str, mode: int, mtime_ns: int, uid: int, size: int, target: str, attribute: bytes
) -> None:
    header = tar.member_header(
        name, tar.FILE, mode=mode, mtime_ns=mtime_ns, size=size, uid=uid, attributes={"user.a": attribute}
    )
    link = tar.member_header("l", tar.SYMLINK, mode=0o777, mtime_ns=0, target=target)
    stream = header + bytes(size) + tar.padding(size) + link + tar.END
    with tarfile.open(fileobj=BytesIO(stream), encoding="utf-8", errors="surrogateescape") as archive:
        first, second = archive.getmembers()
    assert first.name == (name.rstrip("/") or name)
    assert (first.mode, first.uid, first.size) == (mode, uid, size)
    assert abs(first.mtime - mtime_ns / 1e9) <= abs(mtime_ns) / 1e9 * 1e-15 + 1e-6
    assert second.linkname == target


def test_a_killed_helper_loses_nothing() -> None:
    import signal

    with processes(files=0) as here:
        assert here.start(abs, -3)() == 3
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from archive_tasks.workers.processes import Processes

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        helpers = Processes(executor)
        assert helpers.start(abs, -4)() == 4
        for pid in list(executor._processes):
            os.kill(pid, signal.SIGKILL)
        assert [helpers.start(abs, number)() for number in (-1, -2, -3)] == [1, 2, 3]
