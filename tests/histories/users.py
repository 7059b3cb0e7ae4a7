"""What the user of a root does between and during runs: each deed at once, at one point."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.histories.model import Model, Step
from tests.histories.turns import current_actor, current_turns, quietly
from tests.histories.world import Place, World, remove


class UserAt:
    """Somebody at work in one root."""

    def __init__(self, place: Place, world: World, model: Model, places: list[Place], step: Step) -> None:
        self._place = place
        self._world = world
        self._model = model
        self._places = places
        self._step = step

    def do(self, ops: list[list[Any]]) -> None:
        actor = current_actor()
        assert actor is not None
        for op in ops:
            current_turns().point(actor, "disk", f"does {op}")
            with quietly():
                self._world.pass_time(seconds=1)
                getattr(self, f"_{op[0]}")(*op[1:])

    @property
    def _root(self) -> Path:
        return self._world.on_disk(self._place)

    def _changed(self, *items: str) -> None:
        for item in items:
            self._model.user_changed(self._place, item, self._step)

    def _is_gone(self, item: str) -> bool:
        """Not at home: perhaps a run holds it just now."""
        if (self._root / item).exists():
            return False
        self._model.user_saw_it_gone(self._place, item, self._step)
        return True

    def _write(self, item: str, file: str) -> None:
        path = self._root / item / file if file else self._root / item
        self._is_gone(item)
        if (self._root / item).exists() and (self._root / item).is_dir() != bool(file):
            return
        self._world.write(path, self._world.new_contents())
        self._changed(item)

    def _sneak(self, item: str, file: str) -> None:
        """As many bytes, and the old time put back."""
        path = self._root / item / file if file else self._root / item
        if self._is_gone(item) or not path.is_file():
            return
        facts = path.stat()
        self._world.write(path, self._world.new_contents(facts.st_size), mtime_ns=facts.st_mtime_ns)
        self._changed(item)

    def _rename(self, item: str) -> None:
        other = item[:-1] if item.endswith("2") else f"{item}2"
        if not self._is_gone(item) and not (self._root / other).exists():
            self._is_gone(other)
            (self._root / item).rename(self._root / other)
            self._changed(item, other)

    def _revert(self, item: str, pick: int) -> None:
        """An old version is put back, with its times."""
        known = self._model.versions.get((self._place.number, item), [])
        if not known:
            return
        self._is_gone(item)
        remove(self._root / item)
        self._world.write_tree(self._root / item, known[pick % len(known)])
        self._changed(item)

    def _delete(self, item: str, file: str | None) -> None:
        if self._is_gone(item):
            return
        path = self._root / item / file if file else self._root / item
        remove(path)
        if (self._root / item).is_dir() and not any((self._root / item).iterdir()):
            remove(self._root / item)
        self._changed(item)

    def _copy(self, item: str, place: int) -> None:
        """To another root, with its times."""
        other = self._places[place]
        target = self._world.on_disk(other) / item
        if self._is_gone(item) or target.exists():
            return
        if not target.exists():
            self._model.user_saw_it_gone(other, item, self._step)
        source = self._root / item
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
        self._model.user_changed(other, item, self._step)
