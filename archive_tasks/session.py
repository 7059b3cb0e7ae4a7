"""One run: its settings, its plugins, its `now`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from archive_tasks.catalogue.device import device_id
from archive_tasks.errors import ArchiveTasksError, PluginError, UsageError
from archive_tasks.hook_answers import HookAnswers
from archive_tasks.names import display, typed
from archive_tasks.plugins import answers
from archive_tasks.settings import Settings
from archive_tasks.store import Store

if TYPE_CHECKING:
    import pluggy

    from archive_tasks.events import Event

_log = logging.getLogger("archive_tasks")


class Session:
    """What a run knows before it begins.

    Args:
        now: the moment that ages are counted from.
        data: the folder of the user's catalogues and default target.
        wall: current time, for steps after the start; defaults to `now`.
    """

    def __init__(
        self,
        settings: Settings,
        manager: pluggy.PluginManager,
        *,
        now: datetime,
        data: str,
        wall: Callable[[], datetime] | None = None,
    ) -> None:
        self.settings = settings
        self.manager = manager
        self.answers = HookAnswers(manager, settings)
        self.now = now
        self.data = data
        self.wall = wall or (lambda: now)
        self._complained: set[str] = set()
        self._device = settings.device

    @property
    def device(self) -> str:
        """The id of this device: the setting, else the one of the data folder on this machine.

        Raises:
            ArchiveTasksError: it can neither be read nor stored.
        """
        if not self._device:
            self._device = device_id(self.data)
        return self._device

    def command(self, text: str) -> str:
        """A command as it is to be typed after this one: with the target that a flag named."""
        named = self.settings.target if "target" in self.settings.flagged else ""
        return f"{text} --target {typed(named)}" if named else text

    def open_store(self, url: str) -> Store:
        """Open a target; makes no request yet.

        Raises:
            UsageError: the URL has no scheme, or one that no plugin opens.
        """
        scheme, separator, _ = url.partition("://")
        factories = self.answers.registered("register_stores")
        if not separator:
            place = url.removeprefix("s3:").lstrip("/")
            hint = f"file:///{place}" if url.startswith("/") else f"s3://{place}"
            raise UsageError(f"the target {display(url)} is not a URL; did you mean {display(hint)}?")
        if scheme not in factories:
            known = ", ".join(f"{name}://" for name in sorted(factories))
            raise UsageError(f"no plugin opens {display(scheme)}:// targets; known: {known}")
        try:
            store: Store = factories[scheme](url, self.settings)
        except ArchiveTasksError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"the plugin that opens {display(scheme)}:// failed at {display(url)}: {type(error).__name__}: {error}"
            ) from error
        return store

    def notify(self, event: Event) -> None:
        """Notify the observers; what one of them raises is logged once and changes nothing."""
        for plugin, tell in answers(self.manager, "on_event", event=event, settings=self.settings):
            try:
                tell()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer changes nothing
                if plugin not in self._complained:
                    self._complained.add(plugin)
                    _log.warning("the plugin %s failed in on_event: %s: %s", plugin, type(error).__name__, error)
