"""What was written stays readable: by every later version, and by common tools without this one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import is_indexed
from archive_tasks.catalogue.schema import SCHEMA_VERSION
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import make_settings
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from archive_tasks.upkeep.verified import VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW
from tests.foreign import folder_fetch, restore_by_hand
from tests.restoring import bring_back, comparable, same_trees
from tests.test_archive import Bench

FORMAT_1 = Path(__file__).parent / "fixtures" / "format-1.tar.xz"
MIB = 1024 * 1024


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A target, a catalogue and their source, as version 0.1.0 wrote them before there were packs."""
    with tarfile.open(FORMAT_1) as archive:
        for member in archive:
            assert not member.name.startswith(("/", ".."))
            archive.extract(member, tmp_path / "old", filter="fully_trusted")
            if member.issym():  # whose times tarfile leaves alone
                times = round(member.mtime * 10**9)
                os.utime(tmp_path / "old" / member.name, ns=(times, times), follow_symlinks=False)
    return tmp_path / "old"


def store_of(folder: Path) -> FolderStore:
    return FolderStore((folder / "target").as_uri(), make_settings({"part_size": "5M"}, {}, {}))


def test_a_target_of_format_1_is_restored_and_verified(written: Path, tmp_path: Path) -> None:
    restored = bring_back(store_of(written), tmp_path / "new.sqlite", tmp_path / "out")
    assert not restored.failed
    assert same_trees(written / "Documents", tmp_path / "out")
    patience = Patience(pace=Pace(concurrency=2, memory=MIB * 64), seconds=0)
    verified = verify(store_of(written), VerifyOptions(trusted=False), patience=patience, concurrency=2)
    assert (verified.archives, verified.damaged, verified.orphans) == (2, [], {})


def test_a_target_of_format_1_is_restored_by_hand(written: Path, tmp_path: Path) -> None:
    for manifest in (written / "target" / "manifests").rglob("*.zst"):
        restore_by_hand(manifest.read_bytes(), folder_fetch(written / "target"), tmp_path / "out")
    assert comparable(read_tree(written / "Documents")) == comparable(read_tree(tmp_path / "out"))


def test_a_catalogue_of_version_1_is_brought_up_to_date_and_keeps_its_receipts(written: Path) -> None:
    path = str(written / "catalogue.sqlite")
    assert sqlite3.connect(path).execute("pragma user_version").fetchone() == (1,)
    with Catalogue(path) as catalogue:
        before = {known.archive.manifest: known.receipt for known in catalogue.archives()}
        assert catalogue.rows("pragma user_version")[0][0] == SCHEMA_VERSION
        assert len(before) == 2
        assert all(before.values())
        assert not any(is_indexed(catalogue, manifest) for manifest in before)
        patience = Patience(pace=Pace(concurrency=2, memory=MIB * 64), seconds=0)
        sync(store_of(written), catalogue, patience=patience, now=NOW, concurrency=2)
        assert {known.archive.manifest: known.receipt for known in catalogue.archives()} == before
        assert all(is_indexed(catalogue, manifest) for manifest in before)


def test_packs_are_unpacked_by_tar_alone(root: Path, tmp_path: Path, make_session: Any) -> None:
    """As README.txt in the target says: `zstd -d | tar x` for each pack, then what lies under files/."""
    bad = os.fsdecode(b"caf\xe9\n")
    spec = {
        "a.txt": File("alpha", age_days=400, mode=0o640),
        "run.sh": File("#!/bin/sh\n", age_days=500, mode=0o755),
        "empty": File("", age_days=400),
        "data": {f"run{n:04}.csv": File(os.urandom(300), age_days=300 + n / 7) for n in range(1500)},
        "deep": {
            "n" * 255: File("y", age_days=300),
            bad: File("z", age_days=300),
            "ü" * 60: {"ö" * 60: File("u", age_days=300)},
        },
        "hollow": {},
        "link": Link("deep/../a.txt", age_days=400),
        "far": Link("/" + "x" * 150, age_days=400),
        "large": File(os.urandom(2 * MIB), age_days=400),
    }
    make_tree(root, {"item": spec}, now=NOW)
    os.link(root / "item" / "a.txt", root / "item" / "deep" / "same")
    bench = Bench(root, tmp_path / "target", make_session, tmp_path / "catalogue.sqlite")
    bench.run(pack_size=5 * MIB)
    out = tmp_path / "out"
    out.mkdir()
    for key in sorted(bench.listed("data/"), key=lambda key: key.endswith("/large")):
        if key.endswith(".tar.zst"):
            unpacked = subprocess.run(_zstd(bench.target / key), check=True, stdout=subprocess.PIPE).stdout
            subprocess.run(["tar", "-x", "-p"], input=unpacked, cwd=out, check=True)
        else:
            shutil.copy2(bench.target / key, out / "item" / key.partition("/files/")[2])
    times = (root / "item" / "large").stat()
    os.utime(out / "item" / "large", ns=(times.st_atime_ns, times.st_mtime_ns))  # the manifest says it
    (out / "item" / "large").chmod(0o644)
    assert comparable(read_tree(out)) == comparable(read_tree(root))


def _zstd(path: Path) -> list[str]:
    """The common tool where it is installed; else Python's own, which is not ours either."""
    if tool := shutil.which("zstd"):
        return [tool, "-dc", str(path)]
    module = "compression" if sys.version_info >= (3, 14) else "backports"
    code = f"import sys; from {module} import zstd; sys.stdout.buffer.write(zstd.decompress(open(sys.argv[1], 'rb').read()))"
    return [sys.executable, "-c", code, str(path)]
