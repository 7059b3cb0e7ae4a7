"""How a root is judged: what its plugins answered, asked once, so that nothing is looked up for an entry."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from archive_tasks.disk.mounts import mounts_below
from archive_tasks.errors import ItemUnreadable, PluginError, SettingsError
from archive_tasks.items.recently_restored import restored_in
from archive_tasks.model import Clock, Excluder, FolderExcluder, Guard, Limits, NoiseFilter, nanoseconds
from archive_tasks.names import display
from archive_tasks.session import Session

NO_ARCHIVE = ".noarchive"
"""An empty file of this name anywhere in an item keeps the item; in the root, it keeps everything."""


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


def make_rules(session: Session, root: str) -> Rules:
    """Ask the plugins how `root` is judged.

    Raises:
        SettingsError: the clock is unknown.
        PluginError: a plugin failed, or two name the same clock.
    """
    name, clock = _clock(session, root)
    made = list(session.answers.functions("make_excluder", root=root))
    excluders = tuple(excluder for excluder in made if not isinstance(excluder, FolderExcluder))
    folder_excluders = tuple(excluder.excludes for excluder in made if isinstance(excluder, FolderExcluder))
    noise = tuple(session.answers.functions("make_noise_filter", root=root))
    return Rules(
        root=root,
        clock_name=name,
        clock=clock,
        limits=Limits(now_ns=nanoseconds(session.now), days=session.settings.days),
        excluders=excluders,
        folder_excluders=folder_excluders,
        is_noise=_any_of(noise),
        mounts=mounts_below(root),
        restored=restored_in(session.data, root),
        guards=tuple(make_guards(session, root)),
        functions=(clock, *excluders, *folder_excluders, *noise),
    )


def rules_that_look_now(session: Session, rules: Rules) -> Rules:
    """The same rules with guards that have seen nothing yet, and with what is mounted now. Raises PluginError."""
    return dataclasses.replace(rules, guards=tuple(make_guards(session, rules.root)), mounts=mounts_below(rules.root))


def make_guards(session: Session, root: str) -> Iterator[tuple[str, Guard]]:
    """Each plugin's guard of `root`, which has seen nothing yet. Raises PluginError."""
    for plugin, answer in session.answers.each("make_guard", root=root):
        if answer is not None and not isinstance(answer, Guard):
            raise PluginError(f"make_guard of {session.answers.origin(plugin)} answered {answer!r}, not a Guard")
        if answer is not None:
            yield plugin, answer


def left_out(rules: Rules, path: str, *, is_folder: bool) -> str | None:
    """Why an entry is left out, or None. Raises ItemUnreadable when a plugin's excluder fails."""
    try:
        return rules.left_out(path, is_folder=is_folder)
    except Exception as error:
        raise ItemUnreadable(f"an excluder failed at {display(path)}: {type(error).__name__}: {error}") from error


def _clock(session: Session, root: str) -> tuple[str, Clock]:
    clocks = session.answers.registered("register_clocks")
    chosen = None if "clock" in session.settings.flagged else session.answers.first("choose_clock", root=root)
    name = chosen or session.settings.clock
    if name not in clocks:
        raise SettingsError(f"there is no clock {name!r}; known: {', '.join(sorted(clocks))}")
    return name, clocks[name]


def _any_of(filters: tuple[NoiseFilter, ...]) -> NoiseFilter:
    if len(filters) == 1:
        return filters[0]
    return lambda name: any(is_noise(name) for is_noise in filters)
