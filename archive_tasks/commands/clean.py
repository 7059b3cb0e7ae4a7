"""The task `clean`: its flags. What it does, step by step, is in `archive_tasks/flows/clean.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    iterable=["exclude"],
    help={
        "root": "the folder being kept tidy",
        "target": TARGET,
        "days": "clean only what was last used at least this many days ago (default 30)",
        "clock": "what counts as use: mtime (default), atime, ctime, newest, or a plugin's",
        "hidden": "judge items whose names begin with a dot too",
        "exclude": "gitignore pattern that was left out when the items were archived (repeatable)",
        "mode": "quarantine (default: set aside, purged after the grace), trash, move, delete",
        "to": "folder that --mode move moves items to",
        "grace": "days that an item stays set aside (default 7); 0 purges what earlier runs set aside",
        "stub": "leave a small text file where an item was",
        "free": "clean the longest idle first, until the disk has this much free, e.g. 50GB",
        "max-items": "free at most this many items",
        "max-bytes": "free at most this much, e.g. 100GB",
        "max-share": "percentage of the root's items that --yes may free (default 80)",
        "read-data": "read every archived byte back first, whatever the target reports",
        "discard-left-out": "also clean items of which something was left out of the archive; that part is lost",
        "yes": "do not ask; needed where there is no terminal",
        "dry-run": "show what would go; touch nothing",
        "json": JSON,
    },
)
def clean(
    c: Context,
    root: str | None = None,
    target: str | None = None,
    days: str | None = None,
    clock: str | None = None,
    hidden: bool = False,
    exclude: list[str] | None = None,
    mode: str | None = None,
    to: str | None = None,
    grace: str | None = None,
    stub: bool = False,
    free: str | None = None,
    max_items: str | None = None,
    max_bytes: str | None = None,
    max_share: str | None = None,
    read_data: bool = False,
    discard_left_out: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> Document:
    """Free the local copies of what is provably archived; undo puts them back."""
    from archive_tasks.flows import clean as flow

    judging = {"root": root, "target": target, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude}
    limits = {"mode": mode, "to": to, "grace": grace, "stub": stub}
    limits |= {"max_items": max_items, "max_bytes": max_bytes, "max_share": max_share}
    wanted = flow.clean_request(
        free=free,
        read_data=read_data,
        discard_left_out=discard_left_out,
        yes=yes,
        dry_run=dry_run or bool(c.config.run.dry),
    )
    flags = judging | {f"clean.{name}": value for name, value in limits.items()}
    return flow.clean(c, flags, wanted, json_document=json)
