"""Where things lie in the target: keys, and the README that explains them to somebody without this tool.

```
README.txt
vault.json                                                     a random id, checked on every run
manifests/<scope>/<date>/<item>~<id>.jsonl.zst                 the commit; written last
data/<scope>/<date>/<item>~<id>/<attempt>/files/<path>         a file of at least `pack_below` bytes, as it is
data/<scope>/<date>/<item>~<id>/<attempt>/packs/00001.tar.zst  the smaller files of the item
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
DATA = "data/"
LONGEST_KEY = 900

_ATTEMPT = re.compile(r"data/.+?~[0-9a-f]{32}/[0-9a-f]{12}/")
_MANIFEST = re.compile(r"~(?P<id>[0-9a-f]{32})\.jsonl\.zst$")


def manifest_key(*, scope: str, day: datetime, item: str, archive_id: str) -> str:
    return f"{MANIFESTS}{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{archive_id}.jsonl.zst"


def archive_id_in(key: str) -> str | None:
    """The id that a manifest's key bears; None for a key of another kind."""
    found = _MANIFEST.search(key)
    return found["id"] if found and key.startswith(MANIFESTS) else None


def attempt_prefix(*, scope: str, day: datetime, item: str, archive_id: str, attempt: str) -> str:
    """Where one attempt's objects go. `attempt` is random, so that no data key is ever written twice."""
    return f"{DATA}{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{archive_id}/{attempt}/"


def attempt_of(key: str) -> str:
    """The attempt that a data object belongs to; the key itself where it lies in none."""
    found = _ATTEMPT.match(key)
    return found[0] if found else key


def file_key(prefix: str, path: str) -> str:
    """Key of a file's object. `path` is relative to the root; the item's own name is in the prefix already."""
    segments = path.split("/")
    named = segments[1:] or segments
    key = f"{prefix}files/" + "/".join(key_segment(segment) for segment in named)
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return f"{prefix}files/~{digest}/{key_segment(named[-1])}"


def pack_key(prefix: str, number: int) -> str:
    """Key of an attempt's pack; numbers begin at 1."""
    return f"{prefix}packs/{number:05}.tar.zst"


README = """\
This is an archive written by archive_tasks. Nothing here needs that tool to be read.

What lies where
  manifests/<scope>/<date>/<item>~<id>.jsonl.zst   one for each archived item: what is in it, and where
  data/<scope>/<date>/<item>~<id>/<attempt>/
    files/<path>                                   a larger file, as it was
    packs/00001.tar.zst                            the smaller files, folders and links of the item
  vault.json                                       the random id of this target

<scope> says whose it is (host and folder), <date> the day it was archived (UTC). A folder under data/ that no
manifest speaks of belongs to a run that did not finish, and is no archive.

To get a whole item back by hand
  1. Fetch its packs and unpack them, in the order of their numbers:
       aws s3 cp s3://BUCKET/PREFIX/data/.../packs/00001.tar.zst - | zstd -d | tar x
     Folders, links, rights and times come with them.
  2. Fetch what is under files/ into the item's folder. An item that is a single file has nothing else.
     The manifest (below) has their true names, rights and times.

To get one file back by hand
  1. Fetch the manifest of the item and unpack it:      zstd -d thesis~0123.jsonl.zst
     It is text, one JSON value a line: first a header, then a line for each entry, last a line {"end": ...}.
  2. Find the line with the "path" that you want. "size" and "sha256" say what it must be; "mode" and "mtime_ns"
     are its rights (octal) and its time (nanoseconds since 1970, UTC). "key" names the object that holds its
     contents, relative to this README. An empty file has no "key".
  3. Without "within", the object is the file: fetch it under its true name.
     With "within", the object is a pack: unpack it as above, or fetch only the "length" bytes from "offset" on
     (aws s3api get-object --range bytes=OFFSET-LAST), unpack these with zstd -d, and take the "size" bytes from
     byte "within" on.
  4. Check it with `sha256sum`.

Names: a key spells anything but letters, digits and ._- as _ and adds ~ and a hash. The true name is "path".
A name that is no valid UTF-8 has its exact bytes in "path_bytes" (base64).
"hardlink" names the entry whose contents this one shares; "target" is where a symlink points.
"""
