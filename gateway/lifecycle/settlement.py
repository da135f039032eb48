"""How the facts of a settlement move an instruction: status advices, confirmations, reversals. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.lifecycle.step import Step, newer
from gateway.model.facts import (
    Difference,
    Part,
    PenaltyReport,
    ReportedPenalty,
    SettlementConfirmation,
    StatusAdvice,
    StatusValue,
)
from gateway.model.transitions import CONFIRMATION, REVERSAL


def _status_advice(step: Step, fact: StatusAdvice, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact == StatusAdvice():
        step.alert("status_says_nothing")
        return
    if step.value("status_query") in ("requested", "accepted"):
        step.answer("status_query", StatusValue("answered"))
    if fact.processing is not None:
        step.say("processing", fact.processing)
    if fact.inferred_matching is not None:
        step.say("inferred_matching", fact.inferred_matching)
    if fact.matching is not None:
        step.say("matching", fact.matching)
    if fact.settlement is not None:
        step.advise_settlement(fact.settlement)


def _settlement_confirmation(step: Step, fact: SettlementConfirmation, differences: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.pre_confirmation is not None:
        step.alert("pre_confirmation", fact.pre_confirmation)
    elif fact.reversal:
        _reverse(step, fact)
    elif add_part(step, fact, differences, "settlement"):
        step.settle(CONFIRMATION)


def add_part(step: Step, fact: SettlementConfirmation, differences: tuple[Difference, ...], axis: str) -> bool:
    """Add the part that a confirmation settles on an axis; False where it is known already."""
    evidence, instructed = step.evidence, step.terms.quantity
    identity = fact.confirmation_id or evidence.source_id
    quantity, amount = fact.settled_quantity, fact.settled_amount
    for part in step.parts:
        if part.confirmation_id == identity:
            if not part.reversed and (part.quantity, part.amount) != (quantity, amount):
                step.alert("confirmation_conflict", f"Confirmation {identity}.")
            return False
    comparable = quantity is not None and instructed is not None and quantity.type == instructed.type
    short = comparable and quantity is not None and instructed is not None and quantity.value < instructed.value
    remaining = fact.remaining_quantity
    part = Part(
        identity,
        evidence.archive_id,
        quantity,
        amount,
        asserted_at=evidence.asserted_at,
        whole=fact.partial is None and not short,
        last=fact.partial == "PARC" or (remaining is not None and not remaining.value),
        differences=differences,
        axis=axis,
    )
    step.parts = (*step.parts, part)
    return True


def _reverse(step: Step, fact: SettlementConfirmation) -> None:
    evidence, identity = step.evidence, fact.confirmation_id
    standing = [part for part in step.parts if not part.reversed]
    if identity is None:  # it can only mean the one part that stands
        undone = standing[0] if len(standing) == 1 else None
    else:
        undone = next((part for part in step.parts if part.confirmation_id == identity), None)
    if undone is not None and undone.reversed:
        return
    if undone is None:
        step.alert("reversal_without_confirmation", f"It names {identity or 'none'}.")
        if identity is None:
            return
        # Should the confirmation come later, it finds itself reversed and never counts.
        quantity, amount, kept = fact.settled_quantity, fact.settled_amount, step.parts
    else:
        for stated, confirmed in ((fact.settled_quantity, undone.quantity), (fact.settled_amount, undone.amount)):
            if stated is not None and confirmed is not None and stated != confirmed:
                step.alert("reversal_differs", f"Confirmation {undone.confirmation_id}.")
                break
        identity, quantity, amount = undone.confirmation_id, undone.quantity, undone.amount
        kept = tuple([part for part in step.parts if part is not undone])
    reversal = Part(identity, evidence.archive_id, quantity, amount, reversed=True, asserted_at=evidence.asserted_at)
    step.parts = (*kept, reversal)
    step.settle(REVERSAL, sums_moved=undone is not None)


def penalty_report(step: Step, fact: PenaltyReport, differences: tuple[Difference, ...]) -> None:
    """Keep what is reported of a penalty now, and alert what differs from our estimate; it moves no axis."""
    step.prove_delivery()
    evidence = step.evidence
    held = next((one for one in step.penalties if one.report.reference == fact.reference), None)
    if held is not None and (held.report == fact or not newer(evidence.asserted_at, evidence.archive_id, held)):
        return
    others = tuple([one for one in step.penalties if one is not held])
    step.penalties = (*others, ReportedPenalty(fact, evidence.asserted_at, evidence.archive_id))
    for one in differences:
        step.alert("penalty_differs", f"{fact.reference}: estimated {one.instructed}, reported {one.confirmed}.")


APPLY: Final[Mapping[type, Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    StatusAdvice: _status_advice,
    SettlementConfirmation: _settlement_confirmation,
    PenaltyReport: penalty_report,
}
