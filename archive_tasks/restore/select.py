"""Choosing among archives: which one is meant by what a restore was asked for, and may it go back?"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archive_tasks.errors import SeveralSources, UsageError
from archive_tasks.formats import layout
from archive_tasks.model import Archive, Source
from archive_tasks.names import display
from archive_tasks.restore.patterns import EVERYTHING, PathPattern
from archive_tasks.restore.selection import Selection, folders_of, selection_of


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
    chosen = _choose(request, archives, holds)
    here = {
        key: one
        for key, one in chosen.named.items()
        if request.to or (key not in chosen.mixed and _may_go_back(one[0], request))
    }
    folders = folders_of({archive for archive, _ in here.values()}) if request.to else {}
    return Selected(
        selections=tuple(
            selection_of(archive, patterns, to=request.to, below=folders.get(archive.source, ""))
            for archive, patterns in here.values()
        ),
        elsewhere=tuple(archive for key, (archive, _) in chosen.named.items() if key not in here),
        others=tuple(one for key, one in chosen.candidates.items() if key not in chosen.named),
    )


@dataclass(slots=True)
class _Chosen:
    """What the patterns have come to, by the key of the manifest.

    Attributes:
        named: the archives that are meant, each with the patterns that name it.
        candidates: all archives that could have been meant.
        mixed: see `_mixed`.
    """

    named: dict[str, tuple[Archive, list[PathPattern]]] = field(default_factory=dict)
    candidates: dict[str, Archive] = field(default_factory=dict)
    mixed: set[str] = field(default_factory=set)


def _choose(request: RestoreRequest, archives: Sequence[Archive], holds: Callable[[Archive, str], bool]) -> _Chosen:
    """Pattern by pattern. Raises as `select` does."""
    chosen = _Chosen()
    for text in request.patterns:
        asked = _below_root(text, request, archives)
        pattern = _pattern(asked.patterns[0], archives)
        found = _archives_of(pattern, asked, archives)
        wanted = found if pattern.names_many else [_only(found, pattern, asked)]
        chosen.candidates |= {one.manifest: one for one in found}
        for archive in wanted:
            exact = PathPattern(pattern.text, literal=True) if holds(archive, pattern.path) else pattern
            chosen.named.setdefault(archive.manifest, (archive, []))[1].append(exact)
        if pattern.names_many:
            chosen.mixed |= _mixed(wanted, request, archives)
    return chosen


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
    """Where several sources have an item of the name, this device's own is meant, and that of the root at hand.

    A root that a flag names is meant, whichever device archived from there.
    """
    ours = [one for one in found if one.device == request.device and request.device]
    at_hand = [one for one in ours if one.root == request.root]
    from_there = [one for one in found if one.root == request.only_root]
    if request.only_root and not from_there and not request.to and not _filters(request):
        raise SeveralSources(
            f"{display(pattern.text)} was not archived from {display(request.only_root)}, but from what is listed "
            "above: choose it with --from-root, or give --to FOLDER",
            found,
        )
    candidates = at_hand or from_there or ours or found
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
