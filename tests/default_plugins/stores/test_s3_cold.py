"""Cold classes at the S3 store: what it asks for, and what it makes of the answers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.moto_api import state_manager

from archive_tasks.default_plugins.stores.s3.objects import described
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import ObjectFrozen, ObjectMissing, StoreBusy, StoreUnusable
from archive_tasks.store import Thaw
from archive_tasks.testing.stores import MemoryStore, put
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.servers import S3Server

MIB = 1024 * 1024
StoreAt = Callable[..., S3Store]
MakeProxy = Callable[[str], FaultProxy]


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def hours_pass() -> Iterator[Callable[[], None]]:
    """Thaws take for ever, until this is called. In moto's words: the next HEAD sees the thaw, time ends it."""
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 1})
    yield lambda: state_manager.set_transition("s3::keyrestore", {"progression": "immediate"})
    state_manager.unset_transition("s3::keyrestore")


@pytest.fixture
def faulty(strict_s3: S3Server, store_at: StoreAt, fault_proxy: MakeProxy) -> tuple[S3Store, FaultProxy]:
    """A store that holds a frozen object `cold`, behind a proxy."""
    proxy = fault_proxy(strict_s3.endpoint)
    store = store_at(strict_s3, endpoint=proxy.endpoint)
    store.put("cold", b"cold", sha256=sha256(b"cold"), storage_class="GLACIER")
    return store, proxy


def thaw_of(store: Any, key: str) -> Thaw | None:
    found = store.describe(key)
    assert found is not None
    thaw: Thaw | None = found.thaw
    return thaw


# -- classes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "STANDARD_IA"])
def test_objects_written_whole_and_in_parts_go_to_the_class_that_is_named(
    strict_s3: S3Server, store_at: StoreAt, storage_class: str
) -> None:
    store, data = store_at(strict_s3), os.urandom(6 * MIB)
    store.put("whole", b"data", sha256=sha256(b"data"), storage_class=storage_class)
    upload = store.upload("parts", 20 * MIB, storage_class=storage_class)
    for number, piece in enumerate((data[: 5 * MIB], data[5 * MIB :]), start=1):
        upload.put_part(number, piece, sha256=sha256(piece))
    upload.complete(len(data))
    listed = {info.key: (info.storage_class, info.size) for info in store.list("")}
    assert listed == {"whole": (storage_class, 4), "parts": (storage_class, 6 * MIB)}
    for key in listed:
        found = store.describe(key)
        assert found is not None
        assert found.storage_class == storage_class
        assert found.checksum is not None
        assert found.thaw == (Thaw("frozen") if storage_class in {"GLACIER", "DEEP_ARCHIVE"} else None)


