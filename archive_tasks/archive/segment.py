"""One segment of a pack: its members are read and packed into frames, and each is then checked at its stated place.

The unit of work is a `PackJob`: plain values, so that it can be sent to another process, or to a machine that
sees the same root.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from archive_tasks.disk.read_file import Identity, SourceFile
from archive_tasks.disk.walk import FolderHandles, unreadable
from archive_tasks.errors import ItemUnreadable
from archive_tasks.formats import tar
from archive_tasks.formats.frames import FRAME_BYTES, make_frame, unpack_whole
from archive_tasks.names import display

_EMPTY_SHA256 = hashlib.sha256().hexdigest()


class Member(NamedTuple):
    """What goes into a pack: an entry as it was listed.

    Attributes:
        path: relative to the root.
        kind: of `archive_tasks.formats.tar`.
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


class PackJob(NamedTuple):
    """One segment to pack. `root` is absolute."""

    root: str
    members: Sequence[Member]


class Packed(NamedTuple):
    """Where a file's contents are in its segment.

    Attributes:
        sha256: hex digest of the contents; empty without contents.
        frame: number of its frame in the segment.
        within: where its contents begin in what the frame unpacks to.
        attributes: its extended attributes.
    """

    sha256: str
    frame: int
    within: int
    attributes: dict[str, bytes]


class Segment(NamedTuple):
    """Consecutive frames.

    Attributes:
        frames: bytes of each frame, compressed.
        packed: one for each member of the order.
    """

    data: bytes
    frames: tuple[int, ...]
    packed: tuple[Packed, ...]


def pack_segment(order: PackJob) -> Segment:
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
                frames.append(make_frame(pieces))
                pieces, filled = [], 0
            data, attributes = _contents(member, folders)
            header = _header(member, attributes)
            pieces += (header, data, tar.padding(len(data)))
            packed.append(Packed(_digest(member, data), len(frames), filled + len(header), attributes))
            filled += len(header) + len(data) + len(pieces[-1])
    if pieces:
        frames.append(make_frame(pieces))
    check_places(frames, order.members, packed)
    return Segment(b"".join(frames), tuple(map(len, frames)), tuple(packed))


def check_places(frames: Sequence[bytes], members: Sequence[Member], packed: Sequence[Packed]) -> None:
    """Unpack what was packed, and hash each file at its stated place: a manifest is relied on for years.

    A digest of the pack proves its bytes, but not what is where in them.

    Raises:
        ItemUnreadable: a place is wrong: a fault of this program's, or of this machine's memory.
    """
    number, contents = -1, b""
    for member, place in zip(members, packed, strict=True):
        if member.identity is None:
            continue
        if place.frame != number:
            number, contents = place.frame, unpack_whole(frames[place.frame])
        end = place.within + member.identity.size
        digest = hashlib.sha256(memoryview(contents)[place.within : end]).hexdigest()
        if end > len(contents) or digest != place.sha256:
            raise ItemUnreadable(f"{display(member.path)} was packed wrongly: try again; if it persists, report it")


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
