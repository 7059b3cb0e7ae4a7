"""How long an item waits for a target that answers with temporary faults.

Client libraries give up within a second (boto3 1.44's standard mode: three attempts, then a quota for the
whole client), so patience is ours: exponential backoff with full jitter, up to minutes, for each item.
"""

from __future__ import annotations

import random as random_module
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from archive_tasks.amounts import count_text
from archive_tasks.errors import IntegrityError, StoreBusy
from archive_tasks.target.pace import Pace

T = TypeVar("T")

# Seconds. Waits double up to a minute, because an outage of two minutes is then waited out with at most a request a
# second, and whoever waits goes on within a minute of its end.
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
_SHORTEST_WAIT = 0.01


class Patience:
    """How long one item waits for the target. Used by all threads that work on the item.

    Args:
        seconds: of faults without one success, after which the item is given up. Time in the queue of
            `pace`, which is of our own making, does not count.
        sleep: waits so many seconds; the default ends at once when the run is stopped.
        random: a number from 0 to 1, for the jitter.
        on_retry: called for each fault with the seconds until the retry.
    """

    def __init__(
        self,
        *,
        pace: Pace,
        seconds: float,
        on_retry: Callable[[str, float], None] = lambda _problem, _seconds: None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._pace = pace
        self._seconds = seconds
        self._on_retry = on_retry
        self._monotonic = monotonic
        self._sleep = sleep or pace.sleep
        self._random = random
        self._succeeded_at = float("-inf")

    def ask(self, operation: Callable[[], T], *, sends: int = 0) -> T:
        """Make a request until it is answered. It `sends` so many bytes.

        Raises:
            StoreBusy: no answer for too long; or the upload must be started over (`start_over`), at once.
            IntegrityError: it failed so twice.
            Interrupted: the run was stopped.
            StoreError: whatever else the operation raises, at once.
        """
        since = queued = self._monotonic()
        tries, doubted = 0, False
        while True:
            try:
                with self._pace.request(sends):
                    since += self._monotonic() - queued
                    answer = operation()
            except StoreBusy as error:
                if error.start_over:
                    raise
                tries += 1
                since = max(since, self._succeeded_at)
                self._wait(error, tries, since)
            except IntegrityError:
                # once more, because a bit may flip on the way; a second time it is not the network
                if doubted:
                    raise
                doubted = True
            else:
                self._succeeded_at = self._monotonic()
                self._pace.succeeded()
                return answer
            queued = self._monotonic()

    def _wait(self, error: StoreBusy, tries: int, since: float) -> None:
        if error.slow_down:
            self._pace.slow_down()
        waited = self._monotonic() - since
        left = self._seconds - waited
        asked_for = error.retry_after or 0.0
        if left < _SHORTEST_WAIT or asked_for > left:
            _give_up(error, waited)
        ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
        seconds = min(left, max(self._random() * ceiling, asked_for))
        self._on_retry(str(error), seconds)
        self._sleep(seconds)


def _give_up(error: StoreBusy, waited: float) -> NoReturn:
    spoken = f"{waited / 60:.0f} minutes" if waited >= 90 else count_text(round(waited), "second")
    message = f"gave up after {spoken}: {error}"
    raise StoreBusy(message, slow_down=error.slow_down, retry_after=error.retry_after) from error
