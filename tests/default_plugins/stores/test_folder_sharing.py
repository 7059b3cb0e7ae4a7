"""A folder target takes its modes and its group from its top folder, so that users can share it."""

from __future__ import annotations

import json
import mmap
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import StoreUnusable
from archive_tasks.settings import make_settings
from archive_tasks.testing.stores import put
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.support.restoring import same_trees
from tests.support.users import User, command, common, needs_root

__all__ = ["common"]

LAB = 54_321
ANNA, BOB = User(51_001, (51_001, LAB)), User(51_002, (51_002, LAB), umask=0o022)
STRANGER = User(51_003, (51_003,))
pytestmark = needs_root


@pytest.fixture
def top(common: Path) -> Path:
    folder = common / "target"
    folder.mkdir()
    os.chown(folder, ANNA.uid, LAB)
    return folder


def store_at(folder: Path) -> FolderStore:
    return FolderStore(folder.as_uri(), make_settings({"part_size": "5M"}, {}, {}))


def below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    return ((path, path.lstat()) for path in folder.rglob("*"))


def modes(folder: Path) -> set[tuple[str, str, int]]:
    """Kind, mode and group of all below."""
    return {
        ("folder" if stat.S_ISDIR(facts.st_mode) else "file", oct(stat.S_IMODE(facts.st_mode)), facts.st_gid)
        for _, facts in below(folder)
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o027, 0o077])
@pytest.mark.parametrize(
    ("mode", "folders", "files"),
    [
        (0o2770, 0o2770, 0o660),
        (0o770, 0o770, 0o660),
        (0o755, 0o755, 0o644),
        (0o2750, 0o2750, 0o640),
        (0o700, 0o700, 0o600),
        (0o3775, 0o3775, 0o644),
        (0o1777, 0o1777, 0o644),
    ],
)
def test_what_is_written_has_the_mode_and_the_group_of_the_top_folder(
    top: Path, mode: int, folders: int, files: int, umask: int
) -> None:
    top.chmod(mode)
    User(ANNA.uid, ANNA.groups, umask).do(lambda: put(store_at(top), "data/a/b", b"x"))
    assert modes(top) == {("folder", oct(folders), LAB), ("file", oct(files), LAB)}
    assert (top / ".archive-incoming").is_dir()


def test_a_folder_that_is_made_for_it_is_private_with_all_that_is_below(common: Path) -> None:
    os.chown(common, ANNA.uid, LAB)
    common.chmod(0o2777)

    def work() -> None:
        store = store_at(common / "new" / "target")
        store.create()
        put(store, "data/a/b", b"x")

    User(ANNA.uid, ANNA.groups, 0o000).do(work)
    made = common / "new" / "target"
    assert made.stat().st_mode & 0o777 == 0o700
    assert all(facts.st_mode & 0o077 == 0 for _, facts in below(made))


def test_a_group_that_may_not_be_given_is_no_error_and_no_other_group_gets_its_rights(top: Path) -> None:
    os.chown(top, STRANGER.uid, LAB)
    top.chmod(0o770)
    STRANGER.do(lambda: put(store_at(top), "data/a", b"x"))
    assert modes(top) == {("folder", "0o700", STRANGER.uid), ("file", "0o600", STRANGER.uid)}
    top.chmod(0o777)
    STRANGER.do(lambda: put(store_at(top), "more/a", b"x"))
    assert ("folder", "0o777", STRANGER.uid) in modes(top / "more" / "..")
    BOB.do(lambda: put(store_at(top), "more/b", b"x"))


@pytest.mark.parametrize("mode", [0o2770, 0o770])
def test_a_second_user_reads_lists_adds_and_removes(top: Path, mode: int) -> None:
    top.chmod(mode)
    ANNA.do(lambda: put(store_at(top), "data/a/b", b"anna's"))

    def work() -> tuple[list[str], bytes]:
        store = store_at(top)
        put(store, "data/a/c", b"bob's")
        listed = sorted(info.key for info in store.list(""))
        contents = b"".join(store.read("data/a/b"))
        store.delete("data/a/b")
        return listed, contents

    assert BOB.do(work) == (["data/a/b", "data/a/c"], b"anna's")
    ANNA.do(lambda: store_at(top).delete("data/a/c"))
    assert [path for path, _ in below(top)] == [top / ".archive-incoming"]


