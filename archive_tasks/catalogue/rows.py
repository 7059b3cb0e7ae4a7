"""The catalogue's rows as values, and the proofs by which a damaged one is detected.

A database file has no checksums of its own: of single flipped bits in it, SQLite notices those that break its
structure, and none in what was written. A row that could mislead a restore therefore has a digest of itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from archive_tasks.model import Archive, Receipt

ARCHIVE_COLUMNS = (
    *("manifest", "id", "run", "item", "root", "scope", "files", "bytes", "created", "seen"),
    *("host", "storage_class", "manifest_size", "device", "number", "replaces", "data"),
)
RECEIPT_COLUMNS = ("manifest_sha256", "proven_by", "proven_at")

Write = Callable[..., Any]
"""(statement, values) within a transaction."""


class Run(NamedTuple):
    """One archive run; `ended` is None when it was interrupted."""

    number: int
    started: datetime
    ended: datetime | None
    root: str


class KnownArchive(NamedTuple):
    """An archive in the catalogue, with the run that made it and what is proven about it, if anything is.

    `seen` is the digest of what the item's entries were when they were last compared with it.
    """

    archive: Archive
    run: int | None
    fingerprint: str
    receipt: Receipt | None


def archive_row(archive: Archive, *, run: int | None, fingerprint: str) -> tuple[Any, ...]:
    """In the order of ARCHIVE_COLUMNS."""
    return (
        archive.manifest,
        archive.id,
        run,
        os.fsencode(archive.item),
        os.fsencode(archive.root),
        archive.scope,
        archive.files,
        archive.bytes,
        archive.created.isoformat(),
        fingerprint,
        archive.host,
        archive.storage_class,
        archive.manifest_size,
        archive.device,
        archive.number,
        archive.replaces,
        archive.data,
    )


def receipt_row(receipt: Receipt | None) -> tuple[Any, ...]:
    """In the order of RECEIPT_COLUMNS."""
    if receipt is None:
        return (None, None, None)
    return (receipt.manifest_sha256, receipt.proven_by, receipt.proven_at.isoformat())


def proof_of(*values: Any) -> bytes:
    """A digest of numbers, texts and bytes that no other values share."""
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()


def proof_of_block(manifest: str, number: int, lines: bytes) -> bytes:
    """As `proof_of`, for what may be a megabyte."""
    return hashlib.blake2b(f"{manifest} {number} ".encode() + lines, digest_size=16).digest()


def known_from(row: Sequence[Any], target: str, device: str) -> KnownArchive:
    """An archive from its columns, its receipt's, and its proof.

    Args:
        device: the owner of archives of format 1 or 2 that this catalogue has a run or a receipt for.

    Raises:
        ValueError: they are not what was written.
    """
    *values, proof = row
    if proof != proof_of(*values):
        raise ValueError("what it says of an archive is not what was written")
    manifest, archive_id, run, item, root, scope, files, size, created, fingerprint, host, storage_class, *more = values
    manifest_size, named, number, replaces, data, sha256, proven_by, proven_at = more
    archive = Archive(
        id=archive_id,
        item=os.fsdecode(item),
        root=os.fsdecode(root),
        scope=scope,
        target=target,
        manifest=manifest,
        files=files,
        bytes=size,
        created=datetime.fromisoformat(created),
        host=host,
        storage_class=storage_class,
        manifest_size=manifest_size,
        device=named or (device if sha256 or run is not None else ""),
        number=number,
        replaces=replaces,
        data=data,
    )
    receipt = _receipt(manifest, sha256, proven_by, proven_at, fingerprint) if sha256 else None
    return KnownArchive(archive, run, fingerprint, receipt)


def _receipt(manifest: str, sha256: str, proven_by: Any, proven_at: str, fingerprint: str) -> Receipt:
    return Receipt(
        manifest=manifest,
        manifest_sha256=sha256,
        proven_by=proven_by,
        proven_at=datetime.fromisoformat(proven_at),
        fingerprint=fingerprint,
    )


def run_from(row: Sequence[Any]) -> Run:
    """Raises ValueError, TypeError for a damaged row."""
    number, started, ended, root = row
    end = datetime.fromisoformat(ended) if ended else None
    return Run(number, datetime.fromisoformat(started), end, os.fsdecode(root))
