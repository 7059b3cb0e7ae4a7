"""One run: its settings, its plugins, its `now`; and what they resolve to for one root."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from archive_tasks.device import device_id
from archive_tasks.errors import ArchiveTasksError, PluginError, SettingsError, UsageError
from archive_tasks.guarding import ask_guards
from archive_tasks.model import Clock, Excluder, FolderExcluder, Guard, Item, NoiseFilter
from archive_tasks.names import display, key_segment, typed
from archive_tasks.plugins import answers, origin_of
from archive_tasks.restored import restored_in
from archive_tasks.settings import Settings
from archive_tasks.staleness import Limits, nanoseconds
from archive_tasks.store import Store
from archive_tasks.walk import mounts_below

if TYPE_CHECKING:
    import pluggy

    from archive_tasks.events import Event

_log = logging.getLogger("archive_tasks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one root is judged, resolved once so that nothing is looked up for an entry.

    Attributes:
        excluders: asked for every entry; `folder_excluders` for folders only.
        mounts: paths, relative to the root, on which something is mounted.
        restored: when items were restored, by name, in nanoseconds since the epoch.
        guards: each with the name of its plugin; they may share for some seconds what they saw.
        functions: everything above that is called for entries, as the plugins made it.
        inodes_count: False where the filesystem gives a file another inode at each look.
    """

    root: str
    clock_name: str
    clock: Clock
    limits: Limits
    excluders: tuple[Excluder, ...]
    folder_excluders: tuple[Callable[[str], str | None], ...]
    is_noise: NoiseFilter
    mounts: frozenset[str]
    restored: Mapping[str, int]
    guards: tuple[tuple[str, Guard], ...]
    functions: tuple[Callable[..., object], ...]
    inodes_count: bool = True

    def left_out(self, path: str, *, is_folder: bool) -> str | None:
        """Why the entry is left out, or None."""
        for excludes in self.excluders:
            if reason := excludes(path, is_folder):
                return reason
        for excludes_folder in self.folder_excluders if is_folder else ():
            if reason := excludes_folder(path):
                return reason
        return None


