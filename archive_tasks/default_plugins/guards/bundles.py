"""Keeps items with a bundle of which something would be left out: a folder that is one document to its program.

A photo library or a project without some of its entries may not open again. Who wants to leave a bundle out leaves it
out as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from archive_tasks import hookimpl
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

ENDINGS = (
    ".photoslibrary",
    ".photolibrary",
    ".aplibrary",
    ".migratedphotolibrary",
    ".musiclibrary",
    ".tvlibrary",
    ".imovielibrary",
    ".fcpbundle",
    ".logicx",
    ".band",
    ".garageband",
    ".pvm",
    ".hdd",
    ".vmwarevm",
    ".utm",
    ".sparsebundle",
    ".xcodeproj",
    ".xcworkspace",
    ".playground",
    ".scriv",
    ".rtfd",
    ".key",
    ".pages",
    ".numbers",
    ".dtbase2",
)
APPLICATION = ".app"
"""Also a plain folder's ending, so what macOS requires of an application must be in it."""


def bundle_around(path: str, root: str) -> str | None:
    """The outermost folder of `path`, relative to the root, that is a bundle, or None."""
    below = ""
    for name in path.split("/"):
        below = f"{below}/{name}" if below else name
        if name.lower().endswith(ENDINGS) or (name.lower().endswith(APPLICATION) and _is_application(below, root)):
            return below
    return None


def _is_application(path: str, root: str) -> bool:
    return os.path.lexists(os.path.join(root, path, "Contents"))


def split(listing: Listing, bundle: str) -> Iterator[str]:
    """Reasons to keep the item for entries of a bundle's folder that would be left out."""
    for name in listing.inodes:
        if why := listing.left_out(name):
            yield (
                f"{display(listing.path_of(name))} would be left out ({why}), but {display(bundle)} is a bundle, "
                "which its program needs whole: leave out all of it, or nothing"
            )


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    def looks(listing: Listing) -> Iterator[str]:
        if bundle := bundle_around(listing.path, root):
            yield from split(listing, bundle)

    return Guard(looks=looks)
