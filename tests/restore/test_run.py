"""What was archived comes back, whole or in pieces; nothing of the user's is overwritten; damage is named."""

from __future__ import annotations

import errno
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import DestinationUnusable, UsageError
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.kills import NEVER, die, run_and_die
from tests.support.restoring import bring_back, same_trees

MIB = 1024 * 1024
BAD = os.fsdecode(b"caf\xe9\n\x1b[31m")


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def fill(root: Path) -> None:
    make_tree(
        root,
        {
            "thesis": {
                "a.txt": File("alpha", age_days=400, mode=0o640),
                "run.sh": File("#!/bin/sh\n", age_days=500, mode=0o755),
                "secret": File("s", age_days=400, mode=0o400),
                "empty": File("", age_days=400, mode=0o600),
                "big": File(os.urandom(12 * MIB + 7), age_days=400),
                "data": {f"run{n}.csv": File(f"{n},1\n" * 300, age_days=300) for n in range(40)},
                "deep": {
                    "-rf": File("x", age_days=300),
                    "n" * 255: File("y", age_days=300),
                    BAD: File("z", age_days=300),
                },
                "hollow": {"hollower": {}},
                "link": Link("deep/../a.txt", age_days=400),
                "dangling": Link("/nowhere", age_days=400),
            },
            "note.md": File("a note", age_days=90),
            BAD: {"inside": File("i", age_days=90)},
        },
        now=NOW,
    )
    os.link(root / "thesis" / "a.txt", root / "thesis" / "deep" / "same")
    os.link(root / "thesis" / "big", root / "thesis" / "data" / "big too")
    os.link(root / "thesis" / "empty", root / "thesis" / "nothing too")


def store_of(bench: Bench) -> FolderStore:
    return FolderStore(bench.target.as_uri(), make_settings({"part_size": "5M"}, {}, {}))


def back(bench: Bench, to: Path | str = "", *patterns: str, **options: Any) -> Any:
    return bring_back(store_of(bench), bench.catalogue, to, patterns or ("*",), **options)


@pytest.mark.parametrize("settings", [{}, {"pack_below": 0}, {"pack_size": 5 * MIB}])
def test_everything_comes_back_as_it_was(bench: Bench, tmp_path: Path, settings: dict[str, Any]) -> None:
    fill(bench.root)
    bench.run(**settings)
    restored = back(bench, tmp_path / "out")
    assert not restored.failed
    assert same_trees(bench.root, tmp_path / "out")
    out = tmp_path / "out" / "thesis"
    assert (out / "a.txt").samefile(out / "deep" / "same")
    assert (out / "big").samefile(out / "data" / "big too")
    assert (out / "empty").samefile(out / "nothing too")
    assert (out / "hollow").stat().st_mtime_ns == (bench.root / "thesis" / "hollow").stat().st_mtime_ns


def test_another_device_needs_nothing_but_the_target(bench: Bench, tmp_path: Path) -> None:
    fill(bench.root)
    bench.run()
    bench.catalogue = tmp_path / "elsewhere" / "new.sqlite"
    assert not back(bench, tmp_path / "out").failed
    assert same_trees(bench.root, tmp_path / "out")


def test_an_item_goes_back_to_where_it_was(bench: Bench) -> None:
    fill(bench.root)
    bench.run()
    before = read_tree(bench.root)
    shutil.rmtree(bench.root / "thesis")
    assert not back(bench, "", "thesis").failed
    assert {path: entry._replace(atime_ns=0) for path, entry in before.items()} == {
        path: entry._replace(atime_ns=0) for path, entry in read_tree(bench.root).items()
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("thesis/data/run7.csv", {"run7.csv"}),
        ("thesis/data/run1?.csv", {f"run1{n}.csv" for n in range(10)}),
        ("thesis/deep", {"deep", "deep/-rf", "deep/" + "n" * 255, "deep/" + BAD, "deep/same"}),
        ("thesis/**/same", {"deep", "deep/same"}),
        ("note.md", {"note.md"}),
        ("thes*/link", {"thesis", "thesis/link"}),
        ("thesis/[!a-z]*", set()),
    ],
)
def test_a_part_comes_back_alone(bench: Bench, tmp_path: Path, pattern: str, expected: set[str]) -> None:
    fill(bench.root)
    bench.run()
    restored = back(bench, tmp_path / "out", pattern)
    assert bool(restored.failed) == (not expected), "that nothing has the name is said"
    assert (set(read_tree(tmp_path / "out")) if expected else set()) == expected


