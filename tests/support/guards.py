"""Asks one guard of an item, as a scan does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from archive_tasks.items.guards import reasons_to_keep
from archive_tasks.items.rules import make_rules
from archive_tasks.model import Item
from archive_tasks.plugins import DEFAULT_PLUGINS, list_plugins, make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from tests.conftest import NOW


def guards() -> set[str]:
    """Names of the built-in guards."""
    return {plugin.name for plugin in list_plugins(make_plugin_manager()) if "make_guard" in plugin.hooks}


def one_guard(root: Path, guard: str, **settings: Any) -> Session:
    """A session with no other guard."""
    assert any(dotted.endswith(f".{guard}") for dotted in DEFAULT_PLUGINS)
    manager = make_plugin_manager(off=guards() - {guard})
    return Session(
        make_settings({"root": str(root), **settings}, {}, {}), manager, now=NOW, data=str(root / ".." / "data")
    )


def reasons(root: Path, name: str, guard: str, **settings: Any) -> list[str]:
    """What the guard says of the item `name`, looking now."""
    kind = "folder" if os.path.isdir(root / name) else "file"
    session = one_guard(root, guard, **settings)
    return reasons_to_keep(session, Item(name=name, root=str(root), kind=kind), make_rules(session, str(root)))
