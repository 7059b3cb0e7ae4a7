"""The values that the parts of archive_tasks hand to each other. All are frozen; times are UTC.

Paths of entries are relative to the root, separated by `/`, and begin with the item's name. They are `str`
as `os.fsdecode` makes them, so a name that is no valid UTF-8 keeps its bytes (`os.fsencode` gives them back).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

ItemKind = Literal["file", "folder", "link", "other"]
EntryKind = Literal["file", "folder", "link"]

NANOSECONDS_PER_DAY = 86_400 * 10**9

Clock = Callable[[str, os.stat_result], int]
"""(path, lstat result) -> when the entry was last used, in nanoseconds since the epoch.

`path` is the entry's absolute path; it is for clocks that look further than the stat result."""

Excluder = Callable[[str, bool], str | None]
"""(path relative to the root, is it a folder) -> why the entry is left out, or None to keep it in."""

NoiseFilter = Callable[[str], bool]
"""(name of an entry) -> True when the entry does not count as use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderExcluder:
    """An excluder that judges folders only, so that files need not be asked one by one.

    Attributes:
        excludes: path relative to the root -> why the folder is left out, or None to keep it in.
    """

    excludes: Callable[[str], str | None]


class Entry(NamedTuple):
    """One file, folder or symlink seen inside an item (or the item itself)."""

    path: str
    kind: EntryKind
    stat: os.stat_result


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A direct child of the root: kept whole or archived whole."""

    name: str
    root: str
    kind: ItemKind

    @property
    def path(self) -> str:
        """The item's absolute path."""
        return os.path.join(self.root, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What should happen to one item, and why.

    Attributes:
        archive: True to archive the item, False to keep it.
        reason: a sentence; every decision has one.
        newest: path of the entry used last; for an item that is kept because an entry is fresh, that
            entry (the first one met, unless the scan was full). None when nothing was judged.
        newest_ns: when that entry was used, nanoseconds since the epoch.
        files: number of files and symlinks; None when the scan stopped before it knew.
        bytes: their size in bytes; None when the scan stopped before it knew.
        fresh: how many entries are fresh; known only after a full scan of an item that is kept.
        left_out: number of entries that an exclusion leaves out (a folder counts once).
    """

    item: Item
    archive: bool
    reason: str
    newest: str | None = None
    newest_ns: int | None = None
    files: int | None = None
    bytes: int | None = None
    fresh: int | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The decisions for one root, before anything happens.

    Attributes:
        root: absolute path.
        days: an item is stale when it was last used at least this many days ago.
        clock: name of the clock that judged it.
        now: the moment that ages are counted from.
        decisions: one for each item, by name.
        warnings: what makes the judgement doubtful, e.g. a mount that keeps no access times.
    """

    root: str
    days: int
    clock: str
    now: datetime
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()

    @property
    def to_archive(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if decision.archive)

    @property
    def to_keep(self) -> tuple[Decision, ...]:
        return tuple(decision for decision in self.decisions if not decision.archive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """One archived copy of one item.

    Attributes:
        id: 32 hex digits that follow from the item's paths, types, sizes and times.
        manifest: key of its manifest in the target.
        files: number of files and symlinks.
        bytes: size of the files in bytes.
    """

    id: str
    item: str
    root: str
    scope: str
    target: str
    manifest: str
    files: int
    bytes: int
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is proven about one archive: that the store holds every byte of it.

    Attributes:
        manifest_sha256: hex digest of the manifest as it was read back from the store.
        proven_by: `checksum` when the store, known to refuse wrong ones, confirmed each object's;
            `read-back` when every byte was read again and hashed.
        newest_change_ns: the latest ctime among the item's entries when it was archived; an item with
            a later one may have been rewritten behind an unchanged size and mtime.
    """

    archive_id: str
    manifest_sha256: str
    proven_by: Literal["checksum", "read-back"]
    proven_at: datetime
    newest_change_ns: int


class Failure(NamedTuple):
    """An item that was not archived, and why."""

    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one archive run did.

    Attributes:
        archives: made in this run.
        already: those that the target held before.
        kept: items that the plan, or a later look, kept.
        failed: items that should have been archived and were not.
    """

    target: str
    archives: tuple[Archive, ...] = ()
    already: tuple[Archive, ...] = ()
    kept: tuple[Failure, ...] = ()
    failed: tuple[Failure, ...] = ()


# -- events: what observers and the progress display are told -----------------------------------------


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
    archive: Archive
    receipt: Receipt


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
    """A request to the target failed in passing and is tried again after `seconds`."""

    item: str
    problem: str
    seconds: float


Event = RunStarted | ItemStarted | ItemArchived | ItemAlreadyThere | ItemKept | ItemFailed | Retrying | RunFinished


class Progress(Protocol):
    """Told of work as it goes on, from several threads at once."""

    def event(self, event: Event) -> None: ...

    def stored(self, files: int, size: int) -> None:
        """`files` more files and `size` more bytes are in the store (and proven where files > 0)."""


# -- the target ---------------------------------------------------------------------------------------


class ObjectInfo(NamedTuple):
    """What a store says of an object.

    Attributes:
        size: bytes.
        checksum: SHA-256 in the notation of `archive_tasks.checksums`, or None when the store gives none.
            It is the store's word: it proves something only where the store was seen to refuse wrong ones.
    """

    key: str
    size: int
    checksum: str | None = None


class Upload(Protocol):
    """An object that is written in parts. Nothing is visible under its key before `complete`.

    Attributes:
        part_size: bytes of every part but the last, which may be smaller.
    """

    @property
    def part_size(self) -> int: ...

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        """Send part `number` (from 1). `sha256` is the raw digest of `data`. Parts may come from several
        threads and in any order; the same part may be sent again.
        """

    def complete(self) -> None:
        """Make the object visible, create-only. Raises ObjectExists; StoreBusy(start_over=True) when the
        upload is void and must begin again.
        """

    def abort(self) -> None:
        """Forget the parts. Never raises: an upload that cannot be aborted is left to the store's own expiry."""


@runtime_checkable
class Store(Protocol):
    """An opened target. Keys are relative to the target, `/`-separated, of letters, digits and `._~-`.

    Every method may raise StoreBusy (worth another try), StoreUnusable (is not) and is safe to call from
    several threads. A store makes a quick retry or two at most: patience is the caller's.

    Attributes:
        url: the target, as the user wrote it, without secrets.
        identity: what a verdict of the doctor is remembered for: endpoint, bucket, library version.
        largest_put: bytes up to which an object is written by one `put`; a larger one is uploaded in parts.
        reads_at_once: False when what is written goes to a cold class, and cannot be read back.
    """

    @property
    def url(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def largest_put(self) -> int: ...

    @property
    def reads_at_once(self) -> bool: ...

    def part_size(self, size: int) -> int:
        """Bytes of a part of an object of `size` bytes, when it is uploaded in parts."""

    def exists(self) -> bool:
        """Is the bucket (or folder) there? Raises StoreUnusable when that cannot be found out."""

    def create(self) -> None:
        """Make the bucket (or folder), private and with unfinished uploads expiring. The user was asked."""

    def free_bytes(self) -> int | None:
        """Room that is left, where it is limited and known; else None."""

    def put(self, key: str, data: bytes, *, sha256: bytes, hot: bool = False) -> None:
        """Create an object. `sha256` is the raw digest of `data`, given to the server to check.

        Atomic, durable when it returns, and create-only as far as the store can: an object that is there
        already raises ObjectExists, unless its contents are the same (a lost answer to our own write).
        `hot` objects (manifests, README) stay in a class that can be read at once.
        """

    def upload(self, key: str, size: int) -> Upload:
        """Begin an object of `size` bytes, more than `largest_put`."""

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, in chunks of at most 1 MiB. Raises ObjectMissing; IntegrityError when fewer
        bytes come than the store announced.
        """

    def describe(self, key: str) -> ObjectInfo | None:
        """Size and checksum, or None when there is no such object. Never None for "I may not look"."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix`, in no promised order, checksums left None."""

    def delete(self, key: str) -> None:
        """Remove an object; no error when it is gone already. Only the doctor's own objects are removed."""

    def probes(self) -> Sequence[Probe]:
        """The questions that `doctor` asks this kind of store."""


ProbeName = str


class Answer(NamedTuple):
    """What a probe found.

    Attributes:
        ok: True proven, False disproven, None could not be found out (counts as not proven).
        detail: a sentence in plain words.
    """

    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question about what a store really does.

    Attributes:
        name: short and fixed, e.g. `refuses-wrong-checksum`; scripts and verdicts refer to it.
        question: a sentence for people.
        ask: takes a throw-away key prefix (ends with `/`), writes below it only, removes what it wrote
            where it may, and answers. It may raise StoreError: that answers None, with the error's words.
        needed_for_trust: True when the store's checksums are believed only if this is answered True.
        serious: True when False is worth a warning, False when it is only good to know.
    """

    name: ProbeName
    question: str
    ask: Callable[[str], Answer]
    needed_for_trust: bool = False
    serious: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the doctor found out about a store, and when.

    Attributes:
        identity: the store's, see `Store.identity`.
        answers: by probe name.
        trusted: True when the store was seen to refuse wrong checksums and to return right ones, so
            that its word is proof; otherwise every object is read back.
    """

    target: str
    identity: str
    checked_at: datetime
    answers: dict[ProbeName, Answer] = field(default_factory=dict)
    trusted: bool = False


StoreFactory = Callable[[str, Any], Store]
"""(target URL, Settings) -> Store. Opening makes no request and imports what it needs, no sooner."""
