"""Where things lie in the target: keys, and the README that explains them to somebody without this tool.

```
README.txt
vault.json                                                     a random id, checked on every run
manifests/<scope>/<date>/<item>~<id>.jsonl.zst                 the commit; written last
data/<scope>/<date>/<item>~<id>/<attempt>/files/<path>         a file, as it is
```
Keys hold letters, digits and `._-~/` only and are at most 900 bytes: S3 takes 1,024, but some servers fail
there, and a target's own prefix comes before. True names are in the manifest.
"""

from __future__ import annotations

import hashlib
import os
import re
from datetime import datetime

from archive_tasks.names import key_segment

README_KEY = "README.txt"
VAULT_KEY = "vault.json"
MANIFESTS = "manifests/"
LONGEST_KEY = 900

_MANIFEST = re.compile(r"~(?P<id>[0-9a-f]{32})\.jsonl\.zst$")


def manifest_key(*, scope: str, day: datetime, item: str, archive_id: str) -> str:
    return f"{MANIFESTS}{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{archive_id}.jsonl.zst"


def archive_id_in(key: str) -> str | None:
    """The id that a manifest's key bears; None for a key of another kind."""
    found = _MANIFEST.search(key)
    return found["id"] if found and key.startswith(MANIFESTS) else None


def attempt_prefix(*, scope: str, day: datetime, item: str, archive_id: str, attempt: str) -> str:
    """Where one attempt's objects go. `attempt` is random, so that no data key is ever written twice."""
    return f"data/{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{archive_id}/{attempt}/"


def file_key(prefix: str, path: str) -> str:
    """Key of a file's object. `path` is relative to the root; the item's own name is in the prefix already."""
    segments = path.split("/")
    named = segments[1:] or segments
    key = f"{prefix}files/" + "/".join(key_segment(segment) for segment in named)
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return f"{prefix}files/~{digest}/{key_segment(named[-1])}"


README = """\
This is an archive written by archive_tasks. Nothing here needs that tool to be read.

What lies where
  manifests/<scope>/<date>/<item>~<id>.jsonl.zst   one for each archived item: what is in it, and where
  data/<scope>/<date>/<item>~<id>/<attempt>/...    the contents of its files, as they were
  vault.json                                       the random id of this target

<scope> says whose it is (host and folder), <date> the day it was archived (UTC). A folder under data/ that no
manifest speaks of belongs to a run that did not finish, and is no archive.

To get one file back by hand
  1. Fetch the manifest of the item and unpack it:      zstd -d thesis~0123.jsonl.zst
     It is text, one JSON value a line: first a header, then a line for each entry, last a line {"end": ...}.
  2. Find the line with the "path" that you want. "key" names the object that holds its contents, relative to
     this README; "size" and "sha256" say what it must be; "mode" and "mtime_ns" are its rights (octal) and
     its time (nanoseconds since 1970, UTC). An empty file has no "key".
  3. Fetch that object under the file's true name, and check it with `sha256sum`.

Names: a key spells anything but letters, digits and ._- as _ and adds ~ and a hash. The true name is "path".
A name that is no valid UTF-8 has its exact bytes in "path_bytes" (base64).
"hardlink" names the entry whose contents this one shares; "target" is where a symlink points.
"""
