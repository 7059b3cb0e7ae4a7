"""Faults between the store and S3: a bit flipped on the way, a forgotten upload, half a new bucket, silence."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import IntegrityError, ItemError, ObjectExists, ObjectMissing, StoreBusy, StoreUnusable
from archive_tasks.settings import MIB
from archive_tasks.testing.stores import put
from tests.fault_proxy import Fault, FaultProxy
from tests.servers import S3Server

StoreAt = Callable[..., S3Store]
MakeProxy = Callable[[str], FaultProxy]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def faulty(strict_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy) -> tuple[S3Store, FaultProxy]:
    """A store on a server that checks what it is sent, behind a proxy."""
    proxy = fault_proxy(strict_s3.endpoint)
    return store_at(strict_s3, endpoint=proxy.endpoint), proxy


# -- bytes that change on the way ----------------------------------------------------------------------


def test_a_bit_flipped_on_the_way_up_is_refused_and_leaves_nothing(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    proxy.add(Fault("flip_request", method="PUT", times=9))
    with pytest.raises(IntegrityError):
        put(store, "whole", b"data")
    assert store.describe("whole") is None


def test_a_bit_flipped_in_a_part_is_refused_and_the_part_can_be_sent_again(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    data = os.urandom(6 * MIB)
    upload = store.upload("parts", len(data))
    first, second = data[: 5 * MIB], data[5 * MIB :]
    proxy.add(Fault("flip_request", method="PUT", contains="partNumber"))
    with pytest.raises(IntegrityError):
        upload.put_part(1, first, sha256=sha256(first))
    upload.put_part(1, first, sha256=sha256(first))
    upload.put_part(2, second, sha256=sha256(second))
    upload.complete(6 * MIB)
    assert b"".join(store.read("parts")) == data


def test_a_flipped_bit_is_stored_by_a_server_that_does_not_check(
    moto_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy
) -> None:
    """Why everything on such a server is read back: it says the right checksum of the wrong bytes."""
    proxy = fault_proxy(moto_s3.endpoint)
    store = store_at(moto_s3, endpoint=proxy.endpoint)
    proxy.add(Fault("flip_request", method="PUT"))
    put(store, "whole", b"data")
    found = store.describe("whole")
    assert found is not None
    assert found.checksum == sha256(b"data").hex()
    assert b"".join(store.read("whole")) != b"data"


# -- multipart uploads ---------------------------------------------------------------------------------


def begun(store: S3Store) -> tuple[Any, bytes]:
    """An upload of 6 MiB with both its parts sent."""
    data = os.urandom(6 * MIB)
    upload = store.upload("big", len(data))
    for number, piece in enumerate((data[: 5 * MIB], data[5 * MIB :]), start=1):
        upload.put_part(number, piece, sha256=sha256(piece))
    return upload, data


def test_an_upload_that_vanished_between_its_parts_is_begun_anew(rclone_s3: S3Server, store_at: StoreAt) -> None:
    """A lifecycle rule or another client's clean-up aborts it; the store answers NoSuchUpload to the next part."""
    store = store_at(rclone_s3)
    upload = store.upload("big", 6 * MIB)
    upload.abort()
    with pytest.raises(StoreBusy) as caught:
        upload.put_part(1, b"x" * 5 * MIB, sha256=sha256(b"x" * 5 * MIB))
    assert caught.value.start_over


@pytest.mark.parametrize(
    ("status", "code"), [(409, "ConditionalRequestConflict"), (400, "InvalidPart"), (400, "BadDigest")]
)
def test_a_completion_that_can_no_longer_succeed_is_begun_anew(
    faulty: tuple[S3Store, FaultProxy], status: int, code: str
) -> None:
    store, proxy = faulty
    upload, _ = begun(store)
    proxy.add(Fault("status", method="POST", contains="uploadId", status=status, code=code))
    with pytest.raises(StoreBusy) as caught:
        upload.complete(6 * MIB)
    assert caught.value.start_over
    assert store.describe("big") is None


