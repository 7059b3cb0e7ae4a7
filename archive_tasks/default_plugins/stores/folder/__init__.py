"""A folder as a target: the plugin that opens `file:///folder` targets."""

from __future__ import annotations

from collections.abc import Mapping

from archive_tasks import hookimpl
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.settings import Settings
from archive_tasks.store import StoreFactory


@hookimpl
def register_stores(settings: Settings) -> Mapping[str, StoreFactory]:
    return {"file": FolderStore}
