"""For tests of plugins and stores: trees from dicts, the contract of a store, a store that fails now and then."""

from __future__ import annotations

from archive_tasks.testing.trees import File, make_tree

__all__ = ["File", "make_tree"]
