from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.guards import open_files
from archive_tasks.default_plugins.guards.system_look import Recent
from archive_tasks.items.guards import reasons_to_keep
from archive_tasks.items.rules import make_rules, rules_that_look_now
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW
from tests.support.guards import one_guard, reasons
from tests.support.holding import HOLD, Holding, holding
from tests.support.scanning import scan

OLD = File("x" * 5000, age_days=400)


@pytest.fixture(name="hold")
def _hold() -> Iterator[Holding]:
    with holding() as hold:
        yield hold


def tree(root: Path) -> None:
    make_tree(root, {"item": {"a.txt": OLD, "deep": {"b\nc.txt": OLD}}, "other": {"a.txt": OLD}, "note": OLD}, now=NOW)


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_a_file_that_another_process_has_open_keeps_its_item_and_no_other(root: Path, hold: Holding, mode: str) -> None:
    tree(root)
    hold(f"file = open({str(root / 'item' / 'a.txt')!r}, {mode!r})")
    (reason,) = reasons(root, "item", "open_files")
    assert reason.startswith("item/a.txt is open in python")
    assert reason.endswith("): close it there")
    assert reasons(root, "other", "open_files") == []
    assert reasons(root, "note", "open_files") == []


def test_an_item_that_is_an_open_file_is_kept(root: Path, hold: Holding) -> None:
    tree(root)
    hold(f"file = open({str(root / 'note')!r})")
    (reason,) = reasons(root, "note", "open_files")
    assert reason.startswith("note is open in ")


def test_a_name_with_a_line_break_is_shown_on_one_line(root: Path, hold: Holding) -> None:
    tree(root)
    hold(f"file = open({str(root / 'item' / 'deep') + '/b' + chr(10) + 'c.txt'!r})")
    (reason,) = reasons(root, "item", "open_files")
    assert reason.startswith("item/deep/b\\nc.txt is open in ")


def test_a_file_that_is_only_mapped_keeps_its_item(root: Path, hold: Holding) -> None:
    tree(root)
    path = str(root / "item" / "deep") + "/b\nc.txt"
    hold(f"file = open({path!r}, 'rb'); held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); file.close()")
    found = open_files.look_in_proc(str(root))
    assert list(found.below) == ["item/deep"]
    (reason,) = reasons(root, "item", "open_files")
    assert reason.startswith("item/deep/b\\nc.txt is open in ")


def test_a_file_that_was_opened_by_another_of_its_names_keeps_its_item(
    root: Path, tmp_path: Path, hold: Holding
) -> None:
    tree(root)
    os.link(root / "item" / "a.txt", tmp_path / "elsewhere")
    hold(f"file = open({str(tmp_path / 'elsewhere')!r})")
    (reason,) = reasons(root, "item", "open_files")
    assert reason.startswith("item/a.txt is open in ")
    assert reasons(root, "other", "open_files") == []


def test_a_file_is_seen_to_be_open_at_a_path_longer_than_the_system_tells(root: Path, hold: Holding) -> None:
    steps = "os.chdir({!r})\nfor _ in range(25):\n    os.mkdir('d' * 200); os.chdir('d' * 200)\n"
    (root / "item").mkdir()
    hold(steps.format(str(root / "item")) + "file = open('deep.txt', 'w')")
    (reason,) = reasons(root, "item", "open_files")
    assert "/deep.txt is open in " in reason


def test_a_file_of_the_same_inode_number_on_another_filesystem_is_another(
    root: Path, hold: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == root.stat().st_dev:
        pytest.skip("there is no second filesystem to write to")
    tree(root)
    strange = shared / f"archive-tasks-{os.getpid()}"
    strange.touch()
    try:
        hold(f"file = open({str(strange)!r})")
        found = open_files.look_in_proc(str(root))
        handles = found.elsewhere[strange.stat().st_ino]
    finally:
        strange.unlink()
    found.elsewhere[(root / "item" / "a.txt").stat().st_ino] = handles
    monkeypatch.setattr(open_files, "look", lambda root: found)
    assert reasons(root, "item", "open_files") == []


def test_what_this_process_and_those_that_it_started_have_open_does_not_count(root: Path) -> None:
    tree(root)
    child = [sys.executable, "-c", HOLD.format(statement="file = open(sys.argv[1])"), str(root / "item" / "a.txt")]
    with (
        (root / "item" / "a.txt").open(),
        subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        assert reasons(root, "item", "open_files") == []
        process.communicate()


def test_an_open_folder_and_a_file_that_was_removed_do_not_count(root: Path, hold: Holding) -> None:
    tree(root)
    hold(f"folder = os.open({str(root / 'item' / 'deep')!r}, os.O_RDONLY)")
    hold(f"file = open({str(root / 'item' / 'a.txt')!r}); os.unlink({str(root / 'item' / 'a.txt')!r})")
    assert reasons(root, "item", "open_files") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_what_another_users_processes_have_open_is_not_claimed(root: Path, hold: Holding) -> None:
    tree(root)
    hold(f"file = open({str(root / 'item' / 'a.txt')!r})")
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(65534)
        os.write(writer, repr(open_files.look_in_proc(str(root))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        assert answer.read().startswith("Opened(below={}")
    os.waitpid(child, 0)


def test_a_folder_whose_name_begins_like_the_root_is_another(root: Path, hold: Holding) -> None:
    tree(root)
    beside = root.parent / "root2"
    shutil.copytree(root, beside)
    hold(f"file = open({str(beside / 'item' / 'a.txt')!r})")
    assert reasons(root, "item", "open_files") == []


def test_a_scan_looks_once_and_a_question_before_removing_looks_again(
    root: Path, hold: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(root)
    monkeypatch.setattr(open_files, "Recent", functools.partial(Recent, seconds=600))
    session = one_guard(root, "open_files")
    rules = make_rules(session, str(root))
    plan = scan(session)
    item = next(one.item for one in plan.to_archive if one.item.name == "item")
    assert reasons_to_keep(session, item, rules) == []
    hold(f"file = open({str(root / 'item' / 'a.txt')!r})")
    assert reasons_to_keep(session, item, rules) == []
    assert len(reasons_to_keep(session, item, rules_that_look_now(session, rules))) == 1


def test_what_was_seen_is_looked_at_again_when_it_is_old() -> None:
    looks: list[int] = []
    recent = Recent(lambda: looks.append(1), seconds=0.0)
    recent()
    recent()
    assert len(looks) == 2


@pytest.mark.skipif(not shutil.which("lsof"), reason="lsof is not installed")
def test_where_there_is_no_proc_lsof_is_asked(root: Path, hold: Holding) -> None:
    tree(root)
    hold(f"file = open({str(root / 'item' / 'a.txt')!r})")
    lsof = shutil.which("lsof")
    assert lsof
    with (root / "note").open():
        found = open_files.look_with_lsof(str(root), lsof)
    ((name, who),) = found.below["item"].items()
    assert name == "a.txt"
    assert who.startswith("python")
    assert list(found.below) == ["item"]


def test_without_proc_and_lsof_nothing_is_claimed(root: Path, monkeypatch: pytest.MonkeyPatch, hold: Any) -> None:
    tree(root)
    hold(f"file = open({str(root / 'item' / 'a.txt')!r})")
    monkeypatch.setattr(open_files, "PROC", str(root / "no such folder"))
    monkeypatch.setenv("PATH", str(root))
    assert reasons(root, "item", "open_files") == []
