"""Is an item archived already? Which archive to look for may be remembered; that it exists is checked in this run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from archive_tasks.catalogue.attempts import used_number
from archive_tasks.catalogue.damage import is_damaged
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import sizes_of_objects
from archive_tasks.catalogue.object_sizes import number_below
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.errors import ManifestError
from archive_tasks.formats import layout
from archive_tasks.model import Source
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.patience import Patience

_LISTED_AT_ONCE = 1000
"""Objects in the answer to one LIST request. (S3, ListObjectsV2)"""


class Listings:
    """What one run saw listed. Safe to use from several threads.

    Args:
        manifests: every manifest that is listed, by key.
        whole: prefixes (`data/<scope>/`) that are listed once, instead of each attempt below them on its own.
    """

    def __init__(
        self, store: Store, *, manifests: Mapping[str, ObjectInfo], whole: frozenset[str] = frozenset()
    ) -> None:
        self.manifests = manifests
        self._store = store
        self._whole = whole
        self._seen: dict[str, dict[str, dict[str, ObjectInfo]]] = {}
        self._lock = threading.Lock()

    def attempt(self, prefix: str, patience: Patience) -> dict[str, ObjectInfo]:
        """The objects of one attempt, by key."""
        scope = layout.scope_of_data(prefix)
        if scope not in self._whole:
            return listed_below(self._store, prefix, patience)
        with self._lock:
            if scope not in self._seen:
                self._seen[scope] = _by_attempt(listed_below(self._store, scope, patience))
            return self._seen[scope].get(prefix, {})


def _by_attempt(listed: Mapping[str, ObjectInfo]) -> dict[str, dict[str, ObjectInfo]]:
    found: dict[str, dict[str, ObjectInfo]] = {}
    for key, info in listed.items():
        found.setdefault(layout.attempt_of(key), {})[key] = info
    return found


def listed_below(store: Store, prefix: str, patience: Patience) -> dict[str, ObjectInfo]:
    """What the store lists below a prefix, by key."""
    return {info.key: info for info in patience.ask(lambda: list(store.list(prefix)))}


def scopes_to_list_whole(catalogue: Catalogue, archives: Iterable[KnownArchive]) -> frozenset[str]:
    """Scopes in which one listing of everything takes fewer requests than one for each item.

    Args:
        archives: those that the run will look for, one an item.
    """
    items: dict[str, int] = {}
    for known in archives:
        if known.archive.data:
            scope = layout.scope_of_data(known.archive.data)
            items[scope] = items.get(scope, 0) + 1
    return frozenset(
        scope for scope, number in items.items() if 1 + number_below(catalogue, scope) // _LISTED_AT_ONCE < number
    )


def newest_of(catalogue: Catalogue, source: Source, item: str) -> KnownArchive | None:
    """The newest archive of a source's item, the one that a restore gives; or None.

    Two may have one number: from concurrent runs, or where a run that died at its commit is finished after a later one.
    Only the one that a restore would give may count as there already, and only by it may an item be freed.
    """
    newest = next(iter(catalogue.archives_of(source, item)), None)
    if newest and newest.archive.number < used_number(catalogue, source, item):
        return None  # a later one was being committed, and may or may not be there
    return newest


def what_is_missing(
    known: KnownArchive, catalogue: Catalogue, store: Store, listings: Listings, patience: Patience
) -> str | None:
    """What of an archive the target does not show, as a part of a sentence; None where all of it is listed.

    What is not listed is asked for by its key: a listing may hide things for a while.
    """
    manifest = known.archive.manifest
    if is_damaged(catalogue, manifest):
        return "verify found its archive damaged"
    try:
        sizes = sizes_of_objects(catalogue, manifest)
    except ManifestError as error:
        return f"its manifest cannot be read ({error})"
    info = listings.manifests.get(manifest) or patience.ask(lambda: store.describe(manifest))
    if info is None or known.archive.manifest_size not in {0, info.size}:
        return "its manifest is missing in the target" if info is None else "its manifest in the target was changed"
    unlisted = _unlisted(sizes, lambda prefix: listings.attempt(prefix, patience))
    missing = first_missing(sizes, unlisted, store, patience)
    return f"{missing} is missing in the target" if missing else None


def _unlisted(sizes: Mapping[str, int], listed: Callable[[str], Mapping[str, ObjectInfo]]) -> list[str]:
    """Keys that are not listed with their sizes. Every archive of ours is below one attempt."""
    found: dict[str, ObjectInfo] = {}
    for prefix in {layout.attempt_of(key) for key in sizes}:
        found |= listed(prefix)
    return [key for key, size in sizes.items() if key not in found or found[key].size != size]


def first_missing(sizes: Mapping[str, int], unlisted: Sequence[str], store: Store, patience: Patience) -> str | None:
    """The first unlisted object that is really not there with its size."""
    for key in unlisted:
        info = patience.ask(lambda key=key: store.describe(key))  # type: ignore[misc]
        if info is None or info.size != sizes[key]:
            return key
    return None
