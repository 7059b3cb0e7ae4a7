"""What a version of format 2 left behind is this device's where its catalogue knows of it, and loses nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive_tasks.testing.trees import make_tree, read_tree
from tests.support import format_2
from tests.support.foreign import folder_keys
from tests.support.format_2 import DATA, ROOT, TARGET, TREE
from tests.support.hosts import ANY_SHARE, Host
from tests.support.strace import choose, inject, record, why_not

SLOTS = ROOT / ".archive-set-aside"
COMMITTED = ("thesis", "note.md", "photos", "letters")


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Host]:
    """The machine that left it, with its data folder."""
    with format_2.unpacked():
        host = Host("laptop", tmp_path / "laptop", data=DATA)
        host.environment |= {
            "ARCHIVE_TASKS_TARGET": TARGET.as_uri(),
            "ARCHIVE_TASKS_PACK_BELOW": "2K",
            "ARCHIVE_TASKS_ROOT": str(ROOT),
        }
        yield host


def another(host: Host, name: str) -> Host:
    """A machine that has nothing but the target's URL."""
    other = Host(name, host.folder.with_name(f"{name} 2"))
    other.environment |= {"ARCHIVE_TASKS_TARGET": TARGET.as_uri()}
    return other


def contents(folder: Path) -> dict[str, str]:
    """What is in it, by path, whatever its times are."""
    return {path: f"{one.kind} {one.mode:o} {one.contents}" for path, one in read_tree(folder).items()}


def archived(*items: str) -> dict[str, str]:
    """What an item of the fixture holds; of `note.md`, what it held last."""
    folder = format_2.PLACE / "expected"
    shutil.rmtree(folder, ignore_errors=True)
    make_tree(folder, {item: TREE[item] for item in items})
    if "note.md" in items:
        (folder / "note.md").write_text("the second note\n")
    if "thesis" in items:
        os.link(folder / "thesis" / "a.txt", folder / "thesis" / "deep" / "same")
    found = contents(folder)
    shutil.rmtree(folder)
    return found


def everything_is_old(days: float = 30) -> None:
    for path in TARGET.rglob("*"):
        at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(path, (at, at))


def the_slot() -> Path:
    (slot,) = (path for path in SLOTS.iterdir() if path.is_dir())
    return slot


def keys_of(item: str) -> list[str]:
    return [key for key in folder_keys(TARGET) if f"/{item}~" in key]


# -- it is readable -----------------------------------------------------------------------------------


@pytest.mark.parametrize("item", COMMITTED)
def test_what_this_device_archived_is_restored_and_not_what_another_did(laptop: Host, item: str) -> None:
    shutil.rmtree(ROOT)
    ROOT.mkdir()
    document = laptop.ask("restore", item)
    assert document["failed"] == []
    assert contents(ROOT) == archived(item)


def test_a_new_machine_is_shown_both_and_restores_either(laptop: Host, tmp_path: Path) -> None:
    new = another(laptop, "new")
    said = new.do("restore", "thesis", "--to", "out", code=2)
    assert all(word in said for word in ("laptop", "server", "--host", str(ROOT)))
    assert not (new.project / "out").exists()
    new.ask("restore", "thesis", "--host", "laptop", "--to", "out")
    assert contents(new.project / "out") == archived("thesis")
    new.ask("restore", "thesis", "--host", "server", "--to", "other")
    assert (new.project / "other" / "thesis" / "a.txt").read_text() == "of another host\n"


def test_it_is_well_and_can_be_searched(laptop: Host) -> None:
    verified = laptop.ask("verify")
    assert (verified["archives"], verified["damaged"]) == (7, [])
    assert laptop.ask("verify", "--read-data")["damaged"] == []
    found = laptop.ask("find", "über")["found"]
    assert [one["path"] for one in found] == ["thesis/deep/über.csv"]
    assert laptop.ask("catalogue", "--rebuild")["unreadable"] == []
    proven = [one for one in laptop.ask("report")["archives"] if one["proven_by"]]
    assert sorted(one["item"] for one in proven) == ["note.md", "note.md", "photos", "thesis"]


# -- what was set aside -------------------------------------------------------------------------------


def test_what_was_set_aside_is_purged_when_its_grace_is_over(laptop: Host) -> None:
    document = laptop.ask("clean", "--yes", "--max-share", "100", "--grace", "0", "--max-items", "1")
    assert [one["item"] for one in document["purged"]] == ["photos"]
    assert not list(SLOTS.glob("*~photos~*"))
    laptop.ask("restore", "photos")
    assert contents(ROOT / "photos") == {
        path.partition("/")[2]: one for path, one in archived("photos").items() if path != "photos"
    }


def test_what_was_set_aside_is_put_back(laptop: Host) -> None:
    document = laptop.ask("undo")
    assert [one["item"] for one in document["back"]] == ["photos"]
    assert not SLOTS.exists()
    assert {path: one for path, one in contents(ROOT).items() if path.startswith("photos")} == archived("photos")


