"""The manifest of an archive: what is in it and where each byte is. Writing it is the commit.

Format 3: JSON Lines, UTF-8, in consecutive zstd frames, cut between lines.

1. A header: `{"archive_tasks": "manifest", "format": 3, "id": ..., "item": ..., "kind": ..., "scope": ...,
   "device": ..., "host": ..., "root": ..., "number": n, "commit": ..., "created": ..., "clock": ..., "days": ...,
   "newest": {"path", "used_ns"}, "files": n, "folders": n, "bytes": n, "data": prefix of its objects}`, and
   `"replaces": key` where this archive stands in for a damaged one. `commit` and `id` are those of the key.
2. A line an entry, in the order of the walk: `path`, `type` (file, folder, link), `mode` (octal text),
   `mtime_ns`, `uid`, `gid`, `user`, `group`; for a file `size`, `sha256`, and unless it is empty its place (below)
   or `hardlink`, when its contents are those of an entry before it; `sparse` when it had holes; for a link
   `target`; `xattrs` (name -> base64). `path_bytes`, `target_bytes` (base64) beside a name that is not valid UTF-8.
   What was left out is a line `{"left_out": path, "why": ...}`.
3. A line a pack, and a line a tar of a file with holes, some time after the last of its entries:
   `{"object": key, "size": n, "sha256": ..., "part_size", "parts"}`.
4. `{"end": number of lines before this one, "sha256": of all bytes before this line}`: a manifest without it
   was cut short.

The place of a file: `key`, `offset`, `length` say which bytes of which object hold it. Where there is `within`, they
are one zstd frame of a pack, and its contents are `size` bytes from `within` on in what that unpacks to; where
there are `extents`, [start, length] of each range of the file that holds data, they are these ranges, one behind the
other; where there is neither, they are the file. `part_size` and `parts` (hex SHA-256 of each) stand with an object
that was sent in parts, so that the store's composite checksum can be computed.

Reserved, and refused by this version: `sealed` in the header, for manifests that are encrypted.

Format 2 had no `device`, `number` and `commit`; format 1 had no packs either and was one zstd frame. This module
reads all three. Prices, classes and thaw states can change later and are not in it.

The objects stand with their entries and not in the header, so that both sides can stream an item of any size.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from archive_tasks.errors import ItemUnreadable, ManifestError
from archive_tasks.names import display

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 3
LEVEL = 3
LARGEST_LINE = 8 * 1024 * 1024
"""A line that is nothing but brackets takes 20 times its size when it is read."""
BLOCK_BYTES = 1024 * 1024
"""Of lines, after which a frame of the manifest ends."""
_CHUNK = 1024 * 1024
_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}

Record = dict[str, Any]


class Block(NamedTuple):
    """Some lines of a manifest.

    Attributes:
        frame: the lines, compressed.
        paths: of the entry in each line, empty for a line of another kind.
    """

    frame: bytes
    paths: tuple[str, ...]


class BlockWriter:
    """Collects lines into blocks. Not for several threads at once."""

    def __init__(self, on_block: Callable[[Block], None]) -> None:
        self._on_block = on_block
        self._lines: list[bytes] = []
        self._paths: list[str] = []
        self._filled = 0

    def add(self, line: bytes, path: str = "") -> None:
        self._lines.append(line)
        self._paths.append(path)
        self._filled += len(line)
        if self._filled >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """End the block, if it holds anything."""
        if self._lines:
            self._on_block(Block(zstd.compress(b"".join(self._lines), options=_OPTIONS), tuple(self._paths)))
        self._lines, self._paths, self._filled = [], [], 0


class ManifestWriter:
    """Writes the lines of one manifest, block by block. Not for several threads at once.

    Args:
        on_block: takes each block, in order; the manifest is their frames one behind the other.
    """

    def __init__(self, header: Mapping[str, Any], on_block: Callable[[Block], None]) -> None:
        self._blocks = BlockWriter(on_block)
        self._on_block = on_block
        self._hash = hashlib.sha256()
        self._lines = 0
        self.add({"archive_tasks": "manifest", "format": FORMAT, **header})

    def add(self, record: Mapping[str, Any], path: str = "") -> None:
        """Append one line; `path` is the exact path of its entry. Raises ItemUnreadable for one too long to be read."""
        line = _line(record)
        if len(line) > LARGEST_LINE:
            raise ItemUnreadable(f"{display(path)} has more extended attributes than an archive can hold")
        self._hash.update(line)
        self._blocks.add(line, path)
        self._lines += 1

    def finish(self) -> None:
        """Write the last line."""
        self._blocks.flush()
        end = json.dumps({"end": self._lines, "sha256": self._hash.hexdigest()}).encode() + b"\n"
        self._on_block(Block(zstd.compress(end, options=_OPTIONS), ("",)))


def read_manifest(data: bytes | Iterable[bytes]) -> Iterator[Record]:
    """The header, then every line but the last, of a manifest as it is in the target.

    The last line is checked before the iterator ends, so whoever relies on it must read to the end.

    Args:
        data: whole, or in chunks.

    Raises:
        ManifestError: it is damaged, cut short, not a manifest, or of a newer format.
    """
    return (record for record, _ in read_lines(data))


def read_lines(data: bytes | Iterable[bytes]) -> Iterator[tuple[Record, bytes]]:
    """As `read_manifest`, with each record's own line."""
    digest = hashlib.sha256()
    lines = _lines([data] if isinstance(data, bytes) else data)
    for number, line in enumerate(lines):
        record = _parsed(line)
        if number == 0:
            _check_header(record)
        if "end" in record:
            if record["end"] != number or record.get("sha256") != digest.hexdigest():
                raise ManifestError("the manifest is damaged: its lines do not match its last one")
            if any(lines):
                raise ManifestError("the manifest is damaged: it continues after its last line")
            return
        digest.update(line)
        yield record, line
    raise ManifestError("the manifest is cut short: its last line is missing")


