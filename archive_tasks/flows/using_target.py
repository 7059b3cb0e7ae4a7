"""What the tasks share that work on a target: which it is, its lock, patience with it, and its catalogue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.damage import set_aside_if_damaged
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.errors import CatalogueDamaged, UsageError
from archive_tasks.items.root import root_if_there
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import Store
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.target.new_target import id_is_lost
from archive_tasks.target.open import absent
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import Synced, sync
from archive_tasks.target.resolve import default_target, target_for
from archive_tasks.target.vault import check_vault


def target_of(session: Session) -> str:
    """URL of the target, also where the root is not (yet) on this machine."""
    return target_for(session, root_if_there(session))


@contextmanager
def existing_target(
    session: Session, url: str, *, on_damaged: Callable[[str], None] | None = None
) -> Iterator[tuple[Store, Catalogue]]:
    """The target, which must exist, and its catalogue.

    Args:
        url: of the target.
        on_damaged: moves a damaged catalogue aside and starts a new one; called with where the old one is.

    Raises:
        UsageError: there is no such target.
        CatalogueDamaged: the catalogue is damaged, and nothing was to be done about it.
    """
    store = session.open_store(url)
    path = catalogue_path(session.data, url)
    _check_there(session, store, path)
    if on_damaged is not None:
        with one_run_at_a_time(path):
            quarantine = set_aside_if_damaged(path)
        if quarantine:
            on_damaged(quarantine)
    with open_catalogue(session, url) as catalogue:
        yield store, catalogue


def open_catalogue(session: Session, target: str) -> Catalogue:
    """The catalogue of a target, as this device sees it."""
    return Catalogue(catalogue_path(session.data, target), target=target, device=session.device)


def _check_there(session: Session, store: Store, path: str) -> None:
    """Raises UsageError where there is no target and none was known; StoreUnusable where it is not the same one."""
    patience = Patience(pace=new_pace(session), seconds=session.settings.retry_minutes * 60)
    known = known_vault(path)
    if not patience.ask(store.exists):
        raise absent(store, known)
    if patience.ask(lambda: check_vault(store, known)) is None:
        raise UsageError(
            patience.ask(lambda: id_is_lost(store))
            or f"there is no target of archive_tasks in {display(store.url)}: give the right one with --target"
        )


def known_vault(path: str) -> str | None:
    """The id of the target, as far as the catalogue knows; one that is damaged says nothing here."""
    if not os.path.exists(path):
        return None
    try:
        with Catalogue(path) as catalogue:
            return catalogue.fact("vault")
    except CatalogueDamaged:
        return None


@contextmanager
def existing_catalogue(session: Session) -> Iterator[Catalogue]:
    """The catalogue of the target, which itself need not exist. Raises UsageError without a catalogue."""
    url = target_of(session)
    path = catalogue_path(session.data, url)
    if not os.path.exists(path):
        raise UsageError(f"this device knows nothing of {display(url)}: give the right one with --target")
    with open_catalogue(session, url) as catalogue:
        yield catalogue


def new_pace(session: Session) -> Pace:
    """A pace by the settings."""
    settings = session.settings
    return Pace(concurrency=settings.concurrency, bandwidth=0, memory=settings.memory)


def new_patience(session: Session, pace: Pace, console: Console) -> Patience:
    """Patience with the target that says when it waits for long."""
    return Patience(
        pace=pace,
        seconds=session.settings.retry_minutes * 60,
        on_retry=lambda problem, seconds: console.warn(f"{problem}; retrying") if seconds > 5 else None,
    )


def bring_in_step(
    session: Session,
    store: Store,
    catalogue: Catalogue,
    patience: Patience,
    console: Console,
    *,
    wanted: Callable[[str], bool] = lambda _key: True,
) -> Synced:
    """Fetch new manifests, with progress where they are many, and warn of those that cannot be used."""

    def tell(done: int, of: int) -> None:
        if of > 100 and done % 100 == 0:
            console.say(f"read {done:,} of {of:,} manifests", style="dim")

    synced = sync(
        store,
        catalogue,
        patience=patience,
        now=session.now,
        concurrency=session.settings.concurrency,
        wanted=wanted,
        on_progress=tell,
    )
    for key, reason in synced.unreadable:
        console.warn(f"{display(key)}: {reason}")
    if synced.new:
        number = count_text(len(synced.new), "manifest that was", "manifests that were")
        console.say(f"read {number} new here", style="dim")
    return synced


def may_create(store: Store, session: Session, console: Console, *, yes: bool) -> bool:
    """Ask whether a missing bucket or folder is to be made; the default target needs no asking."""
    if store.url == default_target(session):
        return True
    if yes:
        console.say(f"{display(store.url)} does not exist and is created, private to you")
    return yes or console.ask(f"{display(store.url)} does not exist. Create it, private to you?", default=True)


def may_share(store: Store, session: Session, *, create: bool) -> bool:
    """May a new target begin in a place that is not empty? The default target needs no asking."""
    return create or store.url == default_target(session)
