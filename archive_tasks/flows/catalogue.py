"""What the task catalogue does: this machine's memory of a target, in step with it, built again, or given up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archive_tasks.amounts import count_text, size_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.forget import forget_entries, forget_everything
from archive_tasks.errors import Interrupted, PartlyFailed, UsageError
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.using_target import (
    bring_in_step,
    existing_catalogue,
    existing_target,
    new_pace,
    new_patience,
    target_of,
)
from archive_tasks.items.root import root_path
from archive_tasks.model import Archive
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import MOST_SHOWN, Console
from archive_tasks.show.document import Document
from archive_tasks.show.upkeep import catalogue_document, catalogue_summary
from archive_tasks.store import Store
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.target.refresh import forget_unlisted


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRequest:
    """What was asked for.

    Attributes:
        rebuild: True reads every manifest of the target again.
        adopt: name of a host whose archives this device takes over; empty takes none.
        moved: what the root was called when its archives were made; empty moves none.
        forget: True forgets the target.
    """

    rebuild: bool = False
    adopt: str = ""
    moved: str = ""
    forget: bool = False
    yes: bool = False


def options(*, rebuild: bool, adopt: str | None, moved: str | None, forget: bool, yes: bool) -> CatalogueRequest:
    """Raises UsageError for what contradicts itself."""
    if sum((rebuild, adopt is not None, moved is not None, forget)) > 1:
        raise UsageError("catalogue does one thing at a time: --rebuild, --adopt, --moved or --forget")
    if "" in (adopt, moved):
        raise UsageError("--adopt needs the name of a host, and --moved the path that the root had")
    return CatalogueRequest(rebuild=rebuild, adopt=adopt or "", moved=moved or "", forget=forget, yes=yes)


def catalogue(c: Any, wanted: CatalogueRequest, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Bring the catalogue in step with the target, or do to it what was asked for."""
    console = Console(json_document=json_document)
    document = catalogue_of(session_of(c, flags), wanted, console)
    console.document(document)
    if unreadable := document.get("unreadable"):
        raise PartlyFailed(f"{count_text(len(unreadable), 'manifest')} could not be read, see above; run verify")
    return document


def catalogue_of(session: Session, wanted: CatalogueRequest, console: Console) -> Document:
    """All of `catalogue` but the printing of its document."""
    if wanted.forget:
        return _forget(session, console, yes=wanted.yes)

    def tell(quarantine: str) -> None:
        console.warn(f"the catalogue was damaged; what was left of it is now {display(quarantine)}")

    with existing_target(session, target_of(session), on_damaged=tell if wanted.rebuild else None) as (store, opened):
        if wanted.rebuild:
            forget_entries(opened, now=session.now)
        patience = new_patience(session, new_pace(session), console)
        synced = bring_in_step(session, store, opened, patience, console)
        gone = forget_unlisted(opened, synced, now=session.now) if wanted.rebuild else 0
        if wanted.adopt or wanted.moved:
            return _take_over(session, store, opened, wanted, console)
        archives = opened.archives()
    document = catalogue_document(store.url, archives, synced, gone=gone)
    still_known = {known.archive.manifest for known in archives}
    for archive in [known for known in synced.missing if known.manifest in still_known][:MOST_SHOWN]:
        console.warn(
            f"{display(archive.manifest)} is not listed in the target: run {session.command('verify --repair')}"
        )
    console.say(catalogue_summary(document), style="bold")
    return document


# -- archives of another device, or of a root that had another name ----------------------------------


def _take_over(
    session: Session, store: Store, opened: Catalogue, wanted: CatalogueRequest, console: Console
) -> Document:
    """Show which archives it is about, ask, and take them over."""
    root = root_path(session) if wanted.moved else ""
    if wanted.moved and _path_of(wanted.moved) == root:
        raise UsageError(f"{display(root)} is its current path: --moved takes the path that it had before")
    chosen = _of_host(opened, wanted.adopt, session.device) if wanted.adopt else _of_root(opened, wanted.moved)
    if not chosen:
        raise UsageError(_nothing_to_take(opened, wanted))
    for archive in chosen[:MOST_SHOWN]:
        source = f"{display(archive.host)}, {display(archive.root)}"
        console.say(f"{archive.created:%Y-%m-%d}  {display(archive.item)}  ({source})")
    if len(chosen) > MOST_SHOWN:
        console.say(f"… and {len(chosen) - MOST_SHOWN:,} more", style="dim")
    number = count_text(len(chosen), "archive")
    what = f"{number} of {display(wanted.adopt or wanted.moved)}"
    as_whose = f"those of this device ({display(root)})" if root else "those of this device"
    _ask(console, f"Take over {what} as {as_whose}?", nothing="nothing was taken over", yes=wanted.yes)
    for archive in chosen:
        opened.take_over(archive, device=session.device, root=root or archive.root, now=session.now)
    console.say(f"{what} are {as_whose} now; the next archive compares them before it relies on them", style="bold")
    return {"target": store.url, "taken_over": [archive.manifest for archive in chosen]}


def _of_host(opened: Catalogue, host: str, device: str) -> list[Archive]:
    return [
        other.archive for other in opened.archives() if other.archive.host == host and other.archive.device != device
    ]


def _of_root(opened: Catalogue, moved: str) -> list[Archive]:
    """Archives of this device that were made from the root when it bore that name."""
    old = _path_of(moved)
    return [own.archive for own in opened.archives() if own.archive.device == opened.device and own.archive.root == old]


def _path_of(moved: str) -> str:
    """A path that need not exist any more."""
    return os.path.normpath(os.path.abspath(os.path.expanduser(moved)))


def _nothing_to_take(opened: Catalogue, wanted: CatalogueRequest) -> str:
    if wanted.adopt:
        known = sorted({other.archive.host for other in opened.archives() if other.archive.device != opened.device})
        others = f"other hosts: {display(', '.join(known))}" if known else "no other host has archives there"
        return f"no other device named {display(wanted.adopt)} has archives in {display(opened.target)}; {others}"
    known = sorted({own.archive.root for own in opened.archives() if own.archive.device == opened.device})
    others = f"known: {display(', '.join(known))}" if known else "this device has none there"
    return f"this device has no archives of {display(wanted.moved)} in {display(opened.target)}; {others}"


# -- a target that is given up ------------------------------------------------------------------------


def _forget(session: Session, console: Console, *, yes: bool) -> Document:
    """Forget a target that was emptied or exchanged on purpose; nothing in it is changed."""
    with existing_catalogue(session) as opened, one_run_at_a_time(opened.path):
        archives = opened.archives()
        receipts = [known for known in archives if known.receipt]
        number = count_text(len(receipts), "archive")
        size = size_text(sum(known.archive.bytes for known in receipts))
        console.say(f"this device has receipts for {number} ({size}) in {display(opened.target)}")
        console.say(
            "Forgotten, they count as unproven: local copies that are still here are compared, and sent again where "
            "the target does not hold them. What was cleaned is only there, if it is."
        )
        _ask(console, "Forget this target? Nothing in it is changed.", nothing="nothing was forgotten", yes=yes)
        forget_everything(opened, now=session.now)
    console.say(f"{display(opened.target)} is forgotten", style="bold")
    return {"target": opened.target, "forgotten": [known.archive.manifest for known in archives]}


def _ask(console: Console, question: str, *, nothing: str, yes: bool) -> None:
    if yes:
        return
    if not console.can_ask:
        raise UsageError("this needs confirmation, and there is no terminal to ask on: add --yes")
    if not console.ask(question, default=False):
        raise Interrupted(nothing)


# -- what came of it ----------------------------------------------------------------------------------
