"""The one store of a history, and what each device sees of it: faults by the plan, a turn at each call."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from archive_tasks.errors import IntegrityError, ObjectExists, StoreBusy
from archive_tasks.formats import layout
from archive_tasks.formats.checksums import whole_checksum
from archive_tasks.store import Answer, ObjectInfo, Probe
from archive_tasks.testing.stores import MemoryStore
from tests.histories.stranger import is_copy, is_manifest, with_places_exchanged
from tests.histories.turns import Actor, current_actor, current_turns

T = TypeVar("T")
URL = "memory://history"
PAGE = 4
"""Keys of one page of a listing: others may write and remove between two pages."""


class SimStore(MemoryStore):
    """Everybody's objects.

    Attributes:
        lost: what the store lost by itself: (contents, step), by key.
        removed: what was removed by a device: (contents, step, who), by key.
        newest_removed: date of the newest object of what was removed in this step, attempt by attempt.
        foreign: what is not of archive_tasks: nobody may touch it.
        faults: of this step, as the plan has them; `met` are those that came to pass.
        on_jump: lets days pass.
    """

    def __init__(
        self,
        *,
        create_only: bool,
        trusted: bool,
        part_size: int,
        now: Callable[[], datetime],
        foreign: dict[str, bytes],
    ) -> None:
        super().__init__(URL, now=now)
        self.create_only = create_only
        self.trusted = trusted
        if part_size:
            self.largest_put = part_size
        self.step = 0
        self.lost: dict[str, tuple[bytes, int]] = {}
        self.tampered: dict[str, bytes] = {}
        self.removed: dict[str, tuple[bytes, int, str]] = {}
        self.overwritten: list[tuple[str, str]] = []
        self.foreign = dict(foreign)
        self.faults: list[dict[str, Any]] = []
        self.met: list[dict[str, Any]] = []
        self.happened: Counter[str] = Counter()
        self.newest_removed: datetime | None = None
        self.on_jump: Callable[[float], None] = lambda _days: None
        self._called: Counter[str] = Counter()
        for key, data in foreign.items():
            self.put_foreign(key, data)

    def begin_step(self, step: int, faults: Sequence[dict[str, Any]]) -> None:
        self.step, self.faults, self.met = step, list(faults), []
        self.newest_removed = None
        self._called.clear()
        self.calls.clear()

    def put_foreign(self, key: str, data: bytes) -> None:
        """Somebody else writes something."""
        self.foreign[key] = data
        super().publish(key, data, whole_checksum(hashlib.sha256(data).digest()), "")

    def publish(self, key: str, data: bytes, checksum: str, storage_class: str) -> None:
        if self.objects.get(key, data) != data:
            if self.create_only:
                self.happened["refused"] += 1
                raise ObjectExists(f"{key} is there with other contents")
            actor = current_actor()
            self.overwritten.append((key, actor.name if actor else ""))
            self.happened["overwritten"] += 1
            del self.objects[key]
        super().publish(key, data, checksum, storage_class)

    def delete(self, key: str) -> None:
        if key in self.objects and not key.startswith("doctor/"):
            actor = current_actor()
            self._note_age(key)
            self.removed[key] = (self.objects[key], self.step, actor.name if actor else "")
        super().delete(key)

    def _note_age(self, key: str) -> None:
        """How old is what goes, by the newest object of its attempt that is not prune's own?"""
        attempt = layout.attempt_of_ours(key)
        if attempt is None or key in {layout.pruned_key(attempt), layout.copy_key(attempt)}:
            return  # no prune takes an attempt with a copy; one that is not as it should be is written again
        # What comes after the mark is of a run that meets it, and gives the attempt up.
        names = [name for name in self._facts if name.startswith(attempt)]
        mark = layout.pruned_key(attempt)
        before = names[: names.index(mark)] if mark in names else names
        dates = [self._facts[name].modified for name in before if name != layout.copy_key(attempt)]
        newest = max((date for date in dates if date), default=None)
        if newest is None:
            return
        if self.newest_removed is None or newest > self.newest_removed:
            self.newest_removed = newest

    def probes(self) -> Sequence[Probe]:
        def ask(prefix: str) -> Answer:
            if not self.trusted:
                return Answer(False, "it took a lie")
            return Answer(True, "a wrong SHA-256 was refused")

        return (Probe(name="refuses-wrong-checksum", question="refuses lies", ask=ask, needed_for_trust=True),)

    def lose(self, pick: int, what: str, *, rot: bool = False) -> str | None:
        """Lose one of our objects below `what`, or a bit of it. Returns its key."""
        is_meant = is_copy if what == "copies" else lambda key: key.startswith(what)
        ours = sorted(key for key in self.objects if is_meant(key) and key not in self.foreign)
        if not ours:
            return None
        key = ours[pick % len(ours)]
        data = self.objects.pop(key)
        known = self.lost.get(key)
        is_harmed = known and (len(known[0]) == len(data) or self.tampered.get(key) == data)
        self.lost[key] = (known[0] if known and is_harmed else data, self.step)
        if rot:
            self.objects[key] = bytes([data[0] ^ 1]) + data[1:] if data else data
        else:
            self._facts.pop(key, None)
        return key

    def tamper(self, pick: int) -> str | None:
        """Exchange the places of two files of a pack in a manifest; for an even `pick`, as a packer's bug would, in its
        copy, too. Returns its key.
        """
        ours = sorted(key for key in self.objects if is_manifest(key) and key not in self.foreign)
        for key in ours[pick % max(1, len(ours)) :] + ours[: pick % max(1, len(ours))]:
            exchanged = with_places_exchanged(self.objects[key])
            if exchanged is None:
                continue
            copies = [one for one, data in self.objects.items() if is_copy(one) and data == self.objects[key]]
            for one in [key, *(copies if pick % 2 == 0 else [])]:
                was = self.lost[one][0] if self.tampered.get(one) == self.objects[one] else self.objects[one]
                self.lost[one] = (was, self.step)
                self.objects[one] = self.tampered[one] = exchanged
                self._facts[one] = self._facts[one]._replace(size=len(exchanged), checksum=None)
            return key
        return None

    # -- faults -------------------------------------------------------------------------------------

    def before(self, method: str) -> dict[str, Any] | None:
        """Another call; returns the fault that it meets itself."""
        self._called["any"] += 1
        self._called[method] += 1
        found = None
        for fault in self.faults:
            counted = "list" if fault["kind"] == "hide" else "any"
            if fault in self.met or self._called[counted] != fault["call"] or (counted == "list" and method != "list"):
                continue
            self.met.append(fault)
            self.happened[fault["kind"]] += 1
            if fault["kind"] == "lose":
                self.lose(fault["pick"], fault["what"])
            elif fault["kind"] == "jump":
                self.on_jump(fault["days"])
            else:
                found = fault
        return found


