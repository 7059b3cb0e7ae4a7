"""Objects in the target against a manifest: are they there, whole, and as they were written?

What a store says of an object is trusted as far as the doctor found its word to be proof; otherwise the object is
read. Nothing is thawed.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from archive_tasks.errors import EntryError, ObjectFrozen, ObjectMissing, ObjectUnreadable
from archive_tasks.formats import layout
from archive_tasks.formats.entry import ManifestEntry, entry_of
from archive_tasks.formats.frames import LARGEST_UNPACKED, unpack_frame
from archive_tasks.formats.manifest import name_in, read_manifest
from archive_tasks.formats.objects import ArchivedObject
from archive_tasks.model import Archive, Failure
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.packed_entries import packed_problems
from archive_tasks.target.patience import Patience
from archive_tasks.target.read_object import read_object
from archive_tasks.upkeep.packs_in_order import PacksInOrder
from archive_tasks.upkeep.verified import Verified, VerifyOptions

_RANGE = 16 * 1024 * 1024
_MISSING = "it is missing"


class ObjectChecker:
    """Looks at the objects of one archive after the other, and counts in `verified` what it did.

    Args:
        present: what is listed in the target, by key.
        random: a number from 0 to 1, for the sample.
    """

    def __init__(
        self,
        store: Store,
        ask: VerifyOptions,
        patience: Patience,
        pool: Executor,
        verified: Verified,
        present: Mapping[str, ObjectInfo],
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._ask = ask
        self._patience = patience
        self._pool = pool
        self._verified = verified
        self._present = present
        self._random = random
        self._lock = threading.Lock()
        self._unread: dict[str, str] = {}
        self._met_frozen: set[str] = set()

    def problems(self, manifest: bytes, objects: Mapping[str, ArchivedObject]) -> list[Failure]:
        """What is wrong with the objects of an archive, down to the file. Raises ManifestError."""
        self._verified.files += sum(one.files for one in objects.values())
        self._verified.objects += len(objects)
        everything = self._ask.read >= 1
        alone = {key: one for key, one in objects.items() if not (everything and one.is_pack)}
        checks = self._pool.map(lambda one: self._object(*one), alone.items())
        bad = {key: problem for key, problem in zip(alone, checks, strict=True) if problem}
        problems = self._named(manifest, bad) if bad else []
        packs = {key: one for key, one in objects.items() if key not in alone}
        return problems + (self._packs(manifest, packs) if packs else [])

    def copy_problem(self, archive: Archive, manifest: bytes) -> str:
        """What is wrong with the copy of a manifest; formats 1 and 2 had none."""
        if not archive.data or not layout.commit_in(archive.manifest):
            return ""
        copy = layout.copy_key(archive.data)
        if problem := self._presence(copy, ArchivedObject(size=len(manifest))):
            return f"as the copy of a manifest, {problem}"
        try:
            same = self._ask.quick or self._range(copy, 0, len(manifest)) == manifest
        except (ObjectMissing, ObjectUnreadable) as error:
            return str(error)
        return "" if same else "as the copy of a manifest, it holds other bytes than were written"

    # -- one object ---------------------------------------------------------------------------------

    def _object(self, key: str, expected: ArchivedObject) -> str:
        """What is wrong with an object, or an empty text."""
        if problem := self._presence(key, expected):
            return problem
        if self._is_cold(key):
            self._count(frozen=1)
            return self._by_its_word(key, expected) or ""
        if self._ask.read >= 1 or self._random() < self._ask.read:
            return self._by_reading(key, expected)
        word = self._by_its_word(key, expected)
        if word is not None:
            return word
        if self._ask.quick or self._ask.read:
            self._count(unread=1)
            return ""
        return self._by_reading(key, expected)

    def _presence(self, key: str, expected: ArchivedObject) -> str:
        """What is not listed is looked up by its key: a listing may hide things for a while."""
        info = self._present.get(key) or self._patience.ask(lambda: self._store.describe(key))
        if info is None:
            return _MISSING
        return "" if info.size == expected.size else f"it has {info.size:,} bytes and should have {expected.size:,}"

    def _by_its_word(self, key: str, expected: ArchivedObject) -> str | None:
        """By the store's checksum; None when it is missing or proves nothing."""
        if not self._ask.trusted:
            return None
        found = self._patience.ask(lambda: self._store.describe(key))
        if found is None:
            return _MISSING
        if found.checksum is None:
            return None
        self._count(trusted=1)
        return "" if found.checksum == expected.as_stored(key).checksum else "it has another checksum"

    def _by_reading(self, key: str, expected: ArchivedObject) -> str:
        digest = hashlib.sha256()
        try:
            for offset in range(0, expected.size, _RANGE):
                digest.update(self._range(key, offset, _RANGE))
        except ObjectFrozen:
            self._count(frozen=1)
            return ""
        except ObjectMissing:
            return _MISSING
        except ObjectUnreadable as error:
            return str(error)
        self._count(read=expected.size)
        return "" if digest.hexdigest() == expected.sha256 else "it holds other bytes than were written"

    def _range(self, key: str, offset: int, length: int) -> bytes:
        return read_object(self._store, key, self._patience, offset=offset, length=length)

    def _range_or_nothing(self, key: str, offset: int, length: int) -> bytes:
        """Where it cannot be read, the files in it are named as those of a pack that is cut short.

        A pack can vanish, or move to a cold class by a rule of the bucket's, after it was listed.
        """
        try:
            return self._range(key, offset, length)
        except ObjectFrozen:
            self._met_frozen.add(key)
        except ObjectMissing:
            self._unread[key] = _MISSING
        except ObjectUnreadable as error:
            self._unread[key] = str(error)
        return b""

    def _count(self, *, read: int = 0, trusted: int = 0, unread: int = 0, frozen: int = 0) -> None:
        """Called by several threads: `+=` alone could lose a count."""
        with self._lock:
            self._verified.read += read
            self._verified.trusted += trusted
            self._verified.unread += unread
            self._verified.frozen += frozen

    # -- packs, read once: their bytes against their digests, their entries against the manifest -----

    def _packs(self, manifest: bytes, packs: Mapping[str, ArchivedObject]) -> list[Failure]:
        bad = {key: problem for key, one in packs.items() if (problem := self._presence(key, one))}
        cold = {key for key in packs if key not in bad and self._is_cold(key)}
        readable = {key: one for key, one in packs.items() if key not in bad and key not in cold}
        reading = PacksInOrder(readable, self._range_or_nothing, self._pool)
        problems = self._named(manifest, bad) if bad else []
        problems += packed_problems(manifest, reading)
        others = [Failure(key, reading.rest(key, one)) for key, one in readable.items()]
        others = [Failure(key, self._unread.get(key, reason)) for key, reason in others if reason]
        read = readable.keys() - self._met_frozen
        self._count(read=sum(readable[key].size for key in read), frozen=len(cold) + len(readable) - len(read))
        problems = [one for one in problems if not one.reason.endswith(tuple(f"({key})" for key in self._met_frozen))]
        named = {key for key in read if any(problem.reason.endswith(f"({key})") for problem in problems)}
        return problems + [one for one in others if one.item in read and one.item not in named]

    def _is_cold(self, key: str) -> bool:
        info = self._present.get(key)
        return info is not None and self._store.is_cold(info.storage_class)

    # -- down to the file ---------------------------------------------------------------------------

    def _named(self, manifest: bytes, bad: Mapping[str, str]) -> list[Failure]:
        """Name each file whose bytes are gone or changed; of a damaged pack, some may be whole."""
        item = ""
        problems: list[Failure] = []
        named: dict[str, int] = dict.fromkeys(bad, 0)
        for number, record in enumerate(read_manifest(manifest)):
            if number == 0:
                item = name_in(record, "item")
            elif "path" in record and (place := entry_of(record).place) is not None and place.key in bad:
                entry = entry_of(record)
                problem = self._file_problem(entry, bad[place.key])
                if problem:
                    named[place.key] += 1
                    problems.append(Failure(entry.path, f"{problem} ({place.key})"))
        for key, number in named.items():
            if not number:
                what = f"{bad[key]}; no readable file of {display(item)} is affected"
                problems.append(Failure(key, what))
        return problems

    def _file_problem(self, entry: ManifestEntry, problem: str) -> str:
        """Read what holds the file, as far as there is anything to read."""
        place = entry.place
        if place is None or place.within is None or problem == _MISSING:
            return problem
        try:
            data = read_object(self._store, place.key, self._patience, offset=place.offset, length=place.length)
            if place.within + entry.size > LARGEST_UNPACKED:
                raise EntryError("its place makes no sense")
            contents = unpack_frame(data, place.within + entry.size)[place.within :]
        except (ObjectFrozen, ObjectMissing, ObjectUnreadable):
            return problem
        except (ValueError, EntryError) as error:
            return f"its pack is damaged: {error}"
        return "" if hashlib.sha256(contents).hexdigest() == entry.sha256 else "it holds other bytes than were written"
