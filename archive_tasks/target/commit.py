"""Writing a manifest again from the copy beside its data: where a run died before writing it, or it was lost."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from archive_tasks.catalogue import object_sizes
from archive_tasks.errors import IntegrityError, ManifestError, ObjectExists, ObjectMissing, ObjectUnreadable
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import Record, name_in, read_manifest
from archive_tasks.formats.objects import Stored
from archive_tasks.names import display
from archive_tasks.store import Store
from archive_tasks.target.already_there import first_missing, listed_below
from archive_tasks.target.last_look import check_gaps, check_not_pruned, put_sign
from archive_tasks.target.object_writer import ObjectWriter
from archive_tasks.target.patience import Patience
from archive_tasks.target.read_object import read_object
from archive_tasks.target.transfer import Transfer, uncounted

# What every manifest is announced as, because its parts get their size before its own is known. It may end smaller.
LARGEST_MANIFEST = 64 * 1024**3


def write_from_copy(prefix: str, transfer: Transfer, *, sha256: str = "") -> Stored:
    """Commit an attempt whose copy of the manifest was written.

    Args:
        prefix: of the attempt.
        sha256: of the manifest, in hex, where it is known; empty believes the copy.

    Raises:
        ManifestError: the copy is damaged, or another attempt's.
        IntegrityError: it is not the known one, or an object that it refers to is not there.
        ObjectMissing: the copy is missing.
    """
    copy = layout.copy_key(prefix)
    found, key, sizes = _read(copy, prefix, transfer)
    if sha256 and found != sha256:
        raise IntegrityError(f"{display(copy)} is not the manifest that was written")
    _check_not_pruned(prefix, transfer)
    listed = listed_below(transfer.store, prefix, transfer.patience)
    unlisted = [name for name, size in sizes.items() if name not in listed or listed[name].size != size]
    if missing := first_missing(sizes, unlisted, transfer.store, transfer.patience):
        raise IntegrityError(f"{display(missing)}, which it refers to, is not in the target")
    if not sha256:  # what was never committed may have met an older prune, which leaves no mark
        check_gaps(info.modified for info in listed.values())
    _make_way(key, found, transfer, is_known=bool(sha256))
    return write_manifest(key, iter([_whole(copy, transfer)]), transfer, sha256=found)


def write_from_catalogue(
    key: str, prefix: str, frames: Callable[[], Iterator[bytes]], transfer: Transfer, *, sha256: str
) -> Stored:
    """Write a manifest again as this device keeps it; its copy before it, as a commit does, so that `prune` sees one.

    Args:
        prefix: of its attempt; empty for formats 1 and 2, which had no copies. There a sign of life is written instead.
        frames: what the device keeps of it.
        sha256: of its bytes, in hex.

    Raises:
        IntegrityError: the bytes differ, or `prune` has marked the attempt.
        ObjectExists: another manifest is there.
    """
    attempts = [prefix] if prefix else sorted(_attempts_in(b"".join(frames())))
    if prefix:
        write_copy(prefix, frames(), transfer, sha256=sha256)
    for attempt in attempts:
        if not prefix:
            _give_a_sign(attempt, transfer)
        _check_not_pruned(attempt, transfer)
    _make_way(key, sha256, transfer, is_known=True)
    return write_manifest(key, frames(), transfer, sha256=sha256)


def write_copy(prefix: str, frames: Iterator[bytes], transfer: Transfer, *, sha256: str) -> None:
    """Write the copy of a manifest beside its data, unless it is there as it should be. Raises IntegrityError."""
    copy = layout.copy_key(prefix)
    try:
        if hashlib.sha256(_whole(copy, transfer)).hexdigest() == sha256:
            return
        is_there = True
    except ObjectUnreadable:
        is_there = True
    except ObjectMissing:
        is_there = False
    if is_there:
        transfer.patience.ask(lambda: transfer.store.delete(copy))
    write_manifest(copy, frames, transfer, sha256=sha256)


def manifest_problem(key: str, store: Store, patience: Patience) -> str:
    """What is wrong with the manifest, or the copy of one, under this key; empty for one that can be read whole."""
    try:
        for _ in read_manifest(read_object(store, key, patience)):
            pass
    except (ManifestError, ObjectMissing, ObjectUnreadable) as error:
        return str(error)
    return ""


def _check_not_pruned(prefix: str, transfer: Transfer) -> None:
    mark = display(layout.pruned_key(prefix))
    check_not_pruned(
        prefix,
        transfer.store,
        transfer.patience,
        what_next=f"wait for prune to end, on every device; if it was interrupted, remove {mark} and try again",
    )


def _attempts_in(manifest: bytes) -> set[str]:
    sizes: dict[str, int] = {}
    for record in read_manifest(manifest):
        object_sizes.note(record, sizes)
    return {layout.attempt_of(key) for key in sizes}


def _give_a_sign(prefix: str, transfer: Transfer) -> None:
    key = layout.alive_key(prefix, int(time.time()))
    transfer.patience.ask(lambda: put_sign(key, transfer.store))


def _make_way(key: str, sha256: str, transfer: Transfer, *, is_known: bool) -> None:
    """Remove what is under the manifest's key, where the copy is proven to be right and this is not.

    A kill in between leaves the copy, from which the manifest is written again.

    Raises:
        ObjectExists: a manifest is there that can be read, and it is unknown which of the two is right.
    """
    store, patience = transfer.store, transfer.patience
    try:
        there = read_object(store, key, patience)
        if hashlib.sha256(there).hexdigest() == sha256:
            return
        if not is_known and list(read_manifest(there)):
            raise ObjectExists(f"{display(key)} exists and differs from its copy")
    except ObjectMissing:
        return
    except ObjectUnreadable as error:
        if not is_known:
            raise ObjectExists(f"{error}; what it holds is not known here, so it is left alone") from error
    except ManifestError:
        pass
    patience.ask(lambda: store.delete(key))


def write_manifest(key: str, data: Iterator[bytes], transfer: Transfer, *, sha256: str) -> Stored:
    """Write a manifest and read it back.

    Args:
        sha256: of its bytes, in hex.

    Raises:
        IntegrityError: the bytes differ, or the target returns different ones.
        ObjectExists: another one is there.
    """
    writer = ObjectWriter(uncounted(transfer), key, max_size=LARGEST_MANIFEST, hot=True)
    digest = hashlib.sha256()
    try:
        for piece in data:
            digest.update(piece)
            writer.write(piece)
        if digest.hexdigest() != sha256:
            raise IntegrityError(f"{display(key)} cannot be written again: it reads differently each time")
        return commit(writer, transfer)
    finally:
        writer.abort()


def commit(manifest: ObjectWriter, transfer: Transfer) -> Stored:
    """Have the manifest written, and read it back whatever the target's checksums say. Raises IntegrityError."""
    stored = manifest.finish().result()  # where checksums prove nothing, this has read it back
    if transfer.trusted:
        returned = transfer.patience.ask(lambda: _sha256(transfer.store.read(stored.key)))
        if returned != stored.sha256:
            raise IntegrityError(f"the target returns another manifest than the one written as {stored.key}")
    return stored


