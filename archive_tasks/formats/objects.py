"""The objects that a manifest refers to: what each must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from archive_tasks.errors import ManifestError
from archive_tasks.formats.checksums import composite_checksum, whole_checksum
from archive_tasks.formats.entry import ManifestEntry, entry_of, is_key, pack_of
from archive_tasks.formats.manifest import Record, name_in, read_manifest
from archive_tasks.names import display


@dataclass(slots=True)
class ArchivedObject:
    """One object of an archive. `sha256` and `parts` are hex digests; `files` is how many files it holds."""

    size: int = 0
    sha256: str = ""
    part_size: int = 0
    parts: tuple[str, ...] = ()
    is_pack: bool = False
    files: int = 0

    def as_stored(self, key: str) -> Stored:
        """What the store must hold."""
        return Stored(key=key, size=self.size, sha256=self.sha256, part_size=self.part_size, parts=self.parts)


def objects_in(manifest: bytes) -> dict[str, ArchivedObject]:
    """What a manifest says of its objects, by key.

    Raises:
        ManifestError: it is damaged, an entry is outside its item, or does not describe an object of its files.
    """
    objects: dict[str, ArchivedObject] = {}
    item = ""
    for number, record in enumerate(read_manifest(manifest)):
        if not number:
            item = name_in(record, "item")
            continue
        if "path" in record and not is_below(item, path := name_in(record, "path")):
            raise ManifestError(f"the manifest is damaged: {display(path)} is outside its item {display(item)}")
        if "object" in record:
            _add_pack(objects, record)
        elif "key" in record and "within" in record:
            objects.setdefault(_key(record["key"]), ArchivedObject()).files += 1  # once a small file: keep it minimal
        elif "path" in record:
            _add_file(objects, entry_of(record))
    for key, one in objects.items():
        if not one.sha256:
            raise ManifestError(f"the manifest does not describe {display(key)} itself")
    return objects


def is_below(item: str, path: str) -> bool:
    """Is it the item's own path, or one in it?"""
    return path == item or path.startswith(f"{item}/")


def _add_pack(objects: dict[str, ArchivedObject], record: Record) -> None:
    pack = pack_of(record)
    one = objects.setdefault(pack.key, ArchivedObject())
    one.size, one.sha256, one.is_pack = pack.length, pack.sha256, True
    one.part_size, one.parts = pack.part_size, pack.parts


def _add_file(objects: dict[str, ArchivedObject], entry: ManifestEntry) -> None:
    if entry.place is None:
        return
    one = objects.setdefault(entry.place.key, ArchivedObject())
    one.files += 1
    if entry.place.extents is not None:  # the tar has a line of its own
        return
    one.size, one.sha256 = entry.size, entry.sha256
    one.part_size, one.parts = entry.place.part_size, entry.place.parts


def _key(value: Any) -> str:
    if not is_key(value):
        raise ManifestError(f"the manifest is damaged: {value!a} is not a key")
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object, proven in the store. `sha256` and `parts` are hex digests; `parts` is empty when it was written
    whole.
    """

    key: str
    size: int
    sha256: str
    part_size: int = 0
    parts: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """What a store that keeps checksums must say of it."""
        digests = [bytes.fromhex(part) for part in self.parts]
        return composite_checksum(digests) if digests else whole_checksum(bytes.fromhex(self.sha256))