def test_a_name_whose_first_name_was_not_asked_for_comes_back_with_its_contents(bench: Bench, tmp_path: Path) -> None:
    fill(bench.root)
    bench.run()
    assert not back(bench, tmp_path / "out", "thesis/deep/same", "thesis/data/big too").failed
    assert (tmp_path / "out" / "same").read_text() == "alpha"
    assert (tmp_path / "out" / "big too").read_bytes() == (bench.root / "thesis" / "big").read_bytes()


def test_one_small_file_costs_its_frame_and_not_the_pack(bench: Bench, tmp_path: Path) -> None:
    spec = {f"f{n:03}": File(os.urandom(64 * 1024), age_days=400) for n in range(100)}
    make_tree(bench.root, {"item": spec}, now=NOW)
    bench.run()
    read: list[tuple[str, int | None]] = []

    class Counting(FolderStore):
        def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Any:
            read.append((key, length))
            return super().read(key, offset=offset, length=length)

    store = Counting(bench.target.as_uri(), make_settings({}, {}, {}))
    assert bring_back(store, bench.catalogue, tmp_path / "out", ["item/f050"]).files == 1
    assert len(read) == 1
    assert 0 < (read[0][1] or 0) < 1.2 * MIB


def test_what_is_there_with_the_same_contents_is_not_fetched_again(bench: Bench, tmp_path: Path) -> None:
    fill(bench.root)
    bench.run()
    back(bench, tmp_path / "out")
    for key in bench.listed("data/"):
        (bench.target / key).unlink()
    again = back(bench, tmp_path / "out")
    assert not again.failed
    assert again.files == 0
    assert same_trees(bench.root, tmp_path / "out")


@pytest.mark.parametrize("how", ["refuse", "skip", "overwrite", "both"])
@pytest.mark.parametrize("kind", ["file", "link", "folder", "large"])
def test_what_is_in_the_way_is_treated_as_was_wished(bench: Bench, tmp_path: Path, how: Any, kind: str) -> None:
    contents = os.urandom(6 * MIB) if kind == "large" else b"archived"
    make_tree(bench.root, {"item": {"a.txt": File(contents, age_days=400), "b": File("b", age_days=400)}}, now=NOW)
    bench.run()
    out = tmp_path / "out"
    mine = out / "item" / "a.txt"
    make_tree(
        out,
        {"item": {"a.txt": {"file": "mine", "large": "mine", "link": Link("b"), "folder": {"x": "mine"}}[kind]}},
        now=NOW,
    )
    before = read_tree(out)
    restored = back(bench, out, on_conflict=how)
    is_replaced = how == "overwrite" and kind != "folder"
    assert (mine.read_bytes() if is_replaced else read_tree(out)["item/a.txt"]) == (
        contents if is_replaced else before["item/a.txt"]
    )
    assert len(restored.failed) == (how == "refuse" or (how == "overwrite" and kind == "folder"))
    assert restored.skipped == (how == "skip")
    if how == "both":
        assert (out / "item" / "a (restored).txt").read_bytes() == contents
    assert (out / "item" / "b").read_text() == "b"


def test_the_newest_archive_is_taken_or_that_of_a_date(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"a": File("first", age_days=400)}}, now=NOW)
    bench.run(now=NOW - timedelta(days=10))
    make_tree(bench.root, {"item": {"a": File("second!", age_days=300)}}, now=NOW)
    bench.run()
    back(bench, tmp_path / "new", "item")
    back(bench, tmp_path / "old", "item", at=NOW - timedelta(days=1))
    assert (tmp_path / "new" / "item" / "a").read_text() == "second!"
    assert (tmp_path / "old" / "item" / "a").read_text() == "first"
    with pytest.raises(UsageError, match="was not archived yet on"):
        back(bench, tmp_path / "older", "item", at=NOW - timedelta(days=11))


