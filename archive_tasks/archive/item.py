"""One item's way into the target: survey, send, look again, commit.

The order is what makes it safe: nothing is committed unless every object is proven, and the item was the same
before, while and after it was read.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from archive_tasks.archive import attempt as attempts
from archive_tasks.archive.already_there import IncompleteArchive, find_archive, lasting_fingerprint
from archive_tasks.archive.attempt import OpenAttempt
from archive_tasks.archive.context import SurveyedItem, Work
from archive_tasks.archive.sender import ItemSender, OnStored
from archive_tasks.catalogue.attempts import note_commit, note_number, used_number
from archive_tasks.catalogue.entries import EntryKeeper
from archive_tasks.errors import IntegrityError, ObjectExists, StoreBusy
from archive_tasks.events import ItemAlreadyThere, ItemArchived, ItemKept
from archive_tasks.formats import layout
from archive_tasks.formats.entry import check_line
from archive_tasks.formats.manifest import Block, ManifestWriter, Record, name_fields
from archive_tasks.items.rules import Rules
from archive_tasks.items.survey import Survey, check_unchanged, survey_item
from archive_tasks.model import Archive, Item, Receipt
from archive_tasks.names import display
from archive_tasks.target.commit import LARGEST_MANIFEST, commit
from archive_tasks.target.last_look import SignsOfLife, check_attempt
from archive_tasks.target.object_writer import ObjectWriter
from archive_tasks.target.patience import Patience
from archive_tasks.target.transfer import Transfer, uncounted

_STARTS = 3


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
    storage_class = work.storage_class(item, survey)
    surveyed = SurveyedItem(item=item, survey=survey, work=work, patience=patience, storage_class=storage_class)
    return _ItemArchiver(surveyed, tell).run()


def _reason_to_keep_after_all(survey: Survey, rules: Rules) -> str | None:
    if survey.newest is None:
        return "nothing is left in it that counts as use"
    if survey.newest_ns > rules.limits.stale_up_to_ns:
        return f"{display(survey.newest)} was used after the plan was made"
    return None


class _ItemArchiver:
    def __init__(self, surveyed: SurveyedItem, tell: OnStored) -> None:
        self._surveyed = surveyed
        self._item = surveyed.item
        self._survey = surveyed.survey
        self._work = surveyed.work
        self._patience = surveyed.patience
        self._tell = tell
        self._signs: SignsOfLife | None = None
        self._resumed = False
        self._incomplete = IncompleteArchive()

    def run(self) -> ItemArchived | ItemAlreadyThere:
        if there := self._already_there() or self._committed_after_all():
            return there
        try:
            return self._archive_with_patience()
        except (IntegrityError, ObjectExists) as error:
            attempts.give_up(self._surveyed, error)
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

    def _already_there(self) -> ItemAlreadyThere | None:
        found = find_archive(self._surveyed)
        if isinstance(found, IncompleteArchive):
            self._incomplete = found
        elif found:
            self._tell(self._survey.files, self._survey.bytes)
            return ItemAlreadyThere(archive=found.archive)
        return None

    def _committed_after_all(self) -> ItemAlreadyThere | None:
        is_committed = attempts.commit_after_all(self._surveyed, lambda prefix: self._transfer(prefix, {}))
        return self._already_there() if is_committed else None

    def _archive(self) -> ItemArchived:
        attempt = self._attempt()
        transfer = self._transfer(attempt.prefix, attempt.stored)
        key = self._new_key()
        keeper = EntryKeeper(self._work.catalogue, key)
        writers = [
            ObjectWriter(uncounted(transfer), where, max_size=LARGEST_MANIFEST, hot=True)
            for where in (layout.copy_key(attempt.prefix), key)
        ]
        copy, manifest = writers
        header = _header(self._surveyed, attempt.prefix, key, replaces=self._incomplete.manifest)
        try:
            self._write_lines(header, writers, keeper, transfer)
            self._patience.ask(self._work.target.check_vault)
            note_number(self._work.catalogue, self._surveyed.attempted, header["number"])
            copy.finish().result()
            check_attempt(attempt.prefix, keeper.objects, self._work.store, self._patience, claims=attempt.claims)
            stored = commit(manifest, transfer)
        except BaseException:
            keeper.discard()
            raise
        finally:
            for writer in writers:
                writer.abort()
        return self._record(_archive_value(self._surveyed, header, key, stored.size), stored.sha256, keeper)

    def _attempt(self) -> OpenAttempt:
        earlier = attempts.earlier_attempt(self._surveyed)
        if earlier is None:
            return attempts.begin(self._surveyed)
        self._resumed = True
        return attempts.resume(earlier, self._surveyed)

    def _transfer(self, prefix: str, stored_before: Mapping[str, int]) -> Transfer:
        """What the item's objects are sent with."""
        self._signs = SignsOfLife(prefix, self._work.store, self._work.session.wall)
        return Transfer(
            store=self._work.store,
            pace=self._work.pace,
            patience=self._patience,
            workers=self._work.workers,
            trusted=self._work.target.verdict.trusted,
            storage_class=self._surveyed.storage_class,
            already_stored=stored_before,
            on_sent=lambda size: self._told(0, size),
        )

    def _told(self, files: int, size: int) -> None:
        self._tell(files, size)
        if self._signs:
            self._signs.give()

    def _new_key(self) -> str:
        """The key that this attempt will be committed under, journalled before anything is written there."""
        key = layout.manifest_key(
            scope=self._surveyed.scope,
            day=self._work.now,
            item=self._item.name,
            archive_id=self._survey.id,
            commit=layout.new_commit(),
        )
        note_commit(self._work.catalogue, self._surveyed.attempted, manifest=key, now=self._work.now)
        return key

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

    def _record(self, archive: Archive, manifest_sha256: str, keeper: EntryKeeper) -> ItemArchived:
        """Take the archive into the catalogue, with a receipt of how it was proven."""
        receipt = Receipt(
            manifest=archive.manifest,
            manifest_sha256=manifest_sha256,
            proven_by="checksum" if self._work.target.verdict.trusted else "read-back",
            proven_at=self._work.session.wall(),
            fingerprint=lasting_fingerprint(self._survey, self._work.ctime),
        )
        self._work.catalogue.record(
            archive,
            run=self._work.run,
            fingerprint=receipt.fingerprint,
            receipt=receipt,
            now=self._work.now,
            also=keeper.keep,
        )
        return ItemArchived(archive=archive, receipt=receipt, again=self._incomplete.problem)


