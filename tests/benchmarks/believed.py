"""A drop-in plugin, for benchmarks alone: a store that answers as S3 does, on a server that keeps no checksums.

The targets are called `believed://bucket/prefix`. What was sent is taken for what the server holds, so that the
requests are those of a server whose checksums are proof: one HEAD for each object, and nothing read back.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from archive_tasks import hookimpl
from archive_tasks.default_plugins.stores.s3.client import S3Client
from archive_tasks.default_plugins.stores.s3.store import S3Store
from archive_tasks.formats.checksums import composite_checksum, whole_checksum
from archive_tasks.settings import Settings
from archive_tasks.store import Answer, ObjectInfo, Probe, StoreFactory


class BelievedClient(S3Client):
    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__(url, settings)
        self.sent: dict[str, str] = {}

    def complete(self, key: str, upload_id: str, parts: Sequence[Any]) -> None:
        super().complete(key, upload_id, parts)
        self.sent[key] = composite_checksum([base64.b64decode(part["ChecksumSHA256"]) for part in parts])

    def describe(self, key: str) -> ObjectInfo | None:
        found = super().describe(key)
        return found._replace(checksum=self.sent.get(key)) if found else None


class BelievedStore(S3Store):
    client: BelievedClient

    def __init__(self, url: str, settings: Settings) -> None:
        s3_url = url.replace("believed://", "s3://", 1)
        super().__init__(s3_url, settings)
        self.client = BelievedClient(s3_url, settings)
        self.url = url

    def put(self, key: str, data: bytes, *, sha256: bytes, storage_class: str = "") -> None:
        super().put(key, data, sha256=sha256, storage_class=storage_class)
        self.client.sent[key] = whole_checksum(sha256)

    def probes(self) -> Sequence[Probe]:
        return [
            Probe(
                name="believed",
                question="is it believed?",
                ask=lambda _prefix: Answer(True, "yes, for a benchmark"),
                needed_for_trust=True,
            )
        ]


@hookimpl
def register_stores(settings: Settings) -> Mapping[str, StoreFactory]:
    return {"believed": BelievedStore}
