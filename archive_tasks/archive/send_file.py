"""Putting one file of an item into the store as an object of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future

from archive_tasks.disk.read_file import SourceFile
from archive_tasks.formats.objects import Stored
from archive_tasks.target.object_writer import ObjectWriter, begun_anew
from archive_tasks.target.proof import prove
from archive_tasks.target.transfer import Transfer


def send_file(source: SourceFile, key: str, transfer: Transfer) -> Future[Stored]:
    """Send a file, which is closed afterwards. A large one is in the store when this returns.

    The item's own thread opens and, for a large file, reads; the run's workers send. Memory for a file's contents
    is taken by the item's thread before the work is handed over, so a worker never waits for memory that work
    queued behind it holds.

    Raises:
        ItemChanged: the file changed while it was read.
        StoreError: the target failed.
    """
    if source.size > transfer.store.largest_put:
        with source:
            return _send_in_parts(source, key, transfer)
    transfer.pace.take(source.size)
    return transfer.workers.submit(_send_whole, source, key, transfer)


def _send_whole(source: SourceFile, key: str, transfer: Transfer) -> Stored:
    store = transfer.store
    try:
        with source:
            transfer.check_wanted()
            data = source.piece(0, source.size)
            source.check()
            digest = hashlib.sha256(data).digest()
            stored = Stored(key=key, size=len(data), sha256=digest.hex())
            if transfer.already_stored.get(key) != stored.size:
                transfer.patience.ask(
                    lambda: store.put(key, data, sha256=digest, storage_class=transfer.storage_class),
                    sends=len(data),
                )
            prove(stored, transfer)
    finally:
        transfer.pace.give_back(source.size)
    transfer.on_sent(stored.size)
    return stored


def _send_in_parts(source: SourceFile, key: str, transfer: Transfer) -> Future[Stored]:
    def write(writer: ObjectWriter) -> Future[Stored]:
        _read_into(writer, source, transfer.store.part_size(source.size))
        return writer.finish()

    return begun_anew(lambda: ObjectWriter(transfer, key, max_size=source.size), write)


def _read_into(writer: ObjectWriter, source: SourceFile, part_size: int) -> None:
    """Read the file once, in order. It is looked at again before the object is completed."""
    for offset in range(0, source.size, part_size):
        writer.write(source.piece(offset, min(part_size, source.size - offset)))
    source.check()
