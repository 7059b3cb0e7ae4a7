"""Playing a history: step after step, then healed, and asked whether all is as it must be."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.histories import situations, verbs
from tests.histories.model import Broken, Model, Step
from tests.histories.plan import FILES, ITEMS, USERS, History
from tests.histories.store import SimStore
from tests.histories.turns import Actor, Stuck, Trace, Turns, let_go_of_handles, quietly
from tests.histories.users import UserAt
from tests.histories.verbs import Ran
from tests.histories.world import Device, Filesystem, Place, World, read_aside, read_items, remove, world_in

AT_REST = {"kind": "serial"}


@dataclass
class Played:
    """What came of a history."""

    digest: str
    points: int
    met: Counter[str]
    kind: str = ""
    broken: str = ""
    lines: list[str] = field(default_factory=list)


def play(history: History, folder: Path, *, keep_lines: bool = False) -> Played:
    """Play it, in a folder that does not exist yet. Call it within `patched()` and `harnessed()`."""
    machines = 1 + max(one["machine"] for one in history["places"])
    with world_in(folder, machines) as world:
        trace = Trace(lines=[] if keep_lines else None)
        player = _Player(history, world, trace)
        kind = broken = ""
        try:
            player.play()
        except (Broken, Stuck) as error:
            kind, broken = getattr(error, "kind", "stuck"), str(error)
        return Played(trace.digest, trace.length, player.met + player.model.met, kind, broken, trace.lines or [])


class _Player:
    def __init__(self, history: History, world: World, trace: Trace) -> None:
        self.history = history
        self.world = world
        self.trace = trace
        self.met: Counter[str] = Counter()
        self.places = [Place(number, one["machine"], one["path"]) for number, one in enumerate(history["places"])]
        self.devices = [self._device(number, one) for number, one in enumerate(history["devices"])]
        store = history["store"]
        foreign = {key: foreign_contents(key) for key in store["foreign"]}
        self.store = SimStore(
            create_only=store["create_only"],
            trusted=store["trusted"],
            part_size=store["part_size"],
            now=lambda: world.now,
            foreign=foreign,
        )
        world.filesystem = Filesystem(world, **history.get("filesystem", {}))
        self.store.on_jump = lambda days: world.pass_time(days=days)
        verbs.use_store(self.store)
        self.model = Model(world, self.store, self.places)
        self._restores = 0
        world.pass_time(days=-100)
        for place in self.places:
            self._furnish(place)
        self.model.remember_outside()
        world.pass_time(days=100)

    def _device(self, number: int, one: dict[str, Any]) -> Device:
        data = self.world.base / "shared" if one["data"] == "shared" else self.world.here / "data" / one["data"]
        return Device(
            name=f"d{number}",
            machine=one["machine"],
            host=one["host"],
            data=str(data),
            places=[self.places[at] for at in one["places"]],
            pack_below="1M" if one["pack"] else "0",
            world=self.world,
            pin=one.get("pin", ""),
        )

    def _furnish(self, place: Place) -> None:
        """A root with some items, and beside it what is nobody's business."""
        chance = random.Random(f"{self.history['seed']} {place.number}")
        root = self.world.on_disk(place)
        root.mkdir(parents=True)
        for item in ITEMS:
            if item == "thesis" or chance.random() < 0.5:
                for file in FILES[item]:
                    self.world.write(root / item / file if file else root / item, self.world.new_contents())
        for user in USERS:
            self.world.write(self.world.disk(place.machine) / user / ".ssh" / "authorized_keys", b"precious")
        for item in read_items(root):
            self.model.user_changed(place, item, None)

    # -- the story ----------------------------------------------------------------------------------

    def play(self) -> None:
        for number, step in enumerate(self.history["steps"]):
            self.trace.add("-", f"step {number}")
            self._play_step(number, step)
        self.world.filesystem.close()
        self._heal(len(self.history["steps"]))

    def _play_step(self, number: int, planned: dict[str, Any]) -> None:
        self.world.pass_time(days=planned["days"], seconds=60)
        self.store.begin_step(number, planned["faults"])
        for key in planned.get("appears", ()):
            self.store.put_foreign(key, foreign_contents(key))
        for loss in planned["losses"]:
            if loss["what"] == "tamper":
                self.met[situations.TAMPERED] += self.store.tamper(loss["pick"]) is not None
                continue
            key = self.store.lose(loss["pick"], loss["what"], rot=loss["rot"] and not self.store.trusted)
            if key and key.startswith("manifests/"):
                self.met[situations.MANIFEST_LOST] += 1
        step = Step(number)
        actors = [actor for one in planned["actors"] if (actor := self._actor(one, step, len(planned["actors"])))]
        if actors:
            chance = random.Random(f"{self.history['seed']} step {number}")
            Turns(
                actors,
                planned["schedule"],
                chance,
                base=str(self.world.base),
                mount=self.world.mount,
                trace=self.trace,
                on_days=lambda days: self.world.pass_time(days=days),
            ).run()
        self.met.update(situations.of_step(step, self.model))
        self.model.settle(step)

    def _actor(self, planned: dict[str, Any], step: Step, actors: int) -> Actor | None:
        do = planned["do"]
        if do == "user":
            place = self.places[planned["place"]]
            user = UserAt(place, self.world, self.model, self.places, step)
            return Actor(f"user of {place.path}", place.machine, lambda: user.do(planned["ops"]))
        device = self.devices[planned["device"]]
        if do in _UPHEAVALS:
            _UPHEAVALS[do](self, device, planned)
            return None
        place = self.places[planned["place"]]
        name = f"{do} by {device.name}"
        tokens = random.Random(f"{self.history['seed']} {step.number} {name} {len(step.runs)}")
        actor = Actor(name, device.machine, lambda: None, dies=planned.get("dies"), device=device, tokens=tokens)
        device.skew = timedelta(days=planned.get("skew", 0))
        ran = Ran(do, device, place)
        step.runs.append(ran)
        at = len(step.runs) - 1
        actor.work = lambda: self._work(actor, planned, device, place, step, at, alone=actors == 1)
        return actor

    def _work(
        self, actor: Actor, planned: dict[str, Any], device: Device, place: Place, step: Step, at: int, *, alone: bool
    ) -> None:
        """A verb, in its device's thread."""
        with quietly():
            item, to = self._what_to_restore(planned, device, place)
        ran = self._carry_out(planned, device, place, item, to)
        step.runs[at] = ran
        with quietly():
            if ran.died:
                let_go_of_handles(actor)
                self.met.update(situations.of_death(actor, ran))
                self.met.update(situations.of_slots(self.world.on_disk(place)) if ran.verb == "clean" else ())
            self.trace.add(actor.name, f"ends: {ran.code}")
            self.model.returned(ran, step)
            undisturbed = alone and not self.store.met and not ran.died and not device.skew and not self._has_two_ids()
            if ran.verb == "restore" and to and not ran.bug and item != verbs.EVERYTHING:
                self.model.check_restored(ran, item, Path(to), step)
            elif ran.verb == "restore" and to and not ran.bug:
                self.model.check_all_restored(ran, Path(to), undisturbed=undisturbed)
            if ran.verb == "verify" and undisturbed:
                self.model.check_verified(ran)

    def _carry_out(self, planned: dict[str, Any], device: Device, place: Place, item: str, to: str) -> Ran:
        do = planned["do"]
        if do == "clean":
            return verbs.clean(device, place, planned["mode"], grace=planned["grace"])
        if do == "restore":
            return verbs.restore(device, place, item, to=to)
        if do == "verify":
            return verbs.verify(device, place, read_data=planned.get("read_data", False))
        if do == "adopt":
            ran = verbs.adopt(device, place, planned.get("host", device.host))
            self.model.adopted(device, ran)
            return ran
        if do == "moved":
            return verbs.moved(device, place, place.was or self.world.seen(place))
        if do == "prune":
            return verbs.prune(device, place, all_devices=planned.get("all_devices", True))
        if do == "undo":
            return verbs.undo(device, place, planned.get("item"))
        verb: Callable[[Device, Place], Ran] = getattr(verbs, do)
        return verb(device, place)

    def _what_to_restore(self, planned: dict[str, Any], device: Device, place: Place) -> tuple[str, str]:
        """What is away first of all; else anything that was archived."""
        if planned["do"] != "restore":
            return "", ""
        if planned.get("all"):
            return verbs.EVERYTHING, self._new_folder() if planned["to"] else ""
        away = [planned["item"]] if "item" in planned else [one.item for one in self.model.away if one.place is place]
        claimed = [item for key, number, item in self.model.claims if key == device.key and number == place.number]
        names = sorted(set(away)) or sorted(set(claimed)) or ["thesis"]
        return names[planned["pick"] % len(names)], self._new_folder() if planned["to"] else ""

    def _new_folder(self) -> str:
        self._restores += 1
        folder = self.world.here / "restored" / str(self._restores)
        folder.mkdir(parents=True)
        return str(folder)

    # -- upheavals ----------------------------------------------------------------------------------

    def _lose_catalogue(self, device: Device, _planned: dict[str, Any]) -> None:
        self.world.mount(device.machine)
        file = verbs.catalogue_file(device)
        for path in sorted(file.parent.glob(f"{file.name}*")) if file.parent.exists() else ():
            path.unlink()
        self.met[situations.CATALOGUE_LOST] += 1

    def _lose_data(self, device: Device, _planned: dict[str, Any]) -> None:
        self.world.mount(device.machine)
        remove(Path(device.data))
        for one in self.devices:
            if one.data == device.data and (one is device or device.data.endswith("shared")):
                self.model.lost_identity(one)

    def _copy_data(self, device: Device, planned: dict[str, Any]) -> None:
        """The data folder of another machine is copied to this one, as people do who set up a machine like another."""
        other = self.devices[planned["from"]]
        source = Path(other.data.replace(str(self.world.here), str(self.world.disk(other.machine))))
        target = Path(device.data.replace(str(self.world.here), str(self.world.disk(device.machine))))
        if source.exists() and source != target:
            remove(target)
            shutil.copytree(source, target)
            self.model.lost_identity(device)

    def _move_place(self, device: Device, planned: dict[str, Any]) -> None:
        """The user renames a root, and says so in the settings."""
        place = self.places[planned["place"]]
        old = self.world.on_disk(place)
        place.was = self.world.seen(place)
        place.path = f"{place.path.partition('/')[0]}/Papers{len(place.path)}"
        old.rename(self.world.on_disk(place))
        self.met[situations.PLACE_MOVED] += 1

    # -- healed -------------------------------------------------------------------------------------

    def _heal(self, number: int) -> None:
        """The store is honest, clocks are right and nobody dies: two runs, and nothing is left to do."""
        if self._has_two_ids():
            return
        self.world.pass_time(days=1)
        pairs = [(device, place) for device in self.devices for place in device.places]
        for round_ in range(2):
            for device, place in pairs:
                before = set(self.store.objects)
                ran = self._alone(number, {"do": "archive"}, device, place)
                if ran.code == 2 and "data/vault.json" in self.store.foreign and "vault.json" not in self.store.objects:
                    return  # there was another target before this one could be made
                if ran.code != 0:
                    raise Broken("does not heal", ran.text())
                is_changed = self.store.lost.keys() & before  # which shows only when it is read
                if round_ and set(self.store.objects) != before and not is_changed:
                    new = sorted(set(self.store.objects) - before)
                    raise Broken("does not converge", f"{ran.text()}: wrote {new[:2]} again")
                number += 1
                if round_ and ran.claims:
                    self._free_and_bring_back(number, device, place, ran)
                    number += 2
        for do in ("repair", "verify"):
            for device in self.devices:
                ran = self._alone(number, {"do": do}, device, device.places[0])
                number += 1
                if do == "repair":
                    self.model.check_repaired(ran)
        self._restore_everything(number)
        first = self.devices[0]
        self.world.pass_time(days=16)
        self._alone(number + 50, {"do": "prune"}, first, first.places[0])
        self._restore_everything(number + 51)

    def _has_two_ids(self) -> bool:
        """Two devices began the target at once, and the store let both: one of them is told so, and refuses for good."""
        twice = any(key == "vault.json" for key, _ in self.store.overwritten)
        self.met[situations.TWO_IDS] += twice
        return twice

    def _free_and_bring_back(self, number: int, device: Device, place: Place, archived: Ran) -> None:
        """What is archived can be cleaned, and comes back by undo."""
        before = dict(self.model.home[place.number])
        if before.keys() & {item for item, _ in read_aside(self.world.on_disk(place))}:
            return  # of two of one name, one comes back
        named = {item for item, _, _ in archived.claims}
        claimed = {item for item in named if not self.model.is_tampered(archived, item)}
        ran = self._alone(number, {"do": "clean", "mode": "quarantine", "grace": 1000}, device, place)
        if set(ran.freed) != claimed or set(ran.failed) - (named - claimed) or (named == claimed and ran.code != 0):
            raise Broken("does not clean", f"{sorted(claimed)} of {place.path} are archived: {ran.text()}")
        for item in before:
            ran = self._alone(number + 1, {"do": "undo", "item": item}, device, place)
        if self.model.home[place.number] != before:
            raise Broken("does not undo", ran.text())

    def _restore_everything(self, number: int) -> None:
        for away in list(self.model.away):
            for device in self.devices:
                if device.key not in away.by or away.place not in device.places:
                    continue
                ran = self._alone(number, {"do": "restore", "to": True, "item": away.item}, device, away.place)
                number += 1
                if ran.code != 0 and self.model.is_whole_for(device, away.place, away.item):
                    raise Broken("does not restore", f"{away.item} of {away.place.path}: {ran.text()}")

    def _alone(self, number: int, planned: dict[str, Any], device: Device, place: Place) -> Ran:
        self.world.pass_time(seconds=60)
        self.store.begin_step(number, [])
        step = Step(number)
        planned = {"pick": 0, **planned, "device": self.devices.index(device), "place": place.number}
        actor = self._actor(planned, step, 1)
        assert actor is not None
        Turns(
            [actor], AT_REST, random.Random(0), base=str(self.world.base), mount=self.world.mount, trace=self.trace
        ).run()
        self.met.update(situations.of_step(step, self.model))
        self.model.settle(step)
        return step.runs[0]


def foreign_contents(key: str) -> bytes:
    """What somebody else keeps under a key; the id of a target is one that another installation made."""
    if key.endswith("vault.json"):
        return json.dumps({"archive_tasks": "vault", "format": 1, "id": "f" * 32}).encode()
    return f"foreign {key}".encode()


_UPHEAVALS: dict[str, Callable[[_Player, Device, dict[str, Any]], None]] = {
    "lose_catalogue": _Player._lose_catalogue,
    "lose_data": _Player._lose_data,
    "copy_data": _Player._copy_data,
    "move_place": _Player._move_place,
}
