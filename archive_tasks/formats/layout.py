"""Where things are in the target: keys, and the README that explains them to somebody without this tool.

```
README.txt
vault.json                                                       a random id, checked on every run
manifests/<scope>/<date>/<item>~<commit>~<id>.jsonl.zst          the commit; written last
data/<scope>/<date>/<item>~<id>/<attempt>/files/<path>           a file of at least `pack_below` bytes, as it is
data/<scope>/<date>/<item>~<id>/<attempt>/sparse/<path>.tar      a file with holes: a tar of this file, without them
data/<scope>/<date>/<item>~<id>/<attempt>/packs/00001.tar.zst    the smaller files of the item
data/<scope>/<date>/<item>~<id>/<attempt>/manifest.jsonl.zst     a copy of the manifest, written right before it
```
An archive is named by its manifest's key: `commit` is random, `id` the fingerprint of a listing, which many archives
may share. Manifests of formats 1 and 2 have no `<commit>~` in their keys, and no copy.

Keys hold letters, digits and `._-~/` only and are at most 900 bytes: S3 takes 1,024, but some servers fail
there, and a target's own prefix comes before. True names are in the manifest.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from datetime import datetime
from typing import NamedTuple

README_KEY = "README.txt"
VAULT_KEY = "vault.json"
MANIFESTS = "manifests/"
DATA = "data/"
LONGEST_KEY = 900
_FIRST_CLAIM = 10**18
"""Signs of life are numbered by seconds, and stay far below."""

_SCOPE_AND_DAY = r"(?:[A-Za-z0-9._~-]+/)+[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])/"
_ID = r"[0-9a-f]{32}"
_ATTEMPT = re.compile(rf"data/{_SCOPE_AND_DAY}[A-Za-z0-9._~-]+~{_ID}/[0-9a-f]{{12}}/")
_IN_ATTEMPT = re.compile(
    r"files(?:/[A-Za-z0-9._~-]+)+|sparse(?:/[A-Za-z0-9._~-]+)+\.tar|packs/[0-9]{5,}\.tar\.zst|manifest\.jsonl\.zst|alive/[0-9]+|pruned"
)
_MANIFEST = re.compile(
    rf"manifests/{_SCOPE_AND_DAY}(?P<item>[A-Za-z0-9._~-]+?)~(?:(?P<commit>[0-9a-f]{{12}})~)?(?P<id>{_ID})\.jsonl\.zst"
)


class ManifestName(NamedTuple):
    """What a manifest's key says. `commit` is empty in formats 1 and 2."""

    item: str
    commit: str
    id: str


def new_commit() -> str:
    """What makes a manifest's key its own: nothing rests on a server that honours create-only writes."""
    return secrets.token_hex(6)


def manifest_key(*, scope: str, day: datetime, item: str, archive_id: str, commit: str) -> str:
    return f"{MANIFESTS}{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{commit}~{archive_id}.jsonl.zst"


def manifest_name(key: str) -> ManifestName | None:
    """What the key of a manifest says; None for a key of another shape."""
    found = _MANIFEST.fullmatch(key)
    if found is None or not _is_safe(key):
        return None
    return ManifestName(found["item"], found["commit"] or "", found["id"])


def commit_in(key: str) -> str:
    """The commit in a manifest's key; empty in formats 1 and 2."""
    name = manifest_name(key)
    return name.commit if name else ""


def attempt_prefix(*, scope: str, day: datetime, item: str, archive_id: str) -> str:
    """Where a new attempt's objects go. Its last segment is random, so that no data key is ever written twice."""
    return f"{DATA}{scope}/{day:%Y-%m-%d}/{key_segment(item)}~{archive_id}/{secrets.token_hex(6)}/"


def attempt_of(key: str) -> str:
    """The attempt that a data object belongs to; the key itself where it belongs to none."""
    found = _ATTEMPT.match(key)
    return found[0] if found else key


def attempt_of_ours(key: str) -> str | None:
    """The attempt of a key that is of exactly the shape of ours; None for every other key."""
    found = _ATTEMPT.match(key)
    return found[0] if found and _IN_ATTEMPT.fullmatch(key, found.end()) and _is_safe(key) else None


def _is_safe(key: str) -> bool:
    """No segment is `.` or `..`, which some stores take for a way up."""
    return all(segment.strip(".") for segment in key.split("/"))


def copy_key(prefix: str) -> str:
    """Key of the copy of the manifest that is beside an attempt's objects."""
    return f"{prefix}manifest.jsonl.zst"


def pruned_key(prefix: str) -> str:
    """Key of the mark that `prune` leaves in an attempt before it removes anything of it."""
    return f"{prefix}pruned"


def alive_key(prefix: str, number: int) -> str:
    """Key of a sign that a long upload is still under way; numbers begin at 1."""
    return f"{prefix}alive/{number}"


def claim_key(prefix: str) -> str:
    """A new key by which a run that resumes an attempt says so to every other that might."""
    return alive_key(prefix, _FIRST_CLAIM + int(secrets.token_hex(7), 16))


def is_claim(key: str) -> bool:
    """Was the key made by `claim_key`?"""
    _, found, number = key.rpartition("/alive/")
    return bool(found) and number.isdecimal() and int(number) >= _FIRST_CLAIM


