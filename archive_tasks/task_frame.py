"""What makes a function a task of ours: errors become one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import Task, task

from archive_tasks.errors import ArchiveTasksError, Interrupted
from archive_tasks.names import display


class ArchiveTask(Task):  # type: ignore[type-arg]  # Invoke 2.2's Task is not generic at run time
    """A task whose errors are shown as one line; with Invoke's own `--debug`, with their traceback."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
            raise Exit("\nstopped. What is archived is safe; run the same again to go on", code=1) from None


def archive_task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` with our class, and without short flags: made up by Invoke, they change when a flag is added."""
    decorate: Callable[[Callable[..., Any]], Any] = task(klass=ArchiveTask, auto_shortflags=False, **options)
    return decorate


def _line(error: Exception) -> str:
    return "error: " + " ".join(str(error).splitlines())


def _system_line(error: OSError) -> str:
    where = f" at {display(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
    return f"error: the system refused{where}: {(error.strerror or str(error)).lower()}"


def _is_debugging() -> bool:
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
