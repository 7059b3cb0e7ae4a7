"""What verify is asked, what it goes by, and what it found, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from archive_tasks.formats.manifest import Record
from archive_tasks.model import Archive, Failure


@dataclass(slots=True)
class Verified:
    """What was found.

    Attributes:
        archives, objects, files: looked at.
        read: bytes of objects that were read.
        trusted: objects that the store's own checksum vouched for.
        unread: objects of which only presence and size are known.
        frozen: objects in a cold class, which were not read.
        damaged: archive, object or file, and what is wrong with it.
        replaced: damaged archives whose items were archived again as a whole, by the key of their manifest.
        missing: archives that this device has receipts for, and whose manifests are not there, or are others.
        uncommitted: attempts that hold a copy of their manifest, which is not there itself.
        copies: keys of the manifests of archives whose copies of them are not as they should be.
        harmed: keys of the manifests of archives that are damaged, and not replaced.
        whole: keys of the manifests of archives with no known damage.
        orphans: attempts that nothing refers to: (objects, bytes).
    """

    archives: int = 0
    objects: int = 0
    files: int = 0
    read: int = 0
    trusted: int = 0
    unread: int = 0
    frozen: int = 0
    damaged: list[Failure] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    uncommitted: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    harmed: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    orphans: dict[str, tuple[int, int]] = field(default_factory=dict)


class VerifyOptions(NamedTuple):
    """How far to go.

    Attributes:
        trusted: the store's checksums are proof.
        read: share of the objects that are read whatever the store says, from 0 to 1.
        quick: True reads nothing: presence and size, and checksums where they are proof.
    """

    trusted: bool
    read: float = 0.0
    quick: bool = False


class Promise(NamedTuple):
    """What a receipt of this device says: this archive is in the target, with a manifest of this SHA-256.

    Attributes:
        lines: of its manifest, as this device keeps them. Raises ManifestError where it does not.
    """

    archive: Archive
    sha256: str
    lines: Callable[[], Iterator[Record]]
