"""For tests of stores: a store in memory, and the contract that every store keeps.

A store of your own is tested by all of `StoreContract` when you give it a fixture:

```python
class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MyStore("mine://empty-and-existing", Settings())
```
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from archive_tasks.errors import IntegrityError, ObjectExists, ObjectFrozen, ObjectMissing
from archive_tasks.formats.checksums import composite_checksum, whole_checksum
from archive_tasks.store import Answer, ObjectInfo, Probe, Store, Thaw, Upload
from archive_tasks.store import put_whole as put

__all__ = ["MemoryStore", "StoreContract", "put"]

MIB = 1024 * 1024
_CLOCKS_DIFFER = timedelta(minutes=15)
"""S3 refuses requests whose clock differs by more from its own."""
_COLD_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class MemoryStore:
    """A store in memory. It checks checksums and is create-only, so its checksums are proof.

    What goes to GLACIER or DEEP_ARCHIVE is frozen. A thaw that was asked for ends when the test says so.

    Args:
        storage_class: what the settings of a real store would name for data objects.
        now: says when an object is written, and how long a thawed copy lasts.
        dates_can_be_set: what a real store would say of its dates.

    Attributes:
        objects: contents by key.
        calls: (method, key) in the order of the calls.
        thaws: (key, tier, days) of each thaw that was needed, in the order of the calls.
    """

    largest_put = 5 * MIB

    def __init__(
        self,
        url: str = "memory://test",
        *,
        storage_class: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        dates_can_be_set: bool = False,
    ) -> None:
        self.url = url
        self.dates_can_be_set = dates_can_be_set
        self.identity = url
        self.storage_class = storage_class
        self.objects: dict[str, bytes] = {}
        self.calls: list[tuple[str, str]] = []
        self.thaws: list[tuple[str, str, int]] = []
        self._now = now
        self._facts: dict[str, ObjectInfo] = {}
        self._lock = threading.Lock()

    def part_size(self, size: int) -> int:
        """Always 5 MiB."""
        return self.largest_put

    def exists(self) -> bool:
        return True

    def create(self) -> None:
        self._note("create", "")

    def free_bytes(self) -> int | None:
        return None

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        self._note("put", key)
        _check(data, sha256)
        self.publish(key, data, whole_checksum(sha256), storage_class)

    def upload(self, key: str, size: int, *, storage_class: str = "") -> Upload:
        self._note("upload", key)
        return _MemoryUpload(self, key, size, storage_class)

    def is_cold(self, storage_class: str) -> bool:
        return storage_class in _COLD_CLASSES

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        self._note("thaw", key)
        with self._lock:
            facts = self._facts.get(key)
            if facts is not None and facts.thaw == Thaw("frozen"):
                self.thaws.append((key, tier, days))
                self._facts[key] = facts._replace(thaw=Thaw("thawing"))

    def finish_thaws(self) -> None:
        """What is thawing can be read from now on, for the days that were asked for."""
        with self._lock:
            days_of = {key: days for key, _, days in self.thaws}
            for key, facts in self._facts.items():
                if facts.thaw == Thaw("thawing"):
                    until = self._now() + timedelta(days=days_of[key])
                    self._facts[key] = facts._replace(thaw=Thaw("thawed", until))

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._note("read", key)
        if key not in self.objects:
            raise ObjectMissing(f"there is no {key}")
        thaw = self._facts[key].thaw
        if thaw is not None and thaw.state != "thawed":
            raise ObjectFrozen(f"{key} is {thaw.state}, and must be thawed first")
        data = self.objects[key]
        end = len(data) if length is None else min(len(data), offset + length)
        for start in range(offset, end, MIB):
            yield data[start : min(start + MIB, end)]

    def describe(self, key: str) -> ObjectInfo | None:
        self._note("describe", key)
        data = self.objects.get(key)
        return None if data is None else self._facts[key]._replace(size=len(data))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._note("list", prefix)
        with self._lock:
            found = [
                self._facts[key]._replace(size=len(data), checksum=None, thaw=None)
                for key, data in self.objects.items()
                if key.startswith(prefix)
            ]
        yield from found

    def delete(self, key: str) -> None:
        self._note("delete", key)
        with self._lock:
            self.objects.pop(key, None)
            self._facts.pop(key, None)

    def probes(self) -> Sequence[Probe]:
        return (
            Probe(
                name="refuses-wrong-checksum",
                question="refuses an object with a wrong SHA-256",
                ask=self._refuses_wrong_checksum,
                needed_for_trust=True,
            ),
        )

    def publish(self, key: str, data: bytes, checksum: str, storage_class: str) -> None:
        """Create the object, or raise ObjectExists when another is there. The same again changes nothing."""
        with self._lock:
            if self.objects.get(key, data) != data:
                raise ObjectExists(f"{key} is there with other contents")
            if key not in self.objects:
                thaw = Thaw("frozen") if self.is_cold(storage_class) else None
                self._facts[key] = ObjectInfo(key, len(data), checksum, self._now(), storage_class, thaw)
                self.objects[key] = data

    def _refuses_wrong_checksum(self, prefix: str) -> Answer:
        try:
            self.put(f"{prefix}lie", b"sent", sha256=hashlib.sha256(b"claimed").digest())
        except IntegrityError:
            return Answer(True, "a wrong SHA-256 was refused")
        return Answer(False, "it accepted a wrong SHA-256")

    def _note(self, method: str, key: str) -> None:
        with self._lock:
            self.calls.append((method, key))


class _MemoryUpload:
    def __init__(self, store: MemoryStore, key: str, size: int, storage_class: str) -> None:
        self.part_size = store.part_size(size)
        self._store = store
        self._key = key
        self._class = storage_class
        self._parts: dict[int, bytes] = {}

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        _check(data, sha256)
        self._parts[number] = data

    def complete(self, size: int) -> None:
        parts = [self._parts[number] for number in sorted(self._parts)]
        data = b"".join(parts)
        if len(data) != size:
            raise IntegrityError(f"{self._key} has {len(data)} of {size} bytes")
        self._store.publish(
            self._key, data, composite_checksum([hashlib.sha256(part).digest() for part in parts]), self._class
        )

    def abort(self) -> None:
        self._parts.clear()


def _check(data: bytes, sha256: bytes) -> None:
    if hashlib.sha256(data).digest() != sha256:
        raise IntegrityError("the data does not have the checksum that it was given with")


class StoreContract:
    """What every store keeps. Subclass it with a fixture `store`: an opened, existing, empty target.

    Attributes:
        refuses_wrong_checksums: False for a server that is known to take a wrong checksum.
        creates_only: False for a server that is known to ignore create-only writes.
    """

    refuses_wrong_checksums = True
    creates_only = True

    def test_an_object_comes_back_whole_and_in_ranges(self, store: Store) -> None:
        data = os.urandom(2 * MIB + 5)
        put(store, "data/a", data)
        assert b"".join(store.read("data/a")) == data
        assert b"".join(store.read("data/a", offset=MIB, length=7)) == data[MIB : MIB + 7]
        assert b"".join(store.read("data/a", offset=len(data) - 2, length=100)) == data[-2:]
        assert max(len(chunk) for chunk in store.read("data/a")) <= MIB
        found = store.describe("data/a")
        assert found is not None
        assert (found.key, found.size) == ("data/a", len(data))

    def test_an_empty_object_comes_back_empty(self, store: Store) -> None:
        put(store, "empty", b"")
        assert b"".join(store.read("empty")) == b""
        assert [info.size for info in store.list("empty")] == [0]

    def test_what_is_missing_is_said_to_be(self, store: Store) -> None:
        put(store, "folder/object", b"x")
        for key in ("nowhere", "folder", "folder/object/below"):
            assert store.describe(key) is None
        try:
            list(store.read("nowhere"))
        except ObjectMissing:
            pass
        else:
            raise AssertionError("reading what is missing must raise ObjectMissing")
        store.delete("nowhere")

    def test_a_listing_knows_prefixes_that_end_inside_a_name(self, store: Store) -> None:
        for key in ("m/ab", "m/ac", "m/b", "n/ab"):
            put(store, key, b"x")
        assert sorted(info.key for info in store.list("m/a")) == ["m/ab", "m/ac"]
        assert sorted(info.key for info in store.list("")) == ["m/ab", "m/ac", "m/b", "n/ab"]
        assert list(store.list("zz")) == []

    def test_the_same_write_again_is_ours_and_another_is_refused(self, store: Store) -> None:
        put(store, "one", b"first")
        put(store, "one", b"first")
        if self.creates_only:
            assert not _creates(store, "one", b"other")
            assert b"".join(store.read("one")) == b"first"

    def test_of_many_writers_at_once_one_wins(self, store: Store) -> None:
        with ThreadPoolExecutor(16) as racers:
            won = list(racers.map(lambda number: _creates(store, "race", b"%d" % number), range(16)))
        if self.creates_only:
            assert won.count(True) == 1
            assert b"".join(store.read("race")) == b"%d" % won.index(True)

    def test_parts_come_together_in_their_order_whatever_the_order_they_were_sent(self, store: Store) -> None:
        size = store.largest_put + 3
        data = os.urandom(1024) * (size // 1024 + 1)
        data = data[:size]
        upload = store.upload("big", size)
        pieces = [data[start : start + upload.part_size] for start in range(0, size, upload.part_size)]
        for number in (2, 1, 2):
            upload.put_part(number, pieces[number - 1], sha256=hashlib.sha256(pieces[number - 1]).digest())
        assert store.describe("big") is None
        upload.complete(size)
        assert b"".join(store.read("big")) == data

    def test_an_upload_of_other_than_the_size_that_it_ends_with_is_refused(self, store: Store) -> None:
        for wrong in (-1, 1):
            upload = store.upload("big", 2 * store.largest_put)
            piece = b"x" * 5 * MIB
            upload.put_part(1, piece, sha256=hashlib.sha256(piece).digest())
            try:
                upload.complete(len(piece) + wrong)
            except IntegrityError:
                assert store.describe("big") is None
            else:
                raise AssertionError("a wrong size must raise IntegrityError")
            upload.abort()

    def test_an_upload_may_end_smaller_than_it_was_announced(self, store: Store) -> None:
        upload = store.upload("big", 100 * store.largest_put)
        upload.put_part(1, b"small", sha256=hashlib.sha256(b"small").digest())
        upload.complete(5)
        assert b"".join(store.read("big")) == b"small"

    def test_age_and_class_are_told_and_nothing_is_cold_by_itself(self, store: Store) -> None:
        put(store, "a", b"x")
        described, (listed,) = store.describe("a"), store.list("")
        assert described is not None
        assert (described.storage_class, described.thaw, listed.thaw) == (listed.storage_class, None, None)
        assert not store.is_cold("")
        assert not store.is_cold(described.storage_class)
        for told in (described.modified, listed.modified):
            assert told is not None
            assert told.utcoffset() == timedelta(0)
            assert abs(told - datetime.now(UTC)) < _CLOCKS_DIFFER

    def test_whether_its_dates_can_be_set_is_told(self, store: Store) -> None:
        assert store.dates_can_be_set in {True, False}

    def test_an_aborted_upload_leaves_nothing(self, store: Store) -> None:
        upload = store.upload("big", store.largest_put + 1)
        piece = b"x" * upload.part_size
        upload.put_part(1, piece, sha256=hashlib.sha256(piece).digest())
        upload.abort()
        upload.abort()
        assert list(store.list("")) == []

    def test_a_wrong_checksum_is_refused(self, store: Store) -> None:
        if not self.refuses_wrong_checksums:
            return
        try:
            store.put("lie", b"sent", sha256=hashlib.sha256(b"claimed").digest())
        except IntegrityError:
            assert store.describe("lie") is None
        else:
            raise AssertionError("a wrong checksum must raise IntegrityError")

    def test_long_keys_and_keys_that_differ_in_case_are_kept(self, store: Store) -> None:
        long = "/".join(["d" * 100] * 8) + "/e~1.x_y-z"
        for key in (long, "Case", "case"):
            put(store, key, key.encode())
        assert all(b"".join(store.read(key)) == key.encode() for key in (long, "Case", "case"))

    def test_what_is_deleted_is_gone(self, store: Store) -> None:
        put(store, "a/b", b"x")
        store.delete("a/b")
        store.delete("a/b")
        assert store.describe("a/b") is None
        assert list(store.list("")) == []


def _creates(store: Store, key: str, data: bytes) -> bool:
    try:
        put(store, key, data)
    except ObjectExists:
        return False
    return True
