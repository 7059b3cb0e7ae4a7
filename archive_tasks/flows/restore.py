"""What the task restore does: bring archived things back."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from archive_tasks.amounts import count_text, dollars_text, size_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.clean.stub import forget_stub
from archive_tasks.errors import Interrupted, ManifestError, PartlyFailed, UsageError
from archive_tasks.flows.invocation import refuse_help, session_of
from archive_tasks.flows.using_target import bring_in_step, new_pace, new_patience, open_catalogue, target_of
from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.formats.manifest import name_in
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.items.recently_restored import note_restored
from archive_tasks.items.root import root_if_there
from archive_tasks.model import Archive, nanoseconds
from archive_tasks.names import display
from archive_tasks.restore.plan import quick_plan, restore_plan, wanted_objects
from archive_tasks.restore.select import (
    EVERYTHING,
    RestoreRequest,
    Selected,
    Selection,
    SeveralSources,
    select,
    short_id,
)
from archive_tasks.session import Session
from archive_tasks.show import restore as reporting
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.store import Store
from archive_tasks.target.open import absent
from archive_tasks.target.patience import Patience
from archive_tasks.target.prices import Prices, read_prices
from archive_tasks.target.refresh import Synced
from archive_tasks.target.resolve import private_paths

_SHORTEST_POLL, _LONGEST_POLL = 1.0, 300.0


# -- restore ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """What was asked for beside the settings; see the task's flags."""

    patterns: tuple[str, ...]
    to: str = ""
    at: str = ""
    archive_id: str = ""
    from_root: str = ""
    host: str = ""
    conflict: str = "refuse"
    tier: str = ""
    wait: bool = False
    yes: bool = False
    dry_run: bool = False


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
        synced = bring_in_step(session, store, opened, patience, console, wanted=_manifests_of(wanted.patterns))
        if not opened.archives() and not store.exists():
            raise absent(store, None)
        selected = _selected(session, _request(session, wanted, opened), opened, synced, console)
        _say_what_else(session, selected, synced, console)
        run = _Restoring(session, store, opened, console, prices, wanted)
        document = run.carry_out(selected.selections)
    document["elsewhere"] = [candidate_document(one) for one in selected.elsewhere]
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


def _request(session: Session, wanted: RestoreOptions, opened: Catalogue) -> RestoreRequest:
    root = root_if_there(session)
    _check_destination(session, wanted.to, opened.target)
    return RestoreRequest(
        patterns=wanted.patterns,
        at=moment(wanted.at) if wanted.at else None,
        scope=session.settings.scope if "scope" in session.settings.flagged else "",
        host=wanted.host,
        from_root=os.path.realpath(os.path.expanduser(wanted.from_root)) if wanted.from_root else "",
        archive_id=_hex_of(wanted.archive_id),
        to=wanted.to,
        only_root=root if "root" in session.settings.flagged else "",
        device=session.device,
        root=root,
        roots=frozenset(opened.roots() | ({root} if root else set())),
    )


def _check_destination(session: Session, to: str, target: str) -> None:
    """Raises UsageError for a destination in the target, or among this program's own files."""
    where = os.path.realpath(os.path.expanduser(to)) if to else ""
    if SET_ASIDE in where.split("/"):
        raise UsageError(f"{display(to)} is among what clean set aside, and may be purged: give another --to")
    for own in private_paths(session, target):
        if where and (where == own or where.startswith(own + "/")):
            raise UsageError(f"{display(to)} is in {display(own)}, which is archive_tasks' own: give another --to")


def _hex_of(archive_id: str) -> str:
    if archive_id and not re.fullmatch(r"[0-9a-fA-F]{4,32}", archive_id):
        raise UsageError(f"--id is {archive_id!r}, but must be the beginning of an id, at least 4 of its digits")
    return archive_id


def _selected(
    session: Session, request: RestoreRequest, opened: Catalogue, synced: Synced, console: Console
) -> Selected:
    """What the request comes to; if it is ambiguous, the candidates are shown. Raises UsageError."""
    try:
        archives = [known.archive for known in opened.archives()]
        selected = select(request, archives, lambda archive, path: _holds(opened, archive, path))
    except SeveralSources as error:
        console.show_rows(reporting.CANDIDATE_COLUMNS, reporting.candidate_rows(error.candidates))
        raise
    except UsageError as error:
        if not synced.unreadable:
            raise
        raise UsageError(
            f"{error}; it may be in a manifest that cannot be read, see above: run {session.command('verify --repair')}"
        ) from error
    if selected.elsewhere and not selected.selections:
        console.show_rows(reporting.CANDIDATE_COLUMNS, reporting.candidate_rows(selected.elsewhere))
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


