"""Does the target hold an archive, now? Nothing that is remembered counts; all is asked or read in this run."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from archive_tasks.errors import (
    IntegrityError,
    ManifestError,
    NotProven,
    ObjectFrozen,
    ObjectMissing,
    ObjectUnreadable,
    StoreBusy,
)
from archive_tasks.formats.manifest import name_in, read_manifest
from archive_tasks.formats.objects import Stored, objects_in
from archive_tasks.names import display
from archive_tasks.target.open import Target
from archive_tasks.target.packed_entries import packed_problems
from archive_tasks.target.proof import prove, prove_side_by_side
from archive_tasks.target.ranges import Fetch
from archive_tasks.target.read_object import read_object
from archive_tasks.target.transfer import Transfer

FRESH = timedelta(minutes=15)
"""How old evidence may be when something is removed; what is older is checked again."""


class Evidence(NamedTuple):
    """What the target was seen to hold of an archive.

    Attributes:
        left_out: paths of what is not in the archive, and why.
        at: when the looking began, in seconds: of a monotonic clock, and of the wall clock.
    """

    archive_id: str
    key: str
    manifest: bytes
    objects: tuple[Stored, ...]
    left_out: Mapping[str, str]
    at: tuple[float, float]

    @property
    def sha256(self) -> str:
        """Of the manifest, in hex."""
        return hashlib.sha256(self.manifest).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Asks the target.

    Attributes:
        transfer: how to read; when it is not `trusted`, every byte of every object is read back.
        wall: current time, in seconds.
        monotonic: seconds of a monotonic clock.
    """

    target: Target
    transfer: Transfer
    wall: Callable[[], datetime]
    monotonic: Callable[[], float] = time.monotonic

    def gather(self, archive_id: str, key: str, *, item: str, sha256: str) -> Evidence:
        """Read the manifest back, and have every object confirmed.

        Args:
            sha256: of the manifest, as this device's receipt has it; empty without a receipt. Then nothing is
                known of what is inside packs, and every entry in them is unpacked and hashed.

        Raises:
            NotProven: the target does not hold the archive, or not as it was written.
            StoreUnusable: the target can no longer be used.
        """
        at = self._times()
        try:
            self.target.check_vault()
            manifest = self._manifest(key)
            _check_header(manifest, archive_id, item)
            objects = tuple(one.as_stored(name) for name, one in objects_in(manifest).items())
            if sha256 and hashlib.sha256(manifest).hexdigest() != sha256:
                raise NotProven("its manifest in the target is not the one that was written")
            self._confirm(objects)
            if not sha256:
                self._check_packed(manifest)
            return Evidence(archive_id, key, manifest, objects, _left_out(manifest), at)
        except (ManifestError, IntegrityError, ObjectMissing, ObjectFrozen, StoreBusy) as error:
            raise NotProven(f"the target does not provably hold it: {error}") from error

    def check_fresh(self, evidence: Evidence) -> None:
        """Check again where the evidence took long to gather: is everything still there? Raises NotProven."""
        now, then = self._times(), evidence.at
        ages = (now[0] - then[0], now[1] - then[1])
        if all(0 <= age <= FRESH.total_seconds() for age in ages):
            return
        try:
            self.target.check_vault()
            same = self._manifest(evidence.key) == evidence.manifest
            sizes = [self._size(one.key) for one in evidence.objects]
        except (ObjectMissing, ObjectUnreadable, StoreBusy) as error:
            raise NotProven(f"the target no longer provably holds it: {error}") from error
        if not same or sizes != [one.size for one in evidence.objects]:
            raise NotProven("the target no longer holds it as it did a moment ago")

    def _times(self) -> tuple[float, float]:
        return self.monotonic(), self.wall().timestamp()

    def _manifest(self, key: str) -> bytes:
        return read_object(self.target.store, key, self.transfer.patience)

    def _size(self, key: str) -> int | None:
        info = self.transfer.patience.ask(lambda: self.target.store.describe(key))
        return info.size if info else None

    def _check_packed(self, manifest: bytes) -> None:
        """Raises NotProven where packs are not what the manifest says; ObjectFrozen where they cannot be read."""
        if problem := next(packed_problems(manifest, self._ranges), None):
            raise NotProven(f"{display(problem.item)} in the target is not what its manifest says: {problem.reason}")

    def _ranges(self, fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, bytes]]:
        for one in fetches:
            yield one, self.transfer.patience.ask(functools.partial(self._range, one))

    def _range(self, one: Fetch) -> bytes:
        return b"".join(self.target.store.read(one.key, offset=one.offset, length=one.length))

    def _confirm(self, objects: tuple[Stored, ...]) -> None:
        """Small objects in parallel; large ones one by one, their parts in parallel."""
        asked = [self.transfer.workers.submit(prove, one, self.transfer) for one in objects if not one.parts]
        for one in objects:
            if one.parts:
                prove_side_by_side(one, self.transfer)
        for answer in asked:
            answer.result()


def _check_header(manifest: bytes, archive_id: str, item: str) -> None:
    header = next(read_manifest(manifest))
    if header.get("id") != archive_id or name_in(header, "item") != item:
        raise NotProven("its manifest in the target is of another item")


def _left_out(manifest: bytes) -> dict[str, str]:
    return {name_in(one, "left_out"): str(one.get("why")) for one in read_manifest(manifest) if "left_out" in one}
