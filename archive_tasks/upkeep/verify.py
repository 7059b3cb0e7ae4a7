"""Target against manifests: is every archive there, whole, and as it was written?

Nothing is changed and nothing is thawed. What a store says of an object is trusted as far as the doctor found its
word to be proof; otherwise the object is read. What this device has a receipt for must be there, whatever is listed.
"""

from __future__ import annotations

import hashlib
import random as random_module
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from archive_tasks.errors import EntryError, ManifestError, ObjectFrozen, ObjectMissing, ObjectUnreadable
from archive_tasks.formats import layout
from archive_tasks.formats.entry import ManifestEntry, entry_of
from archive_tasks.formats.frames import LARGEST_UNPACKED, unpack_frame
from archive_tasks.formats.manifest import Record, name_in, read_manifest
from archive_tasks.formats.objects import ArchivedObject, objects_in
from archive_tasks.model import Archive, Failure
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.commit import manifest_problem
from archive_tasks.target.packed_entries import packed_problems
from archive_tasks.target.patience import Patience
from archive_tasks.target.ranges import Fetch
from archive_tasks.target.refresh import archive_of, list_manifests

_RANGE = 16 * 1024 * 1024
_READ_AHEAD = 4
_MISSING = "it is missing"
NOT_LISTED = "its manifest is missing: verify --repair writes it again where it can"


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


class _Looked(NamedTuple):
    """One archive that was looked at. `archive` is None where its manifest cannot be read."""

    archive: Archive | None
    problems: list[Failure]
    copy_problem: str = ""


def verify(
    store: Store,
    ask: VerifyOptions,
    *,
    patience: Patience,
    concurrency: int,
    wanted: Callable[[str], bool] | None = None,
    promised: Mapping[str, Promise] | None = None,
    on_progress: Callable[[int, int], None] = lambda _archives, _all: None,
    random: Callable[[], float] = random_module.random,
) -> Verified:
    """Look at every archive in the target.

    Args:
        wanted: which archives, by the key of the manifest. None takes all, and looks for what nothing refers to.
        promised: what this device has receipts for, by the key of the manifest.
        on_progress: called with how many archives of how many are done.
        random: a number from 0 to 1, for the sample.

    Raises:
        StoreError: the target cannot be listed or read at all.
    """
    verified = Verified()
    promises = {key: one for key, one in (promised or {}).items() if wanted is None or wanted(key)}
    present = {info.key: info for info in patience.ask(lambda: list(store.list(layout.DATA)))}
    listed = list_manifests(store, patience)  # after the data: an archive that is committed meanwhile is seen whole
    keys = sorted({key for key in listed if wanted is None or wanted(key)} | set(promises))
    looked: dict[str, _Looked] = {}
    with ThreadPoolExecutor(concurrency, thread_name_prefix="verify") as pool:
        verifier = _Verifier(store, ask, patience, pool, verified, present, random)
        for number, key in enumerate(keys, start=1):
            looked[key] = verifier.archive(key, promises.get(key))
            on_progress(number, len(keys))
    _sum_up(looked, verified, lambda key: _contents(key, promises.get(key), store, patience))
    _count_copies(looked, verified)
    if wanted is None:
        promised_too = _attempts_of(promises[key] for key in verified.missing)
        _look_for_the_rest(present, looked, verifier.referred_to | promised_too, verified)
        copies = [layout.copy_key(attempt) for attempt in verified.uncommitted]
        verified.damaged += [
            Failure(copy, f"its manifest is missing, and of this copy: {problem}")
            for copy in copies
            if (problem := manifest_problem(copy, store, patience))
        ]
    return verified


def _count_copies(looked: Mapping[str, _Looked], verified: Verified) -> None:
    """A copy that is not as it should be harms nothing yet: it is what a lost manifest would be written again from."""
    lacking = {key: one.archive for key, one in looked.items() if one.copy_problem and one.archive}
    verified.copies = [key for key in lacking if key not in {*verified.harmed, *verified.replaced}]
    verified.damaged += [
        Failure(layout.copy_key(lacking[key].data), f"{looked[key].copy_problem}: verify --repair writes it again")
        for key in verified.copies
    ]


def _sum_up(looked: Mapping[str, _Looked], verified: Verified, contents: Callable[[str], str]) -> None:
    """Damage counts, except of archives that an intact one with the same contents replaces.

    Args:
        contents: a digest of what an archive holds, by key; empty where that cannot be known.
    """
    whole = [one for one in looked.values() if one.archive and not one.problems]
    waiting = {key for key, one in looked.items() if one.problems}
    while whole:
        later = whole.pop()
        earlier = later.archive.replaces if later.archive else ""
        if earlier in waiting and contents(earlier) and contents(earlier) == contents(_key(later)):
            waiting.remove(earlier)
            verified.replaced.append(earlier)
            whole.append(looked[earlier])  # which may have replaced another in its turn
    verified.damaged += [problem for key, one in looked.items() if key in waiting for problem in one.problems]
    verified.harmed = sorted(waiting)
    verified.whole = sorted(key for key, one in looked.items() if not one.problems)
    verified.missing = [key for key in verified.missing if key in waiting]


