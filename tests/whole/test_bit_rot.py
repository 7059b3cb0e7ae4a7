"""One flipped bit, anywhere in a target: it is found and named, and no wrong byte is ever restored."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.find import find
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import CatalogueError, ManifestError, StoreUnusable
from archive_tasks.flows.verify import promises
from archive_tasks.formats.frames import Span, WantedFile
from archive_tasks.formats.manifest import read_manifest
from archive_tasks.model import Attributes
from archive_tasks.restore.select import RestoreRequest, select
from archive_tasks.restore.selection import wanted_entries
from archive_tasks.restore.unpack import UnpackOrder, unpack
from archive_tasks.settings import make_settings
from archive_tasks.target.open import check_vault
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.testing.trees import File, make_tree, read_tree
from archive_tasks.upkeep.verified import VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench
from tests.support.foreign import exact, manifest_lines
from tests.support.restoring import comparable
from tests.support.rot import flipped, positions

NO_WAITING = Patience(pace=Pace(concurrency=2, memory=64 * 1024 * 1024), seconds=0)


def text(name: str, size: int) -> bytes:
    """Contents that follow from the name, and do not compress."""
    pieces = (hashlib.sha256(f"{name} {number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(pieces)[:size]


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    """Two items in a folder target: `item` has a pack and an object of its own, `note` is an object."""
    made = Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")
    small = {f"f{number}": File(text(f"f{number}", 90), age_days=400) for number in range(9)}
    tree = {"item": {**small, "large": File(text("large", 700), age_days=400)}, "note": File("note", age_days=400)}
    make_tree(root, tree, now=NOW)
    made.run(pack_below=500)
    for path in made.target.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return made


def store_of(bench: Bench) -> FolderStore:
    return FolderStore(bench.target.as_uri(), make_settings({}, {}, {}))


def object_of(bench: Bench, ending: str) -> Path:
    (key,) = [key for key in bench.listed() if key.endswith(ending)]
    return bench.target / key


def manifest_of(bench: Bench, item: str) -> Path:
    return bench.target / bench.items()[item]


class Rotting:
    """A file that has one bit flipped at a time, and is whole again afterwards."""

    def __init__(self, path: Path, flips: int) -> None:
        self.path = path
        self._flips = flips

    def __iter__(self) -> Iterator[int]:
        whole = self.path.read_bytes()
        for position in positions(len(whole) * 8, self._flips):
            self.path.write_bytes(flipped(whole, position))
            yield position
        self.path.write_bytes(whole)


def damaged(bench: Bench, **known: Any) -> list[str]:
    store = store_of(bench)
    ask = VerifyOptions(trusted=False, read=1.0)
    return [one.item for one in verify(store, ask, patience=NO_WAITING, concurrency=1, **known).damaged]


def test_whatever_bit_of_a_plain_object_is_flipped_its_file_is_named(bench: Bench) -> None:
    for position in Rotting(object_of(bench, "/files/large"), 800):
        assert damaged(bench) == ["item/large"], position


def test_whatever_bit_of_a_pack_is_flipped_it_is_named_or_the_files_that_are_harmed(bench: Bench) -> None:
    pack = object_of(bench, "00001.tar.zst")
    files = {f"item/f{number}" for number in range(9)}
    for position in Rotting(pack, 1_200):
        named = damaged(bench)
        assert named, position
        assert set(named) <= files | {str(pack.relative_to(bench.target))}, position


def test_no_bit_of_a_pack_lets_another_byte_be_restored(bench: Bench, tmp_path: Path) -> None:
    """Each file of its one frame is written whole, or said to be damaged; of a file's object the same."""
    pack, large = object_of(bench, "00001.tar.zst"), object_of(bench, "/files/large")
    lines = [one for one in manifest_lines(manifest_of(bench, "item").read_bytes()) if one.get("type") == "file"]
    wanted = {True: [], False: []}  # type: dict[bool, list[WantedFile]]
    for one in lines:
        attributes = Attributes(mode=0o644, mtime_ns=0)
        wanted["within" in one].append(
            WantedFile(exact(one, "path"), one["size"], one["sha256"], one.get("within"), attributes)
        )
    make_tree(tmp_path / "out", {"item": {}})
    frame = next(one["length"] for one in lines if "within" in one)
    harmed = _harmful_flips(pack.read_bytes()[:frame], wanted[True], bench.root, tmp_path / "out", 3_000)
    contents = sum(one.size for one in wanted[True])
    assert harmed > 3_000 * contents / frame * 0.95, "it does not compress: each of its bytes is one of the frame's"
    assert _harmful_flips(large.read_bytes(), wanted[False], bench.root, tmp_path / "out", 1_000) == 1_000


