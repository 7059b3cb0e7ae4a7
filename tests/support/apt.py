"""Programs of Debian and Ubuntu that some tests need: installed where that can be done, which is as root, with apt."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile

import filelock


@functools.cache
def is_there(program: str, *packages: str) -> bool:
    """Is the program installed? Where it is not and can be, it is now: by one of pytest-xdist's workers at a time."""
    if not shutil.which(program) and os.geteuid() == 0 and shutil.which("apt-get"):
        with filelock.FileLock(os.path.join(tempfile.gettempdir(), "archive_tasks-apt.lock"), timeout=270):
            if not shutil.which(program):
                _install(packages)
    return shutil.which(program) is not None


def _install(packages: tuple[str, ...]) -> None:
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "-o", "DPkg::Lock::Timeout=90", "install", "-qq", "-y", *packages],
    ):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=120, check=False)