def lines_of(frame: bytes) -> list[bytes]:
    """The lines of a block that this device keeps. Raises ManifestError."""
    return list(_lines([frame]))


def parse_line(line: bytes) -> Record:
    """One line, as a record. Raises ManifestError."""
    return _parsed(line)


def _line(record: Mapping[str, Any]) -> bytes:
    """Readable UTF-8; other text (the name of an extended attribute, say) is escaped, and so kept exactly."""
    try:
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def name_fields(field: str, name: str) -> Record:
    """`{field: name}`, with the exact bytes beside it where the name is not valid UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(name)
        return {field: raw.decode(errors="replace"), f"{field}_bytes": base64.b64encode(raw).decode()}
    return {field: name}


def name_in(record: Record, field: str) -> str:
    """The exact name that `name_fields` wrote, as `os.fsdecode` makes it.

    Raises:
        ManifestError: it is missing.
    """
    try:
        if exact := record.get(f"{field}_bytes"):
            return os.fsdecode(base64.b64decode(exact, validate=True))
        name = str(record[field])
        if not name.isascii():
            os.fsencode(name)  # JSON can spell halves of characters, which no system takes for a name
        return name
    except (KeyError, ValueError, TypeError) as error:
        raise ManifestError(f"the manifest is damaged: a line has no {field}") from error


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, unpacked a piece at a time, so that a small manifest cannot fill the memory."""
    rest = b""
    try:
        for piece in _unpacked(chunks):
            *whole, rest = (rest + piece).split(b"\n")
            yield from (line + b"\n" for line in whole)
            if len(rest) > LARGEST_LINE:
                raise ManifestError("the manifest is damaged: a line has no end")
    except zstd.ZstdError as error:
        raise ManifestError(f"the manifest is damaged: {error}") from error


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unpacker = None
    for chunk in chunks:
        left = chunk
        while left:
            # the window and each piece have a limit, because a forged manifest of 8 kB may unpack to 256 MiB
            unpacker = unpacker or zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})
            piece = unpacker.decompress(left, max_length=_CHUNK)
            while piece or not (unpacker.eof or unpacker.needs_input):
                yield piece
                piece = b"" if unpacker.eof else unpacker.decompress(b"", max_length=_CHUNK)
            left, unpacker = (unpacker.unused_data, None) if unpacker.eof else (b"", unpacker)
    if unpacker is not None:
        raise ManifestError("the manifest is cut short: its last frame has no end")


def _parsed(line: bytes) -> Record:
    try:
        record = json.loads(line.decode())  # given the encoding, json need not detect it: saves 4 µs a line
    except (ValueError, RecursionError) as error:
        raise ManifestError("the manifest is damaged: a line is not JSON") from error
    if not isinstance(record, dict):
        raise ManifestError("the manifest is damaged: a line is not a JSON object")
    return record


def _check_header(record: Record) -> None:
    if record.get("archive_tasks") != "manifest" or "end" in record:
        raise ManifestError("this is not a manifest of archive_tasks")
    if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
        raise ManifestError(
            f"the manifest has format {record.get('format')}, and this version reads up to {FORMAT}: "
            "upgrade archive-tasks"
        )
    if "sealed" in record:
        raise ManifestError("the manifest is sealed, which this version cannot open: upgrade archive-tasks")
