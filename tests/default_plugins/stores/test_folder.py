"""The folder store: the contract of every store, and what disks do."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import ItemUnreadable, ObjectExists, ObjectMissing, StoreBusy, StoreUnusable, UsageError
from archive_tasks.settings import make_settings
from archive_tasks.testing.stores import MIB, StoreContract, put


def open_folder(path: Path) -> FolderStore:
    return FolderStore(path.as_uri(), make_settings({"part_size": "5M"}, {}, {}))


class TestFolder(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        made = open_folder(tmp_path / "ünusual folder")
        made.create()
        return made


class TestFolderWithoutHardLinks(StoreContract):
    """exFAT, and many network shares."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
        def refuse(*_: Any, **__: Any) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("archive_tasks.default_plugins.stores.folder.upload.os.link", refuse)
        return open_folder(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    made = open_folder(tmp_path / "target")
    made.create()
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_half(small_disk: Path) -> None:
    store = open_folder(small_disk)
    put(store, "fits", b"x" * 1000)
    with pytest.raises(StoreUnusable, match="is full: free space there or name another target"):
        put(store, "data/does/not", os.urandom(2 * MIB))
    upload = store.upload("big", 6 * MIB)
    piece = os.urandom(5 * MIB)
    with pytest.raises(StoreUnusable, match="is full"):
        upload.put_part(1, piece, sha256=hashlib.sha256(piece).digest())
    upload.abort()
    assert [info.key for info in store.list("")] == ["fits"]
    assert list((small_disk / ".archive-incoming").iterdir()) == []


def test_a_writer_that_is_killed_leaves_nothing_to_be_seen(store: FolderStore) -> None:
    child = os.fork()
    if child == 0:
        upload = store.upload("big", 6 * MIB)
        upload.put_part(1, b"x" * 5 * MIB, sha256=hashlib.sha256(b"x" * 5 * MIB).digest())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(store.list("")) == []
    assert len(os.listdir(os.path.join(store.path, ".archive-incoming"))) == 1


WEEK = 7 * 86_400
PART = "0123456789abcdef01234567.part"


def aged(path: Path, *, seconds: float, beside: float) -> Path:
    """A file that is so much older than the moment `beside`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (beside - seconds,) * 2)
    return path


@pytest.mark.parametrize(("seconds", "is_swept"), [(WEEK + 60, True), (WEEK - 60, False), (-60, False)])
def test_leftovers_of_the_dead_are_swept_after_a_week_and_no_sooner(
    store: FolderStore, seconds: float, is_swept: bool
) -> None:
    left = aged(Path(store.path) / ".archive-incoming" / PART, seconds=seconds, beside=time.time())
    put(store, "a", b"x")
    assert left.exists() is not is_swept


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "0123456789abcdef01234567",
        "0123456789abcdef0123456.part",
        "0123456789ABCDEF01234567.part",
        "0123456789abcdef01234567.part.txt",
        "x0123456789abcdef01234567.part",
        "0123456789abcdef01234567.part\n",
    ],
)
def test_what_is_not_named_as_ours_is_never_swept(store: FolderStore, name: str) -> None:
    kept = aged(Path(store.path) / ".archive-incoming" / name, seconds=9 * WEEK, beside=time.time())
    put(store, "a", b"x")
    assert kept.exists()


@pytest.mark.parametrize("kind", ["hard link", "link", "folder", "pipe", "another user's"])
def test_only_a_file_of_our_own_with_one_name_is_swept(store: FolderStore, tmp_path: Path, kind: str) -> None:
    other = aged(tmp_path / "mine", seconds=9 * WEEK, beside=time.time())
    part = Path(store.path) / ".archive-incoming" / PART
    part.parent.mkdir()
    if kind == "hard link":
        os.link(other, part)
    elif kind == "link":
        part.symlink_to(other)
    elif kind == "folder":
        part.mkdir()
    elif kind == "pipe":
        os.mkfifo(part)
    else:
        part.touch()
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(part, 12345, -1)
    os.utime(part, (time.time() - 9 * WEEK,) * 2, follow_symlinks=False)
    put(store, "a", b"x")
    assert os.path.lexists(part)
    assert other.exists()


def test_the_users_own_folder_named_incoming_is_not_touched_and_not_hidden(store: FolderStore) -> None:
    mine = aged(Path(store.path) / ".incoming" / PART, seconds=9 * WEEK, beside=time.time())
    put(store, "a", b"x")
    assert mine.exists()
    assert {info.key for info in store.list("")} == {"a", f".incoming/{PART}"}


def test_ages_are_counted_from_what_the_disk_says_and_not_from_this_machines_clock(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = aged(Path(store.path) / ".archive-incoming" / PART, seconds=60, beside=time.time())
    ahead = time.time() + 52 * WEEK
    monkeypatch.setattr(time, "time", lambda: ahead)
    put(store, "a", b"x")
    assert left.exists()


def test_what_is_being_written_and_was_swept_is_written_again_from_the_beginning(store: FolderStore) -> None:
    upload = store.upload("big", 6 * MIB)
    upload.put_part(1, b"x", sha256=hashlib.sha256(b"x").digest())
    (part,) = (Path(store.path) / ".archive-incoming").iterdir()
    part.unlink()
    with pytest.raises(StoreBusy) as caught:
        upload.complete(1)
    assert caught.value.start_over
    upload.abort()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_another_thing_of_the_name_of_our_folder_is_named(store: FolderStore, tmp_path: Path, kind: str) -> None:
    incoming = Path(store.path) / ".archive-incoming"
    incoming.touch() if kind == "file" else incoming.symlink_to(tmp_path)
    with pytest.raises(StoreUnusable, match=rf"/\.archive-incoming is a {kind}, and"):
        put(store, "a", b"x")
    assert list(store.list("a")) == []


def test_contents_and_name_are_on_the_disk_before_put_returns(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    original = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")) or original(handle)
    )
    put(store, "a/b/c", b"x")
    assert synced[0].startswith(f"{store.path}/.archive-incoming/")
    assert synced[-1] == f"{store.path}/a/b"
    assert {f"{store.path}", f"{store.path}/a"} <= set(synced)


def test_a_target_that_went_away_is_not_made_again(store: FolderStore) -> None:
    os.rename(store.path, store.path + "-unmounted")
    with pytest.raises(StoreUnusable, match="is gone: is its disk still mounted"):
        put(store, "a", b"x")
    assert not os.path.exists(store.path)


def test_archives_are_private(store: FolderStore) -> None:
    put(store, "a/b", b"x")
    for base, _, files in os.walk(store.path):
        assert os.stat(base).st_mode & 0o077 == 0
        assert all(os.stat(os.path.join(base, name)).st_mode & 0o077 == 0 for name in files)


def test_a_folder_that_may_not_be_written_is_said(store: FolderStore) -> None:
    reader, writer = os.pipe()
    os.chmod(store.path, 0o500)
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            for parent in [Path(store.path), *Path(store.path).parents]:
                if parent != Path("/"):
                    os.chmod(parent, 0o755)
            os.setuid(65534)
        try:
            put(store, "a", b"x")
        except StoreUnusable as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        assert "permission denied; check its disk and who may write there" in answer.read()


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN])
def test_passing_faults_of_a_network_share_are_busy(store: FolderStore, monkeypatch: Any, number: int) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("archive_tasks.default_plugins.stores.folder.upload.os.fsync", fail)
    with pytest.raises(StoreBusy):
        put(store, "a", b"x")


@pytest.mark.parametrize(
    "url", ["file://", "file://nas/share", "file://relative", "file:///", "file:///a?b", "file:///a#b", "file:///a%00b"]
)
def test_a_url_that_names_no_folder_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(UsageError, match="write file:///absolute/path"):
        FolderStore(url, make_settings({}, {}, {}))


def test_a_url_is_percent_encoded_bytes(tmp_path: Path) -> None:
    raw = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 #1")
    store = FolderStore(f"file://{tmp_path}/caf%E9%20%231", make_settings({}, {}, {}))
    assert store.path == raw


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a//b",
        "../a",
        "a/../b",
        "a/.",
        "a b",
        "a\n",
        "ä",
        ".incoming/x",
        ".archive-incoming/x",
        ".archive-incoming.1/x",
    ],
)
def test_what_is_no_key_is_refused(store: FolderStore, key: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        put(store, key, b"x")


def test_an_object_that_is_not_whole_is_not_completed(store: FolderStore) -> None:
    upload = store.upload("big", 6 * MIB)
    upload.put_part(1, b"x" * 5 * MIB, sha256=hashlib.sha256(b"x" * 5 * MIB).digest())
    with pytest.raises(Exception, match="has 5242880 of 6291456 bytes"):
        upload.complete(6 * MIB)
    assert store.describe("big") is None


def test_every_probe_finds_an_honest_folder(store: FolderStore) -> None:
    answers = {probe.name: probe.ask(f"doctor/x/{probe.name}/") for probe in store.probes()}
    assert all(answer.ok for answer in answers.values()), answers
    assert list(store.list("")) == []
    assert not any(probe.needed_for_trust for probe in store.probes())


def test_probes_find_a_folder_that_lets_writers_overwrite(store: FolderStore, monkeypatch: Any) -> None:
    def replace(source: str, name: str, folder: int) -> None:
        os.replace(source, name, dst_dir_fd=folder)

    monkeypatch.setattr("archive_tasks.default_plugins.stores.folder.upload._link", replace)
    answers = {probe.name: probe.ask(f"doctor/x/{probe.name}/") for probe in store.probes()}
    assert answers["refuses-overwrite"].ok is False
    assert answers["one-winner"].ok is False


def test_of_two_whole_objects_the_first_stays(store: FolderStore) -> None:
    put(store, "a", b"first")
    with pytest.raises(ObjectExists):
        put(store, "a", b"other")
    assert (Path(store.path) / "a").read_bytes() == b"first"


@pytest.mark.parametrize("number", [errno.EFBIG, errno.ENAMETOOLONG])
def test_what_a_disk_cannot_take_is_about_the_object_and_not_about_the_disk(
    store: FolderStore, monkeypatch: Any, number: int
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("archive_tasks.default_plugins.stores.folder.upload.os.pwrite", fail)
    with pytest.raises(ItemUnreadable, match="cannot take it"):
        put(store, "a", b"x")


def test_parts_whose_sync_failed_are_written_again_from_the_beginning(store: FolderStore, monkeypatch: Any) -> None:
    upload = store.upload("big", 6 * MIB)
    for number, size in ((1, 5 * MIB), (2, MIB)):
        upload.put_part(number, b"x" * size, sha256=hashlib.sha256(b"x" * size).digest())

    def fail(*_: Any) -> None:
        raise OSError(errno.ETIMEDOUT, "timed out")

    with monkeypatch.context() as patch:
        patch.setattr("archive_tasks.default_plugins.stores.folder.upload.os.fsync", fail)
        with pytest.raises(StoreBusy) as caught:
            upload.complete(6 * MIB)
    assert caught.value.start_over
    upload.abort()


# -- what is in the way ------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["data", "data/laptop", "data/laptop/2026-01-01"])
@pytest.mark.parametrize("prefix", ["data/", "data/laptop/2026-01-01/item~1/"])
def test_what_is_behind_a_link_is_not_taken_for_missing(
    store: FolderStore, tmp_path: Path, link: str, prefix: str
) -> None:
    put(store, "data/laptop/2026-01-01/item~1/a", b"x")
    put(store, "manifests/a", b"x")
    moved = Path(store.path, link).rename(tmp_path / "moved")
    Path(store.path, link).symlink_to(moved)
    with pytest.raises(StoreUnusable, match=rf"{link} is a link, .* mount it"):
        list(store.list(prefix))
    assert [info.key for info in store.list("manifests/")] == ["manifests/a"]
    assert b"".join(store.read("data/laptop/2026-01-01/item~1/a")) == b"x", "it can still be brought back"
    assert store.describe("data/laptop/2026-01-01/item~1/a") is not None


def test_a_manifest_behind_a_link_and_a_link_to_nowhere_are_not_overlooked(store: FolderStore, tmp_path: Path) -> None:
    put(store, "manifests/laptop/a", b"x")
    one = Path(store.path, "manifests", "laptop", "a")
    one.rename(tmp_path / "a")
    for there in (tmp_path / "a", tmp_path / "nowhere"):
        one.symlink_to(there)
        with pytest.raises(StoreUnusable, match="manifests/laptop/a is a link"):
            list(store.list("manifests/"))
        one.unlink()


def test_a_folder_with_nothing_but_a_link_is_not_empty_and_what_is_behind_it_is_not_listed(
    store: FolderStore, tmp_path: Path
) -> None:
    (tmp_path / "mine").touch()
    Path(store.path, "photos").symlink_to(tmp_path)
    assert [info.key for info in store.list("")] == ["photos"]


def test_nothing_is_written_or_removed_behind_a_link(store: FolderStore, tmp_path: Path) -> None:
    put(store, "data/a/b", b"x")
    moved = Path(store.path, "data").rename(tmp_path / "moved")
    Path(store.path, "data").symlink_to(moved)
    with pytest.raises(StoreUnusable, match="/data is a link"):
        put(store, "data/a/c", b"y")
    with pytest.raises(StoreUnusable, match="/data is a link"):
        store.delete("data/a/b")
    assert [path.name for path in (moved / "a").iterdir()] == ["b"]


def test_the_top_folder_itself_may_be_behind_a_link(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.path)
    linked = open_folder(tmp_path / "link")
    put(linked, "data/a", b"x")
    assert [info.key for info in store.list("data/")] == [info.key for info in linked.list("data/")] == ["data/a"]


def test_a_file_where_a_folder_is_needed_is_named(store: FolderStore) -> None:
    put(store, "data/a", b"x")
    with pytest.raises(StoreUnusable, match="/data/a is a file, and a folder of that name is needed"):
        put(store, "data/a/b/c", b"y")
    store.delete("data/a/b/c")
    assert b"".join(store.read("data/a")) == b"x"


def test_a_pipe_of_an_objects_name_is_no_object_and_keeps_nobody_waiting(store: FolderStore) -> None:
    os.mkfifo(os.path.join(store.path, "vault.json"))
    with pytest.raises(ObjectMissing):
        list(store.read("vault.json"))
    assert store.describe("vault.json") is None


def test_a_target_that_went_away_is_not_listed_as_empty(store: FolderStore) -> None:
    put(store, "data/a", b"x")
    assert store.exists()
    os.rename(store.path, store.path + "-unmounted")
    with pytest.raises(StoreUnusable, match="is gone: is its disk still mounted"):
        list(store.list("data/"))
    os.mkdir(store.path)
    with pytest.raises(StoreUnusable, match="is gone: is its disk still mounted"):
        list(store.list("data/"))
    with pytest.raises(StoreUnusable, match="is gone: is its disk still mounted"):
        store.delete("data/a")


def test_a_folder_that_never_was_lists_nothing(tmp_path: Path) -> None:
    assert list(open_folder(tmp_path / "nowhere").list("manifests/")) == []


def test_a_new_disk_is_empty(store: FolderStore) -> None:
    aged(Path(store.path) / "lost+found" / "#1", seconds=0, beside=time.time())
    assert list(store.list("")) == []


def test_folders_that_others_empty_meanwhile_are_made_again(store: FolderStore) -> None:
    """The doctors of two runs at once, each of which removes what it wrote, and the folders with it."""

    def write_and_remove(number: int) -> None:
        for turn in range(60):
            put(store, f"doctor/{number}/{turn}", b"x")
            store.delete(f"doctor/{number}/{turn}")

    with ThreadPoolExecutor(8) as writers:
        list(writers.map(write_and_remove, range(8)))
    assert list(store.list("")) == []


RACER = """
import hashlib, sys, time
from concurrent.futures import ThreadPoolExecutor
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import make_settings

url, me, begin = sys.argv[1], sys.argv[2], float(sys.argv[3])
for number in range(40):
    store = FolderStore(f"{url}{number}", make_settings({}, {}, {}))
    while time.time() < begin + number / 20:
        pass
    store.create()
    with ThreadPoolExecutor(16) as writers:
        data = [b"%d" % one for one in range(16)]
        put = lambda one: store.put(f"doctor/{me}/{one.decode()}", one, sha256=hashlib.sha256(one).digest())
        list(writers.map(put, data))
"""


def test_several_runs_that_begin_a_target_at_once_do_not_take_it_for_gone(tmp_path: Path) -> None:
    """A folder that one of them has just made, empty as it is, is not replaced by another's."""
    begin = str(time.time() + 1)
    arguments = [[sys.executable, "-c", RACER, (tmp_path / "t").as_uri(), str(me), begin] for me in range(4)]
    running = [subprocess.Popen(one, stderr=subprocess.PIPE, text=True) for one in arguments]
    assert [process.communicate(timeout=120)[1] for process in running] == [""] * 4
    assert len(list(tmp_path.glob("t*/doctor/*/*"))) == 40 * 4 * 16


def test_a_tree_of_any_depth_is_listed(store: FolderStore) -> None:
    deep = "/".join(["d"] * 1_500)
    handle = os.open(store.path, os.O_RDONLY)
    for name in deep.split("/"):
        os.mkdir(name, dir_fd=handle)
        inner = os.open(name, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(os.open("end", os.O_CREAT, dir_fd=handle))
    os.close(handle)
    try:
        assert [info.key for info in store.list("")] == [f"{deep}/end"]
    finally:
        subprocess.run(["rm", "-rf", store.path], check=True)  # pytest cannot remove it: it goes down by recursion
