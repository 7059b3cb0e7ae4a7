"""Draws terminal.svg, the README's picture: a real run, in a real terminal (tmux), on a tree made for it.

python .github/make_picture.py
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from archive_tasks.testing.trees import File, make_tree

WIDTH, HEIGHT = 104, 30
DOCUMENTS = {
    "thesis-2019": {
        "thesis.tex": File(b"t" * 210_000, age_days=1466),
        "figures": {f"fig{number}.pdf": File(os.urandom(310_000), age_days=1500 + number) for number in range(24)},
        "data": {f"run{number}.csv": File(b"1,2,3\n" * 40_000, age_days=1600 + number) for number in range(60)},
    },
    "holiday-2022": {
        f"IMG_{number:04}.JPG": File(os.urandom(2_400_000), age_days=1201 + number / 9) for number in range(38)
    },
    "tax-2023.zip": File(os.urandom(8_200_000), age_days=611),
    "invoices": {
        f"{year}": {"a.pdf": File(b"x" * 90_000, age_days=(2026 - year) * 365 - 200)} for year in range(2018, 2026)
    }
    | {"2026": {"march.pdf": File(b"x" * 90_000, age_days=3)}},
    "novel": {"draft.odt": File(b"x" * 400_000, age_days=0.2), "old": {"v1.odt": File(b"x" * 300_000, age_days=900)}},
    "empty": {},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory(dir="/dev/shm") as other_disk:
        home = Path(scratch) / "home"
        make_tree(home / "Documents", DOCUMENTS)
        (home / "tasks.py").write_text("from archive_tasks import ns\n")
        nas = Path("/tmp/nas")  # noqa: S108 - it stands in the picture
        nas.symlink_to(other_disk)
        try:
            screen = _run(home, f"invoke archive --root ~/Documents --target {nas.as_uri()}")
        finally:
            nas.unlink()
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(screen.rstrip()))
    svg = console.export_svg(title="invoke archive")
    Path(__file__).with_name("terminal.svg").write_text(svg)


def _run(home: Path, command: str) -> str:
    """Type the command, yes when it asks and `aside` at the end; what the screen shows then."""
    name = f"picture-{os.getpid()}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = (
        f"env -i HOME={home} PATH={shlex.quote(path)} TERM=xterm-256color LANG=C.UTF-8 PS1='$ ' bash --norc --noprofile"
    )
    _tmux("new-session", "-d", "-s", name, "-x", str(WIDTH), "-y", str(HEIGHT), "-c", str(home), shell)
    try:
        _wait_for(name, "$")
        _tmux("send-keys", "-t", name, command, "Enter")
        _wait_for(name, "[Y/n]")
        _tmux("send-keys", "-t", name, "y", "Enter")
        _wait_for(name, "Free their space?")
        _tmux("send-keys", "-t", name, "aside", "Enter")
        _wait_for(name, ") set aside")
        time.sleep(0.5)
        return _tmux("capture-pane", "-p", "-e", "-t", name)
    finally:
        _tmux("kill-session", "-t", name)


def _wait_for(name: str, text: str) -> None:
    for _ in range(600):
        if text in (screen := _tmux("capture-pane", "-p", "-t", name)):
            return
        time.sleep(0.1)
    raise SystemExit(f"the terminal never showed {text}:\n{screen}")


def _tmux(*arguments: str) -> str:
    return subprocess.run(["tmux", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
