"""Local copies are freed when they are provably archived, and only then; and they come back."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archive_tasks import hookimpl
from archive_tasks.errors import NotProven, StoreError, UsageError
from archive_tasks.flows.clean import CleanRequest, clean_root
from archive_tasks.items.own_files import SET_ASIDE
from archive_tasks.show.console import Console
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.conftest import NOW
from tests.support.cleaning import CleanBench, make_items, sums_in
from tests.support.restoring import comparable

ITEMS = {"papers", "film", "note"}
LATER = NOW + timedelta(days=8)


@pytest.fixture
def bench(root: Path, tmp_path: Path, make_session: Any) -> CleanBench:
    make_items(root)
    bench = CleanBench(root, tmp_path, make_session)
    assert not bench.archive().failed
    return bench


def items_of(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["item"] for entry in entries}


def reasons(document: dict[str, Any]) -> dict[str, str]:
    return {entry["item"]: entry["reason"] for entry in document["kept"] + document["failed"]}


# -- the modes ------------------------------------------------------------------------------------------


def test_what_is_archived_is_set_aside_as_it_was_and_purged_after_its_grace(bench: CleanBench) -> None:
    before = bench.home()
    document = bench.clean()
    assert items_of(document["freed"]) == ITEMS
    assert {path.partition("/")[0] for path in bench.home()} == {"fresh"}
    assert bench.quarantine() == {path: entry for path, entry in before.items() if not path.startswith("fresh")}
    assert not bench.clean(now=NOW + timedelta(days=6))["purged"], "its grace is 7 days"
    assert items_of(bench.clean(now=LATER)["purged"]) == ITEMS
    assert not (bench.root / SET_ASIDE).exists(), "nothing stays behind"
    assert sums_in(before) <= bench.sums_of() | bench.sums_in_target()


def test_deleted_is_deleted_at_once(bench: CleanBench) -> None:
    before = bench.home()
    assert items_of(bench.clean("delete")["freed"]) == ITEMS
    assert {path.partition("/")[0] for path in bench.home()} == {"fresh"}
    assert not bench.slots()
    assert sums_in(before) <= bench.sums_of() | bench.sums_in_target()


def test_items_move_to_another_folder_whole(bench: CleanBench, tmp_path: Path) -> None:
    before = bench.home()
    to = tmp_path / "old"
    to.mkdir()
    assert items_of(bench.clean("move", to=str(to))["freed"]) == ITEMS
    assert read_tree(to) == {path: entry for path, entry in before.items() if not path.startswith("fresh")}
    assert not bench.slots()


def test_items_move_to_another_disk_whole(bench: CleanBench, other_disk: Path) -> None:
    before = bench.home()
    assert items_of(bench.clean("move", to=str(other_disk))["freed"]) == ITEMS
    moved = {path: entry._replace(atime_ns=0) for path, entry in read_tree(other_disk).items()}
    assert moved == {path: entry._replace(atime_ns=0) for path, entry in before.items() if not path.startswith("fresh")}
    assert not bench.slots()
    assert {path.partition("/")[0] for path in bench.home()} == {"fresh"}


def test_the_trash_gets_items_under_the_names_that_they_had(bench: CleanBench, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def take(path: str) -> None:
        taken.append(path)
        os.rename(path, bench.folder / f"trash {os.path.basename(path)}")

    monkeypatch.setattr("archive_tasks.flows.clean.send_to_trash", take)
    assert items_of(bench.clean("trash")["freed"]) == ITEMS
    assert sorted(taken) == sorted(str(bench.root / item) for item in ITEMS)
    assert not bench.slots()


def test_what_the_trash_refuses_stays_at_home(bench: CleanBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("archive_tasks.flows.clean.send_to_trash", refuse)
    before = bench.home()
    document = bench.clean("trash")
    assert not document["freed"]
    assert "it could not be moved to the trash" in reasons(document)["note"]
    assert bench.home() == before


# -- nothing goes that has changed -----------------------------------------------------------------------


def rewritten_in_secret(path: Path) -> None:
    """Other contents of the same size, with the old time set back."""
    facts = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES: dict[str, Any] = {
    "another file": lambda folder: make_tree(folder, {"new": File("new", age_days=99)}, now=NOW),
    "a folder": lambda folder: (folder / "new").mkdir(),
    "a file gone": lambda folder: (folder / "p1").unlink(),
    "an empty folder gone": lambda folder: (folder / "hollow").rmdir(),
    "a rewritten file": lambda folder: make_tree(folder, {"p1": File("PAPER 1", age_days=400)}, now=NOW),
    "a file rewritten in secret": lambda folder: rewritten_in_secret(folder / "p1"),
    "a hard link rewritten in secret": lambda folder: rewritten_in_secret(folder / "sub" / "same as p0"),
    "other rights": lambda folder: (folder / "p1").chmod(0o600),
    "another time": lambda folder: os.utime(folder / "p1", ns=(0, 10**18)),
    "a link to elsewhere": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("p2")),
    "a file for a link": lambda folder: ((folder / "link").unlink(), (folder / "link").write_text("p1")),
}


@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("mode", ["quarantine", "delete"])
def test_an_item_that_is_not_as_it_was_archived_stays_as_it_is(bench: CleanBench, change: str, mode: str) -> None:
    CHANGES[change](bench.root / "papers")
    os.utime(bench.root / "papers", ns=(0, 10**18))
    before = {path: entry for path, entry in bench.home().items() if path.startswith("papers")}
    document = bench.clean(mode, days=0)
    assert "papers" not in items_of(document["freed"])
    assert reasons(document)["papers"]
    after = {path: entry for path, entry in bench.home().items() if path.startswith("papers")}
    assert after == before
    assert "papers" not in {path.partition("/")[0] for path in bench.quarantine()}


def test_a_file_by_itself_that_was_rewritten_in_secret_stays(bench: CleanBench) -> None:
    rewritten_in_secret(bench.root / "note")
    document = bench.clean("delete")
    assert reasons(document)["note"] == "it is not as it was archived: note has other contents"
    assert (bench.root / "note").read_text() == "eton"


def test_rights_that_were_changed_and_set_back_cost_a_second_reading_and_no_more(bench: CleanBench) -> None:
    (bench.root / "papers" / "p1").chmod(0o600)
    (bench.root / "papers" / "p1").chmod(0o644)
    assert "papers" in items_of(bench.clean("delete")["freed"])


def test_what_changed_while_it_lay_aside_is_not_purged(bench: CleanBench) -> None:
    bench.clean()
    slot = next(slot for slot in bench.slots() if "papers" in slot.name)
    (slot / "item" / "papers" / "p2").write_text("a thought")
    document = bench.clean(now=LATER)
    assert items_of(document["purged"]) == {"film", "note"}
    assert (
        "papers/p2 has another modification time; it stays set aside, and undo puts it back"
        in (reasons(document)["papers"])
    )
    assert (slot / "item" / "papers" / "p2").read_text() == "a thought"


def test_what_cannot_all_be_removed_is_a_failure_that_the_exit_code_tells(bench: CleanBench) -> None:
    bench.clean()
    slot = next(slot for slot in bench.slots() if "papers" in slot.name)
    file = slot / "item" / "papers" / "p2"
    if subprocess.run(["chattr", "+i", file], check=False, capture_output=True).returncode:
        pytest.skip("this filesystem, or this user, makes no file immutable")
    try:
        document = bench.clean(now=LATER)
    finally:
        subprocess.run(["chattr", "-i", file], check=True)
    (failed,) = document["failed"]
    assert failed["item"] == "papers"
    assert "not all of it was purged: the system refused: operation not permitted" in failed["reason"]
    assert str(slot / "item" / "papers") in failed["reason"]
    assert items_of(bench.clean(now=LATER)["purged"]) == {"papers"}


def test_what_is_open_for_writing_stays(bench: CleanBench) -> None:
    with open(bench.root / "film" / "cut", "r+b") as writer:
        document = bench.clean("delete")
        assert reasons(document)["film"] == "it is not as it was archived: film/cut is open for writing"
        writer.write(b"CUT")
    assert (bench.root / "film" / "cut").read_bytes() == b"CUT"


def test_what_was_never_archived_stays(bench: CleanBench) -> None:
    make_tree(bench.root, {"other": {"a": File("a", age_days=99)}}, now=NOW)
    assert reasons(bench.clean())["other"] == "it is not archived yet, from this device and folder"


def test_an_archive_that_another_device_made_is_compared_byte_by_byte(bench: CleanBench, tmp_path: Path) -> None:
    """With an empty catalogue, `archive` finds what the target holds; that is no receipt yet."""
    for file in (tmp_path / "data" / "catalogues").iterdir():
        file.unlink()
    assert len(bench.archive().already) == 3
    assert items_of(bench.clean("delete")["freed"]) == ITEMS
    assert len(bench.notes("proven")) == 3


# -- what was left out -----------------------------------------------------------------------------------


def test_what_was_left_out_keeps_its_item_unless_it_is_given_up(root: Path, tmp_path: Path, make_session: Any) -> None:
    make_tree(
        root,
        {"code": {"main.py": File("main", age_days=99), "cache": {"a": {"b": "c"}}, "x.tmp": File("tmp", age_days=99)}},
        now=NOW,
    )
    bench = CleanBench(root, tmp_path, make_session)
    bench.archive(exclude=["cache", "*.tmp"])
    session_exclude = {"exclude": ["cache", "*.tmp"]}
    document = clean_with(bench, session_exclude, {})
    assert reasons(document)["code"] == (
        "code/cache and 1 more was left out of the archive; --discard-left-out discards it"
    )
    assert (root / "code" / "cache" / "a" / "b").read_text() == "c"
    assert items_of(clean_with(bench, session_exclude, {"discard_left_out": True})["freed"]) == {"code"}
    assert not (root / "code").exists()
    assert items_of(bench.clean(now=LATER)["purged"]) == {"code"}, (
        "the rules have changed meanwhile, the manifest has not"
    )
    assert not bench.slots()


def clean_with(bench: CleanBench, settings: dict[str, Any], clean_request: dict[str, Any]) -> dict[str, Any]:
    return clean_root(
        bench.session(**settings, clean={"max_share": 100}),
        CleanRequest(yes=True, **clean_request),
        Console(json_document=True),
    )


# -- guards ----------------------------------------------------------------------------------------------


class SecondThoughts:
    """A guard that lets an item pass at the scan, and no more at the gate."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @hookimpl
    def reasons_to_keep(self, item: Any) -> str | None:
        self.asked.append(item.name)
        return "I have thought about it" if self.asked.count(item.name) > 1 else None


