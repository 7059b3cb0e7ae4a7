"""The built-in clocks: when was an entry last used?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from stat import S_ISLNK

from archive_tasks import hookimpl
from archive_tasks.model import Clock
from archive_tasks.settings import Settings


def mtime(path: str, stat: os.stat_result) -> int:
    """When its contents were last written."""
    return stat.st_mtime_ns


def atime(path: str, stat: os.stat_result) -> int:
    """When it was last read or written: a mount with `noatime` keeps no reads, `relatime` one a day.

    Symlinks are judged by writing alone: nothing can read one without leaving an access time.
    """
    return max(_read(stat), stat.st_mtime_ns)


def ctime(path: str, stat: os.stat_result) -> int:
    """When its contents, name, owner or rights last changed; cannot be set back, so copies look new."""
    return stat.st_ctime_ns


def newest(path: str, stat: os.stat_result) -> int:
    """The latest of the three: the most careful clock."""
    return max(stat.st_mtime_ns, _read(stat), stat.st_ctime_ns)


def _read(stat: os.stat_result) -> int:
    return stat.st_mtime_ns if S_ISLNK(stat.st_mode) else stat.st_atime_ns


@hookimpl
def register_clocks(settings: Settings) -> Mapping[str, Clock]:
    return {"mtime": mtime, "atime": atime, "ctime": ctime, "newest": newest}
