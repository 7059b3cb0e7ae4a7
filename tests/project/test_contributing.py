"""CONTRIBUTING.md says what is so: its commands are the README's, and what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.project.test_architecture_page import all_tests

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
README = (ROOT / "README.md").read_text()


def test_it_is_set_up_by_the_two_commands_of_the_readme() -> None:
    two = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(two) == 2
    assert set(re.findall(r"^python3 -m venv .*$", PAGE, re.MULTILINE)) == set(two)


def test_every_file_and_every_program_that_it_names_is_there() -> None:
    files = {
        *re.findall(r"`([\w.]+/[\w/.]*)`", PAGE),
        *re.findall(r"\]\((?!http)([^)]+)\)", PAGE),
        *re.findall(r"\b(?:archive_tasks|tests)/[\w/]+\.py", PAGE),
        *re.findall(r"pytest .*\b(tests/\w+)", PAGE),
    }
    assert len(files) > 15
    assert not {one for one in files if not (ROOT / one).exists() and not (ROOT / ".github" / one).exists()}
    programs = {one.replace(".", "/") + ".py" for one in re.findall(r"python -m (tests[\w.]+)", PAGE)}
    assert len(programs) == 5
    assert not {one for one in programs if not (ROOT / one).exists()}


def test_every_test_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 5
    assert not named - all_tests()
    chosen = set(re.findall(r"\btest_\w+(?=\.py|\b)", " ".join(re.findall(r"^.*\.venv/bin/p.*$", PAGE, re.MULTILINE))))
    assert chosen <= {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
