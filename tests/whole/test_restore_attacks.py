"""A forged target writes nothing outside the destination, overwrites nothing, and is refused with a reason."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import UsageError
from archive_tasks.formats import tar
from archive_tasks.formats.entry import entry_of
from archive_tasks.formats.manifest import Block, ManifestWriter, name_fields
from archive_tasks.settings import make_settings
from archive_tasks.testing.stores import put
from archive_tasks.testing.trees import make_tree, read_tree
from tests.conftest import NOW
from tests.support.restoring import bring_back

try:
    from compression import zstd
except ImportError:
    from backports import zstd

EVIL = b"evil"
ID = "0" * 32
COMMIT = "c" * 12
PREFIX = f"data/laptop/Documents/2026-06-01/item~{ID}/aaaaaaaaaaaa/"
PATHS = [
    "../out", "../../out", "item/../../out", "item/../../../out", "/etc/evil", "//etc/evil", "/", "", ".", "..", "item/..",
    "item/.", "item//a", "item/", "/item", "./item", "item/./a", "../item/a", "item/a/../../../x", "item/../..",
    "a\0b", "item/a\0", "\0", "item/" + "n" * 256, "..\0", "item/../\0", "...//", "item/a/", "~/../x/..", "item/%2e%2e/../../x",
]  # fmt: skip
FIELDS: list[dict[str, Any]] = [
    {"type": "device"}, {"type": None}, {"type": "fifo"}, {"mode": "rwx"}, {"mode": None}, {"mode": "-1x"}, {"size": -1},
    {"size": 1 << 70}, {"size": "4"}, {"size": True}, {"size": 5}, {"mtime_ns": "now"}, {"mtime_ns": 1 << 80}, {"sha256": "x"},
    {"sha256": None}, {"sha256": "0" * 63}, {"key": "../../etc/passwd"}, {"key": "/etc/passwd"}, {"key": "data/../../x"}, {"key": ".incoming/x"}, {"key": "vault.json"},
    {"key": ""}, {"key": None}, {"key": "a//b"}, {"offset": -1}, {"length": -5}, {"length": 1 << 65}, {"within": -1},
    {"within": "0"}, {"within": 1 << 61}, {"xattrs": "x"}, {"xattrs": {"user.a": 7}}, {"parts": ["x"]}, {"parts": ["0" * 64]},
    {"parts": ["0" * 64], "part_size": 0}, {"parts": ["0" * 64, "1" * 64], "part_size": 4}, {"uid": "root"}, {"path": None},
    {"path": 7}, {"path_bytes": "%%%"}, {"path_bytes": 7}, {"sha256": "1" * 64},
]  # fmt: skip


def pack_of(contents: bytes) -> bytes:
    header = tar.member_header("item/a", tar.FILE, mode=0o644, mtime_ns=0, size=len(contents))
    return zstd.compress(header + contents + tar.padding(len(contents))) + zstd.compress(tar.END)


def plain(path: str, **more: Any) -> dict[str, Any]:
    """A line that speaks of the plain object `files/a`, which holds b"evil"."""
    return common(path) | {"key": f"{PREFIX}files/a", "offset": 0, "length": len(EVIL)} | more


def packed(path: str, **more: Any) -> dict[str, Any]:
    """A line that speaks of the same contents in a pack."""
    length = len(pack_of(EVIL)) - len(zstd.compress(tar.END))
    return common(path) | {"key": f"{PREFIX}packs/00001.tar.zst", "offset": 0, "length": length, "within": 512} | more


def common(path: str) -> dict[str, Any]:
    digest = hashlib.sha256(EVIL).hexdigest()
    return {
        **name_fields("path", path),
        "type": "file",
        "mode": "644",
        "mtime_ns": 0,
        "size": len(EVIL),
        "sha256": digest,
    }


class Forged:
    """A target whose one manifest holds what a test wants, and a destination with a canary beside it."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = FolderStore((tmp_path / "target").as_uri(), make_settings({}, {}, {}))
        self.store.create()
        put(self.store, f"{PREFIX}files/a", EVIL)
        put(self.store, f"{PREFIX}packs/00001.tar.zst", pack_of(EVIL))
        self.place = tmp_path / "place"
        make_tree(self.place, {"out": "canary", "victim": {"file": "canary"}, "destination": {}}, now=NOW)
        self.destination = self.place / "destination"
        self._catalogue = tmp_path / "catalogue.sqlite"

    def restore(self, *records: dict[str, Any], **options: Any) -> Any:
        blocks: list[Block] = []
        header = {"id": ID, "item": "item", "kind": "folder", "scope": "laptop/Documents", "host": "laptop"}
        totals = {"root": "/r", "created": NOW.isoformat(), "files": 1, "folders": 1, "bytes": 4, "data": PREFIX}
        who = {"device": "somebody", "number": 1, "commit": COMMIT}
        writer = ManifestWriter(header | totals | who, blocks.append)
        for record in records:
            writer.add(record)
        writer.finish()
        key = f"manifests/laptop/Documents/2026-06-01/item~{COMMIT}~{ID}.jsonl.zst"
        put(self.store, key, b"".join(block.frame for block in blocks))
        return bring_back(self.store, self._catalogue, self.destination, ["*"], **options)

    def check_nothing_left_it(self) -> None:
        outside = {path: entry for path, entry in read_tree(self.place).items() if not path.startswith("destination")}
        assert set(outside) == {"out", "victim", "victim/file"}
        assert (self.place / "out").read_text() == (self.place / "victim" / "file").read_text() == "canary"


