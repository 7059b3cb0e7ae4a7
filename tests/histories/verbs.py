"""The one place that calls the product: each verb as a person would give it, and what came of it as plain values."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from archive_tasks import hookimpl
from archive_tasks.catalogue.database import Catalogue, catalogue_path
from archive_tasks.errors import ArchiveTasksError
from archive_tasks.flows import archive as archiving
from archive_tasks.flows import clean as cleaning
from archive_tasks.flows.catalogue import CatalogueRequest, catalogue_of
from archive_tasks.flows.planning import make_plan
from archive_tasks.flows.prune import PruneRequest, prune_target
from archive_tasks.flows.restore import restore_named
from archive_tasks.flows.restore_request import RestoreOptions
from archive_tasks.flows.undo import finish_what_died, undo_root
from archive_tasks.flows.verify import VerifyRequest, verify_target
from archive_tasks.items import root as root_place
from archive_tasks.items.root import _SYSTEM_ALL, resolve_root, root_path
from archive_tasks.plugins import make_plugin_manager
from archive_tasks.restore.patterns import EVERYTHING
from archive_tasks.session import Session
from archive_tasks.settings import make_settings
from archive_tasks.show.console import Console
from tests.histories.store import URL, DeviceStore, SimStore
from tests.histories.turns import Died, current_actor
from tests.histories.world import Device, Place
from tests.support.restoring import Silent

_OFF = (*("bundles", "git_unsaved", "machine_locks", "open_files", "placeholders", "program_locks", "sqlite_journals"),)
"""Guards that look at what is not in these histories, and at this machine's folders and processes."""


@dataclass
class Ran:
    """What a run of a verb came to.

    Attributes:
        code: exit code, as the command line gives it; None for one that died.
        claims: (item, key of the manifest, "archived" or "already").
        freed: items that clean says it freed.
        failed: items, entries or damages that it says.
        kept: items that stay, by its word.
        repaired: keys of manifests that it says it wrote again.
        bug: the traceback of an exception that nobody meant.
    """

    verb: str
    device: Device
    place: Place | None = None
    code: int | None = None
    claims: list[tuple[str, str, str]] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    bug: str = ""
    died: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        end = "died" if self.died else f"exit code {self.code}"
        return f"{self.verb} by {self.device.name}: {end}; " + " | ".join(self.said[-6:])


