"""Trees of files to carry to and fro, and the proof that what came back is what went."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

_DAYS_IDLE = 400
_CHUNK = 1 << 20


class Shape(NamedTuple):
    """So many files of so many bytes each, spread over so many folders; `item` is a folder around them all, if any."""

    files: int
    size: int
    folders: int
    item: str = ""

    def path_of(self, number: int) -> str:
        """Path of a file below the tree; without folders all lie directly in it."""
        name = f"file{number // max(self.folders, 1):06}.dat"
        folder = f"folder{number % self.folders:04}" if self.folders else ""
        return os.path.join(self.item, folder, name)

    def __str__(self) -> str:
        return f"{self.files:,} files of {self.size:,} random bytes in {self.folders:,} folders"


def make_tree(tree: Path, shape: Shape) -> None:
    """Random bytes, so that nothing can be compressed or found twice; last written 400 days ago."""
    for number in range(max(shape.folders, 1)):
        (tree / shape.path_of(number)).parent.mkdir(parents=True, exist_ok=True)
    then = time.time() - _DAYS_IDLE * 86_400
    for number in range(shape.files):
        path = str(tree / shape.path_of(number))
        _write_random(path, shape.size)
        os.utime(path, (then, then))
    for folder, _, _ in os.walk(tree):
        os.utime(folder, (then, then))


def _write_random(path: str, size: int) -> None:
    with open(path, "xb", buffering=0) as file:
        for start in range(0, size, _CHUNK):
            file.write(os.urandom(min(_CHUNK, size - start)))


def contents_of(tree: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every file below a folder, by its path in it."""
    found = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, tree)] = (os.path.getsize(path), _sha256(path))
    return found


def difference(source: dict[str, tuple[int, str]], restored: dict[str, tuple[int, str]]) -> str:
    """What is wrong with what came back; empty when nothing is."""
    missing, strange = source.keys() - restored.keys(), restored.keys() - source.keys()
    changed = {path for path in source.keys() & restored.keys() if source[path] != restored[path]}
    wrong = {"missing": missing, "too many": strange, "other bytes": changed}
    return ", ".join(f"{len(paths)} {what} (e.g. {min(paths)})" for what, paths in wrong.items() if paths)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
