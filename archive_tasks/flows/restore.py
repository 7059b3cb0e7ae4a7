"""What the task restore does: bring archived things back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.catalogue.restores import begin_restore, end_restore
from archive_tasks.clean.stub import forget_stub
from archive_tasks.errors import ManifestError, PartlyFailed, SeveralSources, UsageError
from archive_tasks.events import RestoreStarted
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.restore_request import RestoreOptions, manifests_of, request_of
from archive_tasks.flows.thaw import Thawer
from archive_tasks.flows.using_target import bring_in_step, new_pace, new_patience, open_catalogue, target_of
from archive_tasks.formats.manifest import name_in
from archive_tasks.items.recently_restored import note_restored
from archive_tasks.model import Archive, nanoseconds
from archive_tasks.names import display
from archive_tasks.restore import thaw
from archive_tasks.restore.context import RestoreContext, Restored
from archive_tasks.restore.patterns import EVERYTHING
from archive_tasks.restore.plan import dollars_to_fetch, quick_plan, restore_plan
from archive_tasks.restore.run import restore as restore_selections
from archive_tasks.restore.select import RestoreRequest, Selected, select
from archive_tasks.restore.selection import Selection
from archive_tasks.session import Session
from archive_tasks.show import restore as reporting
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.store import Store
from archive_tasks.target.open import absent
from archive_tasks.target.prices import Prices, read_prices
from archive_tasks.target.refresh import Synced
from archive_tasks.workers.processes import processes


def restore(c: Any, wanted: RestoreOptions, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Bring back what the patterns name."""
    return restore_named(session_of(c, flags), wanted, Console(json_document=json_document))


def restore_named(session: Session, wanted: RestoreOptions, console: Console) -> Document:
    """All of `restore`: its document is printed where it was asked for, whatever came of it."""
    prices = read_prices(session.settings.prices)
    url = target_of(session)
    store = session.open_store(url)
    with open_catalogue(session, url) as opened:
        patience = new_patience(session, new_pace(session), console)
        synced = bring_in_step(session, store, opened, patience, console, wanted=manifests_of(wanted.patterns))
        if not opened.archives() and not store.exists():
            raise absent(store, None)
        selected = _selected(session, request_of(session, wanted, opened), opened, synced, console)
        reporting.show_what_else(selected, synced.missing, session.command, console)
        run = _Restoring(session, store, opened, console, prices, wanted)
        document = run.carry_out(selected.selections)
    document["elsewhere"] = [reporting.candidate_document(one) for one in selected.elsewhere]
    console.document(document)
    run.end(document)
    if synced.unreadable and any(text == EVERYTHING or set(text) & set("*?[") for text in wanted.patterns):
        number = count_text(len(synced.unreadable), "manifest", "manifests")
        raise PartlyFailed(
            f"{number} could not be read, see above, so something may be missing: "
            f"run {session.command('verify --repair')}"
        )
    if selected.elsewhere:
        raise PartlyFailed(
            f"{count_text(len(selected.elsewhere), 'item was', 'items were')} not restored, see above: where they were "
            "may be another device's, so say where with --to"
        )
    return document


def _selected(
    session: Session, request: RestoreRequest, opened: Catalogue, synced: Synced, console: Console
) -> Selected:
    """What the request comes to; if it is ambiguous, the candidates are shown. Raises UsageError."""
    try:
        archives = [known.archive for known in opened.archives()]
        selected = select(request, archives, lambda archive, path: _holds(opened, archive, path))
    except SeveralSources as error:
        reporting.show_candidates(error.candidates, console)
        raise
    except UsageError as error:
        if not synced.unreadable:
            raise
        raise UsageError(
            f"{error}; it may be in a manifest that cannot be read, see above: run {session.command('verify --repair')}"
        ) from error
    if selected.elsewhere and not selected.selections:
        reporting.show_candidates(selected.elsewhere, console)
        first = selected.elsewhere[0]
        raise UsageError(
            f"{display(first.item)} was archived from {display(first.root)} on {display(first.host)}, which may be "
            "another device's, so nothing is written there: say where with "
            f"restore {session.command(reporting.command_of(first))} --to FOLDER"
        )
    return selected


def _holds(opened: Catalogue, archive: Archive, path: str) -> bool:
    """Is there an entry of this path? Looked for only where the path could be meant as a pattern."""
    if not set(path) & set("*?["):
        return False
    try:
        records = kept_records(opened, archive.manifest)
        return any("path" in record and name_in(record, "path") == path for record in records)
    except ManifestError:
        return False


