"""Opening a target: that it exists, that it is the same one as before, and how far its checksums can be trusted."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import StoreUnusable, UsageError
from archive_tasks.names import display, typed
from archive_tasks.store import Answer, Probe, Store, Verdict
from archive_tasks.target import doctor as doctors
from archive_tasks.target import vault as vaults
from archive_tasks.target.nesting import OpenStore, check_not_inside
from archive_tasks.target.new_target import check_is_free


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
        """Raises StoreUnusable when another target is here by now, e.g. because a disk was unmounted."""
        vaults.check_vault(self.store, self.vault)


def open_target(
    store: Store,
    catalogue: Catalogue,
    *,
    now: datetime,
    may_create: Callable[[Store], bool],
    may_share: Callable[[Store], bool] = lambda _store: False,
    open_store: OpenStore | None = None,
    renew: bool = False,
    on_answer: Callable[[Probe, Answer], None] = lambda _probe, _answer: None,
) -> Target:
    """Make sure of the bucket or folder, of the target's id, and of the doctor's verdict.

    Args:
        may_create: asked when the bucket or folder is missing.
        may_share: asked when a new target is to begin in a place that is not empty.
        open_store: opens a URL, to see whether a new target would be inside another one; None skips that check.
        renew: a target that has lost its id, and that this device does not know, may be given a new one.
        on_answer: called for each probe when the doctor has to look.

    Raises:
        StoreUnusable: it is missing and may not be made, or it is not the same target as before.
        UsageError: no target may begin here.
        StoreError: what the store answered.
    """
    known = catalogue.fact("vault")
    vault = _vault_of(store, known) or _begin(store, may_create, may_share, open_store, renew=renew)
    verdict = current_verdict(store, catalogue, now=now, on_answer=on_answer)
    if known is None:  # of two devices that begin a target at once, the one that wrote last gave it its id
        vault = vaults.check_vault(store, None) or vault
    catalogue.set_fact("vault", vault)
    if not verdict.trusted and store.is_cold(store.storage_class):
        raise UsageError(
            f"the checksums of {display(store.url)} prove nothing, and the configured storage class cannot be read "
            "back: no archive could be proven; set archive.s3.storage_class to one that can be read, e.g. GLACIER_IR"
        )
    return Target(store=store, catalogue=catalogue, vault=vault, verdict=verdict)


def _vault_of(store: Store, known: str | None) -> str | None:
    """The id of the target that is there, or None."""
    if store.exists():
        return vaults.check_vault(store, known)
    if known:
        raise absent(store, known)
    return None


def _begin(
    store: Store,
    may_create: Callable[[Store], bool],
    may_share: Callable[[Store], bool],
    open_store: OpenStore | None,
    *,
    renew: bool,
) -> str:
    """Make a new target where that does no harm. Returns its id."""
    if open_store is not None:
        check_not_inside(store.url, open_store)
    if store.exists():
        check_is_free(store, may_share=may_share, open_store=open_store, renew=renew)
    elif may_create(store):
        store.create()
    else:
        raise StoreUnusable(
            f"the target {display(store.url)} does not exist and was not created; run setup, or name another"
        )
    return vaults.write_vault(store)


def current_verdict(
    store: Store,
    catalogue: Catalogue,
    *,
    now: datetime,
    on_answer: Callable[[Probe, Answer], None],
) -> Verdict:
    """The remembered verdict while it is valid, else a new one, which is remembered."""
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
    """Run the doctor, and remember what it found, unless a temporary fault interfered."""
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


def absent(store: Store, known: str | None) -> StoreUnusable | UsageError:
    """What to raise for a target that is not there, by whether this device knows its id."""
    if known:
        return StoreUnusable(
            f"the target {display(store.url)} is gone, though this device knows it: is its disk mounted, are these the "
            f"right endpoint and credentials? Nothing was written. If it was abandoned, catalogue --forget --target "
            f"{typed(store.url)} forgets it"
        )
    return UsageError(
        f"there is no target {display(store.url)}: name the right one with --target, or make it with setup --target "
        f"{typed(store.url)}"
    )


def check_vault(store: Store, known: str | None) -> None:
    """Raises StoreUnusable when this is not the target of the id `known`, e.g. because its disk is not mounted."""
    if not store.exists():
        raise absent(store, known)
    if known is not None:
        vaults.check_vault(store, known)
