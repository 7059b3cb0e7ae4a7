"""Is what is set aside what was archived? Compared with the manifest, and with what was seen when it was archived."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from archive_tasks.clean.evidence import Evidence
from archive_tasks.clean.quarantine import Quarantine
from archive_tasks.clean.slot import Slot, state_of
from archive_tasks.disk.ctime_trial import MARGIN_NS, NOT_TRIED, CtimeTrial, counting_ctime
from archive_tasks.disk.leases import is_open_for_writing, leases_break_quietly
from archive_tasks.disk.mounts import mounts_below
from archive_tasks.disk.open_flags import FILE_TO_READ
from archive_tasks.disk.walk import open_quietly, unreadable
from archive_tasks.errors import ItemChanged, ItemUnreadable, ManifestError, NotCleaned
from archive_tasks.items.difference import Records, first_difference, holds_the_same
from archive_tasks.items.rules import Rules
from archive_tasks.items.survey import CTIME_COUNTS, Listed, as_it_counts, entry_fingerprint, list_entries
from archive_tasks.model import Item
from archive_tasks.names import display

FACTS = struct.Struct("<QIqqIqI")
"""Inode, mode, size, mtime and ctime of an entry; times in seconds and nanoseconds: a year may be 1601 or 2400."""
_LASTING = slice(1, 5)
"""Mode, size and mtime: what nobody changes by accident."""
_LARGE = 64 * 1024 * 1024
"""Bytes from which on it is worth waiting a moment to avoid reading a file twice."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proof:
    """Proof that a slot holds what the target holds. A gate accepts only proofs that it made, each once.

    Attributes:
        facts: of each entry, in the order of its listing.
        looked_ns: when the look began, by the filesystem's clock.
        lasts: whatever is written from then on shows in another digest.
        fingerprint: digest of the entries' marks.
    """

    slot: Slot
    evidence: Evidence
    facts: bytes
    fingerprint: str
    looked_ns: int
    lasts: bool


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares what is in the slots of a root.

    Attributes:
        ctime: whether the root's filesystem shows every write.
    """

    quarantine: Quarantine
    rules: Rules
    ctime: CtimeTrial = NOT_TRIED

    def proof(self, slot: Slot, evidence: Evidence, *, fingerprint: str) -> Proof:
        """Compare what is in the slot with the manifest. Raises NotCleaned, naming the difference.

        What shows the inodes and times that it had when it was archived is not read again, where a ctime shows every
        write. An item that is a file is: the rename moved its ctime, which could hide a write.
        """
        is_file, counts = state_of(slot).kind == "file", CTIME_COUNTS and self.ctime.counts
        if is_file and counts and state_of(slot).bytes >= _LARGE:
            time.sleep(MARGIN_NS / 10**9)  # then whatever is written to it from now on moves its ctime
        try:
            with self.quarantine.item_folder(slot) as folder, leases_break_quietly():
                proof = self._look(slot, evidence, folder, reading=False)
                if not counts or is_file or proof.fingerprint != fingerprint or not proof.lasts:
                    again = self._look(slot, evidence, folder, reading=True)
                    if again.facts != proof.facts:
                        raise ItemChanged("something in it changed while it was read")
        except (ItemChanged, ItemUnreadable, ManifestError) as error:
            raise NotCleaned(f"it is not as it was archived: {error}") from error
        return proof

    def last_look(self, proof: Proof) -> LastLook:
        """To be called for each entry right before it goes."""
        return LastLook(proof, self.ctime)

    def _look(self, slot: Slot, evidence: Evidence, folder: int, *, reading: bool) -> Proof:
        """Compare one listing with the manifest as it comes. Of what is half purged, entries may be gone."""
        facts, marks = bytearray(), bytearray()
        looked_ns = self.ctime.time_ns()
        newest = 0

        def noted() -> Iterator[Listed]:
            nonlocal newest
            for listed in self.listing(slot, evidence, folder):
                facts.extend(facts_of(listed.entry.stat))
                marks.extend(entry_fingerprint(listed))
                if listed.entry.kind != "folder":
                    newest = max(newest, counting_ctime(listed.entry.stat))
                with not_in_use(listed):
                    pass  # nobody who opens it now has to wait for as long as it is read
                yield listed

        partial = state_of(slot).stage == "purging"
        difference = first_difference(evidence.manifest, noted(), reading=reading, partial=partial)
        if difference:
            raise ItemChanged(difference)
        fingerprint = hashlib.sha256(marks).hexdigest()
        lasts = self.ctime.shows_writes(newest, since_ns=looked_ns)
        return Proof(
            slot=slot, evidence=evidence, facts=bytes(facts), fingerprint=fingerprint, looked_ns=looked_ns, lasts=lasts
        )

    def listing(self, slot: Slot, evidence: Evidence, folder: int) -> Iterator[Listed]:
        """What is in the slot. What is left out follows the manifest, whatever the rules are now."""
        state = state_of(slot)
        where = os.path.dirname(self.quarantine.path_of(slot))
        mounts = mounts_below(where)
        if mounts:
            raise ItemUnreadable(f"another filesystem is mounted at {display(min(mounts))}")
        rules = self.rules_for(where, evidence)
        return list_entries(Item(name=state.item, root=where, kind=state.kind), rules, folder)

    def rules_for(self, where: str, evidence: Evidence) -> Rules:
        """Rules to list a copy of the archived item by: what is left out follows the manifest."""
        left_out = evidence.left_out
        return dataclasses.replace(
            self.rules,
            root=where,
            excluders=(lambda path, _is_folder: left_out.get(path),),
            folder_excluders=(),
            mounts=frozenset(),
            inodes_count=self.ctime.inodes_stay,
        )


def facts_of(facts: os.stat_result) -> bytes:
    """What shows whether an entry is unchanged."""
    times = (*divmod(facts.st_mtime_ns, 10**9), *divmod(facts.st_ctime_ns, 10**9))
    return FACTS.pack(facts.st_ino, facts.st_mode, facts.st_size, *times)


class LastLook:
    """Looks at each entry once more, right before it is removed: is it what was proven?

    Where the facts leave room for a write that does not show, and where an inode or a ctime is another one (somebody
    made or removed another name of the file, or the filesystem renumbered), contents decide.
    """

    def __init__(self, proof: Proof, ctime: CtimeTrial) -> None:
        self._proof = proof
        self._ctime = ctime
        self._facts = FACTS.iter_unpack(proof.facts)
        self._records: Records | None = None

    def check(self, listed: Listed, facts: os.stat_result) -> None:
        """Raises ItemChanged, ItemUnreadable."""
        path, kind, _ = listed.entry
        facts = as_it_counts(facts, inodes_count=self._ctime.inodes_stay)
        expected = next(self._facts, None)
        found: tuple[int, ...] = FACTS.unpack(facts_of(facts))
        shows = kind == "folder" or self._ctime.shows_writes(counting_ctime(facts), since_ns=self._proof.looked_ns)
        if expected == found and (shows or listed.why is not None):
            return
        same = expected is not None and expected[_LASTING] == found[_LASTING]
        if listed.why is not None or not same or not self._holds_the_same(listed, facts):
            raise ItemChanged(f"{display(path)} changed, appeared, or follows something that vanished")

    def end(self) -> None:
        """Raises ItemChanged where not every entry came."""
        if next(self._facts, None):
            raise ItemChanged("something in it vanished")

    def _holds_the_same(self, listed: Listed, facts: os.stat_result) -> bool:
        self._records = self._records or Records(self._proof.evidence.manifest)
        record = self._records.of(listed.entry.path)
        now = listed._replace(entry=listed.entry._replace(stat=facts))
        return record is not None and holds_the_same(record, now)


@contextmanager
def not_in_use(listed: Listed) -> Iterator[None]:
    """Nobody has the file open for writing, as far as the system reports. Raises ItemChanged."""
    if not stat.S_ISREG(listed.entry.stat.st_mode):
        yield
        return
    try:
        handle = open_quietly(listed.name, FILE_TO_READ, dir_fd=listed.dir_fd)
    except OSError as error:
        raise unreadable(listed.entry.path, error) from error
    try:
        if is_open_for_writing(handle):
            raise ItemChanged(f"{display(listed.entry.path)} is open for writing")
        yield
    finally:
        os.close(handle)
