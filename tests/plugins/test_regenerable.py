from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from archive_tasks.errors import SettingsError
from archive_tasks.model import FolderExcluder
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import make_tree
from tests.conftest import NOW
from tests.support.checkout import ROOT
from tests.support.scanning import scan

PLUGIN = ROOT / "plugins" / "regenerable.py"


@pytest.fixture(name="plugin")
def _plugin(tmp_path: Path) -> ModuleType:
    """The file, copied beside nobody's tasks.py and loaded as a user's own plugin is."""
    folder = tmp_path / "somewhere" / "plugins"
    folder.mkdir(parents=True)
    shutil.copy(PLUGIN, folder)
    plugin: ModuleType = make_plugin_manager(str(folder)).get_plugin("regenerable")
    return plugin


@pytest.fixture(name="why")
def _why(plugin: ModuleType, root: Path) -> Callable[[str], str | None]:
    """Why the folder at a path relative to the root is left out."""
    excluder = plugin.make_excluder(str(root), make_settings({"options": {"regenerable": {"use": True}}}, {}, {}))
    assert isinstance(excluder, FolderExcluder)
    return excluder.excludes


def put(root: Path, *paths: str) -> None:
    """Make empty files, or folders where a path ends with a slash."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).mkdir(exist_ok=True) if path.endswith("/") else (root / path).touch()


@pytest.mark.parametrize("options", [None, {}, {"use": False}])
def test_it_leaves_nothing_out_until_it_is_switched_on(
    plugin: ModuleType, root: Path, options: dict[str, Any] | None
) -> None:
    configured = {} if options is None else {"options": {"regenerable": options}}
    assert plugin.make_excluder(str(root), make_settings(configured, {}, {})) is None


@pytest.mark.parametrize("options", [{"use": "perhaps"}, {"use": 1}, {"usee": True}])
def test_an_impossible_option_is_a_settings_error_that_names_it(
    plugin: ModuleType, root: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match=rf"archive\.options\.regenerable\.{next(iter(options))}\b"):
        plugin.make_excluder(str(root), make_settings({"options": {"regenerable": options}}, {}, {}))


RECOGNISED = [
    ("node_modules", ["node_modules/x/index.js"], "package.json", "from package.json"),
    (".venv", [".venv/pyvenv.cfg"], "pyproject.toml", "from pyproject.toml"),
    ("venv", ["venv/pyvenv.cfg"], "requirements-dev.txt", "from requirements*.txt"),
    ("env", ["env/pyvenv.cfg"], "environment.yml", "from environment.yml"),
    ("target", ["target/CACHEDIR.TAG"], "Cargo.toml", "from Cargo.toml"),
    ("target", ["target/.rustc_info.json"], "Cargo.toml", "from Cargo.toml"),
    ("target", ["target/maven-status/"], "pom.xml", "from pom.xml"),
    (".gradle", [".gradle/8.5/"], "build.gradle.kts", "from build.gradle.kts"),
    (".tox", [".tox/py312/"], "tox.ini", "from tox.ini"),
    (".nox", [".nox/tests/"], "noxfile.py", "from noxfile.py"),
    ("__pycache__", ["__pycache__/tool.cpython-312.opt-1.pyc"], "tool.py", "from the *.py files"),
]


@pytest.mark.parametrize(("folder", "inside", "recipe", "maker"), RECOGNISED)
def test_a_folder_beside_its_recipe_is_left_out_and_the_reason_says_what_makes_it_again(
    why: Callable[[str], str | None], root: Path, folder: str, inside: list[str], recipe: str, maker: str
) -> None:
    put(root, *(f"app/{path}" for path in inside), f"app/{recipe}")
    assert why(f"app/{folder}") == f"can be made again {maker}"


@pytest.mark.parametrize(("folder", "inside", "recipe", "maker"), RECOGNISED)
def test_a_folder_without_its_recipe_stays(
    why: Callable[[str], str | None], root: Path, folder: str, inside: list[str], recipe: str, maker: str
) -> None:
    put(root, *(f"app/{path}" for path in inside), recipe, f"app/{folder}/{recipe}", "app/other.txt")
    assert why(f"app/{folder}") is None


@pytest.mark.parametrize(
    ("folder", "recipe"),
    [(".venv", "pyproject.toml"), ("target", "Cargo.toml"), ("target", "pom.xml"), (".mypy_cache", "mypy.ini")],
)
def test_a_folder_without_its_tools_mark_stays(
    why: Callable[[str], str | None], root: Path, folder: str, recipe: str
) -> None:
    put(root, f"app/{folder}/thesis.txt", f"app/{recipe}")
    assert why(f"app/{folder}") is None


@pytest.mark.parametrize("tool", ["mypy", "pytest", "ruff"])
def test_the_caches_of_checkers_are_known_by_their_own_mark(
    why: Callable[[str], str | None], root: Path, tool: str
) -> None:
    put(root, f"app/.{tool}_cache/CACHEDIR.TAG")
    assert why(f"app/.{tool}_cache") == f"can be made again by {tool}"


@pytest.mark.parametrize(
    "stranger", ["notes.txt", "lost.cpython-312.pyc", "tool.cpython-312.pyc.d/", "other.module.cpython-312.pyc"]
)
def test_bytecode_with_something_beside_that_no_source_makes_again_stays(
    why: Callable[[str], str | None], root: Path, stranger: str
) -> None:
    put(root, "app/tool.py", "app/__pycache__/tool.cpython-312.pyc", f"app/__pycache__/{stranger}")
    assert why("app/__pycache__") is None


def test_a_link_to_such_a_folder_is_no_folder(why: Callable[[str], str | None], root: Path) -> None:
    put(root, "real/node_modules/", "real/package.json", "app/package.json")
    (root / "app" / "node_modules").symlink_to(root / "real" / "node_modules")
    assert why("app/node_modules") is None


def test_a_recipe_that_is_a_link_is_none(why: Callable[[str], str | None], root: Path) -> None:
    put(root, "package.json", "app/node_modules/")
    (root / "app" / "package.json").symlink_to("../package.json")
    assert why("app/node_modules") is None


def test_what_has_vanished_or_cannot_be_named_stays(why: Callable[[str], str | None], root: Path) -> None:
    assert why("gone/node_modules") is None
    assert why("long/" * 2000 + "node_modules") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_stays(why: Callable[[str], str | None], root: Path) -> None:
    put(root, "app/tool.py", "app/__pycache__/tool.cpython-312.pyc")
    (root / "app" / "__pycache__").chmod(0)
    answer = why("app/__pycache__")
    (root / "app" / "__pycache__").chmod(0o700)
    assert answer is None


def test_a_parent_whose_name_is_no_utf_8_is_looked_at_all_the_same(
    why: Callable[[str], str | None], root: Path
) -> None:
    parent = os.fsdecode(b"caf\xe9")
    put(root, f"{parent}/node_modules/", f"{parent}/package.json")
    assert why(f"{parent}/node_modules") == "can be made again from package.json"


def test_folders_of_other_names_are_not_looked_at(why: Callable[[str], str | None], root: Path) -> None:
    put(root, "app/build/CACHEDIR.TAG", "app/build.gradle", "app/src/pyvenv.cfg", "app/pyproject.toml")
    assert [why("app/build"), why("app/src"), why("app")] == [None] * 3


def test_a_scan_leaves_the_folder_out_and_judges_the_rest(root: Path, tmp_path: Path) -> None:
    make_tree(root, {"app": {"package.json": "{}", "node_modules": {"x.js": "fresh"}}}, now=NOW)
    for path in (root / "app" / "package.json", root / "app"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    settings = make_settings({"root": str(root), "options": {"regenerable": {"use": True}}}, {}, {})
    session = Session(settings, make_plugin_manager(str(PLUGIN.parent)), now=NOW, data=str(tmp_path / "data"))
    (decision,) = scan(session).decisions
    assert (decision.archive, decision.files, decision.left_out) == (True, 1, 1)
