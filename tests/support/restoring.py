"""What tests of restores share: archives in a store, and runs of the restore workflow from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.restores import begin_restore
from archive_tasks.events import Event
from archive_tasks.restore.context import Conflict, RestoreContext, Restored
from archive_tasks.restore.patterns import EVERYTHING
from archive_tasks.restore.run import restore
from archive_tasks.restore.select import RestoreRequest, select
from archive_tasks.restore.selection import Selection
from archive_tasks.store import Store
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.testing.trees import TreeEntry, read_tree
from archive_tasks.workers.processes import processes
from tests.conftest import NOW


class Silent:
    """A progress that adds up."""

    def __init__(self) -> None:
        self.files = self.bytes = 0

    def event(self, event: Event) -> None:
        pass

    def stored(self, files: int, size: int) -> None:
        self.files += files
        self.bytes += size


def bring_back(
    store: Store,
    catalogue_path: Path,
    to: Path | str = "",
    patterns: Sequence[str] = (EVERYTHING,),
    *,
    on_conflict: Conflict = "refuse",
    seconds: float = 0,
    at: Any = None,
) -> Restored:
    """Sync the catalogue and restore, in this process."""
    with ExitStack() as stack:
        catalogue = stack.enter_context(Catalogue(str(catalogue_path), target=store.url))
        helpers = stack.enter_context(processes(files=0))
        pace = Pace(concurrency=4, memory=64 * 1024 * 1024)
        patience = Patience(pace=pace, seconds=seconds)
        sync(store, catalogue, patience=patience, now=NOW, concurrency=2)
        archives = [known.archive for known in catalogue.archives()]
        roots = frozenset(archive.root for archive in archives)
        request = RestoreRequest(patterns=tuple(patterns), to=str(to), at=at, roots=roots)
        selections = select(request, archives).selections
        context = RestoreContext(
            store=store,
            catalogue=catalogue,
            pace=pace,
            patience=patience,
            helpers=helpers,
            progress=Silent(),
            concurrency=4,
        )
        return restore(selections, context, on_conflict=on_conflict, continued=_remembering(catalogue))


def _remembering(catalogue: Catalogue) -> Any:
    def continued(selection: Selection) -> bool:
        return begin_restore(catalogue, selection.archive.manifest, selection.destination, now=NOW)

    return continued


def comparable(tree: dict[str, TreeEntry]) -> dict[str, TreeEntry]:
    """Without access times: a restored file was last read when it was made."""
    return {path: entry._replace(atime_ns=0) for path, entry in tree.items()}


def same_trees(one: Path, other: Path) -> bool:
    return comparable(read_tree(one)) == comparable(read_tree(other))
