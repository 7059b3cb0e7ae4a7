"""Making a history that fails small: fewer steps, fewer actors, deeds, faults and deaths, while it fails alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.histories.plan import History

Fails = Callable[[History], bool]
MOST_TRIES = 400


def shrunk(history: History, fails: Fails, *, tries: int = MOST_TRIES) -> History:
    """The smallest that was found which still fails; greedy, until nothing can be left out.

    Args:
        fails: does it fail in the same way?
    """
    left = tries
    best = copy.deepcopy(history)
    while True:
        for smaller in _smaller(best):
            if left == 0:
                return best
            left -= 1
            if fails(smaller):
                best = smaller
                break
        else:
            return best


def _smaller(history: History) -> Iterator[History]:
    """One thing less, the largest first."""
    for change in (_fewer_steps, _fewer_actors, _fewer_ops, _fewer_faults, _plainer):
        yield from change(history)


def _changed(history: History, change: Callable[[History], Any]) -> History:
    made = copy.deepcopy(history)
    change(made)
    return made


def _fewer_steps(history: History) -> Iterator[History]:
    steps = history["steps"]
    for length in (len(steps) // 2, 1):
        for at in range(len(steps) - 1, -1, -1) if length else ():
            if at + length <= len(steps) and len(steps) > length:
                yield _changed(
                    history, lambda one, at=at, length=length: one["steps"].__delitem__(slice(at, at + length))
                )  # type: ignore[misc]


def _fewer_actors(history: History) -> Iterator[History]:
    for number, step in enumerate(history["steps"]):
        for at in range(len(step["actors"])):
            if len(step["actors"]) > 1:
                yield _changed(history, lambda one, n=number, at=at: one["steps"][n]["actors"].pop(at))  # type: ignore[misc]


def _fewer_ops(history: History) -> Iterator[History]:
    for number, step in enumerate(history["steps"]):
        for at, actor in enumerate(step["actors"]):
            for op in range(len(actor.get("ops", ()))):
                if len(actor["ops"]) > 1:
                    yield _changed(
                        history, lambda one, n=number, at=at, op=op: one["steps"][n]["actors"][at]["ops"].pop(op)
                    )  # type: ignore[misc]


def _fewer_faults(history: History) -> Iterator[History]:
    for number, step in enumerate(history["steps"]):
        for name in ("faults", "losses"):
            for at in range(len(step[name])):
                yield _changed(history, lambda one, n=number, name=name, at=at: one["steps"][n][name].pop(at))  # type: ignore[misc]
        for at, actor in enumerate(step["actors"]):
            for name in ("dies", "skew"):
                if actor.get(name):
                    yield _changed(
                        history, lambda one, n=number, at=at, name=name: one["steps"][n]["actors"][at].pop(name)
                    )  # type: ignore[misc]


def _plainer(history: History) -> Iterator[History]:
    """As things mostly are."""
    plain: dict[str, Any] = {"create_only": True, "trusted": True, "part_size": 0, "foreign": []}
    for name, value in plain.items():
        if history["store"][name] != value:
            yield _changed(history, lambda one, name=name, value=value: one["store"].__setitem__(name, value))  # type: ignore[misc]
    for number, step in enumerate(history["steps"]):
        if step["schedule"]["kind"] != "serial":
            yield _changed(history, lambda one, n=number: one["steps"][n].__setitem__("schedule", {"kind": "serial"}))  # type: ignore[misc]
        if step["days"]:
            yield _changed(history, lambda one, n=number: one["steps"][n].__setitem__("days", 0))  # type: ignore[misc]
    last = len(history["devices"]) - 1
    used = {actor.get("device") for step in history["steps"] for actor in step["actors"]}
    if last > 0 and last not in used:
        yield _changed(history, lambda one: one["devices"].pop())
