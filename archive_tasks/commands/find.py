"""The task `find`: its flags. What it does, step by step, is in `archive_tasks/flows/find.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={"what": "pieces of the path, in any order; * and ? stand for anything", "target": TARGET, "json": JSON}
)
def find(c: Context, what: str, target: str | None = None, json: bool = False) -> Document:
    """Find archived files by pieces of their names, offline."""
    from archive_tasks.flows import find as flow

    return flow.find(c, what, {"target": target}, json_document=json)
