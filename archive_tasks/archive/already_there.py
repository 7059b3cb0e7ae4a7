"""Is an item archived already, as it is now? Its newest archive must be whole, and have its listing and contents."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import NamedTuple

from archive_tasks.archive.context import SurveyedItem
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.disk.ctime_trial import CtimeTrial
from archive_tasks.errors import ManifestError, ObjectMissing, ObjectUnreadable
from archive_tasks.items.difference import matches_manifest
from archive_tasks.items.survey import Survey, list_entries, watched
from archive_tasks.target.already_there import newest_of, what_is_missing
from archive_tasks.target.read_object import read_object


class IncompleteArchive(NamedTuple):
    """An archive of this listing that the target does not show whole: the item is archived again and replaces it.

    Attributes:
        manifest: its key; empty where there is no such archive.
        problem: what is missing, as a part of a sentence.
    """

    manifest: str = ""
    problem: str = ""


def find_archive(surveyed: SurveyedItem) -> KnownArchive | IncompleteArchive | None:
    """The newest archive of this source, if it has this listing, is whole, and has the same contents."""
    work = surveyed.work
    known = newest_of(work.catalogue, work.source, surveyed.item.name)
    if known is None or known.archive.id != surveyed.survey.id:
        return None
    problem = what_is_missing(known, work.catalogue, work.store, work.listings, surveyed.patience)
    if problem:
        return IncompleteArchive(known.archive.manifest, problem)
    fingerprint = lasting_fingerprint(surveyed.survey, work.ctime)
    if (fingerprint and known.fingerprint == fingerprint) or _compare(known, surveyed, fingerprint):
        return known
    return None


def lasting_fingerprint(survey: Survey, ctime: CtimeTrial) -> str:
    """What a later look is compared with; empty where a write could go unnoticed, so that contents are read."""
    shows = ctime.shows_writes(survey.newest_ctime_ns, since_ns=ctime.now_ns)
    return survey.fingerprint if shows else ""


def _compare(known: KnownArchive, surveyed: SurveyedItem, fingerprint: str) -> bool:
    """Does the item have the contents of an archive with other inodes or ctimes, or one found in the target?

    The id follows from names, sizes and times, and contents can change behind these. Where they are the same, the
    item's fingerprint is remembered.
    """
    if not _has_same_contents(known, surveyed):
        return False
    receipt = dataclasses.replace(known.receipt, fingerprint=fingerprint) if known.receipt else None
    surveyed.work.catalogue.record(
        known.archive, run=known.run, fingerprint=fingerprint, receipt=receipt, now=surveyed.work.now
    )
    return True


def _has_same_contents(known: KnownArchive, surveyed: SurveyedItem) -> bool:
    work = surveyed.work
    try:
        manifest = read_object(work.store, known.archive.manifest, surveyed.patience)
        if known.receipt and hashlib.sha256(manifest).hexdigest() != known.receipt.manifest_sha256:
            return False
        listing = list_entries(surveyed.item, work.rules, work.root_fd)
        return matches_manifest(manifest, watched(listing, surveyed.survey))
    except (ManifestError, ObjectMissing, ObjectUnreadable):
        return False
