"""The task `catalogue`: its flags. What it does, step by step, is in `archive_tasks/flows/catalogue.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from archive_tasks.commands.flags import JSON, TARGET
from archive_tasks.commands.task_frame import archive_task

if TYPE_CHECKING:
    from archive_tasks.show.document import Document


@archive_task(
    help={
        "target": TARGET,
        "rebuild": "read every manifest of the target again",
        "adopt": "take over the archives of another device, by the name of its host",
        "moved": "take over the archives of a root that had this path before; --root is where it is now",
        "root": "the folder being kept tidy, for --moved",
        "forget": "forget a target that was emptied or exchanged on purpose; changes nothing in it",
        "yes": "do not ask",
        "json": JSON,
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
    from archive_tasks.flows import catalogue as flow

    wanted = flow.options(rebuild=rebuild, adopt=adopt, moved=moved, forget=forget, yes=yes)
    return flow.catalogue(c, wanted, {"target": target, "root": root}, json_document=json)
