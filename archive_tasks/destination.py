"""Where restored entries are written: a folder, and never anything outside it.

Every folder is opened from its parent's handle and no link is followed, so neither a path of a forged manifest nor
a link that somebody puts in the way leads out. Nothing is overwritten unless the user said so, and a half file never
has its name. (The standard library's `tarfile` filters let files escape on every Python that was tried.)
"""

from __future__ import annotations

import errno
import grp
import hashlib
import itertools
import os
import pwd
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Literal, NamedTuple

from archive_tasks.errors import DestinationUnusable, EntryError, EntryOccupied
from archive_tasks.names import display
from archive_tasks.new_file import NewFile
from archive_tasks.walk import open_quietly

OnConflict = Literal["refuse", "overwrite", "both"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OUT_OF_ORDER = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE})
_HANDLES = 64
_PIECE = 1024 * 1024
_LONGEST_NAME = 255
_POWER = "security.capability"
_FOR_ROOT = ("security.", "trusted.")


class Attributes(NamedTuple):
    """What an entry has besides its contents. `mode` are the permission bits, as the manifest has them."""

    mode: int
    mtime_ns: int
    uid: int = -1
    gid: int = -1
    user: str = ""
    group: str = ""
    xattrs: Mapping[str, bytes] | None = None


class Written(NamedTuple):
    """An entry that was written.

    Attributes:
        path: where it stands; another than was asked for when both are kept.
        lost: what could not be brought back, a sentence each.
    """

    path: str
    lost: tuple[str, ...] = ()


