"""Target against manifests: is every archive there, whole, and as it was written?

Nothing is changed and nothing is thawed. What this device has a receipt for must be there, whatever is listed.
"""

from __future__ import annotations

import hashlib
import random as random_module
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from archive_tasks.errors import ManifestError, ObjectMissing, ObjectUnreadable
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import Record, name_in, read_manifest
from archive_tasks.formats.objects import objects_in
from archive_tasks.model import Archive, Failure
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.commit import manifest_problem
from archive_tasks.target.patience import Patience
from archive_tasks.target.read_object import read_object
from archive_tasks.target.refresh import archive_of, list_manifests
from archive_tasks.upkeep.read_data import ObjectChecker
from archive_tasks.upkeep.verified import Promise, Verified, VerifyOptions

NOT_LISTED = "its manifest is missing: verify --repair writes it again where it can"


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
    with ThreadPoolExecutor(concurrency, thread_name_prefix="verify") as pool:
        checker = ObjectChecker(store, ask, patience, pool, verified, present, random)
        verifier = _Verifier(store, patience, checker, verified)
        looked = verifier.archives(keys, promises, on_progress)
    _sum_up(looked, verified, lambda key: _contents(key, promises.get(key), store, patience))
    _count_copies(looked, verified)
    if wanted is None:
        promised_too = _attempts_of(promises[key] for key in verified.missing)
        _look_for_the_rest(present, looked, verifier.referred_to | promised_too, verified)
        _check_copies(verified, store, patience)
    return verified


def _check_copies(verified: Verified, store: Store, patience: Patience) -> None:
    """Copies of manifests that are not there: what these would be written again from."""
    copies = [layout.copy_key(attempt) for attempt in verified.uncommitted]
    verified.damaged += [
        Failure(copy, f"its manifest is missing, and this copy is bad: {problem}")
        for copy in copies
        if (problem := manifest_problem(copy, store, patience))
    ]


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
        return contents_digest(read_manifest(read_object(store, key, patience)))
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
    """Looks at one archive after the other.

    Attributes:
        referred_to: attempts whose objects a manifest lists.
    """

    def __init__(self, store: Store, patience: Patience, checker: ObjectChecker, verified: Verified) -> None:
        self._store = store
        self._patience = patience
        self._checker = checker
        self._verified = verified
        self.referred_to: set[str] = set()

    def archives(
        self, keys: Sequence[str], promises: Mapping[str, Promise], on_progress: Callable[[int, int], None]
    ) -> dict[str, _Looked]:
        """Look at the archives whose manifests have these keys."""
        looked: dict[str, _Looked] = {}
        for number, key in enumerate(keys, start=1):
            looked[key] = self._archive(key, promises.get(key))
            on_progress(number, len(keys))
        return looked

    def _archive(self, key: str, promise: Promise | None) -> _Looked:
        self._verified.archives += 1
        archive = promise.archive if promise else None
        try:
            manifest = read_object(self._store, key, self._patience)
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
            objects = objects_in(manifest)
            self.referred_to |= {layout.attempt_of(key) for key in objects}
            problems = self._checker.problems(manifest, objects)
            return _Looked(archive, problems, self._checker.copy_problem(archive, manifest))
        except ManifestError as error:
            return _Looked(archive, [Failure(key, str(error))])
