"""Every kind of file comes back as it was, or keeps its item at home with the reason."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.restoring import bring_back, comparable
from tests.support.scanning import scan

MIB = 1024 * 1024
OLD = File("old", age_days=400)


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def come_back(bench: Bench, out: Path) -> Any:
    """Archive, and restore all of it."""
    assert not bench.run().failed
    restored = bring_back(FolderStore(bench.target.as_uri(), make_settings({}, {}, {})), bench.catalogue, out)
    assert not restored.failed
    return restored


def make_socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"/proc/self/fd/{here}/{path.name}")  # a socket's path has room for 107 bytes only
    os.close(here)


def make_device(kind: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        try:
            os.mknod(path, kind | 0o600, os.makedev(1, 3) if kind == stat.S_IFCHR else os.makedev(7, 0))
        except PermissionError:
            pytest.skip("only root may make devices")

    return make


@pytest.mark.parametrize("where", ["item/sub/odd", "odd"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a fifo", os.mkfifo),
        ("a socket", make_socket),
        ("a character device", make_device(stat.S_IFCHR)),
        ("a block device", make_device(stat.S_IFBLK)),
    ],
)
def test_what_is_no_file_keeps_its_item_and_no_other(
    bench: Bench, make_session: Any, name: str, make: Callable[[Path], None], where: str
) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "sub": {"b": OLD}}, "other": {"c": OLD}}, now=NOW)
    make(bench.root / where)
    os.utime(bench.root / where, (0, 0))
    before = read_tree(bench.root)
    kept = {one.item.name: one.reason for one in scan(make_session(bench.root), private=[]).to_keep}
    place = "it" if where == "odd" else where
    assert kept == {where.partition("/")[0]: f"{place} is {name}, which cannot be archived"}
    outcome = bench.run()
    assert [one.item for one in outcome.archives] == (["item", "other"] if where == "odd" else ["other"])
    assert read_tree(bench.root) == before


def test_links_come_back_wherever_they_point(bench: Bench, tmp_path: Path) -> None:
    targets = ["a", "../item/a", "nowhere/at all", "/nowhere", "/etc/passwd", "itself", "..", ".", "one", "x" * 4000]
    links = {f"l{number}": Link(target, age_days=400) for number, target in enumerate(targets)}
    round_about = {
        "itself": Link("itself", age_days=400),
        "one": Link("two", age_days=400),
        "two": Link("one", age_days=400),
    }
    make_tree(bench.root, {"item": {"a": OLD, **links, **round_about}}, now=NOW)
    come_back(bench, tmp_path / "out")
    assert comparable(read_tree(tmp_path / "out")) == comparable(read_tree(bench.root))


def test_names_of_one_file_come_back_as_such_within_an_item(bench: Bench, tmp_path: Path) -> None:
    big = File(os.urandom(6 * MIB), age_days=400)
    make_tree(
        bench.root, {"item": {"a": OLD, "big": big, "none": File("", age_days=400), "sub": {}}, "other": {}}, now=NOW
    )
    for name in ("a", "big", "none"):
        os.link(bench.root / "item" / name, bench.root / "item" / "sub" / f"{name} too")
        os.link(bench.root / "item" / name, bench.root / "other" / name)
    come_back(bench, tmp_path / "out")
    assert comparable(read_tree(tmp_path / "out")) == comparable(read_tree(bench.root))
    for name in ("a", "big", "none"):
        first, second, other = (
            (tmp_path / "out" / path).stat() for path in (f"item/{name}", f"item/sub/{name} too", f"other/{name}")
        )
        assert first.st_ino == second.st_ino != other.st_ino, name


def test_holes_of_any_shape_come_back_as_holes(bench: Bench, tmp_path: Path) -> None:
    """At the start, in the middle, at the end, and nothing but a hole; in parts, and small enough for a pack."""
    size = 24 * MIB
    for name, written, length in [
        ("start", [size - 5], size),
        ("middle", [0, size - 5], size),
        ("end", [0], size),
        ("all", [], size),
        ("small", [0, 700_000], 800_000),
    ]:
        make_tree(bench.root, {"item": {name: OLD}}, now=NOW)
        with (bench.root / "item" / name).open("wb") as file:
            for offset in written:
                file.seek(offset)
                file.write(b"bytes")
            file.truncate(length)
        os.utime(bench.root / "item" / name, (0, 0))
    come_back(bench, tmp_path / "out")
    assert comparable(read_tree(tmp_path / "out")) == comparable(read_tree(bench.root))
    for path in (bench.root / "item").iterdir():
        there, back = path.stat(), (tmp_path / "out" / "item" / path.name).stat()
        assert back.st_size == there.st_size
        assert back.st_blocks * 512 < MIB, f"{path.name} takes {back.st_blocks} blocks, and took {there.st_blocks}"


def test_rights_and_times_of_any_kind_come_back(bench: Bench, tmp_path: Path) -> None:
    modes = {f"m{mode:o}": File("x", age_days=400, mode=mode) for mode in (0o400, 0o600, 0o644, 0o755, 0o777, 0o640)}
    make_tree(bench.root, {"item": {**modes, "empty": File("", age_days=400), "sub": {}, "set": {"sub": {}}}}, now=NOW)
    times = {"past": -(10**18), "first": 0, "odd": 1_234_567_890_123_456_789, "y2038": (1 << 31) * 10**9 - 10**18}
    for name, when in times.items():
        (bench.root / "item" / name).touch()
        os.utime(bench.root / "item" / name, ns=(when, when))
    (bench.root / "item" / "set").chmod(0o3770)
    (bench.root / "item" / "sub").chmod(0o500)
    come_back(bench, tmp_path / "out")
    assert comparable(read_tree(tmp_path / "out")) == comparable(read_tree(bench.root))


def test_setuid_and_setgid_of_files_stay_away_and_their_contents_do_not(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": dict.fromkeys(("uid", "gid", "sticky", "all", "none"), OLD)}, now=NOW)
    for name, bits in (("uid", 0o4755), ("gid", 0o2755), ("sticky", 0o1755), ("all", 0o7755), ("none", 0o755)):
        (bench.root / "item" / name).chmod(bits)
    restored = come_back(bench, tmp_path / "out")
    assert {one.item for one in restored.lost} == {"item/uid", "item/gid", "item/sticky", "item/all"}
    for path in (tmp_path / "out" / "item").iterdir():
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (0o755, "old")


def test_attributes_of_files_and_folders_come_back_whatever_they_hold(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"a": OLD, "big": File(os.urandom(6 * MIB), age_days=400), "sub": {}}}, now=NOW)
    attributes = {
        "user.empty": b"",
        "user.bytes": bytes(range(256)),
        os.fsdecode(b"user.caf\xe9\n"): b"x",
        "user.large": b"v" * 2000,
    }
    try:
        for path in ("item", "item/a", "item/big", "item/sub"):
            for name, value in attributes.items():
                os.setxattr(bench.root / path, name, value)
    except OSError:
        pytest.skip("this filesystem keeps no extended attributes")
    os.utime(bench.root / "item" / "a", (0, 0))
    assert not come_back(bench, tmp_path / "out").lost
    for path in ("item", "item/a", "item/big", "item/sub"):
        back = tmp_path / "out" / path
        assert {name: os.getxattr(back, name) for name in os.listxattr(back)} == attributes, path