class Destination:
    """An open destination. Not for several threads at once; several may be open on one folder.

    Args:
        path: made when it is missing.
        on_conflict: what to do where a name is taken.

    Raises:
        DestinationUnusable: it cannot be made or opened.
    """

    def __init__(self, path: str, *, on_conflict: OnConflict = "refuse", nameless: bool = True) -> None:
        self.path = path
        self._on_conflict = on_conflict
        self._nameless = nameless
        self._handles: OrderedDict[str, int] = OrderedDict()
        try:
            os.makedirs(path, exist_ok=True)
            self._root = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise DestinationUnusable(f"{display(path)} cannot be written to: {_reason(error)}") from error

    def __enter__(self) -> Destination:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        while self._handles:
            os.close(self._handles.popitem()[1])
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    # -- looking ------------------------------------------------------------------------------------

    def find(self, path: str) -> os.stat_result | None:
        """What is there, links not followed; None when nothing is. Raises EntryError for an impossible path."""
        folder, name = _split(path)
        with self._explained(path):
            try:
                return os.stat(name, dir_fd=self._handle(folder), follow_symlinks=False)
            except FileNotFoundError:
                return None

    def holds(self, path: str, *, size: int, sha256: str) -> bool:
        """Is a file with just these contents there already?"""
        facts = self.find(path)
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size != size:
            return False
        folder, name = _split(path)
        with self._explained(path):
            fd = open_quietly(name, _FILE, dir_fd=self._handle(folder))
            try:
                return _sha256_of(fd) == sha256
            finally:
                os.close(fd)

    def link_target(self, path: str) -> str | None:
        """Where the symlink there points; None when there is none."""
        folder, name = _split(path)
        try:
            return os.readlink(name, dir_fd=self._handle(folder))
        except OSError:
            return None

    # -- writing ------------------------------------------------------------------------------------

    def make_folder(self, path: str) -> bool:
        """Make a folder and those above it, for us alone until it is finished. True when it was not there.

        Raises:
            EntryOccupied: something else has its name, or that of one above it; a link to a folder too.
        """
        folder, _ = _split(path)
        with self._explained(path):
            try:
                self._handle(folder)
            except FileNotFoundError:
                for above in itertools.accumulate(folder.split("/"), "{}/{}".format):
                    self._make_one(above)
            return self._make_one(path)

    def _make_one(self, path: str) -> bool:
        folder, name = _split(path)
        try:
            os.mkdir(name, 0o700, dir_fd=self._handle(folder))
        except FileExistsError:
            self._handle(path)
            return False
        return True

    @contextmanager
    def new_file(self, path: str, size: int, *, sparse: bool = False) -> Iterator[NewFile]:
        """A file to write in, which has no name until `publish`; without that it is gone."""
        folder, _ = _split(path)
        with self._explained(path):
            new = NewFile(self._handle(folder), size, sparse=sparse, nameless=self._nameless)
            try:
                yield new
            finally:
                new.close()

    def publish(self, path: str, new: NewFile, attributes: Attributes) -> Written:
        """Give the finished file its attributes and then its name. Raises EntryOccupied."""
        _, name = _split(path)
        with self._explained(path):
            lost = _set_attributes(new.fd, attributes, is_folder=False)
            return self._settled(path, name, tuple(lost), publish=new.publish, replace=new.replace)

    def put_file(self, path: str, data: bytes, attributes: Attributes, *, sparse: bool = False) -> Written:
        """Write a small file. Raises EntryError, DestinationUnusable."""
        with self.new_file(path, len(data), sparse=sparse) as new:
            if data:
                new.write(0, data)
            return self.publish(path, new, attributes)

    def make_link(self, path: str, target: str, attributes: Attributes) -> Written:
        """Make a symlink. Where it points is not looked at, and nothing is ever written through it."""
        folder, name = _split(path)
        with self._explained(path):
            parent = self._handle(folder)

            def publish(name: str) -> None:
                os.symlink(target, name, dir_fd=parent)

            written = self._settled(path, name, (), publish=publish, replace=self._replacing(parent, publish))
            self.finish_link(written.path, attributes)
            return written

    def finish_link(self, path: str, attributes: Attributes) -> None:
        """Give a symlink its time and owner: it had its name before it could have them."""
        folder, name = _split(path)
        with self._explained(path):
            parent = self._handle(folder)
            os.utime(name, ns=(attributes.mtime_ns,) * 2, dir_fd=parent, follow_symlinks=False)
            if os.geteuid() == 0:
                os.chown(name, *_owner(attributes), dir_fd=parent, follow_symlinks=False)

    def make_hardlink(self, path: str, first: str) -> Written:
        """Give the file `first`, of this destination, a further name."""
        folder, name = _split(path)
        first_folder, first_name = _split(first)
        with self._explained(path):
            source = os.dup(self._handle(first_folder))
            try:
                if not stat.S_ISREG(os.stat(first_name, dir_fd=source, follow_symlinks=False).st_mode):
                    raise EntryError(f"{display(path)} is another name of {display(first)}, which is no file here")
                parent = self._handle(folder)

                def publish(name: str) -> None:
                    os.link(first_name, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)

                return self._settled(path, name, (), publish=publish, replace=self._replacing(parent, publish))
            finally:
                os.close(source)

    def finish_folder(self, path: str, attributes: Attributes) -> list[str]:
        """Give a folder its attributes, when nothing more comes into it. Returns what could not be brought back."""
        with self._explained(path):
            return _set_attributes(self._handle(path), attributes, is_folder=True)

    # -- below --------------------------------------------------------------------------------------

    def _settled(
        self,
        path: str,
        name: str,
        lost: tuple[str, ...],
        *,
        publish: Callable[[str], None],
        replace: Callable[[str], None],
    ) -> Written:
        """Publish under the name, or do what was said for one that is taken."""
        folder = path[: len(path) - len(name)]
        try:
            publish(name)
            return Written(path, lost)
        except FileExistsError:
            if self._on_conflict == "refuse":
                raise EntryOccupied(f"{display(path)} is there already") from None
        if self._on_conflict == "overwrite":
            try:
                replace(name)
            except IsADirectoryError:
                raise EntryOccupied(f"{display(path)} is a folder here and is not replaced") from None
            return Written(path, lost)
        for other in _other_names(name):
            try:
                publish(other)
                return Written(folder + other, lost)
            except FileExistsError:
                continue
        raise AssertionError("unreachable")

    def _replacing(self, parent: int, publish: Callable[[str], None]) -> Callable[[str], None]:
        def replace(name: str) -> None:
            temporary = f".{os.urandom(8).hex()}.restoring"
            publish(temporary)
            try:
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                os.unlink(temporary, dir_fd=parent)
                raise

        return replace

    def _handle(self, path: str) -> int:
        """Handle of a folder, good until 64 others were asked for. Raises OSError."""
        closed: list[str] = []
        while path and path not in self._handles:
            closed.append(path)
            path = path.rpartition("/")[0]
        fd = self._root
        if path:
            fd = self._handles[path]
            self._handles.move_to_end(path)
        for one in reversed(closed):  # no recursion: a tree may be deeper than Python's stack
            fd = os.open(_split(one)[1], _FOLDER, dir_fd=fd)
            self._handles[one] = fd
            if len(self._handles) > _HANDLES:
                os.close(self._handles.popitem(last=False)[1])
        return fd

    @contextmanager
    def _explained(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _OUT_OF_ORDER:
                raise DestinationUnusable(f"{display(self.path)} cannot be written to: {_reason(error)}") from error
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise EntryOccupied(f"{display(path)}: a file or a link is in the place of a folder") from error
            raise EntryError(f"{display(path)}: {_reason(error)}") from error


def check_path(path: str) -> None:
    """Raises EntryError for a path that does not stay inside, or is none."""
    _split(path)


def _split(path: str) -> tuple[str, str]:
    """(folder, name). Raises EntryError for a path that does not stay inside, or is none."""
    segments = path.split("/")
    if "\0" in path or any(segment in {"", ".", ".."} for segment in segments):
        raise EntryError(f"{display(path) or 'an empty path'} is no path inside a folder, and is not restored")
    folder, _, name = path.rpartition("/")
    return folder, name


def _sha256_of(fd: int) -> str:
    digest = hashlib.sha256()
    while piece := os.read(fd, _PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _set_attributes(fd: int, attributes: Attributes, *, is_folder: bool) -> list[str]:
    lost: list[str] = []
    is_root = os.geteuid() == 0
    if is_root:
        try:
            os.fchown(fd, *_owner(attributes))
        except OSError as error:
            lost.append(f"its owner: {_reason(error)}")
    for name, value in (attributes.xattrs or {}).items():
        if name == _POWER:
            lost.append(f"the extended attribute {name}, which gives a program power as setuid does")
        elif is_root or not name.startswith(_FOR_ROOT):
            lost += _set_attribute(fd, name, value)
        else:
            lost.append(f"the extended attribute {display(name)}, which only root may set")
    kept = 0o3777 if is_folder else 0o777
    if attributes.mode & 0o7777 & ~kept:
        lost.append("its setuid, setgid or sticky bit")
    os.fchmod(fd, attributes.mode & kept)
    os.utime(fd, ns=(attributes.mtime_ns, attributes.mtime_ns))
    return lost


def _set_attribute(fd: int, name: str, value: bytes) -> list[str]:
    if not hasattr(os, "setxattr"):
        return [f"the extended attribute {display(name)}, which this system has not"]
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        return [f"the extended attribute {display(name)}: {_reason(error)}"]
    return []


def _owner(attributes: Attributes) -> tuple[int, int]:
    """By name where the name is known here, else by number."""
    uid, gid = attributes.uid, attributes.gid
    with suppress(KeyError, ValueError):
        uid = pwd.getpwnam(attributes.user).pw_uid if attributes.user else uid
    with suppress(KeyError, ValueError):
        gid = grp.getgrnam(attributes.group).gr_gid if attributes.group else gid
    return uid, gid


def _other_names(name: str) -> Iterator[str]:
    """`a (restored).txt`, `a (restored 2).txt`, ..."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(os.fsencode(ending)) > 16:
        stem, dot, ending = name, "", ""
    number = 1
    while True:
        mark = " (restored)" if number == 1 else f" (restored {number})"
        room = _LONGEST_NAME - len(os.fsencode(mark + dot + ending))
        short = os.fsdecode(os.fsencode(stem)[:room])
        yield f"{short}{mark}{dot}{ending}"
        number += 1


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
