"""The task `restore`: its flags. What it does, step by step, is in `archive_tasks/flows/restore.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    name_or_all="what",
    iterable=["also"],
    help={
        "what": "an item, a folder or file in it, or a pattern: thesis/data/*.csv",
        "also": "another name (repeatable)",
        "all": "everything in the target",
        "to": "folder to restore into (default: back to where it was)",
        "at": "the newest archive made up to this date, e.g. 2026-05-01",
        "id": "the archive whose id begins with this, as shown when candidates are listed",
        "from-root": "only what was archived from this folder",
        "host": "only what was archived on this host",
        "root": "the folder being kept tidy: whose items are meant, and where they go back to",
        "scope": "only archives of this scope",
        "target": TARGET,
        "overwrite": "replace files that exist with different contents",
        "skip-existing": "leave files that exist, whatever they hold",
        "both": "keep both: the restored file gets a suffix",
        "tier": "how to thaw what is in a cold class: Expedited, Standard, Bulk",
        "wait": "wait until everything is thawed",
        "yes": "do not ask; thaws by the cheapest tier",
        "dry-run": "show what would be fetched, and what it costs; fetch nothing",
        "json": JSON,
    },
)
def restore(
    c: Context,
    what: str = "",
    also: list[str] | None = None,
    all: bool = False,  # noqa: A002 - the flag's name
    to: str | None = None,
    at: str | None = None,
    id: str | None = None,  # noqa: A002 - the flag's name
    from_root: str | None = None,
    host: str | None = None,
    root: str | None = None,
    scope: str | None = None,
    target: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    both: bool = False,
    tier: str | None = None,
    wait: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    json: bool = False,
) -> Document:
    """Bring archived items, folders or single files back."""
    from archive_tasks.flows import restore as flow
    from archive_tasks.flows.restore_request import RestoreOptions, conflict_of, patterns_of

    wanted = RestoreOptions(
        patterns=tuple(patterns_of(what, also, everything=all)),
        to=to or "",
        at=at or "",
        archive_id=id or "",
        from_root=from_root or "",
        host=host or "",
        conflict=conflict_of(overwrite=overwrite, skip=skip_existing, both=both),
        tier=tier or "",
        wait=wait,
        yes=yes,
        dry_run=dry_run or bool(c.config.run.dry),
    )
    flags = {"scope": scope, "target": target, "root": root}
    return flow.restore(c, wanted, flags, json_document=json)
