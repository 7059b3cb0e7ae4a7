"""One item's way into the target: survey, send, look again, commit.

The order is what makes it safe: nothing is committed unless every object is proven, and the item was the same
before, while and after it was read.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import datetime

from archive_tasks import layout
from archive_tasks.catalogue import Catalogue
from archive_tasks.contents import matches_manifest
from archive_tasks.entries import Listed, Survey, check_unchanged, list_entries, survey_item, watched
from archive_tasks.errors import IntegrityError, Interrupted, ManifestError, ObjectExists
from archive_tasks.events import ItemAlreadyThere, ItemArchived, ItemKept
from archive_tasks.manifest import ManifestWriter, Record, name_fields
from archive_tasks.model import Archive, Item, Receipt
from archive_tasks.names import display
from archive_tasks.pace import Pace, Patience
from archive_tasks.records import attribute_fields, describe_entry, place_of
from archive_tasks.send import Sender, Stored
from archive_tasks.session import Rules, Session
from archive_tasks.source import SourceFile
from archive_tasks.store import Store
from archive_tasks.target import Target

_FILES_OPEN = 512
"""Of all items together, at most: memory bounds large files, this the handles of small ones (often 1,024 a process)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the items of one run share.

    Attributes:
        workers: send to the store; shared by all items.
        committed: key of each manifest in the target, by archive id, as the run began.
        run: its number in the catalogue.
    """

    session: Session
    target: Target
    rules: Rules
    pace: Pace
    workers: Executor
    root_fd: int
    committed: Mapping[str, str]
    run: int

    @property
    def store(self) -> Store:
        return self.target.store

    @property
    def catalogue(self) -> Catalogue:
        return self.target.catalogue

    @property
    def now(self) -> datetime:
        return self.session.now


Told = Callable[[int, int], None]
"""(files, bytes) more are in the store."""


def archive_item(
    item: Item, work: Work, *, patience: Patience, tell: Told
) -> ItemArchived | ItemAlreadyThere | ItemKept:
    """Archive one item, unless it is there already or has been used since the plan was made.

    Raises:
        ItemError: it cannot be archived as it is; nothing was committed.
        StoreError: the target failed; nothing was committed.
    """
    survey = survey_item(item, work.rules, work.root_fd)
    if reason := _reason_to_keep_after_all(survey, work.rules):
        return ItemKept(item=item.name, reason=reason)
    return _ItemArchiver(item, survey, work, patience, tell).run()


def _reason_to_keep_after_all(survey: Survey, rules: Rules) -> str | None:
    if survey.newest is None:
        return "nothing is left in it that counts as use"
    if survey.newest_ns > rules.limits.stale_up_to_ns:
        return f"{display(survey.newest)} was used after the plan was made"
    return None


class _ItemArchiver:
    def __init__(self, item: Item, survey: Survey, work: Work, patience: Patience, tell: Told) -> None:
        self._item = item
        self._survey = survey
        self._work = work
        self._patience = patience
        self._tell = tell

    def run(self) -> ItemArchived | ItemAlreadyThere:
        if there := self._already_there():
            self._tell(self._survey.files, self._survey.bytes)
            return ItemAlreadyThere(archive=there)
        archive_id = self._free_id()
        try:
            return self._archive(archive_id)
        except (IntegrityError, ObjectExists) as error:
            self._work.catalogue.forget_attempt(archive_id, now=self._work.now, why=str(error))
            raise

    # -- is it there already? -----------------------------------------------------------------------

    def _ids(self) -> tuple[str, str]:
        """The id, and the one that is taken when an archive of that id has other contents.

        The id follows from names, sizes and times; contents can change behind these, or differ between two
        devices. The second id follows from inodes and ctimes too, which cannot be set back.
        """
        changed = hashlib.sha256(f"{self._survey.id} {self._survey.seen}".encode()).hexdigest()[:32]
        return self._survey.id, changed

    def _free_id(self) -> str:
        first, second = self._ids()
        return second if first in self._work.committed else first

    def _already_there(self) -> Archive | None:
        for archive_id in self._ids():
            key = self._work.committed.get(archive_id)
            if key is None:
                continue
            known = self._work.catalogue.known(archive_id)
            if known and known.seen == self._survey.seen:
                return known.archive
            if self._same_contents(key):
                return self._adopt(archive_id, key)
        return None

    def _same_contents(self, key: str) -> bool:
        manifest = self._patience.ask(lambda: b"".join(self._work.store.read(key)))
        try:
            listing = list_entries(self._item, self._work.rules, self._work.root_fd)
            return matches_manifest(manifest, watched(listing, self._survey))
        except ManifestError:
            return False

    def _adopt(self, archive_id: str, key: str) -> Archive:
        """Note an archive that this device did not know: made elsewhere, or just before a crash."""
        archive = self._archive_value(archive_id, key)
        self._work.catalogue.record(
            archive,
            run=None,
            seen=self._survey.seen,
            receipt=None,
            now=self._work.now,
        )
        return archive

    # -- archiving ----------------------------------------------------------------------------------

    def _archive(self, archive_id: str) -> ItemArchived | ItemAlreadyThere:
        prefix, there = self._attempt(archive_id)
        sender = Sender(
            self._work.store,
            pace=self._work.pace,
            patience=self._patience,
            workers=self._work.workers,
            trusted=self._work.target.verdict.trusted,
            there=there,
            on_sent=lambda size: self._tell(0, size),
        )
        writer = ManifestWriter(self._header(archive_id, prefix))
        for record in self._send_all(sender, prefix):
            writer.add(record)
        check_unchanged(self._survey, self._item, self._work.rules, self._work.root_fd)
        key = layout.manifest_key(scope=self._scope, day=self._work.now, item=self._item.name, archive_id=archive_id)
        self._patience.ask(self._work.target.check_vault)
        try:
            digest = self._commit(key, writer.finish())
        except ObjectExists:
            if not self._same_contents(key):
                raise
            return ItemAlreadyThere(archive=self._adopt(archive_id, key))  # another device was a moment faster
        return self._record(self._archive_value(archive_id, key), digest)

    @property
    def _scope(self) -> str:
        return self._work.session.scope_for(self._item.root)

    def _attempt(self, archive_id: str) -> tuple[str, dict[str, int]]:
        """Where the objects go, and the sizes of those that an attempt that was cut off has left there."""
        earlier = self._work.catalogue.attempt(archive_id)
        if earlier:
            listed = self._patience.ask(lambda: list(self._work.store.list(earlier)))
            return earlier, {info.key: info.size for info in listed}
        prefix = layout.attempt_prefix(
            scope=self._scope,
            day=self._work.now,
            item=self._item.name,
            archive_id=archive_id,
            attempt=secrets.token_hex(6),
        )
        self._work.catalogue.begin_attempt(archive_id, prefix=prefix, now=self._work.now)
        return prefix, {}

    def _header(self, archive_id: str, prefix: str) -> Record:
        survey = self._survey
        return {
            "id": archive_id,
            **name_fields("item", self._item.name),
            "kind": self._item.kind,
            "scope": self._scope,
            "host": socket.gethostname(),
            **name_fields("root", self._item.root),
            "created": self._work.now.isoformat(),
            "clock": self._work.rules.clock_name,
            "days": self._work.rules.limits.days,
            "newest": {**name_fields("path", survey.newest or ""), "used_ns": survey.newest_ns},
            "files": survey.files,
            "folders": survey.folders,
            "bytes": survey.bytes,
            "data": prefix,
        }

    def _send_all(self, sender: Sender, prefix: str) -> Iterator[Record]:
        """Send every file; yields the manifest's lines in the order of the listing."""
        under_way: deque[tuple[Record, Future[Stored] | None]] = deque()
        settings = self._work.session.settings
        most = min(4 * settings.concurrency, _FILES_OPEN // settings.items_at_once)
        first_names: dict[tuple[int, int], str] = {}
        listing = list_entries(self._item, self._work.rules, self._work.root_fd)
        try:
            for listed in watched(listing, self._survey):
                if self._work.pace.stopped:
                    raise Interrupted("stopped")
                under_way.append(self._start(listed, sender, prefix, first_names))
                while len(under_way) > most or (under_way and _is_done(under_way[0])):
                    yield self._finished(*under_way.popleft())
            while under_way:
                yield self._finished(*under_way.popleft())
        except BaseException:
            sender.give_up()
            raise
        finally:
            for _, sending in under_way:
                if sending is not None:
                    sending.exception()

    def _start(
        self, listed: Listed, sender: Sender, prefix: str, first_names: dict[tuple[int, int], str]
    ) -> tuple[Record, Future[Stored] | None]:
        record = describe_entry(listed)
        facts = listed.entry.stat
        if listed.why is not None or listed.entry.kind != "file":
            return record, None
        if facts.st_nlink > 1:
            first = first_names.setdefault((facts.st_dev, facts.st_ino), listed.entry.path)
            if first != listed.entry.path:
                return {**record, **name_fields("hardlink", first)}, None
        source = SourceFile(listed)
        try:
            record |= attribute_fields(source.extended_attributes())
            if source.size:
                return record, sender.send(source, layout.file_key(prefix, listed.entry.path))
        except BaseException:
            source.close()
            raise
        source.close()
        return record | {"sha256": hashlib.sha256().hexdigest()}, None

    def _finished(self, record: Record, sending: Future[Stored] | None) -> Record:
        if sending is not None:
            record = record | place_of(sending.result())
        if record.get("type") in {"file", "link"}:
            self._tell(1, 0)
        return record

    # -- the commit ---------------------------------------------------------------------------------

    def _commit(self, key: str, manifest: bytes) -> str:
        """Write the manifest, create-only, and read it back. Returns its SHA-256 (hex)."""
        digest = hashlib.sha256(manifest)
        self._patience.ask(lambda: self._work.store.put(key, manifest, sha256=digest.digest()))
        returned = self._patience.ask(lambda: hashlib.sha256(b"".join(self._work.store.read(key))))
        if returned.digest() != digest.digest():
            raise IntegrityError(f"the target returns another manifest than was written as {key}")
        return digest.hexdigest()

    def _record(self, archive: Archive, manifest_sha256: str) -> ItemArchived:
        receipt = Receipt(
            archive_id=archive.id,
            manifest_sha256=manifest_sha256,
            proven_by="checksum" if self._work.target.verdict.trusted else "read-back",
            proven_at=self._work.session.wall(),
            seen=self._survey.seen,
        )
        self._work.catalogue.record(
            archive,
            run=self._work.run,
            seen=self._survey.seen,
            receipt=receipt,
            now=self._work.now,
        )
        return ItemArchived(archive=archive, receipt=receipt)

    def _archive_value(self, archive_id: str, key: str) -> Archive:
        return Archive(
            id=archive_id,
            item=self._item.name,
            root=self._item.root,
            scope=self._scope,
            target=self._work.store.url,
            manifest=key,
            files=self._survey.files,
            bytes=self._survey.bytes,
            created=self._work.now,
        )


def _is_done(pair: tuple[Record, Future[Stored] | None]) -> bool:
    return pair[1] is None or pair[1].done()