def _harmful_flips(data: bytes, files: list[WantedFile], root: Path, out: Path, flips: int) -> int:
    """How many flips harm a file; what is written in spite of one is as it was, and the rest is said to be damaged."""
    harmed = 0
    for position in positions(len(data) * 8, flips):
        order = UnpackOrder(str(out), "overwrite", flipped(data, position), [Span(0, len(data), files)])
        results = unpack(order)
        harmed += any(one.problem for one in results)
        assert [one.wanted for one in results] == [one.path for one in files], position
        for one in results:
            assert one.damaged == bool(one.problem), position
            assert one.problem or (out / one.written).read_bytes() == (root / one.wanted).read_bytes(), position
    return harmed


def test_whatever_bit_of_a_manifest_is_flipped_the_device_that_wrote_it_notices(bench: Bench) -> None:
    manifest = manifest_of(bench, "item")
    key = str(manifest.relative_to(bench.target))
    with Catalogue(str(bench.catalogue)) as catalogue:
        promised = {key: promises(catalogue)[key]}
        for position in Rotting(manifest, 1_000):
            assert damaged(bench, promised=promised) == [key], position


def test_a_manifest_with_a_flipped_bit_is_refused_or_says_what_it_said(bench: Bench) -> None:
    """Some bits of a compressed frame mean nothing; whatever is read is what was written."""
    manifest = manifest_of(bench, "item").read_bytes()
    said = list(read_manifest(manifest))
    harmless = 0
    flips = min(2_000, len(manifest) * 8)
    for position in positions(len(manifest) * 8, flips):
        try:
            assert list(read_manifest(flipped(manifest, position))) == said, position
            harmless += 1
        except ManifestError:
            pass
    assert harmless < flips / 100


def test_whatever_bit_of_the_targets_id_is_flipped_it_is_taken_for_no_other_target(bench: Bench) -> None:
    with Catalogue(str(bench.catalogue)) as catalogue:
        known = catalogue.fact("vault")
    refused = 0
    vault = bench.target / "vault.json"
    for position in Rotting(vault, vault.stat().st_size * 8):
        try:
            check_vault(store_of(bench), known)
        except StoreUnusable:
            refused += 1
        else:
            assert json.loads(vault.read_bytes())["id"] == known, position
    assert refused > 32 * 8, "each bit of the id itself, and those that make it no JSON"


# -- the catalogue ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Local:
    """A catalogue that was read from a target, and what a restore by it would write."""

    bench: Bench
    path: Path

    def __post_init__(self) -> None:
        self.restored()

    def restored(self) -> list[tuple[str, str, str]]:
        """(archive, destination, line of the manifest) of everything that a restore would bring back."""
        store = store_of(self.bench)
        with Catalogue(str(self.path), target=store.url) as catalogue:
            sync(store, catalogue, patience=NO_WAITING, now=NOW, concurrency=1)
            archives = [known.archive for known in catalogue.archives()]
            roots = frozenset(archive.root for archive in archives)
            selections = select(RestoreRequest(patterns=("*",), roots=roots), archives).selections
            return sorted(
                (one.archive.id, os.path.join(one.destination, place), json.dumps(record))
                for one in selections
                for place, record in wanted_entries(one, catalogue)
            )

    def found(self) -> list[tuple[str, int]]:
        with Catalogue(str(self.path)) as catalogue:
            return [(one.path, one.length) for one in find([catalogue], "item", most=100)[0]]

    def write(self, data: bytes) -> None:
        self.path.write_bytes(data)
        for side in ("-wal", "-shm"):
            Path(f"{self.path}{side}").unlink(missing_ok=True)


