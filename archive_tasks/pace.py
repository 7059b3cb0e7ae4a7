"""How hard a run may work on a target, and how long an item waits for one that answers with passing faults.

Client libraries give up within a second (boto3 1.44's standard mode: three attempts, then a quota for the
whole client), so patience is ours: exponential backoff with full jitter, up to minutes, for each item.
"""

from __future__ import annotations

import random as random_module
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from archive_tasks.errors import IntegrityError, Interrupted, StoreBusy

T = TypeVar("T")

FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
_SECONDS_BETWEEN_CUTS = 1.0


class Pace:
    """Shared by all threads of a run.

    Requests are let through up to a limit that is halved when the store asks for fewer and grows by one for
    each limit's worth of successes (additive increase, multiplicative decrease).

    Args:
        concurrency: requests under way at the same time, at most.
        bandwidth: bytes sent a second, at most; 0 is unlimited.
        memory: bytes of file contents held at the same time, at most.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self, *, concurrency: int, bandwidth: int = 0, memory: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = concurrency
        self._limit = float(concurrency)
        self._bandwidth = bandwidth
        self._memory = memory
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._under_way = 0
        self._held = 0
        self._may_send_at = monotonic()
        self._cut_at = float("-inf")

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    def stop(self) -> None:
        """Wake everyone who waits here: they raise Interrupted."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    @contextmanager
    def request(self, *, sending: int = 0) -> Iterator[None]:
        """Around one request; waits for its turn, and for the bandwidth to send `sending` bytes."""
        self._wait_for(lambda: self._under_way < self.limit, self._begin)
        try:
            if self._bandwidth and sending:
                self.sleep(self._wait_to_send(sending))
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def slow_down(self) -> None:
        """The store asked for fewer requests: halve the limit, once a second at most."""
        with self._changed:
            now = self._monotonic()
            if now - self._cut_at >= _SECONDS_BETWEEN_CUTS:
                self._cut_at = now
                self._limit = max(1.0, self._limit / 2)

    def succeeded(self) -> None:
        """A request was answered."""
        if self._limit < self._most:
            with self._changed:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
                self._changed.notify_all()

    def take(self, size: int) -> None:
        """Wait until `size` bytes fit into the memory; something larger than all of it is let through alone."""

        def begin() -> None:
            self._held += size

        self._wait_for(lambda: not self._held or self._held + size <= self._memory, begin)

    def give_back(self, size: int) -> None:
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped. Raises Interrupted then."""
        if self._stop.wait(max(seconds, 0)):
            raise Interrupted("stopped")

    def _begin(self) -> None:
        self._under_way += 1

    def _wait_for(self, is_possible: Callable[[], bool], begin: Callable[[], None]) -> None:
        with self._changed:
            while not self.stopped and not is_possible():
                self._changed.wait()
            if self.stopped:
                raise Interrupted("stopped")
            begin()

    def _wait_to_send(self, size: int) -> float:
        """Reserve the line for `size` bytes; seconds until it is free."""
        with self._changed:
            now = self._monotonic()
            begins = max(now, self._may_send_at)
            self._may_send_at = begins + size / self._bandwidth
            return begins - now


class Patience:
    """How long one item waits for the target. Used by all threads that work on the item.

    Args:
        seconds: of faults without one success, after which the item is given up.
        sleep: waits, and raises Interrupted when the run is stopped.
        random: a number from 0 to 1, for the jitter.
        on_retry: told of each fault and how many seconds it is waited.
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
        self._succeeded_at = monotonic()

    def ask(self, operation: Callable[[], T], *, sending: int = 0) -> T:
        """Make a request until it is answered.

        Raises:
            StoreBusy: it was not, for too long; or the upload must be begun anew (`start_over`), at once.
            IntegrityError: it failed so twice.
            Interrupted: the run was stopped.
            StoreError: whatever else the operation raises, at once.
        """
        began, tries, doubts = self._monotonic(), 0, 0
        while True:
            try:
                with self._pace.request(sending=sending):
                    answer = operation()
            except StoreBusy as error:
                if error.start_over:
                    raise
                tries += 1
                self._wait(error, tries, began)
            except IntegrityError:
                doubts += 1
                if doubts > 1:
                    raise
            else:
                self._succeeded_at = self._monotonic()
                self._pace.succeeded()
                return answer

    def _wait(self, error: StoreBusy, tries: int, began: float) -> None:
        if error.slow_down:
            self._pace.slow_down()
        ceiling = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 16))
        seconds = max(self._random() * ceiling, error.retry_after or 0.0)
        waited = self._monotonic() - max(began, self._succeeded_at)
        if waited + seconds > self._seconds:
            raise StoreBusy(f"given up after {waited / 60:.0f} min: {error}", slow_down=error.slow_down) from error
        self._on_retry(str(error), seconds)
        self._sleep(seconds)
