"""What clean and undo show: rows, sentences and JSON documents. Nothing here prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from archive_tasks.amounts import count_text, size_text
from archive_tasks.clean import undo as undoing
from archive_tasks.clean.plan import Cleaning
from archive_tasks.clean.run import Cleaned
from archive_tasks.clean.slot import Slot, State, state_of
from archive_tasks.clean.undo import Undone
from archive_tasks.model import Failure, Limits, Plan, nanoseconds
from archive_tasks.names import display
from archive_tasks.settings import CleanSettings
from archive_tasks.show.console import MOST_SHOWN, Console
from archive_tasks.show.document import Document

CLEAN_COLUMNS = (
    ("item", "left"),
    ("days idle", "right"),
    ("files", "right"),
    ("size", "right"),
    ("archived", "left"),
)
_DONE = {"quarantine": "set aside", "trash": "in the trash", "move": "moved", "delete": "deleted"}


def clean_rows(cleaning: Cleaning, plan: Plan) -> list[tuple[str, ...]]:
    """A row for each item that would go, for CLEAN_COLUMNS."""
    limits = Limits(now_ns=nanoseconds(plan.now), days=plan.days)
    return [
        (
            display(candidate.decision.item.name) + ("/" if candidate.decision.item.kind == "folder" else ""),
            f"{limits.days_idle(candidate.decision.newest_ns or 0):,}",
            f"{candidate.known.archive.files:,}",
            size_text(candidate.bytes),
            f"{candidate.known.archive.created:%Y-%m-%d}",
        )
        for candidate in cleaning.candidates
    ]


def clean_lines(cleaning: Cleaning, plan: Plan) -> list[str]:
    """The same without a terminal: a sentence for each item."""
    return [
        f"clean  {item} ({files} file{'' if files == '1' else 's'}, {size}): idle for {idle} days, archived {archived}"
        for item, idle, files, size, archived in clean_rows(cleaning, plan)
    ]


def held_up(cleaning: Cleaning, plan: Plan) -> list[Failure]:
    """Stale items that would not go all the same, and why."""
    stale = {decision.item.name for decision in plan.to_archive}
    return [kept for kept in cleaning.kept if kept.item in stale]


def question(cleaning: Cleaning, limits: CleanSettings, *, where: str, undo: str = "invoke undo") -> str:
    """What a person is asked."""
    number, size = count_text(len(cleaning.candidates), "item"), size_text(cleaning.bytes)
    asks = {
        "quarantine": f"Set {number} aside ({size})? They wait in {display(where)} for "
        f"{count_text(limits.grace, 'day')}; `{undo}` puts them back.",
        "trash": f"Move {number} ({size}) to the trash?",
        "move": f"Move {number} ({size}) to {display(limits.to)}?",
        "delete": f"Delete the local copies of {number} ({size}) for good? Only the target has them then.",
    }
    parts = [asks[limits.mode]] if cleaning.candidates else []
    if cleaning.due:
        parts.insert(0, f"Purge {due_text(cleaning.due)}, set aside by earlier runs?")
    return " ".join(parts)


def due_text(slots: Sequence[Slot]) -> str:
    """`2 items (1.2 GB)`."""
    return f"{count_text(len(slots), 'item')} ({size_text(sum(state_of(slot).bytes for slot in slots))})"


def clean_summary(cleaned: Cleaned, limits: CleanSettings) -> str:
    """One sentence about what a run did."""
    parts = []
    if cleaned.purged:
        parts.append(f"{_amount(cleaned.purged)} purged")
    parts.append(f"{_amount(cleaned.freed)} {_DONE[limits.mode]}")
    if cleaned.failed:
        parts.append(f"{len(cleaned.failed):,} FAILED")
    return ", ".join(parts)


def what_next(cleaned: Cleaned, limits: CleanSettings, *, undo: str = "invoke undo") -> str:
    """Where the space is, and the way back (the command `undo`); empty when there is nothing to say."""
    if not cleaned.freed or limits.mode == "delete":
        return ""
    if limits.mode == "trash":
        return "the space is free when the trash is emptied"
    if limits.mode == "move":
        return f"they are in {display(limits.to)}"
    until = max(state.since for state in cleaned.freed) + timedelta(days=limits.grace)
    return f"their space is free when a run of clean after {until:%Y-%m-%d} purges them; until then: {undo}"


def _amount(states: Iterable[State]) -> str:
    listed = list(states)
    return f"{count_text(len(listed), 'item')} ({size_text(sum(state.bytes for state in listed))})"


def clean_document(root: str, target: str, limits: CleanSettings, cleaned: Cleaned) -> Document:
    """The document of `clean`."""
    return {
        "root": root,
        "target": target,
        "mode": limits.mode,
        "freed": [_state_document(state) for state in cleaned.freed],
        "purged": [_state_document(state) for state in cleaned.purged],
        "kept": [{"item": item, "reason": reason} for item, reason in cleaned.kept],
        "failed": [{"item": item, "reason": reason} for item, reason in cleaned.failed],
        "stopped": cleaned.stopped or None,
    }


def dry_clean_document(root: str, target: str, limits: CleanSettings, cleaning: Cleaning) -> Document:
    """The document of `clean --dry-run`: that of a run which did nothing, and what would have been."""
    would = [
        {
            "item": candidate.decision.item.name,
            "files": candidate.known.archive.files,
            "bytes": candidate.bytes,
            "archive": candidate.known.archive.id,
        }
        for candidate in cleaning.candidates
    ]
    return clean_document(root, target, limits, Cleaned(kept=list(cleaning.kept))) | {
        "dry_run": True,
        "would_free": would,
        "would_purge": [_state_document(state_of(slot)) for slot in cleaning.due],
    }


def undo_document(root: str, undone: Undone) -> Document:
    """The document of `undo`."""
    return {
        "root": root,
        "back": [_state_document(state) for state in undone.back],
        "failed": [{"item": item, "reason": reason} for item, reason in undone.failed],
    }


def _state_document(state: State) -> Document:
    return {
        "item": state.item,
        "files": state.files,
        "bytes": state.bytes,
        "archive": state.archive_id,
        "set_aside": state.since.isoformat(),
    }


def show_cleaning(plan: Plan, cleaning: Cleaning, limits: CleanSettings, console: Console) -> None:
    if console.is_terminal:
        console.show_rows(CLEAN_COLUMNS, clean_rows(cleaning, plan))
    else:
        for line in clean_lines(cleaning, plan):
            console.say(line)
    held = held_up(cleaning, plan)
    for item, reason in held[:MOST_SHOWN]:
        console.say(f"stays  {display(item)}: {reason}", style="dim")
    if len(held) > MOST_SHOWN:
        console.say(f"… and {len(held) - MOST_SHOWN:,} more (--json lists them all)", style="dim")
    used = len(cleaning.kept) - len(held)
    if used:
        console.say(
            f"{count_text(used, 'item stays', 'items stay')}: not stale, or kept by a guard (scan says why)",
            style="dim",
        )
    if cleaning.due:
        console.say(f"to be purged: {due_text(cleaning.due)}, set aside by earlier runs")
    if cleaning.waiting:
        console.say(f"set aside, grace {count_text(limits.grace, 'day')}: {due_text(cleaning.waiting)}", style="dim")


def telling(limits: CleanSettings, console: Console) -> Callable[[str, State | Failure], None]:
    done = {"quarantine": "aside", "trash": "trash", "move": "moved", "delete": "deleted"}[limits.mode]

    def tell(what: str, of: State | Failure) -> None:
        if isinstance(of, State):
            console.say(f"{'purged' if what == 'purged' else done:<7}  {display(of.item)}", style="green")
        elif what == "failed":
            console.say(f"FAILED   {display(of.item)}: {of.reason}", style="bold red")
        else:
            console.say(f"stays    {display(of.item)}: {of.reason}", style="yellow")

    return tell


def nothing_text(root: str, item: str | None) -> str:
    what = f"nothing named {display(item)}" if item else "nothing"
    return (
        f"{what} is set aside under {display(root)}; what went to the trash or another folder is there, and restore "
        "brings back everything else"
    )


def say_undone(undone: undoing.Undone, root: str, item: str | None, console: Console) -> None:
    if not undone.back and not undone.failed:
        if not item:
            console.say(nothing_text(root, item))
        return
    one = len(undone.back) == 1
    where = "back where it was; it counts as used today" if one else "back where they were; they count as used today"
    console.say(f"{count_text(len(undone.back), 'item is', 'items are')} {where}", style="bold")
    for name, problem in undone.failed:
        console.say(f"FAILED   {display(name)}: {problem}", style="bold red")
