"""What a target was seen to do, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archive_tasks.names import display
from archive_tasks.show.console import Console
from archive_tasks.store import Answer, Probe, Verdict
from archive_tasks.target.doctor import VALID_FOR

_CREATE_ONLY = ("refuses-overwrite", "one-winner")
_REMOVAL = "can-delete"


def summary(verdict: Verdict, probes: Sequence[Probe]) -> list[str]:
    """What the verdict means for the user, in plain sentences, each safe for a terminal."""
    lines = [
        _about_proof(verdict, probes),
        *_about_two_runs(verdict),
        *_about_removal(verdict),
        *_warnings(verdict, probes),
        f"Good until {verdict.checked_at + VALID_FOR:%Y-%m-%d}; run doctor to check again.",
    ]
    return [display(line) for line in lines]


def _about_proof(verdict: Verdict, probes: Sequence[Probe]) -> str:
    if verdict.trusted:
        return "Its checksums are trusted: it refused wrong ones and returned right ones."
    reasons = [_doubt(probe, verdict.answers.get(probe.name)) for probe in probes if probe.needed_for_trust]
    because = "; ".join(reason for reason in reasons if reason) or "it keeps no checksums of its own"
    return f"Everything is read back and compared after writing, because {because}."


def _doubt(probe: Probe, answer: Answer | None) -> str:
    if answer is None:
        return f"it was never checked ({probe.question})"
    if answer.ok is None:
        return f"an answer is missing ({probe.question}): {answer.detail}"
    return "" if answer.ok else answer.detail


def _about_two_runs(verdict: Verdict) -> list[str]:
    create_only = [verdict.answers[name].ok for name in _CREATE_ONLY if name in verdict.answers]
    if not create_only:
        return []
    if all(ok is True for ok in create_only):
        return ["The target keeps concurrent runs apart: when several create the same object, exactly one wins."]
    return ["This target did not prove create-only writes; unique keys keep concurrent runs apart."]


def _about_removal(verdict: Verdict) -> list[str]:
    if _REMOVAL not in verdict.answers:
        return []
    return {
        True: ["Append-only: no; what is archived could be removed from here."],
        False: ["Append-only: yes; what is archived cannot be removed from here."],
        None: ["Append-only: unknown; it could not be determined whether archives can be removed from here."],
    }[verdict.answers[_REMOVAL].ok]


def _warnings(verdict: Verdict, probes: Sequence[Probe]) -> Iterator[str]:
    for probe in probes:
        answer = verdict.answers.get(probe.name)
        if probe.serious and not probe.needed_for_trust and answer is not None and answer.ok is False:
            yield f"Warning: {answer.detail}"


def show_answer(probe: Probe, answer: Answer, console: Console) -> None:
    """One finding of the doctor."""
    mark, style = {True: ("yes", "green"), False: ("NO ", "red"), None: ("?  ", "yellow")}[answer.ok]
    if answer.ok is False and not probe.serious:
        mark, style = "no ", "yellow"
    console.say(f"  {mark}  {display(probe.question)}: {display(answer.detail)}", style=style)
