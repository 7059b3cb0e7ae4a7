"""`vault.json`: the random id of a target, by which it is recognised."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

from archive_tasks.errors import ObjectExists, ObjectMissing, StoreBusy, StoreUnusable
from archive_tasks.formats import layout
from archive_tasks.names import display, typed
from archive_tasks.store import Store, put_whole

_FORMAT = 1
LARGEST_VAULT_FILE = 4096
"""Bytes read of it: somebody else's file of that name may have any size."""


def is_vault(data: bytes) -> bool:
    """Is this the file of a target of ours, and not somebody else's of the same name?"""
    document = _document(data)
    return document.get("archive_tasks") == "vault" and isinstance(document.get("id"), str)


_READS = 10
"""Because two devices that begin a target at once may both write its id, where a server lets a write replace."""


def is_target_folder(path: str) -> bool:
    """Is this folder a target? One that cannot be read counts as not."""
    try:
        with open(os.path.join(path, layout.VAULT_KEY), "rb") as file:
            return is_vault(file.read(LARGEST_VAULT_FILE))
    except OSError:
        return False


def vault_bytes(store: Store, key: str = layout.VAULT_KEY) -> bytes | None:
    """The beginning of the file, as much as one of ours has; None without a file."""
    try:
        return b"".join(store.read(key, length=LARGEST_VAULT_FILE))
    except ObjectMissing:
        return None


def read_vault(store: Store, known: str | None = None) -> str | None:
    """The target's id; None when it has none. An unexpected one is read twice: a bit may flip in transit.

    Raises:
        StoreUnusable: something else has its name.
        StoreBusy: it read differently each time.
    """
    data = vault_bytes(store)
    if data is not None and known is not None and _id_in(data) == known:
        return known
    for _ in range(_READS):
        before, data = data, vault_bytes(store)
        if data == before:
            break
    else:
        raise StoreBusy(f"{layout.VAULT_KEY} of {display(store.url)} reads differently each time: try again")
    if data is None:
        return None
    if is_vault(data):
        if _document(data).get("format", 1) != _FORMAT:
            raise StoreUnusable(
                f"{layout.VAULT_KEY} in {display(store.url)} has a format that this version cannot read: upgrade "
                "archive-tasks"
            )
        return _id_in(data)
    raise StoreUnusable(f"{layout.VAULT_KEY} in {display(store.url)} {_what_it_is(data, store, known)}")


def check_vault(store: Store, known: str | None) -> str | None:
    """The target's id; None when it has none and none is known.

    Raises:
        StoreUnusable: it is not the target of the id `known`.
    """
    found = read_vault(store, known)
    if found is None and known:
        raise StoreUnusable(
            f"the target {display(store.url)} has lost its {layout.VAULT_KEY}: another disk or bucket may be in its "
            f"place. Nothing was written; look there. If it is the right one, verify --repair --target "
            f"{typed(store.url)} writes that file again"
        )
    if found is not None and known and found != known:
        raise StoreUnusable(
            f"the target {display(store.url)} is not the one it was before: its id is {display(found[:16])}, "
            f"and was {known[:16]}. Nothing was written; look there, or name another target. If it was given a new id "
            f"on purpose, catalogue --forget --target {typed(store.url)} forgets the old one"
        )
    return found


def write_vault(store: Store, vault: str = "") -> str:
    """Give a target its README and then its id, over nothing that is there. Of two runs at once, one wins.

    Args:
        vault: the id that it had; empty gives a new one.
    """
    # The README first, because a run that is killed between the two leaves what still counts as an empty place then.
    _put_where_missing(store, layout.README_KEY, layout.README.encode())
    vault = vault or secrets.token_hex(16)
    document = {"archive_tasks": "vault", "format": _FORMAT, "id": vault}
    _put_where_missing(store, layout.VAULT_KEY, json.dumps(document).encode())
    return read_vault(store, vault) or vault


def _put_where_missing(store: Store, key: str, data: bytes) -> None:
    """Some servers let a create-only write replace what is there, so it is asked for first."""
    if store.describe(key) is None:
        try:
            put_whole(store, key, data)
        except ObjectExists:
            return


def _what_it_is(data: bytes, store: Store, known: str | None) -> str:
    if not data:
        return "is empty, left by a run that was interrupted while creating a target: remove the file and try again"
    if known:
        return (
            "is damaged, or belongs to something else. If it is the right target, move that file away, and verify "
            f"--repair --target {typed(store.url)} writes it again"
        )
    if next(iter(store.list(layout.MANIFESTS)), None) is not None:
        return (
            "is damaged, or belongs to something else. If it is the right target, move that file away, and archive "
            "--create gives it a new one"
        )
    return "was not written by archive_tasks: choose an empty prefix or folder"


def _id_in(data: bytes) -> str:
    """Empty where it has no id."""
    return str(_document(data).get("id", ""))


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
