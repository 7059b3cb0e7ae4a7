"""What storing and fetching costs, by a dated table that the user may replace. All amounts are in USD."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archive_tasks.errors import SettingsError
from archive_tasks.names import display

GIB = 1024**3
"""S3 counts a GB as 2^30 bytes."""
_OURS = os.path.join(os.path.dirname(__file__), "prices.toml")
_DAYS_A_MONTH = 30.4  # 365 / 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Thawing:
    """One way to thaw: its name in the store's words, how long it takes, and what it costs."""

    tier: str
    time: str
    dollars: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """A table of prices, as it was read. `name` says whose it is and its date."""

    name: str
    table: Mapping[str, Any]

    def to_store(self, storage_class: str, *, objects: int, size: int, months: float, parts: int = 0) -> float | None:
        """Requests and storage of `size` bytes in `objects` objects, with a class's floors and overheads.

        Args:
            parts: requests for parts, which cost what STANDARD asks, whatever the class (S3 pricing).

        Returns:
            None for a class that the table does not know.
        """
        known = self._class(storage_class)
        if known is None:
            return None
        standard = self._class("STANDARD") or known
        stored = max(size, objects * known.get("least_bytes", 0)) + objects * known.get("overhead_bytes", 0)
        beside = objects * known.get("overhead_standard_bytes", 0)
        requests = objects * known["put"] / 1000 + parts * standard["put"] / 1000
        return float(requests + months * (stored * known["storage"] + beside * standard["storage"]) / GIB)

    def to_fetch(self, storage_class: str, *, requests: int, size: int) -> float | None:
        """GET requests, retrieval and data out, as if none of the month's free data out were used."""
        known = self._class(storage_class)
        if known is None:
            return None
        gigabytes = size / GIB
        out = max(0.0, gigabytes - self.table.get("data_out_free_gb", 0)) * self.table.get("data_out_per_gb", 0)
        return float(requests * known["get"] / 1000 + gigabytes * known.get("retrieval", 0) + out)

    def to_thaw(self, storage_class: str, *, objects: int, size: int, days: int) -> list[Thawing]:
        """The ways to thaw `objects` whole objects of `size` bytes together for so many days, cheapest last.

        The thawed copies are billed as STANDARD storage meanwhile. Empty for a class that needs no thawing.
        """
        known = self._class(storage_class) or {}
        standard = self._class("STANDARD") or {"storage": 0.0}
        gigabytes = size / GIB
        copies = gigabytes * standard["storage"] * days / _DAYS_A_MONTH
        return [
            Thawing(
                tier=tier,
                time=str(way["time"]),
                dollars=float(gigabytes * way["per_gb"] + objects * way["per_thousand"] / 1000 + copies),
            )
            for tier, way in known.get("thaw", {}).items()
        ]

    def _class(self, storage_class: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.table["class"].get(storage_class or "STANDARD")
        return found


def read_prices(path: str = "") -> Prices:
    """The prices in `path`, or those that come with this package.

    Raises:
        SettingsError: the file cannot be read, or is not a price table.
    """
    try:
        with open(os.path.expanduser(path) or _OURS, "rb") as file:
            table = tomllib.load(file)
        prices = Prices(name=str(table["name"]), table=table)
        for storage_class in table["class"]:
            prices.to_store(storage_class, objects=1, size=1, months=1)
            prices.to_fetch(storage_class, requests=1, size=1)
            prices.to_thaw(storage_class, objects=1, size=1, days=1)
    except OSError as error:
        raise SettingsError(f"archive.prices: {display(path)} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise SettingsError(f"archive.prices: {display(path)} is not a price table: {error}") from error
    return prices