def test_guards_are_asked_again_at_the_gate(bench: CleanBench) -> None:
    before = bench.home()
    document = bench.clean("delete", plugins=[SecondThoughts()])
    assert not document["freed"]
    assert reasons(document)["film"] == "I have thought about it"
    assert bench.home() == before


# -- the target is asked, not remembered -----------------------------------------------------------------


def keys(bench: CleanBench, below: str) -> list[Path]:
    return [path for path in (bench.folder / "target" / below).rglob("*") if path.is_file()]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


DAMAGES: dict[str, Any] = {
    "objects are gone": lambda bench: [path.unlink() for path in keys(bench, "data")],
    "manifests are gone": lambda bench: [path.unlink() for path in keys(bench, "manifests")],
    "objects are cut short": lambda bench: [os.truncate(path, 3) for path in keys(bench, "data")],
    "a bit of each object is flipped": lambda bench: [flip(path) for path in keys(bench, "data")],
    "a bit of each manifest is flipped": lambda bench: [flip(path) for path in keys(bench, "manifests")],
    "manifests have changed places": lambda bench: rotate(keys(bench, "manifests")),
}


def rotate(paths: list[Path]) -> None:
    contents = [path.read_bytes() for path in paths]
    for path, data in zip(paths, contents[1:] + contents[:1], strict=True):
        path.chmod(0o644)
        path.write_bytes(data)


