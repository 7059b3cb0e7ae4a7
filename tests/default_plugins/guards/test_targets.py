from __future__ import annotations

from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW, CommandLine
from tests.support.guards import reasons as ask_guard

OLD = File("x", age_days=400)
TARGET = {"vault.json": OLD, "manifests": {"h": OLD}, "data": {"h": OLD}}


@pytest.mark.parametrize(("spec", "path"), [(TARGET, "item"), ({"deep": {"nas": TARGET}}, "item/deep/nas")])
def test_an_item_that_is_or_holds_a_target_is_kept(root: Path, spec: object, path: str) -> None:
    make_tree(root, {"item": spec}, now=NOW)
    (reason,) = ask_guard(root, "item", "targets")
    assert reason.startswith(f"{path} is a target of archive_tasks")


@pytest.mark.parametrize("lacking", ["vault.json", "manifests"])
def test_a_folder_that_only_has_a_name_in_common_with_a_target_is_not_kept(root: Path, lacking: str) -> None:
    make_tree(root, {"item": {name: one for name, one in TARGET.items() if name != lacking}}, now=NOW)
    assert ask_guard(root, "item", "targets") == []


def test_a_target_is_no_root(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}})
    target = cli.project / "target"
    assert cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes").code == 0
    for command in (("scan",), ("archive", "--yes"), ("clean", "--yes", "--mode", "delete")):
        other = () if command[0] == "scan" else ("--target", (cli.project / "other").as_uri())
        ran = cli.run(*command, "--root", str(target), "--days", "0", *other)
        assert ran.code == 2, ran.err
    assert (target / "vault.json").exists()
