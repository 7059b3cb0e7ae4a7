"""The rooms of the house: a module imports only from its own room or those on lower floors."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import archive_tasks

PACKAGE = Path(archive_tasks.__file__).parent
FLOORS = (
    {"names", "amounts", "errors", "model", "store"},
    {"events", "settings", "hookspecs", "workers"},
    {"disk", "formats", "plugins"},
    {"catalogue", "hook_answers", "testing", "default_plugins"},
    {"session"},
    {"target"},
    {"items"},
    {"scan", "archive", "clean", "restore", "upkeep"},
    {"show"},
    {"flows"},
    {"commands"},
    {"tasks"},
    {"program", "__init__"},
)
"""From the ground up. What is on one floor stands side by side, and does not import each other."""
FOR_PLUGINS = {"names", "errors", "model", "store", "settings", "__init__"}
"""What a plugin may use, ours like anybody's; ours share the checksums of the formats and one way to rename."""
OUTSIDE = {
    "pluggy": {"hookspecs", "plugins"},
    "invoke": {"commands/", "tasks", "program"},
    "rich": {"show/console", "show/live_progress"},
    "boto3": {"default_plugins/stores/s3/client"},
    "botocore": {
        f"default_plugins/stores/s3/{name}" for name in ("store", "client", "upload", "errors", "bucket", "probes")
    },
    "pathspec": {"default_plugins/exclude"},
    "sqlite3": {"catalogue/sqlite_file"},
    "filelock": {"target/lock"},
    "platformdirs": {"flows/folders"},
    "send2trash": {"clean/disposal"},
}


@functools.cache
def modules() -> dict[str, Path]:
    return {str(path.relative_to(PACKAGE).with_suffix("")): path for path in PACKAGE.rglob("*.py")}


def room_of(module: str) -> str:
    return module.partition("/")[0]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


@functools.cache
def imports_of(path: Path) -> set[str]:
    """Dotted names of what a file imports when it runs; what only type checkers read does not count."""
    found: set[str] = set()
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _running(child)


@functools.cache
def own_imports(path: Path) -> set[str]:
    """Modules of the package, e.g. `clean/gate`; the package itself is `__init__`."""
    known = modules()
    found: set[str] = set()
    for name in imports_of(path):
        if name.partition(".")[0] == "archive_tasks":
            inner = name.removeprefix("archive_tasks").lstrip(".").replace(".", "/")
            found |= {one for one in (inner, f"{inner}/__init__".lstrip("/")) if one in known}
    return {
        one for one in found if not (one.endswith("/__init__") and any(o.startswith(one[:-8]) for o in found - {one}))
    }


@functools.cache
def room_imports() -> dict[str, set[tuple[str, str]]]:
    """For each room, (module, what it imports from another room)."""
    found: dict[str, set[tuple[str, str]]] = {}
    for module, path in modules().items():
        for other in own_imports(path) - {"__init__"}:
            if room_of(other) != room_of(module):
                found.setdefault(room_of(module), set()).add((module, other))
    return found


def test_every_room_has_its_floor() -> None:
    rooms = [room for floor in FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))
    assert {room_of(module) for module in modules()} == set(rooms)


@pytest.mark.parametrize("room", sorted(room for floor in FLOORS for room in floor))
def test_a_room_imports_only_from_lower_floors(room: str) -> None:
    for module, other in room_imports().get(room, ()):
        assert floor_of(room_of(other)) < floor_of(room), f"{module} imports {other}"


def test_no_module_is_imported_by_what_it_imports() -> None:
    arrows = {module: own_imports(path) - {"__init__", module} for module, path in modules().items()}
    done: set[str] = set()

    def walk(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for other in arrows[module]:
                walk(other, (*way, module))
            done.add(module)

    for module in arrows:
        walk(module, ())


def test_nothing_imports_the_default_plugins_but_themselves() -> None:
    for room, arrows in room_imports().items():
        assert not {one for one in arrows if room_of(one[1]) == "default_plugins"}, room


def test_default_plugins_import_what_any_plugin_may() -> None:
    shared = {"formats/checksums", "disk/rename"}
    for module, other in room_imports()["default_plugins"]:
        assert room_of(other) in FOR_PLUGINS or other in shared, f"{module} imports {other}"


def test_each_library_has_its_one_place() -> None:
    for module, path in modules().items():
        outside = {name.split(".")[0] for name in imports_of(path)} & OUTSIDE.keys()
        misplaced = {name for name in outside if not OUTSIDE[name] & {module, f"{room_of(module)}/"}}
        assert not misplaced, f"{module} imports {misplaced}"


def test_only_the_console_prints() -> None:
    for module, path in modules().items():
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        prints = [one for one in calls if isinstance(one, ast.Name) and one.id == "print"]
        assert not prints or module == "show/console", module


def test_the_clock_is_read_where_people_are_spoken_to() -> None:
    """Everybody else is handed `now`. S3 compares dates; a lock says since when; helpers for tests have a default."""
    reading = {module for module, path in modules().items() if "datetime.now(" in path.read_text()}
    allowed = {"flows", "testing"}
    assert {one for one in reading if room_of(one) not in allowed} == {
        "default_plugins/stores/s3/errors",
        "default_plugins/stores/s3/probes",
        "target/lock",
    }


def test_how_folders_are_opened_is_said_in_one_place() -> None:
    """Whether a link is followed there is a decision. Plugins make theirs."""
    spelled = {module for module, path in modules().items() if "os.O_DIRECTORY" in path.read_text()}
    assert {one for one in spelled if room_of(one) != "default_plugins"} == {"disk/open_flags"}


REMOVES = {
    "clean/purge": "what is proven to be in the target",
    "clean/disposal": "its own unfinished copy; and what the user's trash takes",
    "clean/quarantine": "slots that are empty, and what it wrote there itself",
    "clean/root_lock": "the note that says who holds the lock",
    "clean/stub": "its own notes, as long as nobody wrote into them",
    "catalogue/device": "its own temporary name",
    "disk/ctime_trial": "its own trial file",
    "disk/folders": "its own temporary names in a restore's destination",
    "default_plugins/stores/folder/folders": "folders of the target that are empty",
    "default_plugins/stores/folder/incoming": "abandoned uploads of the target's own",
    "default_plugins/stores/folder/store": "objects of the target, for prune and doctor",
    "default_plugins/stores/folder/upload": "its own upload, when it is done or given up",
}
"""The modules that remove anything, and what. A new one here wants a reason that a stranger believes."""


def test_few_modules_remove_anything_and_one_removes_what_is_the_users() -> None:
    removing = set()
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                owner, _, name = ast.unparse(node.func).rpartition(".")
                gone = name in {"unlink", "rmdir", "remove", "removedirs"} and owner == "os"
                if gone or name in {"rmtree", "send2trash"}:
                    removing.add(module)
    assert removing == set(REMOVES)


def test_the_tree_of_errors_is_whole() -> None:
    """Errors are in `errors` alone, and its docstring shows each. A guard has one of its own, which it catches itself."""
    text = modules()["errors"].read_text()
    drawn = (ast.get_docstring(ast.parse(text)) or "").split()
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if any(base.endswith(("Error", "Exception")) for base in bases):
                assert module in {"errors", "default_plugins/guards/git_unsaved"}, f"{module}: {node.name}"
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            assert {node.name, f"`{node.name}`"} & set(drawn), f"{node.name} is not in the tree"