def _key(looked: _Looked) -> str:
    return looked.archive.manifest if looked.archive else ""


def _contents(key: str, promise: Promise | None, store: Store, patience: Patience) -> str:
    """A digest of every entry's path and contents."""
    try:
        if promise is not None:
            return contents_digest(promise.lines())
        return contents_digest(read_manifest(patience.ask(lambda: b"".join(store.read(key)))))
    except (ManifestError, ObjectMissing, ObjectUnreadable):
        return ""


def contents_digest(records: Iterator[Record]) -> str:
    """SHA-256, in hex, of every entry's path, type and contents: what an archive gives back."""
    digest = hashlib.sha256()
    for record in records:
        if "path" in record:
            what = [name_in(record, "path"), *(record.get(name) for name in ("type", "sha256", "target", "hardlink"))]
            digest.update(ascii(what).encode())
    return digest.hexdigest()


def _attempts_of(promises: Iterable[Promise]) -> set[str]:
    """The attempts of archives whose manifests are missing, as far as this device knows them."""
    found: set[str] = set()
    for one in promises:
        try:
            keys = [record.get("object") or record.get("key") for record in one.lines()]
        except ManifestError:
            continue
        found |= {layout.attempt_of(key) for key in keys if isinstance(key, str)}
    return found


def _look_for_the_rest(
    present: Mapping[str, ObjectInfo], looked: Mapping[str, _Looked], referred_to: set[str], verified: Verified
) -> None:
    """What no manifest refers to. Keys that do not have our shape are somebody else's."""
    committed = {one.archive.data for one in looked.values() if one.archive}
    for key, info in present.items():
        attempt = layout.attempt_of_ours(key)
        if attempt is None or attempt in committed or attempt in referred_to:
            continue
        if key == layout.copy_key(attempt):
            verified.uncommitted.append(attempt)
        number, size = verified.orphans.get(attempt, (0, 0))
        verified.orphans[attempt] = (number + 1, size + info.size)
    for attempt in verified.uncommitted:
        verified.orphans.pop(attempt, None)


