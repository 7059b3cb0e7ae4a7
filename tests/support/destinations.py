"""What tests of the destination share."""

from __future__ import annotations

import os
from pathlib import Path

from archive_tasks.model import Attributes

MTIME = 1_234_567_890_123_456_789
PLAIN = Attributes(mode=0o640, mtime_ns=MTIME)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def fill(folder: Path, names_and_contents: dict[str, bytes]) -> None:
    for name, contents in names_and_contents.items():
        (folder / name).write_bytes(contents)
