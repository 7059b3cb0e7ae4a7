"""Does each rule bite? Takes one rule out of the product after the other, and looks for a history that then fails.

    python -m tests.histories.rules [--most 2000] [--only NAME]

Run by hand. Each rule is taken out in a copy of the package, so the files here are not touched. A line a rule: its name,
how many histories it took, the seed and what was broken. Exit code 1 when one is not missed by any history.

That old evidence is looked at again is not among them: nothing is lost from the store here between two steps of one
`clean`. (tests/clean/test_evidence.py holds it)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import ROOT


class Edit(NamedTuple):
    """`old` becomes `new` in `module`."""

    module: str
    old: str
    new: str


class Rule(NamedTuple):
    """A rule, and how it is taken out. What a second rule holds as well is taken out together with that."""

    name: str
    edits: tuple[Edit, ...]


def _rule(name: str, *edits: tuple[str, str, str]) -> Rule:
    return Rule(name, tuple(Edit(*one) for one in edits))


_HEAD = ("upkeep/prune", "if self._patience.ask(lambda: self._store.describe(copy)) is not None:", "if False:")
_MARK_MET = (
    "target/last_look",
    "if patience.ask(lambda: store.describe(layout.pruned_key(prefix))) is not None:",
    "if False:",
)
_GAP = (
    "target/last_look",
    "if any(later - earlier >= LONGEST_GAP for earlier, later in pairwise(known)):",
    "if False:",
)
_KNOWN = ("upkeep/prune", "if one.manifest not in manifests and one.manifest not in replaced:", "if False:")
_COPY = ("upkeep/prune", "if attempt not in referred_to and not _has_copy(objects)", "if attempt not in referred_to")
_AGAIN = ("upkeep/prune", "if orphan.attempt in self._referred_to(manifests):", "if False:")

RULES = (
    _rule("A an attempt with a copy is no orphan", _COPY, _HEAD, _KNOWN),
    _rule("A the copy is asked for by its key, too", _HEAD),
    _rule("A what is known and not listed ends prune", _KNOWN),
    _rule("A manifests are listed again before an attempt goes", _AGAIN, _HEAD),
    _rule(
        "A every manifest is read",
        ("upkeep/prune", "return {layout.attempt_of(one) for one in objects_of(read_manifest(data))}", "return set()"),
        _COPY,
        _HEAD,
    ),
    _rule("A now is the store's", ("flows/prune", "orphan.is_old(now=found.now", "orphan.is_old(now=session.now")),
    _rule(
        "A grace is longer than an attempt may stand still",
        ("flows/prune", "GRACE_DAYS = 14", "GRACE_DAYS = 3"),
        ("upkeep/prune", "LEAST_GRACE = timedelta(days=8)", "LEAST_GRACE = timedelta(days=1)"),
    ),
    _rule("A a mark and a gap keep a commit from what prune takes", _MARK_MET, _GAP),
    _rule(
        "A every object is listed once more before the commit",
        (
            "archive/item",
            "check_attempt(attempt.prefix, keeper.objects, self._work.store, self._patience, claims=attempt.claims)",
            "pass",
        ),
    ),
    _rule(
        "A another target inside ends prune",
        (
            "upkeep/prune",
            "if below := targets_below(self._store, (info.key for info in listed), self._open_store):",
            "if below := []:",
        ),
    ),
    _rule(
        "A only keys of our shape are looked at",
        ("upkeep/prune", "attempt = layout.attempt_of_ours(info.key)", "attempt = layout.attempt_of(info.key)"),
    ),
    _rule(
        "A every commit has a key of its own",
        ("formats/layout", "    return secrets.token_hex(6)", "    return '0' * 12"),
    ),
    _rule(
        "B already: the objects are listed",
        ("target/already_there", "missing = first_missing(sizes, unlisted, store, patience)", "missing = None"),
    ),
    _rule(
        "B already: the manifest is listed",
        ("target/already_there", "if info is None or known.archive.manifest_size not in {0, info.size}:", "if False:"),
    ),
    _rule(
        "B already: the contents are compared",
        (
            "archive/already_there",
            "if (fingerprint and known.fingerprint == fingerprint) or _compare(known, surveyed, fingerprint):",
            "if True:",
        ),
    ),
    _rule(
        "B verify: a receipt without its manifest is damage",
        (
            "upkeep/verify",
            "promises = {key: one for key, one in (promised or {}).items() if wanted is None or wanted(key)}",
            "promises = {}",
        ),
    ),
    _rule(
        "B verify: the manifest is as it was written",
        ("upkeep/verify", "if promise and hashlib.sha256(manifest).hexdigest() != promise.sha256:", "if False:"),
    ),
    _rule(
        "B verify: --read-data unpacks",
        ("upkeep/read_data", "everything = self._ask.read >= 1", "everything = False"),
    ),
    _rule(
        "B verify: a replaced archive is no damage",
        (
            "upkeep/verify",
            "if earlier in waiting and contents(earlier) and contents(earlier) == contents(_key(later)):",
            "if False:",
        ),
    ),
    _rule(
        "B repair writes a missing manifest again",
        ("upkeep/repair", "for key in missing:", "for key in ():"),
        ("upkeep/repair", "for attempt in uncommitted:", "for attempt in ():"),
    ),
    _rule(
        "B clean: without a receipt, packs are unpacked",
        ("clean/evidence", "            if not sha256:\n                self._check_packed(manifest)\n", ""),
    ),
    _rule(
        "B clean: the manifest is the one of the receipt",
        ("clean/evidence", "if sha256 and hashlib.sha256(manifest).hexdigest() != sha256:", "if False:"),
    ),
    _rule("B clean: every object is confirmed", ("clean/evidence", "            self._confirm(objects)\n", "")),
    _rule(
        "C a source is told by its device",
        (
            "model",
            'return Source(self.device, "" if self.device else self.host, self.root)',
            "return Source('', '', self.root)",
        ),
        (
            "archive/run",
            'return Source(self._session.device, "", self._plan.root)',
            "return Source('', '', self._plan.root)",
        ),
        ("clean/plan", 'source = Source(device, "", plan.root)', "source = Source('', '', plan.root)"),
        ("flows/archive", 'source = Source(device, "", plan.root)', "source = Source('', '', plan.root)"),
    ),
    _rule(
        "C a source is told by its root",
        (
            "model",
            'return Source(self.device, "" if self.device else self.host, self.root)',
            "return Source(self.device, '', '')",
        ),
        (
            "archive/run",
            'return Source(self._session.device, "", self._plan.root)',
            "return Source(self._session.device, '', '')",
        ),
        ("clean/plan", 'source = Source(device, "", plan.root)', "source = Source(device, '', '')"),
        ("flows/archive", 'source = Source(device, "", plan.root)', "source = Source(device, '', '')"),
    ),
    _rule(
        "C the highest number is the newest, no clock",
        ("model", "return self.number, self.created, self.manifest", "return 0, self.created, self.manifest"),
    ),
    _rule(
        "C clean looks for newer archives first",
        ("flows/clean", "            _learn_of_newer(session, target, plan, console)\n", ""),
    ),
    _rule(
        "C restore takes this device's own",
        (
            "restore/select",
            "ours = [one for one in found if one.device == request.device and request.device]",
            "ours = list(found)",
        ),
    ),
    _rule(
        "C restore takes that of the root at hand",
        ("restore/select", "candidates = at_hand or from_there or ours or found", "candidates = ours or found"),
    ),
    _rule(
        "C without --to, only roots of this device",
        ("restore/select", "(key not in chosen.mixed and _may_go_back(one[0], request))", "True"),
    ),
    _rule(
        "C restore --all mixes no two devices",
        (
            "restore/select",
            "(key not in chosen.mixed and _may_go_back(one[0], request))",
            "(one[0].root in request.roots)",
        ),
    ),
    _rule(
        "C restore --all --to keeps sources apart",
        ("restore/selection", "if len(scopes) < 2:", "if True:"),
    ),
    _rule(
        "D a ctime counts only where it was seen to",
        (
            "disk/ctime_trial",
            "return self.counts and ctime_ns < since_ns - MARGIN_NS",
            "return ctime_ns < since_ns - MARGIN_NS",
        ),
        ("clean/proof", "CTIME_COUNTS and self.ctime.counts", "CTIME_COUNTS"),
    ),
    _rule(
        "D a ctime near a look counts for nothing",
        ("disk/ctime_trial", "ctime_ns < since_ns - MARGIN_NS", "ctime_ns <= since_ns"),
    ),
    _rule("D inodes that do not stay say nothing", ("items/survey", "    if inodes_count:\n", "    if True:\n")),
    _rule(
        "D nobody has it open for writing",
        ("disk/read_file", "if is_open_for_writing(self.fd):", "if False:"),
        ("clean/proof", "if is_open_for_writing(handle):", "if False:"),
    ),
    _rule(
        "D contents are read right before they go",
        ("clean/proof", "if expected == found and (shows or listed.why is not None):", "if expected == found:"),
    ),
    _rule(
        "clean: what is aside is compared",
        ("clean/proof", "        if difference:\n            raise ItemChanged(difference)\n", ""),
    ),
    _rule(
        "clean: a slot's state is written before each step",
        (
            "clean/quarantine",
            "            try:\n                write_whole(slot_fd, _STATE, dumped(state))\n",
            "            try:\n                pass\n",
        ),
    ),
)


def broken_by(rule: Rule, most: int) -> str:
    """Which history fails without the rule, and how; empty where none does."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("archive_tasks", "tests"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        for edit in rule.edits:
            module = Path(folder, "archive_tasks", f"{edit.module}.py")
            source = module.read_text()
            if edit.old not in source:
                return f"STALE: {edit.module} does not have this rule any more"
            module.write_text(source.replace(edit.old, edit.new))
        done = subprocess.run(
            [sys.executable, "-m", "tests.histories.rules", "--play", str(most)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stdout.strip() or done.stderr[-300:]


def first_failing(most: int) -> str:
    """The first seed whose history fails; empty when none does."""
    from tests.histories import verbs
    from tests.histories.patched import patched
    from tests.histories.plan import make
    from tests.histories.play import play

    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder, patched(), verbs.harnessed():
        for seed in range(most):
            history = make(seed)
            played = play(history, Path(folder, "history"))
            if played.broken:
                return f"seed {seed} ({history['theme']}): {played.kind}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=2000, help="histories a rule")
    parser.add_argument("--only", default="", help="rules whose names hold this")
    parser.add_argument("--play", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.play:
        print(first_failing(asked.play))
        return 0
    unmissed = 0
    for rule in RULES:
        if asked.only in rule.name:
            found = broken_by(rule, asked.most)
            unmissed += not found
            print(f"{rule.name:<60} {found or 'NOT MISSED'}", flush=True)
    return 1 if unmissed else 0


if __name__ == "__main__":
    sys.exit(main())
