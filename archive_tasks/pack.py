"""Packs: the small files of an item, many in one object.

A pack is a PAX tar in independent zstd frames, cut at member borders after about 512 KiB of tar each. So
`zstd -d < pack | tar x` unpacks it without this tool, and one file comes back with one ranged request for its
frame. Frames know nothing of their place: segments of a pack are made side by side, in any process, and put one
behind the other.

The unit of work is an `Order`: plain values, so that it can be sent to another process, or to a machine that
sees the same root.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archive_tasks import tar
from archive_tasks.errors import ItemUnreadable
from archive_tasks.names import display
from archive_tasks.source import Identity, SourceFile
from archive_tasks.walk import FolderHandles, unreadable

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
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


class Member(NamedTuple):
    """What goes into a pack: an entry as it was listed.

    Attributes:
        path: relative to the root.
        kind: of `archive_tasks.tar`.
        identity: of a file that is read; None for what has no contents of its own.
        target: of a symlink or a hard link.
        attributes: a folder's extended attributes; a file's own are read when it is packed.
    """

    path: str
    kind: bytes
    mode: int
    mtime_ns: int
    uid: int
    gid: int
    user: str
    group: str
    identity: Identity | None = None
    target: str = ""
    attributes: dict[str, bytes] | None = None


class Order(NamedTuple):
    """One segment to pack. `root` is absolute."""

    root: str
    members: Sequence[Member]


class Packed(NamedTuple):
    """Where a file's contents are in its segment.

    Attributes:
        sha256: hex digest of the contents; empty for what has none.
        frame: number of its frame in the segment.
        within: where its contents begin in what the frame unpacks to.
        attributes: its extended attributes.
    """

    sha256: str
    frame: int
    within: int
    attributes: dict[str, bytes]


class Segment(NamedTuple):
    """Frames one behind the other.

    Attributes:
        frames: bytes of each frame, compressed.
        packed: one for each member of the order.
    """

    data: bytes
    frames: tuple[int, ...]
    packed: tuple[Packed, ...]


def pack_segment(order: Order) -> Segment:
    """Read the members and pack them.

    Raises:
        ItemChanged: a file is not what was listed, or changed while it was read.
        ItemUnreadable: a file cannot be read.
    """
    frames: list[bytes] = []
    packed: list[Packed] = []
    pieces: list[bytes] = []
    filled = 0
    with FolderHandles(order.root) as folders:
        for member in order.members:
            if filled >= FRAME_BYTES:
                frames.append(_frame(pieces))
                pieces, filled = [], 0
            data, attributes = _contents(member, folders)
            header = _header(member, attributes)
            pieces += (header, data, tar.padding(len(data)))
            packed.append(Packed(_digest(member, data), len(frames), filled + len(header), attributes))
            filled += len(header) + len(data) + len(pieces[-1])
    if pieces:
        frames.append(_frame(pieces))
    check_places(frames, order.members, packed)
    return Segment(b"".join(frames), tuple(map(len, frames)), tuple(packed))


def check_places(frames: Sequence[bytes], members: Sequence[Member], packed: Sequence[Packed]) -> None:
    """Unpack what was packed, and hash each file where it is said to be: a manifest is believed for years.

    A digest of the pack proves its bytes, and not what is where in them.

    Raises:
        ItemUnreadable: a place is wrong: a fault of this program's, or of this machine's memory.
    """
    number, contents = -1, b""
    for member, place in zip(members, packed, strict=True):
        if member.identity is None:
            continue
        if place.frame != number:
            number, contents = place.frame, zstd.decompress(frames[place.frame])
        end = place.within + member.identity.size
        digest = hashlib.sha256(memoryview(contents)[place.within : end]).hexdigest()
        if end > len(contents) or digest != place.sha256:
            raise ItemUnreadable(f"{display(member.path)} was packed wrongly: try again; if it stays, report it")


def end_of_pack() -> bytes:
    """The last frame of every pack."""
    return _frame([tar.END])


def unpack_frame(data: bytes, needed: int) -> bytes:
    """The first `needed` bytes of what a frame unpacks to, and nothing of what it may hold beyond.

    Raises:
        ValueError: the frame is damaged or holds less.
    """
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


def _frame(pieces: list[bytes]) -> bytes:
    frame: bytes = zstd.compress(b"".join(pieces), options=_OPTIONS)
    return frame


def _header(member: Member, attributes: dict[str, bytes]) -> bytes:
    return tar.member_header(
        member.path + "/" if member.kind == tar.FOLDER else member.path,
        member.kind,
        mode=member.mode,
        mtime_ns=member.mtime_ns,
        size=member.identity.size if member.identity else 0,
        uid=member.uid,
        gid=member.gid,
        user=member.user,
        group=member.group,
        target=member.target,
        attributes=attributes,
    )


def _digest(member: Member, data: bytes) -> str:
    if member.identity is None:
        return ""
    return hashlib.sha256(data).hexdigest() if data else _EMPTY_SHA256


def _contents(member: Member, folders: FolderHandles) -> tuple[bytes, dict[str, bytes]]:
    """A file's bytes and extended attributes; it is the file that was listed, from before the first byte on."""
    if member.identity is None:
        return b"", member.attributes or {}
    folder, _, name = member.path.rpartition("/")
    try:
        parent = folders.handle(folder)
    except OSError as error:
        raise unreadable(folder, error) from error
    with SourceFile(member.path, name, parent, member.identity) as source:
        data = source.piece(0, source.size) if source.size else b""
        attributes = source.extended_attributes()
        source.check()
    return data, attributes