@pytest.mark.parametrize("command", [("undo",), ("archive", "--yes")])
def test_what_a_run_was_setting_aside_when_it_died_comes_home(laptop: Host, command: tuple[str, ...]) -> None:
    state = the_slot() / "state.json"
    state.write_text(state.read_text().replace('"aside"', '"moving"'))
    laptop.do(*command)
    assert {path: one for path, one in contents(ROOT).items() if path.startswith("photos")} == archived("photos")


def test_a_purge_that_was_cut_off_is_finished(laptop: Host) -> None:
    slot = the_slot()
    state = slot / "state.json"
    state.write_text(state.read_text().replace('"aside"', '"purging"'))
    (slot / "item" / "photos" / "p1").unlink()
    document = laptop.ask("clean", "--yes", "--max-share", "100", "--max-items", "1")
    assert [one["item"] for one in document["purged"]] == ["photos"]
    laptop.ask("restore", "photos")
    assert (ROOT / "photos" / "p1").read_text() == "photo one\n"


def test_what_was_set_aside_stays_where_the_target_lost_it(laptop: Host) -> None:
    (pack,) = (TARGET / key for key in keys_of("photos") if key.endswith(".tar.zst"))
    pack.unlink()
    laptop.do("clean", "--yes", "--max-share", "100", "--grace", "0", code=3)
    (slot,) = SLOTS.glob("*~photos~*")
    assert (slot / "item" / "photos" / "p1").read_text() == "photo one\n"


# -- it is archived, and cleaned ----------------------------------------------------------------------


def test_what_is_archived_is_not_sent_again(laptop: Host) -> None:
    readme = (TARGET / "README.txt").read_bytes()
    before = {item: keys_of(item) for item in ("thesis", "note.md", "photos")}
    document = laptop.ask("archive", "--yes")
    assert {one["item"] for one in document["already"]} >= {"thesis", "note.md"}
    assert "film" in {one["item"] for one in document["archives"]}
    assert {item: keys_of(item) for item in before} == before
    assert (TARGET / "README.txt").read_bytes() == readme
    assert laptop.ask("archive", "--yes")["archives"] == []
    assert laptop.ask("verify")["damaged"] == []


def test_what_was_archived_is_cleaned_and_comes_back(laptop: Host) -> None:
    document = laptop.ask("clean", "--yes", "--max-share", "100", "--mode", "delete")
    assert {one["item"] for one in document["freed"]} >= {"thesis", "note.md"}
    assert not {"thesis", "note.md"} & set(os.listdir(ROOT))
    assert "film" in os.listdir(ROOT)
    laptop.ask("restore", "thesis", "--also", "note.md")
    home = contents(ROOT)
    assert {path: home.get(path) for path in archived("thesis", "note.md")} == archived("thesis", "note.md")


def test_a_change_makes_a_further_archive_and_both_are_there(laptop: Host) -> None:
    (ROOT / "note.md").write_text("the third note\n")
    os.utime(ROOT / "note.md", (1_700_000_000, 1_700_000_000))
    laptop.ask("archive", "--yes")
    laptop.ask("clean", "--yes", "--max-share", "100", "--mode", "delete")
    laptop.ask("restore", "note.md")
    assert (ROOT / "note.md").read_text() == "the third note\n"
    day = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    laptop.ask("restore", "note.md", "--at", day, "--to", "then")
    assert (laptop.project / "then" / "note.md").read_text() == "the second note\n"


def test_a_device_that_lost_its_data_folder_archives_for_itself(laptop: Host) -> None:
    laptop.forget_all()
    document = laptop.ask("archive", "--yes")
    assert {one["item"] for one in document["archives"]} >= {"thesis", "note.md", "letters", "film"}
    laptop.ask("clean", "--yes", "--max-share", "100", "--mode", "delete")
    laptop.ask("restore", "thesis")
    assert {path: one for path, one in contents(ROOT).items() if path.startswith("thesis")} == archived("thesis")


def test_a_device_that_lost_its_data_folder_may_take_over_what_it_archived(laptop: Host) -> None:
    laptop.forget_all()
    before = folder_keys(TARGET, "data/")
    said = laptop.do("catalogue", "--adopt", "laptop", code=2)
    assert "--yes" in said
    laptop.ask("catalogue", "--adopt", "laptop", "--yes")
    shutil.rmtree(ROOT / "film")
    document = laptop.ask("archive", "--yes")
    assert {one["item"] for one in document["already"]} >= {"thesis", "note.md", "letters"}
    assert folder_keys(TARGET, "data/") == before
    laptop.ask("clean", "--yes", "--max-share", "100", "--mode", "delete")
    laptop.ask("restore", "thesis")
    assert {path: one for path, one in contents(ROOT).items() if path.startswith("thesis")} == archived("thesis")


