"""How folders and files of the user's are opened: each set of flags, and the reason for what is in it and what is not.

O_CLOEXEC is in every set: a program that is started must not keep the user's files open, or their disk from being
unmounted. Python adds it by itself (PEP 446); it is here so that the sets are complete to the eye.
"""

from __future__ import annotations

import os

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""A folder, by its name in one that is open already.

O_NOFOLLOW, because a folder that somebody swaps for a link must lead nowhere. No O_NONBLOCK: O_DIRECTORY refuses a fifo
before anything could wait for it.
"""
FOLDER_THROUGH_LINKS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""A folder, by a path that the user chose: a root, a destination, where `move` moves things.

No O_NOFOLLOW, because a link there is the user's own choice; most of these paths went through realpath before. Nothing
below such a folder may be opened so.
"""
FILE_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A file, by its name in an open folder, to read it.

O_NOFOLLOW as for a folder. O_NONBLOCK, because a fifo that has taken its place would wait forever for somebody who
writes into it, and a file for a program that has a lease on it; reading a regular file is not changed by it.
"""
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""A file that is not there yet. O_EXCL refuses whatever has the name, a link too, and a fifo, so nothing can wait."""
