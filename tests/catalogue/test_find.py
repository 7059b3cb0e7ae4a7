"""Pieces of names find what was archived: in any script, any case, any order, without asking the target."""

from __future__ import annotations

import fnmatch
import os
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.find import find, unindexed
from archive_tasks.catalogue.search import Query, pack_names
from archive_tasks.testing.trees import File, make_tree
from tests.conftest import NOW, CommandLine
from tests.support.bench import Bench

PATHS = [
    "thesis/Invoice 2019-03.pdf", "thesis/data/run7.csv", "thesis/Übung/straße.txt", "日本/請求書2019.txt",
    unicodedata.normalize("NFD", "photos/Café.jpg"), "x/[draft].txt", "ΣΊΣΥΦΟΣ/a", "thesis/data", "a.csv/b",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("invoice 2019", {0}), ("2019 INVOICE", {0}), ("nvoic", {0}), ("7", {1}), ("STRASSE", {2}), ("übung", {2}),
        ("請求", {3}), ("2019", {0, 3}), ("café", {4}), ("CAFÉ jpg", {4}), ("*.csv", {1}), ("run?.csv", {1}),
        ("draft", {5}), ("σίσυφοσ", {6}), ("σίσυφος", {6}), ("thesis data", {1, 7}), ("thesis/data", {1, 7}),
        ("thesis/data/*", {1}), ("nothing", set()), ("*", set(range(9))), ("run[5-8].csv", {1}),
    ],
)  # fmt: skip
def test_pieces_of_a_path_find_it(text: str, expected: set[int]) -> None:
    assert set(Query(text).numbers(pack_names(PATHS))) == expected


@settings(max_examples=300)
@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1),
    st.data(),
)
def test_every_piece_of_every_name_finds_it(paths: list[str], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(paths) - 1))
    begin = data.draw(st.integers(0, len(paths[number]) - 1))
    end = data.draw(st.integers(begin + 1, len(paths[number])))
    piece = "".join(c for c in paths[number][begin:end] if c not in "*?[]" and not c.isspace())
    combining = any(unicodedata.combining(c) or unicodedata.normalize("NFKC", c) != c for c in paths[number])
    if (
        piece
        and piece in paths[number]
        and not combining
        and unicodedata.normalize("NFC", paths[number]) == paths[number]
    ):
        assert number in set(Query(piece).numbers(pack_names(paths)))


def test_names_that_are_no_utf8_and_that_hold_line_breaks_are_found() -> None:
    names = [os.fsdecode(b"caf\xe9\n.txt"), "other"]
    assert set(Query("caf").numbers(pack_names(names))) == {0}
    assert fnmatch.fnmatch(names[0], "caf*")
    assert set(Query("caf*").numbers(pack_names(names))) == {0}


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> Bench:
    return Bench(root, tmp_path / "target", make_session, tmp_path / "data" / "catalogue.sqlite")


def test_what_was_archived_is_found_with_its_archive(bench: Bench) -> None:
    spec = {f"folder{n:02}": {f"file {m}.txt": File("x", age_days=400) for m in range(50)} for n in range(60)}
    make_tree(bench.root, {"item": spec, "other": File("y", age_days=400)}, now=NOW)
    bench.run()
    with Catalogue(str(bench.catalogue)) as catalogue:
        found, more = find([catalogue], "folder17 FILE 49", most=10)
        assert [(one.path, one.archive.item, one.record["size"]) for one in found] == [
            ("item/folder17/file 49.txt", "item", 1)
        ]
        assert not more
        found, more = find([catalogue], "file", most=100)
        assert (len(found), more) == (100, True)
        assert unindexed([catalogue]) == 0


def test_an_item_that_changed_is_found_in_both_archives_newest_first(bench: Bench) -> None:
    make_tree(bench.root, {"item": {"a": File("old", age_days=400)}}, now=NOW)
    bench.run()
    make_tree(bench.root, {"item": {"a": File("newer", age_days=300)}}, now=NOW)
    from datetime import timedelta

    bench.run(now=NOW + timedelta(days=1))
    with Catalogue(str(bench.catalogue)) as catalogue:
        assert [one.record["size"] for one in find([catalogue], "item/a", most=10)[0]] == [5, 3]


def test_the_command_asks_no_target(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"thesis": {"Invoice 2019.pdf": File("x", age_days=90)}})
    target = cli.project / "target"
    cli.run("archive", "--root", str(root), "--target", target.as_uri(), "--yes")
    target.rename(cli.project / "unplugged")
    ran = cli.run("find", "2019 invoice")
    assert ran.code == 0
    assert "thesis/Invoice 2019.pdf" in ran.out
    assert "restore 'thesis/Invoice 2019.pdf'" in ran.out
    import json

    document = json.loads(cli.run("find", "invoice", "--json").out)
    assert [one["path"] for one in document["found"]] == ["thesis/Invoice 2019.pdf"]
    assert document["found"][0]["target"] == target.as_uri()


def test_what_find_advises_works_as_it_is_typed(cli: CommandLine, root: Path) -> None:
    """Beside another target, which the settings name."""
    make_tree(root, {"odd 'one'\n": {"a b": File("x", age_days=90)}})
    target = (cli.project / "my target").as_uri()
    cli.run("archive", "--root", str(root), "--target", target, "--yes")
    said = cli.run("find", "a b").out
    (line,) = [line for line in said.splitlines() if "get one back with" in line]
    script = f"set -- {line.partition('get one back with: ')[2]}; printf '%s\\0' \"$@\""
    typed = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True).stdout.split("\0")[:-1]
    assert cli.run(*typed, "--to", "out").code == 0
    assert (cli.project / "out" / "a b").read_text() == "x"
    cli.environment["XDG_DATA_HOME"] = str(cli.project / "another device")
    ran = cli.run("find", "a b", "--target", target)
    assert f"run catalogue --target {target}" in ran.err


def test_nothing_to_look_in_is_said(cli: CommandLine) -> None:
    ran = cli.run("find", "x")
    assert (ran.code, "run catalogue" in ran.err) == (0, True)
    assert cli.run("find", " ").code == 2