def scope_of_data(prefix: str) -> str:
    """`data/<scope>/` of an attempt's prefix."""
    return "/".join(prefix.split("/")[:-4]) + "/"


def file_key(prefix: str, path: str) -> str:
    """Key of a file's object. `path` is relative to the root; the item's own name is in the prefix already."""
    return _key_below(f"{prefix}files/", path)


def sparse_key(prefix: str, path: str) -> str:
    """Key of the tar of a file with holes; `path` as for `file_key`."""
    return _key_below(f"{prefix}sparse/", path, ending=".tar")


def _key_below(folder: str, path: str, ending: str = "") -> str:
    segments = path.split("/")
    named = segments[1:] or segments
    key = folder + "/".join(key_segment(segment) for segment in named) + ending
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return f"{folder}~{digest}/{key_segment(named[-1])}{ending}"


def pack_key(prefix: str, number: int) -> str:
    """Key of an attempt's pack; numbers begin at 1."""
    return f"{prefix}packs/{number:05}.tar.zst"


README = """\
This is an archive written by archive_tasks. Nothing here needs that tool to be read.

What is where
  manifests/<scope>/<date>/<item>~<commit>~<id>.jsonl.zst
                                                   one for each archive: what is in it, and where
  data/<scope>/<date>/<item>~<id>/<attempt>/
    files/<path>                                   a larger file, as it was
    sparse/<path>.tar                              a larger file with holes: a tar of it, without them
    packs/00001.tar.zst                            the smaller files, folders and links of the item
    manifest.jsonl.zst                             a copy of the manifest
  vault.json                                       the random id of this target

<scope> says whose it is (host and folder), <date> the day it was archived (UTC). An item may have several archives;
the "number" in the first line of a manifest counts them, for each "device" and "root". A folder under data/ that
holds no copy of a manifest belongs to a run that did not finish, and is not an archive (manifests of format 1 and 2
have no copy). A copy can stand in for its manifest.

To get a whole item back by hand
  1. Fetch its packs and unpack them, in the order of their numbers:
       aws s3 cp s3://BUCKET/PREFIX/data/.../packs/00001.tar.zst - | zstd -d | tar x
     Folders, links, rights and times come with them.
  2. Fetch what is under files/ into the item's folder. An item that is a single file has that alone, or a tar (3).
     The manifest (below) has their true names, rights and times.
  3. Fetch each tar that is under sparse/ and unpack it where the packs were:
       aws s3 cp s3://BUCKET/PREFIX/data/.../sparse/disk.img.tar - | tar x
     A file with holes comes out, at its place in the item.
  4. Other names of a file that is under files/ or sparse/ are made by hand: ln FIRST-NAME OTHER-NAME, for each line of
     the manifest with a "hardlink".

To get one file back by hand
  1. Fetch the manifest of the item and unpack it:      zstd -d thesis~0123~4567.jsonl.zst
     It is text, one JSON value a line: first a header, then a line for each entry, last a line {"end": ...}.
  2. Find the line with the "path" that you want. "size" and "sha256" say what it must be; "mode" and "mtime_ns"
     are its rights (octal) and its time (nanoseconds since 1970, UTC). "key" names the object that holds its
     contents, relative to this README. An empty file has no "key".
  3. Without "within" and "extents", the object is the file: fetch it under its true name.
     With "extents", the object is a tar of the file: unpack it as above.
     With "within", the object is a pack: unpack it as above, or fetch only the "length" bytes from "offset" on
     (aws s3api get-object --range bytes=OFFSET-LAST), unpack these with zstd -d, and take the "size" bytes from
     byte "within" on.
  4. Check it with `sha256sum`.

Names: a key spells anything but letters, digits and ._- as _ and adds ~ and a hash. The true name is "path".
A name that is not valid UTF-8 has its exact bytes in "path_bytes" (base64).
"hardlink" names the entry whose contents this one shares; "target" is where a symlink points.
"""


_UNSAFE_IN_KEY = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_SEGMENT = 120
_KEY_HASH_DIGITS = 32


def key_segment(name: str) -> str:
    """One segment of a key for a file's name: readable, safe on every store, and never shared by two names.

    Letters, digits and `._-` stay. A name with anything else, or a long one, gets a hash of its bytes
    behind a `~`, before its ending; no name that stays as it is holds a `~`. The hash has 128 bits: names in
    other scripts share their stem (`____.jpg`), and then only it distinguishes them.
    """
    safe = _UNSAFE_IN_KEY.sub("_", name)
    if safe == name and len(name) <= _LONGEST_SEGMENT and name.strip("."):
        return name
    stem, dot, ending = safe.rpartition(".")
    if not stem or len(ending) > 10:
        stem, dot, ending = safe, "", ""
    return f"{stem[: _LONGEST_SEGMENT - 50]}~{_hash(os.fsencode(name))[:_KEY_HASH_DIGITS]}{dot}{ending}"


def short_hash(data: bytes) -> str:
    """The first 40 bits of SHA-256, in hex: distinguishes names that look alike, proves nothing."""
    return _hash(data)[:10]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