def test_in_a_sticky_folder_nobody_removes_or_changes_what_another_wrote(top: Path) -> None:
    top.chmod(0o3770)
    ANNA.do(lambda: put(store_at(top), "data/a/b", b"anna's"))
    with pytest.raises(StoreUnusable, match="/data/a/b failed: operation not permitted"):
        BOB.do(lambda: store_at(top).delete("data/a/b"))
    with pytest.raises(PermissionError):
        BOB.do(lambda: (top / "data/a/b").write_bytes(b"bob's"))
    BOB.do(lambda: put(store_at(top), "data/a/c", b"bob's"))
    assert (top / "data/a/b").read_bytes() == b"anna's"


def test_a_private_folder_stays_private(top: Path) -> None:
    top.chmod(0o700)
    ANNA.do(lambda: put(store_at(top), "data/a", b"x"))
    for doing in (lambda: put(store_at(top), "data/b", b"x"), lambda: list(store_at(top).list(""))):
        with pytest.raises(StoreUnusable, match="permission denied; check its disk and who may write there"):
            BOB.do(doing)


def test_a_folder_that_was_opened_to_others_later_lets_them_write(top: Path) -> None:
    top.chmod(0o700)
    ANNA.do(lambda: put(store_at(top), "data/a", b"x"))
    top.chmod(0o2770)
    ANNA.do(lambda: put(store_at(top), "data/b", b"x"))
    BOB.do(lambda: put(store_at(top), "more/b", b"x"))


def test_leftovers_of_another_user_are_left_alone(top: Path) -> None:
    top.chmod(0o2770)
    ANNA.do(lambda: put(store_at(top), "a", b"x"))
    left = top / ".archive-incoming" / "0123456789abcdef01234567.part"
    left.touch()
    os.chown(left, ANNA.uid, LAB)
    os.utime(left, (0, 0))
    BOB.do(lambda: put(store_at(top), "b", b"x"))
    assert left.exists()
    ANNA.do(lambda: put(store_at(top), "c", b"x"))
    assert not left.exists()


def test_two_users_who_begin_at_once_do_not_shut_each_other_out(common: Path) -> None:
    for number in range(40):
        top = common / str(number)
        top.mkdir()
        os.chown(top, ANNA.uid, LAB)
        top.chmod(0o2770)

        def write(name: str, top: Path = top) -> None:
            store = store_at(top)
            for key in ("data/laptop/a", "manifests/laptop/a"):
                put(store, key + name, b"x")

        waits = [user.start(lambda name=name: write(name)) for user, name in ((ANNA, "anna"), (BOB, "bob"))]
        for wait in waits:
            wait()
        assert {mode for kind, mode, _ in modes(top) if kind == "folder"} == {"0o2770"}
        assert sum(kind == "file" for kind, _, _ in modes(top)) == 1
        assert len([path for path, facts in below(top) if stat.S_ISREG(facts.st_mode)]) == 4


@pytest.mark.parametrize("mode", [0o2770, 0o770])
def test_two_users_archive_to_one_folder_and_each_brings_back_checks_and_tidies_all_of_it(
    top: Path, common: Path, mode: int
) -> None:
    top.chmod(mode)
    at = ("--target", top.as_uri())
    roots: dict[User, Path] = {}
    for user, name in ((User(0, (0,)), "warm-up"), (ANNA, "anna"), (BOB, "bob")):
        home = common / name
        (home / "root").mkdir(parents=True)
        make_tree(home / "root", {f"of-{name}": {"a": File(name, age_days=90), "b": File(name * 2, age_days=90)}})
        for path in (home, *home.rglob("*")):
            os.chown(path, user.uid, user.groups[0], follow_symlinks=False)
        roots[user] = home / "root"
    everything(common / "warm-up", ("--target", (common / "warm-up" / "target").as_uri()))
    for user, name in ((ANNA, "anna"), (BOB, "bob")):
        home = common / name
        ran = user.run("archive", "--root", str(home / "root"), *at, "--yes", "--json", home=home)
        assert ran.code == 0, ran.err
        assert [one["item"] for one in json.loads(ran.out)["archives"]] == [f"of-{name}"]
    for user, name, other in ((ANNA, "anna", "bob"), (BOB, "bob", "anna")):
        home = common / name
        ran = user.run("verify", "--read-data", *at, home=home)
        assert ran.code == 0, ran.err
        ran = user.run("restore", f"of-{other}", "--to", str(home / "back"), *at, "--yes", home=home)
        assert ran.code == 0, ran.err
        assert same_trees(common / other / "root", home / "back")
    assert {mode for kind, mode, _ in modes(top) if kind == "folder"} == {oct(mode)}
    assert {(mode, group) for kind, mode, group in modes(top) if kind == "file"} == {("0o660", LAB)}
    orphan = top / "data" / "left" / "2020-01-01" / f"x~{'0' * 32}" / f"{'1' * 12}" / "files" / "a"
    ANNA.do(lambda: put(store_at(top), str(orphan.relative_to(top)), b"x"))
    os.utime(orphan, (0, 0))
    ran = BOB.run("prune", "--orphans", *at, "--yes", "--all-devices", "--max-share", "100", home=common / "bob")
    assert ran.code == 0, ran.err
    assert not orphan.exists()
    assert read_tree(roots[ANNA]) == read_tree(common / "anna" / "root")


