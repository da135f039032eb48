"""The life of an instruction: every way of the tables, and what must hold whatever order replies come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import lifecycle
from gateway.errors import IllegalTransition
from gateway.lifecycle import (
    Advance,
    Evidence,
    advance,
    advance_delivery,
    begin,
    headline,
    is_finished,
    request,
    terms_in_force,
    withdraw,
)
from gateway.lifecycle.step import Step
from gateway.matching import compare
from gateway.model.facts import (
    AccountEntry,
    Amount,
    Axis,
    ConfirmationAnswer,
    ConfirmationStatus,
    Delivery,
    Fact,
    FinancingStatus,
    MessageRejection,
    Part,
    Quantity,
    Reason,
    RequestAdvice,
    SettlementConfirmation,
    State,
    StatusAdvice,
    StatusValue,
    Terms,
)
from gateway.model.transitions import (
    ALERTS,
    CLOSING,
    CONFIRMATION,
    DELIVERY,
    EFFECTS,
    NOTHING,
    OPENING,
    OVERTAKEN,
    REQUEST,
    REQUESTS,
    STATUS,
    TRANSITIONS,
    WAYS,
    Dialogue,
)
from gateway.model.transitions.page import lifecycle_page

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
TERMS = Terms(
    movement="deliver",
    payment="against",
    isin="DE0001102580",
    quantity=Quantity(Decimal(100), "unit"),
    amount=Amount(Decimal("1000.00"), "EUR"),
    trade_date=date(2026, 1, 5),
    settlement_date=date(2026, 1, 7),
    safekeeping_account="ACC1",
)
SETTLEMENT = State(Dialogue.SETTLEMENT, Delivery.SENT)
TRADE_CONFIRMATION = State(Dialogue.CONFIRMATION, Delivery.SENT)
LEGS = (OPENING, CLOSING)
OF_STATUS = ("processing", "inferred_matching", "matching", "settlement", "cancellation", "affirmation")


def evidence(
    number: int, minute: int | None = None, *, source: str | None = None, about: str = "instruction"
) -> Evidence:
    """Make the evidence of reply ``number``, asserted at a minute after noon (None: no time)."""
    at = None if minute is None else NOON + timedelta(minutes=minute)
    return Evidence(NOON, at, number, source or f"MSG{number}", about)


def apply(state: State, fact: Fact, proof: Evidence) -> Advance:
    differences = compare(TERMS, fact) if isinstance(fact, SettlementConfirmation) and not fact.reversal else ()
    return advance(state, fact, proof, TERMS, differences)


def ask(state: State, event: str = "EVENT1") -> Advance:
    """Request cancellation as an event of upstream does."""
    return request(state, "cancellation", evidence(0, source=event), asks="cancel")


def run(state: State, *facts: Fact) -> Advance:
    """Apply facts a minute apart; the last advance carries every alert and change of the way."""
    changes, alerts = [], []
    for number, fact in enumerate(facts, start=1):
        step = apply(state, fact, evidence(number, number))
        state = step.state
        changes += step.changes
        alerts += step.alerts
    return Advance(state, tuple(changes), tuple(alerts))


def codes(step: Advance) -> list[str]:
    return [alert.code for alert in step.alerts]


def value(state: State, axis: str) -> str | None:
    return state.axes[axis].status.value if state.axes and axis in state.axes else None


def test_a_status_advice_without_a_status_is_told_and_answers_nothing() -> None:
    asked = request(SETTLEMENT, "status_query", evidence(0, source="QUERY1"), asks="query").state
    step = run(asked, StatusAdvice())
    assert (codes(step), value(step.state, "status_query")) == (["status_says_nothing"], "requested")


# Where confirmations of parts settle, and a status only speaks beside them.
SETTLED_BY_PARTS = {
    (dialogue, axis)
    for (dialogue, axis), rows in TRANSITIONS.items()
    if axis == "settlement" and any(row.cause == CONFIRMATION for row in rows)
}


def standing_at(dialogue: Dialogue, axis: str, at: str) -> State:
    """Make a sent instruction whose axis holds a value, as the facts that lead there leave it."""
    if at == NOTHING and axis == CLOSING:
        return State(dialogue, Delivery.SENT, {OPENING: Axis(StatusValue("settled"), NOON, 0)})
    if at == NOTHING:
        return State(dialogue, Delivery.SENT)
    held = Axis(StatusValue(at), NOON, 0)
    if axis == CLOSING:
        return State(dialogue, Delivery.SENT, {OPENING: Axis(StatusValue("settled"), NOON, 0), axis: held})
    of_parts = (dialogue, axis) in SETTLED_BY_PARTS
    if not of_parts or at in ("pending", "failing", "proprietary"):
        return State(dialogue, Delivery.SENT, {axis: held}, advised=held if of_parts else None)
    quantity = Quantity(Decimal(40 if at == "partially_settled" else 100), "unit")
    part = Part("PART0", 0, quantity, None, reversed=at == "reversed", asserted_at=NOON)
    return State(dialogue, Delivery.SENT, {axis: held}, (part,))


# Axes that entries on an account move, by the direction of the entry; what is booked is a sum and no status.
ENTRIES = {(Dialogue.PAYMENT, "booking"): "DBIT", (Dialogue.NOTICE, "credit"): "CRDT"}
ONLY_TECHNICAL = (Dialogue.NOTICE, "processing")  # no status is ever given of a notice


def say(state: State, axis: str, to: str) -> Advance:
    """Move an axis by the fact that says its status; by the step itself where facts speak of several axes at once."""
    dialogue, status, proof = Dialogue(state.dialogue), StatusValue(to), evidence(1, 5)
    if axis in REQUESTS:
        return apply(state, RequestAdvice(axis, status), proof)
    if axis in LEGS:
        return apply(state, FinancingStatus(settlement=status), proof)
    if (dialogue, axis) in ENTRIES:
        return apply(state, AccountEntry(status, ENTRIES[dialogue, axis]), proof)
    if (dialogue, axis) == ONLY_TECHNICAL:
        return apply(state, MessageRejection("MSG", "SCHEMA"), proof)
    for kind in get_args(Fact):
        if axis in kind.__dataclass_fields__ and (dialogue, kind) in lifecycle._APPLY:
            return apply(state, kind(**{axis: status}), proof)
    step = Step(state, proof, TERMS)
    step.say(axis, status)
    return step.finish(None)


def settled(
    quantity: int = 100, amount: str | None = None, partial: str | None = None, **more: object
) -> SettlementConfirmation:
    money = Amount(Decimal(amount if amount is not None else quantity * 10), "EUR")
    return SettlementConfirmation(
        partial=partial, settled_quantity=Quantity(Decimal(quantity), "unit"), settled_amount=money, **more
    )


def reversal(of: str | None) -> SettlementConfirmation:
    return SettlementConfirmation(reversal=True, confirmation_id=of)


# Axes that no message speaks of: what an answered request of ours does.
EFFECTS_OF_REQUESTS = {(key[0], axis) for key, (axis, _) in EFFECTS.items()}
VALUES = {
    place: sorted({v for row in rows for v in (*row.before, *row.after)})
    for place, rows in TRANSITIONS.items()
    if place not in EFFECTS_OF_REQUESTS
    and place[0] != Dialogue.MESSAGE_REJECTION  # nothing but a technical rejection speaks of it
    and any(row.cause == STATUS for row in rows)
}
STATUS_WAYS = [
    (*place, before, after) for place in VALUES for cause, before, after in sorted(WAYS[place]) if cause == STATUS
]
NO_WAYS = [
    (*place, before, after)
    for place, values in VALUES.items()
    for before, after in product(values, [*(v for v in values if v != NOTHING), "invented"])
    if before != after
    and (STATUS, before, after) not in WAYS[place]
    and place != ONLY_TECHNICAL
    and not (place in ENTRIES and (after != "invented" or before.endswith(("booked", "credited"))))
    # While a part stands a status of settlement is kept beside it and moves nothing.
    and not (
        place in SETTLED_BY_PARTS
        and before in ("settled", "partially_settled")
        and after in ("pending", "failing", "proprietary")
    )
    and not (place[1] in LEGS and before in ("settled", "partially_settled"))
]


def by_place(ways: Sequence[tuple[Dialogue, str, str, str]]) -> list[Any]:
    """Group ways by the axis that they are of: parameters of a test that walks them all."""
    places: dict[tuple[Dialogue, str], list[tuple[str, str]]] = {}
    for dialogue, axis, before, after in ways:
        places.setdefault((dialogue, axis), []).append((before, after))
    return [pytest.param(*place, ends, id="-".join(place)) for place, ends in places.items()]


@pytest.mark.parametrize(("dialogue", "axis", "ends"), by_place(STATUS_WAYS))
def test_a_status_moves_its_axis_along_every_way_of_the_table(
    dialogue: Dialogue, axis: str, ends: Sequence[tuple[str, str]]
) -> None:
    for before, after in ends:
        step = say(standing_at(dialogue, axis, before), axis, after)
        assert value(step.state, axis) == after, before
        moved = [(change.axis, change.before, change.after) for change in step.changes]
        expected = [] if before == after else [(axis, None if before == NOTHING else before, after)]
        assert moved == expected, (before, after)


@pytest.mark.parametrize(("dialogue", "axis", "ends"), by_place(NO_WAYS))
def test_a_status_without_a_way_is_refused_naming_both_ends(
    dialogue: Dialogue, axis: str, ends: Sequence[tuple[str, str]]
) -> None:
    for before, after in ends:
        with pytest.raises(IllegalTransition) as refused:
            say(standing_at(dialogue, axis, before), axis, after)
        assert refused.value.code == "illegal_transition"
        assert refused.value.text == f"{dialogue} {axis}: no way from {before} to {after}"


@pytest.mark.parametrize("place", list(TRANSITIONS), ids="-".join)
def test_ways_of_a_status_are_transitively_closed_so_that_a_missing_message_in_between_does_not_matter(
    place: tuple[Dialogue, str],
) -> None:
    ways = {(before, after) for cause, before, after in WAYS[place] if cause == STATUS}
    missing = {(one, three) for one, two in ways for again, three in ways if two == again and one != three} - ways
    assert missing == set()


def test_every_value_can_be_the_first_that_is_heard_of_an_axis() -> None:
    for place, values in VALUES.items():
        reached = {after for _, before, after in WAYS[place] if before == NOTHING}
        assert reached == {v for v in values if v != NOTHING}, place


@pytest.mark.parametrize(
    ("dialogue", "fact"),
    [
        (Dialogue.CONFIRMATION, StatusAdvice(matching=StatusValue("matched"))),
        (Dialogue.CONFIRMATION, settled()),
        (Dialogue.CONFIRMATION, reversal("X")),
        (Dialogue.SETTLEMENT, ConfirmationAnswer(StatusValue("affirmed"))),
        (Dialogue.SETTLEMENT, ConfirmationStatus(affirmation=StatusValue("affirmed"))),
        (Dialogue.SETTLEMENT, ConfirmationStatus()),
    ],
)
def test_a_fact_of_another_dialogue_is_refused(dialogue: Dialogue, fact: Fact) -> None:
    with pytest.raises(IllegalTransition, match=f"{dialogue} .* no way from nothing to"):
        apply(State(dialogue, Delivery.SENT), fact, evidence(1, 1))


@pytest.mark.parametrize(("before", "after"), list(product(Delivery, Delivery)))
def test_delivery_moves_along_its_table_only(before: Delivery, after: Delivery) -> None:
    state = State(Dialogue.SETTLEMENT, before)
    if after in DELIVERY[before]:
        step = advance_delivery(state, after)
        assert step.state.delivery is after
        assert [(c.axis, c.before, c.after) for c in step.changes] == [("delivery", before, after)]
    elif after is before or (before is Delivery.SENT and after in OVERTAKEN):
        assert advance_delivery(state, after) == Advance(state)
    else:
        with pytest.raises(IllegalTransition, match=f"delivery: no way from {before} to {after}"):
            advance_delivery(state, after)


@pytest.mark.parametrize("delivery", [Delivery.SENDING, Delivery.IN_DOUBT, Delivery.PARKED])
def test_a_reply_proves_a_delivery_that_was_not_certain(delivery: Delivery) -> None:
    step = apply(State(Dialogue.SETTLEMENT, delivery), StatusAdvice(processing=StatusValue("accepted")), evidence(1, 1))
    assert step.state.delivery is Delivery.SENT
    assert step.changes[0].axis == "delivery"
    assert step.alerts == ()
    assert advance_delivery(step.state, Delivery.IN_DOUBT).state is step.state


@pytest.mark.parametrize("delivery", [Delivery.RECORDED, Delivery.WITHDRAWN, Delivery.REFUSED])
def test_a_reply_to_what_was_never_sent_is_applied_and_alerted(delivery: Delivery) -> None:
    step = apply(State(Dialogue.SETTLEMENT, delivery), settled(), evidence(1, 1))
    assert codes(step) == ["reply_to_unsent"]
    assert (step.state.delivery, headline(step.state)) == (delivery, "settled")


def test_an_answer_to_the_cancellation_does_not_prove_that_the_instruction_arrived() -> None:
    asked = ask(State(Dialogue.SETTLEMENT, Delivery.IN_DOUBT)).state
    assert (
        apply(asked, RequestAdvice("cancellation", StatusValue("rejected")), evidence(1, 1)).state.delivery
        is Delivery.IN_DOUBT
    )
    rejected = MessageRejection("CXL1", "FORMAT")
    assert apply(asked, rejected, evidence(1, 1, about="cancellation")).state.delivery is Delivery.IN_DOUBT


def test_an_older_assertion_goes_to_history_and_a_newer_one_moves_the_axis() -> None:
    matched = apply(SETTLEMENT, StatusAdvice(matching=StatusValue("matched")), evidence(1, 10)).state
    late = apply(matched, StatusAdvice(matching=StatusValue("unmatched")), evidence(2, 9))
    assert (value(late.state, "matching"), late.changes) == ("matched", ())
    assert (
        value(apply(matched, StatusAdvice(matching=StatusValue("unmatched")), evidence(2, 11)).state, "matching")
        == "unmatched"
    )


@pytest.mark.parametrize(("first", "second"), [(10, 10), (None, 10), (10, None), (None, None)])
def test_equal_or_missing_times_use_archive_order(first: int | None, second: int | None) -> None:
    one, two = StatusAdvice(matching=StatusValue("matched")), StatusAdvice(matching=StatusValue("unmatched"))
    there = apply(apply(SETTLEMENT, one, evidence(1, first)).state, two, evidence(2, second)).state
    back = apply(apply(SETTLEMENT, two, evidence(2, second)).state, one, evidence(1, first)).state
    assert value(there, "matching") == value(back, "matching") == "unmatched"


def test_assertion_times_are_compared_as_instants_whatever_their_offset() -> None:
    tokyo = replace(evidence(1), asserted_at=datetime(2026, 1, 5, 21, 30, tzinfo=timezone(timedelta(hours=9))))
    state = apply(SETTLEMENT, StatusAdvice(matching=StatusValue("matched")), tokyo).state  # 12:30 UTC
    assert apply(state, StatusAdvice(matching=StatusValue("unmatched")), evidence(2, 29)).changes == ()


def test_the_same_reply_again_changes_nothing_even_after_another_of_the_same_time() -> None:
    state = apply(SETTLEMENT, StatusAdvice(processing=StatusValue("accepted")), evidence(1, 1)).state
    state = apply(state, StatusAdvice(processing=StatusValue("pending")), evidence(2, 1)).state
    assert apply(state, StatusAdvice(processing=StatusValue("accepted")), evidence(3, 1, source="MSG1")) == Advance(
        state
    )


def test_one_reply_may_bear_several_facts_of_one_instruction() -> None:
    proof = evidence(1, 1)
    state = apply(TRADE_CONFIRMATION, ConfirmationStatus(matching=StatusValue("matched")), proof).state
    state = apply(state, ConfirmationAnswer(StatusValue("affirmed")), proof).state
    assert (value(state, "matching"), value(state, "affirmation")) == ("matched", "affirmed")


def test_new_reasons_are_a_change_though_the_word_stays() -> None:
    pending = StatusAdvice(settlement=StatusValue("pending", (Reason("LACK"),)))
    state = apply(SETTLEMENT, pending, evidence(1, 1)).state
    assert apply(state, pending, evidence(2, 2)).changes == ()
    step = apply(state, StatusAdvice(settlement=StatusValue("pending", (Reason("MONY"),))), evidence(2, 2))
    assert [(c.before, c.after, c.reasons) for c in step.changes] == [("pending", "pending", (Reason("MONY"),))]


def test_a_proprietary_status_is_kept_with_its_identification() -> None:
    status = StatusValue("proprietary", (Reason(proprietary="X9"),), proprietary="HELD/BANK")
    state = apply(SETTLEMENT, StatusAdvice(processing=status), evidence(1, 1)).state
    assert state.axes is not None
    assert state.axes["processing"].status == status
    assert headline(state) == "proprietary"


def test_one_status_advice_moves_four_axes_at_once_or_none() -> None:
    said = {
        axis: StatusValue(word)
        for axis, word in zip(OF_STATUS, ("accepted", "matched", "unmatched", "pending"), strict=False)
    }
    assert len(apply(SETTLEMENT, StatusAdvice(**said), evidence(1, 1)).changes) == 4
    with pytest.raises(IllegalTransition):
        apply(SETTLEMENT, StatusAdvice(**{**said, "settlement": StatusValue("settled")}), evidence(1, 1))


def test_a_full_confirmation_settles_without_alerts() -> None:
    step = run(SETTLEMENT, settled())
    assert (headline(step.state), step.alerts, step.state.breaks) == ("settled", (), ())
    assert is_finished(step.state)


def test_partial_settlements_add_up_until_the_instruction_is_complete() -> None:
    step = run(SETTLEMENT, settled(30, partial="PAIN"), settled(30, partial="PAIN"))
    assert headline(step.state) == "partially_settled"
    assert [c.after for c in step.changes] == ["partially_settled", "partially_settled"]
    assert not is_finished(step.state)
    done = apply(step.state, settled(40, partial="PARC"), evidence(3, 3))
    assert (headline(done.state), done.alerts, done.state.breaks) == ("settled", (), ())


def test_parts_that_add_up_settle_without_a_last_one_being_named() -> None:
    assert headline(run(SETTLEMENT, settled(60, partial="PAIN"), settled(40, partial="PAIN")).state) == "settled"


def test_a_confirmation_without_indicator_of_less_than_instructed_is_a_part_and_a_break() -> None:
    step = run(SETTLEMENT, settled(60))
    assert headline(step.state) == "partially_settled"
    assert codes(step) == ["settlement_break"]
    assert [d.field for d in step.state.breaks] == ["amount", "quantity"]


def test_settling_beyond_the_instruction_is_recorded_and_alerted_by_quantity_and_amount() -> None:
    step = run(SETTLEMENT, settled(60, partial="PAIN"), settled(60, partial="PAIN"))
    assert codes(step) == ["settled_beyond_instruction", "settled_beyond_instruction", "settlement_break"]
    assert [(d.field, d.instructed, d.confirmed) for d in step.state.breaks] == [
        ("settled_amount", "1000.00", "1200"),
        ("settled_quantity", "100", "120"),
    ]
    assert len(step.state.parts) == 2


def test_a_sum_within_the_amount_tolerance_is_no_break() -> None:
    terms = replace(TERMS, amount_tolerance=Decimal(2))
    fact = settled(100, "1001.50")
    step = advance(SETTLEMENT, fact, evidence(1, 1), terms, compare(terms, fact))
    assert (step.alerts, step.state.breaks) == ((), ())


def test_a_break_names_the_fields_that_differ() -> None:
    step = run(SETTLEMENT, settled(100, "999.99", settlement_date=date(2026, 1, 8), safekeeping_account="ACC2"))
    assert [d.field for d in step.state.breaks] == ["amount", "safekeeping_account", "settlement_date"]
    assert codes(step) == ["settlement_break"]
    for name in ("amount", "safekeeping_account", "settlement_date"):
        assert name in step.alerts[0].text
    assert headline(step.state) == "settled"


def test_a_last_part_before_the_earlier_ones_leaves_a_break_until_they_come() -> None:
    early = run(SETTLEMENT, settled(40, partial="PARC"))
    assert headline(early.state) == "settled"
    assert [d.field for d in early.state.breaks] == ["settled_amount", "settled_quantity"]
    assert apply(early.state, settled(60, partial="PAIN"), evidence(2, 0)).state.breaks == ()


def test_the_same_confirmation_under_another_message_counts_once() -> None:
    fact = settled(60, partial="PAIN", confirmation_id="C1")
    step = run(SETTLEMENT, fact, fact)
    assert (len(step.state.parts), step.alerts) == (1, ())


def test_the_same_confirmation_identification_with_other_content_is_alerted_and_not_counted() -> None:
    step = run(
        SETTLEMENT, settled(60, partial="PAIN", confirmation_id="C1"), settled(40, partial="PARC", confirmation_id="C1")
    )
    assert codes(step) == ["confirmation_conflict"]
    assert headline(step.state) == "partially_settled"


@pytest.mark.parametrize("word", ["pending", "failing", "proprietary"])
@pytest.mark.parametrize("confirmation", [settled(), settled(60, partial="PAIN")])
def test_a_confirmation_is_never_undone_by_a_status(confirmation: SettlementConfirmation, word: str) -> None:
    state = run(SETTLEMENT, confirmation).state
    step = apply(state, StatusAdvice(settlement=StatusValue(word)), evidence(9, 9))
    assert value(step.state, "settlement") == value(state, "settlement")
    assert step.changes == ()


def test_a_failing_remainder_is_alerted() -> None:
    failing = StatusAdvice(settlement=StatusValue("failing", (Reason("LACK"),)))
    assert codes(run(SETTLEMENT, settled(60, partial="PAIN"), failing)) == ["remainder_failing"]
    assert codes(run(SETTLEMENT, settled(), failing)) == []


def test_a_reversal_undoes_the_confirmation_that_it_names_and_its_breaks() -> None:
    step = run(SETTLEMENT, settled(100, "900"), reversal("MSG1"))
    assert (headline(step.state), step.state.breaks) == ("reversed", ())
    assert not is_finished(step.state)
    again = apply(step.state, settled(), evidence(3, 3))
    assert headline(again.state) == "settled"
    assert again.alerts == ()


def test_a_reversal_of_one_part_leaves_the_other() -> None:
    state = run(SETTLEMENT, settled(60, partial="PAIN"), settled(40, partial="PARC"), reversal("MSG1")).state
    assert headline(state) == "partially_settled"
    assert sum(p.quantity.value for p in state.parts if p.quantity and not p.reversed) == 40


def test_a_reversal_before_its_confirmation_is_alerted_and_the_confirmation_never_counts() -> None:
    step = run(SETTLEMENT, reversal("C1"), settled(confirmation_id="C1"))
    assert codes(step) == ["reversal_without_confirmation"]
    assert headline(step.state) == "reversed"


def test_a_reversal_that_names_nothing_undoes_the_only_part_and_otherwise_none() -> None:
    assert headline(run(SETTLEMENT, settled(), reversal(None)).state) == "reversed"
    two = run(SETTLEMENT, settled(60, partial="PAIN"), settled(40, partial="PARC"), reversal(None))
    assert (headline(two.state), codes(two)) == ("settled", ["reversal_without_confirmation"])


def test_a_reversal_of_another_quantity_is_alerted() -> None:
    other = replace(reversal("MSG1"), settled_quantity=Quantity(Decimal(50), "unit"))
    assert codes(run(SETTLEMENT, settled(), other)) == ["reversal_differs"]


def test_after_a_reversal_a_newer_status_holds_and_an_older_one_does_not() -> None:
    failing = StatusAdvice(settlement=StatusValue("failing"))
    confirmed = apply(SETTLEMENT, settled(confirmation_id="C1"), evidence(1, 1)).state
    for minute, word in ((5, "reversed"), (7, "failing")):
        state = apply(confirmed, failing, evidence(2, minute)).state
        assert headline(apply(state, reversal("C1"), evidence(3, 6)).state) == word


def test_a_pre_confirmation_settles_nothing() -> None:
    step = run(SETTLEMENT, settled(pre_confirmation="PRCA"))
    assert (step.state.parts, codes(step), headline(step.state)) == ((), ["pre_confirmation"], "sent")


@pytest.mark.parametrize("answer", ["accepted", "pending", "repair", "rejected", "denied", "cancelled", "proprietary"])
def test_a_cancellation_is_requested_and_then_answered(answer: str) -> None:
    asked = ask(SETTLEMENT)
    assert [(c.axis, c.before, c.after) for c in asked.changes] == [("cancellation", None, "requested")]
    # The servicer's clock may be behind ours: its answer is not older than our request.
    step = apply(asked.state, RequestAdvice("cancellation", StatusValue(answer)), evidence(1, -60))
    assert (value(step.state, "cancellation"), step.alerts) == (answer, ())
    assert is_finished(step.state) == (answer == "cancelled")


def test_a_refused_cancellation_may_be_requested_again_and_late_answers_to_the_first_do_not_count() -> None:
    denied = apply(ask(SETTLEMENT).state, RequestAdvice("cancellation", StatusValue("denied")), evidence(2, 5)).state
    assert ask(denied) == Advance(denied)  # the first request, replayed
    again = ask(denied, "EVENT2").state
    assert value(again, "cancellation") == "requested"
    assert (
        value(apply(again, RequestAdvice("cancellation", StatusValue("pending")), evidence(3, 4)).state, "cancellation")
        == "requested"
    )
    assert (
        value(
            apply(again, RequestAdvice("cancellation", StatusValue("cancelled")), evidence(3, 6)).state, "cancellation"
        )
        == "cancelled"
    )


def ask_for(state: State, axis: str, asks: str, message: str, **more: Any) -> State:
    return request(state, axis, evidence(0, source=message), asks=asks, **more).state


def answer(state: State, axis: str, word: str, number: int, names: str | None = None) -> Advance:
    proof = replace(evidence(number, number), about=axis, names=names)
    return advance(state, RequestAdvice(axis, StatusValue(word)), proof, TERMS)


def test_an_instruction_is_held_released_and_held_again() -> None:
    state = begin(Dialogue.SETTLEMENT, {"hold": "held"})
    state = replace(state, delivery=Delivery.SENT)
    words = []
    for number, asks in enumerate(("release", "hold", "release"), start=1):
        state = ask_for(state, "condition_modification", asks, f"REQ{number}")
        assert value(state, "condition_modification") == "requested"
        state = answer(state, "condition_modification", "accepted", 2 * number).state
        assert value(state, "hold") == ("held", "released")[not number % 2]  # nothing is done yet
        state = answer(state, "condition_modification", "completed", 2 * number + 1).state
        words.append(value(state, "hold"))
    assert words == ["released", "held", "released"]
    assert [asked.status.value for asked in (state.requests or {}).values()] == ["completed"] * 3


def test_each_request_has_a_life_of_its_own_and_the_axis_shows_the_latest() -> None:
    state = ask_for(SETTLEMENT, "condition_modification", "hold", "REQ1")
    state = ask_for(state, "condition_modification", "release", "REQ2")  # before the first is answered
    step = answer(state, "condition_modification", "rejected", 1, names="REQ1")
    assert value(step.state, "condition_modification") == "requested"
    assert [(c.axis, c.before, c.after, c.request) for c in step.changes] == [
        ("condition_modification", "requested", "rejected", "REQ1")
    ]
    step = answer(step.state, "condition_modification", "completed", 2, names="REQ2")
    assert value(step.state, "condition_modification") == "completed"
    assert value(step.state, "hold") == "released"
    assert {name: asked.status.value for name, asked in (step.state.requests or {}).items()} == {
        "REQ1": "rejected",
        "REQ2": "completed",
    }
    with pytest.raises(IllegalTransition, match="condition_modification: no way from completed to pending"):
        answer(step.state, "condition_modification", "pending", 3, names="REQ2")


def test_an_older_word_on_an_earlier_request_changes_nothing() -> None:
    state = ask_for(SETTLEMENT, "condition_modification", "hold", "REQ1")
    state = ask_for(state, "condition_modification", "release", "REQ2")
    denied = answer(state, "condition_modification", "denied", 5, names="REQ1").state
    again = answer(denied, "condition_modification", "accepted", 4, names="REQ1")
    assert (again.changes, (again.state.requests or {})["REQ1"].status.value) == ((), "denied")


def test_a_done_modification_changes_what_confirmations_are_compared_with() -> None:
    modified = replace(TERMS, quantity=Quantity(Decimal(80), "unit"), amount=Amount(Decimal(800), "EUR"))
    state = ask_for(SETTLEMENT, "modification", "modify", "MOD1", terms=modified)
    assert terms_in_force(state, TERMS) == TERMS
    assert headline(state) == "modification_requested"
    state = answer(state, "modification", "modified", 1).state
    assert terms_in_force(state, TERMS) == modified
    done = apply(state, settled(80, confirmation_id="C1"), evidence(2, 2))
    assert value(done.state, "settlement") == "settled"


def test_a_status_advice_answers_an_open_query() -> None:
    state = ask_for(SETTLEMENT, "status_query", "status_query", "QRY1")
    told = apply(state, StatusAdvice(matching=StatusValue("matched")), evidence(1, 1)).state
    assert (value(told, "status_query"), value(told, "matching")) == ("answered", "matched")
    assert value(ask_for(told, "status_query", "status_query", "QRY2"), "status_query") == "requested"
    refused = answer(state, "status_query", "rejected", 1)
    assert value(refused.state, "status_query") == "rejected"
    # That status may have come by itself: the query can still be refused.
    assert value(answer(told, "status_query", "rejected", 2).state, "status_query") == "rejected"


def test_nothing_is_asked_of_what_was_cancelled_or_never_left() -> None:
    cancelled = apply(SETTLEMENT, StatusAdvice(processing=StatusValue("cancelled")), evidence(1, 1)).state
    withdrawn = State(Dialogue.SETTLEMENT, Delivery.WITHDRAWN)
    for state, axis in product((cancelled, withdrawn), ("condition_modification", "modification", "status_query")):
        with pytest.raises(IllegalTransition, match=f"{axis}: no way from cancelled to requested"):
            ask_for(state, axis, "hold", "REQ1")


def test_a_technical_rejection_of_a_request_is_of_the_request() -> None:
    state = ask_for(SETTLEMENT, "condition_modification", "hold", "REQ1")
    proof = replace(evidence(1, 1), about="condition_modification", names="REQ1")
    step = advance(state, MessageRejection("REQ1", "FORMAT"), proof, TERMS)
    assert (value(step.state, "condition_modification"), value(step.state, "processing")) == ("rejected", None)


def test_requesting_an_open_cancellation_again_changes_nothing_and_a_closed_one_is_refused() -> None:
    asked = ask(SETTLEMENT).state
    assert ask(asked) == Advance(asked)
    again = ask(asked, "EVENT2")  # upstream insists: it is sent, and the axis says requested already
    assert (again.changes, again.state.axes) == ((), asked.axes)
    assert list(again.state.requests or {}) == ["EVENT1", "EVENT2"]
    for closed in (
        apply(asked, RequestAdvice("cancellation", StatusValue("cancelled")), evidence(1, 1)).state,
        apply(SETTLEMENT, StatusAdvice(processing=StatusValue("cancelled")), evidence(1, 1)).state,
        withdraw(State(Dialogue.SETTLEMENT)).state,
    ):
        with pytest.raises(IllegalTransition, match="cancellation: no way from cancelled to requested"):
            ask(closed, "EVENT2")
    ways = {(b, a) for cause, b, a in WAYS[Dialogue.SETTLEMENT, "cancellation"] if cause == REQUEST}
    for before in ("accepted", "pending", "repair"):
        assert (before, "requested") not in ways
        with pytest.raises(IllegalTransition, match=f"no way from {before} to requested"):
            ask(standing_at(Dialogue.SETTLEMENT, "cancellation", before))


def test_an_answer_to_a_cancellation_that_was_not_requested_is_applied_and_alerted() -> None:
    step = apply(SETTLEMENT, RequestAdvice("cancellation", StatusValue("cancelled")), evidence(1, 1))
    assert (headline(step.state), codes(step)) == ("cancelled", ["request_not_made"])


def test_cancellation_and_settlement_crossing_is_an_alert_in_either_order() -> None:
    cancelled = StatusAdvice(processing=StatusValue("cancelled", (Reason("CANS"),)))
    for facts in ((cancelled, settled()), (settled(), cancelled)):
        step = run(SETTLEMENT, *facts)
        assert (headline(step.state), codes(step)) == ("settled", ["cancellation_crossed_settlement"])
    asked = ask(SETTLEMENT).state
    assert codes(apply(asked, settled(), evidence(1, 1))) == ["cancellation_crossed_settlement"]
    assert codes(ask(run(SETTLEMENT, settled()).state)) == ["cancellation_crossed_settlement"]


def test_a_remainder_may_be_cancelled_after_a_part_has_settled() -> None:
    step = run(SETTLEMENT, settled(60, partial="PAIN"), StatusAdvice(processing=StatusValue("cancelled")))
    assert (headline(step.state), step.alerts, is_finished(step.state)) == ("partially_settled", (), True)


def test_a_settlement_of_what_was_rejected_is_alerted() -> None:
    step = run(SETTLEMENT, StatusAdvice(processing=StatusValue("rejected")), settled())
    assert (headline(step.state), codes(step)) == ("settled", ["rejection_crossed_settlement"])


def test_only_what_has_not_left_can_be_withdrawn() -> None:
    assert headline(withdraw(State(Dialogue.SETTLEMENT)).state) == "withdrawn"
    assert is_finished(withdraw(State(Dialogue.CONFIRMATION, Delivery.PARKED)).state)
    for delivery in (Delivery.SENDING, Delivery.IN_DOUBT, Delivery.SENT):
        with pytest.raises(IllegalTransition, match=f"no way from {delivery} to withdrawn"):
            withdraw(State(Dialogue.SETTLEMENT, delivery))


@pytest.mark.parametrize("state", [SETTLEMENT, TRADE_CONFIRMATION], ids=["settlement", "confirmation"])
def test_a_technical_rejection_rejects_the_message_that_it_names(state: State) -> None:
    fact = MessageRejection("MSG", "SCHEMA", "element missing", "/Document/X")
    step = apply(state, fact, evidence(1, None, about=state.dialogue))
    assert (headline(step.state), is_finished(step.state)) == ("rejected", True)
    assert step.changes[0].reasons == (Reason(None, "SCHEMA", "technical rejection at /Document/X: element missing"),)
    asked = apply(ask(state).state, fact, evidence(1, None, about="cancellation")).state
    assert (value(asked, "cancellation"), value(asked, "processing")) == ("rejected", None)


def test_a_technical_rejection_of_what_was_answered_is_alerted() -> None:
    step = run(SETTLEMENT, StatusAdvice(processing=StatusValue("accepted")), MessageRejection("MSG", "DUPL"))
    assert codes(step) == ["rejected_after_answer"]


def test_a_trade_confirmation_is_matched_and_affirmed_or_refused_with_reasons() -> None:
    step = run(
        TRADE_CONFIRMATION,
        ConfirmationStatus(processing=StatusValue("accepted"), matching=StatusValue("unmatched", (Reason("NMAT"),))),
        ConfirmationStatus(matching=StatusValue("matched")),
        ConfirmationAnswer(StatusValue("disaffirmed", (Reason("NAFF"),))),
    )
    assert headline(step.state) == "disaffirmed"
    assert step.changes[-1].reasons == (Reason("NAFF"),)
    affirmed = apply(step.state, ConfirmationAnswer(StatusValue("affirmed")), evidence(9, 9)).state
    assert (headline(affirmed), is_finished(affirmed)) == ("affirmed", True)
    late = ConfirmationStatus(cancellation=StatusValue("cancelled"))
    assert headline(apply(affirmed, late, evidence(10, 10)).state) == "cancelled"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({}, "sent"),
        ({"processing": "accepted"}, "accepted"),
        ({"processing": "pending"}, "pending"),
        ({"processing": "accepted", "inferred_matching": "matched"}, "matched"),
        ({"inferred_matching": "matched", "matching": "unmatched"}, "unmatched"),
        ({"matching": "matched", "settlement": "pending"}, "matched"),
        ({"matching": "matched", "settlement": "failing"}, "failing"),
        ({"processing": "rejected", "matching": "matched"}, "rejected"),
        ({"processing": "cancelled", "settlement": "failing"}, "cancelled"),
        ({"processing": "cancellation_pending"}, "cancellation_pending"),
        ({"settlement": "pending"}, "pending"),
    ],
)
def test_the_headline_tells_the_most_telling_axis(said: dict[str, str], word: str) -> None:
    fact = StatusAdvice(**{axis: StatusValue(status) for axis, status in said.items()})
    assert headline(run(SETTLEMENT, fact).state) == word


def test_every_state_has_a_headline() -> None:
    for (dialogue, axis), values in VALUES.items():
        for at, delivery in product(values, Delivery):
            assert headline(replace(standing_at(dialogue, axis, at), delivery=delivery))


# A counterparty's side of one instruction: any of these messages may be late, lost, doubled or overtaken.
_CONFIRMATIONS = [
    settled(60, partial="PAIN", confirmation_id="C1"),
    settled(50, partial="PAIN", confirmation_id="C2"),
    settled(40, partial="PARC", confirmation_id="C3"),
    settled(100, "990", confirmation_id="C4"),
    settled(30, confirmation_id="C5", safekeeping_account="OTHER"),
    reversal("C1"),
    reversal("C3"),
    reversal("C4"),
]
_WORDS = {
    "processing": ("accepted", "pending", "repair", "modification_requested", "proprietary"),
    "inferred_matching": ("matched", "unmatched"),
    "matching": ("matched", "unmatched", "proprietary"),
    "settlement": ("pending", "failing", "proprietary"),
}
_statuses = st.fixed_dictionaries({}, optional={axis: st.sampled_from(words) for axis, words in _WORDS.items()}).map(
    lambda said: StatusAdvice(**{axis: StatusValue(word) for axis, word in said.items()})
)
_cancellations = st.sampled_from(["accepted", "pending", "denied", "rejected"]).map(
    lambda word: RequestAdvice("cancellation", StatusValue(word))
)
# A confirmation and its reversal are one message each; what repeats them, repeats that message.
_replies = st.lists(
    st.one_of(st.sampled_from(_CONFIRMATIONS), _statuses, _cancellations),
    min_size=1,
    max_size=9,
    unique_by=lambda fact: fact if isinstance(fact, SettlementConfirmation) else object(),
)


def settle_down(facts: list[Fact], order: list[int], minutes: list[int]) -> State:
    """Apply replies in an order; each has its own time and source, repeats have a new archive number."""
    state = SETTLEMENT
    for archive_id, index in enumerate(order, start=1):
        state = apply(state, facts[index], evidence(archive_id, minutes[index], source=f"SOURCE{index}")).state
    return state


def in_essence(state: State) -> object:
    """Leave out what records the order of arrival: archive numbers and the order of parts."""
    axes = {name: (axis.status, axis.asserted_at) for name, axis in (state.axes or {}).items()}
    # A reversal that came first leaves a part without a quantity; what counts is that it does not count.
    parts = {
        (part.confirmation_id, part.reversed, None if part.reversed else (part.quantity, part.amount, part.differences))
        for part in state.parts
    }
    return axes, parts, state.breaks, state.delivery, headline(state), is_finished(state)


@st.composite
def _interleavings(draw: st.DrawFn) -> tuple[list[Fact], list[int], list[int]]:
    facts = draw(_replies)
    order = draw(st.permutations(range(len(facts))))
    repeats = draw(st.lists(st.sampled_from(range(len(facts))), max_size=4))
    for index in repeats:
        order.insert(draw(st.integers(0, len(order))), index)
    minutes = draw(st.permutations(range(len(facts))))
    return facts, order, list(minutes)


@settings(max_examples=200)
@given(_interleavings())
def test_any_order_and_repetition_of_replies_ends_in_the_same_state(
    drawn: tuple[list[Fact], list[int], list[int]],
) -> None:
    facts, order, minutes = drawn
    in_time = sorted(range(len(facts)), key=minutes.__getitem__)
    expected = settle_down(facts, in_time, minutes)
    assert in_essence(settle_down(facts, order, minutes)) == in_essence(expected)


@settings(max_examples=100)
@given(_interleavings())
def test_sums_never_count_a_confirmation_twice_or_one_that_was_reversed(
    drawn: tuple[list[Fact], list[int], list[int]],
) -> None:
    facts, order, minutes = drawn
    state = settle_down(facts, order, minutes)
    confirmed = {
        f.confirmation_id: f.settled_quantity for f in facts if isinstance(f, SettlementConfirmation) and not f.reversal
    }
    undone = {f.confirmation_id for f in facts if isinstance(f, SettlementConfirmation) and f.reversal}
    expected = {name: quantity for name, quantity in confirmed.items() if name not in undone}
    assert {p.confirmation_id: p.quantity for p in state.parts if not p.reversed} == expected
    assert len({p.confirmation_id for p in state.parts}) == len(state.parts)


@settings(max_examples=100)
@given(_interleavings())
def test_every_move_is_a_way_of_the_table_and_every_alert_has_its_meaning(
    drawn: tuple[list[Fact], list[int], list[int]],
) -> None:
    facts, order, minutes = drawn
    state = SETTLEMENT
    causes = {way[1:] for place, ways in WAYS.items() if place[0] is Dialogue.SETTLEMENT for way in ways}
    for archive_id, index in enumerate(order, start=1):
        step = apply(state, facts[index], evidence(archive_id, minutes[index], source=f"SOURCE{index}"))
        for change in step.changes:
            assert change.before == change.after or (change.before or NOTHING, change.after) in causes
        assert {alert.code for alert in step.alerts} <= set(ALERTS)
        assert all(alert.text.startswith(ALERTS[alert.code]) for alert in step.alerts)
        state = step.state


@settings(max_examples=100)
@given(_interleavings())
def test_the_state_survives_json(drawn: tuple[list[Fact], list[int], list[int]]) -> None:
    state = settle_down(*drawn)
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


def test_confirmations_reach_every_way_that_the_table_draws_for_them() -> None:
    drawn = {
        (before, after) for cause, before, after in WAYS[Dialogue.SETTLEMENT, "settlement"] if cause == CONFIRMATION
    }
    walked = set()
    for before in (NOTHING, "pending", "failing", "proprietary", "reversed", "partially_settled"):
        for fact in (settled(30, partial="PAIN"), settled(100)):
            start = standing_at(Dialogue.SETTLEMENT, "settlement", before)
            walked.add((before, value(apply(start, fact, evidence(1, 1)).state, "settlement")))
    assert drawn == {(before, after) for before, after in walked if before != after}


def test_the_lifecycle_page_is_current() -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "lifecycle.md"
    assert page.read_text(encoding="utf-8") == lifecycle_page(), "write lifecycle_page() to docs/lifecycle.md"
