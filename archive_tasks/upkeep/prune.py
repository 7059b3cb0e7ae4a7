"""Removing what nothing refers to: objects of runs that never finished.

Nothing is remembered here, all is looked at in this run. What may go at all are keys of exactly our shape, in attempts
that hold no copy of their manifest: one that does was committed, or nearly so. An attempt is left alone for so long
that it can no longer be resumed, counted from its newest object, between dates that the store gave: no machine's
clock counts. Whatever is doubtful ends the run before anything is removed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from archive_tasks.catalogue.attempts import forget_attempts_below
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import (
    ManifestError,
    NotPruned,
    ObjectMissing,
    ObjectUnreadable,
    StoreUnusable,
    UsageError,
)
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import Record, read_manifest
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.already_there import listed_below
from archive_tasks.target.last_look import put_sign
from archive_tasks.target.nesting import OpenStore, targets_around, targets_below
from archive_tasks.target.open import check_vault
from archive_tasks.target.patience import Patience
from archive_tasks.target.read_object import read_object
from archive_tasks.target.refresh import list_manifests

LEAST_GRACE = timedelta(days=8)
"""A day more than an attempt is resumed for (`archive.attempt.RESUMED_FOR`) and a commit permits (`last_look`)."""
LONGEST_LOOK = 300.0
"""Seconds from the last look at an attempt to the removal of its objects; then it is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An attempt that no manifest refers to.

    Attributes:
        newest: when its newest object was written, by the store's clock; None where that is not known.
    """

    attempt: str
    objects: tuple[ObjectInfo, ...]
    newest: datetime | None

    @property
    def bytes(self) -> int:
        return sum(info.size for info in self.objects)

    def is_old(self, *, now: datetime, grace: timedelta) -> bool:
        """Unknown ages count as young."""
        return self.newest is not None and now - self.newest >= grace


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was looked at.

    Attributes:
        orphans: attempts that nothing refers to, of any age.
        now: the store's date of an object that was written in this run.
        objects, bytes: of everything that is in attempts of this target.
    """

    orphans: tuple[Orphan, ...]
    now: datetime
    objects: int
    bytes: int


def check_grace(grace: timedelta) -> None:
    """Raises UsageError for one in which a run might still be active."""
    if grace < LEAST_GRACE:
        raise UsageError(
            f"--grace must be at least {LEAST_GRACE.days} days: interrupted runs can be resumed for 7 days"
        )