class DeviceStore:
    """What one device sees: the contract of a store, with a turn at each call."""

    dates_can_be_set = False

    def __init__(self, shared: SimStore) -> None:
        self._shared = shared
        self.url = shared.url
        self.identity = shared.identity
        self.storage_class = ""
        self.largest_put = shared.largest_put

    def is_cold(self, _storage_class: str) -> bool:
        return False

    def part_size(self, _size: int) -> int:
        return self._shared.largest_put

    def exists(self) -> bool:
        return self._call("exists", "", lambda: True)

    def create(self) -> None:
        self._call("create", "", lambda: None)

    def free_bytes(self) -> int | None:
        return None

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        if self._shared.trusted and hashlib.sha256(data).digest() != sha256:
            raise IntegrityError("other bytes than their SHA-256 says")
        checksum = whole_checksum(hashlib.sha256(data).digest())
        self._call("put", key, lambda: self._shared.publish(key, bytes(data), checksum, storage_class))

    def upload(self, key: str, size: int, *, storage_class: str = "") -> Any:
        made = self._call("upload", key, lambda: self._shared.upload(key, size, storage_class=storage_class))
        return _DeviceUpload(made, key, self._call)

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        return iter([self._call("read", key, lambda: b"".join(self._shared.read(key, offset=offset, length=length)))])

    def describe(self, key: str) -> ObjectInfo | None:
        return self._call("describe", key, lambda: self._shared.describe(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """In pages, in the order of the keys: what happens between two pages is seen or not, as keys fall."""
        fault: list[dict[str, Any]] = []
        found = self._call("list", prefix, lambda: self._page(prefix, ""), fault)
        hidden = fault[0] if fault else None
        while found:
            yield from (info for info in found if not _is_hidden(info.key, hidden))
            if len(found) < PAGE:
                return
            actor = current_actor()
            if actor and not actor.quiet:
                current_turns().point(actor, "disk", f"next page of {prefix}")
            found = self._page(prefix, found[-1].key)

    def thaw(self, key: str, *, tier: str, days: int) -> None: ...

    def delete(self, key: str) -> None:
        self._call("delete", key, lambda: self._shared.delete(key))

    def probes(self) -> Sequence[Probe]:
        return self._shared.probes()

    def _page(self, prefix: str, after: str) -> list[ObjectInfo]:
        listed = sorted(info for info in MemoryStore.list(self._shared, prefix) if info.key > after)
        return listed[:PAGE]

    def _call(self, method: str, key: str, call: Callable[[], T], hides: list[dict[str, Any]] | None = None) -> T:
        actor = current_actor()
        if actor is None or actor.quiet:
            return call()
        turns = current_turns()
        turns.point(actor, "store", f"{method} {key}")
        fault = self._shared.before(method)
        if fault and fault["kind"] == "busy" and not fault.get("after"):
            raise StoreBusy("503 (a simulation)")
        answer = call()
        _note(actor, method, key)
        turns.after(actor, "store")
        if fault and fault["kind"] == "busy":
            raise StoreBusy("the answer was lost (a simulation)")
        if fault and hides is not None:
            hides.append(fault)
        return answer


class _DeviceUpload:
    def __init__(self, upload: Any, key: str, call: Callable[[str, str, Callable[[], None]], None]) -> None:
        self.part_size = upload.part_size
        self._upload, self._key, self._call = upload, key, call

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        self._call("put_part", self._key, lambda: self._upload.put_part(number, bytes(data), sha256=sha256))

    def complete(self, size: int) -> None:
        self._call("complete", self._key, lambda: self._upload.complete(size))

    def abort(self) -> None:
        self._upload.abort()


def _note(actor: Actor, method: str, key: str) -> None:
    actor.asks.append(f"{method} {key}")


def _is_hidden(key: str, fault: dict[str, Any] | None) -> bool:
    """The same keys in every play, whatever else is there."""
    if fault is None or not key.startswith(fault["what"]):
        return False
    return random.Random(f"{fault['pick']} {key}").random() < fault["share"]
