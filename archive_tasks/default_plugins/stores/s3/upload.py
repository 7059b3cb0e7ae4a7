"""A multipart upload to S3, with the SHA-256 of every part, and what to do when answers about it are lost."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from archive_tasks.default_plugins.stores.s3.client import S3Client
from archive_tasks.default_plugins.stores.s3.errors import code_of, says_it_exists, translated
from archive_tasks.errors import IntegrityError, ObjectExists, StoreBusy
from archive_tasks.formats.checksums import composite_checksum
from archive_tasks.names import display


class _Part(NamedTuple):
    etag: str
    sha256: bytes
    size: int


class S3Upload:
    """A multipart upload, with the SHA-256 of every part."""

    def __init__(self, client: S3Client, key: str, upload_id: str, part_size: int) -> None:
        self.part_size = part_size
        self._client = client
        self._key = key
        self._id = upload_id
        self._parts: dict[int, _Part] = {}

    def put_part(self, number: int, data: bytes, *, sha256: bytes) -> None:
        with translated(self._client.url, "writing to"):
            answer = self._client.boto.upload_part(
                **self._client.place(self._key),
                UploadId=self._id,
                PartNumber=number,
                Body=data,
                **checksum_fields(sha256),
            )
            self._parts[number] = _Part(answer["ETag"], sha256, len(data))

    def complete(self, size: int) -> None:
        from botocore.exceptions import ClientError

        sent = sum(part.size for part in self._parts.values())
        if sent != size:
            raise IntegrityError(f"{display(self._key)} has {sent} of {size} bytes")
        ordered = sorted(self._parts.items())
        parts = [
            {"PartNumber": number, "ETag": part.etag, "ChecksumSHA256": base64.b64encode(part.sha256).decode()}
            for number, part in ordered
        ]
        try:
            with translated(self._client.url, "writing to"):
                try:
                    self._client.complete(self._key, self._id, parts)
                except ClientError as error:
                    self._settle(error.response, [part.sha256 for _, part in ordered], size)
                    if not says_it_exists(error.response) and code_of(error.response) != "NoSuchUpload":
                        raise
        except IntegrityError as error:
            raise StoreBusy(str(error), start_over=True) from error

    def abort(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.boto.abort_multipart_upload(**self._client.place(self._key), UploadId=self._id)
        except (BotoCoreError, ClientError) as error:
            logging.getLogger("archive_tasks").debug("an upload could not be aborted: %s", error)

    def _settle(self, answer: Mapping[str, Any], digests: Sequence[bytes], size: int) -> None:
        """An answer to Complete may be about our own Complete, whose answer was lost.

        Raises:
            ObjectExists: it is not.
            StoreBusy: the upload is void and must start over.
        """
        code = code_of(answer)
        if code == "ConditionalRequestConflict":
            raise StoreBusy("another write met this one", start_over=True)
        if not says_it_exists(answer) and code != "NoSuchUpload":
            return
        if self._is_there(digests, size):
            return
        if code == "NoSuchUpload":
            raise StoreBusy("the store has forgotten the upload", start_over=True)
        raise ObjectExists(f"{display(self._key)} is in {self._client.url} with other contents")

    def _is_there(self, digests: Sequence[bytes], size: int) -> bool:
        """By size and composite checksum; without one, by size: the caller proves what it sent anyway."""
        found = self._client.describe(self._key)
        if found is None or found.size != size:
            return False
        composite = composite_checksum(digests)
        return found.checksum is None or found.checksum in {composite, composite.partition("-")[0]}


def checksum_fields(sha256: bytes) -> dict[str, str]:
    """Arguments that give the server a SHA-256 to check. Some keep it only when the algorithm is named too."""
    return {"ChecksumSHA256": base64.b64encode(sha256).decode(), "ChecksumAlgorithm": "SHA256"}
