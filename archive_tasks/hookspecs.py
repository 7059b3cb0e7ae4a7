"""Every hook, grouped by phase of a run. The form of a name shows its cost and rules:

| form | called | answers |
|---|---|---|
| `register_<things>` | once a run | all collected; the same name twice is an error |
| `choose_<thing>` | once a root or item | the first answer that is not None |
| `make_<function>` | once a root | every function is collected, and called for each entry without pluggy |
| `reasons_to_keep` | once a stale item | all collected; one reason keeps the item |
| `on_event` | on each event | observers: what they return or raise changes nothing |

A `register_`, `choose_` or `make_` hook that raises stops the run before anything is touched; a function
made by one that raises keeps that item, and so does `reasons_to_keep`. A plugin's own settings are
`settings.options["<plugin name>"]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from archive_tasks.events import Event
    from archive_tasks.model import Clock, Excluder, FolderExcluder, Guard, Item, NoiseFilter
    from archive_tasks.settings import Settings
    from archive_tasks.store import StoreFactory

PROJECT = "archive_tasks"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# -- settling what a run works with ------------------------------------------------------------------


@hookspec
def register_clocks(settings: Settings) -> Mapping[str, Clock]:  # type: ignore[empty-body]
    """Name the clocks that you bring."""


@hookspec
def register_stores(settings: Settings) -> Mapping[str, StoreFactory]:  # type: ignore[empty-body]
    """Name the URL schemes that you can open, each with its factory."""


@hookspec(firstresult=True)
def choose_target(root: str, settings: Settings) -> str | None:
    """Name the target URL for this root. Stops at the first answer; a target in the settings wins."""


# -- judging a root ----------------------------------------------------------------------------------


@hookspec(firstresult=True)
def choose_clock(root: str, settings: Settings) -> str | None:
    """Name the clock that judges this root. Stops at the first answer; a `--clock` flag wins."""


@hookspec
def make_excluder(root: str, settings: Settings) -> Excluder | FolderExcluder | None:
    """Return the function that leaves entries of this root out, or None."""


@hookspec
def make_noise_filter(root: str, settings: Settings) -> NoiseFilter | None:
    """Return the function that says which names of this root do not count as use, or None."""


@hookspec
def make_guard(root: str, settings: Settings) -> Guard | None:
    """Return the guard that is shown each folder of this root's stale items and says what must stay, or None."""


@hookspec
def reasons_to_keep(item: Item, settings: Settings) -> str | Sequence[str] | None:
    """Say why this stale item must stay at home, or None."""


@hookspec(firstresult=True)
def choose_storage_class(item: Item, days_idle: int, size: int, settings: Settings) -> str | None:
    """Name the storage class of this item's objects, `size` bytes in all. Stops at the first answer."""


# -- watching ----------------------------------------------------------------------------------------


@hookspec
def on_event(event: Event, settings: Settings) -> None:
    """Watch what happens: an item archived, kept, failed, a run finished."""