def _header(surveyed: SurveyedItem, prefix: str, key: str, *, replaces: str) -> Record:
    """The first line of the manifest."""
    item, survey, work = surveyed.item, surveyed.survey, surveyed.work
    return {
        "id": survey.id,
        **name_fields("item", item.name),
        "kind": item.kind,
        "scope": surveyed.scope,
        "device": work.source.device,
        "host": socket.gethostname(),
        **name_fields("root", item.root),
        "number": _next_number(item, work),
        "commit": layout.commit_in(key),
        **({"replaces": replaces} if replaces else {}),
        "created": work.now.isoformat(),
        "clock": work.rules.clock_name,
        "days": work.rules.limits.days,
        "newest": {**name_fields("path", survey.newest or ""), "used_ns": survey.newest_ns},
        "files": survey.files,
        "folders": survey.folders,
        "bytes": survey.bytes,
        "data": prefix,
    }


def _next_number(item: Item, work: Work) -> int:
    """Higher than that of every archive of the item, known or about to be committed."""
    known = work.catalogue.archives_of(work.source, item.name)
    used = used_number(work.catalogue, work.source, item.name)
    return 1 + max((used, *(one.archive.number for one in known)))


def _archive_value(surveyed: SurveyedItem, header: Record, key: str, manifest_size: int) -> Archive:
    item, survey, work = surveyed.item, surveyed.survey, surveyed.work
    return Archive(
        id=survey.id,
        item=item.name,
        root=item.root,
        scope=surveyed.scope,
        target=work.store.url,
        manifest=key,
        files=survey.files,
        bytes=survey.bytes,
        created=work.now,
        host=header["host"],
        storage_class=surveyed.storage_class,
        manifest_size=manifest_size,
        device=header["device"],
        number=header["number"],
        replaces=header.get("replaces", ""),
        data=header["data"],
    )
