"""Keeps items that hold git repositories with unsaved work: what no remote has.

It needs no setting, and can only keep items. `archive.options.git_unsaved.timeout` is how many seconds git may
take for one answer (10). Only the first finding of a repository is reported; at most five repositories are named.

What git may do to a stranger's repository, and what is done about it:

- Its configuration can name programs that `git status` runs: `core.fsmonitor`, hooks, `filter.*.clean` and
  `filter.*.process`. All are overridden, filters by name after the configuration was listed; so a file under a
  filter (git-lfs too, which would write to `.git/lfs`) counts as changed when its size or times differ from
  what git remembers. A git that ignores the overrides (before 2.31) is not asked.
- Git fetches what a partial clone lacks: all protocols are forbidden, such a repository stays unknown.
- `git status` rewrites the index: GIT_OPTIONAL_LOCKS=0 forbids it. (git(1), "Environment Variables")
- A repository of another owner is refused by git itself (safe.directory) and stays unknown; unknown is a reason.

Reading: tracked files are compared by stat and opened only when that differs. Git does read its own files,
`.gitignore` and `.gitattributes`, and sets their access times as the mount has it (relatime: once a day), which
the clocks `atime` and `newest` take for use. They are not put back: that would set ctime, for which `newest` and
the proof before cleaning are no less strict. So what needs no look at files is asked first, and `git status` last.

Not seen: changes under `git update-index --assume-unchanged` or `--skip-worktree`, ignored files, commits that
only a tag or a reflog holds, and submodules that are not checked out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from archive_tasks import hookimpl
from archive_tasks.errors import SettingsError
from archive_tasks.model import Guard, Listing
from archive_tasks.names import display
from archive_tasks.settings import Settings

_KEPT_VARIABLES = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
}
_OVERRIDES = {"core.fsmonitor": "false", "core.hooksPath": os.devnull}
_OPERATIONS = {
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}


class Unknown(Exception):
    """Git could not be asked; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A folder with a `.git` folder, a `.git` file, or (bare) the contents of one."""

    path: str
    is_bare: bool = False

    @property
    def dot_git(self) -> str:
        return os.path.join(self.path, ".git")


def repository_in(listing: Listing, root: str) -> Repository | None:
    """The repository that a folder is, by names alone. What is in a `.git` belongs to the repository around it."""
    if ".git" in listing.path.split("/"):
        return None
    path = os.path.join(root, listing.path)
    if ".git" in listing.inodes:
        return Repository(path=path)
    if "HEAD" in listing.inodes and "HEAD" not in listing.folders and {"objects", "refs"} <= listing.folders:
        return Repository(path=path, is_bare=True)
    return None


def finding(repository: Repository, *, item: str, timeout: float) -> str | None:
    """What is unsaved in the repository (`has 3 uncommitted changes`), or None.

    Args:
        item: absolute path of the item, outside which a repository's own data must not be.
        timeout: seconds that git may take for one answer.

    Raises:
        Unknown: it could not be found out.
        OSError: it cannot be read.
    """
    if repository.is_bare:
        return "is a bare repository"
    git_folder = _git_folder(repository)
    if not (git_folder + "/").startswith(os.path.realpath(item) + "/"):
        return "is a worktree or submodule whose repository is elsewhere"
    return _operation(git_folder) or _more_worktrees(git_folder) or _asked(repository, git_folder, timeout=timeout)


def _git_folder(repository: Repository) -> str:
    """Where the repository's data is: `.git`, or where the file of that name points."""
    if os.path.isdir(repository.dot_git):
        return os.path.realpath(repository.dot_git)
    text = os.fsdecode(_read(repository.dot_git)).rstrip("\n")
    if not text.startswith("gitdir: "):
        raise Unknown("its .git file is not one of git's")
    return os.path.realpath(os.path.join(repository.path, text.removeprefix("gitdir: ")))


