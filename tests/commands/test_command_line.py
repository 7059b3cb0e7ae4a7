"""The commands as a user or a script runs them: what they print, what they return, how they end."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.show.console import Console
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.conftest import CommandLine
from tests.support.foreign import check_target, folder_fetch, folder_keys

OLD = File("old", age_days=400)
NEW = File("new", age_days=1)
HOSTILE = "a\n\x1b[7;5m[b]'\"=1"


@pytest.fixture
def tree(root: Path) -> Path:
    make_tree(root, {"thesis": {"a": OLD, "b": OLD}, "fresh": {"new": NEW, "old": OLD}, HOSTILE: OLD})
    return root


def target_of(cli: CommandLine) -> Path:
    return cli.project.parent / "target"


def test_scan_prints_exactly_one_json_document(cli: CommandLine, tree: Path) -> None:
    ran = cli.run("scan", "--root", str(tree), "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["root"], document["days"], document["clock"]) == (str(tree), 30, "mtime")
    items = {item["name"]: item for item in document["items"]}
    keys = {"name", "path", "kind", "decision", "reason", "days_idle", "newest", "files", "bytes"}
    assert all(keys <= item.keys() for item in items.values())
    assert {name: item["decision"] for name, item in items.items()} == {
        "thesis": "archive",
        "fresh": "keep",
        HOSTILE: "archive",
    }
    assert (items["thesis"]["files"], items["thesis"]["bytes"], items["thesis"]["days_idle"]) == (2, 6, 400)
    assert items["fresh"]["newest"] == "fresh/new"
    assert ran.out.isascii()


def test_scan_for_people_is_plain_and_harmless_without_a_terminal(cli: CommandLine, tree: Path) -> None:
    ran = cli.run("scan", "--root", str(tree))
    assert ran.code == 0
    assert "archive  thesis/: not used for 400 days (2 files, 6 B)" in ran.out.splitlines()
    assert "keep     fresh/: fresh/new was used 1 day ago" in ran.out.splitlines()
    assert "\x1b" not in ran.out
    assert "a\\n\\x1b[7;5m[b]'\"=1" in ran.out


def test_archive_prints_exactly_one_json_document(cli: CommandLine, tree: Path) -> None:
    url = target_of(cli).as_uri()
    first = cli.run("archive", "--root", str(tree), "--target", url, "--yes", "--json")
    assert first.code == 0, first.err
    document = json.loads(first.out)
    assert document["target"] == url
    assert {archive["item"] for archive in document["archives"]} == {"thesis", HOSTILE}
    for archive in document["archives"]:
        assert archive.keys() == {"id", "item", "files", "bytes", "manifest"}
        assert (target_of(cli) / archive["manifest"]).is_file()
    assert document["kept"] == [{"item": "fresh", "reason": "fresh/new was used 1 day ago"}]
    assert document["already"] == document["failed"] == []
    second = json.loads(cli.run("archive", "--root", str(tree), "--target", url, "--yes", "--json").out)
    assert second["archives"] == []
    assert second["already"] == document["archives"]


def test_report_tells_what_was_archived_as_text_json_and_csv(cli: CommandLine, tree: Path) -> None:
    assert cli.run("report").out == "nothing has been archived from this machine yet\n"
    url = target_of(cli).as_uri()
    cli.run("archive", "--root", str(tree), "--target", url, "--yes")
    cli.run("archive", "--root", str(tree), "--yes")
    text = cli.run("report")
    assert text.code == 0
    assert "4 archives, 6 files, 18 B" in text.out
    document = json.loads(cli.run("report", "--json").out)
    assert len(document["runs"]) == 2
    assert (document["files"], document["bytes"]) == (6, 18)
    one = next(archive for archive in document["archives"] if archive["target"] == url and archive["item"] == "thesis")
    assert (one["files"], one["bytes"], one["root"], one["proven_by"]) == (2, 6, str(tree), "read-back")
    only = json.loads(cli.run("report", "--target", url, "--json").out)
    assert {archive["target"] for archive in only["archives"]} == {url}
    rows = list(csv.DictReader(io.StringIO(cli.run("report", "--csv").out)))
    assert len(rows) == 4
    assert {row["item"] for row in rows} == {"thesis", "a\\n\\x1b[7;5m[b]'\"=1"}


def test_a_spreadsheet_takes_no_name_for_a_formula(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"=cmd()": OLD, "@x": OLD, "-1": OLD})
    cli.run("archive", "--root", str(root), "--yes")
    rows = list(csv.DictReader(io.StringIO(cli.run("report", "--csv").out)))
    assert sorted(row["item"] for row in rows) == ["'-1", "'=cmd()", "'@x"]


def test_one_chain_scans_once_archives_and_reports(cli: CommandLine, tree: Path) -> None:
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n  target: {target_of(cli).as_uri()}\n")
    ran = cli.run("scan", "archive", "--yes", "report")
    assert ran.code == 0, ran.err
    assert ran.out.count("stale after 30 days") == 1
    assert "2 items archived (3 files, 9 B)" in ran.out
    assert "2 archives, 3 files, 9 B" in ran.out


@pytest.mark.parametrize("flags", [["archive", "--dry-run"], ["--dry", "archive"]])
def test_a_dry_run_writes_nothing_anywhere(cli: CommandLine, tree: Path, flags: list[str]) -> None:
    before = read_tree(tree)
    ran = cli.run(*flags, "--root", str(tree), "--target", target_of(cli).as_uri())
    assert ran.code == 0, ran.err
    assert "nothing was written" in ran.out
    assert read_tree(tree) == before
    assert not target_of(cli).exists()
    assert not Path(os.environ["XDG_DATA_HOME"]).exists()
    document = json.loads(cli.run(*flags, "--root", str(tree), "--json").out)
    assert {item["item"] for item in document["would_archive"]} == {"thesis", HOSTILE}
    assert document["archives"] == []


def test_without_a_terminal_and_without_yes_archive_refuses(cli: CommandLine, tree: Path) -> None:
    ran = cli.run("archive", "--root", str(tree), "--target", target_of(cli).as_uri())
    assert ran.code == 2
    assert ran.err == "error: archive asks before it uploads, and there is no terminal to ask on: add --yes\n"
    assert not target_of(cli).exists()


def on_a_terminal(cli: CommandLine, *arguments: str, keys: str) -> tuple[int, str]:
    """Run a command on a pseudo-terminal, typing a line of `keys` at each question, and then Enter alone."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        cli.command(*arguments),
        cwd=cli.project,
        env=cli.env() | {"COLUMNS": "120"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown, lines = b"", keys.splitlines(keepends=True)
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if re.search(rb"\[(Y/n|y/N|no|[^]]+://[^]]+)\] $", shown):
            os.write(master, (lines.pop(0) if lines else "\n").encode())
    os.close(master)
    return process.wait(), shown.decode(errors="replace")


@pytest.mark.parametrize(("keys", "code", "archived"), [("y\n", 0, True), ("\n", 0, True), ("n\n", 1, False)])
def test_on_a_terminal_the_plan_is_shown_and_one_question_asked(
    cli: CommandLine, tree: Path, keys: str, code: int, archived: bool
) -> None:
    target_of(cli).mkdir()
    ended, shown = on_a_terminal(cli, "archive", "--root", str(tree), "--target", target_of(cli).as_uri(), keys=keys)
    assert ended == code, shown
    assert shown.count("[Y/n]") == 1
    assert ("Free their space? no/aside/trash/move/delete [no]" in shown) is archived
    assert "thesis/" in shown
    assert "fresh/new was used 1 day ago" in shown
    assert "\x1b[7;5m" not in shown, "a name's escape sequence must not reach the terminal"
    assert bool(folder_keys(target_of(cli), "manifests/")) is archived


def test_after_archiving_the_space_is_freed_by_one_more_answer(cli: CommandLine, tree: Path) -> None:
    target_of(cli).mkdir()
    arguments = ("archive", "--root", str(tree), "--target", target_of(cli).as_uri())
    ended, shown = on_a_terminal(cli, *arguments, keys="y\naside\n")
    assert ended == 0, shown
    assert "2 items set aside" in re.sub(r" \([^)]*\)", "", shown)
    assert not (tree / "thesis").exists()
    assert cli.run("undo", "--root", str(tree)).code == 0
    assert (tree / "thesis").exists()


@pytest.mark.parametrize(("keys", "is_gone"), [("delete\n\n", False), ("delete\ny\n", True)])
def test_what_cannot_be_undone_is_asked_for_once_more(cli: CommandLine, tree: Path, keys: str, is_gone: bool) -> None:
    target_of(cli).mkdir()
    arguments = ("archive", "--root", str(tree), "--target", target_of(cli).as_uri())
    _, shown = on_a_terminal(cli, *arguments, keys=f"y\n{keys}")
    assert shown.count("[y/N]") == 1, shown
    assert (tree / "thesis").exists() is not is_gone
    assert shown.index("is on the same disk") < shown.index("Free their space?")


def test_more_than_was_named_is_asked_for_once_more(cli: CommandLine, tree: Path) -> None:
    target_of(cli).mkdir()
    arguments = ("--root", str(tree), "--target", target_of(cli).as_uri())
    assert cli.run("archive", *arguments, "--yes").code == 0
    make_tree(tree, {"more": File("more", age_days=90)})
    assert cli.run("archive", *arguments, "--yes").code == 0
    assert cli.run("clean", *arguments, "--max-items", "1", "--yes").code == 0
    later = ("archive", *arguments, "--exclude", "more")
    cli.environment["ARCHIVE_TASKS_CLEAN_GRACE"] = "0"
    _, shown = on_a_terminal(cli, *later, keys="y\naside\n\n")
    assert "Purge 1 item" in shown, shown
    assert (tree / "more").exists()


def test_the_default_target_is_a_folder_and_said_plainly(cli: CommandLine, tree: Path) -> None:
    ran = cli.run("archive", "--root", str(tree), "--yes")
    assert ran.code == 0
    vault = Path(os.environ["XDG_DATA_HOME"]) / "archive_tasks" / "vault"
    assert f"no target is configured: archives go to the folder {vault} on this machine" in ran.out
    assert set(check_target(folder_keys(vault), folder_fetch(vault))) == {"thesis", HOSTILE}
    assert vault.stat().st_mode & 0o077 == 0
    catalogues = Path(os.environ["XDG_DATA_HOME"]) / "archive_tasks" / "catalogues"
    assert catalogues.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in catalogues.glob("*.sqlite*"))


