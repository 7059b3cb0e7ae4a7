"""What verify --repair does: manifests, their copies and the id of the target are written again where they are lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.errors import ObjectMissing, ObjectUnreadable, UsageError
from archive_tasks.flows.using_target import new_pace, new_patience, open_catalogue, target_of
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import Store
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.target.refresh import sync
from archive_tasks.target.transfer import Transfer
from archive_tasks.target.vault import vault_bytes, write_vault
from archive_tasks.upkeep.repair import Repaired, repair
from archive_tasks.upkeep.verified import Verified


def repair_manifests(
    session: Session,
    store: Store,
    catalogue: Catalogue,
    verified: Verified,
    console: Console,
    *,
    trusted: bool,
) -> Repaired:
    """Write again what `verified` found to be missing, and say so."""
    with one_run_at_a_time(catalogue.path), _transfer_to(session, store, console, trusted=trusted) as transfer:
        repaired = repair(verified.missing, verified.uncommitted, catalogue, transfer, copies=verified.copies)
        synced = sync(
            store,
            catalogue,
            patience=transfer.patience,
            now=session.now,
            concurrency=session.settings.concurrency,
            wanted=frozenset(repaired.manifests).__contains__,
        )
    for key in repaired.manifests:
        console.say(f"written again: {display(key)}", style="green")
    for what, reason in (*repaired.failed, *synced.unreadable):
        console.say(f"cannot be written again: {display(what)}: {reason}", style="yellow")
    return repaired


def repair_vault(session: Session, console: Console) -> None:
    """Write the target's id again where it is lost and an archive shows that it is the same target as before.

    Raises:
        UsageError: no archive that this device knows is there as it was written.
    """
    url = target_of(session)
    if not os.path.exists(catalogue_path(session.data, url)):
        return
    with open_catalogue(session, url) as catalogue:
        store = session.open_store(url)
        known = catalogue.fact("vault")
        if not known or not store.exists() or vault_bytes(store) is not None:
            return
        if not any(_is_there(store, known_archive) for known_archive in catalogue.archives()):
            raise UsageError(
                f"{display(store.url)} has lost its vault.json, and no archive that this device knows is there: it is "
                f"another target, or {session.command('catalogue --forget')} gives it up"
            )
        write_vault(store, known)
        console.say("written again: vault.json", style="green")


def _is_there(store: Store, known: KnownArchive) -> bool:
    try:
        data = b"".join(store.read(known.archive.manifest)) if known.receipt else b""
    except (ObjectMissing, ObjectUnreadable):
        return False
    return known.receipt is not None and hashlib.sha256(data).hexdigest() == known.receipt.manifest_sha256


@contextmanager
def _transfer_to(session: Session, store: Store, console: Console, *, trusted: bool) -> Iterator[Transfer]:
    """How objects that belong to no item are sent."""
    pace = new_pace(session)
    with ThreadPoolExecutor(session.settings.concurrency, thread_name_prefix="send") as workers:
        yield Transfer(
            store=store,
            pace=pace,
            patience=new_patience(session, pace, console),
            workers=workers,
            trusted=trusted,
        )
