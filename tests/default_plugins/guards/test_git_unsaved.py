from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from archive_tasks.errors import SettingsError
from tests.support.guards import reasons as ask_guard


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ann"), ("EMAIL", "ann@example.org"))
    }
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | identity).stdout


def commit(folder: Path, name: str, text: str = "text") -> None:
    (folder / name).write_text(text)
    git(folder, "add", name)
    git(folder, "commit", "-m", name)


def saved(root: Path, path: str = "thesis") -> Path:
    """A clone whose every commit lies in its origin, which is outside of the root."""
    origin = root.parent / "origins" / f"{path.replace('/', '-')}.git"
    origin.mkdir(parents=True)
    git(origin, "init", "--bare", "-b", "main")
    clone = root / path
    clone.mkdir(parents=True)
    git(clone, "init", "-b", "main")
    commit(clone, "chapter.txt")
    git(clone, "remote", "add", "origin", str(origin))
    git(clone, "push", "-u", "origin", "main")
    return clone


def reasons(root: Path, name: str = "thesis", **options: Any) -> list[str]:
    return ask_guard(root, name, "git_unsaved", options={"git_unsaved": options})


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Contents and modification times of all that lies in the folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


def test_a_clone_with_everything_pushed_is_no_reason(root: Path) -> None:
    saved(root)
    assert reasons(root) == []


def test_an_item_without_a_repository_is_no_reason_and_needs_no_git(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "thesis" / "deep").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(root))
    assert reasons(root) == []


def test_staged_unstaged_and_untracked_changes_are_counted(root: Path) -> None:
    clone = saved(root)
    commit(clone, "second.txt")
    git(clone, "push")
    (clone / "chapter.txt").write_text("a longer text")
    (clone / "second.txt").write_text("staged text")
    git(clone, "add", "second.txt")
    (clone / "notes.txt").write_text("untracked")
    assert reasons(root) == ["thesis has 3 uncommitted changes (git)"]


def test_one_change_is_said_in_the_singular(root: Path) -> None:
    (saved(root) / "notes.txt").write_text("untracked")
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


def test_a_rename_counts_once_whatever_its_former_name_looks_like(root: Path) -> None:
    clone = saved(root)
    commit(clone, "? old", "enough text to be known again\n" * 5)
    git(clone, "push")
    git(clone, "mv", "? old", "new")
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


def test_ignored_files_are_no_work(root: Path) -> None:
    clone = saved(root)
    commit(clone, ".gitignore", "*.log\n")
    git(clone, "push")
    (clone / "run.log").write_text("ignored")
    assert reasons(root) == []


def test_untracked_files_count_though_the_repository_says_not_to_show_them(root: Path) -> None:
    clone = saved(root)
    git(clone, "config", "status.showUntrackedFiles", "no")
    (clone / "notes.txt").write_text("untracked")
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


def test_a_stash_keeps(root: Path) -> None:
    clone = saved(root)
    (clone / "chapter.txt").write_text("stashed text")
    git(clone, "stash")
    assert reasons(root) == ["thesis has stashed changes (git)"]


def test_commits_that_no_remote_has_keep_on_any_branch(root: Path) -> None:
    clone = saved(root)
    git(clone, "checkout", "-b", "idea")
    commit(clone, "one.txt")
    commit(clone, "two.txt")
    git(clone, "checkout", "main")
    assert reasons(root) == ["thesis has 2 commits that no remote has (git)"]


def test_commits_without_any_remote_keep(root: Path) -> None:
    clone = saved(root)
    git(clone, "remote", "remove", "origin")
    assert reasons(root) == ["thesis has 1 commit and no remote (git)"]


def test_a_repository_without_commits_and_files_is_no_reason(root: Path) -> None:
    (root / "thesis").mkdir()
    git(root / "thesis", "init")
    assert reasons(root) == []


def test_a_detached_head_with_commits_of_its_own_keeps(root: Path) -> None:
    clone = saved(root)
    git(clone, "checkout", "--detach")
    commit(clone, "loose.txt")
    assert reasons(root) == ["thesis has 1 commit that no remote has (git)"]


def test_a_detached_head_on_a_pushed_commit_is_no_reason(root: Path) -> None:
    git(saved(root), "checkout", "--detach")
    assert reasons(root) == []


