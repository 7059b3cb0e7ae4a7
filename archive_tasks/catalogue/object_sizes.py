"""Which objects an archive has, and their sizes: a hint where to look, kept so that no manifest is read for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from archive_tasks.catalogue.database import Catalogue
from archive_tasks.catalogue.rows import Write
from archive_tasks.errors import ManifestError
from archive_tasks.formats import layout
from archive_tasks.formats.entry import is_key
from archive_tasks.formats.manifest import Record
from archive_tasks.names import display

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}


def note(record: Record, sizes: dict[str, int]) -> None:
    """Add what a line of a manifest says about an object. Raises ManifestError for a line that makes no sense."""
    if "object" in record:
        key, size = record["object"], record.get("size")
    elif "key" in record and "within" not in record and "extents" not in record:
        key, size = record["key"], record.get("length")
    else:
        return
    if not is_key(key) or type(size) is not int or size < 0:
        raise ManifestError(f"the manifest is damaged: it gives an impossible size for {display(str(key)[:200])}")
    sizes[key] = size


def keep(write: Write, manifest: str, sizes: Mapping[str, int]) -> None:
    """Store them, in the transaction that records the archive."""
    below = layout.attempt_of(next(iter(sizes), ""))
    packed = zstd.compress(json.dumps(sizes, separators=(",", ":")).encode(), options=_OPTIONS)
    write("insert or replace into objects values (?,?,?,?)", (manifest, below, len(sizes), packed))


def kept(catalogue: Catalogue, manifest: str) -> dict[str, int] | None:
    """What was stored, or None. Raises CatalogueDamaged."""
    rows = catalogue.rows("select list from objects where manifest = ?", manifest)
    if not rows:
        return None
    try:
        return {str(key): int(size) for key, size in json.loads(zstd.decompress(rows[0][0])).items()}
    except (zstd.ZstdError, ValueError, TypeError, AttributeError) as error:
        raise catalogue.damaged(error) from error


def number_below(catalogue: Catalogue, prefix: str) -> int:
    """How many objects are known whose attempts are below `prefix`: what listing it takes, as far as is known."""
    rows = catalogue.rows("select sum(number) from objects where data >= ? and data < ?", prefix, prefix + "\x7f")
    return int(rows[0][0] or 0)
