"""Restored entries come back as they were, never outside their folder, never half, never over something else."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from archive_tasks.disk import give_name as naming
from archive_tasks.disk.attributes import Owners, set_attributes
from archive_tasks.disk.destination import Destination
from archive_tasks.disk.give_name import OnConflict, Written, names_beside
from archive_tasks.errors import ArchiveTasksError, DestinationUnusable, EntryError, EntryOccupied
from archive_tasks.model import Attributes
from archive_tasks.testing.trees import TreeEntry, read_tree
from tests.support.destinations import MTIME, PLAIN, fill, names

BLOCK = 4096
MIB = 1024 * 1024
DAY = 86_400
LEFTOVER = ".0123456789abcdef.restoring"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "destination"
    made.mkdir()
    return made


@pytest.fixture
def destination(folder: Path) -> Iterator[Destination]:
    with Destination(str(folder)) as opened:
        yield opened


@pytest.fixture(params=["nameless", "nameless, never named", "link", "rename", "look and rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way that a file gets its name; the poorer ones by taking away what a filesystem may lack."""
    if request.param == "nameless, never named":
        monkeypatch.setattr(os, "link", only_named(os.link))
    elif request.param != "nameless":
        monkeypatch.setattr(naming, "open_nameless", unsupported)
    if "rename" in request.param:
        monkeypatch.setattr(os, "link", unsupported)
    if request.param == "look and rename":
        monkeypatch.setattr("archive_tasks.disk.rename._in_one_step", lambda: None)
    return str(request.param)


def unsupported(*_arguments: Any, **_keywords: Any) -> NoReturn:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def only_named(link: Any) -> Any:
    """os.link where what /proc tells of cannot be linked."""

    def linking(old: str, new: str, **keywords: Any) -> None:
        unsupported() if old.startswith("/proc/") else link(old, new, **keywords)

    return linking


def full(*_arguments: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# ---- round trips -----------------------------------------------------------------------------------------------


def test_a_file_comes_back_with_its_bytes_its_permissions_and_its_time(destination: Destination, folder: Path) -> None:
    data = os.urandom(10_000)
    assert destination.put_file("a.bin", data, PLAIN) == Written("a.bin", ())
    facts = (folder / "a.bin").stat()
    assert (folder / "a.bin").read_bytes() == data
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime_ns, facts.st_nlink) == (0o640, MTIME, 1)


def test_an_empty_file_comes_back(destination: Destination, folder: Path) -> None:
    destination.put_file("empty", b"", PLAIN)
    assert (folder / "empty").stat().st_size == 0


@pytest.mark.parametrize("mode", [0o000, 0o200, 0o444, 0o755, 0o777])
@pytest.mark.parametrize("mask", [0o000, 0o027, 0o777])
def test_permissions_do_not_depend_on_the_umask(folder: Path, mode: int, mask: int, way: str) -> None:
    with umask(mask), Destination(str(folder)) as destination:
        destination.put_file("f", b"x", Attributes(mode=mode, mtime_ns=0))
    assert stat.S_IMODE((folder / "f").stat().st_mode) == mode


def test_special_bits_of_a_file_are_dropped_and_told(destination: Destination, folder: Path) -> None:
    written = destination.put_file("f", b"x", Attributes(mode=0o7755, mtime_ns=0))
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o755
    assert [word for word in ("setuid", "setgid", "sticky") if any(word in line for line in written.lost)] == [
        "setuid",
        "setgid",
        "sticky",
    ]


def test_a_folder_keeps_setgid_and_sticky_and_drops_setuid(destination: Destination, folder: Path) -> None:
    destination.make_folder("d")
    (lost,) = destination.finish_folder("d", Attributes(mode=0o7751, mtime_ns=MTIME))
    facts = (folder / "d").stat()
    assert (stat.S_IMODE(facts.st_mode), facts.st_mtime_ns) == (0o3751, MTIME)
    assert "setuid" in lost


def test_a_folder_is_its_owners_alone_while_it_is_filled(destination: Destination, folder: Path) -> None:
    with umask(0):
        assert destination.make_folder("a/b")
    assert not destination.make_folder("a")
    assert not destination.make_folder("a/b")
    assert [stat.S_IMODE((folder / path).stat().st_mode) for path in ("a", "a/b")] == [0o700, 0o700]


