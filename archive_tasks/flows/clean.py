"""What `clean` does: free the space of what is provably archived."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from archive_tasks.amounts import count_text, dollars_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import sizes_of_objects
from archive_tasks.catalogue.root_place import check_place
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.clean import run as cleaning_up
from archive_tasks.clean.disposal import Disposal, send_to_trash
from archive_tasks.clean.evidence import Witness
from archive_tasks.clean.gate import Gate
from archive_tasks.clean.plan import Cleaning, bytes_lacking, plan_cleaning
from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.recover import recover
from archive_tasks.clean.run import Cleaned
from archive_tasks.clean.slot import Slot, State
from archive_tasks.clean.stub import stub_text, write_stub
from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.errors import Interrupted, ManifestError, PartlyFailed, SettingsError, UsageError
from archive_tasks.flows.invocation import program_name, session_of
from archive_tasks.flows.planning import make_plan
from archive_tasks.flows.undo import locked_quarantine, noting, say_unclear
from archive_tasks.flows.using_target import bring_in_step, existing_target, new_pace, new_patience
from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.items.root import Root, check_root, resolve_root
from archive_tasks.model import Plan
from archive_tasks.names import display, typed
from archive_tasks.session import Session
from archive_tasks.settings import CleanSettings, parse_size
from archive_tasks.show import clean as reporting
from archive_tasks.show.clean import show_cleaning, telling
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.target.lock import one_run_at_a_time
from archive_tasks.target.open import Target, open_target
from archive_tasks.target.prices import read_prices
from archive_tasks.target.resolve import folder_of
from archive_tasks.target.transfer import Transfer

_LARGEST_DISK = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRequest:
    """What was asked for beside the settings.

    Attributes:
        free: bytes that the disk should have free; None frees all that may go.
        read_data: True reads every byte back, even where the target's checksums are proof.
        agreed: names of items that were just shown, and that the user said to set aside: no need to ask for these.
    """

    free: int | None = None
    read_data: bool = False
    discard_left_out: bool = False
    yes: bool = False
    dry_run: bool = False
    agreed: frozenset[str] = frozenset()


def clean_request(
    *, free: str | None, read_data: bool, discard_left_out: bool, yes: bool, dry_run: bool
) -> CleanRequest:
    """Raises SettingsError for an invalid size."""
    return CleanRequest(
        free=_size_to_free(free) if free else None,
        read_data=read_data,
        discard_left_out=discard_left_out,
        yes=yes,
        dry_run=dry_run,
    )


def _size_to_free(text: str) -> int:
    """Raises SettingsError."""
    size = parse_size(text, name="free")
    if not 0 <= size <= _LARGEST_DISK:
        raise SettingsError(f"--free is {text!r}, which no disk can have free: write e.g. 50GB")
    return size


def clean(c: Any, flags: Mapping[str, Any], wanted: CleanRequest, *, json_document: bool) -> Document:
    """Show what would go, ask, carry it out, say what is true now."""
    console = Console(json_document=json_document)
    session = session_of(c, flags)
    document = clean_root(session, wanted, console)
    console.document(document)
    if document["failed"] or document["stopped"]:
        number = count_text(len(document["failed"]), "item")
        raise PartlyFailed(f"{number} could not be freed, see above; nothing is lost")
    return document


def clean_root(session: Session, wanted: CleanRequest, console: Console) -> Document:
    """All of `clean` but the printing of its document."""
    root = resolve_root(session)
    check_root(root.path, home=os.path.realpath(os.path.expanduser("~")))
    _check_mode(root)
    with existing_target(session, root.target) as (store, catalogue):
        check_place(catalogue, root.path)
        if not wanted.agreed:
            warn_of_one_disk(root, console)
        if wanted.dry_run:
            return _dry_run(root, session, catalogue, wanted, console)
        with one_run_at_a_time(catalogue.path), locked_quarantine(root.path) as (root_fd, quarantine):
            target = open_target(store, catalogue, now=session.now, may_create=lambda _store: False)
            note = noting(catalogue, session)
            unclear = recover(quarantine, note)
            say_unclear(unclear, console)
            plan = make_plan(root, session)
            _learn_of_newer(session, target, plan, console)
            cleaning = _planned(session, catalogue, plan, quarantine.slots(), wanted)
            is_agreed = (
                bool(wanted.agreed)
                and not cleaning.due
                and {candidate.item for candidate in cleaning.candidates} <= wanted.agreed
            )
            if not is_agreed:
                show_cleaning(plan, cleaning, session.settings.clean, console)
            if not cleaning.candidates and not cleaning.due:
                console.say("nothing to clean")
                cleaned = Cleaned(kept=list(cleaning.kept), failed=unclear)
                return reporting.clean_document(root.path, store.url, session.settings.clean, cleaned)
            if not is_agreed:
                _ask(plan, cleaning, session.settings.clean, console, where=quarantine.path, yes=wanted.yes)
            disposal = _disposal(session, catalogue, quarantine, root_fd, note, console)
            cleaned = _carry_out(root, session, target, quarantine, cleaning, disposal, wanted, console)
    console.say(reporting.clean_summary(cleaned, session.settings.clean), style="bold")
    if cleaned.stopped:
        console.warn(f"{cleaned.stopped}; {count_text(cleaned.untried, 'item was', 'items were')} not tried")
    undo = _undo_command(session)
    if text := reporting.what_next(cleaned, session.settings.clean, undo=undo):
        console.say(text)
    cleaned.failed += unclear
    return reporting.clean_document(root.path, store.url, session.settings.clean, cleaned)


def _undo_command(session: Session) -> str:
    root = f" --root {typed(session.settings.root)}" if "root" in session.settings.flagged else ""
    return f"{program_name()} undo{root}"


# -- before anything moves --------------------------------------------------------------------------------


def _check_mode(root: Root) -> None:
    """Raises UsageError for a `move` that makes no sense."""
    limits = root.settings.clean
    if limits.mode != "move":
        if "clean.to" in root.settings.flagged:
            raise UsageError("--to is where `--mode move` moves items: give both")
        return
    if not limits.to:
        raise UsageError("where to? --mode move needs --to FOLDER")
    to = os.path.realpath(os.path.expanduser(limits.to))
    if not os.path.isdir(to):
        raise UsageError(f"{display(limits.to)} is not a folder: is its disk mounted? Make it, or give another --to")
    for own in (root.path, *root.private):
        if to == own or to.startswith(own + "/"):
            raise UsageError(f"{display(to)} is in {display(own)}: give a --to outside it")


def warn_of_one_disk(root: Root, console: Console) -> None:
    """A copy on the same disk is lost with the disk, and frees no space."""
    folder = folder_of(root.target)
    if folder and os.stat(folder).st_dev == os.stat(root.path).st_dev:
        console.warn(
            f"the target {display(folder)} is on the same disk as the root: that disk would hold the only copy, "
            "and little space would be freed"
        )


def _learn_of_newer(session: Session, target: Target, plan: Plan, console: Console) -> None:
    """Only the newest archive of an item frees it, and one may have been made that is not known here."""
    segments = {key_segment(decision.item.name) for decision in plan.to_archive}

    def is_of_these(key: str) -> bool:
        name = layout.manifest_name(key)
        return name is not None and name.item in segments

    patience = new_patience(session, new_pace(session), console)
    bring_in_step(session, target.store, target.catalogue, patience, console, wanted=is_of_these)


def _planned(session: Session, catalogue: Catalogue, plan: Plan, slots: list[Slot], wanted: CleanRequest) -> Cleaning:
    return plan_cleaning(
        plan,
        catalogue,
        slots,
        device=session.device,
        limits=session.settings.clean,
        free=bytes_lacking(plan.root, wanted.free),
        now=session.now,
    )


def _dry_run(root: Root, session: Session, catalogue: Catalogue, wanted: CleanRequest, console: Console) -> Document:
    root_fd = os.open(root.path, FOLDER_THROUGH_LINKS)
    try:
        slots = Quarantine.glance(root_fd)
    finally:
        os.close(root_fd)
    plan = make_plan(root, session)
    cleaning = _planned(session, catalogue, plan, slots, wanted)
    show_cleaning(plan, cleaning, session.settings.clean, console)
    console.say("a dry run: nothing was touched, and the target was not asked")
    return reporting.dry_clean_document(root.path, catalogue.target, session.settings.clean, cleaning)


def _ask(plan: Plan, cleaning: Cleaning, limits: CleanSettings, console: Console, *, where: str, yes: bool) -> None:
    """Raises Interrupted for a "no"; UsageError where nobody can be asked, or with --yes when too much would go."""
    if not yes:
        if not console.can_ask:
            raise UsageError("clean asks before anything goes, and there is no terminal to ask on: add --yes")
        if not console.ask(
            reporting.question(cleaning, limits, where=where, undo=f"{program_name()} undo"), default=False
        ):
            raise Interrupted("nothing was cleaned")
        return
    judged = [decision for decision in plan.decisions if not decision.item.name.startswith(".")]
    share = 100 * len(cleaning.candidates) / max(1, len(judged))
    if share > limits.max_share and len(cleaning.candidates) > 1:
        raise UsageError(
            f"{len(cleaning.candidates)} of {len(judged)} items would go at once, which is more than "
            f"{limits.max_share} %: is this the right root? --max-share 100 permits it"
        )


# -- carrying it out -----------------------------------------------------------------------------------------


def _carry_out(
    root: Root,
    session: Session,
    target: Target,
    quarantine: Quarantine,
    cleaning: Cleaning,
    disposal: Disposal,
    wanted: CleanRequest,
    console: Console,
) -> Cleaned:
    trusted = target.verdict.trusted and not wanted.read_data
    if not trusted:
        console.say("every archived byte is read back from the target and compared first", style="dim")
    pace = new_pace(session)
    with ThreadPoolExecutor(session.settings.concurrency, thread_name_prefix="confirm") as workers:
        transfer = Transfer(
            store=target.store,
            pace=pace,
            patience=new_patience(session, pace, console),
            workers=workers,
            trusted=trusted,
        )
        try:
            gate = Gate(
                session,
                root.rules,
                Witness(target=target, transfer=transfer, wall=session.wall),
                quarantine,
                run=f"{session.now.isoformat()} {os.getpid()}",
                discard_left_out=wanted.discard_left_out,
                ctime=quarantine.try_ctime(),
            )
            return cleaning_up.clean(
                cleaning, gate, disposal, limits=session.settings.clean, tell=telling(session.settings.clean, console)
            )
        except KeyboardInterrupt:
            pace.stop()
            raise Interrupted(
                f"stopped. What was being moved is where it was, or set aside ({_undo_command(session)}); run the same "
                "command again to resume"
            ) from None


def _disposal(
    session: Session,
    catalogue: Catalogue,
    quarantine: Quarantine,
    root_fd: int,
    note: Callable[[str, Slot], None],
    console: Console,
) -> Disposal:
    def leave_stub(state: State, known: KnownArchive) -> None:
        if not session.settings.clean.stub:
            return
        cost = _cost(session, catalogue, known)
        try:
            if not write_stub(root_fd, state.item, stub_text(state, known.archive, cost=cost, program=program_name())):
                console.warn(f"no note was left for {display(state.item)}: its name is taken")
        except OSError as error:
            console.warn(f"no note could be left for {display(state.item)}: {error.strerror}")

    return Disposal(
        root=os.path.dirname(quarantine.path),
        quarantine=quarantine,
        to=os.path.realpath(os.path.expanduser(session.settings.clean.to)) if session.settings.clean.to else "",
        trash=send_to_trash,
        leave_stub=leave_stub,
        note=note,
    )


def _cost(session: Session, catalogue: Catalogue, known: KnownArchive) -> str:
    """What fetching an archive back takes, by the table of prices and what was sent of it."""
    if not known.archive.target.startswith("s3://"):
        return "nothing"
    prices = read_prices(session.settings.prices)
    size, requests = known.archive.bytes, max(1, known.archive.files)
    with suppress(ManifestError):  # its entries are not here
        sizes = sizes_of_objects(catalogue, known.archive.manifest).values()
        size, requests = sum(sizes), max(1, len(sizes))
    dollars = prices.to_fetch(known.archive.storage_class, requests=requests, size=size)
    ways = prices.to_thaw(known.archive.storage_class, objects=requests, size=size, days=7)
    thaw = f", after thawing ({ways[-1].time}, {dollars_text(ways[-1].dollars)})" if ways else ""
    return (
        f"{dollars_text(dollars)} at most by {prices.name}{thaw}"
        if dollars is not None
        else "see your provider's prices"
    )
