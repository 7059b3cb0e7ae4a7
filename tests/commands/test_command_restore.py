"""restore, find, catalogue and prune as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine
from tests.support.restoring import same_trees


@pytest.fixture
def target(cli: CommandLine, root: Path) -> str:
    make_tree(
        root,
        {
            "thesis": {
                "data": {f"run{n}.csv": File(f"{n}\n", age_days=90) for n in range(9)},
                "a.txt": File("a", age_days=90),
            },
            "note.md": File("note", age_days=90),
        },
    )
    url = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", url, "--yes").code == 0
    cli.environment["ARCHIVE_TASKS_TARGET"] = url
    return url


def test_an_item_goes_home_and_counts_as_used(cli: CommandLine, root: Path, target: str) -> None:
    shutil.rmtree(root / "thesis")
    ran = cli.run("restore", "thesis")
    assert ran.code == 0, ran.err
    assert "10 files restored" in ran.out
    assert (root / "thesis" / "data" / "run7.csv").read_text() == "7\n"
    scanned = cli.run("scan", "--root", str(root)).out
    assert "keep     thesis/: restored on" in scanned
    assert "archive  note.md" in scanned


def test_one_file_comes_to_where_the_user_is(cli: CommandLine, target: str) -> None:
    assert cli.run("restore", "thesis/data/run7.csv", "--to", ".").code == 0
    assert (cli.project / "run7.csv").read_text() == "7\n"


def test_several_names_and_everything(cli: CommandLine, root: Path, target: str) -> None:
    ran = cli.run("restore", "thesis/data/*.csv", "--also", "note.md", "--to", "out", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["files"], document["failed"]) == (0, 10, [])
    assert cli.run("restore", "--all", "--to", "all").code == 0
    assert same_trees(root, cli.project / "all")


def test_a_new_device_needs_the_url_alone(cli: CommandLine, root: Path, target: str) -> None:
    del cli.environment["ARCHIVE_TASKS_TARGET"]
    cli.environment["XDG_DATA_HOME"] = str(cli.project / "fresh")
    assert cli.run("restore", "--all", "--to", "laptop", "--target", target).code == 0
    assert same_trees(root, cli.project / "laptop")
    found = json.loads(cli.run("find", "run7", "--json").out)["found"]
    assert [one["path"] for one in found] == ["thesis/data/run7.csv"]


def test_an_absolute_path_names_what_was_archived_from_there(cli: CommandLine, root: Path, target: str) -> None:
    assert cli.run("restore", str(root / "thesis" / "a.txt"), "--to", "out").code == 0
    assert (cli.project / "out" / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    ("flags", "code", "kept"),
    [((), 3, True), (("--skip-existing",), 0, True), (("--both",), 0, True), (("--overwrite",), 0, False)],
)
def test_a_file_in_the_way_is_kept_unless_the_user_says_so(
    cli: CommandLine, target: str, flags: tuple[str, ...], code: int, kept: bool
) -> None:
    make_tree(cli.project / "out", {"thesis": {"a.txt": "mine"}})
    ran = cli.run("restore", "thesis", "--to", "out", *flags)
    assert ran.code == code, ran.err
    assert ((cli.project / "out" / "thesis" / "a.txt").read_text() == "mine") == kept
    assert (cli.project / "out" / "thesis" / "data" / "run1.csv").exists()
    if code:
        assert "thesis/a.txt" in ran.out
        assert "--overwrite, --skip-existing or --both" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "look for names with find"),
        (("thesis", "--all"), "takes names or --all"),
        (("thesis", "--at", "soon"), "must be a date"),
        (("thesis", "--at", "2001-01-01"), "was not archived yet"),
        (("thesis", "--both", "--overwrite"), "choose one"),
        (("../thesis",), "names nothing"),
        (("thesis", "--scope", "elsewhere"), "nothing named thesis is archived that matches --scope"),
        (("thesis", "--host", "elsewhere"), "nothing named thesis is archived that matches --scope"),
        (("thesis", "--id", "thesis"), "must be the beginning of an id"),
        (("thesis", "--id", "0000"), "nothing named thesis is archived"),
    ],
)
def test_what_makes_no_sense_is_said_and_ends_with_2(
    cli: CommandLine, target: str, arguments: tuple[str, ...], said: str
) -> None:
    ran = cli.run("restore", *arguments, "--to", "out")
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not (cli.project / "out").exists()


def test_a_name_is_needed_unless_all_is_said(cli: CommandLine, target: str) -> None:
    ran = cli.run("restore")
    assert ran.code == 1
    assert "what" in ran.err
    assert cli.run("restore", "--all", "--to", "out", "report").code == 0, "--all takes no task's name for a pattern"


@pytest.mark.parametrize("task", ["restore", "find"])
def test_who_asks_for_help_behind_the_task_is_told_where_it_is(cli: CommandLine, task: str) -> None:
    ran = cli.run(task, "--help")
    assert (ran.code, f"invoke --help {task}" in ran.err) == (2, True)


def test_a_dry_run_fetches_and_writes_nothing(cli: CommandLine, target: str) -> None:
    ran = cli.run("restore", "thesis", "--to", "out", "--dry-run", "--json")
    document = json.loads(ran.out)
    assert (document["files"], document["requests"], document["dollars"]) == (10, 1, None)
    assert not (cli.project / "out").exists()


def test_a_root_that_is_not_here_asks_for_a_place(cli: CommandLine, root: Path, target: str) -> None:
    shutil.move(root, root.with_name("elsewhere"))
    ran = cli.run("restore", "thesis")
    assert (ran.code, "say where it should go with --to" in ran.err) == (2, True)


def test_the_catalogue_is_rebuilt_from_the_target_alone(cli: CommandLine, target: str) -> None:
    before = cli.run("report", "--json").out
    assert cli.run("catalogue", "--rebuild").code == 0
    assert cli.run("report", "--json").out == before, "what this device proved stays"
    (data,) = (Path(os.environ["XDG_DATA_HOME"]) / "archive_tasks" / "catalogues").glob("*.sqlite")
    data.unlink()
    document = json.loads(cli.run("catalogue", "--json").out)
    assert (document["archives"], document["new"], document["unreadable"]) == (2, 2, [])
    assert json.loads(cli.run("find", "run7", "--json").out)["found"]
    assert cli.run("catalogue", "--target", "file:///no/such/place").code == 2


def test_a_target_that_is_not_mounted_makes_nobody_forget_what_is_in_it(cli: CommandLine, target: str) -> None:
    before = cli.run("report", "--json").out
    (cli.project / "target").rename(cli.project / "unplugged")
    for _ in range(2):
        ran = cli.run("restore", "thesis", "--to", "out")
        assert (ran.code, "disk" in ran.err) == (1, True), ran.err
        assert cli.run("report", "--json").out == before
        (cli.project / "target").mkdir(exist_ok=True)  # and then as an empty mount point
    assert "there is no target" in cli.run("restore", "x", "--target", "file:///no/such/place").err


def test_prune_has_nothing_to_do_and_says_so(cli: CommandLine, target: str) -> None:
    ran = cli.run("prune", "--orphans", "--json")
    assert (ran.code, json.loads(ran.out)["removed"]) == (0, [])
    assert cli.run("prune", "--orphans", "--grace", "1").code == 2
    assert cli.run("prune", "--orphans", "--grace", "soon").code == 2


def test_two_restores_at_once_end_with_one_whole_tree(cli: CommandLine, root: Path, target: str) -> None:
    running: list[subprocess.Popen[Any]] = [cli.start("restore", "--all", "--to", "out") for _ in range(3)]
    for one in running:
        one.communicate(timeout=60)
    assert cli.run("restore", "--all", "--to", "out").code == 0
    assert same_trees(root, cli.project / "out")


def test_a_name_with_brackets_means_itself_before_it_means_a_pattern(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"report [1].pdf": File("one", age_days=90), "report 1.pdf": File("other", age_days=90)})
    make_tree(root, {"zz": {"b[x]": File("literal", age_days=90), "bx": File("other", age_days=90)}})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    for name, path in (("report [1].pdf", "report [1].pdf"), ("zz/b[x]", "b[x]")):
        assert cli.run("restore", name, "--to", f"out {path}", "--target", target).code == 0
        assert [one.name for one in (cli.project / f"out {path}").rglob("*")] == [path]
    assert "report [1].pdf" in cli.run("find", "[1]", "--target", target).out


def test_all_means_all_whatever_an_item_is_called(cli: CommandLine, root: Path) -> None:
    make_tree(root, {name: File(name, age_days=90) for name in ("*", "**", "thesis")})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    for what, expected in (("--all", {"*", "**", "thesis"}), ("*", {"*"}), ("t*", {"thesis"})):
        assert cli.run("restore", what, "--to", f"out {what}", "--target", target).code == 0
        assert {one.name for one in (cli.project / f"out {what}").iterdir()} == expected


def test_what_is_not_in_an_item_is_not_restored_and_not_said_to_be(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    ran = cli.run("restore", "thesis/nope", "--to", "out", "--target", target)
    assert ran.code == 3
    assert "nothing in thesis has the name that was asked for" in ran.out
    assert "restored  thesis" not in ran.out


def test_a_name_that_is_not_there_beside_one_that_is_ends_with_3(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}, "note": File("n", age_days=90)})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    ran = cli.run("restore", "note", "--also", "thesis/nope", "--to", "out", "--target", target, "--json")
    assert ran.code == 3
    document = json.loads(ran.out)
    assert [one["path"] for one in document["failed"]] == ["thesis"]
    assert "nothing in thesis has the name" in document["failed"][0]["reason"]
    assert sorted(one.name for one in (cli.project / "out").iterdir()) == ["note"]
    ran = cli.run("restore", "note", "--also", "nosuch", "--to", "out2", "--target", target, "--json")
    assert (ran.code, "nosuch" in ran.err, (cli.project / "out2").exists()) == (2, True, False)


def test_what_came_back_in_part_is_not_said_to_be_restored(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a" * 2_000_000, age_days=90), "b": File("b" * 2_000_000, age_days=90)}})
    target = cli.project / "target"
    assert cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes").code == 0
    (broken,) = target.rglob("files/a")
    broken.chmod(0o600)
    broken.write_bytes(b"c" * 2_000_000)
    ran = cli.run("restore", "thesis", "--to", "out", "--target", target.as_uri())
    assert ran.code == 3
    assert "PARTLY    restored thesis" in ran.out
    assert "\nrestored  thesis" not in ran.out
    assert "1 entry is missing" in ran.out


def test_everything_is_not_said_to_be_back_while_a_manifest_cannot_be_read(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}, "note": File("n", age_days=90)})
    target = cli.project / "target"
    assert cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes").code == 0
    (damaged,) = target.glob("manifests/**/thesis~*")
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:40])
    cli.environment["XDG_DATA_HOME"] = str(cli.project / "another device")
    ran = cli.run("restore", "--all", "--to", "out", "--target", target.as_uri())
    assert ran.code == 3
    assert [one.name for one in (cli.project / "out").iterdir()] == ["note"]
    assert f"run verify --repair --target {target.as_uri()}" in ran.err
    alone = cli.run("restore", "thesis", "--to", "out", "--target", target.as_uri())
    assert (alone.code, "empty" in alone.err, "cannot be read" in alone.err) == (2, False, True)
    assert cli.run("verify", "--repair", "--target", target.as_uri()).code == 0
    assert cli.run("restore", "thesis", "--to", "out", "--target", target.as_uri()).code == 0
    assert (cli.project / "out" / "thesis" / "a").read_text() == "a"


def test_a_restore_that_brought_nothing_back_is_no_use_of_the_item(cli: CommandLine, root: Path) -> None:
    """What is at its place is another one, which nobody used."""
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}})
    target = (cli.project / "target").as_uri()
    archive = ("archive", "--root", str(root), "--target", target, "--yes", "--json")
    assert cli.run(*archive).code == 0
    shutil.rmtree(root / "thesis")
    make_tree(root, {"thesis": {"a": File("another", age_days=400)}})
    assert cli.run("restore", "thesis", "--target", target).code == 3
    assert [one["item"] for one in json.loads(cli.run(*archive).out)["archives"]] == ["thesis"]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "9999-12-31", "10000-01-01"])
def test_a_date_beyond_the_calendar_is_wrong_use(cli: CommandLine, target: str, at: str) -> None:
    ran = cli.run("restore", "thesis", "--at", at, "--to", "out")
    assert "Traceback" not in ran.err
    assert ran.code in {0, 2}
    assert ran.code == 0 or "--at is" in ran.err or "thesis" in ran.err


def test_a_root_that_a_flag_names_is_no_mere_hint(cli: CommandLine, root: Path, tmp_path: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    shutil.rmtree(root / "thesis")
    (tmp_path / "new").mkdir()
    restore = ("restore", "thesis", "--target", target, "--root", str(tmp_path / "new"))
    ran = cli.run(*restore)
    assert ran.code == 2
    assert f"was not archived from {tmp_path / 'new'}" in ran.err
    assert str(root) in ran.out
    assert not (root / "thesis").exists()
    assert cli.run(*restore, "--from-root", str(root)).code == 0
    assert (root / "thesis" / "a").read_text() == "a"


def test_nothing_is_restored_among_what_is_set_aside(cli: CommandLine, root: Path, target: str) -> None:
    ran = cli.run("restore", "thesis", "--to", str(root / ".archive-set-aside" / "x"))
    assert (ran.code, "among what clean set aside" in ran.err) == (2, True)


def test_nothing_is_restored_into_the_target(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}})
    target = cli.project / "target"
    assert cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes").code == 0
    before = sorted(target.rglob("*"))
    for place in (target, target / "data"):
        assert cli.run("restore", "thesis", "--to", str(place), "--target", target.as_uri()).code == 2
    assert sorted(target.rglob("*")) == before