@pytest.fixture
def local(bench: Bench, tmp_path: Path) -> Local:
    """Of a target with two archives of `item`: the older must never be taken for the newer."""
    make_tree(bench.root, {"item": {"f1": File(text("newer", 80), age_days=300)}}, now=NOW)
    bench.run(pack_below=500, now=NOW + timedelta(days=1))
    return Local(bench, tmp_path / "local" / "catalogue.sqlite")


def test_no_bit_of_the_catalogue_leads_a_restore_astray(local: Local) -> None:
    whole = local.path.read_bytes()
    expected, listed = local.restored(), local.found()
    written = [8 * place + bit for place, byte in enumerate(whole) if byte for bit in range(8)]
    said: set[str] = set()
    refused = 0
    for index in positions(len(written), 1_000):
        local.write(flipped(whole, written[index]))
        try:
            assert set(local.found()) <= set(listed), written[index]
            assert local.restored() == expected, written[index]
        except (CatalogueError, ManifestError, StoreUnusable) as error:
            refused += 1
            said.add(str(error))
    assert refused > 100, "most of what is written is names and lines"
    assert [line for line in said if "\n" in line or not _tells_what_to_do(line)] == []


def _tells_what_to_do(line: str) -> bool:
    told = ("catalogue --rebuild", "can be moved away", "upgrade this one", "is not the one it was before")
    return any(words in line for words in told)


@pytest.mark.parametrize("how", ["a row", "cut short", "no database", "empty"])
def test_a_damaged_catalogue_is_told_in_one_line_and_is_built_anew(cli: CommandLine, root: Path, how: str) -> None:
    make_tree(root, {"thesis": {"a": File("text of a", age_days=90), "b": File("b", age_days=90)}})
    target = (cli.project / "target").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", target, "--yes").code == 0
    (path,) = Path(os.environ["XDG_DATA_HOME"]).rglob("*.sqlite")
    _damage(path, how)
    back = cli.project / "back"
    restore = ("restore", "thesis", "--target", target, "--to", str(back))
    ran = cli.run(*restore)
    if how != "empty":  # which is a new one, and read from the target as such
        assert (ran.code, len(ran.err.splitlines())) == (1, 1), ran.err
        assert f"build it again with catalogue --rebuild --target {target}" in ran.err
        assert not back.exists()
        ran = cli.run("archive", "--root", str(root), "--target", target, "--yes")
        assert (ran.code, "Traceback" in ran.err) == (1, False)
    ran = cli.run("catalogue", "--rebuild", "--target", target)
    assert (ran.code, "1 archive (2 files" in ran.out) == (0, True), ran.err
    assert f"{path}.damaged" in ran.err or how == "empty"
    back.exists() or cli.run(*restore)
    assert comparable(read_tree(back / "thesis")) == comparable(read_tree(root / "thesis"))


def _damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "a row":
        data = data.replace(b"thesis", b"tHesis")
    damaged = {
        "cut short": data[: len(data) // 2],
        "no database": b"some other file, of a fair length\n" * 99,
        "empty": b"",
    }
    path.write_bytes(damaged.get(how, data))


def test_an_archive_whose_manifest_cannot_be_read_is_not_restored_as_nothing(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"a": File("a", age_days=90)}, "note": File("n", age_days=90)})
    target = cli.project / "target"
    assert cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes").code == 0
    manifest = next(target.glob("manifests/**/thesis~*"))
    manifest.chmod(0o600)
    manifest.write_bytes(manifest.read_bytes()[:-1])
    assert cli.run("catalogue", "--rebuild", "--target", target.as_uri()).code == 3
    ran = cli.run("restore", "--all", "--target", target.as_uri(), "--to", str(cli.project / "back"))
    assert ran.code == 3, ran.err
    assert "thesis: what is in it is not known here" in ran.out
    assert (cli.project / "back" / "note").read_text() == "n"
