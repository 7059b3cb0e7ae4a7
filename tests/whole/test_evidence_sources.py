"""Whose archive is it, from where, and which is the newest: decided by device, root and number alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.support.hosts import COMMITS, YEAR, Host
from tests.support.manifests import entry, forge, header_of
from tests.support.places import FolderPlace, Place
from tests.support.restoring import comparable

MakeHost = Callable[..., Host]
MONTH, CENTURY = 30 * 86_400, 74 * YEAR


def thesis(root: Path, text: str, *, age: float = 400) -> Path:
    """A root with one item of two files, of a size and age that no text changes."""
    root.mkdir(parents=True, exist_ok=True)
    make_tree(root, {"thesis": {"a.txt": File(text.ljust(20, "."), age), "b.txt": File("the same", age)}})
    settle(root)
    return root


def settle(root: Path) -> None:
    """Times that can be put back exactly."""
    for path in (root / "thesis").rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def text_of(folder: Path) -> str:
    """Whose thesis is there?"""
    place = folder / "thesis" / "a.txt"
    return place.read_text().rstrip(".") if place.exists() else ""


def names(listed: list[dict[str, Any]]) -> set[str]:
    return {one["item"] for one in listed}


def restore(host: Host, root: Path, *flags: str, code: int = 0) -> dict[str, Any]:
    """To where it was, with that root at hand."""
    return host.ask("restore", "thesis", *flags, code=code, ARCHIVE_TASKS_ROOT=str(root))


def restored_text(host: Host, *flags: str, root: Path | None = None) -> str:
    """Whose thesis a restore to elsewhere brings."""
    shutil.rmtree(host.project / "out", ignore_errors=True)
    variables = {"ARCHIVE_TASKS_ROOT": str(root)} if root else {}
    document = host.ask("restore", "thesis", "--to", "out", *flags, **variables)
    assert document["failed"] == []
    return text_of(host.project / "out")


# -- versions of one item -----------------------------------------------------------------------------


def test_an_item_that_went_back_to_what_it_was_is_archived_again(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    for text in ("version 1", "version 2", "version 1"):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        (made,) = host.archive(thesis(root, text))["archives"]
    assert header_of(place.get(made["manifest"]))["number"] == 3
    assert names(host.archive(root)["already"]) == {"thesis"}
    assert names(host.clean(root)["freed"]) == {"thesis"}
    restore(host, root)
    assert text_of(root) == "version 1"


def test_an_item_that_went_back_is_not_cleaned_before_it_is_archived_again(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    for text in ("version 1", "version 2", "version 1"):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        thesis(root, text)
        if text == "version 2" or not place.manifests("thesis~"):
            host.archive(root)
    host.clean(root, code=None)
    assert text_of(root) == "version 1"


@pytest.mark.parametrize("kept", ["cp -a", "mv"])
def test_an_item_that_went_back_with_its_inodes_is_archived_again(
    nas: FolderPlace, make_host: MakeHost, root: Path, kept: str
) -> None:
    """What the catalogue saw of version 1 is seen again, to the last ctime, where it was only moved away."""
    host, away = make_host("laptop", nas), root.with_name("away")
    away.mkdir()
    host.archive(thesis(root, "version 1"))
    if kept == "mv":
        os.rename(root / "thesis", away / "thesis")
    else:
        shutil.copytree(root / "thesis", away / "thesis")
        shutil.rmtree(root / "thesis")
    host.archive(thesis(root, "version 2"))
    shutil.rmtree(root / "thesis")
    os.rename(away / "thesis", root / "thesis")
    host.archive(root)
    host.clean(root)
    restore(host, root)
    assert text_of(root) == "version 1"


def test_a_clock_that_was_wrong_once_does_not_decide_what_is_newest(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(thesis(root, "version 1"), MACHINE_CLOCK=str(CENTURY))
    shutil.rmtree(root / "thesis")
    host.archive(thesis(root, "version 2"))
    assert restored_text(host) == "version 2"
    host.clean(root)
    restore(host, root)
    assert text_of(root) == "version 2"


def test_after_a_loss_of_the_catalogue_the_numbers_go_on(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    for number, text in enumerate(("version 1", "version 2", "version 3"), start=1):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        (made,) = host.archive(thesis(root, text), MACHINE_CLOCK=str(-number * MONTH))["archives"]
        assert header_of(nas.get(made["manifest"]))["number"] == number
        host.forget_catalogues()
    assert restored_text(host) == "version 3"


@pytest.mark.parametrize("catalogue", ["kept", "lost"])
def test_a_version_that_is_not_listed_for_a_while_does_not_become_the_newest_again(
    make_place: Callable[[str], Place], make_host: MakeHost, root: Path, catalogue: str
) -> None:
    place = make_place("moto")
    host = make_host("laptop", place)
    host.archive(thesis(root, "version 1"))
    shutil.rmtree(root / "thesis")
    if catalogue == "lost":
        host.forget_catalogues()
    with place.hiding("manifests/"):
        host.archive(thesis(root, "version 2"))
    for who in (host, make_host("new", place)):
        assert restored_text(who) == "version 2"
    host.clean(root)
    restore(host, root)
    assert text_of(root) == "version 2"


# -- several devices that look alike ------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, CENTURY], ids=["today", "2100"])
def test_two_devices_of_one_name_and_root_get_each_their_own(
    place: Place, make_host: MakeHost, root: Path, ahead: int
) -> None:
    one, other = make_host("raspberrypi", place), make_host("raspberrypi", place)
    one.archive(thesis(root, "of one"))
    one.clean(root)
    other.archive(thesis(root, "of other"), MACHINE_CLOCK=str(ahead))
    other.clean(root)
    assert not (root / "thesis").exists()
    for host, text in ((one, "of one"), (other, "of other"), (one, "of one")):
        restore(host, root)
        assert text_of(root) == text
        shutil.rmtree(root / "thesis")


def test_all_that_comes_home_is_of_this_device(place: Place, make_host: MakeHost, root: Path) -> None:
    """Without `--to`, what another device archived from a root of the same path has no home here."""
    one, other = make_host("raspberrypi", place), make_host("raspberrypi", place)
    one.archive(thesis(root, "of one"))
    one.clean(root)
    make_tree(root, {"theirs": File("theirs", 400)})
    other.archive(thesis(root, "of other"))
    other.clean(root)
    assert os.listdir(root) == []
    for names_ in (("--all",), ("*",)):
        document = one.ask("restore", *names_, code=None, ARCHIVE_TASKS_ROOT=str(root))
        assert document.get("failed", []) == []
        assert (text_of(root), os.listdir(root)) == ("of one", ["thesis"])


def test_a_restore_mentions_what_others_archived_by_that_name(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    one, other = make_host("laptop", nas), make_host("raspberrypi", nas)
    one.archive(thesis(root, "of one"))
    shutil.rmtree(root / "thesis")
    other.archive(thesis(root, "of other"))
    said = one.do("restore", "thesis", "--to", "out")
    assert text_of(one.project / "out") == "of one"
    assert "raspberrypi" in said
    assert (
        "raspberrypi"
        not in other.do("restore", "thesis", "--to", "out").replace("also archived", "").partition("laptop")[0]
    )
    assert text_of(other.project / "out") == "of other"


def test_nothing_is_freed_by_what_another_device_archived(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    one, other = make_host("raspberrypi", nas), make_host("raspberrypi", nas)
    other.archive(thesis(root, "the same here and there"))
    for command in ("catalogue", "verify"):
        one.ask(command)
    assert names(one.clean(root, code=0)["freed"]) == set()
    assert (root / "thesis").exists()


def test_a_data_folder_that_was_copied_to_another_machine_is_another_device(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    """A disk image, or a home that is shared: the data folder is the same, the machine is not."""
    one = make_host("raspberrypi", place)
    one.archive(thesis(root, "of one"))
    other = make_host("raspberrypi", place)
    shutil.copytree(one.data, other.data)
    one.clean(root)
    other.archive(thesis(root, "of other"))
    other.clean(root)
    for host, text in ((one, "of one"), (other, "of other")):
        restore(host, root)
        assert text_of(root) == text
        shutil.rmtree(root / "thesis")


def test_a_data_folder_that_two_machines_share_is_two_devices(
    nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    one, other = (make_host("node", nas, data=shared) for _ in range(2))
    for host, text in ((one, "of one"), (other, "of other")):
        host.archive(thesis(root, text))
        host.clean(root)
    for host, text in ((one, "of one"), (other, "of other"), (one, "of one")):
        restore(host, root)
        assert text_of(root) == text
        shutil.rmtree(root / "thesis")


@pytest.mark.parametrize("how", ["renamed host", "moved data", "linked data"])
def test_a_device_stays_what_it_is(nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path, how: str) -> None:
    host = make_host("laptop", nas)
    host.archive(thesis(root, "mine"))
    if how == "renamed host":
        host.environment["MACHINE_NAME"] = "desktop"
    else:
        moved = tmp_path / "moved"
        shutil.move(host.data, moved)
        if how == "moved data":
            host.environment["XDG_DATA_HOME"] = str(moved)
        else:
            host.data.symlink_to(moved)
    before = nas.listed("data/")
    assert names(host.archive(root)["already"]) == {"thesis"}
    assert nas.listed("data/") == before
    assert names(host.clean(root)["freed"]) == {"thesis"}
    restore(host, root)
    assert text_of(root) == "mine"


def test_a_pinned_device_survives_the_loss_of_its_data_folder(place: Place, make_host: MakeHost, root: Path) -> None:
    """Containers have no data folder that lasts, and another host name each time."""
    for number in range(3):
        container = make_host(f"container{number}", place)
        container.environment["ARCHIVE_TASKS_DEVICE"] = "laboratory"
        document = container.archive(thesis(root, "of the laboratory") if not number else root)
        assert names(document["archives" if not number else "already"]) == {"thesis"}
    assert names(container.clean(root)["freed"]) == {"thesis"}
    another = make_host("container9", place)
    another.environment["ARCHIVE_TASKS_DEVICE"] = "laboratory"
    restore(another, root)
    assert text_of(root) == "of the laboratory"


@pytest.mark.parametrize("bad", ["two\nlines", " ", "x" * 1000])
def test_a_device_that_cannot_be_one_is_refused(nas: FolderPlace, make_host: MakeHost, root: Path, bad: str) -> None:
    host = make_host("laptop", nas)
    host.environment["ARCHIVE_TASKS_DEVICE"] = bad
    ran = host.run_as("archive", "--root", str(thesis(root, "mine")), "--yes")
    assert ran.code == 2, ran.err
    assert nas.listed() == []


@pytest.mark.parametrize("same", [True, False], ids=["one-text", "two-texts"])
def test_two_runs_of_one_pinned_device_that_take_one_number_end_in_one_answer(
    nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path, same: bool
) -> None:
    roots = [root, root]
    one, other = make_host("container1", nas), make_host("container2", nas)
    for host in (one, other):
        host.environment["ARCHIVE_TASKS_DEVICE"] = "laboratory"
    thesis(root, "of one")
    with one.waiting_at(COMMITS, "archive", "--root", str(roots[0]), "--yes"):
        if not same:
            shutil.rmtree(root / "thesis")
            thesis(root, "of other")
        other.archive(roots[1])
    assert len(nas.manifests("thesis~")) == 2
    found = {restored_text(host) for host in (one, other, make_host("new", nas))}
    assert len(found) == 1
    assert found <= {"of one", "of other"}
    for host in (one, other):
        host.archive(root)
        assert host.ask("verify")["damaged"] == []
    now = text_of(root)
    one.clean(root, code=None)
    if not (root / "thesis").exists():
        restore(one, root)
    assert text_of(root) == now


# -- several roots ------------------------------------------------------------------------------------


@pytest.fixture
def anna(tmp_path: Path) -> Path:
    return thesis(tmp_path / "anna" / "Documents", "of anna")


@pytest.fixture
def bob(tmp_path: Path) -> Path:
    return thesis(tmp_path / "bob" / "Documents", "of bob")


@pytest.fixture
def server(nas: FolderPlace, make_host: MakeHost, anna: Path, bob: Path) -> Host:
    """Two roots of one name, each with a thesis, archived by one device."""
    host = make_host("server", nas)
    host.archive(anna)
    host.archive(bob)
    return host


def test_the_root_at_hand_settles_whose_thesis_is_meant(server: Host, anna: Path, bob: Path) -> None:
    for root, text in ((anna, "of anna"), (bob, "of bob")):
        assert restored_text(server, root=root) == text
        shutil.rmtree(root / "thesis")
        restore(server, root)
        assert text_of(root) == text


def test_without_a_root_the_candidates_are_listed_with_how_to_choose(
    server: Host, anna: Path, bob: Path, nas: FolderPlace
) -> None:
    said = server.do("restore", "thesis", "--to", "out", code=2)
    for word in (str(anna), str(bob), "server", "--from-root", "--id"):
        assert word in said
    ids = {header_of(nas.get(key))["commit"] for key in nas.manifests("thesis~")}
    assert all(one[:4] in said for one in ids)
    assert not (server.project / "out").exists()


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_a_root_is_chosen_by_its_path(server: Host, anna: Path, bob: Path, ending: str) -> None:
    assert restored_text(server, "--from-root", f"{anna}{ending}") == "of anna"
    assert restored_text(server, "--from-root", f"{bob}{ending}") == "of bob"
    assert restored_text(server, "--from-root", f"{bob}{ending}", root=anna) == "of bob"


def test_an_archive_is_chosen_by_its_id(server: Host, nas: FolderPlace, anna: Path) -> None:
    for key in nas.manifests("thesis~"):
        header = header_of(nas.get(key))
        text = "of anna" if header["root"] == str(anna) else "of bob"
        for name in (header["commit"], header["commit"][:6]):
            assert restored_text(server, "--id", name) == text
    said = server.do("restore", "thesis", "--id", header["commit"][:3], "--to", "out", code=2)
    assert "4" in said
    server.do("restore", "thesis", "--id", "0" * 12, "--to", "out", code=2)
    server.do("restore", "thesis", "--id", "../..", "--to", "out", code=2)


def test_an_id_chooses_an_older_version(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    (first,) = host.archive(thesis(root, "version 1"))["archives"]
    shutil.rmtree(root / "thesis")
    (second,) = host.archive(thesis(root, "version 2"))["archives"]
    assert first["id"] != second["id"] or first["manifest"] != second["manifest"]
    for made, text in ((first, "version 1"), (second, "version 2")):
        commit = header_of(nas.get(made["manifest"]))["commit"]
        assert restored_text(host, "--id", commit) == text


def test_a_host_is_chosen_by_its_name(place: Place, make_host: MakeHost, root: Path) -> None:
    texts = {"laptop": "of laptop", "desktop": "of desktop"}
    for name, text in texts.items():
        shutil.rmtree(root / "thesis", ignore_errors=True)
        make_host(name, place).archive(thesis(root, text))
    new = make_host("new", place)
    said = new.do("restore", "thesis", "--to", "out", code=2)
    assert all(word in said for word in (*texts, "--host"))
    for name, text in texts.items():
        assert restored_text(new, "--host", name) == text
    new.do("restore", "thesis", "--host", "nosuch", "--to", "out", code=2)


ESCAPES = "a\x1b]0;evil\x07\nDAMAGED\u202e[b]"


def test_names_of_hosts_and_roots_are_shown_harmlessly_and_chosen_exactly(
    nas: FolderPlace, make_host: MakeHost, tmp_path: Path
) -> None:
    texts = {}
    for name in (ESCAPES, "laptop"):
        for last in (os.fsdecode(b"caf\xe9\n\x1b[31m"), "Documents"):
            root = thesis(tmp_path / name.replace("/", "") / last, f"number {len(texts)}")
            make_host(name, nas).archive(root)
            texts[name, str(root)] = f"number {len(texts)}"
    new = make_host("new", nas)
    said = new.do("restore", "thesis", "--to", "out", code=2)
    assert all(character.isprintable() or character == "\n" for character in said), ascii(said)
    assert "\nDAMAGED" not in said
    for (name, path), text in texts.items():
        assert restored_text(new, "--host", name, "--from-root", path) == text


def test_two_devices_of_one_name_are_told_apart_by_id(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    found = {}
    for text in ("of one", "of other"):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        (made,) = make_host("raspberrypi", nas).archive(thesis(root, text))["archives"]
        found[text] = header_of(nas.get(made["manifest"]))["commit"]
    new = make_host("new", nas)
    said = new.do("restore", "thesis", "--host", "raspberrypi", "--from-root", str(root), "--to", "out", code=2)
    assert all(commit[:4] in said for commit in found.values())
    for text, commit in found.items():
        assert restored_text(new, "--id", commit) == text


@pytest.mark.parametrize(
    "names_", [("--all",), ("thes*",), ("*/a.txt", "--also", "*/b.txt")], ids=["all", "pattern", "two"]
)
def test_what_several_roots_have_is_kept_apart_in_one_folder(
    server: Host, anna: Path, bob: Path, names_: tuple[str, ...]
) -> None:
    for turn in range(2):
        document = server.ask("restore", *names_, "--to", "out")
        assert document["failed"] == []
        if turn:
            assert (document["files"], document["already"]) == (0, 4)
    out = server.project / "out"
    texts = sorted(path.read_text().rstrip(".") for path in out.rglob("a.txt"))
    assert texts == ["of anna", "of bob"]
    assert len(list(out.rglob("*.txt"))) == 4


def test_what_several_hosts_have_is_kept_apart_in_one_folder(place: Place, make_host: MakeHost, root: Path) -> None:
    texts = []
    for name in ("laptop", "raspberrypi", "raspberrypi"):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        texts.append(f"number {len(texts)}")
        make_host(name, place).archive(thesis(root, texts[-1]))
    new = make_host("new", place)
    for _ in range(2):
        assert new.ask("restore", "--all", "--to", "out")["failed"] == []
    found = sorted(path.read_text().rstrip(".") for path in (new.project / "out").rglob("a.txt"))
    assert found == texts


def test_an_item_that_one_root_alone_has_needs_no_choice(server: Host, anna: Path, bob: Path) -> None:
    make_tree(anna, {"note.md": File("a note", 99)})
    server.archive(anna)
    document = server.ask("restore", "note.md", "--to", "out")
    assert (server.project / "out" / "note.md").read_text() == "a note"
    assert document["failed"] == []


def test_all_of_one_root_is_restored_as_it_was(server: Host, anna: Path, bob: Path) -> None:
    assert server.ask("restore", "--all", "--from-root", str(anna), "--to", "out")["failed"] == []
    assert comparable(read_tree(server.project / "out")) == comparable(read_tree(anna))


# -- the same bytes in another root -------------------------------------------------------------------


def test_the_same_bytes_in_another_users_root_are_archived_for_him(
    place: Place, make_host: MakeHost, tmp_path: Path
) -> None:
    mine, his = tmp_path / "anna" / "Documents", tmp_path / "bob" / "Documents"
    thesis(mine, "the same")
    shutil.copytree(mine, his)
    anna, bob = make_host("server", place), make_host("server", place)
    anna.archive(mine)
    before = place.listed("data/")
    assert names(bob.archive(his)["archives"]) == {"thesis"}
    assert set(before) < set(place.listed("data/")), "nothing is shared"
    bob.clean(his)
    anna_before = read_tree(mine)
    assert bob.ask("restore", "thesis")["failed"] == []
    assert text_of(his) == "the same"
    assert read_tree(mine) == anna_before
    for key in before:
        place.remove(key)
    assert restored_text(bob) == "the same"


def test_the_same_bytes_in_two_roots_of_one_device_are_two_archives(
    nas: FolderPlace, make_host: MakeHost, tmp_path: Path
) -> None:
    one, other = tmp_path / "one" / "Documents", tmp_path / "other" / "Documents"
    thesis(one, "the same")
    shutil.copytree(one, other)
    host = make_host("laptop", nas)
    host.archive(one)
    assert names(host.archive(other)["archives"]) == {"thesis"}
    for root in (one, other):
        assert names(host.archive(root)["already"]) == {"thesis"}
        assert names(host.clean(root)["freed"]) == {"thesis"}
    restore(host, other)
    assert (text_of(one), text_of(other)) == ("", "the same")
    restore(host, one)
    assert (text_of(one), text_of(other)) == ("the same", "the same")


# -- where a restore may write ------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that somebody else's archives say they come from."""
    folder = tmp_path / "victim"
    make_tree(folder, {".ssh": {"id": "secret"}, "Documents": {}})
    return folder


