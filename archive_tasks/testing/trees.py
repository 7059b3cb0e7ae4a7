"""For tests of plugins, and of archive_tasks itself: trees from dicts, and trees as dicts.

```python
make_tree(root, {"thesis": {"a.txt": File("text", age_days=90), "link": Link("a.txt")}})
before = read_tree(root)
...
assert read_tree(root) == before
```
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from archive_tasks.model import NANOSECONDS_PER_DAY, nanoseconds

__all__ = ["File", "Link", "TreeEntry", "make_tree", "read_tree"]


@dataclass(frozen=True)
class File:
    """A file of a tree; `age_days` is counted back from the tree's `now`, and may be negative."""

    contents: bytes | str = b""
    age_days: float = 0.0
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symlink of a tree."""

    target: str
    age_days: float = 0.0


class TreeEntry(NamedTuple):
    """What `read_tree` says about an entry: kind (`-`, `d`, `l`, `p`, ...), mode, SHA-256 of the contents or the
    link's target, and times in nanoseconds (0 for folders, whose times other programs change).
    """

    kind: str
    mode: int
    contents: str
    mtime_ns: int
    atime_ns: int


Spec = Mapping[str, Any]
"""Name -> contents (bytes or text), File, Link, or another Spec for a folder."""


def make_tree(folder: str | os.PathLike[str], spec: Spec, *, now: datetime | None = None) -> None:
    """Build files, links and folders below `folder`, with their ages; existing files are overwritten."""
    moment = now or datetime.now(UTC)
    os.makedirs(folder, exist_ok=True)
    for name, what in spec.items():
        path = os.path.join(folder, name)
        if isinstance(what, Mapping):
            make_tree(path, what, now=moment)
        else:
            _make_leaf(path, File(what) if isinstance(what, bytes | str) else what, moment)


def _make_leaf(path: str, leaf: File | Link, now: datetime) -> None:
    if isinstance(leaf, Link):
        os.symlink(leaf.target, path)
    else:
        with open(path, "wb") as file:
            file.write(leaf.contents.encode() if isinstance(leaf.contents, str) else leaf.contents)
        os.chmod(path, leaf.mode)
    used = nanoseconds(now) - int(leaf.age_days * NANOSECONDS_PER_DAY)
    os.utime(path, ns=(used, used), follow_symlinks=False)


def read_tree(folder: str | os.PathLike[str]) -> dict[str, TreeEntry]:
    """Everything below `folder`, by relative path, so that two trees can be compared. Leaves no trace of reading."""
    found: dict[str, TreeEntry] = {}
    for base, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = _read_entry(path)
    return found


def _read_entry(path: str) -> TreeEntry:
    facts = os.lstat(path)
    kind, mode = stat.filemode(facts.st_mode)[0], stat.S_IMODE(facts.st_mode)
    if stat.S_ISREG(facts.st_mode):
        return TreeEntry(kind, mode, _sha256_of(path), facts.st_mtime_ns, facts.st_atime_ns)
    if stat.S_ISLNK(facts.st_mode):
        return TreeEntry(kind, mode, os.readlink(path), facts.st_mtime_ns, 0)
    return TreeEntry(kind, mode, "", 0, 0)


def _sha256_of(path: str) -> str:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOATIME", 0))
    with os.fdopen(handle, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
