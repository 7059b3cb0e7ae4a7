"""The task `scan`: its flags. What it does, step by step, is in `archive_tasks/flows/scan.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, JUDGING
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    iterable=["exclude"],
    help={**JUDGING, "full": "walk fresh items to the end too: their sizes, and near misses", "json": JSON},
)
def scan(
    c: Context,
    root: str | None = None,
    days: str | None = None,
    clock: str | None = None,
    hidden: bool = False,
    exclude: list[str] | None = None,
    full: bool = False,
    json: bool = False,
) -> Document:
    """Show what is stale, what is not, and why; change nothing."""
    from archive_tasks.flows import scan as flow

    flags = {"root": root, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude, "full": full}
    return flow.scan(c, flags, json_document=json)
