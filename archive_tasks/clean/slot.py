"""What a slot says about itself: a small JSON document, written before each step that it announces."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Stage = Literal["moving", "aside", "purging"]
"""moving: not proven to be what was archived; aside: proven; purging: it may be incomplete already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in a slot.

    Attributes:
        archive_id: of the archive that holds it; `manifest` is the archive's key in `target`.
        mode: how its space is freed; `to` is where `move` moves it.
        since: when it was set aside, UTC.
        run: common to all slots of one run.
        discard_left_out: True when what was left out of the archive may be removed all the same.
    """

    item: str
    kind: Literal["file", "folder"]
    archive_id: str
    manifest: str
    target: str
    mode: str
    stage: Stage
    since: datetime
    run: str
    files: int
    bytes: int
    to: str = ""
    discard_left_out: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot, by its name in the folder; `state` is None where it cannot be read."""

    name: str
    state: State | None


def state_of(slot: Slot) -> State:
    """Raises ValueError for a slot whose state cannot be read."""
    if slot.state is None:
        raise ValueError(f"the slot {slot.name} has no state")
    return slot.state


def dumped(state: State) -> str:
    """The document."""
    return json.dumps({**dataclasses.asdict(state), "since": state.since.isoformat()}, indent=1) + "\n"


def parsed(text: str) -> State | None:
    """None for what was not written by `dumped`."""
    try:
        record = json.loads(text)
        since = datetime.fromisoformat(record["since"])
        state = State(**{**record, "since": since})
    except (ValueError, KeyError, TypeError):
        return None
    return state if state.stage in {"moving", "aside", "purging"} and "/" not in state.item and since.tzinfo else None
