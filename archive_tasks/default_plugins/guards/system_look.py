"""What guards share that ask the system: a look that is good for some seconds, and which processes are our own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PROC = "/proc"
SECONDS_GOOD = 5.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""By its whole path, without O_NOFOLLOW: links on it are the user's own choice."""


class Recent(Generic[T]):
    """What `look` saw, at most `seconds` ago; then it looks again.

    A new guard is made for each question before something is removed, and this with it: then nothing is stale.
    """

    def __init__(self, look: Callable[[], T], *, seconds: float = SECONDS_GOOD) -> None:
        self._look = look
        self._seconds = seconds
        self._seen: tuple[float, T] | None = None

    def __call__(self) -> T:
        if self._seen is None or time.monotonic() - self._seen[0] > self._seconds:
            self._seen = time.monotonic(), self._look()
        return self._seen[1]


def names_in(folder: str) -> list[str]:
    """Names in a folder, listed without leaving an access time where the system allows that. Raises OSError."""
    try:
        handle = os.open(folder, _FOLDER | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        handle = os.open(folder, _FOLDER)
    try:
        return os.listdir(handle)
    finally:
        os.close(handle)


def other_processes() -> list[int]:
    """Numbers of all processes but this one and those that it started, by Linux's /proc; else empty."""
    parents = {number: _parent(number) for number in _numbers()}
    own = {os.getpid()}
    while more := {number for number, parent in parents.items() if parent in own} - own:
        own |= more
    return [number for number in parents if number not in own]


def _numbers() -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC) if name.isdecimal()]
    except OSError:
        return []


def _parent(number: int) -> int:
    """0 for a process that is gone. The program's name, in brackets, may hold anything. (proc_pid_stat(5))"""
    try:
        with open(f"{PROC}/{number}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def program(number: int) -> str:
    """`soffice.bin (process 4711)`, as far as it is known."""
    try:
        with open(f"{PROC}/{number}/comm", encoding="utf-8", errors="surrogateescape") as file:
            name = file.read().rstrip("\n")
    except OSError:
        name = "a program"
    return f"{name} (process {number})"