def _say_what_else(session: Session, selected: Selected, synced: Synced, console: Console) -> None:
    for archive in selected.elsewhere:
        console.warn(
            f"{display(archive.item)} of {display(archive.host)}:{display(archive.root)} is not restored: restore "
            f"{session.command(reporting.command_of(archive))} --to FOLDER"
        )
    if selected.others:
        console.say("archives of that name from other places, not chosen:", style="dim")
        console.show_rows(reporting.CANDIDATE_COLUMNS, reporting.candidate_rows(selected.others))
    missing = {archive.manifest for archive in synced.missing}
    for one in selected.selections:
        if one.archive.manifest in missing:
            console.warn(
                f"the manifest of {display(one.archive.item)} is not listed in the target; it is restored from what "
                f"this device knows of it: run {session.command('verify --repair')}"
            )


def candidate_document(archive: Archive) -> Document:
    """An archive that can be chosen, as a part of a document."""
    return {
        "item": archive.item,
        "root": archive.root,
        "host": archive.host,
        "created": archive.created.isoformat(),
        "bytes": archive.bytes,
        "id": short_id(archive),
    }


def moment(text: str) -> datetime:
    """`2026-05-01` (to its end, UTC) or `2026-05-01T12:00`. Raises UsageError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at is {text!r}, but must be a date, e.g. 2026-05-01") from None
    try:
        if len(text) <= len("2026-05-01"):
            found += timedelta(days=1, microseconds=-1)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        raise UsageError(f"--at is {text!r}, which is beyond the calendar") from None


def _manifests_of(patterns: Sequence[str]) -> Any:
    """Which manifests can matter, by their keys: those of the named items."""
    names = [pattern.strip("/").split("/")[0] for pattern in patterns]
    if EVERYTHING in patterns or any(
        set(name) & set("*?[~") or pattern.startswith("/") for name, pattern in zip(names, patterns, strict=True)
    ):
        return lambda _key: True
    segments = {key_segment(name) for name in names}

    def is_of_these(key: str) -> bool:
        name = layout.manifest_name(key)
        return name is not None and name.item in segments

    return is_of_these


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

    def carry_out(self, selections: Sequence[Selection]) -> Document:
        """Restore, or show what would be."""
        from archive_tasks.restore import thaw

        cold = self._look_for_cold(selections, always=self._wanted.dry_run)
        if self._wanted.dry_run:
            return self._show_plan(selections, cold)
        restored = self._run(selections, cold.keys)
        if restored.frozen and not cold.keys:
            cold = thaw.look(restored.frozen, self._store, patience=self._patience(), concurrency=self._concurrency)
        if cold.frozen:
            self._have_thawed(cold)
        if cold.keys and self._wanted.wait:
            self._wait_for(cold.keys)
            restored = self._run(selections, frozenset())
            cold = thaw.Cold(frozen=(), thawing=())
        return reporting.restore_document(self._store.url, selections, restored, thawing=len(cold.keys))

    def end(self, document: Document) -> None:
        """Say what is true now. Raises PartlyFailed when something is not back."""
        if document.get("dry_run"):
            return
        for one in document["lost"][:20]:
            self._console.warn(f"{display(one['path'])} is back without {one['what']}")
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

    @property
    def _concurrency(self) -> int:
        return self._session.settings.concurrency

    def _patience(self) -> Patience:
        return new_patience(self._session, new_pace(self._session), self._console)

    # -- the plan -----------------------------------------------------------------------------------

    def _look_for_cold(self, selections: Sequence[Selection], *, always: bool) -> Any:
        """Ask how far objects are thawed, for archives in a cold class."""
        from archive_tasks.restore import thaw

        suspicious = [one for one in selections if always or self._store.is_cold(one.archive.storage_class)]
        keys = wanted_objects(suspicious, self._catalogue)
        return thaw.look(keys, self._store, patience=self._patience(), concurrency=self._concurrency)

    def _show_plan(self, selections: Sequence[Selection], cold: Any) -> Document:
        from archive_tasks.restore import thaw

        plan = restore_plan(selections, self._catalogue)
        ways = thaw.ways(cold.frozen, self._prices)
        document = reporting.dry_run_document(
            self._store.url, plan, self._dollars(selections), ways, frozen=len(cold.keys)
        )
        for row in reporting.plan_lines(plan):
            self._console.say(row)
        self._console.say(reporting.plan_summary(document, self._prices.name), style="bold")
        self._say_ways(ways)
        self._console.say("a dry run: nothing was fetched")
        return document

    def _dollars(self, selections: Sequence[Selection]) -> float | None:
        """What fetching costs, by the class that each archive was written to; None where the table does not say."""
        if not self._store.url.startswith("s3:"):
            return None
        dollars = 0.0
        for storage_class in {one.archive.storage_class for one in selections}:
            plan = restore_plan(
                [one for one in selections if one.archive.storage_class == storage_class], self._catalogue
            )
            cost = self._prices.to_fetch(storage_class, requests=plan.requests, size=plan.to_fetch)
            if cost is None:
                return None
            dollars += cost
        return dollars

    def _say_ways(self, ways: Sequence[Any]) -> None:
        for way in ways:
            self._console.say(f"  {way.tier:<10} {way.time:<18} {dollars_text(way.dollars)}")

    # -- carrying it out ----------------------------------------------------------------------------

    def _run(self, selections: Sequence[Selection], frozen: frozenset[str]) -> Any:
        from archive_tasks.events import RestoreStarted
        from archive_tasks.restore import run as restoring
        from archive_tasks.workers.processes import processes

        plan = quick_plan(selections, self._catalogue)
        with processes(files=plan.files) as helpers, self._console.progress() as progress:
            progress.event(
                RestoreStarted(target=self._store.url, items=len(selections), files=plan.files, bytes=plan.bytes)
            )
            pace = new_pace(self._session)
            means = restoring.RestoreContext(
                store=self._store,
                catalogue=self._catalogue,
                pace=pace,
                patience=new_patience(self._session, pace, self._console),
                helpers=helpers,
                progress=progress,
                concurrency=self._concurrency,
            )
            restored = restoring.restore(
                selections,
                means,
                on_conflict=self._wanted.conflict,  # type: ignore[arg-type]
                frozen=frozen,
                continued=self._begin,
            )
        self._remember(selections, restored)
        return restored

    def _begin(self, selection: Selection) -> bool:
        return self._catalogue.begin_restore(selection.archive.manifest, selection.destination, now=self._session.now)

    def _remember(self, selections: Sequence[Selection], restored: Any) -> None:
        failed = len(restored.failed) + len(restored.frozen)
        came_to_nothing = restored.failed and not restored.files
        for one in selections:
            self._catalogue.end_restore(one.archive.manifest, one.destination, now=self._session.wall(), failed=failed)
            place = one.place(one.archive.item)
            if one.is_whole and place and not restored.frozen and not came_to_nothing:
                path = os.path.join(os.path.realpath(one.destination), place)
                note_restored(self._session.data, path, now_ns=nanoseconds(self._session.now))
                forget_stub(path)

    # -- cold objects -------------------------------------------------------------------------------

    def _have_thawed(self, cold: Any) -> None:
        """Show what thawing takes and costs, ask, and ask the store."""
        from archive_tasks.restore import thaw

        ways = thaw.ways(cold.frozen, self._prices)
        size = sum(info.size for info in cold.frozen)
        self._console.say(
            f"{count_text(len(cold.frozen), 'object')} ({size_text(size)}) must be thawed, for {thaw.THAWED_DAYS} days "
            f"({display(self._prices.name)}):"
        )
        self._say_ways(ways)
        tier = self._chosen_tier(ways)
        number = thaw.request(
            cold.frozen, tier, self._store, self._catalogue, patience=self._patience(), now=self._session.now
        )
        self._console.say(f"asked for {count_text(number, 'object')} to be thawed ({tier})")

    def _chosen_tier(self, ways: Sequence[Any]) -> str:
        from archive_tasks.restore import thaw

        if self._wanted.tier:
            return thaw.check_tier(self._wanted.tier, list(ways))
        cheapest = min(ways, key=lambda way: way.dollars).tier if ways else "Standard"
        if self._wanted.yes:
            return str(cheapest)
        if not self._console.can_ask:
            raise UsageError(
                "thawing costs money, and there is no terminal to ask on: add --tier, or --yes for the cheapest"
            )
        answer = self._console.ask_text("Thaw them? Type a tier, or no", default=str(cheapest))
        if answer is None or answer.lower() in {"n", "no"}:
            raise Interrupted("nothing is thawed; what could be read at once is restored")
        return thaw.check_tier(answer, list(ways))

    def _wait_for(self, keys: frozenset[str]) -> None:
        """Check from time to time until everything can be read."""
        from archive_tasks.restore import thaw

        seconds = _SHORTEST_POLL
        while True:
            cold = thaw.look(keys, self._store, patience=self._patience(), concurrency=self._concurrency)
            if not cold.keys:
                return
            self._console.say(f"waiting for {count_text(len(cold.keys), 'object')} to thaw", style="dim")
            time.sleep(seconds)
            seconds = min(_LONGEST_POLL, seconds * 2)


def patterns_of(first: str | None, also: Sequence[str] | None, *, everything: bool) -> list[str]:
    """What the flags name. Raises UsageError."""
    refuse_help(first or "", "restore")
    named = [text for text in (first, *(also or ())) if text]
    if everything and named:
        raise UsageError("restore takes names or --all, not both")
    if not everything and not named:
        raise UsageError("restore what? Give a name, e.g. restore thesis, or --all")
    return [EVERYTHING] if everything else named


def conflict_of(*, overwrite: bool, skip: bool, both: bool) -> str:
    """What to do where a name is taken. Raises UsageError when more than one thing is said."""
    said = [name for name, is_said in (("overwrite", overwrite), ("skip", skip), ("both", both)) if is_said]
    if len(said) > 1:
        raise UsageError("where a name is taken: --overwrite, --skip-existing or --both; choose one")
    return said[0] if said else "refuse"
