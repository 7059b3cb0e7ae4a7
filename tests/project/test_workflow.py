"""The workflow does what the README and pyproject.toml say: the same test command, on the same Pythons."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from invoke.util import yaml  # type: ignore[attr-defined]  # its own, or the installed one

ROOT = Path(__file__).parent.parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PYTHON = "Programming Language :: Python :: 3."


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def commands(job: str) -> list[str]:
    return [step["run"].strip() for step in jobs()[job]["steps"] if "run" in step]


def test_the_workflow_runs_the_test_command_of_the_readme() -> None:
    command = commands("tests")[-1]
    assert (
        f"Run all tests, linter and type checker included:\n\n```sh\n{command}\n```" in (ROOT / "README.md").read_text()
    )


def test_the_workflow_runs_on_every_python_that_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if one.startswith(PYTHON)]
    assert jobs()["tests"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_the_wheel_is_tried_outside_of_the_checkout() -> None:
    *_, used = (step for step in jobs()["wheel"]["steps"] if "run" in step)
    assert used["working-directory"] == "${{ runner.temp }}"
    for tried in ("--version", "--list", "archive --root papers --yes"):
        assert f"archive-tasks {tried}\n" in used["run"]
    assert "--target" not in used["run"], "the default target is tried"
