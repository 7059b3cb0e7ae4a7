"""`invoke clean` and `invoke undo` as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.conftest import CommandLine

TREE = {
    "thesis": {"data": {"run7.csv": File("1,2\n", age_days=400)}, "notes": File("notes", age_days=400)},
    "it's [b]old[b] \x1b[31m": {"x": File("x", age_days=200)},
    "fresh": {"today": File("today")},
    "used": {"today": File("today")},
}


@pytest.fixture
def target(cli: CommandLine, root: Path) -> str:
    make_tree(root, TREE)
    url = (cli.project / "target").as_uri()
    cli.environment["ARCHIVE_TASKS_TARGET"] = url
    ran = cli.run("archive", "--root", str(root), "--yes")
    assert ran.code == 0, ran.err
    return url


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_clean_sets_aside_and_undo_brings_back(cli: CommandLine, root: Path, target: str) -> None:
    before = read_tree(root)
    ran = cli.run("clean", "--root", str(root), "--yes")
    assert ran.code == 0, ran.err
    assert "2 items (10 B) set aside" in ran.out
    assert "until then: invoke undo" in ran.out
    assert "\x1b" not in ran.out + ran.err
    assert names(root) == {"fresh", "used", SET_ASIDE}
    back = cli.run("undo", "--root", str(root))
    assert back.code == 0, back.err
    assert "2 items are back where they were; they count as used today" in back.out
    assert read_tree(root) == before
    again = cli.run("clean", "--root", str(root), "--yes")
    assert "nothing to clean" in again.out, "what was put back counts as used"
    assert "nothing is set aside" in cli.run("undo", "--root", str(root)).out


def test_json_documents_say_what_was_done(cli: CommandLine, root: Path, target: str) -> None:
    dry = json.loads(cli.run("clean", "--root", str(root), "--dry-run", "--json").out)
    assert {one["item"] for one in dry["would_free"]} == set(TREE) - {"fresh", "used"}
    assert not (root / SET_ASIDE).exists()
    ran = json.loads(cli.run("clean", "--root", str(root), "--yes", "--json", "--mode", "delete").out)
    assert {one["item"] for one in ran["freed"]} == set(TREE) - {"fresh", "used"}
    assert {one["item"] for one in ran["kept"]} == {"fresh", "used"}
    assert json.loads(cli.run("undo", "--root", str(root), "--json").out)["back"] == []
    assert names(root) == {"fresh", "used"}


def test_the_report_says_what_became_of_local_copies(cli: CommandLine, root: Path, target: str) -> None:
    def local() -> dict[str, str | None]:
        return {one["item"]: one["local"] for one in json.loads(cli.run("report", "--json").out)["archives"]}

    assert local()["thesis"] is None
    cli.run("clean", "--root", str(root), "--yes")
    assert local()["thesis"] == "set aside"
    assert "set aside 20" in cli.run("report").out
    cli.run("clean", "--root", str(root), "--yes", "--grace", "0")
    assert local()["thesis"] == "purged"
    cli.run("restore", "thesis")
    assert local()["thesis"] is None


def test_where_nobody_can_be_asked_nothing_goes(cli: CommandLine, root: Path, target: str) -> None:
    before = read_tree(root)
    ran = cli.run("clean", "--root", str(root))
    assert ran.code == 2
    assert ran.err.strip().endswith("there is no terminal to ask on: add --yes")
    assert read_tree(root) == before


def test_a_damaged_target_ends_with_three_and_says_what_is_wrong(cli: CommandLine, root: Path, target: str) -> None:
    before = read_tree(root)
    for pack in (cli.project / "target" / "data").rglob("*.zst"):
        pack.unlink()
    ran = cli.run("clean", "--root", str(root), "--yes")
    assert ran.code == 3
    assert "FAILED   thesis: the target does not provably hold it" in ran.out
    assert "2 items could not be freed, see above; nothing is lost" in ran.err
    assert read_tree(root) == before


def test_clean_chains_behind_archive(cli: CommandLine, root: Path) -> None:
    make_tree(root, TREE)
    cli.environment["ARCHIVE_TASKS_TARGET"] = (cli.project / "target").as_uri()
    cli.environment["ARCHIVE_TASKS_ROOT"] = str(root)
    ran = cli.run("scan", "archive", "--yes", "clean", "--yes", "--mode", "delete", "report")
    assert ran.code == 0, ran.err
    assert names(root) == {"fresh", "used"}
    restored = cli.run("restore", "thesis")
    assert restored.code == 0, restored.err
    assert (root / "thesis" / "notes").read_text() == "notes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mode", "burn"], "archive.clean.mode is 'burn'; known: quarantine, trash, move, delete"),
        (["--mode", "move"], "where to? --mode move needs --to FOLDER"),
        (["--to", "/tmp"], "--to is where `--mode move` moves items: give both"),
        (["--mode", "move", "--to", "/no/such"], "/no/such is not a folder: is its disk mounted?"),
        (["--grace", "soon"], "archive.clean.grace is 'soon', but must be a whole number"),
        (["--free", "much"], "archive.free is 'much', which is not a size"),
        (["--max-share", "101"], "archive.clean.max_share is 101, but must be between 1 and 100"),
    ],
)
def test_wrong_flags_are_refused_before_anything_moves(
    cli: CommandLine, root: Path, target: str, arguments: list[str], message: str
) -> None:
    before = read_tree(root)
    ran = cli.run("clean", "--root", str(root), "--yes", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert read_tree(root) == before


def test_a_folder_in_the_root_is_no_place_to_move_to(cli: CommandLine, root: Path, target: str) -> None:
    (root / "old").mkdir()
    ran = cli.run("clean", "--root", str(root), "--yes", "--mode", "move", "--to", str(root / "old"))
    assert ran.code == 2
    assert "give a --to outside it" in ran.err


@pytest.mark.parametrize("root_", ["/", "/usr", "/usr/share", "/etc", "/home", "/var"])
def test_what_belongs_to_the_system_is_not_cleaned(cli: CommandLine, target: str, root_: str) -> None:
    if not os.path.isdir(root_):
        pytest.skip("this system has no such folder")
    ran = cli.run("clean", "--root", root_, "--yes")
    assert ran.code == 2
    assert f"{root_} belongs to the system, and is not cleaned" in ran.err


def test_a_home_is_not_cleaned_as_a_whole(cli: CommandLine, target: str) -> None:
    for root in (os.environ["HOME"], os.path.dirname(os.environ["HOME"])):
        ran = cli.run("clean", "--root", root, "--yes")
        assert ran.code == 2
        assert "is (or holds) your home" in ran.err


def test_another_folder_at_the_roots_place_is_refused_until_it_is_archived(
    cli: CommandLine, root: Path, target: str
) -> None:
    """As when another disk is mounted there, with the same things on it."""
    root.rename(root.with_name("unplugged"))
    shutil.copytree(root.with_name("unplugged"), root, symlinks=True)
    ran = cli.run("clean", "--root", str(root), "--yes")
    assert ran.code == 2
    assert "is not the disk or folder that was archived from there" in ran.err
    assert "run archive again" in ran.err
    assert cli.run("archive", "--root", str(root), "--yes").code == 0
    assert "2 items (10 B) set aside" in cli.run("clean", "--root", str(root), "--yes").out


def test_what_a_flag_left_out_is_named_again_to_give_it_up(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"code": {"main.py": File("main", age_days=99), "x.tmp": File("tmp", age_days=99)}, "fresh": "x"})
    cli.environment["ARCHIVE_TASKS_TARGET"] = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--yes", "--exclude", "*.tmp").code == 0
    clean = ("clean", "--root", str(root), "--yes")
    said = cli.run(*clean).out
    assert "with 1 file, 4 B, and has 2 files, 7 B now: archive it again, or give the --exclude that" in said
    assert "code/x.tmp was left out of the archive" in cli.run(*clean, "--exclude", "*.tmp").out
    assert cli.run(*clean, "--exclude", "*.tmp", "--discard-left-out", "--mode", "delete").code == 0
    assert names(root) == {"fresh"}


def test_a_stub_says_what_was_here_and_goes_when_the_item_comes_back(cli: CommandLine, root: Path, target: str) -> None:
    cli.run("clean", "--root", str(root), "--yes", "--stub")
    stub = root / "thesis.archived.txt"
    text = stub.read_text()
    for words in ("thesis (2 files, 9 B)", "invoke restore thesis --target", "fetching  nothing", "zstd -dc"):
        assert words in text
    os.utime(stub, (0, 0))
    scanned = cli.run("scan", "--root", str(root))
    assert "thesis.archived.txt: it says where an archived item is" in scanned.out
    command = next(line.strip() for line in text.splitlines() if line.strip().startswith("zstd"))
    listed = subprocess.run(command.replace("less", "cat"), shell=True, capture_output=True, text=True, check=False)
    assert '"thesis/data/run7.csv"' in listed.stdout or shutil.which("zstd") is None
    other = root / "it's [b]old[b] \x1b[31m.archived.txt"
    other.write_text(other.read_text() + "my own words\n")
    cli.run("undo", "--root", str(root))
    assert not stub.exists()
    assert other.read_text().endswith("my own words\n"), "what somebody wrote into it stays"


def test_commands_begin_as_the_user_began(cli: CommandLine, root: Path, target: str) -> None:
    """In a folder without tasks.py, `invoke` finds nothing."""
    program = Path(sys.executable).with_name("archive-tasks")
    elsewhere = cli.project / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | cli.environment
    clean = [str(program), "clean", "--root", str(root), "--yes", "--stub"]
    ran = subprocess.run(clean, capture_output=True, text=True, check=True, env=environment, cwd=elsewhere)
    assert f"until then: archive-tasks undo --root {root}" in ran.stdout
    assert "  archive-tasks restore thesis --target" in (root / "thesis.archived.txt").read_text()


def test_a_restore_takes_the_stub_away(cli: CommandLine, root: Path, target: str) -> None:
    cli.run("clean", "--root", str(root), "--yes", "--stub", "--mode", "delete")
    assert (root / "thesis.archived.txt").exists()
    assert cli.run("restore", "thesis").code == 0
    assert names(root) >= {"thesis"}
    assert not (root / "thesis.archived.txt").exists()


def test_archive_brings_home_what_a_run_that_died_was_setting_aside(cli: CommandLine, root: Path, target: str) -> None:
    before = read_tree(root)
    cli.run("clean", "--root", str(root), "--yes")
    for state in root.glob(f"{SET_ASIDE}/*/state.json"):
        state.write_text(state.read_text().replace('"aside"', '"moving"'))
    cli.run("archive", "--root", str(root), "--dry-run")
    assert SET_ASIDE in names(root), "a dry run touches nothing"
    assert cli.run("archive", "--root", str(root), "--yes").code == 0
    assert read_tree(root) == before


def test_undo_of_a_name_that_is_not_set_aside_is_wrong_use(cli: CommandLine, root: Path, target: str) -> None:
    cli.run("clean", "--root", str(root), "--yes")
    nope = cli.run("undo", "--item", "nope", "--root", str(root))
    assert (nope.code, "nothing named nope is set aside" in nope.err) == (2, True)
    one = cli.run("undo", "--item", "thesis", "--root", str(root))
    assert (one.code, "1 item is back where it was; it counts as used today" in one.out) == (0, True)


def test_what_nobody_can_read_is_said_by_the_exit_code_too(cli: CommandLine, root: Path, target: str) -> None:
    cli.run("clean", "--root", str(root), "--yes")
    thesis = next(one for one in root.glob(f"{SET_ASIDE}/*/item/*") if one.name == "thesis").parent.parent
    (thesis / "state.json").write_text("{")
    for command in (("clean", "--yes"), ("undo",)):
        ran = cli.run(*command, "--root", str(root), "--json")
        assert ran.code == 3, ran.err
        assert "its state cannot be read" in ran.err
        (failed,) = json.loads(ran.out)["failed"]
        assert failed["item"].startswith(str(thesis))
    assert (thesis / "item" / "thesis" / "notes").read_text() == "notes"


@pytest.mark.parametrize("path", ["mine/state.json", "mine/state.json.new", "mine/game", "mine/item", "item"])
def test_what_somebody_put_beside_what_is_set_aside_stays(cli: CommandLine, root: Path, target: str, path: str) -> None:
    theirs = root / SET_ASIDE / path
    theirs.parent.mkdir(parents=True)
    theirs.write_text("my only game state")
    cli.run("clean", "--root", str(root), "--yes")
    cli.run("undo", "--root", str(root))
    assert theirs.read_text() == "my only game state"


def test_a_root_that_came_to_another_disk_is_known_again_though_nothing_is_stale(
    cli: CommandLine, root: Path, target: str
) -> None:
    assert cli.run("clean", "--root", str(root), "--yes").code == 0
    copied = root.with_name("another disk")
    subprocess.run(["cp", "-a", str(root), str(copied)], check=True)
    shutil.rmtree(root)
    copied.rename(root)
    clean = ("clean", "--root", str(root), "--yes", "--grace", "0")
    assert "run archive again" in cli.run(*clean).err
    assert "nothing to archive" in cli.run("archive", "--root", str(root), "--yes").out
    ran = cli.run(*clean)
    assert (ran.code, "2 items (10 B) purged" in ran.out) == (0, True)


def test_a_run_that_stops_says_so_and_gives_every_item_a_reason(cli: CommandLine, root: Path, target: str) -> None:
    items = [f"item{number}" for number in range(8)]
    make_tree(root, {item: {"a": File(item, age_days=300 - number)} for number, item in enumerate(items)})
    assert cli.run("archive", "--root", str(root), "--yes").code == 0
    for item in items:
        for path in (cli.project / "target").glob(f"data/**/{item}~*/*/packs/*"):
            path.chmod(0o600)
            path.write_bytes(b"x")
    clean = ("clean", "--root", str(root), "--yes", "--max-share", "100")
    ran = cli.run(*clean, "--json")
    document = json.loads(ran.out)
    told = {one["item"] for part in ("freed", "kept", "failed") for one in document[part]}
    assert told >= set(items)
    assert (ran.code, len(document["failed"])) == (3, 3)
    untried = len(document["freed"]) + len(document["failed"])
    assert f"run doctor and verify; {len(items) + 2 - untried} items were not tried" in ran.err


def test_a_second_run_says_who_holds_the_root(cli: CommandLine, root: Path, target: str, tmp_path: Path) -> None:
    """From another user's data folder: only the root tells that somebody works on it."""
    from archive_tasks.clean.quarantine import Quarantine

    fd = os.open(root, os.O_RDONLY)
    with Quarantine(str(root), fd):
        shutil.copytree(os.environ["XDG_DATA_HOME"], tmp_path / "other data")
        cli.environment["XDG_DATA_HOME"] = str(tmp_path / "other data")
        ran = cli.run("clean", "--root", str(root), "--yes")
        assert ran.code == 1
        assert f"another run is cleaning {root} (process {os.getpid()} on " in ran.err
        assert "since" in ran.err
    os.close(fd)
    assert cli.run("clean", "--root", str(root), "--yes").code == 0
