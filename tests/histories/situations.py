"""What the histories of one run must have met: a check that never meets what it is about proves nothing."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.histories.model import Claim, Model, Step
    from tests.histories.stranger import Archived
    from tests.histories.turns import Actor
    from tests.histories.verbs import Ran

SITUATIONS: dict[str, str] = {}


def told(name: str, text: str) -> str:
    SITUATIONS[name] = text
    return name


DIED_BEFORE_CALL = told("died at a call", "a device died before or after a call of the store")
DIED_ON_DISK = told("died at the disk", "a device died at an event of the file system")
DIED_BEFORE_COPY = told("died with data", "an archive run died with data in the store, and no copy of the manifest")
DIED_AFTER_COPY = told("died after copy", "an archive run died between the copy of a manifest and the manifest")
DIED_AFTER_COMMIT = told("died after commit", "an archive run died between its commit and its look at it")
DIED_IN_SLOT = told("died in slot", "a run of clean died with an item aside that is not proven yet")
DIED_PURGING = told("died purging", "a run of clean died while it purged")
DIED_RESTORING = told("died restoring", "a restore died")
SAME_LISTING = told("one listing twice", "two manifests of one listing")
REFUSED = told("refused", "the store refused a write, create-only")
OVERWROTE = told("overwrote", "the store took a second write of one key")
TWO_IDS = told("two ids", "two devices gave one target its id, and the store took both")
PRUNE_MEETS_ARCHIVE = told("prune meets archive", "one pruned while another archived")
PRUNED = told("pruned", "prune removed something")
HIDDEN_PRUNE = told("hidden from prune", "a part of a listing was hidden while one pruned")
HIDDEN_ARCHIVE = told("hidden from archive", "a part of a listing was hidden while one archived")
LONG_UPLOAD = told("long upload", "weeks went by while one archived")
AHEAD_PRUNES = told("a year ahead", "one pruned by a clock that is a year ahead")
BEHIND = told("a year behind", "one worked by a clock that is a year behind")
LOST_THEN_ARCHIVED = told("lost, archived", "an object was lost, and the item archived again")
TAMPERED = told("tampered", "a manifest with two places exchanged")
MANIFEST_LOST = told("manifest lost", "a manifest was lost")
OLD_VERSION_AGAIN = told("old version again", "an item that was archived in two versions is as the first again")
TWINS = told("twins", "two devices of one host name and one root path archived an item of one name")
SAME_BYTES = told("same bytes", "one item was archived from two roots")
DISTURBED_CLEAN = told("disturbed clean", "the user changed an item while one cleaned")
DISTURBED_ARCHIVE = told("disturbed archive", "the user changed an item while one archived")
UNDONE = told("undone", "undo brought something back")
PURGED = told("purged", "what was set aside was purged when its grace was over")
TRASHED = told("trashed", "something went to the trash")
MOVED = told("moved", "something was moved to another folder")
RESTORED_HOME = told("restored home", "a restore put something back where it was")
RESTORED_ELSEWHERE = told("restored elsewhere", "a restore put something elsewhere")
RESTORE_BESIDE = told("restore refused", "a restore met something at home, and left it")
CATALOGUE_LOST = told("catalogue lost", "a device that had lost its catalogue cleaned")
SHARED_DATA = told("shared data", "two machines shared a data folder, and both archived")
LOCKED_OUT = told("locked out", "a run found another one at work, and ended")
FOREIGN_AND_PRUNE = told("foreign and prune", "one pruned a target that holds things of others")
READ_BACK = told("read back", "a store that is not believed was cleaned by")
WELL = told("well", "verify called a target well")
DAMAGED = told("damaged", "verify called a target damaged")
ADOPTED = told("adopted", "a device took over the archives of another")
TAKEN_ALONG = told("taken along", "the archives of a root that was renamed were taken over")
REPAIRED = told("repaired", "a missing manifest was written again")
PRUNE_REFUSED = told("prune refused", "prune ended because something was doubtful")
INNER_TARGET = told("inner target", "one pruned a target with another one inside")
NO_CTIME = told("no ctime", "one cleaned where a ctime shows no write")
COARSE = told("coarse", "one cleaned where the clock of ctimes ticks slowly")
MOVING_INODES = told("moving inodes", "one cleaned where inodes do not stay")
OPEN_CLEAN = told("open, clean", "the user had a file open for writing while one cleaned")
OPEN_ARCHIVE = told("open, archive", "the user had a file open for writing while one archived")
PLACE_MOVED = told("root renamed", "a root was renamed, and archived again")


def of_death(actor: Actor, ran: Ran) -> set[str]:
    """What it was in the middle of."""
    found = {DIED_BEFORE_CALL if actor.dies and actor.dies["of"] == "store" else DIED_ON_DISK}
    puts = [ask for ask in actor.asks if ask.startswith(("put ", "complete "))]
    data = [ask for ask in puts if " data/" in ask]
    commits = [
        number for number, ask in enumerate(actor.asks) if ask.startswith(("put manifests/", "complete manifests/"))
    ]
    copies = [ask for ask in data if ask.endswith("/manifest.jsonl.zst")]
    if ran.verb == "archive" and len(commits) < len(copies):
        found.add(DIED_AFTER_COPY)
    elif ran.verb == "archive" and data and not data[-1].endswith("/manifest.jsonl.zst"):
        found.add(DIED_BEFORE_COPY)
    if ran.verb == "archive" and commits and commits[-1] == len(actor.asks) - 1:
        found.add(DIED_AFTER_COMMIT)
    if ran.verb == "restore":
        found.add(DIED_RESTORING)
    return found


def of_slots(root: Path) -> set[str]:
    """How far those are that a run of clean, which has just died, was holding."""
    found: set[str] = set()
    for state in root.glob(".archive-set-aside/*/state.json"):
        text = state.read_text()
        if '"stage": "purging"' in text:
            found.add(DIED_PURGING)
        if '"stage": "moving"' in text and any((state.parent / "item").iterdir()):
            found.add(DIED_IN_SLOT)
    return found


def of_claim(model: Model, ran: Ran, item: str, claim: Claim, earlier: list[Claim]) -> set[str]:
    """What is odd about an archive that a device has just made or found."""
    assert ran.place is not None
    found: set[str] = set()
    before = [one.tree for one in earlier]
    if claim.tree in before and before[-1] != claim.tree:
        found.add(OLD_VERSION_AGAIN)
    others = [one for one in earlier if one.tree == claim.tree and one.manifest not in {"", claim.manifest}]
    objects = model.store.objects
    if any(one.manifest not in objects or model.stranger.archive(one.manifest, objects).damage for one in others):
        found.add(LOST_THEN_ARCHIVED)
    for (_, number, name), claims in model.claims.items():
        place = model.places[number]
        if name != item or place is ran.place:
            continue
        if any(one.tree == claim.tree for one in claims):
            found.add(SAME_BYTES)
        if place.machine != ran.place.machine and place.path == ran.place.path:
            found.add(TWINS)
    return found


def same_listing(archives: Iterable[Archived]) -> bool:
    """Are there two manifests of one listing?"""
    ids = [one.header["id"] for one in archives if one.header]
    return len(set(ids)) < len(ids)


def of_step(step: Step, model: Model) -> set[str]:
    """What a step that has ended was."""
    found: set[str] = set()
    runs = {one.verb: one for one in step.runs}
    faults = {one["kind"] for one in model.store.met}
    happened = model.store.happened
    found |= {name for name, key in ((REFUSED, "refused"), (OVERWROTE, "overwritten")) if happened[key]}
    if {"prune", "archive"} <= runs.keys():
        found.add(PRUNE_MEETS_ARCHIVE)
    if "prune" in runs:
        found |= _of_prune(step, model, runs["prune"], faults)
    if "archive" in runs:
        found |= _of_archive(step, model, faults)
    if "clean" in runs and step.touched:
        found.add(DISTURBED_CLEAN)
    if any(one.verb == "clean" and one.freed for one in step.runs) and not model.store.trusted:
        found.add(READ_BACK)
    if any(one.verb == "restore" and one.code == 3 and any("FAILED" in line for line in one.said) for one in step.runs):
        found.add(RESTORE_BESIDE)
    if len({one.device.machine for one in step.ran("archive") if one.device.data.endswith("shared")}) > 1:
        found.add(SHARED_DATA)
    if any(one.device.skew.days < 0 for one in step.runs):
        found.add(BEHIND)
    if any("another run" in line for one in step.runs for line in one.said):
        found.add(LOCKED_OUT)
    found |= _of_disk(step, model)
    found |= {ADOPTED} if any(one.code == 0 for one in step.ran("adopt")) else set()
    found |= {TAKEN_ALONG} if any(one.code == 0 for one in step.ran("moved")) else set()
    found |= {REPAIRED} if any(one.repaired for one in step.ran("repair")) else set()
    for one in step.ran("verify"):
        found |= {WELL} if one.code == 0 else {DAMAGED} if one.code == 1 else set()
    return found


def _of_disk(step: Step, model: Model) -> set[str]:
    found: set[str] = set()
    disk = model.world.filesystem
    if any(one.freed for one in step.ran("clean")):
        found |= {NO_CTIME} if disk.ctime == "none" else {COARSE} if disk.ctime == "coarse" else set()
        found |= set() if disk.inodes_stay else {MOVING_INODES}
    if disk.has_met_open():
        found |= {OPEN_CLEAN} if step.ran("clean") else set()
        found |= {OPEN_ARCHIVE} if step.ran("archive") else set()
    return found


def _of_prune(step: Step, model: Model, ran: Ran, faults: set[str]) -> set[str]:
    found = {HIDDEN_PRUNE} if "hide" in faults else set()
    found |= {AHEAD_PRUNES} if ran.device.skew.days > 0 else set()
    found |= {FOREIGN_AND_PRUNE} if model.store.foreign else set()
    found |= {INNER_TARGET} if "data/vault.json" in model.store.foreign else set()
    found |= {PRUNE_REFUSED} if ran.code == 1 and any("nothing was removed" in line for line in ran.said) else set()
    found |= {PRUNED} if any(at == step.number for _, at, _ in model.store.removed.values()) else set()
    return found


def _of_archive(step: Step, model: Model, faults: set[str]) -> set[str]:
    found = {HIDDEN_ARCHIVE} if "hide" in faults else set()
    found |= {LONG_UPLOAD} if "jump" in faults else set()
    found |= {DISTURBED_ARCHIVE} if step.touched else set()
    return found


def missing(met: Counter[str]) -> list[str]:
    """Those that were not met, in words."""
    return [f"{name}: {text}" for name, text in SITUATIONS.items() if not met[name]]
