"""Putting the files of one item into the store, and proving each of them there.

The item's own thread lists, opens and, for large files, reads; the run's shared workers send. Memory for a
file's contents is taken by the item's thread before the work is handed over, so a worker never waits for
memory that work queued behind it holds.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

from archive_tasks.checksums import composite_checksum, whole_checksum
from archive_tasks.errors import IntegrityError, Interrupted, StoreBusy
from archive_tasks.names import display
from archive_tasks.pace import Pace, Patience
from archive_tasks.source import SourceFile
from archive_tasks.store import Store, Upload

_STARTS = 3
"""How often a file sent in parts is begun anew when the store declares the upload void."""
_READ_BACK_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file's object, proven in the store. `sha256` and `parts` are hex digests; `parts` is empty when it was
    written whole.
    """

    key: str
    size: int
    sha256: str
    part_size: int = 0
    parts: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """What a store that keeps checksums must say of it."""
        digests = [bytes.fromhex(part) for part in self.parts]
        return composite_checksum(digests) if digests else whole_checksum(bytes.fromhex(self.sha256))


class Sender:
    """Sends and proves the files of one item.

    Args:
        trusted: True when the store's own checksums are proof; otherwise what was written is read back.
        there: sizes of objects that an earlier attempt left, by key; they are proven and not sent again.
        on_sent: told of each number of bytes that is in the store.
    """

    def __init__(
        self,
        store: Store,
        *,
        pace: Pace,
        patience: Patience,
        workers: Executor,
        trusted: bool,
        there: Mapping[str, int],
        on_sent: Callable[[int], None],
    ) -> None:
        self._store = store
        self._pace = pace
        self._patience = patience
        self._workers = workers
        self._trusted = trusted
        self._there = there
        self._on_sent = on_sent
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Have what is still queued for this item end at once."""
        self._given_up.set()

    def send(self, source: SourceFile, key: str) -> Future[Stored]:
        """Send one file, which is closed afterwards. A large one is in the store when this returns."""
        if source.size > self._store.largest_put:
            with source:
                return _settled(self._send_in_parts(source, key))
        self._pace.take(source.size)
        return self._workers.submit(self._send_whole, source, key)

    def _send_whole(self, source: SourceFile, key: str) -> Stored:
        try:
            with source:
                self._check_wanted()
                data = source.piece(0, source.size)
                source.check()
                digest = hashlib.sha256(data).digest()
                stored = Stored(key=key, size=len(data), sha256=digest.hex())
                if self._there.get(key) != stored.size:
                    self._patience.ask(lambda: self._put(key, data, digest), sending=len(data))
                self._prove(stored)
        finally:
            self._pace.give_back(source.size)
        self._on_sent(stored.size)
        return stored

    def _put(self, key: str, data: bytes, sha256: bytes) -> None:
        self._store.put(key, data, sha256=sha256, storage_class=self._store.storage_class)

    def _send_in_parts(self, source: SourceFile, key: str) -> Stored:
        if self._there.get(key) == source.size:
            return self._prove_earlier(source, key)
        for start in range(1, _STARTS + 1):
            try:
                return self._upload(source, key)
            except StoreBusy as error:
                if not error.start_over or start == _STARTS:
                    raise
        raise AssertionError("unreachable")

    def _upload(self, source: SourceFile, key: str) -> Stored:
        upload = self._patience.ask(
            lambda: self._store.upload(key, source.size, storage_class=self._store.storage_class)
        )
        landed: list[int] = []
        try:
            whole, parts = self._send_parts(source, upload, landed)
            source.check()
            self._patience.ask(lambda: upload.complete(source.size))
        except BaseException:
            upload.abort()
            self._on_sent(-sum(landed))
            raise
        stored = Stored(
            key=key,
            size=source.size,
            sha256=whole,
            part_size=upload.part_size,
            parts=tuple(digest.hex() for digest in parts),
        )
        self._prove(stored)
        return stored

    def _send_parts(self, source: SourceFile, upload: Upload, landed: list[int]) -> tuple[str, list[bytes]]:
        """Read the file once, in order; the workers send. Returns its SHA-256 (hex) and the parts' (raw)."""
        whole, digests = hashlib.sha256(), []
        sent: deque[Future[bytes]] = deque()
        try:
            for number, offset in enumerate(range(0, source.size, upload.part_size), start=1):
                self._check_wanted()
                size = min(upload.part_size, source.size - offset)
                self._pace.take(size)
                sent.append(self._hand_over(source, upload, whole, number, offset, size, landed))
                while sent and sent[0].done():
                    digests.append(sent.popleft().result())
            return whole.hexdigest(), [*digests, *(one.result() for one in sent)]
        finally:
            wait([one for one in sent if not one.cancel()])

    def _hand_over(
        self,
        source: SourceFile,
        upload: Upload,
        whole: hashlib._Hash,
        number: int,
        offset: int,
        size: int,
        landed: list[int],
    ) -> Future[bytes]:
        try:
            data = source.piece(offset, size)
            whole.update(data)
            future = self._workers.submit(self._send_part, upload, number, data, landed)
        except BaseException:
            self._pace.give_back(size)
            raise
        future.add_done_callback(lambda _: self._pace.give_back(size))
        return future

    def _send_part(self, upload: Upload, number: int, data: bytes, landed: list[int]) -> bytes:
        self._check_wanted()
        digest = hashlib.sha256(data).digest()
        self._patience.ask(lambda: upload.put_part(number, data, sha256=digest), sending=len(data))
        landed.append(len(data))
        self._on_sent(len(data))
        return digest

    def _prove_earlier(self, source: SourceFile, key: str) -> Stored:
        """Prove what an earlier attempt has sent in parts; they were cut as they would be cut now."""
        part_size = self._store.part_size(source.size)
        whole, parts = hashlib.sha256(), []
        for offset in range(0, source.size, part_size):
            data = source.piece(offset, min(part_size, source.size - offset))
            whole.update(data)
            parts.append(hashlib.sha256(data).hexdigest())
        source.check()
        stored = Stored(key=key, size=source.size, sha256=whole.hexdigest(), part_size=part_size, parts=tuple(parts))
        self._prove(stored)
        self._on_sent(stored.size)
        return stored

    def _prove(self, stored: Stored) -> None:
        """Raises IntegrityError unless the store provably holds the object."""
        if not self._trusted:
            self._read_back(stored)
            return
        found = self._patience.ask(lambda: self._store.describe(stored.key))
        if found is None or found.size != stored.size:
            raise IntegrityError(f"the target does not hold {display(stored.key)} as it was written")
        if found.checksum is None:
            self._read_back(stored)
        elif found.checksum != stored.checksum:
            raise IntegrityError(f"the target holds other bytes than were sent as {display(stored.key)}")

    def _read_back(self, stored: Stored) -> None:
        digest = hashlib.sha256()
        for offset in range(0, stored.size, _READ_BACK_BYTES):
            self._check_wanted()
            digest = self._patience.ask(functools.partial(self._hashed_on, digest, stored, offset))
        if digest.hexdigest() != stored.sha256:
            raise IntegrityError(f"the target returns other bytes than were sent as {display(stored.key)}")

    def _hashed_on(self, so_far: hashlib._Hash, stored: Stored, offset: int) -> hashlib._Hash:
        """The digest, moved on by one range; a copy, so that a range that fails half-way can be read again."""
        digest = so_far.copy()
        length = min(_READ_BACK_BYTES, stored.size - offset)
        for chunk in self._store.read(stored.key, offset=offset, length=length):
            digest.update(chunk)
        return digest

    def _check_wanted(self) -> None:
        if self._given_up.is_set() or self._pace.stopped:
            raise Interrupted("stopped")


def _settled(stored: Stored) -> Future[Stored]:
    future: Future[Stored] = Future()
    future.set_result(stored)
    return future
