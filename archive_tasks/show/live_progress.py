"""Progress on a terminal: one bar over all bytes, and a line for each item that is done."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from archive_tasks.events import (
    EntryFailed,
    Event,
    ItemAlreadyThere,
    ItemArchived,
    ItemFailed,
    ItemKept,
    ItemRestored,
    ItemStarted,
    RestoreStarted,
    RunStarted,
)
from archive_tasks.names import display
from archive_tasks.show.plain_progress import event_line

_STYLES = {
    ItemArchived: "green",
    ItemRestored: "green",
    EntryFailed: "bold red",
    ItemFailed: "bold red",
    ItemAlreadyThere: "dim",
    ItemKept: "yellow",
}
_ENDS = (ItemArchived, ItemFailed, ItemAlreadyThere, ItemKept)


class LiveProgress:
    """Files, bytes, rate, time left, and the items that are being worked on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._files = self._all_files = 0
        self._working: list[str] = []
        self._progress = Progress(
            TextColumn("{task.fields[files]}"),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[items]}"),
            console=console,
            transient=True,
            expand=True,
        )
        self._task: TaskID = self._progress.add_task("", total=None, files="", items="")

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def event(self, event: Event) -> None:
        with self._lock:
            self._follow(event)
        if line := event_line(event):
            self._console.print(escape(line), style=_STYLES.get(type(event), ""), highlight=False)

    def stored(self, files: int, size: int) -> None:
        with self._lock:
            self._files += files
            self._progress.update(self._task, advance=size, files=self._files_text())

    def _follow(self, event: Event) -> None:
        if isinstance(event, RunStarted | RestoreStarted):
            self._all_files = event.files
            self._progress.update(self._task, total=event.bytes, files=self._files_text())
        elif isinstance(event, ItemStarted):
            self._working.append(event.item)
        elif isinstance(event, _ENDS):
            name = event.archive.item if isinstance(event, ItemArchived | ItemAlreadyThere) else event.item
            if name in self._working:
                self._working.remove(name)
        items = escape(", ".join(display(name)[:30] for name in self._working[:3]))
        self._progress.update(self._task, items=items)

    def _files_text(self) -> str:
        return f"{self._files:,} of {self._all_files:,} files"
