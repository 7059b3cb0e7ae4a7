"""Where transfers are measured: one server process for all, folders to work in, and our own commands."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import archive_tasks
from tests.benchmarks.measure import Turn, compile_ours, run
from tests.support.servers import S3Server, rclone_server

_BELIEVED = Path(__file__).with_name("believed.py")


def bucket_name(*words: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", " ".join(map(str, words)).lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A scratch folder, and the server in it. `env` is what every command gets."""

    scratch: Path
    server: S3Server
    env: Mapping[str, str]

    def make_bucket(self, *words: object) -> str:
        """A bucket of this name, which must be a new one: the server remembers those that were removed."""
        name = bucket_name(*words)
        self.server.client().create_bucket(Bucket=name)
        return name

    def bytes_in(self, bucket: str) -> int:
        return sum(path.stat().st_size for path in self._files_of(bucket).rglob("*") if path.is_file())

    def remove_bucket(self, bucket: str) -> None:
        """Behind the server's back, because that takes a moment and a request for each object would take minutes."""
        shutil.rmtree(self._files_of(bucket))

    def make_folder(self, *words: object) -> Path:
        folder = self.scratch.joinpath("folders", *map(str, words))
        folder.mkdir(parents=True)
        return folder

    def settle(self) -> None:
        """Have on the disk what the one before left to be written, so that the next does not pay for it."""
        os.sync()

    def _files_of(self, bucket: str) -> Path:
        return self.scratch / "server" / "data" / bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Our commands, as processes of their own: `invoke` of this interpreter's environment, with this checkout's code.

    Attributes:
        project: folder of the tasks.py.
        data: the user's data directory: catalogues are below it.
        scheme: of the targets.
    """

    project: Path
    data: Path
    env: Mapping[str, str]
    scheme: str = "s3"

    def target(self, bucket: str) -> str:
        return f"{self.scheme}://{bucket}/ours"

    def set_up(self, bucket: str) -> None:
        """As `restic init`: the bucket is looked at, once, before it is written to. Raises CommandFailed."""
        run(self.invoke("setup", "--target", self.target(bucket), "--yes"))

    def archive(self, tree: Path, bucket: str) -> Turn:
        return self.invoke("archive", "--root", str(tree), "--target", self.target(bucket), "--yes")

    def restore(self, *what: str, bucket: str, to: Path) -> Turn:
        return self.invoke("restore", *(what or ["--all"]), "--to", str(to), "--target", self.target(bucket))

    def invoke(self, *arguments: str) -> Turn:
        program = str(Path(sys.executable).with_name("invoke"))
        return self.turn([program, *arguments])

    def turn(self, command: Sequence[str]) -> Turn:
        code = str(Path(archive_tasks.__file__).parent.parent)
        return Turn(command, str(self.project), {**self.env, "XDG_DATA_HOME": str(self.data), "PYTHONPATH": code})

    def without_catalogue(self, data: Path) -> Ours:
        """The same on a machine that knows nothing of any target."""
        return replace(self, data=data)

    def at(self, endpoint: str) -> Ours:
        """The same, talking to another address."""
        return replace(self, env={**self.env, "AWS_ENDPOINT_URL_S3": endpoint})


def make_ours(ground: Ground) -> Ours:
    compile_ours()
    return Ours(project=_make_project(ground.scratch / "project"), data=ground.scratch / "data", env=ground.env)


def make_believing(ground: Ground) -> Ours:
    """Ours on a server whose checksums are proof; see believed.py."""
    project = _make_project(ground.scratch / "believing")
    (project / "plugins").mkdir()
    shutil.copy(_BELIEVED, project / "plugins")
    return Ours(project=project, data=ground.scratch / "data", env=ground.env, scheme="believed")


def _make_project(project: Path) -> Path:
    project.mkdir()
    (project / "tasks.py").write_text("from archive_tasks import ns\n")
    return project


@contextmanager
def prepared(scratch: Path) -> Iterator[Ground]:
    """A server with its data below `scratch`, and a home of its own for every tool."""
    home = scratch / "home"
    home.mkdir()
    with rclone_server(scratch / "server") as server:
        yield Ground(scratch=scratch, server=server, env=_environment(home, server))


def _environment(home: Path, server: S3Server) -> dict[str, str]:
    """Ours without what could point tools elsewhere, with the credentials of the server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_TAKEN_OVER)}
    return {**kept, **server.env, "HOME": str(home)}


_NOT_TAKEN_OVER = ("AWS_", "S3_", "RCLONE_", "RESTIC_", "XDG_", "ARCHIVE_TASKS_", "INVOKE_", "PYTHON")
