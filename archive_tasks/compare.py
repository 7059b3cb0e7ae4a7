"""Is what lies aside what was archived? Compared with the manifest, and with what was seen when it was archived."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from archive_tasks.aside import Aside
from archive_tasks.contents import first_difference
from archive_tasks.entries import CTIME_COUNTS, Listed, list_entries, mark_of
from archive_tasks.errors import ItemChanged, ItemUnreadable, ManifestError, NotCleaned
from archive_tasks.evidence import Evidence
from archive_tasks.leases import is_open_for_writing, leases_break_quietly
from archive_tasks.model import Item
from archive_tasks.names import display
from archive_tasks.session import Rules
from archive_tasks.slot_state import Slot, state_of
from archive_tasks.walk import mounts_below, open_quietly, unreadable

FACTS = struct.Struct("<QIqqq")
"""Inode, mode, size, mtime, ctime of an entry."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proof:
    """That what lies in a slot is what the target holds. A gate lets only those pass that it had made, each once.

    Attributes:
        facts: of each entry, in the order of its listing.
        seen: digest of the entries' marks.
    """

    slot: Slot
    evidence: Evidence
    facts: bytes
    seen: str


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares what lies in the slots of a root."""

    aside: Aside
    rules: Rules

    def proof(self, slot: Slot, evidence: Evidence, *, seen: str) -> Proof:
        """Compare what lies in the slot with the manifest. Raises NotCleaned, naming the difference.

        What shows the inodes and times that it had when it was archived is not read again. A file by itself is: the
        rename moved its ctime, behind which a write could hide.
        """
        try:
            with self.aside.item_folder(slot) as folder, leases_break_quietly():
                proof = self._look(slot, evidence, folder, reading=False)
                if not CTIME_COUNTS or state_of(slot).kind == "file" or proof.seen != seen:
                    again = self._look(slot, evidence, folder, reading=True)
                    if again.facts != proof.facts:
                        raise ItemChanged("something in it changed while it was read")
        except (ItemChanged, ItemUnreadable, ManifestError) as error:
            raise NotCleaned(f"it is not as it was archived: {error}") from error
        return proof

    def _look(self, slot: Slot, evidence: Evidence, folder: int, *, reading: bool) -> Proof:
        """Compare one listing with the manifest as it comes. Of what is half purged, entries may be gone."""
        facts, marks = bytearray(), bytearray()

        def noted() -> Iterator[Listed]:
            for listed in self.listing(slot, evidence, folder):
                facts.extend(facts_of(listed.entry.stat))
                marks.extend(mark_of(listed))
                with not_in_use(listed):
                    pass  # nobody who opens it now has to wait for as long as it is read
                yield listed

        partial = state_of(slot).stage == "purging"
        difference = first_difference(evidence.manifest, noted(), reading=reading, partial=partial)
        if difference:
            raise ItemChanged(difference)
        return Proof(slot=slot, evidence=evidence, facts=bytes(facts), seen=hashlib.sha256(marks).hexdigest())

    def listing(self, slot: Slot, evidence: Evidence, folder: int) -> Iterator[Listed]:
        """What lies in the slot. Left out is what the manifest says, whatever the rules have become."""
        state = state_of(slot)
        where = os.path.dirname(self.aside.path_of(slot))
        mounts = mounts_below(where)
        if mounts:
            raise ItemUnreadable(f"another filesystem is mounted at {display(min(mounts))}")
        rules = self.rules_for(where, evidence)
        return list_entries(Item(name=state.item, root=where, kind=state.kind), rules, folder)

    def rules_for(self, where: str, evidence: Evidence) -> Rules:
        """Rules to list a copy of the archived item by: left out is what the manifest says."""
        left_out = evidence.left_out
        return dataclasses.replace(
            self.rules,
            root=where,
            excluders=(lambda path, _is_folder: left_out.get(path),),
            folder_excluders=(),
            mounts=frozenset(),
        )


def facts_of(facts: os.stat_result) -> bytes:
    """What tells whether an entry is the one that it was."""
    return FACTS.pack(facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@contextmanager
def not_in_use(listed: Listed) -> Iterator[None]:
    """Nobody has the file open for writing, as far as the system tells. Raises ItemChanged."""
    if not stat.S_ISREG(listed.entry.stat.st_mode):
        yield
        return
    try:
        handle = open_quietly(listed.name, _FILE, dir_fd=listed.dir_fd)
    except OSError as error:
        raise unreadable(listed.entry.path, error) from error
    try:
        if is_open_for_writing(handle):
            raise ItemChanged(f"{display(listed.entry.path)} is open for writing")
        yield
    finally:
        os.close(handle)
