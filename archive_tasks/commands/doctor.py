"""The task `doctor`: its flags. What it does, step by step, is in `archive_tasks/flows/doctor.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(help={"target": TARGET, "json": JSON})
def doctor(c: Context, target: str | None = None, json: bool = False) -> Document:
    """Find out what a target really does with what it is given, and remember it."""
    from archive_tasks.flows import doctor as flow

    return flow.doctor(c, {"target": target}, json_document=json)
