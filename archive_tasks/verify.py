"""Target against manifests: is every archive there, whole, and as it was written?

Nothing is changed and nothing is thawed. What a store says of an object is believed as far as the doctor found its
word to be proof; otherwise the object is read.
"""

from __future__ import annotations

import hashlib
import random as random_module
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from archive_tasks import layout
from archive_tasks.archived_objects import ArchivedObject, objects_in
from archive_tasks.errors import EntryError, ManifestError, ObjectFrozen, ObjectMissing
from archive_tasks.manifest import Record, name_in, read_manifest
from archive_tasks.manifest_entry import ManifestEntry, entry_of
from archive_tasks.model import Failure
from archive_tasks.names import display
from archive_tasks.pace import Patience
from archive_tasks.pack import unpack_frame
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.unpack import LARGEST_UNPACKED

_RANGE = 16 * 1024 * 1024


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
        orphans: data that no manifest speaks of, by attempt: (objects, bytes).
    """

    archives: int = 0
    objects: int = 0
    files: int = 0
    read: int = 0
    trusted: int = 0
    unread: int = 0
    frozen: int = 0
    damaged: list[Failure] = field(default_factory=list)
    orphans: dict[str, tuple[int, int]] = field(default_factory=dict)


class Ask(NamedTuple):
    """How far to go.

    Attributes:
        trusted: the store's checksums are proof.
        read: share of the objects that are read whatever the store says, from 0 to 1.
        quick: True reads nothing: presence and size, and checksums where they are proof.
    """

    trusted: bool
    read: float = 0.0
    quick: bool = False


def verify(
    store: Store,
    ask: Ask,
    *,
    patience: Patience,
    concurrency: int,
    wanted: Callable[[str], bool] = lambda _key: True,
    written: Callable[[str], str] = lambda _key: "",
    on_progress: Callable[[int, int], None] = lambda _archives, _all: None,
    random: Callable[[], float] = random_module.random,
) -> Verified:
    """Look at every archive in the target.

    Args:
        wanted: which archives, by the key of the manifest; orphans are looked for only when all are wanted.
        written: SHA-256 of the manifest that this device wrote under a key, empty where it wrote none.
        on_progress: told how many archives of how many are done.
        random: a number from 0 to 1, for the sample.

    Raises:
        StoreError: the target cannot be listed or read at all.
    """
    verified = Verified()
    present = {info.key: info for info in patience.ask(lambda: list(store.list(layout.DATA)))}
    manifests = [info for info in patience.ask(lambda: list(store.list(layout.MANIFESTS))) if wanted(info.key)]
    spoken_of: set[str] = set()
    with ThreadPoolExecutor(concurrency, thread_name_prefix="verify") as pool:
        verifier = _Verifier(store, ask, patience, pool, verified, present, written, random)
        for number, info in enumerate(manifests, start=1):
            spoken_of |= verifier.archive(info.key)
            on_progress(number, len(manifests))
    if all(wanted(info.key) for info in manifests):
        verified.orphans = orphans(present, spoken_of)
    return verified


def orphans(present: Mapping[str, ObjectInfo], spoken_of: set[str]) -> dict[str, tuple[int, int]]:
    """Objects that no manifest speaks of, by attempt: (number, bytes)."""
    found: dict[str, tuple[int, int]] = {}
    for key, info in present.items():
        if key not in spoken_of:
            attempt = layout.attempt_of(key)
            number, size = found.get(attempt, (0, 0))
            found[attempt] = (number + 1, size + info.size)
    return found


def objects_of(records: Iterator[Record]) -> Iterator[str]:
    """Keys that the lines of a manifest speak of; some come more than once."""
    for record in records:
        key = record.get("object") or record.get("key")
        if isinstance(key, str):
            yield key


class _Verifier:
    def __init__(
        self,
        store: Store,
        ask: Ask,
        patience: Patience,
        pool: Executor,
        verified: Verified,
        present: Mapping[str, ObjectInfo],
        written: Callable[[str], str],
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._ask = ask
        self._patience = patience
        self._pool = pool
        self._verified = verified
        self._present = present
        self._written = written
        self._random = random

    def archive(self, key: str) -> set[str]:
        """Look at one archive; returns the keys that it speaks of."""
        self._verified.archives += 1
        try:
            manifest = self._patience.ask(lambda: b"".join(self._store.read(key)))
            objects = objects_in(manifest)
        except (ManifestError, ObjectMissing) as error:
            self._verified.damaged.append(Failure(key, str(error)))
            return set()
        expected = self._written(key)
        if expected and hashlib.sha256(manifest).hexdigest() != expected:
            self._verified.damaged.append(Failure(key, "it can be read, but is not as this device wrote it"))
        checks = self._pool.map(lambda one: self._object(*one), objects.items())
        bad = {key: problem for key, problem in zip(objects, checks, strict=True) if problem}
        if bad:
            self._name_files(manifest, bad)
        self._verified.files += sum(one.files for one in objects.values())
        self._verified.objects += len(objects)
        return set(objects)

    def _object(self, key: str, expected: ArchivedObject) -> str:
        """What is wrong with an object, or an empty text."""
        info = self._present.get(key)
        if info is None:
            return "it is missing"
        if info.size != expected.size:
            return f"it has {info.size:,} bytes and should have {expected.size:,}"
        if self._store.is_cold(info.storage_class):
            self._verified.frozen += 1
            return self._by_its_word(key, expected) or ""
        if self._ask.read >= 1 or self._random() < self._ask.read:
            return self._by_reading(key, expected)
        problem = self._by_its_word(key, expected)
        if problem is not None:
            return problem
        if self._ask.quick or self._ask.read:
            self._verified.unread += 1
            return ""
        return self._by_reading(key, expected)

    def _by_its_word(self, key: str, expected: ArchivedObject) -> str | None:
        """By the store's checksum; None when that is none or no proof."""
        if not self._ask.trusted:
            return None
        found = self._patience.ask(lambda: self._store.describe(key))
        if found is None:
            return "it is missing"
        if found.checksum is None:
            return None
        self._verified.trusted += 1
        return "" if found.checksum == expected.as_stored(key).checksum else "it has another checksum"

    def _by_reading(self, key: str, expected: ArchivedObject) -> str:
        digest = hashlib.sha256()
        try:
            for offset in range(0, expected.size, _RANGE):
                digest.update(self._patience.ask(lambda at=offset: self._range(key, at)))  # type: ignore[misc]
        except ObjectFrozen:
            self._verified.frozen += 1
            return ""
        except ObjectMissing:
            return "it is missing"
        self._verified.read += expected.size
        return "" if digest.hexdigest() == expected.sha256 else "it holds other bytes than were written"

    def _range(self, key: str, offset: int) -> bytes:
        return b"".join(self._store.read(key, offset=offset, length=_RANGE))

    # -- down to the file ---------------------------------------------------------------------------

    def _name_files(self, manifest: bytes, bad: Mapping[str, str]) -> None:
        """Name each file whose bytes are gone or changed; of a damaged pack, some may be whole."""
        item = ""
        named: dict[str, int] = dict.fromkeys(bad, 0)
        for number, record in enumerate(read_manifest(manifest)):
            if number == 0:
                item = name_in(record, "item")
            elif "path" in record and (place := entry_of(record).place) is not None and place.key in bad:
                entry = entry_of(record)
                problem = self._file_problem(entry, bad[place.key])
                if problem:
                    named[place.key] += 1
                    self._verified.damaged.append(Failure(entry.path, f"{problem} ({place.key})"))
        for key, number in named.items():
            if not number:
                what = f"{bad[key]}; no file of {display(item)} is harmed that could be read"
                self._verified.damaged.append(Failure(key, what))

    def _file_problem(self, entry: ManifestEntry, problem: str) -> str:
        """Read what holds the file, as far as there is anything to read."""
        place = entry.place
        if place is None or place.within is None or problem == "it is missing":
            return problem
        try:
            data = self._patience.ask(
                lambda: b"".join(self._store.read(place.key, offset=place.offset, length=place.length))
            )
            if place.within + entry.size > LARGEST_UNPACKED:
                raise EntryError("its place makes no sense")
            contents = unpack_frame(data, place.within + entry.size)[place.within :]
        except ObjectFrozen:
            return problem
        except (ValueError, EntryError) as error:
            return f"its pack is damaged: {error}"
        return "" if hashlib.sha256(contents).hexdigest() == entry.sha256 else "it holds other bytes than were written"
