"""What the plugins answer to a hook, checked: a hook that fails, or answers with nonsense, stops the run by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from archive_tasks.errors import ArchiveTasksError, PluginError
from archive_tasks.model import FolderExcluder
from archive_tasks.plugins import answers, origin_of

if TYPE_CHECKING:
    import pluggy

    from archive_tasks.settings import Settings


class HookAnswers:
    """Asks the plugins of a run. What they register is asked for once."""

    def __init__(self, manager: pluggy.PluginManager, settings: Settings) -> None:
        self._manager = manager
        self._settings = settings
        self._registered: dict[str, dict[str, Any]] = {}

    def registered(self, hook: str) -> dict[str, Any]:
        """Everything that a `register_` hook brings, by name. Raises PluginError."""
        if hook not in self._registered:
            self._registered[hook] = self._collected(hook)
        return self._registered[hook]

    def first(self, hook: str, **arguments: Any) -> str | None:
        """The first name that a `choose_` hook answers. Raises PluginError."""
        for plugin, answer in self.each(hook, **arguments):
            if answer is not None:
                if not isinstance(answer, str):
                    raise PluginError(f"{hook} of {origin_of(self._manager, plugin)} answered {answer!r}, not a name")
                return answer
        return None

    def functions(self, hook: str, **arguments: Any) -> Iterator[Any]:
        """Every function that a `make_` hook hands out. Raises PluginError."""
        for plugin, answer in self.each(hook, **arguments):
            if answer is None:
                continue
            if not callable(answer) and not isinstance(answer, FolderExcluder):
                raise PluginError(f"{hook} of {origin_of(self._manager, plugin)} answered {answer!r}, not a function")
            yield answer

    def each(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """(plugin, its answer). Raises PluginError for a plugin that raises anything of its own."""
        for plugin, ask in answers(self._manager, hook, settings=self._settings, **arguments):
            try:
                yield plugin, ask()
            except ArchiveTasksError:
                raise
            except (Exception, SystemExit) as error:
                origin = origin_of(self._manager, plugin)
                raise PluginError(f"{hook} of {origin} failed: {type(error).__name__}: {error}") from error

    def origin(self, plugin: str) -> str:
        """`name (origin)`, for messages."""
        return origin_of(self._manager, plugin)

    def _collected(self, hook: str) -> dict[str, Any]:
        named: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for plugin, things in self.each(hook):
            if things is not None and not isinstance(things, Mapping):
                raise PluginError(f"{hook} of {self.origin(plugin)} answered {things!r}, not names and what they mean")
            for name, thing in (things or {}).items():
                if not isinstance(name, str) or not callable(thing):
                    raise PluginError(f"{hook} of {self.origin(plugin)} answered {name!r}: {thing!r}, not a function")
                if name in named:
                    both = f"{self.origin(owners[name])} and {self.origin(plugin)}"
                    raise PluginError(
                        f"{hook}: {both} both provide {name!r}; leave one of them out (archive.plugins_off)"
                    )
                named[name], owners[name] = thing, plugin
        return named