def test_the_same_item_of_two_devices_is_asked_about_and_kept_apart(bench: Bench, tmp_path: Path) -> None:
    for scope, text in (("laptop/Documents", "mine"), ("desktop/Documents", "other")):
        make_tree(bench.root, {"item": {"a": File(text, age_days=400)}}, now=NOW)
        bench.run(scope=scope, device=scope.partition("/")[0])
    with pytest.raises(UsageError, match=r"archived from 2 places, listed above: choose one with --id"):
        back(bench, tmp_path / "one", "item")
    assert not back(bench, tmp_path / "all").failed
    assert (tmp_path / "all" / "laptop" / "Documents" / "item" / "a").read_text() == "mine"
    assert (tmp_path / "all" / "desktop" / "Documents" / "item" / "a").read_text() == "other"


def test_holes_come_back_as_holes(bench: Bench, tmp_path: Path) -> None:
    item = bench.root / "item"
    item.mkdir()
    with open(item / "disk.img", "wb") as file:
        file.truncate(30 * MIB)
        file.seek(17 * MIB)
        file.write(b"data")
    os.utime(item / "disk.img", (1, 1))
    bench.run()
    assert not back(bench, tmp_path / "out").failed
    out = tmp_path / "out" / "item" / "disk.img"
    assert out.read_bytes() == (item / "disk.img").read_bytes()
    assert out.stat().st_blocks * 512 <= MIB


def test_extended_attributes_come_back(bench: Bench, tmp_path: Path) -> None:
    make_tree(
        bench.root, {"item": {"a": File("x", age_days=400), "big": File(os.urandom(6 * MIB), age_days=400)}}, now=NOW
    )
    try:
        for path in ("item", "item/a", "item/big"):
            os.setxattr(bench.root / path, "user.note", b"\0\xff" + path.encode())
    except OSError:
        pytest.skip("this filesystem has no extended attributes")
    bench.run()
    assert not back(bench, tmp_path / "out").failed
    for path in ("item", "item/a", "item/big"):
        assert os.getxattr(tmp_path / "out" / path, "user.note") == b"\0\xff" + path.encode()


def test_setuid_is_not_brought_back_and_that_is_said(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"tool": File("x", age_days=400, mode=0o4755)}}, now=NOW)
    bench.run()
    restored = back(bench, tmp_path / "out")
    assert (tmp_path / "out" / "item" / "tool").stat().st_mode & 0o7777 == 0o755
    assert [(one.item, one.reason) for one in restored.lost] == [("item/tool", "its setuid bit")]


