"""What `plugins` does: list what is loaded, and from where."""

from __future__ import annotations

from typing import Any

from archive_tasks.flows.invocation import session_of
from archive_tasks.plugins import list_plugins
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.show.plugins import plugins_document, show_plugins


def plugins(c: Any, *, json_document: bool) -> Document:
    """List the plugins in the order in which they are asked."""
    console = Console(json_document=json_document)
    found = list_plugins(session_of(c, {}).manager)
    document = plugins_document(found)
    console.document(document)
    if not json_document:
        show_plugins(found, console)
    return document
