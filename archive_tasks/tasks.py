"""The Invoke tasks: one thin function a verb. Loading this module loads Invoke, and neither boto3 nor rich.

Each task takes its settings from the `archive` mapping of Invoke's configuration, from `ARCHIVE_TASKS_...`
variables and from its flags, and returns the document that `--json` prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context

from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.report import Document

_JUDGING = {
    "root": "the folder being kept tidy; each file and folder directly in it is one item",
    "days": "an item is stale when nothing in it was used for this many days (default 30)",
    "clock": "what counts as use: mtime (default), atime, ctime, newest, or a plugin's",
    "hidden": "judge items whose names begin with a dot too",
    "exclude": "leave out what matches this gitignore pattern (repeatable)",
}
_TARGET = "URL of the target: s3://bucket/prefix or file:///folder"
_CREATE = "use a target that is not empty, for the first time"
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
    from archive_tasks.commands import scan as verbs

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
        "create": _CREATE,
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
    from archive_tasks.commands import archive as verbs_writing

    flags = {"root": root, "target": target, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude}
    dry_run = dry_run or bool(c.config.run.dry)
    flags["scope"] = scope
    return verbs_writing.archive(c, flags, yes=yes, dry_run=dry_run, json_document=json, create=create)


@archive_task(
    help={"target": "only what went to this target", "json": _JSON, "csv": "print the archives as CSV on stdout"}
)
def report(c: Context, target: str | None = None, json: bool = False, csv: bool = False) -> Document:
    """Show what has been archived: when, where, how much."""
    from archive_tasks.commands import scan as verbs

    return verbs.report(c, {"target": target}, json_document=json, csv_text=csv)


@archive_task(help={"target": _TARGET, "json": _JSON})
def doctor(c: Context, target: str | None = None, json: bool = False) -> Document:
    """Find out what a target really does with what it is given, and remember it."""
    from archive_tasks.commands import archive as verbs_writing

    return verbs_writing.doctor(c, {"target": target}, json_document=json)


@archive_task(help={"target": _TARGET + "; asked for when it is not given", "yes": "do not ask", "create": _CREATE})
def setup(c: Context, target: str | None = None, yes: bool = False, create: bool = False) -> Document:
    """Choose a target, create it where it is missing, examine it, and write invoke.yaml."""
    from archive_tasks.commands import archive as verbs_writing

    return verbs_writing.setup(c, {"target": target}, yes=yes, create=create)


@archive_task(
    help={"what": "pieces of the path, in any order; * and ? stand for anything", "target": _TARGET, "json": _JSON}
)
def find(c: Context, what: str, target: str | None = None, json: bool = False) -> Document:
    """Find archived files by pieces of their names, offline."""
    from archive_tasks.commands import find as verbs_finding

    return verbs_finding.find(c, what, {"target": target}, json_document=json)


@archive_task(
    name_or_all="what",
    iterable=["also"],
    help={
        "what": "an item, a folder or file in it, or a pattern: thesis/data/*.csv",
        "also": "a further name (repeatable)",
        "all": "everything in the target",
        "to": "folder to restore into (default: back to where it was)",
        "at": "the newest archive made up to this date, e.g. 2026-05-01",
        "id": "the archive whose id begins like this, as candidates are listed",
        "from-root": "only what was archived from this folder",
        "host": "only what was archived on this host",
        "root": "the folder being kept tidy: whose items are meant, and where they go back to",
        "scope": "only archives of this scope",
        "target": _TARGET,
        "overwrite": "replace files that are there with other contents",
        "skip-existing": "leave files that are there, whatever they hold",
        "both": "keep both: the restored file gets a suffix",
        "tier": "how to thaw what is in a cold class: Expedited, Standard, Bulk",
        "wait": "wait until everything is thawed",
        "yes": "do not ask; thaws by the cheapest tier",
        "dry-run": "show what would be fetched, and what it costs; fetch nothing",
        "json": _JSON,
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
    from archive_tasks.commands import restore as verbs_restoring

    wanted = verbs_restoring.RestoreOptions(
        patterns=tuple(verbs_restoring.patterns_of(what, also, everything=all)),
        to=to or "",
        at=at or "",
        archive_id=id or "",
        from_root=from_root or "",
        host=host or "",
        conflict=verbs_restoring.conflict_of(overwrite=overwrite, skip=skip_existing, both=both),
        tier=tier or "",
        wait=wait,
        yes=yes,
        dry_run=dry_run or bool(c.config.run.dry),
    )
    flags = {"scope": scope, "target": target, "root": root}
    return verbs_restoring.restore(c, wanted, flags, json_document=json)


@archive_task(
    help={
        "item": "only the archives of this item",
        "target": _TARGET,
        "read-data": "read every byte, unpack every pack, whatever the target says of it",
        "sample": "read this share of the objects, e.g. 5%",
        "quick": "read nothing: presence, size, and checksums where they are proof",
        "repair": "write manifests again that are missing, from their copies or this device's catalogue",
        "json": _JSON,
    }
)
def verify(
    c: Context,
    item: str | None = None,
    target: str | None = None,
    read_data: bool = False,
    sample: str | None = None,
    quick: bool = False,
    repair: bool = False,
    json: bool = False,
) -> Document:
    """Make sure that the target holds every archive, whole and unchanged."""
    from archive_tasks.commands import verify as verbs_verify

    wanted = verbs_verify.options(item=item, read_data=read_data, sample=sample, quick=quick, repair=repair)
    return verbs_verify.verify(c, wanted, {"target": target}, json_document=json)


@archive_task(
    help={
        "target": _TARGET,
        "rebuild": "read every manifest of the target again",
        "adopt": "take over the archives of another device, by the name of its host",
        "moved": "take over the archives of a root that had this path before; --root is where it is now",
        "root": "the folder being kept tidy, for --moved",
        "forget": "forget a target that was emptied or exchanged on purpose; changes nothing in it",
        "yes": "do not ask",
        "json": _JSON,
    },
)
def catalogue(
    c: Context,
    target: str | None = None,
    rebuild: bool = False,
    adopt: str | None = None,
    moved: str | None = None,
    root: str | None = None,
    forget: bool = False,
    yes: bool = False,
    json: bool = False,
) -> Document:
    """Bring this machine's catalogue in step with the target."""
    from archive_tasks.commands import catalogue as verbs_catalogue

    wanted = verbs_catalogue.options(rebuild=rebuild, adopt=adopt, moved=moved, forget=forget, yes=yes)
    return verbs_catalogue.catalogue(c, wanted, {"target": target, "root": root}, json_document=json)


