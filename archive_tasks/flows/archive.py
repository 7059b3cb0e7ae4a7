"""What `archive` does: show the plan, ask, carry it out, say what is true now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from archive_tasks.amounts import count_text, size_text
from archive_tasks.archive import run as archiving
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.catalogue.root_place import remember_place
from archive_tasks.disk.leases import leases_break_quietly
from archive_tasks.disk.sparse import allocated_bytes
from archive_tasks.errors import Interrupted, PartlyFailed, StoreUnusable, UsageError
from archive_tasks.flows.invocation import chain_of, end_with, mention_host, session_of
from archive_tasks.flows.planning import make_plan
from archive_tasks.flows.undo import finish_what_died
from archive_tasks.flows.using_target import may_create, may_share, open_catalogue
from archive_tasks.items.root import Root, resolve_root
from archive_tasks.model import Failure, Outcome, Plan, Source
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.archive import dry_run_document, outcome_document, show_outcome
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.show.scan import show_plan
from archive_tasks.store import Store
from archive_tasks.target.already_there import newest_of
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.target.open import Target, open_target
from archive_tasks.target.resolve import default_target, folder_of
from archive_tasks.workers.processes import processes


def archive(
    c: Any, flags: Mapping[str, Any], *, yes: bool, dry_run: bool, json_document: bool, create: bool = False
) -> Document:
    """Show the plan, ask, carry it out, say what is true now. `create`: a new target need not be empty."""
    console = Console(json_document=json_document)
    mention_host(c, console)
    session = session_of(c, flags)
    planned = chain_of(c).planned(session.settings)
    root = planned[0] if planned else resolve_root(session)
    store = session.open_store(root.target)  # a wrong URL is reported before a long walk
    if not dry_run:
        finish_what_died(root.path, session, console)
    plan = planned[1] if planned else _new_plan(root, session, console)
    _say_where(root, session, console)
    if not dry_run and not plan.to_archive:
        _remember_place(session, root.path, store)
    if dry_run or not plan.to_archive:
        return _archive_nothing(plan, root.target, console, dry_run=dry_run, json_document=json_document)
    if not yes:
        _ask_to_go_on(plan, session, store, console)
    outcome = _carry_out(root, session, plan, store, console, yes=yes, create=create)
    document = outcome_document(outcome)
    console.document(document)
    show_outcome(outcome, console)
    if not yes and not json_document:
        _offer_to_clean(c, flags, outcome, root, console)
    _end(outcome, session)
    return document


# -- before anything is written ----------------------------------------------------------------------


def _new_plan(root: Root, session: Session, console: Console) -> Plan:
    plan = make_plan(root, session)
    show_plan(plan, console)
    return plan


def _say_where(root: Root, session: Session, console: Console) -> None:
    if root.target == default_target(session):
        console.say(
            f"no target is configured: archives go to the folder {display(folder_of(root.target))} on this machine; "
            "run setup, or give --target s3://bucket/prefix, to send them to S3"
        )


def _remember_place(session: Session, root: str, store: Store) -> None:
    """Nothing is stale: what is set aside is compared again before it goes, wherever the root is now."""
    if os.path.exists(catalogue_path(session.data, store.url)):
        with open_catalogue(session, store.url) as catalogue:
            remember_place(catalogue, root)


def _archive_nothing(plan: Plan, target: str, console: Console, *, dry_run: bool, json_document: bool) -> Document:
    document = dry_run_document(plan, target) if dry_run else outcome_document(Outcome(target=target, kept=_kept(plan)))
    console.document(document)
    console.say("a dry run: nothing was written" if dry_run else "nothing to archive")
    return document


def _kept(plan: Plan) -> tuple[Failure, ...]:
    return tuple(Failure(decision.item.name, decision.reason) for decision in plan.to_keep)


def _ask_to_go_on(plan: Plan, session: Session, store: Store, console: Console) -> None:
    if not console.can_ask:
        raise UsageError("archive asks before it uploads, and there is no terminal to ask on: add --yes")
    number = count_text(len(plan.to_archive), "item")
    known = _known_already(plan, session, store)
    hint = f" ({known:,} of them seem to be archived already)" if known else ""
    if not console.ask(f"Archive {number}{hint}? The originals stay where they are.", default=True):
        raise Interrupted("nothing was archived")


# -- carrying it out ----------------------------------------------------------------------------------


def _carry_out(
    root: Root, session: Session, plan: Plan, store: Store, console: Console, *, yes: bool, create: bool
) -> Outcome:
    path = catalogue_path(session.data, store.url)
    files = sum(decision.files or 0 for decision in plan.to_archive)
    with (
        leases_break_quietly(),
        processes(files=files) as packing,
        one_run_at_a_time(path),
        open_catalogue(session, store.url) as catalogue,
    ):
        target = open_target(
            store,
            catalogue,
            now=session.now,
            may_create=lambda missing: may_create(missing, session, console, yes=yes),
            may_share=lambda there: may_share(there, session, create=create),
            renew=create,
            open_store=session.open_store,
            on_answer=lambda _probe, _answer: None,
        )
        _check_room(plan, session.device, target)
        _say_how_proven(target, console)
        with console.progress() as progress:
            return archiving.archive(plan, root, session, target, progress=progress, helpers=packing)


def _offer_to_clean(c: Any, flags: Mapping[str, Any], outcome: Outcome, root: Root, console: Console) -> None:
    """Ask on a terminal what to do with what is proven archived; no is always an answer."""
    proven = (*outcome.archives, *outcome.already)
    if not proven or not console.can_ask:
        return
    from archive_tasks.flows import clean as cleaning

    cleaning.warn_of_one_disk(root, console)
    number = count_text(len(proven), "item is", "items are")
    size = size_text(sum(archive.bytes for archive in proven))
    answer = console.ask_text(f"{number} archived ({size}). Free their space? no/aside/trash/move/delete", default="no")
    mode = {"aside": "quarantine", "trash": "trash", "move": "move", "delete": "delete"}.get((answer or "").lower())
    if mode is None:
        console.say("their local copies stay; clean frees them later", style="dim")
        return
    to = console.ask_text("Move them to which folder?", default=root.settings.clean.to) if mode == "move" else None
    judging = {
        name: value for name, value in flags.items() if name in {"root", "target", "days", "clock", "hidden", "exclude"}
    }
    wanted = cleaning.CleanRequest(agreed=frozenset(archive.item for archive in proven if mode == "quarantine"))
    cleaning.clean(c, {**judging, "clean.mode": mode, "clean.to": to}, wanted, json_document=False)


def _known_already(plan: Plan, session: Session, store: Store) -> int:
    """How many items of the plan the catalogue has under their name and size; whether it is so, the run will see."""
    path = catalogue_path(session.data, store.url)
    if not os.path.exists(path):
        return 0
    with open_catalogue(session, store.url) as catalogue:
        there = _known_sizes(plan, session.device, catalogue)
    return sum(decision.bytes == there[decision.item.name] for decision in plan.to_archive)


def _known_sizes(plan: Plan, device: str, catalogue: Catalogue) -> dict[str, int]:
    """Bytes of the newest archives of the root's items, by name, as far as the catalogue knows; else -1."""
    source = Source(device, "", plan.root)
    newest = {decision.item.name: newest_of(catalogue, source, decision.item.name) for decision in plan.to_archive}
    return {name: known.archive.bytes if known else -1 for name, known in newest.items()}


def _check_room(plan: Plan, device: str, target: Target) -> None:
    """A target on this machine could otherwise fill the very disk that was to be freed."""
    free = target.store.free_bytes()
    there = _known_sizes(plan, device, target.catalogue)
    new = [decision for decision in plan.to_archive if decision.bytes != there[decision.item.name]]
    needed = sum(decision.bytes or 0 for decision in new)
    if free is not None and needed > free:
        needed = sum(allocated_bytes(decision.item.path) for decision in new)
    if free is not None and needed > free:
        raise StoreUnusable(
            f"{size_text(needed)} would be archived, and {display(target.store.url)} has room for "
            f"{size_text(free)}: name another target, or archive less with a higher --days"
        )


def _say_how_proven(target: Target, console: Console) -> None:
    if not target.verdict.trusted:
        console.say(
            "this target's checksums were not seen to be proof, so everything is read back and compared", style="dim"
        )


def _end(outcome: Outcome, session: Session) -> None:
    if not outcome.failed:
        return
    if session.settings.stop_chain:
        number = count_text(len(outcome.failed), "item was", "items were")
        raise PartlyFailed(f"{number} not archived, see above; the others are safe")
    end_with(PartlyFailed.exit_code)
