"""Cash penalties: days, sides, rates and assumptions; figures worked out by hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from gateway.calendar import calendar_named
from gateway.cli.penalties import penalties
from gateway.config import PenaltySettings
from gateway.errors import ConfigError
from gateway.lifecycle import begin
from gateway.messages.data_files import read_tables
from gateway.model.facts import Amount, Axis, Quantity, Reason, StatusValue, Terms
from gateway.model.transitions import Dialogue
from gateway.penalties import CLASSES, Fail, Instrument, Rate, Rates, estimate, fail_of, totals
from gateway.store import Ledger
from tests.loops import MATCHED, Loops, instruct, settings_for, settled, status, transaction

TABLE = read_tables("penalties", ".txt")["rates.txt"]
TARGET = calendar_named("TARGET")
MONDAY, TUESDAY, WEDNESDAY = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)
ISIN = "DE0007164600"

FAIL = Fail(
    transaction_id="TX1",
    movement="deliver",
    payment="against",
    isin=ISIN,
    settlement_date=MONDAY,
    matched_on=date(2026, 2, 27),
    instructed_on=date(2026, 2, 26),
    quantity=Decimal(5000),
    quantity_type="unit",
    settled_quantity=Decimal(0),
    amount=Decimal(120_000),
    currency="EUR",
    failing=("us",),
    reasons=("LACK",),
)


def rates(price: str | None = "25", kind: Any = "sme", discount: str = "0.25", **changes: Any) -> Rates:
    known = Instrument(kind, None if price is None else Decimal(price), "EUR")
    own = [Rate("cash", "EUR", date(2020, 1, 1), Decimal(discount))]
    return Rates(TABLE, own, {ISIN: known}, **changes)


def amounts(fail: Fail, until: date, known: Rates) -> list[tuple[str, str, Decimal | None]]:
    return [(one.kind, one.failing, one.amount) for one in estimate(fail, until, TARGET, known)]


# Figures --------------------------------------------------------------------------------------------------------------


def test_a_lack_of_securities_costs_the_rate_of_the_security_each_business_day_rounded_up() -> None:
    # 0.25 basis points of 5,000 at 25 are 3.125; at 27 they are 3.375
    assert amounts(FAIL, MONDAY, rates("25")) == [("SEFP", "us", Decimal("3.13"))]
    assert amounts(FAIL, MONDAY, rates("27")) == [("SEFP", "us", Decimal("3.38"))]
    assert len(estimate(FAIL, date(2026, 3, 9), TARGET, rates())) == 6  # the weekend costs nothing


def test_a_lack_of_cash_costs_a_day_of_the_central_banks_rate() -> None:
    # 0.25 % / 360 of 125,000 are 0.868; of 135,000 they are 0.9375
    fail = replace(FAIL, movement="receive")
    assert amounts(fail, MONDAY, rates("25")) == [("SEFP", "us", Decimal("0.87"))]
    assert amounts(fail, MONDAY, rates("27")) == [("SEFP", "us", Decimal("0.94"))]
    assert amounts(fail, MONDAY, rates(discount="-0.5")) == [("SEFP", "us", Decimal("0.00"))]  # never below zero


@pytest.mark.parametrize(
    ("movement", "payment", "failing", "basis"),
    [
        ("deliver", "against", "us", "security"),
        ("deliver", "against", "counterparty", "cash"),
        ("receive", "against", "us", "cash"),
        ("receive", "against", "counterparty", "security"),
        ("receive", "free", "us", "security"),  # held by the receiver
        ("deliver", "free", "counterparty", "security"),
    ],
)
def test_what_the_failing_side_had_to_do_decides_the_rate(
    movement: str, payment: str, failing: Any, basis: str
) -> None:
    [found] = estimate(replace(FAIL, movement=movement, payment=payment, failing=(failing,)), MONDAY, TARGET, rates())
    assert found.basis == basis


def test_when_both_sides_hold_each_pays_its_own_penalty() -> None:
    both = replace(FAIL, failing=("us", "counterparty"))
    found = estimate(both, TUESDAY, TARGET, rates())
    assert [(one.failing, one.basis) for one in found] == [("us", "security"), ("counterparty", "cash")] * 2
    assert totals(found) == {("us", "EUR"): Decimal("6.26"), ("counterparty", "EUR"): Decimal("1.74")}


def test_a_late_match_costs_the_days_before_it_and_a_fail_those_from_it_on() -> None:
    late = replace(FAIL, matched_on=WEDNESDAY, instructed_on=TUESDAY)
    assert [(one.kind, one.day) for one in estimate(late, date(2026, 3, 5), TARGET, rates())] == [
        ("LMFP", MONDAY),
        ("LMFP", TUESDAY),
        ("SEFP", WEDNESDAY),
        ("SEFP", date(2026, 3, 5)),
    ]
    settled_that_day = replace(late, ended_on=WEDNESDAY)
    assert [one.kind for one in estimate(settled_that_day, date(2026, 3, 5), TARGET, rates())] == ["LMFP", "LMFP"]


def test_the_side_that_instructed_last_pays_for_the_late_match() -> None:
    [ours] = estimate(replace(FAIL, matched_on=TUESDAY, instructed_on=TUESDAY), MONDAY, TARGET, rates())
    [theirs] = estimate(replace(FAIL, matched_on=TUESDAY), MONDAY, TARGET, rates())
    assert (ours.failing, ours.basis) == ("us", "security")
    assert (theirs.failing, theirs.basis) == ("counterparty", "cash")
    [not_yet] = estimate(replace(FAIL, matched_on=None), MONDAY, TARGET, rates())
    assert (not_yet.kind, "not matched: it is due once it matches" in not_yet.assumptions) == ("LMFP", True)


@pytest.mark.parametrize(("place", "penalised"), [("DAKVDEFFXXX", True), ("DTCYUS33XXX", False), (None, True)])
def test_only_depositories_of_the_european_economic_area_penalise(place: str | None, penalised: bool) -> None:
    assert bool(estimate(replace(FAIL, place_of_settlement=place), MONDAY, TARGET, rates())) is penalised


def test_only_what_remains_is_failing() -> None:
    [found] = estimate(replace(FAIL, settled_quantity=Decimal(4000)), MONDAY, TARGET, rates())
    assert (found.quantity, found.value, found.amount) == (Decimal(1000), Decimal(25_000), Decimal("0.63"))
    assert "4000 of 5000 had settled before" in found.assumptions


def test_debt_is_valued_in_per_cent_of_its_face_amount() -> None:
    bond = replace(FAIL, quantity=Decimal(1_000_000), quantity_type="face_amount")
    [found] = estimate(bond, MONDAY, TARGET, rates("98.5", "sovereign"))
    assert (found.value, found.amount) == (Decimal(985_000), Decimal("9.85"))


# What is not known ----------------------------------------------------------------------------------------------------


def test_what_is_assumed_is_said() -> None:
    [found] = estimate(replace(FAIL, failing=(), reasons=(), matching_stated=False), MONDAY, TARGET, Rates(TABLE))
    assert found.amount == Decimal("12.00")  # 1 basis point of the settlement amount
    assert found.assumptions == (
        "matched in time: nobody has said when",
        "lack of securities: no reason does say who fails",
        f"class liquid_share: none is configured for {ISIN}",
        "the settlement amount stands in for the reference price: none is configured",
    )


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"payment": "free", "amount": None, "currency": None}, "no reference price"),
        ({"quantity": None}, "no quantity"),
        ({"movement": "receive", "currency": "XTS"}, "no rate for overnight credit in XTS"),
        ({"settlement_date": date(2020, 3, 2)}, "no rate is known for liquid_share on 2020-03-02"),
    ],
)
def test_without_what_nothing_stands_in_for_there_is_no_amount(changes: dict[str, Any], missing: str) -> None:
    fail = replace(FAIL, **{"matched_on": date(2020, 1, 1)} | changes)
    found = estimate(fail, fail.settlement_date, TARGET, Rates(TABLE))[0]
    assert found.amount is None
    assert any(missing in said for said in found.assumptions)


def test_every_class_has_a_rate_and_a_configured_rate_goes_before_it() -> None:
    day = date(2026, 3, 2)
    for kind in CLASSES:
        assert Rates(TABLE, (), {ISIN: Instrument(kind)}).security(FAIL, day, [])[0]
    configured = PenaltySettings.model_validate(
        {
            "instruments": [{"isin": ISIN, "instrument_class": "debt", "price": "10", "currency": "EUR"}],
            "security_rates": [{"instrument_class": "debt", "since": "2020-01-01", "basis_points": "0.3"}],
            "discount_rates": [{"currency": "EUR", "since": "2020-01-01", "percent": "3.6"}],
        }
    ).rates(TABLE)
    assert configured.security(FAIL, day, [])[0] == Decimal("0.00003")
    assert configured.cash(FAIL, day, [])[0] == Decimal("0.0001")


@pytest.mark.parametrize(
    ("day", "percent"), [("2022-02-01", "0.25"), ("2023-12-29", "4.75"), ("2025-06-10", "2.65"), ("2025-06-11", "2.40")]
)
def test_the_rate_for_cash_in_euro_is_that_of_the_day(day: str, percent: str) -> None:
    rate, _ = Rates(TABLE).cash(FAIL, date.fromisoformat(day), [])
    assert rate == round(Decimal(percent) / 100 / 360, 12)


@pytest.mark.parametrize(
    "line", ["security gold 2022-02-01 1", "cash EUR soon 1", "cash EUR 2022-02-01", "tax EUR 1 1"]
)
def test_a_line_of_rates_that_says_nothing_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        Rates(f"# rates\n{line}\n")


@given(
    st.sampled_from(["deliver", "receive"]),
    st.sampled_from(["against", "free"]),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    st.integers(0, 20),
    st.integers(-5, 15),
)
def test_each_business_day_has_one_kind_of_penalty_and_no_other_day_has_any(
    movement: str, payment: str, settles: date, days: int, matched: int
) -> None:
    until = TARGET.add_business_days(settles, days)
    fail = replace(
        FAIL,
        movement=movement,
        payment=payment,
        settlement_date=settles,
        matched_on=TARGET.add_business_days(settles, matched),
        failing=("us", "counterparty"),
    )
    found = estimate(fail, until, TARGET, rates())
    kinds = {one.day: {other.kind for other in found if other.day == one.day} for one in found}
    assert list(kinds) == [
        day
        for day in (date.fromordinal(number) for number in range(settles.toordinal(), until.toordinal() + 1))
        if TARGET.is_business_day(day)
    ]
    assert all(len(of_day) == 1 for of_day in kinds.values())
    assert all(one.amount is not None and one.amount >= 0 for one in found)


# Out of the ledger ----------------------------------------------------------------------------------------------------

TERMS = Terms("deliver", "against", ISIN, Quantity(Decimal(500), "unit"), Amount(Decimal(100), "EUR"), None, MONDAY)


@pytest.mark.parametrize(
    ("movement", "codes", "failing"),
    [
        ("deliver", ["LACK"], ("us",)),
        ("receive", ["LACK"], ("counterparty",)),
        ("receive", ["MONY"], ("us",)),
        ("deliver", ["CMON"], ("counterparty",)),
        ("receive", ["CLAC"], ("counterparty",)),
        ("deliver", ["PREA", "PRCY"], ("us", "counterparty")),
        ("deliver", ["PRCY", "LACK"], ("counterparty",)),  # a hold comes before a lack
        ("deliver", ["LATE"], ()),
    ],
)
def test_the_reasons_tell_who_fails(movement: str, codes: list[str], failing: tuple[str, ...]) -> None:
    said = StatusValue("failing", tuple(Reason(code) for code in codes))
    state = replace(begin(Dialogue.SETTLEMENT, {}), axes={"settlement": Axis(said, None, 1)})
    found = fail_of("TX1", replace(TERMS, movement=movement), state, MONDAY)
    assert found is not None
    assert (found.failing, found.reasons) == (failing, tuple(codes))


def test_our_own_hold_and_the_day_of_the_match_are_read_from_the_state() -> None:
    matched = Axis(StatusValue("matched"), datetime(2026, 3, 4, 9, tzinfo=UTC), 1)
    state = replace(begin(Dialogue.SETTLEMENT, {"hold": "held"}), axes=None)
    state = replace(state, axes={"hold": Axis(StatusValue("held"), None, 0), "matching": matched})
    found = fail_of("TX1", TERMS, state, MONDAY)
    assert found is not None
    assert (found.failing, found.matched_on) == (("us",), WEDNESDAY)


def call(app: Typer, *words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def failing(ledger_url: str) -> str:
    """Give a ledger with one instruction that fails, two that have settled, one of them late, and one to come."""

    async def go() -> None:
        ledger = await Ledger.open(ledger_url)
        loops = Loops(ledger, settings_for(ledger_url))
        await loops.take_in(instruct("FAILS"), instruct("SETTLES"), instruct("LATER", settlement_date="2026-03-20"))
        await loops.send()
        lacking = "<SttlmSts><Flng><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn></Flng></SttlmSts>"
        await loops.hear(status(MATCHED + lacking, transaction("FAILS")))
        await loops.hear(settled(transaction_id=transaction("SETTLES"), created_at="2026-03-04T11:00:00Z"))
        loops.time.now = datetime(2026, 3, 6, 12, tzinfo=UTC)
        late = settled(transaction_id=transaction("LATE"), identifier="SETTLED2", created_at="2026-03-06T11:00:00Z")
        await loops.take_in(instruct("LATE"))
        loops.crash()
        await loops.send()
        await loops.hear(late)
        await ledger.close()

    asyncio.run(go())
    return ledger_url


def test_fails_are_listed_with_what_they_cost_whom(failing: str) -> None:
    lines = call(penalties, "list", "--store", failing, "--on", "2026-03-05", "--json").stdout.splitlines()
    told, late = map(json.loads, lines)
    assert late["transaction_id"] == transaction("LATE")  # it settled on the 6th: on the 5th it was failing
    assert [one["day"] for one in late["penalties"]] == ["2026-03-04", "2026-03-05"]
    assert (told["transaction_id"], told["failing"], told["calendar"]) == (transaction("FAILS"), ["us"], "TARGET+T2S")
    assert [one["day"] for one in told["penalties"]] == ["2026-03-04", "2026-03-05"]
    assert told["penalties"][0]["amount"] == "6.13"  # 1 basis point of 61,234.56
    [line] = call(penalties, "list", "--store", failing, "--on", "2026-03-06", "--json").stdout.splitlines()
    assert json.loads(line)["transaction_id"] == transaction("FAILS")
    table = call(penalties, "list", "--store", failing, "--on", "2026-03-05").stdout
    assert "us 12.26 EUR" in table
    assert "nothing was failing" in call(penalties, "list", "--store", failing, "--on", "2026-03-03").stdout


def test_one_fail_is_shown_day_by_day_with_every_input(failing: str) -> None:
    shown = call(penalties, "show", transaction("FAILS"), "--store", failing, "--on", "2026-03-05").stdout
    assert "1.0 basis points a day, liquid_share" in shown
    assert "together: us 12.26 EUR" in shown
    assert "assumed: the settlement amount stands in for the reference price" in shown
    unknown = call(penalties, "show", "NOBODY", "--store", failing)
    assert (unknown.exit_code, "knows no instruction NOBODY" in unknown.stderr) == (1, True)
