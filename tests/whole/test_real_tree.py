"""A tree that no test made: a copy of this Python's own library, with ages set, archived and read back."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

from archive_tasks.testing.trees import read_tree
from tests.conftest import NOW
from tests.support.bench import Bench, without_times_of_reading
from tests.support.foreign import folder_fetch, restore_by_hand

PARTS = ("json", "email", "asyncio", "importlib", "xml", "encodings", "unittest", "wsgiref")


def test_pythons_library_comes_back_whole(root: Path, tmp_path: Path, make_session: Any) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    for name in PARTS:
        shutil.copytree(library / name, root / name, symlinks=True)
    for path in sorted(library.glob("*.py"))[:60]:
        shutil.copy(path, root / path.name)
    stale = int(NOW.timestamp() - 200 * 86_400) * 10**9
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(stale - number * 10**9, stale - number * 10**9), follow_symlinks=False)
    fresh = stale + 190 * 86_400 * 10**9
    os.utime(next((root / "email").rglob("*.py")), ns=(fresh, fresh))
    before = read_tree(root)

    bench = Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")
    outcome = bench.run()

    assert not outcome.failed
    items = bench.items()
    assert set(items) == {path.name for path in root.iterdir()} - {"email"}
    for key in items.values():
        restore_by_hand((bench.target / key).read_bytes(), folder_fetch(bench.target), tmp_path / "restored")
    archived = {path: entry for path, entry in before.items() if path.split("/")[0] != "email"}
    assert len(archived) > 300
    assert without_times_of_reading(read_tree(tmp_path / "restored")) == without_times_of_reading(archived)
    assert read_tree(root) == before
