"""One object of the target, or a range of it, read whole and with patience."""

from __future__ import annotations

from archive_tasks.store import Store
from archive_tasks.target.patience import Patience


def read_object(store: Store, key: str, patience: Patience, *, offset: int = 0, length: int | None = None) -> bytes:
    """The bytes of an object, or of a range of it, which is to fit into memory.

    Raises:
        ObjectMissing: it is not there.
        StoreError: it cannot be read.
    """
    return patience.ask(lambda: b"".join(store.read(key, offset=offset, length=length)))
