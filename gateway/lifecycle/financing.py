"""How the facts of a securities financing move it: two legs, each with its parts, sums and breaks. Pure.

A modification (sese.036) has no answer that says it is done: a status advice (sese.034) ends at accepted, and the
confirmation of a leg shows which terms it settled on. Until then the terms before it are those in force.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.lifecycle.settlement import add_part, penalty_report
from gateway.lifecycle.step import Step, modified, newer
from gateway.model.facts import (
    Axis,
    Difference,
    FinancingStatus,
    PenaltyReport,
    Quantity,
    SettlementConfirmation,
    State,
    StatusValue,
    Terms,
)
from gateway.model.transitions import CLOSING, CONFIRMATION, OPENING, SETTLED, STATUS, Dialogue

_OTHER_WAY: Final = {"deliver": "receive", "receive": "deliver"}
_ON_ITS_WAY: Final = ("requested", "accepted", "pending", "repair")


def leg_of(terms: Terms, fact: SettlementConfirmation) -> str:
    """Say which leg a confirmation is of: the closing leg goes the other way."""
    return CLOSING if fact.movement is not None and fact.movement != terms.movement else OPENING


def terms_of_leg(terms: Terms, leg: str) -> Terms:
    """State what one leg is to settle; the closing date and amount may not be agreed yet."""
    if leg == OPENING:
        return terms
    movement = _OTHER_WAY.get(terms.movement or "")
    return replace(terms, movement=movement, settlement_date=terms.closing_date, amount=terms.closing_amount)


def terms_accepted(state: State, terms: Terms) -> Terms:
    """State the terms in force as the modifications that were accepted change them: a further one begins from these."""
    for asked in (state.requests or {}).values():
        if asked.terms is not None and asked.status.value == "accepted":
            terms = modified(terms, asked.before, asked.terms)
    return terms


def terms_shown(state: State, terms: Terms, fact: SettlementConfirmation) -> tuple[Terms, tuple[str, ...]]:
    """State the terms in force as a confirmation shows them, and name the modifications that it shows to be done."""
    done = []
    for name, asked in (state.requests or {}).items():
        if asked.terms is None or asked.before is None or asked.status.value not in _ON_ITS_WAY:
            continue
        leg = leg_of(terms, fact)
        if _shows(state, leg, fact, terms_of_leg(asked.before, leg), terms_of_leg(asked.terms, leg)):
            terms = modified(terms, asked.before, asked.terms)
            done.append(name)
    return terms, tuple(done)


def _shows(state: State, leg: str, fact: SettlementConfirmation, before: Terms, after: Terms) -> bool:
    """Tell whether a confirmation states anything of a leg as it is after a modification and was not before it."""
    quantity, amount = fact.settled_quantity, fact.settled_amount
    for part in state.parts:
        if part.axis != leg:
            continue
        if quantity is not None and part.quantity is not None:
            quantity = Quantity(quantity.value + part.quantity.value, quantity.type)
        if amount is not None and part.amount is not None:
            amount = replace(amount, value=amount.value + part.amount.value)
    stated, was, now = fact.effective_settlement_date, before.settlement_date, after.settlement_date
    moved = now is not None and now != was
    # A leg may settle late, but not before its date: what is only late by the old date tells nothing of an earlier one.
    by_then = stated is not None and now is not None and stated >= now and (was is None or now > was or stated < was)
    return (
        (moved and (by_then or fact.settlement_date == now))
        or (after.quantity != before.quantity and quantity == after.quantity)
        or (after.amount != before.amount and amount == after.amount)
    )


def _status(step: Step, fact: FinancingStatus, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.processing is not None:
        if step.evidence.about == "modification":
            _answer(step, fact.processing)
        else:
            step.say("processing", fact.processing)
    for axis, status in (("inferred_matching", fact.inferred_matching), ("matching", fact.matching)):
        if status is not None:
            step.say(axis, status)
    if fact.settlement is not None:
        _advise(step, fact.settlement)
    if fact.call is not None:
        _answer_call(step, fact.call)


def _answer(step: Step, status: StatusValue) -> None:
    asked = (step.requests or {}).get(step.evidence.names or "")
    if asked is None or asked.status.value != "modified" or status.value not in _ON_ITS_WAY:  # else it comes late
        step.answer("modification", status)


def _answer_call(step: Step, status: StatusValue) -> None:
    calls = [name for name, asked in (step.requests or {}).items() if asked.asks == "call"]
    if calls and step.evidence.names not in calls:  # it may name no message of ours, but can only mean a call
        step.evidence = replace(step.evidence, names=calls[-1])
    if calls:
        _answer(step, status)
    else:
        step.alert("request_not_made")


def _advise(step: Step, status: StatusValue) -> None:
    """Take a settlement status as one of the leg that has not settled; a confirmation is never undone by it."""
    evidence, opening = step.evidence, step.axes.get(OPENING)
    if step.advised is None or newer(evidence.asserted_at, evidence.archive_id, step.advised):
        step.advised = Axis(status, evidence.asserted_at, evidence.archive_id)
    leg = OPENING
    if opening is not None and opening.status.value == "settled":
        if not newer(evidence.asserted_at, evidence.archive_id, opening):
            return  # said before the opening leg settled
        leg = CLOSING
    if step.value(leg) not in SETTLED:
        step.say(leg, status)
    elif status.value == "failing" and step.value(leg) == "partially_settled":
        step.alert("remainder_failing", f"The {leg} leg.")


def _take_over(step: Step) -> None:
    """Take a settlement status as one of the closing leg once it is seen that the opening leg had settled before it.

    A status does not say which leg it means, and may come before the confirmation that was said before it.
    """
    advised, closing = step.advised, step.axes.get(CLOSING)
    if advised is None or step.value(OPENING) != "settled" or step.value(CLOSING) in SETTLED:
        return
    if all(
        held is None or newer(advised.asserted_at, advised.archive_id, held) for held in (step.axes[OPENING], closing)
    ):
        step.move(CLOSING, advised, STATUS)


def _confirmation(step: Step, fact: SettlementConfirmation, differences: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.pre_confirmation is not None:
        step.alert("pre_confirmation", fact.pre_confirmation)
        return
    leg = leg_of(step.terms, fact)
    step.terms, done = terms_shown(step.state, step.terms, fact)
    if not add_part(step, fact, _named(leg, differences), leg):
        return
    for name in done:
        evidence = step.evidence
        step.evidence = replace(evidence, names=name)
        step.answer("modification", StatusValue("modified"))
        step.evidence = evidence
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
    _take_over(step)
    _look_for_undone(step, leg)


def _look_for_undone(step: Step, leg: str) -> None:
    """Alert a modification of a leg that the counterparty has accepted, once the leg has settled as it was before."""
    if step.value(leg) != "settled" or (step.state.axes or {}).get(leg) == step.axes[leg]:
        return
    for name, asked in (step.requests or {}).items():
        if asked.terms is None or asked.before is None or asked.status.value != "accepted":
            continue
        before, after = terms_of_leg(asked.before, leg), terms_of_leg(asked.terms, leg)
        if (before.quantity, before.amount, before.settlement_date) != (
            after.quantity,
            after.amount,
            after.settlement_date,
        ):
            step.alert("modification_not_done", f"The {leg} leg; the modification is {name}.")


def _named(leg: str, differences: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """Name a leg in the fields of its differences: ``closing.amount``."""
    return tuple(one if "." in one.field else replace(one, field=f"{leg}.{one.field}") for one in differences)


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.FINANCING, FinancingStatus): _status,
    (Dialogue.FINANCING, SettlementConfirmation): _confirmation,
    (Dialogue.FINANCING, PenaltyReport): penalty_report,
}
