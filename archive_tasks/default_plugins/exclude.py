"""Patterns that leave entries out: `archive.exclude` and a `.archiveignore` in the root, as gitignore has them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError
from archive_tasks.model import Excluder
from archive_tasks.names import display
from archive_tasks.settings import Settings

IGNORE_FILE = ".archiveignore"


def make_pattern_excluder(patterns: Sequence[str]) -> Excluder | None:
    """Leave out what the patterns match; the last that matches decides. None without patterns.

    Raises:
        SettingsError: a pattern cannot be understood.
    """
    if not any(line.strip() and not line.startswith("#") for line in patterns):
        return None
    from pathspec import GitIgnoreSpec  # 20 ms, and most roots have no pattern

    try:
        spec = GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise SettingsError(f"archive.exclude or {IGNORE_FILE} has an invalid pattern: {error}") from error

    def excludes(path: str, is_folder: bool) -> str | None:
        result = spec.check_file(path + "/" if is_folder else path)
        return f"left out by the pattern {display(patterns[result.index or 0])}" if result.include else None

    return excludes


def read_ignore_file(root: str) -> list[str]:
    """The lines of the root's `.archiveignore`; empty without such a file.

    Raises:
        SettingsError: it cannot be read: leaving its patterns out silently would archive what it protects.
    """
    path = os.path.join(root, IGNORE_FILE)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            return lines.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SettingsError(f"{display(path)} cannot be read: {error.strerror}; fix or remove it") from error


@hookimpl
def make_excluder(root: str, settings: Settings) -> Excluder | None:
    return make_pattern_excluder([*read_ignore_file(root), *settings.exclude])
