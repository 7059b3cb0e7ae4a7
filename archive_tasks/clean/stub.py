"""The small text file that can stay where an item was: what it was, where it is now, and how to get it back."""

from __future__ import annotations

import contextlib
import os
import secrets

from archive_tasks.amounts import amount_text
from archive_tasks.clean.slot import State
from archive_tasks.disk.open_flags import FOLDER_THROUGH_LINKS, NEW_FILE
from archive_tasks.items.own_files import ENDING, FIRST_LINE, is_stub, signed, stub_name
from archive_tasks.model import Archive
from archive_tasks.names import display, typed


def stub_text(state: State, archive: Archive, *, cost: str, program: str = "invoke") -> str:
    """What the file says. `cost` is what fetching it takes, `program` what a command begins with."""
    lines = (
        FIRST_LINE.rstrip(),
        "",
        f"  item      {display(state.item)} ({amount_text(archive.files, archive.bytes)})",
        f"  archived  {archive.created:%Y-%m-%d}, and its local copy cleaned on {state.since:%Y-%m-%d}",
        f"  now in    {display(archive.target)}",
        f"  manifest  {display(archive.manifest)}",
        f"  fetching  {cost}",
        "",
        "To get it back:",
        f"  {program} restore {typed(state.item)} --target {typed(archive.target)}",
        "",
        "Without archive_tasks: README.txt in the target says how. In short:",
        f"  {_plain_command(archive)}",
        "",
    )
    return signed("\n".join(lines))


def write_stub(root_fd: int, item: str, text: str) -> bool:
    """Write it, whole or not at all, and replace nothing. False when its name is taken. Raises OSError."""
    temporary = f".{secrets.token_hex(8)}{ENDING}"
    with os.fdopen(os.open(temporary, NEW_FILE, 0o644, dir_fd=root_fd), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, stub_name(item), src_dir_fd=root_fd, dst_dir_fd=root_fd)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary, dir_fd=root_fd)
    return True


def remove_stub(root_fd: int, item: str) -> None:
    """Remove an item's stub, unless somebody wrote something into it."""
    name = stub_name(item)
    if is_stub(root_fd, name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=root_fd)


def forget_stub(path: str) -> None:
    """Remove the stub of what is at this path again."""
    folder, item = os.path.split(path)
    with contextlib.suppress(OSError):
        root_fd = os.open(folder, FOLDER_THROUGH_LINKS)
        try:
            remove_stub(root_fd, item)
        finally:
            os.close(root_fd)


def _plain_command(archive: Archive) -> str:
    data = f"{archive.target.rstrip('/')}/{archive.manifest}"
    if archive.target.startswith("s3://"):
        return f"aws s3 cp {typed(data)} - | zstd -d | less"
    return f"zstd -dc {typed(data.removeprefix('file://'))} | less"
