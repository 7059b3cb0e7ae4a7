"""Archive runs in the catalogue: when each began and ended, and from which root."""

from __future__ import annotations

import json
import os
from datetime import datetime

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import Run, run_from


def begin_run(catalogue: Catalogue, *, root: str, now: datetime) -> int:
    with catalogue.writing() as write:
        values = (now.isoformat(), os.fsencode(root), catalogue.device)
        return int(write("insert into runs (started, root, device) values (?, ?, ?)", values).lastrowid or 0)


def end_run(catalogue: Catalogue, run: int, *, now: datetime, outcome: dict[str, int]) -> None:
    with catalogue.writing() as write:
        write("update runs set ended = ?, outcome = ? where id = ?", (now.isoformat(), json.dumps(outcome), run))


def runs_of(catalogue: Catalogue) -> list[Run]:
    """All runs, oldest first."""
    rows = catalogue.rows("select id, started, ended, root from runs order by id")
    return catalogue.understood(run_from, rows)


def archived_roots(catalogue: Catalogue) -> set[str]:
    """Roots that this device archived from. Runs of older versions name no device, and are its own."""
    rows = catalogue.rows("select distinct root from runs where device in ('', ?)", catalogue.device)
    return {os.fsdecode(root) for (root,) in rows}