def test_extended_attributes_come_back_even_on_what_may_not_be_written(destination: Destination, folder: Path) -> None:
    extended = {"user.note": b"\0\xff", "user.empty": b""}
    attributes = Attributes(mode=0o444, mtime_ns=MTIME, xattrs=extended)
    destination.make_folder("d")
    assert destination.put_file("f", b"x", attributes).lost == ()
    assert destination.finish_folder("d", attributes) == []
    for path in (folder / "f", folder / "d"):
        assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == extended
        assert path.stat().st_mtime_ns == MTIME


def test_an_extended_attribute_that_cannot_be_set_is_told_and_the_file_is_there(
    destination: Destination, folder: Path
) -> None:
    extended = {"nonsense.a": b"1", "user.b": b"2", "user.\0": b"3"}
    lost = destination.put_file("f", b"x", Attributes(mode=0o600, mtime_ns=0, xattrs=extended)).lost
    assert os.getxattr(folder / "f", "user.b") == b"2"
    assert len(lost) == 2
    assert "nonsense.a" in lost[0]


def test_without_root_nothing_is_said_of_owners_and_their_own_attributes_are_told(folder: Path) -> None:
    theirs = Attributes(mode=0o600, mtime_ns=0, uid=12345, gid=12345, user="daemon", xattrs={"security.x": b"1"})
    fd = os.open(folder / "f", os.O_CREAT | os.O_RDWR)
    lost = set_attributes(fd, theirs, Owners(as_root=False), bits=0o777)
    assert os.fstat(fd).st_uid == os.geteuid()
    os.close(fd)
    assert len(lost) == 1
    assert "security.x" in lost[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set them at all")
def test_what_gives_a_program_power_is_not_brought_back_by_root_either(destination: Destination, folder: Path) -> None:
    net_raw = bytes.fromhex("0100000200200000000000000000000000000000")
    (folder / "probe").touch()
    os.setxattr(folder / "probe", "security.capability", net_raw)
    mine = {"security.capability": net_raw, "user.note": b"x", "trusted.a": b"y"}
    (lost,) = destination.put_file("ping", b"x", Attributes(mode=0o755, mtime_ns=0, xattrs=mine)).lost
    assert "security.capability" in lost
    assert sorted(os.listxattr(folder / "ping")) == ["trusted.a", "user.note"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_restores_the_owner_by_name_before_number(destination: Destination, folder: Path) -> None:
    known = Attributes(mode=0o600, mtime_ns=0, uid=4242, gid=4343, user="daemon", group="no such group")
    destination.put_file("file", b"x", known)
    destination.make_link("link", "file", known)
    for path in ("file", "link"):
        facts = (folder / path).lstat()
        assert (facts.st_uid, facts.st_gid) == (int(daemon_uid()), 4343)


def daemon_uid() -> str:
    return next(
        line.split(":")[2] for line in Path("/etc/passwd").read_text().splitlines() if line.startswith("daemon:")
    )


def test_numbers_that_no_system_takes_are_told_and_the_entry_is_there(destination: Destination, folder: Path) -> None:
    absurd = Attributes(mode=10**30 | 0o644, mtime_ns=10**40, uid=10**30, gid=-5, user="\0", group="\udcff")
    assert any("time" in line for line in destination.put_file("f", b"x", absurd).lost)
    assert any("time" in line for line in destination.make_link("l", "f", absurd).lost)
    assert stat.S_IMODE((folder / "f").stat().st_mode) == 0o644


def test_times_before_1970_come_back(destination: Destination, folder: Path) -> None:
    destination.put_file("f", b"", Attributes(mode=0o600, mtime_ns=-1_500_000_001))
    assert (folder / "f").stat().st_mtime_ns == -1_500_000_001


@pytest.mark.parametrize("target", ["here", "/etc/passwd", "../../outside", "self", "a\nb", "\udcff", "x" * 4000])
def test_a_symlink_comes_back_as_it_was_wherever_it_points(destination: Destination, folder: Path, target: str) -> None:
    assert destination.make_link("self", target, PLAIN) == Written("self", ())
    assert os.readlink(folder / "self") == target
    assert (folder / "self").lstat().st_mtime_ns == MTIME


@pytest.mark.parametrize("target", ["", "a\0b", "\ud800", "x" * 5000])
def test_a_target_that_no_symlink_can_have_is_refused(destination: Destination, folder: Path, target: str) -> None:
    with pytest.raises(EntryError):
        destination.make_link("link", target, PLAIN)
    assert names(folder) == []


def test_a_symlinks_extended_attributes_are_told(destination: Destination) -> None:
    (lost,) = destination.make_link("l", "x", Attributes(mode=0o777, mtime_ns=0, xattrs={"trusted.a": b""})).lost
    assert "trusted.a" in lost


def test_hard_links_come_back_as_one_file(destination: Destination, folder: Path) -> None:
    destination.make_folder("d")
    destination.put_file("first", b"x", PLAIN)
    assert destination.make_hardlink("d/second", "first") == Written("d/second", ())
    assert (folder / "d/second").samefile(folder / "first")


def test_a_large_file_is_written_in_any_order_by_several_threads(destination: Destination, folder: Path) -> None:
    data = os.urandom(3 * MIB + 17)
    with destination.new_file("big", len(data)) as file, ThreadPoolExecutor(4) as pool:
        pieces = [pool.submit(file.write, at, data[at : at + 100_000]) for at in reversed(range(0, len(data), 100_000))]
        [piece.result() for piece in pieces]
        assert names(folder) == []
        file.publish(PLAIN)
    assert (folder / "big").read_bytes() == data


def test_large_files_are_flushed_before_they_get_their_name_and_small_ones_are_not(
    destination: Destination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[int, list[str]]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append((os.fstat(fd).st_size, names(folder))))
    destination.put_file("small", bytes(MIB - 1), PLAIN)
    destination.put_file("large", bytes(MIB), PLAIN)
    assert flushed == [(MIB, ["small"])]


def test_holes_stay_holes_at_odd_offsets_too(destination: Destination, folder: Path) -> None:
    data = b"a" * 5000 + bytes(2 * MIB) + b"b" * 100 + bytes(MIB)
    with destination.new_file("sparse", len(data), sparse=True) as file:
        for at in range(0, len(data), 77_777):
            file.write(at, data[at : at + 77_777])
        file.publish(PLAIN)
    facts = (folder / "sparse").stat()
    assert (folder / "sparse").read_bytes() == data
    # a piece begins inside a block: that block is written, zeros or not
    assert facts.st_blocks * 512 <= (4 + len(data) // 77_777 * 2) * BLOCK


def test_a_large_file_that_cannot_be_named_is_copied_once_with_its_holes_and_attributes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", only_named(os.link))
    data = os.urandom(MIB + 5) + bytes(4 * MIB) + b"end"
    attributes = PLAIN._replace(mode=0o440, xattrs={"user.note": b"x"})
    with Destination(str(folder)) as destination:
        for name in ("one", "two"):
            with destination.new_file(name, len(data), sparse=True) as file:
                file.write(0, data)
                assert len(names(folder)) == (0 if name == "one" else 2)
                file.publish(attributes)
    for path in (folder / "one", folder / "two"):
        facts = path.stat()
        assert path.read_bytes() == data
        assert (stat.S_IMODE(facts.st_mode), facts.st_mtime_ns, os.getxattr(path, "user.note")) == (0o440, MTIME, b"x")
        assert facts.st_blocks * 512 < 2 * MIB
    assert names(folder) == ["one", "two"]


def test_zeros_over_a_damaged_first_try_are_written(destination: Destination, folder: Path) -> None:
    with destination.new_file("sparse", 4 * BLOCK, sparse=True) as file:
        file.write(0, b"damaged!" * 1024)
        file.write(0, bytes(4 * BLOCK))
        file.publish(PLAIN)
    assert (folder / "sparse").read_bytes() == bytes(4 * BLOCK)


def test_holds_tells_the_same_contents_from_all_else(destination: Destination, folder: Path) -> None:
    fill(folder, {"same": b"x" * 10, "other": b"y" * 10, "longer": b"x" * 11})
    os.symlink("same", folder / "link")
    os.mkdir(folder / "d")
    os.mkfifo(folder / "pipe")
    digest = hashlib.sha256(b"x" * 10).hexdigest()
    paths = ["same", "other", "longer", "link", "d", "pipe", "missing", "missing/below"]
    assert [path for path in paths if destination.holds(path, size=10, sha256=digest)] == ["same"]


def test_find_tells_what_is_there_itself(destination: Destination, folder: Path) -> None:
    os.symlink("/nowhere", folder / "link")
    found = destination.find("link")
    assert found is not None
    assert stat.S_ISLNK(found.st_mode)
    assert destination.find("missing") is None
    assert destination.find("missing/below/it") is None
    with pytest.raises(EntryError):
        destination.find("link/below")


# ---- names -----------------------------------------------------------------------------------------------------


def test_every_byte_that_a_name_can_have_comes_back(destination: Destination, folder: Path) -> None:
    every = [bytes([code]) for code in range(1, 256) if code not in b"/."]
    for raw in every:
        assert destination.put_file(os.fsdecode(raw), raw, PLAIN).path == os.fsdecode(raw)
    assert sorted(os.listdir(os.fsencode(folder))) == sorted(every)
    assert len(every) == 253  # with the dot, which alone is no name, all 254


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "a\nb", ".. ", "...", "-rf", "\udcff\udc80", " ", "‮x", "a\\b"])
def test_an_odd_name_comes_back(destination: Destination, folder: Path, name: str) -> None:
    destination.make_folder(f"d/{name}")
    destination.put_file(f"d/{name}/{name}", b"x", PLAIN)
    destination.make_link(f"d/{name}/{name[:-1]}l", name, PLAIN)
    assert (folder / "d" / name / name).read_bytes() == b"x"


def test_a_depth_of_300_long_names_is_no_obstacle(destination: Destination, folder: Path) -> None:
    path = "/".join(["n" * 200] * 300)
    assert destination.make_folder(path)
    destination.put_file(f"{path}/f", b"deep", PLAIN)
    assert destination.holds(f"{path}/f", size=4, sha256=hashlib.sha256(b"deep").hexdigest())
    assert destination.finish_folder(path, Attributes(mode=0o755, mtime_ns=1)) == []
    found = destination.find(path)
    assert found is not None
    assert found.st_mtime_ns == 1
    subprocess.run(["rm", "-rf", str(folder / ("n" * 200))], check=True)


def test_handles_stay_few_and_are_all_given_back(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Destination(str(folder)) as destination:
        for number in range(150):
            destination.make_folder(f"{number}/below")
            destination.put_file(f"{number}/below/f", b"x", PLAIN)
            with suppress(EntryError):
                destination.put_file(f"{number}/below/f", b"x", PLAIN)
        assert len(os.listdir("/proc/self/fd")) <= before + 66
    destination.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_is_finished_though_its_folder_dropped_out_of_the_cache(destination: Destination, folder: Path) -> None:
    destination.make_folder("first")
    file = destination.new_file("first/f", 1)
    for number in range(100):
        destination.make_folder(f"{number}")
    file.write(0, b"x")
    file.publish(PLAIN)
    assert (folder / "first/f").read_bytes() == b"x"


# ---- conflicts -------------------------------------------------------------------------------------------------


def occupy(folder: Path, kind: str) -> None:
    path = folder / "taken"
    if kind == "file":
        path.write_bytes(b"the user's")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (folder / "other").write_bytes(b"the user's")
        os.symlink("other" if kind == "link" else "nowhere", path)


def restore(destination: Destination, what: str) -> Written:
    """Restore `taken` as a file, large or small, as a symlink or as a hard link of `first`."""
    if what == "link":
        return destination.make_link("taken", "new target", PLAIN)
    if what == "hard link":
        return destination.make_hardlink("taken", "first")
    if what == "small":
        return destination.put_file("taken", b"new", PLAIN)
    with destination.new_file("taken", 3) as file:
        file.write(0, b"new")
        return file.publish(PLAIN)


KINDS = ["file", "link", "dangling link", "folder", "pipe"]
WHAT = ["small", "large", "link", "hard link"]


def is_new(path: Path, what: str) -> bool:
    if what == "link":
        return path.is_symlink() and os.readlink(path) == "new target"
    return stat.S_ISREG(path.lstat().st_mode) and path.read_bytes() == b"new"


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("kind", KINDS)
def test_refuse_leaves_everything_as_it_is(folder: Path, kind: str, what: str) -> None:
    fill(folder, {"first": b"new"})
    occupy(folder, kind)
    before = tree(folder)
    with Destination(str(folder)) as destination, pytest.raises(EntryOccupied, match="taken"):
        restore(destination, what)
    assert tree(folder) == before


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("kind", KINDS)
def test_overwrite_replaces_a_file_or_a_link_and_nothing_else(folder: Path, kind: str, what: str) -> None:
    fill(folder, {"first": b"new"})
    occupy(folder, kind)
    before = tree(folder)
    with Destination(str(folder), on_conflict="overwrite") as destination:
        if kind in {"folder", "pipe"}:
            with pytest.raises(EntryOccupied, match="taken"):
                restore(destination, what)
            assert tree(folder) == before
        else:
            assert restore(destination, what).path == "taken"
            assert without_taken(tree(folder)) == without_taken(before)
            assert is_new(folder / "taken", what)


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("kind", KINDS)
def test_both_leaves_everything_and_puts_the_new_one_beside(folder: Path, kind: str, what: str) -> None:
    fill(folder, {"first": b"new"})
    occupy(folder, kind)
    before = tree(folder)
    with Destination(str(folder), on_conflict="both") as destination:
        assert restore(destination, what).path == "taken (restored)"
        assert restore(destination, what).path == "taken (restored 2)"
    after = tree(folder)
    assert {path: after[path] for path in before} == before
    assert is_new(folder / "taken (restored)", what)
    assert is_new(folder / "taken (restored 2)", what)
    assert len(after) == len(before) + 2


def tree(folder: Path) -> dict[str, TreeEntry | str]:
    """`read_tree`, which opens what it meets, kept away from the pipe."""
    if any(entry.is_fifo() for entry in folder.iterdir()):
        return {entry.name: stat.filemode(entry.lstat().st_mode) for entry in folder.iterdir()}
    return dict(read_tree(folder))


def without_taken(seen: dict[str, TreeEntry | str]) -> dict[str, TreeEntry | str]:
    return {path: entry for path, entry in seen.items() if path != "taken"}


def test_overwriting_a_name_of_the_same_file_leaves_no_temporary_name(folder: Path) -> None:
    fill(folder, {"first": b"x"})
    os.link(folder / "first", folder / "second")
    with Destination(str(folder), on_conflict="overwrite") as destination:
        destination.make_hardlink("second", "first")
    assert names(folder) == ["first", "second"]


def test_overwriting_one_name_of_a_file_leaves_its_other_name_alone(folder: Path) -> None:
    fill(folder, {"one": b"the user's"})
    os.link(folder / "one", folder / "two")
    with Destination(str(folder), on_conflict="overwrite") as destination:
        destination.put_file("one", b"new", PLAIN)
    assert ((folder / "one").read_bytes(), (folder / "two").read_bytes()) == (b"new", b"the user's")


def test_names_beside_keep_their_ending_and_stay_within_255_bytes() -> None:
    def first_two(name: str) -> list[str]:
        names = names_beside(name)
        return [next(names), next(names)]

    assert first_two("a.txt") == ["a (restored).txt", "a (restored 2).txt"]
    assert first_two(".bashrc") == [".bashrc (restored)", ".bashrc (restored 2)"]
    for name in ("n" * 251 + ".txt", "ä" * 127, "x." + "e" * 253, "\udcff" * 255):
        for beside in first_two(name):
            raw = os.fsencode(beside)
            assert 240 < len(raw) <= 255
            assert b"(restored" in raw
            assert raw.decode(errors="surrogateescape") == beside


def test_a_name_of_255_bytes_can_stand_beside_its_like(folder: Path) -> None:
    name = "ü" * 125 + ".jpeg"
    fill(folder, {name: b"old"})
    with Destination(str(folder), on_conflict="both") as destination:
        written = destination.put_file(name, b"new", PLAIN)
    assert (folder / written.path).read_bytes() == b"new"
    assert written.path.endswith(" (restored).jpeg")


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "pipe"])
@pytest.mark.parametrize("policy", ["refuse", "overwrite", "both"])
def test_what_is_no_folder_is_never_used_as_one(folder: Path, kind: str, policy: OnConflict) -> None:
    occupy(folder, kind)
    before = tree(folder)
    with Destination(str(folder), on_conflict=policy) as destination:
        for path in ("taken", "taken/below"):
            with pytest.raises(EntryOccupied, match="taken"):
                destination.make_folder(path)
        with pytest.raises(EntryOccupied, match="taken"):
            destination.put_file("taken/f", b"x", PLAIN)
    assert tree(folder) == before


def test_a_conflict_is_told_before_anything_is_fetched(folder: Path) -> None:
    occupy(folder, "file")
    with Destination(str(folder)) as destination, pytest.raises(EntryOccupied):
        destination.new_file("taken", MIB)


# ---- filesystems that can do less ------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["refuse", "overwrite", "both"])
def test_every_way_keeps_to_the_policy_and_leaves_no_other_name(folder: Path, way: str, policy: OnConflict) -> None:
    fill(folder, {"taken": b"old"})
    with Destination(str(folder), on_conflict=policy) as destination:
        destination.put_file("free", b"new", PLAIN)
        if policy == "refuse":
            with pytest.raises(EntryOccupied):
                destination.put_file("taken", b"new", PLAIN)
        else:
            destination.put_file("taken", b"new", PLAIN)
        assert stat.S_IMODE((folder / "free").stat().st_mode) == 0o640
    expected = {"free": b"new", "taken": b"new" if policy == "overwrite" else b"old"}
    if policy == "both":
        expected["taken (restored)"] = b"new"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected


def test_every_way_shows_nothing_under_the_right_name_before_it_is_whole(folder: Path, way: str) -> None:
    with Destination(str(folder)) as destination, destination.new_file("f", 4) as file:
        file.write(0, b"ha")
        assert "f" not in names(folder)
        assert len(names(folder)) == (0 if way.startswith("nameless") else 1)
        file.discard()
        assert names(folder) == []


