"""The judgement: what was seen of an item -> a decision with its reason. Pure; knows no disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from archive_tasks.model import NANOSECONDS_PER_DAY, Decision, Item
from archive_tasks.names import display

SAME_TIME_IS_ODD_FROM = 10
BEFORE_ALL_TIME = -(1 << 80)


@dataclass(slots=True)
class Tally:
    """What a walk saw of one item, in totals; it is added to while the walk goes on.

    Attributes:
        newest: path of the entry used last among those that count as use, and when (nanoseconds). After a
            walk that stopped at the first fresh entry it is that entry.
        fresh: how many entries were fresh; a walk that stops at the first leaves 1.
        one_time: True while every file and symlink bears one and the same time.
    """

    newest: str | None = None
    newest_ns: int = BEFORE_ALL_TIME
    fresh: int = 0
    files: int = 0
    bytes: int = 0
    folders: int = 0
    left_out: int = 0
    one_time: bool = True
    finished: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`days` before `now`, an instant in nanoseconds since the epoch: what was last used then, or before, is stale."""

    now_ns: int
    days: int

    @property
    def stale_up_to_ns(self) -> int:
        return self.now_ns - self.days * NANOSECONDS_PER_DAY

    def days_idle(self, used_ns: int) -> int:
        """Whole days since then; negative for a time to come."""
        return (self.now_ns - used_ns) // NANOSECONDS_PER_DAY


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
        return f"stale but for {tally.fresh} of {tally.files} files: {name} was used {used}"
    return f"{name} was used {used}"


def _why_nothing_to_judge(tally: Tally) -> str:
    if tally.left_out and not tally.files:
        return "everything in it is left out: there is nothing to archive"
    if tally.files:
        return "holds only noise, nothing that counts as use"
    return "empty: there is nothing to archive"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def nanoseconds(moment: datetime) -> int:
    """A moment as nanoseconds since the epoch, without a float in between."""
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def as_day(nanoseconds: int) -> str:
    """The UTC day of an instant, for messages; far-off years are said as such."""
    try:
        return f"{datetime.fromtimestamp(nanoseconds / 10**9, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "a year that no calendar knows"
