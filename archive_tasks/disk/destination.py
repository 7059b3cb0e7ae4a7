"""The folder that entries are restored into: the only code that writes into the user's folders.

Nothing is written outside it, whatever path, link target or race it meets; nothing is overwritten unless
asked; and nothing incomplete has its final name. Paths are relative to it, their segments separated by `/`,
as os.fsdecode makes them; one that could lead anywhere else is refused before anything is touched.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from typing import NamedTuple

from archive_tasks.disk.attributes import FOLDER_BITS, Owners, reason_of, set_attributes, set_link_attributes
from archive_tasks.disk.folders import OpenFolders
from archive_tasks.disk.give_name import NamedPlace, Ways, check_replaceable, give_name
from archive_tasks.disk.give_name import OnConflict as OnConflict
from archive_tasks.disk.give_name import Written as Written
from archive_tasks.disk.new_file import NewFile as NewFile
from archive_tasks.disk.open_flags import FILE_TO_READ
from archive_tasks.disk.relative_path import is_encodable, split_path
from archive_tasks.disk.walk import open_quietly
from archive_tasks.errors import DestinationUnusable, EntryError
from archive_tasks.model import Attributes as Attributes
from archive_tasks.names import display

_PIECE = 1024 * 1024
_LARGEST = 2**63 - 1  # off_t


class FolderId(NamedTuple):
    """Device and inode."""

    device: int
    inode: int


class Destination:
    """An open folder that entries are restored into. For several threads and several processes at once.

    Every method raises EntryError, naming the path, when that one entry cannot be restored (EntryOccupied when
    something else is where it would go), and DestinationUnusable when nothing more can be.

    Args:
        path: made, with the folders above it, when it is missing.
        on_conflict: when a name is taken: `refuse` the entry, `overwrite` (a file or symlink, never a folder),
            or keep `both`, the new one as `name (restored).ext`.
        clock: seconds since the epoch; used to find the age of a crash's leftovers.
        sweep: remove those that are a day old, in each folder that something is restored into.
        folder: its id, when it was opened before; it is not made again, and must be the same.

    Raises:
        DestinationUnusable: it cannot be made or opened, or is not the same folder as before.
    """

    def __init__(
        self,
        path: str,
        *,
        on_conflict: OnConflict = "refuse",
        clock: Callable[[], float] = time.time,
        sweep: bool = True,
        folder: FolderId | None = None,
    ) -> None:
        self.path = path
        self._on_conflict = on_conflict
        self._owners = Owners(as_root=os.geteuid() == 0)
        self._ways = Ways()
        try:
            if folder is None:
                os.makedirs(path, exist_ok=True)
            self._handles = OpenFolders(path, clock=clock, sweep=sweep)
        except (OSError, ValueError) as error:
            raise DestinationUnusable(f"nothing can be restored into {display(path)}: {reason_of(error)}") from error
        if folder not in {None, self.folder}:
            self.close()
            raise DestinationUnusable(f"nothing more can be restored into {display(path)}: it was moved meanwhile")

    @property
    def folder(self) -> FolderId:
        """Identifies the folder, whatever its path."""
        return FolderId(self._handles.root.device, self._handles.root.inode)

    def __enter__(self) -> Destination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. Safe to call twice. Every new file must have ended before."""
        self._handles.close()

    def find(self, path: str) -> os.stat_result | None:
        """What is there, a symlink itself; None when nothing is, or its folder is missing."""
        above, name = split_path(path)
        try:
            return os.stat(name, dir_fd=self._handles.open(above).fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def holds(self, path: str, *, size: int, sha256: str) -> bool:
        """Is a regular file with exactly these contents there already? `sha256` in hex."""
        facts = self.find(path)
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
            return False
        above, name = split_path(path)
        try:
            fd = open_quietly(name, FILE_TO_READ, dir_fd=self._handles.open(above).fd)
            try:
                return stat.S_ISREG(os.fstat(fd).st_mode) and _sha256_of(fd) == sha256
            finally:
                os.close(fd)
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def link_target(self, path: str) -> str | None:
        """Where the symlink there points, or None."""
        above, name = split_path(path)
        try:
            return os.readlink(name, dir_fd=self._handles.open(above).fd)
        except OSError:
            return None

    def check_free(self, path: str) -> None:
        """Report now a conflict that `put_file` would meet later. Raises EntryOccupied."""
        try:
            self._check_free(self._place(path))
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def make_folder(self, path: str) -> bool:
        """Make it, and those above it, for the owner alone until `finish_folder`; True when it was made now."""
        split_path(path)
        try:
            return self._handles.make(path)
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def finish_folder(self, path: str, attributes: Attributes) -> list[str]:
        """Give a folder its attributes, once all in it is restored: what comes later changes its time.

        Returns:
            What it is back without.
        """
        split_path(path)
        try:
            folder = self._handles.open(path)
        except OSError as error:
            raise self._handles.failure(path, error) from error
        return set_attributes(folder.fd, attributes, self._owners, bits=FOLDER_BITS)

    def new_file(self, path: str, size: int, *, sparse: bool = False) -> NewFile:
        """Begin a file of `size` bytes in a folder that is there; `sparse` leaves blocks of zeros as holes.

        An existing conflict is reported now, before anything is fetched.
        """
        place = self._place(path)
        if not 0 <= size <= _LARGEST:
            raise EntryError(f"{display(path)} cannot be restored: a file cannot have {size} bytes")
        try:
            self._check_free(place)
            return self._begin(place, size, sparse=sparse)
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def put_file(self, path: str, data: bytes, attributes: Attributes, *, sparse: bool = False) -> Written:
        """Restore a small file at once, in a folder that is there."""
        place = self._place(path)
        try:
            file = self._begin(place, len(data), sparse=sparse)
        except OSError as error:
            raise self._handles.failure(path, error) from error
        try:
            file.write(0, data)
            return file.publish(attributes)
        finally:
            file.discard()

    def make_link(self, path: str, target: str, attributes: Attributes) -> Written:
        """Restore a symlink, its target as it is: it may point anywhere, as nothing is written through it."""
        if not target or "\0" in target or not is_encodable(target):
            raise EntryError(f"{display(path)} cannot be restored: {display(target)!r} is not a valid symlink target")
        place = self._place(path)
        lost: list[str] = []

        def attach(name: str) -> None:
            os.symlink(target, name, dir_fd=place.folder.fd)
            lost[:] = set_link_attributes(name, place.folder.fd, attributes, self._owners)

        try:
            return Written(give_name(place, attach, self._on_conflict), tuple(lost))
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def finish_link(self, path: str, attributes: Attributes) -> list[str]:
        """Give a symlink that is there its attributes: a crash may have come between. Returns what it lacks."""
        place = self._place(path)
        return set_link_attributes(place.name, place.folder.fd, attributes, self._owners)

    def make_hardlink(self, path: str, first: str) -> Written:
        """Restore another name of the file at `first`, which must be a regular file of this destination."""
        place, source = self._place(path), self._place(first)

        def attach(name: str) -> None:
            os.link(source.name, name, src_dir_fd=source.folder.fd, dst_dir_fd=place.folder.fd, follow_symlinks=False)

        facts = self.find(first)
        if facts is None or not stat.S_ISREG(facts.st_mode):
            raise EntryError(f"{display(path)} cannot be restored: {display(first)}, its other name, is not a file")
        try:
            return Written(give_name(place, attach, self._on_conflict), ())
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def _place(self, path: str) -> NamedPlace:
        above, name = split_path(path)
        try:
            return NamedPlace(self._handles.open(above), name, path)
        except FileNotFoundError as error:
            raise self._handles.failure(path, _because("its folder is missing", error)) from error
        except OSError as error:
            raise self._handles.failure(path, error) from error

    def _begin(self, place: NamedPlace, size: int, *, sparse: bool) -> NewFile:
        return NewFile(
            place,
            size,
            ways=self._ways,
            handles=self._handles,
            owners=self._owners,
            on_conflict=self._on_conflict,
            sparse=sparse,
        )

    def _check_free(self, place: NamedPlace) -> None:
        if self._on_conflict == "both":
            return
        try:
            facts = os.stat(place.name, dir_fd=place.folder.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if self._on_conflict == "refuse":
            raise FileExistsError
        check_replaceable(place, facts)


def _because(why: str, error: OSError) -> OSError:
    return OSError(error.errno, why)


def _sha256_of(fd: int) -> str:
    digest = hashlib.sha256()
    while piece := os.read(fd, _PIECE):
        digest.update(piece)
    return digest.hexdigest()
