"""Files of our own in a root: the folder of what is set aside, and the notes that stay where items were."""

from __future__ import annotations

import hashlib
import os

from archive_tasks.disk.open_flags import FILE_TO_READ

SET_ASIDE = ".archive-set-aside"
ENDING = ".archived.txt"
FIRST_LINE = "archive_tasks: this was archived\n"
_SIGNED = "sha256 of the lines above: "
_LARGEST = 64 * 1024


def is_stub(root_fd: int, name: str) -> bool:
    """Is it a stub of ours, just as it was written?"""
    text = _read(root_fd, name) if name.endswith(ENDING) else ""
    above, signed, digest = text.rpartition(_SIGNED)
    return bool(signed) and above.startswith(FIRST_LINE) and digest.strip() == _digest(above)


def signed(text: str) -> str:
    """The text of a stub with the line that shows whether anybody wrote into it."""
    return f"{text}{_SIGNED}{_digest(text)}\n"


def stub_name(item: str) -> str:
    """`thesis.archived.txt`; a name that is too long is cut, and made unique by a hash."""
    if len(os.fsencode(item + ENDING)) <= 255:
        return item + ENDING
    raw = os.fsencode(item)
    return os.fsdecode(raw[:200]) + "~" + hashlib.sha256(raw).hexdigest()[:10] + ENDING


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(root_fd: int, name: str) -> str:
    try:
        with os.fdopen(os.open(name, FILE_TO_READ, dir_fd=root_fd), encoding="utf-8") as file:
            return file.read(_LARGEST)
    except (OSError, UnicodeDecodeError):
        return ""
