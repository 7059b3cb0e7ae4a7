"""Archives -> files. Ranges are fetched in parallel; every file is checked before it gets its name.

Folders come first, then files as their bytes arrive, then links, and last the folders' own rights and times. What
is there already with the same contents is not fetched again, so an interrupted restore resumes where it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from archive_tasks.errors import Interrupted
from archive_tasks.restore.context import Conflict as Conflict
from archive_tasks.restore.context import RestoreContext as RestoreContext
from archive_tasks.restore.context import Restored as Restored
from archive_tasks.restore.context import RestoreRun
from archive_tasks.restore.item import ItemRestorer
from archive_tasks.restore.selection import Selection


def restore(
    selections: Sequence[Selection],
    context: RestoreContext,
    *,
    on_conflict: Conflict,
    frozen: frozenset[str] = frozenset(),
    continued: Callable[[Selection], bool] = lambda _selection: False,
) -> Restored:
    """Write what was selected.

    A target that stops answering (StoreBusy) gets no more requests: what is missing of an item is reported as its
    failure, and the same command again resumes.

    Args:
        on_conflict: what to do where a name is taken by something else.
        frozen: keys of objects that are known to be in a cold class: they are not asked for.
        continued: was this selection started before, and interrupted?

    Raises:
        DestinationUnusable: nothing more can be written.
        StoreError: the target failed otherwise; what is written stays, and the same command again resumes.
    """
    fetchers = ThreadPoolExecutor(context.concurrency, thread_name_prefix="fetch")
    run = RestoreRun(context, fetchers, on_conflict=on_conflict, frozen=frozen)
    try:
        _restore_all(selections, run, continued)
    except KeyboardInterrupt:
        context.pace.stop()
        raise Interrupted("stopped. What is restored is whole; run the same command again to resume") from None
    except BaseException:
        context.pace.stop()
        raise
    finally:
        fetchers.shutdown(wait=True, cancel_futures=True)
        run.close()
    os.sync()  # small files were not synced one by one
    return run.restored


def _restore_all(selections: Sequence[Selection], run: RestoreRun, continued: Callable[[Selection], bool]) -> None:
    items = []
    for selection in selections:
        items.append(ItemRestorer(selection, run, continued=continued(selection)))
        items[-1].begin()
    run.settle()
    for item in items:
        item.finish()
