"""The plugin frame: what is loaded, in which order, and how each kind of broken plugin stops the run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from archive_tasks import hookimpl
from archive_tasks.errors import PluginError
from archive_tasks.plugins import DEFAULT_PLUGINS, answers, list_plugins, make_plugin_manager, origin_of
from tests.conftest import CommandLine
from tests.support.checkout import ROOT

SOUND = """
from archive_tasks import hookimpl

__version__ = "2.5"

@hookimpl
def reasons_to_keep(item, settings):
    return "{reason}"
"""
BUILT_IN = {dotted.rpartition(".")[2] for dotted in DEFAULT_PLUGINS}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture(name="install")
def _install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution: its modules and a real dist-info, in a folder on sys.path."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution: str, *, point: str, value: str, **modules: str) -> None:
        info = site / f"{distribution.replace('-', '_')}-3.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 3.1\n")
        (info / "entry_points.txt").write_text(f"[archive_tasks]\n{point} = {value}\n")
        for name, source in modules.items():
            (site / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()

    return install


def fault(folder: Path | str | None, *parts: str, **arguments: object) -> str:
    """The message of the PluginError, which must be one line and hold all `parts`."""
    with pytest.raises(PluginError) as caught:
        make_plugin_manager(None if folder is None else str(folder), **arguments)  # type: ignore[arg-type]
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert message.splitlines() == [message]
    assert [part for part in parts if part not in message] == [], message
    return message


# -- what is loaded -----------------------------------------------------------------------------------


def test_without_a_folder_the_built_ins_are_loaded() -> None:
    assert {plugin.name for plugin in list_plugins(make_plugin_manager())} == BUILT_IN


def test_a_missing_folder_holds_no_plugins(tmp_path: Path) -> None:
    assert {plugin.name for plugin in list_plugins(make_plugin_manager(str(tmp_path / "none")))} == BUILT_IN


def test_the_plugins_of_this_repository_load_as_they_are() -> None:
    manager = make_plugin_manager(str(ROOT / "plugins"))
    drop_ins = [plugin for plugin in list_plugins(manager) if plugin.name not in BUILT_IN]
    assert {(plugin.name, plugin.version, plugin.hooks) for plugin in drop_ins} == {
        ("cold_by_age", "1.0", ("choose_storage_class",)),
        ("photos", "1.0", ("choose_clock",)),
        ("regenerable", "1.0", ("make_excluder",)),
    }


def test_a_plugin_is_listed_with_its_name_origin_version_and_hooks(folder: Path) -> None:
    (folder / "mine.py").write_text(SOUND.format(reason="mine"))
    listed = list_plugins(make_plugin_manager(str(folder)))[0]
    assert (listed.name, listed.origin) == ("mine", str(folder / "mine.py"))
    assert (listed.version, listed.hooks) == ("2.5", ("reasons_to_keep",))


def test_a_built_in_is_listed_as_built_in() -> None:
    (clocks,) = (plugin for plugin in list_plugins(make_plugin_manager()) if plugin.name == "clocks")
    assert (clocks.origin, clocks.hooks) == ("built-in", ("register_clocks",))


def test_an_installed_plugin_is_listed_with_its_distribution(install: Callable[..., None]) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_rules", tidy_lab_rules=SOUND.format(reason="lab"))
    manager = make_plugin_manager()
    (lab,) = (plugin for plugin in list_plugins(manager) if plugin.name == "lab")
    assert (lab.origin, lab.version, lab.hooks) == ("tidy-lab (installed)", "3.1", ("reasons_to_keep",))
    assert origin_of(manager, "lab") == "lab (tidy-lab (installed))"


def test_files_that_begin_with_a_dot_or_an_underscore_and_other_files_are_no_plugins(folder: Path) -> None:
    for name in ("_helper.py", "__init__.py", ".hidden.py", "README.md", "notes.py.txt", "broken.pyc"):
        (folder / name).write_text("this is no Python")
    (folder / "__pycache__").mkdir()
    assert {plugin.name for plugin in list_plugins(make_plugin_manager(str(folder)))} == BUILT_IN


def test_a_plugin_may_hold_a_dataclass_and_a_name_that_is_no_identifier(folder: Path) -> None:
    dataclass = "import dataclasses\n\n@dataclasses.dataclass(frozen=True, slots=True)\nclass Rule:\n    days: 'int'\n"
    (folder / "my-rules.py").write_text(dataclass + SOUND.format(reason="mine"))
    assert list_plugins(make_plugin_manager(str(folder)))[0].name == "my-rules"


def test_each_manager_is_its_own(folder: Path) -> None:
    (folder / "mine.py").write_text(SOUND.format(reason="mine"))
    make_plugin_manager(str(folder))
    assert {plugin.name for plugin in list_plugins(make_plugin_manager())} == BUILT_IN


# -- who is asked first -------------------------------------------------------------------------------


def test_the_users_own_folder_is_asked_first_then_what_is_installed_then_the_built_ins(
    folder: Path, install: Callable[..., None]
) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_order", tidy_lab_order=SOUND.format(reason="lab"))
    (folder / "a.py").write_text(SOUND.format(reason="a"))
    (folder / "b.py").write_text(SOUND.format(reason="b"))
    manager = make_plugin_manager(str(folder))
    names = [plugin.name for plugin in list_plugins(manager)]
    assert names[:3] == ["b", "a", "lab"]
    assert set(names[3:]) == BUILT_IN
    asked = [(name, ask()) for name, ask in answers(manager, "reasons_to_keep", item=None, settings=None)]
    assert asked == [("b", "b"), ("a", "a"), ("lab", "lab")]


def test_a_plugin_given_by_the_caller_is_asked_before_all_others(folder: Path) -> None:
    class Given:
        @hookimpl
        def reasons_to_keep(self, item: object) -> str:
            return "given"

    (folder / "a.py").write_text(SOUND.format(reason="a"))
    manager = make_plugin_manager(str(folder), extra=[Given()])
    asked = [ask() for _, ask in answers(manager, "reasons_to_keep", item=None, settings=None)]
    assert asked == ["given", "a"]


def test_a_plugin_may_ask_to_be_asked_last(folder: Path) -> None:
    (folder / "z.py").write_text(SOUND.format(reason="z").replace("@hookimpl", "@hookimpl(trylast=True)"))
    (folder / "a.py").write_text(SOUND.format(reason="a"))
    manager = make_plugin_manager(str(folder))
    assert [name for name, _ in answers(manager, "reasons_to_keep", item=None, settings=None)] == ["a", "z"]


def test_what_one_plugin_raises_does_not_silence_the_others(folder: Path) -> None:
    (folder / "b.py").write_text(SOUND.format(reason="b").replace('return "b"', "return 1 / 0"))
    (folder / "a.py").write_text(SOUND.format(reason="a"))
    (_, fails), (_, works) = answers(make_plugin_manager(str(folder)), "reasons_to_keep", item=None, settings=None)
    assert works() == "a"
    with pytest.raises(ZeroDivisionError):
        fails()


# -- what is broken -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ndef f(:\n", "(line 2)"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("raise ValueError('first\\nsecond')", "ValueError: first second"),
        ("raise SystemExit(3)", "it ends the program (exit 3)"),
        ("import sys\nsys.exit('bye')", "it ends the program (exit bye)"),
        ("x = '\0'", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_imported_stops_the_run(folder: Path, source: str, said: str) -> None:
    (folder / "broken.py").write_text(source)
    fault(folder, str(folder / "broken.py"), said, "plugins_off: [broken]")
    assert "archive_tasks_dropin_broken" not in sys.modules


def test_a_link_that_leads_nowhere_stops_the_run(folder: Path) -> None:
    (folder / "lost.py").symlink_to(folder / "absent.py")
    fault(folder, str(folder / "lost.py"), "No such file")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SOUND.replace("reasons_to_keep", "reason_to_keep"), "unknown hook 'reason_to_keep'"),
        (SOUND.replace("(item, settings)", "(item, setting)"), "setting"),
        (SOUND.replace("@hookimpl\n", ""), "defines reasons_to_keep without @hookimpl"),
        (
            SOUND.replace("from archive_tasks", "from pluggy").replace("hookimpl", "HookimplMarker"),
            "implements no hook",
        ),
        (
            SOUND.replace("from archive_tasks import hookimpl", "import pluggy\nhookimpl = pluggy.HookimplMarker('x')"),
            "defines reasons_to_keep without @hookimpl",
        ),
        ("def helper(): ...", "implements no hook"),
        ("", "implements no hook"),
        (
            SOUND.replace("@hookimpl", "@hookimpl(wrapper=True)").replace('return "{reason}"', "return (yield)"),
            "wrapper",
        ),
        (SOUND.replace("@hookimpl", "@hookimpl(hookwrapper=True)").replace('return "{reason}"', "yield"), "wrapper"),
    ],
    ids=["misspelt", "signature", "undecorated", "unfit marker", "strange project", "none", "empty", "wrapper", "old"],
)
def test_a_plugin_that_would_never_be_called_rightly_stops_the_run(folder: Path, source: str, said: str) -> None:
    (folder / "wrong.py").write_text(source)
    fault(folder, str(folder / "wrong.py"), said)


def test_a_misspelt_hook_stops_the_run_also_beside_a_sound_one(folder: Path) -> None:
    misspelt = "\n@hookimpl\ndef on_evnt(event):\n    pass\n"
    (folder / "mine.py").write_text(SOUND + misspelt)
    fault(folder, str(folder / "mine.py"), "unknown hook 'on_evnt'")


def test_a_file_named_like_a_built_in_stops_the_run_and_both_are_named(folder: Path) -> None:
    (folder / "clocks.py").write_text(SOUND)
    fault(folder, "clocks (built-in)", str(folder / "clocks.py"), "same name")


def test_a_copy_of_what_became_a_built_in_stops_the_run_and_is_told_to_go(folder: Path) -> None:
    (folder / "git_unsaved.py").write_text(SOUND)
    fault(folder, "git_unsaved (built-in)", str(folder / "git_unsaved.py"), "remove the second, or rename it")


def test_a_file_named_like_an_installed_plugin_stops_the_run(folder: Path, install: Callable[..., None]) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_twice", tidy_lab_twice=SOUND)
    (folder / "lab.py").write_text(SOUND)
    fault(folder, "tidy-lab (installed)", str(folder / "lab.py"), "same name")


def test_one_module_under_two_names_stops_the_run(install: Callable[..., None]) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_shared", tidy_lab_shared=SOUND)
    install("tidy-den", point="den", value="tidy_lab_shared")
    fault(None, "already registered", "(installed)")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("raise ValueError('first\\nsecond')", "ValueError: first second"),
        ("raise SystemExit(3)", "exit 3"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_an_installed_plugin_that_cannot_be_loaded_stops_the_run_and_its_distribution_is_named(
    install: Callable[..., None], source: str, said: str
) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_broken", tidy_lab_broken=source)
    fault(None, "lab", "tidy-lab (installed)", said, "plugins_off: [lab]")


def test_an_entry_point_to_a_missing_module_stops_the_run(install: Callable[..., None]) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_absent")
    fault(None, "tidy-lab (installed)", "tidy_lab_absent")


# -- what is switched off -----------------------------------------------------------------------------


def test_a_plugin_that_is_switched_off_is_neither_loaded_nor_run(folder: Path, tmp_path: Path) -> None:
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert "mine" not in {plugin.name for plugin in list_plugins(make_plugin_manager(str(folder), off=["mine"]))}
    assert not (tmp_path / "ran").exists()


def test_a_broken_installed_plugin_can_be_switched_off(install: Callable[..., None]) -> None:
    install("tidy-lab", point="lab", value="tidy_lab_absent")
    assert {plugin.name for plugin in list_plugins(make_plugin_manager(off=["lab"]))} == BUILT_IN


def test_a_built_in_can_be_switched_off() -> None:
    names = {plugin.name for plugin in list_plugins(make_plugin_manager(off=["markers"]))}
    assert names == BUILT_IN - {"markers"}


def test_switching_off_what_is_not_there_stops_the_run_and_names_what_is(folder: Path) -> None:
    (folder / "mine.py").write_text(SOUND)
    fault(folder, "archive.plugins_off", "'mien'", "clocks", "mine", off=["mien"])


# -- what is never loaded -----------------------------------------------------------------------------


def test_python_files_in_the_root_or_the_current_folder_are_never_loaded(cli: CommandLine, root: Path) -> None:
    ran = root.parent / "ran"
    canary = f"open({str(ran)!r}, 'a').write(__file__)\n" + SOUND.format(reason="taken over")
    here = root / "here"
    for place in (root, root / "plugins", here, here / "plugins"):
        place.mkdir(exist_ok=True)
        for name in ("canary.py", "clocks.py", "conftest.py", "archive_tasks.py", "boto3.py", "plugins.py"):
            (place / name).write_text(canary)

    class Script(CommandLine):
        def command(self, *arguments: str) -> list[str]:
            """As the script `invoke` starts, which does not put the current folder on the path as -m does."""
            return [sys.executable, "-P", "-m", "invoke", *arguments]

    done = Script(here).run("--search-root", str(cli.project), "scan", "--root", str(root), "--json")
    assert done.code == 0, done.err
    assert "taken over" not in done.out
    assert not ran.exists()


def test_the_same_file_is_loaded_from_the_plugins_folder_next_to_tasks_py(cli: CommandLine, root: Path) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "canary.py").write_text(SOUND.format(reason="told by the canary"))
    (root / "item").write_text("x")
    done = cli.run("scan", "--root", str(root), "--days", "0", "--json")
    assert [item["reason"] for item in json.loads(done.out)["items"]] == ["told by the canary"]


def test_a_broken_plugin_ends_a_command_with_one_line_and_exit_code_2(cli: CommandLine, root: Path) -> None:
    (cli.project / "plugins").mkdir()
    (cli.project / "plugins" / "broken.py").write_text("raise ValueError('first\\nsecond')")
    done = cli.run("scan", "--root", str(root))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert str(cli.project / "plugins" / "broken.py") in done.err


def test_a_plugin_object_given_by_the_caller_is_checked_like_any_other() -> None:
    fault(None, "given by the caller", "implements no hook", extra=[SimpleNamespace(__name__="nothing")])
