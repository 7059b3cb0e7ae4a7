"""The plugin frame: which plugins there are, from where, and that each of them is sound.

Order decides who is asked first: the built-ins are registered first, then installed distributions (entry
points of the group `archive_tasks`), then the drop-in folder; pluggy asks the last registered first.
Nothing is ever loaded from the root, the current folder or the target.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy

from archive_tasks import hookspecs
from archive_tasks.errors import PluginError

ENTRY_POINT_GROUP = "archive_tasks"
BUILT_IN = "built-in"
DEFAULT_PLUGINS = (
    "archive_tasks.default_plugins.clocks",
    "archive_tasks.default_plugins.noise",
    "archive_tasks.default_plugins.exclude",
    "archive_tasks.default_plugins.markers",
    "archive_tasks.default_plugins.guards.git_unsaved",
    "archive_tasks.default_plugins.guards.open_files",
    "archive_tasks.default_plugins.guards.program_locks",
    "archive_tasks.default_plugins.guards.sqlite_journals",
    "archive_tasks.default_plugins.guards.targets",
    "archive_tasks.default_plugins.guards.machine_locks",
    "archive_tasks.default_plugins.guards.placeholders",
    "archive_tasks.default_plugins.guards.bundles",
    "archive_tasks.default_plugins.stores.folder",
    "archive_tasks.default_plugins.stores.s3",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """One plugin as `invoke plugins` lists it; `origin` is `built-in`, a distribution, or a file."""

    name: str
    origin: str
    version: str
    hooks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    name: str
    origin: str
    version: str
    module: object


def make_plugin_manager(
    folder: str | None = None, *, off: Iterable[str] = (), extra: Sequence[object] = ()
) -> pluggy.PluginManager:
    """A fresh manager with the built-ins, the installed plugins, and those of `folder`.

    Args:
        folder: the drop-in folder; one that is missing holds no plugins.
        off: names of plugins not to load.
        extra: plugin objects registered last, for tests and Python callers.

    Raises:
        PluginError: a plugin cannot be loaded, implements an unknown hook, or implements none.
    """
    blocked = frozenset(off)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    known: set[str] = set()
    for found in _find_plugins(folder, blocked):
        known.add(found.name)
        if found.name not in blocked:
            _register(manager, found)
    for plugin in extra:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        _register(manager, _Found(name=name, origin="given by the caller", version="", module=plugin))
    _refuse_unknown(blocked - known, known)
    _check_hook_names(manager)
    return manager


def list_plugins(manager: pluggy.PluginManager) -> list[PluginInfo]:
    """The registered plugins in the order in which they are asked."""
    return [
        PluginInfo(name=name, origin=found.origin, version=found.version, hooks=_hooks_of(manager, found.module))
        for name, found in reversed(_registered(manager).items())
    ]


def origin_of(manager: pluggy.PluginManager, plugin_name: str) -> str:
    """`name (origin)`, for messages."""
    found = _registered(manager).get(plugin_name)
    return f"{plugin_name} ({found.origin})" if found else plugin_name


def answers(manager: pluggy.PluginManager, hook: str, **arguments: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """One call a plugin, in pluggy's order, unmade: (plugin name, function without arguments).

    The caller makes the call, so that one plugin's error can be distinguished from another's answer.
    """
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
        wanted = {name: arguments[name] for name in implementation.argnames}
        yield implementation.plugin_name, functools.partial(implementation.function, **wanted)


def _registered(manager: pluggy.PluginManager) -> dict[str, _Found]:
    registered: dict[str, _Found] = manager.__dict__.setdefault("archive_tasks_found", {})
    return registered


def _find_plugins(folder: str | None, blocked: frozenset[str]) -> Iterator[_Found]:
    for dotted in DEFAULT_PLUGINS:
        module = importlib.import_module(dotted)
        yield _Found(name=dotted.rpartition(".")[2], origin=BUILT_IN, version=own_version(), module=module)
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        yield _load_entry_point(point, blocked)
    for path in _plugin_files(folder):
        yield _load_file(path, blocked)


def own_version() -> str:
    try:
        return importlib.metadata.version("archive-tasks")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _load_entry_point(point: importlib.metadata.EntryPoint, blocked: frozenset[str]) -> _Found:
    origin = f"{point.dist.name} (installed)" if point.dist else "installed"
    version = point.dist.version if point.dist else ""
    if point.name in blocked:
        return _Found(name=point.name, origin=origin, version=version, module=None)
    try:
        return _Found(name=point.name, origin=origin, version=version, module=point.load())
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the plugin {point.name} of {origin} cannot be loaded: {_said(error)}; fix or uninstall it, or "
            f"leave it out with archive.plugins_off: [{point.name}]"
        ) from error


def _plugin_files(folder: str | None) -> list[str]:
    if folder is None or not os.path.isdir(folder):
        return []
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py") and not name.startswith((".", "_")))
    return [os.path.join(folder, name) for name in names]


def _load_file(path: str, blocked: frozenset[str]) -> _Found:
    name = os.path.basename(path).removesuffix(".py")
    if name in blocked:
        return _Found(name=name, origin=path, version="", module=None)
    try:
        module = _import_file(path, name)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the plugin file {path} cannot be loaded: {_said(error)}; fix or remove it, or leave it out with "
            f"archive.plugins_off: [{name}]"
        ) from error
    return _Found(name=name, origin=path, version=str(getattr(module, "__version__", "")), module=module)


def _import_file(path: str, name: str) -> ModuleType:
    module_name = f"archive_tasks_dropin_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it ends the program (exit {_one_line(error)})"
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})" if error.lineno else ""
        return f"{type(error).__name__}: {error.msg}{where}"
    return f"{type(error).__name__}: {_one_line(error)}"


def _register(manager: pluggy.PluginManager, found: _Found) -> None:
    if manager.has_plugin(found.name):
        other = origin_of(manager, found.name)
        advice = "rename one of them"
        if _registered(manager)[found.name].origin == BUILT_IN:
            advice = "the first comes with archive_tasks: remove the second, or rename it if it is one of your own"
        raise PluginError(f"two plugins have the same name: {other} and {found.origin}; {advice}")
    try:
        manager.register(found.module, name=found.name)
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"the plugin {found.name} ({found.origin}) is invalid: {_one_line(error)}") from error
    _registered(manager)[found.name] = found
    _check_has_hooks(manager, found)
    _check_no_wrappers(manager, found)


def _check_has_hooks(manager: pluggy.PluginManager, found: _Found) -> None:
    implemented = _hooks_of(manager, found.module)
    specified = {name for name in vars(hookspecs) if not name.startswith("_") and hasattr(manager.hook, name)}
    unmarked = [
        name
        for name, member in inspect.getmembers(found.module, inspect.isroutine)
        if name in specified and name not in implemented and getattr(member, "__module__", "") != hookspecs.__name__
    ]
    if unmarked:
        raise PluginError(
            f"the plugin {found.name} ({found.origin}) defines {unmarked[0]} without @hookimpl: it would never be "
            "called; decorate it with archive_tasks.hookimpl"
        )
    if not implemented:
        raise PluginError(
            f"the plugin {found.name} ({found.origin}) implements no hook: use archive_tasks.hookimpl, or begin the "
            "file's name with _ if it is not a plugin"
        )


def _check_no_wrappers(manager: pluggy.PluginManager, found: _Found) -> None:
    """A wrapper could change what other plugins answer, and so silence a reason to keep."""
    for caller in manager.get_hookcallers(found.module) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is found.module and (implementation.wrapper or implementation.hookwrapper):
                raise PluginError(
                    f"the plugin {found.name} ({found.origin}) wraps {caller.name}, but a hook is called once for "
                    "each plugin and cannot be wrapped; leave out wrapper=True and return an answer"
                )


def _hooks_of(manager: pluggy.PluginManager, plugin: object) -> tuple[str, ...]:
    callers = manager.get_hookcallers(plugin) or []
    return tuple(sorted(caller.name for caller in callers))


def _refuse_unknown(unknown: Iterable[str], known: Iterable[str]) -> None:
    for name in sorted(unknown):
        raise PluginError(f"archive.plugins_off names {name!r}, but the plugins are: {', '.join(sorted(known))}")


def _check_hook_names(manager: pluggy.PluginManager) -> None:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        origin = origin_of(manager, manager.get_name(error.plugin) or "?")
        raise PluginError(f"the plugin {origin} is invalid: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
