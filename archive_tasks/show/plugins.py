"""The list of plugins, for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from archive_tasks.names import display
from archive_tasks.show.console import Console, escaped, make_table

if TYPE_CHECKING:
    from archive_tasks.plugins import PluginInfo
from archive_tasks.show.document import Document


def plugins_document(plugins: Sequence[PluginInfo]) -> Document:
    """The document of `plugins`, in the order in which they are asked."""
    return {
        "plugins": [
            {"name": one.name, "origin": one.origin, "version": one.version, "hooks": list(one.hooks)}
            for one in plugins
        ]
    }


def show_plugins(plugins: Sequence[PluginInfo], console: Console) -> None:
    """The plugins, in the order in which they are asked."""
    if not console.is_terminal:
        for one in plugins:
            console.say(f"{one.name}  {one.version}  {display(one.origin)}  {', '.join(one.hooks)}")
        return
    table = make_table(("plugin", "left"), ("version", "left"), ("from", "left"), ("hooks", "left"))
    for one in plugins:
        table.add_row(one.name, one.version, escaped(display(one.origin)), ", ".join(one.hooks))
    console.rich.print(table)
