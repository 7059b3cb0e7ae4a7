"""Real S3 servers for tests: moto, moto that checks what it is sent, and rclone's, plain and over TLS."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
from botocore.config import Config

KEY, SECRET = "AKIATESTTESTTESTTEST", "secretsecretsecretsecretsecretsecretsecr"


@dataclass(frozen=True)
class S3Server:
    """A running server. `env` is what a client needs to find it; `ca` the certificate to trust, if any."""

    kind: str
    endpoint: str
    ca: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        variables = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return variables | ({"AWS_CA_BUNDLE": self.ca} if self.ca else {}) | self.extra

    def client(self) -> Any:
        """A client of boto3's that does not retry, and checks nothing by itself."""
        session = boto3.Session(KEY, SECRET, region_name="us-east-1")
        config = Config(
            retries={"total_max_attempts": 1},
            read_timeout=10,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return session.client("s3", endpoint_url=self.endpoint, verify=self.ca or None, config=config)

    def make_bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex[:16]}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def moto_server(wrap: Callable[[Any], Any] = lambda app: app, *, kind: str = "moto") -> Iterator[S3Server]:
    """moto behind werkzeug's threaded server. Its state is one for the process, so buckets have unique names."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = wrap(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield S3Server(kind, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def rclone_server(folder: Path, *, tls: bool = False, flags: Sequence[str] = ()) -> Iterator[S3Server]:
    """`rclone serve s3`: a process of its own, with real files: a bucket is a folder in `folder / "data"`."""
    (folder / "data").mkdir(parents=True)
    options, ca = [], ""
    if tls:
        ca = str(folder / "cert.pem")
        make_certificate(Path(ca), folder / "key.pem")
        options = ["--cert", ca, "--key", str(folder / "key.pem")]
    port = free_port()
    rclone = Path(sys.executable).with_name("rclone")
    command = [
        str(rclone),
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY},{SECRET}",
        *options,
        *flags,
    ]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*command, "--config", "", "--vfs-cache-mode", "off", str(folder / "data")], stdout=log, stderr=log
    )
    try:
        wait_for_port(port, process)
        scheme = "https" if tls else "http"
        yield S3Server("rclone over TLS" if tls else "rclone", f"{scheme}://127.0.0.1:{port}", ca)
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the server did not come up")


def make_certificate(certificate: Path, key_file: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
    key_file.write_bytes(key.private_bytes(pem, plain, serialization.NoEncryption()))
    os.chmod(key_file, 0o600)


class StrictMiddleware:
    """What moto leaves out and S3 does: refuse wrong checksums, and say right ones when asked, as S3 writes them.

    An object sent in parts has one only where each part came with one. (S3 user guide, "Checking object integrity")
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._parts: dict[tuple[str, str], dict[int, bytes]] = {}
        self._checksums: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = _read_body(environ)
        if environ["REQUEST_METHOD"] == "PUT" and not _is_as_claimed(environ, body):
            return _bad_digest(start_response)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if status.startswith("200"):
                self._remember(environ, body)
                headers = self._with_checksum(environ, headers)
            return start_response(status, headers, *rest)

        return self._app(environ, start)

    def _remember(self, environ: dict[str, Any], body: bytes) -> None:
        """Take note of what was just carried out; a write without a checksum forgets the one before."""
        method, path, claimed = environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get(_SHA256)
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        upload = (path, query.get("uploadId", [""])[0])
        with self._lock:
            if method == "PUT" and claimed and "partNumber" in query:
                self._parts.setdefault(upload, {})[int(query["partNumber"][0])] = base64.b64decode(claimed)
            elif method == "PUT" and not query:
                self._checksums[path] = claimed or ""
            elif method == "POST" and "uploadId" in query:
                self._checksums[path] = _composite(self._parts.pop(upload, {}), body)

    def _with_checksum(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        asked = environ["REQUEST_METHOD"] == "HEAD" and environ.get("HTTP_X_AMZ_CHECKSUM_MODE") == "ENABLED"
        checksum = self._checksums.get(environ["PATH_INFO"]) if asked else None
        if not checksum:
            return headers
        kept = [(name, value) for name, value in headers if name.lower() not in {_SHA256_HEADER, _TYPE_HEADER}]
        kind = "COMPOSITE" if "-" in checksum else "FULL_OBJECT"
        return [*kept, (_SHA256_HEADER, checksum), (_TYPE_HEADER, kind)]


_SHA256_HEADER, _TYPE_HEADER = "x-amz-checksum-sha256", "x-amz-checksum-type"
_SHA256 = "HTTP_X_AMZ_CHECKSUM_SHA256"


def _read_body(environ: dict[str, Any]) -> bytes:
    """The request's body, left in place for the next reader."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _is_as_claimed(environ: dict[str, Any], body: bytes) -> bool:
    found = {
        _SHA256: hashlib.sha256(body).digest(),
        "HTTP_CONTENT_MD5": hashlib.md5(body, usedforsecurity=False).digest(),
    }
    return all(environ.get(name) in {None, base64.b64encode(digest).decode()} for name, digest in found.items())


def _composite(digests: dict[int, bytes], request: bytes) -> str:
    """Of the parts that a request to complete an upload names; empty where a digest is missing."""
    numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)</PartNumber>", request)]
    if not numbers or not digests.keys() >= set(numbers):
        return ""
    joined = hashlib.sha256(b"".join(digests[number] for number in numbers)).digest()
    return f"{base64.b64encode(joined).decode()}-{len(numbers)}"


def _bad_digest(start_response: Any) -> list[bytes]:
    body = b"<Error><Code>BadDigest</Code><Message>The checksum did not match.</Message></Error>"
    start_response("400 Bad Request", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
    return [body]
