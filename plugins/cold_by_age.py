"""Puts what has been idle for longer into a colder, cheaper class of the target.

```yaml
archive:
  options:
    cold_by_age:
      classes: { 365: GLACIER_IR, 1095: DEEP_ARCHIVE } # days idle -> class; the highest that is reached counts
      smallest: 1048576 # bytes; a smaller item stays in the default class
```

It does nothing without `classes`. Small items are not worth it: every object in GLACIER or DEEP_ARCHIVE costs 40 KB
more than it holds, is paid for 90 or 180 days at least, and a thousand of them cost 0.03 to 0.05 dollars to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError

if TYPE_CHECKING:
    from archive_tasks.settings import Settings

__version__ = "1.0"

_KNOWN = {"classes", "smallest"}
_SMALLEST = 1024 * 1024


def class_for(days_idle: int, size: int, options: Mapping[str, Any]) -> str | None:
    """The class that the options name for an item of `size` bytes, or None to leave it where it would go.

    Raises:
        SettingsError: the options hold an unknown name, or a value of the wrong kind.
    """
    for name in options:
        if name not in _KNOWN:
            raise SettingsError(
                f"there is no setting archive.options.cold_by_age.{name}; known are classes and smallest"
            )
    classes = _classes(options.get("classes", {}))
    if size < _smallest(options.get("smallest", _SMALLEST)):
        return None
    reached = [days for days in classes if days_idle >= days]
    return classes[max(reached)] if reached else None


def _classes(value: Any) -> dict[int, str]:
    try:
        return {_days(days): _name(storage_class) for days, storage_class in dict(value).items()}
    except (TypeError, ValueError):
        raise SettingsError(
            f"archive.options.cold_by_age.classes is {value!r}, but must map days to classes, "
            "e.g. {365: GLACIER_IR, 1095: DEEP_ARCHIVE}"
        ) from None


def _days(value: Any) -> int:
    days = int(value)
    if days < 0 or isinstance(value, bool | float):
        raise ValueError
    return days


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _smallest(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SettingsError(f"archive.options.cold_by_age.smallest is {value!r}, but must be a number of bytes")
    return value


@hookimpl
def choose_storage_class(days_idle: int, size: int, settings: Settings) -> str | None:
    return class_for(days_idle, size, settings.options.get("cold_by_age", {}))
