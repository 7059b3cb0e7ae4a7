"""Small text files of our own beside what is set aside: written whole or not at all, and never through a link."""

from __future__ import annotations

import contextlib
import os

from archive_tasks.disk.open_flags import FILE_TO_READ

_NEW_OR_LEFT = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
"""A file that is written before it has its name, or what a run that died has left of one: hence no O_EXCL."""
_IN_PLACE = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_whole(folder: int, name: str, text: str) -> None:
    """Whole and on the disk, or not at all. Raises OSError."""
    with os.fdopen(os.open(f"{name}.new", _NEW_OR_LEFT, 0o600, dir_fd=folder), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{name}.new", name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def write_over(folder: int, name: str, text: str) -> None:
    """In place, in the file's existing block: otherwise nothing could be purged on a full disk, which frees space.

    A crash in between leaves a state that nobody can read, and its item aside, for a person to look at.
    """
    fd = os.open(name, _IN_PLACE, dir_fd=folder)
    try:
        data = text.encode("ascii")
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)


def leave_word(folder: int, name: str, text: str) -> None:
    """For people: left out when the disk is full."""
    with contextlib.suppress(OSError):
        write_whole(folder, name, text)


def read_text(folder: int, name: str) -> str:
    """Empty where it cannot be read."""
    try:
        with os.fdopen(os.open(name, FILE_TO_READ, dir_fd=folder), encoding="ascii") as file:
            return file.read(1 << 20)
    except (OSError, UnicodeDecodeError):
        return ""
