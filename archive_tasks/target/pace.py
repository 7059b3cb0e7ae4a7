"""How hard a run may work on a target: requests at once, bytes a second, memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archive_tasks.errors import Interrupted

# Because all threads hear of it within the same second: eight of them would halve the limit eight times.
_SECONDS_BETWEEN_CUTS = 1.0


class _Waiter:
    def __init__(self, size: int) -> None:
        self.size = size
        self.called = threading.Event()
        self.admitted = False


class _Turnstile:
    """Room for so many units, given first come, first served; what is larger than all of it goes alone.

    Whoever leaves hands the room to those whose turn it is and wakes no others, so a large request is not
    overtaken by small ones forever, and a hundred waiting threads cost nothing.
    """

    def __init__(self, room: int) -> None:
        self.used = 0
        self._room = room
        self._closed = False
        self._lock = threading.Lock()
        self._queue: deque[_Waiter] = deque()

    def enter(self, size: int) -> None:
        """Wait until there is room. Raises Interrupted when the gate is closed."""
        with self._lock:
            if not self._queue and not self._closed and self._fits(size):
                self.used += size
                return
            waiter = self._queued(size)
        waiter.called.wait()
        if not waiter.admitted:
            raise Interrupted("stopped")

    def leave(self, size: int) -> None:
        with self._lock:
            self.used -= size
            self._admit()

    def resize(self, room: int) -> None:
        with self._lock:
            self._room = room
            self._admit()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._queue:
                self._queue.popleft().called.set()

    def _fits(self, size: int) -> bool:
        return not self.used or self.used + size <= self._room

    def _queued(self, size: int) -> _Waiter:
        if self._closed:
            raise Interrupted("stopped")
        waiter = _Waiter(size)
        self._queue.append(waiter)
        return waiter

    def _admit(self) -> None:
        while self._queue and self._fits(self._queue[0].size):
            waiter = self._queue.popleft()
            self.used += waiter.size
            waiter.admitted = True
            waiter.called.set()


class Pace:
    """Shared by all threads of a run.

    Requests are let through up to a limit that is halved when the store asks for fewer and grows by one for
    each limit's worth of successes (additive increase, multiplicative decrease).

    Args:
        concurrency: requests under way at the same time, at most.
        bandwidth: bytes sent a second, at most; 0 is unlimited.
        memory: bytes of file contents held at the same time, at most.
        monotonic: seconds of a monotonic clock.
        sleep: waits so many seconds; the default ends at once when the run is stopped.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        bandwidth: int = 0,
        memory: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._most = float(concurrency)
        self._limit = self._most
        self._bandwidth = bandwidth
        self._monotonic = monotonic
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._slots = _Turnstile(concurrency)
        self._memory = _Turnstile(memory)
        self._lock = threading.Lock()
        self._may_send_at = monotonic()
        self._cut_at = float("-inf")
        self._answered_at = monotonic()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    @property
    def silent_for(self) -> float:
        """Seconds since any request of the run was answered."""
        return self._monotonic() - self._answered_at

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return int(self._limit)

    @property
    def _held(self) -> int:
        return self._memory.used

    def stop(self) -> None:
        """Wake everyone who waits here: they raise Interrupted. Not to be called from a signal handler."""
        self._stop.set()
        self._slots.close()
        self._memory.close()

    @contextmanager
    def request(self, sends: int = 0) -> Iterator[None]:
        """Around one request; waits for the bandwidth to send `sends` bytes, then for its turn.

        In that order, so that what waits for bandwidth keeps no turn from requests that send nothing.
        """
        if sends and self._bandwidth:
            self.sleep(self._wait_to_send(sends))
        self._slots.enter(1)
        try:
            yield
        finally:
            self._slots.leave(1)

    def slow_down(self) -> None:
        """The store asked for fewer requests: halve the limit, once a second at most."""
        with self._lock:
            now = self._monotonic()
            if now - self._cut_at >= _SECONDS_BETWEEN_CUTS:
                self._cut_at = now
                self._set_limit(max(1.0, self._limit / 2))

    def succeeded(self) -> None:
        """A request was answered."""
        self._answered_at = self._monotonic()
        if self._limit >= self._most:  # nearly always; worth no lock
            return
        with self._lock:
            self._set_limit(min(self._most, self._limit + 1 / self._limit))

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold `size` bytes of memory; see `take`."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)

    def take(self, size: int) -> None:
        """Wait until `size` bytes fit into the memory; something larger than all of it is let through alone.

        `give_back` may be called by another thread. Who holds memory must not wait for more of it.
        """
        self._memory.enter(size)

    def give_back(self, size: int) -> None:
        self._memory.leave(size)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped. Raises Interrupted then."""
        if seconds > 0:
            self._sleep(seconds)
        if self.stopped:
            raise Interrupted("stopped")

    def _set_limit(self, limit: float) -> None:
        self._limit = limit
        self._slots.resize(int(limit))

    def _wait_to_send(self, size: int) -> float:
        """Reserve the line for `size` bytes; seconds until it is free."""
        with self._lock:
            now = self._monotonic()
            begins = max(now, self._may_send_at)
            self._may_send_at = begins + size / self._bandwidth
            return begins - now
