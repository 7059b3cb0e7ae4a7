"""What the items of one run share, and what the steps of one item share."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from archive_tasks.archive.packer import StartPacking
from archive_tasks.catalogue.attempts import AttemptOf
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.disk.ctime_trial import CtimeTrial
from archive_tasks.errors import ItemUnreadable
from archive_tasks.items.rules import Rules
from archive_tasks.items.survey import Survey
from archive_tasks.model import Item, Source
from archive_tasks.names import display
from archive_tasks.session import Session
from archive_tasks.store import Store
from archive_tasks.target.already_there import Listings
from archive_tasks.target.open import Target
from archive_tasks.target.pace import Pace
from archive_tasks.target.patience import Patience
from archive_tasks.target.resolve import scope_for, storage_class_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the items of one run share.

    Attributes:
        workers: send to the store; shared by all items.
        listings: what the run saw listed in the target.
        source: whose items these are.
        run: its number in the catalogue.
        ctime: whether the root's filesystem shows every write.
        start_packing: has segments of packs made.
    """

    session: Session
    target: Target
    rules: Rules
    pace: Pace
    workers: Executor
    root_fd: int
    listings: Listings
    source: Source
    run: int
    ctime: CtimeTrial
    start_packing: StartPacking

    @property
    def store(self) -> Store:
        return self.target.store

    @property
    def catalogue(self) -> Catalogue:
        return self.target.catalogue

    @property
    def now(self) -> datetime:
        return self.session.now

    def storage_class(self, item: Item, survey: Survey) -> str:
        """Class of the item's objects: a plugin's choice, else the target's.

        Raises:
            ItemUnreadable: it is a cold one, and the target's checksums prove nothing: it could not be read back.
        """
        chosen = storage_class_for(
            self.session,
            item,
            days_idle=self.rules.limits.days_idle(survey.newest_ns),
            size=survey.bytes,
            default=self.store.storage_class,
        )
        if self.store.is_cold(chosen) and not self.target.verdict.trusted:
            raise ItemUnreadable(
                f"it would go to the class {display(chosen)}, which cannot be read back, and this target's checksums "
                "prove nothing; choose a class like GLACIER_IR"
            )
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyedItem:
    """An item as it was surveyed, with what its steps share.

    Attributes:
        storage_class: of its objects.
    """

    item: Item
    survey: Survey
    work: Work
    patience: Patience
    storage_class: str

    @property
    def scope(self) -> str:
        return scope_for(self.work.session, self.item.root)

    @property
    def attempted(self) -> AttemptOf:
        """What its attempts are remembered by."""
        return AttemptOf(self.work.source.device, self.item.root, self.item.name, self.survey.id)
