"""What the task verify does: the target against its manifests and receipts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.damage import note_damage, note_mended
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.entries import kept_records
from archive_tasks.errors import Damaged, UsageError
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.repair import repair_manifests, repair_vault
from archive_tasks.flows.using_target import existing_target, new_pace, new_patience, target_of
from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import MOST_SHOWN, Console
from archive_tasks.show.document import Document
from archive_tasks.show.upkeep import verify_document, verify_lines
from archive_tasks.store import Store
from archive_tasks.target.open import current_verdict
from archive_tasks.upkeep.repair import Repaired
from archive_tasks.upkeep.verified import Promise, Verified, VerifyOptions
from archive_tasks.upkeep.verify import verify as verify_archives


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What was asked for.

    Attributes:
        item: only archives of items of this name; empty takes all.
        share: of the objects that are read whatever the target says, from 0 to 1.
        quick: True reads nothing.
        repair: True writes missing manifests again where it can.
    """

    item: str = ""
    share: float = 0.0
    quick: bool = False
    repair: bool = False


def options(*, item: str | None, read_data: bool, sample: str | None, quick: bool, repair: bool) -> VerifyRequest:
    """Raises UsageError for what contradicts itself, and for an empty name."""
    if item is not None and not item.rstrip("/"):
        raise UsageError("--item needs the name of an item")
    if quick + read_data + (sample is not None) > 1:
        raise UsageError("verify reads everything (--read-data), a part (--sample), or nothing (--quick): choose one")
    share = 1.0 if read_data else _share(sample) if sample is not None else 0.0
    return VerifyRequest(item=(item or "").rstrip("/"), share=share, quick=quick, repair=repair)


def _share(sample: str) -> float:
    try:
        share = float(sample.strip().removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample is {sample!r}, but must be a share, e.g. 5%")
    return share


def verify(c: Any, wanted: VerifyRequest, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Compare the target with its manifests."""
    console = Console(json_document=json_document)
    document = verify_target(session_of(c, flags), wanted, console)
    console.document(document)
    if document["damaged"]:
        number = count_text(len(document["damaged"]), "problem was", "problems were")
        raise Damaged(f"{number} found in {display(document['target'])}")
    if document["not_repaired"]:
        number = count_text(len(document["not_repaired"]), "manifest")
        raise Damaged(f"{number} could not be written again in {display(document['target'])}, see above")
    return document


def verify_target(session: Session, wanted: VerifyRequest, console: Console) -> Document:
    """All of `verify` but the printing of its document."""
    if wanted.repair:
        repair_vault(session, console)
    with existing_target(session, target_of(session)) as (store, catalogue):
        verdict = current_verdict(store, catalogue, now=session.now, on_answer=lambda _probe, _answer: None)
        ask = VerifyOptions(trusted=verdict.trusted, read=wanted.share, quick=wanted.quick)
        _say_how(ask, console)
        verified = _look(session, store, catalogue, ask, wanted, console)
        repaired = Repaired()
        if wanted.repair and (verified.missing or verified.uncommitted or verified.copies):
            repaired = repair_manifests(session, store, catalogue, verified, console, trusted=verdict.trusted)
            verified = _look(session, store, catalogue, ask, wanted, console)
        note_damage(catalogue, verified.harmed, now=session.now)
        was_read = wanted.share >= 1 and not verified.frozen
        note_mended(catalogue, (key for key in verified.whole if was_read or key in repaired.manifests))
    for path, problem in verified.damaged[:MOST_SHOWN]:
        console.say(f"DAMAGED  {display(path)}: {problem}", style="bold red")
    for line in verify_lines(verified):
        console.say(line, style="bold")
    if verified.harmed:
        console.say(
            "what of this is at home is sent again by the next archive, once it is stale (archive --days 0: now); "
            "restore brings back what is whole"
        )
    return verify_document(store.url, verified) | {
        "repaired": repaired.manifests,
        "not_repaired": [{"what": what, "reason": reason} for what, reason in repaired.failed],
    }


def _look(
    session: Session,
    store: Store,
    catalogue: Catalogue,
    ask: VerifyOptions,
    wanted: VerifyRequest,
    console: Console,
) -> Verified:
    verified = verify_archives(
        store,
        ask,
        patience=new_patience(session, new_pace(session), console),
        concurrency=session.settings.concurrency,
        wanted=_of_item(wanted.item) if wanted.item else None,
        promised=promises(catalogue),
        on_progress=lambda done, of: _say_progress(done, of, console),
    )
    if wanted.item and not verified.archives:
        raise UsageError(
            f"nothing named {display(wanted.item)} is archived in {display(store.url)}: look for names with find"
        )
    return verified


def _of_item(item: str) -> Callable[[str], bool]:
    segment = key_segment(item)

    def is_of_it(key: str) -> bool:
        name = layout.manifest_name(key)
        return name is not None and name.item == segment

    return is_of_it


def promises(catalogue: Catalogue) -> dict[str, Promise]:
    """What this device has receipts for, by the key of the manifest."""
    return {
        known.archive.manifest: Promise(
            known.archive,
            known.receipt.manifest_sha256,
            functools.partial(kept_records, catalogue, known.archive.manifest),
        )
        for known in catalogue.archives()
        if known.receipt
    }


def _say_how(ask: VerifyOptions, console: Console) -> None:
    if not ask.quick and not ask.trusted and not ask.read:
        console.say(
            "this target's checksums were not seen to be proof, so every object is read "
            "(--sample 5% reads less, --quick nothing)",
            style="dim",
        )


def _say_progress(done: int, of: int, console: Console) -> None:
    if done % 100 == 0:
        console.say(f"verified {done:,} of {of:,} archives", style="dim")
