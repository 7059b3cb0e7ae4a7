"""Files with holes: only their data is sent, they come back with their holes, with this tool and with `tar` alone."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.archive import sender as item_sender
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.disk.sparse import LEAST_HOLE, SparseDigest, allocated_bytes, extents_of, is_zeros, joined, spread
from archive_tasks.errors import ManifestError
from archive_tasks.formats.entry import entry_of
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.evidence_fixtures import make_host, make_place, nas, place
from tests.support.foreign import manifest_lines
from tests.support.hosts import Host
from tests.support.manifests import Line, entry, forge
from tests.support.places import FolderPlace, Place
from tests.support.restoring import bring_back, comparable, same_trees

__all__ = ["make_host", "make_place", "nas", "place"]

KIB, MIB = 1024, 1024 * 1024
OLD_NS = (int(NOW.timestamp()) - 400 * 86_400) * 10**9 + 123_456_789
NASTY = os.fsdecode(b"caf\xe9\n" + b"n" * 200)
SHAPES = {
    "start": ([(0, 5)], 24 * MIB),
    "middle": ([(9 * MIB + 3, 70 * KIB)], 24 * MIB),
    "end": ([(24 * MIB - 5, 5)], 24 * MIB),
    "several": ([(0, 4096), (8 * MIB, 7 * MIB), (20 * MIB + 1, 1)], 24 * MIB + 77),
    "nothing": ([], 24 * MIB),
    NASTY: ([(2 * MIB, 9)], 3 * MIB),
}
"""(where data is, size) of files by their names."""


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def make_sparse(path: Path, written: list[tuple[int, int]], size: int, *, seed: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for offset, length in written:
            file.seek(offset)
            file.write(random.Random(seed).randbytes(length))
        file.truncate(size)
    os.utime(path, ns=(OLD_NS, OLD_NS))


@pytest.fixture
def shapes(bench: Bench) -> Path:
    """The item, which has a file of every shape, one without holes, and a small one."""
    item = bench.root / "vm"
    for name, (written, size) in SHAPES.items():
        make_sparse(item / "deep" / name, written, size)
    (item / "deep" / "start").chmod(0o640)
    make_tree(bench.root, {"vm": {"a.txt": File("a", age_days=400), "full": File(os.urandom(2 * MIB), age_days=400)}})
    return item


def blocks(path: Path) -> int:
    """Bytes that it takes on the disk."""
    return path.stat().st_blocks * 512


def check_holes(there: Path, back: Path) -> None:
    for name in SHAPES:
        assert blocks(back / "deep" / name) <= blocks(there / "deep" / name) + 128 * KIB, name


def sent(bench: Bench, name: str) -> int:
    """Bytes of the objects of a file."""
    return sum((bench.target / key).stat().st_size for key in bench.listed("data/") if name in key)


def test_only_the_data_is_sent_and_holes_come_back_as_holes(bench: Bench, shapes: Path, tmp_path: Path) -> None:
    assert not bench.run().failed
    for name, (written, _) in SHAPES.items():
        if name != NASTY:
            assert sent(bench, f"/sparse/deep/{name}") <= sum(length for _, length in written) + 128 * KIB, name
    assert not [key for key in bench.listed("data/") if "/files/" in key and not key.endswith("/full")]
    store = FolderStore(bench.target.as_uri(), make_settings({}, {}, {}))
    restored = bring_back(store, bench.catalogue, tmp_path / "out")
    assert not restored.failed
    assert restored.bytes == sum(path.stat().st_size for path in shapes.rglob("*") if path.is_file())
    assert same_trees(bench.root, tmp_path / "out")
    check_holes(shapes, tmp_path / "out" / "vm")


def test_a_stranger_gets_everything_back_by_the_manifest(bench: Bench, shapes: Path, tmp_path: Path) -> None:
    assert not bench.run().failed
    bench.restored("vm", tmp_path / "out")
    assert same_trees(bench.root, tmp_path / "out")


def test_tar_alone_brings_a_file_back_with_its_holes(bench: Bench, shapes: Path, tmp_path: Path) -> None:
    """As README.txt in the target says: each tar under sparse/ is unpacked where the packs were."""
    with_attribute = True
    try:
        os.setxattr(shapes / "deep" / "middle", "user.note", b"\0\xff")
    except OSError:
        with_attribute = False
    assert not bench.run().failed
    out = tmp_path / "out"
    out.mkdir()
    tars = [key for key in bench.listed("data/") if "/sparse/" in key]
    assert len(tars) == len(SHAPES)
    for key in tars:
        flags = ["--xattrs"] if with_attribute else []
        subprocess.run(["tar", "-x", "-p", *flags, "-f", bench.target / key], cwd=out, check=True)
    there, back = read_tree(bench.root), read_tree(out)
    for name in SHAPES:
        path = f"vm/deep/{name}"
        assert comparable({"": back[path]}) == comparable({"": there[path]}), name
    check_holes(shapes, out / "vm")
    if with_attribute:
        assert os.getxattr(out / "vm" / "deep" / "middle", "user.note") == b"\0\xff"


def test_a_single_file_and_every_file_alone_may_have_holes(bench: Bench, tmp_path: Path) -> None:
    make_sparse(bench.root / "disk.img", [(5 * MIB, 100)], 9 * MIB)
    make_sparse(bench.root / "small" / "a", [(300 * KIB, 100)], 400 * KIB)
    assert not bench.run(pack_below=0).failed
    assert [key.rpartition("/sparse/")[2] for key in bench.listed("data/") if "/sparse/" in key] == [
        "disk.img.tar",
        "a.tar",
    ]
    for item in ("disk.img", "small"):
        bench.restored(item, tmp_path / "out")
    assert same_trees(bench.root, tmp_path / "out")


def test_a_filesystem_that_lies_about_holes_is_not_believed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenZFS has named data as a hole that was not written back yet: then the file is sent as any other."""
    make_sparse(bench.root / "vm" / "disk.img", [(5 * MIB, 3 * MIB)], 20 * MIB)
    monkeypatch.setattr(item_sender, "extents_of", lambda _fd, _size: ((5 * MIB, MIB),))
    assert not bench.run().failed
    assert [key for key in bench.listed("data/") if key.endswith("disk.img")]
    assert not [key for key in bench.listed("data/") if "/sparse/" in key]
    bench.restored("vm", tmp_path / "out")
    assert same_trees(bench.root, tmp_path / "out")


