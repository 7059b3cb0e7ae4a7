"""Freeing 10,000 files of 8 KiB, whole processes, against `rm -rf` and a walk that only looks.

    python -m tests.benchmarks.freeing [--count 10000] [--rounds 3]

The target is a folder, so everything archived is read back first; that is timed apart, by a run of `verify`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import compile_ours

FOLDERS = 20
SIZE = 8192
LONG_AGO = 1_600_000_000


def main() -> None:
    compile_ours()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    times: dict[str, list[float]] = {}
    for _ in range(asked.rounds):
        for name, seconds in _round(asked.count).items():
            times.setdefault(name, []).append(seconds)
    least = {name: median(all_) for name, all_ in times.items()}
    for name, seconds in least.items():
        print(f"{name:<28} {seconds * 1000:7.0f} ms")
    theirs = least["rm -rf"] + least["find, looking at each"]
    for name in ("clean --mode delete", "clean (set aside)", "clean --grace 0 (purge)"):
        print(f"{name} / (rm -rf + find): {least[name] / theirs:.2f}")


def _round(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tasks.py").write_text("from archive_tasks import ns\n")
        times: dict[str, float] = {}
        for kind in ("ours", "aside", "theirs"):
            _make(folder / kind / "item", count)
        os.sync()
        time.sleep(3)  # what was written within two seconds of a look is read again, and stale files were not
        times["find, looking at each"] = _time(["find", str(folder / "theirs"), "-printf", "%s %T@\n"], folder)
        times["rm -rf"] = _time(["rm", "-rf", str(folder / "theirs")], folder)
        for kind in ("ours", "aside"):
            _invoke(folder, "archive", kind, "--yes")
        times["verify --read-data"] = _invoke(folder, "verify", "", "--read-data") / 2
        os.sync()
        yes = ("--yes", "--max-share", "100")
        times["clean --mode delete"] = _invoke(folder, "clean", "ours", "--mode", "delete", *yes)
        times["clean (set aside)"] = _invoke(folder, "clean", "aside", *yes)
        times["clean --grace 0 (purge)"] = _invoke(folder, "clean", "aside", "--grace", "0", *yes)
        left = [path for kind in ("ours", "aside") for path in (folder / kind).rglob("*")]
        if left:
            raise SystemExit(f"{len(left)} are left, such as {left[0]}")
    return times


def _make(item: Path, count: int) -> None:
    for number in range(count):
        path = item / f"folder{number % FOLDERS}" / f"file{number}"
        if number < FOLDERS:
            path.parent.mkdir(parents=True)
        path.write_bytes(os.urandom(SIZE))
        os.utime(path, (LONG_AGO, LONG_AGO))


def _invoke(folder: Path, verb: str, root: str, *options: str) -> float:
    where = ["--root", str(folder / root)] if root else []
    target = ["--target", (folder / "target").as_uri()]
    environment = {**os.environ, "XDG_DATA_HOME": str(folder / "data")}
    return _time([sys.executable, "-m", "invoke", verb, *where, *target, *options], folder, environment)


def _time(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
