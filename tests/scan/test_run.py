"""What is stale, what is not, and why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError, UsageError
from archive_tasks.model import Decision, Plan
from archive_tasks.scan.tally import tally_item
from archive_tasks.session import Session
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW
from tests.support.scanning import scan

OLD = File("old", age_days=400)
NEW = File("new", age_days=1)


@pytest.fixture
def judge(root: Path, make_session: Any) -> Any:
    def judge(spec: dict[str, Any], **settings: Any) -> dict[str, Decision]:
        make_tree(root, spec, now=NOW)
        return decisions(scan(make_session(root, **settings)))

    return judge


def decisions(plan: Plan) -> dict[str, Decision]:
    return {decision.item.name: decision for decision in plan.decisions}


def test_a_folder_is_as_stale_as_its_least_stale_file(judge: Any) -> None:
    found = judge({"thesis": {"deep": {"deeper": {"new": NEW}}, "old": OLD}, "trip": {"deep": {"old": OLD}}})
    assert not found["thesis"].archive
    assert found["thesis"].reason == "thesis/deep/deeper/new was used 1 day ago"
    assert found["trip"].archive
    assert found["trip"].reason == "not used for 400 days"
    assert (found["trip"].files, found["trip"].bytes) == (1, 3)


def test_the_tutorials_tree_archives_exactly_seven_files(judge: Any) -> None:
    spec: dict[str, Any] = {f"new{number}": NEW for number in range(5)} | {f"old{number}": OLD for number in range(5)}
    spec["mixed"] = {f"new{number}": NEW for number in range(4)} | {"old": OLD}
    spec["nested"] = {"inner": {"one": OLD, "two": OLD}}
    found = judge(spec)
    going = [decision for decision in found.values() if decision.archive]
    assert sum(decision.files or 0 for decision in going) == 7
    assert {decision.item.name for decision in going} == {*(f"old{number}" for number in range(5)), "nested"}


@pytest.mark.parametrize(("age", "archive"), [(30.0, True), (29.999, False), (30.001, True)])
def test_stale_begins_exactly_at_the_given_days(judge: Any, age: float, archive: bool) -> None:
    assert judge({"file": File("x", age_days=age)}, days=30)["file"].archive is archive


def test_zero_days_make_everything_stale_but_the_future(judge: Any) -> None:
    found = judge({"now": File("x", age_days=0), "later": File("x", age_days=-400)}, days=0)
    assert found["now"].archive
    assert not found["later"].archive
    assert "dated in the future" in found["later"].reason


def test_the_walk_stops_at_the_first_fresh_entry_of_an_item(judge: Any, root: Path, make_session: Any) -> None:
    class Counting:
        seen: list[str] = []  # noqa: RUF012 - one test's own

        @hookimpl
        def register_clocks(self, settings: Any) -> Any:
            return {"counting": lambda path, stat: self.seen.append(path) or stat.st_mtime_ns}

    make_tree(root, {"fresh": {f"file{number}": NEW for number in range(50)}}, now=NOW)
    plan = scan(make_session(root, plugins=[Counting()], clock="counting"))
    assert len(Counting.seen) == 1
    assert plan.decisions[0].files is None
    assert plan.decisions[0].newest == str(Path(Counting.seen[0]).relative_to(root))


def test_a_full_scan_says_how_near_an_item_is_to_stale(judge: Any) -> None:
    spec = {f"old{number}": OLD for number in range(3)} | {"a": NEW, "b": File("new", age_days=2)}
    found = judge({"item": spec}, full=True)["item"]
    assert (found.fresh, found.files, found.bytes) == (2, 5, 15)
    assert found.reason == "stale except for 2 of 5 files: item/a was used 1 day ago"


@pytest.mark.parametrize(("clock", "archive"), [("mtime", True), ("atime", False), ("ctime", False), ("newest", False)])
def test_each_clock_reads_its_own_time(root: Path, make_session: Any, clock: str, archive: bool) -> None:
    make_tree(root, {"file": OLD}, now=NOW)
    recent = int(NOW.timestamp() - 86_400) * 10**9
    os.utime(root / "file", ns=(recent, (root / "file").stat().st_mtime_ns))  # ctime is the present, after NOW
    assert scan(make_session(root, clock=clock)).decisions[0].archive is archive


def test_an_unknown_clock_names_the_known_ones(root: Path, make_session: Any) -> None:
    with pytest.raises(SettingsError, match="no clock 'mtme'; known: atime, ctime, mtime, newest"):
        scan(make_session(root, clock="mtme"))


def test_noise_does_not_count_as_use_but_travels(judge: Any) -> None:
    found = judge(
        {"item": {".DS_Store": NEW, "Thumbs.db": NEW, "._old": NEW, "old": OLD}, "bak": {"a.bak": NEW, "b": OLD}}
    )
    assert found["item"].archive
    assert found["item"].files == 4
    assert not found["bak"].archive


def test_noise_patterns_of_the_settings_add_to_the_built_in_ones(judge: Any) -> None:
    found = judge({"item": {".DS_Store": NEW, "a.bak": NEW, "old": OLD}}, noise=["*.bak"])
    assert found["item"].archive


def test_folders_with_nothing_to_judge_are_kept_and_say_why(judge: Any) -> None:
    found = judge({"empty": {}, "hollow": {"inner": {}}, "noise": {".DS_Store": OLD}})
    assert {name: one.reason for name, one in found.items()} == {
        "empty": "empty: there is nothing to archive",
        "hollow": "empty: there is nothing to archive",
        "noise": "holds only noise, nothing that counts as use",
    }
    assert not any(one.archive for one in found.values())


def test_hidden_items_are_kept_unless_asked_for(judge: Any, root: Path, make_session: Any) -> None:
    assert not judge({".config": {"old": OLD}})[".config"].archive
    assert decisions(scan(make_session(root, hidden=True)))[".config"].archive


def test_hidden_entries_inside_an_item_are_judged(judge: Any) -> None:
    assert judge({"item": {".new": NEW, "old": OLD}})["item"].reason == "item/.new was used 1 day ago"


def test_symlinks_are_never_followed_and_count_as_entries(judge: Any, tmp_path: Path) -> None:
    make_tree(tmp_path / "outside", {"new": NEW}, now=NOW)
    outside = str(tmp_path / "outside")
    found = judge(
        {
            "cycle": {"old": OLD, "loop": Link(".", age_days=400), "up": Link("..", age_days=400)},
            "out": {"old": OLD, "link": Link(outside, age_days=400)},
            "young link": {"old": OLD, "link": Link("nowhere", age_days=2)},
            "link": Link(outside, age_days=400),
        }
    )
    assert found["cycle"].archive
    assert found["cycle"].files == 3
    assert found["out"].archive
    assert found["young link"].reason == "young link/link was used 2 days ago"
    assert found["link"].reason == "a symlink: it holds no data of its own and is not followed"


def test_special_files_keep_the_item(judge: Any, root: Path, make_session: Any) -> None:
    make_tree(root, {"pipe": {"old": OLD}, "talk": {"old": OLD}}, now=NOW)
    os.mkfifo(root / "pipe" / "fifo")
    os.mkfifo(root / "top")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(root / "talk", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    found = decisions(scan(make_session(root)))
    assert found["pipe"].reason == "pipe/fifo is a fifo, which cannot be archived"
    assert found["talk"].reason == "talk/socket is a socket, which cannot be archived"
    assert found["top"].reason == "it is a fifo, which cannot be archived"


def test_an_unreadable_folder_keeps_its_item_with_the_reason(root: Path, make_session: Any) -> None:
    closed = File("x", age_days=400, mode=0)
    make_tree(
        root, {"item": {"closed": {"old": OLD}}, "other": {"old": OLD}, "file": closed, "in": {"a": closed}}, now=NOW
    )
    found = _scan_as_nobody(root, make_session)
    assert found["file"] == (False, "file cannot be read: permission denied")
    assert found["in"] == (False, "in/a cannot be read: permission denied")
    assert found["item"] == (False, "item/closed cannot be read: permission denied")
    assert found["other"] == (True, "not used for 400 days")


def _scan_as_nobody(root: Path, make_session: Any) -> dict[str, tuple[bool, str]]:
    """Scan in a child that is not root: root reads everything."""
    (root / "item" / "closed").chmod(0)
    for folder in [root, *root.parents]:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        found = decisions(scan(make_session(root)))
        os.write(writer, repr({name: (one.archive, one.reason) for name, one in found.items()}).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        result: dict[str, tuple[bool, str]] = eval(answer.read())
    (root / "item" / "closed").chmod(0o700)
    return result


def test_a_file_that_vanishes_during_the_scan_keeps_its_item(root: Path, make_session: Any) -> None:
    make_tree(root, {"item": {"a": OLD, "b": OLD}}, now=NOW)

    class Removing:
        @hookimpl
        def register_clocks(self, settings: Any) -> Any:
            def clock(path: str, stat: os.stat_result) -> int:
                for name in ("a", "b"):
                    (root / "item" / name).unlink(missing_ok=True)
                return stat.st_mtime_ns

            return {"removing": clock}

    decision = scan(make_session(root, plugins=[Removing()], clock="removing")).decisions[0]
    assert not decision.archive
    assert decision.reason.endswith("vanished while it was looked at")


def test_patterns_leave_entries_out_of_the_judgement(judge: Any, root: Path, make_session: Any) -> None:
    spec = {"item": {"cache": {"new": NEW}, "new.log": NEW, "old": OLD}, "skipped": OLD, ".archiveignore": "cache/\n"}
    found = judge(spec, exclude=["*.log", "/skipped"])
    assert found["item"].archive
    assert (found["item"].files, found["item"].left_out) == (1, 2)
    assert found["skipped"].reason == "left out by the pattern /skipped"


def test_an_item_with_everything_left_out_is_kept(judge: Any) -> None:
    assert "everything in it is left out" in judge({"item": {"a.log": OLD}}, exclude=["*.log"])["item"].reason


def test_a_cache_is_left_out_and_the_rest_of_its_item_goes(judge: Any) -> None:
    tag = File("Signature: 8a477f597d28d172789f06886806bc55\n", age_days=1)
    found = judge(
        {
            "item": {"cache": {"CACHEDIR.TAG": tag, "new": NEW}, "old": OLD},
            "cache": {"CACHEDIR.TAG": tag},
            "false": {"CACHEDIR.TAG": NEW},
        }
    )
    assert (found["item"].archive, found["item"].left_out) == (True, 1)
    assert found["cache"].reason == "a cache (CACHEDIR.TAG)"
    assert found["false"].reason == "false/CACHEDIR.TAG was used 1 day ago"


def test_a_noarchive_marker_keeps_its_item_and_in_the_root_everything(
    judge: Any, root: Path, make_session: Any
) -> None:
    found = judge({"item": {"deep": {".noarchive": OLD}, "old": OLD}, "other": OLD})
    assert found["item"].reason == "item/deep/.noarchive asks to keep it"
    assert found["other"].archive
    (root / ".noarchive").touch()
    assert not scan(make_session(root)).to_archive


def test_guards_keep_stale_items_and_are_asked_of_no_other(root: Path, make_session: Any) -> None:
    class Guard:
        asked: list[str] = []  # noqa: RUF012 - one test's own

        @hookimpl
        def reasons_to_keep(self, item: Any) -> Any:
            self.asked.append(item.name)
            return "it is dear to me" if item.name == "dear" else None

    make_tree(root, {"dear": OLD, "stale": OLD, "fresh": NEW}, now=NOW)
    found = decisions(scan(make_session(root, plugins=[Guard()])))
    assert sorted(Guard.asked) == ["dear", "stale"]
    assert found["dear"].reason == "it is dear to me"
    assert found["stale"].archive


def test_a_guard_that_fails_keeps_the_item(root: Path, make_session: Any) -> None:
    class Broken:
        @hookimpl
        def reasons_to_keep(self, item: Any) -> Any:
            raise ValueError("no idea")

    make_tree(root, {"stale": OLD}, now=NOW)
    decision = scan(make_session(root, plugins=[Broken()])).decisions[0]
    assert decision.reason == "the plugin Broken could not judge it: ValueError: no idea"


def test_functions_of_plugins_that_fail_keep_the_item(root: Path, make_session: Any) -> None:
    class Broken:
        @hookimpl
        def make_excluder(self) -> Any:
            return lambda path, is_folder: 1 / 0 if path.endswith("bad") else None

        @hookimpl
        def register_clocks(self) -> Any:
            return {"broken": lambda path, stat: 1 / 0}

    make_tree(root, {"item": {"bad": OLD}, "good": OLD}, now=NOW)
    found = decisions(scan(make_session(root, plugins=[Broken()])))
    assert "an excluder failed at item/bad: ZeroDivisionError" in found["item"].reason
    assert found["good"].archive
    found = decisions(scan(make_session(root, plugins=[Broken()], clock="broken")))
    assert "the clock broken failed at good: ZeroDivisionError" in found["good"].reason


def test_a_mounted_filesystem_inside_an_item_keeps_it(root: Path, make_session: Any, monkeypatch: Any) -> None:
    make_tree(root, {"item": {"mnt": {"old": OLD}}, "plain": OLD}, now=NOW)
    monkeypatch.setattr("archive_tasks.items.rules.mounts_below", lambda _root: frozenset({"item/mnt"}))
    found = decisions(scan(make_session(root)))
    assert found["item"].reason == "another filesystem is mounted at item/mnt"
    assert found["plain"].archive


def test_a_deep_tree_is_walked_to_its_end(root: Path, make_session: Any) -> None:
    here = os.open(root, os.O_RDONLY)
    for number in range(1200):
        name = "item" if number == 0 else "d" * 60
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    old = int(NOW.timestamp() - 400 * 86_400) * 10**9
    os.utime("file", ns=(old, old), dir_fd=here)
    os.close(here)
    try:
        decision = scan(make_session(root)).decisions[0]
    finally:
        subprocess.run(["rm", "-rf", str(root / "item")], check=True)  # too deep for pytest's own cleaning up
    assert (decision.archive, decision.files) == (True, 1)


def test_a_tree_of_one_single_time_draws_a_warning(judge: Any, root: Path, make_session: Any) -> None:
    make_tree(root, {"copied": {str(number): OLD for number in range(12)}}, now=NOW)
    make_tree(root, {"grown": {str(number): File("x", age_days=100 + number) for number in range(12)}}, now=NOW)
    plan = scan(make_session(root))
    assert len(plan.warnings) == 1
    assert plan.warnings[0].startswith("all 12 files of copied have the same time")


def test_the_clock_atime_warns_on_a_mount_without_access_times(root: Path, make_session: Any, monkeypatch: Any) -> None:
    class Facts:
        f_flag = os.ST_NOATIME

    monkeypatch.setattr("archive_tasks.scan.run.os.statvfs", lambda _path: Facts)
    assert "noatime" in scan(make_session(root, clock="atime")).warnings[0]
    assert scan(make_session(root, clock="mtime")).warnings == ()


def test_a_scan_changes_nothing_not_even_access_times(judge: Any, root: Path) -> None:
    make_tree(root, {"item": {"old": OLD, "link": Link("old", age_days=400)}}, now=NOW)
    before = read_tree(root)
    judge({})
    assert read_tree(root) == before


def test_what_holds_the_target_is_kept(root: Path, make_session: Any) -> None:
    make_tree(root, {"backup": {"vault": {"old": OLD}}, "plain": OLD}, now=NOW)
    found = decisions(scan(make_session(root), private=[str(root / "backup" / "vault")]))
    assert found["backup"].reason == "it holds the target or the catalogue of archive_tasks"
    assert found["plain"].archive


def test_a_root_that_is_no_folder_is_refused_by_name(tmp_path: Path, make_session: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="does not exist; give another --root"):
        scan(make_session(tmp_path / "missing"))
    with pytest.raises(UsageError, match="is a file, not a folder"):
        scan(make_session(tmp_path / "file"))
    with pytest.raises(UsageError, match="which folder"):
        scan(make_session(""))


def test_a_root_that_is_a_link_is_its_folder(root: Path, tmp_path: Path, make_session: Any) -> None:
    make_tree(root, {"old": OLD}, now=NOW)
    (tmp_path / "link").symlink_to(root)
    plan = scan(make_session(tmp_path / "link"))
    assert plan.root == str(root)
    assert len(plan.to_archive) == 1


def test_choose_clock_measures_a_root_unless_a_flag_says_otherwise(root: Path, make_session: Any) -> None:
    class Choosing:
        @hookimpl
        def choose_clock(self, root: str) -> Any:
            return "newest"

    make_tree(root, {"old": OLD}, now=NOW)
    session: Session = make_session(root, plugins=[Choosing()])
    assert scan(session).clock == "newest"


def test_many_items_are_judged_alike_in_one_process_and_in_several(
    root: Path, make_session: Any, monkeypatch: Any
) -> None:
    spec: dict[str, Any] = {
        f"item{number:03}": {"new": NEW} if number % 3 else {"deep": {"old": OLD, "b": OLD}} for number in range(60)
    }
    make_tree(root, spec | {"closed": {".noarchive": ""}}, now=NOW)
    several = scan(make_session(root))
    monkeypatch.setattr("archive_tasks.scan.run.may_fork", lambda _functions: False)
    assert several == scan(make_session(root))
    assert len(several.to_archive) == 20


def test_a_process_that_dies_while_it_looks_loses_no_item(root: Path, make_session: Any, monkeypatch: Any) -> None:
    make_tree(root, {f"item{number:03}": {"old": OLD} for number in range(60)}, now=NOW)
    parent = os.getpid()
    original = tally_item

    def dying(item: Any, *rest: Any, **named: Any) -> Any:
        if os.getpid() != parent and item.name > "item010":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)  # so that the other process gets a turn, whatever the machine
        return original(item, *rest, **named)

    monkeypatch.setattr("archive_tasks.scan.tally.tally_item", dying)
    monkeypatch.setattr("archive_tasks.workers.forks.os.sched_getaffinity", lambda _pid: {0, 1, 2})
    assert len(scan(make_session(root)).to_archive) == 60


def test_functions_of_plugins_run_in_one_process_only(root: Path, make_session: Any) -> None:
    class Counting:
        @hookimpl
        def make_noise_filter(self) -> Any:
            return lambda name: seen.append(os.getpid()) or False

    seen: list[int] = []
    make_tree(root, {f"item{number:03}": {"old": OLD} for number in range(60)}, now=NOW)
    scan(make_session(root, plugins=[Counting()]))
    assert set(seen) == {os.getpid()}
    assert len(seen) == 60
