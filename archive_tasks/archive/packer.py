"""The packs of one item: its small files go in, in the order of the listing; whole packs go to the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

from archive_tasks.archive.segment import Member, Packed, PackJob, Segment
from archive_tasks.formats import layout
from archive_tasks.formats.frames import end_of_pack
from archive_tasks.formats.manifest import Record
from archive_tasks.formats.objects import Stored
from archive_tasks.items.describe import attribute_fields
from archive_tasks.target.object_writer import ObjectWriter
from archive_tasks.target.transfer import Transfer

BATCH_BYTES = 4 * 1024 * 1024
BATCH_MEMBERS = 1000
_BATCHES_AT_ONCE = 3
_FRAME_OVERHEAD = 4096
"""Allowance for a pack's size: incompressible data grows by a few bytes in a hundred thousand."""

StartPacking = Callable[[PackJob], Callable[[], Segment]]
"""Has a segment packed, here or in another process; what it returns waits for it."""


@dataclass(slots=True)
class _Batch:
    members: list[Member] = field(default_factory=list)
    size: int = 0
    collect: Callable[[], Segment] | None = None
    packed: tuple[Packed, ...] = ()
    key: str = ""
    frames: list[tuple[int, int]] = field(default_factory=list)


class Placement(NamedTuple):
    """A member's place in the packs, which is known once its batch `is_placed`."""

    batch: _Batch
    number: int

    @property
    def is_placed(self) -> bool:
        return bool(self.batch.packed)


class Packs:
    """Packs of one item. Used by the item's thread; up to three batches of about 4 MiB are packed meanwhile.

    Args:
        prefix: of the attempt's objects.
        start: has segments packed.
        pack_size: bytes of a pack, at most.
    """

    def __init__(self, transfer: Transfer, *, prefix: str, root: str, start: StartPacking, pack_size: int) -> None:
        self._transfer = transfer
        self._prefix = prefix
        self._root = root
        self._start = start
        self._pack_size = pack_size
        self._open = _Batch()
        self._packing: deque[_Batch] = deque()
        self._writer: ObjectWriter | None = None
        self._number = 0
        self._finished: list[Future[Stored]] = []

    def add(self, member: Member) -> Placement:
        """Put a member into the next batch."""
        batch = self._open
        batch.members.append(member)
        batch.size += member.identity.size if member.identity else 0
        slot = Placement(batch, len(batch.members) - 1)
        if batch.size >= BATCH_BYTES or len(batch.members) >= BATCH_MEMBERS:
            self._pack_open()
        return slot

    def placed(self, slot: Placement) -> Record:
        """The manifest's fields of a member; waits until it is packed.

        Raises:
            ItemError: a file of its batch cannot be read, or changed.
            StoreError: the target failed.
        """
        if slot.batch is self._open:
            self._pack_open()
        while not slot.is_placed:
            self._append(self._packing.popleft())
        return _fields(slot)

    def finish(self) -> Iterator[Record]:
        """Send what is left; the manifest's line of each pack, proven."""
        if self._open.members:
            self._pack_open()
        while self._packing:
            self._append(self._packing.popleft())
        self._close_pack()
        for finished in self._finished:
            yield object_line(finished.result())

    def abort(self) -> None:
        """Leave nothing running."""
        if self._writer is not None:
            self._writer.abort()
        for finished in self._finished:
            finished.exception()

    def _pack_open(self) -> None:
        batch, self._open = self._open, _Batch()
        batch.collect = self._start(PackJob(self._root, tuple(batch.members)))
        batch.members = []
        self._packing.append(batch)
        while len(self._packing) > _BATCHES_AT_ONCE:
            self._append(self._packing.popleft())

    def _append(self, batch: _Batch) -> None:
        """Put a batch's segment behind what is in the pack."""
        assert batch.collect is not None  # noqa: S101 - `_pack_open` alone puts batches here
        segment, batch.collect = batch.collect(), None
        writer = self._writer_for(len(segment.data))
        batch.key = writer.key
        at = writer.size
        for length in segment.frames:
            batch.frames.append((at, length))
            at += length
        writer.write(segment.data)
        batch.packed = segment.packed

    def _writer_for(self, size: int) -> ObjectWriter:
        if self._writer is not None and self._writer.size + size + _FRAME_OVERHEAD > self._pack_size:
            self._close_pack()
        if self._writer is None:
            self._number += 1
            most = max(self._pack_size, size + _FRAME_OVERHEAD)
            self._writer = ObjectWriter(self._transfer, layout.pack_key(self._prefix, self._number), max_size=most)
        return self._writer

    def _close_pack(self) -> None:
        if self._writer is not None:
            self._writer.write(end_of_pack())
            self._finished.append(self._writer.finish())
            self._writer = None


def _fields(slot: Placement) -> Record:
    packed = slot.batch.packed[slot.number]
    if not packed.sha256:
        return {}
    offset, length = slot.batch.frames[packed.frame]
    place = {"key": slot.batch.key, "offset": offset, "length": length, "within": packed.within}
    return attribute_fields(packed.attributes) | {"sha256": packed.sha256} | place


def object_line(stored: Stored) -> Record:
    """What a manifest says of an object that holds more, or less, than the bytes of one file."""
    record: Record = {"object": stored.key, "size": stored.size, "sha256": stored.sha256}
    if stored.parts:
        record |= {"part_size": stored.part_size, "parts": list(stored.parts)}
    return record
