"""Two and three archivers at once on one root and one target: of 480 files none is lost and no item is there twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import make_settings
from archive_tasks.store import Store
from archive_tasks.testing.trees import File, TreeEntry, make_tree, read_tree
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.foreign import check_archives, files_of, folder_fetch, folder_keys
from tests.support.restoring import bring_back, same_trees
from tests.support.servers import S3Server
from tests.whole.test_s3_archive import foreign_copy

MIB = 1024 * 1024
ITEMS, FILES = 8, 5
ROUNDS = 12


def fill(root: Path) -> None:
    """40 files in 8 items: most go into packs, some are objects of their own."""

    def item(number: int) -> dict[str, File]:
        large = File(os.urandom(MIB + number), age_days=90)
        return {f"f{n}": File(os.urandom(3000), age_days=90) for n in range(FILES - 1)} | {"large": large}

    make_tree(root, {f"item{number}": item(number) for number in range(ITEMS)})


def archive(target: str, root: Path) -> tuple[str, ...]:
    return ("archive", "--root", str(root), "--target", target, "--yes")


class Devices:
    """Archivers that are started together; each with data of its own, unless they share `data`."""

    def __init__(self, cli: CommandLine, folder: Path, number: int, *, data: str = "") -> None:
        self._cli = cli
        self._data = [str(folder / (data or f"device{one}")) for one in range(number)]

    def start(self, *arguments: str) -> list[subprocess.Popen[str]]:
        started = []
        for data in self._data:
            self._cli.environment["XDG_DATA_HOME"] = data
            started.append(self._cli.start(*arguments))
        return started

    def run_alone(self, device: int, *arguments: str) -> None:
        self._cli.environment["XDG_DATA_HOME"] = self._data[device]
        assert self._cli.run(*arguments).code == 0


def killed(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    process.kill()
    return process


def finish(running: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """(exit code, what it said) of each."""
    said = [process.communicate(timeout=120)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def check_every_file_once(source: dict[str, TreeEntry], target: Path, *, devices: int = 1, killed: int = 0) -> int:
    """Of each device, one archive an item, and in it each file of the source, byte for byte. Returns how many files.

    Of a device that was killed there may be less, and nothing that is wrong.
    """
    expected = {path: entry.contents for path, entry in source.items() if entry.kind == "-"}
    stored: dict[str, dict[str, str]] = {}
    archives = check_archives(folder_keys(target), folder_fetch(target))
    assert len(set(archives.values())) == len(archives), "no device archives an item twice"
    for manifest, (device, _) in archives.items():
        files = files_of((target / manifest).read_bytes(), folder_fetch(target))
        stored.setdefault(device, {}).update(
            {path: hashlib.sha256(contents).hexdigest() for path, contents in files.items()}
        )
    assert [files == expected for files in stored.values()].count(True) >= devices - killed
    assert all(files.items() <= expected.items() for files in stored.values())
    assert len(stored) <= devices
    return len(expected)


def same_for_each(root: Path, out: Path, *, devices: int) -> bool:
    """Was the root restored once for each device, into folders of their own?"""
    folders = [out] if devices == 1 else list(out.glob("*/*"))
    return len(folders) == devices and all(same_trees(root, folder) for folder in folders)


def wait_for_an_object(target: Path) -> None:
    deadline = time.monotonic() + 30
    while not folder_keys(target, "data/") and time.monotonic() < deadline:
        time.sleep(0.005)


@pytest.mark.parametrize("part", range(3))
def test_devices_that_archive_the_same_at_once_lose_no_file_and_each_has_an_archive_of_its_own(
    cli: CommandLine, tmp_path: Path, part: int
) -> None:
    """In every third round there are three of them, and one is killed."""
    files = 0
    for number in range(part, ROUNDS, 3):
        folder = tmp_path / f"round{number}"
        root, target = folder / "root", folder / "target"
        fill(root)
        before = read_tree(root)
        devices = Devices(cli, folder, 3 if part == 2 else 2)
        running = devices.start(*archive(target.as_uri(), root))
        if part == 2:
            wait_for_an_object(target)
            finish([killed(running.pop())])
        for device, (code, said) in enumerate(finish(running)):
            assert code == 0, said
            if "is open in" in said:  # the other one was reading it: kept, and left to the next run
                devices.run_alone(device, *archive(target.as_uri(), root))
        number_of = 3 if part == 2 else 2
        files += check_every_file_once(before, target, devices=number_of, killed=number_of - 2)
        store = FolderStore(target.as_uri(), make_settings({}, {}, {}))
        assert not bring_back(store, folder / "new device" / "catalogue.sqlite", folder / "out").failed
        assert sum(same_trees(root, one) for one in (folder / "out").glob("*/*")) >= 2
        assert read_tree(root) == before
    assert files == ROUNDS // 3 * ITEMS * FILES


@pytest.mark.parametrize("number", [2, 3])
def test_devices_that_archive_the_same_to_s3_at_once_lose_no_file(
    cli: CommandLine, rclone_s3: S3Server, root: Path, tmp_path: Path, number: int
) -> None:
    """rclone's server gives each write its way, so that only keys that are never used twice keep them apart."""
    fill(root)
    cli.environment.update(rclone_s3.env)
    bucket = rclone_s3.make_bucket()
    for code, said in finish(Devices(cli, tmp_path, number).start(*archive(f"s3://{bucket}", root))):
        assert code == 0, said
    copy = foreign_copy(rclone_s3, bucket, tmp_path / "copy")
    assert check_every_file_once(read_tree(root), copy, devices=number) == ITEMS * FILES
    cli.environment["XDG_DATA_HOME"] = str(tmp_path / "new device")
    ran = cli.run("restore", "--all", "--to", str(tmp_path / "out"), "--target", f"s3://{bucket}", "--yes")
    assert ran.code == 0, ran.err
    assert same_for_each(root, tmp_path / "out", devices=number)


