"""Verify names every damage down to the file, and believes no store that lies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import make_settings
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.testing.stores import MemoryStore
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.verified import Verified, VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench

MIB = 1024 * 1024


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    made = Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")
    spec = {f"f{n:02}": File(os.urandom(100_000), age_days=400) for n in range(30)}
    make_tree(
        root,
        {"item": spec | {"big": File(os.urandom(11 * MIB), age_days=400)}, "note": File("n", age_days=400)},
        now=NOW,
    )
    return made


def patience() -> Patience:
    return Patience(pace=Pace(concurrency=4, memory=64 * MIB), seconds=0)


def look(store: Any, **ask: Any) -> Verified:
    return verify(store, VerifyOptions(**{"trusted": False, **ask}), patience=patience(), concurrency=4)


def store_of(bench: Bench) -> FolderStore:
    return FolderStore(bench.target.as_uri(), make_settings({"part_size": "5M"}, {}, {}))


def object_of(bench: Bench, ending: str) -> Path:
    (key,) = [key for key in bench.listed("data/") if key.endswith(ending)]
    return bench.target / key


@pytest.mark.parametrize("pack_below", [0, MIB])
def test_a_whole_target_is_well(bench: Bench, pack_below: int) -> None:
    bench.run(pack_below=pack_below)
    verified = look(store_of(bench))
    assert not verified.damaged
    assert (verified.archives, verified.files, verified.orphans) == (2, 32, {})
    assert verified.read >= 11 * MIB + 30 * 100_000


@pytest.mark.parametrize("how", ["flip", "cut", "grow", "remove"])
def test_a_damaged_object_is_named_with_its_file(bench: Bench, how: str) -> None:
    bench.run()
    big = object_of(bench, "/big")
    _damage(big, how, at=7 * MIB)
    assert [one.item for one in look(store_of(bench)).damaged] == ["item/big"]
    quick = look(store_of(bench), quick=True)
    assert bool(quick.damaged) == (how != "flip")


def test_of_a_damaged_pack_only_the_files_are_named_that_are_harmed(bench: Bench) -> None:
    bench.run()
    _damage(object_of(bench, "00001.tar.zst"), "flip", at=150_000)
    damaged = [one.item for one in look(store_of(bench)).damaged]
    assert damaged == ["item/f01"], "each file takes a little more than 100,000 bytes of data that does not compress"


def test_a_pack_whose_end_is_damaged_is_named_though_no_file_is(bench: Bench) -> None:
    bench.run()
    pack = object_of(bench, "00001.tar.zst")
    _damage(pack, "flip", at=pack.stat().st_size - 2)
    (one,) = look(store_of(bench)).damaged
    assert one.item.endswith("00001.tar.zst")
    assert "no readable file of item is affected" in one.reason


def test_a_damaged_manifest_is_named(bench: Bench) -> None:
    bench.run()
    manifest = bench.target / bench.items()["item"]
    _damage(manifest, "cut", at=0)
    (one,) = look(store_of(bench)).damaged
    assert one.item == str(manifest.relative_to(bench.target))


def _damage(path: Path, how: str, *, at: int) -> None:
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[at] ^= 1
    elif how == "cut":
        del data[-1]
    elif how == "grow":
        data.append(0)
    if how == "remove":
        path.unlink()
    else:
        path.write_bytes(bytes(data))


def test_a_sample_reads_about_its_share(bench: Bench) -> None:
    bench.run(pack_below=0)
    answers = iter([n / 32 for n in range(32)])
    verified = verify(
        store_of(bench),
        VerifyOptions(trusted=False, read=0.25),
        patience=patience(),
        concurrency=1,
        random=lambda: next(answers),
    )
    assert verified.unread == 24


def test_a_trusted_store_vouches_and_a_wrong_checksum_is_damage(root: Path, make_session: Any, tmp_path: Path) -> None:
    store = MemoryStore()
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    make_tree(root, {"item": {"a": File("a", age_days=400), "big": File(os.urandom(6 * MIB), age_days=400)}}, now=NOW)
    bench.run(wrap=lambda _store: store)  # type: ignore[arg-type, return-value]
    verified = look(store, trusted=True)
    assert (verified.trusted, verified.read, verified.damaged) == (2, 0, [])
    key = next(key for key in store.objects if key.endswith("/big"))
    store._facts[key] = store._facts[key]._replace(checksum="0" * 64)
    assert [one.item for one in look(store, trusted=True).damaged] == ["item/big"]


def test_what_is_in_a_cold_class_is_not_read_and_not_thawed(root: Path, make_session: Any, tmp_path: Path) -> None:
    store = MemoryStore()
    store.storage_class = "DEEP_ARCHIVE"  # type: ignore[misc]
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    make_tree(root, {"item": {"a": File("a", age_days=400)}}, now=NOW)
    bench.run(wrap=lambda _store: store)  # type: ignore[arg-type, return-value]
    for ask in ({"trusted": True}, {"trusted": False}, {"trusted": True, "read": 1.0}):
        verified = look(store, **ask)
        assert (verified.frozen, verified.damaged) == (1, [])
    assert "thaw" not in {method for method, _ in store.calls}


def test_the_command_ends_with_1_on_damage_and_says_where(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"item": {"a": File("a", age_days=90), "b": File(os.urandom(MIB * 2), age_days=90)}})
    target = cli.project / "target"
    cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes")
    arguments = ("verify", "--target", target.as_uri())
    ran = cli.run(*arguments)
    assert (ran.code, "all is well" in ran.out) == (0, True)
    (big,) = [path for path in target.rglob("b") if path.is_file()]
    _damage(big, "flip", at=5)
    ran = cli.run(*arguments, "--json")
    assert ran.code == 1
    assert [one["path"] for one in json.loads(ran.out)["damaged"]] == ["item/b"]
    assert "DAMAGED  item/b: it holds other bytes than were written" in ran.err
    assert cli.run(*arguments, "--sample", "many").code == 2
    assert cli.run(*arguments, "--sample", "5%", "--quick").code == 2
