"""The architecture page, archive_tasks/README.md, says what is so: its rooms, its files, and the tests that it names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.project.test_architecture import FLOORS, PACKAGE

ROOT = PACKAGE.parent
PAGE = (PACKAGE / "README.md").read_text()
NEVER = PAGE.partition("## What must never happen")[2].partition("\n## ")[0]
RULES = re.findall(r"^\d+\. \*\*(.+?)\*\*(.+?)(?=^\d+\. |\Z)", NEVER, re.MULTILINE | re.DOTALL)


def rooms_table() -> str:
    """The rooms, the top floor first; what each is for is the first sentence of its docstring."""
    rows = ["| floor | room | what it is for |", "|---|---|---|"]
    for floor, rooms in sorted(enumerate(FLOORS, start=1), reverse=True):
        rows += [f"| {floor} | {_link(room)} | {_sentence(room)} |" for room in sorted(rooms)]
    return "\n".join(rows)


def _link(room: str) -> str:
    name = f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py"
    return f"[`{name}`]({name})"


def _sentence(room: str) -> str:
    path = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
    documented = ast.get_docstring(ast.parse(path.read_text()))
    assert documented, f"{path} does not say what it is for"
    return documented.splitlines()[0].partition(". ")[0].removesuffix(".") + "."


def test_the_table_of_rooms_is_that_of_the_code() -> None:
    shown = PAGE.partition("<!-- rooms -->")[2].partition("<!-- end of rooms -->")[0].strip()
    assert shown == rooms_table(), f"archive_tasks/README.md wants this table:\n{rooms_table()}"


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`([\w/.]+(?:\.py|\.toml|\.md|/))`", PAGE))
    assert len(named) > 50
    assert not {one for one in named if not (PACKAGE / one).exists() and not (ROOT / one).exists()}


def test_every_place_that_the_page_links_to_is_there() -> None:
    linked = set(re.findall(r"\]\((?!http)([^)]+)\)", PAGE))
    assert not {one for one in linked if not (PACKAGE / one).exists()}


def test_ten_things_must_never_happen() -> None:
    assert len(RULES) == 10


@pytest.mark.parametrize(("rule", "text"), RULES, ids=[rule for rule, _ in RULES])
def test_what_must_never_happen_is_held_by_tests_that_are_there(rule: str, text: str) -> None:
    named = re.findall(r"`(test_\w+)`", text)
    assert named, rule
    assert not set(named) - all_tests(), rule


def all_tests() -> set[str]:
    """Names of all tests, wherever below tests/ they are."""
    sources = (path.read_text() for path in Path(ROOT, "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^ *def (test_\w+)\(", source, re.MULTILINE)}
