"""Whatever bytes a parser is given, it answers or says what is wrong, in an error of ours, and in little memory.

`FUZZ_EXAMPLES` in the environment multiplies the examples of every test here.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archive_tasks.amounts import dollars_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.find import find
from archive_tasks.errors import ArchiveTasksError, ManifestError, SettingsError, StoreUnusable, UsageError
from archive_tasks.formats import layout
from archive_tasks.formats.entry import entry_of
from archive_tasks.formats.frames import Span, WantedFile, unpack_frame
from archive_tasks.formats.manifest import Block, ManifestWriter, read_manifest
from archive_tasks.items.recently_restored import note_restored, restored_in
from archive_tasks.model import Attributes
from archive_tasks.restore.patterns import PathPattern
from archive_tasks.restore.plan import restore_plan, wanted_objects
from archive_tasks.restore.select import RestoreRequest, select
from archive_tasks.restore.unpack import UnpackOrder, unpack
from archive_tasks.settings import make_settings
from archive_tasks.show import find as report_finding
from archive_tasks.target import prices
from archive_tasks.target.open import check_vault
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.refresh import sync
from archive_tasks.testing.stores import MemoryStore, put
from archive_tasks.testing.trees import make_tree, read_tree
from archive_tasks.upkeep.verified import VerifyOptions
from archive_tasks.upkeep.verify import verify
from tests.conftest import NOW
from tests.restoring import bring_back
from tests.rot import flipped
from tests.test_restore_attacks import EVIL, ID, PREFIX, pack_of, packed, plain

try:
    from compression import zstd
except ImportError:
    from backports import zstd

MIB = 1024 * 1024
KEY = f"manifests/laptop/Documents/2026-06-01/item~{ID}.jsonl.zst"
PATIENCE = Patience(pace=Pace(concurrency=2, memory=64 * MIB), seconds=0)


def many(examples: int) -> Any:
    """So many examples, or a multiple of that."""
    times = float(os.environ.get("FUZZ_EXAMPLES", "1"))
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=max(1, int(examples * times)), suppress_health_check=checks)


TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["\ud800", "a\0b", "..", "9" * 5000, "1e999", "-1", "0o7"]
)
NUMBERS = st.integers() | st.sampled_from([-1, 0, 1 << 31, 1 << 32, 1 << 62, 1 << 63, 1 << 64, 10**400]) | st.floats()
PLAIN = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    PLAIN, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3), max_leaves=6
)
HEADER: dict[str, Any] = {
    "id": ID,
    "item": "item",
    "kind": "folder",
    "scope": "laptop/Documents",
    "host": "laptop",
    "root": "/r",
    "created": NOW.isoformat(),
    "files": 1,
    "folders": 1,
    "bytes": 4,
    "data": PREFIX,
}
FIELDS = (
    *(
        "path",
        "path_bytes",
        "type",
        "mode",
        "mtime_ns",
        "uid",
        "gid",
        "user",
        "group",
        "size",
        "sha256",
        "key",
        "offset",
    ),
    *("length", "within", "hardlink", "sparse", "target", "target_bytes", "xattrs", "parts", "part_size", "object"),
)


def changed(known: Any, fields: tuple[str, ...]) -> Any:
    """A known record with some fields set to anything, or taken away."""
    changes = st.dictionaries(st.sampled_from(fields), JSON, max_size=3)
    gone = st.sets(st.sampled_from(fields), max_size=1)
    return st.builds(
        lambda record, new, missing: {name: value for name, value in (record | new).items() if name not in missing},
        known,
        changes,
        gone,
    )


LINES = changed(
    st.sampled_from(
        [
            plain("item/a"),
            packed("item/b"),
            {**plain("item/l"), "type": "link", "target": "a"},
            {**plain("item/f"), "type": "folder"},
            {**plain("item/h"), "hardlink": "item/a"},
            {"object": f"{PREFIX}packs/00001.tar.zst", "size": 100, "sha256": "0" * 64},
        ]
    ),
    FIELDS,
)
HEADERS = changed(st.just(HEADER), (*HEADER, "item_bytes", "root_bytes", "format", "archive_tasks"))


def manifest_of(header: dict[str, Any], lines: list[dict[str, Any]]) -> bytes:
    blocks: list[Block] = []
    writer = ManifestWriter(header, blocks.append)
    for line in lines:
        writer.add(line)
    writer.finish()
    return b"".join(block.frame for block in blocks)


def our_error_or(call: Callable[[], Any], *kinds: type[Exception]) -> Any:
    """What the call returns; None when it raises an error of the kinds. Any other is the test's failure."""
    with contextlib.suppress(*(kinds or (ArchiveTasksError,))):
        return call()
    return None


