"""A selection: one archive, and what of it goes where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.errors import UsageError
from archive_tasks.formats.layout import short_hash
from archive_tasks.formats.manifest import Record, name_in
from archive_tasks.formats.objects import is_below
from archive_tasks.model import Archive, Source
from archive_tasks.names import display
from archive_tasks.restore.patterns import PathPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """One archive, and what of it goes where.

    Attributes:
        destination: absolute path of the folder.
        place: path of an entry -> path below the destination, or None when it was not asked for.
        is_whole: True when all of the item was asked for.
    """

    archive: Archive
    destination: str
    place: Callable[[str], str | None]
    is_whole: bool


def selection_of(archive: Archive, patterns: Sequence[PathPattern], *, to: str, below: str) -> Selection:
    """What the patterns name of an archive, below the folder `to`, or where it was when that is empty.

    Args:
        below: a folder in there, for all of it; empty for none.

    Raises:
        UsageError: the folder where it was is not here.
    """

    def place(path: str) -> str | None:
        for pattern in patterns:
            if pattern.matches(path):
                rest = pattern.stripped(path) if to else path
                return f"{below}/{rest}" if below else rest
        return None

    destination = os.path.abspath(os.path.expanduser(to)) if to else archive.root
    if not to and not os.path.isdir(destination):
        raise UsageError(
            f"{display(archive.item)} was in {display(archive.root)}, which is not here: "
            "say where it should go with --to"
        )
    return Selection(
        archive=archive,
        destination=destination,
        place=place,
        is_whole=any(pattern.matches(archive.item) for pattern in patterns),
    )


def folders_of(archives: set[Archive]) -> dict[Source, str]:
    """A folder for each source, where several sources are restored into one place; none where it is one.

    No two are the same, and none is inside another, where an item of that one could have its name.
    """
    scopes: dict[Source, str] = {}
    for one in sorted(archives, key=lambda one: one.order):
        scopes[one.source] = one.scope
    if len(scopes) < 2:
        return {}
    names = list(scopes.values())
    shared = {one for one in names if names.count(one) > 1 or any(name.startswith(f"{one}/") for name in names)}
    return {
        source: f"{scope}~{short_hash(repr(source).encode())[:8]}" if scope in shared else scope
        for source, scope in scopes.items()
    }


def wanted_entries(
    selection: Selection, catalogue: Catalogue, *, on_outside: Callable[[str], None] = lambda _path: None
) -> Iterator[tuple[str, Record]]:
    """(path below the destination, line of the manifest) of every entry that was asked for.

    Args:
        on_outside: called with the path of each entry that is not in its item, which only a forger writes.

    Raises:
        ManifestError: the manifest is not known here.
    """
    for record in kept_records(catalogue, selection.archive.manifest):
        if "path" not in record:
            continue
        path = name_in(record, "path")
        if not is_below(selection.archive.item, path):
            on_outside(path)
            continue
        place = selection.place(path)
        if place is not None:
            yield place, record
