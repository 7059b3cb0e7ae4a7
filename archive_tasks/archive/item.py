"""One item's way into the target: survey, send, look again, commit.

The order is what makes it safe: nothing is committed unless every object is proven, and the item was the same
before, while and after it was read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta

from archive_tasks.archive.packer import BATCH_BYTES, BATCH_MEMBERS, StartPacking
from archive_tasks.archive.sender import ItemSender, OnStored
from archive_tasks.catalogue.attempts import (
    Attempt,
    AttemptOf,
    begin_attempt,
    claims_of,
    find_attempt,
    forget_attempt,
    note_claim,
    note_commit,
    note_number,
    used_number,
)
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import EntryKeeper
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.disk.ctime_trial import CtimeTrial
from archive_tasks.errors import (
    IntegrityError,
    ItemUnreadable,
    ManifestError,
    ObjectExists,
    ObjectMissing,
    ObjectUnreadable,
    StoreBusy,
)
from archive_tasks.events import ItemAlreadyThere, ItemArchived, ItemKept
from archive_tasks.formats import frames as pack
from archive_tasks.formats import layout
from archive_tasks.formats.entry import check_line
from archive_tasks.formats.manifest import Block, ManifestWriter, Record, name_fields
from archive_tasks.items.difference import matches_manifest
from archive_tasks.items.rules import Rules
from archive_tasks.items.survey import Survey, check_unchanged, list_entries, survey_item, watched
from archive_tasks.model import Archive, Failure, Item, Receipt, Source
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.settings import Settings
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.already_there import Listings, listed_below, newest_of, what_is_missing
from archive_tasks.target.commit import LARGEST_MANIFEST, commit, write_from_copy
from archive_tasks.target.last_look import SignsOfLife, check_attempt, check_claims, check_not_pruned, put_sign
from archive_tasks.target.object_writer import ObjectWriter
from archive_tasks.target.open import Target
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import Fetcher
from archive_tasks.target.resolve import scope_for, storage_class_for
from archive_tasks.target.transfer import Transfer, uncounted

RESUMED_FOR = timedelta(days=7)
"""How long an interrupted attempt can be resumed; `prune` leaves its objects alone for longer."""
_STARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the items of one run share.

    Attributes:
        workers: send to the store; shared by all items.
        listings: what the run saw listed in the target.
        source: whose items these are.
        run: its number in the catalogue.
        ctime: whether the root's filesystem shows every write.
        start_packing: has segments of packs made.
    """

    session: Session
    target: Target
    rules: Rules
    pace: Pace
    workers: Executor
    root_fd: int
    listings: Listings
    source: Source
    run: int
    ctime: CtimeTrial
    start_packing: StartPacking

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
            ItemUnreadable: it is a cold one, and the target's checksums prove nothing: it could not be read back.
        """
        chosen = storage_class_for(
            self.session,
            item,
            days_idle=self.rules.limits.days_idle(survey.newest_ns),
            size=survey.bytes,
            default=self.store.storage_class,
        )
        if self.store.is_cold(chosen) and not self.target.verdict.trusted:
            raise ItemUnreadable(
                f"it would go to the class {display(chosen)}, which cannot be read back, and this target's checksums "
                "prove nothing; choose a class like GLACIER_IR"
            )
        return chosen


def archive_item(
    item: Item, work: Work, *, patience: Patience, tell: OnStored
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
    def __init__(self, item: Item, survey: Survey, work: Work, patience: Patience, tell: OnStored) -> None:
        self._item = item
        self._survey = survey
        self._work = work
        self._patience = patience
        self._tell = tell
        self._signs: SignsOfLife | None = None
        self._resumed = False
        self._replaces = self._again = ""
        self._claims: frozenset[str] = frozenset()
        self._storage_class = work.storage_class(item, survey)
        self._of = AttemptOf(work.source.device, item.root, item.name, survey.id)

    def run(self) -> ItemArchived | ItemAlreadyThere:
        if there := self._already_there() or self._committed_after_all():
            return there
        try:
            return self._archive_with_patience()
        except (IntegrityError, ObjectExists) as error:
            forget_attempt(self._work.catalogue, self._of, now=self._work.now, why=str(error))
            if not self._resumed:
                raise
        return self._archive_with_patience()  # what an earlier attempt left could not be used

    def _archive_with_patience(self) -> ItemArchived | ItemAlreadyThere:
        """Start again where a multipart upload became void; objects that are whole are not sent again."""
        for start in range(1, _STARTS + 1):
            try:
                return self._archive()
            except StoreBusy as error:
                if not error.start_over or start == _STARTS:
                    raise
            if there := self._committed_after_all():
                return there
        raise AssertionError("unreachable")

    # -- is it there already? -----------------------------------------------------------------------

    def _already_there(self) -> ItemAlreadyThere | None:
        """The newest archive of this source, if it has this listing, is whole, and has the same contents."""
        work = self._work
        known = newest_of(work.catalogue, work.source, self._item.name)
        if known is None or known.archive.id != self._survey.id:
            return None
        problem = what_is_missing(known, work.catalogue, work.store, work.listings, self._patience)
        if problem:
            self._replaces, self._again = known.archive.manifest, problem
        elif (self._fingerprint and known.fingerprint == self._fingerprint) or self._compared(known):
            self._tell(self._survey.files, self._survey.bytes)
            return ItemAlreadyThere(archive=known.archive)
        return None

    @property
    def _fingerprint(self) -> str:
        """What a later look is compared with; empty where a write could go unnoticed, so that contents are read."""
        ctime = self._work.ctime
        shows = ctime.shows_writes(self._survey.newest_ctime_ns, since_ns=ctime.now_ns)
        return self._survey.fingerprint if shows else ""

    def _compared(self, known: KnownArchive) -> bool:
        """Does the item have the contents of an archive with other inodes or ctimes, or one found in the target?

        The id follows from names, sizes and times, and contents can change behind these.
        """
        if not self._same_contents(known):
            return False
        receipt = dataclasses.replace(known.receipt, fingerprint=self._fingerprint) if known.receipt else None
        self._work.catalogue.record(
            known.archive, run=known.run, fingerprint=self._fingerprint, receipt=receipt, now=self._work.now
        )
        return True

    def _same_contents(self, known: KnownArchive) -> bool:
        try:
            manifest = self._patience.ask(lambda: b"".join(self._work.store.read(known.archive.manifest)))
            if known.receipt and hashlib.sha256(manifest).hexdigest() != known.receipt.manifest_sha256:
                return False
            listing = list_entries(self._item, self._work.rules, self._work.root_fd)
            return matches_manifest(manifest, watched(listing, self._survey))
        except (ManifestError, ObjectMissing, ObjectUnreadable):
            return False

    def _committed_after_all(self) -> ItemAlreadyThere | None:
        """Finish an attempt interrupted at its commit: its copy of the manifest says what it holds."""
        attempt = self._earlier_attempt()
        if attempt is None or not attempt.manifest:
            return None
        copy = layout.copy_key(attempt.prefix)
        if self._patience.ask(lambda: self._work.store.describe(copy)) is None:
            return None
        try:
            self._finish_commit(attempt)
        except (IntegrityError, ManifestError, ObjectExists, ObjectMissing) as error:
            forget_attempt(self._work.catalogue, self._of, now=self._work.now, why=str(error))
            return None
        return self._already_there()

    def _finish_commit(self, attempt: Attempt) -> None:
        work = self._work
        if self._patience.ask(lambda: work.store.describe(attempt.manifest)) is None:
            write_from_copy(attempt.prefix, self._transfer(attempt.prefix, {}))
        info = self._patience.ask(lambda: work.store.describe(attempt.manifest))
        if info is None:
            raise IntegrityError(f"{attempt.manifest} differs from what its copy says")
        answer = Fetcher(work.store, work.catalogue, self._patience, work.now).fetch(info)
        if isinstance(answer, Failure):
            raise IntegrityError(answer.reason)

    # -- archiving ----------------------------------------------------------------------------------

    def _archive(self) -> ItemArchived:
        prefix, stored_before = self._attempt()
        transfer = self._transfer(prefix, stored_before)
        key = self._new_key()
        keeper = EntryKeeper(self._work.catalogue, key)
        writers = [
            ObjectWriter(uncounted(transfer), where, max_size=LARGEST_MANIFEST, hot=True)
            for where in (layout.copy_key(prefix), key)
        ]
        header = self._header(prefix, key)
        try:
            self._write_lines(header, writers, keeper, transfer)
            self._patience.ask(self._work.target.check_vault)
            note_number(self._work.catalogue, self._of, header["number"])
            writers[0].finish().result()
            check_attempt(prefix, keeper.objects, self._work.store, self._patience, claims=self._claims)
            stored = commit(writers[1], transfer)
        except BaseException:
            keeper.discard()
            raise
        finally:
            for writer in writers:
                writer.abort()
        return self._record(self._archive_value(header, key, stored.size), stored.sha256, keeper)

    def _write_lines(
        self, header: Record, writers: Sequence[ObjectWriter], keeper: EntryKeeper, transfer: Transfer
    ) -> None:
        """Send the item, and write its manifest's lines, twice: as the copy and as the manifest."""

        def take(block: Block) -> None:
            for one in writers:
                one.write(block.frame)
            keeper.add(block)

        writer = ManifestWriter(header, take)
        for path, record in ItemSender(self._item, self._survey, self._work, transfer, self._told).send(header["data"]):
            check_line(record)
            keeper.note(record)
            writer.add(record, path)
        check_unchanged(self._survey, self._item, self._work.rules, self._work.root_fd)
        writer.finish()

    def _new_key(self) -> str:
        """The key that this attempt will be committed under, journalled before anything is written there."""
        key = layout.manifest_key(
            scope=self._scope,
            day=self._work.now,
            item=self._item.name,
            archive_id=self._survey.id,
            commit=layout.new_commit(),
        )
        note_commit(self._work.catalogue, self._of, manifest=key, now=self._work.now)
        return key

    @property
    def _scope(self) -> str:
        return scope_for(self._work.session, self._item.root)

    def _transfer(self, prefix: str, stored_before: Mapping[str, int]) -> Transfer:
        """What the item's objects are sent with."""
        self._signs = SignsOfLife(prefix, self._work.store, self._work.session.wall)
        return Transfer(
            store=self._work.store,
            pace=self._work.pace,
            patience=self._patience,
            workers=self._work.workers,
            trusted=self._work.target.verdict.trusted,
            storage_class=self._storage_class,
            already_stored=stored_before,
            on_sent=lambda size: self._told(0, size),
        )

    def _told(self, files: int, size: int) -> None:
        self._tell(files, size)
        if self._signs:
            self._signs.give()

    def _earlier_attempt(self) -> Attempt | None:
        since = self._work.now - RESUMED_FOR
        return find_attempt(self._work.catalogue, self._of, how=self._how, since=since)

    @property
    def _how(self) -> str:
        return how_objects_are_made(self._work.session.settings)

    def _attempt(self) -> tuple[str, dict[str, int]]:
        """Where the objects go, and the sizes of those that an interrupted attempt left there."""
        earlier = self._earlier_attempt()
        if earlier:
            self._resumed = True
            listed = self._claimed(earlier.prefix)
            return earlier.prefix, {key: info.size for key, info in listed.items()}
        prefix = layout.attempt_prefix(
            scope=self._scope, day=self._work.now, item=self._item.name, archive_id=self._survey.id
        )
        begin_attempt(self._work.catalogue, self._of, prefix=prefix, how=self._how, now=self._work.now)
        return prefix, {}

    def _claimed(self, prefix: str) -> dict[str, ObjectInfo]:
        """What is in an attempt that nobody else resumes. Raises IntegrityError."""
        work = self._work
        claim = layout.claim_key(prefix)
        note_claim(work.catalogue, claim, now=work.now)
        self._claims = claims_of(work.catalogue, prefix)
        self._patience.ask(lambda: put_sign(claim, work.store))
        listed = listed_below(work.store, prefix, self._patience)
        check_not_pruned(prefix, work.store, self._patience)
        check_claims(listed, self._claims)
        if layout.copy_key(prefix) in listed:
            raise IntegrityError("its interrupted run was committed by another with a copy of this data folder")
        return listed

    def _header(self, prefix: str, key: str) -> Record:
        survey = self._survey
        known = self._work.catalogue.archives_of(self._work.source, self._item.name)
        used = used_number(self._work.catalogue, self._work.source, self._item.name)
        return {
            "id": survey.id,
            **name_fields("item", self._item.name),
            "kind": self._item.kind,
            "scope": self._scope,
            "device": self._work.source.device,
            "host": socket.gethostname(),
            **name_fields("root", self._item.root),
            "number": 1 + max((used, *(one.archive.number for one in known))),
            "commit": layout.commit_in(key),
            **({"replaces": self._replaces} if self._replaces else {}),
            "created": self._work.now.isoformat(),
            "clock": self._work.rules.clock_name,
            "days": self._work.rules.limits.days,
            "newest": {**name_fields("path", survey.newest or ""), "used_ns": survey.newest_ns},
            "files": survey.files,
            "folders": survey.folders,
            "bytes": survey.bytes,
            "data": prefix,
        }

    def _record(self, archive: Archive, manifest_sha256: str, keeper: EntryKeeper) -> ItemArchived:
        receipt = Receipt(
            manifest=archive.manifest,
            manifest_sha256=manifest_sha256,
            proven_by="checksum" if self._work.target.verdict.trusted else "read-back",
            proven_at=self._work.session.wall(),
            fingerprint=self._fingerprint,
        )
        self._work.catalogue.record(
            archive,
            run=self._work.run,
            fingerprint=self._fingerprint,
            receipt=receipt,
            now=self._work.now,
            also=keeper.keep,
        )
        return ItemArchived(archive=archive, receipt=receipt, again=self._again)

    def _archive_value(self, header: Record, key: str, manifest_size: int) -> Archive:
        return Archive(
            id=self._survey.id,
            item=self._item.name,
            root=self._item.root,
            scope=self._scope,
            target=self._work.store.url,
            manifest=key,
            files=self._survey.files,
            bytes=self._survey.bytes,
            created=self._work.now,
            host=header["host"],
            storage_class=self._storage_class,
            manifest_size=manifest_size,
            device=header["device"],
            number=header["number"],
            replaces=self._replaces,
            data=header["data"],
        )


def how_objects_are_made(settings: Settings) -> str:
    """What the bytes of an attempt's objects follow from, beside the item."""
    packs = f"{pack.HOW} batches {BATCH_BYTES} {BATCH_MEMBERS} of {settings.pack_size}"
    return f"below {settings.pack_below}: {packs}; parts {settings.part_size}"