# -- manifests ----------------------------------------------------------------------------------------


@many(400)
@given(st.binary(max_size=400), st.booleans())
@example(b"[" * 100_000, True)
@example(b'{"archive_tasks": "manifest", "format": 1e999}\n', True)
@example(b'{"archive_tasks": "manifest", "format": 2, "x": ' + b"9" * 5000 + b"}\n", True)
def test_any_bytes_are_a_manifest_or_a_manifest_error(data: bytes, is_packed: bool) -> None:
    our_error_or(lambda: list(read_manifest(zstd.compress(data) if is_packed else data)), ManifestError)


@many(600)
@given(st.data())
def test_a_manifest_that_was_changed_is_refused_or_says_what_it_said(data: st.DataObject) -> None:
    whole = manifest_of(HEADER, [plain(f"item/{number}") for number in range(9)])
    how = data.draw(st.sampled_from(["flip", "cut", "insert", "twice", "swap"]))
    one, other = sorted(data.draw(st.tuples(*[st.integers(0, len(whole) - 1)] * 2)))
    rotten = {
        "flip": flipped(whole, one * 8 + other % 8),
        "cut": whole[:one] + whole[other:],
        "insert": whole[:one] + data.draw(st.binary(max_size=20)) + whole[one:],
        "twice": whole[:other] + whole[one:],
        "swap": whole[other:] + whole[:other],
    }[how]
    read = our_error_or(lambda: list(read_manifest(rotten)), ManifestError)
    assert read is None or read == list(read_manifest(whole))


@many(500)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | LINES)
def test_any_line_is_an_entry_or_a_manifest_error(record: dict[str, Any]) -> None:
    entry = our_error_or(lambda: entry_of(json.loads(json.dumps(record))), ManifestError)
    if entry is not None:
        os.fsencode(entry.path + entry.target + entry.hardlink)
        assert 0 <= entry.size < 1 << 63
        assert all(-1 <= number < 1 << 32 for number in (entry.attributes.uid, entry.attributes.gid))


