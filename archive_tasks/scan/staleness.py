"""The judgement: what was seen of an item -> a decision with its reason. Pure; knows no disk."""

from __future__ import annotations

from datetime import UTC, datetime

from archive_tasks.model import Decision, Item, Limits
from archive_tasks.names import display
from archive_tasks.scan.tally import Tally

SAME_TIME_IS_ODD_FROM = 10


def decide(item: Item, tally: Tally, limits: Limits) -> Decision:
    """Keep an item that has a fresh entry or nothing that can be judged; archive it otherwise."""
    if tally.fresh:
        return _decision(item, tally, archive=False, reason=_why_fresh(tally, limits))
    if tally.newest is None:
        return _decision(item, tally, archive=False, reason=_why_nothing_to_judge(tally))
    return _decision(item, tally, archive=True, reason=f"not used for {_days(limits.days_idle(tally.newest_ns))}")


def keep(item: Item, reason: str, tally: Tally | None = None) -> Decision:
    """Keep the item for a reason other than its age; what the walk saw of it stays in the decision."""
    return _decision(item, tally or Tally(finished=False), archive=False, reason=reason)


def _decision(item: Item, tally: Tally, *, archive: bool, reason: str) -> Decision:
    return Decision(
        item=item,
        archive=archive,
        reason=reason,
        newest=tally.newest,
        newest_ns=None if tally.newest is None else tally.newest_ns,
        files=tally.files if tally.finished else None,
        bytes=tally.bytes if tally.finished else None,
        fresh=tally.fresh if tally.finished else None,
        left_out=tally.left_out,
    )


def _why_fresh(tally: Tally, limits: Limits) -> str:
    name = display(tally.newest or "")
    idle = limits.days_idle(tally.newest_ns)
    if tally.newest_ns > limits.now_ns:
        return f"{name} is dated in the future ({as_day(tally.newest_ns)})"
    used = "today" if idle == 0 else f"{_days(idle)} ago"
    if tally.finished and tally.fresh < tally.files:
        return f"stale except for {tally.fresh} of {tally.files} files: {name} was used {used}"
    return f"{name} was used {used}"


def _why_nothing_to_judge(tally: Tally) -> str:
    if tally.left_out and not tally.files:
        return "everything in it is left out: there is nothing to archive"
    if tally.files:
        return "holds only noise, nothing that counts as use"
    return "empty: there is nothing to archive"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def as_day(nanoseconds: int) -> str:
    """The UTC day of an instant, for messages; far-off years are said as such."""
    try:
        return f"{datetime.fromtimestamp(nanoseconds // 10**9, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "an impossible date"