class Session:
    """What a run knows before it begins.

    Args:
        now: the moment that ages are counted from.
        data: the folder of the user's catalogues and default target.
        wall: what the clock says at any later moment; without it, time stands still.
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
        self.now = now
        self.data = data
        self.wall = wall or (lambda: now)
        self._complained: set[str] = set()
        self._device = settings.device

    @property
    def device(self) -> str:
        """The id of this device: the setting, else the one of the data folder on this machine.

        Raises:
            ArchiveTasksError: it can neither be read nor written down.
        """
        if not self._device:
            self._device = device_id(self.data)
        return self._device

    def command(self, text: str) -> str:
        """A command as it is to be typed after this one: with the target that a flag named."""
        named = self.settings.target if "target" in self.settings.flagged else ""
        return f"{text} --target {typed(named)}" if named else text

    def resolve_root(self) -> str:
        """The root as an absolute path without links.

        Raises:
            UsageError: none is named, it is missing, or it is no folder.
        """
        named = self.settings.root
        if not named:
            raise UsageError("which folder? Give --root FOLDER, or set archive.root in invoke.yaml")
        root = os.path.realpath(os.path.expanduser(named))
        if not os.path.lexists(root):
            raise UsageError(f"the root {display(named)} does not exist; give another --root")
        if not os.path.isdir(root):
            raise UsageError(f"the root {display(named)} is a file, not a folder; give the folder that it lies in")
        return root

    def rules(self, root: str) -> Rules:
        """Ask the plugins how `root` is judged.

        Raises:
            SettingsError: the clock is unknown.
            PluginError: a plugin failed, or two name the same clock.
        """
        name, clock = self._clock(root)
        made = list(self._collect("make_excluder", root=root))
        excluders = tuple(one for one in made if not isinstance(one, FolderExcluder))
        folder_excluders = tuple(one.excludes for one in made if isinstance(one, FolderExcluder))
        noise = tuple(self._collect("make_noise_filter", root=root))
        return Rules(
            root=root,
            clock_name=name,
            clock=clock,
            limits=Limits(now_ns=nanoseconds(self.now), days=self.settings.days),
            excluders=excluders,
            folder_excluders=folder_excluders,
            is_noise=_any_of(noise),
            mounts=mounts_below(root),
            restored=restored_in(self.data, root),
            guards=tuple(self._guards(root)),
            functions=(clock, *excluders, *folder_excluders, *noise),
        )

    def reasons_to_keep(self, item: Item, rules: Rules | None = None) -> list[str]:
        """Every plugin's reasons; a plugin that fails is a reason by itself.

        Args:
            rules: those of the item's root, whose guards may go by what they saw some seconds ago. Without them the
                guards are made anew and look now, as they must before anything is removed.
        """
        reasons: list[str] = []
        for plugin, ask in answers(self.manager, "reasons_to_keep", item=item, settings=self.settings):
            try:
                answer = ask()
                reasons += [display(str(reason)) for reason in ([answer] if isinstance(answer, str) else answer or ())]
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a guard raises keeps the item
                _log.debug("reasons_to_keep of %s failed", plugin, exc_info=True)
                reasons.append(display(f"the plugin {plugin} could not judge it: {type(error).__name__}: {error}"))
        return reasons + ask_guards(item, rules or self.rules(item.root))

    def storage_class_for(self, item: Item, *, days_idle: int, size: int, default: str) -> str:
        """Class of an item's objects: a plugin's choice, else the target's own. Raises PluginError."""
        return self._first("choose_storage_class", item=item, days_idle=days_idle, size=size) or default

    def target_for(self, root: str) -> str:
        """URL of the target: of the settings, else of a plugin, else the folder store in the user's data."""
        if self.settings.target:
            return self.settings.target
        chosen = self._first("choose_target", root=root)
        return chosen or self.default_target

    @property
    def default_target(self) -> str:
        """The folder store in the user's data directory."""
        return "file://" + quote(os.fsencode(os.path.join(self.data, "vault")))

    def private_paths(self, target: str) -> tuple[str, ...]:
        """Folders that must never be archived: the catalogues', and a target that is a folder."""
        folder = os.fsdecode(unquote_to_bytes(urlsplit(target).path)) if target.startswith("file://") else ""
        return tuple(os.path.realpath(path) for path in (self.data, folder) if path)

    def open_store(self, url: str) -> Store:
        """Open a target; nothing is asked of it yet.

        Raises:
            UsageError: the URL has no scheme, or one that no plugin opens.
        """
        scheme, separator, _ = url.partition("://")
        factories = self._named("register_stores")
        if not separator:
            place = url.removeprefix("s3:").lstrip("/")
            hint = f"file:///{place}" if url.startswith("/") else f"s3://{place}"
            raise UsageError(f"the target {display(url)} is no URL; did you mean {display(hint)}?")
        if scheme not in factories:
            known = ", ".join(f"{name}://" for name in sorted(factories))
            raise UsageError(f"no plugin opens {display(scheme)}:// targets; known are {known}")
        store: Store = factories[scheme](url, self.settings)
        return store

    def scope_for(self, root: str) -> str:
        """Whose archives these are: the setting, else host and root name; safe as a part of a key."""
        named = self.settings.scope or f"{socket.gethostname() or 'host'}/{os.path.basename(root) or 'root'}"
        segments = [segment for segment in re.split(r"/+", named) if segment not in {"", ".", ".."}]
        if not segments:
            raise SettingsError(f"archive.scope is {named!r}, but must hold a name, e.g. laptop/Documents")
        return "/".join(key_segment(segment) for segment in segments)

    def notify(self, event: Event) -> None:
        """Tell the observers; what one of them raises is logged once and changes nothing."""
        for plugin, tell in answers(self.manager, "on_event", event=event, settings=self.settings):
            try:
                tell()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - an observer changes nothing
                if plugin not in self._complained:
                    self._complained.add(plugin)
                    _log.warning("the plugin %s failed in on_event: %s: %s", plugin, type(error).__name__, error)

    def _guards(self, root: str) -> Iterator[tuple[str, Guard]]:
        for plugin, answer in self._asked("make_guard", root=root):
            if answer is not None and not isinstance(answer, Guard):
                raise PluginError(f"make_guard of {origin_of(self.manager, plugin)} answered {answer!r}, not a Guard")
            if answer is not None:
                yield plugin, answer

    def _clock(self, root: str) -> tuple[str, Clock]:
        clocks = self._named("register_clocks")
        chosen = None if "clock" in self.settings.flagged else self._first("choose_clock", root=root)
        name = chosen or self.settings.clock
        if name not in clocks:
            raise SettingsError(f"there is no clock {name!r}; known are {', '.join(sorted(clocks))}")
        return name, clocks[name]

    def _named(self, hook: str) -> dict[str, Any]:
        named: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for plugin, things in self._asked(hook):
            for name, thing in dict(things or {}).items():
                if name in named:
                    both = f"{origin_of(self.manager, owners[name])} and {origin_of(self.manager, plugin)}"
                    raise PluginError(
                        f"{hook}: {both} both bring {name!r}; leave one of them out (archive.plugins_off)"
                    )
                named[name], owners[name] = thing, plugin
        return named

    def _first(self, hook: str, **arguments: Any) -> str | None:
        for plugin, answer in self._asked(hook, **arguments):
            if answer is not None:
                if not isinstance(answer, str):
                    raise PluginError(f"{hook} of {origin_of(self.manager, plugin)} answered {answer!r}, not a name")
                return answer
        return None

    def _collect(self, hook: str, **arguments: Any) -> Iterator[Any]:
        for plugin, answer in self._asked(hook, **arguments):
            if answer is None:
                continue
            if not callable(answer) and not isinstance(answer, FolderExcluder):
                raise PluginError(f"{hook} of {origin_of(self.manager, plugin)} answered {answer!r}, not a function")
            yield answer

    def _asked(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        for plugin, ask in answers(self.manager, hook, settings=self.settings, **arguments):
            try:
                yield plugin, ask()
            except ArchiveTasksError:
                raise
            except (Exception, SystemExit) as error:
                origin = origin_of(self.manager, plugin)
                raise PluginError(f"{hook} of {origin} failed: {type(error).__name__}: {error}") from error


def _any_of(filters: tuple[NoiseFilter, ...]) -> NoiseFilter:
    if len(filters) == 1:
        return filters[0]
    return lambda name: any(is_noise(name) for is_noise in filters)
