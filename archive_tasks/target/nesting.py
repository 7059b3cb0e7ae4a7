"""Targets inside targets: the outer one's keys are the inner one's too, so each could remove the other's objects.

Where a new target would be inside another one, or around it, is looked at before anything is written. `prune`
checks again, at each run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes, urlsplit

from archive_tasks.errors import ObjectFrozen, ObjectUnreadable, StoreError, StoreUnusable, UsageError
from archive_tasks.formats import layout
from archive_tasks.names import display
from archive_tasks.store import Store
from archive_tasks.target.vault import is_vault, vault_bytes

OpenStore = Callable[[str], Store]
MOST_KEYS = 1_000_000
"""Most keys searched for a target below a new one: a thousand requests."""
_MOST_KEYS_OF_THE_DOCTOR = 100_000
_ARCHIVED_FILE = re.compile(r"data/.+?~[0-9a-f]{32}/[0-9a-f]{12}/files/")
"""Somebody may archive a target: its `vault.json` is then a file like any other."""


class Surroundings(NamedTuple):
    """What is around a target.

    Attributes:
        targets: URLs of those that contain it, the nearest first.
        unseen: URLs of places above it that may not be read. They are assumed not to be targets.
    """

    targets: tuple[str, ...]
    unseen: tuple[str, ...]


def parents_of(url: str) -> list[str]:
    """URLs of all places that could contain a target, the nearest first; for a folder, by every path to it."""
    scheme, _, rest = url.partition("://")
    if scheme == "file":
        named = os.path.normpath(os.fsdecode(unquote_to_bytes(urlsplit(url).path)))
        above = [*_folders_above(named), *_folders_above(os.path.realpath(named))]
        return [f"file://{quote(os.fsencode(path))}" for path in dict.fromkeys(above)]
    segments = [segment for segment in rest.split("/") if segment]
    return [f"{scheme}://{'/'.join(segments[:number])}" for number in range(len(segments) - 1, 0, -1)]


def look_around(url: str, open_store: OpenStore) -> Surroundings:
    """Which targets contain this one? One small read for each place above it.

    Args:
        open_store: from a URL; raises UsageError where there can be no target.
    """
    targets, unseen = [], []
    for parent in parents_of(url):
        try:
            if is_vault(vault_bytes(open_store(parent)) or b""):
                targets.append(parent)
        except UsageError:
            continue
        except (StoreUnusable, ObjectFrozen, ObjectUnreadable):
            unseen.append(parent)
    return Surroundings(tuple(targets), tuple(unseen))


def targets_around(url: str, open_store: OpenStore) -> list[str]:
    """URLs of the targets that contain this one."""
    return list(look_around(url, open_store).targets)


def may_be_vault(key: str) -> bool:
    """Could this key be the id of another target below this one?"""
    return key.endswith(f"/{layout.VAULT_KEY}") and not _ARCHIVED_FILE.match(key)


def targets_below(store: Store, keys: Iterable[str], open_store: OpenStore | None = None) -> list[str]:
    """URLs of the targets that are inside this one, by what is listed in it.

    What cannot be read counts as one.

    Args:
        open_store: reads what has no key in a folder, e.g. for a space in its name.
    """
    folders = (key.rpartition("/")[0] for key in keys if may_be_vault(key))
    return [_url_below(store, folder) for folder in folders if _is_target(store, folder, open_store)]


def check_not_inside(url: str, open_store: OpenStore) -> None:
    """Raises UsageError where a new target would be inside another one."""
    if around := targets_around(url, open_store):
        raise UsageError(
            f"the target {display(url)} would be inside another one, {display(around[0])}, and each could remove "
            "the other's objects. Use that one, or name a place outside it. Nothing was written"
        )


def check_not_around(store: Store, open_store: OpenStore | None) -> None:
    """Raises UsageError where a new target would contain another one, or there is too much to search."""
    keys = _Keys(store, most=MOST_KEYS)
    if below := targets_below(store, keys, open_store):
        raise UsageError(
            f"the target {display(store.url)} would contain another one, {display(below[0])}, and each could remove "
            "the other's objects. Use that one, or name an empty place beside it. Nothing was written"
        )
    if keys.are_more:
        raise UsageError(
            f"{display(store.url)} holds more than {MOST_KEYS:,} objects, too many to see whether another target is "
            "among them: choose an empty prefix or folder. Nothing was written"
        )


class Nesting(NamedTuple):
    """What the doctor finds out about a target's place.

    Attributes:
        inside: URLs of the targets that contain it.
        around: URLs of the targets that are inside it.
        unseen: URLs of places above it that may not be read.
        unknown: why it is not fully known what is inside it; empty when it is.
    """

    inside: tuple[str, ...]
    around: tuple[str, ...]
    unseen: tuple[str, ...]
    unknown: str = ""

    def lines(self) -> list[str]:
        """For people, each safe for a terminal."""
        said = [
            f"Warning: it is inside another target, {url}: each could remove the other's objects."
            for url in self.inside
        ]
        said += [
            f"Warning: another target is inside it, {url}: each could remove the other's objects."
            for url in self.around
        ]
        said += [f"{url}, above it, may not be read, and is assumed not to be a target." for url in self.unseen]
        said += [f"Whether another target is inside it is not known: {self.unknown}."] if self.unknown else []
        return [display(line) for line in said]


def examine(store: Store, open_store: OpenStore) -> Nesting:
    """Look above and below a target. Lists as much of it as a doctor may take time for."""
    above = look_around(store.url, open_store)
    keys = _Keys(store, most=_MOST_KEYS_OF_THE_DOCTOR)
    try:
        below = tuple(targets_below(store, keys, open_store))
    except StoreError as error:
        return Nesting(above.targets, (), above.unseen, str(error))
    unknown = f"{_MOST_KEYS_OF_THE_DOCTOR:,} objects were looked through, and there are more" if keys.are_more else ""
    return Nesting(above.targets, below, above.unseen, unknown)


class _Keys:
    """The keys of a store, up to a number."""

    def __init__(self, store: Store, *, most: int) -> None:
        self.are_more = False
        self._store = store
        self._most = most

    def __iter__(self) -> Iterator[str]:
        for number, info in enumerate(self._store.list("")):
            if number >= self._most:
                self.are_more = True
                return
            yield info.key


def _folders_above(path: str) -> list[str]:
    """Without the top of all, which cannot be a target."""
    above = []
    while os.path.dirname(path) not in {"/", "//", path}:
        path = os.path.dirname(path)
        above.append(path)
    return above


def _is_target(store: Store, folder: str, open_store: OpenStore | None) -> bool:
    try:
        return is_vault(_vault_bytes_below(store, folder, open_store) or b"")
    except (StoreUnusable, ObjectFrozen, ObjectUnreadable, ValueError, UsageError):
        return True


def _vault_bytes_below(store: Store, folder: str, open_store: OpenStore | None) -> bytes | None:
    try:
        return vault_bytes(store, f"{folder}/{layout.VAULT_KEY}")
    except ValueError:  # a name that no key of ours has
        if open_store is None:
            raise
        return vault_bytes(open_store(_url_below(store, folder)))


def _url_below(store: Store, folder: str) -> str:
    return f"{store.url.rstrip('/')}/{quote(os.fsencode(folder), safe='/~=')}"
