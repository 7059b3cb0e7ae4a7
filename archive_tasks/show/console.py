"""The only module that prints, asks, or draws. rich is loaded for a terminal, and for nothing else.

Where stdout is no terminal, everything comes as plain lines, whole and without colour. With `json`, stdout
holds the one document and nothing else: every word for people goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from archive_tasks.names import display
from archive_tasks.show import report
from archive_tasks.show.plain_progress import PlainProgress

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from archive_tasks.events import Progress
    from archive_tasks.model import Outcome, Plan
    from archive_tasks.plugins import PluginInfo
    from archive_tasks.store import Answer, Probe

MOST_ROWS = 400
"""Rows of a table on a terminal: rich takes seconds for ten thousand, and nobody reads them."""


class Console:
    """Where words for people go.

    Args:
        json_document: True when stdout is for one JSON document.
    """

    def __init__(self, *, json_document: bool = False) -> None:
        self._json = json_document
        self._out: IO[str] = sys.stderr if json_document else sys.stdout
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
            self.rich.print(_escaped(text), style=style, highlight=False)
        else:
            print(f"{text}\n", end="", file=self._out, flush=True)  # in one write: items' threads speak at once

    def warn(self, text: str) -> None:
        """A line on stderr, whatever stdout is for."""
        print(f"warning: {text}\n", end="", file=sys.stderr, flush=True)

    def document(self, value: Any) -> None:
        """The JSON document, in ASCII, so that no name can harm a terminal or a decoder."""
        json.dump(value, sys.stdout, indent=2)
        print(flush=True)

    def raw(self, text: str) -> None:
        """Text for a file or another program, as it is."""
        sys.stdout.write(text)
        sys.stdout.flush()

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

    def show_plan(self, plan: Plan) -> None:
        """The table of a scan, its warnings, and its sum."""
        rows = report.plan_rows(plan)
        self.say(f"{display(_from_home(plan.root))}: stale after {plan.days} days without use, by {plan.clock}")
        if self.is_terminal and rows:
            self._plan_table(rows)
        for row in [] if self.is_terminal else rows:
            self.say(f"{row.decision:<7}  {row.item}: {row.reason}{f' ({row.amount})' if row.amount else ''}")
        for warning in plan.warnings:
            self.warn(warning)
        self.say(report.plan_summary(plan), style="bold")

    def _plan_table(self, rows: Sequence[report.PlanRow]) -> None:
        table = _table(
            ("item", "left"),
            ("days idle", "right"),
            ("files", "right"),
            ("size", "right"),
            ("decision", "left"),
            ("why", "left"),
        )
        for row in rows[:MOST_ROWS]:
            colour = "green" if row.decision == "archive" else "dim"
            why = "" if row.reason.startswith("not used for ") else row.reason  # the column `days idle` says it
            decision = f"[bold {colour}]{row.decision}[/]"
            table.add_row(_escaped(row.item), row.idle, row.files, row.size, decision, f"[dim]{_escaped(why)}[/]")
        self.rich.print(table)
        self._say_rest(len(rows))

    def show_archives(self, target: str, rows: Sequence[report.ArchiveRow]) -> None:
        """The archives in one target."""
        self.say(target, style="bold")
        if not self.is_terminal:
            for row in rows:
                local = f"  {row.local}" if row.local else ""
                self.say(f"{row.when} UTC  {row.item}  {row.amount}  {row.proven}  {row.scope}{local}")
            return
        right = "right"
        table = _table(
            ("archived (UTC)", "left"),
            ("run", right),
            ("item", "left"),
            ("files", right),
            ("size", right),
            ("proven by", "left"),
            ("scope", "left"),
            ("local copy", "left"),
        )
        for row in rows[-MOST_ROWS:]:
            cells = (row.when, row.run, row.item, row.files, row.size, row.proven, row.scope, row.local)
            table.add_row(*(_escaped(cell) for cell in cells))
        self.rich.print(table)
        self._say_rest(len(rows))

    def show_rows(self, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]) -> None:
        """A table of texts that are harmless already; plain lines where there is no terminal."""
        if not self.is_terminal:
            for row in rows:
                self.say("  ".join(cell for cell in row if cell))
            return
        table = _table(*columns)
        for row in rows[:MOST_ROWS]:
            table.add_row(*(_escaped(cell) for cell in row))
        if rows:
            self.rich.print(table)
        self._say_rest(len(rows))

    def show_plugins(self, plugins: Sequence[PluginInfo]) -> None:
        """The plugins, in the order in which they are asked."""
        if not self.is_terminal:
            for one in plugins:
                self.say(f"{one.name}  {one.version}  {display(one.origin)}  {', '.join(one.hooks)}")
            return
        table = _table(("plugin", "left"), ("version", "left"), ("from", "left"), ("hooks", "left"))
        for one in plugins:
            table.add_row(one.name, one.version, _escaped(display(one.origin)), ", ".join(one.hooks))
        self.rich.print(table)

    def show_answer(self, probe: Probe, answer: Answer) -> None:
        """One finding of the doctor."""
        mark, style = {True: ("yes", "green"), False: ("NO ", "red"), None: ("?  ", "yellow")}[answer.ok]
        if answer.ok is False and not probe.serious:
            mark, style = "no ", "yellow"
        self.say(f"  {mark}  {display(probe.question)}: {display(answer.detail)}", style=style)

    def show_outcome(self, outcome: Outcome) -> None:
        """What a run did; failures by name."""
        for item, reason in outcome.failed:
            self.say(f"FAILED  {display(item)}: {reason}", style="bold red")
        self.say(report.outcome_summary(outcome), style="bold")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A display of an archive run: a live one on a terminal, plain lines elsewhere."""
        if not self.is_terminal:
            yield PlainProgress(self.say)
            return
        from archive_tasks.show.live_progress import LiveProgress

        with LiveProgress(self.rich) as live:
            yield live

    def _say_rest(self, rows: int) -> None:
        if rows > MOST_ROWS:
            self.say(f"… and {rows - MOST_ROWS:,} more (--json lists them all)")

    def _read(self, prompt: str) -> str | None:
        print(prompt, end="", file=self._out, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=self._out)
            return None
        return line


def _from_home(path: str) -> str:
    """`~/Documents`, as people say it."""
    home = os.path.expanduser("~")
    return "~" + path.removeprefix(home) if path == home or path.startswith(home + "/") else path


def _escaped(text: str) -> str:
    """`[b]` in a name is no markup."""
    from rich.markup import escape

    return escape(text)


def _table(*columns: tuple[str, str]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title, justify in columns:
        table.add_column(title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table
