"""The task `plugins`: its flags. What it does, step by step, is in `archive_tasks/flows/plugins.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(help={"json": JSON})
def plugins(c: Context, json: bool = False) -> Document:
    """List every plugin: name, version, where from, and its hooks."""
    from archive_tasks.flows import plugins as flow

    return flow.plugins(c, json_document=json)
