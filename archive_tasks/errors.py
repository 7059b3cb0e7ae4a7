"""Everything that archive_tasks raises on purpose.

A message says what happened, where, and what to do; it is shown as it is.

```
ArchiveTasksError                exit code 1
├── UsageError                   exit code 2: a flag, a root, a target URL
│   ├── SettingsError            an unknown or impossible setting
│   ├── PluginError              a plugin that cannot load or answers nonsense
│   └── SeveralSources           a restore that could mean several archives; carries them
├── PartlyFailed                 exit code 3: done, but not everything
├── Damaged                      verify found damage
├── NotPruned                    prune stops: what is an orphan is unknown, or somebody is writing
├── ItemError                    one item cannot be archived or cleaned now; the others go on
│   ├── ItemChanged              it changed while it was read
│   ├── ItemUnreadable           something in it cannot be read or stored
│   ├── NotCleaned               its local copy stays, for a reason of its own
│   ├── PartlyPurged             a part of its local copy is gone, the rest is aside
│   └── NotProven                its local copy stays: the target does not provably hold it
├── EntryError                   one entry cannot be restored; the others go on
│   └── EntryOccupied            something else is where it would go
├── DestinationUnusable          no further entry can be restored: full disk, read-only, vanished; stops the run
├── StoreError                   the target
│   ├── StoreUnusable            no retry will help: credentials, bucket, full disk; stops the run
│   ├── StoreBusy                worth another try: timeouts, 5xx, SlowDown
│   ├── ObjectExists             create-only met an object with other contents
│   ├── ObjectMissing            no such object
│   ├── ObjectFrozen             it must be thawed before it can be read
│   └── IntegrityError           the bytes that the store has are not ours
│       └── ObjectUnreadable     it is there, and cannot be read: a bad sector, rights of another user
├── ManifestError                a manifest that cannot be read
├── RootLocked                   another run works on this root
├── CatalogueError               the local catalogue cannot be used
│   └── CatalogueDamaged         it is not what was written, and must be rebuilt
└── Interrupted                  the user stopped the run
```
`HolesHoldData` stands beside the tree: it is caught where a file with holes is sent, and the file is sent as any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive_tasks.model import Archive


class ArchiveTasksError(Exception):
    """Base of all errors of this package; `exit_code` is what a command ends with."""

    exit_code = 1


class UsageError(ArchiveTasksError):
    """The command or its settings are wrong; nothing was touched."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is unknown, or its value is impossible."""


class PluginError(UsageError):
    """A plugin cannot be loaded, or answered something that makes no sense."""


class ItemError(ArchiveTasksError):
    """One item cannot be archived or cleaned in this run. Its message becomes the item's reason."""


class ItemChanged(ItemError):
    """Something in the item changed while it was being archived."""


class ItemUnreadable(ItemError):
    """Something in the item cannot be read, or is of a kind that cannot be stored."""


class NotCleaned(ItemError):
    """An item's local copy stays where it is. Its message becomes the item's reason."""


class PartlyPurged(ItemError):
    """A part of an item is gone for good, and the rest is still aside: something that a person must look at."""


class NotProven(ItemError):
    """The target does not provably hold an item, whose local copy therefore stays: something is wrong there."""


class EntryError(ArchiveTasksError):
    """One entry cannot be restored. Its message says which, and why."""


class EntryOccupied(EntryError):
    """Something that is not the entry is where it would go; it was left unchanged."""


class DestinationUnusable(ArchiveTasksError):
    """Nothing more can be restored into the destination (full disk, read-only, vanished): the run stops."""


class StoreError(ArchiveTasksError):
    """Something about the target."""


class StoreUnusable(StoreError):
    """No retry will help (credentials, missing bucket, full disk): the run stops."""


class StoreBusy(StoreError):
    """A temporary fault: worth another try.

    Args:
        message: what the store answered.
        slow_down: True when the store asked for fewer requests (503 SlowDown, 429).
        retry_after: seconds that the store asked us to wait, if it said so.
        start_over: True when a multipart upload is void and all its parts must be sent again.
    """

    def __init__(
        self,
        message: str,
        *,
        slow_down: bool = False,
        retry_after: float | None = None,
        start_over: bool = False,
    ) -> None:
        super().__init__(message)
        self.slow_down = slow_down
        self.retry_after = retry_after
        self.start_over = start_over


class ObjectExists(StoreError):
    """A create-only write met an object that is not the one being written."""


class ObjectMissing(StoreError):
    """There is no object with that key."""


class ObjectFrozen(StoreError):
    """The object is in a cold class and must be thawed before it can be read."""


class IntegrityError(StoreError):
    """The store has, or returned, other bytes than it was given."""


class ObjectUnreadable(IntegrityError):
    """The store has the object and cannot return it: a bad sector, or rights of another user's. Others can be read."""


class ManifestError(ArchiveTasksError):
    """A manifest is damaged, cut short, or newer than this version can read."""


class RootLocked(ArchiveTasksError):
    """Another run is cleaning this root."""


class CatalogueError(ArchiveTasksError):
    """The local catalogue cannot be opened or belongs to another target."""


class CatalogueDamaged(CatalogueError):
    """The local catalogue is not what was written; it can be rebuilt from the target."""


class Interrupted(ArchiveTasksError):
    """The user stopped the run; everything committed so far stays."""


PARTLY_FAILED = 3


class PartlyFailed(ArchiveTasksError):
    """The run is done, but an item failed. Its message is the sum of the run."""

    exit_code = PARTLY_FAILED


class Damaged(ArchiveTasksError):
    """Something in the target is not as it should be."""


class SeveralSources(UsageError):
    """An item of the name was archived from several sources, and it is not clear which one is meant."""

    def __init__(self, message: str, candidates: Sequence[Archive]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class NotPruned(ArchiveTasksError):
    """Something about the target is doubtful, so it is unknown what is an orphan. Nothing was removed."""


class HolesHoldData(Exception):
    """The filesystem reported a hole that holds data: the file must be sent as any other."""
