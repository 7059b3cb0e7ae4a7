"""A filesystem of our own, over a folder, that does what some real ones do to times, inodes and sizes.

    python tests/support/fuse_disk.py FOLDER MOUNTPOINT [ctime_is_mtime] [whole_seconds] [inodes_change] [says_nothing]

`ctime_is_mtime`: as FAT and many a network mount. `whole_seconds`: as ext4 with small inodes. `inodes_change`: another
inode at each look. `says_nothing`: files say that they have 0 bytes, and hold what they hold, as /proc and some online
disks do.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.apt import is_there

_SECOND = 10**9


def can_mount() -> bool:
    """Are FUSE, its library and the right to mount here?"""
    return os.path.exists("/dev/fuse") and os.geteuid() == 0 and is_there("fusermount3", "fuse3")


@contextlib.contextmanager
def mounted(folder: Path, at: Path, *habits: str) -> Iterator[Path]:
    """The folder, as such a filesystem shows it."""
    at.mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen([sys.executable, __file__, str(folder), str(at), *habits], env=environment)
    try:
        deadline = time.monotonic() + 20
        while not os.path.ismount(at):
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline, "it was not mounted"
            time.sleep(0.02)
        yield at
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False)
        process.wait(timeout=20)


def main() -> None:
    import mfusepy

    folder, at, *habits = sys.argv[1:]

    class Disk(mfusepy.Operations):  # type: ignore[misc]
        """Passes on what it is asked."""

        use_ns = True
        inodes = itertools.count(1000)

        def _there(self, path: str) -> str:
            return folder + path

        def statfs(self, path: str) -> dict[str, Any]:
            facts = os.statvfs(self._there(path))
            return {name: getattr(facts, name) for name in dir(facts) if name.startswith("f_") and name != "f_fsid"}

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            facts = os.lstat(self._there(path))
            return self._shown({name: getattr(facts, name) for name in dir(facts) if name.startswith("st_")})

        def _shown(self, shown: dict[str, Any]) -> dict[str, Any]:
            for name in ("st_atime", "st_mtime", "st_ctime"):
                shown[name] = shown[f"{name}_ns"]
                if "whole_seconds" in habits:
                    shown[name] = shown[name] // _SECOND * _SECOND
            if "ctime_is_mtime" in habits:
                shown["st_ctime"] = shown["st_mtime"]
            if "inodes_change" in habits:
                shown["st_ino"] = next(self.inodes)
            if "says_nothing" in habits and stat.S_ISREG(shown["st_mode"]):
                shown["st_size"] = 0
            return {name: value for name, value in shown.items() if not name.endswith("_ns")}

        def readdir(self, path: str, fh: int) -> Any:
            for name in (".", "..", *os.listdir(self._there(path))):
                facts = os.lstat(os.path.join(self._there(path), name))
                yield name, {"st_mode": facts.st_mode, "st_ino": facts.st_ino}, 0

        def readlink(self, path: str) -> str:
            return os.readlink(self._there(path))

        def open(self, path: str, flags: int) -> int:
            return os.open(self._there(path), flags)

        def create(self, path: str, mode: int, fi: Any = None) -> int:
            return os.open(self._there(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(fh, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            return os.pwrite(fh, data, offset)

        def truncate(self, path: str, length: int, fh: int | None = None) -> None:
            os.truncate(self._there(path), length)

        def release(self, path: str, fh: int) -> None:
            os.close(fh)

        def fsync(self, path: str, datasync: int, fh: int) -> None:
            os.fsync(fh)

        def utimens(self, path: str, times: Any = None) -> None:
            os.utime(self._there(path), ns=times, follow_symlinks=False)

        def chmod(self, path: str, mode: int) -> None:
            os.chmod(self._there(path), mode)

        def chown(self, path: str, uid: int, gid: int) -> None:
            os.chown(self._there(path), uid, gid, follow_symlinks=False)

        def mkdir(self, path: str, mode: int) -> None:
            os.mkdir(self._there(path), mode)

        def rmdir(self, path: str) -> None:
            os.rmdir(self._there(path))

        def unlink(self, path: str) -> None:
            os.unlink(self._there(path))

        def rename(self, old: str, new: str) -> None:
            os.rename(self._there(old), self._there(new))

        def symlink(self, target: str, source: str) -> None:
            os.symlink(source, self._there(target))

    direct = {"direct_io": True} if "says_nothing" in habits else {}
    mfusepy.FUSE(Disk(), at, foreground=True, nothreads=True, attr_timeout=0, entry_timeout=0, use_ino=True, **direct)


if __name__ == "__main__":
    main()
