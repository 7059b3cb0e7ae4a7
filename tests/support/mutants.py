"""Is every line of a module held by a test? Changes one thing at a time in it, and runs tests that must then fail.

    python -m tests.support.mutants archive_tasks/clean/gate.py tests/clean/test_gate.py tests/clean/test_run.py

Run by hand. Each mutant runs in a copy of the package, so the files here are not touched. Exit code 1 when one lives.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import ROOT

SWAPPED: dict[type, type] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
}


class Mutant(NamedTuple):
    """A changed module, and what was changed."""

    line: int
    what: str
    source: str


def mutants_of(source: str) -> Iterator[Mutant]:
    """One for each thing that can be changed and still be Python."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    decorations = {id(part) for node in nodes for one in getattr(node, "decorator_list", ()) for part in ast.walk(one)}
    for index, node in enumerate(nodes):
        if id(node) in decorations:  # `frozen=True` changes nothing that a run could show
            continue
        for change in range(4):
            changed = copy.deepcopy(tree)
            twin = list(ast.walk(changed))[index]
            what = _change(twin, change)
            if what:
                yield Mutant(getattr(node, "lineno", 0), what, ast.unparse(ast.fix_missing_locations(changed)))


def _change(node: ast.AST, change: int) -> str:
    """Change the node in place; a word for it, or nothing where there is no such change."""
    if change == 0 and isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition turned round"
    if change == 0 and isinstance(node, ast.Compare):
        node.ops = [SWAPPED[type(node.ops[0])](), *node.ops[1:]]
        return "comparison"
    if change == 0 and isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()
        return "operator"
    if change == 0 and isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.op = ast.UAdd()
        node.operand = ast.Call(ast.Name("bool"), [node.operand], [])
        return "not"
    if change == 0 and isinstance(node, ast.Constant) and isinstance(node.value, bool | int):
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
        return "constant"
    if change == 1 and isinstance(node, ast.BoolOp):
        node.values = node.values[1:] if len(node.values) > 2 else [node.values[1], node.values[1]]
        return "first operand dropped"
    if change == 2 and isinstance(node, ast.BoolOp):
        node.values = node.values[:-1] if len(node.values) > 2 else [node.values[0], node.values[0]]
        return "last operand dropped"
    if change == 3 and isinstance(getattr(node, "body", None), list):
        return ""
    return _without_a_statement(node) if change == 3 else ""


def _without_a_statement(node: ast.AST) -> str:
    """A call or a raise that stands by itself does nothing."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        node.value = ast.Constant(None)
        return "call dropped"
    if isinstance(node, ast.Raise):
        node.__class__ = ast.Pass  # type: ignore[assignment]
        node._fields = ()  # type: ignore[misc]
        return "raise dropped"
    return ""


def survives(mutant: Mutant, module: str, tests: list[str]) -> bool:
    """Do the tests pass with it?"""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("archive_tasks", "plugins", "tests"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        Path(folder, module).write_text(mutant.source)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tmp", *tests],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=600,
            check=False,
        )
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--lines", default="1-100000", help="only these lines of the module")
    asked = parser.parse_args()
    first, _, last = asked.lines.partition("-")
    source = (ROOT / asked.module).read_text()
    mutants = [one for one in mutants_of(source) if int(first) <= one.line <= int(last or first)]
    with ThreadPoolExecutor(asked.at_once) as pool:
        lived = list(pool.map(lambda one: survives(one, asked.module, asked.tests), mutants))
    lines = source.splitlines()
    for one in (one for one, lives in zip(mutants, lived, strict=True) if lives):
        print(f"LIVES  {asked.module}:{one.line}  {one.what}: {lines[one.line - 1].strip()}")
    print(f"{asked.module}: {len(mutants)} mutants, {len(mutants) - sum(lived)} killed")
    return 1 if any(lived) else 0


if __name__ == "__main__":
    sys.exit(main())