class _Console(Console):
    """Says nothing aloud, and asks nobody."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(json_document=True)
        self.said = _actor().said

    @property
    def is_terminal(self) -> bool:
        return False

    @property
    def can_ask(self) -> bool:
        return False

    def say(self, text: str = "", style: str = "") -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(f"warning: {text}")

    def document(self, value: Any) -> None: ...

    @contextmanager
    def progress(self) -> Iterator[Any]:
        yield Silent()


# -- the verbs --------------------------------------------------------------------------------------


def archive(device: Device, place: Place) -> Ran:
    def do(session: Session, console: Console, ran: Ran) -> None:
        store = session.open_store(URL)
        finish_what_died(root_path(session), session, console)
        root = resolve_root(session)
        plan = make_plan(root, session)
        ran.kept = [one.item.name for one in plan.to_keep]
        if not plan.to_archive:
            return
        outcome = archiving._carry_out(root, session, plan, store, console, yes=True, create=bool(_shared[0].foreign))
        ran.claims = [(one.item, one.manifest, "archived") for one in outcome.archives]
        ran.claims += [(one.item, one.manifest, "already") for one in outcome.already]
        ran.failed = [one.item for one in outcome.failed]
        ran.said += [f"{item}: {reason}" for item, reason in (*outcome.failed, *outcome.kept)]
        ran.code = 3 if outcome.failed else 0

    return _run("archive", device, place, do)


def clean(device: Device, place: Place, mode: str, *, grace: int = 7) -> Ran:
    to = _elsewhere(device, "moved", place) if mode == "move" else ""

    def do(session: Session, console: Console, ran: Ran) -> None:
        document = cleaning.clean_root(session, cleaning.CleanRequest(yes=True), console)
        ran.freed = [one["item"] for one in document["freed"]]
        ran.kept = [one["item"] for one in document["kept"]]
        ran.failed = [one["item"] for one in document["failed"]]
        ran.said += [f"{one['item']}: {one['reason']}" for one in (*document["failed"], *document["kept"])]
        ran.code = 3 if document["failed"] or document["stopped"] else 0

    limits = {"mode": mode, "to": to, "max_share": 100, "grace": grace}
    return _run("clean", device, place, do, clean=limits)


def undo(device: Device, place: Place, item: str | None = None) -> Ran:
    def do(session: Session, console: Console, ran: Ran) -> None:
        undone = undo_root(root_path(session), session, item, console, everything=item is None)
        ran.failed = [one.item for one in undone.failed]
        ran.code = 3 if undone.failed else 0

    return _run("undo", device, place, do)


def prune(device: Device, place: Place, *, all_devices: bool = True) -> Ran:
    def do(session: Session, console: Console, _ran: Ran) -> None:
        prune_target(session, PruneRequest(yes=True, max_share=100, all_devices=all_devices), console)

    return _run("prune", device, place, do)


def verify(device: Device, place: Place, *, read_data: bool = False) -> Ran:
    return _verified("verify", device, place, VerifyRequest(share=1.0 if read_data else 0.0))


def repair(device: Device, place: Place) -> Ran:
    return _verified("repair", device, place, VerifyRequest(repair=True))


def _verified(verb: str, device: Device, place: Place, wanted: VerifyRequest) -> Ran:
    def do(session: Session, console: Console, ran: Ran) -> None:
        document = verify_target(session, wanted, console)
        ran.failed = [f"{one['path']}: {one['problem']}" for one in document["damaged"]]
        ran.repaired = list(document["repaired"])
        ran.code = 1 if document["damaged"] else 0

    ran = _run(verb, device, place, do)
    ran.options["read_data"] = wanted.share == 1.0
    return ran


def restore(device: Device, place: Place, item: str, *, to: str = "") -> Ran:
    def do(session: Session, console: Console, _ran: Ran) -> None:
        restore_named(session, RestoreOptions(patterns=(item,), to=to, yes=True), console)

    ran = _run("restore", device, place, do)
    ran.options["all"] = item == EVERYTHING
    return ran


def adopt(device: Device, place: Place, host: str) -> Ran:
    """Take over the archives of another device of a host name."""

    def do(session: Session, console: Console, _ran: Ran) -> None:
        catalogue_of(session, CatalogueRequest(adopt=host, yes=True), console)

    return _run("adopt", device, place, do)


def moved(device: Device, place: Place, old: str) -> Ran:
    """Take over the archives of a root that bore another name."""

    def do(session: Session, console: Console, _ran: Ran) -> None:
        catalogue_of(session, CatalogueRequest(moved=old, yes=True), console)

    return _run("moved", device, place, do)


def forget(device: Device, place: Place) -> Ran:
    """Forget the target, on purpose."""

    def do(session: Session, console: Console, _ran: Ran) -> None:
        catalogue_of(session, CatalogueRequest(forget=True, yes=True), console)

    return _run("forget", device, place, do)


def receipts(device: Device) -> dict[str, str]:
    """SHA-256 of each manifest that this device says it proved, by key."""
    path = str(catalogue_file(device))
    if not os.path.exists(path):
        return {}
    with Catalogue(path) as catalogue:
        known = [one for one in catalogue.archives() if one.receipt]
        return {one.archive.manifest: one.receipt.manifest_sha256 for one in known if one.receipt}


def catalogue_file(device: Device) -> Path:
    return Path(catalogue_path(str(device.data), URL))


# -- around them --------------------------------------------------------------------------------------


def _run(verb: str, device: Device, place: Place, do: Callable[[Session, Console, Ran], None], **settings: Any) -> Ran:
    """As the command line does: an error becomes an exit code."""
    ran = Ran(verb, device, place)
    _actor().said = []
    console = _Console()
    try:
        session = _session(device, place, **settings)
        do(session, console, ran)
        ran.code = ran.code or 0
    except Died:
        ran.died, ran.code = True, None
    except ArchiveTasksError as error:
        ran.code = error.exit_code
        ran.said.append(f"error: {error}")
    except OSError as error:
        ran.code = 1
        ran.said.append(f"the system refused: {error}")
    except Exception:  # noqa: BLE001 - whatever else is raised is a bug
        ran.code, ran.bug = 1, traceback.format_exc()
    ran.said = [*console.said, *ran.said]
    return ran


def _session(device: Device, place: Place, **settings: Any) -> Session:
    made = make_settings(
        {
            "root": device.world.seen(place),
            "target": URL,
            "days": 0,
            "items_at_once": 1,
            "concurrency": 1,
            "retry_minutes": 0,
            "pack_below": device.pack_below,
            "device": device.pin,
            **settings,
        },
        {},
        {},
    )
    return Session(made, _manager(), now=device.now(), data=str(device.data), wall=device.now)


def _actor() -> Any:
    return current_actor()


def _elsewhere(device: Device, name: str, place: Place) -> str:
    folder = Path(device.world.here, name, str(place.number))
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


class _StoreOfTheTurn:
    """A plugin that opens the history's store for whose turn it is."""

    @hookimpl
    def register_stores(self, settings: Any) -> dict[str, Any]:
        return {"memory": lambda _url, _settings: DeviceStore(_shared[0])}


_shared: list[SimStore] = []
_managers: list[Any] = []


def _manager() -> Any:
    """One for all: it remembers nothing."""
    if not _managers:
        _managers.append(make_plugin_manager(extra=[_StoreOfTheTurn()], off=_OFF))
    return _managers[0]


def use_store(store: SimStore) -> None:
    """The store that is opened from now on."""
    _shared[:] = [store]


def _machine() -> str:
    return f"{_actor().machine:016x}"


def _to_trash(path: str) -> None:
    """A trash that moves, and keeps all that it is given."""
    trash = Path(path).parents[1] / "Trash"
    trash.mkdir(exist_ok=True)
    number = len(list(trash.iterdir()))
    os.rename(path, trash / f"{number:03}~{Path(path).name}")


def trash_of(device_disk: Path, place: Place) -> Path:
    """Where the things of a root are that went to the trash."""
    return (device_disk / place.path).parent / "Trash"


def moved_of(device_disk: Path, place: Place) -> Path:
    """Where the things of a root are that were moved."""
    return device_disk / "moved" / str(place.number)


@contextmanager
def harnessed() -> Iterator[None]:
    """The product, with the world's trash, and with folders in memory (/dev/shm) that may be cleaned."""
    _manager()
    allowed = _SYSTEM_ALL.replace(" dev ", " ")
    patches = [
        mock.patch.object(root_place, "_SYSTEM_ALL", allowed),
        mock.patch.object(cleaning, "send_to_trash", _to_trash),
        mock.patch("archive_tasks.catalogue.device.machine_digest", _machine),
    ]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()
