"""The only module that prints, asks, or draws. rich is loaded for a terminal, and for nothing else.

Where stdout is not a terminal, everything comes as plain lines, whole and without colour. With `json`, stdout
holds the one document and nothing else: all text for people goes to stderr.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from archive_tasks.show.plain_progress import PlainProgress

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from archive_tasks.events import Progress

MOST_SHOWN = 50
"""Lines of a list that people read to the end."""
MOST_ROWS = 400
"""Rows of a table on a terminal: rich takes seconds for ten thousand, and nobody reads them."""


class Console:
    """Where text for people goes.

    Args:
        json_document: True when stdout is for one JSON document.
    """

    def __init__(self, *, json_document: bool = False) -> None:
        self._json = json_document
        self._out = _open_stream(sys.stderr if json_document else sys.stdout)
        self._rich: RichConsole | None = None

    @property
    def is_terminal(self) -> bool:
        return self._out.isatty()

    @property
    def can_ask(self) -> bool:
        """Is there a person to answer?"""
        return sys.stdin is not None and sys.stdin.isatty() and self.is_terminal

    @property
    def is_for_json(self) -> bool:
        """Is stdout for one JSON document?"""
        return self._json

    def say(self, text: str = "", style: str = "") -> None:
        """A line for people."""
        if self.is_terminal and style:
            self.rich.print(escaped(text), style=style, highlight=False)
        else:
            print(f"{text}\n", end="", file=self._out, flush=True)  # in one write: several threads print at once

    def warn(self, text: str) -> None:
        """A line on stderr, whatever stdout is for."""
        print(f"warning: {text}\n", end="", file=_open_stream(sys.stderr), flush=True)

    def document(self, value: Any) -> None:
        """The JSON document, where stdout is for one; in ASCII, so that no name can harm a terminal or a decoder."""
        if not self._json:
            return
        out = _open_stream(sys.stdout)
        json.dump(value, out, indent=2)
        print(file=out, flush=True)

    def raw(self, text: str) -> None:
        """Text for a file or another program, as it is."""
        out = _open_stream(sys.stdout)
        out.write(text)
        out.flush()

    def ask(self, question: str, *, default: bool) -> bool:
        """Ask a yes-or-no question on the terminal; end of input is no."""
        choice = "[Y/n]" if default else "[y/N]"
        while True:
            answer = self._read(f"{question} {choice} ")
            if answer is None:
                return False
            if answer.strip().lower() in {"", "y", "yes", "n", "no"}:
                return default if not answer.strip() else answer.strip().lower().startswith("y")

    def ask_text(self, question: str, *, default: str) -> str | None:
        """Ask for a text; nothing typed takes the default, the end of input is None."""
        answer = self._read(f"{question} [{default}] ")
        return None if answer is None else answer.strip() or default

    @property
    def rich(self) -> RichConsole:
        if self._rich is None:
            from rich.console import Console as RichConsole

            self._rich = RichConsole(file=self._out)
        return self._rich

    # -- tables -------------------------------------------------------------------------------------

    def show_rows(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
        """A table of texts that are already escaped; plain lines without a terminal."""
        if not self.is_terminal:
            for row in rows:
                self.say("  ".join(cell for cell in row if cell))
            return
        table = make_table(*columns)
        for row in rows[:MOST_ROWS]:
            table.add_row(*(escaped(cell) for cell in row))
        if rows:
            self.rich.print(table)
        self.say_rest(len(rows))

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A display of an archive run: a live one on a terminal, plain lines elsewhere."""
        if not self.is_terminal:
            yield PlainProgress(self.say)
            return
        from archive_tasks.show.live_progress import LiveProgress

        with LiveProgress(self.rich) as live:
            yield live

    def say_rest(self, rows: int) -> None:
        """How many rows of a table are not shown."""
        if rows > MOST_ROWS:
            self.say(f"… and {rows - MOST_ROWS:,} more (--json lists them all)")

    def _read(self, prompt: str) -> str | None:
        print(prompt, end="", file=self._out, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=self._out)
            return None
        return line


def _open_stream(stream: IO[str] | None) -> IO[str]:
    """A stream that was closed when Python started (`>&-`) is None: nobody wants to hear us, and the work goes on."""
    return stream if stream is not None else _nowhere()


@functools.cache
def _nowhere() -> IO[str]:
    return open(os.devnull, "w", encoding="utf-8", errors="replace")


def escaped(text: str) -> str:
    """`[b]` in a name is not markup."""
    from rich.markup import escape

    return escape(text)


def make_table(*columns: tuple[str, str]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title, justify in columns:
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table
