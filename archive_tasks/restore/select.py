"""What a restore was asked for: patterns of paths -> archives, and where each of their entries goes."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.errors import UsageError
from archive_tasks.formats import layout
from archive_tasks.formats.layout import short_hash
from archive_tasks.formats.manifest import Record, name_in
from archive_tasks.formats.objects import is_below
from archive_tasks.model import Archive, Source
from archive_tasks.names import display

_WILD = re.compile(r"[*?\[]")
_RANGE_OR_ONE = re.compile(r"(.)-(.)|(.)", re.S)
EVERYTHING = ""
"""A pattern that cannot be confused with a name: an item may be called `*`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What the user asked for.

    Attributes:
        patterns: paths as `thesis/data/run7.csv`; `*`, `?`, `[...]` match within a name, `**` across names; or
            EVERYTHING.
        at: the newest archive made up to then; None takes the newest.
        scope: only archives of this scope; empty takes any. So with `host` and `from_root`.
        archive_id: how the commit or the id of the archive begins; empty takes any.
        to: folder to restore into; empty puts everything back where it was.
        only_root: the root that a flag named: where nothing of the name is from there, nothing is guessed.
        device: id of this device.
        root: the folder being kept tidy, which settles whose archives are meant where several sources have an item of
            the name; empty when none is known.
        roots: folders that may be written into without `to`: those that this device was given or archived from.
    """

    patterns: tuple[str, ...]
    at: datetime | None = None
    scope: str = ""
    host: str = ""
    from_root: str = ""
    archive_id: str = ""
    to: str = ""
    only_root: str = ""
    device: str = ""
    root: str = ""
    roots: frozenset[str] = frozenset()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What a request comes to.

    Attributes:
        selections: what is restored.
        elsewhere: archives whose root is not this device's, or that are another device's and whose item is here
            already: they need --to.
        others: archives of the same names from other sources, which were not chosen.
    """

    selections: tuple[Selection, ...]
    elsewhere: tuple[Archive, ...] = ()
    others: tuple[Archive, ...] = ()