def test_completing_over_a_foreign_object_is_refused_and_leaves_it(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, _ = faulty
    upload, _ = begun(store)
    put(store, "big", b"somebody else's")
    with pytest.raises(ObjectExists):
        upload.complete(6 * MIB)
    assert b"".join(store.read("big")) == b"somebody else's"


def test_a_completion_whose_answer_is_lost_each_time_is_found_done_by_the_next_try(
    faulty: tuple[S3Store, FaultProxy],
) -> None:
    store, proxy = faulty
    upload, data = begun(store)
    proxy.add(Fault("lost_answer", method="POST", contains="uploadId", times=3))
    with pytest.raises(StoreBusy) as caught:
        upload.complete(6 * MIB)
    assert not caught.value.start_over, "the parts need not be sent again"
    upload.complete(6 * MIB)
    assert b"".join(store.read("big")) == data


def test_aborting_never_fails(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    upload = store.upload("big", 6 * MIB)
    for fault in (Fault("reset", times=9), Fault("status", status=403, code="AccessDenied", times=9)):
        proxy.faults[:] = [fault]
        upload.abort()
    assert [method for method, _ in proxy.requests].count("DELETE") >= 2


def test_a_file_too_large_for_one_object_keeps_its_item_and_not_the_whole_run(
    strict_s3: S3Server, store_at: StoreAt
) -> None:
    with pytest.raises(ItemError, match="S3 takes"):
        store_at(strict_s3).upload("huge", 5 * 1024**4 + 1)


# -- create-only writes --------------------------------------------------------------------------------


def test_a_conflict_of_two_writers_is_worth_another_try(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="PUT", status=409, code="ConditionalRequestConflict"))
    with pytest.raises(StoreBusy):
        put(store, "a", b"x")
    put(store, "a", b"x")


def test_something_else_that_is_not_implemented_does_not_end_create_only_writes(
    faulty: tuple[S3Store, FaultProxy],
) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="PUT", status=501, code="NotImplemented", times=2))
    with pytest.raises(StoreUnusable, match="NotImplemented"):
        put(store, "a", b"x")
    put(store, "a", b"x")
    with pytest.raises(ObjectExists):
        put(store, "a", b"y")


# -- reading -------------------------------------------------------------------------------------------


def test_a_listing_is_whole_over_all_its_pages(strict_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(strict_s3)
    keys = {f"k{number}" for number in range(5)}
    for key in keys:
        put(store, key, b"x")

    def two_a_page(params: dict[str, Any], **_: Any) -> None:
        params["query_string"]["max-keys"] = "2"

    store.client.boto.meta.events.register("before-call.s3.ListObjectsV2", two_a_page)
    assert {found.key for found in store.list("")} == keys


def test_a_listing_that_breaks_off_is_an_error_and_no_shorter_list(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    put(store, "a", b"x")
    proxy.add(Fault("truncate_response", method="GET", contains="list-type", times=9))
    with pytest.raises((StoreBusy, StoreUnusable)):
        list(store.list(""))


def test_a_server_that_is_silent_and_hangs_up_is_asked_again(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    put(store, "a", b"data")
    proxy.add(Fault("hang", method="GET", seconds=0.2, times=2))
    assert b"".join(store.read("a")) == b"data"
    assert [method for method, _ in proxy.requests].count("GET") == 3


def test_a_missing_bucket_is_not_taken_for_a_missing_object(moto_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(moto_s3, bucket=f"nowhere-{uuid.uuid4().hex[:12]}")
    assert store.exists() is False
    with pytest.raises(StoreUnusable, match="run setup to create it"):
        put(store, "a", b"x")
    with pytest.raises(StoreUnusable, match="run setup to create it"):
        list(store.list(""))
    with pytest.raises((ObjectMissing, StoreUnusable)):
        list(store.read("a"))


# -- a new bucket --------------------------------------------------------------------------------------


@pytest.fixture
def new_bucket(moto_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy) -> tuple[S3Store, FaultProxy, S3Server]:
    """A store of a bucket in another region than us-east-1 that is still to be made."""
    proxy = fault_proxy(moto_s3.endpoint)
    name = f"new-{uuid.uuid4().hex[:12]}"
    return store_at(moto_s3, endpoint=proxy.endpoint, bucket=name, region="eu-west-3"), proxy, moto_s3


def test_a_bucket_whose_making_was_answered_late_gets_its_rules_all_the_same(
    new_bucket: tuple[S3Store, FaultProxy, S3Server],
) -> None:
    store, proxy, server = new_bucket
    proxy.add(Fault("lost_answer", method="PUT"))
    store.create()
    client = server.client()
    assert client.get_bucket_location(Bucket=store.client.bucket)["LocationConstraint"] == "eu-west-3"
    assert client.get_bucket_lifecycle_configuration(Bucket=store.client.bucket)["Rules"]
    assert client.get_public_access_block(Bucket=store.client.bucket)


def test_a_bucket_that_was_there_already_keeps_its_own_rules(
    new_bucket: tuple[S3Store, FaultProxy, S3Server],
) -> None:
    store, proxy, server = new_bucket
    configuration = {"LocationConstraint": "eu-west-3"}
    server.client().create_bucket(Bucket=store.client.bucket, CreateBucketConfiguration=configuration)
    store.create()
    assert [path for _, path in proxy.requests if "lifecycle" in path or "publicAccess" in path] == []


@pytest.mark.parametrize(
    "fault", [Fault("reset", times=9), Fault("status", status=501, code="NotImplemented", times=9)]
)
def test_extras_that_fail_are_warned_of_and_do_not_undo_the_bucket(
    new_bucket: tuple[S3Store, FaultProxy, S3Server], caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    store, proxy, _ = new_bucket
    proxy.add(Fault(fault.kind, contains="publicAccessBlock", times=9, status=fault.status, code=fault.code))
    store.create()
    assert store.exists()
    assert "cannot block public access to the bucket" in caplog.text
    assert any("lifecycle" in path for _, path in proxy.requests)
