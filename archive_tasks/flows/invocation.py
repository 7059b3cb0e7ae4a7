"""What one invocation of Invoke knows: settings as its configuration has them, and what its tasks hand on.

`invoke scan archive report` runs three tasks in one process; the plan that `scan` made is archived by `archive`
without another walk. It travels in Invoke's configuration, in an object that survives its copying.
"""

from __future__ import annotations

import atexit
import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from archive_tasks.errors import SettingsError, UsageError
from archive_tasks.flows.folders import data_folder, plugins_folder
from archive_tasks.items.root import Root
from archive_tasks.model import Plan
from archive_tasks.names import display
from archive_tasks.plugins import list_plugins, make_plugin_manager
from archive_tasks.session import Session
from archive_tasks.settings import Settings, make_settings
from archive_tasks.show.console import Console

CONFIG_KEY = "archive"
_CHAIN_KEY = "archive_tasks_chain"


class Chain:
    """Handed from task to task. Invoke copies its configuration for every task; this stays one object."""

    def __init__(self) -> None:
        self._planned: tuple[Root, Plan] | None = None

    def __copy__(self) -> Chain:
        return self

    def __deepcopy__(self, memo: object) -> Chain:
        return self

    def remember(self, root: Root, plan: Plan) -> None:
        self._planned = root, plan

    def planned(self, settings: Settings) -> tuple[Root, Plan] | None:
        """The plan that a task before this one made, and its root, if its settings judged the same way."""
        if self._planned is None or _judging(self._planned[0].settings) != _judging(settings):
            return None
        root, plan = self._planned
        return dataclasses.replace(root, settings=settings), plan


def _judging(settings: Settings) -> Settings:
    flagged = settings.flagged & {"clock"}
    return dataclasses.replace(settings, flagged=flagged, scope="", full=False)


def chain_of(c: Any) -> Chain:
    """The chain that the task's context belongs to."""
    if _CHAIN_KEY not in c.config:
        c.config[_CHAIN_KEY] = Chain()
    chain: Chain = c.config[_CHAIN_KEY]
    return chain


def refuse_help(name: str, task: str) -> None:
    """Invoke hands `--help` behind a task that awaits a name to it as that name. Raises UsageError, which helps."""
    if name in {"--help", "-h"}:
        raise UsageError(f"for help type: invoke --help {task}")


def settings_of(c: Any, flags: Mapping[str, Any]) -> Settings:
    """Merge the task's flags with its configuration and the environment. Raises SettingsError."""
    configured = c.config.get(CONFIG_KEY, None)
    return make_settings({} if configured is None else configured, os.environ, flags)


def session_of(c: Any, flags: Mapping[str, Any]) -> Session:
    """A session for one task. Raises SettingsError, PluginError."""
    settings = settings_of(c, flags)
    manager = make_plugin_manager(plugins_folder(c), off=settings.plugins_off)
    _check_options(settings, {plugin.name for plugin in list_plugins(manager)} | set(settings.plugins_off))
    return Session(settings, manager, now=datetime.now(UTC), data=data_folder(), wall=lambda: datetime.now(UTC))


def _check_options(settings: Settings, plugins: set[str]) -> None:
    """A guard whose options are under a misspelt name would not guard. Raises SettingsError."""
    for name in settings.options:
        if name not in plugins:
            near = difflib.get_close_matches(name, plugins, n=1)
            hint = f"did you mean archive.options.{near[0]}?" if near else f"loaded: {', '.join(sorted(plugins))}"
            raise SettingsError(f"archive.options.{name}: there is no such plugin; {hint}")


def program_name() -> str:
    """What the user typed before the task: `archive-tasks` or `invoke`."""
    own = "archive-tasks"
    return own if os.path.basename(sys.argv[0]).startswith(own) else "invoke"


def end_with(code: int) -> None:
    """Let the chain go on, and the process end with `code` all the same.

    Invoke exits with 0 when its tasks raise nothing, and offers no other way to set the code.
    """
    atexit.register(_exit_now, code)


def _exit_now(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it was closed when Python started
            stream.flush()
    os._exit(code)


def mention_host(c: Any, console: Console) -> None:
    """Under `fab -H` a task runs once for each host, and always here: say so."""
    host = getattr(c, "host", None)
    if host:
        console.warn(f"this runs on the local machine, once for each host of fab -H ({display(str(host))})")
