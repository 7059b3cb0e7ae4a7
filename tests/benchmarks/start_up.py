"""What loading the collection costs: `invoke --list` with ours, against a tasks.py with one task of its own.

python -m tests.benchmarks.start_up
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import compile_ours, in_turn, show

BARE = "from invoke import task\n@task\ndef build(c):\n    pass\n"
OURS = "from archive_tasks import ns\n"


def main() -> None:
    compile_ours()
    with tempfile.TemporaryDirectory() as scratch:
        commands = {}
        for name, text in {"with archive_tasks": OURS, "a bare tasks.py": BARE}.items():
            project = Path(scratch) / name.replace(" ", "-")
            project.mkdir()
            (project / "tasks.py").write_text(text)
            invoke = str(Path(sys.executable).with_name("invoke"))
            commands[name] = [invoke, "--search-root", str(project), "--list"]
        figures = in_turn(commands, rounds=25, env=os.environ | {"HOME": scratch})
        show(figures, ours="a bare tasks.py")


if __name__ == "__main__":
    main()
