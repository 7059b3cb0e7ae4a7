"""Judging a root as the commands do: it is resolved once, and handed to the scan."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from archive_tasks.items.root import resolve_root
from archive_tasks.model import Plan
from archive_tasks.scan import run
from archive_tasks.session import Session


def scan(session: Session, *, private: Iterable[str] | None = None) -> Plan:
    """Args: private: folders of our own, instead of those that follow from the session."""
    root = resolve_root(session)
    if private is not None:
        root = dataclasses.replace(root, private=tuple(os.path.realpath(path) for path in private))
    return run.scan(root, session)
