"""The reference model: every byte that each user had, where it must be found now, and what each device claimed."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.histories import situations, verbs
from tests.histories.store import SimStore
from tests.histories.stranger import Archived, Stranger, is_copy, is_manifest
from tests.histories.verbs import Ran
from tests.histories.world import Device, Place, Tree, World, read_aside, read_item, read_items


class Broken(AssertionError):
    """Something that must never happen has happened. `kind` tells one such thing from another."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass(eq=False)
class Away:
    """An item that is not at home: set aside, in the trash, moved, or in the target alone.

    Attributes:
        by: keys of the devices whose run may have taken it.
        local: is all of it still on the machine?
        since: the step after which it was in the target alone.
    """

    place: Place
    item: str
    tree: Tree
    by: frozenset[str]
    step: int
    local: bool = True
    since: int = -1


@dataclass(eq=False)
class Claim:
    """What a device said, or may have done unseen, about an item of a place."""

    step: int
    tree: Tree
    manifest: str = ""
    sure: bool = True


@dataclass(eq=False)
class Step:
    """What is known of a step that has just ended."""

    number: int
    runs: list[Ran] = field(default_factory=list)
    touched: set[tuple[int, str]] = field(default_factory=set)

    def ran(self, *names: str, place: Place | None = None) -> list[Ran]:
        return [one for one in self.runs if one.verb in names and (place is None or one.place is place)]


