"""The S3 store against real servers, and against every fault that a network has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.s3.errors import of_answer
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import (
    IntegrityError,
    ItemUnreadable,
    ObjectMissing,
    StoreBusy,
    StoreError,
    StoreUnusable,
    UsageError,
)
from archive_tasks.formats.checksums import composite_checksum, whole_checksum
from archive_tasks.settings import MIB, make_settings
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.testing.stores import StoreContract
from tests.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers import S3Server


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def open_store(monkeypatch: pytest.MonkeyPatch) -> Callable[..., S3Store]:
    def open_it(server: S3Server, *, endpoint: str = "", **s3: Any) -> S3Store:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        settings = make_settings({"part_size": "5M", "s3": s3}, {}, {})
        return S3Store(f"s3://{server.make_bucket()}/some/prefix", settings)

    return open_it


class TestMoto(StoreContract):
    refuses_wrong_checksums = False

    @pytest.fixture
    def store(self, moto_s3: S3Server, open_store: Any) -> S3Store:
        made: S3Store = open_store(moto_s3)
        return made


class TestStrict(StoreContract):
    @pytest.fixture
    def store(self, strict_s3: S3Server, open_store: Any) -> S3Store:
        made: S3Store = open_store(strict_s3)
        return made

    def test_the_composite_checksum_comes_back(self, store: S3Store) -> None:
        data = os.urandom(6 * MIB)
        upload = store.upload("big", len(data))
        pieces = [data[: 5 * MIB], data[5 * MIB :]]
        for number, piece in enumerate(pieces, start=1):
            upload.put_part(number, piece, sha256=digest(piece))
        upload.complete(6 * MIB)
        found = store.describe("big")
        assert found is not None
        assert found.checksum == composite_checksum([digest(piece) for piece in pieces])


class TestRclone(StoreContract):
    refuses_wrong_checksums = creates_only = False

    @pytest.fixture
    def store(self, rclone_s3: S3Server, open_store: Any) -> S3Store:
        made: S3Store = open_store(rclone_s3)
        return made


class TestRcloneOverTls(StoreContract):
    refuses_wrong_checksums = creates_only = False

    @pytest.fixture
    def store(self, rclone_tls_s3: S3Server, open_store: Any) -> S3Store:
        made: S3Store = open_store(rclone_tls_s3)
        return made


def test_part_sizes_fit_every_file_into_the_parts_that_s3_allows(strict_s3: S3Server, open_store: Any) -> None:
    store = open_store(strict_s3)
    for size in (6 * MIB, 50 * 1024 * MIB, 5 * 1024 * 1024 * MIB):
        part_size = store.part_size(size)
        assert part_size % MIB == 0
        assert 5 * MIB <= part_size <= 5 * 1024 * MIB
        assert -(-size // part_size) <= 10_000
    with pytest.raises(ItemUnreadable, match="S3 takes"):
        store.upload("huge", 5 * 1024 * 1024 * MIB + 1)


def test_a_wrong_checksum_is_refused_by_a_server_that_checks(strict_s3: S3Server, open_store: Any) -> None:
    store = open_store(strict_s3)
    with pytest.raises(IntegrityError):
        store.put("lie", b"sent", sha256=digest(b"claimed"))
    upload = store.upload("lie", 6 * MIB)
    with pytest.raises(IntegrityError):
        upload.put_part(1, b"sent", sha256=digest(b"claimed"))
    assert list(store.list("")) == []
    store.put("truth", b"sent", sha256=digest(b"sent"))
    found = store.describe("truth")
    assert found is not None
    assert found.checksum == whole_checksum(digest(b"sent"))


# -- faults -------------------------------------------------------------------------------------------


@pytest.fixture
def faulty(moto_s3: S3Server, open_store: Any, monkeypatch: Any) -> Iterator[tuple[S3Store, FaultProxy]]:
    """A store behind a proxy; the client library does not wait between its own three tries."""
    with fault_proxy(moto_s3.endpoint) as proxy:
        store = open_store(moto_s3, endpoint=proxy.endpoint)
        monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
        yield store, proxy


def test_the_lost_answer_to_our_own_write_is_recognised(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    proxy.add(Fault("lost_answer", method="PUT", contains="/mine"))
    store.put("mine", b"data", sha256=digest(b"data"))
    writes = [request for request in proxy.requests if request[0] == "PUT"]
    assert len(writes) == 2, "the client repeats, the server says 412, and it is ours"
    assert b"".join(store.read("mine")) == b"data"


@pytest.mark.parametrize("status", [(404, "NoSuchUpload"), None])
def test_the_lost_answer_to_our_own_completion_is_recognised(faulty: Any, status: tuple[int, str] | None) -> None:
    store, proxy = faulty
    data = os.urandom(6 * MIB)
    upload = store.upload("big", len(data))
    for number, start in enumerate((0, 5 * MIB), start=1):
        piece = data[start : start + 5 * MIB]
        upload.put_part(number, piece, sha256=digest(piece))
    proxy.add(Fault("lost_answer", method="POST", contains="uploadId"))
    if status:
        proxy.add(Fault("status", method="POST", contains="uploadId", status=status[0], code=status[1]))
    upload.complete(6 * MIB)
    assert b"".join(store.read("big")) == data


def test_a_forgotten_upload_must_begin_anew(faulty: Any) -> None:
    store, proxy = faulty
    upload = store.upload("big", 6 * MIB)
    upload.put_part(1, b"x" * 5 * MIB, sha256=digest(b"x" * 5 * MIB))
    proxy.add(Fault("status", method="POST", contains="uploadId", status=404, code="NoSuchUpload"))
    with pytest.raises(StoreBusy) as caught:
        upload.complete(5 * MIB)
    assert caught.value.start_over


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=503, code="SlowDown", times=9),
        Fault("status", status=500, code="InternalError", times=9),
        Fault("status", status=429, code="TooManyRequests", times=9),
        Fault("status", status=409, code="OperationAborted", times=9),
        Fault("reset", times=9),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_passing_faults_are_busy_for_every_request(faulty: Any, fault: Fault) -> None:
    store, proxy = faulty
    store.put("there", b"x", sha256=digest(b"x"))
    upload = store.upload("big", 6 * MIB)
    requests: list[Callable[[], Any]] = [
        lambda: store.put("a", b"x", sha256=digest(b"x")),
        lambda: list(store.read("there")),
        lambda: store.describe("there"),
        lambda: list(store.list("")),
        lambda: store.delete("b"),
        lambda: store.upload("c", 6 * MIB),
        lambda: upload.put_part(1, b"x" * 5 * MIB, sha256=digest(b"x" * 5 * MIB)),
        store.exists,
    ]
    for request in requests:
        proxy.faults[:] = [Fault(fault.kind, times=9, status=fault.status, code=fault.code)]
        with pytest.raises(StoreBusy) as caught:
            request()
        assert caught.value.slow_down is (fault.status in {429, 503} and fault.kind == "status")
        assert store.url in str(caught.value)


def test_a_body_that_ends_early_is_busy_and_is_read_again_by_patience(faulty: Any) -> None:
    store, proxy = faulty
    data = os.urandom(2 * MIB)
    store.put("a", data, sha256=digest(data))
    proxy.add(Fault("truncate_response", method="GET"))
    with pytest.raises(StoreBusy):
        list(store.read("a"))
    proxy.add(Fault("truncate_response", method="GET"))
    patience = Patience(pace=Pace(concurrency=1, memory=MIB), seconds=60, sleep=lambda _seconds: None)
    assert patience.ask(lambda: b"".join(store.read("a"))) == data


def test_a_flipped_bit_is_the_readers_to_find(faulty: Any) -> None:
    """The client library hands it on without complaint, so everything that is read is hashed by who reads it."""
    store, proxy = faulty
    store.put("a", b"data", sha256=digest(b"data"))
    proxy.add(Fault("flip_response", method="GET"))
    assert b"".join(store.read("a")) != b"data"


def test_forbidden_is_never_taken_for_absent(faulty: Any) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="HEAD", status=403, code="AccessDenied"))
    with pytest.raises(StoreUnusable, match="these credentials may not do that"):
        store.describe("a")


def test_a_server_without_create_only_writes_is_written_to_without(faulty: Any) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="PUT", status=501, code="NotImplemented"))
    store.put("a", b"x", sha256=digest(b"x"))
    store.put("a", b"y", sha256=digest(b"y"))
    assert b"".join(store.read("a")) == b"y"


def test_a_whole_run_survives_every_fault_once(moto_s3: S3Server, cli: Any, root: Path, tmp_path: Path) -> None:
    from archive_tasks.testing.trees import File, make_tree
    from tests.foreign import check_target

    make_tree(root, {"item": {f"f{n}": File(os.urandom(900 + n), age_days=90) for n in range(12)}})
    make_tree(root, {"big": {"film": File(os.urandom(11 * MIB), age_days=90)}})
    bucket = moto_s3.make_bucket()
    with fault_proxy(moto_s3.endpoint) as proxy:
        cli.environment.update(moto_s3.env | {"AWS_ENDPOINT_URL_S3": proxy.endpoint, "ARCHIVE_TASKS_PART_SIZE": "5M"})
        assert cli.run("setup", "--target", f"s3://{bucket}", "--yes").code == 0
        for contains in ("/files/f1?", "/files/f2", "manifests/", "partNumber", "uploadId", "/data/"):
            for kind in ("lost_answer", "reset", "truncate_response"):
                proxy.add(Fault(kind, contains=contains, times=2))  # type: ignore[arg-type]
            proxy.add(Fault("status", contains=contains, times=2))
        ran = cli.run("archive", "--root", str(root), "--yes")
        assert ran.code == 0, ran.err + ran.out
        assert sum(fault.times for fault in proxy.faults) < 20
    client = moto_s3.client()
    keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket)["Contents"]]
    items = check_target(keys, lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert set(items) == {"item", "big"}


# -- ownership, words, and urls -----------------------------------------------------------------------


def test_the_expected_owner_goes_with_every_request(moto_s3: S3Server, open_store: Any) -> None:
    store = open_store(moto_s3, bucket_owner="123456789012")
    seen: list[tuple[str, str | None]] = []
    store.client.boto.meta.events.register_first(
        "before-send.s3",
        lambda request, **_: seen.append((request.method, request.headers.get("x-amz-expected-bucket-owner"))),
    )
    store.exists()
    store.put("a", b"x", sha256=digest(b"x"))
    list(store.read("a"))
    store.describe("a")
    list(store.list(""))
    upload = store.upload("big", 6 * MIB)
    upload.put_part(1, b"x" * 5 * MIB, sha256=digest(b"x" * 5 * MIB))
    upload.complete(5 * MIB)
    store.upload("other", 6 * MIB).abort()
    store.delete("a")
    for probe in store.probes():
        if probe.name != "refuses-wrong-owner":
            probe.ask(f"doctor/{probe.name}/")
    assert len(seen) > 40
    assert {owner for _, owner in seen} == {b"123456789012"} or {owner for _, owner in seen} == {"123456789012"}


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///prefix",
        "s3://UPPER/x",
        "s3://b/x",
        "s3://bucket/a b",
        "s3://bucket/../x",
        "s3://bucket?x=1",
        "s3://bü/x",
    ],
)
def test_a_url_that_names_no_bucket_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(UsageError, match="write s3://my-bucket/laptop"):
        S3Store(url, make_settings({}, {}, {}))


@pytest.mark.parametrize("bucket", ["bk", "b", "b" * 64])
def test_a_bucket_of_a_length_that_none_has_is_told_so(bucket: str) -> None:
    for url in (f"s3://{bucket}", f"s3://{bucket}/p"):
        with pytest.raises(UsageError, match=rf"length {len(bucket)}, and .* 3 to 63 characters: write s3://"):
            S3Store(url, make_settings({}, {}, {}))


def test_a_clock_that_is_wrong_is_told_by_how_much() -> None:
    date = datetime.now(UTC).replace(year=datetime.now(UTC).year - 1).strftime("%a, %d %b %Y %H:%M:%S GMT")
    answer = {"Error": {"Code": "RequestTimeTooSkewed"}, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    error = of_answer(answer, where="s3://b", doing="writing to")
    assert isinstance(error, StoreUnusable)
    assert "minutes ahead; set this machine's clock" in str(error)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("SlowDown", 503, StoreBusy),
        ("InternalError", 500, StoreBusy),
        ("RequestTimeout", 400, StoreBusy),
        ("OperationAborted", 409, StoreBusy),
        ("", 502, StoreBusy),
        ("BadDigest", 400, IntegrityError),
        ("XAmzContentSHA256Mismatch", 400, IntegrityError),
        ("NoSuchKey", 404, ObjectMissing),
        ("NoSuchBucket", 404, StoreUnusable),
        ("AccessDenied", 403, StoreUnusable),
        ("ExpiredToken", 400, StoreUnusable),
        ("SignatureDoesNotMatch", 403, StoreUnusable),
        ("SomethingNew", 418, StoreUnusable),
    ],
)
def test_each_answer_is_final_or_worth_another_try(code: str, status: int, kind: type[StoreError]) -> None:
    answer = {"Error": {"Code": code, "Message": "words"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = of_answer(answer, where="s3://b", doing="writing to")
    assert type(error) is kind
    assert str(error).startswith("writing to s3://b: ")
