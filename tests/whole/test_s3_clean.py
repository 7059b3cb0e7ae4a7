"""Cleaning against real S3 servers: by their word where that is proof, by reading back where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import read_tree
from tests.support.cleaning import LOOKS_AT_PROCESSES, CleanBench, make_items, sums_in
from tests.support.kills import count_events, run_and_die, spread
from tests.support.servers import S3Server

ITEMS = {"papers", "film", "note"}


class S3Bench(CleanBench):
    """A bench with a bucket of its own."""

    def __init__(self, folder: Path, make_session: Any, server: S3Server) -> None:
        self.server = server
        self.bucket = server.make_bucket()
        (folder / "root").mkdir(parents=True)
        super().__init__(folder / "root", folder, make_session, target=f"s3://{self.bucket}/laptop")

    def strangers_view(self) -> tuple[list[str], Callable[[str], bytes]]:
        client = self.server.client()
        found = client.list_objects_v2(Bucket=self.bucket, Prefix="laptop/").get("Contents", [])

        def fetch(key: str) -> bytes:
            data: bytes = client.get_object(Bucket=self.bucket, Key=f"laptop/{key}")["Body"].read()
            return data

        return [one["Key"].removeprefix("laptop/") for one in found], fetch


@pytest.fixture
def bench_at(tmp_path: Path, make_session: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Bench]:
    """`bench_at(server)` archives three items to a new bucket there."""
    number = iter(range(1_000_000))

    def make(server: S3Server, **settings: Any) -> S3Bench:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        bench = S3Bench(tmp_path / str(next(number)), make_session, server)
        bench.plugins_off = LOOKS_AT_PROCESSES
        make_items(bench.root)
        assert not bench.archive(**settings).failed
        return bench

    return make


@pytest.mark.parametrize("pack_below", ["1M", "0"])
def test_what_is_cleaned_comes_back_from_every_server(
    s3: S3Server, bench_at: Callable[..., S3Bench], capfd: pytest.CaptureFixture[str], pack_below: str
) -> None:
    bench = bench_at(s3, pack_below=pack_below)
    before = bench.home()
    capfd.readouterr()
    document = bench.clean("delete")
    assert {one["item"] for one in document["freed"]} == ITEMS
    told = "every archived byte is read back from the target" in capfd.readouterr().err
    assert told == (s3.kind != "strict"), "by its word where the doctor saw it refuse wrong ones, and only there"
    assert sums_in(before) <= bench.sums_of() | bench.sums_in_target()


def test_a_server_that_echoes_any_checksum_is_not_believed(
    rclone_s3: S3Server, bench_at: Callable[..., S3Bench], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """rclone says of an object what its writer said, whatever has become of the bytes."""
    bench = bench_at(rclone_s3, pack_below="0")
    before = bench.home()
    client = bench.server.client()
    for key in bench.strangers_view()[0]:
        if key.startswith("data/"):
            place = {"Bucket": bench.bucket, "Key": f"laptop/{key}"}
            claimed = client.head_object(**place, ChecksumMode="ENABLED").get("ChecksumSHA256")
            data = bytearray(client.get_object(**place)["Body"].read())
            data[0] ^= 1
            client.put_object(**place, Body=bytes(data), ChecksumSHA256=claimed)
            assert client.head_object(**place, ChecksumMode="ENABLED").get("ChecksumSHA256") == claimed
    document = bench.clean("delete")
    assert {one["item"] for one in document["failed"]} == ITEMS
    assert bench.home() == before


def test_read_data_does_not_take_a_trusted_servers_word_either(
    strict_s3: S3Server, bench_at: Callable[..., S3Bench], capfd: pytest.CaptureFixture[str]
) -> None:
    bench = bench_at(strict_s3)
    bench.clean("delete", clean_request={"read_data": True})
    assert "every archived byte is read back" in capfd.readouterr().err


@pytest.mark.parametrize("pack_below", ["1M", "0"])
@pytest.mark.parametrize("mode", ["quarantine", "delete"])
def test_runs_killed_against_a_real_server_lose_nothing(
    rclone_s3: S3Server, bench_at: Callable[..., S3Bench], mode: str, pack_below: str
) -> None:
    bench_at(rclone_s3, pack_below=pack_below).clean(mode)
    counted = bench_at(rclone_s3, pack_below=pack_below)
    for event in spread(count_events(lambda: counted.clean(mode)), 6):
        bench = bench_at(rclone_s3, pack_below=pack_below)
        before = bench.home()
        run_and_die(lambda bench=bench: bench.clean(mode), at=event)  # type: ignore[misc]
        assert sums_in(before) <= bench.sums_of() | bench.sums_in_target()
        bench.clean(mode)
        assert {path.partition("/")[0] for path in bench.home()} == {"fresh"}
        assert sums_in(before) <= sums_in(read_tree(bench.root)) | bench.sums_in_target()
