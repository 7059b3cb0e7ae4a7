"""Paths below a folder, separated by `/`, as os.fsdecode makes them; none that could lead elsewhere."""

from __future__ import annotations

import os

from archive_tasks.errors import EntryError
from archive_tasks.names import display

_NO_SEGMENT = frozenset({"", ".", ".."})


def split_path(path: str) -> tuple[str, str]:
    """The path of the folder above, and the name. Raises EntryError for a path that could lead elsewhere."""
    if not _NO_SEGMENT.isdisjoint(path.split("/")) or "\0" in path or not is_encodable(path):
        raise EntryError(f"{display(path) or 'an empty path'} cannot be restored: it is not a plain relative path")
    above, _, name = path.rpartition("/")
    return above, name


def check_path(path: str) -> None:
    """Raises EntryError for a path that could lead elsewhere."""
    split_path(path)


def is_encodable(text: str) -> bool:
    """Can it be passed to the system? A lone surrogate from a forged manifest cannot."""
    try:
        return text.isascii() or bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False
