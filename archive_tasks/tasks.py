"""The Invoke tasks: one thin function a verb. Loading this module loads Invoke, and neither boto3 nor rich.

Each task takes its settings from the `archive` mapping of Invoke's configuration, from `ARCHIVE_TASKS_...`
variables and from its flags, and returns the document that `--json` prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context

from archive_tasks.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.report import Document

_JUDGING = {
    "root": "the folder being kept tidy; each file and folder directly in it is one item",
    "days": "an item is stale when nothing in it was used for this many days (default 30)",
    "clock": "what counts as use: mtime (default), atime, ctime, newest, or a plugin's",
    "hidden": "judge items whose names begin with a dot too",
    "exclude": "leave out what matches this gitignore pattern (repeatable)",
}
_TARGET = "URL of the target: s3://bucket/prefix or file:///folder"
_JSON = "print one JSON document on stdout; messages go to stderr"


@archive_task(
    iterable=["exclude"],
    help={**_JUDGING, "full": "walk fresh items to the end too: their sizes, and near misses", "json": _JSON},
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
    from archive_tasks import verbs

    flags = {"root": root, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude, "full": full}
    return verbs.scan(c, flags, json_document=json)


@archive_task(
    default=True,
    iterable=["exclude"],
    help={
        **_JUDGING,
        "target": _TARGET,
        "scope": "whose archives these are, a path in the target (default: host/root name)",
        "yes": "do not ask; needed where there is no terminal",
        "dry-run": "show what would be archived; write nothing",
        "json": _JSON,
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
) -> Document:
    """Archive what is stale: show the plan, ask, upload, prove, commit."""
    from archive_tasks import verbs_writing

    flags = {"root": root, "target": target, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude}
    dry_run = dry_run or bool(c.config.run.dry)
    return verbs_writing.archive(c, {**flags, "scope": scope}, yes=yes, dry_run=dry_run, json_document=json)


@archive_task(
    help={"target": "only what went to this target", "json": _JSON, "csv": "print the archives as CSV on stdout"}
)
def report(c: Context, target: str | None = None, json: bool = False, csv: bool = False) -> Document:
    """Show what has been archived: when, where, how much."""
    from archive_tasks import verbs

    return verbs.report(c, {"target": target}, json_document=json, csv_text=csv)


@archive_task(help={"target": _TARGET, "json": _JSON})
def doctor(c: Context, target: str | None = None, json: bool = False) -> Document:
    """Find out what a target really does with what it is given, and remember it."""
    from archive_tasks import verbs_writing

    return verbs_writing.doctor(c, {"target": target}, json_document=json)


@archive_task(help={"target": _TARGET + "; asked for when it is not given", "yes": "do not ask"})
def setup(c: Context, target: str | None = None, yes: bool = False) -> Document:
    """Choose a target, create it where it is missing, examine it, and write invoke.yaml."""
    from archive_tasks import verbs_writing

    return verbs_writing.setup(c, {"target": target}, yes=yes)


@archive_task(help={"json": _JSON})
def plugins(c: Context, json: bool = False) -> Document:
    """List every plugin: name, version, where from, and its hooks."""
    from archive_tasks import verbs

    return verbs.plugins(c, json_document=json)


def collection(name: str = "archive", **settings: Any) -> Collection:
    """A fresh collection of the tasks, with settings of its own.

    ```python
    ns = Collection(dump_db, collection(root="~/Documents", days=60))
    ```
    """
    made = Collection(name, scan, archive, report, doctor, setup, plugins)
    if settings:
        made.configure({"archive": settings})
    return made


ns = collection()