@pytest.mark.parametrize("number", [2, 3])
def test_runs_on_one_device_take_turns_and_the_one_that_does_not_wait_says_who_is_at_work(
    cli: CommandLine, root: Path, tmp_path: Path, number: int
) -> None:
    fill(root)
    target = tmp_path / "target"
    ended = finish(Devices(cli, tmp_path, number, data="data").start(*archive(target.as_uri(), root)))
    assert 0 in [code for code, _ in ended]
    for code, said in ended:
        assert code == 0 or (code == 1 and "another run is writing to this target (process " in said), said
    assert check_every_file_once(read_tree(root), target) == ITEMS * FILES


def test_two_devices_that_commit_the_same_item_in_the_same_moment_make_two_archives_each_whole(
    root: Path, tmp_path: Path, make_session: Any
) -> None:
    """On a server without create-only writes too: no key is ever written twice."""
    make_tree(root, {"item": {"a": File("a", age_days=400), "b": File("b", age_days=400)}}, now=NOW)
    mine, other = (Bench(root, tmp_path / "target", make_session, tmp_path / f"{one}.sqlite") for one in "ab")
    written: list[str] = []

    class Overwriting:
        """Has the other device commit when we are about to."""

        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def put(self, key: str, data: bytes, **named: Any) -> None:
            if key.startswith("manifests/"):
                assert len(other.run(device="other").archives) == 1
            written.append(key)
            assert not (mine.target / key).exists(), "nothing rests on who is refused"
            self._store.put(key, data, **named)

    outcome = mine.run(wrap=Overwriting, device="mine")  # type: ignore[arg-type]
    assert not outcome.failed
    assert [one.item for one in outcome.archives] == ["item"]
    assert check_every_file_once(read_tree(root), mine.target, devices=2) == 2
    assert len(set(written)) == len(written)
    for bench in (mine, other):
        with Catalogue(str(bench.catalogue)) as catalogue:
            assert [known.receipt is not None for known in catalogue.archives()] == [True]