# -- prune --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["laptop", "new"])
def test_prune_takes_the_attempt_that_was_cut_off_and_nothing_else(laptop: Host, who: str) -> None:
    host = laptop if who == "laptop" else another(laptop, who)
    before, film = folder_keys(TARGET), keys_of("film")
    everything_is_old(days=10)
    assert host.prune(*ANY_SHARE).code == 0
    assert folder_keys(TARGET) == before, "it is too young by the target's dates"
    everything_is_old()
    assert host.prune(*ANY_SHARE).code == 0
    assert folder_keys(TARGET) == sorted(set(before) - set(film))
    assert laptop.ask("verify")["damaged"] == []
    assert {one["item"] for one in laptop.ask("archive", "--yes")["archives"]} >= {"film"}


def test_a_large_share_is_asked_for(laptop: Host) -> None:
    everything_is_old()
    before = folder_keys(TARGET)
    ran = laptop.prune()
    assert ran.code != 0
    assert "--max-share" in ran.err
    assert folder_keys(TARGET) == before


@pytest.mark.parametrize("who", ["laptop", "new"])
def test_prune_takes_nothing_where_manifests_are_not_listed(laptop: Host, who: str) -> None:
    """Of this format nothing but its manifest says that an attempt was committed."""
    host = laptop if who == "laptop" else another(laptop, who)
    everything_is_old()
    before = folder_keys(TARGET, "data/")
    elsewhere = TARGET.with_name("moved")
    (TARGET / "manifests" / "laptop").rename(elsewhere)
    (TARGET / "manifests" / "laptop").symlink_to(elsewhere)
    ran = host.prune()
    assert ran.code in ({1} if who == "laptop" else {1, 2}), ran.out + ran.err
    assert folder_keys(TARGET, "data/") == before
    (TARGET / "manifests" / "laptop").unlink()
    elsewhere.rename(TARGET / "manifests" / "laptop")
    assert laptop.ask("verify")["damaged"] == []
    assert len([one for one in laptop.ask("report")["archives"] if one["proven_by"]]) == 4


def test_a_manifest_that_is_gone_is_damage_and_is_written_again(laptop: Host) -> None:
    (key,) = (key for key in keys_of("thesis") if key.startswith("manifests/laptop/"))
    data = (TARGET / key).read_bytes()
    (TARGET / key).unlink()
    for left in keys_of("film"):
        (TARGET / left).unlink()
    said = laptop.do("verify", code=1)
    assert "--repair" in said
    assert "prune" not in said
    laptop.do("verify", "--repair")
    assert (TARGET / key).read_bytes() == data
    assert laptop.ask("verify")["damaged"] == []


# -- killed on the way --------------------------------------------------------------------------------


def test_a_catalogue_whose_migration_was_killed_is_migrated_by_the_next_run(laptop: Host, tmp_path: Path) -> None:
    if problem := why_not(tmp_path):
        pytest.skip(problem)
    kept = tmp_path / "kept"
    shutil.copytree(DATA, kept)
    points = record(laptop, ("report", "--json"), tuple(_WRITES), [DATA])
    expected = receipts(laptop)
    assert len(expected) == 5
    killed = 0
    for point, fault in choose(points, _WRITES, 14):
        shutil.rmtree(DATA)
        shutil.copytree(kept, DATA)
        _, was_met = inject(laptop, ("report", "--json"), point, fault)
        killed += was_met
        assert receipts(laptop) == expected, point
    assert killed


_WRITES = {
    "pwrite64": ["signal=KILL"],
    "fsync": ["signal=KILL"],
    "fdatasync": ["signal=KILL"],
    "unlink": ["signal=KILL"],
}
_MOVES = {
    name: ["signal=KILL"]
    for name in ("renameat2", "rename", "renameat", "mkdir", "mkdirat", "rmdir", "unlinkat", "fsync")
}


def receipts(host: Host) -> list[tuple[str, str, str]]:
    found = host.ask("report")["archives"]
    return sorted((one["item"], one["manifest"], str(one["proven_by"])) for one in found)


def test_an_undo_that_was_killed_is_finished_by_the_next(laptop: Host, tmp_path: Path) -> None:
    if problem := why_not(tmp_path):
        pytest.skip(problem)
    kept, place = tmp_path / "kept", ROOT.with_name("kept")
    shutil.copytree(DATA, kept)
    shutil.copytree(ROOT, place, symlinks=True)
    points = record(laptop, ("undo",), tuple(_MOVES), [SLOTS, Path(".archive-set-aside")])
    killed = 0
    for point, fault in choose(points, _MOVES, 10):
        for folder, copy in ((DATA, kept), (ROOT, place)):
            shutil.rmtree(folder)
            shutil.copytree(copy, folder, symlinks=True)
        _, was_met = inject(laptop, ("undo",), point, fault)
        killed += was_met
        laptop.do("undo", "--all")
        assert {path: one for path, one in contents(ROOT).items() if path.startswith("photos")} == archived("photos")
    assert killed