@pytest.fixture
def forged(tmp_path: Path) -> Forged:
    return Forged(tmp_path)


@pytest.mark.parametrize("line", [plain, packed])
@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_leads_out_is_refused(forged: Forged, path: str, line: Callable[..., dict[str, Any]]) -> None:
    restored = forged.restore(line(path), line("item/good"))
    forged.check_nothing_left_it()
    assert len(restored.failed) <= 1
    assert (forged.destination / "item" / "good").read_bytes() == EVIL
    assert [path for path in read_tree(forged.destination) if path not in {"item", "item/good"}] == []


@pytest.mark.parametrize("line", [plain, packed])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_a_line_that_makes_no_sense_is_refused(forged: Forged, fields: dict[str, Any], line: Any) -> None:
    try:
        restored = forged.restore({**line("item/a"), **fields}, line("item/good"))
    except UsageError:  # the manifest as a whole is none
        restored = None
    forged.check_nothing_left_it()
    assert not (forged.destination / "item" / "a").exists() or entry_is_true(forged)
    if restored is not None and restored.items:
        assert (forged.destination / "item" / "good").read_bytes() == EVIL


def entry_is_true(forged: Forged) -> bool:
    return (forged.destination / "item" / "a").read_bytes() == EVIL


@pytest.mark.parametrize("kind", ["folder", "link"])
@pytest.mark.parametrize("path", PATHS)
def test_a_folder_or_link_that_leads_out_is_refused(forged: Forged, path: str, kind: str) -> None:
    entry = {**name_fields("path", path), "type": kind, "mode": "777", "mtime_ns": 0, "target": "../victim"}
    forged.restore(entry, plain("item/good"))
    forged.check_nothing_left_it()
    assert (forged.destination / "item" / "good").read_bytes() == EVIL


@pytest.mark.parametrize("target", ["../victim", "..", "/", "/etc", ".", "../destination/../victim", "victim"])
@pytest.mark.parametrize("on_conflict", ["refuse", "overwrite", "both", "skip"])
def test_nothing_is_written_through_a_link(forged: Forged, target: str, on_conflict: Any) -> None:
    link = {"path": "item", "type": "link", "mode": "777", "mtime_ns": 0, "target": target}
    forged.restore(
        link, plain("item/file"), packed("item/victim/file"), link | {"path": "item/x"}, on_conflict=on_conflict
    )
    forged.check_nothing_left_it()


def test_a_link_that_lies_in_the_destination_already_is_not_followed(forged: Forged) -> None:
    (forged.destination / "item").symlink_to("../victim")
    restored = forged.restore(plain("item/file"), packed("item/new"), on_conflict="overwrite")
    forged.check_nothing_left_it()
    assert {one.item for one in restored.failed} == {"item/file", "item/new"}


@pytest.mark.parametrize("first", ["../out", "/etc/passwd", "item/link", "item", "item/nothing", "item/../../out"])
def test_a_hard_link_to_something_else_is_refused(forged: Forged, first: str) -> None:
    link = {"path": "item/link", "type": "link", "mode": "777", "mtime_ns": 0, "target": "../../out"}
    hard = plain("item/hard", **name_fields("hardlink", first))
    restored = forged.restore(link, hard, plain("item/good"))
    forged.check_nothing_left_it()
    assert not (forged.destination / "item" / "hard").exists()
    assert "item/hard" in {one.item for one in restored.failed} or first in {
        "../out",
        "/etc/passwd",
        "item/../../out",
        "",
    }


def test_a_frame_that_unpacks_to_far_more_costs_no_memory(forged: Forged) -> None:
    bomb = zstd.compress(b"\0" * (1 << 29))
    put(forged.store, f"{PREFIX}packs/00002.tar.zst", bomb)
    zeros = hashlib.sha256(bytes(4)).hexdigest()
    sane = packed("item/a", key=f"{PREFIX}packs/00002.tar.zst", length=len(bomb), sha256=zeros)
    greedy = packed("item/b", key=f"{PREFIX}packs/00002.tar.zst", length=len(bomb), within=1 << 29)
    restored = forged.restore(sane, greedy)
    assert (forged.destination / "item" / "a").read_bytes() == bytes(4)
    assert [one.item for one in restored.failed] == ["item/b"]


def test_a_manifest_under_another_name_is_no_archive(forged: Forged, tmp_path: Path) -> None:
    forged.restore(plain("item/good"))
    manifest = next((tmp_path / "target" / "manifests").rglob("*.zst"))
    manifest.rename(manifest.with_name(f"item~{COMMIT}~{'1' * 32}.jsonl.zst"))
    with pytest.raises(UsageError, match="nothing named item is archived"):
        bring_back(forged.store, tmp_path / "other.sqlite", tmp_path / "elsewhere", ["item"])


def test_a_sane_line_is_read_as_it_is() -> None:
    entry = entry_of(plain("item/a", xattrs={"user.a": base64.b64encode(b"v").decode()}))
    assert (entry.path, entry.size, entry.attributes.xattrs) == ("item/a", 4, {"user.a": b"v"})
