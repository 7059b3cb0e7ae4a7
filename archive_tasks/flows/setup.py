"""`setup`: settle on a target, create it, examine it, and write it into invoke.yaml."""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from typing import Any

from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.errors import Interrupted, SettingsError, UsageError
from archive_tasks.flows.folders import config_folder, project_folder
from archive_tasks.flows.invocation import session_of
from archive_tasks.flows.using_target import may_create, may_share
from archive_tasks.formats.layout import key_segment
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.show.console import Console
from archive_tasks.show.doctor import show_answer, summary
from archive_tasks.show.document import Document
from archive_tasks.target.open import open_target

SETTINGS_FILE = "invoke.yaml"


def setup(c: Any, flags: Mapping[str, Any], *, yes: bool, create: bool = False) -> Document:
    """Settle on a target and remember it."""
    if c.config.run.dry:
        raise UsageError("setup has nothing to show without writing; run it without --dry")
    return set_up(c, session_of(c, flags), Console(), yes=yes, create=create)


def set_up(c: Any, session: Session, console: Console, *, yes: bool, create: bool = False) -> Document:
    """Ask for a target where none is given, make it ready, and remember it.

    Args:
        create: a new target may begin in a place that is not empty.

    Raises:
        UsageError: no target was given, and there is nobody to ask.
    """
    target = session.settings.target if "target" in session.settings.flagged else _ask_for_target(session, console)
    store = session.open_store(target)
    console.say(f"examining {display(target)}")
    with Catalogue(catalogue_path(session.data, target), target=target) as catalogue:
        opened = open_target(
            store,
            catalogue,
            now=session.now,
            may_create=lambda missing: may_create(missing, session, console, yes=yes),
            may_share=lambda there: may_share(there, session, create=create),
            renew=create,
            open_store=session.open_store,
            on_answer=lambda probe, answer: show_answer(probe, answer, console),
        )
    for line in summary(opened.verdict, store.probes()):
        console.say(line, style="bold")
    path = os.path.join(project_folder(c) or config_folder(), SETTINGS_FILE)
    console.say(remember_target(path, target))
    return {"target": target, "settings": path, "trusted": opened.verdict.trusted}


def offered_bucket(day: str, random_hex: str) -> str:
    """A bucket name that nobody else has: `archive.<date>.<12 hex>`."""
    return f"archive.{day}.{random_hex}"


def _ask_for_target(session: Session, console: Console) -> str:
    if not console.can_ask:
        raise UsageError("setup asks for a target, and there is no terminal to ask on: give --target")
    host = key_segment(socket.gethostname() or "host")
    offered = f"s3://{offered_bucket(f'{session.now:%Y-%m-%d}', secrets.token_hex(6))}/{host}"
    console.say("Where should archives go? A bucket of yours, a folder (file:///mnt/nas/archive), or a new bucket:")
    target = console.ask_text("target", default=session.settings.target or offered)
    if target is None:
        raise Interrupted("nothing was set up")
    return target


def remember_target(path: str, target: str) -> str:
    """Write the target into the settings file, keeping all else in it. Returns what was done, for people.

    Raises:
        SettingsError: the file sets another target in a way that cannot be changed safely.
    """
    text = _read(path)
    section = re.search(r"^archive:[ \t]*(#.*)?$", text, re.MULTILINE)
    line = f"  target: {_quoted(target)}\n"
    if section is None:
        if re.search(r"^archive\s*:", text, re.MULTILINE):
            raise SettingsError(f"{display(path)} has its archive settings on one line; add there: target: {target}")
        new = text + ("" if not text or text.endswith("\n") else "\n") + "archive:\n" + line
    else:
        new = _with_target(text, section.end() + 1, line)
    if new == text:
        return f"{display(path)} names this target already"
    _write(path, new)
    return f"wrote the target into {display(path)}"


def _with_target(text: str, start: int, line: str) -> str:
    """Replace the `target:` of the section that begins at `start`, or put one first."""
    if not text[:start].endswith("\n"):
        return text + "\n" + line
    following = re.search(r"^\S", text[start:], re.MULTILINE)
    end = start + following.start() if following else len(text)
    body, replaced = re.subn(r"^  target:.*\n?", lambda _: line, text[start:end], count=1, flags=re.MULTILINE)
    return text[:start] + (body if replaced else line + text[start:end]) + text[end:]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str) -> None:
    """Whole or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    beside = f"{path}.{secrets.token_hex(4)}"
    with open(beside, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
