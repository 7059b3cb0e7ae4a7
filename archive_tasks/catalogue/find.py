"""Finding entries of archives by pieces of their paths, without asking the target."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import is_indexed, search_entries
from archive_tasks.catalogue.search import Query
from archive_tasks.formats.manifest import Record, name_in
from archive_tasks.model import Archive


class Found(NamedTuple):
    """An entry that matches, and the archive that it is in. `length` is the bytes to fetch for it."""

    path: str
    record: Record
    archive: Archive

    @property
    def length(self) -> int:
        return number_in(self.record, "length") or 0


def number_in(record: Record, field: str) -> int | None:
    """A number of a line; None where it is missing or makes no sense."""
    value = record.get(field)
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def find(catalogues: Sequence[Catalogue], text: str, *, most: int) -> tuple[list[Found], bool]:
    """The first `most` entries that match, newest archives first; and whether there are more.

    Args:
        text: words that must all be in the path, in any order and case; see `archive_tasks.catalogue.search.Query`.
    """
    query = Query(text)
    found = list(itertools.islice(_found(catalogues, query), most + 1))
    return found[:most], len(found) > most


def unindexed(catalogues: Sequence[Catalogue]) -> int:
    """How many archives are known without their entries, and so are not searched."""
    return sum(not is_indexed(one, known.archive.manifest) for one in catalogues for known in one.archives())


def _found(catalogues: Sequence[Catalogue], query: Query) -> Iterator[Found]:
    for catalogue in catalogues:
        archives = {known.archive.manifest: known.archive for known in catalogue.archives()}
        for manifest, record in search_entries(catalogue, query):
            yield Found(name_in(record, "path"), record, archives[manifest])
