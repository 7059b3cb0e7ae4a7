"""The folder store: the contract of every store, and what disks do."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.folder import FolderStore
from archive_tasks.errors import ItemUnreadable, ObjectExists, StoreBusy, StoreUnusable, UsageError
from archive_tasks.settings import make_settings
from archive_tasks.store_testing import MIB, StoreContract, put


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

        monkeypatch.setattr("archive_tasks.default_plugins.folder_upload.os.link", refuse)
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
    assert list((small_disk / ".incoming").iterdir()) == []


def test_a_writer_that_is_killed_leaves_nothing_to_be_seen(store: FolderStore) -> None:
    child = os.fork()
    if child == 0:
        upload = store.upload("big", 6 * MIB)
        upload.put_part(1, b"x" * 5 * MIB, sha256=hashlib.sha256(b"x" * 5 * MIB).digest())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert list(store.list("")) == []
    assert len(os.listdir(os.path.join(store.path, ".incoming"))) == 1


def test_leftovers_of_the_dead_are_swept_after_a_week_and_no_sooner(store: FolderStore) -> None:
    incoming = Path(store.path) / ".incoming"
    incoming.mkdir()
    for name, days in (("old", 8), ("young", 6)):
        (incoming / name).touch()
        os.utime(incoming / name, (time.time() - days * 86_400,) * 2)
    put(store, "a", b"x")
    assert [path.name for path in incoming.iterdir()] == ["young"]


def test_contents_and_name_are_on_the_disk_before_put_returns(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    original = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(os.readlink(f"/proc/self/fd/{handle}")) or original(handle)
    )
    put(store, "a/b/c", b"x")
    assert synced[0].startswith(f"{store.path}/.incoming/")
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

    monkeypatch.setattr("archive_tasks.default_plugins.folder_upload.os.fsync", fail)
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


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/.", "a b", "a\n", "ä", ".incoming/x"])
def test_what_is_no_key_is_refused(store: FolderStore, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
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
    monkeypatch.setattr("archive_tasks.default_plugins.folder_upload._link", os.replace)
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

    monkeypatch.setattr("archive_tasks.default_plugins.folder_upload.os.pwrite", fail)
    with pytest.raises(ItemUnreadable, match="cannot take it"):
        put(store, "a", b"x")


def test_parts_whose_sync_failed_are_written_again_from_the_beginning(store: FolderStore, monkeypatch: Any) -> None:
    upload = store.upload("big", 6 * MIB)
    for number, size in ((1, 5 * MIB), (2, MIB)):
        upload.put_part(number, b"x" * size, sha256=hashlib.sha256(b"x" * size).digest())

    def fail(*_: Any) -> None:
        raise OSError(errno.ETIMEDOUT, "timed out")

    with monkeypatch.context() as patch:
        patch.setattr("archive_tasks.default_plugins.folder_upload.os.fsync", fail)
        with pytest.raises(StoreBusy) as caught:
            upload.complete(6 * MIB)
    assert caught.value.start_over
    upload.abort()