@pytest.mark.parametrize("damage", list(DAMAGES))
@pytest.mark.parametrize("stage", ["at home", "aside"])
def test_a_target_that_does_not_hold_it_any_more_frees_nothing(bench: CleanBench, damage: str, stage: str) -> None:
    before = bench.home()
    if stage == "aside":
        bench.clean()
    DAMAGES[damage](bench)
    document = bench.clean("delete", now=LATER if stage == "aside" else NOW)
    assert not document["freed"]
    assert not document["purged"]
    assert items_of(document["failed"]) == ITEMS
    assert bench.home() | bench.quarantine() == before


def test_another_target_at_the_same_place_frees_nothing(bench: CleanBench) -> None:
    before = bench.home()
    (bench.folder / "target" / "vault.json").unlink()
    with pytest.raises(StoreError, match=r"has lost its vault\.json"):
        bench.clean("delete")
    assert bench.home() == before


# -- limits ----------------------------------------------------------------------------------------------


def test_the_longest_idle_go_first_up_to_the_limits(bench: CleanBench) -> None:
    assert items_of(bench.clean(max_items=1)["freed"]) == {"note"}
    document = bench.clean(max_bytes=1_200_010)
    assert items_of(document["freed"]) == {"film"}
    assert "longer idle items go first" in reasons(document)["papers"]


