"""Numbers and dates that nothing can hold are refused in one line, whichever flag or variable they come by."""

from __future__ import annotations

from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine

HUGE = "1" + "0" * 400
LARGE = "1000000000"
REFUSED = [
    ("prune", "--orphans", "--grace", LARGE),
    ("prune", "--orphans", "--grace", HUGE),
    ("prune", "--orphans", "--grace", f"-{HUGE}"),
    ("prune", "--orphans", "--max-share", HUGE),
    ("restore", "q", "--at", "0001-01-01T00:00:00+23:00", "--to", "o"),
    ("restore", "q", "--at", "9999-12-31T23:59:59-23:00", "--to", "o"),
    ("verify", "--sample", "1e400%"),
    ("verify", "--sample", "nan%"),
    *((task, "--days", number) for task in ("scan", "archive", "clean") for number in (LARGE, HUGE, f"-{HUGE}")),
    ("clean", "--grace", LARGE),
    ("clean", "--grace", HUGE),
    ("clean", "--free", HUGE),
    ("clean", "--free", "1e300T"),
    ("clean", "--free", "-1G"),
    ("clean", "--free", "nan"),
    ("clean", "--max-bytes", HUGE),
    ("clean", "--max-bytes", "9999999999T"),
    ("clean", "--max-items", HUGE),
    ("clean", "--max-share", HUGE),
]
SETTINGS = (
    "DAYS",
    "RETRY_MINUTES",
    "MEMORY",
    "PACK_BELOW",
    "BANDWIDTH",
    "CONCURRENCY",
    "CLEAN_GRACE",
    "CLEAN_MAX_BYTES",
)


@pytest.fixture
def archived(cli: CommandLine, root: Path) -> CommandLine:
    make_tree(root, {"q": {"x": File("x", age_days=400)}})
    cli.environment["ARCHIVE_TASKS_TARGET"] = (cli.project / "target").as_uri()
    cli.environment["ARCHIVE_TASKS_ROOT"] = str(root)
    assert cli.run("archive", "--yes").code == 0
    return cli


def test_a_flag_that_nothing_can_hold_is_refused_in_one_line(archived: CommandLine) -> None:
    for arguments in REFUSED:
        ran = archived.run(*arguments)
        assert (ran.code, "Traceback" in ran.err) == (2, False), (arguments, ran.code, ran.err)
        assert "--" in ran.err or "archive." in ran.err, (arguments, ran.err)


def test_a_setting_that_nothing_can_hold_is_refused_in_one_line(archived: CommandLine) -> None:
    for name in SETTINGS:
        for number in (HUGE, f"-{HUGE}", "9" * 5000):
            archived.environment[f"ARCHIVE_TASKS_{name}"] = number
            ran = archived.run("scan")
            assert (ran.code, "Traceback" in ran.err) == (2, False), (name, ran.code, ran.err)
            assert "archive." in ran.err
        del archived.environment[f"ARCHIVE_TASKS_{name}"]


def test_the_largest_numbers_that_are_permitted_are_no_trouble(archived: CommandLine) -> None:
    for arguments in (
        ("scan", "--days", "100000"),
        ("clean", "--dry-run", "--grace", "100000", "--days", "0"),
        ("clean", "--yes", "--grace", "100000", "--free", "4000000T", "--max-share", "100"),
        ("clean", "--yes", "--grace", "100000"),
        ("undo",),
        ("prune", "--orphans", "--grace", "100000", "--dry-run"),
        ("restore", "q", "--at", "9999-12-31", "--to", "o"),
        ("restore", "q", "--at", "9999-12-31T23:59:59", "--to", "o"),
    ):
        ran = archived.run(*arguments)
        assert "Traceback" not in ran.err, (arguments, ran.err)
        assert ran.code == 0 or "last used" in ran.err, (arguments, ran.code, ran.err, ran.out)
