"""Progress in plain lines, for logs and pipes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from archive_tasks.amounts import count_text, size_text
from archive_tasks.events import (
    EntryFailed,
    Event,
    ItemAlreadyThere,
    ItemArchived,
    ItemKept,
    ItemRestored,
    ManifestUnreadable,
    RestoreStarted,
    Retrying,
    RunStarted,
)
from archive_tasks.names import display

_SECONDS_BETWEEN_LINES = 30.0


def event_line(event: Event) -> str | None:
    """The line shown for an event; None when it is not worth one."""
    match event:
        case RunStarted():
            return f"archiving {count_text(event.items, 'item')} ({size_text(event.bytes)}) to {display(event.target)}"
        case RestoreStarted():
            amount = f"{count_text(event.files, 'file')}, {size_text(event.bytes)}"
            return f"restoring {count_text(event.items, 'item')} ({amount}) from {display(event.target)}"
        case ItemRestored(archive=archive):
            what = f"{display(archive.item)} of {archive.created:%Y-%m-%d} to {display(event.to)}"
            missing = count_text(event.failed, "entry is", "entries are")
            return f"PARTLY    restored {what}: {missing} missing" if event.failed else f"restored  {what}"
        case EntryFailed():
            return f"FAILED    {display(event.path)}: {event.reason}"
        case ItemArchived(archive=archive):
            again = f": sent again, {event.again}" if event.again else ""
            amount = f"{count_text(archive.files, 'file')}, {size_text(archive.bytes)}"
            return f"archived  {display(archive.item)} ({amount}){again}"
        case ItemAlreadyThere(archive=archive):
            return f"already   {display(archive.item)} (archived before, nothing sent)"
        case ItemKept():
            return f"kept      {display(event.item)}: {event.reason}"
        case Retrying():
            return f"waiting   {display(event.item)}: {event.problem}; retrying"
        case ManifestUnreadable():
            return f"damaged   {display(event.manifest)}: {event.reason}"
        case _:
            return None


class PlainProgress:
    """A line for each item, and one every half minute while a long item goes on."""

    def __init__(self, say: Callable[[str], None], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began = self._said = monotonic()
        self._files = self._bytes = self._all_files = self._all_bytes = 0

    def event(self, event: Event) -> None:
        if isinstance(event, RunStarted | RestoreStarted):
            self._all_files, self._all_bytes = event.files, event.bytes
        if line := event_line(event):
            self._say(line)

    def stored(self, files: int, size: int) -> None:
        with self._lock:
            self._files += files
            self._bytes += size
            now = self._monotonic()
            if now - self._said < _SECONDS_BETWEEN_LINES:
                return
            self._said = now
        self._say(self._status(now))

    def _status(self, now: float) -> str:
        rate = self._bytes / max(now - self._began, 0.001)
        left = max(self._all_bytes - self._bytes, 0) / rate if rate else 0
        return (
            f"          {self._files:,} of {self._all_files:,} files, {size_text(self._bytes)} of "
            f"{size_text(self._all_bytes)}, {size_text(int(rate))}/s, about {left / 60:.0f} min left"
        )