def _read(path: str) -> bytes:
    """Its first 64 KiB, without leaving an access time where the system allows that."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        handle = os.open(path, flags)
    try:
        return os.read(handle, 65_536)
    finally:
        os.close(handle)


def _operation(git_folder: str) -> str | None:
    for name, operation in _OPERATIONS.items():
        if os.path.lexists(os.path.join(git_folder, name)):
            return f"is in the middle of {operation}"
    return None


def _more_worktrees(git_folder: str) -> str | None:
    """Git keeps a folder for each of its further worktrees. (gitrepository-layout(5))"""
    try:
        number = len(os.listdir(os.path.join(git_folder, "worktrees")))
    except FileNotFoundError:
        return None
    return f"has {_count(number, 'worktree')} elsewhere" if number else None


def _asked(repository: Repository, git_folder: str, *, timeout: float) -> str | None:
    git = _Git(repository.path, overrides=_OVERRIDES, timeout=timeout)
    keys = git.configured_keys()
    git = _Git(repository.path, overrides=_OVERRIDES | _without_filters(keys), timeout=timeout)
    if os.path.realpath(git.ask("rev-parse", "--absolute-git-dir").removesuffix("\n")) != git_folder:
        raise Unknown("its .git is not a repository")
    if git.ask("for-each-ref", "--format=%(refname)", "refs/stash"):
        return "has stashed changes"
    return _commits(git, keys) or _changes(git)


def _commits(git: _Git, keys: Iterable[str]) -> str | None:
    number = int(git.ask("rev-list", "--count", "--ignore-missing", "HEAD", "--branches", "--not", "--remotes"))
    if not number:
        return None
    has_remote = any(key.startswith("remote.") and key.endswith(".url") for key in keys)
    return f"has {_count(number, 'commit')} {'that no remote has' if has_remote else 'and no remote'}"


def _changes(git: _Git) -> str | None:
    status = git.ask("status", "--porcelain=v2", "-z", "--untracked-files=normal", "--ignore-submodules=dirty")
    fields = iter(status.split("\0"))
    number = 0
    for field in fields:
        number += field[:2] in {"1 ", "2 ", "u ", "? "}
        if field.startswith("2 "):
            next(fields, None)  # a rename's former path, which may begin like an entry
    return f"has {_count(number, 'uncommitted change')}" if number else None


def _without_filters(keys: Iterable[str]) -> dict[str, str]:
    """Settings that disarm every filter by name: git treats an empty command as none. (git: convert.c, apply_filter)"""
    names = {key.rpartition(".")[0] for key in keys if key.startswith("filter.")}
    disarmed = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"{name}.{setting}": value for name in names for setting, value in disarmed.items()}


class _Git:
    """Git in one repository; it writes nothing and runs nothing of the repository's.

    Settings are handed over by variables, since a name in `-c name=value` cannot hold `=`.
    """

    def __init__(self, path: str, *, overrides: Mapping[str, str], timeout: float) -> None:
        self._path = path
        self._timeout = timeout
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
        self._environment = {**inherited, **kept, **_QUIET, **_as_variables(overrides), "GIT_WORK_TREE": path}

    def configured_keys(self) -> frozenset[str]:
        """Names of all settings that git would heed here, ours among them."""
        fields = self.ask("config", "--list", "--show-scope", "--name-only", "-z").split("\0")
        if "command" not in fields[::2]:
            raise Unknown("this git is too old (before 2.31) to be asked safely")
        return frozenset(fields[1::2])

    def ask(self, *arguments: str) -> str:
        program = shutil.which("git")
        if program is None:
            raise Unknown("git is not installed")
        output, complaint, code = self._run([program, "--no-pager", "-C", self._path, *arguments])
        if code:
            said = os.fsdecode(complaint).strip().splitlines() or [f"exit code {code}"]
            raise Unknown(f"{arguments[0]}: {said[0]}")
        return os.fsdecode(output)

    def _run(self, command: list[str]) -> tuple[bytes, bytes, int]:
        with subprocess.Popen(  # noqa: S603 - the program is the user's own git, the path no option
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        ) as process:
            try:
                output, complaint = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                _kill(process)
                raise Unknown(f"no answer within {self._timeout:g} seconds") from None
            except BaseException:
                _kill(process)
                raise
        return output, complaint, process.returncode


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and all it started, else one of them could hold the pipes open forever."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def make_git_guard(root: str, *, timeout: float) -> Guard:
    """A guard that asks git about every repository that it meets in a folder; `timeout` as for `finding`."""

    def looks(listing: Listing) -> Iterator[str]:
        if listing.path and (repository := repository_in(listing, root)):
            yield from _reason(repository, listing.path, os.path.join(root, listing.path.partition("/")[0]), timeout)

    return Guard(looks=looks)


def _reason(repository: Repository, path: str, item: str, timeout: float) -> Iterator[str]:
    try:
        found = finding(repository, item=item, timeout=timeout)
    except (Unknown, OSError) as error:
        yield f"could not ask git about {display(path)}: {display(str(error))}"
    else:
        if found:
            yield f"{display(path)} {found} (git)"


def _timeout(settings: Settings) -> float:
    options = settings.options.get("git_unsaved", {})
    for name in options:
        if name != "timeout":
            raise SettingsError(f"there is no setting archive.options.git_unsaved.{name}; known: timeout")
    timeout = options.get("timeout", 10)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600:
        raise SettingsError(f"archive.options.git_unsaved.timeout is {timeout!r}, but must be seconds, 0 to 3600")
    return timeout


@hookimpl
def make_guard(root: str, settings: Settings) -> Guard:
    return make_git_guard(root, timeout=_timeout(settings))
