"""The task `setup`: its flags. What it does, step by step, is in `archive_tasks/flows/setup.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import CREATE, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(help={"target": TARGET + "; asked for when it is not given", "yes": "do not ask", "create": CREATE})
def setup(c: Context, target: str | None = None, yes: bool = False, create: bool = False) -> Document:
    """Choose a target, create it where it is missing, examine it, and write invoke.yaml."""
    from archive_tasks.flows import setup as flow

    return flow.setup(c, {"target": target}, yes=yes, create=create)
