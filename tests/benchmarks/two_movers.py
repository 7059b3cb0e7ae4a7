"""How many of 480 files survive when two movers free one folder at once: ours, and `rclone move`.

    python -m tests.benchmarks.two_movers

Twelve rounds of forty files against one `rclone serve s3`. `rclone move` runs with `--retries 1`; each takes the source
that the other has removed for a failed copy, and removes the copy (rclone#5344). Ours has a data folder for each run,
so that they share nothing but the root and the target.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.movers import FILES, archive_and_free, at_once, make_folder, sums_at_home, sums_in_target
from tests.support.servers import S3Server, rclone_server

ROUNDS = 12


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, rclone_server(Path(folder, "server")) as server:
        environment = {**os.environ, **server.env}
        lost = {"ours": 0, "rclone move": 0}
        for round_ in range(ROUNDS):
            lost["ours"] += _lost_by_ours(Path(folder, f"ours{round_}"), server, environment, round_)
            lost["rclone move"] += _lost_by_rclone(Path(folder, f"rclone{round_}"), server, environment, round_)
            print(f"round {round_ + 1}: {lost}", flush=True)
        of = ROUNDS * FILES
        print("\n".join(f"{name}: {number} of {of} files lost" for name, number in lost.items()))


def _lost_by_ours(folder: Path, server: S3Server, environment: dict[str, str], round_: int) -> int:
    root, bucket = folder / "root", server.make_bucket()
    before = make_folder(root, round_)
    archive_and_free(root, f"s3://{bucket}/x", [folder / "a", folder / "b"], environment)
    client = server.client()
    keys = [key.removeprefix("x/") for key in _keys(client, bucket)]

    def fetch(key: str) -> bytes:
        data: bytes = client.get_object(Bucket=bucket, Key=f"x/{key}")["Body"].read()
        return data

    return len(before - sums_at_home(root) - sums_in_target(keys, fetch))


def _lost_by_rclone(folder: Path, server: S3Server, environment: dict[str, str], round_: int) -> int:
    root, bucket = folder / "root", server.make_bucket()
    before = make_folder(root, round_)
    remote = ":s3,provider=Other,env_auth=true,endpoint='" + server.endpoint + f"':{bucket}/x"
    rclone = str(Path(sys.executable).with_name("rclone"))
    command = [rclone, "move", "--config", "", "--retries", "1", str(root), remote]
    at_once([command] * 2, [folder] * 2, [environment] * 2)
    client = server.client()
    there = {
        hashlib.sha256(client.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()
        for key in _keys(client, bucket)
    }
    return len(before - sums_at_home(root) - there)


def _keys(client: Any, bucket: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [one["Key"] for page in pages for one in page.get("Contents", ())]


if __name__ == "__main__":
    main()
