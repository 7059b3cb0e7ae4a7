"""Helpers for tests of archive_tasks and of plugins for it: trees from dicts, trees as dicts."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class File:
    contents: bytes | str = b""
    age_days: float = 0.0
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    target: str
    age_days: float = 0.0


class TreeEntry(NamedTuple):
    kind: str
    mode: int
    contents: str
    mtime_ns: int
    atime_ns: int


def make_tree(folder: str | Path, spec: Mapping[str, Any], *, now: datetime | None = None) -> None:
    moment = now or datetime.now(UTC)
    os.makedirs(folder, exist_ok=True)
    for name, what in spec.items():
        path = os.path.join(folder, name)
        if isinstance(what, Mapping):
            make_tree(path, what, now=moment)
            continue
        leaf = File(what) if isinstance(what, bytes | str) else what
        if isinstance(leaf, Link):
            os.symlink(leaf.target, path)
        else:
            data = leaf.contents.encode() if isinstance(leaf.contents, str) else leaf.contents
            with open(path, "wb") as file:
                file.write(data)
            os.chmod(path, leaf.mode)
        used = int(moment.timestamp()) * 10**9 - int(leaf.age_days * 86_400 * 10**9)
        os.utime(path, ns=(used, used), follow_symlinks=False)


def read_tree(folder: str | Path) -> dict[str, TreeEntry]:
    found = {}
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            facts = os.lstat(path)
            contents, atime = "", 0
            if stat.S_ISREG(facts.st_mode):
                fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
                with os.fdopen(fd, "rb") as file:
                    contents = hashlib.sha256(file.read()).hexdigest()
                atime = facts.st_atime_ns
            elif stat.S_ISLNK(facts.st_mode):
                contents = os.readlink(path)
            mtime = 0 if stat.S_ISDIR(facts.st_mode) else facts.st_mtime_ns
            found[os.path.relpath(path, folder)] = TreeEntry(
                stat.filemode(facts.st_mode)[0], facts.st_mode, contents, mtime, atime
            )
    return found
