"""Folders that say of themselves that they should not be archived.

`CACHEDIR.TAG` (bford.info/cachedir) marks a cache: it is left out, and the rest of its item goes.
"""

from __future__ import annotations

import os

from archive_tasks import hookimpl
from archive_tasks.model import FolderExcluder
from archive_tasks.settings import Settings

SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"


def is_cache(folder: str) -> bool:
    """Does the folder hold a `CACHEDIR.TAG` with the signature? A link or a fifo of that name does not count."""
    try:
        handle = os.open(os.path.join(folder, "CACHEDIR.TAG"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.read(handle, len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False
    finally:
        os.close(handle)


@hookimpl
def make_excluder(root: str, settings: Settings) -> FolderExcluder:
    def excludes(path: str) -> str | None:
        return "a cache (CACHEDIR.TAG)" if is_cache(os.path.join(root, path)) else None

    return FolderExcluder(excludes=excludes)
