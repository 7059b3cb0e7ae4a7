"""Objects of cold classes: which must be thawed, what that costs, and asking for it once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.restores import note_thaw
from archive_tasks.errors import UsageError
from archive_tasks.store import ObjectInfo, Store
from archive_tasks.target.patience import Patience
from archive_tasks.target.prices import Prices, Thawing

THAWED_DAYS = 7
"""How long a thawed copy is kept: long enough to be away for a weekend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """Objects that are wanted and cannot be read now.

    Attributes:
        frozen: that nobody has asked for yet.
        thawing: that are on their way.
    """

    frozen: tuple[ObjectInfo, ...]
    thawing: tuple[ObjectInfo, ...]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(info.key for info in (*self.frozen, *self.thawing))


def look(keys: Iterable[str], store: Store, *, patience: Patience, concurrency: int) -> Cold:
    """Ask the store how far each object is; one HEAD request each."""
    wanted = sorted(set(keys))
    with ThreadPoolExecutor(concurrency) as pool:
        infos = list(pool.map(lambda key: patience.ask(lambda: store.describe(key)), wanted))
    cold = [info for info in infos if info is not None and info.thaw is not None]
    return Cold(
        frozen=tuple(info for info in cold if info.thaw and info.thaw.state == "frozen"),
        thawing=tuple(info for info in cold if info.thaw and info.thaw.state == "thawing"),
    )


def ways(frozen: Iterable[ObjectInfo], prices: Prices) -> list[Thawing]:
    """The tiers that every class among the objects has, with the price for all of them together."""
    by_class: dict[str, list[ObjectInfo]] = {}
    for info in frozen:
        by_class.setdefault(info.storage_class, []).append(info)
    tables: list[Mapping[str, Thawing]] = [
        {
            way.tier: way
            for way in prices.to_thaw(
                storage_class,
                objects=len(infos),
                size=sum(info.size for info in infos),
                days=THAWED_DAYS,
            )
        }
        for storage_class, infos in by_class.items()
    ]
    if not tables:
        return []
    common = [tier for tier in tables[0] if all(tier in table for table in tables)]
    return [
        Thawing(
            tier=tier,
            time=max((table[tier].time for table in tables), key=len),
            dollars=sum(table[tier].dollars for table in tables),
        )
        for tier in common
    ]


def check_tier(tier: str, offered: list[Thawing]) -> str:
    """The tier in the store's spelling. Raises UsageError."""
    for way in offered:
        if way.tier.lower() == tier.lower():
            return way.tier
    known = ", ".join(way.tier for way in offered)
    raise UsageError(f"--tier is {tier!r}, but these objects can be thawed by {known or 'no tier'}")


def request(
    frozen: Iterable[ObjectInfo], tier: str, store: Store, catalogue: Catalogue, *, patience: Patience, now: datetime
) -> int:
    """Ask the store to thaw each object, once. Returns how many were asked for."""
    number = 0
    for info in frozen:
        patience.ask(lambda key=info.key: store.thaw(key, tier=tier, days=THAWED_DAYS))  # type: ignore[misc]
        note_thaw(catalogue, info.key, tier=tier, days=THAWED_DAYS, now=now)
        number += 1
    return number
