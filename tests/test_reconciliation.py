"""The comparison itself: what agrees gives no difference, what does not gives one for each field, with both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import reconciliation as compare
from gateway.model.facts import (
    Amount,
    Axis,
    CashBalance,
    CashEntry,
    Delivery,
    Part,
    Position,
    Quantity,
    State,
    Statement,
    StatusValue,
    Terms,
    TransactionEntry,
)
from gateway.model.transitions import ALERTS, Dialogue

ISIN, OTHER_ISIN = "DE0007164600", "FR0000131104"
AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOTHING = Decimal(0)

quantities = st.decimals(min_value="0.00001", max_value="1e12", places=5)
amounts = st.decimals(min_value="0.01", max_value="1e12", places=2)
matching_words = st.sampled_from(["matched", "unmatched"])
settlement_words = st.sampled_from(["pending", "failing"])


def terms(quantity: Decimal = Decimal(500), amount: Decimal = Decimal("61234.56"), **changes: Any) -> Terms:
    own = Terms(
        movement="deliver",
        payment="against",
        isin=ISIN,
        quantity=Quantity(quantity, "unit"),
        amount=Amount(amount, "EUR"),
        trade_date=date(2026, 3, 2),
        settlement_date=date(2026, 3, 4),
        safekeeping_account="CUST-4711",
    )
    return replace(own, **changes)


def held(own: Terms, *, finished: bool = False, parts: tuple[Part, ...] = (), **axes: str) -> compare.Held:
    said = {name: Axis(StatusValue(word), AT, number) for number, (name, word) in enumerate(axes.items(), 1)}
    state = State(Dialogue.SETTLEMENT, Delivery.SENT, said or None, parts)
    headline = axes.get("settlement") or axes.get("matching") or "sent"
    return compare.Held("OURS1", Dialogue.SETTLEMENT, headline, finished, state, own)


def entry(own: Terms, **changes: Any) -> TransactionEntry:
    """Return what a servicer that holds the same would list."""
    stated = TransactionEntry(
        account_owner_transaction_id="OURS1",
        movement=own.movement,
        payment=own.payment,
        isin=own.isin,
        quantity=own.quantity,
        amount=own.amount,
        trade_date=own.trade_date,
        settlement_date=own.settlement_date,
    )
    return replace(stated, **changes)


@given(quantities, amounts, matching_words, settlement_words)
def test_a_pending_transaction_as_it_is_held_here_is_no_difference(
    quantity: Decimal, amount: Decimal, matching: str, settlement: str
) -> None:
    own = terms(quantity, amount)
    stated = entry(own, matching=StatusValue(matching), settlement=StatusValue(settlement))
    assert compare.compare_pending(stated, held(own, matching=matching, settlement=settlement), AT, NOTHING) == []


@pytest.mark.parametrize(
    ("field", "theirs"),
    [
        ("isin", OTHER_ISIN),
        ("movement", "receive"),
        ("payment", "free"),
        ("trade_date", date(2026, 3, 3)),
        ("settlement_date", date(2026, 3, 5)),
        ("quantity", Quantity(Decimal(501), "unit")),
        ("quantity", Quantity(Decimal(500), "face_amount")),
        ("amount", Amount(Decimal("61234.57"), "EUR")),
        ("amount", Amount(Decimal("61234.56"), "USD")),
        ("matching", StatusValue("unmatched")),
        ("settlement", StatusValue("failing")),
    ],
)
def test_one_changed_field_is_one_difference_of_that_name(field: str, theirs: object) -> None:
    own = terms()
    stated = replace(entry(own, matching=StatusValue("matched"), settlement=StatusValue("pending")), **{field: theirs})
    [found] = compare.compare_pending(stated, held(own, matching="matched", settlement="pending"), AT, NOTHING)
    assert (found.field, found.subject, found.transaction_id) == (field, "OURS1", "OURS1")
    assert found.ours != found.theirs
    assert found.code in ALERTS


@given(st.decimals(min_value=0, max_value=4, places=2), st.decimals(min_value=0, max_value=2, places=2))
def test_an_amount_within_the_tolerance_is_no_difference(off: Decimal, tolerance: Decimal) -> None:
    own = terms()
    stated = entry(own, amount=Amount(Decimal("61234.56") + off, "EUR"))
    found = compare.compare_pending(stated, held(own), AT, tolerance)
    assert bool(found) is (off > tolerance)


def test_an_older_statement_does_not_contradict_a_newer_status() -> None:
    own = terms()
    stated = entry(own, matching=StatusValue("unmatched"))
    assert compare.compare_pending(stated, held(own, matching="matched"), AT - timedelta(seconds=1), NOTHING) == []
    assert compare.compare_pending(stated, held(own, matching="matched"), AT, NOTHING) != []


def test_the_rest_of_what_settled_in_parts_is_pending_without_a_difference() -> None:
    own = terms()
    stated = entry(own, quantity=Quantity(Decimal(300), "unit"), settlement=StatusValue("pending"))
    assert compare.compare_pending(stated, held(own, settlement="partially_settled"), AT, NOTHING) == []


@given(st.lists(quantities, min_size=1, max_size=5))
def test_a_posting_of_any_part_or_of_all_parts_is_no_difference(shares: list[Decimal]) -> None:
    own = terms(sum(shares, Decimal(0)))
    parts = tuple(
        [Part(f"C{n}", n, Quantity(value, "unit"), None, asserted_at=AT) for n, value in enumerate(shares, 1)]
    )
    here = held(own, parts=parts, settlement="settled", finished=True)
    for value in (*shares, sum(shares, Decimal(0))):
        stated = entry(own, quantity=Quantity(value, "unit"), amount=None)
        assert compare.compare_posting(stated, here, NOTHING) == []
    stated = entry(own, quantity=Quantity(sum(shares, Decimal(1)), "unit"), amount=None)
    assert [one.field for one in compare.compare_posting(stated, here, NOTHING)] == ["quantity"]


def test_a_reversed_part_is_not_settled_here() -> None:
    own = terms()
    undone = Part("C1", 1, own.quantity, own.amount, reversed=True, asserted_at=AT)
    [found] = compare.compare_posting(entry(own), held(own, parts=(undone,), settlement="reversed"), NOTHING)
    assert (found.code, found.ours) == ("statement_settled_there", "reversed")


def test_what_names_nothing_of_ours_and_is_like_nothing_is_passed_over() -> None:
    unnamed = entry(terms(), account_owner_transaction_id="NONREF")
    assert compare.compare_posting(unnamed, None, NOTHING) == []
    assert compare.compare_pending(unnamed, None, AT, NOTHING) == []
    assert compare.compare_movement(unnamed, None) == []


# Holdings and balances ------------------------------------------------------------------------------------------------

securities = st.sampled_from([ISIN, OTHER_ISIN, "US0378331005"])
signed = st.decimals(min_value=-(10**9), max_value=10**9, places=3)


def positions(quantities: dict[str, Decimal]) -> list[Position]:
    return [Position("CUST-4711", isin, "held", value, "unit") for isin, value in quantities.items()]


@given(st.dictionaries(securities, signed), st.dictionaries(securities, signed))
def test_holdings_that_changed_by_what_settled_here_agree_and_any_other_change_is_named(
    before: dict[str, Decimal], moved: dict[str, Decimal]
) -> None:
    now = {isin: before.get(isin, NOTHING) + moved.get(isin, NOTHING) for isin in before.keys() | moved.keys()}
    settled = {("CUST-4711", isin): value for isin, value in moved.items()}
    assert compare.compare_holdings(positions(before), positions(now), settled, complete=True) == []
    for isin, value in now.items():
        off = positions({**now, isin: value + 1})
        [found] = compare.compare_holdings(positions(before), off, settled, complete=True)
        assert (found.subject, found.code) == (isin, "statement_holding_differs")


def test_what_a_complete_statement_leaves_out_is_not_held_and_a_delta_says_nothing_of_it() -> None:
    before = positions({ISIN: Decimal(5)})
    assert len(compare.compare_holdings(before, [], {}, complete=True)) == 1
    assert compare.compare_holdings(before, [], {}, complete=False) == []


def test_lines_of_one_security_add_up_and_one_without_an_account_is_of_all_of_them() -> None:
    lines = [Position("", ISIN, "held", Decimal(value), "unit") for value in (2, 3)]
    settled = {("A", ISIN): Decimal(4), ("B", ISIN): Decimal(1)}
    assert compare.compare_holdings([], lines, settled, complete=True) == []


def test_movements_count_what_settled_between_the_days_and_was_not_undone() -> None:
    def part(number: int, value: int, day: int, *, undone: bool = False) -> Part:
        at = datetime(2026, 3, day, 9, tzinfo=UTC)
        return Part(f"C{number}", number, Quantity(Decimal(value), "unit"), None, undone, at)

    delivered = held(terms(), parts=(part(1, 100, 3), part(2, 200, 4), part(3, 50, 4, undone=True)))
    received = held(terms(movement="receive"), parts=(part(4, 30, 5), part(5, 7, 6)))
    found = compare.movements([delivered, received], date(2026, 3, 3), date(2026, 3, 5))
    assert found == {("CUST-4711", ISIN): Decimal(-170)}


money = st.decimals(min_value=0, max_value=10**9, places=2)
sides = st.sampled_from(["credit", "debit"])


@given(money, sides, st.lists(st.tuples(money, sides), max_size=6))
def test_a_cash_statement_whose_entries_make_the_difference_of_its_balances_agrees(
    opening: Decimal, side: str, booked: list[tuple[Decimal, str]]
) -> None:
    total = sum((value if way == "credit" else -value for value, way in [*booked, (opening, side)]), Decimal(0))

    def statement(closing: Decimal) -> Statement:
        return Statement(
            "cash_account",
            balances=(
                CashBalance("OPBD", Amount(opening, "EUR"), side),
                CashBalance("CLBD", Amount(abs(closing), "EUR"), "debit" if closing < 0 else "credit"),
            ),
            entries=(
                *(CashEntry(Amount(value, "EUR"), way, status="BOOK") for value, way in booked),
                CashEntry(Amount(Decimal(1), "EUR"), "credit", status="PDNG"),
            ),
        )

    assert compare.compare_balances(statement(total), []) == []
    [found] = compare.compare_balances(statement(total + 1), [])
    assert (found.subject, found.field) == ("EUR", "closing_balance")
