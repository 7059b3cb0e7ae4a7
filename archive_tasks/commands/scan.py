"""What the tasks that only look do: scan, report, plugins. They load no more than looking needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from archive_tasks.amounts import count_text, size_text
from archive_tasks.commands.invocation import chain_of, session_of
from archive_tasks.errors import UsageError
from archive_tasks.items.root import Root, resolve_root
from archive_tasks.model import Plan
from archive_tasks.names import display
from archive_tasks.plugins import list_plugins
from archive_tasks.scan import run as scanning
from archive_tasks.session import Session
from archive_tasks.show import report as reporting
from archive_tasks.show.console import Console
from archive_tasks.show.report import Document
from archive_tasks.target.vault import is_target_folder


def scan(c: Any, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Judge the root and show the plan."""
    console = Console(json_document=json_document)
    mention_host(c, console)
    session = session_of(c, flags)
    root = resolve_root(session)
    plan = make_plan(root, session)
    chain_of(c).remember(root, plan)
    document = reporting.plan_document(plan)
    if json_document:
        console.document(document)
    else:
        console.show_plan(plan)
        _hint_at_full(session, plan, console)
    return document


def report(c: Any, flags: Mapping[str, Any], *, json_document: bool, csv_text: bool) -> Document:
    """Show what the catalogues know."""
    from archive_tasks.catalogue.database import (  # a scan does without SQLite
        Catalogue,
        catalogue_path,
        list_catalogues,
    )

    console = Console(json_document=json_document or csv_text)
    session = session_of(c, flags)
    wanted = flags.get("target")
    if json_document and csv_text:
        raise UsageError("report prints one document: choose --json or --csv")
    with ExitStack() as stack:
        paths = [catalogue_path(session.data, wanted)] if wanted else list_catalogues(session.data)
        _check_known(wanted, paths, session)
        known = [stack.enter_context(Catalogue(path)) for path in paths if os.path.exists(path)]
        document = reporting.report_document(known)
    if json_document:
        console.document(document)
    elif csv_text:
        console.raw(reporting.report_csv(document))
    else:
        _show_report(document, console)
    return document


def plugins(c: Any, *, json_document: bool) -> Document:
    """List the plugins in the order in which they are asked."""
    console = Console(json_document=json_document)
    found = list_plugins(session_of(c, {}).manager)
    document = reporting.plugins_document(found)
    if json_document:
        console.document(document)
    else:
        console.show_plugins(found)
    return document


# -- the plan -----------------------------------------------------------------------------------------


def make_plan(root: Root, session: Session) -> Plan:
    """Scan the root. Raises UsageError, also for a root inside the target."""
    for path in root.private:
        if root.path == path or root.path.startswith(path + "/"):
            raise UsageError(
                f"the root {display(root.path)} is in {display(path)}, which is archive_tasks' own; give another"
            )
    if is_target_folder(root.path):
        raise UsageError(
            f"the root {display(root.path)} is a target of archive_tasks, which holds archives; give another"
        )
    return scanning.scan(root, session)


def _hint_at_full(session: Session, plan: Plan, console: Console) -> None:
    if not session.settings.full and any(one.files is None and one.newest for one in plan.to_keep):
        console.say(
            "kept folders were looked at up to their first fresh file; --full tells how near they are", style="dim"
        )


# -- showing ------------------------------------------------------------------------------------------


def _check_known(wanted: str | None, paths: list[str], session: Session) -> None:
    from archive_tasks.catalogue.database import Catalogue, list_catalogues

    if wanted is None or os.path.exists(paths[0]):
        return
    targets: list[str] = []
    for path in list_catalogues(session.data):
        with Catalogue(path) as catalogue:
            targets.append(display(catalogue.target))
    known = f"known are {', '.join(targets)}" if targets else "nothing has been archived from this machine yet"
    raise UsageError(f"nothing has been archived to {display(wanted)} from this machine; {known}")


def _show_report(document: Document, console: Console) -> None:
    if not document["archives"]:
        console.say("nothing has been archived from this machine yet")
        return
    for target, rows in reporting.report_rows(document).items():
        console.show_archives(target, rows)
    files = count_text(document["files"], "file")
    number = count_text(len(document["archives"]), "archive")
    console.say(f"{number}, {files}, {size_text(document['bytes'])}", style="bold")


def mention_host(c: Any, console: Console) -> None:
    """Under `fab -H` a task runs once for each host, and always here: say so."""
    host = getattr(c, "host", None)
    if host:
        console.warn(f"this runs on the local machine, once for each host of fab -H ({display(str(host))})")
