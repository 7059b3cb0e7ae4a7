"""Putting a file with holes into the store: a tar of this one file, in which only its data is.

`tar x` makes it again, with its holes. (GNU tar's format "PAX 1.0" for sparse files)
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from archive_tasks.archive.segment import Member
from archive_tasks.disk.read_file import SourceFile
from archive_tasks.disk.sparse import Extent, forget_zeros, is_zeros
from archive_tasks.errors import HolesHoldData
from archive_tasks.formats import tar
from archive_tasks.formats.manifest import Record
from archive_tasks.formats.objects import Stored
from archive_tasks.target.object_writer import ObjectWriter, begun_anew
from archive_tasks.target.transfer import Transfer

_PIECE = 1024 * 1024


class SparseSent(NamedTuple):
    """What was sent of a file with holes.

    Attributes:
        object: the tar, when it is in the store.
        fields: what its line of the manifest says of its contents, except the key.
    """

    object: Future[Stored]
    fields: Record


def send_sparse(
    source: SourceFile, member: Member, extents: Sequence[Extent], key: str, transfer: Transfer
) -> SparseSent:
    """Send a file without its holes, which are read all the same. It is not closed.

    Args:
        member: its path, rights, times, owner and attributes.
        extents: where its data is.

    Raises:
        HolesHoldData: there is more; nothing is left in the store.
        ItemChanged: the file changed while it was read.
        StoreError: the target failed.
    """
    header = tar.sparse_member(
        member.path,
        extents,
        size=source.size,
        mode=member.mode,
        mtime_ns=member.mtime_ns,
        uid=member.uid,
        gid=member.gid,
        user=member.user,
        group=member.group,
        attributes=member.attributes,
    )
    length = sum(size for _, size in extents)
    end = tar.padding(length) + tar.END
    quiet = dataclasses.replace(transfer, on_sent=lambda _size: transfer.on_sent(0))  # progress counts what is read

    def write(writer: ObjectWriter) -> SparseSent:
        writer.write(header)
        digest = _read_into(writer, source, extents, transfer.on_sent)
        writer.write(end)
        fields = {"sha256": digest, "offset": len(header), "length": length, "extents": [list(x) for x in extents]}
        return SparseSent(writer.finish(), fields)

    return begun_anew(lambda: ObjectWriter(quiet, key, max_size=len(header) + length + len(end)), write)


def _read_into(
    writer: ObjectWriter, source: SourceFile, extents: Sequence[Extent], on_read: Callable[[int], None]
) -> str:
    """Read the whole file once, in order, and write its data. Returns the SHA-256 of the whole."""
    digest = hashlib.sha256()
    told = 0
    try:
        for offset, size, is_data in _pieces(source.size, extents):
            data = source.piece(offset, size)
            digest.update(data)
            if is_data:
                writer.write(data)
            elif is_zeros(data):
                forget_zeros(source.fd, offset, data)
            else:
                raise HolesHoldData(source.path)
            on_read(size)
            told += size
        source.check()
    except BaseException:
        on_read(-told)
        raise
    return digest.hexdigest()


def _pieces(size: int, extents: Sequence[Extent]) -> Iterator[tuple[int, int, bool]]:
    """(offset, bytes, is it data?) from the beginning to the end."""
    at = 0
    for start, length in [*extents, (size, 0)]:
        for end, is_data in ((start, False), (start + length, True)):
            while at < end:
                step = min(_PIECE, end - at)
                yield at, step, is_data
                at += step
