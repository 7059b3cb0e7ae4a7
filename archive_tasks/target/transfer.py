"""What all transfers of one item share."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

from archive_tasks.errors import Interrupted
from archive_tasks.store import Store
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What all transfers of one item share.

    Attributes:
        trusted: True when the store's own checksums are proof; otherwise what was written is read back.
        already_stored: sizes of objects that an earlier attempt left, by key; they are proven and not sent again.
        on_sent: called with each number of bytes that reached the store.
        storage_class: of the objects, in the store's words.
        cancelled: set when what is still queued for this item must end at once.
    """

    store: Store
    pace: Pace
    patience: Patience
    workers: Executor
    trusted: bool
    storage_class: str = ""
    already_stored: Mapping[str, int] = field(default_factory=dict)
    on_sent: Callable[[int], None] = lambda _size: None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def check_wanted(self) -> None:
        """Raises Interrupted when the item was given up or the run was stopped."""
        if self.cancelled.is_set() or self.pace.stopped:
            raise Interrupted("stopped")


def uncounted(transfer: Transfer) -> Transfer:
    """The same for objects that are not the user's files: progress counts only those."""
    return dataclasses.replace(transfer, on_sent=lambda _size: None)
