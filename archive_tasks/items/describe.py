"""An entry as a line of the manifest."""

from __future__ import annotations

import base64
import os
import stat

from archive_tasks.disk.attributes import group_name, user_name
from archive_tasks.disk.open_flags import FOLDER
from archive_tasks.disk.read_file import extended_attributes
from archive_tasks.disk.sparse import BLOCK
from archive_tasks.disk.walk import open_quietly, unreadable
from archive_tasks.formats.manifest import Record, name_fields
from archive_tasks.formats.objects import Stored
from archive_tasks.items.survey import Listed


def describe_entry(listed: Listed) -> Record:
    """Everything about an entry except where its contents are. Raises ItemUnreadable."""
    path, kind, facts = listed.entry
    if listed.why is not None:
        return {**name_fields("left_out", path), "why": listed.why}
    record = {
        **name_fields("path", path),
        "type": kind,
        "mode": f"{stat.S_IMODE(facts.st_mode):o}",
        "mtime_ns": facts.st_mtime_ns,
        "uid": facts.st_uid,
        "gid": facts.st_gid,
        "user": user_name(facts.st_uid),
        "group": group_name(facts.st_gid),
    }
    if kind == "file":
        record["size"] = facts.st_size
        if facts.st_blocks * BLOCK < facts.st_size:
            record["sparse"] = True
    elif kind == "link":
        record |= name_fields("target", _link_target(listed))
    else:
        record |= attribute_fields(_folder_attributes(listed))
    return record


def attribute_fields(attributes: dict[str, bytes]) -> Record:
    """`xattrs`, or nothing without any."""
    if not attributes:
        return {}
    return {"xattrs": {name: base64.b64encode(value).decode() for name, value in attributes.items()}}


def attributes_in(record: Record) -> dict[str, bytes]:
    """The extended attributes that `attribute_fields` wrote. Raises ValueError."""
    return {name: base64.b64decode(value) for name, value in record.get("xattrs", {}).items()}


def place_of(stored: Stored) -> Record:
    """Where a file's contents are: (object, offset, length), and what its object must be."""
    record: Record = {"sha256": stored.sha256, "key": stored.key, "offset": 0, "length": stored.size}
    if stored.parts:
        record |= {"part_size": stored.part_size, "parts": list(stored.parts)}
    return record


def _link_target(listed: Listed) -> str:
    try:
        return os.readlink(listed.name, dir_fd=listed.dir_fd)
    except OSError as error:
        raise unreadable(listed.entry.path, error) from error


def _folder_attributes(listed: Listed) -> dict[str, bytes]:
    try:
        fd = open_quietly(listed.name, FOLDER, dir_fd=listed.dir_fd)
    except OSError as error:
        raise unreadable(listed.entry.path, error) from error
    try:
        return extended_attributes(fd, listed.entry.path)
    finally:
        os.close(fd)
