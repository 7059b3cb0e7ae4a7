"""The manifest: what is written is read, and what is damaged is refused."""

from __future__ import annotations

import json
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_tasks.errors import ManifestError
from archive_tasks.formats.manifest import Block, ManifestWriter, name_fields, name_in, read_manifest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def written(number: int = 3) -> bytes:
    blocks: list[Block] = []
    writer = ManifestWriter({"id": "x"}, blocks.append)
    for index in range(number):
        writer.add({"path": f"p{index}"}, f"p{index}")
    writer.finish()
    return b"".join(block.frame for block in blocks)


def test_what_was_written_is_read_in_order() -> None:
    header, *entries = read_manifest(written())
    assert (header["archive_tasks"], header["format"], header["id"]) == ("manifest", 3, "x")
    assert [entry["path"] for entry in entries] == ["p0", "p1", "p2"]


@given(st.binary(min_size=1).map(lambda raw: raw.replace(b"\0", b"x")))
def test_every_name_survives_byte_for_byte(raw: bytes) -> None:
    name = os.fsdecode(raw)
    record = json.loads(json.dumps(name_fields("path", name), ensure_ascii=False).encode())
    assert os.fsencode(name_in(record, "path")) == raw


def test_a_manifest_that_was_cut_short_is_refused_wherever_it_was_cut() -> None:
    data = written(400)
    for length in range(0, len(data), 7):
        with pytest.raises(ManifestError):
            list(read_manifest(data[:length]))


def test_lines_that_were_taken_away_are_missed() -> None:
    lines = zstd.decompress(written()).splitlines(keepends=True)
    for kept in ([*lines[:1], *lines[2:]], lines[:-1], [lines[0], lines[2], lines[1], *lines[3:]]):
        with pytest.raises(ManifestError, match=r"damaged|cut short"):
            list(read_manifest(zstd.compress(b"".join(kept))))


@settings(max_examples=400)
@given(st.data())
def test_a_single_flipped_bit_is_never_read_as_good(data: st.DataObject) -> None:
    text = bytearray(zstd.decompress(written(20)))
    position = data.draw(st.integers(0, len(text) - 2))
    text[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ManifestError):
        list(read_manifest(zstd.compress(bytes(text))))


@pytest.mark.parametrize(
    "text",
    [b"", b"{}\n", b"[]\n", b"nonsense\n", b'{"archive_tasks": "vault"}\n', b'{"end": 0, "sha256": ""}\n', b"\xff\n"],
)
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(ManifestError):
        list(read_manifest(zstd.compress(text)))
    with pytest.raises(ManifestError):
        list(read_manifest(text))


def test_a_newer_format_is_refused_with_what_to_do() -> None:
    text = zstd.decompress(written()).replace(b'"format":3', b'"format":4')
    with pytest.raises(ManifestError, match="has format 4, and this version reads up to 3: upgrade archive-tasks"):
        list(read_manifest(zstd.compress(text)))


def test_a_small_manifest_cannot_fill_the_memory() -> None:
    bomb = zstd.compress(b'{"archive_tasks": "manifest", "format": 1, "x": "' + b" " * (300 * 1024 * 1024))
    assert len(bomb) < 100_000
    with pytest.raises(ManifestError, match="a line has no end"):
        list(read_manifest(bomb))
