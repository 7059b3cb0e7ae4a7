"""Settings: four sources merged, everything unknown or impossible refused by name."""

from __future__ import annotations

import inspect

import pytest
from invoke.config import DataProxy

from archive_tasks.errors import SettingsError
from archive_tasks.settings import MIB, NESTED, Settings, known_settings, make_settings, parse_size


def test_without_sources_the_defaults_hold() -> None:
    assert make_settings({}, {}, {}) == Settings()


def test_later_sources_win_and_nested_ones_merge() -> None:
    configured = {"days": 10, "clock": "atime", "s3": {"region": "eu-west-1", "storage_class": "GLACIER_IR"}}
    environment = {"ARCHIVE_TASKS_DAYS": "20", "ARCHIVE_TASKS_S3_REGION": "us-east-2", "HOME": "/x"}
    settings = make_settings(configured, environment, {"days": "30", "clock": None})
    assert (settings.days, settings.clock) == (30, "atime")
    assert (settings.s3.region, settings.s3.storage_class) == ("us-east-2", "GLACIER_IR")
    assert settings.flagged == {"days"}


def test_lists_of_flags_add_to_configured_ones_and_variables_split_at_commas() -> None:
    settings = make_settings({"exclude": ["a"]}, {"ARCHIVE_TASKS_NOISE": "x, y"}, {"exclude": ["b"]})
    assert settings.exclude == ("a", "b")
    assert settings.noise == ("x", "y")


def test_flags_that_were_not_given_change_nothing() -> None:
    settings = make_settings({"hidden": True, "exclude": ["a"]}, {}, {"hidden": False, "exclude": [], "root": None})
    assert settings.hidden
    assert settings.exclude == ("a",)
    assert settings.flagged == frozenset()


def test_invokes_own_mappings_are_understood() -> None:
    proxy = DataProxy.from_data({"days": 5, "s3": {"region": "x"}, "options": {"photos": {"roots": ["~/P"]}}})
    settings = make_settings(proxy, {}, {})
    assert (settings.days, settings.s3.region) == (5, "x")
    assert settings.options["photos"]["roots"] == ["~/P"]


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"dys": 3}, r"there is no setting archive\.dys; did you mean archive\.days\? known:"),
        ({"s3": {"regoin": "x"}}, r"there is no setting archive\.s3\.regoin; did you mean archive\.s3\.region\?"),
        ({"flagged": ["days"]}, r"there is no setting archive\.flagged"),
        ({"days": "soon"}, r"archive\.days is 'soon', but must be a whole number"),
        ({"days": 1.5}, r"archive\.days is 1\.5, but must be a whole number"),
        ({"days": True}, r"archive\.days is True, but must be a whole number"),
        ({"days": -1}, r"archive\.days is -1, but must be between 0"),
        ({"hidden": "maybe"}, r"archive\.hidden is 'maybe', but must be true or false"),
        ({"root": ["a"]}, r"archive\.root is \['a'\], but must be text"),
        ({"s3": "x"}, r"archive\.s3 is 'x', but must be a mapping"),
        ({"options": {"photos": 3}}, r"archive\.options\.photos is 3, but must be a mapping"),
        ({"memory": "lots"}, r"archive\.memory is 'lots', which is not a size"),
        ({"memory": "1M"}, r"archive\.memory is 1048576, but must be between"),
        ({"part_size": "1M"}, r"archive\.part_size is 1048576, but must be between 5242880"),
        ({"concurrency": 0}, r"archive\.concurrency is 0"),
    ],
)
def test_what_is_wrong_is_named(configured: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_settings(configured, {}, {})


@pytest.mark.parametrize("variable", ["ARCHIVE_TASKS_DAYZ", "ARCHIVE_TASKS_OPTIONS", "ARCHIVE_TASKS_FLAGGED"])
def test_a_variable_that_names_no_setting_is_refused(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"the variable {variable} names no setting"):
        make_settings({}, {variable: "1"}, {})


@pytest.mark.parametrize(
    ("text", "truth"), [("yes", True), ("TRUE", True), ("1", True), ("off", False), ("false", False)]
)
def test_a_variable_says_true_or_false_in_words(text: str, truth: bool) -> None:
    assert make_settings({}, {"ARCHIVE_TASKS_HIDDEN": text}, {}).hidden is truth


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16M", 16 * MIB),
        ("16 MiB", 16 * MIB),
        ("1.5G", 1536 * MIB),
        ("500k", 512_000),
        ("7", 7),
        (7, 7),
        ("2MB/s", 2 * MIB),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str | int, size: int) -> None:
    assert parse_size(text, name="memory") == size


def test_every_setting_is_documented() -> None:
    documented = "\n".join(str(inspect.getdoc(kind)) for kind in (Settings, *NESTED.values()))
    assert all(f"\n    {name.rpartition('.')[2]}: " in documented for name in known_settings())
