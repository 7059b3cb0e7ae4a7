"""What the README says is so."""

from __future__ import annotations

import dataclasses
import inspect
import re

from archive_tasks.settings import NESTED, Settings, known_settings
from tests.support.checkout import ROOT

README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table of all settings, from the code: name, default, and the first words of its documentation."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name in known_settings():
        group, _, field = name.rpartition(".")
        kind = NESTED[group] if group else Settings
        rows.append(f"| `{name}` | {_default(kind, field)} | {_meaning(kind, field)} |")
    return "\n".join(rows)


def _default(kind: type, name: str) -> str:
    default = getattr(kind(), name)
    if default == "" or default == () or default == {}:
        return ""
    field = next(one for one in dataclasses.fields(kind) if one.name == name)
    if field.metadata.get("size") and default:
        return f"`{default // 1024 // 1024}M`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _meaning(kind: type, name: str) -> str:
    documented = inspect.getdoc(kind) or ""
    found = re.search(rf"^    {name}: (.*?)(?=^    \w+: |\Z)", documented, re.MULTILINE | re.DOTALL)
    assert found, name
    return " ".join(found[1].split())


def test_the_table_of_settings_is_that_of_the_code() -> None:
    shown = README.partition("<!-- settings -->")[2].partition("<!-- end of settings -->")[0].strip()
    assert shown == settings_table(), f"README.md wants this table:\n{settings_table()}"


def test_ci_runs_the_test_command_of_the_readme_and_nothing_else() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands[:2] == ["set -euo pipefail", 'cd "$(dirname "$0")/.."']
    assert len(commands) == 3
    assert f"```sh\n{commands[2]}\n```" in README


def test_every_command_in_the_readme_is_one_that_there_is() -> None:
    from archive_tasks.tasks import ns

    verbs = set(re.findall(r"^invoke (\w+)", README, re.MULTILINE))
    assert {"scan", "archive", "report", "setup"} <= verbs <= set(ns.task_names)
    for command in re.findall(r"invoke ([a-z][^`\n#&]*)", re.sub(r"['\"][^'\"]*['\"]", "", README)):
        verb = ""
        for word in command.split():
            verb = word if word in verbs else verb
            if word.startswith("--"):
                names = {f"--{name}" for argument in ns[verb].get_arguments() for name in argument.names}
                assert word in names, f"{verb} {word}"


def test_every_guard_is_in_the_readme_and_no_other() -> None:
    from tests.support.guards import guards

    table = README.partition("| guard |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == guards()


def test_files_that_the_readme_points_to_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
