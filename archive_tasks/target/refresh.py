"""Keeping the catalogue in step with the target: what other devices archived, what is missing, and all of it again.

Only manifests that are new here are fetched. Nothing else of the target is read. What is not listed is not forgotten:
a listing can hide things for a while, and what a receipt promises and the target does not show is damage.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import EntryKeeper, is_indexed, keep_lines
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.errors import ManifestError, ObjectMissing, ObjectUnreadable
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import Record, name_in, read_lines
from archive_tasks.model import Archive, Failure
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.open import check_vault
from archive_tasks.target.patience import Patience

_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAMES_A_DEVICE = 3
"""From this format on, manifests name the device that made them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The result.

    Attributes:
        new: archives that the catalogue did not have, or not with their entries.
        missing: archives of the catalogue whose manifests the target does not list.
        unreadable: manifests that cannot be used, and why.
        listed: every manifest that the target lists, by key.
    """

    new: tuple[Archive, ...]
    missing: tuple[Archive, ...]
    unreadable: tuple[Failure, ...]
    listed: Mapping[str, ObjectInfo]


def list_manifests(store: Store, patience: Patience) -> dict[str, ObjectInfo]:
    """Every manifest that the target lists, by key: one LIST request for each thousand."""
    listed = patience.ask(lambda: list(store.list(layout.MANIFESTS)))
    return {info.key: info for info in listed if layout.manifest_name(info.key)}


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
    """Fetch the manifests that are new.

    Args:
        wanted: which manifests, by key; the others stay as they are.
        on_progress: called with how many of how many were fetched.

    Raises:
        StoreError: the target cannot be listed or read, or is not the same one as before.
    """
    listed = list_manifests(store, patience)
    missing = [known.archive for known in catalogue.archives() if known.archive.manifest not in listed]
    if missing:  # an empty mount point lists nothing, and says nothing about what was archived
        patience.ask(lambda: check_vault(store, catalogue.fact("vault")))
    new = [info for info in listed.values() if wanted(info.key) and _is_new(catalogue, info)]
    fetcher = Fetcher(store, catalogue, patience, now)
    archives: list[Archive] = []
    unreadable: list[Failure] = []
    with ThreadPoolExecutor(concurrency) as pool:
        for done, answer in enumerate(pool.map(fetcher.fetch, new), start=1):
            archives += [answer] if isinstance(answer, Archive) else []
            unreadable += [answer] if isinstance(answer, Failure) else []
            on_progress(done, len(new))
    return Synced(new=tuple(archives), missing=tuple(missing), unreadable=tuple(unreadable), listed=listed)


def forget_unlisted(catalogue: Catalogue, synced: Synced, *, now: datetime) -> int:
    """Forget archives that are not listed, for a catalogue that is to hold just what the target does.

    What this device has a receipt for stays: that it is missing is damage, and must not be forgotten silently.
    """
    number = 0
    for archive in synced.missing:
        known = catalogue.known(archive.manifest)
        if known and not known.receipt:
            catalogue.forget(archive.manifest, now=now, why="the target does not list its manifest")
            number += 1
    return number


def _is_new(catalogue: Catalogue, info: ObjectInfo) -> bool:
    """A manifest is never changed; one whose size differs from what was written is read."""
    known = catalogue.known(info.key)
    return known is None or known.archive.manifest_size != info.size or not is_indexed(catalogue, info.key)


class Fetcher:
    """Takes manifests of the target into the catalogue."""

    def __init__(self, store: Store, catalogue: Catalogue, patience: Patience, now: datetime) -> None:
        self._store = store
        self._catalogue = catalogue
        self._patience = patience
        self._now = now

    def fetch(self, info: ObjectInfo) -> Archive | Failure:
        """One archive into the catalogue, or why not."""
        try:
            return self._patience.ask(lambda: self._take_in(info))
        except (ManifestError, ObjectMissing, ObjectUnreadable) as error:
            return Failure(info.key, str(error))

    def _take_in(self, info: ObjectInfo) -> Archive:
        digest = hashlib.sha256()
        lines = read_lines(_hashed(self._store.read(info.key), digest))
        header, line = next(lines)
        archive = archive_of(header, info.key, target=self._store.url, manifest_size=info.size)
        keeper = EntryKeeper(self._catalogue, archive.manifest)
        keep_lines(keeper, _all_of(header, line, lines))
        known = self._catalogue.known(archive.manifest)
        if known and known.receipt and known.receipt.manifest_sha256 != digest.hexdigest():
            raise ManifestError("it is not what this device wrote: run verify")
        self._catalogue.record(
            _with_own_knowledge(archive, known),
            run=known.run if known else None,
            fingerprint=known.fingerprint if known else "",
            receipt=known.receipt if known else None,
            now=self._now,
            also=keeper.keep,
        )
        return archive


def archive_of(header: Record, key: str, *, target: str, manifest_size: int = 0) -> Archive:
    """The archive that a manifest's header describes.

    Raises:
        ManifestError: the header lacks something, or belongs to another archive than the key says.
    """
    name = layout.manifest_name(key)
    if name is None or (header.get("id"), str(header.get("commit", ""))) != (name.id, name.commit):
        raise ManifestError(f"the manifest {display(key)} belongs to another archive than its name says")
    try:
        return Archive(
            id=name.id,
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
            replaces=_key_in(header, "replaces", lambda text: layout.manifest_name(text) is not None),
            data=_key_in(header, "data", lambda text: layout.attempt_of(text) == text),
            **_who(header),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ManifestError(f"the manifest {display(key)} is damaged: its first line is incomplete") from error


def _who(header: Record) -> dict[str, Any]:
    """The device and the number; formats 1 and 2 named neither."""
    if header["format"] < _NAMES_A_DEVICE:
        return {}
    if not _DEVICE.fullmatch(header["device"]):
        raise ValueError("device")
    return {"device": header["device"], "number": _amount(header["number"])}


def _key_in(header: Record, field: str, is_one: Callable[[str], bool]) -> str:
    text = header.get(field)
    return text if isinstance(text, str) and is_one(text) else ""


def _text(value: object) -> str:
    """What the catalogue can keep. Raises ValueError."""
    str(value).encode(errors="surrogateescape")
    return os.fsencode(str(value)).decode(errors="replace")


def _amount(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r} is not an amount")
    return value


def _with_own_knowledge(archive: Archive, known: KnownArchive | None) -> Archive:
    """What the target does not record: the class that it was written to, and that another device took it over."""
    if known is None:
        return archive
    mine = known.archive
    device = mine.device or archive.device
    return dataclasses.replace(archive, storage_class=mine.storage_class, device=device, root=mine.root)


def _hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _all_of(header: Record, line: bytes, rest: Iterator[tuple[Record, bytes]]) -> Iterator[tuple[Record, bytes]]:
    yield header, line
    yield from rest
