"""Sending one item's files, small ones in packs and large ones alone; what comes out are the manifest's lines."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import NamedTuple

from archive_tasks.archive.context import Work
from archive_tasks.archive.packer import Packs, Placement, object_line
from archive_tasks.archive.segment import Member
from archive_tasks.archive.send_file import send_file
from archive_tasks.archive.send_sparse import SparseSent, send_sparse
from archive_tasks.disk.read_file import SourceFile, identity_of
from archive_tasks.disk.sparse import extents_of
from archive_tasks.errors import HolesHoldData, Interrupted
from archive_tasks.formats import layout, tar
from archive_tasks.formats.manifest import Record, name_fields, name_in
from archive_tasks.formats.objects import Stored
from archive_tasks.items.describe import attribute_fields, attributes_in, describe_entry, place_of
from archive_tasks.items.survey import Listed, Survey, list_entries, watched
from archive_tasks.model import Item
from archive_tasks.target.transfer import Transfer, uncounted

_FILES_OPEN = 512
"""Of all items together, at most: memory bounds large files, this the handles of others (often 1,024 a process)."""
_LINES_WAITING = 10_000
"""For a batch to be packed or a file to be sent; a line takes about a kilobyte."""
_KINDS = {"folder": tar.FOLDER, "link": tar.SYMLINK, "file": tar.FILE}
_EMPTY = {"sha256": hashlib.sha256().hexdigest()}

OnStored = Callable[[int, int], None]
"""(files, bytes) more are in the store."""


class _Line(NamedTuple):
    """A line of the manifest, of which the file's place may not be known yet."""

    path: str
    record: Record
    transfer: Future[Stored] | Placement | None = None

    @property
    def is_ready(self) -> bool:
        if isinstance(self.transfer, Placement):
            return self.transfer.is_placed
        return self.transfer is None or self.transfer.done()


class ItemSender:
    """Sends one item, once."""

    def __init__(self, item: Item, survey: Survey, work: Work, transfer: Transfer, tell: OnStored) -> None:
        settings = work.session.settings
        self._item = item
        self._survey = survey
        self._work = work
        self._transfer = transfer
        self._tell = tell
        self._pack_below = settings.pack_below if survey.packable and item.kind == "folder" else 0
        self._most_open = min(4 * settings.concurrency, _FILES_OPEN // settings.items_at_once)
        self._open = 0
        self._waiting: deque[_Line] = deque()
        self._first_names: dict[tuple[int, int], str] = {}
        self._sparse: list[Stored] = []

    def send(self, prefix: str) -> Iterator[tuple[str, Record]]:
        """Send every file below `prefix`; yields (path, line) in the order of the listing, then the packs' lines.

        Raises:
            ItemError: the item is not as it was surveyed, or cannot be read.
            StoreError: the target failed.
        """
        packs = Packs(
            uncounted(self._transfer),
            prefix=prefix,
            root=self._item.root,
            start=self._work.start_packing,
            pack_size=self._work.session.settings.pack_size,
        )
        try:
            listing = list_entries(self._item, self._work.rules, self._work.root_fd)
            for listed in watched(listing, self._survey):
                if self._work.pace.stopped:
                    raise Interrupted("stopped")
                self._waiting.append(self._line(listed, packs, prefix))
                yield from self._ready(packs)
            while self._waiting:
                yield self._finished(packs)
            yield from (("", object_line(stored)) for stored in self._sparse)
            yield from (("", record) for record in packs.finish())
        except BaseException:
            self._transfer.cancelled.set()
            packs.abort()
            raise
        finally:
            for line in self._waiting:
                if isinstance(line.transfer, Future):
                    line.transfer.exception()

    def _ready(self, packs: Packs) -> Iterator[tuple[str, Record]]:
        """Lines that are complete, and those that must be waited for before more is started."""
        waiting = self._waiting
        while waiting and (waiting[0].is_ready or self._open > self._most_open or len(waiting) > _LINES_WAITING):
            yield self._finished(packs)

    def _finished(self, packs: Packs) -> tuple[str, Record]:
        path, record, transfer = self._waiting.popleft()
        if isinstance(transfer, Placement):
            place = packs.placed(transfer)
            record = record | place
            self._tell(0, record.get("size", 0) if "key" in place else 0)
            if "key" in place and record["size"] == 0:
                record = _without_place(record)
        elif transfer is not None:
            self._open -= 1
            if "extents" in record:
                self._sparse.append(transfer.result())
                record = record | {"key": transfer.result().key}
            else:
                record = record | place_of(transfer.result())
        if record.get("type") in {"file", "link"}:
            self._tell(1, 0)
        return path, record

    def _line(self, listed: Listed, packs: Packs, prefix: str) -> _Line:
        record = describe_entry(listed)
        path, kind, facts = listed.entry
        if listed.why is not None:
            return _Line("", record)
        first = None
        if kind == "file" and facts.st_nlink > 1 and facts.st_ino:
            first = self._first_names.setdefault((facts.st_dev, facts.st_ino), path)
            if first != path:
                record |= name_fields("hardlink", first)
        if self._pack_below and (kind != "file" or facts.st_size < self._pack_below):
            return _Line(path, record, packs.add(_member(listed, record)))
        if kind != "file" or (first is not None and first != path):
            return _Line(path, record)
        return self._sent(listed, record, prefix)

    def _sent(self, listed: Listed, record: Record, prefix: str) -> _Line:
        path = listed.entry.path
        source = SourceFile(path, listed.name, listed.dir_fd, identity_of(listed.entry.stat))
        try:
            record |= attribute_fields(source.extended_attributes())
            if source.size:
                self._open += 1
                if "sparse" in record and (sent := self._sent_without_holes(listed, record, source, prefix)):
                    source.close()
                    return _Line(path, record | sent.fields, sent.object)
                return _Line(path, record, send_file(source, layout.file_key(prefix, path), self._transfer))
            source.check()
        except BaseException:
            source.close()
            raise
        source.close()
        return _Line(path, record | _EMPTY)

    def _sent_without_holes(self, listed: Listed, record: Record, source: SourceFile, prefix: str) -> SparseSent | None:
        """None without holes that are worth it, or where they are not what the filesystem says."""
        extents = extents_of(source.fd, source.size)
        if extents is None:
            return None
        key = layout.sparse_key(prefix, listed.entry.path)
        try:
            return send_sparse(source, _member(listed, record), extents, key, self._transfer)
        except HolesHoldData:
            return None


def _member(listed: Listed, record: Record) -> Member:
    path, kind, facts = listed.entry
    is_link = "hardlink" in record
    target = name_in(record, "hardlink") if is_link else name_in(record, "target") if kind == "link" else ""
    return Member(
        path,
        tar.HARDLINK if is_link else _KINDS[kind],
        facts.st_mode & 0o7777,
        facts.st_mtime_ns,
        facts.st_uid,
        facts.st_gid,
        record["user"],
        record["group"],
        identity_of(facts) if kind == "file" and not is_link else None,
        target,
        attributes_in(record) or None,
    )


def _without_place(record: Record) -> Record:
    """An empty file is in the tar for whoever unpacks it; its line needs no place."""
    return {name: value for name, value in record.items() if name not in {"key", "offset", "length", "within"}}
