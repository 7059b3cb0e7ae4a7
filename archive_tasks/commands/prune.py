"""The task `prune`: its flags. What it does, step by step, is in `archive_tasks/flows/prune.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={
        "orphans": "remove objects of runs that never finished",
        "grace": "leave alone what is younger than this many days (default 14, at least 8)",
        "max-share": "percentage of the target's objects or bytes that may go (default 10)",
        "all-devices": "also what other devices started; otherwise each removes its own",
        "target": TARGET,
        "yes": "do not ask",
        "dry-run": "show what would be removed; remove nothing",
        "json": JSON,
    }
)
def prune(
    c: Context,
    orphans: bool = False,
    grace: str | None = None,
    max_share: str | None = None,
    all_devices: bool = False,
    target: str | None = None,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> Document:
    """Remove what no archive needs: objects of runs that never finished."""
    from archive_tasks.flows import prune as flow

    dry_run = dry_run or bool(c.config.run.dry)
    wanted = flow.options(
        orphans=orphans, grace=grace, max_share=max_share, all_devices=all_devices, yes=yes, dry_run=dry_run
    )
    return flow.prune(c, {"target": target}, wanted, json_document=json)
