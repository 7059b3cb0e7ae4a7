"""The entries of archives, kept beside the catalogue: to be found by their names, and read without the target.

An archive's manifest is kept as it was written, block by block, each with the folded names of its entries. Blocks
of an archive that was not recorded are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archive_tasks.catalogue import object_sizes
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import Write, proof_of_block
from archive_tasks.catalogue.search import Query, pack_names
from archive_tasks.errors import ManifestError
from archive_tasks.formats.manifest import Block, BlockWriter, Record, lines_of, name_in, parse_line

_MOST_WAITING = 8
_AT_ONCE = 16


class EntryKeeper:
    """Takes the blocks of one archive as they are written; `keep` makes them count.

    Attributes:
        objects: bytes of each of its objects, by key.
    """

    def __init__(self, catalogue: Catalogue, manifest: str) -> None:
        self._catalogue = catalogue
        self._manifest = manifest
        self.objects: dict[str, int] = {}
        self._waiting: list[tuple[int, bytes, bytes]] = []
        self._number = 0

    def note(self, record: Record) -> None:
        """Take the size of the object that a line of the manifest describes, if any. Raises ManifestError."""
        object_sizes.note(record, self.objects)

    def add(self, block: Block) -> None:
        """Take a block; blocks are stored in batches, so that memory does not grow with the item."""
        self._waiting.append((self._number, pack_names(block.paths), block.frame))
        self._number += 1
        if len(self._waiting) > _MOST_WAITING:
            with self._catalogue.writing() as write:
                self._write_down(write)

    def keep(self, write: Write) -> None:
        """In the transaction that records the archive."""
        self._write_down(write)
        write("delete from blocks where manifest = ? and number >= ?", (self._manifest, self._number))
        write("insert or replace into indexed values (?, ?)", (self._manifest, self._number))
        object_sizes.keep(write, self._manifest, self.objects)

    def discard(self) -> None:
        """Forget what was stored of an archive that was not committed."""
        with self._catalogue.writing() as write:
            write("delete from blocks where manifest = ?", (self._manifest,))

    def _write_down(self, write: Write) -> None:
        for number, names, lines in self._waiting:
            write("delete from blocks where manifest = ? and number = ?", (self._manifest, number))
            write(
                "insert into blocks (manifest, number, names, lines, proof) values (?,?,?,?,?)",
                (self._manifest, number, names, lines, proof_of_block(self._manifest, number, lines)),
            )
        self._waiting.clear()


def keep_lines(keeper: EntryKeeper, lines: Iterable[tuple[Record, bytes]]) -> None:
    """Take the lines of a manifest that was read from the target. Raises ManifestError."""
    writer = BlockWriter(keeper.add)
    for record, line in lines:
        keeper.note(record)
        writer.add(line, name_in(record, "path") if "path" in record else "")
    writer.flush()


def is_indexed(catalogue: Catalogue, manifest: str) -> bool:
    """Are the archive's entries here?"""
    return bool(catalogue.rows("select 1 from indexed where manifest = ?", manifest))


def kept_records(catalogue: Catalogue, manifest: str) -> Iterator[Record]:
    """The lines of an archive's manifest, its header first, and all of them.

    Raises:
        ManifestError: they are not here.
        CatalogueDamaged: some of them are not, or are not as they were written.
    """
    blocks = _number_of_blocks(catalogue, manifest)
    if blocks is None:
        raise ManifestError(
            "what is in it is not known here: run catalogue --rebuild, and verify where its manifest cannot be read"
        )
    for number in range(blocks):
        for line in _kept_lines(catalogue, manifest, number):
            record = parse_line(line)
            if "end" not in record:
                yield record


def kept_frames(catalogue: Catalogue, manifest: str) -> Iterator[bytes]:
    """The manifest as this device keeps it; of one that it wrote itself, byte for byte as it was written.

    Raises:
        ManifestError: it is not here.
        CatalogueDamaged: some of it is not, or is not as it was written.
    """
    blocks = _number_of_blocks(catalogue, manifest)
    if blocks is None:
        raise ManifestError("it is not kept in the catalogue of this device")
    for number in range(blocks):
        yield _kept_frame(catalogue, manifest, number)


def _number_of_blocks(catalogue: Catalogue, manifest: str) -> int | None:
    """None where they are not here. Raises CatalogueDamaged where they are fewer, or more, than were written."""
    written = catalogue.rows("select blocks from indexed where manifest = ?", manifest)
    if not written:
        return None
    kept = catalogue.rows("select count(*) from blocks where manifest = ?", manifest)
    if not written[0][0] or written != kept:
        raise catalogue.damaged("it keeps only some of an archive's entries")
    return int(written[0][0])


def _kept_lines(catalogue: Catalogue, manifest: str, number: int) -> list[bytes]:
    return lines_of(_kept_frame(catalogue, manifest, number))


def _kept_frame(catalogue: Catalogue, manifest: str, number: int) -> bytes:
    rows = catalogue.rows("select lines, proof from blocks where manifest = ? and number = ?", manifest, number)
    if not rows or not isinstance(rows[0][0], bytes) or proof_of_block(manifest, number, rows[0][0]) != rows[0][1]:
        raise catalogue.damaged("what it keeps of an archive's entries is not what was written")
    return rows[0][0]


def sizes_of_objects(catalogue: Catalogue, manifest: str) -> dict[str, int]:
    """Bytes of each object of an archive, by key: what must be listed where it is whole.

    Raises:
        ManifestError: its entries are not here.
        CatalogueDamaged: they are not as they were written.
    """
    known = object_sizes.kept(catalogue, manifest)
    if known is None:
        known = {}
        for record in kept_records(catalogue, manifest):
            object_sizes.note(record, known)
        with catalogue.writing() as write:
            object_sizes.keep(write, manifest, known)
    return known


def search_entries(catalogue: Catalogue, query: Query) -> Iterator[tuple[str, Record]]:
    """(key of the manifest, entry) of every entry whose path matches, archive by archive, newest archives first."""
    order = (
        "select a.manifest from archives a join indexed i on i.manifest = a.manifest order by a.created desc, a.item"
    )
    for (manifest,) in catalogue.rows(order):
        first = 0
        while rows := catalogue.rows(
            "select number, names from blocks where manifest = ? and number between ? and ? order by number",
            manifest,
            first,
            first + _AT_ONCE - 1,
        ):
            for number, names in rows:
                yield from ((manifest, record) for record in _matching(catalogue, manifest, number, names, query))
            first += _AT_ONCE


def _matching(catalogue: Catalogue, manifest: str, number: int, names: bytes, query: Query) -> Iterator[Record]:
    try:
        wanted = list(query.numbers(names))
    except ValueError as error:
        raise catalogue.damaged(error) from error
    if not wanted:
        return
    lines = _kept_lines(catalogue, manifest, number)
    for index in wanted:
        if index >= len(lines):
            raise catalogue.damaged("its names do not match its entries")
        yield parse_line(lines[index])
