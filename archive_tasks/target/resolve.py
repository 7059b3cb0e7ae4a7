"""Which target: from settings and plugins to its URL, the scope of a root's archives in it, and their class."""

from __future__ import annotations

import os
import re
import socket
from urllib.parse import quote, unquote_to_bytes, urlsplit

from archive_tasks.errors import SettingsError
from archive_tasks.formats.layout import key_segment
from archive_tasks.model import Item
from archive_tasks.session import Session


def storage_class_for(session: Session, item: Item, *, days_idle: int, size: int, default: str) -> str:
    """Class of an item's objects: a plugin's choice, else the target's own. Raises PluginError."""
    return session.answers.first("choose_storage_class", item=item, days_idle=days_idle, size=size) or default


def target_for(session: Session, root: str) -> str:
    """URL of the target: of the settings, else of a plugin, else the folder store in the user's data."""
    if session.settings.target:
        return session.settings.target
    return session.answers.first("choose_target", root=root) or default_target(session)


def default_target(session: Session) -> str:
    """URL of the folder store in the user's data directory."""
    return "file://" + quote(os.fsencode(os.path.join(session.data, "vault")))


def private_paths(session: Session, target: str) -> tuple[str, ...]:
    """Folders that must never be archived: the catalogues', and a target that is a folder."""
    return tuple(os.path.realpath(path) for path in (session.data, folder_of(target)) if path)


def folder_of(target: str) -> str:
    """The folder of a `file://` target; empty for any other."""
    return os.fsdecode(unquote_to_bytes(urlsplit(target).path)) if target.startswith("file://") else ""


def scope_for(session: Session, root: str) -> str:
    """Whose archives these are: the setting, else host and root name; safe as a part of a key."""
    named = session.settings.scope or f"{socket.gethostname() or 'host'}/{os.path.basename(root) or 'root'}"
    segments = [segment for segment in re.split(r"/+", named) if segment not in {"", ".", ".."}]
    if not segments:
        raise SettingsError(f"archive.scope is {named!r}, but must hold a name, e.g. laptop/Documents")
    return "/".join(key_segment(segment) for segment in segments)
