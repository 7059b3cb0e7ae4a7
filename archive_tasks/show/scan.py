"""The plan of a root, for people and for scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from archive_tasks.amounts import amount_text, count_text, size_text
from archive_tasks.model import Decision, Limits, Plan, nanoseconds
from archive_tasks.names import display
from archive_tasks.show.console import MOST_ROWS, Console, escaped, make_table
from archive_tasks.show.document import Document


class PlanRow(NamedTuple):
    """An item as a person reads it; all harmless on a terminal."""

    item: str
    idle: str
    files: str
    size: str
    decision: str
    reason: str
    amount: str


def plan_document(plan: Plan) -> Document:
    """The document of `scan`. `days_idle` and `newest` are of the entry that settled the item; what a scan
    did not need to know is null.
    """
    return {
        "root": plan.root,
        "days": plan.days,
        "clock": plan.clock,
        "now": plan.now.isoformat(),
        "items": [_decision_document(decision, _limits(plan)) for decision in plan.decisions],
        "warnings": list(plan.warnings),
    }


def _decision_document(decision: Decision, limits: Limits) -> Document:
    used = decision.newest_ns
    return {
        "name": decision.item.name,
        "path": decision.item.path,
        "kind": decision.item.kind,
        "decision": "archive" if decision.archive else "keep",
        "reason": decision.reason,
        "days_idle": None if used is None else limits.days_idle(used),
        "newest": decision.newest,
        "files": decision.files,
        "bytes": decision.bytes,
        "fresh": decision.fresh,
        "left_out": decision.left_out,
    }


def plan_rows(plan: Plan) -> list[PlanRow]:
    """What goes first, the longest idle on top; then what stays, the nearest to stale on top."""
    limits = _limits(plan)

    def by_age(decision: Decision) -> tuple[bool, float]:
        return (not decision.archive, decision.newest_ns if decision.newest_ns is not None else float("inf"))

    return [_plan_row(decision, limits) for decision in sorted(plan.decisions, key=by_age)]


def _plan_row(decision: Decision, limits: Limits) -> PlanRow:
    return PlanRow(
        item=display(decision.item.name) + ("/" if decision.item.kind == "folder" else ""),
        idle="" if decision.newest_ns is None else f"{limits.days_idle(decision.newest_ns):,}",
        files="" if decision.files is None else f"{decision.files:,}",
        size=size_text(decision.bytes),
        decision="archive" if decision.archive else "keep",
        reason=decision.reason + (f" ({decision.left_out:,} left out)" if decision.left_out else ""),
        amount=amount_text(decision.files, decision.bytes) if decision.files else "",
    )


def plan_summary(plan: Plan) -> str:
    """`3 items are stale (412 files, 1.2 GB); 7 stay`."""
    stale = plan.to_archive
    files = sum(decision.files or 0 for decision in stale)
    size = sum(decision.bytes or 0 for decision in stale)
    amount = f" ({count_text(files, 'file')}, {size_text(size)})" if stale else ""
    verb = "is" if len(stale) == 1 else "are"
    return f"{count_text(len(stale), 'item')} {verb} stale{amount}; {count_text(len(plan.to_keep), 'stays', 'stay')}"


def _limits(plan: Plan) -> Limits:
    return Limits(now_ns=nanoseconds(plan.now), days=plan.days)


def show_plan(plan: Plan, console: Console) -> None:
    """The table of a scan, its warnings, and its sum."""
    rows = plan_rows(plan)
    console.say(
        f"{display(_from_home(plan.root))}: stale after {count_text(plan.days, 'day')} without use, by {plan.clock}"
    )
    if console.is_terminal and rows:
        _show_table(rows, console)
    for row in [] if console.is_terminal else rows:
        console.say(f"{row.decision:<7}  {row.item}: {row.reason}{f' ({row.amount})' if row.amount else ''}")
    for warning in plan.warnings:
        console.warn(warning)
    console.say(plan_summary(plan), style="bold")


def _show_table(rows: Sequence[PlanRow], console: Console) -> None:
    table = make_table(
        ("item", "left"),
        ("days idle", "right"),
        ("files", "right"),
        ("size", "right"),
        ("decision", "left"),
        ("why", "left"),
    )
    for row in rows[:MOST_ROWS]:
        colour = "green" if row.decision == "archive" else "dim"
        why = "" if row.reason.startswith("not used for ") else row.reason  # the column `days idle` says it
        decision = f"[bold {colour}]{row.decision}[/]"
        table.add_row(escaped(row.item), row.idle, row.files, row.size, decision, f"[dim]{escaped(why)}[/]")
    console.rich.print(table)
    console.say_rest(len(rows))


def _from_home(path: str) -> str:
    """`~/Documents`, as people say it."""
    home = os.path.expanduser("~")
    return "~" + path.removeprefix(home) if path == home or path.startswith(home + "/") else path