def seconds_awake_or_not() -> float:
    """Seconds of a monotonic clock that runs while the machine sleeps, where the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Pruner:
    """Looks for orphans in one target, and removes them.

    Args:
        open_store: opens a URL, to see whether this target is inside another one; None skips that check.
        seconds: of a monotonic clock.
    """

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        patience: Patience,
        *,
        open_store: OpenStore | None = None,
        seconds: Callable[[], float] = seconds_awake_or_not,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._patience = patience
        self._open_store = open_store
        self._seconds = seconds
        self._read: dict[str, set[str]] = {}

    def look(self) -> Found:
        """Everything that could be an orphan.

        Raises:
            NotPruned: something is doubtful.
            StoreError: the target cannot be looked at.
        """
        self._patience.ask(lambda: check_vault(self._store, self._catalogue.fact("vault")))
        if self._open_store and (around := targets_around(self._store.url, self._open_store)):
            raise NotPruned(f"the target is inside the target {display(around[0])}: nothing is removed in either")
        now = self._store_time()  # before the listing: what is written meanwhile is not older than it is
        listed = self._patience.ask(lambda: list(self._store.list(layout.DATA)))
        if below := targets_below(self._store, (info.key for info in listed), self._open_store):
            raise NotPruned(f"another target is inside this one, {display(below[0])}: nothing is removed in either")
        attempts = _attempts(listed)
        manifests = list_manifests(self._store, self._patience)
        self._check_known(manifests)
        referred_to = self._referred_to(manifests) if any(not _has_copy(one) for one in attempts.values()) else set()
        orphans = [
            _orphan(attempt, objects)
            for attempt, objects in sorted(attempts.items())
            if attempt not in referred_to and not _has_copy(objects)
        ]
        mine = [info for objects in attempts.values() for info in objects]
        return Found(orphans=tuple(orphans), now=now, objects=len(mine), bytes=sum(info.size for info in mine))

    def remove(self, orphans: Sequence[Orphan], *, now: datetime, on_progress: Callable[[Orphan], None]) -> None:
        """Remove them, one by one; each is journalled first, and forgotten, so that no run resumes it.

        Args:
            now: for the journal.

        Raises:
            NotPruned: something changed since they were looked at. What was removed before is gone.
        """
        for orphan in orphans:
            at = self._look_again(orphan)
            forget_attempts_below(self._catalogue, orphan.attempt, now=now)
            mark = layout.pruned_key(orphan.attempt)
            for key in (*(info.key for info in orphan.objects if info.key != mark), mark):
                if self._seconds() - at > LONGEST_LOOK:
                    at = self._look_again(orphan)
                self._patience.ask(lambda key=key: self._store.delete(key))  # type: ignore[misc]
            on_progress(orphan)

    def _look_again(self, orphan: Orphan) -> float:
        """The last look before anything of an attempt goes; returns when it began. Raises NotPruned.

        The mark is there before the copy is asked for: whoever commits writes the copy, and then asks for the mark.
        """
        at = self._seconds()
        mark = layout.pruned_key(orphan.attempt)
        if self._patience.ask(lambda: self._store.describe(mark)) is None:
            self._put(mark)
        try:
            self._check_still_orphan(orphan, mark)
        except NotPruned:
            self._patience.ask(lambda: self._store.delete(mark))
            raise
        return at

    def _check_still_orphan(self, orphan: Orphan, mark: str) -> None:
        objects = listed_below(self._store, orphan.attempt, self._patience)
        if not objects.keys() <= {mark, *(info.key for info in orphan.objects)}:
            raise NotPruned(f"another run is writing to {display(orphan.attempt)}: run prune again later")
        copy = layout.copy_key(orphan.attempt)
        if self._patience.ask(lambda: self._store.describe(copy)) is not None:
            raise NotPruned(f"{display(orphan.attempt)} holds a copy of its manifest, which was not listed before")
        manifests = list_manifests(self._store, self._patience)
        self._check_known(manifests)
        if orphan.attempt in self._referred_to(manifests):
            raise NotPruned(f"{display(orphan.attempt)} was committed meanwhile: run prune again")

    def _check_known(self, manifests: Mapping[str, ObjectInfo]) -> None:
        """Every archive that is known here must be listed: else the listing, or the target, is not whole.

        One that was archived again, because something of it was missing, need not be there.
        """
        archives = [known.archive for known in self._catalogue.archives()]
        replaced = {one.replaces for one in archives if one.manifest in manifests}
        for one in archives:
            if one.manifest not in manifests and one.manifest not in replaced:
                raise NotPruned(
                    f"the manifest {display(one.manifest)} is known here and not listed in the target, so "
                    "it is unknown what is an orphan; nothing was removed: run verify --repair, or catalogue --rebuild "
                    "if it was removed on purpose"
                )

    def _referred_to(self, manifests: Mapping[str, ObjectInfo]) -> set[str]:
        """Attempts that a listed manifest refers to: each manifest is read now, as a whole."""
        found: set[str] = set()
        for key in manifests:
            if key not in self._read:
                self._read[key] = self._attempts_in(key)
            found |= self._read[key]
        return found

    def _attempts_in(self, key: str) -> set[str]:
        try:
            data = read_object(self._store, key, self._patience)
            return {layout.attempt_of(one) for one in objects_of(read_manifest(data))}
        except (ManifestError, ObjectMissing, ObjectUnreadable) as error:
            raise NotPruned(
                f"{display(key)} cannot be read ({error}), so it is unknown what is an orphan; nothing was removed: "
                "run verify"
            ) from error

    def _put(self, key: str) -> None:
        self._patience.ask(lambda: put_sign(key, self._store))

    def _store_time(self) -> datetime:
        """The store's date of a small object that is written now."""
        key = f"prune/{secrets.token_hex(12)}"
        self._put(key)
        try:
            info = self._patience.ask(lambda: self._store.describe(key))
        finally:
            self._patience.ask(lambda: self._store.delete(key))
        if info is None or info.modified is None:
            raise StoreUnusable(f"the target {display(self._store.url)} gives no dates, so nothing can be pruned there")
        return info.modified


def objects_of(records: Iterable[Record]) -> Iterator[str]:
    """Keys that the lines of a manifest refer to; some come more than once."""
    for record in records:
        for field in ("object", "key"):
            key = record.get(field)
            if isinstance(key, str):
                yield key


def _attempts(listed: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """Objects by attempt. What is not of exactly our shape is somebody else's, and its whole folder is left alone."""
    found: dict[str, list[ObjectInfo]] = {}
    foreign: set[str] = set()
    for info in listed:
        attempt = layout.attempt_of_ours(info.key)
        if attempt is None:
            foreign.add(layout.attempt_of(info.key))
        else:
            found.setdefault(attempt, []).append(info)
    return {attempt: objects for attempt, objects in found.items() if attempt not in foreign}


def _has_copy(objects: Sequence[ObjectInfo]) -> bool:
    return any(info.key == layout.copy_key(layout.attempt_of(info.key)) for info in objects)


def _orphan(attempt: str, objects: Sequence[ObjectInfo]) -> Orphan:
    moments = [info.modified for info in objects]
    known = [moment for moment in moments if moment is not None]
    newest = max(known) if len(known) == len(moments) else None
    return Orphan(attempt=attempt, objects=tuple(objects), newest=newest)
