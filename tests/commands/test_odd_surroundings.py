"""Commands where something around them is odd: closed streams, plugins that answer nonsense, catalogues that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine

HEAD = "from archive_tasks import hookimpl\n@hookimpl\ndef "


@pytest.fixture
def tree(root: Path) -> Path:
    make_tree(root, {"thesis": {"a": File("a" * 1000, age_days=400)}, "note": File("n", age_days=400)})
    return root


def archived(cli: CommandLine, tree: Path, name: str = "target") -> str:
    target = (cli.project / name).as_uri()
    assert cli.run("archive", "--root", str(tree), "--target", target, "--yes").code == 0
    return target


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_does_its_work(cli: CommandLine, tree: Path, streams: str) -> None:
    target = cli.project / "target"
    for task in (
        f"scan --root {tree}",
        f"archive --root {tree} --target {target.as_uri()} --yes",
        "report",
        "report --csv",
    ):
        line = f"{sys.executable} -m invoke {task} {streams}"
        done = subprocess.run(
            ["sh", "-c", line], cwd=cli.project, env=cli.env(), capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert len(list(target.glob("manifests/**/*.zst"))) == 2


def test_no_file_is_opened_in_the_place_of_a_stream_that_was_closed(cli: CommandLine, tree: Path) -> None:
    """Else what a library says on stderr would be in an object, or in a file of the user's."""
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "looking.py").write_text(
        "import os\nfrom archive_tasks import hookimpl\n@hookimpl\ndef make_noise_filter(root, settings):\n"
        f"    found = [os.readlink(f'/proc/self/fd/{{number}}') for number in (0, 1, 2)]\n"
        f"    open({str(tree.parent / 'found')!r}, 'w').write(' '.join(found))\n"
    )
    line = f"{sys.executable} -m invoke scan --root {tree} <&- >&- 2>&-"
    subprocess.run(["sh", "-c", line], cwd=cli.project, env=cli.env(), check=True)
    assert (tree.parent / "found").read_text() == "/dev/null /dev/null /dev/null"


@pytest.mark.parametrize(
    ("hook", "says"),
    [
        ("register_clocks(settings):\n    return [1]", "register_clocks of odd"),
        ("register_clocks(settings):\n    return {'x': 5}", "not a function"),
        ("register_stores(settings):\n    return {'foo': 5}", "not a function"),
        (
            "register_stores(settings):\n    return {'foo': lambda url, settings: 1 / 0}\n"
            "@hookimpl\ndef choose_target(root, settings):\n    return 'foo://x'",
            "opens foo:// failed at foo://x: ZeroDivisionError",
        ),
    ],
)
def test_a_plugin_that_answers_nonsense_ends_the_run_by_its_name(
    cli: CommandLine, tree: Path, hook: str, says: str
) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "odd.py").write_text(HEAD + hook + "\n")
    ran = cli.run("archive", "--root", str(tree), "--yes")
    assert (ran.code, ran.err.count("\n"), says in ran.err) == (2, 1, True), ran.err


@pytest.mark.parametrize(
    ("hook", "blamed"),
    [
        ("make_noise_filter(root, settings):\n    return lambda *_: 1 / 0", "a noise filter failed at"),
        (
            "register_clocks(settings):\n    return {'odd': lambda path, facts: 'yesterday'}\n"
            "@hookimpl\ndef choose_clock(root, settings):\n    return 'odd'",
            "the clock odd failed at",
        ),
    ],
)
def test_a_function_of_a_plugin_that_fails_keeps_the_item(cli: CommandLine, tree: Path, hook: str, blamed: str) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "odd.py").write_text(HEAD + hook + "\n")
    ran = cli.run("scan", "--root", str(tree), "--json")
    assert ran.code == 0, ran.err
    decided = {one["name"]: one for one in json.loads(ran.out)["items"]}
    assert {one["decision"] for one in decided.values()} == {"keep"}
    assert all(one["reason"].startswith(blamed) for one in decided.values()), decided


def test_find_does_not_say_that_nothing_is_there_when_it_could_not_look(cli: CommandLine, tree: Path) -> None:
    archived(cli, tree)
    (catalogue,) = Path(os.environ["XDG_DATA_HOME"]).glob("archive_tasks/catalogues/*.sqlite")
    assert cli.run("find", "thesis").code == 0
    catalogue.write_bytes(b"garbage" * 1000)
    ran = cli.run("find", "thesis")
    assert ran.code == 3
    assert "1 catalogue was not searched" in ran.err


def test_find_names_a_target_that_it_knows_nothing_of(cli: CommandLine, tree: Path) -> None:
    target = archived(cli, tree)
    ran = cli.run("find", "thesis", "--target", "file:///nowhere")
    assert (ran.code, "knows nothing of file:///nowhere" in ran.err) == (2, True)
    said = cli.run("find", "thesis", "--target", target).out
    command = said.rpartition("get one back with: ")[2].strip().split()
    assert command[-2:] == ["--target", target]
    (tree / "thesis" / "a").unlink()
    assert cli.run(*command).code == 0
    assert (tree / "thesis" / "a").exists()


def test_a_new_device_restores_into_the_root_that_it_names(
    cli: CommandLine, tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = archived(cli, tree)
    (tree / "note").unlink()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another"))
    ran = cli.run("restore", "note", "--root", str(tree), "--target", target)
    assert ran.code == 0, ran.err
    assert (tree / "note").read_text() == "n"


def test_settings_of_the_program_that_cannot_be_read_are_one_line(cli: CommandLine) -> None:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "archive_tasks"
    folder.mkdir(parents=True)
    program = [sys.executable, "-c", "from archive_tasks.program import main; main()", "report"]
    for make, says in (
        (lambda path: path.write_bytes(b"archive:\n  root: \xff\xfe\n"), "not valid YAML"),
        (lambda path: path.mkdir(), "is a folder"),
    ):
        path = folder / "invoke.yaml"
        make(path)
        done = subprocess.run(program, env=cli.env(), capture_output=True, text=True, check=False)
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
        path.unlink() if path.is_file() else path.rmdir()
