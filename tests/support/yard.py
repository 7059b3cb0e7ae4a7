"""A target in memory whose clock the test sets, with attempts and manifests made by hand, and a device's catalogue."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.formats import layout
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Archive, Receipt
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import archive_of
from archive_tasks.target.transfer import Transfer
from archive_tasks.target.vault import write_vault
from archive_tasks.testing.stores import MemoryStore, put
from tests.conftest import NOW
from tests.support.manifests import Line, written

MIB = 1024 * 1024
ID = "0123456789abcdef" * 2
SCOPE = "laptop/Documents"
DEVICE = "d" * 32


class Yard:
    """Everything is written by hand, as a device of ours would write it."""

    def __init__(self, folder: Path, url: str = "memory://test") -> None:
        self.now = NOW
        self.store = MemoryStore(url, now=lambda: self.now)
        self.catalogue = Catalogue(str(folder / "catalogue.sqlite"), target=url, device=DEVICE)
        self.catalogue.set_fact("vault", write_vault(self.store))
        self._number = 0

    @property
    def patience(self) -> Patience:
        return Patience(pace=Pace(concurrency=4, memory=64 * MIB), seconds=0)

    @contextmanager
    def transfer(self, *, trusted: bool = True) -> Iterator[Transfer]:
        pace = Pace(concurrency=2, memory=64 * MIB)
        with ThreadPoolExecutor(2) as workers:
            patience = Patience(pace=pace, seconds=0)
            yield Transfer(store=self.store, pace=pace, patience=patience, workers=workers, trusted=trusted)

    def put(self, key: str, data: bytes, *, days: float = 0) -> str:
        """An object that is so many days old."""
        now, self.now = self.now, self.now - timedelta(days=days)
        put(self.store, key, data)
        self.now = now
        return key

    def attempt(self, item: str, *sizes: int, days: float = 20) -> str:
        """The prefix of a new attempt that holds a file of each of the sizes."""
        self._number += 1
        prefix = f"data/{SCOPE}/2024-01-31/{item}~{ID}/{self._number:012x}/"
        for number, size in enumerate(sizes or (10,)):
            self.put(f"{prefix}files/{number}", bytes([65 + number]) * size, days=days)
        return prefix

    def manifest(self, prefix: str, **header: Any) -> tuple[str, bytes]:
        """Key and bytes of the manifest of an attempt as it is; nothing is written."""
        item, commit = prefix.split("/")[-3].partition("~")[0], prefix.split("/")[-2]
        files = [(key, data) for key, data in self.store.objects.items() if key.startswith(f"{prefix}files/")]
        lines: list[Line] = [
            {"archive_tasks": "manifest", "format": 3, "id": ID, "item": item, "kind": "folder", "scope": SCOPE}
            | {"device": DEVICE, "host": "laptop", "root": "/home/anna/Documents", "number": 1, "commit": commit}
            | {"created": NOW.isoformat(), "files": len(files), "bytes": sum(len(data) for _, data in files)}
            | {"data": prefix, **header}
        ]
        lines += [
            {"path": f"{item}/{key.rpartition('/')[2]}", "type": "file", "mode": "0644", "mtime_ns": 0}
            | {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            | {"key": key, "offset": 0, "length": len(data)}
            for key, data in files
        ]
        key = layout.manifest_key(scope=SCOPE, day=NOW, item=item, archive_id=ID, commit=commit)
        return key, written(lines)

    def commit(self, prefix: str, *, copy: bool = False, **header: Any) -> str:
        """Write the manifest of an attempt, and its copy as well. Returns the manifest's key."""
        key, data = self.manifest(prefix, **header)
        if copy:
            self.put(layout.copy_key(prefix), data)
        return self.put(key, data)

    def archive(self, prefix: str, **header: Any) -> Archive:
        key, data = self.manifest(prefix, **header)
        return archive_of(next(read_manifest(data)), key, target=self.store.url, manifest_size=len(data))

    def know(self, prefix: str, *, receipt: bool = True, **header: Any) -> Archive:
        """Have the catalogue know the archive, whether it is in the target or not."""
        archive, (key, data) = self.archive(prefix, **header), self.manifest(prefix, **header)
        sha256 = hashlib.sha256(data).hexdigest()
        proven = Receipt(manifest=key, manifest_sha256=sha256, proven_by="checksum", proven_at=NOW, fingerprint="")
        self.catalogue.record(archive, run=None, fingerprint="", receipt=proven if receipt else None, now=NOW)
        return archive

    def calls(self, method: str, below: str = "") -> list[str]:
        """Keys that were asked for by this method."""
        return [key for one, key in self.store.calls if one == method and key.startswith(below)]
