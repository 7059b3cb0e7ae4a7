"""What the doctor concludes from a store's answers, for how long, and how it says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from archive_tasks.errors import StoreBusy, StoreError, StoreUnusable
from archive_tasks.session import Session
from archive_tasks.show.doctor import summary
from archive_tasks.store import Answer, Probe, Store, Verdict
from archive_tasks.target.doctor import VALID_FOR, examine, is_current, verdict_from_json, verdict_to_json
from tests.conftest import NOW

YES = Answer(True, "it did")
NO = Answer(False, "it did not")
UNKNOWN = Answer(None, "who knows")


@dataclass
class Recording:
    """A store that answers as told and records below which prefix each probe was asked."""

    answers: Mapping[str, Answer | StoreError]
    needed: tuple[str, ...] = ()
    serious: bool = True
    url: str = "s3://bucket/archive"
    identity: str = "eu-central-1/bucket boto3 1.44"

    def __post_init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def probes(self) -> tuple[Probe, ...]:
        return tuple(
            Probe(
                name=name,
                question=f"does {name}",
                ask=self._asks(name),
                needed_for_trust=name in self.needed,
                serious=self.serious,
            )
            for name in self.answers
        )

    def _asks(self, name: str) -> Callable[[str], Answer]:
        def ask(prefix: str) -> Answer:
            self.asked.append((name, prefix))
            answer = self.answers[name]
            if isinstance(answer, StoreError):
                raise answer
            return answer

        return ask

    @property
    def as_store(self) -> Store:
        return cast(Store, self)


def examined(store: Recording, **named: Any) -> Verdict:
    return examine(store.as_store, now=NOW, prefix="doctor/1f/", **named)


def said(answers: Mapping[str, Answer | StoreError], *, needed: tuple[str, ...] = (), serious: bool = True) -> str:
    store = Recording(answers, needed=needed, serious=serious)
    return "\n".join(summary(examined(store), store.probes()))


# -- the verdict -------------------------------------------------------------------------------------


def test_every_probe_is_asked_below_a_prefix_of_its_own_and_told_as_it_answers() -> None:
    store = Recording({"one": YES, "two": NO})
    told: list[tuple[str, Answer]] = []
    verdict = examined(store, on_answer=lambda probe, answer: told.append((probe.name, answer)))
    assert store.asked == [("one", "doctor/1f/one/"), ("two", "doctor/1f/two/")]
    assert told == [("one", YES), ("two", NO)]
    assert verdict.answers == {"one": YES, "two": NO}
    assert (verdict.target, verdict.identity, verdict.checked_at) == (store.url, store.identity, NOW)


@pytest.mark.parametrize(
    ("answers", "needed", "trusted"),
    [
        ({"a": YES, "b": YES}, ("a", "b"), True),
        ({"a": YES, "b": NO}, ("a", "b"), False),
        ({"a": YES, "b": UNKNOWN}, ("a", "b"), False),
        ({"a": YES, "b": StoreBusy("503")}, ("a", "b"), False),
        ({"a": YES, "b": NO}, ("a",), True),
        ({"a": YES, "b": YES}, (), False),
        ({}, (), False),
    ],
)
def test_a_store_is_trusted_only_when_every_needed_probe_says_yes(
    answers: dict[str, Answer | StoreError], needed: tuple[str, ...], trusted: bool
) -> None:
    assert examined(Recording(answers, needed=needed)).trusted is trusted


def test_an_answer_that_is_not_exactly_yes_earns_no_trust() -> None:
    almost = Answer(cast(bool, "true"), "a plugin's careless answer")
    assert not examined(Recording({"a": almost}, needed=("a",))).trusted


def test_a_probe_that_fails_answers_unknown_with_the_errors_words() -> None:
    verdict = examined(Recording({"a": YES, "b": StoreUnusable("access denied"), "c": YES}))
    assert verdict.answers["b"].ok is None
    assert "access denied" in verdict.answers["b"].detail
    assert verdict.answers["c"] == YES


def test_a_store_that_is_unusable_from_the_first_probe_on_is_not_judged() -> None:
    store = Recording({"a": StoreUnusable("no credentials"), "b": YES})
    with pytest.raises(StoreUnusable, match="no credentials"):
        examined(store)
    assert [name for name, _ in store.asked] == ["a"]


def test_a_first_probe_that_is_only_busy_does_not_end_the_examination() -> None:
    verdict = examined(Recording({"a": StoreBusy("503"), "b": YES}))
    assert (verdict.answers["a"].ok, verdict.answers["b"].ok) == (None, True)


# -- how long it is good for -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "current"),
    [
        (timedelta(0), True),
        (VALID_FOR - timedelta(seconds=1), True),
        (VALID_FOR, False),
        (timedelta(days=365), False),
        (timedelta(seconds=-1), False),
    ],
)
def test_a_verdict_is_good_for_thirty_days_and_never_from_the_future(age: timedelta, current: bool) -> None:
    store = Recording({"a": YES}, needed=("a",))
    assert is_current(examined(store), store.as_store, now=NOW + age) is current


@pytest.mark.parametrize("identity", ["other-region/bucket boto3 1.44", "eu-central-1/bucket boto3 1.45", ""])
def test_a_verdict_on_another_store_or_library_is_worth_nothing(identity: str) -> None:
    store = Recording({"a": YES}, needed=("a",))
    other = replace(examined(store), identity=identity)
    assert not is_current(other, store.as_store, now=NOW)


def test_no_verdict_is_not_current() -> None:
    assert not is_current(None, Recording({}).as_store, now=NOW)


# -- remembered --------------------------------------------------------------------------------------


def test_a_verdict_survives_being_written_down() -> None:
    verdict = examined(Recording({"a": YES, "b": NO, "c": UNKNOWN}, needed=("a",)))
    assert verdict_from_json(json.loads(json.dumps(verdict_to_json(verdict)))) == verdict


def _without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {name: value for name, value in document.items() if name != key}


def _with(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {**document, **values}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: None,
        lambda _: [],
        lambda _: "trusted",
        lambda _: {},
        _without("target"),
        _without("identity"),
        _without("checked_at"),
        _without("trusted"),
        _without("answers"),
        _with(checked_at="yesterday"),
        _with(checked_at=NOW.replace(tzinfo=None).isoformat()),
        _with(checked_at=1),
        _with(answers=[]),
        _with(answers={"a": None}),
        _with(answers={"a": {"ok": True}}),
        _with(answers={"a": {"ok": "yes", "detail": ""}}),
        _with(answers={"a": {"ok": 1, "detail": ""}}),
    ],
)
def test_a_damaged_verdict_is_no_verdict(damage: Callable[[dict[str, Any]], Any]) -> None:
    document = verdict_to_json(examined(Recording({"a": YES}, needed=("a",))))
    assert verdict_from_json(document) is not None
    assert verdict_from_json(damage(document)) is None


@pytest.mark.parametrize("word", ["true", "yes", 1, [True], None])
def test_only_true_is_read_as_trusted(word: Any) -> None:
    document = verdict_to_json(examined(Recording({"a": YES}, needed=("a",))))
    read = verdict_from_json({**document, "trusted": word})
    assert read is None or not read.trusted


# -- said --------------------------------------------------------------------------------------------


def test_a_trusted_stores_checksums_are_believed() -> None:
    text = said({"refuses-wrong-checksum": YES}, needed=("refuses-wrong-checksum",))
    assert "Its checksums are trusted" in text
    assert "read back" not in text


def test_an_untrusted_store_is_read_back_and_the_reason_is_told() -> None:
    liar = Answer(False, "it accepted an object with a wrong SHA-256")
    text = said({"lies": liar, "fine": YES, "busy": StoreBusy("503 from the proxy")}, needed=("lies", "fine", "busy"))
    assert "Everything is read back" in text
    assert "because it accepted an object with a wrong SHA-256" in text
    assert "does busy" in text
    assert "503 from the proxy" in text
    assert "trusted" not in text
    assert "does fine" not in text


def test_a_probe_that_an_old_verdict_does_not_know_is_named() -> None:
    store = Recording({"new": YES}, needed=("new",))
    verdict = replace(examined(store), answers={}, trusted=False)
    assert "never checked (does new)" in "\n".join(summary(verdict, store.probes()))


def test_a_store_without_checksums_is_read_back_for_that_reason() -> None:
    assert "because it keeps no checksums of its own" in said({"keeps-bytes": YES})


@pytest.mark.parametrize(
    ("answers", "by"),
    [
        ({"refuses-overwrite": YES, "one-winner": YES}, "The target keeps concurrent runs apart"),
        ({"refuses-overwrite": YES, "one-winner": NO}, "unique keys keep concurrent runs apart"),
        ({"refuses-overwrite": UNKNOWN, "one-winner": YES}, "unique keys keep concurrent runs apart"),
    ],
)
def test_how_two_runs_at_once_are_told_apart_is_told(answers: dict[str, Answer | StoreError], by: str) -> None:
    assert by in said(answers)


@pytest.mark.parametrize(
    ("answer", "words"),
    [(YES, "Append-only: no;"), (NO, "Append-only: yes;"), (UNKNOWN, "Append-only: unknown;")],
)
def test_whether_the_target_is_append_only_is_told(answer: Answer, words: str) -> None:
    assert words in said({"can-delete": answer}, serious=False)


def test_nothing_is_told_of_what_was_not_asked() -> None:
    text = said({"keeps-bytes": YES})
    assert "Two runs" not in text
    assert "Append-only" not in text


def test_only_a_serious_no_is_a_warning() -> None:
    skew = Answer(False, "the clocks are 900 s apart")
    assert "Warning: the clocks are 900 s apart" in said({"clock-agrees": skew})
    assert "Warning" not in said({"clock-agrees": skew}, serious=False)
    assert "Warning" not in said({"clock-agrees": UNKNOWN})
    assert "Warning" not in said({"clock-agrees": YES})


def test_the_day_on_which_the_verdict_ends_is_told() -> None:
    assert "Good until 2026-07-01" in said({})


def test_a_hostile_answer_cannot_break_a_terminal() -> None:
    hostile = Answer(False, "\x1b[2Jgone\nAll is well\u202e")
    store = Recording({"a": hostile, "b": hostile}, needed=("a",))
    for line in summary(examined(store), store.probes()):
        assert line.isprintable()


# -- a real one --------------------------------------------------------------------------------------


def test_a_real_folder_is_examined_read_back_and_left_empty(
    root: Path, tmp_path: Path, make_session: Callable[..., Session]
) -> None:
    store = make_session(root).open_store((tmp_path / "target").as_uri())
    store.create()
    verdict = examine(store, now=NOW, prefix="doctor/1f/")
    assert not verdict.trusted
    assert verdict.answers["keeps-bytes"].ok is True
    assert list(store.list("")) == []
    lines = summary(verdict, store.probes())
    assert lines[0].startswith("Everything is read back")
    assert any("The target keeps concurrent runs apart" in line for line in lines)
