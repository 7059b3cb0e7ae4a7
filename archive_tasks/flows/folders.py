"""Where things are on this machine: the data, the configuration, and the plugins beside the tasks.py in use."""

from __future__ import annotations

import os
from typing import Any

import platformdirs


def data_folder() -> str:
    """Where catalogues and the default target live: the user's data directory of this system."""
    return platformdirs.user_data_dir("archive_tasks", appauthor=False)


def config_folder() -> str:
    """Where `archive-tasks`, the program, has its invoke.yaml and plugins."""
    return platformdirs.user_config_dir("archive_tasks", appauthor=False)


def project_folder(c: Any) -> str | None:
    """The folder of the tasks.py in use, as Invoke found it; None for a caller that has none."""
    prefix = getattr(c.config, "_project_prefix", None)
    return os.path.dirname(prefix) if prefix else None


def plugins_folder(c: Any) -> str | None:
    """The drop-in folder: `plugins` next to the tasks.py in use, never next to the current folder or the root."""
    project = project_folder(c)
    return os.path.join(project, "plugins") if project else None
