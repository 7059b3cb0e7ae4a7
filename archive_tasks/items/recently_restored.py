"""Which items were restored, and when: a restored item counts as used on that day, though its files are old.

A small file of JSON lines in the user's data folder, so that a scan can look without opening a catalogue. Losing it
loses nothing but that a restored item is archived again sooner.
"""

from __future__ import annotations

import json
import os

_FILE = "restored.jsonl"


def note_restored(data: str, path: str, *, now_ns: int) -> None:
    """Remember that the item at the absolute `path` was restored. Raises OSError."""
    os.makedirs(data, mode=0o700, exist_ok=True)
    line = json.dumps({"path": path, "at_ns": now_ns}) + "\n"
    handle = os.open(os.path.join(data, _FILE), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(line)


def restored_in(data: str, root: str) -> dict[str, int]:
    """When items of the root were restored, by name, in nanoseconds since the epoch."""
    try:
        with open(os.path.join(data, _FILE), encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return {}
    found: dict[str, int] = {}
    for line in lines:
        path, at_ns = _parsed(line)
        folder, _, name = path.rpartition("/")
        if folder == root.rstrip("/"):
            found[name] = max(at_ns, found.get(name, 0))
    return found


def _parsed(line: str) -> tuple[str, int]:
    """A line that was cut off is ignored."""
    try:
        record = json.loads(line)
        return str(record["path"]), int(record["at_ns"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "", 0
