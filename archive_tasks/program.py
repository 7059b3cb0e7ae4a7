"""`archive-tasks`: the same tasks as a program of their own, for machines without a tasks.py.

Its invoke.yaml and its plugins folder are in the user's configuration directory, not in the current folder:
a cron job has no meaningful current folder, and a folder being scanned must not configure its own archiving.
"""

from __future__ import annotations

import sys

from invoke.program import Program
from invoke.util import yaml  # type: ignore[attr-defined]  # its own, or the installed one

from archive_tasks.flows.folders import config_folder
from archive_tasks.names import display
from archive_tasks.plugins import own_version
from archive_tasks.tasks import ns


class _ArchiveProgram(Program):
    def parse_collection(self) -> None:
        self.config.set_project_location(config_folder())
        self.config.load_project()
        super().parse_collection()


def main() -> None:
    """Run the program with the arguments of the command line."""
    program = _ArchiveProgram(name="archive-tasks", binary="archive-tasks", namespace=ns, version=own_version())
    try:
        program.run()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        folder = display(config_folder())
        sys.exit(f"error: the settings in {folder} are not valid YAML: {' '.join(str(error).split())}")
    except IsADirectoryError as error:
        sys.exit(f"error: {display(str(error.filename))} is a folder, and the settings are read from it: move it away")
