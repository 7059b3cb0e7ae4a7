"""Doing something at a chosen moment of a run: at its Nth look or write, in this process. (`kills` ends the run.)"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

LOOKS_AND_WRITES = frozenset(
    {
        "open",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.listdir",
        "os.scandir",
        "os.truncate",
        "os.utime",
        "fcntl.flock",
        "ctypes.call_function",
    }
)


@dataclass
class _Countdown:
    left: int = 0
    action: Callable[[], object] = field(default=lambda: None)
    passed: int = 0
    but: frozenset[str] = frozenset()


_countdown = _Countdown()
_hooked: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _countdown.left or event not in LOOKS_AND_WRITES - _countdown.but or _is_pythons_own(event, arguments):
        return
    _countdown.left -= 1
    _countdown.passed += 1
    if _countdown.left == 0:
        _countdown.action()


def _is_pythons_own(event: str, arguments: tuple[Any, ...]) -> bool:
    """Modules that are loaded late, and files of the interpreter's, are no moments of the run."""
    return event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so"))


@contextmanager
def at_moment(number: int, action: Callable[[], object], *, but: frozenset[str] = frozenset()) -> Iterator[None]:
    """Have `action` done at the run's `number`-th moment, counted from 1; events of the kinds `but` are none."""
    if not _hooked:  # a hook cannot be taken off again
        sys.addaudithook(_hook)
        _hooked.append(True)
    _countdown.left, _countdown.action, _countdown.passed, _countdown.but = number, action, 0, but
    try:
        yield
    finally:
        _countdown.left = 0


def count_moments(run: Callable[[], object], *, but: frozenset[str] = frozenset()) -> int:
    """How many moments a run has. It is run, in this process."""
    with at_moment(sys.maxsize, lambda: None, but=but):
        run()
    return _countdown.passed