def test_a_second_run_and_a_changed_hole(bench: Bench, shapes: Path, tmp_path: Path) -> None:
    """What was a hole is written, with the old time: another archive, as for any change."""
    assert not bench.run().failed
    again = bench.run()
    assert [one.item for one in again.already] == ["vm"]
    path = shapes / "deep" / "nothing"
    with path.open("r+b") as file:
        file.seek(11 * MIB)
        file.write(b"new")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert [one.item for one in bench.run().archives] == ["vm"]


# -- through the commands, on each kind of target -------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A root whose one item has a disk image of 40 MiB with 17 MiB of data in three places."""
    root = tmp_path / "disk" / "Documents"
    make_sparse(root / "vm" / "disk.img", [(0, MIB), (9 * MIB, 9 * MIB), (30 * MIB, 7 * MIB)], 40 * MIB)
    make_sparse(root / "vm" / "same size.img", [(0, MIB), (5 * MIB, 2 * MIB)], 40 * MIB, seed=2)
    (root / "vm" / "note").write_text("note")
    os.utime(root / "vm" / "note", (1, 1))
    return root


def test_it_goes_and_comes_back(place: Place, make_host: Callable[..., Host], disk: Path, tmp_path: Path) -> None:
    """In parts, too: rclone's and moto's objects have parts of 8 MiB."""
    host, other = make_host("laptop", place), make_host("desktop", place)
    before = comparable(read_tree(disk))
    host.archive(disk)
    host.do("verify", "--read-data")
    host.clean(disk)
    assert not (disk / "vm").exists()
    plan = host.ask("restore", "vm", "--dry-run")
    assert 20 * MIB < plan["to_fetch"] < 21 * MIB
    host.do("restore", "vm", "--yes")
    assert comparable(read_tree(disk)) == before
    other.do("restore", "vm", "--to", str(tmp_path / "other"), "--yes")
    assert same_trees(disk, tmp_path / "other")
    assert blocks(tmp_path / "other" / "vm" / "disk.img") < 18 * MIB


