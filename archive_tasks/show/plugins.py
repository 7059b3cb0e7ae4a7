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
            {"name": plugin.name, "origin": plugin.origin, "version": plugin.version, "hooks": list(plugin.hooks)}
            for plugin in plugins
        ]
    }


def show_plugins(plugins: Sequence[PluginInfo], console: Console) -> None:
    """The plugins, in the order in which they are asked."""
    if not console.is_terminal:
        for plugin in plugins:
            console.say(f"{plugin.name}  {plugin.version}  {display(plugin.origin)}  {', '.join(plugin.hooks)}")
        return
    table = make_table(("plugin", "left"), ("version", "left"), ("from", "left"), ("hooks", "left"))
    for plugin in plugins:
        table.add_row(plugin.name, plugin.version, escaped(display(plugin.origin)), ", ".join(plugin.hooks))
    console.rich.print(table)
