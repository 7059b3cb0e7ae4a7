"""What several tasks say of a flag that they share."""

from __future__ import annotations

JUDGING = {
    "root": "the folder being kept tidy; each file and folder directly in it is one item",
    "days": "an item is stale when nothing in it was used for this many days (default 30)",
    "clock": "what counts as use: mtime (default), atime, ctime, newest, or a plugin's",
    "hidden": "judge items whose names begin with a dot too",
    "exclude": "leave out what matches this gitignore pattern (repeatable)",
}
TARGET = "URL of the target: s3://bucket/prefix or file:///folder"
CREATE = "allow a new target in a place that is not empty"
JSON = "print one JSON document on stdout; messages go to stderr"
