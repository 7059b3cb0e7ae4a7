"""What `scan` does: judge the root and show the plan. It loads no more than looking needs: no SQLite, no boto3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archive_tasks.flows.invocation import chain_of, mention_host, session_of
from archive_tasks.flows.planning import make_plan
from archive_tasks.items.root import resolve_root
from archive_tasks.model import Plan
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.show.document import Document
from archive_tasks.show.scan import plan_document, show_plan


def scan(c: Any, flags: Mapping[str, Any], *, json_document: bool) -> Document:
    """Judge the root and show the plan."""
    console = Console(json_document=json_document)
    mention_host(c, console)
    session = session_of(c, flags)
    root = resolve_root(session)
    plan = make_plan(root, session)
    chain_of(c).remember(root, plan)
    document = plan_document(plan)
    console.document(document)
    if not json_document:
        show_plan(plan, console)
        _hint_at_full(session, plan, console)
    return document


def _hint_at_full(session: Session, plan: Plan, console: Console) -> None:
    if not session.settings.full and any(decision.files is None and decision.newest for decision in plan.to_keep):
        console.say(
            "kept folders were looked at up to their first fresh file; --full shows how near they are", style="dim"
        )
