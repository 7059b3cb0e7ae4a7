"""What makes a function a task of ours: errors become one line and an exit code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import Task, task

from archive_tasks.errors import ArchiveTasksError


class ArchiveTask(Task):  # type: ignore[type-arg]  # Invoke 2.2's Task is not generic at run time
    """A task whose errors are shown as one line; with Invoke's own `--debug`, with their traceback."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ArchiveTasksError as error:
            if _is_debugging():
                raise
            raise Exit(_line(error), code=error.exit_code) from error
        except OSError as error:
            if _is_debugging():
                raise
            raise Exit(_line(error), code=1) from error
        except KeyboardInterrupt:
            raise Exit("stopped; what is archived is safe, run the same again to go on", code=1) from None


def archive_task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`@task` with our class, and without short flags: made up by Invoke, they change when a flag is added."""
    decorate: Callable[[Callable[..., Any]], Any] = task(klass=ArchiveTask, auto_shortflags=False, **options)
    return decorate


def _line(error: Exception) -> str:
    return "error: " + " ".join(str(error).splitlines())


def _is_debugging() -> bool:
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
