"""The task `archive`: its flags. What it does, step by step, is in `archive_tasks/flows/archive.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import CREATE, JSON, JUDGING, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    default=True,
    iterable=["exclude"],
    help={
        **JUDGING,
        "target": TARGET,
        "scope": "whose archives these are, a path in the target (default: host/root name)",
        "yes": "do not ask; needed where there is no terminal",
        "dry-run": "show what would be archived; write nothing",
        "json": JSON,
        "create": CREATE,
    },
)
def archive(
    c: Context,
    root: str | None = None,
    target: str | None = None,
    days: str | None = None,
    clock: str | None = None,
    hidden: bool = False,
    exclude: list[str] | None = None,
    scope: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
    create: bool = False,
) -> Document:
    """Archive what is stale: show the plan, ask, upload, prove, commit."""
    from archive_tasks.flows import archive as flow

    flags = {"root": root, "target": target, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude}
    dry_run = dry_run or bool(c.config.run.dry)
    flags["scope"] = scope
    return flow.archive(c, flags, yes=yes, dry_run=dry_run, json_document=json, create=create)