def test_a_temporary_name_is_its_owners_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "open_nameless", unsupported)
    with umask(0), Destination(str(folder)) as destination, destination.new_file("f", 4):
        (name,) = names(folder)
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_leftovers_of_a_crash_are_removed_after_a_day_and_nothing_else_is(folder: Path) -> None:
    (folder / "d").mkdir()
    kept = ["a.restoring", ".x.restoring", f"{LEFTOVER}.txt", ".0123456789abcdef", ".0123456789ABCDEF.restoring"]
    for where in (folder, folder / "d"):
        fill(where, dict.fromkeys([*kept, LEFTOVER], b"x"))
        os.utime(where / LEFTOVER, (1, 1))  # its time is the restored one, and tells nothing
    (folder / LEFTOVER.replace("0", "f")).mkdir()
    with Destination(str(folder), clock=lambda: time.time() + DAY - 60) as young:
        young.make_folder("d")
    assert LEFTOVER in names(folder)
    assert LEFTOVER in names(folder / "d")
    with Destination(str(folder), clock=lambda: time.time() + DAY + 60) as old:
        old.make_folder("d")
    assert names(folder) == sorted([*kept, "d", LEFTOVER.replace("0", "f")])
    assert names(folder / "d") == sorted(kept)


# ---- what goes wrong -------------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_run_and_shows_no_name(folder: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Destination(str(folder)) as destination:
        destination.put_file("before", b"x", PLAIN)
        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(DestinationUnusable, match="no space left"):
            destination.put_file("f", b"x", PLAIN)
        with destination.new_file("g", 1) as file, pytest.raises(DestinationUnusable, match="no space left"):
            file.write(0, b"x")
    assert names(folder) == ["before"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting asks for root")
def test_a_really_full_disk_shows_no_name(tmp_path: Path) -> None:
    mounted = tmp_path / "small"
    mounted.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", mounted], capture_output=True, check=False
    ).returncode:
        pytest.skip("no filesystem can be mounted here")
    try:
        whole: list[str] = []
        with Destination(str(mounted)) as destination, pytest.raises(DestinationUnusable, match="no space left"):
            whole.extend(destination.put_file(f"{number}", bytes(range(250)) * 40, PLAIN).path for number in range(100))
        assert 10 < len(whole) < 30
        assert names(mounted) == sorted(whole)
        assert {path.stat().st_size for path in mounted.iterdir()} == {10_000}
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_write_that_the_system_cuts_short_is_gone_on_with(
    destination: Destination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, bytes(data)[:1000], offset))
    data = os.urandom(4321)
    destination.put_file("f", data, PLAIN)
    assert (folder / "f").read_bytes() == data