def test_the_class_of_the_settings_is_only_used_where_it_is_named(strict_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(strict_s3, storage_class="DEEP_ARCHIVE")
    assert (store.storage_class, store.is_cold(store.storage_class)) == ("DEEP_ARCHIVE", True)
    put(store, "manifest", b"hot")
    assert [info.storage_class for info in store.list("")] == ["STANDARD"]
    assert b"".join(store.read("manifest")) == b"hot"


def test_the_doctor_meets_a_class_that_the_server_does_not_know(strict_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(strict_s3, storage_class="GLACEIR")
    probe = next(one for one in store.probes() if one.name == "returns-checksums")
    with pytest.raises(StoreUnusable, match=r"does not know that class: see archive\.s3\.storage_class"):
        probe.ask("doctor/x/")


@pytest.mark.parametrize("storage_class", ["", "DEEP_ARCHIVE"])
def test_the_doctor_finds_checksums_in_the_class_of_the_settings(
    strict_s3: S3Server, store_at: StoreAt, storage_class: str
) -> None:
    store = store_at(strict_s3, storage_class=storage_class)
    probe = next(one for one in store.probes() if one.name == "returns-checksums")
    assert probe.ask("doctor/x/").ok is True
    assert list(store.list("")) == []


# -- thawing -------------------------------------------------------------------------------------------


def test_an_object_is_read_once_it_has_thawed_and_its_copy_has_an_end(
    strict_s3: S3Server, store_at: StoreAt, hours_pass: Callable[[], None]
) -> None:
    store, data = store_at(strict_s3), b"cold"
    store.put("a", data, sha256=sha256(data), storage_class="DEEP_ARCHIVE")
    with pytest.raises(ObjectFrozen, match="must be thawed first"):
        list(store.read("a"))
    store.thaw("a", tier="Bulk", days=3)
    assert thaw_of(store, "a") == Thaw("thawing")
    state_manager.set_transition("s3::keyrestore", {"progression": "time", "seconds": 3600})
    assert thaw_of(store, "a") == Thaw("thawing"), "however often it is looked at"
    with pytest.raises(ObjectFrozen):
        list(store.read("a"))
    hours_pass()
    thaw = thaw_of(store, "a")
    assert thaw is not None
    assert thaw.until is not None
    assert (thaw.state, thaw.until.utcoffset()) == ("thawed", timedelta(0))
    assert abs(thaw.until - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=5)
    assert b"".join(store.read("a")) == data


def test_the_tier_and_the_days_are_asked_for(strict_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(strict_s3)
    store.put("a", b"cold", sha256=sha256(b"cold"), storage_class="GLACIER")
    bodies: list[bytes] = []
    store.client.boto.meta.events.register_first("before-send.s3", lambda request, **_: bodies.append(request.body))
    store.thaw("a", tier="Expedited", days=5)
    assert b"<Days>5</Days>" in bodies[0]
    assert b"<Tier>Expedited</Tier>" in bodies[0]


def test_what_needs_no_thawing_is_no_error(strict_s3: S3Server, store_at: StoreAt) -> None:
    store = store_at(strict_s3)
    put(store, "hot", b"hot")
    store.put("cold", b"cold", sha256=sha256(b"cold"), storage_class="GLACIER")
    for key in ("hot", "cold", "cold"):
        store.thaw(key, tier="Bulk", days=1)
    assert thaw_of(store, "hot") is None


def test_a_thaw_that_is_under_way_already_is_no_error(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="POST", contains="restore", status=409, code="RestoreAlreadyInProgress"))
    store.thaw("cold", tier="Bulk", days=1)
    assert all(fault.times == 0 for fault in proxy.faults), "the server has said so"


def test_a_tier_without_room_says_to_choose_another(faulty: tuple[S3Store, FaultProxy]) -> None:
    store, proxy = faulty
    code = "GlacierExpeditedRetrievalNotAvailable"
    proxy.add(Fault("status", method="POST", contains="restore", status=503, code=code, times=9))
    with pytest.raises(StoreUnusable, match="expedited thawing is not available now; choose another tier"):
        store.thaw("cold", tier="Expedited", days=1)


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(503, "SlowDown", StoreBusy), (403, "AccessDenied", StoreUnusable)]
)
def test_other_answers_to_a_thaw_are_what_they_are_everywhere(
    faulty: tuple[S3Store, FaultProxy], status: int, code: str, kind: type[Exception]
) -> None:
    store, proxy = faulty
    proxy.add(Fault("status", method="POST", contains="restore", status=status, code=code, times=9))
    with pytest.raises(kind):
        store.thaw("cold", tier="Bulk", days=1)


def test_what_is_missing_cannot_be_thawed(strict_s3: S3Server, store_at: StoreAt) -> None:
    with pytest.raises(ObjectMissing):
        store_at(strict_s3).thaw("nowhere", tier="Bulk", days=1)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Thaw("frozen")),
        ('ongoing-request="true"', Thaw("thawing")),
        (
            'ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"',
            Thaw("thawed", datetime(2012, 12, 21, tzinfo=UTC)),
        ),
        ('ongoing-request="false"', Thaw("thawed")),
        ('ongoing-request="false", expiry-date="soon"', Thaw("thawed")),
    ],
)
def test_the_header_is_read_as_the_documentation_has_it(header: str | None, expected: Thaw) -> None:
    """The date is the example of S3's page on HeadObject."""
    answer = {"ContentLength": 1, "StorageClass": "GLACIER", **({"Restore": header} if header else {})}
    assert described("a", answer).thaw == expected


# -- the store that tests of others use ------------------------------------------------------------------


def test_the_store_in_memory_freezes_and_thaws_as_s3_does() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    store = MemoryStore(storage_class="GLACIER", now=lambda: now)
    store.put("a", b"cold", sha256=sha256(b"cold"), storage_class=store.storage_class)
    put(store, "b", b"hot")
    with pytest.raises(ObjectFrozen):
        list(store.read("a"))
    for key in ("a", "a", "b"):
        store.thaw(key, tier="Bulk", days=3)
    assert store.thaws == [("a", "Bulk", 3)], "what is hot, or on its way, needs no thaw"
    assert thaw_of(store, "a") == Thaw("thawing")
    store.finish_thaws()
    assert thaw_of(store, "a") == Thaw("thawed", now + timedelta(days=3))
    store.put("a", b"cold", sha256=sha256(b"cold"), storage_class="GLACIER")
    assert b"".join(store.read("a")) == b"cold", "the same again changes nothing"
    store.delete("a")
    put(store, "a", b"hot now")
    assert b"".join(store.read("a")) == b"hot now"
