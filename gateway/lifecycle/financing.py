"""How the facts of a securities financing move it: two legs, each with its parts, sums and breaks. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.lifecycle.settlement import add_part
from gateway.lifecycle.step import Step, newer
from gateway.model.facts import Difference, FinancingStatus, SettlementConfirmation, StatusValue, Terms
from gateway.model.transitions import CLOSING, CONFIRMATION, OPENING, SETTLED, Dialogue

_OTHER_WAY: Final = {"deliver": "receive", "receive": "deliver"}
# A status advice has no word for a modification that is done: that it is accepted is the last that is said of it.
_DONE: Final = {"accepted": "modified"}


def leg_of(terms: Terms, fact: SettlementConfirmation) -> str:
    """Say which leg a confirmation is of: the closing leg goes the other way."""
    return CLOSING if fact.movement is not None and fact.movement != terms.movement else OPENING


def terms_of_leg(terms: Terms, leg: str) -> Terms:
    """State what one leg is to settle; the closing date and amount may not be agreed yet."""
    if leg == OPENING:
        return terms
    movement = _OTHER_WAY.get(terms.movement or "")
    return replace(terms, movement=movement, settlement_date=terms.closing_date, amount=terms.closing_amount)


def _status(step: Step, fact: FinancingStatus, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.processing is not None:
        if step.evidence.about == "modification":
            step.answer("modification", _of_modification(fact.processing))
        else:
            step.say("processing", fact.processing)
    for axis, status in (("inferred_matching", fact.inferred_matching), ("matching", fact.matching)):
        if status is not None:
            step.say(axis, status)
    if fact.settlement is not None:
        _advise(step, fact.settlement)
    if fact.call is not None:
        _answer_call(step, fact.call)


def _of_modification(status: StatusValue) -> StatusValue:
    return replace(status, value=_DONE.get(status.value, status.value))


def _answer_call(step: Step, status: StatusValue) -> None:
    calls = [name for name, asked in (step.requests or {}).items() if asked.asks == "call"]
    if calls and step.evidence.names not in calls:  # it may name no message of ours, but can only mean a call
        step.evidence = replace(step.evidence, names=calls[-1])
    if calls:
        step.answer("modification", _of_modification(status))
    else:
        step.alert("request_not_made")


def _advise(step: Step, status: StatusValue) -> None:
    """Take a settlement status as one of the leg that has not settled; a confirmation is never undone by it."""
    evidence, opening = step.evidence, step.axes.get(OPENING)
    leg = OPENING
    if opening is not None and opening.status.value == "settled":
        if not newer(evidence.asserted_at, evidence.archive_id, opening):
            return  # said before the opening leg settled
        leg = CLOSING
    if step.value(leg) not in SETTLED:
        step.say(leg, status)
    elif status.value == "failing" and step.value(leg) == "partially_settled":
        step.alert("remainder_failing", f"The {leg} leg.")


def _confirmation(step: Step, fact: SettlementConfirmation, differences: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.pre_confirmation is not None:
        step.alert("pre_confirmation", fact.pre_confirmation)
        return
    leg = leg_of(step.terms, fact)
    if not add_part(step, fact, _named(leg, differences), leg):
        return
    if leg == CLOSING and step.value(OPENING) != "settled":
        step.alert("closing_before_opening")
    breaks: set[Difference] = set()
    for each in (OPENING, CLOSING):
        parts = [part for part in step.parts if part.axis == each]
        if not parts:
            continue
        if each == leg:
            found = step.total(CONFIRMATION, each, parts, terms_of_leg(step.terms, each))
            breaks.update(_named(each, tuple(found)))
        else:
            breaks.update(held for held in step.breaks if held.field.startswith(f"{each}."))
    if breaks or step.breaks:
        step.draw_up(breaks)


def _named(leg: str, differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Name a leg in the fields of its differences: ``closing.amount``."""
    return tuple(one if "." in one.field else replace(one, field=f"{leg}.{one.field}") for one in differences)


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.FINANCING, FinancingStatus): _status,
    (Dialogue.FINANCING, SettlementConfirmation): _confirmation,
}
