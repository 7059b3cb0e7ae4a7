"""What a store is: the promises that every target keeps, and what the doctor asks of one.

The keys are the layout's, the words are the design's: a target is a URL, a store is an opened target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Thaw:
    """How far an object of a cold class is from being readable.

    Attributes:
        state: `frozen` until somebody asks for it, `thawing` for minutes to days, `thawed` while there is a copy
            that can be read.
        until: when that copy goes away (UTC); None when it is not there yet, or the store does not say.
    """

    state: Literal["frozen", "thawing", "thawed"]
    until: datetime | None = None


class ObjectInfo(NamedTuple):
    """What a store says of an object.

    Attributes:
        size: bytes.
        checksum: SHA-256 in the notation of `archive_tasks.checksums`, or None when the store gives none.
            It is the store's word: it proves something only where the store was seen to refuse wrong ones.
        modified: when it was written (UTC), by the store's clock.
        storage_class: the store's name of the class that it lies in; empty where there are no classes.
        thaw: None for an object that can be read at once.
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
        """Make the object visible, create-only; `size` is its exact number of bytes. Raises ObjectExists;
        IntegrityError when other than `size` bytes were sent; StoreBusy(start_over=True) when the upload is void
        and must begin again.
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
        storage_class: the class that the settings name for data objects; empty leaves it to the store.
    """

    @property
    def url(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def largest_put(self) -> int: ...

    @property
    def storage_class(self) -> str: ...

    def is_cold(self, storage_class: str) -> bool:
        """Must an object of that class be thawed before it can be read? False for the empty class."""

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
        An empty `storage_class` leaves the class to the bucket, where it can be read at once (manifests, README).
        """

    def upload(self, key: str, size: int, *, storage_class: str = "") -> Upload:
        """Begin an object that will have at most `size` bytes, in the given class (see `put`)."""

    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The object's bytes, in chunks of at most 1 MiB. Raises ObjectMissing; ObjectFrozen; StoreBusy when
        fewer bytes come than the store announced.
        """

    def thaw(self, key: str, *, tier: str, days: int) -> None:
        """Ask for a copy of a frozen object that can be read for `days` days.

        Returns at once; `describe` tells when the copy is there. No error when it was asked for before, or when
        the object can be read at once. For a thawed object, `days` count anew from now.

        Args:
            tier: how fast, in the store's words; S3's are Expedited, Standard and Bulk.

        Raises:
            ObjectMissing: there is no such object.
            StoreBusy: the store has no room for that tier now.
        """

    def describe(self, key: str) -> ObjectInfo | None:
        """All that is known of it, or None when there is no such object. Never None for "I may not look"."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix`, in no promised order. `checksum` and `thaw` are left None:
        only `describe` knows whether an object of a cold class is frozen.
        """

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
