"""What `prune` must never remove, whoever else writes to the place, whatever is listed, whatever the clocks say."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.support.hosts import ANY_SHARE, COMMITS, NEARLY_COMMITS, YEAR, Host
from tests.support.manifests import header_of, written
from tests.support.places import FolderPlace, MotoPlace, Place
from tests.support.restoring import comparable

MakeHost = Callable[..., Host]
ID, ATTEMPT = "0123456789abcdef" * 2, "0123456789ab"


def fill(root: Path, items: int = 1, *, age: float = 400) -> Path:
    """Two small files in each item."""
    for number in range(items):
        item = "thesis" if not number else f"item{number}"
        make_tree(root, {item: {"a.txt": File(f"alpha {number}", age), "b.txt": File(f"beta {number}", age)}})
    return root


def restored(host: Host, root: Path, item: str = "thesis", *flags: str) -> bool:
    """Does the host get its item back, byte for byte? `root` holds what it was."""
    document = host.ask("restore", item, "--to", "back", *flags)
    back = host.project / "back"
    same = comparable(read_tree(back / item)) == comparable(read_tree(root / item))
    return same and document["failed"] == []


def cut_off(host: Host, root: Path, *, at: str = NEARLY_COMMITS, kilobytes: int = 1) -> None:
    """A run of the host's that died right before it committed the item `film`."""
    make_tree(root, {"film": {"reel": File(os.urandom(1000 * kilobytes), 300), "cut": File("cut", 300)}})
    host.dies_at(at, "archive", "--root", str(root), "--yes")


def attempts_of(place: Place, item: str) -> list[str]:
    return [key for key in place.listed("data/") if f"/{item}~" in key]


