"""Commands in processes of their own that need not load Python's and others' libraries first.

Nearly all that a short command takes is loading Invoke, boto3, the standard library and archive_tasks, thousands of
times in all tests. Here a process loads them once; each command is a fork of it, with its own environment, folder and
streams, which runs, and really ends, or is really killed. What loading costs, and what is loaded when, is for other
tests, which start Python itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

LIBRARIES = (
    *("invoke.program", "invoke.tasks", "pluggy", "boto3", "botocore.session", "botocore.client"),
    *("botocore.httpsession", "botocore.handlers", "sqlite3", "ssl", "filelock", "platformdirs", "pathspec"),
    *("backports.zstd", "concurrent.futures.thread", "concurrent.futures.process", "multiprocessing.connection"),
    *("tomllib", "decimal", "ctypes", "mmap", "csv", "secrets"),
)
AT_START = ("LC_", "LANG", "PYTHON", "MALLOC", "LD_")
"""Variables that Python or the system reads when a process starts. `PYTHONPATH` is followed here."""


class Ended(NamedTuple):
    """How a process ended; `code` as of `subprocess`: negative for a signal."""

    code: int
    out: bytes
    err: bytes


class Warm:
    """The process that has everything loaded, and its forks. It ends with the process that made it.

    Args:
        product: False leaves archive_tasks to be loaded by each command, e.g. after its clock was changed.
    """

    def __init__(self, *, product: bool) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "tests.support.warm", str(theirs.fileno()), *(["product"] if product else [])]
        self._variables = _read_at_start(os.environ)
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        theirs.close()
        self._socket = ours
        self._owner = _who()

    def can_run(self, environment: dict[str, str]) -> bool:
        """Would a fork be as a process that this one starts?"""
        return self._owner == _who() and self._variables == _read_at_start(environment)

    def close(self) -> None:
        """No more commands: the process ends by itself."""
        self._socket.close()
        self._process.wait(60)

    def run(
        self, module: str, *arguments: str, cwd: str, environment: dict[str, str], stdin: bytes, timeout: float
    ) -> Ended:
        """As `python -m module arguments`. Raises TimeoutError, after it was killed."""
        order = {"argv": [module, *arguments], "cwd": cwd, "environment": environment, "umask": _umask()}
        with _file(json.dumps(order).encode()) as message, _file(stdin) as given, _file() as out, _file() as err:
            answer, theirs = socket.socketpair()
            with theirs:
                handles = [one.fileno() for one in (message, given, out, err, theirs)]
                socket.send_fds(self._socket, [b"."], handles)
            code = _wait(answer, timeout)
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read())


@contextmanager
def _file(contents: bytes = b"") -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as made:
        made.write(contents)
        made.seek(0)
        yield made


def _wait(answer: socket.socket, timeout: float) -> int:
    with answer, answer.makefile("r") as lines:
        pid = int(lines.readline())
        answer.settimeout(timeout)
        try:
            return int(lines.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise


def _read_at_start(environment: Any) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(AT_START) and name != "PYTHONPATH"}


def _who() -> tuple[int, ...]:
    limits = [resource.getrlimit(kind) for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_AS)]
    return (os.getpid(), os.geteuid(), os.getegid(), *(number for limit in limits for number in limit))


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# -- in the process that is forked ------------------------------------------------------------------------


def _load(*, product: bool) -> None:
    for name in LIBRARIES:
        with suppress(ImportError):  # a name of another Python's
            importlib.import_module(name)
    if product:
        package = importlib.import_module("archive_tasks")
        for found in pkgutil.walk_packages(package.__path__, "archive_tasks."):
            importlib.import_module(found.name)


def serve(handle: int, *, product: bool) -> None:
    """Fork for each order; returns in the fork alone, ready to be the command, and ends when nobody orders any more."""
    orders = socket.socket(fileno=handle)
    _load(product=product)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        told, handles, _, _ = socket.recv_fds(orders, 1, 5)
        if not told:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if _watched(handles[4]):
                _become(*handles)
                return
        for one in handles:
            os.close(one)


def _watched(answer: int) -> bool:
    """Fork once more: this process waits for the other, and says how it ended. True in the other."""
    child = os.fork()
    if not child:
        return True
    os.write(answer, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(message: int, stdin: int, out: int, err: int, answer: int) -> None:
    with os.fdopen(message, "rb") as file:
        order = json.load(file)
    os.close(answer)
    for number, handle in enumerate((stdin, out, err)):
        os.dup2(handle, number)
        os.close(handle)
    os.umask(order["umask"])
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])
    sys.argv = order["argv"]
    above = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:] = [order["cwd"], *above, *(one for one in sys.path[1:] if one not in above)]
    for folder in above:
        if os.path.exists(custom := os.path.join(folder, "sitecustomize.py")):
            runpy.run_path(custom)


if __name__ == "__main__":
    serve(int(sys.argv[1]), product=sys.argv[2:] == ["product"])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
