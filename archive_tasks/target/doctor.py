"""What a store really does: its probes run, a verdict, and how long it is valid.

A stored checksum proves nothing until the server has refused a wrong one: some store whatever they are sent
and hand it back. So only a store that passed every needed probe is trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from archive_tasks.errors import StoreError, StoreUnusable
from archive_tasks.store import Answer, Probe, Store, Verdict

VALID_FOR = timedelta(days=30)


def examine(
    store: Store,
    *,
    now: datetime,
    prefix: str,
    on_answer: Callable[[Probe, Answer], None] = lambda _probe, _answer: None,
) -> Verdict:
    """Ask every probe, each below a prefix of its own.

    Args:
        prefix: a throw-away key prefix that ends with `/`.

    Raises:
        StoreUnusable: the very first probe found the store unusable.
    """
    probes = store.probes()
    answers: dict[str, Answer] = {}
    for number, probe in enumerate(probes):
        try:
            answers[probe.name] = probe.ask(f"{prefix}{probe.name}/")
        except StoreError as error:
            if number == 0 and isinstance(error, StoreUnusable):
                raise
            answers[probe.name] = Answer(None, f"could not be found out: {error}")
        on_answer(probe, answers[probe.name])
    needed = [answers[probe.name].ok for probe in probes if probe.needed_for_trust]
    return Verdict(
        target=store.url,
        identity=store.identity,
        checked_at=now,
        answers=answers,
        trusted=bool(needed) and all(ok is True for ok in needed),
    )


def is_settled(verdict: Verdict, store: Store) -> bool:
    """Was every question that trust depends on, as this version asks them, answered with yes or no?"""
    needed = (verdict.answers.get(probe.name) for probe in store.probes() if probe.needed_for_trust)
    return all(answer is not None and answer.ok is not None for answer in needed)


def is_current(verdict: Verdict | None, store: Store, *, now: datetime) -> bool:
    """Is it about this store, settled, and neither too old nor from the future?"""
    if verdict is None or verdict.identity != store.identity or not is_settled(verdict, store):
        return False
    return timedelta(0) <= now - verdict.checked_at < VALID_FOR


def verdict_to_json(verdict: Verdict) -> dict[str, Any]:
    """The document of `doctor`, and what the catalogue remembers."""
    return {
        "target": verdict.target,
        "identity": verdict.identity,
        "checked_at": verdict.checked_at.isoformat(),
        "trusted": verdict.trusted,
        "answers": {name: {"ok": answer.ok, "detail": answer.detail} for name, answer in verdict.answers.items()},
    }


def verdict_from_json(document: Any) -> Verdict | None:
    """The verdict of a document; None when it is not valid: unknown is not trusted."""
    try:
        answers = {str(name): _answer(one) for name, one in document["answers"].items()}
        return Verdict(
            target=str(document["target"]),
            identity=str(document["identity"]),
            checked_at=_moment(document["checked_at"]),
            answers=answers,
            trusted=document["trusted"] is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _answer(document: Any) -> Answer:
    ok = document["ok"]
    if ok is not None and not isinstance(ok, bool):
        raise ValueError("neither yes, no nor unknown")
    return Answer(ok, str(document["detail"]))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment
