"""Under Fabric, and under the oldest Invoke that we support, which Fabric brings: the same tasks, unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fabric and its own Invoke in a folder of their own: it cannot live beside Invoke 3."""
    folder = tmp_path_factory.mktemp("fabric")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--target",
        str(folder),
        "fabric>=3.2.3",
        "invoke==2.2.0",
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def run(fabric: Path, cli: CommandLine, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"from {program} import program; program.run()"
    environment = cli.env() | {"PYTHONPATH": str(fabric), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cli.project, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("program", ["fabric.main", "invoke.main"])
def test_scan_archive_and_report_work_as_they_do_elsewhere(
    fabric: Path, cli: CommandLine, root: Path, program: str
) -> None:
    make_tree(root, {"item": {"old": File("old", age_days=90)}, "new": File("new", age_days=1)})
    (cli.project / "fabfile.py").write_text((cli.project / "tasks.py").read_text())
    (cli.project / "fabric.yaml").write_text(f"archive:\n  root: {root}\n")
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {root}\n")
    scanned = run(fabric, cli, program, "scan", "--json")
    assert scanned.returncode == 0, scanned.stderr
    assert {item["name"]: item["decision"] for item in json.loads(scanned.stdout)["items"]} == {
        "item": "archive",
        "new": "keep",
    }
    done = run(fabric, cli, program, "scan", "archive", "--yes", "report")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stale after 30 days") == 1
    assert "1 archive, 1 file, 3 B" in done.stdout
    assert run(fabric, cli, program, "scan", "--root", "/missing").returncode == 2


def test_hosts_are_told_that_the_work_is_done_here(fabric: Path, cli: CommandLine, root: Path) -> None:
    (cli.project / "fabfile.py").write_text((cli.project / "tasks.py").read_text())
    ran = run(fabric, cli, "fabric.main", "-H", "one,two", "scan", "--root", str(root))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("this runs on the local machine, once for each host") == 2
