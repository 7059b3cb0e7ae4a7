"""What is mounted below a folder."""

from __future__ import annotations

import os


def mounts_below(root: str, table: str = "/proc/self/mountinfo") -> frozenset[str]:
    """Paths below `root`, relative to it, that are mount points, bind mounts too, by Linux's mount table.

    Elsewhere the set is empty and a mount shows by its other device number alone. (proc(5), mountinfo)
    """
    try:
        with open(table, "rb") as lines:
            points = [line.split(b" ")[4] for line in lines]
    except (OSError, IndexError):
        return frozenset()
    prefix = root.rstrip("/") + "/"
    below = (os.fsdecode(_unescaped(point)) for point in points)
    return frozenset(path.removeprefix(prefix) for path in below if path.startswith(prefix))


def _unescaped(point: bytes) -> bytes:
    for code, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        point = point.replace(code, character)
    return point
