"""A store that fails now and then, for tests of what has to survive that.

```python
failing = FailingStore(MemoryStore(), random.Random(7), rate=0.1)
...                     # every operation may fail, before or after it had its effect
failing.heal()          # from now on it is an honest store
```
"""

from __future__ import annotations

import random as random_module
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from archive_tasks.errors import StoreBusy
from archive_tasks.store import Store, Upload

T = TypeVar("T")

Fault = Literal["busy", "lost answer", "slow down", "cut short", "flipped bit", "nothing there"]
"""busy: a temporary fault before the effect; lost answer: one after it; slow down: as busy, and asks for fewer
requests; cut short, flipped bit: of what is read; nothing there: `describe` and `list` do not see what is there."""
FAULTS: tuple[Fault, ...] = ("busy", "lost answer", "slow down", "cut short", "flipped bit", "nothing there")
_ASKED = frozenset({"exists", "create", "put", "upload", "describe", "delete", "thaw"})


class FailingStore:
    """Wraps another store. Every call that it does not make fail is passed on.

    Args:
        random: decides; the same seed gives the same faults for the same calls in the same order.
        rate: share of calls that fail, from 0 to 1.
        faults: which kinds there are.

    Attributes:
        happened: (operation, fault) of each that was made.
    """

    def __init__(
        self, store: Store, random: random_module.Random, *, rate: float, faults: Sequence[Fault] = FAULTS
    ) -> None:
        self.happened: list[tuple[str, Fault]] = []
        self._store = store
        self._random = random
        self._rate = rate
        self._faults = tuple(faults)
        self._lock = threading.Lock()

    def heal(self) -> None:
        """Stop failing."""
        self._rate = 0.0

    def __getattr__(self, name: str) -> Any:
        known = getattr(self._store, name)
        if name not in _ASKED:
            return known
        return lambda *arguments, **more: self._call(name, lambda: known(*arguments, **more))

    def upload(self, key: str, size: int, *, storage_class: str = "") -> Upload:
        """An upload whose parts and end may fail too."""
        made = self._call("upload", lambda: self._store.upload(key, size, storage_class=storage_class))
        return _FailingUpload(made, self._call)

    def describe(self, key: str) -> Any:
        """As the store says, or as if nothing were there."""
        found = self._call("describe", lambda: self._store.describe(key))
        return None if self._drawn("describe", "nothing there") else found

    def list(self, prefix: str) -> Iterator[Any]:
        """As the store says, or without some of it."""
        return iter(
            [
                info
                for info in self._call("list", lambda: list(self._store.list(prefix)))
                if not self._drawn("list", "nothing there")
            ]
        )

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes, or other ones, or fewer of them before a temporary fault."""
        data = bytearray(self._call("read", lambda: b"".join(self._store.read(key, offset=offset, length=length))))
        if data and self._drawn("read", "flipped bit"):
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        if self._drawn("read", "cut short"):
            yield bytes(data[: len(data) // 2])
            raise StoreBusy("the connection was cut (a test)")
        yield bytes(data)

    def _call(self, operation: str, call: Callable[[], T]) -> T:
        if self._drawn(operation, "busy"):
            raise StoreBusy("503 (a test)")
        if self._drawn(operation, "slow down"):
            raise StoreBusy("503 SlowDown (a test)", slow_down=True)
        answer = call()
        if self._drawn(operation, "lost answer"):
            raise StoreBusy("the answer was lost (a test)")
        return answer

    def _drawn(self, operation: str, fault: Fault) -> bool:
        if fault not in self._faults:
            return False
        with self._lock:
            drawn = self._random.random() < self._rate / len(self._faults)
            if drawn:
                self.happened.append((operation, fault))
            return drawn


class _FailingUpload:
    def __init__(self, upload: Upload, call: Callable[[str, Callable[[], None]], None]) -> None:
        self.part_size = upload.part_size
        self._upload = upload
        self._call = call

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        self._call("put_part", lambda: self._upload.put_part(number, data, sha256=sha256))

    def complete(self, size: int) -> None:
        self._call("complete", lambda: self._upload.complete(size))

    def abort(self) -> None:
        self._upload.abort()
