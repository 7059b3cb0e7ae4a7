"""Writing one object as its bytes come: in one request while it is small, else in parts sent in parallel."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from archive_tasks.errors import IntegrityError, StoreBusy
from archive_tasks.formats.objects import Stored
from archive_tasks.names import display
from archive_tasks.store import Upload
from archive_tasks.target.proof import prove, prove_side_by_side
from archive_tasks.target.transfer import Transfer

T = TypeVar("T")
_STARTS = 3


class ObjectWriter:
    """One object. Used by one thread, which must not be a worker; `abort` it when it is not finished.

    What an earlier attempt left under the key is not sent again but compared: the bytes are hashed, and then the
    store must hold just these.

    Args:
        max_size: bytes that the object will have at most.
        hot: True for what must be read at once, whatever class the item's other objects have.
    """

    def __init__(self, transfer: Transfer, key: str, *, max_size: int, hot: bool = False) -> None:
        self.key = key
        self.size = 0
        self._transfer = transfer
        self._class = "" if hot else transfer.storage_class
        self._max_size = max_size
        self._already_stored = transfer.already_stored.get(key)
        self._whole = hashlib.sha256()
        self._waiting: deque[bytes] = deque()
        self._filled = 0
        self._part_size = transfer.store.part_size(max_size)
        self._upload: Upload | None = None
        self._parts: list[str] = []
        self._sent: deque[Future[str]] = deque()
        self._landed: list[int] = []

    def write(self, data: bytes) -> None:
        """Append bytes. One part is always held back: the last may be smaller, and few bytes need no parts."""
        self._whole.update(data)
        self.size += len(data)
        self._waiting.append(data)
        self._filled += len(data)
        while self._filled > self._part_size:
            self._send_part(self._taken(self._part_size))

    def finish(self) -> Future[Stored]:
        """Have the rest sent, and the object completed and proven. One that was sent in parts is, when this returns."""
        if self.size <= min(self._part_size, self._transfer.store.largest_put) and not self._parts and not self._sent:
            return self._finish_whole(self._taken(self._filled))
        self._send_part(self._taken(self._filled))
        self._parts += [future.result() for future in self._sent]
        self._sent.clear()
        stored = self._stored(tuple(self._parts))
        if self._already_stored is not None:
            self._compare(stored)
        else:
            upload = self._begun()
            self._transfer.patience.ask(lambda: upload.complete(self.size))
            self._upload = None
        prove_side_by_side(stored, self._transfer)
        return _settled(stored)

    def abort(self) -> None:
        """Forget what was sent; no harm when the object is finished."""
        wait([future for future in self._sent if not future.cancel()])
        self._sent.clear()
        if self._upload is not None:
            self._upload.abort()
            self._upload = None
            # taken back, because what an upload that begins again sends once more would be counted twice
            self._transfer.on_sent(-sum(self._landed))

    def _finish_whole(self, data: bytes) -> Future[Stored]:
        self._transfer.pace.take(len(data))
        return self._transfer.workers.submit(self._put, data, self._stored())

    def _put(self, data: bytes, stored: Stored) -> Stored:
        transfer = self._transfer
        try:
            transfer.check_wanted()
            if self._already_stored != stored.size:
                digest = bytes.fromhex(stored.sha256)
                transfer.patience.ask(
                    lambda: transfer.store.put(self.key, data, sha256=digest, storage_class=self._class),
                    sends=len(data),
                )
            prove(stored, transfer)
        finally:
            transfer.pace.give_back(len(data))
        transfer.on_sent(stored.size)
        return stored

    def _stored(self, parts: tuple[str, ...] = ()) -> Stored:
        size = self._part_size if parts else 0
        return Stored(key=self.key, size=self.size, sha256=self._whole.hexdigest(), part_size=size, parts=parts)

    def _compare(self, stored: Stored) -> None:
        if self._already_stored != stored.size:
            raise IntegrityError(f"an earlier attempt left different bytes as {display(self.key)}")
        self._transfer.on_sent(stored.size)

    def _send_part(self, data: bytes) -> None:
        """Hand a part over; memory for it is taken here, so that no worker waits for memory."""
        self._transfer.check_wanted()
        if self._already_stored is not None:
            self._parts.append(hashlib.sha256(data).hexdigest())
            return
        upload = self._begun()
        number = len(self._parts) + len(self._sent) + 1
        size = len(data)
        self._transfer.pace.take(size)
        try:
            future = self._transfer.workers.submit(self._put_part, upload, number, data)
        except BaseException:
            self._transfer.pace.give_back(size)
            raise
        future.add_done_callback(lambda _: self._transfer.pace.give_back(size))  # must not hold the part itself
        self._sent.append(future)
        while self._sent and self._sent[0].done():
            self._parts.append(self._sent.popleft().result())

    def _begun(self) -> Upload:
        if self._upload is None:
            store, max_size = self._transfer.store, self._max_size
            self._upload = self._transfer.patience.ask(
                lambda: store.upload(self.key, max_size, storage_class=self._class)
            )
        return self._upload

    def _put_part(self, upload: Upload, number: int, data: bytes) -> str:
        self._transfer.check_wanted()
        digest = hashlib.sha256(data).digest()
        self._transfer.patience.ask(lambda: upload.put_part(number, data, sha256=digest), sends=len(data))
        self._landed.append(len(data))
        self._transfer.on_sent(len(data))
        return digest.hex()

    def _taken(self, size: int) -> bytes:
        """The next bytes that wait. What is just as long as wanted is not copied."""
        taken: list[bytes] = []
        while size:
            piece = self._waiting.popleft()
            if len(piece) > size:
                self._waiting.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
            self._filled -= len(piece)
        return taken[0] if len(taken) == 1 else b"".join(taken)


def begun_anew(begin: Callable[[], ObjectWriter], write: Callable[[ObjectWriter], T]) -> T:
    """Write an object; from the beginning again where the store declares an upload in parts void.

    Raises:
        StoreBusy: it did so three times.
    """
    for start in range(1, _STARTS + 1):
        writer = begin()
        try:
            return write(writer)
        except StoreBusy as error:
            if not error.start_over or start == _STARTS:
                raise
        finally:
            writer.abort()
    raise AssertionError("unreachable")


def _settled(stored: Stored) -> Future[Stored]:
    future: Future[Stored] = Future()
    future.set_result(stored)
    return future
