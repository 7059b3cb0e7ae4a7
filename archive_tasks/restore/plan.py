"""What a restore would fetch, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import ManifestError
from archive_tasks.formats.entry import entry_of
from archive_tasks.restore.selection import Selection, wanted_entries
from archive_tasks.target.prices import Prices
from archive_tasks.target.ranges import FetchPlanner, pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What a restore would do.

    Attributes:
        items: (item, where it goes, files, bytes) of each archive.
        to_fetch: bytes, by `requests` requests.
    """

    items: tuple[tuple[str, str, int, int], ...]
    files: int
    bytes: int
    requests: int
    to_fetch: int


def restore_plan(selections: Sequence[Selection], catalogue: Catalogue) -> RestorePlan:
    """Read through the entries and sum up. Raises UsageError when nothing was asked for."""
    items = []
    requests = to_fetch = 0
    for selection in selections:
        files = size = 0
        planner = FetchPlanner()
        for place, record in wanted_entries(selection, catalogue):
            try:
                entry = entry_of(record)
            except ManifestError:
                continue
            files += entry.kind != "folder"
            size += entry.size if not entry.hardlink else 0
            if entry.place is not None and entry.place.extents is not None:
                requests += len(pieces(entry.place))
                to_fetch += entry.place.length
            elif entry.place is not None and entry.place.parts:
                requests += len(entry.place.parts)
                to_fetch += entry.size
            elif entry.place is not None:
                for fetch in planner.add(place, entry):
                    requests, to_fetch = requests + 1, to_fetch + fetch.length
        for fetch in planner.flush():
            requests, to_fetch = requests + 1, to_fetch + fetch.length
        items.append((selection.archive.item, selection.destination, files, size))
    return RestorePlan(
        items=tuple(items),
        files=sum(item[2] for item in items),
        bytes=sum(item[3] for item in items),
        requests=requests,
        to_fetch=to_fetch,
    )


def dollars_to_fetch(selections: Sequence[Selection], catalogue: Catalogue, prices: Prices) -> float | None:
    """What fetching costs, by the class that each archive was written to; None where the table does not say."""
    dollars = 0.0
    for storage_class in {one.archive.storage_class for one in selections}:
        plan = restore_plan([one for one in selections if one.archive.storage_class == storage_class], catalogue)
        cost = prices.to_fetch(storage_class, requests=plan.requests, size=plan.to_fetch)
        if cost is None:
            return None
        dollars += cost
    return dollars


def quick_plan(selections: Sequence[Selection], catalogue: Catalogue) -> RestorePlan:
    """The amounts alone, from the archives' totals where whole items were asked for."""
    if all(selection.is_whole for selection in selections):
        archives = [selection.archive for selection in selections]
        files, size = sum(one.files for one in archives), sum(one.bytes for one in archives)
        return RestorePlan(items=(), files=files, bytes=size, requests=0, to_fetch=0)
    return restore_plan(selections, catalogue)


def wanted_objects(selections: Sequence[Selection], catalogue: Catalogue) -> set[str]:
    """Keys of the objects that hold the wanted files."""
    return {
        str(record["key"])
        for selection in selections
        for _, record in wanted_entries(selection, catalogue)
        if "key" in record
    }