def test_a_file_that_did_not_get_all_its_bytes_gets_no_name(folder: Path, way: str) -> None:
    with Destination(str(folder)) as destination:
        file = destination.new_file("f", 10)
        file.write(0, b"123456789")
        with pytest.raises(EntryError, match="shorter"):
            file.publish(PLAIN)
        with destination.new_file("g", 2) as other, pytest.raises(EntryError, match="longer"):
            other.write(1, b"12")
        with pytest.raises(EntryError):
            destination.new_file("h", -1)
        with pytest.raises(EntryError):
            destination.new_file("h", 2**70, sparse=True)
        with pytest.raises(EntryError):
            destination.new_file("h", 2**63 - 1, sparse=True)
    assert names(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="root may write everywhere, and another user must be asked for")
def test_a_folder_that_may_not_be_written_is_told_and_the_run_goes_on(folder: Path) -> None:
    (folder / "theirs").mkdir(mode=0o555)
    os.chmod(folder, 0o777)
    child = os.fork()
    if child == 0:
        code = 1
        with suppress(BaseException):
            os.chdir(folder)
            os.setuid(65534)
            with Destination(".") as destination:
                try:
                    destination.put_file("theirs/f", b"x", PLAIN)
                except EntryError as error:
                    written = destination.put_file("f", b"x", Attributes(mode=0o600, mtime_ns=0, uid=0, user="root"))
                    code = 0 if "permission denied" in str(error) and written == Written("f", ()) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert names(folder / "theirs") == []


