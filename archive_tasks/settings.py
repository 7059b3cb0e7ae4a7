"""Settings: what the user's configuration says, checked, as one frozen value.

Four sources, later ones win: the defaults here, the `archive` mapping of Invoke's configuration,
`ARCHIVE_TASKS_...` variables, flags. They are merged deeply, here and nowhere else.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archive_tasks.errors import SettingsError

MIB = 1024 * 1024
CLEAN_MODES = ("quarantine", "trash", "move", "delete")
_UNITS = {"": 1, "K": 1024, "M": MIB, "G": 1024 * MIB, "T": 1024 * 1024 * MIB}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """What the `s3` store needs to know; credentials, regions and endpoints come from AWS's own settings.

    Attributes:
        profile: name of an AWS profile; empty takes AWS's default.
        region: region of the bucket, or of one to create; empty takes AWS's default.
        storage_class: class of the data objects, e.g. STANDARD_IA, GLACIER_IR, DEEP_ARCHIVE; empty leaves
            the choice to the bucket. Manifests always stay in the bucket's default class.
        encryption: AES256 or aws:kms; empty leaves it to the bucket.
        kms_key: key id or ARN for aws:kms.
        bucket_owner: account id; every request is refused when the bucket belongs to somebody else.
        allow_http: True permits an http:// endpoint on another machine (credentials travel in clear).
    """

    profile: str = ""
    region: str = ""
    storage_class: str = ""
    encryption: str = ""
    kms_key: str = ""
    bucket_owner: str = ""
    allow_http: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSettings:
    """How the space of what is archived is freed, and where that stops.

    Attributes:
        mode: `quarantine` sets items aside under the root, `trash` uses the desktop's, `move` needs `to`, `delete`
            removes at once.
        to: folder that `move` moves items to.
        grace: days that an item stays set aside before a later run purges it.
        stub: True leaves a small text file where an item was: what it was, and how to get it back.
        max_items: items that one run frees, at most; 0 is unlimited.
        max_bytes: bytes that one run frees, at most; 0 is unlimited.
        max_share: percentage of the root's items that a run without a question may free.
        max_failures: percentage of items that may fail before a run stops.
    """

    mode: str = "quarantine"
    to: str = ""
    grace: int = 7
    stub: bool = False
    max_items: int = 0
    max_bytes: int = field(default=0, metadata={"size": True})
    max_share: int = 80
    max_failures: int = 20

    def __post_init__(self) -> None:
        if self.mode not in CLEAN_MODES:
            raise SettingsError(f"archive.clean.mode is {self.mode!r}; known: {', '.join(CLEAN_MODES)}")
        _check_range("clean.grace", self.grace, 0, 100_000)
        _check_range("clean.max_items", self.max_items, 0, 1 << 50)
        _check_range("clean.max_bytes", self.max_bytes, 0, 1 << 62)
        _check_range("clean.max_share", self.max_share, 1, 100)
        _check_range("clean.max_failures", self.max_failures, 0, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of a run.

    Attributes:
        root: the folder being kept tidy; empty when a flag must name it.
        target: URL of the target; empty takes the folder store in the user's data directory.
        scope: whose archives these are, as a path in the target; empty takes host and root name.
        device: name of this device, for containers and shared homes; empty takes a random id, kept in the data folder.
        days: an item is stale when it was last used at least this many days ago.
        clock: name of a registered clock.
        hidden: True judges items whose names begin with a dot; otherwise they are kept.
        full: True walks fresh items to the end too: their sizes, and how near they are to stale.
        exclude: gitignore patterns, relative to the root, of what is left out.
        noise: name patterns of entries that do not count as use, beside the built-in ones.
        items_at_once: how many items are worked on at the same time.
        concurrency: how many requests are under way at the same time.
        memory: bytes of file contents held at the same time, at most.
        pack_below: files of fewer bytes go into packs; 0 packs nothing.
        pack_size: bytes of a pack, at most.
        part_size: bytes of a part, at least, when a file is sent in parts.
        bandwidth: bytes sent a second, at most; 0 is unlimited.
        retry_minutes: how long an item waits for a target that answers with temporary faults.
        prices: file of a price table to use instead of the one that comes with archive_tasks.
        stop_chain: True makes a run in which an item failed (exit code 3) end the chain of tasks.
        plugins_off: names of plugins that are not loaded.
        options: settings of plugins, by plugin name.
        s3: settings of the S3 store.
        clean: how the space of what is archived is freed.
        flagged: names of the settings that came from flags; no plugin's choice goes above them.
    """

    root: str = ""
    target: str = ""
    scope: str = ""
    device: str = ""
    days: int = 30
    clock: str = "mtime"
    hidden: bool = False
    full: bool = False
    exclude: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    items_at_once: int = 4
    concurrency: int = 8
    memory: int = field(default=256 * MIB, metadata={"size": True})
    pack_below: int = field(default=MIB, metadata={"size": True})
    pack_size: int = field(default=256 * MIB, metadata={"size": True})
    part_size: int = field(default=16 * MIB, metadata={"size": True})
    bandwidth: int = field(default=0, metadata={"size": True})
    retry_minutes: int = 15
    prices: str = ""
    stop_chain: bool = True
    plugins_off: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    s3: S3Settings = field(default_factory=S3Settings)
    clean: CleanSettings = field(default_factory=CleanSettings)
    flagged: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_range("days", self.days, 0, 100_000)
        _check_range("items_at_once", self.items_at_once, 1, 64)
        _check_range("concurrency", self.concurrency, 1, 256)
        _check_range("pack_below", self.pack_below, 0, 64 * MIB)
        _check_range("pack_size", self.pack_size, 5 * MIB, 64 * 1024 * MIB)
        _check_range("part_size", self.part_size, 5 * MIB, 1024 * MIB)
        _check_range("memory", self.memory, 2 * self.part_size, 1 << 50)
        _check_range("bandwidth", self.bandwidth, 0, 1 << 50)
        _check_range("retry_minutes", self.retry_minutes, 0, 24 * 60)
        if self.device and not _DEVICE.fullmatch(self.device):
            raise SettingsError(
                f"archive.device is {self.device!r}, but must be at most 64 letters, digits and ._-, e.g. lab-server"
            )