AWAY = ("--max-share", "100", "--mode", "delete")


def warm_up(folder: Path) -> None:
    """Every command that other users will run, so that all that they import is there for who cannot read it."""
    make_tree(folder / "root", {"thesis": {"a": File("x" * 9000, age_days=90)}, "b": File("b", age_days=90)})
    at = ("--root", str(folder / "root"), "--target", (folder / "target").as_uri(), "--yes")
    for verb, *more in (("archive",), ("clean", *AWAY)):
        assert command(verb, *at, *more, home=folder).code == 0
    assert command("undo", "--root", str(folder / "root"), home=folder).code == 0


def test_what_another_user_set_aside_in_a_shared_root_is_said_to_be_theirs(top: Path, common: Path) -> None:
    warm_up(common / "warm-up")
    top.chmod(0o2770)
    root = common / "root"
    make_tree(root, {"thesis": {"a": File("x", age_days=90)}, "notes": {"b": File("y", age_days=90)}})
    for path in (root, *root.rglob("*")):
        os.chown(path, ANNA.uid, LAB, follow_symlinks=False)
    root.chmod(0o2770)
    at = ("--root", str(root), "--target", top.as_uri(), "--yes")
    for home, user in ((common / "anna", ANNA), (common / "bob", BOB)):
        home.mkdir()
        os.chown(home, user.uid, user.groups[0])
    for verb in ("archive", "clean"):
        ran = ANNA.run(verb, *at, *(["--max-share", "100"] if verb == "clean" else []), home=common / "anna")
        assert ran.code == 0, ran.err
    for arguments in (("clean", *at), ("undo", "--root", str(root))):
        ran = BOB.run(*arguments, home=common / "bob")
        assert (ran.code, ran.out.count("Traceback")) == (2, 0)
        assert f"{root}/.archive-set-aside belongs to another user (51001), who set something aside there" in ran.err


@pytest.fixture
def in_memory(common: Path) -> Iterator[Path]:
    """A disk that is never written back, so that what is dirty stays so."""
    folder = common / "memory"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", folder], check=False).returncode:
        pytest.skip("this user may mount nothing")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_silent_write_to_a_file_of_another_user_is_found_by_its_contents(common: Path, in_memory: Path) -> None:
    """Of others' files no lease tells who has them mapped, and a page that is dirty is written without a new ctime."""
    warm_up(common / "warm-up")
    make_tree(in_memory / "root", {"thesis": {"a": File("x" * 9000, age_days=90)}, "b": File("b", age_days=90)})
    at = ("--root", str(in_memory / "root"), "--target", (in_memory / "target").as_uri(), "--yes")
    home = common / "anna"
    home.mkdir()
    for path in (home, in_memory, *in_memory.rglob("*")):
        os.chown(path, ANNA.uid, ANNA.groups[0])
    file = in_memory / "root" / "thesis" / "a"
    os.chown(file, BOB.uid, ANNA.groups[0])
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        was = file.stat()
        mapped[0:1] = b"x"
        os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
        time.sleep(2.1)  # what was written within two seconds of a look is read in any case
        ran = ANNA.run("archive", *at, home=home)
        assert ran.code == 0, ran.err
        before = file.stat()
        mapped[1:4] = b"NEW"
        assert file.stat().st_ctime_ns == before.st_ctime_ns, "it would be found by its ctime"
    ran = ANNA.run("clean", *at, *AWAY, home=home)
    assert "stays    thesis: it is not as it was archived: thesis/a has other contents" in ran.out, ran.out
    assert file.read_bytes()[1:4] == b"NEW"


def everything(home: Path, at: tuple[str, str]) -> None:
    """Every command once, so that all that they import is there for who cannot read it."""
    for arguments in (
        ("archive", "--root", str(home / "root"), *at, "--yes", "--json"),
        ("verify", "--read-data", *at),
        ("restore", "--all", "--to", str(home / "back"), *at, "--yes"),
        ("prune", "--orphans", *at, "--yes", "--all-devices", "--max-share", "100"),
    ):
        ran = command(*arguments, home=home)
        assert ran.code == 0, ran.err
