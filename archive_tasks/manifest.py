"""The manifest of an archive: what is in it and where each byte lies. Writing it is the commit.

Format 1: JSON Lines, UTF-8, compressed with zstd.

1. A header: `{"archive_tasks": "manifest", "format": 1, "id": ..., "item": ..., "scope": ..., "host": ...,
   "root": ..., "created": ..., "clock": ..., "days": ..., "newest": {"path", "used_ns"}, "files": n,
   "folders": n, "bytes": n, "attempt": ...}`
2. A line an entry, in the order of the walk: `path`, `type` (file, folder, link), `mode` (octal text),
   `mtime_ns`, `uid`, `gid`, `user`, `group`; for a file `size`, `sha256`, and unless it is empty `key`, `offset`,
   `length`, and where it was sent in parts `part_size` and `parts` (their SHA-256); `hardlink` instead of a
   place when its contents are those of an entry before it; for a link `target`; `xattrs` (name -> base64).
   `path_bytes`, `target_bytes` (base64) beside a name that is no valid UTF-8.
   What was left out is a line `{"left_out": path, "why": ...}`.
3. `{"end": number of lines before this one, "sha256": of all bytes before this line}`: a manifest without it
   was cut short.

The objects stand with their entries and not in the header, so that both sides can stream an item of any size.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from archive_tasks.errors import ManifestError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 1
LEVEL = 3
LARGEST_LINE = 64 * 1024 * 1024
_CHUNK = 1024 * 1024

Record = dict[str, Any]


class ManifestWriter:
    """Collects the lines of one manifest, compressed as they come. Not for several threads at once."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        self._compressor = zstd.ZstdCompressor(level=LEVEL)
        self._hash = hashlib.sha256()
        self._out = bytearray()
        self._lines = 0
        self.add({"archive_tasks": "manifest", "format": FORMAT, **header})

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one line."""
        line = _line(record)
        self._hash.update(line)
        self._out += self._compressor.compress(line)
        self._lines += 1

    def finish(self) -> bytes:
        """The whole manifest, compressed."""
        end = {"end": self._lines, "sha256": self._hash.hexdigest()}
        self._out += self._compressor.compress(json.dumps(end).encode() + b"\n")
        self._out += self._compressor.flush()
        return bytes(self._out)


def read_manifest(data: bytes) -> Iterator[Record]:
    """The header, then every entry, of a manifest as it lies in the target.

    The last line is checked before the iterator ends, so who needs to rely on it must read to the end.

    Raises:
        ManifestError: it is damaged, cut short, no manifest, or of a newer format.
    """
    digest = hashlib.sha256()
    for number, line in enumerate(_lines(data)):
        record = _parsed(line)
        if number == 0:
            _check_header(record)
        if "end" in record:
            if record["end"] != number or record.get("sha256") != digest.hexdigest():
                raise ManifestError("the manifest is damaged: its lines do not match its last one")
            return
        digest.update(line)
        yield record
    raise ManifestError("the manifest is cut short: its last line is missing")


def _line(record: Mapping[str, Any]) -> bytes:
    """Readable UTF-8; a text that is none (the name of an extended attribute, say) is escaped, and so kept exactly."""
    try:
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def name_fields(field: str, name: str) -> Record:
    """`{field: name}`, with the exact bytes beside it where the name is no valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(name)
        return {field: raw.decode(errors="replace"), f"{field}_bytes": base64.b64encode(raw).decode()}
    return {field: name}


def name_in(record: Record, field: str) -> str:
    """The exact name that `name_fields` wrote, as `os.fsdecode` makes it.

    Raises:
        ManifestError: there is none.
    """
    try:
        if exact := record.get(f"{field}_bytes"):
            return os.fsdecode(base64.b64decode(exact, validate=True))
        return str(record[field])
    except (KeyError, ValueError, TypeError) as error:
        raise ManifestError(f"the manifest is damaged: a line has no {field}") from error


def _lines(data: bytes) -> Iterator[bytes]:
    """Lines with their ends, unpacked a piece at a time, so that a small manifest cannot fill the memory."""
    unpacker = zstd.ZstdDecompressor()
    rest = b""
    try:
        piece = unpacker.decompress(data, max_length=_CHUNK)
        while piece or not unpacker.eof:
            if not piece and unpacker.needs_input:
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line + b"\n" for line in whole)
            if len(rest) > LARGEST_LINE:
                raise ManifestError("the manifest is damaged: a line has no end")
            piece = b"" if unpacker.eof else unpacker.decompress(b"", max_length=_CHUNK)
    except zstd.ZstdError as error:
        raise ManifestError(f"the manifest is damaged: {error}") from error


def _parsed(line: bytes) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ManifestError("the manifest is damaged: a line is no JSON") from error
    if not isinstance(record, dict):
        raise ManifestError("the manifest is damaged: a line is no JSON object")
    return record


def _check_header(record: Record) -> None:
    if record.get("archive_tasks") != "manifest":
        raise ManifestError("this is no manifest of archive_tasks")
    if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
        raise ManifestError(
            f"the manifest has format {record.get('format')}, and this version reads up to {FORMAT}: "
            "upgrade archive-tasks"
        )
