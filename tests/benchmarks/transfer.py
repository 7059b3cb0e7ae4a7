"""Our transfers against those of other tools: the same trees, the same server process, in turn.

    python -m tests.benchmarks.transfer archive    10,000 files of 8 KiB in 20 folders, to the server
    python -m tests.benchmarks.transfer restore    the same, back into an empty folder
    python -m tests.benchmarks.transfer large      one file of 1 GiB, to the server
    python -m tests.benchmarks.transfer one-file   one file of 8 KiB back, out of an item of 256 MiB of them
    python -m tests.benchmarks.transfer million    memory and searching, with an item of 1,000,000 files

The server is `rclone serve s3` on this machine. Every tool is a whole process, writes into a bucket that is new, and
finds on the disk what the one before left to be written. What only prepares (making the bucket, `restic init`, our
`setup`) is not timed. A tool that is missing is said, and left out: see peers.py for where they come from.

`--count` counts our requests in a run of its own; `--profile` says where our processor time goes.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import archiving, million, restoring
from tests.benchmarks.ground import Ground, make_ours, prepared
from tests.benchmarks.measure import CommandFailed
from tests.benchmarks.peers import Peer, find_peers
from tests.benchmarks.trees import Shape, make_tree
from tests.benchmarks.works import Contest

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A work, the tree that it is done on, and how often."""

    carry_out: Callable[[Contest], None]
    shape: Shape
    rounds: int
    help: str


WORKS = {
    "archive": Work(
        carry_out=archiving.send_tree, shape=Shape(10_000, 8 * KIB, 20), rounds=5, help="many small files, there"
    ),
    "restore": Work(
        carry_out=restoring.bring_back_everything,
        shape=Shape(10_000, 8 * KIB, 20),
        rounds=5,
        help="many small files, back",
    ),
    "large": Work(carry_out=archiving.send_tree, shape=Shape(1, GIB, 0), rounds=3, help="one large file, there"),
    "one-file": Work(
        carry_out=restoring.bring_back_one,
        shape=Shape(256 * MIB // (8 * KIB), 8 * KIB, 20, "item"),
        rounds=5,
        help="one file out of many",
    ),
    "million": Work(
        carry_out=million.measure_many,
        shape=Shape(1_000_000, 10, 1_000, "million"),
        rounds=9,
        help="one item of many files",
    ),
}


def main() -> None:
    options = _options()
    sys.stdout.reconfigure(line_buffering=True)  # what a long run has found out is not lost with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # or gigabytes would be left behind
    work = WORKS[options.work]
    shape = work.shape._replace(files=options.files or work.shape.files)
    shape = shape._replace(size=work.shape.size if options.size is None else options.size)
    rounds = options.rounds or work.rounds
    scratched = tempfile.TemporaryDirectory(dir=options.scratch, prefix="transfer-", ignore_cleanup_errors=True)
    with scratched as scratch, prepared(Path(scratch)) as ground:
        print(f"{options.work}: {shape}; {rounds} rounds")
        print(f"{os.cpu_count()} processors, Python {platform.python_version()}, {platform.system()}")
        try:
            work.carry_out(_contest(ground, shape, options, rounds=rounds))
        except CommandFailed as error:
            raise SystemExit(f"the work could not go on: {error}") from None


def _contest(ground: Ground, shape: Shape, options: argparse.Namespace, *, rounds: int) -> Contest:
    tree = ground.scratch / "tree"
    make_tree(tree, shape)
    return Contest(
        ground=ground,
        ours=make_ours(ground),
        tree=tree,
        shape=shape,
        rounds=rounds,
        peers=_peers(ground, options),
        count=options.count,
        profile=options.profile,
    )


def _peers(ground: Ground, options: argparse.Namespace) -> Sequence[Peer]:
    if options.work == "million":
        return []
    return find_peers(ground.server, options.bin, without=options.without)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.transfer", description=__doc__.partition("\n")[0])
    works = parser.add_subparsers(dest="work", required=True, metavar="WORK")
    for name, work in WORKS.items():
        one = works.add_parser(name, help=work.help)
        one.add_argument("--files", type=int, help=f"so many files (default {work.shape.files})")
        one.add_argument("--size", type=int, help=f"of so many bytes each (default {work.shape.size})")
        one.add_argument("--rounds", type=int, help=f"rounds that count (default {work.rounds})")
        one.add_argument("--scratch", default=None, help="folder on the disk to measure on (default: the system's)")
        one.add_argument("--bin", action="append", default=[], help="folder to look for other tools in (repeatable)")
        one.add_argument("--without", action="append", default=[], help="leave out this tool (repeatable)")
        one.add_argument("--count", action="store_true", help="count our requests, in a run of its own")
        one.add_argument("--profile", action="store_true", help="say where our processor time goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
