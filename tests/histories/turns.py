"""Whose turn it is: devices are threads, of which exactly one goes on; a seed decides which, and who dies where.

A thread takes a turn at each call of the store, at each event of the file system that Python tells of
(`sys.addaudithook`), and around each transaction of SQLite's. Nothing is handed over within a transaction.

Death is as by `kill -9`: from then on every call of the store, every event of the file system and every transaction
of the thread raises at once, so clean-up code that Python would run while it unwinds cannot do anything. What a
dead process leaves to the kernel (locks, handles) is let go of when the thread has unwound.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import stat
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Never

EVENTS = frozenset(
    {
        "ctypes.call_function",
        "open",
        "os.chmod",
        "os.chown",
        "os.link",
        "os.listdir",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.scandir",
        "os.setxattr",
        "os.symlink",
        "os.truncate",
        "os.utime",
    }
)
LOOKS = frozenset({"os.listdir", "os.scandir"})
"""Events that change nothing."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
STUCK_AFTER_SECONDS = 10
Work = Callable[[], None]


class Died(BaseException):
    """A device is dead."""


class Stuck(AssertionError):
    """Nobody goes on: two devices wait for each other, or one for itself."""


@dataclass(eq=False)
class Actor:
    """Somebody who takes turns.

    Attributes:
        machine: whose disks are to be seen while it goes on.
        dies: at which of its points, counted from 1; None lets it live.
            `of` says which points count: `store`, `disk` or `any`; `after` lets a call of the store happen first.
        quiet: above zero while the harness itself works in its thread.
        asks: its calls of the store, as `method key`, each when it is done.
    """

    name: str
    machine: int
    work: Work
    dies: dict[str, Any] | None = None
    device: Any = None
    tokens: random.Random = field(default_factory=random.Random)
    quiet: int = 0
    dead: bool = False
    ended: bool = False
    in_transaction: bool = False
    met: Counter[str] = field(default_factory=Counter)
    asks: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    handles: dict[int, tuple[int, int]] = field(default_factory=dict)
    turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def die(self) -> Never:
        self.dead = True
        raise Died(self.name)

    def wants_to_die(self, kind: str, *, after: bool) -> bool:
        dies = self.dies
        if not dies or dies.get("after", False) != after or dies["of"] not in {"any", kind}:
            return False
        return self.met[dies["of"]] == dies["at"]


