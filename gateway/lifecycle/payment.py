"""How statuses, entries and returns move a payment or a notice to receive. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.lifecycle.step import Step, newer
from gateway.model.facts import (
    AccountEntry,
    Amount,
    Axis,
    Difference,
    Part,
    PaymentInvestigation,
    PaymentResolution,
    PaymentReturn,
    PaymentStatus,
    RequestReceipt,
    StatusValue,
)
from gateway.model.transitions import CONFIRMATION, NOTHING, REQUESTS, REVERSAL, Cause, Dialogue

_ZERO: Final = Decimal(0)
_ANSWERS: Final = {"rejected": "rejected", "pending": "pending", "cancelled": "cancelled", "proprietary": "proprietary"}
_DEBITED: Final = "settled_on_debtor_account"
_OPEN_QUERY: Final = ("requested", "accepted")
_BOOKED: Final = {
    Dialogue.PAYMENT: ("booking", "DBIT", "partially_booked", "booked"),
    Dialogue.NOTICE: ("credit", "CRDT", "partially_credited", "credited"),
}


def _payment_status(step: Step, fact: PaymentStatus, _: tuple[Difference, ...]) -> None:
    status = fact.processing
    if status is not None and status.value == "proprietary":
        step.alert("payment_status_unknown", status.proprietary or "")
    if step.evidence.about == "cancellation":  # a status of the request, not of the payment
        if status is not None:
            word = _ANSWERS.get(status.value, "accepted")
            step.answer("cancellation", StatusValue(word, status.reasons, status.proprietary))
        return
    step.prove_delivery()
    if step.value("status_query") in _OPEN_QUERY:
        step.answer("status_query", StatusValue("answered"))
    if status is not None:
        step.say("processing", status)
    _check_amount(step, fact.amount)
    _after_booking(step)


def _check_amount(step: Step, stated: Amount | None) -> None:
    instructed = step.terms.amount
    if stated is not None and instructed is not None and stated != instructed:
        differing = (
            Difference("currency", instructed.currency, stated.currency)
            if stated.currency != instructed.currency
            else Difference("amount", str(instructed.value), str(stated.value))
        )
        step.draw_up({*step.breaks, differing}, "payment_break")


def _after_booking(step: Step) -> None:
    """Alert once that a payment whose money is out is rejected or cancelled: nothing undoes the entry but a return."""
    before = step.state.axes or {}
    debited = "processing" in before and before["processing"].status.value == _DEBITED
    if (
        step.value("booking") not in ("partially_booked", "booked")
        and not debited
        and step.value("processing") != _DEBITED
    ):
        return

    def stood(axis: str, value: str) -> bool:
        return ("booking" in before or debited) and axis in before and before[axis].status.value == value

    if step.value("processing") == "rejected" and not stood("processing", "rejected"):
        step.alert("rejected_after_booking")
    for axis in ("processing", "cancellation"):
        if step.value(axis) == "cancelled" and not stood(axis, "cancelled"):
            step.alert("cancelled_after_booking")


def _payment_resolution(step: Step, fact: PaymentResolution, _: tuple[Difference, ...]) -> None:
    status, whole = fact.cancellation, fact.resolution
    if status is not None and status.value == "accepted" and whole is not None and whole.value == "cancelled":
        status = StatusValue("cancelled", status.reasons)
    if status is not None and (status.value != "proprietary" or step.value("cancellation") != NOTHING):
        step.answer("cancellation", status)
        _after_booking(step)
    else:
        step.say("investigation", StatusValue("answered", status.reasons if status else ()))
    if status is not None and status.value == "proprietary":
        step.alert("payment_status_unknown", status.proprietary or "")


def _payment_investigation(step: Step, fact: PaymentInvestigation, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    status = fact.investigation
    if status.value == "opened":
        step.alert("investigation_opened", "; ".join(reason.text for reason in status.reasons if reason.text))
    word = "answered" if status.value == "proprietary" else status.value
    step.say("investigation", StatusValue(word, status.reasons, status.proprietary))


def _request_receipt(step: Step, fact: RequestReceipt, _: tuple[Difference, ...]) -> None:
    if fact.receipt is None:
        return
    if fact.receipt.value == "proprietary":
        step.alert("payment_status_unknown", fact.receipt.proprietary or "")
    if step.evidence.about in REQUESTS and fact.receipt.value == "rejected":
        step.answer(step.evidence.about, fact.receipt)
        return
    if step.evidence.about not in REQUESTS:
        step.prove_delivery()
    step.say("receipt", fact.receipt)


def _account_entry(step: Step, fact: AccountEntry, differences: tuple[Difference, ...]) -> None:
    axis, direction, partly, wholly = _BOOKED[Dialogue(step.state.dialogue)]
    status = fact.status or StatusValue("proprietary")
    step.prove_delivery()
    if (fact.credit_debit == direction) == fact.reversal:
        # The other direction without reversal is money that comes or goes for another reason: a return, a charge.
        step.alert("entry_of_other_direction", f"{fact.credit_debit} of entry {_reference(step, fact)}.")
        return
    if status.value != "booked":
        if step.value(axis) not in (partly, wholly):
            step.say(axis, status)
        return
    amount, identity = fact.amount or fact.entry_amount, _reference(step, fact)
    if fact.reversal:
        _reverse(step, identity, amount)
        cause: Cause = REVERSAL
    else:
        known = next((part for part in step.parts if part.confirmation_id == identity), None)
        if known is not None:
            if not known.reversed and known.amount != amount:
                step.alert("entry_conflict", f"Entry {identity}.")
            return
        evidence = step.evidence
        part = Part(
            identity,
            evidence.archive_id,
            None,
            amount,
            asserted_at=evidence.asserted_at,
            differences=differences,
        )
        step.parts = (*step.parts, part)
        cause = CONFIRMATION
        if axis == "credit" and step.value("cancellation") == "requested":
            step.alert("credited_after_cancellation")
    if step.parts:
        _derive(step, axis, partly, wholly, cause)
        _after_booking(step)


def _reference(step: Step, fact: AccountEntry) -> str:
    return fact.servicer_reference or fact.entry_reference or step.evidence.source_id


def _reverse(step: Step, identity: str, amount: Amount | None) -> None:
    """Undo the entry of that reference, or the only one that stands."""
    standing = [part for part in step.parts if not part.reversed]
    named = next((part for part in step.parts if part.confirmation_id == identity), None)
    undone = named or (standing[0] if len(standing) == 1 and standing[0].amount == amount else None)
    if undone is None:
        step.alert("entry_reversal_unknown", f"Entry {identity}.")
        return
    evidence = step.evidence
    reversal = Part(
        undone.confirmation_id,
        evidence.archive_id,
        None,
        undone.amount,
        reversed=True,
        asserted_at=evidence.asserted_at,
    )
    step.parts = (*(part for part in step.parts if part is not undone), reversal)


def _derive(step: Step, axis: str, partly: str, wholly: str, cause: Cause) -> None:
    """Derive the axis and the breaks from the entries that stand, in whatever order they came."""
    instructed = step.terms.amount
    assert instructed is not None  # every payment and notice has an amount
    latest = step.parts[0]
    booked, breaks, standing = _ZERO, set[Difference](), False
    for part in step.parts:
        if newer(part.asserted_at, part.archive_id, latest):
            latest = part
        if part.reversed:
            continue
        standing = True
        breaks.update(part.differences)
        if part.amount is None:
            continue
        if part.amount.currency != instructed.currency:
            breaks.add(Difference("currency", instructed.currency, part.amount.currency))
        else:
            booked += part.amount.value
    if not standing:
        word = "reversed"
    else:
        word = wholly if booked >= instructed.value else partly
        if booked != instructed.value:
            breaks.add(Difference("amount", str(instructed.value), str(booked)))
        if booked > instructed.value:
            step.alert("booked_beyond_payment", f"Instructed {instructed.value}, booked {booked}.")
    step.move(axis, Axis(StatusValue(word), latest.asserted_at, latest.archive_id), cause, sums_moved=True)
    if breaks or step.breaks:
        step.draw_up(breaks, "payment_break")


def _payment_return(step: Step, fact: PaymentReturn, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    evidence, instructed = step.evidence, step.terms.amount
    identity = fact.return_id or evidence.source_id
    assert instructed is not None
    for part in step.returns:
        if part.confirmation_id == identity:
            if part.amount != fact.amount:
                step.alert("return_conflict", f"Return {identity}.")
            return
    taken = fact.charges.value if fact.charges and fact.charges.currency == instructed.currency else _ZERO
    gross = fact.amount.value + taken if fact.amount and fact.amount.currency == instructed.currency else _ZERO
    if fact.instructed_amount is not None and fact.instructed_amount.currency == instructed.currency:
        gross = max(gross, fact.instructed_amount.value)
    part = Part(
        identity,
        evidence.archive_id,
        None,
        fact.amount,
        asserted_at=evidence.asserted_at,
        whole=gross >= instructed.value,
    )
    step.returns = (*step.returns, part)
    amounts = [one.amount for one in step.returns if one.amount is not None]
    returned = sum((one.value for one in amounts if one.currency == instructed.currency), _ZERO)
    if fact.amount is not None and fact.amount.currency != instructed.currency:
        step.alert("return_currency_differs", f"Paid {instructed.currency}, returned {fact.amount.currency}.")
    if returned > instructed.value:
        step.alert("returned_beyond_payment", f"Paid {instructed.value}, returned {returned}.")
    whole = returned >= instructed.value or any(one.whole for one in step.returns)
    shown = "" if fact.amount is None else f"{fact.amount.value} {fact.amount.currency}"
    step.alert("payment_returned", f"{shown} of {instructed.value} {instructed.currency}.")
    status = StatusValue("returned" if whole else "partially_returned", fact.returned.reasons)
    step.move("return", Axis(status, evidence.asserted_at, evidence.archive_id), CONFIRMATION, sums_moved=True)


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.PAYMENT, PaymentStatus): _payment_status,
    (Dialogue.PAYMENT, PaymentReturn): _payment_return,
    (Dialogue.PAYMENT, PaymentResolution): _payment_resolution,
    (Dialogue.PAYMENT, PaymentInvestigation): _payment_investigation,
    (Dialogue.PAYMENT, RequestReceipt): _request_receipt,
    (Dialogue.PAYMENT, AccountEntry): _account_entry,
    (Dialogue.NOTICE, RequestReceipt): _request_receipt,
    (Dialogue.NOTICE, AccountEntry): _account_entry,
}
