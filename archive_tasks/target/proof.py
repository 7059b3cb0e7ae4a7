"""Objects in the store, and the proof that it holds them."""

from __future__ import annotations

import functools
import hashlib
from concurrent.futures import wait

from archive_tasks.errors import IntegrityError
from archive_tasks.formats.objects import Stored
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.transfer import Transfer

_RANGE = 16 * 1024 * 1024


def prove(stored: Stored, transfer: Transfer) -> None:
    """Make sure that the store holds the object, in the thread that asks.

    Raises:
        IntegrityError: it does not, or not as it was sent.
    """
    if not (transfer.trusted and _is_confirmed(stored, transfer)):
        for expected, offset, length in _ranges(stored):
            _read_back(stored.key, expected, offset, length, transfer)


def prove_side_by_side(stored: Stored, transfer: Transfer) -> None:
    """As `prove`, a large object's parts read back by the workers. Not to be called by a worker.

    The store is asked about the object first, even where it is not trusted: a server that hashes an object when it is
    first asked for (`rclone serve s3`) does so once then, and not once for each of the workers.
    """
    if transfer.trusted:
        if _is_confirmed(stored, transfer):
            return
    else:
        _described(stored, transfer)
    reading = [
        transfer.workers.submit(_read_back, stored.key, expected, offset, length, transfer)
        for expected, offset, length in _ranges(stored)
    ]
    try:
        for future in reading:
            future.result()
    finally:
        wait([future for future in reading if not future.cancel()])


def _is_confirmed(stored: Stored, transfer: Transfer) -> bool:
    """Does the store's own checksum confirm it? False when it keeps none."""
    found = _described(stored, transfer)
    if found.checksum is not None and found.checksum != stored.checksum:
        raise IntegrityError(f"the target holds other bytes than were sent as {display(stored.key)}")
    return found.checksum is not None


def _described(stored: Stored, transfer: Transfer) -> ObjectInfo:
    """What the store says of the object, which has the right size."""
    found = transfer.patience.ask(lambda: transfer.store.describe(stored.key))
    if found is None or found.size != stored.size:
        raise IntegrityError(f"the target does not hold {display(stored.key)} as it was written")
    return found


def _ranges(stored: Stored) -> list[tuple[str, int, int]]:
    """(SHA-256, offset, length) of each range that can be checked on its own."""
    if not stored.parts:
        return [(stored.sha256, 0, stored.size)]
    size = stored.part_size
    return [(part, at * size, min(size, stored.size - at * size)) for at, part in enumerate(stored.parts)]


def _read_back(key: str, expected: str, offset: int, length: int, transfer: Transfer) -> None:
    digest = hashlib.sha256()
    for start in range(0, length, _RANGE):
        transfer.check_wanted()
        piece = (key, offset + start, min(_RANGE, length - start))
        digest = transfer.patience.ask(functools.partial(_hashed_on, digest, transfer.store, *piece))
    if digest.hexdigest() != expected:
        raise IntegrityError(f"the target returns other bytes than were sent as {display(key)}")


def _hashed_on(so_far: hashlib._Hash, store: Store, key: str, offset: int, length: int) -> hashlib._Hash:
    """The digest, advanced by one range; a copy, so that a range that fails half-way can be read again."""
    digest = so_far.copy()
    for chunk in store.read(key, offset=offset, length=length):
        digest.update(chunk)
    return digest
