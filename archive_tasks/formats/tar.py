"""Headers of PAX tar members, made at a few microseconds each.

The standard library's tarfile takes 30 to 45 µs for a header alone, which is most of what packing a small file
costs; here a header is put together from its fields. What is written is POSIX.1-2001 (pax): a `ustar` header,
before it an extended one with what does not fit (times to the nanosecond, long or non-ASCII names, extended
attributes). GNU tar, bsdtar and Python's tarfile read it.
"""

from __future__ import annotations

import functools
import os
import struct
import zlib
from collections.abc import Mapping, Sequence

BLOCK = 512
END = bytes(2 * BLOCK)
"""What a tar ends with."""

FILE, HARDLINK, SYMLINK, FOLDER = b"0", b"1", b"2", b"5"
_EXTENDED = b"x"
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s183s")
_NO_SUM = b" " * 8
_LARGEST_SIZE = 8**11 - 1
_LARGEST_ID = 8**7 - 1
_NANOSECONDS = 10**9


def member_header(
    path: str,
    kind: bytes,
    *,
    mode: int,
    mtime_ns: int,
    size: int = 0,
    uid: int = 0,
    gid: int = 0,
    user: str = "",
    group: str = "",
    target: str = "",
    attributes: Mapping[str, bytes] | None = None,
    more: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """All that stands before a member's contents.

    Args:
        path: relative; a folder's ends with `/`.
        size: bytes of contents that follow, padded to whole blocks by `padding`.
        target: where a symlink points, or the path of the member that a hard link is another name of.
        attributes: extended attributes.
        more: further records of the extended header.
    """
    seconds, fraction = divmod(mtime_ns, _NANOSECONDS)
    records = [_record(field, value) for field, value in more]
    if fraction or not 0 <= seconds <= _LARGEST_SIZE:
        records.append(_record(b"mtime", _decimal(mtime_ns)))
    name = _short(path, b"path", 100, records)
    link = _short(target, b"linkpath", 100, records) if target else b""
    for field, number in ((b"uid", uid), (b"gid", gid)):
        if not 0 <= number <= _LARGEST_ID:
            records.append(_record(field, b"%d" % number))
    if size > _LARGEST_SIZE:
        records.append(_record(b"size", b"%d" % size))
    for attribute, value in (attributes or {}).items():
        records.append(_record(b"SCHILY.xattr." + os.fsencode(attribute), value))
    header = _ustar(
        name,
        kind,
        mode=mode,
        uid=uid if 0 <= uid <= _LARGEST_ID else 0,
        gid=gid if 0 <= gid <= _LARGEST_ID else 0,
        size=size if size <= _LARGEST_SIZE else 0,
        seconds=seconds if 0 <= seconds <= _LARGEST_SIZE else 0,
        link=link,
        user=_owner(user),
        group=_owner(group),
    )
    return _extended(b"".join(records)) + header if records else header


def sparse_member(
    path: str,
    extents: Sequence[tuple[int, int]],
    *,
    size: int,
    mode: int,
    mtime_ns: int,
    uid: int = 0,
    gid: int = 0,
    user: str = "",
    group: str = "",
    attributes: Mapping[str, bytes] | None = None,
) -> bytes:
    """All that stands before the data of a file with holes; its data follows, one extent behind the other, padded.

    Args:
        extents: (start, length) of each range that holds data.
        size: bytes of the whole file, holes included.

    The form is GNU tar's 1.0: a list of the extents before the data. (GNU tar manual, "Storing Sparse Files")
    """
    listed = [*extents, (size, 0)]
    numbers = [len(listed), *(number for extent in listed for number in extent)]
    places = b"".join(b"%d\n" % number for number in numbers)
    places += padding(len(places))
    return (
        member_header(
            "GNUSparseFile.0/" + path.rpartition("/")[2].encode("ascii", "replace").decode()[:80],
            FILE,
            mode=mode,
            mtime_ns=mtime_ns,
            size=len(places) + sum(length for _, length in extents),
            uid=uid,
            gid=gid,
            user=user,
            group=group,
            attributes=attributes,
            more=(
                (b"GNU.sparse.major", b"1"),
                (b"GNU.sparse.minor", b"0"),
                (b"GNU.sparse.name", os.fsencode(path)),
                (b"GNU.sparse.realsize", b"%d" % size),
            ),
        )
        + places
    )


def padding(size: int) -> bytes:
    """Zeros that fill contents of `size` bytes up to a whole block."""
    return bytes(-size % BLOCK)


def _decimal(nanoseconds: int) -> bytes:
    """A moment as decimal seconds. Negative ones count from zero down, as `date +%s` does."""
    seconds, fraction = divmod(abs(nanoseconds), _NANOSECONDS)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, fraction)


def _short(text: str, field: bytes, room: int, records: list[bytes]) -> bytes:
    """`text` for a field of the ustar header; where it does not fit or is not ASCII, exactly in an extended record.

    Bytes that are not UTF-8 are kept as they are, as GNU tar does: it complains about `hdrcharset`.
    """
    if text.isascii() and len(text) <= room:
        return text.encode()
    records.append(_record(field, os.fsencode(text)))
    return text.encode("ascii", "replace")[:room]


@functools.lru_cache(maxsize=256)
def _owner(name: str) -> bytes:
    return name.encode("ascii", "replace")[:31]


def _record(field: bytes, value: bytes) -> bytes:
    """`length field=value`, where the length counts itself. (POSIX pax, "pax Header Block")"""
    bare = len(field) + len(value) + 3
    length = bare + len(b"%d" % bare)
    if len(b"%d" % length) != length - bare:
        length = bare + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, field, value)


def _extended(records: bytes) -> bytes:
    return _extended_header(len(records)) + records + padding(len(records))


@functools.lru_cache(maxsize=1024)
def _extended_header(size: int) -> bytes:
    return _ustar(
        b"PaxHeader", _EXTENDED, mode=0o644, uid=0, gid=0, size=size, seconds=0, link=b"", user=b"", group=b""
    )


def _ustar(
    name: bytes,
    kind: bytes,
    *,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    seconds: int,
    link: bytes,
    user: bytes,
    group: bytes,
) -> bytes:
    header = _HEADER.pack(
        name,
        b"%07o" % mode,
        b"%07o" % uid,
        b"%07o" % gid,
        b"%011o" % size,
        b"%011o" % seconds,
        _NO_SUM,
        kind,
        link,
        b"ustar\x0000",
        user,
        group,
        b"",
    )
    return header[:148] + b"%06o\0 " % _sum(header) + header[156:]


def _sum(header: bytes) -> int:
    """The sum of the bytes. All are ASCII, so it is below Adler-32's modulus, whose low half is one more than it."""
    return (zlib.adler32(header) & 0xFFFF) - 1