_DEVICE = re.compile(r"[A-Za-z0-9._-]{1,64}")

NESTED: Mapping[str, type[Any]] = {"clean": CleanSettings, "s3": S3Settings}
"""Settings that are groups of settings."""


def make_settings(
    configured: Mapping[str, Any],
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
) -> Settings:
    """Merge the sources into Settings.

    Args:
        configured: the `archive` mapping of the configuration; may be nested.
        environment: variables; only those that begin with `ARCHIVE_TASKS_` are looked at. A nested key
            is joined by `_` (`ARCHIVE_TASKS_S3_REGION`), a list is separated by commas.
        flags: from the command line, nested ones by their dotted names; None and empty lists mean "not given".
            Lists add to configured ones.

    Raises:
        SettingsError: an unknown key (the known ones are named) or an impossible value.
    """
    plain = _plain(configured)
    if not isinstance(plain, Mapping):
        raise SettingsError(f"the configuration says archive: {plain!r}, but archive must hold settings, e.g. days: 30")
    merged = _merged(plain, _from_environment(environment))
    given = {name: value for name, value in flags.items() if value not in (None, False, [], ())}
    for name, value in given.items():
        group, _, key = name.rpartition(".")
        place = _group(merged, group) if group else merged
        place[key] = [*_listed(place.get(key)), *value] if isinstance(value, list | tuple) else value
    settings: Settings = _build(Settings, merged, where="archive")
    return dataclasses.replace(settings, flagged=frozenset(given))


