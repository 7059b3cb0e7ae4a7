from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from archive_tasks.errors import SettingsError
from archive_tasks.items.rules import make_rules
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from tests.conftest import NOW
from tests.support.checkout import ROOT

PLUGIN = ROOT / "plugins" / "photos.py"


@pytest.fixture(name="plugin")
def _plugin(tmp_path: Path) -> ModuleType:
    """The file, copied beside nobody's tasks.py and loaded as a user's own plugin is."""
    folder = tmp_path / "somewhere" / "plugins"
    folder.mkdir(parents=True)
    shutil.copy(PLUGIN, folder)
    plugin: ModuleType = make_plugin_manager(str(folder)).get_plugin("photos")
    return plugin


def chosen(plugin: ModuleType, root: Path | str, options: dict[str, Any] | None) -> str | None:
    configured = {} if options is None else {"options": {"photos": options}}
    answer: str | None = plugin.choose_clock(str(root), make_settings(configured, {}, {}))
    return answer


@pytest.mark.parametrize("options", [None, {}, {"clock": "atime"}, {"roots": []}])
def test_without_roots_it_chooses_nothing(plugin: ModuleType, root: Path, options: dict[str, Any] | None) -> None:
    assert chosen(plugin, root, options) is None


def test_a_named_root_gets_the_named_clock(plugin: ModuleType, root: Path) -> None:
    assert chosen(plugin, root, {"roots": ["/elsewhere", str(root)], "clock": "atime"}) == "atime"


def test_a_named_root_gets_mtime_when_no_clock_is_named(plugin: ModuleType, root: Path) -> None:
    assert chosen(plugin, root, {"roots": [str(root)]}) == "mtime"


def test_other_roots_are_left_alone_also_those_above_and_below(plugin: ModuleType, root: Path) -> None:
    options = {"roots": [str(root)], "clock": "atime"}
    assert [chosen(plugin, path, options) for path in (root.parent, root / "2019", f"{root}2")] == [None] * 3


def test_a_root_may_be_named_by_its_home_or_by_a_link(
    plugin: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(root.parent))
    (root.parent / "link").symlink_to(root)
    assert chosen(plugin, root, {"roots": ["~/root"]}) == "mtime"
    assert chosen(plugin, root, {"roots": [str(root.parent / "link/")]}) == "mtime"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"roots": "~/Pictures"}, "roots"),
        ({"roots": [1]}, "roots"),
        ({"roots": {"a": "b"}}, "roots"),
        ({"roots": [""]}, "roots"),
        ({"roots": None}, "roots"),
        ({"clock": 5}, "clock"),
        ({"rots": []}, "rots"),
    ],
)
def test_an_impossible_option_is_a_settings_error_that_names_it(
    plugin: ModuleType, root: Path, options: dict[str, Any], name: str
) -> None:
    with pytest.raises(SettingsError, match=rf"archive\.options\.photos\.{name}\b"):
        chosen(plugin, root, options)


def test_the_run_measures_by_the_chosen_clock_unless_a_flag_names_one(tmp_path: Path, root: Path) -> None:
    configured = {"clock": "newest", "options": {"photos": {"roots": [str(root)], "clock": "ctime"}}}
    assert _clock_of_run(configured, {}, root, tmp_path) == "ctime"
    assert _clock_of_run(configured, {"clock": "atime"}, root, tmp_path) == "atime"


def test_a_clock_that_does_not_exist_stops_the_run(tmp_path: Path, root: Path) -> None:
    configured = {"options": {"photos": {"roots": [str(root)], "clock": "sundial"}}}
    with pytest.raises(SettingsError, match="there is no clock 'sundial'"):
        _clock_of_run(configured, {}, root, tmp_path)


def _clock_of_run(configured: dict[str, Any], flags: dict[str, Any], root: Path, tmp_path: Path) -> str:
    manager = make_plugin_manager(str(PLUGIN.parent))
    settings = make_settings(configured, {}, flags)
    return make_rules(Session(settings, manager, now=NOW, data=str(tmp_path / "data")), str(root)).clock_name
