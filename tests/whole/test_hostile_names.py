"""Any name, however it is spelt and however deep it lies, is archived, found and restored, and harms no terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.find import find
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.disk.destination import Destination
from archive_tasks.model import Attributes
from archive_tasks.settings import make_settings
from archive_tasks.testing.trees import File, Link, make_tree, read_tree
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.hostile import SINGLE_BYTES, generated, make_chain, read_chain, remove_chain
from tests.support.restoring import bring_back, comparable
from tests.support.servers import S3Server


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def folder_store(bench: Bench) -> FolderStore:
    return FolderStore(bench.target.as_uri(), make_settings({"part_size": "5M"}, {}, {}))


def files(names: list[str]) -> dict[str, File]:
    """Each file says its own name."""
    return {name: File(os.fsencode(name), age_days=400) for name in names}


def came_back(bench: Bench, store: Any, out: Path) -> bool:
    """A device that knows nothing finds and restores all of it."""
    restored = bring_back(store, out.parent / "other" / "catalogue.sqlite", out)
    return not restored.failed and comparable(read_tree(out)) == comparable(read_tree(bench.root))


@pytest.mark.parametrize("pack_below", [0, 1024])
def test_every_byte_that_a_name_may_be_is_one(bench: Bench, tmp_path: Path, pack_below: int) -> None:
    assert len(SINGLE_BYTES) == 253
    links = {f"to {number}": Link(name, age_days=400) for number, name in enumerate(SINGLE_BYTES)}
    folders = {name: files([name]) for name in SINGLE_BYTES}
    make_tree(bench.root, {"files": files(SINGLE_BYTES), "links": links, "folders": folders}, now=NOW)
    assert not bench.run(pack_below=pack_below).failed
    assert came_back(bench, folder_store(bench), tmp_path / "out")


def test_every_byte_is_the_name_of_an_item(bench: Bench, tmp_path: Path) -> None:
    make_tree(bench.root, files(SINGLE_BYTES), now=NOW)
    assert len(bench.run().archives) == 253
    assert came_back(bench, folder_store(bench), tmp_path / "out")


@pytest.mark.parametrize("pack_below", [0, 1024])
def test_two_thousand_names_come_back_and_are_found(bench: Bench, tmp_path: Path, pack_below: int) -> None:
    names = generated(2_000, seed=pack_below)
    make_tree(bench.root, {"item": {"sub": files(names)}}, now=NOW)
    outcome = bench.run(pack_below=pack_below, plugins_off=["program_locks"])  # some are named as a program's lock is
    assert [archive.item for archive in outcome.archives] == ["item"]
    assert came_back(bench, folder_store(bench), tmp_path / "out")
    with Catalogue(str(bench.catalogue)) as catalogue:
        found, _ = find([catalogue], "sub", most=3_000)
        assert {one.path for one in found} == {"item/sub", *(f"item/sub/{name}" for name in names)}
        searchable = [name for name in names if not name.isspace() and not set(name) & set("*?[]")]
        for name in searchable[:: len(searchable) // 50]:
            hits, _ = find([catalogue], name, most=3_000)
            assert f"item/sub/{name}" in {one.path for one in hits}, name


@pytest.mark.parametrize("server", ["moto_s3", "rclone_s3"])
def test_names_come_back_from_servers(
    bench: Bench, tmp_path: Path, store_at: Callable[..., S3Store], request: pytest.FixtureRequest, server: str
) -> None:
    s3: S3Server = request.getfixturevalue(server)
    store = store_at(s3)
    names = [name for name in generated(150, seed=3) if not name.startswith(".")]
    make_tree(
        bench.root, {"item": files(SINGLE_BYTES[::2]), **files(names[20:40]), "more": {"sub": files(names)}}, now=NOW
    )
    assert not bench.run(wrap=lambda _store: store, pack_below=0).failed
    assert came_back(bench, store, tmp_path / "out")


@pytest.fixture
def removed(root: Path, tmp_path: Path) -> Iterator[None]:
    """What is deeper than a path can say is beyond who cleans up after tests."""
    yield
    for top in (root / "item", tmp_path / "out" / "item", tmp_path / "alone" / "item"):
        remove_chain(top, name=DEEP)


DEEP = "d" * 20


@pytest.mark.usefixtures("removed")
@pytest.mark.parametrize("depth", [500, 1_500])
def test_folders_deeper_than_a_path_can_say_come_back(bench: Bench, tmp_path: Path, depth: int) -> None:
    make_tree(bench.root, {"item": {}}, now=NOW)
    make_chain(bench.root / "item", depth, name=DEEP)
    outcome = bench.run()
    assert not outcome.failed
    assert outcome.archives[0].files == depth
    restored = bring_back(folder_store(bench), bench.catalogue, tmp_path / "out")
    assert (restored.failed, restored.files) == ([], depth)
    deepest = f"item/{'/'.join([DEEP] * depth)}/file"
    with Destination(str(tmp_path / "alone")) as destination:
        destination.make_folder(deepest.rpartition("/")[0])
        destination.put_file(deepest, b"", Attributes(mode=0o600, mtime_ns=0))
    assert list(read_chain(tmp_path / "out" / "item", name=DEEP)) == [b"%d" % level for level in range(depth)]


# -- what is shown ------------------------------------------------------------------------------------


def test_no_command_says_a_raw_control_byte_whatever_the_names(cli: CommandLine, root: Path) -> None:
    names = [*generated(60, seed=5), *SINGLE_BYTES[:40]]
    tree = {
        **{name: files([name]) for name in names if not name.startswith(".")},
        "item": files(generated(150, seed=6)),
    }
    make_tree(root, tree, now=None)
    (root / "kept\x1b[2J\n").mkdir()
    (root / "kept\x1b[2J\n" / "new\x9b\u202e").write_text("fresh")
    os.mkfifo(root / "item\r2")
    target, back = (cli.project / "target").as_uri(), cli.project / "back"
    where = ("--root", str(root), "--target", target)
    commands: list[tuple[str, ...]] = [
        ("scan", "--root", str(root)),
        ("archive", *where, "--yes"),
        ("report",),
        ("find", "a", "--target", target),
        ("restore", "--all", "--target", target, "--to", str(back), "--dry-run"),
        ("restore", "--all", "--target", target, "--to", str(back)),
        ("restore", "item", "--target", target, "--to", str(back)),
        ("verify", "--target", target),
    ]
    for command in commands:
        for more in ((), ("--json",)):
            ran = cli.run(*command, *more)
            assert "Traceback" not in ran.err, command
            assert ran.code in {0, 3}, (command, ran.err)
            raw = {character for character in ran.out + ran.err if not character.isprintable()} - {"\n"}
            assert not raw, (command, more, raw)
            if more:
                json.loads(ran.out)
    kept = comparable(
        {path: entry for path, entry in read_tree(root).items() if not path.startswith(("kept", "item\r2"))}
    )
    assert comparable(read_tree(back)) == kept
