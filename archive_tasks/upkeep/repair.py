"""Writing manifests again that are missing in the target: from the copy beside the data, else from the catalogue."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_frames
from archive_tasks.errors import CatalogueDamaged, IntegrityError, ManifestError, ObjectExists, ObjectMissing
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Failure
from archive_tasks.target.commit import manifest_problem, write_copy, write_from_catalogue, write_from_copy
from archive_tasks.target.read_object import read_object
from archive_tasks.target.transfer import Transfer


@dataclass(slots=True)
class Repaired:
    """Keys of the manifests and copies that are there again, and what could not be written, and why."""

    manifests: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)


def repair(
    missing: Sequence[str],
    uncommitted: Sequence[str],
    catalogue: Catalogue,
    transfer: Transfer,
    *,
    copies: Sequence[str] = (),
) -> Repaired:
    """Write manifests and copies of them again; what is there as it should be is not changed.

    Args:
        missing: keys of manifests that this device has receipts for.
        uncommitted: attempts that hold a copy of their manifest, which is not there.
        copies: keys of manifests that are well, and whose copies beside the data are not.

    Raises:
        StoreUnusable: the target cannot be used.
    """
    repaired = Repaired()
    for key in missing:
        _try(repaired, key, _of_receipt(key, catalogue, transfer))
    done = {known.archive.data for known in catalogue.archives() if known.archive.manifest in repaired.manifests}
    for attempt in uncommitted:
        if attempt not in done:
            _try(repaired, attempt, _of_attempt(attempt, transfer))
    for key in copies:
        _try(repaired, key, (functools.partial(_copy_again, key, catalogue, transfer),))
    return repaired


def _copy_again(key: str, catalogue: Catalogue, transfer: Transfer) -> str:
    """The key of the copy. Raises IntegrityError where it is unknown here which of the two is right."""
    data = read_object(transfer.store, key, transfer.patience)
    sha256, prefix = hashlib.sha256(data).hexdigest(), str(next(read_manifest(data)).get("data"))
    known = catalogue.known(key)
    is_right = bool(known and known.receipt and known.receipt.manifest_sha256 == sha256)
    if not is_right and not manifest_problem(layout.copy_key(prefix), transfer.store, transfer.patience):
        raise IntegrityError(
            "its copy differs, and this device has no receipt that shows which of them is right: run verify "
            "--repair on the device that made it"
        )
    write_copy(prefix, iter([data]), transfer, sha256=sha256)
    return layout.copy_key(prefix)


def _try(repaired: Repaired, what: str, ways: Sequence[Callable[[], str]]) -> None:
    """Take the first way that works; what the last one says is the reason why none does."""
    reason = "this device has no receipt for it"
    for way in ways:
        try:
            repaired.manifests.append(way())
        except (CatalogueDamaged, IntegrityError, ManifestError, ObjectExists, ObjectMissing) as error:
            reason = str(error)
        else:
            return
    repaired.failed.append(Failure(what, reason))


def _of_receipt(key: str, catalogue: Catalogue, transfer: Transfer) -> Sequence[Callable[[], str]]:
    known = catalogue.known(key)
    if known is None or known.receipt is None:
        return ()
    archive, sha256 = known.archive, known.receipt.manifest_sha256

    def from_catalogue() -> str:
        frames = functools.partial(kept_frames, catalogue, key)
        prefix = archive.data if layout.commit_in(key) else ""
        return write_from_catalogue(key, prefix, frames, transfer, sha256=sha256).key

    if not archive.data:
        return (from_catalogue,)
    return (lambda: write_from_copy(archive.data, transfer, sha256=sha256).key, from_catalogue)


def _of_attempt(attempt: str, transfer: Transfer) -> Sequence[Callable[[], str]]:
    return (lambda: write_from_copy(attempt, transfer).key,)
