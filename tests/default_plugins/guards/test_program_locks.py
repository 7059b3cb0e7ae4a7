from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from archive_tasks.default_plugins.guards.program_locks import locker, locks_beside, started_ns
from archive_tasks.testing.trees import File, Link, make_tree
from tests.conftest import NOW
from tests.support.guards import reasons as ask_guard

OLD = File("x", age_days=400)

LOCKS = [
    ("~$report.docx", "Microsoft Office"),
    ("~$port 2019.docx", "Microsoft Office"),
    (".~lock.budget.ods#", "LibreOffice"),
    (".~budget.xlsx", "WPS Office"),
    ("plan.dwl", "AutoCAD"),
    ("plan.dwl2", "AutoCAD"),
    (".notes.txt.swp", "Vim"),
    (".notes.txt.swo", "Vim"),
    (".swp", "Vim"),
    ("Library.lrcat.lock", "Lightroom"),
    ("~book~p965so.idlk", "InDesign"),
    ("film.prlock", "Premiere"),
    ("members.laccdb", "Microsoft Access"),
]
NO_LOCKS = [
    "report.docx",
    "~notes",
    "~$",
    ".~budget.txt",
    ".~lock.budget.ods",
    ".hidden",
    "notes.swp",
    ".film.swf",
    "cache.ldb",
    "Library.lrcat",
    "yarn.lock",
    "._report.docx",
    "a.dwl3",
]


def reasons(root: Path, name: str = "item") -> list[str]:
    return ask_guard(root, name, "program_locks")


@pytest.mark.parametrize(("name", "program"), LOCKS)
def test_a_lock_keeps_its_item_and_names_the_program(root: Path, name: str, program: str) -> None:
    make_tree(root, {"item": {"deep": {name: File("x", 0)}}}, now=None)
    os.utime(root / "item" / "deep" / name)
    assert reasons(root) == [f"item/deep/{name} is a lock of {program}: close the document there"]


def test_names_that_are_no_locks_keep_nothing(root: Path) -> None:
    make_tree(root, {"item": {**dict.fromkeys(NO_LOCKS, OLD), "~$folder": {"a": OLD}}}, now=NOW)
    assert reasons(root) == []


def test_a_lock_of_emacs_is_a_link_and_a_backup_of_cvs_is_none(root: Path) -> None:
    make_tree(root, {"item": {".#notes.txt": Link("ann@host.4711:1700000000", 0), ".#old.c.1.2": OLD}}, now=None)
    os.utime(root / "item" / ".#notes.txt", follow_symlinks=False)
    assert reasons(root) == ["item/.#notes.txt is a lock of Emacs: close the document there"]


def test_a_lock_older_than_the_last_start_is_told_as_such_and_still_keeps(root: Path) -> None:
    make_tree(root, {"item": {"~$report.docx": OLD}}, now=NOW)
    os.utime(root / "item" / "~$report.docx", ns=(0, started_ns() - 10**10))
    assert reasons(root) == [
        "item/~$report.docx is a lock of Microsoft Office, older than this computer's last start: "
        "if the document is open nowhere, remove the lock"
    ]


def test_this_computer_was_started_before_now_and_not_at_the_epoch() -> None:
    with Path("/proc/stat").open() as lines:
        told = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
    assert abs(started_ns() / 1e9 - told) < 2
    assert started_ns() < time.time_ns()


@pytest.mark.parametrize(
    ("document", "lock"),
    [
        ("report.docx", "~$report.docx"),
        ("a long report.docx", "~$long report.docx"),
        ("reports.docx", "~$eports.docx"),
        ("budget.ods", ".~lock.budget.ods#"),
        ("budget.xlsx", ".~budget.xlsx"),
        ("plan.dwg", "plan.dwl"),
        ("notes.txt", ".notes.txt.swp"),
        ("Library.lrcat", "Library.lrcat.lock"),
        ("film.prproj", "film.prlock"),
        ("members.accdb", "members.laccdb"),
    ],
)
def test_a_document_in_the_root_is_kept_by_the_lock_beside_it_and_its_neighbour_is_not(
    root: Path, document: str, lock: str
) -> None:
    make_tree(root, {document: OLD, "neighbour": OLD, lock: OLD}, now=NOW)
    (reason,) = reasons(root, document)
    assert reason.startswith(f"{lock} is a lock of ")
    assert reasons(root, "neighbour") == []
    assert locker(lock)


def test_a_name_too_long_to_have_a_lock_beside_it_is_no_reason(root: Path) -> None:
    make_tree(root, {"x" * 255: OLD}, now=NOW)
    assert reasons(root, "x" * 255) == []


def test_what_is_looked_for_beside_a_document_is_known_as_a_lock() -> None:
    assert [name for name in locks_beside("Library.lrcat") if not locker(name)] == [".~Library.lrcat"]
