"""Archives in cold classes: what must be thawed is shown with its price, asked for once, and comes back when it has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.moto_api import state_manager

from archive_tasks.amounts import dollars_text
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import ObjectFrozen, SettingsError, StoreBusy
from archive_tasks.store import Thaw
from archive_tasks.target.prices import read_prices
from archive_tasks.testing.stores import put
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine
from tests.support.bench import Bench
from tests.support.fault_proxy import Fault
from tests.support.restoring import bring_back, same_trees
from tests.support.servers import S3Server

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.fixture
def slow_thaw() -> Iterator[None]:
    """Thawing takes some HEAD requests."""
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 3})
    yield
    state_manager.unset_transition("s3::keyrestore")


def archived(cli: CommandLine, root: Path, server: S3Server, storage_class: str = "DEEP_ARCHIVE") -> str:
    make_tree(
        root,
        {
            "thesis": {f"f{n}": File(f"{n}" * 100, age_days=90) for n in range(20)}
            | {"big": File(os.urandom(2 * MIB), age_days=90)}
        },
    )
    target = f"s3://{server.make_bucket()}/laptop"
    cli.environment |= server.env | {"ARCHIVE_TASKS_S3_STORAGE_CLASS": storage_class}
    ran = cli.run("archive", "--root", str(root), "--target", target, "--yes")
    assert ran.code == 0, ran.err
    return target


def test_a_restore_shows_the_ways_asks_and_finishes_when_it_has_thawed(
    cli: CommandLine, root: Path, strict_s3: S3Server, slow_thaw: None, tmp_path: Path
) -> None:
    target = archived(cli, root, strict_s3)
    arguments = ("restore", "thesis", "--to", str(tmp_path / "out"), "--target", target)
    shown = cli.run(*arguments, "--dry-run")
    assert shown.code == 0
    assert "2 objects must be thawed first" in shown.out
    assert "within 12 hours" in shown.out
    assert "within 48 hours" in shown.out
    refused = cli.run(*arguments)
    assert (refused.code, "add --tier" in refused.err) == (2, True)
    assert cli.run(*arguments, "--tier", "Expedited").code == 2
    asked = cli.run(*arguments, "--tier", "bulk")
    assert (asked.code, "asked for 2 objects to be thawed (Bulk)" in asked.out) == (3, True)
    again = cli.run(*arguments)
    assert again.code == 3
    assert "asked for" not in again.out, "each object is asked for once"
    ended = cli.run(*arguments, "--wait")
    assert ended.code == 0, ended.err
    assert same_trees(root, tmp_path / "out")


def test_a_device_that_does_not_know_the_class_finds_out(
    cli: CommandLine, root: Path, strict_s3: S3Server, tmp_path: Path
) -> None:
    target = archived(cli, root, strict_s3, "GLACIER")
    del cli.environment["ARCHIVE_TASKS_S3_STORAGE_CLASS"]
    cli.environment["XDG_DATA_HOME"] = str(tmp_path / "another")
    arguments = ("restore", "--all", "--to", str(tmp_path / "out"), "--target", target, "--yes", "--wait", "--json")
    ran = cli.run(*arguments)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["files"] + document["already"], document["failed"], document["thawing"]) == (21, [], 0)
    assert same_trees(root, tmp_path / "out")


def test_manifests_stay_hot_and_verify_thaws_nothing(cli: CommandLine, root: Path, strict_s3: S3Server) -> None:
    target = archived(cli, root, strict_s3)
    bucket = target.split("/")[2]
    classes = {
        one["Key"].split("/")[1]: one["StorageClass"]
        for one in strict_s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    }
    assert classes == {
        "README.txt": "STANDARD",
        "vault.json": "STANDARD",
        "manifests": "STANDARD",
        "data": "DEEP_ARCHIVE",
    }
    ran = cli.run("verify", "--target", target, "--read-data")
    assert (ran.code, "2 in a cold class, not read" in ran.out) == (0, True)


def test_the_states_of_an_object_are_told(strict_s3: S3Server, store_at: Any, slow_thaw: None) -> None:
    store: S3Store = store_at(strict_s3)
    store.put("a", b"cold", sha256=__import__("hashlib").sha256(b"cold").digest(), storage_class="GLACIER")
    put(store, "b", b"hot")
    assert [(info.key, info.storage_class) for info in sorted(store.list(""))] == [("a", "GLACIER"), ("b", "STANDARD")]
    hot, cold = store.describe("b"), store.describe("a")
    assert hot is not None
    assert hot.thaw is None
    assert cold is not None
    assert cold.thaw == Thaw("frozen")
    assert cold.modified is not None
    with pytest.raises(ObjectFrozen):
        b"".join(store.read("a"))
    store.thaw("a", tier="Bulk", days=3)
    states = []
    while not states or states[-1] != "thawed":
        found = store.describe("a")
        assert found is not None
        assert found.thaw is not None
        states.append(found.thaw.state)
    assert states[0] == "thawing"
    assert b"".join(store.read("a")) == b"cold"
    store.thaw("b", tier="Bulk", days=3)


# -- prices -------------------------------------------------------------------------------------------


def test_the_prices_give_the_worked_examples() -> None:
    """50 GiB in 200,000 files in DEEP_ARCHIVE, one object each or in 256 MiB packs of 32 MiB parts."""
    prices = read_prices()
    each = prices.to_store("DEEP_ARCHIVE", objects=200_000, size=50 * GIB, months=12)
    packed = prices.to_store("DEEP_ARCHIVE", objects=200, size=50 * GIB, months=12, parts=1800)
    assert (round(each or 0, 2), round(packed or 0, 2)) == (11.09, 0.61)
    bulk = [
        next(
            way.dollars
            for way in prices.to_thaw("DEEP_ARCHIVE", objects=number, size=50 * GIB, days=7)
            if way.tier == "Bulk"
        )
        for number in (200_000, 200)
    ]
    assert bulk == pytest.approx([5.39, 0.40], abs=0.01)


def test_a_table_of_ones_own_replaces_the_prices_and_nonsense_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "mine.toml"
    table.write_text('name = "mine"\n[class.STANDARD]\nstorage = 1\nput = 2\nget = 3\n')
    assert read_prices(str(table)).to_fetch("STANDARD", requests=1000, size=0) == 3
    assert read_prices(str(table)).to_fetch("GLACIER", requests=1, size=0) is None
    for text in ("", "name = 1", "[class.STANDARD]\nput = 1", "name = 'x'\nclass = 3", "= ="):
        table.write_text(text)
        with pytest.raises(SettingsError, match="is not a price table"):
            read_prices(str(table))
    with pytest.raises(SettingsError, match="cannot be read"):
        read_prices(str(tmp_path / "none.toml"))


def test_dollars_are_said_as_people_say_them() -> None:
    assert [dollars_text(one) for one in (0, 0.0004, 0.40, 1234.5)] == ["nothing", "$0.0004", "$0.40", "$1,234.50"]


# -- restores from a server that fails ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["status", "reset", "truncate_response", "flip_response", "lost_answer"])
def test_a_restore_rides_out_what_a_network_does(
    rclone_s3: S3Server, store_at: Any, fault_proxy: Any, root: Path, tmp_path: Path, make_session: Any, kind: str
) -> None:
    make_tree(
        root,
        {
            "item": {f"f{n}": File(os.urandom(50_000), age_days=400) for n in range(30)}
            | {"big": File(os.urandom(11 * MIB), age_days=400)}
        },
        now=__import__("tests.conftest", fromlist=["NOW"]).NOW,
    )
    proxy = fault_proxy(rclone_s3.endpoint)
    store = store_at(rclone_s3, endpoint=proxy.endpoint)
    bench = Bench(root, tmp_path / "unused", make_session, tmp_path / "catalogue.sqlite")
    bench.run(wrap=lambda _store: store)
    for _ in range(3):
        proxy.add(
            Fault(
                kind,
                method="GET",
                contains="/data/",
                **({"status": 503, "code": "SlowDown"} if kind == "status" else {}),
            )
        )
    try:
        restored = bring_back(store, tmp_path / "catalogue.sqlite", tmp_path / "out", seconds=30)
    except StoreBusy:  # pragma: no cover - a fault that never passes is an error, and said
        raise AssertionError("three faults are no outage") from None
    assert all(fault.times == 0 for fault in proxy.faults), "every fault was met"
    assert not restored.failed
    assert same_trees(root, tmp_path / "out")
