"""Keeps items that are, or hold, a target of archive_tasks: what is archived there would go with its local copy.

Nothing is read: a folder with a `vault.json` and a folder `manifests` beside it is a target.
"""

from __future__ import annotations

from collections.abc import Iterator

from archive_tasks import hookimpl
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_VAULT = "vault.json"
_MANIFESTS = "manifests"


def is_target(listing: Listing) -> bool:
    """Does the folder look like a target?"""
    return _VAULT in listing.inodes and _MANIFESTS in listing.folders


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    def looks(listing: Listing) -> Iterator[str]:
        if listing.path and is_target(listing):
            yield (
                f"{display(listing.path)} is a target of archive_tasks, which holds archives: move it out of the root, "
                "or keep it"
            )

    return Guard(looks=looks)