def test_a_merge_in_progress_keeps(root: Path) -> None:
    clone = saved(root)
    git(clone, "checkout", "-b", "idea")
    commit(clone, "chapter.txt", "theirs")
    git(clone, "checkout", "main")
    commit(clone, "chapter.txt", "ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(clone, "merge", "idea")
    assert reasons(root) == ["thesis is in the middle of a merge (git)"]


def test_a_rebase_in_progress_keeps(root: Path) -> None:
    clone = saved(root)
    git(clone, "checkout", "-b", "idea")
    commit(clone, "chapter.txt", "theirs")
    git(clone, "checkout", "main")
    commit(clone, "chapter.txt", "ours")
    with pytest.raises(subprocess.CalledProcessError):
        git(clone, "rebase", "idea")
    assert reasons(root) == ["thesis is in the middle of a rebase (git)"]


def test_further_worktrees_keep_their_repository_and_themselves(root: Path) -> None:
    git(saved(root), "worktree", "add", str(root / "draft"), "-b", "draft")
    assert reasons(root) == ["thesis has 1 worktree elsewhere (git)"]
    assert reasons(root, "draft") == ["draft is a worktree or submodule whose repository is elsewhere (git)"]


def test_a_bare_repository_keeps(root: Path) -> None:
    (root / "thesis" / "server" / "code.git").mkdir(parents=True)
    git(root / "thesis" / "server" / "code.git", "init", "--bare")
    assert reasons(root) == ["thesis/server/code.git is a bare repository (git)"]


def test_a_submodule_inside_its_own_item_is_judged_by_its_work(root: Path) -> None:
    library = saved(root, "library")
    clone = saved(root)
    origin = git(library, "remote", "get-url", "origin").strip()
    git(clone, "submodule", "add", origin, "lib")
    git(clone, "commit", "-m", "lib")
    git(clone, "push")
    assert reasons(root) == []
    (clone / "lib" / "notes.txt").write_text("untracked")
    assert reasons(root) == ["thesis/lib has 1 uncommitted change (git)"]


def test_a_git_folder_that_is_a_link_out_of_the_item_keeps(root: Path) -> None:
    clone = saved(root)
    (clone / ".git").rename(root / "hidden-away")
    (clone / ".git").symlink_to(root / "hidden-away")
    assert reasons(root) == ["thesis is a worktree or submodule whose repository is elsewhere (git)"]


def test_repositories_are_found_deep_down_and_inside_others_but_not_through_links(root: Path) -> None:
    commit_less = saved(root, "elsewhere")
    (commit_less / "notes.txt").write_text("untracked")
    deep = saved(root, "thesis/a/b/c")
    (deep / "notes.txt").write_text("untracked")
    (root / "thesis" / "link").symlink_to(commit_less)
    assert reasons(root) == ["thesis/a/b/c has 1 uncommitted change (git)"]


def test_at_most_five_repositories_are_named(root: Path) -> None:
    for number in range(6):
        (root / "thesis" / str(number)).mkdir(parents=True)
        git(root / "thesis" / str(number), "init")
        (root / "thesis" / str(number) / "file").write_text("untracked")
    told = reasons(root)
    assert len(told) == len(set(told)) == 5


def test_a_name_cannot_break_the_line(root: Path) -> None:
    (root / "thesis\n\x1b[2J").mkdir()
    git(root / "thesis\n\x1b[2J", "init")
    (root / "thesis\n\x1b[2J" / "file").write_text("untracked")
    (reason,) = reasons(root, "thesis\n\x1b[2J")
    assert reason.isprintable()


def test_a_missing_git_is_a_reason(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(root)
    monkeypatch.setenv("PATH", str(root))
    assert reasons(root) == ["could not ask git about thesis: git is not installed"]


@pytest.fixture(name="git_named")
def _git_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of PATH, to put a program named git into."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "git"


def test_a_git_that_does_not_answer_is_a_reason_and_is_ended_with_all_it_started(root: Path, git_named: Path) -> None:
    saved(root)
    git_named.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {git_named.parent}/child\nwait\n")
    git_named.chmod(0o755)
    assert reasons(root, timeout=0.3) == ["could not ask git about thesis: no answer within 0.3 seconds"]
    assert _ends_soon(int((git_named.parent / "child").read_text()))


def _ends_soon(process: int) -> bool:
    for _ in range(100):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(process, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_a_git_too_old_for_the_overrides_is_not_asked_for_the_status(root: Path, git_named: Path) -> None:
    saved(root)
    real = shutil.which("git", path=os.environ["PATH"])
    asked = git_named.parent / "asked"
    git_named.write_text(f'#!/bin/sh\nunset GIT_CONFIG_COUNT\necho "$4" >> {asked}\nexec {real} "$@"\n')
    git_named.chmod(0o755)
    assert reasons(root) == ["could not ask git about thesis: this git is too old (before 2.31) to be asked safely"]
    assert asked.read_text().split() == ["config"]


def test_a_damaged_repository_is_a_reason(root: Path) -> None:
    clone = saved(root)
    (clone / ".git" / "config").write_text("[core\n")
    (reason,) = reasons(root)
    assert reason.startswith("could not ask git about thesis: config: ")


def test_a_damaged_repository_is_not_mistaken_for_the_one_around_it(root: Path) -> None:
    saved(root)
    (root / "thesis" / "inner" / ".git").mkdir(parents=True)
    (root / "thesis" / ".git" / "info" / "exclude").write_text("inner\n")
    assert reasons(root) == ["could not ask git about thesis/inner: its .git is not a repository"]


def test_variables_of_the_caller_do_not_lead_git_elsewhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = saved(root, "clean")
    (saved(root) / "notes.txt").write_text("untracked")
    monkeypatch.setenv("GIT_DIR", str(clean / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(clean / ".git" / "index"))
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


def test_a_configured_work_tree_does_not_lead_git_elsewhere(root: Path) -> None:
    elsewhere = saved(root, "elsewhere")
    clone = saved(root)
    git(clone, "config", "core.worktree", str(elsewhere))
    (clone / "notes.txt").write_text("untracked")
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


PROGRAMS = {"clean", "process", "fsmonitor", "post-index-change"}


def armed(root: Path) -> tuple[Path, Path]:
    """A clone that has a program run wherever git would run one, and the folder in which each leaves its name."""
    clone, ran = saved(root), root.parent / "ran"
    ran.mkdir()
    for name in PROGRAMS:
        (root.parent / name).write_text(f"#!/bin/sh\n: > {ran}/{name}\nexec cat\n")
        (root.parent / name).chmod(0o755)
    commit(clone, ".gitattributes", "*.txt filter=odd=name.x\n*.tex filter=process\n")
    commit(clone, "paper.tex")
    git(clone, "push")
    (clone / ".git" / "more").write_text(
        f'[filter "odd=name.x"]\nclean = {root.parent}/clean\nrequired = true\n'
        f'[filter "process"]\nprocess = {root.parent}/process\n'
    )
    git(clone, "config", "include.path", "more")
    git(clone, "config", "core.fsmonitor", str(root.parent / "fsmonitor"))
    (clone / ".git" / "hooks").mkdir(exist_ok=True)
    shutil.copy(root.parent / "post-index-change", clone / ".git" / "hooks")
    for path in ran.iterdir():
        path.unlink()
    for name in ("chapter.txt", "paper.tex"):
        os.utime(clone / name, (1_600_000_000, 1_600_000_000))
    return clone, ran


def test_the_canary_programs_do_run_when_git_is_asked_plainly(root: Path) -> None:
    clone, ran = armed(root)
    subprocess.run(["git", "-C", str(clone), "status"], check=False, capture_output=True)
    assert {path.name for path in ran.iterdir()} == PROGRAMS


def test_nothing_that_the_repository_configures_is_run(root: Path) -> None:
    _, ran = armed(root)
    assert reasons(root) == []  # the bytes were compared, as they are
    assert list(ran.iterdir()) == []


def test_a_file_under_a_disarmed_filter_counts_as_changed_when_its_time_differs(root: Path) -> None:
    clone = saved(root)
    commit(clone, ".gitattributes", "*.big filter=upper\n")
    git(clone, "config", "filter.upper.clean", "tr a-z A-Z")
    commit(clone, "film.big", "small letters")
    git(clone, "push")
    os.utime(clone / "film.big", (1_600_000_000, 1_600_000_000))
    assert reasons(root) == ["thesis has 1 uncommitted change (git)"]


def test_asking_writes_nothing(root: Path) -> None:
    clone = saved(root)
    os.utime(clone / "chapter.txt", (1_600_000_000, 1_600_000_000))
    before = state(root)
    assert reasons(root) == []
    assert state(root) == before


def test_unchanged_tracked_files_are_not_opened(root: Path) -> None:
    clone = saved(root)
    os.utime(clone / "chapter.txt", (1_500_000_000, 1_600_000_000))
    git(clone, "update-index", "--refresh")  # now the index is later than the file, and git believes its stat
    for name in ("chapter.txt", ".git/HEAD"):
        os.utime(clone / name, (1_500_000_000, (clone / name).stat().st_mtime))
    git(clone, "update-index", "--refresh")
    os.utime(clone / "chapter.txt", (1_500_000_000, 1_600_000_000))
    assert reasons(root) == []
    if (clone / ".git" / "HEAD").stat().st_atime == 1_500_000_000:
        pytest.skip("this mount keeps no access times")
    assert (clone / "chapter.txt").stat().st_atime == 1_500_000_000


@pytest.mark.parametrize("options", [{"timeout": "soon"}, {"timeout": 0}, {"timeout": True}, {"timeuot": 5}])
def test_an_impossible_option_is_a_settings_error_that_names_it(root: Path, options: dict[str, Any]) -> None:
    (root / "thesis").mkdir()
    with pytest.raises(SettingsError, match=f"archive.options.git_unsaved.{next(iter(options))}"):
        reasons(root, **options)


def test_an_item_that_is_a_file_is_not_looked_at(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "notes.txt").touch()
    assert reasons(root, "notes.txt") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_a_reason(root: Path) -> None:
    (root / "thesis" / "closed").mkdir(parents=True)
    (root / "thesis" / "closed").chmod(0)
    (reason,) = reasons(root)
    (root / "thesis" / "closed").chmod(0o700)
    assert reason == "thesis/closed cannot be read: permission denied"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_repository_of_another_owner_is_a_reason(root: Path) -> None:
    clone = saved(root)
    for path in (clone, clone / ".git"):
        os.chown(path, 12_345, 12_345)
    (reason,) = reasons(root)
    assert "dubious ownership" in reason