@pytest.fixture
def evil(place: Place, make_host: MakeHost, home: Path) -> Host:
    """A device that archived `.ssh` and `.config` from a folder of the very path of that home."""
    host, mine = make_host("evil", place), home.with_name("kept")
    home.rename(mine)
    make_tree(
        home, {".ssh": {"authorized_keys": File("evil", 99)}, ".config": {"autostart": {"x.desktop": File("evil", 99)}}}
    )
    host.archive(home, "--hidden")
    shutil.rmtree(home)
    mine.rename(home)
    return host


@pytest.mark.parametrize(
    "names_",
    [
        ("--all",),
        ("*",),
        (".ssh",),
        (".ssh/authorized_keys",),
        (".*",),
        (".ssh", "--host", "evil"),
        "its root",
        "its path",
    ],
    ids=str,
)
def test_nothing_is_written_to_where_somebody_elses_archive_says(
    place: Place, make_host: MakeHost, evil: Host, home: Path, names_: Any
) -> None:
    """A name of whose archives it is, or from where, is no leave to write there."""
    names_ = {"its root": ("--all", "--from-root", str(home)), "its path": (str(home / ".ssh"),)}.get(
        str(names_), names_
    )
    if place.kind != "folder" and names_ != ("--all",):
        pytest.skip("one way will do")
    victim = make_host("laptop", place)
    before = read_tree(home)
    said = victim.do("restore", *names_, "--yes", code=2)
    assert read_tree(home) == before
    assert "--to" in said
    assert victim.ask("restore", *names_, "--to", "out", code=0)["failed"] == []
    assert list((victim.project / "out").rglob("authorized_keys"))


