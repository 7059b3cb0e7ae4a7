"""A disk image of 6 GB with 4 kB of data: how long archive, verify and restore take, and what is sent.

    python -m tests.benchmarks.holes [--gigabytes 6]

The target is a folder. Beside it GNU tar, which finds holes in the same way and reads none of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measure import compile_ours

LONG_AGO = 1_600_000_000
DATA = 4096


def main() -> None:
    compile_ours()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=int, default=6)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = _make(folder, asked.gigabytes * 10**9)
        target, back = folder / "target", folder / "back"
        at = ("--target", target.as_uri())
        rows = [
            ("archive", _time(folder, ["archive", "--root", str(image.parents[1]), *at, "--yes"])),
            ("verify --read-data", _time(folder, ["verify", "--read-data", *at])),
            ("restore", _time(folder, ["restore", "vm", "--to", str(back), *at, "--yes"])),
            ("tar --sparse", _run(folder, ["tar", "--sparse", "-cf", "image.tar", "-C", image.parent, image.name])),
        ]
        sent = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        taken = (back / "vm" / image.name).stat().st_blocks * 512
        print("\n".join(f"{what:<20} {seconds:6.2f} s" for what, seconds in rows))
        print(f"in the target: {sent:,} bytes; on the disk when restored: {taken:,} bytes")


def _make(folder: Path, size: int) -> Path:
    image = folder / "Documents" / "vm" / "disk.img"
    image.parent.mkdir(parents=True)
    with image.open("wb") as file:
        file.seek(size // 2 // DATA * DATA)
        file.write(os.urandom(DATA))
        file.truncate(size)
    os.utime(image, (LONG_AGO, LONG_AGO))
    return image


def _time(folder: Path, arguments: Sequence[str]) -> float:
    return _run(folder, ["archive-tasks", *arguments])


def _run(folder: Path, command: Sequence[str | Path]) -> float:
    environment = {**os.environ, "HOME": str(folder / "home"), "XDG_DATA_HOME": str(folder / "data")}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
