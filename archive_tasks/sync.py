"""Keeping the catalogue in step with the target: what other devices archived, what is gone, and all of it anew.

Only manifests that are new here are fetched. Nothing else of the target is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from archive_tasks import layout
from archive_tasks.catalogue import Catalogue
from archive_tasks.catalogue_rows import Known
from archive_tasks.entry_index import EntryKeeper, is_indexed, keep_lines
from archive_tasks.errors import ManifestError, ObjectMissing
from archive_tasks.manifest import Record, name_in, read_lines
from archive_tasks.model import Archive, Failure
from archive_tasks.names import display
from archive_tasks.pace import Patience
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target import check_vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What came of it.

    Attributes:
        new: archives that the catalogue did not have, or not with their entries.
        gone: number of archives that the target has no more.
        unreadable: manifests that are no help, and why.
    """

    new: tuple[Archive, ...]
    gone: int
    unreadable: tuple[Failure, ...]


def sync(
    store: Store,
    catalogue: Catalogue,
    *,
    patience: Patience,
    now: datetime,
    concurrency: int,
    wanted: Callable[[str], bool] = lambda _key: True,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Synced:
    """Fetch the manifests that are new, and forget archives whose manifests are gone.

    Args:
        wanted: which manifests, by key; the others stay as they are.
        on_progress: told how many of how many were fetched.

    Raises:
        StoreError: the target cannot be listed or read.
    """
    listed = {info.key: info for info in patience.ask(lambda: list(store.list(layout.MANIFESTS)))}
    present = {archive_id: info for info in listed.values() if (archive_id := layout.archive_id_in(info.key))}
    gone = _forget_gone(store, catalogue, present, now)
    new = [info for archive_id, info in present.items() if wanted(info.key) and _is_new(catalogue, archive_id, info)]
    fetcher = _Fetcher(store, catalogue, patience, now)
    archives: list[Archive] = []
    unreadable: list[Failure] = []
    with ThreadPoolExecutor(concurrency) as pool:
        for done, answer in enumerate(pool.map(fetcher.fetch, new), start=1):
            archives += [answer] if isinstance(answer, Archive) else []
            unreadable += [answer] if isinstance(answer, Failure) else []
            on_progress(done, len(new))
    return Synced(new=tuple(archives), gone=gone, unreadable=tuple(unreadable))


def _forget_gone(store: Store, catalogue: Catalogue, present: dict[str, ObjectInfo], now: datetime) -> int:
    gone = [known.archive.id for known in catalogue.archives() if known.archive.id not in present]
    if gone:  # an empty mount point lists nothing, and says nothing about what was archived
        check_vault(store, catalogue.fact("vault"))
    for archive_id in gone:
        catalogue.forget(archive_id, now=now, why="its manifest is in the target no more")
    return len(gone)


def _is_new(catalogue: Catalogue, archive_id: str, info: ObjectInfo) -> bool:
    """A manifest is never changed; one of another size under a known id was written by two devices at once."""
    known = catalogue.known(archive_id)
    return known is None or known.archive.manifest_size != info.size or not is_indexed(catalogue, archive_id)


class _Fetcher:
    def __init__(self, store: Store, catalogue: Catalogue, patience: Patience, now: datetime) -> None:
        self._store = store
        self._catalogue = catalogue
        self._patience = patience
        self._now = now

    def fetch(self, info: ObjectInfo) -> Archive | Failure:
        """One archive into the catalogue, or why not."""
        try:
            return self._patience.ask(lambda: self._take_in(info))
        except (ManifestError, ObjectMissing) as error:
            return Failure(info.key, str(error))

    def _take_in(self, info: ObjectInfo) -> Archive:
        digest = hashlib.sha256()
        lines = read_lines(_hashed(self._store.read(info.key), digest))
        header, line = next(lines)
        archive = archive_of(header, info.key, target=self._store.url, manifest_size=info.size)
        keeper = EntryKeeper(self._catalogue, archive.id)
        keep_lines(keeper, _all_of(header, line, lines))
        known = self._catalogue.known(archive.id)
        receipt = known.receipt if known and known.receipt else None
        self._catalogue.record(
            _with_own_knowledge(archive, known),
            run=known.run if known else None,
            seen=known.seen if known else "",
            receipt=receipt if receipt and receipt.manifest_sha256 == digest.hexdigest() else None,
            now=self._now,
            also=keeper.keep,
        )
        return archive


def archive_of(header: Record, key: str, *, target: str, manifest_size: int = 0) -> Archive:
    """The archive that a manifest's header speaks of.

    Raises:
        ManifestError: the header lacks something, or is another archive's than the key says.
    """
    if header.get("id") != layout.archive_id_in(key):
        raise ManifestError(f"the manifest {display(key)} is another archive's than its name says")
    try:
        return Archive(
            id=str(header["id"]),
            item=name_in(header, "item"),
            root=name_in(header, "root"),
            scope=_text(header["scope"]),
            target=target,
            manifest=key,
            files=_amount(header["files"]),
            bytes=_amount(header["bytes"]),
            created=datetime.fromisoformat(header["created"]).astimezone(UTC),
            host=_text(header["host"]),
            manifest_size=manifest_size,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ManifestError(f"the manifest {display(key)} is damaged: its first line lacks something") from error


def _text(value: object) -> str:
    """What the catalogue can keep. Raises ValueError."""
    str(value).encode(errors="surrogateescape")
    return os.fsencode(str(value)).decode(errors="replace")


def _amount(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is no amount")
    return value


def _with_own_knowledge(archive: Archive, known: Known | None) -> Archive:
    """The class that an archive was written to is known to the device that made it alone."""
    if known is None:
        return archive
    return dataclasses.replace(archive, storage_class=known.archive.storage_class)


def _hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _all_of(header: Record, line: bytes, rest: Iterator[tuple[Record, bytes]]) -> Iterator[tuple[Record, bytes]]:
    yield header, line
    yield from rest