def test_what_is_ours_is_restored_beside_what_is_refused(
    place: Place, make_host: MakeHost, evil: Host, home: Path
) -> None:
    victim, documents = make_host("laptop", place), thesis(home / "Documents", "mine")
    victim.archive(documents)
    shutil.rmtree(documents / "thesis")
    before = read_tree(home)
    said = victim.do("restore", "--all", code=3)
    assert text_of(documents) == "mine"
    shutil.rmtree(documents / "thesis")
    assert read_tree(home) == before
    assert "--to" in said


def test_a_root_of_the_settings_is_written_to_by_a_new_device(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    """A laptop that was set up again: the catalogue is gone, the configuration says which root."""
    make_host("laptop", nas).archive(thesis(root, "mine"))
    shutil.rmtree(root / "thesis")
    again = make_host("laptop", nas)
    assert restore(again, root)["failed"] == []
    assert text_of(root) == "mine"


@pytest.mark.parametrize(
    "path",
    [
        "other/a.txt",
        "thesis2/a.txt",
        "thesis/../other/a.txt",
        "/thesis/a.txt",
        "thesis//a.txt",
        "thesis/./a.txt",
        "..",
        "",
    ],
)
def test_an_entry_that_is_not_below_its_item_is_refused(
    nas: FolderPlace, make_host: MakeHost, root: Path, path: str
) -> None:
    host = make_host("laptop", nas)
    host.archive(thesis(root, "mine"))
    (key,) = nas.manifests("thesis~")
    forge(nas, key, lambda lines: entry(lines, "thesis/a.txt").update(path=path))
    new = make_host("desktop", nas)
    out = new.project / "out"
    make_tree(out, {"other": {"mine": "mine"}})
    for names_ in (("--all",), ("thesis",)):
        ran = new.run_as("restore", *names_, "--to", "out")
        assert ran.code in {1, 2, 3}, ran.out + ran.err
        assert "Traceback" not in ran.err
        assert set(os.listdir(out)) <= {"other", "thesis"}
        assert os.listdir(out / "other") == ["mine"]
        assert not list(new.project.glob("a.txt"))


def test_an_item_that_is_no_name_is_refused(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    host.archive(thesis(root, "mine"))
    (key,) = nas.manifests("thesis~")

    def climb(lines: list[dict[str, Any]]) -> None:
        lines[0]["item"] = ".."
        for line in lines[1:]:
            if "path" in line:
                line["path"] = line["path"].replace("thesis", "..", 1)

    forge(nas, key, climb)
    new = make_host("desktop", nas)
    ran = new.run_as("restore", "--all", "--to", "out")
    assert ran.code in {1, 2, 3}, ran.out + ran.err
    assert not list(new.project.rglob("a.txt"))


# -- taking over --------------------------------------------------------------------------------------


def test_what_a_lost_device_archived_is_taken_over_after_it_was_shown(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    host.archive(thesis(root, "mine"))
    host.forget_all()
    before = place.listed("data/")
    said = host.do("catalogue", "--adopt", "laptop", code=2)
    assert str(root) in said
    assert "--yes" in said
    host.do("catalogue", "--adopt", "laptop", "--yes")
    assert names(host.archive(root)["already"]) == {"thesis"}
    assert place.listed("data/") == before
    assert names(host.clean(root)["freed"]) == {"thesis"}
    assert host.ask("restore", "thesis")["failed"] == [], "its root is one of this device's now"
    assert text_of(root) == "mine"


@pytest.mark.parametrize("name", ["nosuch", "", "lap"])
def test_of_a_host_that_archived_nothing_there_is_nothing_to_take_over(
    nas: FolderPlace, make_host: MakeHost, root: Path, name: str
) -> None:
    make_host("laptop", nas).archive(thesis(root, "mine"))
    make_host("desktop", nas).do("catalogue", f"--adopt={name}", "--yes", code=2)


def test_taking_over_leaves_the_other_device_what_it_has(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    one, other = make_host("laptop", nas), make_host("desktop", nas)
    one.archive(thesis(root, "of one"))
    before = nas.contents()
    other.do("catalogue", "--adopt", "laptop", "--yes")
    assert {key: nas.get(key) for key in before} == before
    assert names(one.archive(root)["already"]) == {"thesis"}
    assert names(one.clean(root)["freed"]) == {"thesis"}
    restore(one, root)
    assert text_of(root) == "of one"


def test_what_was_taken_over_is_followed_by_higher_numbers(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    for text in ("version 1", "version 2"):
        shutil.rmtree(root / "thesis", ignore_errors=True)
        host.archive(thesis(root, text), MACHINE_CLOCK=str(YEAR))
    host.forget_all()
    host.do("catalogue", "--adopt", "laptop", "--yes")
    shutil.rmtree(root / "thesis")
    host.archive(thesis(root, "version 3"))
    host.clean(root)
    restore(host, root)
    assert text_of(root) == "version 3"


def test_what_is_taken_over_is_still_so_after_a_rebuild(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    host.archive(thesis(root, "mine"))
    host.forget_all()
    host.do("catalogue", "--adopt", "laptop", "--yes")
    host.ask("catalogue", "--rebuild")
    before = nas.listed("data/")
    assert names(host.archive(root)["already"]) == {"thesis"}
    assert nas.listed("data/") == before
