"""What is inside packs, against what a manifest says of it: every frame is unpacked, every entry hashed.

A digest proves a pack, and not what is where in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from archive_tasks.fetch_plan import Fetch, FetchPlanner
from archive_tasks.manifest import read_manifest
from archive_tasks.manifest_entry import entry_of
from archive_tasks.model import Failure
from archive_tasks.unpack import LARGEST_UNPACKED, Span, WantedFile, contents_of

Reader = Callable[[Iterator[Fetch]], Iterator[tuple[Fetch, bytes]]]
"""Reads ranges of objects, in their order; it may read some of them ahead."""


def packed_problems(manifest: bytes, reader: Reader) -> Iterator[Failure]:
    """Each file in a pack whose bytes are not those that the manifest says, and what is wrong.

    Raises:
        ManifestError: the manifest cannot be read.
        StoreError: what `reader` raises.
    """
    for fetch, data in reader(_fetches(manifest)):
        for span in fetch.spans:
            found = _of_span(data[span.start : span.start + span.length], span)
            yield from (Failure(one.path, f"{problem} ({fetch.key})") for one, problem in found if problem)


def _fetches(manifest: bytes) -> Iterator[Fetch]:
    planner = FetchPlanner()
    for record in read_manifest(manifest):
        if "within" in record and "path" in record:
            entry = entry_of(record)
            if entry.place is not None:
                yield from planner.add(entry.path, entry)
    yield from planner.flush()


def _of_span(data: bytes, span: Span) -> Iterator[tuple[WantedFile, str]]:
    sane = [one for one in span.files if one.begin + one.size <= LARGEST_UNPACKED]
    yield from ((one, "its manifest gives an impossible position in the pack") for one in span.files if one not in sane)
    try:
        contents = contents_of(data, sane)
    except ValueError as error:
        yield from ((one, f"its pack is damaged: {error}") for one in sane)
        return
    for one in sane:
        digest = hashlib.sha256(memoryview(contents)[one.begin : one.begin + one.size]).hexdigest()
        yield one, "" if digest == one.sha256 else "it holds other bytes than were written"
