"""What a restore was asked for: patterns of paths -> archives, and where each of their entries goes."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from archive_tasks.catalogue import Catalogue
from archive_tasks.entry_index import kept_records
from archive_tasks.errors import UsageError
from archive_tasks.manifest import Record, name_in
from archive_tasks.model import Archive
from archive_tasks.names import display

_WILD = re.compile(r"[*?\[]")
EVERYTHING = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asked for.

    Attributes:
        patterns: paths as `thesis/data/run7.csv`; `*`, `?`, `[...]` match within a name, `**` across names.
        at: the newest archive made up to then; None takes the newest.
        scope: only archives of this scope; empty takes any.
        to: folder to restore into; empty puts everything back where it was.
        root: the folder being kept tidy, which settles whose archives are meant where several scopes have an item
            of the name; empty when none is known.
    """

    patterns: tuple[str, ...]
    at: datetime | None = None
    scope: str = ""
    to: str = ""
    root: str = ""


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


def select(wish: Wish, archives: Sequence[Archive]) -> list[Selection]:
    """The newest archive of each item that a pattern names.

    Raises:
        UsageError: nothing bears the name, several scopes do, or it has no place to go back to.
    """
    patterns = [PathPattern(_below_root(text, archives)) for text in wish.patterns]
    chosen: dict[str, tuple[Archive, list[PathPattern]]] = {}
    for pattern in patterns:
        for archive in _archives_of(pattern, wish, archives):
            chosen.setdefault(archive.id, (archive, []))[1].append(pattern)
    several = len({archive.scope for archive, _ in chosen.values()}) > 1
    return [
        _selection(archive, named, wish, below=archive.scope if several and wish.to else "")
        for archive, named in chosen.values()
    ]


def wanted_entries(selection: Selection, catalogue: Catalogue) -> Iterator[tuple[str, Record]]:
    """(path below the destination, line of the manifest) of every entry that was asked for. Raises ManifestError."""
    for record in kept_records(catalogue, selection.archive.id):
        if "path" in record:
            place = selection.place(name_in(record, "path"))
            if place is not None:
                yield place, record


def _below_root(text: str, archives: Sequence[Archive]) -> str:
    """`~/Documents/thesis` -> `thesis`, where something of ~/Documents is archived."""
    path = os.path.expanduser(text)
    for root in sorted({archive.root for archive in archives}, key=len, reverse=True):
        if path.startswith(root.rstrip("/") + "/"):
            return path.removeprefix(root.rstrip("/") + "/")
    return text


def _archives_of(pattern: PathPattern, wish: Wish, archives: Sequence[Archive]) -> list[Archive]:
    named = [one for one in archives if pattern.is_of(one.item) and wish.scope in {"", one.scope}]
    if not named:
        known = f"; there are {len(archives):,} archives in the target" if archives else "; the target is empty"
        raise UsageError(f"no archive is of {display(pattern.text)}{known}; look for names with find")
    if wish.at is not None:
        named = [one for one in named if one.created <= wish.at]
        if not named:
            raise UsageError(f"{display(pattern.text)} was not archived yet on {wish.at:%Y-%m-%d}")
    newest: dict[tuple[str, str, str], Archive] = {}
    for one in sorted(named, key=lambda one: (one.created, one.id)):
        newest[one.scope, one.root, one.item] = one
    found = list(newest.values())
    return found if pattern.names_many else [_only(found, pattern, wish)]


def _only(found: list[Archive], pattern: PathPattern, wish: Wish) -> Archive:
    """Where an item of the name is in several scopes, the one of the root at hand is meant."""
    ours = [one for one in found if wish.root and one.root == wish.root] if len(found) > 1 else found
    if len(ours) == 1:
        return ours[0]
    scopes = ", ".join(sorted({one.scope for one in found}))
    raise UsageError(f"{display(pattern.text)} is in several scopes ({display(scopes)}): choose one with --scope")


def _selection(archive: Archive, patterns: list[PathPattern], wish: Wish, *, below: str) -> Selection:
    strip = bool(wish.to)

    def place(path: str) -> str | None:
        for pattern in patterns:
            if pattern.matches(path):
                rest = pattern.stripped(path) if strip else path
                return f"{below}/{rest}" if below else rest
        return None

    destination = os.path.abspath(os.path.expanduser(wish.to)) if wish.to else archive.root
    if not wish.to and not os.path.isdir(destination):
        raise UsageError(
            f"{display(archive.item)} was in {display(archive.root)}, which is not here: "
            "say where it shall go with --to"
        )
    return Selection(
        archive=archive,
        destination=destination,
        place=place,
        is_whole=any(pattern.matches(archive.item) for pattern in patterns),
    )


class PathPattern:
    """A path, or a pattern of paths; what lies below a path that matches is meant too."""

    def __init__(self, text: str) -> None:
        self.text = text
        segments = [segment for segment in text.split("/") if segment]
        if not segments or any(segment in {".", ".."} for segment in segments):
            raise UsageError(f"{display(text) or 'an empty text'} names nothing: write e.g. thesis/data/run7.csv")
        wild = [bool(_WILD.search(segment)) for segment in segments]
        first_wild = wild.index(True) if any(wild) else len(segments)
        self._parents = min(first_wild, len(segments) - 1)
        try:
            self._item = re.compile(_translated(segments[0]))
            path = "/".join(map(_translated, segments)).replace("(?:.*)/", "(?:.*/)?") + "(?:/.*)?"
            self._path = re.compile(path, re.S)
        except re.error as error:
            raise UsageError(f"{display(text)} is no pattern: {error.msg}") from None
        self.names_many = wild[0]

    def is_of(self, item: str) -> bool:
        """Can an item of this name hold what is meant?"""
        return self._item.fullmatch(item) is not None

    def matches(self, path: str) -> bool:
        return self._path.fullmatch(path) is not None

    def stripped(self, path: str) -> str:
        """The path without the folders that the pattern names before what it asks for."""
        return "/".join(path.split("/")[self._parents :])


def _translated(segment: str) -> str:
    """A regular expression for one name."""
    if segment == "**":
        return "(?:.*)"
    pieces = re.split(r"(\*|\?|\[!?[^]]+\])", segment)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 2 and piece.startswith("[") and piece.endswith("]"):
        inside = re.sub(r"([\\\[&~|])", r"\\\1", piece[1:-1])  # what re takes, or may come to take, for sets in sets
        return f"[^{inside[1:]}/]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(piece)


def everything(wish: Wish) -> Wish:
    """The same, for all items."""
    return dataclasses.replace(wish, patterns=(EVERYTHING,))
