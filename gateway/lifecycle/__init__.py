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
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, get_args

from gateway.errors import IllegalTransition
from gateway.model.facts import (
    Alert,
    Axis,
    CancellationAdvice,
    Change,
    ConfirmationAnswer,
    Delivery,
    Difference,
    Fact,
    MessageRejection,
    Part,
    Reason,
    SettlementConfirmation,
    State,
    StatusAdvice,
    StatusValue,
    Terms,
)
from gateway.model.transitions import (
    ALERTS,
    CONFIRMATION,
    DELIVERY,
    FINISHED,
    NOTHING,
    OVERTAKEN,
    PROVABLE,
    RANKS,
    REQUEST,
    REVERSAL,
    SETTLED,
    STATUS,
    TRANSITIONS,
    WAYS,
    Cause,
    Dialogue,
    lifecycle_page,
)

__all__ = [
    "Advance",
    "Evidence",
    "advance",
    "advance_delivery",
    "headline",
    "is_finished",
    "lifecycle_page",
    "request_cancellation",
    "withdraw",
]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a fact comes from.

    ``at`` is when it is applied, ``asserted_at`` the header's creation time (both aware), ``archive_id`` the reply's
    number in the archive (from 1), ``source_id`` identifies the reply's content (its business message identifier, or a
    digest where there is none), and ``about`` says which of our messages it names.
    """

    at: datetime
    asserted_at: datetime | None
    archive_id: int
    source_id: str
    about: str = "instruction"  # instruction | cancellation | confirmation


@dataclass(frozen=True, slots=True)
class Advance:
    """The next state, the axes that moved, and what operators must see."""

    state: State
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()


_NO_TERMS: Final = Terms()
_ZERO: Final = Decimal(0)
_COMPLETE: Final = StatusValue("settled")
_PARTIAL: Final = StatusValue("partially_settled")
_REVERSED: Final = StatusValue("reversed")


def advance(
    state: State, fact: Fact, evidence: Evidence, terms: Terms = _NO_TERMS, differences: tuple[Difference, ...] = ()
) -> Advance:
    """Apply one fact of a reply to an instruction's state.

    ``terms`` are what was instructed, for the sums of settled parts; ``differences`` are ``matching.compare``'s, for
    a settlement confirmation. The same reply again returns the same state. Raises IllegalTransition, with nothing
    applied, for an edge that the table does not have and for a fact of another dialogue.
    """
    sources = state.sources
    if sources is None:
        sources = {evidence.source_id: evidence.archive_id}
    elif evidence.source_id not in sources:
        sources = {**sources, evidence.source_id: evidence.archive_id}
    elif sources[evidence.source_id] != evidence.archive_id:
        return Advance(state)  # one message may bear several facts, but then under one archive number
    step = _Step(state, evidence, terms)
    apply = _APPLY.get((state.dialogue, type(fact)))
    if apply is None:
        axis, status = _first_word(fact)
        raise _illegal(state, axis, step.value(axis), status)
    apply(step, fact, differences)
    return step.finish(sources)


def advance_delivery(state: State, delivery: Delivery) -> Advance:
    """Move the delivery of our own message; an outcome that a reply has overtaken changes nothing.

    Raises IllegalTransition for an edge that ``DELIVERY`` does not have.
    """
    before = state.delivery
    if delivery == before or (before is Delivery.SENT and delivery in OVERTAKEN):
        return Advance(state)
    if delivery not in DELIVERY[before]:
        raise _illegal(state, "delivery", before, delivery)
    return Advance(replace(state, delivery=delivery), (Change("delivery", before, delivery),))


def withdraw(state: State) -> Advance:
    """Cancel an instruction of which nothing has left: nothing is sent. Raises IllegalTransition where it may have."""
    return advance_delivery(state, Delivery.WITHDRAWN)


def request_cancellation(state: State, evidence: Evidence) -> Advance:
    """Record that we ask for cancellation; asking again while the request is open changes nothing.

    ``evidence.source_id`` is the event, command or message that asks: the same one again changes nothing either.
    Raises IllegalTransition when the instruction is withdrawn or cancelled, or the request has been answered and not
    refused. Asking after settlement is allowed and alerted: the counterparty decides.
    """
    sources = state.sources or {}
    if evidence.source_id in sources:
        return Advance(state)
    axes = state.axes or {}
    held = axes.get("cancellation")
    before = NOTHING if held is None else held.status.value
    if before == "requested":
        return Advance(state)
    if state.delivery is Delivery.WITHDRAWN or (
        "processing" in axes and axes["processing"].status.value == "cancelled"
    ):
        before = "cancelled"
    if (REQUEST, before, "requested") not in WAYS[state.dialogue, "cancellation"]:
        raise _illegal(state, "cancellation", before, "requested")
    # The request is ours: it leaves the counterparty's clock, and the last archive number, where they were.
    asked = Axis(StatusValue("requested"), held.asserted_at if held else None, held.archive_id if held else 0)
    axes = {**axes, "cancellation": asked}
    crossing = _crossing(axes)
    return Advance(
        replace(state, axes=axes, sources={**sources, evidence.source_id: evidence.archive_id}),
        (Change("cancellation", None if held is None else held.status.value, "requested"),),
        (_alert(*crossing),) if crossing else (),
    )


def headline(state: State) -> str:
    """Derive one word for the whole state, by the precedence table; every state has one."""
    ranks = RANKS[state.dialogue]
    best = ranks["delivery", state.delivery]
    for name, axis in (state.axes or {}).items():
        rank = ranks.get((name, axis.status.value), best)
        best = min(best, rank)
    return best[1]


def is_finished(state: State) -> bool:
    """Say whether nothing more is expected; a part that settled before the rest was given up does not keep it open."""
    if headline(state) in FINISHED:
        return True
    axes = state.axes or {}
    return any(
        name in axes and axes[name].status.value in values
        for name, values in (("processing", ("cancelled", "rejected")), ("cancellation", ("cancelled",)))
    )


def _illegal(state: State, axis: str, before: str, after: str) -> IllegalTransition:
    return IllegalTransition(f"{state.dialogue} {axis}: no way from {before} to {after}")


def _alert(code: str, detail: str = "") -> Alert:
    return Alert(code, f"{ALERTS[code]} {detail}".rstrip())


def _newer(asserted_at: datetime | None, archive_id: int, held: Axis | Part) -> bool:
    if asserted_at is not None and held.asserted_at is not None and asserted_at != held.asserted_at:
        return asserted_at > held.asserted_at
    return archive_id > held.archive_id


class _Step:
    """One advance in the making: copies of what the fact may move, and what moved."""

    __slots__ = ("advised", "alerts", "axes", "breaks", "changes", "delivery", "evidence", "parts", "state", "terms")

    def __init__(self, state: State, evidence: Evidence, terms: Terms) -> None:
        self.state = state
        self.evidence = evidence
        self.terms = terms
        self.axes = dict(state.axes) if state.axes else {}
        self.advised = state.advised
        self.parts = state.parts
        self.breaks = state.breaks
        self.delivery = state.delivery
        self.changes: list[Change] = []
        self.alerts: list[Alert] = []

    def value(self, axis: str) -> str:
        held = self.axes.get(axis)
        return NOTHING if held is None else held.status.value

    def alert(self, code: str, detail: str = "") -> None:
        self.alerts.append(_alert(code, detail))

    def prove_delivery(self) -> None:
        """A reply to our message proves that it arrived."""
        before = self.delivery
        if before is Delivery.SENT:
            return
        if before in PROVABLE:
            self.delivery = Delivery.SENT
            self.changes.append(Change("delivery", before, Delivery.SENT))
        else:
            self.alert("reply_to_unsent", f"Delivery is {before}.")

    def say(self, axis: str, status: StatusValue) -> None:
        """Move an axis to what the counterparty asserts, unless it asserted something newer before."""
        held = self.axes.get(axis)
        evidence = self.evidence
        if held is None or _newer(evidence.asserted_at, evidence.archive_id, held):
            self.move(axis, Axis(status, evidence.asserted_at, evidence.archive_id), STATUS)

    def move(self, axis: str, to: Axis, cause: Cause, *, sums_moved: bool = False) -> None:
        held = self.axes.get(axis)
        after = to.status.value
        before = NOTHING if held is None else held.status.value
        if before != after:
            if (cause, before, after) not in WAYS[self.state.dialogue, axis]:
                raise _illegal(self.state, axis, before, after)
        elif not sums_moved and held is not None and held.status == to.status:
            self.axes[axis] = to
            return
        self.axes[axis] = to
        self.changes.append(Change(axis, None if held is None else before, after, to.status.reasons))

    def advise_settlement(self, status: StatusValue) -> None:
        """Keep what a status says of settlement beside the confirmations, and show it while none stands."""
        held, evidence = self.advised, self.evidence
        if held is not None and not _newer(evidence.asserted_at, evidence.archive_id, held):
            return
        before = NOTHING if held is None else held.status.value
        if before != status.value and (STATUS, before, status.value) not in WAYS[Dialogue.SETTLEMENT, "settlement"]:
            raise _illegal(self.state, "settlement", self.value("settlement"), status.value)
        self.advised = Axis(status, evidence.asserted_at, evidence.archive_id)
        if all(part.reversed for part in self.parts):
            self.move("settlement", self.unsettled(), STATUS)
        elif status.value == "failing" != before and self.value("settlement") == "partially_settled":
            self.alert("remainder_failing")

    def unsettled(self) -> Axis:
        """Say where settlement stands while no part does: the newer of the last reversal and the last status."""
        latest = self.advised
        for part in self.parts:
            if latest is None or _newer(part.asserted_at, part.archive_id, latest):
                latest = Axis(_REVERSED, part.asserted_at, part.archive_id)
        assert latest is not None  # only a part or a status brings us here
        return latest

    def settle(self, cause: Cause, *, sums_moved: bool = True) -> None:
        """Derive the settlement axis and the breaks from the parts that stand, whatever order they came in."""
        terms = self.terms
        instructed, price = terms.quantity, terms.amount
        standing = paid = 0
        whole = last = undone = False
        settled = spent = _ZERO
        breaks: set[Difference] = set()
        latest = self.parts[0]
        for part in self.parts:
            if _newer(part.asserted_at, part.archive_id, latest):
                latest = part
            if part.reversed:
                undone = True
                continue
            standing += 1
            whole = whole or part.whole
            last = last or part.last
            if part.differences:
                breaks.update(part.differences)
            if instructed is not None and part.quantity is not None and part.quantity.type == instructed.type:
                settled += part.quantity.value
            if price is not None and part.amount is not None and part.amount.currency == price.currency:
                paid += 1
                spent += part.amount.value
        if not standing:
            self.move("settlement", self.unsettled(), cause, sums_moved=sums_moved)
        else:
            # The last part completes the sum unless one before it was undone.
            complete = whole or (last and not undone) or (instructed is not None and settled >= instructed.value)
            status = _COMPLETE if complete else _PARTIAL
            self.move("settlement", Axis(status, latest.asserted_at, latest.archive_id), cause, sums_moved=sums_moved)
            # A single confirmation is compared by itself already, unless it says that it is the last of several.
            summed = standing > 1 or last
            if instructed is not None and settled != instructed.value:
                self.weigh("quantity", instructed.value, settled, _ZERO, breaks if summed else None, complete=complete)
            if price is not None and spent != price.value:
                full = complete and paid == standing
                self.weigh(
                    "amount", price.value, spent, terms.amount_tolerance, breaks if summed else None, complete=full
                )
        if breaks or self.breaks:
            self.draw_up(breaks)

    def weigh(
        self,
        what: str,
        instructed: Decimal,
        settled: Decimal,
        tolerance: Decimal,
        breaks: set[Difference] | None,
        *,
        complete: bool,
    ) -> None:
        """Alert a sum beyond the instruction, and add it to ``breaks`` if it is that, or complete and short."""
        excess = settled - instructed
        if excess > tolerance:
            self.alert("settled_beyond_instruction", f"{what}: instructed {instructed}, settled {settled}.")
        if breaks is not None and (excess > tolerance or (complete and -excess > tolerance)):
            breaks.add(Difference(f"settled_{what}", str(instructed), str(settled)))

    def draw_up(self, breaks: set[Difference]) -> None:
        """Keep the breaks that stand, and alert those that are new."""
        fresh = breaks.difference(self.breaks)
        self.breaks = tuple(sorted(breaks, key=_break_order))
        if fresh:
            described = (
                f"{d.field}: instructed {d.instructed}, confirmed {d.confirmed}" for d in self.breaks if d in fresh
            )
            self.alert("settlement_break", "; ".join(described) + ".")

    def finish(self, sources: dict[str, int] | None) -> Advance:
        state = self.state
        crossing = _crossing(self.axes)
        if crossing is not None and crossing != _crossing(state.axes or {}):
            self.alert(*crossing)
        after = State(state.dialogue, self.delivery, self.axes or None, self.parts, self.breaks, self.advised, sources)
        return Advance(after, tuple(self.changes), tuple(self.alerts))


def _break_order(difference: Difference) -> tuple[str, str]:
    return difference.field, difference.confirmed or ""


def _crossing(axes: Mapping[str, Axis]) -> tuple[str, str] | None:
    settlement = axes.get("settlement")
    if settlement is None or settlement.status.value not in SETTLED:
        return None
    processing = axes["processing"].status.value if "processing" in axes else NOTHING
    if processing == "rejected":
        return "rejection_crossed_settlement", ""
    if settlement.status.value == "partially_settled":  # cancelling the remainder is regular business
        return None
    cancellation = axes["cancellation"].status.value if "cancellation" in axes else NOTHING
    if processing == "cancelled" or cancellation == "cancelled":
        return "cancellation_crossed_settlement", "The counterparty also says that it is cancelled."
    if cancellation in ("requested", "accepted", "pending", "repair"):
        return "cancellation_crossed_settlement", f"The cancellation is {cancellation}."
    return None


def _status_advice(step: _Step, fact: StatusAdvice, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.processing is not None:
        step.say("processing", fact.processing)
    if fact.inferred_matching is not None:
        step.say("inferred_matching", fact.inferred_matching)
    if fact.matching is not None:
        step.say("matching", fact.matching)
    if fact.settlement is not None:
        step.advise_settlement(fact.settlement)


def _settlement_confirmation(step: _Step, fact: SettlementConfirmation, differences: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    if fact.pre_confirmation is not None:
        step.alert("pre_confirmation", fact.pre_confirmation)
    elif fact.reversal:
        _reverse(step, fact)
    else:
        _confirm(step, fact, differences)


def _confirm(step: _Step, fact: SettlementConfirmation, differences: tuple[Difference, ...]) -> None:
    evidence, instructed = step.evidence, step.terms.quantity
    identity = fact.confirmation_id or evidence.source_id
    quantity, amount = fact.settled_quantity, fact.settled_amount
    for part in step.parts:
        if part.confirmation_id == identity:
            if not part.reversed and (part.quantity, part.amount) != (quantity, amount):
                step.alert("confirmation_conflict", f"Confirmation {identity}.")
            return
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
    )
    step.parts = (*step.parts, part)
    step.settle(CONFIRMATION)


def _reverse(step: _Step, fact: SettlementConfirmation) -> None:
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


def _cancellation_advice(step: _Step, fact: CancellationAdvice, _: tuple[Difference, ...]) -> None:
    # It proves nothing of the instruction: a servicer also refuses to cancel what it never received.
    if "cancellation" not in step.axes:
        step.alert("cancellation_not_requested")
    step.say("cancellation", fact.status)


def _confirmation_answer(step: _Step, fact: ConfirmationAnswer, _: tuple[Difference, ...]) -> None:
    step.prove_delivery()
    step.say("affirmation", fact.status)


def _statuses(step: _Step, fact: Any, _: tuple[Difference, ...]) -> None:
    """Apply a fact that is made of statuses, each named for its axis."""
    step.prove_delivery()
    for axis in fact.__dataclass_fields__:
        status = getattr(fact, axis)
        if status is None:
            continue
        if axis == "cancellation":
            _cancellation_advice(step, CancellationAdvice(status), ())
        else:
            step.say(axis, status)


def _message_rejection(step: _Step, fact: MessageRejection, _: tuple[Difference, ...]) -> None:
    status = _technically_rejected(fact)
    if step.evidence.about == "cancellation":
        step.say("cancellation", status)
        return
    if step.parts or any(axis != "cancellation" for axis in step.axes):
        step.alert("rejected_after_answer")
    step.prove_delivery()
    step.say("processing", status)


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
    for axis in ("processing", "inferred_matching", "matching", "settlement", "affirmation", "cancellation"):
        status = getattr(fact, axis, None)
        if status is not None:
            return axis, status.value
    return "processing", NOTHING


def _is_of_statuses(dialogue: Dialogue, kind: Any) -> bool:
    """Tell whether every field of a kind of fact is an axis of the dialogue."""
    return all((dialogue, axis) in TRANSITIONS for axis in kind.__dataclass_fields__)


# What is made of statuses needs no code of its own, only rows in the dialogue's table for each of its axes.
_APPLY: Final[Mapping[tuple[str, type], Callable[[_Step, Any, tuple[Difference, ...]], None]]] = {
    **{(d, kind): _statuses for d in Dialogue for kind in get_args(Fact) if _is_of_statuses(d, kind)},
    **{(dialogue, CancellationAdvice): _cancellation_advice for dialogue in Dialogue},
    **{(dialogue, MessageRejection): _message_rejection for dialogue in Dialogue},
    (Dialogue.SETTLEMENT, StatusAdvice): _status_advice,
    (Dialogue.SETTLEMENT, SettlementConfirmation): _settlement_confirmation,
    (Dialogue.CONFIRMATION, ConfirmationAnswer): _confirmation_answer,
}
