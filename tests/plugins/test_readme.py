"""plugins/README.md says what the code says: the hook table, and examples that run."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from archive_tasks import hookspecs
from archive_tasks.errors import SettingsError
from archive_tasks.model import Item
from archive_tasks.plugins import ENTRY_POINT_GROUP, list_plugins, make_plugin_manager
from archive_tasks.settings import make_settings
from tests.support.checkout import ROOT

PLUGINS = ROOT / "plugins"
README = (PLUGINS / "README.md").read_text(encoding="utf-8")


def hooks() -> dict[str, Any]:
    """The hooks in the order of hookspecs.py, known by pluggy's own mark."""
    return {name: member for name, member in vars(hookspecs).items() if hasattr(member, f"{hookspecs.PROJECT}_spec")}


def row(name: str, hook: Any) -> str:
    """The line of the table that is true for a hook."""
    signature = inspect.signature(hook)
    arguments = ", ".join(str(parameter) for parameter in signature.parameters.values()).replace("'", "")
    answer = str(signature.return_annotation).replace("|", r"\|")
    return f"| `{name}({arguments})` | `{answer}` | {inspect.cleandoc(hook.__doc__)} |"


def block(beginning: str) -> str:
    """The fenced block that begins so."""
    (found,) = re.findall(rf"```\w+\n({re.escape(beginning)}.*?)```", README, flags=re.DOTALL)
    return str(found)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A plugins folder that holds the example, saved as the text says."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "keep_safes.py").write_text(block("# plugins/keep_safes.py"))
    return folder


def test_the_hook_table_holds_every_hook_as_it_is_specified() -> None:
    table = README.partition("<!-- hooks:")[2].partition("<!-- end of hooks -->")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert hooks()
    assert rows == [row(name, hook) for name, hook in hooks().items()]


def test_every_form_of_hook_is_explained() -> None:
    forms = {name if name in {"reasons_to_keep", "on_event"} else f"{name.partition('_')[0]}_…" for name in hooks()}
    assert [form for form in sorted(forms) if f"| `{form}` |" not in README] == []


def test_every_drop_in_is_named_and_no_other() -> None:
    named = set(re.findall(r"^\| `(\w+\.py)` \|", README, flags=re.MULTILINE))
    assert named == {path.name for path in PLUGINS.glob("*.py")}


def test_the_table_of_guards_is_that_of_the_code() -> None:
    manager = make_plugin_manager()
    brought = [plugin.name for plugin in reversed(list_plugins(manager)) if "make_guard" in plugin.hooks]
    wanted = [f"| `{name}` | {inspect.getdoc(manager.get_plugin(name)).splitlines()[0]} |" for name in brought]
    table = README.partition("<!-- guards:")[2].partition("<!-- end of guards -->")[0]
    assert [line for line in table.splitlines() if line.startswith("| `")] == wanted
    assert wanted


def test_the_example_loads_as_a_drop_in(folder: Path) -> None:
    listed = list_plugins(make_plugin_manager(str(folder)))[0]
    assert (listed.name, listed.version, listed.hooks) == ("keep_safes", "1.0", ("reasons_to_keep",))


def test_the_example_heeds_its_options(folder: Path, root: Path) -> None:
    plugin = make_plugin_manager(str(folder)).get_plugin("keep_safes")
    (root / "item").mkdir()
    (root / "item" / "keys.kdb").touch()
    item = Item(name="item", root=str(root), kind="folder")
    options = {"options": {"keep_safes": {"ending": ".kdb"}}}
    assert plugin.reasons_to_keep(item, make_settings(options, {}, {})) == ["holds the password safe keys.kdb"]
    assert plugin.reasons_to_keep(item, make_settings({}, {}, {})) == []
    with pytest.raises(SettingsError, match=r"archive\.options\.keep_safes\.ending"):
        plugin.reasons_to_keep(item, make_settings({"options": {"keep_safes": {"ending": 5}}}, {}, {}))


def test_the_example_test_passes_and_fails_without_its_plugin(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "keep_safes", raising=False)
    importlib.invalidate_caches()
    names: dict[str, Any] = {}
    exec(block("# test_keep_safes.py"), names)
    run = names["test_an_item_with_a_password_safe_is_kept"]
    run(tmp_path / "once")
    monkeypatch.setattr(names["keep_safes"], "safes", lambda path, ending: [])
    with pytest.raises(AssertionError):
        run(tmp_path / "twice")


def test_the_entry_point_is_in_our_group() -> None:
    project = tomllib.loads(block("[project]"))["project"]
    assert project["entry-points"] == {ENTRY_POINT_GROUP: {"keep_safes": "keep_safes"}}