def test_a_folder_that_refuses_its_rights_is_named_and_the_others_get_theirs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = File("x", age_days=400)
    make_tree(bench.root, {"item": {"bad": {"file": file}, "good": {"file": file}}}, now=NOW)
    os.chmod(bench.root / "item" / "good", 0o750)
    bench.run()
    fchmod = os.fchmod

    def refusing(fd: int, mode: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/bad"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        fchmod(fd, mode)

    monkeypatch.setattr(os, "fchmod", refusing)
    restored = back(bench, tmp_path / "out")
    assert [tuple(one) for one in restored.lost] == [("item/bad", "its permissions: operation not permitted")]
    assert (tmp_path / "out" / "item" / "good").stat().st_mode & 0o777 == 0o750


# -- faults -------------------------------------------------------------------------------------------


def damage(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_pack_costs_the_files_of_its_frame_and_they_are_named(bench: Bench, tmp_path: Path) -> None:
    spec = {f"f{n:03}": File(os.urandom(100_000), age_days=400) for n in range(40)}
    make_tree(bench.root, {"item": spec}, now=NOW)
    bench.run()
    (pack,) = [key for key in bench.listed("data/") if key.endswith(".tar.zst")]
    damage(bench.target / pack, 50_000)
    restored = back(bench, tmp_path / "out")
    names = {one.item for one in restored.failed}
    assert names == {f"item/f{n:03}" for n in range(len(names))}
    assert 0 < len(names) < 15
    assert restored.files == 40 - len(names)
    out = read_tree(tmp_path / "out")
    assert all(
        out[f"item/{name}"].contents == read_tree(bench.root)[f"item/{name}"].contents
        for name in spec
        if f"item/{name}" not in names
    )
    assert not names & set(out)


def test_a_damaged_large_file_is_not_written(bench: Bench, tmp_path: Path) -> None:
    make_tree(
        bench.root, {"item": {"big": File(os.urandom(11 * MIB), age_days=400), "b": File("b", age_days=9)}}, now=NOW
    )
    bench.run(days=5)
    (big,) = [key for key in bench.listed("data/") if key.endswith("/big")]
    damage(bench.target / big, 7 * MIB)
    restored = back(bench, tmp_path / "out")
    assert [one.item for one in restored.failed] == ["item/big"]
    assert "other bytes" in restored.failed[0].reason
    assert set(read_tree(tmp_path / "out")) == {"item", "item/b"}


def test_a_missing_object_is_named_and_the_rest_comes_back(bench: Bench, tmp_path: Path) -> None:
    fill(bench.root)
    bench.run()
    (big,) = [key for key in bench.listed("data/") if key.endswith("/big")]
    (bench.target / big).unlink()
    restored = back(bench, tmp_path / "out")
    assert {one.item for one in restored.failed} == {"thesis/big", "thesis/data/big too"}
    missing = set(read_tree(bench.root)) - set(read_tree(tmp_path / "out"))
    assert missing == {"thesis/big", "thesis/data/big too"}


@pytest.mark.parametrize("part", range(3))
def test_a_restore_killed_at_any_step_leaves_no_half_file_and_is_finished_by_the_next(
    bench: Bench, tmp_path: Path, part: int
) -> None:
    fill(bench.root)
    bench.run()
    before = read_tree(bench.root)
    points = 0
    for step in range(1 + part, 3000, 3 * 12):
        out = tmp_path / f"out{step}"
        if not run_and_die(lambda out=out: back(bench, out), at=step):  # type: ignore[misc]
            break
        points += 1
        for path, entry in read_tree(out).items() if out.exists() else ():
            assert entry.contents == before[path].contents, "a half file bears a name"
        assert not back(bench, out).failed
        assert same_trees(bench.root, out)
    assert points >= 6


def test_a_restore_killed_between_a_link_and_its_time_is_finished_by_the_next(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, {"item": {"a": File("a", age_days=400), "link": Link("a", age_days=300)}}, now=NOW)
    bench.run()
    out = tmp_path / "out"

    def restore_until_the_link() -> None:
        def killing(*arguments: Any, **options: Any) -> None:
            link(*arguments, **options)
            die()

        link, os.symlink = os.symlink, killing  # type: ignore[assignment]
        back(bench, out)

    assert run_and_die(restore_until_the_link, at=NEVER)
    assert (out / "item" / "link").is_symlink()
    assert not back(bench, out).failed
    assert same_trees(bench.root, out)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk asks for root")
def test_a_full_disk_stops_the_restore_and_no_half_file_has_a_name(bench: Bench, tmp_path: Path) -> None:
    fill(bench.root)
    bench.run()
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=4m tmpfs {disk}"):
        pytest.skip("no tmpfs may be mounted here")
    try:
        with pytest.raises(DestinationUnusable, match="no space left"):
            back(bench, disk / "out")
        before = read_tree(bench.root)
        assert all(entry.contents == before[path].contents for path, entry in read_tree(disk / "out").items())
    finally:
        is_busy = os.system(f"umount {disk}")
    assert not is_busy, "an error keeps no folder open"
    assert not back(bench, tmp_path / "out").failed
    assert same_trees(bench.root, tmp_path / "out")
