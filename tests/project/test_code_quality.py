"""Linted, formatted, typed: the same in every checkout, because it is a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy", "--cache-dir", "{cache}"],
    ],
    ids=["lint", "format", "types"],
)
def test_the_code_is_clean(command: list[str], tmp_path: Path) -> None:
    filled = [part.format(cache=tmp_path) for part in command]
    ran = subprocess.run([sys.executable, "-m", *filled], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_top_level_holds_what_the_owner_laid_down() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    top = {name.split("/")[0] for name in listed if not name.startswith(".")}
    allowed = {
        "archive_tasks",
        "plugins",
        "tests",
        "tasks.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    }
    assert top <= allowed
