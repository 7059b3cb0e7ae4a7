"""Packs read once: their entries for whoever asks, and their own digests by the way."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future

from archive_tasks.formats.objects import ArchivedObject
from archive_tasks.target.ranges import Fetch

_RANGE = 16 * 1024 * 1024
_READ_AHEAD = 4


class PacksInOrder:
    """Reads ranges of packs, some ahead; as they come in order, the digest of each pack is computed along the way."""

    def __init__(
        self, packs: Mapping[str, ArchivedObject], read: Callable[[str, int, int], bytes], pool: Executor
    ) -> None:
        self._packs = packs
        self._read = read
        self._pool = pool
        self._digests = {key: hashlib.sha256() for key in packs}
        self._at = dict.fromkeys(packs, 0)

    def __call__(self, fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, bytes]]:
        waiting: deque[tuple[Fetch, Future[bytes]]] = deque()
        for one in fetches:
            if one.key in self._packs:
                waiting.append((one, self._pool.submit(self._read, one.key, one.offset, one.length)))
            if len(waiting) > _READ_AHEAD:
                yield self._taken(*waiting.popleft())
        while waiting:
            yield self._taken(*waiting.popleft())

    def rest(self, key: str, expected: ArchivedObject) -> str:
        """Read what no entry is in, and say what is wrong with the pack as a whole, if anything is."""
        digest, at = self._digests[key], self._at[key]
        if at < 0:
            digest, at = hashlib.sha256(), 0
        while at < expected.size:
            data = self._read(key, at, min(_RANGE, expected.size - at))
            if not data:
                break
            digest.update(data)
            at += len(data)
        return "" if digest.hexdigest() == expected.sha256 else "it holds other bytes than were written"

    def _taken(self, one: Fetch, future: Future[bytes]) -> tuple[Fetch, bytes]:
        data = future.result()
        if one.offset == self._at[one.key]:
            self._digests[one.key].update(data)
            self._at[one.key] += len(data)
        else:
            self._at[one.key] = -1  # a manifest in another order than its packs: they are read again
        return one, data
