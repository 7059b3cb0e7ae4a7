"""What `doctor` does: find out what a target really does, and remember it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archive_tasks.catalogue.database import catalogue_path
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.using_target import known_vault, open_catalogue
from archive_tasks.items.root import root_path
from archive_tasks.names import display
from archive_tasks.show.console import Console
from archive_tasks.show.doctor import show_answer, summary
from archive_tasks.show.document import Document
from archive_tasks.target import nesting
from archive_tasks.target.doctor import verdict_to_json
from archive_tasks.target.open import absent, examine
from archive_tasks.target.resolve import target_for


def doctor(c: Any, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Examine the target now, whatever is remembered of it."""
    console = Console(json_document=json_document)
    session = session_of(c, flags)
    target = target_for(session, session.settings.root and root_path(session))
    store = session.open_store(target)
    if not store.exists():
        raise absent(store, known_vault(catalogue_path(session.data, target)))
    console.say(f"examining {display(target)}")
    with open_catalogue(session, target) as catalogue:
        verdict = examine(
            store, catalogue, now=session.now, on_answer=lambda probe, answer: show_answer(probe, answer, console)
        )
    place = nesting.examine(store, session.open_store)
    for line in [*summary(verdict, store.probes()), *place.lines()]:
        console.say(line, style="bold")
    document = verdict_to_json(verdict) | {"place": place._asdict()}
    console.document(document)
    return document
