"""The folder in which a folder target's objects are written before they appear, and what dead runs left there."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat

from archive_tasks.default_plugins.stores.folder.folders import FOLDER, Rights, check_no_link, give_rights, make_folder
from archive_tasks.errors import StoreUnusable
from archive_tasks.names import display

_PART = re.compile(r"[0-9a-f]{24}\.part")
_ABANDONED_AFTER_SECONDS = 7 * 86_400


def make_incoming(path: str, rights: Rights) -> None:
    """Make the folder for what is being written, or give it the top folder's current rights.

    Raises:
        StoreUnusable: something else has its name.
        OSError: what the system says.
    """
    try:
        handle = os.open(path, FOLDER | os.O_NOFOLLOW)
    except FileNotFoundError:
        top = os.open(os.path.dirname(path), FOLDER)
        try:
            make_folder(top, os.path.basename(path), rights, temporary=f"{path}.{secrets.token_hex(12)}")
        finally:
            os.close(top)
        return
    except OSError as error:
        check_no_link(path)
        if error.errno == errno.ENOTDIR:
            raise StoreUnusable(
                f"{display(path)} is a file, and a folder of that name is needed: move it away"
            ) from error
        raise
    try:
        if os.fstat(handle).st_uid == os.geteuid():
            give_rights(handle, rights.folder, rights.group)
    finally:
        os.close(handle)


def sweep(incoming: str, fresh: os.stat_result) -> None:
    """Remove what dead runs of the same user left half written.

    Args:
        fresh: of a file that was just written there: it shows which files are ours, and the time by the disk's
            clock, which may be another machine's.
    """
    with contextlib.suppress(OSError), os.scandir(incoming) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and _is_abandoned(entry, fresh):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry[str], fresh: os.stat_result) -> bool:
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    is_ours = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and facts.st_uid == fresh.st_uid
    return is_ours and fresh.st_mtime - facts.st_mtime > _ABANDONED_AFTER_SECONDS