class Turns:
    """One step of a history: its actors, from their first point to the end of the last of them.

    Args:
        schedule: `{"kind": "serial"}`, one after the other;
            `{"kind": "random", "share": 0.3}`, of all points, that many hand over;
            `{"kind": "pause", "actor": 0, "of": "store", "at": 7}`, one stops there until all others have ended;
            `{"kind": "relay", "stops": [[0, "store", 7, 15], [1, "store", 9, 0]]}`, each in turn goes on until there, then
            the first again; so many days pass at each stop.
        mount: shows the disks of a machine.
        trace: is told of every point.
    """

    def __init__(
        self,
        actors: list[Actor],
        schedule: dict[str, Any],
        chance: random.Random,
        *,
        base: str,
        mount: Callable[[int], None],
        trace: Trace,
        on_days: Callable[[float], None] = lambda _days: None,
    ) -> None:
        self.actors = actors
        self._on_days = on_days
        self._stops = [list(one) for one in schedule.get("stops", ())]
        self.current: Actor | None = None
        self.by_thread: dict[int, Actor] = {}
        self.errors: list[BaseException] = []
        self._schedule = schedule
        self._chance = chance
        self._base = base
        self._mount = mount
        self._trace = trace
        self._end = threading.Semaphore(0)
        self._first = schedule.get("actor", 0) % len(actors) if schedule["kind"] == "pause" else 0
        if self._stops:
            self._first = self._stops[0][0] % len(actors)
        self._paused = False

    def run(self) -> None:
        """Returns when all have ended. Raises Stuck, or what the harness itself raised in a thread."""
        global _turns
        _turns = self
        threads = [threading.Thread(target=self._live, args=(one,), daemon=True) for one in self.actors]
        for thread in threads:
            thread.start()
        self._give_turn(self.actors[self._first])
        try:
            if not self._end.acquire(timeout=STUCK_AFTER_SECONDS):
                raise Stuck(f"{self.current and self.current.name} does not go on: {_where(threads)}")
            for thread in threads:
                thread.join()
        finally:
            _turns = None
        if self.errors:
            raise self.errors[0]

    # -- in the actors' threads ---------------------------------------------------------------------

    def _live(self, actor: Actor) -> None:
        actor.turn.acquire()
        self.by_thread[threading.get_ident()] = actor
        try:
            actor.work()
        except BaseException as error:  # noqa: BLE001 - told by `run`
            self.errors.append(error)
        finally:
            actor.ended = True
            del self.by_thread[threading.get_ident()]
            self._pass_on(actor)

    def point(self, actor: Actor, kind: str, label: str, *, switch: bool = True) -> None:
        """Before something happens: others may go on first, and the actor may die."""
        if actor.dead:
            raise Died(actor.name)
        if actor.in_transaction:
            return
        if switch:
            self._maybe_switch(actor)
        actor.met[kind] += 1
        actor.met["any"] += 1
        self._trace.add(actor.name, label)
        if actor.wants_to_die(kind, after=False):
            self._trace.add(actor.name, "dies")
            actor.die()

    def after(self, actor: Actor, kind: str) -> None:
        """After it happened: the actor may die."""
        if actor.wants_to_die(kind, after=True) and not actor.in_transaction:
            self._trace.add(actor.name, "dies after it")
            actor.die()

    def _maybe_switch(self, actor: Actor) -> None:
        following = self._chosen(actor)
        if following is not None and following is not actor:
            self._give_turn(following)
            actor.turn.acquire()

    def _chosen(self, actor: Actor) -> Actor | None:
        waiting = [one for one in self.actors if not one.ended and one is not actor]
        if not waiting:
            return None
        kind = self._schedule["kind"]
        if kind == "random" and self._chance.random() < self._schedule["share"]:
            return self._chance.choice(waiting)
        if kind == "relay" and self._stops and actor is self.actors[self._stops[0][0] % len(self.actors)]:
            return self._relayed(actor, waiting)
        if kind == "pause" and actor is self.actors[self._first] and not self._paused:
            of = self._schedule["of"]
            if actor.met[of] + 1 >= self._schedule["at"]:
                self._paused = True
                return waiting[0]
        return None

    def _relayed(self, actor: Actor, waiting: list[Actor]) -> Actor | None:
        """At its stop, it hands over to whose stop is next, or to the first that waits."""
        _, of, at, days = self._stops[0]
        if actor.met[of] + 1 < at:
            return None
        self._stops.pop(0)
        self._on_days(days)
        following = self.actors[self._stops[0][0] % len(self.actors)] if self._stops else waiting[0]
        return following if following in waiting else waiting[0]

    def _pass_on(self, actor: Actor) -> None:
        """The actor has ended: whose turn is it?"""
        waiting = [one for one in self.actors if not one.ended]
        if not waiting:
            self._end.release()
            return
        if self._schedule["kind"] == "random":
            self._give_turn(self._chance.choice(waiting))
        else:
            stopped = self.actors[self._first]
            others = [one for one in waiting if one is not stopped]
            self._give_turn(others[0] if others else stopped)

    def _give_turn(self, actor: Actor) -> None:
        self.current = actor
        self._mount(actor.machine)
        actor.turn.release()

    # -- events of the file system --------------------------------------------------------------------

    def event(self, event: str, arguments: tuple[Any, ...]) -> None:
        actor = self.by_thread.get(threading.get_ident())
        if actor is None:
            if threading.current_thread().name.startswith(("ThreadPoolExecutor", "item", "send", "fetch", "work")):
                self.errors.append(Stuck("the product works in a thread that takes no turns"))
            return
        if actor.quiet:
            return
        what = arguments[0] if arguments else ""
        if isinstance(what, str) and what.startswith("/") and not what.startswith(self._base):
            if not what.startswith("/proc/self/fd/"):
                return  # Python's own files, the system's tables
            what = "a nameless file"
        label = f"{event} {what.removeprefix(self._base)}" if isinstance(what, str) else event
        # Between the last look at a file and its removal there is nothing that could be done better.
        self.point(actor, "disk", label, switch=event != "os.remove")


@dataclass
class Trace:
    """What happened, in order. Two plays of one history must not differ in it."""

    lines: list[str] | None = None
    length: int = 0
    _digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, who: str, what: str) -> None:
        line = f"{who} {what}"
        self.length += 1
        self._digest.update(line.encode(errors="surrogateescape") + b"\n")
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        return str(self._digest.hexdigest())


# -- what is hooked into Python, once -----------------------------------------------------------------

_turns: Turns | None = None
_hooked: list[bool] = []


def current_actor() -> Actor | None:
    """Who goes on in this thread; None outside of a step."""
    return _turns.by_thread.get(threading.get_ident()) if _turns else None


def current_turns() -> Turns:
    assert _turns is not None
    return _turns


def hook_into_python() -> None:
    """A hook cannot be taken off again."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in EVENTS and _turns is not None:
        _turns.event(event, arguments)


class quietly:  # noqa: N801 - reads as a word
    """What the harness does in an actor's thread is no event of the actor's."""

    def __enter__(self) -> None:
        self._actor = current_actor()
        if self._actor:
            self._actor.quiet += 1

    def __exit__(self, *_: object) -> None:
        if self._actor:
            self._actor.quiet -= 1


def let_go_of_handles(actor: Actor) -> None:
    """As the kernel does for a process that died: what it left open is closed, and with it what it had locked."""
    gc.collect()  # what frames of the dead hold closes itself, and must not do so later, when a number means another
    for fd, opened in sorted(actor.handles.items()):
        try:
            facts = os.fstat(fd)
            name = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) == opened and (stat.S_ISDIR(facts.st_mode) or ".lock" in name):
            os.close(fd)
    actor.handles.clear()


def _where(threads: list[threading.Thread]) -> str:
    import traceback

    frames = sys._current_frames()
    return "\n".join("".join(traceback.format_stack(frames[one.ident])) for one in threads if one.ident in frames)
