"""Leaves out folders that can be made again: installed packages, build results, caches.

```yaml
archive:
  options:
    regenerable:
      use: true
```

It does nothing without `use: true`, for what is left out is not archived. No folder is recognised by its name
alone: the recipe that makes it again must be beside it, and where tools leave a mark inside, the mark too.
Gradle's `build` does not qualify: it has no mark, and people keep things of their own under that name.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError
from archive_tasks.model import FolderExcluder

if TYPE_CHECKING:
    from archive_tasks.settings import Settings

__version__ = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What shows that a folder can be made again.

    Attributes:
        beside: patterns of files; one of them must be beside the folder, and is what it is made from.
        inside: names; one of them must be in the folder. None requires nothing.
        tool: what makes it again where no recipe is needed.
    """

    beside: tuple[str, ...] = ()
    inside: tuple[str, ...] | None = None
    tool: str = ""


_PYTHON_RECIPES = ("requirements*.txt", "pyproject.toml", "setup.py", "Pipfile", "environment.yml")
_VENV = Rule(beside=_PYTHON_RECIPES, inside=("pyvenv.cfg",))
_GRADLE_RECIPES = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
_TAG = ("CACHEDIR.TAG",)
_BYTECODE = "__pycache__"

RULES: dict[str, tuple[Rule, ...]] = {
    "node_modules": (Rule(beside=("package.json",)),),
    ".venv": (_VENV,),
    "venv": (_VENV,),
    "env": (_VENV,),
    "target": (
        Rule(beside=("Cargo.toml",), inside=(*_TAG, ".rustc_info.json")),
        Rule(beside=("pom.xml",), inside=("maven-status", "maven-archiver")),
    ),
    ".gradle": (Rule(beside=_GRADLE_RECIPES),),
    ".tox": (Rule(beside=("tox.ini",)),),
    ".nox": (Rule(beside=("noxfile.py",)),),
    ".mypy_cache": (Rule(tool="mypy", inside=_TAG),),
    ".pytest_cache": (Rule(tool="pytest", inside=_TAG),),
    ".ruff_cache": (Rule(tool="ruff", inside=_TAG),),
    _BYTECODE: (),
}


def make_folder_excluder(root: str) -> FolderExcluder:
    """Judge folders of `root`. What cannot be looked at, or has vanished, is not left out."""

    def excludes(path: str) -> str | None:
        rules = RULES.get(path.rpartition("/")[2])
        return None if rules is None else _reason(os.path.join(root, path), rules)

    return FolderExcluder(excludes=excludes)


def _reason(folder: str, rules: Iterable[Rule]) -> str | None:
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return None
        if os.path.basename(folder) == _BYTECODE:
            return _reason_of_bytecode(folder)
        maker = next((maker for rule in rules if (maker := _maker(folder, rule))), None)
    except OSError:
        return None
    return maker and f"can be made again {maker}"


def _maker(folder: str, rule: Rule) -> str | None:
    if rule.inside is not None and not any(os.path.lexists(os.path.join(folder, name)) for name in rule.inside):
        return None
    if rule.tool:
        return f"by {rule.tool}"
    recipe = _first_match(_files(os.path.dirname(folder)), rule.beside)
    return recipe and f"from {recipe}"


def _first_match(names: frozenset[str], patterns: Iterable[str]) -> str | None:
    """The first pattern that a name matches; the pattern is shown, since a name may hold anything."""
    return next((pattern for pattern in patterns if any(fnmatch.fnmatchcase(name, pattern) for name in names)), None)


def _files(folder: str) -> frozenset[str]:
    """Names of the regular files in it; a link is not a recipe, since what it points to is not archived with it."""
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def _reason_of_bytecode(folder: str) -> str | None:
    """Bytecode alone, all of it with its source beside it: bytecode without a source is the only copy."""
    with os.scandir(folder) as entries:
        compiled = [(entry.name, entry.is_file(follow_symlinks=False)) for entry in entries]
    sources = _files(os.path.dirname(folder))
    made_again = all(
        is_file and name.endswith(".pyc") and f"{name.partition('.')[0]}.py" in sources for name, is_file in compiled
    )
    return "can be made again from the *.py files" if made_again else None


@hookimpl
def make_excluder(root: str, settings: Settings) -> FolderExcluder | None:
    options = settings.options.get("regenerable", {})
    for name in options:
        if name != "use":
            raise SettingsError(f"there is no setting archive.options.regenerable.{name}; known: use")
    use = options.get("use", False)
    if not isinstance(use, bool):
        raise SettingsError(f"archive.options.regenerable.use is {use!r}, but must be true or false")
    return make_folder_excluder(root) if use else None
