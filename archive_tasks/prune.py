"""Removing what no manifest speaks of: objects of runs that never finished.

An attempt is left alone for so long that nobody can be going on with it: a run goes on only with attempts of the
last seven days, and grace is counted from the last object that was written. What is listed first is compared with
manifests that are read afterwards, so an archive that is committed meanwhile is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from archive_tasks import layout
from archive_tasks.catalogue import Catalogue
from archive_tasks.entry_index import kept_records
from archive_tasks.errors import UsageError
from archive_tasks.pace import Patience
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.verify import objects_of

LEAST_GRACE = timedelta(days=8)
"""A day more than an attempt is gone on with (`item_archive.CONTINUED_FOR`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """An attempt that no manifest speaks of."""

    attempt: str
    objects: tuple[ObjectInfo, ...]
    newest: datetime | None

    @property
    def bytes(self) -> int:
        return sum(info.size for info in self.objects)

    def is_old(self, *, now: datetime, grace: timedelta) -> bool:
        """Unknown ages count as young."""
        return self.newest is not None and now - self.newest >= grace


def check_grace(grace: timedelta) -> None:
    """Raises UsageError for one in which a run might still go on."""
    if grace < LEAST_GRACE:
        raise UsageError(
            f"--grace must be at least {LEAST_GRACE.days} days: runs that were cut off are gone on with for a week"
        )


def list_data(store: Store, patience: Patience) -> list[ObjectInfo]:
    """Everything that could be an orphan; to be called before the catalogue is brought in step with the target."""
    return patience.ask(lambda: list(store.list(layout.DATA)))


def find_orphans(listed: list[ObjectInfo], catalogue: Catalogue) -> list[Orphan]:
    """Attempts of `listed` that no archive in the catalogue speaks of, by prefix.

    An attempt of which a manifest speaks at all is never an orphan, whatever else lies in it.
    """
    spoken_of = {
        layout.attempt_of(key)
        for known in catalogue.archives()
        for key in objects_of(kept_records(catalogue, known.archive.id))
    }
    attempts: dict[str, list[ObjectInfo]] = {}
    for info in listed:
        attempt = layout.attempt_of(info.key)
        if attempt not in spoken_of:
            attempts.setdefault(attempt, []).append(info)
    return [_orphan(attempt, objects) for attempt, objects in sorted(attempts.items())]


def _orphan(attempt: str, objects: list[ObjectInfo]) -> Orphan:
    moments = [info.modified for info in objects]
    known = [moment for moment in moments if moment is not None]
    newest = max(known) if len(known) == len(moments) else None
    return Orphan(attempt=attempt, objects=tuple(objects), newest=newest)


def remove(
    orphans: list[Orphan],
    store: Store,
    catalogue: Catalogue,
    *,
    patience: Patience,
    now: datetime,
    on_progress: Callable[[int], None] = lambda _objects: None,
) -> None:
    """Remove the orphans' objects. Each attempt is journalled first, and forgotten, so that no run goes on with it."""
    for orphan in orphans:
        catalogue.forget_attempts_below(orphan.attempt, now=now)
        for number, info in enumerate(orphan.objects, start=1):
            patience.ask(lambda key=info.key: store.delete(key))  # type: ignore[misc]
            on_progress(number)