class Model:
    """Asked after every step."""

    def __init__(self, world: World, store: SimStore, places: list[Place]) -> None:
        self.world = world
        self.store = store
        self.places = places
        self.home: dict[int, dict[str, Tree]] = {one.number: {} for one in places}
        self.away: list[Away] = []
        self.versions: dict[tuple[int, str], list[Tree]] = {}
        self.claims: dict[tuple[str, int, str], list[Claim]] = {}
        self.stranger = Stranger()
        self._outside: dict[int, dict[str, bytes]] = {}
        self._untold: set[str] = set()
        self.met: Counter[str] = Counter()

    # -- what users and devices do --------------------------------------------------------------------

    def user_changed(self, place: Place, item: str, step: Step | None) -> None:
        """An item was written by its user: what lies at home now is what he wants to have."""
        path = self.world.on_disk(place) / item
        expected = self.home[place.number]
        if path.exists():
            self.world.date_folder(path)
            tree = read_item(path)
            expected[item] = tree
            self._add_version(place, item, tree)
        else:
            expected.pop(item, None)
        if step is not None:
            step.touched.add((place.number, item))

    def user_wrote(self, place: Place, item: str, below: str, file: tuple[bytes, int], step: Step) -> None:
        """To a file that he has open, wherever it lies by now."""
        step.touched.add((place.number, item))
        away = next((one for one in reversed(self.away) if one.place is place and one.item == item), None)
        if item in self.home[place.number]:
            tree = self.home[place.number][item] = {**self.home[place.number][item], below: file}
            self._add_version(place, item, tree)
        elif away is not None:
            away.tree = {**away.tree, below: file}
            self._add_version(place, item, away.tree)
        else:  # a restore of this step brought it, in whichever version
            for tree in [one for _, trees in self._versions_of(item) for one in trees if below in one]:
                self._add_version(place, item, {**tree, below: file})

    def user_saw_it_gone(self, place: Place, item: str, step: Step) -> None:
        """He wants to change what a run is just holding: it is not at home, and what he had is still his."""
        tree = self.home[place.number].pop(item, None)
        if tree is not None and not (self.world.on_disk(place) / item).exists():
            self._goes_away(place, item, tree, step)
        elif tree is not None:
            self.home[place.number][item] = tree

    def lost_identity(self, device: Device) -> None:
        device.identity += 1

    def adopted(self, device: Device, ran: Ran) -> None:
        """Archives of others are its own now, if it came that far: of each of its items any version may be the newest."""
        if ran.code == 0 or ran.died:
            for place in device.places:
                for (number, item), trees in list(self.versions.items()):
                    if self.places[number].path == place.path:
                        known = self.claims.setdefault((device.key, place.number, item), [])
                        known += [Claim(self.store.step, tree, sure=False) for tree in trees]
            if device.data.endswith("shared"):  # both use one catalogue, in which they are this device's now
                for claims in self.claims.values():
                    for claim in claims:
                        claim.sure = False

    def _add_version(self, place: Place, item: str, tree: Tree) -> None:
        known = self.versions.setdefault((place.number, item), [])
        if tree not in known:
            known.append(tree)

    def _goes_away(self, place: Place, item: str, tree: Tree, step: Step) -> None:
        by = frozenset(one.device.key for one in step.runs if one.verb == "clean" and one.place is place)
        self.away.append(Away(place, item, tree, by, step.number))

    # -- when a verb has returned -----------------------------------------------------------------------

    def returned(self, ran: Ran, step: Step) -> None:
        """In its own turn: is what it says true now?"""
        if ran.bug:
            raise Broken("bug", f"{ran.text()}\n{ran.bug}")
        if ran.verb == "archive" and ran.place is not None:
            self._archive_returned(ran, step)

    def _archive_returned(self, ran: Ran, step: Step) -> None:
        assert ran.place is not None
        claimed = {item for item, _, _ in ran.claims}
        for item, tree in self.home[ran.place.number].items():
            if item not in claimed and (ran.died or item in ran.failed or ran.code not in {0, 3}):
                self._claim(ran, item, Claim(step.number, tree, sure=False))
        for item, manifest, how in ran.claims:
            tree = self.home[ran.place.number].get(item)
            if tree is None or (ran.place.number, item) in step.touched:
                for known in self.versions.get((ran.place.number, item), []):
                    self._claim(ran, item, Claim(step.number, known, manifest, sure=False))
                continue
            self._check_claim(ran, item, manifest, how, tree)
            same = [one for one in step.ran("archive", place=ran.place) if one.device.key == ran.device.key]
            self._claim(ran, item, Claim(step.number, tree, manifest, sure=len(same) == 1))

    def _claim(self, ran: Ran, item: str, claim: Claim) -> None:
        assert ran.place is not None
        key = (ran.device.key, ran.place.number, item)
        self.met.update(situations.of_claim(self, ran, item, claim, self.claims.get(key, [])))
        self.claims.setdefault(key, []).append(claim)

    def _check_claim(self, ran: Ran, item: str, manifest: str, how: str, tree: Tree) -> None:
        """What the store loses by itself while the run goes on may have been there when the run looked.

        What it changes without changing its size is found when it is read, and before anything is cleaned.
        """
        objects = dict(self.store.objects)
        for key, (data, step) in self.store.lost.items():
            changed = key in objects and (is_manifest(key) or len(objects[key]) == len(data))
            if step == self.store.step or changed:
                objects[key] = data
        if manifest not in objects:
            raise Broken(f"claim {how}", f"{ran.text()}: {item} by {manifest}, which is not there")
        archived = self.stranger.archive(manifest, objects)
        if archived.damage:
            raise Broken(f"claim {how}", f"{ran.text()}: {item} by {manifest}: {archived.damage}")
        if archived.tree != tree:
            raise Broken(f"claim {how} other", f"{ran.text()}: {item} by {manifest}, which holds other bytes or times")

    # -- after a step -----------------------------------------------------------------------------------

    def settle(self, step: Step) -> None:
        """Look at every disk: what went, what came, and is everything still somewhere?"""
        for place in self.places:
            self._settle_home(place, step)
        self._find_what_is_away(step)
        self._check_target(step)
        self._check_foreign(step)
        self._check_age(step)

    def _settle_home(self, place: Place, step: Step) -> None:
        actual = read_items(self.world.on_disk(place))
        expected = self.home[place.number]
        for item in sorted(actual.keys() | expected.keys()):
            want, got = expected.get(item), actual.get(item)
            if want == got:
                continue
            if got is None and want is not None:
                self._went(place, item, want, step)
            elif got is not None and want is None:
                self._came(place, item, got, step)
            elif got is not None and want is not None:
                self._changed(place, item, want, got, step)

    def _went(self, place: Place, item: str, want: Tree, step: Step) -> None:
        if not step.ran("clean", place=place):
            raise Broken("vanished", f"{item} of {place.path}, and nobody cleaned: {_who(step)}")
        self._check_newest(place, item, want, step)
        del self.home[place.number][item]
        self._goes_away(place, item, want, step)

    def _check_newest(self, place: Place, item: str, want: Tree, step: Step) -> None:
        """What went is what its device archived last, where nothing makes that doubtful. Who died may not have looked."""
        if len(step.runs) != 1 or step.runs[0].died or step.touched or self.store.lost or self.store.met:
            return
        claims = self.claims.get((step.runs[0].device.key, place.number, item), [])
        if claims and claims[-1].sure and claims[-1].tree != want:
            raise Broken(
                "cleaned older", f"{item} of {place.path} went, and is not what was archived last: {_who(step)}"
            )

    def _came(self, place: Place, item: str, got: Tree, step: Step) -> None:
        runs = step.ran("undo", "clean", "archive", place=place) or _restores_to(place, step)
        if not runs:
            raise Broken("appeared", f"{item} in {place.path}: {_who(step)}")
        known = self.versions.get((place.number, item), [])
        restored = _restores_to(place, step)
        self.met[situations.RESTORED_HOME] += any(one.code == 0 for one in restored)
        self.met[situations.UNDONE] += bool(step.ran("undo", place=place))
        if restored and not any(self._archived_from(one.device, place) for one in restored):
            # A device that has nothing of its own from there is given what there is from a root of that path.
            known = [
                tree for number, trees in self._versions_of(item) if self._has_path(number, place) for tree in trees
            ]
        if got not in known:
            partial = any(one.code != 0 for one in restored)
            if not (partial and any(_is_part(got, tree) for tree in known)):
                raise Broken("wrong bytes", f"{item} in {place.path} is no version of it: {_who(step)}")
        self._is_home(place, item, got)

    def _versions_of(self, item: str) -> list[tuple[int, list[Tree]]]:
        return [(number, trees) for (number, name), trees in self.versions.items() if name == item]

    def _archived_from(self, device: Device, place: Place) -> bool:
        """Has it anything of its own from that root, which then alone goes back there?"""
        return any(
            (key, number) == (device.key, place.number) and any(one.sure for one in claims)
            for (key, number, _), claims in self.claims.items()
        )

    def _has_path(self, number: int, place: Place) -> bool:
        return self.places[number].path == place.path

    def _is_home(self, place: Place, item: str, got: Tree) -> None:
        self.home[place.number][item] = got
        self._add_version(place, item, got)
        same = [one for one in self.away if one.place is place and one.item == item and one.tree == got]
        for one in same[-1:]:
            self.away.remove(one)

    def _changed(self, place: Place, item: str, want: Tree, got: Tree, step: Step) -> None:
        """A restore beside what is at home adds what is missing, and replaces nothing."""
        runs = _restores_to(place, step)
        versions = self.versions.get((place.number, item), [])
        if (place.number, item) in step.touched:  # renamed while it was being restored
            versions = [
                tree for (number, _), trees in self.versions.items() if number == place.number for tree in trees
            ]
        added = {path: file for path, file in got.items() if path not in want}
        kept = all(got.get(path) == file for path, file in want.items())
        from_versions = any(_is_part(added, tree) for tree in versions)
        if runs and kept and from_versions:
            self._is_home(place, item, got)
            return
        if step.ran("clean", place=place) and got in versions and (place.number, item) in step.touched:
            self._goes_away(place, item, want, step)  # another of that name was put back meanwhile
            self._is_home(place, item, got)
            return
        raise Broken("changed at home", f"{item} of {place.path}: {_names(want)} is {_names(got)} now: {_who(step)}")

    def _find_what_is_away(self, step: Step) -> None:
        if not self.away:
            return
        quarantine = {one.number: read_aside(self.world.on_disk(one)) for one in self.places}
        archives = list(self.stranger.archives(self.store.objects).values())
        for away in self.away:
            lying = [tree for item, tree in quarantine[away.place.number] if item == away.item]
            lying += self._moved(away)
            missing = {
                path: file
                for path, file in away.tree.items()
                if not any(tree.get(path, (None,))[0] == file[0] for tree in lying)
            }
            self.met[situations.PURGED] += bool(away.local and missing and away.step < step.number)
            away.local = not missing
            if missing and away.since < 0:
                away.since = step.number
            for path, file in missing.items():
                if not _holds(archives, away.item, path, file) and not self._is_excused(away, path, file):
                    raise Broken("lost", f"{away.item}/{path} of {away.place.path} is nowhere: {_who(step)}")

    def _moved(self, away: Away) -> Iterable[Tree]:
        disk = self.world.disk(away.place.machine)
        moved = verbs.moved_of(disk, away.place) / away.item
        if moved.exists():
            self.met[situations.MOVED] += 1
            yield read_item(moved)
        trash = verbs.trash_of(disk, away.place)
        for path in sorted(trash.iterdir()) if trash.is_dir() else ():
            if path.name.partition("~")[2] == away.item:
                self.met[situations.TRASHED] += 1
                yield read_item(path)

    def _is_excused(self, away: Away, path: str, file: tuple[bytes, int]) -> bool:
        """The store lost it by itself, after the last copy at home had gone in good faith."""
        lost = {key: data for key, (data, step) in self.store.lost.items() if step >= away.since}
        if not lost:
            return False
        lost |= {key: data for key, (data, *_) in self.store.removed.items() if key.startswith(self._doomed())}
        archives = self.stranger.__class__().archives({**self.store.objects, **lost}).values()
        return _holds(archives, away.item, path, file)

    def _check_target(self, step: Step) -> None:
        """Nothing of what was committed may be removed or overwritten by us."""
        self._doomed()
        archives = self.stranger.archives(self.store.objects)
        manifests = [key for key, _ in self.store.overwritten if key.startswith("manifests/")]
        ours = [key for key in manifests if key not in self.store.lost]  # one that was damaged may be written again
        ours += [
            key for key, _ in self.store.overwritten for one in archives.values() if one.damage and key in one.keys
        ]
        if ours:
            raise Broken("overwrote", f"{ours[0]}: {_who(step)}")
        manifests = [key for key in self.store.removed if key.startswith("manifests/")]
        gone = [key for key in manifests if key not in self.store.lost]  # a damaged one makes way for its copy
        if gone:
            raise Broken("removed a manifest", f"{gone[0]}: {_who(step)}")
        self.met[situations.SAME_LISTING] += situations.same_listing(archives.values())
        for one in archives.values() if self.store.removed else ():
            removed = [key for key in one.keys if key in self.store.removed] if one.damage else []
            if removed and not removed[0].startswith(self._doomed()):
                raise Broken("removed what was committed", f"{removed[0]}, of {one.key}: {_who(step)}")

    def _doomed(self) -> tuple[str, ...]:
        """Attempts of which the store lost both the manifest and its copy: nothing tells any more what they are."""
        for key, (data, _) in self.store.lost.items():
            if is_manifest(key) and key not in self.store.objects:
                was = Stranger().archive(key, {key: data})
                prefix = str(was.header and was.header.get("data"))
                if f"{prefix}manifest.jsonl.zst" not in self.store.objects:
                    self._untold.add(prefix)
        return tuple(self._untold)

    def _check_age(self, step: Step) -> None:
        """Nothing goes that was not two weeks old, by the store's dates."""
        newest = self.store.newest_removed
        if newest is not None and self.world.now - newest < timedelta(days=14):
            raise Broken("removed what is young", f"of {newest:%Y-%m-%d}, on {self.world.now:%Y-%m-%d}: {_who(step)}")

    def _check_foreign(self, step: Step) -> None:
        for key, data in self.store.foreign.items():
            if self.store.objects.get(key) != data:
                raise Broken("foreign", f"{key} is not archive_tasks', and was removed or overwritten")
        for machine, before in self._outside.items():
            if self._read_outside(machine) != before:
                now = self._read_outside(machine)
                changed = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
                raise Broken("outside", f"{changed[0]} is outside of every root, and was written: {_who(step)}")

    def remember_outside(self) -> None:
        """What lies beside the roots stays as it is."""
        for machine in {one.machine for one in self.places}:
            self._outside[machine] = self._read_outside(machine)

    def _read_outside(self, machine: int) -> dict[str, bytes]:
        """All files of a machine but those in a root, and in the places where something may be written."""
        disk = self.world.disk(machine)
        own = [str(self.world.on_disk(one)) for one in self.places if one.machine == machine]
        own += [str(disk / name) for name in ("data", "moved", "restored")]
        own += [str(verbs.trash_of(disk, one)) for one in self.places]
        found: dict[str, bytes] = {}
        for base, folders, names in os.walk(disk):
            folders[:] = [name for name in folders if f"{base}/{name}" not in own]
            found |= {str(Path(base, name).relative_to(disk)): Path(base, name).read_bytes() for name in names}
        return found

    # -- what restore and verify must answer --------------------------------------------------------------

    def expected(self, device: Device, place: Place, item: str) -> list[Tree]:
        """What a restore by this device may give: its newest, or what may be newer; anybody's if it has none."""
        claims = self.claims.get((device.key, place.number, item), [])
        sure = [number for number, one in enumerate(claims) if one.sure]
        if sure:
            return [one.tree for one in claims[sure[-1] :]]
        return [tree for (_, name), trees in self.versions.items() if name == item for tree in trees]

    def check_restored(self, ran: Ran, item: str, to: Path, step: Step) -> None:
        """A restore to elsewhere has ended."""
        assert ran.place is not None
        got = read_item(to / item) if (to / item).exists() else None
        allowed = self.expected(ran.device, ran.place, item)
        if step.ran("archive", place=ran.place):  # its newest was made meanwhile
            allowed = [tree for _, trees in self._versions_of(item) for tree in trees]
        if ran.code == 0:
            self.met[situations.RESTORED_ELSEWHERE] += 1
            if got not in allowed:
                raise Broken("restored other", f"{ran.text()}: {item} is {_names(got)}, not {_many(allowed)}")
            return
        if got and not any(_is_part(got, tree) for tree in allowed):
            raise Broken("restored other", f"{ran.text()}: a part of {item} is {_names(got)}")

    def check_all_restored(self, ran: Ran, to: Path, *, undisturbed: bool) -> None:
        """Everything was restored to elsewhere: each item is as it was in one place, however many had it."""
        whole = not self.store.lost and not any(
            one.header is None or one.damage for one in self.stranger.archives(self.store.objects).values()
        )
        if undisturbed and whole and self.claims and ran.code in {1, 3}:
            raise Broken("does not restore all", ran.text())
        for (_, item), _ in list(self.versions.items()):
            known = [tree for _, trees in self._versions_of(item) for tree in trees]
            for path in sorted(to.rglob(item)):
                got = read_item(path)
                if got not in known and (ran.code == 0 or not any(_is_part(got, tree) for tree in known)):
                    raise Broken("restored other", f"{ran.text()}: {path.relative_to(to)} is {_names(got)}")

    def is_whole_for(self, device: Device, place: Place, item: str) -> bool:
        """Is everything that this device said of the item in the target still whole?"""
        claims = self.claims.get((device.key, place.number, item), [])
        named = [one.manifest for one in claims if one.manifest]
        if not claims or not all(one.sure for one in claims):
            return False
        objects = self.store.objects
        return all(key in objects and not self.stranger.archive(key, objects).damage for key in named)

    def damages(self, device: Device, *, entries: bool) -> list[str]:
        """What verify must not call well. What a manifest says wrongly of whole objects shows where entries are read."""
        objects = self.store.objects
        archives = self.stranger.archives(objects)
        found = {one.key: one.damage for one in archives.values() if one.damage and (entries or not one.misplaced)}
        for key, sha256 in verbs.receipts(device).items():
            if key not in objects:
                found[key] = "is missing, and there is a receipt for it"
            elif hashlib.sha256(objects[key]).hexdigest() != sha256:
                found[key] = "is not the manifest that there is a receipt for"
        return [f"{key}: {why}" for key, why in found.items() if not self._is_replaced(key, found, archives)]

    def _is_replaced(self, key: str, damaged: Mapping[str, str], archives: Mapping[str, Archived]) -> bool:
        """Is there a whole one of the same contents, made to replace it?"""
        was = self._as_written(key)
        lost = [one for name in self.store.lost if is_manifest(name) and (one := self._as_written(name))]
        for one in {**{one.key: one for one in lost}, **archives}.values():
            if one.header and one.header.get("replaces") == key and was and was.digests == one.digests:
                is_whole = one.key in archives and one.key not in damaged
                if is_whole or self._is_replaced(one.key, damaged, archives):
                    return True
        return False

    def _as_written(self, key: str) -> Archived | None:
        """An archive as it was before the store lost something of it."""
        lost = {name: data for name, (data, _) in self.store.lost.items()}
        objects = {**self.store.objects, **lost}
        return Stranger().archive(key, objects) if key in objects else None

    def check_repaired(self, ran: Ran) -> None:
        """A manifest that is missing, and whose copy is beside its data, must be there again."""
        for key, sha256 in verbs.receipts(ran.device).items():
            if key in self.store.objects:
                continue
            copies = [data for name, data in self.store.objects.items() if name.endswith("/manifest.jsonl.zst")]
            archives = self.stranger.archives(self.store.objects)
            damaged = {one.key: one.damage for one in archives.values() if one.damage and not one.misplaced}
            if self._is_replaced(key, damaged, archives):
                continue
            if any(hashlib.sha256(data).hexdigest() == sha256 for data in copies):
                raise Broken("does not repair", f"{ran.text()}: {key} is still missing, and its copy is there")

    def is_tampered(self, ran: Ran, item: str) -> bool:
        """Is something in the archive that a run relies on other than it was written? Nothing is freed by it then."""
        named = [manifest for name, manifest, _ in ran.claims if name == item]
        objects = self.store.objects
        return any(key in objects and self.stranger.archive(key, objects).damage for key in named)

    def lacking_copies(self, *, of_whole: bool) -> list[str]:
        """Manifests whose copies are not beside their data as they are; of whole archives that nothing replaced only."""
        objects = self.store.objects
        archives = self.stranger.archives(objects)
        damaged = {one.key: one.damage for one in archives.values() if one.damage}
        lacking = [
            key
            for key, one in archives.items()
            if one.header and one.header.get("data")
            if objects.get(f"{one.header['data']}manifest.jsonl.zst") != objects[key]
        ]
        if not of_whole:
            return lacking
        return [key for key in lacking if key not in damaged and not self._is_replaced(key, damaged, archives)]

    def check_verified(self, ran: Ran) -> None:
        """A verify has ended that nothing and nobody disturbed."""
        if ran.code == 2 and "vault.json" not in self.store.objects:
            return
        found = self.damages(ran.device, entries=ran.options.get("read_data", False))
        if ran.code == 0 and found:
            raise Broken("verify says well", f"{ran.text()}: {found[0]}")
        lacking = self.lacking_copies(of_whole=True)
        if ran.code == 0 and lacking:
            raise Broken("verify says well", f"{ran.text()}: {lacking[0]} has no copy as it should be")
        lacking = self.lacking_copies(of_whole=False)
        unreadable = [key for key, one in self.stranger.archives(self.store.objects).items() if one.header is None]
        unreadable += [
            key for key, data in self.store.objects.items() if is_copy(key) and not self.stranger.can_read(data)
        ]
        if ran.code != 0 and not (found or lacking or unreadable):  # whether those are replaced, a device may not know
            raise Broken("verify says damaged", ran.text())


def _holds(archives: Iterable[Archived], item: str, path: str, file: tuple[bytes, int]) -> bool:
    return any(one.item == item and one.files.get(path) == file for one in archives)


def _is_part(part: Tree, whole: Tree) -> bool:
    return all(whole.get(path) == file for path, file in part.items())


def _who(step: Step) -> str:
    return f"step {step.number}: " + "; ".join(one.text() for one in step.runs)


def _restores_to(place: Place, step: Step) -> list[Ran]:
    """Restores that may have put something back there: a device may mean another of its own roots."""
    return [one for one in step.ran("restore") if place in one.device.places]


def _names(tree: Tree | None) -> str:
    return str({path: file[0].decode() for path, file in tree.items()}) if tree is not None else "nothing"


def _many(trees: list[Tree]) -> str:
    return " or ".join(_names(tree) for tree in trees) or "anything"
