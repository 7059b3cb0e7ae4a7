"""Counts the requests of a command, in a run that is not timed: a proxy in Python is too slow to time through."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.fault_proxy import fault_proxy

WRITING = ("PUT", "POST")


class Tally:
    """Requests by kind, and bytes of their bodies, since `clear`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self.requests: Counter[str] = Counter()
        self.sent = self.fetched = 0

    def note(self, method: str, path: str, *, sent: int, fetched: int) -> None:
        with self._lock:
            self.requests[_kind_of(method, path)] += 1
            self.sent += sent
            self.fetched += fetched

    def __str__(self) -> str:
        writing = sum(self.requests[kind] for kind in WRITING)
        each = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.requests.items())) or "none"
        total = sum(self.requests.values())
        return f"{total:,} requests ({each}), {writing:,} write; {self.sent:,} bytes sent, {self.fetched:,} fetched"


def _kind_of(method: str, path: str) -> str:
    """LIST is a GET of a bucket: S3 counts and prices it as another request."""
    parts = urlsplit(path)
    of_bucket = not parts.path.strip("/").partition("/")[2]
    lists = method == "GET" and of_bucket and "list-type" in parse_qs(parts.query, keep_blank_values=True)
    return "LIST" if lists else method


@contextmanager
def counted(upstream: str) -> Iterator[tuple[str, Tally]]:
    """An address before the server at `upstream`, and the tally of what comes by it."""
    tally = Tally()
    with fault_proxy(upstream) as proxy:
        plain: Any = proxy.server.RequestHandlerClass

        class Counting(plain):
            def _pass_on(self, status: int, headers: Any, body: bytes, fault: Any) -> None:
                sent = int(self.headers.get("Content-Length") or 0)
                tally.note(self.command, self.path, sent=sent, fetched=len(body))
                super()._pass_on(status, headers, body, fault)

        proxy.server.RequestHandlerClass = Counting
        yield proxy.endpoint, tally
