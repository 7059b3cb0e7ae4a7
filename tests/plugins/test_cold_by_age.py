"""plugins/cold_by_age.py: the class follows from how long an item has been idle."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from archive_tasks.errors import SettingsError
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine
from tests.support.checkout import ROOT
from tests.support.servers import S3Server

PLUGIN = ROOT / "plugins" / "cold_by_age.py"
CLASSES = {"GLACIER_IR": 365, "DEEP_ARCHIVE": 1095}
MIB = 1024 * 1024


@pytest.fixture(name="plugin")
def _plugin(tmp_path: Path) -> ModuleType:
    folder = tmp_path / "somewhere" / "plugins"
    folder.mkdir(parents=True)
    shutil.copy(PLUGIN, folder)
    plugin: ModuleType = make_plugin_manager(str(folder)).get_plugin("cold_by_age")
    return plugin


def chosen(plugin: ModuleType, days: int, size: int, options: dict[str, Any] | None) -> str | None:
    configured = {} if options is None else {"options": {"cold_by_age": options}}
    answer: str | None = plugin.choose_storage_class(days, size, make_settings(configured, {}, {}))
    return answer


@pytest.mark.parametrize("options", [None, {}, {"smallest": 0}, {"classes": {}}])
def test_without_classes_it_chooses_nothing(plugin: ModuleType, options: dict[str, Any] | None) -> None:
    assert chosen(plugin, 9999, 9999 * MIB, options) is None


@pytest.mark.parametrize(
    ("days", "expected"),
    [(364, None), (365, "GLACIER_IR"), (1094, "GLACIER_IR"), (1095, "DEEP_ARCHIVE"), (9999, "DEEP_ARCHIVE")],
)
def test_the_highest_class_that_is_reached_counts(plugin: ModuleType, days: int, expected: str | None) -> None:
    assert chosen(plugin, days, 5 * MIB, {"classes": CLASSES}) == expected


def test_a_small_item_stays_in_the_default_class(plugin: ModuleType) -> None:
    assert chosen(plugin, 2000, MIB - 1, {"classes": CLASSES}) is None
    assert chosen(plugin, 2000, 10, {"classes": CLASSES, "smallest": 10}) == "DEEP_ARCHIVE"


@pytest.mark.parametrize(
    "options",
    [
        {"clases": CLASSES},
        {"classes": ["GLACIER"]},
        {"classes": "GLACIER"},
        {"classes": None},
        {"classes": {"GLACIER": "a year"}},
        {"classes": {"GLACIER": 1.5}},
        {"classes": {"GLACIER": True}},
        {"classes": {"GLACIER": -1}},
        {"classes": {"": 365}},
        {"classes": {"365": "GLACIER"}},
        {"classes": {"GLACIER": 365, "DEEP_ARCHIVE": 365}},
        {"classes": CLASSES, "smallest": "1 MB"},
        {"classes": CLASSES, "smallest": -1},
    ],
)
def test_wrong_options_are_said_with_what_is_right(plugin: ModuleType, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"archive\.options\.cold_by_age\.\w+"):
        chosen(plugin, 400, 5 * MIB, options)


def test_a_run_by_the_documented_settings_puts_each_item_into_its_class(
    cli: CommandLine, root: Path, strict_s3: S3Server
) -> None:
    ages = {"young": 90, "old": 400, "ancient": 2000}
    data = os.urandom(2 * MIB)
    make_tree(root, {name: {"f": File(data, age_days=days)} for name, days in ages.items()})
    make_tree(root, {"small": {"f": File("x", age_days=2000)}})
    (cli.project / "plugins").mkdir()
    shutil.copy(PLUGIN, cli.project / "plugins")
    documented = re.findall(r"```yaml\n(.*?)```", PLUGIN.read_text(), re.DOTALL)
    (cli.project / "invoke.yaml").write_text(documented[0])
    cli.environment |= strict_s3.env
    bucket = strict_s3.make_bucket()
    ran = cli.run("archive", "--root", str(root), "--target", f"s3://{bucket}", "--yes")
    assert ran.code == 0, ran.err
    listed = strict_s3.client().list_objects_v2(Bucket=bucket)["Contents"]
    copies = [one for one in listed if re.fullmatch(r"data/.*/manifest.jsonl.zst", one["Key"])]
    assert [one["StorageClass"] for one in copies] == ["STANDARD"] * 4, "who repairs a manifest does not wait for it"
    classes = {
        found[1]: one["StorageClass"]
        for one in listed
        if one not in copies and (found := re.match(r"data/.*/(\w+)~[^/]*/", one["Key"]))
    }
    assert classes == {"young": "STANDARD", "old": "GLACIER_IR", "ancient": "DEEP_ARCHIVE", "small": "STANDARD"}
