"""What the doctor finds out about each store, and what follows from it, from the first question to the receipt.

The contract itself, which each of them keeps, is run in the tests of the stores.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.settings import make_settings
from archive_tasks.show.doctor import summary
from archive_tasks.store import Store
from archive_tasks.target.doctor import examine, is_settled
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.testing.stores import MemoryStore, StoreContract
from archive_tasks.testing.trees import File, make_tree
from archive_tasks.upkeep.verified import VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW
from tests.support.bench import Bench
from tests.support.restoring import bring_back, same_trees

MIB = 1024 * 1024


class Expected(NamedTuple):
    """What is known of a store.

    Attributes:
        trusted: its checksums are proof.
        creates_only: it lets nobody write over an object; None where it is not asked.
    """

    trusted: bool
    creates_only: bool | None


STORES = {
    "folder": Expected(trusted=False, creates_only=True),
    "memory": Expected(trusted=True, creates_only=None),
    "moto_s3": Expected(trusted=False, creates_only=True),
    "strict_s3": Expected(trusted=True, creates_only=True),
    "rclone_s3": Expected(trusted=False, creates_only=False),
    "rclone_tls_s3": Expected(trusted=False, creates_only=False),
}


@pytest.fixture
def open_store(
    request: pytest.FixtureRequest, store_at: Callable[..., S3Store], tmp_path: Path
) -> Callable[[str], Store]:
    def open_it(name: str) -> Store:
        if name == "memory":
            return MemoryStore()
        if name == "folder":
            folder = FolderStore((tmp_path / "store").as_uri(), make_settings({"part_size": "5M"}, {}, {}))
            folder.create()
            return folder
        return store_at(request.getfixturevalue(name))

    return open_it


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    made = Bench(root, tmp_path / "unused", make_session, tmp_path / "data" / "catalogue.sqlite")
    files = {"a": File("small", age_days=400), "big": File(os.urandom(6 * MIB), age_days=400)}
    make_tree(root, {"item": files}, now=NOW)
    return made


def test_the_contract_is_kept_by_every_store_here() -> None:
    from tests.default_plugins.stores import test_folder, test_s3
    from tests.testing import test_testing

    modules = (test_folder, test_s3, test_testing)
    kept = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    names = {one.__name__ for one in kept if issubclass(one, StoreContract)} - {"StoreContract"}
    assert names >= {"TestFolder", "TestMemory", "TestMoto", "TestStrict", "TestRclone", "TestRcloneOverTls"}


@pytest.mark.parametrize("name", STORES)
def test_each_store_is_believed_as_far_as_it_was_seen_to_be_true(open_store: Callable[[str], Any], name: str) -> None:
    store, expected = open_store(name), STORES[name]
    verdict = examine(store, now=NOW, prefix="doctor/1f/")
    assert is_settled(verdict, store)
    assert verdict.trusted is expected.trusted
    asked = [verdict.answers[one].ok for one in ("refuses-overwrite", "one-winner") if one in verdict.answers]
    assert set(asked) == ({expected.creates_only} if expected.creates_only is not None else set())
    said = "\n".join(summary(verdict, store.probes()))
    assert ("Everything is read back" in said) is not expected.trusted
    assert ("unique keys" in said) is (expected.creates_only is False)


@pytest.mark.parametrize("name", STORES)
def test_an_archive_is_proven_by_the_checksums_of_a_store_that_is_believed_and_by_reading_elsewhere(
    open_store: Callable[[str], Any], bench: Bench, tmp_path: Path, name: str
) -> None:
    store = open_store(name)
    assert not bench.run(wrap=lambda _store: store).failed
    with Catalogue(str(bench.catalogue)) as catalogue:
        (known,) = catalogue.archives()
    assert known.receipt is not None
    assert known.receipt.proven_by == ("checksum" if STORES[name].trusted else "read-back")
    assert not bring_back(store, tmp_path / "other" / "catalogue.sqlite", tmp_path / "out").failed
    assert same_trees(tmp_path / "out", bench.root)


@pytest.mark.parametrize("name", ["rclone_s3", "rclone_tls_s3"])
def test_a_server_that_repeats_what_it_was_told_is_read_and_found_out(
    open_store: Callable[[str], Any], bench: Bench, name: str
) -> None:
    """rclone 1.75 hands out the checksum that came with an object, also when it is another's."""
    store = open_store(name)
    bench.run(wrap=lambda _store: store)
    key = next(info.key for info in store.list("data/") if info.key.endswith("/big"))
    other = os.urandom(6 * MIB)
    right = hashlib.sha256((bench.root / "item" / "big").read_bytes()).digest()
    bucket, prefix = store.url.removeprefix("s3://").split("/", 1)
    store.client.boto.put_object(
        Bucket=bucket, Key=f"{prefix}/{key}", Body=other, ChecksumSHA256=base64.b64encode(right).decode()
    )
    patience = Patience(pace=Pace(concurrency=2, memory=64 * MIB), seconds=0)
    assert [
        one.item for one in verify(store, VerifyOptions(trusted=False), patience=patience, concurrency=2).damaged
    ] == ["item/big"]
