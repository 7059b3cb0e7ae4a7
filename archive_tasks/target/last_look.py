"""The look at an attempt right before its manifest is written: is everything that it refers to still there?

`prune` removes attempts that will never be committed, and must not meet a run that does. It puts a mark into the
attempt, and then asks whether a copy of the manifest is there; a commit puts the copy there, and then asks for the
mark. So one of the two sees the other, however long either was suspended, and no clock counts. (tests/models, MARKS)

Beside that, `prune` takes only attempts whose newest object is 14 days old, and a commit is refused where, by the
store's own dates, seven days passed between two objects of its attempt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from archive_tasks.errors import IntegrityError, StoreError
from archive_tasks.formats import layout
from archive_tasks.names import display
from archive_tasks.store import Store, put_whole
from archive_tasks.target.already_there import first_missing, listed_below
from archive_tasks.target.patience import Patience

LONGEST_GAP = timedelta(days=7)
"""Between two objects of an attempt that is committed. Half of the grace that `prune` leaves."""
# Far more often than the longest gap asks for, because one that fails is given only a day later.
_SIGN_EVERY = timedelta(days=1)


def check_attempt(
    prefix: str, sizes: Mapping[str, int], store: Store, patience: Patience, *, claims: frozenset[str] = frozenset()
) -> None:
    """List the attempt once more, its copy of the manifest included.

    Args:
        sizes: bytes of each object that the manifest refers to, by key.
        claims: of this data folder to the attempt.

    Raises:
        IntegrityError: an object is not there any more, the attempt was left alone for too long, or another run, with
            a copy of this data folder, resumed it.
    """
    check_not_pruned(prefix, store, patience)
    listed = listed_below(store, prefix, patience)
    check_claims(listed, claims)
    unlisted = [key for key, size in sizes.items() if key not in listed or listed[key].size != size]
    if missing := first_missing(sizes, unlisted, store, patience):
        raise IntegrityError(f"the target no longer holds {display(missing)}: it is sent again by the next run")
    check_gaps(info.modified for info in listed.values())


def check_claims(listed: Iterable[str], claims: frozenset[str]) -> None:
    """Raises IntegrityError where somebody else resumes, or resumed, the attempt.

    Two runs that write below one prefix could replace each other's objects, on servers that let a write replace. So
    whoever resumes writes a claim, and then looks for others' and for the copy of a manifest; whoever commits writes
    the copy, and then looks for claims: one of the two sees the other.
    """
    if any(layout.is_claim(key) and key not in claims for key in listed):
        raise IntegrityError(
            "a run with a copy of this device's data folder resumed it too, so it is sent again by the next run"
        )


def put_sign(key: str, store: Store) -> None:
    """Write a small object of which the key says everything. Raises StoreError."""
    put_whole(store, key, key.encode())


def check_not_pruned(
    prefix: str, store: Store, patience: Patience, *, what_next: str = "it is sent again by the next run"
) -> None:
    """To be asked when the copy of the manifest is there. Raises IntegrityError, which says `what_next`."""
    if patience.ask(lambda: store.describe(layout.pruned_key(prefix))) is not None:
        raise IntegrityError(f"prune is removing what its interrupted run left behind: {what_next}")


def check_gaps(moments: Iterable[datetime | None]) -> None:
    """Raises IntegrityError where too much time passed between two of an attempt's objects."""
    known = sorted(moment for moment in moments if moment is not None)
    if any(later - earlier >= LONGEST_GAP for earlier, later in pairwise(known)):
        raise IntegrityError(
            f"its upload was paused for {LONGEST_GAP.days} days or more, so prune may have removed part of it: "
            "it is sent again by the next run"
        )


class SignsOfLife:
    """Writes a small object into an attempt once a day, so that an upload of weeks does not look abandoned.

    Safe to call from several threads.
    """

    def __init__(self, prefix: str, store: Store, wall: Callable[[], datetime]) -> None:
        self._prefix = prefix
        self._store = store
        self._wall = wall
        self._last = wall()
        self._lock = threading.Lock()

    def give(self) -> None:
        """Give one where the last is a day old. One that fails is given at the next call, a day later."""
        with self._lock:
            now = self._wall()
            if now - self._last < _SIGN_EVERY:
                return
            self._last = now
        try:
            put_whole(self._store, layout.alive_key(self._prefix, int(now.timestamp())), now.isoformat().encode())
        except StoreError:
            return
