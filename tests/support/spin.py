"""Models in Promela, checked by SPIN: every state that a model can reach, or the first history that breaks it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import apt

_SEARCH = ["-E", "-m500000"]  # a process that waits for ever is no fault here; so many steps a history may have
_MEMORY = 1000


@dataclass(frozen=True, slots=True)
class Checked:
    """What SPIN found.

    Attributes:
        broken: the first thing that does not hold; empty where everything does.
        states: how many were reached.
        unseen: texts of the model's printf that no history comes to.
        said: everything that SPIN wrote.
    """

    broken: str
    states: int
    unseen: frozenset[str]
    said: str


def why_not() -> str:
    """Why SPIN is no use here; empty when it is. Where it can be had from Debian or Ubuntu, it is."""
    for program, packages in {"gcc": ("gcc", "libc6-dev"), "spin": ("spin",)}.items():
        if not apt.is_there(program, *packages):
            return f"{program} is not installed, and could not be"
    version = subprocess.run(["spin", "-V"], capture_output=True, text=True, check=False).stdout
    return "" if version.startswith("Spin Version 6") else f"this is another spin: {version[:80]!r}"


def check(model: Path, switches: Sequence[str], folder: Path, *, search: Sequence[str] = ()) -> Checked:
    """Check a model with these switches (`NAME` or `NAME=VALUE`); everything that SPIN writes is in `folder`.

    Args:
        search: options for the compiler (-D...) and for the search, to look further than memory reaches.
    """
    compile_with = [f"-DMEMLIM={_MEMORY}", *(option for option in search if option.startswith("-D"))]
    search_with = [option for option in search if not option.startswith("-D")]
    # -o3: else a printf counts as seen once its guard was asked. -O0: gcc would take longer than the search.
    _run(["spin", "-a", "-o3", *(f"-D{switch}" for switch in switches), str(model)], folder)
    _run(["gcc", "-w", "-O0", "-DSAFETY", *compile_with, "-o", "pan", "pan.c"], folder)
    said = _run(["./pan", *_SEARCH, *search_with], folder)
    broken = re.search(r"^pan:\d+: (.*) \(at depth", said, re.MULTILINE)
    assert broken or search or "Search not completed" not in said, said
    return Checked(
        broken=broken[1] if broken else "",
        states=int(float(re.search(r"(\S+) states, stored", said)[1])),  # type: ignore[index]
        unseen=frozenset(re.findall(r"\"printf\('(.*)'\)\"", said)),
        said=said,
    )


def _run(command: list[str], folder: Path) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"
    return ran.stdout