BAD_INPUT = [
    (["scan"], 2, "which folder? Give --root FOLDER"),
    (["scan", "--root", "{tmp}/missing"], 2, "does not exist; give another --root"),
    (["scan", "--root", "{tmp}/file"], 2, "is a file, not a folder"),
    (["scan", "--root", "{root}", "--days", "many"], 2, "archive.days is 'many', but must be a whole number"),
    (["scan", "--root", "{root}", "--days", "-1"], 2, "archive.days is -1, but must be between 0 and"),
    (["scan", "--root", "{root}", "--clock", "birth"], 2, "known: atime, ctime, mtime, newest"),
    (
        ["archive", "--root", "{root}", "--target", "gs://b"],
        2,
        "no plugin opens gs:// targets; known: file://, s3://",
    ),
    (["archive", "--root", "{root}", "--target", "my-bucket"], 2, "is not a URL; did you mean s3://my-bucket?"),
    (["archive", "--root", "{root}", "--target", "/mnt/nas"], 2, "is not a URL; did you mean file:///mnt/nas?"),
    (["archive", "--root", "{root}", "--target", "file://nas/x"], 2, "write file:///absolute/path"),
    (["archive", "--root", "{root}", "--target", "s3://B/x"], 2, "write s3://my-bucket/laptop"),
    (["archive", "--root", "{root}", "--target", "file://{tmp}/file", "--yes"], 1, "is a file, not a folder"),
    (["archive", "--root", "{root}", "--target", "file://{tmp}", "--yes"], 2, None),
    (["archive", "--root", "{root}", "--target", "s3://bucket", "--yes"], 1, "no AWS credentials were found"),
    (["setup"], 2, "there is no terminal to ask on: give --target"),
    (["doctor", "--target", "file://{tmp}/nowhere"], 2, "there is no target"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD_INPUT)
def test_bad_input_gets_one_clear_line(
    cli: CommandLine, root: Path, tmp_path: Path, arguments: list[str], code: int, message: str | None
) -> None:
    make_tree(root, {"item": OLD})
    (tmp_path / "file").touch()
    before = read_tree(root)
    ran = cli.run(*(argument.format(tmp=tmp_path, root=root) for argument in arguments))
    assert ran.code == code, ran.err
    assert message is None or message in ran.err
    assert "Traceback" not in ran.err + ran.out
    assert len([line for line in ran.err.splitlines() if line.startswith("error:")]) == 1
    assert read_tree(root) == before


def test_debug_shows_the_traceback(cli: CommandLine) -> None:
    ran = cli.run("--debug", "scan", "--root", "/missing")
    assert ran.code == 1
    assert "Traceback" in ran.err


def test_an_unknown_setting_names_the_known_ones(cli: CommandLine, tree: Path) -> None:
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n  dayz: 3\n")
    ran = cli.run("scan")
    assert ran.code == 2
    assert "there is no setting archive.dayz; did you mean archive.days?" in ran.err
    cli.environment["ARCHIVE_TASKS_DAYZ"] = "3"
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n")
    ran = cli.run("scan")
    assert ran.code == 2
    assert "the variable ARCHIVE_TASKS_DAYZ names no setting" in ran.err


def test_settings_come_from_files_variables_and_flags_in_this_order(cli: CommandLine, tree: Path) -> None:
    def days(*flags: str) -> int:
        return int(json.loads(cli.run("scan", "--json", *flags).out)["days"])

    (cli.project / "tasks.py").write_text(
        f"from invoke import Collection\nfrom archive_tasks import collection\n"
        f"ns = Collection(archive=collection(root={str(tree)!r}, days=10))\n"
        "ns.add_collection(collection(), name='other')\nns.add_task(ns.collections['archive'].tasks['scan'])\n"
    )
    (cli.project / "tasks.py").write_text(
        f"from archive_tasks import collection\nns = collection(root={str(tree)!r}, days=10)\n"
    )
    assert days() == 10
    (cli.project / "invoke.yaml").write_text("archive:\n  days: 20\n")
    assert days() == 20
    cli.environment["ARCHIVE_TASKS_DAYS"] = "40"
    assert days() == 40
    assert days("--days", "50") == 50


def test_an_item_that_fails_ends_with_three_and_the_chain_with_it(cli: CommandLine, tree: Path) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "breaking.py").write_text(_BREAKING.format(root=str(tree)))
    arguments = ["archive", "--root", str(tree), "--yes", "--json", "report"]
    ran = cli.run(*arguments)
    assert ran.code == 3
    assert "1 item was not archived" in ran.err
    document = json.loads(ran.out)
    assert [failure["item"] for failure in document["failed"]] == ["thesis"]
    assert [archive["item"] for archive in document["archives"]] == [HOSTILE]
    cli.environment["ARCHIVE_TASKS_STOP_CHAIN"] = "false"
    (tree / "thesis" / "pipe").unlink()
    ran = cli.run("archive", "--root", str(tree), "--yes", "report")
    assert ran.code == 3
    assert "1 archive, 1 file" in ran.out