def test_extents_that_were_exchanged_free_nothing_and_are_named(
    nas: FolderPlace, make_host: Callable[..., Host], disk: Path, tmp_path: Path
) -> None:
    """The tar's digest is right, and the manifest says of its data that it is elsewhere in the file."""

    def exchange(lines: list[Line]) -> None:
        line = entry(lines, "vm/disk.img")
        line["extents"] = [[one + 2 * MIB, length] for one, length in line["extents"]]

    host = make_host("laptop", nas)
    host.archive(disk)
    forge(nas, nas.manifests()[0], exchange)
    other = make_host("desktop", nas)
    found = other.ask("verify", "--read-data", code=1)
    assert [one["path"] for one in found["damaged"]] == ["vm/disk.img"]
    other.do("restore", "vm", "--to", str(tmp_path / "out"), "--yes", code=3)
    assert not (tmp_path / "out" / "vm" / "disk.img").exists()
    assert (tmp_path / "out" / "vm" / "same size.img").read_bytes() == (disk / "vm" / "same size.img").read_bytes()
    host.do("catalogue", "--forget", "--yes")
    host.do("catalogue", "--rebuild")
    host.clean(disk, code=3)
    assert (disk / "vm" / "disk.img").exists()


@pytest.mark.parametrize("extents", ["abc", [[1]], None, [[-1, 5]], [[0, 1 << 60]]])
def test_extents_that_make_no_sense_are_named_without_reading(
    nas: FolderPlace, make_host: Callable[..., Host], tmp_path: Path, extents: Any
) -> None:
    root = tmp_path / "disk" / "Documents"
    make_sparse(root / "vm" / "disk.img", [(5 * MIB, 100)], 9 * MIB)
    host = make_host("laptop", nas)
    host.archive(root)
    forge(nas, nas.manifests()[0], lambda lines: entry(lines, "vm/disk.img").update(extents=extents))
    other = make_host("desktop", nas)
    found = other.ask("verify", "--quick", code=1)
    assert any("vm/disk.img" in one["problem"] for one in found["damaged"])


