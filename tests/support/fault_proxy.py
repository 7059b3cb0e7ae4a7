"""An HTTP proxy that fails on purpose: the faults that real networks and servers have, one request at a time."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.support.servers import S3Server

Kind = Literal[
    "reset",
    "reset_mid_request",
    "lost_answer",
    "hang",
    "status",
    "flip_request",
    "flip_response",
    "truncate_response",
    "drip",
]
DRIPS = 8


@dataclass
class Fault:
    """The next `times` requests that match meet this, after `skip` that do not; `status`, `code` and `headers` are
    for the kind `status`, `seconds` for `hang` and `drip`.

    reset: the request is read, not carried out, and the connection closed.
    reset_mid_request: the same when half of the body has come.
    lost_answer: the request is carried out, and the connection closed instead of answered.
    hang: nothing happens for `seconds`, then the connection is closed.
    flip_request, flip_response: the last bit of the body is another; an empty body stays as it is.
    truncate_response: half of the body, then the connection is closed.
    drip: the body comes in eight pieces, over `seconds`.
    """

    kind: Kind
    method: str = ""
    contains: str = ""
    times: int = 1
    skip: int = 0
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


class FaultProxy:
    """`endpoint` for clients; `requests` is what came by: (method, path)."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """Note the request, and use up a fault that is meant for it."""
        with self._lock:
            self.requests.append((method, path))
            for fault in self.faults:
                if not fault.times or fault.method not in {"", method} or fault.contains not in path:
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def env(self, server: S3Server) -> dict[str, str]:
        """The variables with which a client finds the server through this proxy."""
        return server.env | {"AWS_ENDPOINT_URL_S3": self.endpoint}


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _any(self) -> None:
        fault = self.owner.take(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault and fault.kind == "reset_mid_request":
            length //= 2
        body = self.rfile.read(length)
        if fault and fault.kind == "hang":
            time.sleep(fault.seconds)
        if fault and fault.kind in {"reset", "reset_mid_request", "hang"}:
            self.close_connection = True
            return
        if fault and fault.kind == "status":
            self._answer(fault, f"<Error><Code>{fault.code}</Code><Message>x</Message></Error>".encode())
            return
        if fault and fault.kind == "flip_request":
            body = _flipped(body)
        status, headers, answer = self._ask_upstream(body)
        if fault and fault.kind == "lost_answer":
            self.close_connection = True
            return
        if fault and fault.kind == "flip_response":
            answer = _flipped(answer)
        self._pass_on(status, headers, answer, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _any  # noqa: N815 - the base class calls them so

    def _ask_upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = self.owner.upstream
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _pass_on(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault | None) -> None:
        length = str(len(body))
        if self.command == "HEAD":
            length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if fault and fault.kind == "truncate_response":
            body, self.close_connection = body[: len(body) // 2], True
        if fault and fault.kind == "drip":
            self._drip(body, fault.seconds)
        else:
            self.wfile.write(body)

    def _drip(self, body: bytes, seconds: float) -> None:
        step = max(1, -(-len(body) // DRIPS))
        for start in range(0, len(body), step):
            time.sleep(seconds / DRIPS)
            self.wfile.write(body[start : start + step])

    def _answer(self, fault: Fault, body: bytes) -> None:
        self.send_response(fault.status)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0" if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)


def _flipped(body: bytes) -> bytes:
    return body[:-1] + bytes(byte ^ 1 for byte in body[-1:])


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """A proxy before the server at `upstream`, which must be http://. Signatures hold: `Host` is passed on as it is."""
    proxy = FaultProxy(upstream)
    thread = threading.Thread(target=proxy.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        thread.join()
        proxy.server.server_close()
