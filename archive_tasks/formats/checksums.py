"""SHA-256 of objects, as stores and manifests write them down.

An object written whole has the hex digest of its bytes. An object written in parts has a composite, as S3
defines it: the digest of its parts' digests, a hyphen, and the number of parts.
(S3 user guide, "Checking object integrity": composite checksums.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def whole_checksum(digest: bytes) -> str:
    """Notation for an object that was written by one request; `digest` is its raw SHA-256."""
    return digest.hex()


def composite_checksum(digests: Sequence[bytes]) -> str:
    """Notation for an object that was written in parts; `digests` are the parts' raw SHA-256, in order."""
    return f"{hashlib.sha256(b''.join(digests)).hexdigest()}-{len(digests)}"
