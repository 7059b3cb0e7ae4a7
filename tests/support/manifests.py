"""Manifests as somebody else writes them who may write to the bucket: well formed, and not what was archived."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

from tests.support.foreign import manifest_lines
from tests.support.places import Place

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Line = dict[str, Any]


def forged(data: bytes, change: Callable[[list[Line]], object]) -> bytes:
    """The same manifest with other lines; its last line fits them."""
    lines = manifest_lines(data)
    change(lines)
    return written(lines)


def written(lines: list[Line]) -> bytes:
    text = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
    end = json.dumps({"end": len(lines), "sha256": hashlib.sha256(text).hexdigest()}).encode() + b"\n"
    return zstd.compress(text) + zstd.compress(end)


def forge(place: Place, key: str, change: Callable[[list[Line]], object]) -> None:
    """In its place, and in the copy beside its data where there is one."""
    before = place.get(key)
    after = forged(before, change)
    place.put(key, after)
    for copy in place.listed(header_of(before)["data"]):
        if copy.endswith("/manifest.jsonl.zst"):
            place.put(copy, after)


def header_of(data: bytes) -> Line:
    return manifest_lines(data)[0]


def entry(lines: list[Line], path: str) -> Line:
    return next(line for line in lines if line.get("path") == path)


def exchange(one: str, other: str) -> Callable[[list[Line]], None]:
    """Each of two small files is said to be where the other is: what a packer's bug would write."""

    def change(lines: list[Line]) -> None:
        first, second = entry(lines, one), entry(lines, other)
        for field in ("key", "offset", "length", "within"):
            first[field], second[field] = second[field], first[field]

    return change
