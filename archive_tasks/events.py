"""What observers and the progress display hear about a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from archive_tasks.model import Archive, Outcome, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """An archive run begins; `items`, `files` and `bytes` are what the plan holds."""

    target: str
    items: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStarted:
    item: str
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemArchived:
    """An item is archived; `again` says why, where the same had been archived before, and empty where it had not."""

    archive: Archive
    receipt: Receipt
    again: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAlreadyThere:
    archive: Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKept:
    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFailed:
    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A request to the target failed temporarily and is retried after `seconds`."""

    item: str
    problem: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestUnreadable:
    """A manifest that matters to the run cannot be used; its archive does not count as one."""

    manifest: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreStarted:
    """A restore begins; `files` and `bytes` are what was asked for."""

    target: str
    items: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRestored:
    """What was asked for of an archive is in the folder `to`, except `failed` entries: see `EntryFailed`."""

    archive: Archive
    to: str
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFailed:
    """An entry was not restored; `path` is where it would have gone."""

    path: str
    reason: str


Event = (
    RunStarted
    | ItemStarted
    | ItemArchived
    | ItemAlreadyThere
    | ItemKept
    | ItemFailed
    | Retrying
    | ManifestUnreadable
    | RunFinished
    | RestoreStarted
    | ItemRestored
    | EntryFailed
)


class Progress(Protocol):
    """Receives progress as the work goes on, from several threads at once."""

    def event(self, event: Event) -> None: ...

    def stored(self, files: int, size: int) -> None:
        """`files` more files and `size` more bytes are in the store (and proven where files > 0)."""
