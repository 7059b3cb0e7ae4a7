"""Questions that the doctor asks of every kind of store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from archive_tasks.errors import ObjectExists, StoreError
from archive_tasks.store import Answer, Store, put_whole


def keeps_odd_keys(store: Store, prefix: str) -> Answer:
    deep = prefix + "/".join(["d" * 100] * 8)
    keys = [f"{prefix}a.b_c-d~e", f"{prefix}{'n' * 200}", deep[:890] + "/end", f"{prefix}Case", f"{prefix}case"]
    with removed(store, keys):
        try:
            for key in keys:
                put_whole(store, key, key.encode())
        except ObjectExists:
            return Answer(
                False, "it treats names that differ only in case as the same: such items will fail, and say so"
            )
        lost = [key for key in keys if b"".join(store.read(key)) != key.encode()]
    return Answer(not lost, f"it lost {len(lost)} of {len(keys)} names" if lost else "all names came back")


@contextlib.contextmanager
def removed(store: Store, keys: Sequence[str]) -> Iterator[None]:
    """Remove the keys afterwards, where that is allowed."""
    try:
        yield
    finally:
        for key in keys:
            with contextlib.suppress(StoreError):
                store.delete(key)