def test_a_file_that_cannot_be_restored_alone_is_not_said_to_be(
    nas: FolderPlace, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    root = tmp_path / "disk" / "Documents"
    make_sparse(root / "vm" / "disk.img", [(5 * MIB, 100)], 9 * MIB)
    host = make_host("laptop", nas)
    host.archive(root)
    nas.remove(next(one for one in nas.listed("data/") if one.endswith("/disk.img.tar")))
    said = host.do("restore", "vm/disk.img", "--to", str(tmp_path / "out"), "--yes", code=3)
    assert "PARTLY    restored vm" in said


def test_an_item_that_is_whole_is_said_to_be_restored_beside_one_that_is_not(
    nas: FolderPlace, make_host: Callable[..., Host], tmp_path: Path
) -> None:
    """Of two sources, so that what is restored has their scopes before it."""
    for name in ("laptop", "desktop"):
        root = tmp_path / name / "Documents"
        for item in ("vm", "whole"):
            make_sparse(root / item / "disk.img", [(5 * MIB, 100)], 9 * MIB)
        make_host(name, nas).archive(root)
    nas.remove(next(one for one in nas.listed("data/laptop/") if "/vm~" in one and one.endswith("/disk.img.tar")))
    said = make_host("other", nas).do("restore", "--all", "--to", str(tmp_path / "out"), "--yes", code=3)
    assert said.count("PARTLY    restored vm") == 1
    assert said.count("\nrestored  ") == 3


def test_damage_is_found_and_nothing_half_is_restored(
    nas: FolderPlace, make_host: Callable[..., Host], disk: Path, tmp_path: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(disk)
    key = next(one for one in nas.listed("data/") if one.endswith("/disk.img.tar"))
    data = bytearray(nas.get(key))
    data[9 * MIB] ^= 1
    nas.put(key, bytes(data))
    for flags in ((), ("--read-data",)):
        found = host.ask("verify", *flags, code=1)
        assert [one["path"] for one in found["damaged"]] == ["vm/disk.img"]
    host.do("restore", "vm", "--to", str(tmp_path / "out"), "--yes", code=3)
    assert sorted(path.name for path in (tmp_path / "out" / "vm").iterdir()) == ["note", "same size.img"]
    host.clean(disk, code=3)
    assert (disk / "vm" / "disk.img").exists()


# -- the parts of it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_ranges_are_joined_where_holes_are_small_and_never_lose_a_byte(seed: int) -> None:
    chance = random.Random(seed)
    at, extents = 0, []
    for _ in range(chance.randint(0, 300)):
        at += chance.choice((1, 4096, LEAST_HOLE - 1, LEAST_HOLE, 10 * LEAST_HOLE))
        length = chance.choice((1, 4096, MIB))
        extents.append((at, length))
        at += length
    most = chance.choice((1, 7, 4096))
    found = joined(extents, most=most)
    assert len(found) <= most
    ends = [start + length for start, length in found]
    assert all(start - end >= LEAST_HOLE for end, (start, _) in zip(ends, found[1:], strict=False))
    for start, length in extents:
        assert any(one <= start and start + length <= end for (one, _), end in zip(found, ends, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_the_digest_and_the_places_of_any_pieces(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice((0, 1, 5000, 2 * MIB + 3))
    cuts = sorted(chance.sample(range(size + 1), min(size + 1, 2 * chance.randint(0, 4))))
    extents = [(one, other - one) for one, other in zip(cuts[::2], cuts[1::2], strict=False)]
    whole = bytearray(size)
    for start, length in extents:
        whole[start : start + length] = chance.randbytes(length)
    data = b"".join(whole[start : start + length] for start, length in extents)
    digest, back, at = SparseDigest(extents, size), bytearray(size), 0
    while at < len(data):
        step = chance.randint(1, 700_000)
        digest.update(data[at : at + step])
        for offset, begin, length in spread(extents, at, len(data[at : at + step])):
            back[offset : offset + length] = data[at + begin : at + begin + length]
        at += step
    assert digest.hexdigest() == hashlib.sha256(whole).hexdigest()
    assert back == whole
    with pytest.raises(ValueError, match="more data"):
        digest.update(b"x")


def test_what_an_item_takes_without_its_holes(tmp_path: Path) -> None:
    make_sparse(tmp_path / "vm" / "deep" / "disk.img", [(5 * MIB, 100)], 900 * MIB)
    (tmp_path / "vm" / "note").write_bytes(bytes(5))
    assert 4096 <= allocated_bytes(str(tmp_path / "vm")) < MIB
    assert allocated_bytes(str(tmp_path / "vm" / "note")) == 5
    assert allocated_bytes(str(tmp_path / "nothing")) == 0


def test_ranges_are_those_that_hold_data(tmp_path: Path) -> None:
    """On any filesystem what is left out is zeros, and where it knows of holes there is something left out."""
    for name, (written, size) in SHAPES.items():
        make_sparse(tmp_path / name, written, size)
        with (tmp_path / name).open("rb") as file:
            extents = extents_of(file.fileno(), size)
        if extents is None:
            pytest.skip("this filesystem has no holes")
        contents = bytearray((tmp_path / name).read_bytes())
        for start, length in extents:
            contents[start : start + length] = bytes(length)
        assert is_zeros(bytes(contents)), name
    make_sparse(tmp_path / "full", [(0, MIB)], MIB)
    with (tmp_path / "full").open("rb") as file:
        assert extents_of(file.fileno(), MIB) is None
    assert not is_zeros(bytes(3 * MIB) + b"\1")
    assert is_zeros(b"")


@pytest.mark.parametrize(
    "extents",
    [
        [[0, 5], [4, 6]],
        [[10, 5], [0, 6]],
        [[0, 101]],
        [[95, 11]],
        [[0, 0], [1, 11]],
        [[0, 10]],
        [[-1, 11]],
        [[0, 11, 0]],
        [[0, 11.0]],
        [[True, 11]],
        [0, 11],
        {"0": 11},
        "011",
        None,
    ],
)
def test_a_line_with_impossible_extents_is_refused(extents: Any) -> None:
    with pytest.raises(ManifestError, match="impossible"):
        entry_of(sparse_line() | {"extents": extents})


@pytest.mark.parametrize("more", [{"within": 0}, {"parts": ["0" * 64], "part_size": 11}])
def test_a_line_of_a_later_version_is_refused(more: Line) -> None:
    with pytest.raises(ManifestError, match="upgrade archive-tasks"):
        entry_of(sparse_line() | more)


def test_a_line_with_extents_is_read() -> None:
    place = entry_of(sparse_line()).place
    assert place is not None
    assert place.extents == ((5, 11),)


def sparse_line() -> Line:
    return {
        "path": "vm/disk.img",
        "type": "file",
        "mode": "644",
        "mtime_ns": 0,
        "size": 100,
        "sha256": "0" * 64,
        "key": "data/a/b",
        "offset": 2048,
        "length": 11,
        "extents": [[5, 11]],
    }


def test_the_lines_of_an_archive_say_what_a_file_with_holes_is(bench: Bench, shapes: Path) -> None:
    assert not bench.run().failed
    lines = manifest_lines((bench.target / bench.items()["vm"]).read_bytes())
    line = entry(lines, "vm/deep/several")
    contents = (shapes / "deep" / "several").read_bytes()
    assert line["sha256"] == hashlib.sha256(contents).hexdigest()
    assert line["length"] == sum(length for _, length in line["extents"])
    tar = next(one for one in lines if one.get("object") == line["key"])
    assert tar["size"] == (bench.target / line["key"]).stat().st_size
