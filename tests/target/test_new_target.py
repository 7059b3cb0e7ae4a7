"""Where a target may begin: in an empty place, or with a yes; never in, around or on top of another one."""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.default_plugins.stores.folder.store import FolderStore
from archive_tasks.errors import StoreUnusable, UsageError
from archive_tasks.formats import layout
from archive_tasks.session import Session
from archive_tasks.store import Answer, ObjectInfo, Store, Verdict
from archive_tasks.target import doctor, nesting
from archive_tasks.target.nesting import look_around, may_be_vault, parents_of, targets_around, targets_below
from archive_tasks.target.open import Target, open_target
from archive_tasks.target.vault import is_vault
from archive_tasks.testing.stores import MemoryStore, put
from archive_tasks.testing.trees import File, make_tree, read_tree
from tests.conftest import NOW, CommandLine
from tests.support.servers import S3Server
from tests.support.users import User, common, needs_root

__all__ = ["common"]

OLD = File("old", age_days=400)
MANIFEST = f"manifests/laptop/Documents/2026-01-01/thesis~{'0' * 32}.jsonl.zst"


class Place:
    """Somewhere that targets can be: a folder, or a bucket on a server. `open_store` opens what is below `url`.

    What a doctor would find out is remembered before it is asked, as that takes long.
    """

    def __init__(self, url: str, session: Session, catalogues: Path) -> None:
        self.url = url
        self.open_store: Callable[[str], Any] = functools.cache(session.open_store)
        self._catalogues = catalogues

    def begin(self, url: str, *, yes: bool = False, device: str = "one", **options: Any) -> Target:
        """Open a target, as `archive` does: with `--create`, or without."""
        store = self.open_store(url)
        path = self._catalogues / device / f"{url.replace('/', '_')}.sqlite"
        with Catalogue(str(path), target=url) as catalogue:
            catalogue.set_fact("verdict", json.dumps(doctor.verdict_to_json(settled(store))))
            return open_target(
                store,
                catalogue,
                now=NOW,
                may_create=lambda _store: True,
                may_share=lambda _store: yes,
                open_store=self.open_store,
                **options,
            )

    def remove(self, key: str) -> None:
        self.open_store(self.url).delete(key)

    def put(self, key: str, data: bytes = b"mine") -> None:
        put(self.open_store(self.url), key, data)

    def contents(self) -> dict[str, bytes]:
        """All that is there, but what a doctor left: rclone 1.75 now and then lists what is gone from its disk."""
        store = self.open_store(self.url)
        keys = [info.key for info in store.list("") if "doctor/" not in info.key]
        return {key: b"".join(store.read(key)) for key in keys}


def settled(store: Store) -> Verdict:
    answers = {probe.name: Answer(False, "it was not asked") for probe in store.probes()}
    return Verdict(target=store.url, identity=store.identity, checked_at=NOW, answers=answers)