_BREAKING = """
import os
from archive_tasks import hookimpl

@hookimpl
def on_event(event, settings):
    if type(event).__name__ == "RunStarted":
        os.mkfifo({root!r} + "/thesis/pipe")
"""


def test_plugins_are_listed_with_where_they_are_from(cli: CommandLine) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "mine.py").write_text(
        "from archive_tasks import hookimpl\n__version__ = '7'\n@hookimpl\ndef reasons_to_keep(item, settings):\n    pass\n"
    )
    found = {one["name"]: one for one in json.loads(cli.run("plugins", "--json").out)["plugins"]}
    assert found["mine"] == {
        "name": "mine",
        "origin": str(cli.project / "plugins" / "mine.py"),
        "version": "7",
        "hooks": ["reasons_to_keep"],
    }
    assert {"clocks", "noise", "exclude", "markers", "folder", "s3"} <= found.keys()
    assert found["s3"]["origin"] == "built-in"


def test_a_broken_plugin_stops_every_command_with_one_line(cli: CommandLine, tree: Path) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "guard.py").write_text("import nothing_of_that_name\n")
    ran = cli.run("archive", "--root", str(tree), "--yes")
    assert ran.code == 2
    assert re.fullmatch(
        r"error: the plugin file \S+/plugins/guard\.py cannot be loaded: ModuleNotFoundError: .*\n", ran.err
    )
    assert not Path(os.environ["XDG_DATA_HOME"]).exists()


