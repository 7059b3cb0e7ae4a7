"""The task `verify`: its flags. What it does, step by step, is in `archive_tasks/flows/verify.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={
        "item": "only the archives of this item",
        "target": TARGET,
        "read-data": "read every byte, unpack every pack, whatever the target reports",
        "sample": "read this share of the objects, e.g. 5%",
        "quick": "read nothing: presence, size, and checksums where they are proof",
        "repair": "write missing manifests again, from their copies or this device's catalogue",
        "json": JSON,
    }
)
def verify(
    c: Context,
    item: str | None = None,
    target: str | None = None,
    read_data: bool = False,
    sample: str | None = None,
    quick: bool = False,
    repair: bool = False,
    json: bool = False,
) -> Document:
    """Make sure that the target holds every archive, whole and unchanged."""
    from archive_tasks.flows import verify as flow

    wanted = flow.options(item=item, read_data=read_data, sample=sample, quick=quick, repair=repair)
    return flow.verify(c, wanted, {"target": target}, json_document=json)
