"""Puts what has been idle for longer into a colder, cheaper class of the target.

```yaml
archive:
  options:
    cold_by_age:
      classes: { GLACIER_IR: 365, DEEP_ARCHIVE: 1095 } # class -> days idle; the highest threshold reached counts
      smallest: 1048576 # bytes; a smaller item stays in the default class
```

It does nothing without `classes`. Small items are not worth it: every object in GLACIER or DEEP_ARCHIVE costs 40 KB
more than it holds, is billed for at least 90 or 180 days, and a thousand of them cost 0.03 to 0.05 dollars to write.

The classes are the keys, and not the days, because Invoke 3.0 ends with a TypeError at any configuration
that has a number as a key: it joins all keys into the name of a variable.
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
            raise SettingsError(f"there is no setting archive.options.cold_by_age.{name}; known: classes and smallest")
    class_after = _classes(options.get("classes", {}))
    if size < _smallest(options.get("smallest", _SMALLEST)):
        return None
    reached = [days for days in class_after if days_idle >= days]
    return class_after[max(reached)] if reached else None


def _classes(value: Any) -> dict[int, str]:
    """Classes by days; two at the same number of days would be ambiguous."""
    pairs: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, Mapping) else [(None, None)]
    class_after: dict[int, str] = {days: name for name, days in pairs if _is_class(name, days)}
    if len(class_after) < len(pairs):
        raise SettingsError(
            f"archive.options.cold_by_age.classes is {value!r}, but must map classes to different numbers of days, "
            "e.g. {GLACIER_IR: 365, DEEP_ARCHIVE: 1095}"
        )
    return class_after


def _is_class(name: Any, days: Any) -> bool:
    return isinstance(name, str) and name != "" and isinstance(days, int) and not isinstance(days, bool) and days >= 0


def _smallest(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SettingsError(f"archive.options.cold_by_age.smallest is {value!r}, but must be a number of bytes")
    return value


@hookimpl
def choose_storage_class(days_idle: int, size: int, settings: Settings) -> str | None:
    return class_for(days_idle, size, settings.options.get("cold_by_age", {}))