def test_a_plugins_folder_in_the_root_or_the_current_folder_is_never_loaded(cli: CommandLine, tree: Path) -> None:
    for folder in (tree, cli.project / "elsewhere"):
        (folder / "plugins").mkdir(parents=True)
        (folder / "plugins" / "canary.py").write_text(f"open({str(cli.project / 'sung')!r}, 'w')\n")
    ran = subprocess.run(
        cli.command("--search-root", str(cli.project), "scan", "--root", str(tree)),
        cwd=cli.project / "elsewhere",
        env=cli.env(),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0
    assert not (cli.project / "sung").exists()


def test_it_works_as_a_sub_collection_beside_the_users_own_tasks(cli: CommandLine, tree: Path) -> None:
    (cli.project / "tasks.py").write_text(
        "from invoke import Collection, task\n"
        "from archive_tasks import ns as archive\n"
        "@task\ndef dump_db(c):\n    print('dumped')\n"
        "ns = Collection(dump_db, archive)\n"
        "ns.configure({'unrelated': 1})\n"
    )
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n")
    listed = cli.run("--list").out
    assert "dump-db" in listed
    assert re.search(r"archive\.archive \(archive\)", listed)
    ran = cli.run("dump-db", "archive", "--yes", "archive.report")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("dumped\n")
    assert "2 archives, 3 files" in ran.out


def test_tasks_return_their_documents_to_a_python_caller(cli: CommandLine, tree: Path) -> None:
    (cli.project / "tasks.py").write_text(
        "import json, sys\nfrom invoke import Collection, task\nfrom archive_tasks import ns as archive_ns\n"
        "from archive_tasks.tasks import scan, archive\n"
        "@task\ndef nightly(c):\n"
        f"    found = scan(c, root={str(tree)!r}, days=60)\n"
        f"    done = archive(c, root={str(tree)!r}, days=60, yes=True)\n"
        "    json.dump([found['days'], len(done['archives'])], sys.stderr)\n"
        "ns = Collection(nightly, archive_ns)\n"
    )
    ran = cli.run("nightly")
    assert ran.code == 0, ran.err
    assert json.loads(ran.err) == [60, 2]


def test_every_flag_has_a_help_text_and_no_short_flag(cli: CommandLine) -> None:
    for verb in ("scan", "archive", "report", "doctor", "setup", "plugins"):
        text = cli.run("--help", verb).out
        options = text.partition("Options:")[2]
        flags = re.findall(r"^  (--[a-z-]+)(?:=\w+)?(?:, \S+)?[ \t]*(.*)$", options, re.MULTILINE)
        assert flags, text
        assert all(words for _, words in flags), flags
        assert not re.search(r"^  -\w\b", options, re.MULTILINE)


def test_the_shell_can_complete_tasks_and_flags(cli: CommandLine) -> None:
    assert "scan" in cli.run("--complete", "--", "invoke ").out.split()
    assert "--root" in cli.run("--complete", "--", "invoke scan --").out.split()


def test_the_console_script_is_the_same_collection(cli: CommandLine, tree: Path) -> None:
    config = Path(os.environ["XDG_CONFIG_HOME"]) / "archive_tasks"
    config.mkdir(parents=True)
    (config / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n  days: 77\n")
    program = [sys.executable, "-c", "from archive_tasks.program import main; main()"]
    ran = subprocess.run(
        [*program, "scan", "--json"], cwd=tree, env=cli.env(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["days"] == 77
    version = subprocess.run([*program, "--version"], env=cli.env(), capture_output=True, text=True, check=False)
    assert re.fullmatch(r"archive-tasks \d+\.\d+\.\d+\n", version.stdout)


def test_loading_the_collection_loads_neither_boto3_nor_rich(cli: CommandLine) -> None:
    code = (
        "import sys; from archive_tasks import ns; assert ns.task_names; "
        "print([name for name in ('boto3', 'botocore', 'rich', 'pluggy_x', 'sqlite3', 'send2trash') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=cli.env(), capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_two_runs_on_one_target_do_not_mix(cli: CommandLine, root: Path) -> None:
    make_tree(root, {f"item{number}": {"big": File(os.urandom(2_000_000), age_days=90)} for number in range(8)})
    cli.environment["ARCHIVE_TASKS_BANDWIDTH"] = "4M"
    arguments = ("archive", "--root", str(root), "--target", target_of(cli).as_uri(), "--yes")
    first = cli.start(*arguments)
    deadline = time.monotonic() + 30
    while not folder_keys(target_of(cli), "data/") and time.monotonic() < deadline:
        time.sleep(0.05)
    second = cli.run(*arguments)
    assert second.code == 1
    assert re.search(
        r"another run is writing to this target \(process \d+ since .* UTC\); wait for it to end", second.err
    )
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert len(check_target(folder_keys(target_of(cli)), folder_fetch(target_of(cli)))) == 8


def test_setup_writes_the_target_beside_what_is_there(cli: CommandLine, tree: Path) -> None:
    settings = cli.project / "invoke.yaml"
    settings.write_text("# mine\nrun:\n  echo: false\narchive:\n  days: 60  # long\n  target: file:///old\nother: 1\n")
    url = target_of(cli).as_uri()
    ran = cli.run("setup", "--target", url, "--yes")
    assert ran.code == 0, ran.err
    assert settings.read_text() == (
        f'# mine\nrun:\n  echo: false\narchive:\n  days: 60  # long\n  target: "{url}"\nother: 1\n'
    )
    assert "read back and compared" in ran.out
    assert target_of(cli).is_dir()
    assert cli.run("setup", "--target", url, "--yes").code == 0
    assert json.loads(cli.run("archive", "--root", str(tree), "--yes", "--json").out)["target"] == url


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", 'archive:\n  target: "{url}"\n'),
        ("run:\n  echo: true", 'run:\n  echo: true\narchive:\n  target: "{url}"\n'),
        ("archive:\n  days: 3\n", 'archive:\n  target: "{url}"\n  days: 3\n'),
        ("archive:", 'archive:\n  target: "{url}"\n'),
    ],
)
def test_setup_writes_the_target_into_any_settings_file(cli: CommandLine, before: str, after: str) -> None:
    (cli.project / "invoke.yaml").write_text(before)
    url = target_of(cli).as_uri()
    assert cli.run("setup", "--target", url, "--yes").code == 0
    assert (cli.project / "invoke.yaml").read_text() == after.format(url=url)


def test_setup_on_a_terminal_offers_a_new_bucket_and_takes_a_folder(cli: CommandLine) -> None:
    target_of(cli).mkdir()
    code, shown = on_a_terminal(cli, "setup", keys=f"{target_of(cli).as_uri()}\n")
    assert code == 0, shown
    assert re.search(r"target \[s3://archive\.\d{4}-\d\d-\d\d\.[0-9a-f]{12}/", shown)
    assert target_of(cli).as_uri() in (cli.project / "invoke.yaml").read_text()


def test_doctor_says_what_a_folder_does_and_remembers_it(cli: CommandLine) -> None:
    target_of(cli).mkdir()
    ran = cli.run("doctor", "--target", target_of(cli).as_uri(), "--json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["trusted"] is False
    assert document["answers"]["one-winner"]["ok"] is True
    assert document["answers"]["refuses-overwrite"]["ok"] is True
    assert folder_keys(target_of(cli)) == []


def test_a_full_disk_is_refused_before_anything_is_written(cli: CommandLine, root: Path, tmp_path: Path) -> None:
    """Holes need no room: with them, the item is far larger than the disk."""
    make_tree(root, {"huge": {"a": File(os.urandom(30 << 20), age_days=90)}, "thin": {"b": File("b", age_days=90)}})
    with (root / "thin" / "sparse").open("wb") as file:
        file.truncate(50 << 20)
    os.utime(root / "thin" / "sparse", (0, 0))
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "none", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        at = ("--root", str(root), "--target", (disk / "target").as_uri(), "--yes")
        ran = cli.run("archive", *at)
        assert ran.code == 1
        assert "has room for" in ran.err
        assert folder_keys(disk / "target", "data/") == []
        ran = cli.run("archive", *at, "--exclude", "huge")
        assert ran.code == 0, ran.err
        assert "archived  thin" in ran.out
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_python_caller_gets_no_sub_process_noise(cli: CommandLine, tree: Path) -> None:
    """The documents go to stdout; the same call in a pipe shows nothing else there."""
    ran: Any = cli.run("archive", "--root", str(tree), "--yes", "--json")
    assert ran.out.lstrip().startswith("{")
    assert "archiving 2 items" in ran.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("archive: 5\n", "the configuration says archive: 5, but archive must hold settings"),
        (
            "archive:\n  options:\n    quux: {}\n",
            "archive.options.quux: there is no such plugin; loaded:",
        ),
        ("archive:\n  options:\n    gitunsaved: {}\n", "did you mean archive.options.git_unsaved?"),
        ("archive:\n  options:\n    clock: {}\n", "did you mean archive.options.clocks?"),
    ],
)
def test_odd_settings_get_one_clear_line(cli: CommandLine, tree: Path, settings: str, message: str) -> None:
    (cli.project / "invoke.yaml").write_text(settings)
    ran = cli.run("scan", "--root", str(tree))
    assert ran.code == 2
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_a_setting_that_is_left_empty_keeps_its_default(cli: CommandLine, tree: Path) -> None:
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {tree}\n  days:\n")
    assert json.loads(cli.run("scan", "--json").out)["days"] == 30


def test_a_reader_that_has_enough_ends_the_command_quietly(cli: CommandLine, root: Path) -> None:
    make_tree(root, {f"item{number:05}": OLD for number in range(3000)})
    command = " ".join(cli.command("scan", "--root", str(root), "--json"))
    ran = subprocess.run(
        ["bash", "-c", f"{command} | head -1"], cwd=cli.project, env=cli.env(), capture_output=True, check=False
    )
    assert ran.stdout == b"{\n"
    assert ran.stderr == b""


def test_a_report_on_a_target_that_is_not_known_names_those_that_are(cli: CommandLine, tree: Path) -> None:
    cli.run("archive", "--root", str(tree), "--yes", "--target", target_of(cli).as_uri())
    ran = cli.run("report", "--target", "s3://my-bucket/typo")
    assert ran.code == 2
    assert (
        f"nothing has been archived to s3://my-bucket/typo from this machine; known: {target_of(cli).as_uri()}"
        in ran.err
    )
    assert cli.run("report", "--json", "--csv").code == 2


def test_a_dry_setup_is_refused_and_writes_nothing(cli: CommandLine) -> None:
    assert cli.run("--dry", "setup", "--yes", "--target", target_of(cli).as_uri()).code == 2
    assert not target_of(cli).exists()
    assert not (cli.project / "invoke.yaml").exists()


def test_a_target_inside_the_root_is_kept_in_a_chain_too(cli: CommandLine, tree: Path) -> None:
    make_tree(tree, {"vault": {"old": OLD}})
    for url in ((tree / "vault").as_uri(), f"file://localhost{tree}/vault"):
        ran = cli.run("scan", "--root", str(tree), "archive", "--root", str(tree), "--target", url, "--dry-run")
        assert "keep     vault/: it holds the target or the catalogue of archive_tasks" in ran.out


def test_a_run_says_when_it_began_and_when_it_ended(cli: CommandLine, tree: Path) -> None:
    cli.environment["ARCHIVE_TASKS_BANDWIDTH"] = "1000"
    cli.run("archive", "--root", str(tree), "--yes")
    run = json.loads(cli.run("report", "--json").out)["runs"][0]
    assert run["ended"] > run["started"]


def test_the_question_says_how_many_items_seem_to_be_archived_already(cli: CommandLine, tree: Path) -> None:
    arguments = ("archive", "--root", str(tree), "--target", target_of(cli).as_uri())
    cli.run(*arguments, "--yes")
    make_tree(tree, {"another": OLD})
    code, shown = on_a_terminal(cli, *arguments, keys="y\n")
    assert code == 0
    assert "Archive 3 items (2 of them seem to be archived already)?" in shown


def test_a_line_is_one_write_so_that_threads_do_not_mix_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recording(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.writes: list[str] = []

        def write(self, text: str) -> int:
            self.writes += [text] if text else []
            return len(text)

    out, err = Recording(), Recording()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    console = Console()
    console.say("archived  a")
    console.warn("b is slow")
    assert (out.writes, err.writes) == (["archived  a\n"], ["warning: b is slow\n"])
