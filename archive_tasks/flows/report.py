"""What `report` does: show what the catalogues of this machine know."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from archive_tasks.amounts import count_text, size_text
from archive_tasks.catalogue.database import Catalogue, catalogue_path, list_catalogues
from archive_tasks.errors import UsageError
from archive_tasks.flows.invocation import session_of
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show import report as reporting
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.show.report import show_archives


def report(c: Any, flags: Mapping[str, Any], *, json_document: bool, csv_text: bool) -> Document:
    """Show what the catalogues know."""
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
    if csv_text:
        console.raw(reporting.report_csv(document))
    elif json_document:
        console.document(document)
    else:
        _show_report(document, console)
    return document


def _check_known(wanted: str | None, paths: list[str], session: Session) -> None:
    if wanted is None or os.path.exists(paths[0]):
        return
    targets: list[str] = []
    for path in list_catalogues(session.data):
        with Catalogue(path) as catalogue:
            targets.append(display(catalogue.target))
    known = f"known: {', '.join(targets)}" if targets else "nothing has been archived from this machine yet"
    raise UsageError(f"nothing has been archived to {display(wanted)} from this machine; {known}")


def _show_report(document: Document, console: Console) -> None:
    if not document["archives"]:
        console.say("nothing has been archived from this machine yet")
        return
    for target, rows in reporting.report_rows(document).items():
        show_archives(target, rows, console)
    files = count_text(document["files"], "file")
    number = count_text(len(document["archives"]), "archive")
    console.say(f"{number}, {files}, {size_text(document['bytes'])}", style="bold")
