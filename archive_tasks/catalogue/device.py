"""Which device this is: a random id for a data folder on a machine.

A host name is not an identity: two installations can have the same name, and a renamed one is the same device. The id
is kept in the data folder, in a file of its own for each machine, so that a data folder which two machines share, or
which was copied to another one, does not make two machines one device.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets

from archive_tasks.errors import ArchiveTasksError
from archive_tasks.names import display

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
"""A random id of the system's installation. (machine-id(5))"""
_SERIAL_NUMBER = "/sys/firmware/devicetree/base/serial-number"
"""Of the board, where there is one: a copied memory card takes the machine's id with it (Raspberry Pi)."""
_ID = re.compile(r"[0-9a-f]{32}")


def device_id(data: str, *, machine: str | None = None) -> str:
    """The id of this device: 32 hex digits, made at the first call.

    Args:
        data: the user's data folder.
        machine: what identifies the machine; None asks the system.

    Raises:
        ArchiveTasksError: it can neither be read nor stored.
    """
    path = os.path.join(data, f"device-{machine if machine is not None else machine_digest()}")
    try:
        return _read(path) or _made(path)
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        do = "free some space on its disk by hand" if is_full else "make its folder writable"
        raise ArchiveTasksError(
            f"the id of this device cannot be kept in {display(path)}: {error.strerror}; {do}, or set archive.device"
        ) from error


def machine_digest() -> str:
    """16 hex digits that identify this machine; zeros where the system has no id (many containers).

    The id itself is not shown: machine-id(5) asks programs to hash it with a string of their own.
    """
    found = [text for path in _MACHINE_IDS if _ID.fullmatch(text := _text(path))][:1]
    if not found:
        return "0" * 16
    known = f"archive_tasks {found[0]} {_text(_SERIAL_NUMBER)}"
    return hashlib.sha256(known.encode(errors="surrogateescape")).hexdigest()[:16]


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(200).strip("\0\n ")
    except OSError:
        return ""


def _read(path: str) -> str:
    """The id; empty if it is missing, or if a full disk left only part of it."""
    text = _text(path)
    return text if _ID.fullmatch(text) else ""


def _made(path: str) -> str:
    """A new id, whole or not at all. If two runs make one at once, both take the first."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    beside = f"{path}.{secrets.token_hex(4)}"
    made = secrets.token_hex(16)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(made + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        except FileExistsError:
            if known := _read(path):
                return known
            os.replace(beside, path)
        except OSError:  # a filesystem without hard links
            os.replace(beside, path)
    finally:
        if os.path.lexists(beside):
            os.unlink(beside)
    return _read(path) or made
