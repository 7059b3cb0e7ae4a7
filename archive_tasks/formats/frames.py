"""Packs: the small files of an item, many in one object.

A pack is a PAX tar in independent zstd frames, cut at member borders after about 512 KiB of tar each. So
`zstd -d < pack | tar x` unpacks it without this tool, and one file comes back with one ranged request for its
frame. Frames do not depend on their place: segments of a pack are made in parallel, in any process, and then
concatenated.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archive_tasks.formats import tar
from archive_tasks.model import Attributes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAME_BYTES = 512 * 1024
"""Of tar, after which a frame is cut: what one file costs to fetch, against how well many compress together."""
LEVEL = 3
"""400 MB/s and a ratio of 5.4 on text; data that does not compress passes at 2 GB/s and is kept as it is."""
HOW = f"tar 1 zstd {zstd.zstd_version} {LEVEL} {FRAME_BYTES}"
"""What the bytes of a pack follow from, beside the files: a pack that was made otherwise has other bytes."""

_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


def end_of_pack() -> bytes:
    """The last frame of every pack."""
    return make_frame([tar.END])


def unpack_whole(data: bytes) -> bytes:
    """All that a frame holds: only for a frame that was made here. Raises zstd.ZstdError."""
    contents: bytes = zstd.decompress(data)
    return contents


def unpack_frame(data: bytes, needed: int) -> bytes:
    """The first `needed` bytes of what a frame unpacks to, and nothing of what it may hold beyond.

    Raises:
        ValueError: the frame is damaged or holds less.
    """
    # No window above 128 MiB, and no more than is needed, because a forged frame may unpack to anything: 256 MiB of
    # zeros are 8 kB of zstd.
    unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 27})
    parts: list[bytes] = []
    room = needed
    piece = data
    try:
        while room:
            part = unpacker.decompress(piece, max_length=room)
            piece = b""
            parts.append(part)
            room -= len(part)
            if room and (unpacker.eof or (unpacker.needs_input and not part)):
                raise ValueError("it is cut short")
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def make_frame(pieces: Sequence[bytes]) -> bytes:
    """Compress them as one."""
    frame: bytes = zstd.compress(b"".join(pieces), options=_OPTIONS)
    return frame


LARGEST_UNPACKED = 256 * 1024 * 1024
"""Of one frame, at most, whatever a manifest says: frames are cut after 512 KiB, and packed files are below 64 MiB."""


class WantedFile(NamedTuple):
    """A file to write.

    Attributes:
        path: below the destination.
        within: where it begins in what its bytes unpack to; None when they are the file.
    """

    path: str
    size: int
    sha256: str
    within: int | None
    attributes: Attributes
    sparse: bool = False

    @property
    def begin(self) -> int:
        """Where it begins in what holds it."""
        return self.within or 0


class Span(NamedTuple):
    """A frame of the data that was fetched, or a whole file, and the files that are wanted of it."""

    start: int
    length: int
    files: Sequence[WantedFile]


def contents_of(data: bytes, files: Sequence[WantedFile]) -> bytes:
    """What holds the files: a frame, unpacked as far as they need it, or the file itself. Raises ValueError."""
    if not files or files[0].within is None:
        return data
    return unpack_frame(data, max(one.begin + one.size for one in files))
