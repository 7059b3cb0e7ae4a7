"""What the task find does. It asks no target, and loads no more than looking into the catalogue needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from archive_tasks.amounts import count_text
from archive_tasks.catalogue import find as finding
from archive_tasks.catalogue.database import Catalogue, catalogue_path, list_catalogues
from archive_tasks.catalogue.find import Found
from archive_tasks.errors import CatalogueError, PartlyFailed, UsageError
from archive_tasks.flows.invocation import refuse_help, session_of
from archive_tasks.names import display, typed
from archive_tasks.session import Session
from archive_tasks.show import find as reporting
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document

MOST_FOUND = 200


def find(c: Any, text: str, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Look for entries in the catalogues of this machine."""
    refuse_help(text, "find")
    console = Console(json_document=json_document)
    session = session_of(c, flags)
    if not text.strip():
        raise UsageError("find what? Give a piece of the name, e.g. find 'invoice 2019'")
    target = session.settings.target if "target" in session.settings.flagged else ""
    paths = [catalogue_path(session.data, target)] if target else list_catalogues(session.data)
    if target and not os.path.exists(paths[0]):
        raise UsageError(
            f"this device knows nothing of {display(target)}: run {session.command('catalogue')}, which reads what is "
            "archived there"
        )
    with ExitStack() as stack:
        catalogues = list(_opened(paths, stack, console))
        unread = sum(os.path.exists(path) for path in paths) - len(catalogues)
        found, more = finding.find(catalogues, text, most=MOST_FOUND)
        known = sum(len(catalogue.archives()) for catalogue in catalogues)
        unindexed = finding.unindexed(catalogues)
    document = reporting.find_document(found, more=more)
    console.document(document)
    if not json_document:
        console.show_rows(reporting.FIND_COLUMNS, reporting.find_rows(found))
        console.say(reporting.find_summary(found, more=more, archives=known), style="bold")
        if found:
            console.say(f"get one back with: restore {_command(session, found[0])}", style="dim")
    if unread:
        number = count_text(unread, "catalogue was", "catalogues were")
        raise PartlyFailed(f"{number} not searched, see above: the archives in there may hold it too")
    if unindexed or not known:
        which = count_text(unindexed, "archive is", "archives are") if known else "no archive is"
        missing = " without entries" if known else ""
        console.warn(f"{which} in the catalogue of this machine{missing}: run {session.command('catalogue')}")
    return document


def _command(session: Session, match: Found) -> str:
    """What to type behind `restore`; with the target where it is not the one that restore would take by itself."""
    from archive_tasks.flows.using_target import target_of  # a search that finds nothing does without

    path, target = typed(match.path), match.archive.target
    is_usual = target == target_of(session) and "target" not in session.settings.flagged
    return path if is_usual else f"{path} --target {typed(target)}"


def _opened(paths: Sequence[str], stack: ExitStack, console: Console) -> Iterator[Catalogue]:
    """The catalogues; a damaged one does not stop a search of the others."""
    for path in paths:
        if not os.path.exists(path):
            continue
        try:
            yield stack.enter_context(Catalogue(path))
        except CatalogueError as error:
            console.warn(str(error))
