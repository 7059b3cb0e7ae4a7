"""Makes the machine that a command runs on look like another one, as its environment says. Python loads it first.

MACHINE_NAME: what the host is called.
MACHINE_ID: what /etc/machine-id says.
MACHINE_CLOCK: seconds by which its clock is ahead. Only archive_tasks sees it: servers refuse signatures of another
    day, and a wrong clock there is another story.
MACHINE_WAITS_AT, MACHINE_WAITS_FOR: at the first write that matches the pattern (`link <place>`, `PUT <key>`), the file
    `<MACHINE_WAITS_FOR>.reached` is made, and nothing goes on there before `<MACHINE_WAITS_FOR>.go` exists.
MACHINE_DIES_AT: at the first write that matches, the process ends as `kill -9` ends it.
"""

from __future__ import annotations

import builtins
import datetime
import io
import os
import re
import signal
import socket
import sys
import time
from typing import Any

_ENV = os.environ
_MACHINE_ID = "/etc/machine-id"
_PRODUCT = "archive_tasks"


def _name(name: str) -> None:
    facts = os.uname()
    renamed = os.uname_result((facts.sysname, name, *facts[2:]))
    socket.gethostname = lambda: name
    os.uname = lambda: renamed


def _id(text: str) -> None:
    """Whoever opens /etc/machine-id reads `text`, however it is opened."""
    place = os.path.join(_ENV["HOME"], ".machine-id")
    with open(place, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    plain_open, plain_os_open = io.open, os.open

    def opened(file: Any, *args: Any, **options: Any) -> Any:
        return plain_open(place if file == _MACHINE_ID or str(file) == _MACHINE_ID else file, *args, **options)

    def os_opened(path: Any, *args: Any, **options: Any) -> int:
        return plain_os_open(place if path == _MACHINE_ID else path, *args, **options)

    builtins.open, io.open, os.open = opened, opened, os_opened


def _clock(ahead: float) -> None:
    real, plain_time, plain_time_ns = datetime.datetime, time.time, time.time_ns

    def for_us() -> float:
        caller = sys._getframe(2).f_globals.get("__name__", "")
        return ahead if caller.partition(".")[0] == _PRODUCT else 0.0

    class Shown(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

    class Shifted(real, metaclass=Shown):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real.now(tz) + datetime.timedelta(seconds=for_us())

    Shifted.__name__ = Shifted.__qualname__ = "datetime"
    datetime.datetime = Shifted  # type: ignore[misc]
    time.time = lambda: plain_time() + for_us()
    time.time_ns = lambda: plain_time_ns() + int(for_us() * 1e9)


def _moments(waits_at: str, dies_at: str) -> None:
    waits, dies = re.compile(waits_at or r"(?!)"), re.compile(dies_at or r"(?!)")
    reached: list[str] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in {"os.link", "http.client.send"}:
            return
        write = _place(*arguments[1:4:2]) if event == "os.link" else _request(arguments[1])
        if dies.search(write):
            os.kill(os.getpid(), signal.SIGKILL)
        if not reached and waits.search(write):
            reached.append(write)
            _wait(_ENV["MACHINE_WAITS_FOR"])

    sys.addaudithook(hook)


def _place(name: Any, folder: int) -> str:
    """`link /nas/key`: where the new name of a file is, which may be given relative to an open folder."""
    above = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else ""
    return f"link {os.path.join(above, os.fsdecode(name))}"


def _request(data: object) -> str:
    """`PUT /bucket/key`: the first line of what is sent, where it is one."""
    return bytes(data).partition(b" HTTP/")[0].decode(errors="replace") if isinstance(data, bytes | bytearray) else ""


def _wait(place: str) -> None:
    with open(f"{place}.reached", "wb"):
        pass
    for _ in range(6000):
        if os.path.exists(f"{place}.go"):
            return
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)  # nobody let it go on within a minute


if _ENV.get("MACHINE_NAME"):
    _name(_ENV["MACHINE_NAME"])
if _ENV.get("MACHINE_ID"):
    _id(_ENV["MACHINE_ID"])
if _ENV.get("MACHINE_CLOCK"):
    _clock(float(_ENV["MACHINE_CLOCK"]))
if _ENV.get("MACHINE_WAITS_AT") or _ENV.get("MACHINE_DIES_AT"):
    _moments(_ENV.get("MACHINE_WAITS_AT", ""), _ENV.get("MACHINE_DIES_AT", ""))