# -- several hosts, one folder ------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("hosta", "hostb"), ("raspberrypi", "raspberrypi")], ids=["two-names", "one-name"])
def test_two_hosts_that_archived_one_folder_at_once_both_keep_what_they_archived(
    place: Place, make_host: MakeHost, root: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    kept = shutil.copytree(fill(root), tmp_path / "kept")
    one, other = (make_host(name, place) for name in names)
    with one.waiting_at(COMMITS, "archive", "--root", str(root), "--yes"):
        other.archive(root)
    one.clean(root)
    assert not (root / "thesis").exists()
    place.age(20)
    before = place.listed()
    for host in (one, other):
        assert host.prune(*ANY_SHARE).code == 0
    assert place.listed() == before
    for host in (one, other):
        assert host.ask("verify")["damaged"] == []
        assert restored(host, kept)


def test_two_hosts_that_archived_one_folder_one_after_the_other_depend_on_nothing_of_each_other(
    nas: FolderPlace, make_host: MakeHost, root: Path, tmp_path: Path
) -> None:
    """What one of them stored is lost; the other, which was told that its item is archived, has it."""
    kept = shutil.copytree(fill(root), tmp_path / "kept")
    one, other = make_host("hosta", nas), make_host("hostb", nas)
    one.archive(root)
    other.archive(root)
    other.clean(root)
    for key in nas.listed("data/hosta/"):
        nas.remove(key)
    assert restored(other, kept)


# -- what is not ours ---------------------------------------------------------------------------------

FOREIGN = (
    "data/holiday.jpg",
    "data/2019/trip/raw.bin",
    f"data/photos~{ID}/{ATTEMPT}/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/notes.txt",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/packs/00001.tar",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/packs/x.tar.zst",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/raw/00001.tar.zst",
    f"data/mac/Photos/2024-1-31/trip~{ID}/{ATTEMPT}/files/raw.bin",
    f"data/mac/Photos/2024-13-41/trip~{ID}/{ATTEMPT}/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID[:-1]}/{ATTEMPT}/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID.upper()}/{ATTEMPT}/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}0/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT[:-1]}/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT.upper()}/files/raw.bin",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/files/my holiday.jpg",
    f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/files/über.jpg",
    f"data/2024-01-31/trip~{ID}/{ATTEMPT}/files/raw.bin",
    f"Data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/files/raw.bin",
    f"old/data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/files/raw.bin",
)


def test_files_of_the_users_own_below_data_stay(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    for key in FOREIGN:
        place.put(key, key.encode())
    place.age(40)
    before = place.contents()
    ran = host.prune(*ANY_SHARE)
    assert "Traceback" not in ran.err
    assert place.contents() == before


@pytest.mark.parametrize("kind", ["a link", "a folder", "a pipe"])
def test_what_is_no_plain_file_below_data_stays(nas: FolderPlace, make_host: MakeHost, root: Path, kind: str) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    odd = nas.folder / f"data/mac/Photos/2024-01-31/trip~{ID}/{ATTEMPT}/files/raw"
    odd.parent.mkdir(parents=True)
    mine = nas.folder.parent / "mine"
    make_tree(mine, {"precious": "mine"})
    if kind == "a link":
        odd.symlink_to(mine)
    elif kind == "a folder":
        odd.mkdir()
    else:
        os.mkfifo(odd)
    host.prune(*ANY_SHARE)
    assert os.path.lexists(odd)
    assert (mine / "precious").read_text() == "mine"


@pytest.mark.parametrize("outer_first", [True, False], ids=["inside", "around"])
@pytest.mark.parametrize("below", ["data", "data/x/y", "archive"])
def test_a_target_inside_or_around_another_is_refused(
    place: Place, make_host: MakeHost, root: Path, below: str, outer_first: bool
) -> None:
    if place.kind != "folder" and below == "data/x/y":
        pytest.skip("one depth will do")
    host, url = make_host("laptop", place), f"{place.url}/{below}"
    first, second = (place.url, url) if outer_first else (url, place.url)
    fill(root)
    host.archive(root, "--target", first)
    before = place.contents()
    for flags in ((), ("--create",)):
        assert host.archive(root, "--target", second, *flags, code=2) == {}
    assert place.contents() == before
    assert host.ask("verify", "--target", first)["damaged"] == []


def test_two_targets_side_by_side_are_two_targets(place: Place, make_host: MakeHost, root: Path) -> None:
    """Though one's name begins with all of the other's."""
    host = make_host("laptop", place)
    fill(root)
    for name in ("vault", "vault2", "vault2.old"):
        document = host.archive(root, "--target", f"{place.url}/{name}")
        assert [one["item"] for one in document["archives"]] == ["thesis"]
        assert host.ask("verify", "--target", f"{place.url}/{name}")["damaged"] == []


def test_a_target_that_came_to_lie_inside_another_ends_prune(place: Place, make_host: MakeHost, root: Path) -> None:
    """Seen from the outer one, the keys of the inner one have our shape."""
    fill(root)
    host, url = make_host("laptop", place), f"{place.url}/outer"
    host.archive(root, "--target", f"{place.url}/inner")
    host.archive(root, "--target", url)
    place.copy("inner/", "outer/data/")
    place.age(40)
    before = place.contents()
    ran = host.prune("--target", url, *ANY_SHARE)
    assert ran.code == 1, ran.out + ran.err
    assert f"{url}/data" in ran.err
    assert place.contents() == before
    assert restored(host, root, "thesis", "--target", url)


def test_a_target_that_is_another_one_by_now_ends_prune(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root))
    cut_off(host, root)
    place.put("vault.json", b'{"archive_tasks": "vault", "format": 1, "id": "%s"}' % (b"0" * 32))
    place.age(40)
    before = place.contents()
    ran = host.prune(*ANY_SHARE)
    assert ran.code == 1, ran.out + ran.err
    assert place.contents() == before


def test_a_copy_of_the_target_below_it_stays(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    """As `rsync -a nas/ nas/backup/` leaves it; its vault.json says that it is this target."""
    host = make_host("laptop", nas)
    host.archive(fill(root))
    cut_off(host, root)
    nas.copy("", "backup/")
    nas.copy("backup/", "data/backup/")
    nas.age(40)
    before = nas.contents("backup/") | nas.contents("data/backup/")
    host.prune(*ANY_SHARE)
    assert nas.contents("backup/") | nas.contents("data/backup/") == before
    assert host.ask("verify")["damaged"] == []


# -- a new target -------------------------------------------------------------------------------------


def test_a_place_that_is_not_empty_is_no_target_before_the_user_says_so(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    fill(root)
    for key in ("letter.txt", "data/mine.bin"):
        place.put(key, key.encode())
    before = place.contents()
    for command in (("archive", "--root", str(root), "--yes"), ("setup", "--target", place.url, "--yes")):
        said = host.do(*command, code=2)
        assert "--create" in said
        assert place.contents() == before
    assert [one["item"] for one in host.archive(root, "--create")["archives"]] == ["thesis"]
    assert {key: place.get(key) for key in before} == before
    assert host.archive(root)["already"], "once is enough"


def test_setup_makes_a_target_of_a_place_that_is_not_empty_where_it_is_told_to(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", place)
    place.put("letter.txt", b"mine")
    host.do("setup", "--target", place.url, "--create", "--yes")
    assert host.archive(fill(root))["archives"]
    assert place.get("letter.txt") == b"mine"


def test_a_place_that_holds_our_readme_alone_is_empty(place: Place, make_host: MakeHost, root: Path) -> None:
    """As a run leaves it that died between the README and the id."""
    host = make_host("laptop", place)
    host.archive(fill(root), "--target", f"{place.url}/one")
    place.put("two/README.txt", place.get("one/README.txt"))
    assert host.archive(root, "--target", f"{place.url}/two")["archives"]


def test_the_default_target_needs_no_word(make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop")
    make_tree(host.own_data / "vault", {"mine.txt": "mine"})
    assert host.archive(fill(root))["archives"]
    assert (host.own_data / "vault" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("flags", [(), ("--create",)], ids=["plain", "create"])
def test_a_vault_of_another_program_is_left_alone(
    nas: FolderPlace, make_host: MakeHost, root: Path, flags: tuple[str, ...]
) -> None:
    nas.put("vault.json", b'{"keys": ["secret"]}')
    host = make_host("laptop", nas)
    ran = host.run_as("archive", "--root", str(fill(root)), "--yes", *flags)
    assert ran.code in {1, 2}, ran.out + ran.err
    assert nas.contents() == {"vault.json": b'{"keys": ["secret"]}'}


def test_a_folder_of_the_users_is_not_swept(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    fill(root)
    make_tree(nas.folder, {".incoming": {"draft.pdf": File("draft", 99), "0123456789abcdef01234567": File("hex", 99)}})
    before = read_tree(nas.folder / ".incoming")
    host.run_as("archive", "--root", str(root), "--yes")
    assert read_tree(nas.folder / ".incoming") == before
    host.archive(root, "--create")
    assert read_tree(nas.folder / ".incoming") == before


def test_of_our_own_temporary_files_those_are_swept_that_nobody_writes_any_more(
    nas: FolderPlace, make_host: MakeHost, root: Path
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    ours, folder = "0123456789abcdef01234567", nas.folder / ".archive-incoming"
    names = {
        f"{ours}.part": 99,
        f"{ours[::-1]}.part": 1,
        ours: 99,
        f"{ours}.PART": 99,
        "draft.part": 99,
        f"{ours}0.part": 99,
    }
    make_tree(folder, {name: File("x", age) for name, age in names.items()})
    (folder / f"{ours[1:]}f.part").mkdir()
    host.archive(fill(root, 2))
    left = set(os.listdir(folder))
    assert f"{ours}.part" not in left
    assert left == set(names) - {f"{ours}.part"} | {f"{ours[1:]}f.part"}


@pytest.mark.parametrize("mode", [0o2770, 0o2775, 0o700])
def test_a_folder_target_is_for_whom_its_top_folder_is_for(
    nas: FolderPlace, make_host: MakeHost, root: Path, mode: int
) -> None:
    nas.folder.chmod(mode)
    if os.geteuid() == 0:
        os.chown(nas.folder, -1, 12345)
    host = make_host("laptop", nas)
    host.archive(fill(root))
    wanted = nas.folder.stat()
    for path in nas.folder.rglob("*"):
        facts = path.stat()
        assert facts.st_gid == wanted.st_gid, path
        rights = stat.S_IMODE(wanted.st_mode)
        expected = rights if path.is_dir() else rights & 0o666
        assert stat.S_IMODE(facts.st_mode) in {expected, expected & ~0o222}, path
        if path.is_dir():
            assert stat.S_IMODE(facts.st_mode) == rights, path


# -- what is not listed -------------------------------------------------------------------------------


def test_manifests_that_are_not_listed_for_a_while_cost_nothing(place: Place, make_host: MakeHost, root: Path) -> None:
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root, 3))
    place.age(40)
    before, known = place.contents(), host.ask("report")["archives"]
    with place.hiding("manifests/laptop/"):
        assert host.prune(*ANY_SHARE).code == 1
        host.run_as("catalogue")
        host.run_as("restore", "thesis", "--to", "nowhere")
        assert host.prune(*ANY_SHARE).code == 1
        second.prune(*ANY_SHARE)
        hidden = host.run_as("verify")
        there = place.kind == "moto"  # and can be read by its key, which links prevent
        assert hidden.code == (0 if there else 1), "a receipt without its manifest is damage"
        assert "prune" not in hidden.out + hidden.err
    assert place.contents() == before
    assert host.ask("report")["archives"] == known
    assert host.ask("verify")["damaged"] == []
    assert restored(host, root)
    assert restored(second, root)


def test_a_copy_that_is_not_listed_is_asked_for_by_its_name(
    make_place: Callable[[str], Place], make_host: MakeHost, root: Path
) -> None:
    """A listing that lags behind shows the packs, and neither the manifests nor their copies."""
    place = make_place("moto")
    assert isinstance(place, MotoPlace)
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root, 3))
    place.age(40)
    before = place.contents()
    with place.hiding_all(r"\.jsonl\.zst$"):
        second.prune(*ANY_SHARE)
        host.prune(*ANY_SHARE)
    assert place.contents() == before
    assert restored(second, root)


def test_a_receipt_without_its_manifest_ends_prune(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    host.archive(fill(root, 3))
    cut_off(host, root)
    (gone,) = place.manifests("item1~")
    place.remove(gone)
    place.age(40)
    before = place.contents()
    ran = host.prune(*ANY_SHARE)
    assert ran.code == 1, ran.out + ran.err
    assert place.contents() == before


@pytest.mark.parametrize("how", ["garbage of its size", "cut short", "of the future", "sealed"])
@pytest.mark.parametrize("knows_it", [True, False], ids=["known", "new"])
def test_a_manifest_that_cannot_be_read_ends_prune(
    nas: FolderPlace, make_host: MakeHost, root: Path, how: str, knows_it: bool
) -> None:
    host, second = make_host("laptop", nas), make_host("desktop", nas)
    host.archive(fill(root, 2))
    if knows_it:
        second.ask("catalogue")
    cut_off(host, root)
    (key,) = nas.manifests("item1~")
    data = nas.get(key)
    header = header_of(data)
    future = written([header | {"format": 99}])
    sealed = written([header | {"sealed": {"to": "age1..."}}])
    bad = {
        "garbage of its size": os.urandom(len(data)),
        "cut short": data[:-9],
        "of the future": future,
        "sealed": sealed,
    }
    nas.put(key, bad[how])
    nas.age(40)
    before = nas.contents()
    for who in (second, host):
        ran = who.prune(*ANY_SHARE)
        assert ran.code == 1, ran.out + ran.err
        assert nas.contents() == before


# -- clocks -------------------------------------------------------------------------------------------


def test_a_clock_that_is_a_year_ahead_makes_nothing_old(place: Place, make_host: MakeHost, root: Path) -> None:
    fill(root)
    uploader, pruner = make_host("laptop", place), make_host("desktop", place)
    with uploader.waiting_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes"):
        before = place.listed("data/")
        assert before
        assert pruner.prune(*ANY_SHARE, MACHINE_CLOCK=str(YEAR)).code == 0
        assert place.listed("data/") == before
    assert pruner.ask("verify")["damaged"] == []
    assert restored(pruner, root)


def test_a_clock_that_is_a_year_behind_makes_nothing_young(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    cut_off(host, root)
    nas.age(20)
    assert host.prune(*ANY_SHARE, MACHINE_CLOCK=str(-YEAR)).code == 0
    assert attempts_of(nas, "film") == []
    assert host.ask("verify")["damaged"] == []


def test_an_upload_that_outlasts_the_grace_ends_with_a_whole_archive_or_none(
    place: Place, make_host: MakeHost, root: Path
) -> None:
    fill(root)
    uploader, pruner = make_host("laptop", place), make_host("desktop", place)
    with uploader.waiting_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes", code=None):
        place.age(20, "data/")
        assert pruner.prune(*ANY_SHARE).code == 0
    assert pruner.ask("verify")["damaged"] == []
    uploader.archive(root)
    assert pruner.ask("verify")["damaged"] == []
    assert restored(pruner, root)
    assert restored(uploader, root)


@pytest.mark.parametrize("kind", ["rclone", "moto"])
def test_an_upload_that_goes_on_while_it_is_pruned_ends_with_a_whole_archive_or_none(
    make_place: Callable[[str], Place], make_host: MakeHost, root: Path, kind: str
) -> None:
    """The pruner has looked, and is about to remove the first object; only then the uploader wants to commit."""
    place = make_place(kind)
    fill(root)
    uploader, pruner = make_host("laptop", place), make_host("desktop", place)
    prune = ("prune", "--orphans", "--yes", *ANY_SHARE)
    with contextlib.ExitStack() as pruning:
        with uploader.waiting_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes", code=None):
            place.age(20, "data/")
            pruning.enter_context(pruner.waiting_at(r"DELETE \S*/data/", *prune))
        before = place.manifests()
    for host in (uploader, pruner):
        assert host.ask("verify")["damaged"] == []
    assert set(before) <= set(place.manifests())
    uploader.archive(root)
    assert restored(pruner, root)


def test_an_upload_that_stood_still_for_a_week_is_not_committed(place: Place, make_host: MakeHost, root: Path) -> None:
    """Another device's prune may have taken for dead what it sent before."""
    host = make_host("laptop", place)
    fill(root)
    with host.waiting_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes", code=None):
        place.age(8, "data/")
    host.archive(root)
    assert host.ask("verify")["damaged"] == []
    (key,) = place.manifests("thesis~")
    spoken_of = header_of(place.get(key))["data"]
    now = datetime.now(UTC)
    assert all(now - place.date(one) < timedelta(days=7) for one in place.listed(spoken_of))


def test_an_upload_that_was_a_little_slow_is_committed(place: Place, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", place)
    fill(root)
    with host.waiting_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes"):
        place.age(6, "data/")
        before = place.listed("data/")
    assert set(before) <= set(place.listed("data/"))
    assert host.archive(root)["already"]
    assert host.ask("verify")["damaged"] == []


# -- what it does remove ------------------------------------------------------------------------------


def test_what_a_run_left_that_died_is_removed_when_it_is_old(place: Place, make_host: MakeHost, root: Path) -> None:
    host, second = make_host("laptop", place), make_host("desktop", place)
    host.archive(fill(root))
    cut_off(host, root)
    before, film = place.listed(), attempts_of(place, "film")
    assert film
    place.age(13)
    assert second.prune(*ANY_SHARE).code == 0
    assert place.listed() == before
    place.age(15)
    dry = second.ask("prune", "--orphans", "--dry-run", *ANY_SHARE)
    assert len(dry["would_remove"]) == 1
    assert place.listed() == before
    document = second.ask("prune", "--orphans", "--yes", *ANY_SHARE)
    assert len(document["removed"]) == 1
    assert place.listed() == sorted(set(before) - set(film)), "nothing else, and nothing of its own is left"
    assert {one["item"] for one in host.archive(root)["archives"]} == {"film"}
    assert restored(host, root, "film")


def test_one_young_object_keeps_its_attempt(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    make_tree(root, {"film": {f"reel{n}": File(os.urandom(3000), 99) for n in range(4)}})
    host.environment["ARCHIVE_TASKS_PACK_BELOW"] = "0"
    host.dies_at(NEARLY_COMMITS, "archive", "--root", str(root), "--yes")
    nas.age(40)
    before = nas.listed()
    nas.set_date(attempts_of(nas, "film")[1], datetime.now(UTC) - timedelta(days=3))
    assert host.prune(*ANY_SHARE).code == 0
    assert nas.listed() == before


def test_what_was_nearly_committed_is_kept_however_old_it_is(place: Place, make_host: MakeHost, root: Path) -> None:
    """A copy of the manifest is there: the commit itself may be under way, or not listed."""
    host = make_host("laptop", place)
    host.archive(fill(root))
    cut_off(host, root, at=COMMITS)
    place.age(400)
    before = place.listed()
    assert attempts_of(place, "film")
    assert host.prune(*ANY_SHARE).code == 0
    assert place.listed() == before
    document = host.archive(root)
    assert {one["item"] for one in (*document["archives"], *document["already"])} == {"thesis", "film"}
    assert host.ask("verify")["damaged"] == []
    assert restored(host, root, "film")


@pytest.mark.parametrize("by", ["objects", "bytes"])
def test_more_than_a_tenth_is_not_removed_without_a_further_word(
    nas: FolderPlace, make_host: MakeHost, root: Path, by: str
) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root, 1 if by == "objects" else 24))
    cut_off(host, root, kilobytes=1 if by == "objects" else 300)
    nas.age(40)
    before = nas.listed()
    ran = host.prune()
    assert ran.code != 0
    assert "--max-share" in ran.out + ran.err
    assert nas.listed() == before
    assert host.prune("--max-share", "99").code == 0
    assert attempts_of(nas, "film") == []


def test_a_small_share_needs_no_further_word(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    make_tree(root, {"large": {"x": File(os.urandom(200_000), 300)}})
    host = make_host("laptop", nas)
    host.archive(fill(root, 24))
    cut_off(host, root)
    nas.age(40)
    assert host.prune().code == 0
    assert attempts_of(nas, "film") == []
    assert host.ask("verify")["damaged"] == []


@pytest.mark.parametrize("share", ["101", "much", "-5"])
def test_a_share_that_is_none_is_wrong_use(nas: FolderPlace, make_host: MakeHost, root: Path, share: str) -> None:
    host = make_host("laptop", nas)
    host.archive(fill(root))
    assert host.prune(f"--max-share={share}").code == 2


DATED = """
from archive_tasks import hookimpl
from archive_tasks.default_plugins.stores.folder.store import FolderStore

class Dated:
    dates_can_be_set = True

    def __init__(self, url, settings):
        self._store = FolderStore(url.replace("dated:", "file:"), settings)
        self.url = url

    def __getattr__(self, name):
        return getattr(self._store, name)

@hookimpl
def register_stores(settings):
    return {"dated": Dated}
"""


def test_a_store_whose_dates_anybody_can_set_is_not_pruned(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    (host.project / "plugins").mkdir()
    (host.project / "plugins" / "dated.py").write_text(DATED)
    host.environment["ARCHIVE_TASKS_TARGET"] = nas.url.replace("file:", "dated:")
    host.archive(fill(root))
    cut_off(host, root)
    nas.age(40)
    before = nas.listed()
    assert host.prune(*ANY_SHARE).code == 2
    assert nas.listed() == before


@pytest.mark.parametrize("what", ["data", "data/laptop", "manifests", "manifests/laptop/root"])
def test_what_is_behind_a_link_is_said_and_taken_for_nothing(
    nas: FolderPlace, make_host: MakeHost, root: Path, what: str
) -> None:
    """A part of the target was moved to a larger disk, and a link left in its place."""
    host = make_host("laptop", nas)
    kept = shutil.copytree(fill(root, 2), root.with_name("kept"))
    host.archive(root)
    cut_off(host, root)
    nas.age(40)
    before = nas.contents()
    with nas.hiding(what):
        for command in (("verify",), ("archive", "--root", str(root), "--yes")):
            ran = host.run_as(*command)
            assert ran.code in {1, 3}, ran.out + ran.err
            assert "link" in ran.out + ran.err
            assert "all is well" not in ran.out
        assert host.prune(*ANY_SHARE).code == 1
        host.clean(root, code=None)  # what it read back, if anything, it may free
    assert {key: nas.get(key) for key in before} == before
    assert host.ask("verify")["damaged"] == []
    assert restored(host, kept)


def test_a_target_that_is_named_through_a_link_is_a_target(nas: FolderPlace, make_host: MakeHost, root: Path) -> None:
    host = make_host("laptop", nas)
    moved = nas.folder.rename(nas.folder.with_name("larger-disk"))
    nas.folder.symlink_to(moved)
    host.archive(fill(root, 2))
    cut_off(host, root)
    nas.age(40)
    assert host.prune(*ANY_SHARE).code == 0
    assert attempts_of(nas, "film") == []
    assert host.ask("verify")["damaged"] == []
    assert restored(host, root)
