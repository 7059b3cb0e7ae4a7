"""An item's attempts: begin one, resume one that was interrupted, finish one that was interrupted at its commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import NamedTuple

from archive_tasks.archive.context import SurveyedItem
from archive_tasks.archive.packer import BATCH_BYTES, BATCH_MEMBERS
from archive_tasks.catalogue.attempts import (
    Attempt,
    begin_attempt,
    claims_of,
    find_attempt,
    forget_attempt,
    note_claim,
)
from archive_tasks.errors import IntegrityError, ManifestError, ObjectExists, ObjectMissing
from archive_tasks.formats import frames as pack
from archive_tasks.formats import layout
from archive_tasks.model import Failure
from archive_tasks.settings import Settings
from archive_tasks.target.already_there import listed_below
from archive_tasks.target.commit import write_from_copy
from archive_tasks.target.last_look import check_claims, check_not_pruned, put_sign
from archive_tasks.target.refresh import Fetcher
from archive_tasks.target.transfer import Transfer

RESUMED_FOR = timedelta(days=7)
"""How long an interrupted attempt can be resumed; `prune` leaves its objects alone for longer."""


class OpenAttempt(NamedTuple):
    """An attempt that objects are written into.

    Attributes:
        prefix: where the objects go.
        stored: sizes of those that an interrupted attempt left there, by key.
        claims: of this data folder to the attempt.
    """

    prefix: str
    stored: Mapping[str, int]
    claims: frozenset[str]


def earlier_attempt(surveyed: SurveyedItem) -> Attempt | None:
    """The attempt at this item, as it is now, that was cut off and can be resumed."""
    work = surveyed.work
    how = how_objects_are_made(work.session.settings)
    return find_attempt(work.catalogue, surveyed.attempted, how=how, since=work.now - RESUMED_FOR)


def how_objects_are_made(settings: Settings) -> str:
    """What the bytes of an attempt's objects follow from, beside the item."""
    packs = f"{pack.HOW} batches {BATCH_BYTES} {BATCH_MEMBERS} of {settings.pack_size}"
    return f"below {settings.pack_below}: {packs}; parts {settings.part_size}"


def begin(surveyed: SurveyedItem) -> OpenAttempt:
    """A new attempt, remembered before anything is written into it."""
    item, work = surveyed.item, surveyed.work
    prefix = layout.attempt_prefix(scope=surveyed.scope, day=work.now, item=item.name, archive_id=surveyed.survey.id)
    how = how_objects_are_made(work.session.settings)
    begin_attempt(work.catalogue, surveyed.attempted, prefix=prefix, how=how, now=work.now)
    return OpenAttempt(prefix, {}, frozenset())


def resume(earlier: Attempt, surveyed: SurveyedItem) -> OpenAttempt:
    """Claim an attempt that nobody else resumes, and see what is in it. Raises IntegrityError."""
    work, prefix = surveyed.work, earlier.prefix
    claim = layout.claim_key(prefix)
    note_claim(work.catalogue, claim, now=work.now)
    claims = claims_of(work.catalogue, prefix)
    surveyed.patience.ask(lambda: put_sign(claim, work.store))
    listed = listed_below(work.store, prefix, surveyed.patience)
    check_not_pruned(prefix, work.store, surveyed.patience)
    check_claims(listed, claims)
    if layout.copy_key(prefix) in listed:
        raise IntegrityError("its interrupted run was committed by another with a copy of this data folder")
    return OpenAttempt(prefix, {key: info.size for key, info in listed.items()}, claims)


def give_up(surveyed: SurveyedItem, error: Exception) -> None:
    """What was attempted is resumed no more."""
    forget_attempt(surveyed.work.catalogue, surveyed.attempted, now=surveyed.work.now, why=str(error))


def commit_after_all(surveyed: SurveyedItem, transfer_into: Callable[[str], Transfer]) -> bool:
    """Finish an attempt interrupted at its commit: its copy of the manifest says what it holds.

    Args:
        transfer_into: what objects are sent with into the attempt of a prefix.

    Returns:
        Whether there was one, and it is committed now.
    """
    attempt = earlier_attempt(surveyed)
    if attempt is None or not attempt.manifest:
        return False
    copy = layout.copy_key(attempt.prefix)
    if surveyed.patience.ask(lambda: surveyed.work.store.describe(copy)) is None:
        return False
    try:
        _finish_commit(attempt, surveyed, transfer_into)
    except (IntegrityError, ManifestError, ObjectExists, ObjectMissing) as error:
        give_up(surveyed, error)
        return False
    return True


def _finish_commit(attempt: Attempt, surveyed: SurveyedItem, transfer_into: Callable[[str], Transfer]) -> None:
    """Write the manifest where it is missing, and take it into the catalogue."""
    work, patience = surveyed.work, surveyed.patience
    if patience.ask(lambda: work.store.describe(attempt.manifest)) is None:
        write_from_copy(attempt.prefix, transfer_into(attempt.prefix))
    info = patience.ask(lambda: work.store.describe(attempt.manifest))
    if info is None:
        raise IntegrityError(f"{attempt.manifest} differs from what its copy says")
    answer = Fetcher(work.store, work.catalogue, patience, work.now).fetch(info)
    if isinstance(answer, Failure):
        raise IntegrityError(answer.reason)
