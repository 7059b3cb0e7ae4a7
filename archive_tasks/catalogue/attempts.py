"""Attempts at archives that have not finished, in the catalogue: the next run resumes them.

An attempt is remembered before its first object is written, and the key of its manifest before that is: so a run
always knows which of what is in the target came from it.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import NamedTuple

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.model import Source


class AttemptOf(NamedTuple):
    """What is attempted: the listing `archive_id` of an item of a device and root."""

    device: str
    root: str
    item: str
    archive_id: str

    @property
    def columns(self) -> tuple[object, ...]:
        return self.device, os.fsencode(self.root), os.fsencode(self.item), self.archive_id


class Attempt(NamedTuple):
    """An attempt that was interrupted.

    Attributes:
        prefix: of its objects.
        manifest: key under which it was to be committed.
    """

    prefix: str
    manifest: str


def find_attempt(catalogue: Catalogue, of: AttemptOf, *, how: str, since: datetime) -> Attempt | None:
    """An attempt that can be resumed.

    Args:
        how: what the bytes of its objects follow from; one that made them otherwise cannot be used.
        since: one that began earlier is left to `prune`, which must not meet a run that resumes it.
    """
    rows = catalogue.rows(
        "select prefix, manifest from attempts where device = ? and root = ? and item = ? and archive_id = ? "
        "and how = ? and started >= ?",
        *of.columns,
        how,
        since.isoformat(),
    )
    return Attempt(*rows[0]) if rows else None


def begin_attempt(catalogue: Catalogue, of: AttemptOf, *, prefix: str, how: str, now: datetime) -> None:
    """Remember the attempt, before its first object is written."""
    with catalogue.writing() as write:
        write("insert or replace into attempts values (?,?,?,?,?,?,?,'')", (*of.columns, prefix, how, now.isoformat()))
        journal.add(write, now, "attempt", archive=of.archive_id, prefix=prefix)


def note_claim(catalogue: Catalogue, claim: str, *, now: datetime) -> None:
    """Remember the key by which a run says that it resumes an attempt, before the key is written."""
    with catalogue.writing() as write:
        journal.add(write, now, "resuming", claim=claim)


def claims_of(catalogue: Catalogue, prefix: str) -> frozenset[str]:
    """Claims of this data folder to an attempt. Others come from a copy of it, perhaps on a cloned disk."""
    claims = [details.get("claim", "") for _, _, details in journal.notes(catalogue, "resuming")]
    return frozenset(claim for claim in claims if claim.startswith(prefix))


def note_commit(catalogue: Catalogue, of: AttemptOf, *, manifest: str, now: datetime) -> None:
    """Remember the key of the attempt's manifest, before that is written."""
    with catalogue.writing() as write:
        write(
            "update attempts set manifest = ? where device = ? and root = ? and item = ? and archive_id = ?",
            (manifest, *of.columns),
        )
        journal.add(write, now, "committing", manifest=manifest)


def note_number(catalogue: Catalogue, of: AttemptOf, number: int) -> None:
    """Remember that a number is used, before a manifest with it is written anywhere.

    A run that dies then may have committed or not: the next archive gets a higher number in any case.
    """
    catalogue.set_fact(_number_of(of.device, of.root, of.item), str(number))


def used_number(catalogue: Catalogue, source: Source, item: str) -> int:
    """The highest number that this device is known to have used for an item of the source; 0 for none."""
    return int(catalogue.fact(_number_of(source.device, source.root, item)) or 0)


def _number_of(device: str, root: str, item: str) -> str:
    return f"number {hashlib.sha256(os.fsencode(f'{device} {root} {item}')).hexdigest()}"


def forget_attempt(catalogue: Catalogue, of: AttemptOf, *, now: datetime, why: str) -> None:
    """It is no longer resumed."""
    with catalogue.writing() as write:
        write("delete from attempts where device = ? and root = ? and item = ? and archive_id = ?", of.columns)
        journal.add(write, now, "attempt given up", archive=of.archive_id, why=why)


def forget_attempts_below(catalogue: Catalogue, prefix: str, *, now: datetime) -> None:
    """Attempts whose objects are about to be removed are no longer resumed."""
    with catalogue.writing() as write:
        write("delete from attempts where prefix = ?", (prefix,))
        journal.add(write, now, "orphan removed", prefix=prefix)
