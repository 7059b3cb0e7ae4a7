"""Putting one file of an item into the store as an object of its own."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future

from archive_tasks.disk.read_file import SourceFile
from archive_tasks.formats.objects import Stored
from archive_tasks.target.object_writer import ObjectWriter, begun_anew
from archive_tasks.target.proof import prove
from archive_tasks.target.transfer import Sending


def send_file(source: SourceFile, key: str, sending: Sending) -> Future[Stored]:
    """Send a file, which is closed afterwards. A large one is in the store when this returns.

    The item's own thread opens and, for a large file, reads; the run's workers send. Memory for a file's contents
    is taken by the item's thread before the work is handed over, so a worker never waits for memory that work
    queued behind it holds.

    Raises:
        ItemChanged: the file changed while it was read.
        StoreError: the target failed.
    """
    if source.size > sending.store.largest_put:
        with source:
            return _send_in_parts(source, key, sending)
    sending.pace.take(source.size)
    return sending.workers.submit(_send_whole, source, key, sending)


def _send_whole(source: SourceFile, key: str, sending: Sending) -> Stored:
    store = sending.store
    try:
        with source:
            sending.check_wanted()
            data = source.piece(0, source.size)
            source.check()
            digest = hashlib.sha256(data).digest()
            stored = Stored(key=key, size=len(data), sha256=digest.hex())
            if sending.there.get(key) != stored.size:
                sending.patience.ask(
                    lambda: store.put(key, data, sha256=digest, storage_class=sending.storage_class), sending=len(data)
                )
            prove(stored, sending)
    finally:
        sending.pace.give_back(source.size)
    sending.on_sent(stored.size)
    return stored


def _send_in_parts(source: SourceFile, key: str, sending: Sending) -> Future[Stored]:
    def write(writer: ObjectWriter) -> Future[Stored]:
        _read_into(writer, source, sending.store.part_size(source.size))
        return writer.finish()

    return begun_anew(lambda: ObjectWriter(sending, key, most=source.size), write)


def _read_into(writer: ObjectWriter, source: SourceFile, part_size: int) -> None:
    """Read the file once, in order. It is looked at again before the object is completed."""
    for offset in range(0, source.size, part_size):
        writer.write(source.piece(offset, min(part_size, source.size - offset)))
    source.check()
