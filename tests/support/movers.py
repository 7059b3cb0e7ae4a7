"""Two and three runs at once that archive one folder and free it: ours, and `rclone move`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from archive_tasks.testing.trees import File, make_tree
from tests.support.foreign import files_of

FILES = 40
ITEMS = 5
Fetch = Callable[[str], bytes]


def make_folder(root: Path, round_: int) -> set[str]:
    """Forty files in five items, unlike those of any other round. Returns their SHA-256."""
    spec = {
        f"item{item}": {
            f"file{number}": File(f"{round_} {item} {number} ".encode() * 400, age_days=90)
            for number in range(FILES // ITEMS)
        }
        for item in range(ITEMS)
    }
    shutil.rmtree(root, ignore_errors=True)
    make_tree(root, spec)
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.rglob("*")) if path.is_file()}


def at_once(
    commands: Sequence[Sequence[str]], folders: Sequence[Path], environments: Sequence[dict[str, str]]
) -> list[int]:
    """Run them side by side; returns their exit codes."""
    running = [
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command, folder, environment in zip(commands, folders, environments, strict=True)
    ]
    return [process.wait(timeout=120) for process in running]


def archive_and_free(root: Path, target: str, folders: Sequence[Path], environment: dict[str, str]) -> list[int]:
    """Ours, as so many users with a data folder each: nothing but the root and the target is shared."""
    command = [
        sys.executable,
        "-m",
        "invoke",
        "archive",
        "--yes",
        "clean",
        "--yes",
        "--mode",
        "delete",
        "--max-share",
        "100",
    ]
    environments = [
        {
            **environment,
            "XDG_DATA_HOME": str(folder / "data"),
            "ARCHIVE_TASKS_ROOT": str(root),
            "ARCHIVE_TASKS_TARGET": target,
            "ARCHIVE_TASKS_STOP_CHAIN": "false",
        }
        for folder in folders
    ]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tasks.py").write_text("from archive_tasks import ns\n")
    return at_once([command] * len(folders), folders, environments)


def sums_at_home(root: Path) -> set[str]:
    """SHA-256 of everything under the root, set aside or not."""
    found = set()
    for base, _, names in os.walk(root):
        found |= {hashlib.sha256(Path(base, name).read_bytes()).hexdigest() for name in names}
    return found


def sums_in_target(keys: Sequence[str], fetch: Fetch) -> set[str]:
    """SHA-256 of everything that the target's manifests give back."""
    manifests = [fetch(key) for key in keys if key.startswith("manifests/")]
    return {hashlib.sha256(data).hexdigest() for one in manifests for data in files_of(one, fetch).values()}
