"""The layers of the design: a module imports only from its own layer or those below."""

from __future__ import annotations

import ast
from pathlib import Path

import archive_tasks

PACKAGE = Path(archive_tasks.__file__).parent
LAYERS = [
    {"errors", "model", "store", "events", "settings", "names", "checksums"},
    {"device", "staleness", "walk", "source", "manifest", "search", "layout", "catalogue", "catalogue_rows", "catalogue_schema", "catalogue_upgrade", "attempts", "object_sizes", "entry_index", "pace", "tar", "pack",
     "destination", "relative_path", "new_file", "naming", "open_folders", "attributes",
     "sparse", "manifest_entry", "unpack", "restored", "prices", "renaming", "leases", "ctime_trial", "slot_state", "aside"},
    {"hookspecs", "plugins"},
    {
        "session", "scan", "entries", "records", "contents", "send", "send_sparse", "object_writer", "prove", "packs", "processes",
        "item_sender", "item_archive", "archive", "target", "vault", "nesting", "new_target",
        "doctor", "report", "side_by_side", "guarding",
        "sync", "find", "report_restoring", "report_finding", "selection", "fetch_plan",
        "restore", "restore_run", "restore_item", "restore_fetch", "restore_links", "verify", "prune", "thaw",
        "archived_objects", "already_there", "last_look", "manifest_again", "packed_entries", "repair", "evidence", "compare", "gate", "leave", "clean", "undo", "stub", "root_place", "report_cleaning",
    },
    {"console", "progress", "live_progress", "chain", "verbs", "verbs_writing", "verbs_restoring", "verbs_finding", "verbs_verify", "verbs_prune", "verbs_catalogue", "verbs_cleaning", "verbs_undo", "opened", "setup_target", "task_frame", "tasks",
     "program", "testing", "store_testing", "failing_store"},
]  # fmt: skip
OUTSIDE = {
    "pluggy": {"hookspecs", "plugins"},
    "invoke": {"task_frame", "tasks", "program"},
    "rich": {"console", "live_progress"},
    "boto3": {"default_plugins/s3"},
    "botocore": {
        "default_plugins/s3",
        "default_plugins/s3_upload",
        "default_plugins/s3_errors",
        "default_plugins/s3_bucket",
        "default_plugins/s3_probes",
    },
    "pathspec": {"default_plugins/exclude"},
    "sqlite3": {"catalogue"},
    "filelock": {"opened"},
    "platformdirs": {"chain"},
    "send2trash": {"verbs_cleaning"},
}


def modules() -> dict[str, Path]:
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    return {str(path.relative_to(PACKAGE).with_suffix("")): path for path in paths}


def imports_of(path: Path) -> set[str]:
    """Dotted names of what a file imports when it runs; what only type checkers read does not count."""
    found: set[str] = set()
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _running(tree: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        found += [child, *_running(child)]
    return found


def own_imports(path: Path) -> set[str]:
    names = {name.removeprefix("archive_tasks.") for name in imports_of(path) if name.startswith("archive_tasks.")}
    return {
        name.replace(".", "/").split("/")[0] if not name.startswith("default_plugins") else "default_plugins"
        for name in names
    }


def layer_of(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module in names)


def test_every_module_has_its_layer() -> None:
    flat = {name for name in modules() if not name.startswith("default_plugins/")}
    assert flat == set().union(*LAYERS)


def test_a_module_imports_only_from_its_own_layer_or_those_below() -> None:
    every = set().union(*LAYERS)
    for module, path in modules().items():
        if not module.startswith("default_plugins/"):
            above = {name for name in own_imports(path) & every if layer_of(name) > layer_of(module)}
            assert not above, f"{module} imports {above}"


def test_nothing_imports_the_default_plugins_but_themselves() -> None:
    for module, path in modules().items():
        if not module.startswith("default_plugins/"):
            assert "default_plugins" not in own_imports(path), module


def test_default_plugins_import_values_and_hooks_only() -> None:
    allowed = LAYERS[0] | {"hookimpl", "default_plugins", "renaming"}
    for module, path in modules().items():
        if module.startswith("default_plugins/"):
            assert own_imports(path) <= allowed, module


def test_each_library_has_its_one_place() -> None:
    for module, path in modules().items():
        outside = {name.split(".")[0] for name in imports_of(path)} & OUTSIDE.keys()
        misplaced = {name for name in outside if module not in OUTSIDE[name]}
        assert not misplaced, f"{module} imports {misplaced}"


def test_only_the_edge_reads_the_clock_or_prints() -> None:
    for module, path in modules().items():
        text = path.read_text()
        if module not in {"console"}:
            assert "print(" not in text.replace("rich.print(", "").replace("_console.print(", ""), module
        if module in set().union(*LAYERS[:3]):
            assert "datetime.now(" not in text, module
