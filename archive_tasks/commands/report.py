"""The task `report`: its flags. What it does, step by step, is in `archive_tasks/flows/report.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={"target": "only what went to this target", "json": JSON, "csv": "print the archives as CSV on stdout"}
)
def report(c: Context, target: str | None = None, json: bool = False, csv: bool = False) -> Document:
    """Show what has been archived: when, where, how much."""
    from archive_tasks.flows import report as flow

    return flow.report(c, {"target": target}, json_document=json, csv_text=csv)