def test_only_as_much_goes_as_the_disk_lacks(bench: CleanBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive_tasks.flows.clean.bytes_lacking", lambda _root, wanted: wanted and wanted - 1000)
    assert not bench.clean(clean_request={"free": 1000})["freed"]
    assert items_of(bench.clean(clean_request={"free": 1004})["freed"]) == {"note"}
    assert items_of(bench.clean(clean_request={"free": 1005})["freed"]) == {"film"}


def test_who_is_not_asked_frees_no_more_than_a_share_of_the_root(bench: CleanBench) -> None:
    before = bench.home()
    with pytest.raises(UsageError, match=r"3 of 4 items would go at once, which is more than 50 %.*--max-share 100"):
        bench.clean(max_share=50)
    assert bench.home() == before
    assert not (bench.root / SET_ASIDE).exists()


def test_a_run_in_which_too_much_fails_stops(bench: CleanBench) -> None:
    make_tree(bench.root, {f"more{number}": {"a": File(f"{number}", age_days=99)} for number in range(9)}, now=NOW)
    bench.archive()
    for path in keys(bench, "data"):
        path.unlink()
    document = bench.clean("delete")
    assert document["stopped"].startswith("stopped: 3 of 3 items could not be proven")
    assert len(document["failed"]) == 3


# -- the way back ----------------------------------------------------------------------------------------


def test_a_dry_run_touches_nothing(bench: CleanBench) -> None:
    before = bench.home()
    facts = bench.root.stat()
    document = bench.clean(clean_request={"dry_run": True})
    assert items_of(document["would_free"]) == ITEMS
    assert not document["freed"]
    assert bench.home() == before
    assert bench.root.stat().st_mtime_ns == facts.st_mtime_ns


def test_what_was_not_proven_when_a_run_died_goes_home(bench: CleanBench) -> None:
    before = bench.home()
    bench.clean(max_items=1)
    state = bench.slots()[0] / "state.json"
    state.write_text(state.read_text().replace('"aside"', '"moving"'))
    bench.clean(clean_request={"dry_run": False}, max_items=1, days=1000)
    assert bench.home() == before
    assert not bench.slots()


def test_a_slot_that_nobody_can_read_is_left_alone(bench: CleanBench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.clean(max_items=1)
    (bench.slots()[0] / "state.json").write_text("{")
    bench.clean(days=1000)
    assert "its state cannot be read" in capfd.readouterr().err
    assert (bench.slots()[0] / "item" / "note").read_text() == "note"


# -- moving to a folder that is no help ------------------------------------------------------------------


def test_a_name_that_is_taken_where_it_would_move_keeps_the_item_at_home(bench: CleanBench, tmp_path: Path) -> None:
    to = tmp_path / "old"
    make_tree(to, {"note": "another note"})
    document = bench.clean("move", to=str(to))
    assert items_of(document["freed"]) == {"film", "papers"}
    assert reasons(document)["note"].endswith("already exists; it stays where it was")
    assert (to / "note").read_text() == "another note"
    assert (bench.root / "note").read_text() == "note"
    assert not bench.slots()


def test_a_copy_on_another_disk_that_is_not_the_same_is_none(
    bench: CleanBench, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()

    def flawed(source: str, copy: str, **_: Any) -> None:
        Path(copy).write_bytes(Path(source).read_bytes()[:-1] + b"?")

    monkeypatch.setattr("archive_tasks.clean.disposal._copy_tree", lambda source, copy: flawed(source, copy))
    document = bench.clean("move", to=str(other_disk), max_items=1)
    assert "the copy is not the same: note has" in reasons(document)["note"]
    assert comparable(bench.home()) == comparable(before)
    assert list(other_disk.iterdir()) == []


def test_another_disk_that_is_full_keeps_the_item_at_home(
    bench: CleanBench, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("archive_tasks.clean.disposal._copy_tree", full)
    document = bench.clean("move", to=str(other_disk))
    assert "no space left on device; it stays where it was" in reasons(document)["film"]
    assert items_of(document["failed"]) == {"film", "papers", "note"}, "a full disk is not a reason of the items' own"
    assert bench.home() == before
    assert list(other_disk.iterdir()) == []


def test_files_of_a_folder_that_another_disk_has_no_room_for_are_one_sentence(
    bench: CleanBench, other_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise shutil.Error([(f"/root/papers/p{n}", "copy", "[Errno 28] No space left on device") for n in range(3)])

    monkeypatch.setattr("archive_tasks.clean.disposal._copy_tree", full)
    document = bench.clean("move", to=str(other_disk), max_items=1)
    (failed,) = document["failed"]
    assert failed["reason"] == (
        f"p0 could not be copied to {other_disk}: [errno 28] no space left on device, and 2 more; it stays where it was"
    )


def test_a_copy_that_is_there_already_and_the_same_is_not_made_again(bench: CleanBench, other_disk: Path) -> None:
    shutil.copy2(bench.root / "note", other_disk / "note")
    assert items_of(bench.clean("move", to=str(other_disk), max_items=1)["freed"]) == {"note"}
    assert not (bench.root / "note").exists()


def test_a_target_that_is_lost_at_the_last_moment_brings_the_item_home(
    bench: CleanBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.home()

    def lost(*_: Any) -> None:
        raise NotProven("the target does not hold it any more")

    monkeypatch.setattr("archive_tasks.clean.evidence.Witness.check_fresh", lost)
    assert items_of(bench.clean("delete")["failed"]) == ITEMS
    assert bench.home() == before
    assert not bench.slots()
