"""Reading a target as its README tells, with none of our own reading code: what a stranger would get back."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Fetch = Callable[[str], bytes]


def folder_fetch(target: Path) -> Fetch:
    return lambda key: (target / key).read_bytes()


def folder_keys(target: Path, below: str = "") -> list[str]:
    """Every object's key, without what is being written. What vanishes meanwhile is not there."""
    found = (os.path.join(base, name) for base, _, files in os.walk(target) for name in files)
    keys = (os.path.relpath(path, target) for path in found)
    return sorted(key for key in keys if key.startswith(below) and not key.startswith(".archive-incoming/"))


def manifest_lines(data: bytes) -> list[dict[str, Any]]:
    """All lines, checked against the last one as the format says."""
    text = zstd.decompress(data)
    lines = text.splitlines(keepends=True)
    end = json.loads(lines[-1])
    assert end["end"] == len(lines) - 1
    assert end["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    return [json.loads(line) for line in lines[:-1]]


def exact(record: dict[str, Any], field: str) -> str:
    raw = record.get(f"{field}_bytes")
    return os.fsdecode(base64.b64decode(raw)) if raw else record[field]


def restore_by_hand(manifest: bytes, fetch: Fetch, destination: Path) -> None:
    """Write back what a manifest speaks of: contents, rights, times, links."""
    destination.mkdir(parents=True, exist_ok=True)
    for record in _entries(manifest):
        path = destination / exact(record, "path")
        if record["type"] == "folder":
            path.mkdir(parents=True)
        elif record["type"] == "link":
            path.symlink_to(exact(record, "target"))
            os.utime(path, ns=(record["mtime_ns"], record["mtime_ns"]), follow_symlinks=False)
        else:
            _restore_file(record, fetch, path, destination)


def _restore_file(record: dict[str, Any], fetch: Fetch, path: Path, destination: Path) -> None:
    if "hardlink" in record:
        os.link(destination / exact(record, "hardlink"), path)
        return
    data = contents_of(record, fetch)
    assert len(data) == record["size"]
    assert hashlib.sha256(data).hexdigest() == record["sha256"]
    path.write_bytes(data)
    path.chmod(int(record["mode"], 8))
    os.utime(path, ns=(record["mtime_ns"], record["mtime_ns"]))


def contents_of(record: dict[str, Any], fetch: Fetch) -> bytes:
    """The bytes of a file, from its object or from its frame of a pack."""
    if "key" not in record:
        return b""
    data = fetch(record["key"])[record["offset"] : record["offset"] + record["length"]]
    if "extents" in record:
        contents = bytearray(record["size"])
        for start, length in record["extents"]:
            contents[start : start + length], data = data[:length], data[length:]
        return bytes(contents)
    if "within" not in record:
        return data
    return zstd.decompress(data)[record["within"] : record["within"] + record["size"]]


def _entries(manifest: bytes) -> Iterator[dict[str, Any]]:
    return (record for record in manifest_lines(manifest)[1:] if "path" in record)


def files_of(manifest: bytes, fetch: Fetch) -> dict[str, bytes]:
    """Contents of each file, by path."""
    return {exact(one, "path"): contents_of(one, fetch) for one in _entries(manifest) if one["type"] == "file"}


def objects_of(manifest: bytes) -> list[str]:
    """Keys of the objects that a manifest speaks of."""
    return sorted({record["key"] for record in _entries(manifest) if "key" in record})


def keys_of_archive(manifest: bytes) -> list[str]:
    """Keys of everything that an archive has below `data/`: its objects, and the copy of its manifest."""
    return [*objects_of(manifest), f"{manifest_lines(manifest)[0]['data']}manifest.jsonl.zst"]


def check_target(keys: list[str], fetch: Fetch) -> dict[str, str]:
    """No manifest refers to what is not there or is not as it says. Returns manifest key by item."""
    items: dict[str, str] = {}
    for key, (_, item) in check_archives(keys, fetch).items():
        assert item not in items, f"{item!r} is archived twice"
        items[item] = key
    return items


def of_items(keys: Iterable[str]) -> list[str]:
    """Keys of data that are neither copies of manifests nor signs of the runs that wrote them."""
    return [key for key in keys if not key.endswith("/manifest.jsonl.zst") and "/alive/" not in key]


def check_archives(keys: list[str], fetch: Fetch) -> dict[str, tuple[str, str]]:
    """As `check_target`, of several devices. Returns (device, item) by the manifest's key."""
    found: dict[str, tuple[str, str]] = {}
    for key in (key for key in keys if key.startswith("manifests/")):
        lines = manifest_lines(fetch(key))
        for record in lines[1:]:
            if "object" in record:
                assert hashlib.sha256(fetch(record["object"])).hexdigest() == record["sha256"]
            elif "key" in record:
                assert hashlib.sha256(contents_of(record, fetch)).hexdigest() == record["sha256"]
        found[key] = (lines[0].get("device", ""), exact(lines[0], "item"))
    return found