def test_a_destination_that_vanished_stops_the_run(destination: Destination, folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(DestinationUnusable, match="removed"):
        destination.put_file("f", b"x", PLAIN)
    with pytest.raises(DestinationUnusable, match="removed"):
        destination.make_link("f", "x", PLAIN)
    with pytest.raises(DestinationUnusable, match="removed"):
        destination.make_folder("f")


def test_a_destination_that_is_a_file_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/below", "nul\0"):
        with pytest.raises(DestinationUnusable, match="nothing can be restored"):
            Destination(str(tmp_path / path))


def test_a_destination_is_made_with_the_folders_above_it(tmp_path: Path) -> None:
    with umask(0o022), Destination(str(tmp_path / "a/b")) as destination:
        destination.put_file("f", b"x", PLAIN)
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o755


def test_kill_in_the_middle_of_writing_leaves_nothing(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        file = Destination(str(folder)).new_file("f", 2 * MIB)
        file.write(0, bytes(MIB))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert names(folder) == []


@pytest.mark.parametrize("policy", ["refuse", "both", "overwrite"])
def test_of_several_processes_with_one_path_each_gets_what_the_policy_says(folder: Path, policy: OnConflict) -> None:
    results = [compete(folder, policy, contents) for contents in (b"a" * 5000, b"b" * 5000, b"c" * 5000)]
    won = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in results]
    assert sum(won) == (200 if policy == "refuse" else 600) // 10
    files = list(folder.iterdir())
    assert len(files) == (60 if policy == "both" else 20)
    assert all(len(path.read_bytes()) == 5000 and len(set(path.read_bytes())) == 1 for path in files)


def compete(folder: Path, policy: OnConflict, contents: bytes) -> int:
    """A process that restores twenty files which its rivals restore too; its exit code is how many it could."""
    child = os.fork()
    if child == 0:
        won = 255
        with suppress(BaseException), Destination(str(folder), on_conflict=policy) as destination:
            won = 0
            for number in range(20):
                with suppress(EntryOccupied):
                    destination.put_file(f"{number}", contents, PLAIN)
                    won += 1
        os._exit(won)
    return child


def test_every_error_is_of_the_family() -> None:
    assert issubclass(DestinationUnusable, ArchiveTasksError)
    assert not issubclass(DestinationUnusable, EntryError)
