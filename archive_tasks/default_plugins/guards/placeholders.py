"""Keeps items with cloud placeholders: files whose bytes are not on this computer.

Reading one would fetch it, or archive an empty shell; so none is opened, and the bits and names decide:

- macOS (iCloud Drive, and all that sync by a File Provider: Dropbox, OneDrive, Google Drive): the flag SF_DATALESS,
  and before macOS 14 stubs named `.name.icloud`. (sys/stat.h)
- Windows (OneDrive, Dropbox): the attributes OFFLINE, RECALL_ON_OPEN and RECALL_ON_DATA_ACCESS. ([MS-FSCC] 2.6)
- Nextcloud and ownCloud on any system: `name.nextcloud` or `name.owncloud` of at most one byte (vfs_suffix.cpp writes a
  space), and on Linux their extended attributes, asked for only where their journal is in an enclosing folder.

Size without blocks alone proves nothing: sparse files, and small ones that btrfs or ext4 keep in the inode, have
none either. It only chooses, beside a size of at most one byte, the files whose attributes are asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

from archive_tasks import hookimpl
from archive_tasks.default_plugins.guards.system_look import names_in
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

SF_DATALESS = 0x40000000
OFFLINE_ATTRIBUTES = 0x1000 | 0x40000 | 0x400000
"""FILE_ATTRIBUTE_OFFLINE, _RECALL_ON_OPEN, _RECALL_ON_DATA_ACCESS."""
_VIRTUAL_ENDINGS = (".nextcloud", ".owncloud")
_JOURNALS = (".sync_", "._sync_")
_SYSTEM_TELLS = hasattr(os.stat_result, "st_flags") or hasattr(os.stat_result, "st_file_attributes")
_NEXTCLOUD = "user.nextcloud.hydrate_exec"
_OPENVFS = "user.openvfs.state"
_NO_ATTRIBUTES = frozenset({errno.ENOTSUP, errno.ENODATA, errno.ENOENT})


def is_stub(name: str) -> bool:
    """An iCloud stub, by its name?"""
    return name.startswith(".") and name.endswith(".icloud") and len(name) > len("..icloud")


def is_elsewhere(facts: os.stat_result) -> bool:
    """Does the system itself say that the bytes are not here? Systems that have no such bits say no."""
    flags = getattr(facts, "st_flags", 0)
    attributes = getattr(facts, "st_file_attributes", 0)
    return bool(flags & SF_DATALESS or attributes & OFFLINE_ATTRIBUTES)


def is_virtual(name: str, facts: os.stat_result, folder: int) -> bool:
    """A placeholder of Nextcloud or ownCloud? `folder` is the handle of the file's folder."""
    if not stat.S_ISREG(facts.st_mode):
        return False
    if facts.st_size <= 1 and name.endswith(_VIRTUAL_ENDINGS):
        return True
    looks_empty = facts.st_size <= 1 or not getattr(facts, "st_blocks", 1)
    return looks_empty and hasattr(os, "getxattr") and _says_so(f"/proc/self/fd/{folder}/{name}")


def _says_so(path: str) -> bool:
    """Any state of openvfs but `hydrated` is one in which bytes may be missing."""
    if _attribute(path, _NEXTCLOUD) is not None:
        return True
    return _attribute(path, _OPENVFS) not in {None, b"hydrated"}


def _attribute(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return None
        raise


def is_synced(names: Iterable[str]) -> bool:
    """Is there a journal of Nextcloud or ownCloud? (folderman.cpp)"""
    return any(name.startswith(_JOURNALS) and name.endswith(".db") for name in names)


def is_in_synced(root: str) -> bool:
    """Does the root, or a folder around it, hold such a journal? A folder that cannot be listed does not count."""
    folder = root
    while True:
        with contextlib.suppress(OSError):
            if is_synced(names_in(folder)):
                return True
        if folder == os.path.dirname(folder):
            return False
        folder = os.path.dirname(folder)


def placeholders(listing: Listing, *, synced: bool) -> Iterator[str]:
    """Names of the listing's placeholders; `synced` where Nextcloud or ownCloud may keep some."""
    for name in listing.inodes:
        if is_stub(name):
            yield name
        elif synced or _SYSTEM_TELLS or name.endswith(_VIRTUAL_ENDINGS):
            facts = listing.stat(name)
            if is_elsewhere(facts) or is_virtual(name, facts, listing.fd):
                yield name


class _Looks:
    """A stat of each file doubles what the guards cost together, so it is taken only where it can decide something."""

    def __init__(self, root: str) -> None:
        self._synced = is_in_synced(root)

    def __call__(self, listing: Listing) -> Iterator[str]:
        self._synced = self._synced or is_synced(listing.inodes)
        for name in placeholders(listing, synced=self._synced):
            path = display(listing.path_of(name))
            yield f"{path} is a placeholder whose bytes are in the cloud: have it kept on this computer first"


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    return Guard(looks=_Looks(root))
