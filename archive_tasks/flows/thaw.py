"""Objects of cold classes that a restore wants: asking about them, having them thawed, waiting until they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from archive_tasks.amounts import count_text
from archive_tasks.catalogue.database import Catalogue
from archive_tasks.errors import Interrupted, UsageError
from archive_tasks.flows.using_target import new_pace, new_patience
from archive_tasks.restore import thaw
from archive_tasks.restore.plan import wanted_objects
from archive_tasks.restore.selection import Selection
from archive_tasks.restore.thaw import Cold
from archive_tasks.session import Session
from archive_tasks.show import restore as reporting
from archive_tasks.show.console import Console
from archive_tasks.store import Store
from archive_tasks.target.patience import Patience
from archive_tasks.target.prices import Prices, Thawing

_SHORTEST_POLL, _LONGEST_POLL = 1.0, 300.0


class Thawer:
    """What one restore does about objects that cannot be read at once."""

    def __init__(self, session: Session, store: Store, catalogue: Catalogue, console: Console, prices: Prices) -> None:
        self._session = session
        self._store = store
        self._catalogue = catalogue
        self._console = console
        self._prices = prices

    def look_for_cold(self, selections: Sequence[Selection], *, always: bool) -> Cold:
        """Ask how far objects are thawed, for archives in a cold class."""
        suspicious = [one for one in selections if always or self._store.is_cold(one.archive.storage_class)]
        return self.look(wanted_objects(suspicious, self._catalogue))

    def look(self, keys: Iterable[str]) -> Cold:
        """Ask how far these objects are thawed."""
        return thaw.look(keys, self._store, patience=self._patience(), concurrency=self._session.settings.concurrency)

    def have_thawed(self, cold: Cold, *, tier: str, yes: bool) -> None:
        """Show what thawing takes and costs, ask, and ask the store.

        Args:
            tier: that the user named; empty for none.
            yes: take the cheapest without asking.

        Raises:
            UsageError: there is no such tier, or nobody to ask.
            Interrupted: the user does not want to.
        """
        ways = thaw.ways(cold.frozen, self._prices)
        self._console.say(reporting.thaw_offer(cold.frozen, days=thaw.THAWED_DAYS, prices=self._prices.name))
        for line in reporting.way_lines(ways):
            self._console.say(line)
        chosen = self._chosen_tier(ways, tier, yes=yes)
        number = thaw.request(
            cold.frozen, chosen, self._store, self._catalogue, patience=self._patience(), now=self._session.now
        )
        self._console.say(f"asked for {count_text(number, 'object')} to be thawed ({chosen})")

    def _chosen_tier(self, ways: list[Thawing], tier: str, *, yes: bool) -> str:
        if tier:
            return thaw.check_tier(tier, ways)
        cheapest = min(ways, key=lambda way: way.dollars).tier if ways else "Standard"
        if yes:
            return cheapest
        if not self._console.can_ask:
            raise UsageError(
                "thawing costs money, and there is no terminal to ask on: add --tier, or --yes for the cheapest"
            )
        answer = self._console.ask_text("Thaw them? Type a tier, or no", default=cheapest)
        if answer is None or answer.lower() in {"n", "no"}:
            raise Interrupted("nothing is thawed; what could be read at once is restored")
        return thaw.check_tier(answer, ways)

    def wait_for(self, keys: frozenset[str]) -> None:
        """Check from time to time until everything can be read."""
        seconds = _SHORTEST_POLL
        while True:
            cold = self.look(keys)
            if not cold.keys:
                return
            self._console.say(f"waiting for {count_text(len(cold.keys), 'object')} to thaw", style="dim")
            time.sleep(seconds)
            seconds = min(_LONGEST_POLL, seconds * 2)

    def _patience(self) -> Patience:
        return new_patience(self._session, new_pace(self._session), self._console)
