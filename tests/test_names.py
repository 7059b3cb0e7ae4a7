"""Names that are harmless on a terminal and in a key."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_tasks.formats import layout
from archive_tasks.formats.layout import key_segment
from archive_tasks.names import display, typed

any_name = (
    st.binary(min_size=1, max_size=255).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")).map(os.fsdecode)
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name.txt", "plain name.txt"),
        ("Ünïcödé 写真 📷", "Ünïcödé 写真 📷"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\x7f\x9b", "\\x7f\\x9b"),
    ],
)
def test_a_name_is_shown_without_what_could_harm(name: str, shown: str) -> None:
    assert display(name) == shown


@given(any_name)
def test_what_is_shown_is_printable_whatever_the_name(name: str) -> None:
    assert display(name).isprintable()
    display(name).encode()


@given(st.lists(any_name, min_size=20, max_size=20))
@settings(max_examples=25, deadline=None)
def test_what_is_to_be_typed_can_be_shown_and_is_the_name_again(names: list[str]) -> None:
    words = [typed(name) for name in names]
    assert all(word.isprintable() for word in words)
    script = "printf '%s\\0' " + " ".join(words)
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert said.stdout.split(b"\0")[:-1] == [os.fsencode(name) for name in names]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("thesis", "thesis"),
        ("my thesis", "'my thesis'"),
        ("two\nlines", "$'two\\nlines'"),
        ("it's\x1b", "$'it\\'s\\x1b'"),
    ],
)
def test_a_name_is_typed_as_plainly_as_it_can_be(name: str, word: str) -> None:
    assert typed(name) == word


@given(any_name)
def test_a_key_segment_holds_only_what_every_store_takes(name: str) -> None:
    segment = key_segment(name)
    assert re.fullmatch(r"[A-Za-z0-9._~-]{1,130}", segment)
    assert segment not in {".", ".."}


@given(any_name, any_name)
def test_two_names_never_share_a_key_segment(one: str, other: str) -> None:
    assert (key_segment(one) == key_segment(other)) == (one == other)


@pytest.mark.parametrize("name", ["thesis", "IMG_0001.JPG", "v1.2-final.tar.gz", "x" * 120, ".bashrc"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert key_segment(name) == name


def test_a_replaced_name_keeps_its_ending() -> None:
    assert re.fullmatch(r"Rechnung_M_rz~[0-9a-f]{32}\.pdf", key_segment("Rechnung März.pdf"))


def test_keys_stay_short_however_deep_the_path() -> None:
    deep = "/".join(["item", *["d" * 200] * 40, "file.txt"])
    key = layout.file_key("data/host/Documents/2026-01-01/item~0/abc/", deep)
    assert len(key) <= 900
    assert key.endswith("/file.txt")
    assert key != layout.file_key("data/host/Documents/2026-01-01/item~0/abc/", deep.replace("d", "e"))


def test_the_id_is_found_in_a_manifests_key_and_in_no_other() -> None:
    from datetime import UTC, datetime

    archive_id = "0123456789abcdef" * 2
    day = datetime(2026, 1, 2, tzinfo=UTC)
    key = layout.manifest_key(scope="h/r", day=day, item="a b", archive_id=archive_id, commit="0123456789ab")
    assert key.startswith("manifests/h/r/2026-01-02/a_b~")
    name = layout.manifest_name(key)
    assert name == (key_segment("a b"), "0123456789ab", archive_id)
    old = layout.manifest_name(key.replace("~0123456789ab~", "~"))
    assert old == (key_segment("a b"), "", archive_id), "as formats 1 and 2 named them"
    assert layout.manifest_name(key.replace("manifests/", "data/")) is None
    assert layout.manifest_name("manifests/h/r/README.txt") is None
    assert layout.manifest_name(key.replace("/h/", "/../")) is None


def test_only_keys_of_exactly_our_shape_are_in_an_attempt_of_ours() -> None:
    attempt = f"data/h/r/2026-01-02/thesis~{'0f' * 16}/0123456789ab/"
    ours = ["files/a", "files/sub/a~1.txt", "packs/00001.tar.zst", "manifest.jsonl.zst", "alive/1800000000"]
    assert [layout.attempt_of_ours(attempt + rest) for rest in ours] == [attempt] * 5
    foreign = ["notes.txt", "packs/1.tar.zst", "files/", "files/../x", "files/a b", "manifest.jsonl.zst/x", "alive/now"]
    assert [layout.attempt_of_ours(attempt + rest) for rest in foreign] == [None] * 7
    for key in ("data/h/r/thesis/x", "data/vault.json", f"manifests/h/r/2026-01-02/x~{'0' * 32}.jsonl.zst"):
        assert layout.attempt_of_ours(key) is None