class _Restoring:
    """One restore, from the plan to its end."""

    def __init__(
        self,
        session: Session,
        store: Store,
        catalogue: Catalogue,
        console: Console,
        prices: Prices,
        wanted: RestoreOptions,
    ) -> None:
        self._session = session
        self._store = store
        self._catalogue = catalogue
        self._console = console
        self._prices = prices
        self._wanted = wanted
        self._thawer = Thawer(session, store, catalogue, console, prices)

    def carry_out(self, selections: Sequence[Selection]) -> Document:
        """Restore, or show what would be."""
        cold = self._thawer.look_for_cold(selections, always=self._wanted.dry_run)
        if self._wanted.dry_run:
            return self._show_plan(selections, cold)
        restored = self._run(selections, cold.keys)
        if restored.frozen and not cold.keys:
            cold = self._thawer.look(restored.frozen)
        if cold.frozen:
            self._thawer.have_thawed(cold, tier=self._wanted.tier, yes=self._wanted.yes)
        if cold.keys and self._wanted.wait:
            self._thawer.wait_for(cold.keys)
            restored = self._run(selections, frozenset())
            cold = thaw.Cold(frozen=(), thawing=())
        return reporting.restore_document(self._store.url, selections, restored, thawing=len(cold.keys))

    def end(self, document: Document) -> None:
        """Say what is true now. Raises PartlyFailed when something is not back."""
        if document.get("dry_run"):
            return
        for line in reporting.lost_lines(document):
            self._console.warn(line)
        self._console.say(reporting.restore_summary(document), style="bold")
        if document["failed"]:
            raise PartlyFailed(
                f"{count_text(len(document['failed']), 'entry was', 'entries were')} not restored, see above"
            )
        if document["thawing"]:
            raise PartlyFailed(
                f"{count_text(document['thawing'], 'object is', 'objects are')} thawing: run the same command again "
                "when they are ready, or with --wait"
            )

    def _show_plan(self, selections: Sequence[Selection], cold: thaw.Cold) -> Document:
        plan = restore_plan(selections, self._catalogue)
        is_paid = self._store.url.startswith("s3:")
        dollars = dollars_to_fetch(selections, self._catalogue, self._prices) if is_paid else None
        ways = thaw.ways(cold.frozen, self._prices)
        document = reporting.dry_run_document(self._store.url, plan, dollars, ways, frozen=len(cold.keys))
        for line in reporting.plan_lines(plan):
            self._console.say(line)
        self._console.say(reporting.plan_summary(document, self._prices.name), style="bold")
        for line in reporting.way_lines(ways):
            self._console.say(line)
        self._console.say("a dry run: nothing was fetched")
        return document

    def _run(self, selections: Sequence[Selection], frozen: frozenset[str]) -> Restored:
        plan = quick_plan(selections, self._catalogue)
        with processes(files=plan.files) as helpers, self._console.progress() as progress:
            progress.event(
                RestoreStarted(target=self._store.url, items=len(selections), files=plan.files, bytes=plan.bytes)
            )
            pace = new_pace(self._session)
            context = RestoreContext(
                store=self._store,
                catalogue=self._catalogue,
                pace=pace,
                patience=new_patience(self._session, pace, self._console),
                helpers=helpers,
                progress=progress,
                concurrency=self._session.settings.concurrency,
            )
            restored = restore_selections(
                selections,
                context,
                on_conflict=self._wanted.conflict,
                frozen=frozen,
                continued=self._begin,
            )
        self._remember(selections, restored)
        return restored

    def _begin(self, selection: Selection) -> bool:
        return begin_restore(self._catalogue, selection.archive.manifest, selection.destination, now=self._session.now)

    def _remember(self, selections: Sequence[Selection], restored: Restored) -> None:
        failed = len(restored.failed) + len(restored.frozen)
        came_to_nothing = restored.failed and not restored.files
        for one in selections:
            end_restore(self._catalogue, one.archive.manifest, one.destination, now=self._session.wall(), failed=failed)
            place = one.place(one.archive.item)
            if one.is_whole and place and not restored.frozen and not came_to_nothing:
                path = os.path.join(os.path.realpath(one.destination), place)
                note_restored(self._session.data, path, now_ns=nanoseconds(self._session.now))
                forget_stub(path)
