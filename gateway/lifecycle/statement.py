"""Statements: how far one has come, and whether it agrees with what is held here. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.lifecycle.step import NO_TERMS, Advance, Evidence, Step, alert
from gateway.model.facts import Alert, Axis, State, StatementDifference, StatementProgress, StatusValue
from gateway.model.transitions import COMPARISON

_SHOWN: Final = 5  # differences that an alert tells; all of them are kept beside the statement


def received(state: State, progress: StatementProgress, evidence: Evidence, *, differs: bool | None = None) -> Advance:
    """Record that a page came: how far its statement has come, and whether it ``differs`` (None: not compared).

    A repeat is recognised by the pages, so that the state does not grow with them. What follows from all the pages was
    asserted by none of them: archive order decides.
    """
    step = Step(state, replace(evidence, asserted_at=None), NO_TERMS)
    step.prove_delivery()
    if progress.statement is not None:
        step.say("statement", progress.statement)
    if differs or (differs is False and "comparison" not in step.axes):
        word = StatusValue("differs" if differs else "agrees")
        step.move("comparison", Axis(word, None, evidence.archive_id), COMPARISON)
    return step.finish(state.sources)


def tell(differences: Sequence[StatementDifference]) -> tuple[Alert, ...]:
    """Make one alert of each code: how many differences there are, and the first ones with both sides."""
    codes: dict[str, list[StatementDifference]] = {}
    for difference in differences:
        codes.setdefault(difference.code, []).append(difference)
    return tuple(
        [alert(code, f"{len(found)}: {'; '.join(map(_said, found[:_SHOWN]))}.") for code, found in codes.items()]
    )


def _said(difference: StatementDifference) -> str:
    ours, theirs = difference.ours or "nothing", difference.theirs or "nothing"
    return f"{difference.subject} {difference.field}: ours {ours}, theirs {theirs}"
