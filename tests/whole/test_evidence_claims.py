"""`archived already` and `all is well` are said of what the target showed in this run, and what is missing is healed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.support.foreign import check_target, files_of, restore_by_hand
from tests.support.hosts import ANY_SHARE, COMMITS, Host
from tests.support.manifests import entry, exchange, forge, header_of
from tests.support.places import FolderPlace, Place
from tests.support.restoring import comparable

MakeHost = Callable[..., Host]


def fill(root: Path, items: int = 1) -> Path:
    """Files of one size, so that one could be taken for another; one is an object of its own."""
    for number in range(items):
        item = "thesis" if not number else f"item{number}"
        small = {name: File(f"{name} of {number}", 400) for name in ("a.txt", "b.txt")}
        make_tree(root, {item: {**small, "large": File(bytes([number]) * 1_100_000, 400)}})
    return root


def gets_back(host: Host, root: Path, item: str = "thesis", *, to: str = "back") -> bool:
    """Does the host get the item that lies in `root`, byte for byte?"""
    shutil.rmtree(host.project / to, ignore_errors=True)
    document = host.ask("restore", item, "--to", to, code=None)
    there = host.project / to / item
    same = there.exists() and comparable(read_tree(there)) == comparable(read_tree(root / item))
    return same and document["failed"] == []


def names(listed: list[dict[str, Any]]) -> set[str]:
    return {one["item"] for one in listed}


# -- data that is gone --------------------------------------------------------------------------------

LOSSES = {
    "all": lambda keys: keys,
    "a pack": lambda keys: [key for key in keys if key.endswith(".tar.zst")],
    "a large file": lambda keys: [key for key in keys if key.endswith("/large")],
}


@pytest.mark.parametrize("what", LOSSES)
def test_what_is_missing_is_sent_again_as_a_whole(place: Place, make_host: MakeHost, root: Path, what: str) -> None:
    if place.kind != "folder" and what == "a pack":
        pytest.skip("one object or all will do")
    host = make_host("laptop", place)
    (first,) = host.archive(fill(root))["archives"]
    for key in LOSSES[what](place.listed("data/")):
        place.remove(key)
    assert host.ask("verify", code=1)["damaged"]
    said = host.do("archive", "--root", str(root), "--yes")
    assert "missing" in said
    (key,) = set(place.manifests("thesis~")) - {first["manifest"]}
    header = header_of(place.get(key))
    assert header["replaces"] == first["manifest"]
    assert header["number"] == 2
    assert host.ask("verify")["damaged"] == []
    assert host.archive(root)["already"], "once is enough"
    assert gets_back(host, root)
    assert gets_back(make_host("new", place), root)


@pytest.mark.parametrize("kind", ["same device", "its catalogue is lost", "another device"])
def test_whoever_archives_finds_out_what_is_missing(place: Place, make_host: MakeHost, root: Path, kind: str) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    for key in place.listed("data/"):
        place.remove(key)
    if kind == "its catalogue is lost":
        host.forget_catalogues()
    who = make_host("laptop", place) if kind == "another device" else host
    assert names(who.archive(root)["archives"]) == {"thesis"}
    who.clean(root)
    assert not (root / "thesis").exists()
    who.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(root))
    assert sorted(os.listdir(root / "thesis")) == ["a.txt", "b.txt", "large"]
    assert (root / "thesis" / "b.txt").read_text() == "b.txt of 0"


@pytest.mark.parametrize("how", ["cut short", "longer", "empty"])
def test_an_object_of_another_size_is_missing(nas: FolderPlace, make_host: MakeHost, root: Path, how: str) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    (key,) = [key for key in nas.listed("data/") if key.endswith("/large")]
    data = nas.get(key)
    nas.put(key, {"cut short": data[:-1], "longer": data + b"x", "empty": b""}[how])
    assert names(host.archive(root)["archives"]) == {"thesis"}
    assert host.ask("verify")["damaged"] == []
    assert gets_back(host, root)


def test_an_object_of_its_size_and_other_bytes_is_damage_and_nothing_is_cleaned(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    (key,) = [key for key in place.listed("data/") if key.endswith("/large")]
    place.put(key, b"x" * len(place.get(key)))
    assert [one["path"] for one in host.ask("verify", code=1)["damaged"]] == ["thesis/large"]
    host.clean(root, code=3)
    assert sorted(os.listdir(root / "thesis")) == ["a.txt", "b.txt", "large"]


def test_what_is_damaged_and_was_not_replaced_stays_damage(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root, 2))
    for key in nas.listed("data/"):
        nas.remove(key)
    shutil.move(root / "item1", root.with_name("gone"))
    assert names(host.archive(root)["archives"]) == {"thesis"}
    damaged = host.ask("verify", code=1)["damaged"]
    assert damaged
    assert not [one for one in damaged if "thesis" in one["path"]]


def test_a_replaced_archive_is_damage_again_where_its_replacement_is(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    for _ in range(2):
        for key in nas.listed("data/"):
            nas.remove(key)
        host.ask("verify", code=1)
        assert names(host.archive(root)["archives"]) == {"thesis"}
        host.ask("verify")
    assert gets_back(host, root)


def test_what_changed_since_replaces_nothing(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    """The older version is lost, and no archive of another version makes up for it."""
    host = make_host("laptop", nas)
    (first,) = host.archive(fill(root))["archives"]
    for key in nas.listed("data/"):
        nas.remove(key)
    make_tree(root, {"thesis": {"a.txt": File("another", 300)}})
    (second,) = host.archive(root)["archives"]
    assert "replaces" not in header_of(nas.get(second["manifest"]))
    host.ask("verify", code=1)
    assert first["manifest"] in nas.listed()


def test_what_verify_found_damaged_is_sent_again_until_it_is_seen_whole(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    """A byte that changed shows in no listing: only who read it knows."""
    host = make_host("laptop", nas)
    host.archive(fill(root, 2))
    (large,) = [key for key in nas.listed("data/") if key.endswith("/large") and "/thesis~" in key]
    data = nas.get(large)
    nas.put(large, b"x" + data[1:])
    assert host.archive(root)["archives"] == [], "nobody looked at it"
    assert "is sent again by the next archive" in host.do("verify", code=1)
    nas.put(large, data)
    host.ask("verify", "--quick")
    host.ask("verify", "--read-data", "--item", "item1")
    said = host.do("archive", "--root", str(root), "--yes")
    assert "thesis (3 files, 1.1 MB): sent again, verify found its archive damaged" in said
    assert "already   item1" in said
    nas.put(large, b"x" + data[1:])
    replaced = host.ask("verify")
    assert (replaced["damaged"], len(replaced["replaced"])) == ([], 1)


def test_what_is_whole_again_when_every_byte_was_read_is_not_sent_again(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    (large,) = [key for key in nas.listed("data/") if key.endswith("/large")]
    data = nas.get(large)
    nas.put(large, b"x" + data[1:])
    host.ask("verify", code=1)
    nas.put(large, data)
    assert host.ask("verify", "--read-data")["damaged"] == []
    assert host.archive(root)["archives"] == []


# -- manifests that are gone --------------------------------------------------------------------------


def test_a_manifest_that_is_gone_is_damage_until_it_is_written_again(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 2))
    (key,) = place.manifests("thesis~")
    data = place.get(key)
    place.remove(key)
    for _ in range(2):
        ran = host.run_as("verify")
        assert ran.code == 1
        assert "--repair" in ran.out + ran.err
        assert "prune" not in ran.out + ran.err
    assert host.prune(*ANY_SHARE).code == 1
    host.do("verify", "--repair")
    assert place.get(key) == data
    assert host.ask("verify")["damaged"] == []
    assert host.archive(root)["archives"] == []
    assert gets_back(host, root)


@pytest.mark.parametrize("how", ["gone", "cut short", "other bytes"])
@pytest.mark.parametrize("who", ["laptop", "desktop"])
def test_a_copy_of_a_manifest_that_is_not_as_it_should_be_is_said_and_written_again(
    nas: FolderPlace, make_host: MakeHost, root: Path, how: str, who: str
) -> None:
    """What a lost manifest is written again from must not rot unseen."""
    hosts = {name: make_host(name, nas) for name in ("laptop", "desktop")}
    hosts["laptop"].archive(fill(root, 2))
    (copy,) = [key for key in nas.listed("data/") if key.endswith("/manifest.jsonl.zst") and "/thesis~" in key]
    data = nas.get(copy)
    if how == "gone":
        nas.remove(copy)
    else:
        nas.put(copy, data[:-1] if how == "cut short" else b"x" + data[1:])
    (damaged,) = hosts[who].ask("verify", code=1)["damaged"]
    assert (damaged["path"], "verify --repair writes it again" in damaged["problem"]) == (copy, True)
    assert hosts["laptop"].archive(root)["archives"] == [], "the archive itself is whole"
    hosts[who].do("verify", "--repair")
    assert nas.get(copy) == data
    assert hosts[who].ask("verify")["damaged"] == []


def test_an_id_that_is_lost_is_written_again_where_the_archives_show_the_target(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host, other = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root))
    other.ask("catalogue")
    before = place.get("vault.json")
    place.remove("vault.json")
    for command in (("verify",), ("archive", "--root", str(root), "--yes"), ("catalogue", "--rebuild")):
        assert "verify --repair" in host.do(*command, code=1)
    other.do("verify", "--repair", code=2)
    assert "vault.json" not in place.listed(), "it has no receipt, and so does not know"
    assert "written again: vault.json" in host.do("verify", "--repair")
    assert json.loads(place.get("vault.json")) == json.loads(before)
    assert host.ask("verify")["damaged"] == other.ask("verify")["damaged"] == []


def test_a_target_that_is_gone_is_brought_back_or_given_up_as_the_message_says(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    nas.folder.rename(nas.folder.with_name("unplugged"))
    for command in (("verify",), ("verify", "--repair"), ("catalogue",), ("clean", "--root", str(root), "--yes")):
        said = host.do(*command, code=1)
        assert f"catalogue --forget --target {nas.url}" in said
        assert "verify --repair" not in said, "which would say the same again"
    host.do("catalogue", "--forget", "--yes", "--target", nas.url)
    assert names(host.archive(root)["archives"]) == {"thesis"}


def test_an_id_that_is_lost_is_not_given_to_another_target(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    shutil.rmtree(nas.folder)
    nas.put("somebody/else", b"x")
    host.do("verify", "--repair", code=2)
    assert nas.listed() == ["somebody/else"]


def test_what_cannot_be_written_again_is_not_well(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    make_host("laptop", nas).archive(fill(root, 2))
    (copy,) = [key for key in nas.listed("data/") if key.endswith("/manifest.jsonl.zst") and "/thesis~" in key]
    nas.remove(nas.manifests("thesis~")[0])
    fresh = make_host("desktop", nas)
    said = fresh.do("verify")
    assert "everything that has a manifest is well" in said
    assert "1 archive has a copy of the manifest but no manifest" in said
    nas.put(copy, b"junk")
    for flags in ((), ("--repair",)):
        said = fresh.do("verify", *flags, code=1)
        assert copy in said
        assert "all is well" not in said


def test_a_manifest_that_is_gone_with_its_copy_is_written_again_by_who_wrote_it(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root))
    second.ask("catalogue")
    before = place.contents()
    lost = [key for key in place.listed() if key.endswith(".jsonl.zst")]
    assert len(lost) == 2
    for key in lost:
        place.remove(key)
    host.do("verify", "--repair")
    assert {key: place.get(key) for key in place.manifests()} == {
        key: before[key] for key in lost if key in place.manifests()
    }
    assert place.manifests() == [key for key in lost if key.startswith("manifests/")]
    assert host.ask("verify")["damaged"] == []
    assert gets_back(make_host("new", place), root)


@pytest.mark.parametrize("who", ["new", "of the same name"])
def test_any_device_writes_a_manifest_again_from_its_copy(
    place: Place, make_host: MakeHost, root: Path, who: str
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    (key,) = place.manifests("thesis~")
    data = place.get(key)
    place.remove(key)
    second = make_host("laptop" if who == "of the same name" else "desktop", place)
    said = second.do("verify")
    assert "--repair" in said
    second.do("verify", "--repair")
    assert place.get(key) == data
    assert second.ask("verify")["damaged"] == []
    assert gets_back(second, root)


def test_a_copy_that_is_not_what_was_written_is_not_taken_for_the_manifest(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    (key,) = nas.manifests("thesis~")
    data = nas.get(key)
    forge(nas, key, exchange("thesis/a.txt", "thesis/b.txt"))
    nas.remove(key)
    host.run_as("verify", "--repair")
    assert key not in nas.listed() or nas.get(key) == data, "from the catalogue, or not at all"
    host.archive(root)
    assert gets_back(host, root)


def test_an_archive_whose_manifest_is_gone_is_sent_again(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    """The originals are here: archiving alone heals, as it does where data is gone."""
    host = make_host("laptop", nas)
    host.archive(fill(root))
    (key,) = nas.manifests("thesis~")
    nas.remove(key)
    assert names(host.archive(root)["archives"]) == {"thesis"}
    assert host.ask("verify")["damaged"] == []
    assert gets_back(host, root)


def test_a_commit_that_died_is_shown_and_can_be_finished(place: Place, make_host: MakeHost, root: Path) -> None:
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.dies_at(COMMITS, "archive", "--root", str(fill(root)), "--yes")
    assert place.manifests() == []
    for who in (host, second):
        said = who.do("verify")
        assert "--repair" in said
    second.do("verify", "--repair")
    assert len(place.manifests("thesis~")) == 1
    assert host.ask("verify")["damaged"] == []
    assert gets_back(second, root)
    host.archive(root)
    assert host.ask("verify")["damaged"] == []
    assert gets_back(host, root)


def test_a_commit_that_died_whose_data_is_gone_is_not_finished(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.dies_at(COMMITS, "archive", "--root", str(fill(root)), "--yes")
    (large,) = [key for key in nas.listed("data/") if key.endswith("/large")]
    nas.remove(large)
    host.run_as("verify", "--repair")
    assert not nas.manifests() or host.run_as("verify").code == 1
    host.archive(root)
    assert gets_back(host, root)


# -- a target that is empty, or another one -----------------------------------------------------------


def test_a_target_that_was_emptied_is_damage_until_it_is_forgotten_on_purpose(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 2))
    for key in place.listed():
        place.remove(key)
    ran = host.run_as("verify")
    assert ran.code == 1, ran.out + ran.err
    assert "prune" not in ran.out + ran.err
    assert host.prune(*ANY_SHARE).code == 1
    assert host.archive(root, code=1) == {}
    assert place.listed() == []
    assert "--yes" in host.do("catalogue", "--forget", code=2)
    host.ask("verify", code=1)
    said = host.do("catalogue", "--forget", "--yes")
    assert "2" in said, "it says what is lost"
    assert names(host.archive(root)["archives"]) == {"thesis", "item1"}
    assert host.ask("verify")["damaged"] == []
    assert gets_back(host, root)


def test_a_target_of_which_its_id_alone_is_left_is_damage_and_is_filled_again(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 2))
    for key in place.listed():
        if key != "vault.json":
            place.remove(key)
    ran = host.run_as("verify")
    assert ran.code == 1
    assert "prune" not in ran.out + ran.err
    host.run_as("catalogue")
    assert host.run_as("verify").code == 1, "nothing but a word of the user's makes it forget"
    assert names(host.archive(root)["archives"]) == {"thesis", "item1"}
    assert host.ask("verify")["damaged"] == []
    assert gets_back(host, root)


@pytest.mark.parametrize("command", ["verify", "prune", "archive", "clean", "catalogue"])
def test_another_target_in_its_place_is_said_and_left_alone(
    nas: FolderPlace, make_host: MakeHost, root: Path, command: str
) -> None:
    host, other = make_host("laptop", nas), make_host("desktop", nas)
    host.archive(fill(root))
    shutil.move(nas.folder, nas.folder.with_name("unplugged"))
    nas.folder.mkdir()
    other.archive(root)
    before = nas.contents()
    flags = {
        "verify": (),
        "prune": ("--orphans", "--yes", *ANY_SHARE),
        "archive": ("--root", str(root), "--yes"),
        "clean": ("--root", str(root), "--yes", "--max-share", "100", "--mode", "delete"),
        "catalogue": (),
    }
    assert host.run_as(command, *flags[command]).code == 1
    assert nas.contents() == before
    assert (root / "thesis").exists()
    shutil.rmtree(nas.folder)
    shutil.move(nas.folder.with_name("unplugged"), nas.folder)
    assert host.ask("verify")["damaged"] == []
    assert [one["proven_by"] for one in host.ask("report")["archives"]] == ["read-back"]


def test_what_was_forgotten_is_found_again(place: Place, make_host: MakeHost, root: Path) -> None:
    """Forgetting takes receipts, and nothing of the target: it is proven anew before it is relied on."""
    host = make_host("laptop", place)
    host.archive(fill(root))
    before = place.contents()
    host.do("catalogue", "--forget", "--yes")
    assert place.contents() == before
    assert names(host.archive(root)["already"]) == {"thesis"}
    assert place.listed("data/") == [key for key in before if key.startswith("data/")]
    host.clean(root)
    assert not (root / "thesis").exists()
    host.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(root))
    assert (root / "thesis" / "a.txt").read_text() == "a.txt of 0"


def test_a_target_that_was_copied_elsewhere_is_looked_at_and_not_believed(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host, url = make_host("laptop", nas), f"{nas.url}2"
    host.archive(fill(root, 2))
    copy = Path(shutil.copytree(nas.folder, f"{nas.folder}2"))
    (lost,) = [path for path in copy.rglob("large") if "item1" in str(path)]
    lost.unlink()
    document = host.archive(root, "--target", url)
    assert (names(document["already"]), names(document["archives"])) == ({"thesis"}, {"item1"})
    assert host.ask("verify", "--target", url)["damaged"] == []
    host.clean(root, "--target", url)
    assert os.listdir(root) == []
    host.ask("restore", "item1", "--target", url, ARCHIVE_TASKS_ROOT=str(root))
    assert (root / "item1" / "a.txt").read_text() == "a.txt of 1"


# -- one item -----------------------------------------------------------------------------------------

ODD = ("a", "ba", "a~b", "-a", "a\nb", "a b", "[a]*", "über", os.fsdecode(b"caf\xe9"), "x" * 200, "a.b.c", "a..")


def test_verifying_one_item_says_nothing_of_the_others(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 3))
    ran = host.run_as("verify", "--item", "item1", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["archives"], document["orphans"], document["damaged"]) == (0, 1, [], [])
    assert "prune" not in ran.err
    (lost,) = [key for key in place.listed("data/") if "/item2~" in key and key.endswith("/large")]
    place.remove(lost)
    assert host.ask("verify", "--item", "item1")["damaged"] == []
    assert host.ask("verify", "--item", "item2", code=1)["damaged"]


@pytest.mark.parametrize("item", ["nosuch", "thesi", "thesis2", "", "*", "thesis/a.txt"])
def test_an_item_that_is_not_in_the_target_is_wrong_use(
    nas: FolderPlace, make_host: MakeHost, root: Path, item: str
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    said = host.do("verify", "--item", item, code=2)
    assert "all is well" not in said


def test_an_item_is_found_by_its_very_name(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    make_tree(root, {name: {"x": File(name.encode(errors="surrogateescape"), 400)} for name in ODD})
    assert len(host.archive(root)["archives"]) == len(ODD)
    for name in ODD:
        assert host.ask("verify", f"--item={name}")["archives"] == 1, name
    assert host.ask("verify", "--item", "a/")["archives"] == 1


def test_an_item_whose_manifest_alone_is_gone_is_damage_and_no_wrong_use(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root, 2))
    (key,) = nas.manifests("thesis~")
    nas.remove(key)
    assert host.run_as("verify", "--item", "thesis").code == 1
    assert host.run_as("verify", "--item", "item1").code == 0


# -- a root under another name ------------------------------------------------------------------------


def test_a_root_that_was_renamed_is_archived_and_cleaned(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    renamed = root.rename(root.with_name("renamed"))
    kept = Path(shutil.copytree(renamed, root.with_name("kept")))
    assert names(host.archive(renamed)["archives"]) == {"thesis"}
    assert names(host.archive(renamed)["already"]) == {"thesis"}
    assert names(host.clean(renamed)["freed"]) == {"thesis"}
    host.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(renamed))
    assert comparable(read_tree(renamed / "thesis")) == comparable(read_tree(kept / "thesis"))
    assert not root.exists()


@pytest.mark.parametrize("ending", ["", "/"])
def test_what_a_renamed_root_has_in_the_target_may_be_taken_over(
    place: Place, make_host: MakeHost, root: Path, ending: str
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    renamed = root.rename(root.with_name("renamed"))
    before = place.listed("data/")
    moved = ("catalogue", "--moved", f"{root}{ending}", "--root", f"{renamed}{ending}")
    assert "--yes" in host.do(*moved, code=2)
    host.do(*moved, "--yes")
    assert names(host.archive(renamed)["already"]) == {"thesis"}
    assert place.listed("data/") == before
    assert names(host.clean(renamed)["freed"]) == {"thesis"}
    host.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(renamed))
    assert (renamed / "thesis" / "a.txt").read_text() == "a.txt of 0"
    assert not root.exists()


@pytest.mark.parametrize("old", ["/no/such/root", "relative", ""])
def test_a_root_of_which_nothing_is_archived_was_not_moved(
    nas: FolderPlace, make_host: MakeHost, root: Path, old: str
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    host.do("catalogue", f"--moved={old}", "--root", str(root), "--yes", code=2)
    assert "is its current path" in host.do("catalogue", f"--moved={root}/", "--root", str(root), "--yes", code=2)


# -- a manifest that lies -----------------------------------------------------------------------------


@pytest.fixture
def lying(nas: FolderPlace, make_host: MakeHost, root: Path) -> Host:
    """A device that wrote an archive whose manifest exchanges two files of one size."""
    host = make_host("laptop", nas)
    host.archive(fill(root))
    (key,) = nas.manifests("thesis~")
    forge(nas, key, exchange("thesis/a.txt", "thesis/b.txt"))
    assert check_by_hand(nas, key) != {"thesis/a.txt": b"a.txt of 0", "thesis/b.txt": b"b.txt of 0"}
    return host


def check_by_hand(place: Place, key: str) -> dict[str, bytes]:
    found = files_of(place.get(key), place.get)
    return {path: found[path] for path in ("thesis/a.txt", "thesis/b.txt")}


def test_a_second_device_relies_on_nobody_elses_manifest(
    place: Place, make_host: MakeHost, root: Path, tmp_path: Path
) -> None:
    first, second = make_host("laptop", place), make_host("desktop", place)
    first.archive(fill(root))
    (key,) = place.manifests("thesis~")
    forge(place, key, exchange("thesis/a.txt", "thesis/b.txt"))
    kept = Path(shutil.copytree(root, tmp_path / "kept"))
    second.archive(root)
    second.clean(root, code=None)
    if not (root / "thesis").exists():
        second.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(root))
    assert comparable(read_tree(root)) == comparable(read_tree(kept))


@pytest.mark.parametrize("how", ["catalogue lost", "rebuilt", "forgotten", "adopted"])
def test_without_a_receipt_every_entry_is_read_before_anything_is_cleaned(
    lying: Host, nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path, how: str
) -> None:
    kept = Path(shutil.copytree(root, tmp_path / "kept"))
    who = lying
    if how == "catalogue lost":
        lying.forget_catalogues()
    elif how == "rebuilt":
        lying.forget_catalogues()
        lying.ask("catalogue", "--rebuild")
    elif how == "forgotten":
        lying.do("catalogue", "--forget", "--yes")
    else:
        who = make_host("desktop", nas)
        who.do("catalogue", "--adopt", "laptop", "--yes")
    for _ in range(2):
        who.run_as("archive", "--root", str(root), "--yes")
        who.clean(root, code=None)
        if (root / "thesis").exists():
            assert comparable(read_tree(root)) == comparable(read_tree(kept))
        else:
            who.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(root))
            assert comparable(read_tree(root)) == comparable(read_tree(kept))


def test_a_manifest_that_lies_is_damage_when_every_byte_is_read(
    lying: Host, make_host: MakeHost, nas: FolderPlace
) -> None:
    assert lying.ask("verify", code=1)["damaged"], "it is not what this device wrote"
    new = make_host("desktop", nas)
    damaged = new.ask("verify", "--read-data", code=1)["damaged"]
    assert {one["path"] for one in damaged} == {"thesis/a.txt", "thesis/b.txt"}


LIES: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "another digest": lambda lines: entry(lines, "thesis/a.txt").update(sha256="0" * 64),
    "a file less": lambda lines: lines.remove(entry(lines, "thesis/a.txt")),
    "another size": lambda lines: entry(lines, "thesis/a.txt").update(size=9),
    "beyond its frame": lambda lines: entry(lines, "thesis/a.txt").update(within=1 << 40),
    "below its frame": lambda lines: entry(lines, "thesis/a.txt").update(within=-1),
    "another key": lambda lines: entry(lines, "thesis/a.txt").update(key="vault.json"),
    "no pack": lambda lines: lines.remove(next(line for line in lines if "object" in line)),
    "another item": lambda lines: lines[0].update(item="thesis2"),
    "another source": lambda lines: lines[0].update(device="0" * 32),
    "another number": lambda lines: lines[0].update(number=-1),
    "no number": lambda lines: lines[0].update(number="many"),
    "extents": lambda lines: entry(lines, "thesis/large").update(extents=[[0, 5]]),
    "sealed": lambda lines: lines[0].update(sealed={"to": "somebody"}),
}


@pytest.mark.parametrize("lie", LIES)
def test_whatever_a_manifest_says_nothing_goes_that_cannot_come_back(
    nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path, lie: str
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    kept = Path(shutil.copytree(root, tmp_path / "kept"))
    (key,) = nas.manifests("thesis~")
    forge(nas, key, LIES[lie])
    host.forget_catalogues()
    ran = host.run_as("verify", "--read-data")
    assert "Traceback" not in ran.err
    host.clean(root, code=None)
    host.run_as("archive", "--root", str(root), "--yes")
    host.clean(root, code=None)
    if not (root / "thesis").exists():
        host.ask("restore", "thesis", ARCHIVE_TASKS_ROOT=str(root))
    assert comparable(read_tree(root)) == comparable(read_tree(kept))


def test_a_manifest_of_its_size_in_the_place_of_another_is_damage(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 2))
    (key,) = place.manifests("thesis~")
    data = place.get(key)
    place.put(key, data[:-20] + bytes(20))
    assert host.ask("verify", code=1)["damaged"]
    assert names(host.clean(root, code=3)["freed"]) == {"item1"}
    assert (root / "thesis").exists()
    host.run_as("verify", "--repair")
    host.run_as("archive", "--root", str(root), "--yes")
    assert gets_back(host, root)


# -- what lies in the target can be read by others ----------------------------------------------------


def test_every_archive_is_whole_by_plain_tools_after_all_that(
    place: Place, make_host: MakeHost, root: Path, tmp_path: Path
) -> None:
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root))
    second.archive(root)
    for key in place.listed("data/laptop/"):
        place.remove(key)
    (lost,) = [key for key in place.manifests() if key.startswith("manifests/laptop/")]
    place.remove(lost)
    host.archive(root)
    for key in place.manifests():
        check_target([key], place.get)
        out = tmp_path / key.replace("/", " ")
        restore_by_hand(place.get(key), place.get, out)
        assert comparable(read_tree(out)) == comparable(read_tree(root))
