"""Which folder is meant by a root, and which are never cleaned as a whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import UsageError
from archive_tasks.items.root import check_root, resolve_root, root_if_there, root_path

HOME = "/home/anna"


@pytest.mark.parametrize(
    "root",
    ["/", "/home", "/usr", "/usr/share/doc", "/etc/x", "/Users", "/Volumes", HOME, "/boot/grub", "/proc/1", "/tmp"],
)
def test_what_belongs_to_the_system_or_holds_a_home_is_not_cleaned(root: str) -> None:
    with pytest.raises(UsageError, match="is not cleaned"):
        check_root(root, home=HOME)


@pytest.mark.parametrize(
    "root", [f"{HOME}/Documents", "/home/anna2", "/srv/lab", "/mnt/nas", "/var/lab/share", "/data", "/homes"]
)
def test_a_folder_of_somebodys_own_is(root: str) -> None:
    check_root(root, home=HOME)


def test_what_holds_the_home_is_refused_wherever_that_is() -> None:
    for root in ("/srv", "/srv/people"):
        with pytest.raises(UsageError):
            check_root(root, home="/srv/people/anna")
    check_root("/srv/people2", home="/srv/people/anna")


def test_a_root_is_absolute_and_without_links(root: Path, tmp_path: Path, make_session: Any) -> None:
    (tmp_path / "link").symlink_to(root)
    session = make_session(tmp_path / "link")
    assert root_path(session) == root_if_there(session) == os.path.realpath(root)
    found = resolve_root(session)
    assert (found.path, found.rules.root) == (os.path.realpath(root),) * 2
    assert found.target.startswith("file://")
    assert found.private == (os.path.realpath(tmp_path / "data"), os.path.realpath(tmp_path / "data" / "vault"))


def test_a_root_that_is_not_here_is_named(tmp_path: Path, make_session: Any) -> None:
    (tmp_path / "file").write_text("x")
    for named, message in (("", "which folder"), ("missing", "does not exist"), ("file", "is a file, not a folder")):
        session = make_session(tmp_path / named if named else "")
        with pytest.raises(UsageError, match=message):
            root_path(session)
        assert root_if_there(session) == ""


def test_a_root_that_may_not_be_opened_is_named_and_no_file_in_it(
    root: Path, make_session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".archiveignore").write_text("*.tmp\n")
    plain = os.open

    def refuse(path: Any, *more: Any, **named: Any) -> int:
        if str(path).startswith(str(root)):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError, match=f"the root {root} cannot be opened: permission denied"):
        resolve_root(make_session(root))
