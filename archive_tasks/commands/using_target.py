"""What the tasks share that work on a target: which it is, its lock, patience with it, and its catalogue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import filelock

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.database import Catalogue, catalogue_path, set_aside_if_damaged
from archive_tasks.errors import ArchiveTasksError, CatalogueDamaged, UsageError
from archive_tasks.items.root import root_if_there
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.store import Store
from archive_tasks.target.new_target import id_is_lost
from archive_tasks.target.open import absent
from archive_tasks.target.pace import Pace, Patience
from archive_tasks.target.refresh import Synced, sync
from archive_tasks.target.resolve import target_for
from archive_tasks.target.vault import check_vault

_LOOKS, _SECONDS_BETWEEN_LOOKS = 10, 0.05
"""At what the holder of a lock writes down right after it took it."""


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
        on_damaged: have a catalogue that is damaged moved aside, and a new one in its place; told where it is.

    Raises:
        UsageError: there is no such target.
        CatalogueDamaged: the catalogue is damaged, and nothing was to be done about it.
    """
    store = session.open_store(url)
    path = catalogue_path(session.data, url)
    _check_there(session, store, path)
    if on_damaged is not None:
        with one_run_at_a_time(path):
            aside = set_aside_if_damaged(path)
        if aside:
            on_damaged(aside)
    with open_catalogue(session, url) as catalogue:
        yield store, catalogue


def open_catalogue(session: Session, target: str) -> Catalogue:
    """The catalogue of a target, as this device sees it."""
    return Catalogue(catalogue_path(session.data, target), target=target, device=session.device)


def _check_there(session: Session, store: Store, path: str) -> None:
    """Raises UsageError where no target is, and none was known; StoreUnusable where it is not the one that it was."""
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
    """The catalogue of the target, which itself need not be there. Raises UsageError where there is none."""
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
    """Fetch the manifests that are new, saying so where they are many, and warn of those that are no help."""

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


@contextmanager
def one_run_at_a_time(path: str) -> Iterator[None]:
    """One run that writes to a target, by the path of its catalogue.

    The kernel lets go of the lock when a process dies, however it dies.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    holder = f"{path}.holder"
    try:
        with filelock.FileLock(f"{path}.lock", timeout=0, mode=0o600):
            with open(holder, "w", encoding="utf-8", opener=_privately) as file:
                file.write(f"process {os.getpid()} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
            yield
    except filelock.Timeout:
        raise ArchiveTasksError(
            f"another run is writing to this target ({_who_holds(holder)}); wait for it to end"
        ) from None


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _who_holds(path: str) -> str:
    """What the holder of a lock writes down right after it took it."""
    for _ in range(_LOOKS):
        with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            if text := display(file.read(200)):
                return text
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return "it does not say which"
