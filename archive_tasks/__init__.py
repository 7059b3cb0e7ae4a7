"""Find what is stale in a folder and archive it, item by item, from Invoke.

```python
from invoke import Collection, task
from archive_tasks import ns as archive

ns = Collection(dump_db, archive)  # invoke dump-db archive archive.report
```

Importing this package loads neither Invoke, boto3 nor rich; `ns` loads Invoke when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive_tasks import errors
from archive_tasks.hookspecs import hookimpl

if TYPE_CHECKING:
    from archive_tasks.tasks import collection, ns

__all__ = ["collection", "errors", "hookimpl", "ns"]


def __getattr__(name: str) -> Any:
    if name in {"ns", "collection"}:
        from archive_tasks import tasks

        return getattr(tasks, name)
    if name == "model":
        import importlib

        return importlib.import_module("archive_tasks.model")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
