"""The plan of a root, for every task that needs one; and roots that are refused."""

from __future__ import annotations

from archive_tasks.errors import UsageError
from archive_tasks.items.root import Root
from archive_tasks.model import Plan
from archive_tasks.names import display
from archive_tasks.scan import run as scanning
from archive_tasks.session import Session
from archive_tasks.target.vault import is_target_folder


def make_plan(root: Root, session: Session) -> Plan:
    """Scan the root. Raises UsageError, also for a root inside the target."""
    for path in root.private:
        if root.path == path or root.path.startswith(path + "/"):
            raise UsageError(
                f"the root {display(root.path)} is in {display(path)}, which is archive_tasks' own; choose another"
            )
    if is_target_folder(root.path):
        raise UsageError(
            f"the root {display(root.path)} is a target of archive_tasks, which holds archives; choose another"
        )
    return scanning.scan(root, session)
