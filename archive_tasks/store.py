"""What a store is: the promises that every target keeps, and what the doctor asks of one.

The keys are the layout's, the words are the design's: a target is a URL, a store is an opened target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable


class Thaw(NamedTuple):
    """Where an object of a cold class is on its way to be read.

    Attributes:
        state: `frozen` until it is asked for, `thawing` while the store brings a copy up, `thawed` while that lasts.
        until: when the copy goes away; None without a copy.
    """

    state: Literal["frozen", "thawing", "thawed"]
    until: datetime | None = None


class ObjectInfo(NamedTuple):
    """What a store says of an object.

    Attributes:
        size: bytes.
        checksum: SHA-256 in the notation of `archive_tasks.formats.checksums`, or None when the store gives none.
            It is only a claim: proof only where the store was seen to refuse wrong ones.
        modified: when it was written, by the store's clock.
        storage_class: in the store's words; empty where it has none.
        thaw: None for what can be read at once; set by `describe` only.
    """

    key: str
    size: int
    checksum: str | None = None
    modified: datetime | None = None
    storage_class: str = ""
    thaw: Thaw | None = None


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

    def complete(self, size: int) -> None:
        """Make the object of exactly `size` bytes visible, create-only.

        Raises ObjectExists; IntegrityError when other than `size` bytes were sent, and nothing is visible then;
        StoreBusy(start_over=True) when the upload is void and must begin again.
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
        storage_class: that the settings name for data objects; empty leaves it to the target.
        dates_can_be_set: True where a client can give an object any date; `prune` refuses there. False where
            `ObjectInfo.modified` is the store's own.
    """

    @property
    def url(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def largest_put(self) -> int: ...

    @property
    def storage_class(self) -> str: ...

    @property
    def dates_can_be_set(self) -> bool: ...

    def is_cold(self, storage_class: str) -> bool:
        """Must an object of this class be thawed before it can be read?"""

    def part_size(self, size: int) -> int:
        """Bytes of a part of an object of `size` bytes, when it is uploaded in parts."""

    def exists(self) -> bool:
        """Is the bucket (or folder) there? Raises StoreUnusable when that cannot be found out."""

    def create(self) -> None:
        """Make the bucket (or folder), private and with unfinished uploads expiring. The user was asked."""

    def free_bytes(self) -> int | None:
        """Room that is left, where it is limited and known; else None."""

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        """Create an object. `sha256` is the raw digest of `data`, given to the server to check.

        Atomic, durable when it returns, and create-only as far as the store can: an object that is there
        already raises ObjectExists, unless its contents are the same (a lost answer to our own write).
        `storage_class` is in the store's own words; empty leaves it to the target, where it can be read at once.
        """

    def upload(self, key: str, size: int, *, storage_class: str = "") -> Upload:
        """Begin an object of at most `size` bytes, which settle the size of its parts."""

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, in chunks of at most 1 MiB. Raises ObjectMissing; ObjectFrozen; StoreBusy when
        fewer bytes come than the store announced.
        """

    def describe(self, key: str) -> ObjectInfo | None:
        """Size and checksum, or None when there is no such object. Never None for "I may not look"."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix`, in no promised order, checksums left None."""

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        """Ask for an object of a cold class to be readable for so many days. No error when it is on its way already,
        or needs no thawing.

        Args:
            tier: in the store's words: Expedited, Standard, Bulk.
        """

    def delete(self, key: str) -> None:
        """Remove an object; no error when it is gone already. Asked for by `doctor` (its own) and `prune` (orphans)."""

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
            that its checksums are proof; otherwise every object is read back.
    """

    target: str
    identity: str
    checked_at: datetime
    answers: dict[ProbeName, Answer] = field(default_factory=dict)
    trusted: bool = False


StoreFactory = Callable[[str, Any], Store]
"""(target URL, Settings) -> Store. Opening makes no request and imports what it needs, no sooner."""


def put_whole(store: Store, key: str, data: bytes) -> None:
    """Write an object in one request, with its right checksum. Raises StoreError."""
    store.put(key, data, sha256=hashlib.sha256(data).digest())
