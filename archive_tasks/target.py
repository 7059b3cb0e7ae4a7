"""Opening a target: that it is there, that it is the one it was, and how far its word can be believed."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from archive_tasks import doctor as doctors
from archive_tasks import layout
from archive_tasks.catalogue import Catalogue
from archive_tasks.errors import ObjectExists, ObjectMissing, StoreBusy, StoreUnusable, UsageError
from archive_tasks.names import display
from archive_tasks.store import Answer, Probe, Store, Verdict

_LARGEST_VAULT_FILE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that is ready to be written to.

    Attributes:
        vault: its random id.
        verdict: what the doctor found out about it.
    """

    store: Store
    catalogue: Catalogue
    vault: str
    verdict: Verdict

    def check_vault(self) -> None:
        """Raises StoreUnusable when another target lies here by now, e.g. because a disk was unmounted."""
        _check_vault(self.store, self.vault)


def open_target(
    store: Store,
    catalogue: Catalogue,
    *,
    now: datetime,
    may_create: Callable[[Store], bool],
    on_answer: Callable[[Probe, Answer], None] = lambda _probe, _answer: None,
) -> Target:
    """Make sure of the bucket or folder, of the target's id, and of the doctor's verdict.

    Args:
        may_create: asked when the bucket or folder is missing.
        on_answer: told of each probe when the doctor has to look.

    Raises:
        StoreUnusable: it is missing and may not be made, or it is not the target that it was.
        StoreError: what the store answered.
    """
    known = catalogue.fact("vault")
    if not store.exists():
        if known:
            raise StoreUnusable(
                f"the target {display(store.url)} is gone, though archives were written to it: is its disk mounted, "
                "are these the right credentials? Nothing was written"
            )
        if not may_create(store):
            raise StoreUnusable(
                f"the target {display(store.url)} does not exist and was not created; run setup, or name another"
            )
        store.create()
    vault = _check_vault(store, known)
    catalogue.set_fact("vault", vault)
    verdict = current_verdict(store, catalogue, now=now, on_answer=on_answer)
    if not verdict.trusted and store.is_cold(store.storage_class):
        raise UsageError(
            f"the checksums of {display(store.url)} are no proof, and the storage class that is set cannot be read "
            "back: nothing could prove an archive; set archive.s3.storage_class to one that can, e.g. GLACIER_IR"
        )
    return Target(store=store, catalogue=catalogue, vault=vault, verdict=verdict)


def current_verdict(
    store: Store,
    catalogue: Catalogue,
    *,
    now: datetime,
    on_answer: Callable[[Probe, Answer], None],
) -> Verdict:
    """The remembered verdict while it is good, else a new one, which is remembered."""
    verdict = _remembered(catalogue)
    if verdict is not None and doctors.is_current(verdict, store, now=now):
        return verdict
    return examine(store, catalogue, now=now, on_answer=on_answer)


def examine(
    store: Store,
    catalogue: Catalogue,
    *,
    now: datetime,
    on_answer: Callable[[Probe, Answer], None],
) -> Verdict:
    """Have the doctor look, and remember what it found, unless a passing fault kept it from finding out."""
    verdict: Verdict = doctors.examine(store, now=now, prefix=f"doctor/{secrets.token_hex(8)}/", on_answer=on_answer)
    if doctors.is_settled(verdict, store):
        catalogue.set_fact("verdict", json.dumps(doctors.verdict_to_json(verdict)))
    return verdict


def _remembered(catalogue: Catalogue) -> Verdict | None:
    try:
        verdict: Verdict | None = doctors.verdict_from_json(json.loads(catalogue.fact("verdict") or "null"))
    except ValueError:
        return None
    return verdict


def _check_vault(store: Store, known: str | None) -> str:
    found = _read_vault(store, known)
    if found is None and known:
        raise StoreUnusable(
            f"the target {display(store.url)} has lost its {layout.VAULT_KEY}: another disk or bucket may stand in its "
            "place. Nothing was written; look there, or name another target"
        )
    if found is None:
        return _found_vault(store)
    if known and found != known:
        raise StoreUnusable(
            f"the target {display(store.url)} is not the one that it was: its id is {display(found[:16])}, "
            f"and was {known[:16]}. Nothing was written; look there, or name another target"
        )
    return found


def check_vault(store: Store, known: str | None) -> None:
    """Raises StoreUnusable when this is not the target of the id `known`, e.g. because its disk is not mounted."""
    if not store.exists():
        raise StoreUnusable(f"the target {display(store.url)} is not there: is its disk mounted?")
    if known is not None:
        _check_vault(store, known)


def _found_vault(store: Store) -> str:
    """Give a new target its id and its README; of two runs that do so at once, one wins."""
    vault = secrets.token_hex(16)
    try:
        _put(store, layout.VAULT_KEY, json.dumps({"archive_tasks": "vault", "format": 1, "id": vault}).encode())
    except ObjectExists:
        vault = _read_vault(store) or vault
    if store.describe(layout.README_KEY) is None:
        _put(store, layout.README_KEY, layout.README.encode())
    return vault


def _put(store: Store, key: str, data: bytes) -> None:
    store.put(key, data, sha256=hashlib.sha256(data).digest())


def _read_vault(store: Store, known: str | None = None) -> str | None:
    """The target's id; None when it has none. What is not known to be right is read twice: a bit may flip on the way.

    Raises:
        StoreUnusable: something else bears its name.
        StoreBusy: it was not read the same way twice.
    """
    data = _vault_bytes(store)
    if known is not None and _vault_in(data) == known:
        return known
    if _vault_bytes(store) != data:
        raise StoreBusy(f"{layout.VAULT_KEY} of {display(store.url)} is not read the same way twice: try again")
    vault = _vault_in(data)
    if data is not None and vault is None:
        raise StoreUnusable(
            f"{layout.VAULT_KEY} in {display(store.url)} is not one of archive_tasks: choose an empty prefix or folder"
        )
    return vault


def _vault_bytes(store: Store) -> bytes | None:
    try:
        return b"".join(store.read(layout.VAULT_KEY, length=_LARGEST_VAULT_FILE))
    except ObjectMissing:
        return None


def _vault_in(data: bytes | None) -> str | None:
    """None for what is no vault file."""
    try:
        return str(json.loads(data or b"")["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
