"""One run of clean in a process of its own, with as little around it as can be: what strace is put on.

python -m tests.support.clean_driver ROOT TARGET-URL DATA-FOLDER MODE [TO]
"""

from __future__ import annotations

import sys

from archive_tasks.errors import ArchiveTasksError
from archive_tasks.flows.clean import CleanRequest, clean_root
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from archive_tasks.show.console import Console
from tests.support.moment import NOW


def main(root: str, target: str, data: str, mode: str, to: str = "") -> int:
    clean = {"mode": mode, "to": to, "max_share": 100}
    settings = make_settings({"root": root, "target": target, "clean": clean, "retry_minutes": 0}, {}, {})
    try:
        document = clean_root(
            Session(settings, make_plugin_manager(), now=NOW, data=data),
            CleanRequest(yes=True),
            Console(json_document=True),
        )
    except ArchiveTasksError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: the system refused: {error}", file=sys.stderr)
        return 1
    return 3 if document["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
