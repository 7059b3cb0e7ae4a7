"""The gate: sets items aside, proves them, and lets only what is proven be purged.

For each item, in this order: the target is asked for evidence (manifest read back, every object confirmed); the guards
are asked again; the item is moved aside by one rename; there it is compared with the manifest, and with what was seen
when it was archived. Only what was proven so may be purged, and while it is purged every entry is looked at once more.
Any difference puts the item back. Each step is in the slot's state and in the journal before it is taken.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime

from archive_tasks.catalogue import journal
from archive_tasks.catalogue.rows import KnownArchive
from archive_tasks.clean.evidence import Evidence, Witness
from archive_tasks.clean.proof import Comparer, Proof
from archive_tasks.clean.purge import purge_entries
from archive_tasks.clean.quarantine import FULL, Quarantine, refusal
from archive_tasks.clean.slot import Slot, Stage, State, state_of
from archive_tasks.disk.ctime_trial import NOT_TRIED, CtimeTrial
from archive_tasks.disk.leases import leases_break_quietly
from archive_tasks.errors import ItemChanged, ItemError, ItemUnreadable, NotCleaned, PartlyPurged
from archive_tasks.items.guards import reasons_to_keep
from archive_tasks.items.rules import Rules, rules_that_look_now
from archive_tasks.model import Item, Receipt
from archive_tasks.names import display
from archive_tasks.session import Session


class Gate:
    """Sets items aside, and purges what is proven. Its methods are called from one thread.

    Args:
        run: common to all slots of one run.
        discard_left_out: True cleans items of which something was left out, and discards that.
        ctime: whether the root's filesystem shows every write.
    """

    def __init__(
        self,
        session: Session,
        rules: Rules,
        witness: Witness,
        quarantine: Quarantine,
        *,
        run: str,
        discard_left_out: bool = False,
        ctime: CtimeTrial = NOT_TRIED,
    ) -> None:
        self._session = session
        self._rules = rules
        self.compare = Comparer(quarantine, rules, ctime)
        self._witness = witness
        self._catalogue = witness.target.catalogue
        self._quarantine = quarantine
        self._run = run
        self._discard_left_out = discard_left_out
        self._proofs: set[Proof] = set()

    # -- an item goes aside -------------------------------------------------------------------------

    def set_aside(self, item: Item, known: KnownArchive, *, mode: str, to: str = "") -> Proof:
        """Move an item aside that is provably in the target. On any error, it is where it was.

        Raises:
            NotCleaned: it stays at home, for a reason of its own.
            NotProven: it stays at home: the target does not hold it.
        """
        evidence = self._gathered(known.archive.id, known.archive.manifest, item.name, known)
        if not self._discard_left_out:
            _check_nothing_left_out(evidence)
        if reasons := reasons_to_keep(self._session, item, rules_that_look_now(self._session, self._rules)):
            raise NotCleaned("; ".join(reasons))
        slot = self._moved(self._state(item, known, mode, to))
        try:
            proof = self.compare.proof(slot, evidence, fingerprint=known.fingerprint if known.receipt else "")
            if not known.receipt:
                self._catalogue.add_receipt(
                    _receipt_of(proof, self._witness, self._session.wall()), now=self._session.wall()
                )
            slot = self._advanced(slot, "aside")
        except BaseException as error:
            self._put_back(slot, str(error))
            raise
        self._note("set aside", slot)
        return self._good(dataclasses.replace(proof, slot=slot))

    def _state(self, item: Item, known: KnownArchive, mode: str, to: str) -> State:
        return State(
            item=item.name,
            kind="folder" if item.kind == "folder" else "file",
            archive_id=known.archive.id,
            manifest=known.archive.manifest,
            target=self._witness.target.store.url,
            mode=mode,
            stage="moving",
            since=self._session.wall(),
            run=self._run,
            files=known.archive.files,
            bytes=known.archive.bytes,
            to=to,
            discard_left_out=self._discard_left_out,
        )

    def _moved(self, state: State) -> Slot:
        try:
            slot = self._quarantine.begin(state)
        except OSError as error:
            raise _refused(f"nothing can be set aside in {display(self._quarantine.path)}", error) from error
        self._note("setting aside", slot)
        try:
            self._quarantine.take_in(slot)
        except OSError as error:
            why = f"it cannot be moved aside by one rename: {refusal(error)}"
            self._put_back(slot, why)
            raise NotCleaned(why) from error
        return slot

    def _put_back(self, slot: Slot, why: str) -> None:
        try:
            self._quarantine.put_back(slot)
        except NotCleaned as error:
            raise NotCleaned(f"{why}; {error}") from error
        self._note("put back", slot, why=why)

    def _advanced(self, slot: Slot, stage: Stage) -> Slot:
        try:
            return self._quarantine.advance(slot, stage)
        except OSError as error:
            raise _refused("its progress cannot be recorded", error) from error

    # -- what is proven is purged -------------------------------------------------------------------

    def prove_again(self, slot: Slot) -> Proof:
        """Prove an item that is set aside, in this run. On any error, it stays there.

        Raises:
            NotCleaned: it is not as it was archived.
            NotProven: the target does not hold it.
        """
        state = state_of(slot)
        known = self._catalogue.known(state.manifest)
        evidence = self._gathered(state.archive_id, state.manifest, state.item, known)
        if evidence.left_out and not state.discard_left_out:
            raise NotCleaned("its archive is not the one that it was compared with: something is left out of it")
        return self._good(
            self.compare.proof(slot, evidence, fingerprint=known.fingerprint if known and known.receipt else "")
        )

    def _gathered(self, archive_id: str, manifest: str, item: str, known: KnownArchive | None) -> Evidence:
        sha256 = known.receipt.manifest_sha256 if known and known.receipt else ""
        return self._witness.gather(archive_id, manifest, item=item, sha256=sha256)

    def _good(self, proof: Proof) -> Proof:
        self._proofs.add(proof)
        return proof

    def purge(self, proof: Proof) -> None:
        """Remove what was proven, for good.

        Raises:
            PartlyPurged: something is not as it was proven; it and what was not reached yet stay aside.
            NotProven: the target no longer holds it.
            ValueError: the proof is not one of this gate's, or was used.
        """
        if proof not in self._proofs:
            raise ValueError("this proof is not one of this gate's")
        self._proofs.remove(proof)
        self._witness.check_fresh(proof.evidence)
        slot = self._advanced(proof.slot, "purging")
        self._note("purging", slot)
        try:
            with self._quarantine.item_folder(slot) as folder, leases_break_quietly():
                purge_entries(proof, self.compare, folder)
            self._quarantine.close(slot)
        except (ItemChanged, ItemUnreadable, OSError) as error:
            what = refusal(error) if isinstance(error, OSError) else str(error)
            raise PartlyPurged(
                f"not all of it was purged: {what}. What is left is in {display(self._quarantine.path_of(slot))}; "
                "what is gone is in its archive"
            ) from error
        self._note("purged", slot)

    def _note(self, what: str, slot: Slot, **more: str) -> None:
        state = state_of(slot)
        details = {"item": state.item, "archive": state.archive_id, "manifest": state.manifest}
        details |= {"slot": slot.name, "mode": state.mode}
        journal.note(self._catalogue, what, now=self._session.wall(), **details, **more)


def _check_nothing_left_out(evidence: Evidence) -> None:
    if evidence.left_out:
        first, more = next(iter(evidence.left_out)), len(evidence.left_out) - 1
        others = f" and {more:,} more" if more else ""
        raise NotCleaned(f"{display(first)}{others} was left out of the archive; --discard-left-out discards it")


def _receipt_of(proof: Proof, witness: Witness, now: datetime) -> Receipt:
    return Receipt(
        manifest=proof.evidence.key,
        manifest_sha256=proof.evidence.sha256,
        proven_by="checksum" if witness.transfer.trusted else "read-back",
        proven_at=now,
        fingerprint=proof.fingerprint if proof.lasts else "",
    )


def _refused(what: str, error: OSError) -> ItemError:
    """A full disk is not the item's own reason to stay: that is a failure, which the exit code shows."""
    if error.errno not in FULL:
        return NotCleaned(f"{what}: {refusal(error)}")
    return ItemUnreadable(f"{what}: the disk is full. Free some space there by hand, 1 MB is enough, and run it again")
