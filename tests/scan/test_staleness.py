"""The judgement alone: totals of an item in, a decision and its reason out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from archive_tasks.model import Item, Limits, nanoseconds
from archive_tasks.scan.staleness import as_day, decide, keep
from archive_tasks.scan.tally import BEFORE_ALL_TIME, Tally

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86_400 * 10**9
LIMITS = Limits(now_ns=nanoseconds(NOW), days=30)
ITEM = Item(name="thesis", root="/root", kind="folder")


def tally(days_idle: float, **more: int | bool) -> Tally:
    used = LIMITS.now_ns - int(days_idle * DAY)
    return Tally(newest="thesis/a", newest_ns=used, files=4, bytes=40, fresh=used > LIMITS.stale_up_to_ns, **more)


def test_what_was_used_so_many_days_ago_to_the_nanosecond_is_stale() -> None:
    exactly = Tally(newest="a", newest_ns=LIMITS.stale_up_to_ns, files=1)
    assert decide(ITEM, exactly, LIMITS).archive
    assert LIMITS.days_idle(LIMITS.stale_up_to_ns) == 30
    assert LIMITS.days_idle(LIMITS.stale_up_to_ns + 1) == 29


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (30, "not used for 30 days"),
        (400, "not used for 400 days"),
        (0, "thesis/a was used today"),
        (1.5, "thesis/a was used 1 day ago"),
        (29.9, "thesis/a was used 29 days ago"),
        (-1, "thesis/a is dated in the future (2026-06-02)"),
    ],
)
def test_the_reason_says_when_it_was_used(days: float, reason: str) -> None:
    decision = decide(ITEM, tally(days, finished=days >= 30), LIMITS)
    assert (decision.archive, decision.reason) == (days >= 30, reason)


def test_a_walk_to_the_end_says_how_near_it_is() -> None:
    near = tally(2, finished=True)
    near.fresh = 1
    assert decide(ITEM, near, LIMITS).reason == "stale except for 1 of 4 files: thesis/a was used 2 days ago"
    near.fresh = 4
    assert decide(ITEM, near, LIMITS).reason == "thesis/a was used 2 days ago"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (Tally(), "empty: there is nothing to archive"),
        (Tally(folders=3), "empty: there is nothing to archive"),
        (Tally(left_out=2), "everything in it is left out: there is nothing to archive"),
        (Tally(files=2), "holds only noise, nothing that counts as use"),
        (Tally(files=2, left_out=1), "holds only noise, nothing that counts as use"),
    ],
)
def test_an_item_with_nothing_to_judge_stays(seen: Tally, reason: str) -> None:
    decision = decide(ITEM, seen, LIMITS)
    assert (decision.archive, decision.reason, decision.newest_ns) == (False, reason, None)


def test_totals_of_a_walk_that_stopped_early_are_not_shown() -> None:
    stopped = decide(ITEM, tally(2, finished=False), LIMITS)
    assert (stopped.files, stopped.bytes, stopped.fresh) == (None, None, None)
    whole = decide(ITEM, tally(2, finished=True), LIMITS)
    assert (whole.files, whole.bytes, whole.fresh) == (4, 40, 1)
    assert keep(ITEM, "a guard says so").files is None
    assert keep(ITEM, "a guard says so", tally(90)).files == 4


def test_a_name_in_a_reason_is_harmless() -> None:
    hostile = Tally(newest="a\x1b[31m\n", newest_ns=LIMITS.now_ns, files=1, fresh=1)
    reason = decide(ITEM, hostile, LIMITS).reason
    assert "\x1b" not in reason
    assert "\n" not in reason


def test_days_beyond_any_calendar_are_said_as_such() -> None:
    assert as_day(0) == "1970-01-01"
    assert as_day(LIMITS.now_ns) == "2026-06-01"
    assert as_day(-1) == "1969-12-31"
    for impossible in (1 << 80, -(1 << 80)):
        assert not as_day(impossible)[0].isdigit()


def test_no_time_that_a_filesystem_can_give_is_before_all_time() -> None:
    assert BEFORE_ALL_TIME < -(1 << 63) * 10**9
