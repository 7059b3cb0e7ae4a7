"""The collection of tasks. Loading it loads Invoke, and neither boto3 nor rich: a task loads the rest when it runs.

Each task takes its settings from the `archive` mapping of Invoke's configuration, from `ARCHIVE_TASKS_...`
variables and from its flags, and returns the document that `--json` prints.
"""

from __future__ import annotations

from typing import Any

from invoke.collection import Collection

from archive_tasks.commands.archive import archive
from archive_tasks.commands.catalogue import catalogue
from archive_tasks.commands.clean import clean
from archive_tasks.commands.doctor import doctor
from archive_tasks.commands.find import find
from archive_tasks.commands.plugins import plugins
from archive_tasks.commands.prune import prune
from archive_tasks.commands.report import report
from archive_tasks.commands.restore import restore
from archive_tasks.commands.scan import scan
from archive_tasks.commands.setup import setup
from archive_tasks.commands.undo import undo
from archive_tasks.commands.verify import verify

__all__ = [
    "archive",
    "catalogue",
    "clean",
    "collection",
    "doctor",
    "find",
    "ns",
    "plugins",
    "prune",
    "report",
    "restore",
    "scan",
    "setup",
    "undo",
    "verify",
]


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
