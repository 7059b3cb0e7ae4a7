"""The task `undo`: its flags. What it does, step by step, is in `archive_tasks/flows/undo.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={
        "item": "only the item of this name",
        "all": "everything that is set aside, not only what the last clean did",
        "root": "the folder being kept tidy",
        "json": JSON,
    }
)
def undo(
    c: Context,
    item: str | None = None,
    all: bool = False,  # noqa: A002 - the flag's name
    root: str | None = None,
    json: bool = False,
) -> Document:
    """Put back what the last clean set aside, as long as it is not purged."""
    from archive_tasks.flows import undo as flow

    return flow.undo(c, item, {"root": root}, everything=all, json_document=json)
