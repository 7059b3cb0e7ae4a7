"""One item's way into the target: survey, send, look again, commit.

The order is what makes it safe: nothing is committed unless every object is proven, and the item was the same
before, while and after it was read.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

from archive_tasks import layout, pack
from archive_tasks.catalogue import Catalogue
from archive_tasks.contents import matches_manifest
from archive_tasks.entries import Survey, check_unchanged, list_entries, survey_item, watched
from archive_tasks.entry_index import EntryKeeper
from archive_tasks.errors import IntegrityError, ItemUnreadable, ManifestError, ObjectExists, StoreBusy
from archive_tasks.events import ItemAlreadyThere, ItemArchived, ItemKept
from archive_tasks.item_sender import ItemSender, Told
from archive_tasks.manifest import Block, ManifestWriter, Record, name_fields
from archive_tasks.model import Archive, Item, Receipt
from archive_tasks.names import display
from archive_tasks.object_writer import ObjectWriter
from archive_tasks.pace import Pace, Patience
from archive_tasks.packs import BATCH_BYTES, BATCH_MEMBERS, Start
from archive_tasks.prove import Sending, Stored, uncounted
from archive_tasks.session import Rules, Session
from archive_tasks.settings import Settings
from archive_tasks.store import Store
from archive_tasks.target import Target

CONTINUED_FOR = timedelta(days=7)
"""How long the objects of an attempt that was cut off are gone on with; `prune` leaves them alone for longer."""
_STARTS = 3
_LARGEST_MANIFEST = 64 * 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the items of one run share.

    Attributes:
        workers: send to the store; shared by all items.
        committed: key of each manifest in the target, by archive id, as the run began.
        run: its number in the catalogue.
        start_packing: has segments of packs made.
    """

    session: Session
    target: Target
    rules: Rules
    pace: Pace
    workers: Executor
    root_fd: int
    committed: Mapping[str, str]
    run: int
    start_packing: Start

    @property
    def store(self) -> Store:
        return self.target.store

    @property
    def catalogue(self) -> Catalogue:
        return self.target.catalogue

    @property
    def now(self) -> datetime:
        return self.session.now

    def storage_class(self, item: Item, survey: Survey) -> str:
        """Class of the item's objects: a plugin's choice, else the target's.

        Raises:
            ItemUnreadable: it is a cold one, and the target's checksums are no proof: nothing could be read back.
        """
        chosen = self.session.storage_class_for(
            item,
            days_idle=self.rules.limits.days_idle(survey.newest_ns),
            size=survey.bytes,
            default=self.store.storage_class,
        )
        if self.store.is_cold(chosen) and not self.target.verdict.trusted:
            raise ItemUnreadable(
                f"it would go to the class {display(chosen)}, which cannot be read back, and this target's checksums "
                "are no proof; choose a class like GLACIER_IR"
            )
        return chosen


