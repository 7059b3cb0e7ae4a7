"""The tasks of archive_tasks, as `invoke` finds them in this checkout."""

from archive_tasks.tasks import ns

__all__ = ["ns"]
