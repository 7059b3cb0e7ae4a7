"""Patterns of paths: which entries a text like `thesis/data/*.csv` names."""

from __future__ import annotations

import re

from archive_tasks.errors import UsageError
from archive_tasks.names import display

_WILD = re.compile(r"[*?\[]")
_RANGE_OR_ONE = re.compile(r"(.)-(.)|(.)", re.S)
EVERYTHING = ""
"""A pattern that cannot be confused with a name: an item may be called `*`."""


class PathPattern:
    """A path, or a pattern of paths; what is below a path that matches is meant too.

    Args:
        literal: True takes the whole text as it is, `literal_item` its first name.

    Attributes:
        path: the text as a path.
    """

    def __init__(self, text: str, *, literal: bool = False, literal_item: bool = False) -> None:
        self.text = text
        segments = [segment for segment in text.split("/") if segment]
        if not segments or any(segment in {".", ".."} for segment in segments):
            raise UsageError(f"{display(text) or 'an empty text'} names nothing: write e.g. thesis/data/run7.csv")
        self.path = "/".join(segments)
        as_it_is = [literal or (literal_item and not number) for number in range(len(segments))]
        wild = [bool(_WILD.search(one)) and not plain for one, plain in zip(segments, as_it_is, strict=True)]
        first_wild = wild.index(True) if any(wild) else len(segments)
        self._parents = min(first_wild, len(segments) - 1)
        try:
            names = [
                _translated(one) if is_wild else re.escape(one) for one, is_wild in zip(segments, wild, strict=True)
            ]
            self._item = re.compile(names[0])
            path = "/".join(names).replace("(?:.*)/", "(?:.*/)?") + "(?:/.*)?"
            self._path = re.compile(path, re.S)
        except re.error as error:
            raise UsageError(f"{display(text)} is not a pattern: {error.msg}") from None
        self.names_many = wild[0]

    def is_of(self, item: str) -> bool:
        """Can an item of this name hold what is meant?"""
        return self._item.fullmatch(item) is not None

    def matches(self, path: str) -> bool:
        return self._path.fullmatch(path) is not None

    def stripped(self, path: str) -> str:
        """The path without the folders that the pattern names before what it asks for."""
        return "/".join(path.split("/")[self._parents :])


def _translated(segment: str) -> str:
    """A regular expression for one name."""
    if segment == "**":
        return "(?:.*)"
    pieces = re.split(r"(\*|\?|\[!?[^]]+\])", segment)
    return "".join(_piece(piece) for piece in pieces)


def _piece(piece: str) -> str:
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 2 and piece.startswith("[") and piece.endswith("]"):
        inside = _RANGE_OR_ONE.sub(_one_of_a_set, piece[1:-1].removeprefix("!"))
        return f"[^{inside}/]" if piece.startswith("[!") else f"(?!/)[{inside}]"
    return re.escape(piece)


def _one_of_a_set(found: re.Match[str]) -> str:
    """A character, or two and what is between them, as re takes them, whatever else it may accept in a set one day."""
    return "-".join(re.sub(r"([^\w\s])", r"\\\1", one) for one in found.groups() if one)