@pytest.fixture(params=["folder", "moto_s3", "rclone_s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any, make_session: Any) -> Place:
    url = (tmp_path / "nas").as_uri()
    if request.param == "folder":
        (tmp_path / "nas").mkdir()
    else:
        server: S3Server = request.getfixturevalue(request.param)
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{server.make_bucket()}"
    return Place(url, make_session(tmp_path), tmp_path / "catalogues")


# -- what is there -----------------------------------------------------------------------------------


def test_an_empty_place_becomes_a_target(place: Place) -> None:
    target = place.begin(place.url)
    contents = place.contents()
    assert set(contents) == {"README.txt", "vault.json"}
    assert json.loads(contents["vault.json"])["id"] == target.vault
    assert is_vault(contents["vault.json"])
    assert place.begin(place.url).vault == place.begin(place.url, device="two").vault == target.vault


@pytest.mark.parametrize("key", ["data/letters/2019.txt", "notes.txt", "manifests/ship/cargo.csv", "a/vault.json"])
def test_a_place_with_something_in_it_is_refused_and_nothing_is_written(place: Place, key: str) -> None:
    place.put(key)
    with pytest.raises(
        UsageError, match=r"is not empty \(\w+(/|\.txt)\) and not a target yet.* add --create"
    ) as refused:
        place.begin(place.url)
    assert place.url in str(refused.value)
    assert refused.value.exit_code == 2
    assert place.contents() == {key: b"mine"}


def test_with_a_yes_it_becomes_one_beside_what_is_there(place: Place) -> None:
    place.put("data/letters/2019.txt")
    place.begin(place.url, yes=True)
    assert set(place.contents()) == {"README.txt", "vault.json", "data/letters/2019.txt"}
    place.begin(place.url)


def test_a_few_names_of_many_are_said(place: Place) -> None:
    for key in ("e", "b/1", "b/2", "c", "d", "a"):
        place.put(key)
    with pytest.raises(UsageError, match=r"is not empty \(a, b/, c and more\)"):
        place.begin(place.url)


def test_a_prefix_of_its_own_is_empty_whatever_is_beside_it(place: Place) -> None:
    place.put("laptop2/mine")
    place.begin(f"{place.url}/laptop")
    assert {"laptop2/mine", "laptop/vault.json"} <= set(place.contents())


@pytest.mark.parametrize("yes", [True, False])
def test_a_target_that_lost_its_id_is_no_new_one_though_it_may_be_shared(place: Place, yes: bool) -> None:
    place.put(MANIFEST)
    with pytest.raises(UsageError, match=r"seems to have lost its vault\.json: .*Put that file back.*archive --create"):
        place.begin(place.url, yes=yes)
    assert place.contents() == {MANIFEST: b"mine"}


def test_a_target_that_lost_its_id_gets_a_new_one_where_that_is_said_and_no_id_is_known(place: Place) -> None:
    place.put(MANIFEST)
    place.begin(place.url, renew=True)
    contents = place.contents()
    assert set(contents) == {MANIFEST, "README.txt", "vault.json"}
    place.remove("vault.json")
    with pytest.raises(StoreUnusable, match="has lost its vault"):
        place.begin(place.url, renew=True)
    assert set(place.contents()) == {MANIFEST, "README.txt"}


def test_a_readme_of_the_users_own_is_kept_and_counts_as_something(place: Place) -> None:
    place.put("README.txt", b"My photos. Do not touch.")
    with pytest.raises(UsageError, match=r"is not empty \(README\.txt\)"):
        place.begin(place.url)
    place.begin(place.url, yes=True)
    assert place.contents()["README.txt"] == b"My photos. Do not touch."


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'{"id": "hashicorp"}', b'{"archive_tasks": "vault"}', b"x" * 10_000]
)
@pytest.mark.parametrize("yes", [True, False])
def test_a_vault_file_of_somebody_elses_is_kept_and_refused(place: Place, data: bytes, yes: bool) -> None:
    place.put("vault.json", data)
    with pytest.raises(
        StoreUnusable, match=r"vault\.json in .* (was not written by archive_tasks|is empty, left by a run)"
    ):
        place.begin(place.url, yes=yes)
    assert place.contents() == {"vault.json": data}


@pytest.mark.parametrize("data", [b"{}", b'{"archive_tasks": "vault", "id": 5}', b"\0\1", b'{"id": "hashicorp"}'])
def test_a_vault_file_that_is_damaged_says_how_to_mend_it(place: Place, data: bytes) -> None:
    vault = place.begin(place.url).vault
    place.put(MANIFEST)
    place.remove("vault.json")
    place.put("vault.json", data)
    with pytest.raises(
        StoreUnusable, match=r"is damaged, or belongs to something else.*move that file away, and verify --repair"
    ):
        place.begin(place.url)
    with pytest.raises(
        StoreUnusable, match=r"is damaged, or belongs to something else.*move that file away, and archive --create"
    ):
        place.begin(place.url, device="two", renew=True)
    place.remove("vault.json")
    place.put("vault.json", json.dumps({"archive_tasks": "vault", "format": 2, "id": vault}).encode())
    with pytest.raises(StoreUnusable, match="has a format that this version cannot read: upgrade"):
        place.begin(place.url, device="two")


