"""Damage: is the catalogue itself as it was written, and which archives were seen to be damaged in the target?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.runs import runs_of
from archive_tasks.errors import CatalogueDamaged

DAMAGED = "damaged "
"""How a fact's name begins that says so of an archive; the key of its manifest follows."""

# -- of the catalogue itself -------------------------------------------------------------------------


def check(catalogue: Catalogue) -> None:
    """Look at all of it. Raises CatalogueDamaged."""
    problems = catalogue.rows("pragma integrity_check")
    if problems != [("ok",)]:
        raise catalogue.damaged(str(problems[0][0]).splitlines()[-1])
    catalogue.archives()
    runs_of(catalogue)


def set_aside_if_damaged(path: str) -> str:
    """Move a damaged catalogue out of the way. Returns where it is now, empty for a sound one.

    Raises:
        CatalogueError: it cannot be opened, or is of a newer version.
    """
    try:
        with Catalogue(path) as catalogue:
            check(catalogue)
        return ""
    except CatalogueDamaged:
        for side in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(path + side, f"{path}.damaged{side}")
        return f"{path}.damaged"


# -- of archives -------------------------------------------------------------------------------------


def note_damage(catalogue: Catalogue, manifests: Sequence[str], *, now: datetime) -> None:
    """Remember that archives were seen to be damaged, so that their items are sent again."""
    for manifest in manifests:
        catalogue.set_fact(f"{DAMAGED}{manifest}", now.isoformat())


def note_mended(catalogue: Catalogue, manifests: Iterable[str]) -> None:
    """Archives were seen to be intact, every byte of them, or were repaired."""
    with catalogue.writing() as write:
        for manifest in manifests:
            write("delete from facts where name = ?", (f"{DAMAGED}{manifest}",))


def is_damaged(catalogue: Catalogue, manifest: str) -> bool:
    """Was this archive seen to be damaged?"""
    return catalogue.fact(f"{DAMAGED}{manifest}") is not None
