"""S3, and what speaks its protocol: the plugin that opens `s3://bucket/prefix` targets."""

from __future__ import annotations

from collections.abc import Mapping

from archive_tasks import hookimpl
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.settings import Settings
from archive_tasks.store import StoreFactory


@hookimpl
def register_stores(settings: Settings) -> Mapping[str, StoreFactory]:
    return {"s3": S3Store}