def test_the_doctors_leftovers_and_the_folders_that_consoles_make_are_nothing(
    moto_s3: S3Server, tmp_path: Path, monkeypatch: Any, make_session: Any
) -> None:
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    bucket = moto_s3.make_bucket()
    for key in ("laptop/", "laptop/2026/", "laptop/doctor/0123456789abcdef/one-winner/race"):
        moto_s3.client().put_object(Bucket=bucket, Key=key, Body=b"")
    place = Place(f"s3://{bucket}", make_session(tmp_path), tmp_path / "catalogues")
    place.begin(f"s3://{bucket}/laptop")
    moto_s3.client().put_object(Bucket=bucket, Key="desktop/doctor/appointments/race", Body=b"")
    with pytest.raises(UsageError, match=r"is not empty \(doctor/\)"):
        place.begin(f"s3://{bucket}/desktop")


# -- cut off, and two at once ------------------------------------------------------------------------


class Dying:
    """A store whose process dies at a call, by its method and key."""

    def __init__(self, store: Store, at: tuple[str, str]) -> None:
        self._store = store
        self._at = at

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._dying(name, found) if name == self._at[0] else found

    def _dying(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def may_die(key: str, *arguments: Any, **named: Any) -> Any:
            if (name, key) == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(key, *arguments, **named)

        return may_die


@pytest.mark.parametrize("at", [("put", "README.txt"), ("describe", "vault.json"), ("put", "vault.json")])
def test_a_run_that_is_killed_while_it_makes_a_target_is_finished_by_the_next(
    place: Place, at: tuple[str, str]
) -> None:
    opened = place.open_store
    child = os.fork()
    if child == 0:
        place.open_store = lambda url: Dying(opened(url), at)  # type: ignore[assignment,return-value]
        place.begin(place.url)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert "vault.json" not in place.contents()
    place.begin(place.url)
    assert place.contents()["README.txt"] == layout.README.encode()


def test_a_target_that_another_run_made_meanwhile_is_used(place: Place) -> None:
    opened = place.open_store

    class Slow:
        """Between the look for an id and the look for what is there, another device archives."""

        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            if prefix == "" and "vault.json" not in place.contents():
                place.begin(place.url, device="two")
                place.put(MANIFEST)
            return self._store.list(prefix)

    first = Place.__new__(Place)
    first.__dict__.update(place.__dict__, open_store=lambda url: Slow(opened(url)))
    assert first.begin(place.url).vault == json.loads(place.contents()["vault.json"])["id"]


# -- inside and around -------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["data", "x/y", "data/laptop/2026-01-01"])
def test_no_target_begins_inside_of_another_one(place: Place, below: str) -> None:
    place.begin(place.url)
    before = place.contents()
    for yes in (True, False):
        with pytest.raises(UsageError, match=r"would be inside another one, .*Nothing was written") as refused:
            place.begin(f"{place.url}/{below}", yes=yes)
        assert refused.value.exit_code == 2
    assert place.contents() == before
    assert not place.open_store(f"{place.url}/{below}").exists() or place.url.startswith("s3://")


@pytest.mark.parametrize("below", ["data", "x/y", "data/laptop/2026-01-01"])
def test_no_target_begins_around_another_one_also_with_a_yes(place: Place, below: str) -> None:
    place.begin(f"{place.url}/{below}")
    before = place.contents()
    with pytest.raises(UsageError, match="is not empty"):
        place.begin(place.url)
    with pytest.raises(UsageError, match=f"would contain another one, {place.url}/{below}, and each"):
        place.begin(place.url, yes=True)
    assert place.contents() == before


def test_targets_beside_each_other_are_no_matter(place: Place) -> None:
    for name in ("laptop", "laptop2", "lap", "deep/laptop"):
        place.begin(f"{place.url}/{name}")


def test_two_targets_that_are_nested_already_are_opened_as_before_and_found_by_who_asks(place: Place) -> None:
    """Those of older versions: `prune` asks, and `doctor`."""
    inner = f"{place.url}/data"
    vault = place.begin(inner).vault
    place.put("vault.json", json.dumps({"archive_tasks": "vault", "format": 1, "id": "outer"}).encode())
    assert (place.begin(inner).vault, place.begin(place.url).vault) == (vault, "outer")
    assert targets_around(inner, place.open_store) == [place.url]
    assert targets_around(place.url, place.open_store) == []
    outer = place.open_store(place.url)
    assert targets_below(outer, (info.key for info in outer.list("data/")), place.open_store) == [inner]
    lines = nesting.examine(outer, place.open_store).lines()
    assert lines == [f"Warning: another target is inside it, {inner}: each could remove the other's objects."]
    lines = nesting.examine(place.open_store(inner), place.open_store).lines()
    assert lines == [f"Warning: it is inside another target, {place.url}: each could remove the other's objects."]


def test_a_vault_file_of_somebody_elses_above_or_below_is_no_target(place: Place) -> None:
    place.put("vault.json", b'{"id": "hashicorp"}')
    place.put("laptop/secrets/vault.json", b"{}")
    place.begin(f"{place.url}/laptop", yes=True)


def test_a_target_that_was_archived_as_a_file_is_no_target() -> None:
    attempt = f"data/laptop/Documents/2026-01-01/backup~{'a' * 32}/{'b' * 12}"
    assert not may_be_vault(f"{attempt}/files/old/vault.json")
    assert not may_be_vault("vault.json")
    assert may_be_vault("data/vault.json")
    assert may_be_vault(f"data/{attempt}/vault.json")
    assert not may_be_vault("data/vault.json.txt")
    assert not may_be_vault("data/my-vault.json")


@pytest.mark.parametrize(
    ("url", "parents"),
    [
        ("s3://bucket", []),
        ("s3://bucket/x", ["s3://bucket"]),
        ("s3://bucket/x/y", ["s3://bucket/x", "s3://bucket"]),
        ("s3://bucket//x///y/", ["s3://bucket/x", "s3://bucket"]),
        ("file:///a", []),
        ("file:///a/b/c", ["file:///a/b", "file:///a"]),
        ("file://localhost/a/b", ["file:///a"]),
        ("file:///a%20b/caf%E9/c", ["file:///a%20b/caf%E9", "file:///a%20b"]),
        ("file:///a/../b/c", ["file:///b"]),
        ("memory://test", []),
    ],
)
def test_the_places_above_a_target_are_known(url: str, parents: list[str]) -> None:
    assert parents_of(url) == parents


def test_a_folder_is_looked_at_by_every_way_to_it(tmp_path: Path, make_session: Any) -> None:
    (tmp_path / "nas" / "target" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "nas" / "target" / "inner")
    place = Place((tmp_path / "nas").as_uri(), make_session(tmp_path), tmp_path / "catalogues")
    place.begin(f"{place.url}/target", yes=True)
    with pytest.raises(UsageError, match=f"would be inside another one, {place.url}/target"):
        place.begin((tmp_path / "link" / "new").as_uri())


def test_a_target_below_is_found_whatever_its_folders_are_named(tmp_path: Path, make_session: Any) -> None:
    (tmp_path / "nas").mkdir()
    place = Place((tmp_path / "nas").as_uri(), make_session(tmp_path), tmp_path / "catalogues")
    inner = os.fsdecode(b"my\nn\xe4s/old target")
    at = f"{place.url}/my%0An%E4s/old%20target"
    place.begin(at)
    assert (tmp_path / "nas" / inner / "vault.json").exists()
    with pytest.raises(UsageError, match=f"would contain another one, {at}, and each"):
        place.begin(place.url, yes=True)


def test_too_much_to_look_through_is_refused(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(nesting, "MOST_KEYS", 20)
    store = MemoryStore()
    for number in range(20):
        put(store, f"mine/{number}", b"x")
    nesting.check_not_around(store, None)
    put(store, "mine/20", b"x")
    with pytest.raises(UsageError, match=r"holds more than 20 objects, too many .* choose an empty prefix or folder"):
        nesting.check_not_around(store, None)


# -- above, where nobody may look --------------------------------------------------------------------


class Forbidding(MemoryStore):
    def read(self, key: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        raise StoreUnusable("the store answered AccessDenied")


def test_a_place_above_that_may_not_be_looked_at_counts_as_none_and_is_told() -> None:
    stores: dict[str, Store] = {"memory://a/b": MemoryStore("memory://a/b"), "memory://a": Forbidding("memory://a")}
    put(stores["memory://a/b"], "vault.json", json.dumps({"archive_tasks": "vault", "id": "x"}).encode())
    around = look_around("memory://a/b/c", stores.__getitem__)
    assert around == (("memory://a/b",), ("memory://a",))
    assert targets_around("memory://a/b/c", stores.__getitem__) == ["memory://a/b"]
    lines = nesting.examine(MemoryStore("memory://a/b"), stores.__getitem__).lines()
    assert lines == ["memory://a, above it, may not be read, and is assumed not to be a target."]


@needs_root
def test_a_folder_above_that_may_not_be_read_counts_as_none(common: Path, make_session: Any) -> None:
    (common / "vault.json").write_text(json.dumps({"archive_tasks": "vault", "id": "x"}))
    (common / "vault.json").chmod(0o600)
    url = (common / "target").as_uri()
    open_store: Callable[[str], Store] = make_session(common).open_store
    above = [common.as_uri(), common.parent.as_uri()]
    assert look_around(url, open_store) == ((above[0],), ())
    somebody = User(51_001, (51_001,))
    assert somebody.do(lambda: look_around(url, open_store)) == ((), (above[0],))


def test_what_cannot_be_listed_is_said_by_the_doctor(tmp_path: Path, make_session: Any) -> None:
    class Unlisted(MemoryStore):
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            raise StoreUnusable("the store answered AccessDenied")

    found = nesting.examine(Unlisted("memory://a"), lambda _url: MemoryStore())
    assert found.lines() == ["Whether another target is inside it is not known: the store answered AccessDenied."]


# -- requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "/laptop", "/a/b/c"])
def test_opening_a_known_target_asks_for_the_bucket_and_the_id_and_nothing_else(
    moto_s3: S3Server, tmp_path: Path, monkeypatch: Any, make_session: Any, below: str
) -> None:
    for name, value in moto_s3.env.items():
        monkeypatch.setenv(name, value)
    url = f"s3://{moto_s3.make_bucket()}{below}"
    place = Place(url, make_session(tmp_path), tmp_path / "catalogues")
    place.begin(url)
    requests: list[tuple[str, str]] = []

    def note(model: Any, params: Any, **_: Any) -> None:
        requests.append((model.name, params["url_path"]))

    for parent in [url, *parents_of(url)]:
        place.open_store(parent).client.boto.meta.events.register("before-call.s3", note)
    place.begin(url)
    assert [name for name, _ in requests] == ["HeadBucket", "GetObject"]
    assert requests[1][1] == f"{below}/vault.json"


def test_opening_a_known_folder_looks_at_nothing_above_it(tmp_path: Path, make_session: Any) -> None:
    place = Place((tmp_path / "nas").as_uri(), make_session(tmp_path), tmp_path / "catalogues")
    opened: list[str] = []

    def open_store(url: str) -> FolderStore:
        opened.append(url)
        return make_session(tmp_path).open_store(url)  # type: ignore[no-any-return]

    place.open_store = open_store  # type: ignore[assignment]
    place.begin(place.url)
    assert tmp_path.as_uri() in opened
    opened.clear()
    place.begin(place.url)
    place.begin(place.url, device="two")
    assert opened == [place.url, place.url]


# -- the commands ------------------------------------------------------------------------------------


@pytest.fixture
def nas(tmp_path: Path, root: Path) -> Path:
    """A folder of the user's, with things of the names that we use, all of them old."""
    make_tree(root, {"item": OLD})
    folder = tmp_path / "nas"
    mine = {"data": {"letters": OLD}, ".incoming": {"download": OLD, "0123456789abcdef01234567": OLD}, "letter": OLD}
    folder.mkdir()
    make_tree(folder, mine)
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 400 * 86_400,) * 2)
    return folder


def test_archive_asks_for_the_flag_and_says_what_is_there(cli: CommandLine, nas: Path, root: Path) -> None:
    before = read_tree(nas)
    arguments = ("archive", "--root", str(root), "--target", nas.as_uri(), "--yes")
    ran = cli.run(*arguments)
    assert ran.code == 2
    (line,) = (line for line in ran.err.splitlines() if line.startswith("error:"))
    assert line == (
        f"error: {nas.as_uri()} is not empty (.incoming/, data/, letter) and not a target yet. Name an empty place, e.g. "
        f"{nas.as_uri()}/archive, or add --create to use this one beside what is there. Nothing was written"
    )
    assert read_tree(nas) == before
    ran = cli.run(*arguments, "--create")
    assert ran.code == 0, ran.err
    after = read_tree(nas)
    mine = {path: entry for path, entry in before.items() if entry.contents is not None}
    assert mine.items() <= after.items()
    assert cli.run(*arguments).code == 0, "the flag is for the first time"


def test_setup_asks_for_the_flag_and_remembers_nothing_without_it(cli: CommandLine, nas: Path) -> None:
    ran = cli.run("setup", "--target", nas.as_uri(), "--yes")
    assert ran.code == 2
    assert "add --create" in ran.err
    assert not (cli.project / "invoke.yaml").exists()
    assert not (nas / "vault.json").exists()
    ran = cli.run("setup", "--target", nas.as_uri(), "--yes", "--create")
    assert ran.code == 0, ran.err
    assert nas.as_uri() in (cli.project / "invoke.yaml").read_text()


def test_a_missing_folder_is_made_as_before_and_needs_no_flag(cli: CommandLine, nas: Path, root: Path) -> None:
    url = (nas / "new" / "archive").as_uri()
    assert cli.run("archive", "--root", str(root), "--target", url, "--yes").code == 0
    assert (nas / "new" / "archive").stat().st_mode & 0o777 == 0o700


def test_the_default_target_needs_no_flag(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"item": OLD})
    vault = Path(os.environ["XDG_DATA_HOME"]) / "archive_tasks" / "vault"
    vault.mkdir(parents=True)
    (vault / ".DS_Store").touch()
    ran = cli.run("archive", "--root", str(root), "--yes")
    assert ran.code == 0, ran.err


