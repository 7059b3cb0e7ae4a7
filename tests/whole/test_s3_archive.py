"""Archiving to real S3 servers, and reading back with clients that are not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import CommandLine
from tests.support.bench import without_times_of_reading
from tests.support.fault_proxy import FaultProxy
from tests.support.foreign import check_target, keys_of_archive, of_items, restore_by_hand
from tests.support.servers import S3Server

OLD = File("old", age_days=400)
BAD = os.fsdecode(b"caf\xe9\n\x1b[31m")
MIB = 1024 * 1024


@pytest.fixture
def s3_cli(cli: CommandLine, s3: S3Server) -> CommandLine:
    cli.environment.update(s3.env)
    return cli


def foreign_copy(server: S3Server, bucket: str, destination: Path) -> Path:
    """Every object of the bucket, fetched by rclone's own client.

    But the doctor's: after its race of 16 writers, rclone 1.75 now and then lists an object that is gone from its disk.
    """
    destination.mkdir()
    remote = f":s3,provider=Other,endpoint='{server.endpoint}',env_auth=true:{bucket}"
    rclone = Path(sys.executable).with_name("rclone")
    trust = ["--ca-cert", server.ca] if server.ca else []
    command = [
        str(rclone),
        "copy",
        "--config",
        "",
        "--exclude",
        "doctor/**",
        "--exclude",
        "*/doctor/**",
        *trust,
        remote,
        str(destination),
    ]
    ran = subprocess.run(command, env={**os.environ, **server.env}, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return destination


def keys_of(copied: Path) -> list[str]:
    return sorted(str(path.relative_to(copied)) for path in copied.rglob("*") if path.is_file())


def test_what_is_archived_comes_back_by_a_foreign_client(
    s3_cli: CommandLine, s3: S3Server, root: Path, tmp_path: Path
) -> None:
    make_tree(
        root,
        {
            "item": {
                "a": OLD,
                "empty": File("", age_days=400),
                "big": File(os.urandom(12 * MIB + 5), age_days=400),
                "deep": {BAD: OLD, "n" * 255: OLD, "-rf": OLD, "..x..": OLD, "📷": OLD},
                "link": Link("a", age_days=400),
            },
            BAD: OLD,
        },
    )
    before = read_tree(root)
    bucket = s3.make_bucket()
    s3_cli.environment["ARCHIVE_TASKS_PART_SIZE"] = "5M"
    ran = s3_cli.run("archive", "--root", str(root), "--target", f"s3://{bucket}/laptop", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert {archive["item"] for archive in json.loads(ran.out)["archives"]} == {"item", BAD}
    assert ("read back" in ran.err) is (s3.kind != "strict")
    assert read_tree(root) == before
    target = foreign_copy(s3, bucket, tmp_path / "copied") / "laptop"
    items = check_target(keys_of(target), lambda key: (target / key).read_bytes())
    for key in items.values():
        restore_by_hand((target / key).read_bytes(), lambda name: (target / name).read_bytes(), tmp_path / "restored")
    assert without_times_of_reading(read_tree(tmp_path / "restored")) == without_times_of_reading(before)
    again = s3_cli.run("archive", "--root", str(root), "--target", f"s3://{bucket}/laptop", "--yes", "--json")
    assert len(json.loads(again.out)["already"]) == 2
    if s3.kind in {"moto", "strict"}:  # rclone 1.75 now and then lists what is gone from its disk
        listed = s3.client().list_objects_v2(Bucket=bucket, Prefix="laptop/doctor")
        assert listed["KeyCount"] == 0


def test_a_missing_bucket_is_created_when_that_is_wanted(s3_cli: CommandLine, s3: S3Server, root: Path) -> None:
    make_tree(root, {"item": OLD})
    name = f"new-{os.urandom(6).hex()}"
    ran = s3_cli.run("archive", "--root", str(root), "--target", f"s3://{name}", "--yes")
    assert ran.code == 0, ran.err
    client = s3.client()
    assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"] if bucket["Name"] == name] == [name]
    if s3.kind in {"moto", "strict"}:
        block = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        assert all(block.values())
        assert len(block) == 4
        rules = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        assert [rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] for rule in rules] == [7]


def test_a_run_killed_while_it_uploads_to_s3_is_finished_by_the_next(
    cli: CommandLine, rclone_s3: S3Server, root: Path, tmp_path: Path
) -> None:
    make_tree(root, {f"item{n}": {f"f{m}": File(os.urandom(50_000), age_days=90) for m in range(10)} for n in range(6)})
    bucket = rclone_s3.make_bucket()
    cli.environment.update(rclone_s3.env | {"ARCHIVE_TASKS_BANDWIDTH": "1500000"})
    arguments = ("archive", "--root", str(root), "--target", f"s3://{bucket}", "--yes")
    for number, objects in enumerate((5, 20, 40)):
        process = cli.start(*arguments)
        deadline = time.monotonic() + 30
        while _objects(rclone_s3, bucket) < objects and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        copied = foreign_copy(rclone_s3, bucket, tmp_path / f"copy{number}")
        check_target(keys_of(copied), lambda key, at=copied: (at / key).read_bytes())
    del cli.environment["ARCHIVE_TASKS_BANDWIDTH"]
    assert cli.run(*arguments).code == 0
    copied = foreign_copy(rclone_s3, bucket, tmp_path / "copy")
    items = check_target(keys_of(copied), lambda key: (copied / key).read_bytes())
    assert len(items) == 6
    spoken_of = [key for item in items.values() for key in keys_of_archive((copied / item).read_bytes())]
    assert set(of_items(spoken_of)) == {key for key in of_items(keys_of(copied)) if key.startswith("data/")}


def _objects(server: S3Server, bucket: str) -> int:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="data/")
    return sum(len(page.get("Contents", [])) for page in pages)


def test_doctor_believes_only_the_server_that_refuses_lies(s3_cli: CommandLine, s3: S3Server) -> None:
    ran = s3_cli.run("doctor", "--target", f"s3://{s3.make_bucket()}/x", "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    answers = {name: answer["ok"] for name, answer in document["answers"].items()}
    assert len(answers) == 12
    assert document["trusted"] is (s3.kind == "strict")
    assert answers["refuses-wrong-checksum"] is (s3.kind == "strict")
    assert answers["refuses-overwrite"] is answers["one-winner"] is (s3.kind in {"moto", "strict"})
    assert answers["clock-agrees"] is True
    assert answers["can-delete"] is True
    assert answers["refuses-wrong-owner"] is not True


BAD_ACCESS: list[tuple[dict[str, str], str]] = [
    ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "check AWS_SECRET_ACCESS_KEY"),
    ({"AWS_ACCESS_KEY_ID": "wrong"}, "check"),
    ({"AWS_PROFILE": "nobody"}, "see archive.s3.profile or AWS_PROFILE"),
    ({"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}, "the server at 127.0.0.1 cannot be reached"),
    ({"AWS_ENDPOINT_URL_S3": "http://192.0.2.1:9"}, "is not encrypted: use https, or set archive.s3.allow_http"),
]


def test_a_large_object_is_asked_about_once_before_its_parts_are_read_back(
    cli: CommandLine, rclone_s3: S3Server, root: Path, fault_proxy: Callable[[str], FaultProxy]
) -> None:
    """rclone hashes an object while it answers the first request for it; side by side, every worker would have it do
    so.
    """
    make_tree(root, {"item": {"big": File(os.urandom(12 * MIB), age_days=90)}})
    proxy = fault_proxy(rclone_s3.endpoint)
    cli.environment.update(proxy.env(rclone_s3) | {"ARCHIVE_TASKS_PART_SIZE": "5M"})
    ran = cli.run("archive", "--root", str(root), "--target", f"s3://{rclone_s3.make_bucket()}", "--yes")
    assert ran.code == 0, ran.err
    large = [(method, path) for method, path in proxy.requests if "/files/big" in path]
    completed = max(at for at, (method, _) in enumerate(large) if method == "POST")
    assert [method for method, _ in large[completed + 1 :]] == ["HEAD", "GET", "GET", "GET"]


@pytest.mark.parametrize(("environment", "message"), BAD_ACCESS)
def test_bad_access_gets_one_clear_line_and_shows_no_secret(
    cli: CommandLine, rclone_s3: S3Server, root: Path, environment: dict[str, str], message: str
) -> None:
    make_tree(root, {"item": OLD})
    secrets = {"AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_SESSION_TOKEN": "canary-token"}
    cli.environment.update(rclone_s3.env | (secrets if "AWS_PROFILE" in environment else {}) | environment)
    ran = cli.run("archive", "--root", str(root), "--target", f"s3://{rclone_s3.make_bucket()}", "--yes")
    assert ran.code in {1, 2}
    assert message in ran.err, ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in ran.err
    assert "canary" not in ran.err + ran.out


def test_settings_reach_every_object(cli: CommandLine, moto_s3: S3Server, root: Path) -> None:
    make_tree(root, {"item": {"small": OLD, "big": File(os.urandom(6 * MIB), age_days=90)}})
    bucket = moto_s3.make_bucket()
    cli.environment.update(moto_s3.env | {"ARCHIVE_TASKS_PART_SIZE": "5M"})
    (cli.project / "invoke.yaml").write_text(
        f"archive:\n  root: {root}\n  target: s3://{bucket}\n  s3:\n    storage_class: STANDARD_IA\n    encryption: AES256\n"
    )
    ran = cli.run("archive", "--yes")
    assert ran.code == 0, ran.err
    client: Any = moto_s3.client()
    for found in client.list_objects_v2(Bucket=bucket)["Contents"]:
        head = client.head_object(Bucket=bucket, Key=found["Key"])
        is_hot = found["Key"].endswith("/manifest.jsonl.zst") or not found["Key"].startswith("data/")
        wanted = None if is_hot else "STANDARD_IA"
        assert head.get("StorageClass") == wanted, found["Key"]
        assert head["ServerSideEncryption"] == "AES256"


def test_a_bucket_in_another_region_is_named(cli: CommandLine, moto_s3: S3Server, root: Path) -> None:
    make_tree(root, {"item": OLD})
    name = f"new-{os.urandom(6).hex()}"
    cli.environment.update(moto_s3.env | {"AWS_REGION": "eu-west-3"})
    assert cli.run("archive", "--root", str(root), "--target", f"s3://{name}", "--yes").code == 0
    assert moto_s3.client().get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-west-3"


@pytest.mark.parametrize("server", ["moto_s3", "strict_s3"])
def test_a_cold_class_is_used_only_where_the_stores_word_is_proof(
    cli: CommandLine, request: pytest.FixtureRequest, root: Path, server: str
) -> None:
    s3: S3Server = request.getfixturevalue(server)
    make_tree(root, {"item": {"small": OLD, "big": File(os.urandom(11 * MIB), age_days=90)}})
    bucket = s3.make_bucket()
    cli.environment.update(s3.env | {"ARCHIVE_TASKS_S3_STORAGE_CLASS": "DEEP_ARCHIVE", "ARCHIVE_TASKS_PART_SIZE": "5M"})
    ran = cli.run("archive", "--root", str(root), "--target", f"s3://{bucket}", "--yes")
    classes = {
        found["StorageClass"]
        for found in s3.client().list_objects_v2(Bucket=bucket, Prefix="data/").get("Contents", [])
        if not found["Key"].endswith("/manifest.jsonl.zst")
    }
    if server == "strict_s3":
        assert (ran.code, classes) == (0, {"DEEP_ARCHIVE"})
    else:
        assert (ran.code, classes) == (2, set())
        assert "cannot be read back: no archive could be proven" in ran.err