def archive_item(
    item: Item, work: Work, *, patience: Patience, tell: Told
) -> ItemArchived | ItemAlreadyThere | ItemKept:
    """Archive one item, unless it is there already or has been used since the plan was made.

    Raises:
        ItemError: it cannot be archived as it is; nothing was committed.
        StoreError: the target failed; nothing was committed.
    """
    survey = survey_item(item, work.rules, work.root_fd, pack_below=work.session.settings.pack_below)
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
        self._went_on = False
        self._storage_class = work.storage_class(item, survey)

    def run(self) -> ItemArchived | ItemAlreadyThere:
        if there := self._already_there():
            self._tell(self._survey.files, self._survey.bytes)
            return ItemAlreadyThere(archive=there)
        archive_id = self._free_id()
        try:
            return self._archive_with_patience(archive_id)
        except (IntegrityError, ObjectExists) as error:
            self._work.catalogue.forget_attempt(archive_id, now=self._work.now, why=str(error))
            if not self._went_on:
                raise
        return self._archive_with_patience(archive_id)  # what an earlier attempt left was no help

    def _archive_with_patience(self, archive_id: str) -> ItemArchived | ItemAlreadyThere:
        """Begin anew where an upload in parts became void; objects that are whole are not sent again."""
        for start in range(1, _STARTS + 1):
            try:
                return self._archive(archive_id)
            except StoreBusy as error:
                if not error.start_over or start == _STARTS:
                    raise
        raise AssertionError("unreachable")

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
        sending, prefix = self._sending(archive_id)
        key = layout.manifest_key(scope=self._scope, day=self._work.now, item=self._item.name, archive_id=archive_id)
        keeper = EntryKeeper(self._work.catalogue, archive_id)
        manifest = ObjectWriter(uncounted(sending), key, most=_LARGEST_MANIFEST, hot=True)

        def take(block: Block) -> None:
            manifest.write(block.frame)
            keeper.add(block)

        try:
            writer = ManifestWriter(self._header(archive_id, prefix), take)
            for path, record in ItemSender(self._item, self._survey, self._work, sending, self._tell).send(prefix):
                writer.add(record, path)
            check_unchanged(self._survey, self._item, self._work.rules, self._work.root_fd)
            self._patience.ask(self._work.target.check_vault)
            writer.finish()
            try:
                stored = self._commit(manifest)
            except (ObjectExists, IntegrityError):  # not every server refuses to write over what another device wrote
                if not self._same_contents(key):
                    raise
                return ItemAlreadyThere(archive=self._adopt(archive_id, key))  # another device was a moment faster
        finally:
            manifest.abort()
        return self._record(self._archive_value(archive_id, key, stored.size), stored.sha256, keeper)

    @property
    def _scope(self) -> str:
        return self._work.session.scope_for(self._item.root)

    def _sending(self, archive_id: str) -> tuple[Sending, str]:
        """What the item's objects are sent with, and where they go: where an attempt that was cut off has begun, or
        to a prefix of their own.
        """
        prefix, there = self._attempt(archive_id)
        sending = Sending(
            store=self._work.store,
            pace=self._work.pace,
            patience=self._patience,
            workers=self._work.workers,
            trusted=self._work.target.verdict.trusted,
            storage_class=self._storage_class,
            there=there,
            on_sent=lambda size: self._tell(0, size),
        )
        return sending, prefix

    def _attempt(self, archive_id: str) -> tuple[str, dict[str, int]]:
        """Where the objects go, and the sizes of those that an attempt that was cut off has left there."""
        catalogue, now = self._work.catalogue, self._work.now
        how = how_objects_are_made(self._work.session.settings)
        earlier = catalogue.attempt(archive_id, how=how, since=now - CONTINUED_FOR)
        if earlier:
            listed = self._patience.ask(lambda: list(self._work.store.list(earlier)))
            self._went_on = True
            return earlier, {info.key: info.size for info in listed}
        prefix = layout.attempt_prefix(
            scope=self._scope,
            day=now,
            item=self._item.name,
            archive_id=archive_id,
            attempt=secrets.token_hex(6),
        )
        catalogue.begin_attempt(archive_id, prefix=prefix, how=how, now=now)
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

    # -- the commit ---------------------------------------------------------------------------------

    def _commit(self, manifest: ObjectWriter) -> Stored:
        """Have the manifest written, create-only, and read it back whatever the target's checksums say."""
        stored = manifest.finish().result()
        returned = self._patience.ask(lambda: _sha256(self._work.store.read(stored.key)))
        if returned != stored.sha256:
            raise IntegrityError(f"the target returns another manifest than was written as {stored.key}")
        return stored

    def _record(self, archive: Archive, manifest_sha256: str, keeper: EntryKeeper) -> ItemArchived:
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
            also=keeper.keep,
        )
        return ItemArchived(archive=archive, receipt=receipt)

    def _archive_value(self, archive_id: str, key: str, manifest_size: int = 0) -> Archive:
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
            host=socket.gethostname(),
            storage_class=self._storage_class,
            manifest_size=manifest_size,
        )


def how_objects_are_made(settings: Settings) -> str:
    """What the bytes of an attempt's objects follow from, beside the item."""
    packs = f"{pack.HOW} batches {BATCH_BYTES} {BATCH_MEMBERS} of {settings.pack_size}"
    return f"below {settings.pack_below}: {packs}; parts {settings.part_size}"


def _sha256(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