def parse_size(text: str | int, *, name: str) -> int:
    """`16M`, `1.5 GiB`, `500 kB/s` or a number -> bytes. K, M, G, T count by 1,024 as file managers do.

    Raises:
        SettingsError: the text is not a size.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    digits = str(text).strip().upper().removesuffix("/S").removesuffix("B").removesuffix("I")
    number = digits.rstrip("KMGT").strip()
    unit = digits[len(digits.rstrip("KMGT")) :]
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise SettingsError(
            f"archive.{name} is {text!r}, which is not a size: write e.g. 16M, 1.5G or a number of bytes"
        ) from None


def known_settings() -> list[str]:
    """Every setting's dotted name, in the order of the documentation."""
    nested = [f"{group}.{field.name}" for group, kind in NESTED.items() for field in dataclasses.fields(kind)]
    plain = [field.name for field in dataclasses.fields(Settings) if field.name not in {*NESTED, "flagged"}]
    return plain + nested


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise SettingsError(f"archive.{name} is {value}, but must be between {lowest} and {highest}")


def _plain(value: Any) -> Any:
    """Invoke hands out DataProxy objects; plain dicts and lists are wanted."""
    if isinstance(value, Mapping) or hasattr(value, "_config"):
        return {str(key): _plain(value[key]) for key in value}
    return value


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(known, Mapping)
        merged[key] = _merged(known, value) if both else value  # type: ignore[arg-type]
    return merged


def _group(merged: dict[str, Any], group: str) -> dict[str, Any]:
    """The mapping of a nested group, as one that can be changed."""
    merged[group] = dict(_mapping(merged.get(group), name=group))
    changeable: dict[str, Any] = merged[group]
    return changeable


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    prefix = "ARCHIVE_TASKS_"
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        group, _, key = name.partition("_")
        if group in NESTED:
            values.setdefault(group, {})[key] = text
        elif name in known_settings() and name != "options":
            values[name] = text
        else:
            known = ", ".join(prefix + key.upper().replace(".", "_") for key in known_settings() if key != "options")
            raise SettingsError(f"the variable {variable} names no setting; known: {known}")
    return values


def _build(kind: type[Any], values: Mapping[str, Any], *, where: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "flagged"}
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in fields:
            raise SettingsError(_unknown_key(key, where=where, known=list(fields)))
    return kind(
        **{
            key: _convert(value, hints[key], name=f"{where}.{key}".removeprefix("archive."), field=fields[key])
            for key, value in values.items()
            if value is not None
        }
    )


def _unknown_key(key: str, *, where: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {where}.{near[0]}?" if near else ""
    return f"there is no setting {where}.{key}{hint or ';'} known: {', '.join(known)}"


def _convert(value: Any, kind: Any, *, name: str, field: dataclasses.Field[Any]) -> Any:
    if kind in NESTED.values():
        return _build(kind, _mapping(value, name=name), where=f"archive.{name}")
    if typing.get_origin(kind) is tuple:
        return tuple(str(part) for part in _listed(value))
    if kind is bool:
        return _boolean(value, name=name)
    if kind is int:
        return parse_size(value, name=name) if field.metadata.get("size") else _integer(value, name=name)
    if kind is str:
        return _text(value, name=name)
    return _options(value, name=name)


def _mapping(value: Any, *, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SettingsError(f"archive.{name} is {value!r}, but must be a mapping of names to values")
    return value


def _options(value: Any, *, name: str) -> Mapping[str, Mapping[str, Any]]:
    options = _mapping(value, name=name)
    return types.MappingProxyType(
        {
            plugin: types.MappingProxyType(dict(_mapping(known, name=f"{name}.{plugin}")))
            for plugin, known in options.items()
        }
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, list | tuple | set) else [value]


def _boolean(value: Any, *, name: str) -> bool:
    words = {
        "true": True,
        "yes": True,
        "on": True,
        "1": True,
        "false": False,
        "no": False,
        "off": False,
        "0": False,
    }
    word = words.get(str(value).strip().lower())
    if word is None:
        raise SettingsError(f"archive.{name} is {value!r}, but must be true or false")
    return word


def _integer(value: Any, *, name: str) -> int:
    try:
        if isinstance(value, bool | float):
            raise ValueError
        return int(str(value).strip())
    except ValueError:
        raise SettingsError(f"archive.{name} is {value!r}, but must be a whole number") from None


def _text(value: Any, *, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping | list | tuple):
        raise SettingsError(f"archive.{name} is {value!r}, but must be text")
    return str(value)