@many(250)
@given(header=st.just(HEADER) | HEADERS, lines=st.lists(LINES, max_size=4))
@example(header=HEADER | {"created": "0001-01-01T00:00:00+10:00"}, lines=[])
@example(header=HEADER | {"files": 1 << 70}, lines=[])
@example(header=HEADER | {"host": "\ud800"}, lines=[])
@example(header=HEADER, lines=[plain("item/a", xattrs={"user.\ud800": "", "a\0": ""}, user="a\0b", uid=1 << 40)])
@example(header=HEADER, lines=[plain("item/a", length="x", size="y", mtime_ns=True)])
@example(header=HEADER, lines=[plain("item/a", size=0, key=[])])
def test_a_forged_manifest_ends_in_no_error_but_ours_wherever_it_is_read(
    header: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    store = MemoryStore()
    put(store, f"{PREFIX}files/a", EVIL)
    put(store, f"{PREFIX}packs/00001.tar.zst", pack_of(EVIL))
    put(store, KEY, manifest_of(header, lines))
    our_error_or(lambda: verify(store, VerifyOptions(trusted=False, read=1.0), patience=PATIENCE, concurrency=1))
    our_error_or(lambda: verify(store, VerifyOptions(trusted=True), patience=PATIENCE, concurrency=1))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_tree(place, {"canary": "canary", "out": {}})
        our_error_or(lambda: _look(store, place / "c" / "catalogue"))
        before = read_tree(place / "c")
        our_error_or(lambda: bring_back(store, place / "c" / "catalogue", place / "out"))
        assert {path.partition("/")[0] for path in read_tree(place)} <= {"canary", "out", "c"}
        assert set(read_tree(place / "c")) == set(before)


def _look(store: Any, path: Path) -> None:
    with Catalogue(str(path), target=store.url) as catalogue:
        sync(store, catalogue, patience=PATIENCE, now=NOW, concurrency=1)
        found, _ = find([catalogue], "item", most=10)
        json.dumps(report_finding.find_document(found, more=False))
        assert all(cell.isprintable() for row in report_finding.find_rows(found) for cell in row)
        archives = [one.archive for one in catalogue.archives()]
        selections = select(RestoreRequest(patterns=("item", "*/a"), to="/x"), archives).selections
        restore_plan(selections, catalogue)
        wanted_objects(selections, catalogue)


# -- packs --------------------------------------------------------------------------------------------


@many(500)
@given(st.binary(max_size=300), st.booleans(), st.integers(0, 1000))
def test_any_bytes_are_a_frame_or_a_value_error(data: bytes, is_packed: bool, needed: int) -> None:
    contents = our_error_or(lambda: unpack_frame(zstd.compress(data) if is_packed else data, needed), ValueError)
    assert contents is None or len(contents) == needed
    assert not is_packed or contents == (data[:needed] if needed <= len(data) else None)


@many(300)
@given(data=st.binary(max_size=300), size=st.integers(0, 1 << 62), within=st.none() | st.integers(0, 1 << 62))
def test_no_file_is_written_from_bytes_that_are_not_its_own(data: bytes, size: int, within: int | None) -> None:
    wanted = WantedFile("a", size, "0" * 64, within, Attributes(mode=0o644, mtime_ns=0))
    with tempfile.TemporaryDirectory() as folder:
        (result,) = unpack(UnpackOrder(folder, "refuse", data, [Span(0, len(data), [wanted])]))
        assert (bool(result.problem), result.written, os.listdir(folder)) == (True, "", [])


BOMBS = """
import resource, sys
from archive_tasks.errors import ManifestError
from archive_tasks.manifest import read_manifest
from archive_tasks.pack import unpack_frame
try:
    from compression import zstd
except ImportError:
    from backports import zstd
kind = sys.argv[1]
made = zstd.ZstdCompressor()
head = b'{"archive_tasks": "manifest", "format": 2, "x": '
many, piece = {"text": (1024, b" " * 1048576), "lists": (60, b"[]," * 349525), "frame": (1024, bytes(1048576))}[kind]
start = {"text": head + b'"', "lists": head + b"[", "frame": b""}[kind]
end = {"text": b"", "lists": b"0]}" + bytes([10]), "frame": b""}[kind]
bomb = made.compress(start) + b"".join(made.compress(piece) for _ in range(many)) + made.compress(end) + made.flush()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpack_frame(bomb, 1000) if kind == "frame" else [None for _ in read_manifest(bomb)]
except ManifestError:
    pass
print(len(bomb), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("kind", ["text", "lists", "frame"])
def test_what_unpacks_to_far_more_than_it_is_takes_no_memory(kind: str) -> None:
    ran = subprocess.run([sys.executable, "-c", BOMBS, kind], capture_output=True, text=True, timeout=120, check=True)
    packed_bytes, mebibytes = map(int, ran.stdout.split())
    assert packed_bytes < 2 * MIB
    assert mebibytes < 256


# -- what the user writes, and what lies in the user's own folder --------------------------------------

SETTINGS = (
    "root",
    "days",
    "memory",
    "pack_below",
    "exclude",
    "s3",
    "options",
    "hidden",
    "part_size",
    "plugins_off",
    "x",
)


@many(400)
@given(configured=st.dictionaries(st.sampled_from(SETTINGS), JSON) | JSON, variables=st.dictionaries(TEXT, TEXT))
def test_any_mapping_is_settings_or_a_settings_error(configured: Any, variables: dict[str, str]) -> None:
    environment = {f"ARCHIVE_TASKS_{name}": text for name, text in variables.items()}
    our_error_or(lambda: make_settings(configured, {}, {}), SettingsError)
    our_error_or(lambda: make_settings({}, environment, {}), SettingsError)
    our_error_or(lambda: make_settings({}, {}, configured if isinstance(configured, dict) else {}), SettingsError)


OURS = Path(prices.__file__).with_name("prices.toml").read_text()


@many(200)
@given(st.data())
def test_any_table_of_prices_can_be_reckoned_with_or_is_refused(data: st.DataObject) -> None:
    lines = OURS.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    value = st.sampled_from(
        ["nan", "1" + "0" * 400, "'x'", "[]", "{}", "-1", "true", "1e308", "[" * 2000, "1979-05-27"]
    )
    line = data.draw(st.text(max_size=20) | value.map(lambda text: f"{lines[number].partition('=')[0]}= {text}"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prices.toml")
        path.write_bytes("\n".join([*lines[:number], line, *lines[number + 1 :]]).encode(errors="surrogatepass"))
        table = our_error_or(lambda: prices.read_prices(str(path)), SettingsError)
    for storage_class in table.table["class"] if table else ():
        table.to_store(storage_class, objects=3, size=10**12, months=1, parts=9)
        table.to_fetch(storage_class, requests=3, size=10**12)
        for way in table.to_thaw(storage_class, objects=3, size=10**12, days=7):
            dollars_text(way.dollars)


def test_our_own_table_of_prices_is_one() -> None:
    assert set(prices.read_prices().table["class"]) == set(tomllib.loads(OURS)["class"])


@many(300)
@given(lines=st.lists(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
@example(lines=[b'{"path": "/r/b", "at_ns": 1e999}', b"[" * 100_000, b"\xff"])
def test_a_broken_line_of_what_was_restored_spoils_no_other(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as data:
        note_restored(data, "/r/item", now_ns=7)
        with open(os.path.join(data, "restored.jsonl"), "ab") as file:
            file.write(b"\n".join([*lines, b""]))
        note_restored(data, "/r/other", now_ns=8)
        found = restored_in(data, "/r")
    assert found.get("item", 0) >= 7
    assert found["other"] >= 8


@many(400)
@given(TEXT | st.text(alphabet="manifestsdata/~0123456789abcdef.jsonlzst-", max_size=120))
@example("data/" + "a~" * 20_000)
@example("data/" + f"~{'0' * 31}/" * 2_000)
def test_any_key_is_of_an_archive_or_of_none(key: str) -> None:
    name = layout.manifest_name(key)
    assert name is None or (key.startswith("manifests/") and name.id in key and name.commit in key)
    assert key.startswith(layout.attempt_of(key))
    assert layout.attempt_of_ours(key) in {None, layout.attempt_of(key)}


@many(400)
@given(st.text(alphabet="ab/*?[]!^-\\~.z\n", max_size=12), st.text(alphabet="ab/-z\n", min_size=1, max_size=8))
@example("[z-a]", "a")
@example("[[]", "[")
@example("[a&&b]", "&")
@example("[?--]", "a")
def test_any_pattern_names_something_or_is_a_usage_error(text: str, path: str) -> None:
    pattern = our_error_or(lambda: PathPattern(text), UsageError)
    if pattern is not None:
        pattern.matches(path)
        pattern.is_of(path)
        pattern.stripped(path)


@many(200)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps({"id": value}).encode()))
@example(b"[" * 4000)
def test_any_file_in_the_place_of_the_targets_id_is_another_target(data: bytes) -> None:
    store = MemoryStore()
    put(store, "vault.json", data)
    with pytest.raises(StoreUnusable) as caught:
        check_vault(store, "0" * 32)
    assert str(caught.value).isprintable()
