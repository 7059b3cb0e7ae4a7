"""Several machines and users on one machine: each with a name, a home, a data folder and a clock of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import CommandLine, Ran
from tests.support.places import Place

ANOTHER_MACHINE = Path(__file__).with_name("another_machine")
YEAR = 366 * 86_400
COMMITS = r"(link|PUT) \S*/manifests/"
"""The write that commits an archive."""
NEARLY_COMMITS = r"(link|PUT) \S*(/manifests/|/manifest\.jsonl\.zst)"
"""Its commit, or the copy of the manifest right before it: whichever comes first."""

ANY_SHARE = ("--max-share", "100", "--all-devices")
"""Of what `prune` removes: a place of a few objects has no tenth worth speaking of. And whoever began it."""


class Host(CommandLine):
    """A machine with a user on it.

    Args:
        name: what the host is called.
        folder: of all that it has: `home`, `data`, `project`.
        place: where its archives go, unless a command says otherwise.
        data: its data folder, where that is not its own.
    """

    def __init__(self, name: str, folder: Path, place: Place | None = None, *, data: Path | None = None) -> None:
        project = folder / "project"
        project.mkdir(parents=True)
        (folder / "home").mkdir()
        (project / "tasks.py").write_text("from archive_tasks import ns\n")
        super().__init__(project)
        self.folder = folder
        self.data = data or folder / "data"
        self.environment = {
            "HOME": str(folder / "home"),
            "XDG_DATA_HOME": str(self.data),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "MACHINE_NAME": name,
            "MACHINE_ID": hashlib.md5(os.fsencode(folder)).hexdigest(),
            "PYTHONPATH": os.pathsep.join([str(ANOTHER_MACHINE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
        }
        if place is not None:
            self.environment |= place.env | {"ARCHIVE_TASKS_TARGET": place.url}

    # -- commands -----------------------------------------------------------------------------------

    def ask(self, *arguments: str, code: int | None = 0, **variables: str) -> dict[str, Any]:
        """A command's document; its exit code must be `code`, where one is given."""
        ran = self.run_as(*arguments, "--json", **variables)
        assert code in (None, ran.code), f"{arguments} ended with {ran.code}\n{ran.out}\n{ran.err}"
        return dict(json.loads(ran.out)) if ran.out.strip() else {}

    def do(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """All that a command says; its exit code must be `code`."""
        ran = self.run_as(*arguments, **variables)
        assert ran.code == code, f"{arguments} ended with {ran.code}\n{ran.out}\n{ran.err}"
        assert "Traceback" not in ran.err, ran.err
        return ran.out + ran.err

    def run_as(self, *arguments: str, **variables: str) -> Ran:
        """Run it with further variables."""
        usual = self.environment
        self.environment = usual | variables
        try:
            return self.run(*arguments)
        finally:
            self.environment = usual

    def archive(self, root: Path, *flags: str, code: int = 0, **variables: str) -> dict[str, Any]:
        return self.ask("archive", "--root", str(root), "--yes", *flags, code=code, **variables)

    def clean(self, root: Path, *flags: str, code: int = 0, **variables: str) -> dict[str, Any]:
        """For good, all that may go."""
        usual = ("--root", str(root), "--yes", "--max-share", "100", "--mode", "delete")
        return self.ask("clean", *usual, *flags, code=code, **variables)

    def prune(self, *flags: str, **variables: str) -> Ran:
        return self.run_as("prune", "--orphans", "--yes", *flags, **variables)

    # -- moments ------------------------------------------------------------------------------------

    @contextmanager
    def waiting_at(self, pattern: str, *arguments: str, code: int | None = 0) -> Iterator[None]:
        """A command waits at the first write that matches, for as long as the context is open; then it ends."""
        place = self.folder / f"moment {time.monotonic_ns()}"
        usual = self.environment
        self.environment = usual | {"MACHINE_WAITS_AT": pattern, "MACHINE_WAITS_FOR": str(place)}
        process = self.start(*arguments)
        self.environment = usual
        try:
            _wait_for(Path(f"{place}.reached"), process)
            yield
        finally:
            Path(f"{place}.go").touch()
            said, _ = process.communicate(timeout=120)
        assert code in (None, process.returncode), f"{arguments} ended with {process.returncode}\n{said}"

    def dies_at(self, pattern: str, *arguments: str) -> None:
        """A command is killed at the first write that matches."""
        assert self.run_as(*arguments, MACHINE_DIES_AT=pattern).code == -9

    # -- its data folder ----------------------------------------------------------------------------

    @property
    def own_data(self) -> Path:
        return self.data / "archive_tasks"

    def forget_all(self) -> None:
        """The data folder is lost."""
        shutil.rmtree(self.data)

    def forget_catalogues(self) -> None:
        """The catalogues alone are lost: the device stays the one that it was."""
        shutil.rmtree(self.own_data / "catalogues")


def _wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(6000):
        if file.exists():
            return
        if process.poll() is not None:
            raise AssertionError(f"it ended before that moment:\n{process.communicate()[0]}")
        time.sleep(0.01)
    raise AssertionError("it did not come to that moment")
