"""Which root: resolved once in the command, with everything that follows from it, and handed down."""

from __future__ import annotations

import os
from dataclasses import dataclass

from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS
from archive_tasks.errors import UsageError
from archive_tasks.items.rules import Rules, make_rules
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.settings import Settings
from archive_tasks.target.resolve import private_paths, target_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A folder that is kept tidy, and how.

    Attributes:
        path: absolute, without links.
        target: URL of where its items are archived.
        private: folders of our own, which are never archived.
    """

    path: str
    settings: Settings
    target: str
    private: tuple[str, ...]
    rules: Rules


def resolve_root(session: Session) -> Root:
    """The root of the settings, its plugins asked.

    Raises:
        UsageError: none is named, it is missing, not a folder, or cannot be opened.
        SettingsError: the clock is unknown.
        PluginError: a plugin failed.
    """
    path = root_path(session)
    try:
        os.close(os.open(path, FOLDER_THROUGH_LINKS))  # before a plugin stumbles over a file in it
    except OSError as error:
        raise UsageError(f"the root {display(path)} cannot be opened: {(error.strerror or '').lower()}") from error
    target = target_for(session, path)
    return Root(
        path=path,
        settings=session.settings,
        target=target,
        private=private_paths(session, target),
        rules=make_rules(session, path),
    )


def root_path(session: Session) -> str:
    """The root as an absolute path without links.

    Raises:
        UsageError: none is named, it is missing, or it is not a folder.
    """
    named = session.settings.root
    if not named:
        raise UsageError("which folder? Give --root FOLDER, or set archive.root in invoke.yaml")
    root = os.path.realpath(os.path.expanduser(named))
    if not os.path.lexists(root):
        raise UsageError(f"the root {display(named)} does not exist; give another --root")
    if not os.path.isdir(root):
        raise UsageError(f"the root {display(named)} is a file, not a folder; give the folder that contains it")
    return root


def root_if_there(session: Session) -> str:
    """The root as an absolute path, empty when none is set or it is not here."""
    named = os.path.expanduser(session.settings.root)
    return os.path.realpath(named) if named and os.path.isdir(named) else ""


_SYSTEM = (
    "Applications Library System Users Volumes bin boot dev etc home lib lib32 lib64 media mnt opt private proc root "
    "run sbin snap srv sys tmp usr var"
)
"""Folders of the system, or that hold everybody's, directly under `/`. What is in them may be somebody's own."""


_SYSTEM_ALL = "System bin boot dev etc lib lib32 lib64 proc sbin sys usr"
"""What is in these never is."""


def check_root(root: str, *, home: str) -> None:
    """Refuse to clean anything but a folder of the user's own things.

    Args:
        root: without links.
        home: the user's home, without links.

    Raises:
        UsageError: it is `/`, a home, a folder of the system, or what holds the home.
    """
    top, _, below = root.removeprefix("/").partition("/")
    if not top or top in (_SYSTEM_ALL if below else _SYSTEM).split():
        raise UsageError(f"{display(root)} belongs to the system, and is not cleaned: give a folder of your own")
    if root == home or home.startswith(f"{root}/"):
        raise UsageError(f"{display(root)} is (or holds) your home, and is not cleaned as a whole: give a folder in it")
