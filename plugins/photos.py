"""Measures chosen roots by a clock of their own: photographs are looked at, but hardly ever written to.

```yaml
archive:
  options:
    photos:
      roots: [~/Pictures, /srv/photos]
      clock: atime # default: mtime
```

It does nothing without `roots`. A `--clock` flag wins over it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError

if TYPE_CHECKING:
    from archive_tasks.settings import Settings

__version__ = "1.0"

_KNOWN = {"roots", "clock"}


def clock_for(root: str, options: Mapping[str, Any]) -> str | None:
    """The clock that the options name for `root`, or None when they do not name that root.

    Roots are compared without `~` and links. That the clock exists is checked by whoever uses it.

    Raises:
        SettingsError: the options hold an unknown name, or a value of the wrong kind.
    """
    for name in options:
        if name not in _KNOWN:
            raise SettingsError(f"there is no setting archive.options.photos.{name}; known: roots and clock")
    clock = options.get("clock", "mtime")
    if not isinstance(clock, str) or not clock:
        raise SettingsError(f"archive.options.photos.clock is {clock!r}, but must be the name of a clock, e.g. mtime")
    named = {_resolved(path) for path in _roots(options.get("roots", []))}
    return clock if _resolved(root) in named else None


def _roots(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(path, str) and path for path in value):
        raise SettingsError(
            f"archive.options.photos.roots is {value!r}, but must be a list of folders, e.g. [~/Pictures]"
        )
    return list(value)


def _resolved(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))


@hookimpl
def choose_clock(root: str, settings: Settings) -> str | None:
    return clock_for(root, settings.options.get("photos", {}))
