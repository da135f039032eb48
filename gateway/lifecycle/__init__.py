"""The life of an instruction: transition tables, and ``advance(state, fact)`` that walks them. Pure.

A status is not one enum. Each dialogue has axes that move independently, our own message has a delivery, and one word
is derived from all of them (``headline``); the tables are in ``model.transitions``. Three rules hold in whatever order
replies come:

- an axis keeps the time that its counterparty asserted; an older assertion is history and does not move it, equal or
  missing times use archive order, and the same reply again changes nothing;
- what settled is the sum of the confirmed parts that were not reversed; a status never undoes it;
- an edge that a table does not have is an error that names both ends, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, get_args

from gateway.lifecycle import allegement, financing, foreign_exchange, payment, settlement
from gateway.lifecycle.allegement import compared, describe
from gateway.lifecycle.foreign_exchange import confirm, confirmed_by
from gateway.lifecycle.statement import received, tell
from gateway.lifecycle.step import (
    NO_TERMS,
    REQUESTED,
    Advance,
    Evidence,
    Step,
    alert,
    crossing_of,
    illegal,
    terms_in_force,
    warned,
)
from gateway.model.facts import (
    Asked,
    Axis,
    Change,
    ConfirmationAnswer,
    Delivery,
    Difference,
    Fact,
    ForeignExchangeStatus,
    MessageRejection,
    MessageWithdrawal,
    Reason,
    Receipt,
    RequestAdvice,
    SettlementConfirmation,
    State,
    StatusValue,
    SystemEvent,
    Terms,
)
from gateway.model.transitions import (
    DELIVERY,
    FINISHED,
    NOTHING,
    ONCE_MOVED,
    OVERTAKEN,
    RANKS,
    REQUEST,
    REQUESTS,
    TRANSITIONS,
    WAYS,
    Dialogue,
)
from gateway.model.transitions.foreign_exchange import SAYS

__all__ = [
    "NOT_OF_DIALOGUE",
    "Advance",
    "Evidence",
    "advance",
    "advance_delivery",
    "alert",
    "begin",
    "compared",
    "confirm",
    "confirmed_by",
    "describe",
    "headline",
    "is_finished",
    "received",
    "request",
    "takes",
    "tell",
    "terms_confirmed",
    "terms_in_force",
    "terms_to_change",
    "warned",
    "withdraw",
]

NOT_OF_DIALOGUE: Final = "reply_not_of_dialogue"


def advance(
    state: State, fact: Fact, evidence: Evidence, terms: Terms = NO_TERMS, differences: tuple[Difference, ...] = ()
) -> Advance:
    """Apply one fact of a reply to an instruction's state.

    ``terms`` are what was instructed, for the sums of settled parts; ``differences`` are ``matching.compare``'s, for
    a settlement confirmation. The same reply again returns the same state. Raises IllegalTransition, with nothing
    applied, for an edge that the table does not have; its code is ``NOT_OF_DIALOGUE`` for a fact of another dialogue.
    """
    sources = state.sources
    if sources is None:
        sources = {evidence.source_id: evidence.archive_id}
    elif evidence.source_id not in sources:
        sources = {**sources, evidence.source_id: evidence.archive_id}
    elif sources[evidence.source_id] != evidence.archive_id:
        return Advance(state)  # one message may bear several facts, but then under one archive number
    step = Step(state, evidence, terms)
    apply = _APPLY.get((state.dialogue, type(fact)))
    if apply is None:
        axis, status = _first_word(fact)
        raise illegal(state, axis, step.value(axis), status, code=NOT_OF_DIALOGUE)
    apply(step, fact, differences)
    return step.finish(sources)


def takes(dialogue: str, kind: type, request: str | None = None) -> bool:
    """Tell whether a kind of fact belongs in a dialogue; ``request`` is the one that a ``RequestAdvice`` is about."""
    if (dialogue, kind) not in _APPLY:
        return False
    return request is None or (dialogue, request) in TRANSITIONS


def advance_delivery(state: State, delivery: Delivery) -> Advance:
    """Move the delivery of our own message; an outcome that a reply has overtaken changes nothing.

    Raises IllegalTransition for an edge that ``DELIVERY`` does not have.
    """
    before = state.delivery
    if delivery == before or (before is Delivery.SENT and delivery in OVERTAKEN):
        return Advance(state)
    if delivery not in DELIVERY[before]:
        raise illegal(state, "delivery", before, delivery)
    return Advance(replace(state, delivery=delivery), (Change("delivery", before, delivery),))


def withdraw(state: State) -> Advance:
    """Cancel an instruction of which nothing has left: nothing is sent. Raises IllegalTransition where it may have."""
    return advance_delivery(state, Delivery.WITHDRAWN)


def request(
    state: State,
    axis: str,
    evidence: Evidence,
    *,
    asks: str = "",
    terms: Terms | None = None,
    before: Terms | None = None,
    done: str | None = None,
) -> Advance:
    """Record that we ask something about an instruction: to cancel, to hold, to modify it.

    ``axis`` is one of ``REQUESTS``, ``asks`` what is asked in a word, ``terms`` those that hold once a modification is
    done, ``before`` those in force now. ``evidence.source_id`` is the business message identifier of the request: the
    same one again changes nothing. ``done`` is where the request stands at once, where nobody answers it.
    Asking again while a request is open adds one and moves no axis. Raises IllegalTransition when the instruction is
    withdrawn or cancelled, and where the table has no way: a cancellation that was answered and not refused. Asking
    after settlement is allowed and alerted: the counterparty decides.
    """
    requests = state.requests or {}
    if evidence.source_id in requests:
        return Advance(state)
    axes = state.axes or {}
    held = axes.get(axis)
    stands = NOTHING if held is None else held.status.value
    if state.delivery is Delivery.WITHDRAWN or any(
        name in axes and axes[name].status.value == "cancelled" for name in ("processing", "cancellation")
    ):
        raise illegal(state, axis, "cancelled", "requested")
    status = REQUESTED if done is None else StatusValue(done)
    if stands != status.value and (REQUEST, stands, status.value) not in WAYS[state.dialogue, axis]:
        raise illegal(state, axis, stands, status.value)
    asked = Asked(axis, asks, status, terms=terms, before=None if terms is None else before)
    # The request is ours: it leaves the counterparty's clock, and the last archive number, where they were.
    moved = Axis(status, held.asserted_at if held else None, held.archive_id if held else 0)
    after = replace(state, axes={**axes, axis: moved}, requests={**requests, evidence.source_id: asked})
    if stands == status.value:
        return Advance(after)
    crossing = crossing_of(after.axes or {}) if axis == "cancellation" else None
    return Advance(
        after,
        (Change(axis, None if held is None else stands, status.value),),
        (alert(*crossing),) if crossing else (),
    )


def begin(dialogue: Dialogue, axes: Mapping[str, str], delivery: Delivery = Delivery.RECORDED) -> State:
    """Give the state of a new instruction; ``axes`` are those that its event decides, as that it is born held.

    What the other side begins has the delivery ``theirs``.
    """
    return State(
        dialogue, delivery, axes={name: Axis(StatusValue(value), None, 0) for name, value in axes.items()} or None
    )


def headline(state: State) -> str:
    """Derive one word for the whole state, by the precedence table; every state has one."""
    ranks = RANKS[state.dialogue]
    best = ranks["delivery", state.delivery]
    for name, axis in (state.axes or {}).items():
        rank = ranks.get((name, axis.status.value), best)
        best = min(best, rank)
    word = best[1]
    return ONCE_MOVED[state.dialogue].get(word, word) if state.parts else word


def is_finished(state: State) -> bool:
    """Say whether nothing more is expected; a part that settled before the rest was given up does not keep it open."""
    if headline(state) in FINISHED[state.dialogue]:
        return True
    axes = state.axes or {}
    return any(
        name in axes and axes[name].status.value in values
        for name, values in (("processing", ("cancelled", "rejected")), ("cancellation", ("cancelled",)))
    )


def terms_confirmed(state: State, instructed: Terms, fact: SettlementConfirmation) -> Terms:
    """State the terms in force that a confirmation is compared with: of a financing, those of the leg it is of."""
    terms = terms_in_force(state, instructed)
    if state.dialogue != Dialogue.FINANCING:
        return terms
    terms, _ = financing.terms_shown(state, terms, fact)
    return financing.terms_of_leg(terms, financing.leg_of(terms, fact))


def terms_to_change(state: State, instructed: Terms) -> Terms:
    """State the terms that a further request begins from; of a financing, with what the counterparty has accepted."""
    terms = terms_in_force(state, instructed)
    return financing.terms_accepted(state, terms) if state.dialogue == Dialogue.FINANCING else terms


def _request_advice(step: Step, fact: RequestAdvice, _: tuple[Difference, ...]) -> None:
    # It proves nothing of the instruction: a servicer also refuses to cancel what it never received.
    if (step.state.dialogue, fact.request) not in TRANSITIONS:
        raise illegal(step.state, fact.request, NOTHING, fact.status.value, code=NOT_OF_DIALOGUE)
    step.answer(fact.request, fact.status)


def _confirmation_answer(step: Step, fact: ConfirmationAnswer, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    step.say("affirmation", fact.status)


def _statuses(step: Step, fact: Any, _: tuple[Difference, ...]) -> None:
    """Apply a fact that is made of statuses, each named for its axis."""
    step.prove_delivery()
    for axis in fact.__dataclass_fields__:
        status = getattr(fact, axis)
        if status is None:
            continue
        if axis in REQUESTS:
            step.answer(axis, status)
        else:
            step.say(axis, status)


def _message_rejection(step: Step, fact: MessageRejection, _: tuple[Difference, ...]) -> None:
    status = _technically_rejected(fact)
    if fact.by_network:
        step.alert("network_refused", f"{fact.reason_code or 'No code'}: {status.reasons[0].text}.")
    if step.evidence.about in REQUESTS:
        if fact.by_network and _held_when_said(step):
            step.unsay(step.evidence.about, status)
        else:
            step.answer(step.evidence.about, status)
        return
    # What the other side of a trade confirms itself is no answer to ours, and no sign that it has that.
    own = {"matching"} if fact.by_network and step.state.dialogue == Dialogue.FOREIGN_EXCHANGE else set()
    answered = step.parts or any(said.archive_id for axis, said in step.axes.items() if axis not in REQUESTS | own)
    if answered:
        step.alert("rejected_after_answer")
    if fact.by_network:
        if not answered:
            step.refuse_delivery()
        return
    step.prove_delivery()
    step.say("processing", status)


def _held_when_said(step: Step) -> bool:
    """Tell whether the request that is spoken of was done without an answer: nobody gives one."""
    asked = (step.requests or {}).get(step.evidence.names or "")
    return asked is not None and not asked.archive_id and asked.status.value != "requested"


def _receipt(step: Step, fact: Receipt, differences: tuple[Difference, ...]) -> None:
    """Apply what a receipt says of our message: that it arrived, that it is refused, or nothing that is certain."""
    if fact.meaning == "rejected":
        _message_rejection(step, MessageRejection(None, fact.code, fact.text), differences)
        return
    if fact.meaning == "unknown":
        step.alert("receipt_unclear", f"Code {fact.code}" + (f": {fact.text}" if fact.text else "."))
        return
    if step.evidence.about not in REQUESTS:
        step.prove_delivery()
    if step.state.dialogue == Dialogue.TECHNICAL:
        step.say("processing", StatusValue("received", (Reason(proprietary=fact.code, text=fact.text),)))


def _system_event(step: Step, fact: SystemEvent, _: tuple[Difference, ...]) -> None:
    said = ", ".join(fact.parameters)
    when = f" at {fact.at.isoformat()}" if fact.at else ""
    text = (
        f"{fact.code}{when}" + (f" ({said})" if said else "") + (f": {fact.description}" if fact.description else ".")
    )
    step.say("notification", StatusValue("notified", (Reason(proprietary=fact.code, text=fact.description),)))
    step.alert("system_event", text)


def _message_withdrawal(step: Step, fact: MessageWithdrawal, _: tuple[Difference, ...]) -> None:
    # What was said and settled stands: an operator looks, and the other side says what is right in a further message.
    step.alert("message_withdrawn", f"It names {fact.reference}.")


def _technically_rejected(fact: MessageRejection) -> StatusValue:
    where = f" at {fact.location}" if fact.location else ""
    text = f"technical rejection{where}" + (f": {fact.text}" if fact.text else "")
    return StatusValue("rejected", (Reason(proprietary=fact.reason_code, text=text),))


def _first_word(fact: Fact) -> tuple[str, str]:
    """Name the axis that a fact of another dialogue would have moved, and where to."""
    if isinstance(fact, SettlementConfirmation):
        return "settlement", "reversed" if fact.reversal else "settled"
    if isinstance(fact, ConfirmationAnswer):
        return "affirmation", fact.status.value
    if isinstance(fact, RequestAdvice):
        return fact.request, fact.status.value
    if isinstance(fact, ForeignExchangeStatus):
        return SAYS[fact.status.value][-1]
    for axis in ("processing", "inferred_matching", "matching", "settlement", "affirmation", "cancellation", "call"):
        status = getattr(fact, axis, None)
        if status is not None:
            return axis, status.value
    return "processing", NOTHING


def _is_of_statuses(dialogue: Dialogue, kind: Any) -> bool:
    """Tell whether every field of a kind of fact is an axis of the dialogue."""
    return all((dialogue, axis) in TRANSITIONS for axis in kind.__dataclass_fields__)


_SETTLED_ONCE: Final = (Dialogue.SETTLEMENT, Dialogue.INTRA_POSITION_MOVEMENT)

# What is made of statuses needs no code of its own, only rows in the dialogue's table for each of its axes.
_APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    **{(d, kind): _statuses for d in Dialogue for kind in get_args(Fact) if _is_of_statuses(d, kind)},
    **{(dialogue, RequestAdvice): _request_advice for dialogue in Dialogue},
    **{(dialogue, MessageRejection): _message_rejection for dialogue in Dialogue},
    **{(dialogue, Receipt): _receipt for dialogue in Dialogue},
    **{(dialogue, MessageWithdrawal): _message_withdrawal for dialogue in Dialogue},
    **{(dialogue, kind): apply for dialogue in _SETTLED_ONCE for kind, apply in settlement.APPLY.items()},
    **financing.APPLY,
    **allegement.APPLY,
    **foreign_exchange.APPLY,
    (Dialogue.TECHNICAL, SystemEvent): _system_event,
    **payment.APPLY,
    (Dialogue.CONFIRMATION, ConfirmationAnswer): _confirmation_answer,
}
