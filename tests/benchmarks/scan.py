"""Scan of 200,000 files in 200 folders, half of the folders fresh, against find and rclone on the same tree.

    python -m tests.benchmarks.scan [FOLDER]

FOLDER is where the tree is made (kept, and used again when it is there); a temporary one otherwise.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import compile_ours, in_turn, show

FOLDERS, FILES = 200, 1000


def make(tree: Path) -> None:
    """Every other folder is fresh; ages differ from file to file, as in real life."""
    now = time.time()
    for number in range(FOLDERS):
        folder = tree / f"item{number:03}"
        folder.mkdir(parents=True)
        days = 400 if number % 2 else 2
        for index in range(FILES):
            path = folder / f"file{index:04}.dat"
            path.write_bytes(b"x" * (index % 64))
            used = now - days * 86_400 - index
            os.utime(path, (used, used))


def main() -> None:
    compile_ours()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(sys.argv[1] if len(sys.argv) > 1 else scratch) / "tree"
        if not tree.exists():
            make(tree)
        project = Path(scratch) / "project"
        project.mkdir()
        (project / "tasks.py").write_text("from archive_tasks import ns\n")
        beside = Path(sys.executable)
        commands = {
            "invoke scan": [str(beside.with_name("invoke")), "scan", "--root", str(tree)],
            "its scan alone": [str(beside), "-c", _ALONE, str(tree)],
            "find -printf": ["find", str(tree), "-printf", "%T@ %s %p\\n"],
            "rclone lsf -R": [str(beside.with_name("rclone")), "lsf", "-R", "--format", "tsp", str(tree)],
        }
        show(in_turn(commands, rounds=9, cwd=str(project), env=os.environ | {"HOME": scratch}), ours="invoke scan")


_ALONE = """
import sys
from datetime import UTC, datetime
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.items.root import resolve_root
from archive_tasks.scan.run import scan
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
session = Session(make_settings({"root": sys.argv[1]}, {}, {}), make_plugin_manager(), now=datetime.now(UTC), data="/nowhere")
scan(resolve_root(session), session)
"""

if __name__ == "__main__":
    main()