@archive_task(
    help={
        "orphans": "remove objects of runs that never finished",
        "grace": "leave alone what is younger than so many days (default 14, at least 8)",
        "max-share": "percentage of the target's objects or bytes that may go (default 10)",
        "all-devices": "what other devices began too; each removes its own otherwise",
        "target": _TARGET,
        "yes": "do not ask",
        "dry-run": "show what would be removed; remove nothing",
        "json": _JSON,
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
    from archive_tasks.commands import prune as verbs_prune

    dry_run = dry_run or bool(c.config.run.dry)
    wanted = verbs_prune.options(
        orphans=orphans, grace=grace, max_share=max_share, all_devices=all_devices, yes=yes, dry_run=dry_run
    )
    return verbs_prune.prune(c, {"target": target}, wanted, json_document=json)


@archive_task(
    iterable=["exclude"],
    help={
        "root": "the folder being kept tidy",
        "target": _TARGET,
        "days": "clean only what was last used so many days ago (default 30)",
        "clock": "what counts as use: mtime (default), atime, ctime, newest, or a plugin's",
        "hidden": "judge items whose names begin with a dot too",
        "exclude": "what was left out when it was archived, if a flag said so (repeatable)",
        "mode": "quarantine (default: set aside, purged after the grace), trash, move, delete",
        "to": "folder that --mode move moves items to",
        "grace": "days that an item stays set aside (default 7); 0 purges what earlier runs set aside",
        "stub": "leave a small text file where an item was",
        "free": "clean the longest idle first, until the disk has so much free, e.g. 50GB",
        "max-items": "free so many items at most",
        "max-bytes": "free so much at most, e.g. 100GB",
        "max-share": "percentage of the root's items that --yes may free (default 80)",
        "read-data": "read every archived byte back first, whatever the target says of it",
        "discard-left-out": "clean items too of which something was left out of the archive, and give that up",
        "yes": "do not ask; needed where there is no terminal",
        "dry-run": "show what would go; touch nothing",
        "json": _JSON,
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
    from archive_tasks.commands import clean as verbs_cleaning

    judging = {"root": root, "target": target, "days": days, "clock": clock, "hidden": hidden, "exclude": exclude}
    limits = {"mode": mode, "to": to, "grace": grace, "stub": stub}
    limits |= {"max_items": max_items, "max_bytes": max_bytes, "max_share": max_share}
    wanted = verbs_cleaning.wish(
        free=free,
        read_data=read_data,
        discard_left_out=discard_left_out,
        yes=yes,
        dry_run=dry_run or bool(c.config.run.dry),
    )
    flags = judging | {f"clean.{name}": value for name, value in limits.items()}
    return verbs_cleaning.clean(c, flags, wanted, json_document=json)


@archive_task(
    help={
        "item": "only the item of this name",
        "all": "everything that is set aside, not only what the last clean did",
        "root": "the folder being kept tidy",
        "json": _JSON,
    }
)
def undo(
    c: Context,
    item: str | None = None,
    all: bool = False,  # noqa: A002 - the flag's name
    root: str | None = None,
    json: bool = False,
) -> Document:
    """Put back what the last clean set aside, as long as it is not purged."""
    from archive_tasks.commands import undo as verbs_undo

    return verbs_undo.undo(c, item, {"root": root}, everything=all, json_document=json)


@archive_task(help={"json": _JSON})
def plugins(c: Context, json: bool = False) -> Document:
    """List every plugin: name, version, where from, and its hooks."""
    from archive_tasks.commands import scan as verbs

    return verbs.plugins(c, json_document=json)


def collection(name: str = "archive", **settings: Any) -> Collection:
    """A fresh collection of the tasks, with settings of its own.

    ```python
    ns = Collection(dump_db, collection(root="~/Documents", days=60))
    ```
    """
    made = Collection(
        name, scan, archive, report, clean, undo, find, restore, verify, catalogue, prune, doctor, setup, plugins
    )
    if settings:
        made.configure({"archive": settings})
    return made


ns = collection()
