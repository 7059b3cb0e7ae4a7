"""Odd words, and what to write instead: no string, docstring, comment or page of ours has them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import archive_tasks

PACKAGE = Path(archive_tasks.__file__).parent
TOP = PACKAGE.parent
PAGES = ("README.md", "plugins/README.md")
AVOIDED = {
    r"\banew\b": "again; rebuilt, restarted",
    r"(?<![Tt]here )\b(?:is|are|was|were) none\b": "is not one, is invalid, has no",
    r"(?<![Tt]here )\b(?:is|are|was|were) no (?!longer|more|less)\w+": "is not a",
    r"\b(?:lies|lay)\b|\blie (?:in|at|on|beside|below|there|elsewhere)\b": "is",
    r"\bspeaks? of\b|\bspoken of\b": "refers to, describes",
    r"\b(?:go|goes|gone|going) on with\b|\bto go on\b": "resume, continue",
    r"\btrying on\b": "retrying",
    r"\bmend(?:s|ed|ing)?\b": "fix, repair",
    r"(?<!you are )\btold\b": "reported, called with, distinguished",
    r"\btells\b|\btell (?:of|apart|whether|which)\b": "says, describes, shows",
    r"\bbears?\b": "has",
    r"\bone and the same\b": "the same",
    r"\blets? go of\b": "closes, releases",
    r"\bonce is enough\b": "safe to call twice",
    r"\b(?:inside|outside) of\b": "inside, outside",
    r"\bof the (?:system|kernel|user)'s(?=[.,:;?)]|$)": "a system call, one of the user's files",
    r"\bnobody (?:sets|knows)\b": "monotonic; it is unknown",
    r"\bthe same again\b": "the same command again",
    r"\b(?:known|loaded) (?:are|is) (?!not\b)": "known:",
    r"\bshall\b": "must, should",
    r"\bpassing faults?\b|\bin passing\b": "a temporary fault",
    r"\bfor ever\b": "forever",
    r"\bbut for\b": "except",
}
"""Pattern -> what to write instead."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py")) + sorted((TOP / "plugins").glob("*.py"))


def texts(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each string, docstring and comment."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def avoided(text: str) -> Iterator[tuple[str, str]]:
    """(words, what to write instead) of each that the text has, line breaks or not."""
    for pattern, better in AVOIDED.items():
        for found in re.finditer(pattern, " ".join(text.split())):
            yield found[0], better


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(TOP)))
def test_texts_of_the_code_avoid_odd_words(path: Path) -> None:
    found = [
        f"{path}:{line}: {words!r}; write e.g.: {better}"
        for line, text in texts(path.read_text())
        for words, better in avoided(text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PAGES)
def test_pages_avoid_odd_words(name: str) -> None:
    found = [f"{words!r}; write e.g.: {better}" for words, better in avoided((TOP / name).read_text())]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "the guards are made anew",
        "a pattern that is none",
        "as it lies\n    in the target",
        "the step that it speaks of",
        "run it again to go on",
        "is no folder: is its disk mounted?",
        "this is no JSON",
        "Let go of it, and lets go of it",
    ],
)
def test_odd_words_are_found(text: str) -> None:
    assert list(avoided(text))


@pytest.mark.parametrize(
    "text", ["there is no folder of that name", "believe", "amend", "an alias", "you are told", "is no longer"]
)
def test_plain_words_are_not(text: str) -> None:
    assert not list(avoided(text))
