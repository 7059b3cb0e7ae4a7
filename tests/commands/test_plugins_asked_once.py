"""Plugins are asked once for what a root needs, however many tasks and items there are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from archive_tasks.testing.trees import File, make_tree
from tests.conftest import CommandLine

ITEMS = 3
HOOKS = {
    "register_clocks": ("settings", "{}"),
    "register_stores": ("settings", "{}"),
    "choose_target": ("root, settings", "None"),
    "choose_clock": ("root, settings", "None"),
    "make_excluder": ("root, settings", "None"),
    "make_noise_filter": ("root, settings", "None"),
    "make_guard": ("root, settings", "None"),
    "reasons_to_keep": ("item, settings", "None"),
    "choose_storage_class": ("item, days_idle, size, settings", "None"),
}


def asked(cli: CommandLine, root: Path, *tasks: str) -> Counter[str]:
    """How often each hook is called by a chain of tasks."""
    calls = cli.project / "calls"
    calls.unlink(missing_ok=True)
    hooks = "".join(
        f"@hookimpl\ndef {name}({arguments}):\n    note('{name}')\n    return {answer}\n"
        for name, (arguments, answer) in HOOKS.items()
    )
    (cli.project / "plugins").mkdir(exist_ok=True)
    (cli.project / "plugins" / "counting.py").write_text(
        "from archive_tasks import hookimpl\n"
        f"def note(name):\n    with open({str(calls)!r}, 'a') as file:\n        file.write(name + '\\n')\n" + hooks
    )
    (cli.project / "invoke.yaml").write_text(f"archive:\n  root: {root}\n")
    ran = cli.run(*tasks)
    assert ran.code == 0, ran.err
    return Counter(calls.read_text().split())


def test_a_chain_of_tasks_asks_once_for_the_plan_and_once_before_anything_goes(cli: CommandLine, root: Path) -> None:
    """`archive` takes over the root that `scan` resolved; `clean` looks anew, for what it frees must still be so.

    Guards are made again right before each item goes: what one saw some seconds ago proves nothing.
    """
    make_tree(root, {f"item{number}": {"a": File("old", age_days=400)} for number in range(ITEMS)})
    chain = ("scan", "archive", "--yes", "clean", "--yes", "--max-share", "100", "report")
    assert asked(cli, root, *chain) == {
        "register_clocks": 2,
        "register_stores": 2,
        "choose_target": 2,
        "choose_clock": 2,
        "make_excluder": 2,
        "make_noise_filter": 2,
        "make_guard": 2 + ITEMS,
        "reasons_to_keep": 2 * ITEMS + ITEMS,
        "choose_storage_class": ITEMS,
    }


def test_a_scan_asks_once_whatever_there_is(cli: CommandLine, root: Path) -> None:
    make_tree(root, {f"item{number}": {"a": File("old", age_days=400)} for number in range(ITEMS)})
    calls = asked(cli, root, "scan")
    assert calls.pop("reasons_to_keep") == ITEMS
    assert set(calls.values()) == {1}
    assert "register_stores" not in calls, "a scan opens no target"
