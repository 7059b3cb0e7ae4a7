"""What makes a function a task of ours: errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from archive_tasks.errors import ArchiveTasksError, Interrupted
from archive_tasks.names import display


class _NameOrAll(Argument):
    """A positional argument that is not asked for when the flag `all` is given: Invoke has required ones only."""

    all_flag: Argument | None = None

    @property
    def value(self) -> Any:
        """What was given; None, which Invoke takes for missing, unless `--all` stands for it."""
        if self._value is None and self.all_flag is not None and self.all_flag.value:
            return ""
        return self._value

    @value.setter
    def value(self, given: Any) -> None:
        self.set_value(given, cast=True)


class ArchiveTask(Task):  # type: ignore[type-arg]  # Invoke 2.2's Task is not generic at run time
    """A task whose errors are shown as one line; with Invoke's own `--debug`, with their traceback.

    Args:
        name_or_all: name of an argument that is positional, and not asked for when `--all` is given.
    """

    def __init__(self, *args: Any, name_or_all: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name_or_all = name_or_all

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The arguments of the function, as Invoke's parser takes them."""
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            if argument.name == self.name_or_all:
                argument.__class__ = _NameOrAll
                argument.positional = True
                argument.all_flag = next(one for one in arguments if one.name == "all")  # type: ignore[attr-defined]
        return arguments

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _fill_standard_streams()
        try:
            return super().__call__(*args, **kwargs)
        except Interrupted as error:
            raise Exit(str(error), code=error.exit_code) from error
        except ArchiveTasksError as error:
            if _is_debugging():
                raise
            raise Exit(_line(error), code=error.exit_code) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # who read us has enough: `| head`
            raise Exit("", code=1) from None
        except OSError as error:
            if _is_debugging():
                raise
            raise Exit(_system_line(error), code=1) from error
        except KeyboardInterrupt:
            raise Exit("\nstopped. What is archived is safe; run the same command again to resume", code=1) from None


def archive_task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` with our class, and without short flags: made up by Invoke, they change when a flag is added."""
    decorate: Callable[[Callable[..., Any]], Any] = task(klass=ArchiveTask, auto_shortflags=False, **options)
    return decorate


def _fill_standard_streams() -> None:
    """Open what was closed when the program started (`>&-`), as nothing.

    Because the next file that is opened would get its number: a library's message to stderr would be written into an
    object, or into a file that is restored.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives the lowest number that is free


def _line(error: Exception) -> str:
    return "error: " + " ".join(str(error).splitlines())


def _system_line(error: OSError) -> str:
    where = f" at {display(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
    return f"error: the system refused{where}: {(error.strerror or str(error)).lower()}"


def _is_debugging() -> bool:
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