def _read(copy: str, prefix: str, transfer: Transfer) -> tuple[str, str, dict[str, int]]:
    """SHA-256 of a copy, the key of its manifest, and the objects that it refers to."""
    data = _whole(copy, transfer)
    sizes: dict[str, int] = {}
    records = read_manifest(data)
    header = next(records)
    for record in records:
        object_sizes.note(record, sizes)
    if header.get("data") != prefix or any(layout.attempt_of(key) != prefix for key in sizes):
        raise ManifestError(f"{display(copy)} belongs to another attempt")
    return hashlib.sha256(data).hexdigest(), key_of(header), sizes


def _whole(copy: str, transfer: Transfer) -> bytes:
    return read_object(transfer.store, copy, transfer.patience)


def key_of(header: Record) -> str:
    """The key that a manifest of this header has. Raises ManifestError for one that makes no sense."""
    try:
        key = layout.manifest_key(
            scope=str(header["scope"]),
            day=datetime.fromisoformat(header["created"]),
            item=name_in(header, "item"),
            archive_id=header["id"],
            commit=header["commit"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestError("the manifest is damaged: its first line is incomplete") from error
    name = layout.manifest_name(key)
    if name is None or not name.commit or (name.commit, name.id) != (header["commit"], header["id"]):
        raise ManifestError("the manifest is damaged: its first line gives no valid key")
    return key


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
