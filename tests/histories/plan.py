"""A history as data, made from a seed: who there is, and what each step lets happen. Nothing here looks at a run.

```
{"seed": 7,
 "store": {"create_only": true, "trusted": true, "part_size": 0, "foreign": []},
 "places": [{"machine": 0, "path": "anna/Documents"}],
 "devices": [{"machine": 0, "host": "pi", "data": "d0", "places": [0], "pack": true}],
 "steps": [{"days": 0, "losses": [], "faults": [], "schedule": {"kind": "serial"},
            "actors": [{"do": "archive", "device": 0, "place": 0, "dies": {"of": "store", "at": 7, "after": true}}]}]}
```
A theme is a short story in which something is known to go wrong easily; chance fills it in, and adds to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

History = dict[str, Any]
Step = dict[str, Any]
Actor = dict[str, Any]

ITEMS = ("thesis", "film", "note")
FILES = {"thesis": ("a", "b"), "film": ("a",), "note": ("",)}
MODES = ("quarantine", "quarantine", "delete", "delete", "move", "trash")
USERS = ("anna", "bob")
INNER = [
    "data/vault.json",
    "data/manifests/pi/Documents/2025-01-01/x~0123456789abcdef0123456789abcdef.jsonl.zst",
    "data/data/pi/Documents/2025-01-01/x~0123456789abcdef0123456789abcdef/0123456789ab/files/x",
]
"""Another target, as it is seen from the one that is around it."""
OWN_THINGS = ["data/backup/2024/photo.jpg", "data/list.txt", "notes.txt"]
"""What somebody keeps beside us."""


def make(seed: int) -> History:
    """The history of a seed."""
    return _Maker(seed).made()


class _Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"history {seed}")
        self.places: list[dict[str, Any]] = []
        self.devices: list[dict[str, Any]] = []
        self.steps: list[Step] = []
        self.ctimes: tuple[str, ...] = ("fine", "fine", "coarse", "none")

    def made(self) -> History:
        theme = THEMES[self.seed % len(THEMES)]
        self.theme = theme
        theme(self)
        chance = self.chance
        if len(self.steps) > 1 and chance.random() < 0.12:
            self.steps[chance.randint(1, len(self.steps) - 1)]["appears"] = INNER
        return {
            "seed": self.seed,
            "theme": theme.__name__.strip("_"),
            "store": {
                "create_only": chance.random() < 0.75,
                "trusted": chance.random() < 0.6,
                "part_size": 60 if chance.random() < 0.2 else 0,
                "foreign": chance.choice(([], [], [], OWN_THINGS)),
            },
            "filesystem": self.filesystem(),
            "places": self.places,
            "devices": self.devices,
            "steps": self.steps,
        }

    def filesystem(self) -> dict[str, Any]:
        chance = random.Random(f"{self.seed} filesystem")
        return {
            "ctime": chance.choice(self.ctimes),
            "inodes_stay": chance.random() < 0.8,
        }

    # -- who there is -------------------------------------------------------------------------------

    def place(self, machine: int, user: str = "anna", folder: str = "Documents") -> int:
        path = f"{user}/{folder}"
        if (one := {"machine": machine, "path": path}) in self.places:
            return self.places.index(one)
        self.places.append({"machine": machine, "path": path})
        return len(self.places) - 1

    def device(self, machine: int, *places: int, host: str = "pi", data: str = "", pin: str = "") -> int:
        number = len(self.devices)
        self.devices.append(
            {
                "machine": machine,
                "host": host,
                "data": data or f"d{number}",
                "places": list(places),
                "pack": self.chance.random() < 0.5,
                "pin": pin,
            }
        )
        return number

    def anybody(self) -> None:
        """Two or three devices on one or two machines, which share what they may share."""
        chance = self.chance
        machines = chance.choice((1, 2, 2))
        for machine in range(machines):
            for user in USERS[: chance.choice((1, 1, 2))]:
                self.place(machine, user)
        for number in range(chance.choice((2, 2, 3))):
            machine = number % machines
            mine = [at for at, one in enumerate(self.places) if one["machine"] == machine]
            host = chance.choice(("pi", "pi", "laptop"))
            data = "shared" if machines == 2 and number < 2 and self.seed % 5 == 0 else ""
            self.device(machine, *chance.sample(mine, chance.randint(1, len(mine))), host=host, data=data)

    # -- what happens -------------------------------------------------------------------------------

    def step(self, *actors: Actor, days: float = 0, **more: Any) -> Step:
        step = {
            "days": days,
            "losses": [],
            "faults": [],
            "schedule": self.schedule(len(actors)),
            "actors": list(actors),
            **more,
        }
        self.steps.append(step)
        return step

    def schedule(self, actors: int) -> dict[str, Any]:
        chance = self.chance
        if actors < 2:
            return {"kind": "serial"}
        if chance.random() < 0.4:
            return {"kind": "random", "share": chance.choice((0.03, 0.1, 0.3, 1.0))}
        return self.pause(chance.randrange(actors))

    def pause(self, actor: int) -> dict[str, Any]:
        if self.chance.random() < 0.6:
            return {"kind": "pause", "actor": actor, "of": "store", "at": self.chance.randint(2, 16)}
        return {"kind": "pause", "actor": actor, "of": "any", "at": int(2 ** self.chance.uniform(2, 8))}

    def dies(self, *, most: float = 0.3) -> dict[str, Any] | None:
        chance = self.chance
        if chance.random() > most:
            return None
        if chance.random() < 0.6:
            return {"of": "store", "at": chance.randint(2, 14), "after": chance.random() < 0.6}
        if chance.random() < 0.4:
            return {"of": "any", "at": chance.randint(30, 125)}
        return {"of": "any", "at": int(2 ** chance.uniform(2, 8))}

    def act(self, do: str, device: int, place: int | None = None, *, dies: float = 0.0, **more: Any) -> Actor:
        places = self.devices[device]["places"]
        at = self.chance.choice(places) if place is None else place
        actor = {"do": do, "device": device, "place": at, "dies": self.dies(most=dies), **more}
        if do == "clean":
            actor.setdefault("mode", self.chance.choice(MODES))
            actor.setdefault("grace", 7)
        if do == "restore":
            actor.setdefault("to", self.chance.random() < 0.6)
            actor.setdefault("pick", self.chance.randrange(100))
            actor.setdefault("all", self.chance.random() < 0.15)
        if do == "prune":
            actor.setdefault("all_devices", self.chance.random() < 0.8)
        if do == "verify":
            actor.setdefault("read_data", self.chance.random() < 0.3)
        return actor

    def user(self, place: int, *, most: int = 3) -> Actor:
        return {"do": "user", "place": place, "ops": [self.op() for _ in range(self.chance.randint(1, most))]}

    def op(self, kind: str = "") -> list[Any]:
        chance = self.chance
        item = chance.choice(ITEMS)
        file = chance.choice(FILES[item])
        kind = kind or chance.choice(
            ("write", "write", "sneak", "sneak", "rename", "revert", "revert", "delete", "copy")
        )
        if kind in {"write", "sneak"}:
            return [kind, item, file]
        if kind == "revert":
            return [kind, item, chance.randrange(100)]
        if kind == "copy":
            return [kind, item, chance.randrange(len(self.places))]
        if kind == "delete":
            return [kind, item, chance.choice((None, file))]
        return [kind, item]

    def quick_or_open(self) -> list[list[Any]]:
        """One who writes one file again and again, or keeps one open and writes to it."""
        item = self.chance.choice(ITEMS)
        file = self.chance.choice(FILES[item])
        if self.chance.random() < 0.5:
            return [["sneak", item, file] for _ in range(self.chance.randint(2, 6))]
        scribbles: list[list[Any]] = [["scribble"] for _ in range(self.chance.randint(1, 4))]
        return [["open", item, file], *scribbles, *([["close"]] if self.chance.random() < 0.6 else [])]

    def some_device(self) -> int:
        return self.chance.randrange(len(self.devices))

    def noise(self, share: float = 0.4) -> None:
        """Perhaps something that has nothing to do with the story."""
        if self.chance.random() < share:
            self.any_step()

    def any_step(self) -> None:
        chance = self.chance
        number = chance.choice((1, 1, 1, 2, 2, 3))
        actors = [self.any_actor() for _ in range(number)]
        if chance.random() < 0.4:
            actors.append(self.user(chance.randrange(len(self.places))))
        step = self.step(*actors, days=chance.choice((0, 0, 0.1, 1, 8, 15, 40)))
        if chance.random() < 0.3:
            step["faults"] = [self.fault() for _ in range(chance.choice((1, 1, 2)))]
        if chance.random() < 0.1:
            step["losses"] = [self.loss()]

    def any_actor(self) -> Actor:
        chance = self.chance
        do = chance.choice(
            (
                "archive",
                "archive",
                "archive",
                "clean",
                "clean",
                "undo",
                "prune",
                "verify",
                "repair",
                "restore",
                "restore",
            )
        )
        actor = self.act(do, self.some_device(), dies=0.2)
        if chance.random() < 0.1:
            actor["skew"] = chance.choice((-365, 365))
        if chance.random() < 0.05:
            upheaval = chance.choice(("lose_catalogue", "lose_data", "forget", "adopt"))
            return self.act(upheaval, self.some_device())
        return actor

    def fault(self, kind: str = "") -> dict[str, Any]:
        chance = self.chance
        kind = kind or chance.choice(("hide", "hide", "lose", "busy", "jump"))
        if kind == "hide":
            what = chance.choice(("manifests/", "manifests/", "data/", ""))
            share = chance.choice((0.5, 1.0, 1.0))
            return {
                "kind": kind,
                "call": chance.randint(1, 3),
                "what": what,
                "share": share,
                "pick": chance.randrange(99),
            }
        if kind == "lose":
            return {"kind": kind, "call": chance.randint(1, 20), **self.loss()}
        if kind == "busy":
            return {"kind": kind, "call": chance.randint(1, 20), "after": chance.random() < 0.5}
        return {"kind": kind, "call": chance.randint(2, 20), "days": chance.choice((1, 8, 15, 30))}

    def loss(self) -> dict[str, Any]:
        chance = self.chance
        what = chance.choice(("data/", "data/", "data/", "manifests/", "manifests/", "tamper"))
        return {"what": what, "pick": chance.randrange(100), "rot": chance.random() < 0.2}


# -- themes -------------------------------------------------------------------------------------------


def _side_by_side(make: _Maker) -> None:
    """Two devices of one machine archive one folder at once; one cleans; both prune."""
    place = make.place(0)
    host = make.chance.choice(("pi", "laptop"))
    one, other = make.device(0, place), make.device(0, place, host=host)
    make.step(make.act("archive", one, dies=0.1), make.act("archive", other, dies=0.1))
    make.noise(0.3)
    make.step(make.act("clean", one, mode=make.chance.choice(("delete", "quarantine"))))
    make.noise(0.3)
    make.step(make.act("prune", one), days=15)
    make.step(make.act("prune", other), days=make.chance.choice((0, 15)))
    make.noise(0.3)


def _prune_and_archive(make: _Maker) -> None:
    """One prunes while another archives: with a wrong clock, or an upload that takes weeks."""
    place, far = make.place(0), make.place(make.chance.choice((0, 1)), "bob")
    one = make.device(0, place)
    other = make.device(make.places[far]["machine"], far, host="laptop")
    make.step(make.act("archive", other, dies=0.7))
    make.noise(0.2)
    days = make.chance.choice((0, 0, 6, 8, 13, 15))
    pruning = make.act("prune", one)
    if make.chance.random() < 0.4:
        pruning["skew"] = 365
    step = make.step(make.act("archive", other, dies=0.1), pruning, days=days)
    step["schedule"] = make.pause(make.chance.choice((0, 0, 1)))
    if make.chance.random() < 0.5:
        pruning["all_devices"] = True
        first = [0, "store", make.chance.randint(5, 16), make.chance.choice((0, 0, 8, 15, 16))]
        second = [1, "store", make.chance.randint(6, 18), make.chance.choice((0, 0, 0, 8, 15))]
        step["schedule"] = {"kind": "relay", "stops": [first, second]}
    elif make.chance.random() < 0.5:
        step["faults"] = [
            {"kind": "jump", "call": make.chance.randint(3, 16), "days": make.chance.choice((5, 8, 15, 16))}
        ]
    make.step(make.act("clean", other, mode="delete"))
    make.noise(0.3)
    make.step(make.act("prune", one), days=make.chance.choice((0, 15)))


def _hidden(make: _Maker) -> None:
    """A list that is not the whole list, when it counts."""
    make.anybody()
    device = make.some_device()
    make.step(make.act("archive", device))
    make.noise(0.4)
    make.step(make.act("clean", device, mode="delete"))
    other = make.some_device()
    do = make.chance.choice(("prune", "prune", "prune", "archive", "verify", "restore", "clean"))
    step = make.step(make.act(do, other), days=make.chance.choice((0, 15, 15)))
    step["faults"] = [make.fault("hide") for _ in range(make.chance.choice((1, 1, 2)))]
    if do == "prune" and make.chance.random() < 0.5:  # much of every listing
        step["faults"] = [{**make.fault("hide"), "call": number, "what": ""} for number in range(1, 8)]
    make.noise(0.4)
    make.step(make.act("restore", device, to=True))


def _copies_lost(make: _Maker) -> None:
    """The copies of the manifests are lost, and then the manifests are not listed for a while."""
    place = make.place(0)
    device = make.device(0, place)
    make.step(make.act("archive", device))
    make.step(make.act("clean", device, mode="delete"))
    losses = [{"what": "copies", "pick": make.chance.randrange(100), "rot": False} for _ in range(2)]
    step = make.step(make.act("prune", device), days=15, losses=losses)
    step["faults"] = [
        {"kind": "hide", "call": number, "what": "manifests/", "share": 1.0, "pick": 1} for number in range(1, 8)
    ]
    make.step(make.act("verify", device))


def _losses(make: _Maker) -> None:
    """Objects are lost, and what is here still can heal it."""
    make.anybody()
    device = make.some_device()
    make.step(make.act("archive", device))
    make.noise(0.3)
    if make.chance.random() < 0.3:
        make.step(make.act("clean", device, mode="quarantine"))
    dos = ["archive", "verify", "repair", "clean", "archive", "verify"]
    for number in range(make.chance.randint(2, 4)):
        do = dos[number] if make.chance.random() < 0.6 else make.chance.choice(dos)
        step = make.step(make.act(do, device if make.chance.random() < 0.7 else make.some_device()))
        if number == 0 or make.chance.random() < 0.2:
            step["losses"] = [make.loss() for _ in range(make.chance.choice((1, 1, 3)))]
    make.step(make.act("clean", device, mode="delete"))
    make.step(make.act("restore", device, to=True))


def _versions(make: _Maker) -> None:
    """v1, v2, and v1 again with its old times."""
    place = make.place(0)
    pin = "lab" if make.chance.random() < 0.3 else ""
    device = make.device(0, place, pin=pin)
    if pin or make.chance.random() < 0.4:
        make.device(0, place, host=make.chance.choice(("pi", "laptop")), pin=pin)
    if pin and make.chance.random() < 0.5:
        _versions_of_two(make, place)
    for kinds in (("write", "sneak"), ("write", "sneak", "revert"), ("revert",)):
        make.step(make.act("archive", make.some_device(), dies=0.1), days=make.chance.choice((0, 1)))
        ops = [make.op(make.chance.choice(kinds)) for _ in range(make.chance.choice((1, 2, 4)))]
        make.step({"do": "user", "place": place, "ops": ops})
    make.noise(0.3)
    if make.chance.random() < 0.6:
        make.step(make.act("archive", device, dies=0.1))
    make.step(make.act("clean", device, dies=0.1))
    make.step(make.act("restore", device))


def _versions_of_two(make: _Maker, place: int) -> None:
    """Two that are one device archive two versions, and the first of them cleans when its own is back."""
    item = make.chance.choice(ITEMS)
    make.step(make.act("archive", 0))
    make.step({"do": "user", "place": place, "ops": [["sneak", item, make.chance.choice(FILES[item])]]})
    make.step(make.act("archive", 1))
    make.step({"do": "user", "place": place, "ops": [["revert", item, 0]]})
    make.step(make.act("clean", 0))


def _cut_off_at_commit(make: _Maker) -> None:
    """A run dies around its commit, the item changes, is archived again, and is as it was before."""
    chance = make.chance
    place = make.place(0)
    device = make.device(0, place)
    item = chance.choice(ITEMS)
    file = chance.choice(FILES[item])
    if chance.random() < 0.5:
        make.step(make.act("archive", device))
    make.step({"do": "user", "place": place, "ops": [["write", item, file]]})
    dying = make.act("archive", device)
    dying["dies"] = {"of": "store", "at": chance.randint(4, 18), "after": chance.random() < 0.7}
    make.step(dying)
    make.step({"do": "user", "place": place, "ops": [["write", item, file]]})
    make.step(make.act(chance.choice(("archive", "archive", "repair")), device), days=chance.choice((0, 0, 8)))
    make.step({"do": "user", "place": place, "ops": [["revert", item, chance.randrange(4)]]})
    make.step(make.act("archive", device, dies=0.2))
    make.step(make.act("clean", device))
    make.step(make.act("restore", device))


def _twins(make: _Maker) -> None:
    """Two machines of one name, with the same paths; or one data folder for both, or a copy of it."""
    here, there = make.place(0), make.place(1)
    chance = make.chance
    data = chance.choice(("", "", "shared"))
    one = make.device(0, here, data=data)
    other = make.device(1, there, data=data)
    for _ in range(chance.choice((1, 2))):
        if not data and chance.random() < 0.3:
            make.step({"do": "copy_data", "device": other, "from": one})
        actors = [make.act("archive", one), make.act("archive", other)]
        if chance.random() < 0.3:
            actors[chance.randrange(2)]["skew"] = chance.choice((-365, 365))
        make.step(*actors)
        make.noise(0.2)
        make.step(make.act("clean", one), make.act("clean", other))
        make.step(make.act("restore", one), days=chance.choice((0, 8)))
        make.step(make.act("restore", other))
        make.step(make.user(chance.choice((here, there))))


def _two_roots(make: _Maker) -> None:
    """Two roots of one name, with the same bytes in them."""
    anna, bob = make.place(0, "anna"), make.place(0, "bob")
    one = make.device(0, anna, bob)
    other = make.device(0, bob, host="laptop") if make.chance.random() < 0.4 else one
    ops = [["copy", item, bob] for item in ITEMS if make.chance.random() < 0.6]
    make.step({"do": "user", "place": anna, "ops": ops or [["copy", "thesis", bob]]})
    make.step(make.act("archive", one, anna, dies=0.1), make.act("archive", other, bob, dies=0.1))
    make.noise(0.3)
    make.step(make.act("archive", other, bob))
    make.step(make.act("clean", one, anna), make.act("clean", other, bob))
    make.step(make.act("restore", one, make.chance.choice((anna, bob))))
    make.noise(0.3)
    make.step(make.act("restore", other, bob))
    make.step(make.act("restore", one, bob, all=True, to=True))


def _deaths(make: _Maker) -> None:
    """One device that dies again and again."""
    make.anybody()
    device = make.some_device()
    story = (
        "archive",
        "archive",
        "clean",
        "undo",
        "archive",
        "clean",
        "clean",
        "clean",
        "restore",
        "restore",
        "verify",
    )
    for do in story:
        if make.chance.random() < 0.8:
            days = make.chance.choice((0, 0, 8)) if do == "clean" else 0
            make.step(make.act(do, device, dies=0.3 if do == "archive" else 0.7), days=days)
    make.noise(0.3)


def _disturbed(make: _Maker) -> None:
    """The user works on while runs go on."""
    place = make.place(0)
    device = make.device(0, place)
    other = make.device(0, place, host="laptop")
    make.step(make.act("archive", device))
    for do in ("clean", "archive", "restore", "undo", "clean", "archive"):
        who = device if make.chance.random() < 0.7 else other
        user = make.user(place)
        if make.chance.random() < 0.5:
            user["ops"] = make.quick_or_open()
        step = make.step(make.act(do, who, dies=0.1), user)
        if make.chance.random() < 0.7:
            step["schedule"] = make.pause(0)


def _unseen(make: _Maker) -> None:
    """Writes that leave no sign: in a tick of the clock, through what was open before, to what is set aside."""
    chance = make.chance
    place = make.place(0)
    device = make.device(0, place)
    item = chance.choice(ITEMS)
    file = chance.choice(FILES[item])
    kind = chance.choice(("quick", "open", "reach"))
    sent = [0, "store", chance.randint(9, 36), 0]
    if kind == "quick":
        make.ctimes = ("coarse",)
        user = {"do": "user", "place": place, "ops": [["sneak", item, file]] * chance.randint(3, 5)}
        step = make.step(make.act("archive", device), user)
        step["schedule"] = {"kind": "relay", "stops": [[0, "disk", 1, 0], [1, "disk", chance.choice((2, 3)), 0], sent]}
    elif kind == "open":
        make.step({"do": "user", "place": place, "ops": [["open", item, file], ["scribble"]]})
        user = {"do": "user", "place": place, "ops": [["scribble"]] * chance.randint(1, 3)}
        step = make.step(make.act("archive", device), user)
        step["schedule"] = {"kind": "relay", "stops": [sent]}
        make.step({"do": "user", "place": place, "ops": [["close"]]})
    else:
        make.ctimes = ("coarse", "none")
        make.step(make.act("archive", device))
        user = {"do": "user", "place": place, "ops": [["reach", item, file]] * chance.randint(1, 3)}
        step = make.step(make.act("clean", device, mode="delete"), user)
        step["schedule"] = {"kind": "relay", "stops": [[0, "any", chance.randint(20, 150), 0]]}
    make.step(make.act("clean", device, mode="delete", dies=0.1))
    make.noise(0.2)
    make.step(make.act("restore", device))


def _moved_and_adopted(make: _Maker) -> None:
    """A root is renamed; an installation is lost and made again."""
    place = make.place(0)
    device = make.device(0, place)
    make.step(make.act("archive", device))
    if make.chance.random() < 0.5:
        make.step(make.act("clean", device))
    for _ in range(make.chance.choice((1, 2))):
        what = make.chance.choice(("lose_catalogue", "lose_data", "lose_data", "move_place", "move_place"))
        make.step({"do": what, "device": device, "place": place})
        make.noise(0.2)
        if make.chance.random() < 0.6:
            make.step(make.act("moved" if what == "move_place" else "adopt", device, dies=0.1))
        do = make.chance.choice(("archive", "clean", "restore", "verify", "undo"))
        make.step(make.act(do, device), days=make.chance.choice((0, 8)))
    make.step(make.act("restore", device, to=True))


def _tampered(make: _Maker) -> None:
    """A manifest says of two files that each is where the other is, and nobody has a receipt for it any more."""
    chance = make.chance
    place = make.place(0)
    device = make.device(0, place)
    other = make.device(0, place, host=chance.choice(("pi", "laptop")))
    make.devices[device]["pack"] = True
    make.step(make.act("archive", device))
    make.noise(0.2)
    upheaval = chance.choice(("lose_catalogue", "lose_catalogue", "lose_data"))
    if chance.random() < 0.8:
        make.step({"do": upheaval, "device": device, "place": place})
        if upheaval == "lose_data":
            make.step(make.act("adopt", device))
    tampered = {"what": "tamper", "pick": chance.randrange(9), "rot": False}
    who = chance.choice((device, other))
    make.step(make.act("verify", who, read_data=chance.random() < 0.5), losses=[tampered])
    if chance.random() < 0.5:
        make.step(make.act("archive", who, dies=0.2))
    make.step(make.act("clean", who, mode="delete"))
    make.step(make.act("restore", who, to=True))


def _strangers(make: _Maker) -> None:
    """Others archive from folders that have the names of somebody's here; one restores everything."""
    chance = make.chance
    here = make.place(0)
    there = make.place(1, chance.choice(("anna", "bob")), chance.choice((".ssh", ".config", "Pictures")))
    one, other = make.device(0, here), make.device(1, there, host=chance.choice(("pi", "laptop")))
    make.step(make.act("archive", other))
    make.step(make.act("archive", one))
    make.noise(0.3)
    make.step(make.act("clean", one))
    make.step(make.act("restore", one, all=True))
    make.noise(0.3)


def _anything(make: _Maker) -> None:
    make.anybody()
    for _ in range(make.chance.randint(4, 9)):
        make.any_step()


THEMES: tuple[Callable[[_Maker], None], ...] = (
    _anything,
    _side_by_side,
    _prune_and_archive,
    _hidden,
    _losses,
    _versions,
    _twins,
    _two_roots,
    _deaths,
    _disturbed,
    _unseen,
    _moved_and_adopted,
    _tampered,
    _strangers,
    _prune_and_archive,
    _cut_off_at_commit,
    _copies_lost,
)
