"""Whether a place may become a target: it is empty, or the user says yes, and it is not a target that lost its id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from archive_tasks.errors import UsageError
from archive_tasks.formats import layout
from archive_tasks.names import display
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.nesting import OpenStore, check_not_around
from archive_tasks.target.vault import vault_bytes

_NAMES_SHOWN = 3
_KEYS_SEEN = 1000
"""Keys listed: enough for some names."""
_OF_THE_DOCTOR = re.compile(r"doctor/[0-9a-f]{16}/")
"""What the doctor leaves where nothing may be removed."""
_FIRST_LINE_OF_README = layout.README.partition("\n")[0].encode()


def check_is_free(
    store: Store, *, may_share: Callable[[Store], bool], open_store: OpenStore | None, renew: bool = False
) -> None:
    """Is the place empty, or to be shared with what is there? Nothing is written.

    Args:
        renew: a target that has lost its id may be given a new one.

    Raises:
        UsageError: it is not; or it is a target that has lost its id, or is around another target.
    """
    there = list(islice(_foreign_keys(store), _KEYS_SEEN))
    if not there or vault_bytes(store) is not None:  # another run has made it a target meanwhile
        return
    if lost := id_is_lost(store):
        if not renew:
            raise UsageError(f"{lost}. Nothing was written")
    elif not may_share(store):
        raise UsageError(
            f"{display(store.url)} is not empty ({_names(there)}) and not a target yet. Name an empty place, e.g. "
            f"{display(store.url.rstrip('/'))}/archive, or add --create to use this one beside what is there. Nothing "
            "was written"
        )
    check_not_around(store, open_store)


def id_is_lost(store: Store) -> str:
    """What to do about a target that has archives and no id; empty where no archive is."""
    manifest = next((info.key for info in store.list(layout.MANIFESTS) if info.key.endswith(".jsonl.zst")), None)
    if manifest is None:
        return ""
    return (
        f"the target {display(store.url)} seems to have lost its {layout.VAULT_KEY}: archives are there "
        f"({display(manifest)}). Put that file back, from a backup or an older version of it, or by verify --repair on "
        "a device that archived to it. If there is none, archive --create gives the target a new id"
    )


def _foreign_keys(store: Store) -> Iterator[str]:
    return (info.key for info in store.list("") if not _counts_as_nothing(store, info))


def _counts_as_nothing(store: Store, info: ObjectInfo) -> bool:
    """Our own README, of an interrupted run; an empty folder, which consoles make as an object; the doctor's."""
    if info.key == layout.README_KEY:
        beginning = b"".join(store.read(info.key, length=len(_FIRST_LINE_OF_README)))
        return beginning in {b"", _FIRST_LINE_OF_README}
    is_folder = info.size == 0 and (not info.key or info.key.endswith("/"))
    return is_folder or _OF_THE_DOCTOR.match(info.key) is not None


def _names(keys: list[str]) -> str:
    names = sorted({_top_of(key) for key in keys})
    shown = ", ".join(display(name) for name in names[:_NAMES_SHOWN])
    return f"{shown} and more" if len(names) > _NAMES_SHOWN or len(keys) >= _KEYS_SEEN else shown


def _top_of(key: str) -> str:
    name, separator, _ = key.partition("/")
    return name + separator