def test_a_target_inside_of_another_is_refused_by_archive_and_setup(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"item": OLD})
    outer = cli.project.parent / "target"
    assert cli.run("archive", "--root", str(root), "--target", outer.as_uri(), "--yes").code == 0
    before = read_tree(outer)
    for task in (("archive", "--root", str(root)), ("setup",)):
        ran = cli.run(*task, "--target", (outer / "data").as_uri(), "--yes", "--create")
        assert ran.code == 2
        assert "would be inside another one" in ran.err
    assert read_tree(outer) == before


def test_doctor_warns_of_a_target_inside_of_another(cli: CommandLine, root: Path) -> None:
    make_tree(root, {"item": OLD})
    outer = cli.project.parent / "target"
    inner = outer / "data"
    for target in (inner, outer):
        assert cli.run("setup", "--target", target.as_uri(), "--yes").code == (0 if target == inner else 2)
    (outer / "vault.json").write_bytes((inner / "vault.json").read_bytes())
    ran = cli.run("doctor", "--target", inner.as_uri())
    assert f"Warning: it is inside another target, {outer.as_uri()}" in ran.out
    document = json.loads(cli.run("doctor", "--target", outer.as_uri(), "--json").out)
    assert document["place"] == {"inside": [], "around": [inner.as_uri()], "unseen": [], "unknown": ""}
