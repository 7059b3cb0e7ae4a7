"""Entries that do not count as use: what file managers and sync tools leave behind by merely looking."""

from __future__ import annotations

import fnmatch
import re

from archive_tasks import hookimpl
from archive_tasks.model import NoiseFilter
from archive_tasks.settings import Settings

NOISE = frozenset(
    {
        ".DS_Store",
        ".localized",
        ".directory",
        ".Trashes",
        ".fseventsd",
        "Thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "Desktop.ini",
    }
)
"""Names written by macOS's Finder, KDE's Dolphin and Windows' Explorer when a folder is looked at."""
APPLE_DOUBLE = "._"
"""macOS keeps attributes in `._name` files on filesystems that have none."""


def make_filter(patterns: tuple[str, ...]) -> NoiseFilter:
    """A filter for the built-in names and further `fnmatch` patterns (`*.bak`), which heed case."""
    if not patterns:
        return lambda name: name in NOISE or name.startswith(APPLE_DOUBLE)
    matches = re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match
    return lambda name: name in NOISE or name.startswith(APPLE_DOUBLE) or matches(name) is not None


@hookimpl
def make_noise_filter(root: str, settings: Settings) -> NoiseFilter:
    return make_filter(settings.noise)
