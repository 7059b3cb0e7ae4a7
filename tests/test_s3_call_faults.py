"""Every request that the S3 store makes meets every fault, once and for long, before a real socket.

What must hold of each pair: the store answers the truth or raises one of our errors, and once the fault is over
the same request succeeds and has its effect, exactly once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.errors import StoreBusy, StoreError
from archive_tasks.settings import MIB
from archive_tasks.testing.stores import put
from tests.fault_proxy import Fault, FaultProxy
from tests.servers import S3Server

ALWAYS = 1 << 30
SMALL = b"some data of an object " * 40
BIG = os.urandom(5 * MIB + 7)
PIECES = (BIG[: 5 * MIB], BIG[5 * MIB :])

FAULTS: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset"},
    "reset in the request": {"kind": "reset_mid_request"},
    "lost answer": {"kind": "lost_answer"},
    "hang": {"kind": "hang", "seconds": 0.05},
    "500": {"kind": "status", "status": 500, "code": "InternalError"},
    "503": {"kind": "status", "status": 503, "code": "SlowDown"},
    "429": {"kind": "status", "status": 429, "code": "TooManyRequests"},
    "flipped request": {"kind": "flip_request"},
    "flipped answer": {"kind": "flip_response"},
    "truncated answer": {"kind": "truncate_response"},
}
STOPS_EVERYTHING = {"reset", "hang", "500", "503", "429", "lost answer"}
"""The others need a body to change."""


class Bench:
    """A store behind a proxy, which passes everything on while no fault is set."""

    def __init__(self, store: S3Store, proxy: FaultProxy) -> None:
        self.store = store
        self.proxy = proxy
        self.upload: Any = None

    def begin(self, parts: int) -> None:
        """An upload of which so many parts are sent."""
        self.upload = self.store.upload("object", len(BIG))
        for number in range(1, parts + 1):
            self.send(number)

    def send(self, number: int) -> None:
        data = PIECES[number - 1]
        self.upload.put_part(number, data, sha256=hashlib.sha256(data).digest())

    def finish(self) -> None:
        """Complete the upload; one that is void begins anew, as callers do."""
        try:
            self.upload.complete(len(BIG))
        except StoreBusy as error:
            if not error.start_over:
                raise
            self.begin(2)
            self.upload.complete(len(BIG))

    def contents(self) -> bytes | None:
        if self.store.describe("object") is None:
            return None
        return b"".join(self.store.read("object"))

    def freeze(self) -> None:
        self.store.put("object", SMALL, sha256=hashlib.sha256(SMALL).digest(), storage_class="GLACIER")

    def thaw_state(self) -> str:
        found = self.store.describe("object")
        assert found is not None
        assert found.thaw is not None
        return found.thaw.state


class Call(NamedTuple):
    """A request of the store.

    Attributes:
        prepare: makes what it needs; nothing fails yet.
        ask: makes the request and gives what the store says.
        is_true: is that the truth? Asked of every answer that is no error.
        is_whole: what must hold of the bucket after anything: the effect, or none of it.
        is_done: the effect, after a call that succeeded.
    """

    prepare: Callable[[Bench], object]
    ask: Callable[[Bench], Any]
    is_true: Callable[[Any], bool] = lambda _answer: True
    is_whole: Callable[[Bench], bool] = lambda _bench: True
    is_done: Callable[[Bench], bool] = lambda _bench: True


def _nothing(_bench: Bench) -> None:
    pass


def _ready_to_finish(bench: Bench) -> bool:
    """The upload that was begun takes its parts and becomes the object."""
    for number in (1, 2):
        bench.send(number)
    bench.upload.complete(len(BIG))
    return bench.contents() == BIG


CALLS: dict[str, Call] = {
    "HeadBucket": Call(_nothing, lambda bench: bench.store.exists(), is_true=lambda answer: answer is True),
    "CreateBucket": Call(
        lambda bench: bench.store.client.boto.delete_bucket(Bucket=bench.store.client.bucket),
        lambda bench: bench.store.create(),
        is_done=lambda bench: bench.store.exists(),
    ),
    "PutObject": Call(
        _nothing,
        lambda bench: put(bench.store, "object", SMALL),
        is_whole=lambda bench: bench.contents() in {None, SMALL},
        is_done=lambda bench: bench.contents() == SMALL,
    ),
    "CreateMultipartUpload": Call(
        _nothing,
        lambda bench: bench.begin(0),
        is_whole=lambda bench: bench.contents() is None,
        is_done=_ready_to_finish,
    ),
    "UploadPart": Call(
        lambda bench: bench.begin(0),
        lambda bench: bench.send(1),
        is_whole=lambda bench: bench.contents() is None,
        is_done=_ready_to_finish,
    ),
    "CompleteMultipartUpload": Call(
        lambda bench: bench.begin(2),
        lambda bench: bench.finish(),
        is_whole=lambda bench: bench.contents() in {None, BIG},
        is_done=lambda bench: bench.contents() == BIG,
    ),
    "AbortMultipartUpload": Call(
        lambda bench: bench.begin(2),
        lambda bench: bench.upload.abort(),
        is_whole=lambda bench: bench.contents() is None,
    ),
    "GetObject": Call(
        lambda bench: put(bench.store, "object", SMALL),
        lambda bench: b"".join(bench.store.read("object")),
        is_true=lambda answer: answer == SMALL,
    ),
    "HeadObject": Call(
        lambda bench: put(bench.store, "object", SMALL),
        lambda bench: bench.store.describe("object"),
        is_true=lambda answer: (answer.size, answer.checksum) == (len(SMALL), hashlib.sha256(SMALL).hexdigest()),
    ),
    "ListObjectsV2": Call(
        lambda bench: [put(bench.store, f"{number}", SMALL) for number in range(3)],
        lambda bench: sorted(info.key for info in bench.store.list("")),
        is_true=lambda answer: answer == ["0", "1", "2"],
    ),
    "DeleteObject": Call(
        lambda bench: put(bench.store, "object", SMALL),
        lambda bench: bench.store.delete("object"),
        is_whole=lambda bench: bench.contents() in {None, SMALL},
        is_done=lambda bench: bench.contents() is None,
    ),
    "RestoreObject": Call(
        lambda bench: bench.freeze(),
        lambda bench: bench.store.thaw("object", tier="Bulk", days=3),
        is_whole=lambda bench: bench.thaw_state() in {"frozen", "thawing", "thawed"},
        is_done=lambda bench: bench.thaw_state() != "frozen",
    ),
}


@pytest.fixture
def bench(strict_s3: S3Server, store_at: Callable[..., S3Store], fault_proxy: Callable[[str], FaultProxy]) -> Bench:
    proxy = fault_proxy(strict_s3.endpoint)
    return Bench(store_at(strict_s3, endpoint=proxy.endpoint), proxy)


@pytest.mark.parametrize("times", [1, ALWAYS], ids=["once", "always"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_request_that_meets_a_fault_says_so_or_tells_the_truth_and_works_afterwards(
    bench: Bench, call: str, fault: str, times: int
) -> None:
    asked = CALLS[call]
    asked.prepare(bench)
    bench.proxy.requests.clear()
    bench.proxy.add(Fault(**FAULTS[fault], times=times))
    said = ""
    try:
        answer = asked.ask(bench)
    except StoreError as error:
        said = str(error)
        assert re.fullmatch(f"[^\n]*{re.escape(bench.store.url)}[^\n]*", said)
    else:
        is_seen_by_its_digest = call == "GetObject" and fault == "flipped answer"
        assert asked.is_true(answer) != is_seen_by_its_digest
    succeeded = not said
    assert bench.proxy.requests, "the fault was met"
    if times == 1 and fault in STOPS_EVERYTHING:
        assert succeeded, "the store asks again by itself"
    if times == ALWAYS and fault in STOPS_EVERYTHING:
        assert succeeded == (call == "AbortMultipartUpload")
    assert len(bench.proxy.requests) <= 8, "patience is the caller's"
    bench.proxy.faults.clear()
    assert asked.is_whole(bench)
    assert asked.is_true(asked.ask(bench))
    assert asked.is_done(bench)