class _Verifier:
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
        self.referred_to: set[str] = set()

    def archive(self, key: str, promise: Promise | None) -> _Looked:
        """Look at one archive."""
        self._verified.archives += 1
        archive = promise.archive if promise else None
        try:
            manifest = self._patience.ask(lambda: b"".join(self._store.read(key)))
        except ObjectMissing:
            if promise:
                self._verified.missing.append(key)
            return _Looked(archive, [Failure(key, NOT_LISTED)])
        except ObjectUnreadable as error:
            if promise:
                self._verified.missing.append(key)
            return _Looked(archive, [Failure(key, str(error))])
        if promise and hashlib.sha256(manifest).hexdigest() != promise.sha256:
            self._verified.missing.append(key)
            return _Looked(archive, [Failure(key, "it is not what this device wrote")])
        try:
            archive = archive or archive_of(next(read_manifest(manifest)), key, target=self._store.url)
            problems = self._problems(manifest, objects_in(manifest))
            return _Looked(archive, problems, self._copy_problem(archive, manifest))
        except ManifestError as error:
            return _Looked(archive, [Failure(key, str(error))])

    def _copy_problem(self, archive: Archive, manifest: bytes) -> str:
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

    def _problems(self, manifest: bytes, objects: Mapping[str, ArchivedObject]) -> list[Failure]:
        self.referred_to |= {layout.attempt_of(key) for key in objects}
        self._verified.files += sum(one.files for one in objects.values())
        self._verified.objects += len(objects)
        everything = self._ask.read >= 1
        alone = {key: one for key, one in objects.items() if not (everything and one.is_pack)}
        checks = self._pool.map(lambda one: self._object(*one), alone.items())
        bad = {key: problem for key, problem in zip(alone, checks, strict=True) if problem}
        problems = self._named(manifest, bad) if bad else []
        packs = {key: one for key, one in objects.items() if key not in alone}
        return problems + (self._packs(manifest, packs) if packs else [])

    def _object(self, key: str, expected: ArchivedObject) -> str:
        """What is wrong with an object, or an empty text."""
        if problem := self._presence(key, expected):
            return problem
        if self._is_cold(key):
            self._verified.frozen += 1
            return self._by_its_word(key, expected) or ""
        if self._ask.read >= 1 or self._random() < self._ask.read:
            return self._by_reading(key, expected)
        word = self._by_its_word(key, expected)
        if word is not None:
            return word
        if self._ask.quick or self._ask.read:
            self._verified.unread += 1
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
        self._verified.trusted += 1
        return "" if found.checksum == expected.as_stored(key).checksum else "it has another checksum"

    def _by_reading(self, key: str, expected: ArchivedObject) -> str:
        digest = hashlib.sha256()
        try:
            for offset in range(0, expected.size, _RANGE):
                digest.update(self._range(key, offset, _RANGE))
        except ObjectFrozen:
            self._verified.frozen += 1
            return ""
        except ObjectMissing:
            return _MISSING
        except ObjectUnreadable as error:
            return str(error)
        self._verified.read += expected.size
        return "" if digest.hexdigest() == expected.sha256 else "it holds other bytes than were written"

    def _range(self, key: str, offset: int, length: int) -> bytes:
        return self._patience.ask(lambda: b"".join(self._store.read(key, offset=offset, length=length)))

    def _range_or_nothing(self, key: str, offset: int, length: int) -> bytes:
        """Where it cannot be read, the files in it are named as those of a pack that is cut short."""
        try:
            return self._range(key, offset, length)
        except ObjectUnreadable:
            return b""

    # -- packs, read once: their bytes against their digests, their entries against the manifest -----

    def _packs(self, manifest: bytes, packs: Mapping[str, ArchivedObject]) -> list[Failure]:
        bad = {key: problem for key, one in packs.items() if (problem := self._presence(key, one))}
        cold = {key for key in packs if key not in bad and self._is_cold(key)}
        self._verified.frozen += len(cold)
        readable = {key: one for key, one in packs.items() if key not in bad and key not in cold}
        reading = _InOrder(readable, self._range_or_nothing, self._pool)
        problems = self._named(manifest, bad) if bad else []
        problems += packed_problems(manifest, reading)
        self._verified.read += sum(one.size for one in readable.values())
        others = [Failure(key, reading.rest(key, one)) for key, one in readable.items()]
        named = {key for key in readable if any(problem.reason.endswith(f"({key})") for problem in problems)}
        return problems + [one for one in others if one.reason and one.item not in named]

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
            data = self._patience.ask(
                lambda: b"".join(self._store.read(place.key, offset=place.offset, length=place.length))
            )
            if place.within + entry.size > LARGEST_UNPACKED:
                raise EntryError("its place makes no sense")
            contents = unpack_frame(data, place.within + entry.size)[place.within :]
        except (ObjectFrozen, ObjectUnreadable):
            return problem
        except (ValueError, EntryError) as error:
            return f"its pack is damaged: {error}"
        return "" if hashlib.sha256(contents).hexdigest() == entry.sha256 else "it holds other bytes than were written"


class _InOrder:
    """Reads ranges of packs, some ahead; as they come in order, the digest of each pack is computed along the way."""

    def __init__(
        self, packs: Mapping[str, ArchivedObject], read: Callable[[str, int, int], bytes], pool: Executor
    ) -> None:
        self._packs = packs
        self._read = read
        self._pool = pool
        self._digests = {key: hashlib.sha256() for key in packs}
        self._at = dict.fromkeys(packs, 0)

    def __call__(self, fetches: Iterator[Fetch]) -> Iterator[tuple[Fetch, bytes]]:
        waiting: deque[tuple[Fetch, Future[bytes]]] = deque()
        for one in fetches:
            if one.key in self._packs:
                waiting.append((one, self._pool.submit(self._read, one.key, one.offset, one.length)))
            if len(waiting) > _READ_AHEAD:
                yield self._taken(*waiting.popleft())
        while waiting:
            yield self._taken(*waiting.popleft())

    def rest(self, key: str, expected: ArchivedObject) -> str:
        """Read what no entry is in, and say what is wrong with the pack as a whole, if anything is."""
        digest, at = self._digests[key], self._at[key]
        if at < 0:
            digest, at = hashlib.sha256(), 0
        while at < expected.size:
            data = self._read(key, at, min(_RANGE, expected.size - at))
            if not data:
                break
            digest.update(data)
            at += len(data)
        return "" if digest.hexdigest() == expected.sha256 else "it holds other bytes than were written"

    def _taken(self, one: Fetch, future: Future[bytes]) -> tuple[Fetch, bytes]:
        data = future.result()
        if one.offset == self._at[one.key]:
            self._digests[one.key].update(data)
            self._at[one.key] += len(data)
        else:
            self._at[one.key] = -1  # a manifest in another order than its packs: they are read again
        return one, data
