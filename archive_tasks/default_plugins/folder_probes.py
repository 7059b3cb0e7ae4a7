"""What the doctor asks of a folder: does its filesystem keep what the folder store relies on?"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from archive_tasks.errors import ObjectExists
from archive_tasks.store import Answer, Probe, Store

_MIB = 1024 * 1024
_RACERS = 16
_GB = 10**9


def folder_probes(store: Store, path: str) -> Sequence[Probe]:
    """The probes of a folder store. None of them makes its word a proof: a folder keeps no checksums."""
    return (
        Probe(name="keeps-bytes", question="returns the bytes it was given", ask=functools.partial(keeps_bytes, store)),
        Probe(
            name="refuses-overwrite",
            question="refuses to write over an object",
            ask=functools.partial(refuses_overwrite, store),
        ),
        Probe(name="one-winner", question="lets one of many writers win", ask=functools.partial(one_winner, store)),
        Probe(name="keeps-odd-keys", question="keeps long and odd names", ask=functools.partial(keeps_odd_keys, store)),
        Probe(
            name="can-delete",
            question="lets us remove objects",
            ask=functools.partial(can_delete, store),
            serious=False,
        ),
        Probe(name="has-room", question="has room", ask=lambda _prefix: has_room(path), serious=False),
    )


def keeps_bytes(store: Store, prefix: str) -> Answer:
    data = os.urandom(_MIB)
    with _removed(store, [f"{prefix}bytes"]):
        _put(store, f"{prefix}bytes", data)
        same = b"".join(store.read(f"{prefix}bytes")) == data
    return Answer(same, "1 MiB came back as it was" if same else "1 MiB came back with other bytes")


def refuses_overwrite(store: Store, prefix: str) -> Answer:
    with _removed(store, [f"{prefix}one"]):
        _put(store, f"{prefix}one", b"first")
        try:
            _put(store, f"{prefix}one", b"second")
        except ObjectExists:
            kept = b"".join(store.read(f"{prefix}one")) == b"first"
            return Answer(
                kept, "the second write was refused" if kept else "it was refused, and yet changed the object"
            )
    return Answer(False, "a second write replaced the first: two runs at once could meet")


def one_winner(store: Store, prefix: str) -> Answer:
    """Sixteen writers of different contents, one key."""

    def won(number: int) -> bool:
        try:
            _put(store, f"{prefix}race", b"%d" % number)
        except ObjectExists:
            return False
        return True

    with _removed(store, [f"{prefix}race"]), ThreadPoolExecutor(_RACERS) as racers:
        winners = sum(racers.map(won, range(_RACERS)))
    return Answer(winners == 1, f"{winners} of {_RACERS} writers at once were told that they had won")


def keeps_odd_keys(store: Store, prefix: str) -> Answer:
    deep = prefix + "/".join(["d" * 100] * 8)
    keys = [f"{prefix}a.b_c-d~e", f"{prefix}{'n' * 200}", deep[:890] + "/end", f"{prefix}Case", f"{prefix}case"]
    with _removed(store, keys):
        try:
            for key in keys:
                _put(store, key, key.encode())
        except ObjectExists:
            return Answer(
                False, "it takes names for the same that differ in case only: such items will fail, and say so"
            )
        lost = [key for key in keys if b"".join(store.read(key)) != key.encode()]
    return Answer(not lost, f"it lost {len(lost)} of {len(keys)} names" if lost else "all names came back")


def can_delete(store: Store, prefix: str) -> Answer:
    _put(store, f"{prefix}gone", b"x")
    store.delete(f"{prefix}gone")
    gone = store.describe(f"{prefix}gone") is None
    return Answer(gone, "objects can be removed (append-only: no)" if gone else "they cannot (append-only: yes)")


def has_room(path: str) -> Answer:
    free = shutil.disk_usage(path).free
    return Answer(free > _GB, f"{free / _GB:,.1f} GB are free")


def _put(store: Store, key: str, data: bytes) -> None:
    store.put(key, data, sha256=hashlib.sha256(data).digest())


@contextlib.contextmanager
def _removed(store: Store, keys: Sequence[str]):  # type: ignore[no-untyped-def]  # a plain context
    try:
        yield
    finally:
        for key in keys:
            store.delete(key)