class SeveralSources(UsageError):
    """An item of the name was archived from several sources, and it is not clear which one is meant."""

    def __init__(self, message: str, candidates: Sequence[Archive]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


def select(
    request: RestoreRequest,
    archives: Sequence[Archive],
    holds: Callable[[Archive, str], bool] = lambda _archive, _path: False,
) -> Selected:
    """The newest archive of each item that a pattern names, of one source, or of all where the pattern names many.

    Args:
        holds: is there an entry of just this path in an archive? Then a text with `*`, `?` or `[` in it names that.

    Raises:
        SeveralSources: several sources have an item of the name.
        UsageError: nothing has the name, or it has no place to go back to.
    """
    chosen: dict[str, tuple[Archive, list[PathPattern]]] = {}
    others: dict[str, Archive] = {}
    mixed: set[str] = set()
    for text in request.patterns:
        named = _below_root(text, request, archives)
        pattern = _pattern(named.patterns[0], archives)
        found = _archives_of(pattern, named, archives)
        wanted = found if pattern.names_many else [_only(found, pattern, named)]
        others |= {one.manifest: one for one in found}
        for archive in wanted:
            exact = PathPattern(pattern.text, literal=True) if holds(archive, pattern.path) else pattern
            chosen.setdefault(archive.manifest, (archive, []))[1].append(exact)
        if pattern.names_many:
            mixed |= _mixed(wanted, request, archives)
    here = {
        key: one for key, one in chosen.items() if request.to or (key not in mixed and _may_go_back(one[0], request))
    }
    folders = _folders_of({archive for archive, _ in here.values()}) if request.to else {}
    return Selected(
        selections=tuple(
            _selection(archive, patterns, request, below=folders.get(archive.source, ""))
            for archive, patterns in here.values()
        ),
        elsewhere=tuple(archive for key, (archive, _) in chosen.items() if key not in here),
        others=tuple(one for key, one in others.items() if key not in chosen),
    )


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


def short_id(archive: Archive) -> str:
    """What distinguishes an archive, for people: the commit, or in formats 1 and 2 a beginning of the id."""
    return layout.commit_in(archive.manifest) or archive.id[:12]


def _below_root(text: str, request: RestoreRequest, archives: Sequence[Archive]) -> RestoreRequest:
    """`~/Documents/thesis` -> `thesis` of that root, where something of ~/Documents is archived."""
    path = os.path.expanduser(text)
    for root in sorted({archive.root for archive in archives}, key=len, reverse=True):
        if path.startswith(root.rstrip("/") + "/"):
            rest = path.removeprefix(root.rstrip("/") + "/")
            return dataclasses.replace(request, patterns=(rest,), from_root=request.from_root or root)
    return dataclasses.replace(request, patterns=(text,))


def _pattern(text: str, archives: Sequence[Archive]) -> PathPattern:
    """An item with exactly this name takes precedence over what the name would match as a pattern."""
    if text == EVERYTHING:
        return PathPattern("*")
    item = text.strip("/").partition("/")[0]
    return PathPattern(text, literal_item=any(one.item == item for one in archives))


def _archives_of(pattern: PathPattern, request: RestoreRequest, archives: Sequence[Archive]) -> list[Archive]:
    """The newest archive of each source and item that is meant."""
    named = [one for one in archives if pattern.is_of(one.item) and _is_meant(one, request)]
    if not named:
        filters = " that matches --scope, --host, --from-root or --id" if _filters(request) else ""
        raise UsageError(f"nothing named {display(pattern.text)} is archived{filters}; look for names with find")
    if request.at is not None:
        named = [one for one in named if one.created <= request.at]
        if not named:
            raise UsageError(f"{display(pattern.text)} was not archived yet on {request.at:%Y-%m-%d}")
    newest: dict[tuple[Source, str], Archive] = {}
    for one in sorted(named, key=lambda one: one.order):
        newest[one.source, one.item] = one
    return list(newest.values())


def _mixed(wanted: Sequence[Archive], request: RestoreRequest, archives: Sequence[Archive]) -> set[str]:
    """Manifests of other devices' archives from a root whose path another source has too: their items must not mix."""
    own = {one.root for one in archives if one.device == request.device}
    sources: dict[str, set[Source]] = {}
    for one in wanted:
        sources.setdefault(one.root, set()).add(one.source)
    return {
        one.manifest
        for one in wanted
        if one.device != request.device and (one.root in own or len(sources[one.root]) > 1)
    }


def _may_go_back(archive: Archive, request: RestoreRequest) -> bool:
    """Into a root of this device, and never into an existing item that was another device's."""
    is_own = request.device in {"", archive.device}
    return archive.root in request.roots and (is_own or not os.path.lexists(os.path.join(archive.root, archive.item)))


def _filters(request: RestoreRequest) -> bool:
    return bool(request.scope or request.host or request.from_root or request.archive_id)


def _is_meant(archive: Archive, request: RestoreRequest) -> bool:
    commit = layout.commit_in(archive.manifest)
    begins = request.archive_id.lower()
    return (
        request.scope in {"", archive.scope}
        and request.host in {"", archive.host}
        and request.from_root in {"", archive.root}
        and (not begins or archive.id.startswith(begins) or commit.startswith(begins))
    )


def _only(found: list[Archive], pattern: PathPattern, request: RestoreRequest) -> Archive:
    """Where several sources have an item of the name, this device's own is meant, and that of the root at hand."""
    ours = [one for one in found if one.device == request.device and request.device]
    at_hand = [one for one in ours if one.root == request.root]
    if request.only_root and not at_hand and not request.to and not _filters(request):
        raise SeveralSources(
            f"{display(pattern.text)} was not archived from {display(request.only_root)}, but from what is listed "
            "above: choose it with --from-root, or give --to FOLDER",
            found,
        )
    candidates = at_hand or ours or found
    if len(candidates) == 1:
        return candidates[0]
    raise SeveralSources(
        f"{display(pattern.text)} was archived from {len(found)} places, listed above: choose one with "
        f"{_telling_flags(found)}",
        found,
    )


def _telling_flags(found: Sequence[Archive]) -> str:
    """Flags that distinguish each from the others. Two devices may have the same name, and roots the same path."""
    if len({(one.root, one.host) for one in found}) < len(found):
        return "--id"
    named = {"--from-root": {one.root for one in found}, "--host": {one.host for one in found}}
    return " or ".join([" and ".join(flag for flag, values in named.items() if len(values) > 1), "--id"])


def _folders_of(archives: set[Archive]) -> dict[Source, str]:
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


def _selection(archive: Archive, patterns: list[PathPattern], request: RestoreRequest, *, below: str) -> Selection:
    strip = bool(request.to)

    def place(path: str) -> str | None:
        for pattern in patterns:
            if pattern.matches(path):
                rest = pattern.stripped(path) if strip else path
                return f"{below}/{rest}" if below else rest
        return None

    destination = os.path.abspath(os.path.expanduser(request.to)) if request.to else archive.root
    if not request.to and not os.path.isdir(destination):
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


class PathPattern:
    """A path, or a pattern of paths; what is below a path that matches is meant too.

    Args:
        literal: True takes the whole text as it is, `literal_item` its first name.

    Attributes:
        path: the text as a path.
    """

    def __init__(self, text: str, *, literal: bool = False, literal_item: bool = False) -> None:
        self.text = text
        segments = [segment for segment in text.split("/") if segment]
        if not segments or any(segment in {".", ".."} for segment in segments):
            raise UsageError(f"{display(text) or 'an empty text'} names nothing: write e.g. thesis/data/run7.csv")
        self.path = "/".join(segments)
        as_it_is = [literal or (literal_item and not number) for number in range(len(segments))]
        wild = [bool(_WILD.search(one)) and not plain for one, plain in zip(segments, as_it_is, strict=True)]
        first_wild = wild.index(True) if any(wild) else len(segments)
        self._parents = min(first_wild, len(segments) - 1)
        try:
            names = [
                _translated(one) if is_wild else re.escape(one) for one, is_wild in zip(segments, wild, strict=True)
            ]
            self._item = re.compile(names[0])
            path = "/".join(names).replace("(?:.*)/", "(?:.*/)?") + "(?:/.*)?"
            self._path = re.compile(path, re.S)
        except re.error as error:
            raise UsageError(f"{display(text)} is not a pattern: {error.msg}") from None
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
        inside = _RANGE_OR_ONE.sub(_one_of_a_set, piece[1:-1].removeprefix("!"))
        return f"[^{inside}/]" if piece.startswith("[!") else f"(?!/)[{inside}]"
    return re.escape(piece)


def _one_of_a_set(found: re.Match[str]) -> str:
    """A character, or two and what is between them, as re takes them, whatever else it may accept in a set one day."""
    return "-".join(re.sub(r"([^\w\s])", r"\\\1", one) for one in found.groups() if one)
