"""Targets as somebody else sees and changes them: a folder, and buckets of real servers, by no code of ours."""

from __future__ import annotations

import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.servers import S3Server

TEMPORARY = re.compile(r"(^|/)(\.(archive-)?incoming|doctor)/")
"""Where a folder target writes before it publishes, and what the doctor tries: rclone may keep some of that, when many
removals empty a folder at once.
"""


class Place(ABC):
    """A place for targets.

    Attributes:
        kind: `folder`, `rclone` or `moto`.
        url: of a target that is the whole place; `url + "/x"` is one within it.
        env: what a command needs to find it.
    """

    kind: str
    url: str
    env: dict[str, str]

    @abstractmethod
    def all_keys(self) -> list[str]:
        """Every key, sorted, with what is being written."""

    @abstractmethod
    def get(self, key: str) -> bytes: ...

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write over whatever is there."""

    @abstractmethod
    def remove(self, key: str) -> None: ...

    @abstractmethod
    def date(self, key: str) -> datetime:
        """When it was written, in the place's own words."""

    @abstractmethod
    def set_date(self, key: str, at: datetime) -> None: ...

    @abstractmethod
    def hiding(self, prefix: str) -> Any:
        """While it is open, what begins with `prefix` is not listed, though it is there."""

    # -- the same for all ---------------------------------------------------------------------------

    def listed(self, below: str = "") -> list[str]:
        return [key for key in self.all_keys() if key.startswith(below) and not TEMPORARY.search(key)]

    def age(self, days: float, below: str = "") -> None:
        """Let everything that is there now be so many days old."""
        for key in self.listed(below):
            self.set_date(key, datetime.now(UTC) - timedelta(days=days))

    def contents(self, below: str = "") -> dict[str, bytes]:
        return {key: self.get(key) for key in self.listed(below)}

    def manifests(self, item: str = "") -> list[str]:
        return [key for key in self.listed("manifests/") if f"/{item}" in key and key.endswith(".jsonl.zst")]

    def copy(self, source: str, destination: str) -> None:
        """As rsync does: all that begins with one prefix, to another."""
        for key, data in self.contents(source).items():
            self.put(destination + key.removeprefix(source), data)


class FolderPlace(Place):
    """A folder on this machine."""

    kind = "folder"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.url = folder.as_uri()
        self.env = {}

    def all_keys(self) -> list[str]:
        found = (os.path.join(base, name) for base, _, files in os.walk(self.folder) for name in files)
        return sorted(os.path.relpath(path, self.folder) for path in found)

    def get(self, key: str) -> bytes:
        return (self.folder / key).read_bytes()

    def put(self, key: str, data: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def remove(self, key: str) -> None:
        (self.folder / key).unlink()

    def date(self, key: str) -> datetime:
        return datetime.fromtimestamp((self.folder / key).stat().st_mtime, UTC)

    def set_date(self, key: str, at: datetime) -> None:
        os.utime(self.folder / key, (at.timestamp(),) * 2)

    @contextmanager
    def hiding(self, prefix: str) -> Iterator[None]:
        """Moved behind a link, which no listing follows: an admin's new disk."""
        place = self.folder / prefix.rstrip("/")
        elsewhere = self.folder.with_name(f"{self.folder.name} moved") / prefix.rstrip("/")
        elsewhere.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place, elsewhere)
        place.symlink_to(elsewhere)
        try:
            yield
        finally:
            place.unlink()
            shutil.move(elsewhere, place)


class BucketPlace(Place):
    """A bucket of a server's."""

    def __init__(self, server: S3Server) -> None:
        self.kind = server.kind
        self.env = server.env
        self.bucket = server.make_bucket()
        self.url = f"s3://{self.bucket}"
        self.client = server.client()

    def all_keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(one["Key"] for page in pages for one in page.get("Contents", []))

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return data

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def date(self, key: str) -> datetime:
        found: datetime = self.client.head_object(Bucket=self.bucket, Key=key)["LastModified"]
        return found


class RclonePlace(BucketPlace):
    """A bucket of `rclone serve s3`, which keeps it as files of a folder: these have dates that can be set.

    Args:
        data: the folder.
        forget: has the server look at its files anew, as it else does after five minutes.
    """

    def __init__(self, server: S3Server, data: Path, forget: Callable[[], None]) -> None:
        super().__init__(server)
        self._files = FolderPlace.__new__(FolderPlace)
        self._files.folder = data / self.bucket
        self._forget = forget

    def set_date(self, key: str, at: datetime) -> None:
        self._files.set_date(key, at)
        self._forget()

    def age(self, days: float, below: str = "") -> None:
        self._files.age(days, below)
        self._forget()

    @contextmanager
    def hiding(self, prefix: str) -> Iterator[None]:
        with self._files.hiding(prefix):
            self._forget()
            yield
        self._forget()


class MotoPlace(BucketPlace):
    """A bucket of moto's, which runs in this process: what it knows of an object can be set."""

    def __init__(self, server: S3Server, hidden: Hidden) -> None:
        super().__init__(server)
        self._hidden = hidden

    def set_date(self, key: str, at: datetime) -> None:
        from moto.core import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[self.bucket].keys[key].last_modified = at.replace(tzinfo=None)

    def hiding(self, prefix: str) -> Any:
        return self._hidden.hiding(self.bucket, f"^{re.escape(prefix)}")

    def hiding_all(self, pattern: str) -> Any:
        """As `hiding`, for keys in which the pattern is found."""
        return self._hidden.hiding(self.bucket, pattern)


class Hidden:
    """A server whose listings lag behind: some keys are in none, and there for whoever asks for them by name."""

    def __init__(self) -> None:
        self._app: Callable[..., Any] = lambda *_: []
        self._patterns: dict[str, str] = {}

    def wrap(self, app: Callable[..., Any]) -> Hidden:
        self._app = app
        return self

    @contextmanager
    def hiding(self, bucket: str, pattern: str) -> Iterator[None]:
        self._patterns[f"/{bucket}"] = pattern
        try:
            yield
        finally:
            del self._patterns[f"/{bucket}"]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        pattern = self._patterns.get(environ["PATH_INFO"].rstrip("/"))
        if not pattern or environ["REQUEST_METHOD"] != "GET":
            return self._app(environ, start_response)
        started: list[Any] = []
        answer = b"".join(self._app(environ, lambda *given: started.append(given)))

        def shown(one: re.Match[bytes]) -> bytes:
            return b"" if re.search(pattern, one[1].decode()) else one[0]

        answer = re.sub(rb"<Contents>\s*<Key>(.*?)</Key>.*?</Contents>", shown, answer, flags=re.DOTALL)
        status, headers, *_ = started[0]
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(answer)))])
        return [answer]
