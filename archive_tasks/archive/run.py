"""Plan -> archives. Several items at a time; each is surveyed, sent, proven, looked at again and committed.

An item is committed by its manifest, written last and read back. Whatever goes wrong before that leaves no
archive: objects without a manifest are not an archive, and the next run resumes from them.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from archive_tasks.archive.context import Work
from archive_tasks.archive.item import archive_item
from archive_tasks.archive.segment import pack_segment
from archive_tasks.catalogue.root_place import remember_place
from archive_tasks.catalogue.runs import begin_run, end_run
from archive_tasks.disk.ctime_trial import try_ctime
from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.errors import ArchiveTasksError, CatalogueError, Interrupted, StoreBusy, StoreUnusable, UsageError
from archive_tasks.events import (
    Event,
    ItemAlreadyThere,
    ItemArchived,
    ItemFailed,
    ItemKept,
    ItemStarted,
    ManifestUnreadable,
    Progress,
    Retrying,
    RunFinished,
    RunStarted,
)
from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.items.root import Root
from archive_tasks.model import Archive, Decision, Failure, Item, Outcome, Plan, Source
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.target.already_there import Listings, newest_of, scopes_to_list_whole
from archive_tasks.target.open import Target
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.workers.processes import Processes

_SECONDS_BETWEEN_TROUBLES = 30.0
_log = logging.getLogger("archive_tasks")


def archive(
    plan: Plan, root: Root, session: Session, target: Target, *, progress: Progress, helpers: Processes
) -> Outcome:
    """Carry the plan out.

    Args:
        helpers: make the segments of packs.

    Returns:
        What was done; an item that failed is in `failed` and did not stop the others.

    Raises:
        StoreUnusable: the target can no longer be used. What is committed stays.
        Interrupted: the user stopped the run.
    """
    return _ArchiveRun(plan, root, session, target, progress, helpers).carry_out()


class _Results:
    """What became of each item. Safe to use from several threads."""

    def __init__(self, kept: list[Failure]) -> None:
        self._lock = threading.Lock()
        self._archives: list[Archive] = []
        self._already: list[Archive] = []
        self._kept = kept
        self._failed: list[Failure] = []

    def note(self, item: Item, event: ItemArchived | ItemAlreadyThere | ItemKept) -> None:
        with self._lock:
            if isinstance(event, ItemArchived):
                self._archives.append(event.archive)
            elif isinstance(event, ItemAlreadyThere):
                self._already.append(event.archive)
            else:
                self._kept.append(Failure(item.name, event.reason))

    def fail(self, item: Item, reason: str) -> None:
        with self._lock:
            self._failed.append(Failure(item.name, reason))

    def outcome(self, target: str) -> Outcome:
        return Outcome(
            target=target,
            archives=tuple(sorted(self._archives, key=lambda one: one.item)),
            already=tuple(sorted(self._already, key=lambda one: one.item)),
            kept=tuple(sorted(self._kept)),
            failed=tuple(sorted(self._failed)),
        )


class _ArchiveRun:
    def __init__(
        self, plan: Plan, root: Root, session: Session, target: Target, progress: Progress, helpers: Processes
    ) -> None:
        self._helpers = helpers
        self._plan = plan
        self._session = session
        self._target = target
        self._progress = progress
        self._settings = root.settings
        self._rules = root.rules
        self._results = _Results([Failure(one.item.name, one.reason) for one in plan.to_keep])
        self._lock = threading.Lock()
        self._told_at = float("-inf")
        self._pace = Pace(
            concurrency=self._settings.concurrency, bandwidth=self._settings.bandwidth, memory=self._settings.memory
        )

    def carry_out(self) -> Outcome:
        chosen = self._plan.to_archive
        self._tell(_started(chosen, self._target.store.url))
        run = begin_run(self._target.catalogue, root=self._plan.root, now=self._session.now)
        remember_place(self._target.catalogue, self._plan.root)
        self._archive_all(chosen, run, self._listings(chosen))
        outcome = self._results.outcome(self._target.store.url)
        counts = {name: len(getattr(outcome, name)) for name in ("archives", "already", "kept", "failed")}
        end_run(self._target.catalogue, run, now=self._session.wall(), outcome=counts)
        self._tell(RunFinished(outcome=outcome))
        return outcome

    def _archive_all(self, chosen: Sequence[Decision], run: int, listings: Listings) -> None:
        """Open the root, and start what sends."""
        root_fd = os.open(self._plan.root, FOLDER_THROUGH_LINKS)
        try:
            with ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="send") as workers:
                self._work_through(chosen, self._work(run, listings, root_fd, workers))
        finally:
            os.close(root_fd)

    def _work(self, run: int, listings: Listings, root_fd: int, workers: ThreadPoolExecutor) -> Work:
        """What the items share, the filesystem's ctime tried."""
        ctime = try_ctime(root_fd)
        return Work(
            session=self._session,
            target=self._target,
            rules=dataclasses.replace(self._rules, inodes_count=ctime.inodes_stay),
            pace=self._pace,
            workers=workers,
            root_fd=root_fd,
            listings=listings,
            source=self._source,
            run=run,
            ctime=ctime,
            start_packing=functools.partial(self._helpers.start, pack_segment),
        )

    @property
    def _source(self) -> Source:
        return Source(self._session.device, "", self._plan.root)

    def _listings(self, chosen: Sequence[Decision]) -> Listings:
        """What the target lists. Manifests of the items at hand that are not known here are read."""
        store, catalogue = self._target.store, self._target.catalogue
        segments = {key_segment(one.item.name) for one in chosen}

        def is_of_these(key: str) -> bool:
            name = layout.manifest_name(key)
            return name is not None and name.item in segments

        synced = sync(
            store,
            catalogue,
            patience=self._patience("the target"),
            now=self._session.now,
            concurrency=self._settings.concurrency,
            wanted=is_of_these,
        )
        for key, reason in synced.unreadable:
            self._tell(ManifestUnreadable(manifest=key, reason=reason))
        newest = (newest_of(catalogue, self._source, one.item.name) for one in chosen)
        whole = scopes_to_list_whole(catalogue, (known for known in newest if known))
        return Listings(store, manifests=synced.listed, whole=whole)

    def _work_through(self, decisions: Sequence[Decision], work: Work) -> None:
        """Run the items' threads; the first error that concerns the whole run stops them all."""
        items = ThreadPoolExecutor(self._settings.items_at_once, thread_name_prefix="item")
        running = {items.submit(self._work_on, decision, work) for decision in decisions}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
        except KeyboardInterrupt:
            raise Interrupted(
                "stopped. What is archived is safe, nothing is half done; run the same command again to resume"
            ) from None
        finally:
            if running:
                self._pace.stop()
            items.shutdown(wait=True, cancel_futures=True)

    def _work_on(self, decision: Decision, work: Work) -> None:
        """One item, to its end. Only what concerns the whole run is raised."""
        item = decision.item
        try:
            self._tell(ItemStarted(item=item.name, files=decision.files or 0, bytes=decision.bytes or 0))
            self._note(item, self._archive_item(item, work))
        except (StoreUnusable, CatalogueError, UsageError, Interrupted):
            raise
        except StoreBusy as error:
            self._stop_if_nothing_answers(error)
            self._fail(item, str(error))
        except ArchiveTasksError as error:
            self._fail(item, str(error))
        except OSError as error:
            self._fail(item, f"the system refused: {error}")
        except Exception as error:  # noqa: BLE001 - one item's failure must not stop the others
            _log.exception("unexpected error (a bug; please report it) at %s", display(item.name))
            self._fail(item, f"unexpected error (a bug; please report it): {type(error).__name__}: {error}")

    def _archive_item(self, item: Item, work: Work) -> ItemArchived | ItemAlreadyThere | ItemKept:
        return archive_item(item, work, patience=self._patience(item.name), tell=self._progress.stored)

    def _patience(self, what: str) -> Patience:
        return Patience(
            pace=self._pace,
            seconds=self._settings.retry_minutes * 60,
            on_retry=lambda problem, seconds: self._tell_of_trouble(
                Retrying(item=what, problem=problem, seconds=seconds)
            ),
        )

    def _tell_of_trouble(self, event: Retrying) -> None:
        """Once in half a minute: in an outage every part of every item meets the same fault."""
        with self._lock:
            now = time.monotonic()
            if now - self._told_at < _SECONDS_BETWEEN_TROUBLES:
                return
            self._told_at = now
        self._tell(event)

    def _stop_if_nothing_answers(self, error: StoreBusy) -> None:
        """An item has waited in vain; when no other got an answer in that time, further waiting is useless."""
        patience = self._settings.retry_minutes * 60
        if patience and self._pace.silent_for >= 0.9 * patience:
            raise StoreUnusable(f"the target has not answered for {self._pace.silent_for / 60:.0f} minutes: {error}")

    def _note(self, item: Item, event: ItemArchived | ItemAlreadyThere | ItemKept) -> None:
        self._results.note(item, event)
        self._tell(event)

    def _fail(self, item: Item, reason: str) -> None:
        self._results.fail(item, reason)
        self._tell(ItemFailed(item=item.name, reason=reason))

    def _tell(self, event: Event) -> None:
        self._progress.event(event)
        self._session.notify(event)


def _started(chosen: Sequence[Decision], target: str) -> RunStarted:
    return RunStarted(
        target=target,
        items=len(chosen),
        files=sum(one.files or 0 for one in chosen),
        bytes=sum(one.bytes or 0 for one in chosen),
    )
