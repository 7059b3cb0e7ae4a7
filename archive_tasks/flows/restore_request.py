"""What a restore was asked for: from the flags, the settings and the catalogue to a request."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.runs import archived_roots
from archive_tasks.errors import UsageError
from archive_tasks.flows.invocation import refuse_help
from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.items.root import root_if_there
from archive_tasks.names import display
from archive_tasks.restore.context import Conflict
from archive_tasks.restore.patterns import EVERYTHING
from archive_tasks.restore.select import RestoreRequest
from archive_tasks.session import Session
from archive_tasks.target.resolve import private_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """What was asked for beside the settings; see the task's flags."""

    patterns: tuple[str, ...]
    to: str = ""
    at: str = ""
    archive_id: str = ""
    from_root: str = ""
    host: str = ""
    conflict: Conflict = "refuse"
    tier: str = ""
    wait: bool = False
    yes: bool = False
    dry_run: bool = False


def patterns_of(first: str | None, also: Sequence[str] | None, *, everything: bool) -> list[str]:
    """What the flags name. Raises UsageError."""
    refuse_help(first or "", "restore")
    named = [text for text in (first, *(also or ())) if text]
    if everything and named:
        raise UsageError("restore takes names or --all, not both")
    if not everything and not named:
        raise UsageError("restore what? Give a name, e.g. restore thesis, or --all")
    return [EVERYTHING] if everything else named


def conflict_of(*, overwrite: bool, skip: bool, both: bool) -> Conflict:
    """What to do where a name is taken. Raises UsageError when more than one thing is said."""
    ways: dict[Conflict, bool] = {"overwrite": overwrite, "skip": skip, "both": both}
    said = [name for name, is_said in ways.items() if is_said]
    if len(said) > 1:
        raise UsageError("where a name is taken: --overwrite, --skip-existing or --both; choose one")
    return said[0] if said else "refuse"


def request_of(session: Session, wanted: RestoreOptions, opened: Catalogue) -> RestoreRequest:
    """With what the settings and the catalogue say. Raises UsageError."""
    root = root_if_there(session)
    _check_destination(session, wanted.to, opened.target)
    return RestoreRequest(
        patterns=wanted.patterns,
        at=moment(wanted.at) if wanted.at else None,
        scope=session.settings.scope if "scope" in session.settings.flagged else "",
        host=wanted.host,
        from_root=os.path.realpath(os.path.expanduser(wanted.from_root)) if wanted.from_root else "",
        archive_id=_hex_of(wanted.archive_id),
        to=wanted.to,
        only_root=root if "root" in session.settings.flagged else "",
        device=session.device,
        root=root,
        roots=frozenset(archived_roots(opened) | ({root} if root else set())),
    )


def _check_destination(session: Session, to: str, target: str) -> None:
    """Raises UsageError for a destination in the target, or among this program's own files."""
    where = os.path.realpath(os.path.expanduser(to)) if to else ""
    if SET_ASIDE in where.split("/"):
        raise UsageError(f"{display(to)} is among what clean set aside, and may be purged: give another --to")
    for own in private_paths(session, target):
        if where and (where == own or where.startswith(own + "/")):
            raise UsageError(f"{display(to)} is in {display(own)}, which is archive_tasks' own: give another --to")


def _hex_of(archive_id: str) -> str:
    if archive_id and not re.fullmatch(r"[0-9a-fA-F]{4,32}", archive_id):
        raise UsageError(f"--id is {archive_id!r}, but must be the beginning of an id, at least 4 of its digits")
    return archive_id


def moment(text: str) -> datetime:
    """`2026-05-01` (to its end, UTC) or `2026-05-01T12:00`. Raises UsageError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at is {text!r}, but must be a date, e.g. 2026-05-01") from None
    try:
        if len(text) <= len("2026-05-01"):
            found += timedelta(days=1, microseconds=-1)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except OverflowError:
        raise UsageError(f"--at is {text!r}, which is beyond the calendar") from None


def manifests_of(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Which manifests can matter, by their keys: those of the named items."""
    names = [pattern.strip("/").split("/")[0] for pattern in patterns]
    if EVERYTHING in patterns or any(
        set(name) & set("*?[~") or pattern.startswith("/") for name, pattern in zip(names, patterns, strict=True)
    ):
        return lambda _key: True
    segments = {key_segment(name) for name in names}

    def is_of_these(key: str) -> bool:
        name = layout.manifest_name(key)
        return name is not None and name.item in segments

    return is_of_these
