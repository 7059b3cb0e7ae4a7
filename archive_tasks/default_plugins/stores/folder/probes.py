"""What the doctor asks of a folder: does its filesystem keep what the folder store relies on?"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from archive_tasks.default_plugins.stores.probes import keeps_odd_keys, removed
from archive_tasks.errors import ObjectExists
from archive_tasks.store import Answer, Probe, Store, put_whole

_MIB = 1024 * 1024
_RACERS = 16
_GB = 10**9


def folder_probes(store: Store, path: str) -> Sequence[Probe]:
    """The probes of a folder store. None of them makes it trusted: a folder keeps no checksums."""
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
    with removed(store, [f"{prefix}bytes"]):
        put_whole(store, f"{prefix}bytes", data)
        same = b"".join(store.read(f"{prefix}bytes")) == data
    return Answer(same, "1 MiB came back as it was" if same else "1 MiB came back with other bytes")


def refuses_overwrite(store: Store, prefix: str) -> Answer:
    with removed(store, [f"{prefix}one"]):
        put_whole(store, f"{prefix}one", b"first")
        try:
            put_whole(store, f"{prefix}one", b"second")
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
            put_whole(store, f"{prefix}race", b"%d" % number)
        except ObjectExists:
            return False
        return True

    with removed(store, [f"{prefix}race"]), ThreadPoolExecutor(_RACERS) as racers:
        winners = sum(racers.map(won, range(_RACERS)))
    return Answer(winners == 1, f"{winners} of {_RACERS} concurrent writers reported success")


def can_delete(store: Store, prefix: str) -> Answer:
    put_whole(store, f"{prefix}gone", b"x")
    store.delete(f"{prefix}gone")
    gone = store.describe(f"{prefix}gone") is None
    return Answer(gone, "objects can be removed (append-only: no)" if gone else "they cannot (append-only: yes)")


def has_room(path: str) -> Answer:
    free = shutil.disk_usage(path).free
    return Answer(free > _GB, f"{free / _GB:,.1f} GB are free")
