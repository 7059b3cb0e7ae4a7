"""What plain tools get back from the target: every committed manifest, and every byte that can be had by it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.foreign import contents_of, exact, manifest_lines, zstd


@dataclass(frozen=True)
class Archived:
    """An archive, as it can be read now.

    Attributes:
        header: None for a manifest that cannot be read.
        files: contents and mtime by path below the item ("" for an item that is a file); what cannot be had is None.
        damage: what is wrong; empty for a whole one.
        misplaced: True when every object is as it must be, and the manifest says wrongly what is where in them.
        keys: of the objects that it refers to.
        digests: path and SHA-256 of each file, as the manifest says.
    """

    key: str
    header: dict[str, Any] | None
    files: Mapping[str, tuple[bytes, int] | None]
    damage: str
    keys: tuple[str, ...] = ()
    misplaced: bool = False
    digests: tuple[tuple[str, str], ...] = ()

    @property
    def item(self) -> str:
        return exact(self.header, "item") if self.header else ""

    @property
    def root(self) -> str:
        return exact(self.header, "root") if self.header else ""

    @property
    def tree(self) -> dict[str, tuple[bytes, int]] | None:
        """All of it; None where something cannot be had."""
        if self.damage:
            return None
        return {path: file for path, file in self.files.items() if file is not None}

    def same_source(self, other: Archived) -> bool:
        if not self.header or not other.header:
            return False
        names = ("id", "item", "root", "host", "device")
        return all(self.header.get(name) == other.header.get(name) for name in names)


class Stranger:
    """Reads archives, each once for as long as its objects are the same."""

    def __init__(self) -> None:
        self._lines: dict[bytes, list[dict[str, Any]] | None] = {}
        self._read: dict[str, tuple[list[bytes | None], Archived]] = {}

    def archives(self, objects: Mapping[str, bytes]) -> dict[str, Archived]:
        """All that are committed."""
        return {key: self.archive(key, objects) for key in sorted(objects) if is_manifest(key)}

    def archive(self, key: str, objects: Mapping[str, bytes]) -> Archived:
        data = objects[key]
        lines = self._lines_of(data)
        if lines is None:
            return Archived(key, None, {}, "its manifest cannot be read")
        keys = [key, *(str(one.get("object") or one.get("key")) for one in lines if "object" in one or "key" in one)]
        now = [objects.get(one) for one in keys]
        known = self._read.get(key)
        if known and len(known[0]) == len(now) and all(a is b for a, b in zip(known[0], now, strict=True)):
            return known[1]
        archived = _archived(key, lines, objects, tuple(keys[1:]))
        self._read[key] = (now, archived)
        return archived

    def can_read(self, manifest: bytes) -> bool:
        return self._lines_of(manifest) is not None

    def _lines_of(self, data: bytes) -> list[dict[str, Any]] | None:
        if data not in self._lines:
            try:
                self._lines[data] = manifest_lines(data)
            except Exception:  # noqa: BLE001 - whatever it says, it is not a manifest
                self._lines[data] = None
        return self._lines[data]


def is_manifest(key: str) -> bool:
    return key.startswith("manifests/") and key.endswith(".jsonl.zst")


def is_copy(key: str) -> bool:
    """Of a manifest, beside its data."""
    return key.startswith("data/") and key.endswith("/manifest.jsonl.zst")


def with_places_exchanged(manifest: bytes) -> bytes | None:
    """The manifest, with the places of two files of one frame exchanged; None where there are no two."""
    try:
        lines = manifest_lines(manifest)
    except Exception:  # noqa: BLE001 - it is damaged already
        return None
    packed = [line for line in lines if "within" in line]
    if len(packed) < 2:
        return None
    packed[0]["within"], packed[1]["within"] = packed[1]["within"], packed[0]["within"]
    written = [json.dumps(line, ensure_ascii=True, separators=(",", ":")).encode() + b"\n" for line in lines]
    end = {"end": len(lines), "sha256": hashlib.sha256(b"".join(written)).hexdigest()}
    return zstd.compress(b"".join([*written, json.dumps(end).encode() + b"\n"]))


def _archived(key: str, lines: list[dict[str, Any]], objects: Mapping[str, bytes], keys: tuple[str, ...]) -> Archived:
    header = lines[0]
    item = exact(header, "item")
    files: dict[str, tuple[bytes, int] | None] = {}
    damage, objects_damaged = "", False
    digests = tuple((line["path"], line["sha256"]) for line in lines if line.get("type") == "file")
    for line in lines[1:]:
        if "object" in line:
            data = objects.get(line["object"])
            if data is None or hashlib.sha256(data).hexdigest() != line["sha256"]:
                damage, objects_damaged = f"{line['object']} is missing or changed", True
        elif line.get("type") == "file":
            below = exact(line, "path").removeprefix(item).removeprefix("/")
            contents = _contents(line, objects.__getitem__)
            files[below] = None if contents is None else (contents, line["mtime_ns"])
            if contents is None:
                damage = f"{exact(line, 'path')} cannot be had"
                objects_damaged |= "within" not in line
    return Archived(key, header, files, damage, keys, bool(damage) and not objects_damaged, digests)


def _contents(line: dict[str, Any], fetch: Callable[[str], bytes]) -> bytes | None:
    try:
        data = contents_of(line, fetch)
    except Exception:  # noqa: BLE001 - missing, or no frame any more
        return None
    same = len(data) == line["size"] and hashlib.sha256(data).hexdigest() == line["sha256"]
    return data if same else None
