"""The demo: a day whose end is known beforehand, an audit that notices what is wrong, and the command itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import psutil
import pytest

from gateway.bus import Record
from gateway.demo.audit import audit
from gateway.demo.course import read_tables
from gateway.demo.day import Day, content_of, make_day
from gateway.demo.upstream import Upstream
from gateway.errors import EventError, Violation
from gateway.model.events import parse_event
from gateway.model.facts import Amount, Change, Quantity
from gateway.model.reports import AxisReport, Cause, ExceptionEvent, StatusEvent, encode
from gateway.model.transitions import Dialogue
from gateway.simulator import BookEntry, Initiative, Outcome, Repeat
from gateway.simulator.tables import dialogues
from gateway.simulator.tables import read_tables as simulator_tables

TABLES = read_tables()
TODAY = date(2026, 3, 6)  # a Friday
NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
WRONG_BY_THEMSELVES = {"isin", "decimals", "field"}


# The day --------------------------------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_day() -> None:
    assert make_day(TABLES, 80, 3, TODAY) == make_day(TABLES, 80, 3, TODAY)
    assert make_day(TABLES, 80, 3, TODAY) != make_day(TABLES, 80, 4, TODAY)


@pytest.mark.parametrize("trades", [1, 7, 40, 300])
def test_a_day_has_as_many_trades_as_asked_for_and_every_course_where_there_is_room(trades: int) -> None:
    day = make_day(TABLES, trades, 1, TODAY)
    assert len(day.trades) == len({trade.trade_id for trade in day.trades}) == trades
    played = {trade.course.name for trade in day.trades}
    assert len(played) >= min(trades, len(TABLES.courses))


def test_events_are_valid_but_for_the_mistakes_made_on_purpose() -> None:
    for trade in make_day(TABLES, 400, 5, TODAY).trades:
        for act, event in zip(trade.course.acts, trade.happenings, strict=True):
            if isinstance(event, Initiative):
                continue
            content = content_of(event, NOW)
            if act.wrong in WRONG_BY_THEMSELVES or act.do == "bytes":
                with pytest.raises(EventError) as refused:
                    parse_event(content)
                label = f"{refused.value.code}:{refused.value.violations[0].code}"
                assert label in trade.course.parked + trade.course.strays
            else:
                parse_event(content)


def test_settlement_dates_are_business_days_of_the_market() -> None:
    terms = [
        first.terms if isinstance(first, Initiative) else first
        for first in (trade.happenings[0] for trade in make_day(TABLES, 400, 5, TODAY).trades)
    ]
    terms = [term | {"settlement_date": term["opening_date"]} if "opening_date" in term else term for term in terms]
    dates = {
        TABLES.markets[name].days: term["settlement_date"]
        for term in terms
        for name, securities in TABLES.securities.items()
        if term.get("isin") in {security.isin for security in securities}
    }
    assert dates == {1: "2026-03-09", 2: "2026-03-10"}


# The audit ------------------------------------------------------------------------------------------------------------


def one_trade() -> Day:
    settles = next(course for course in TABLES.courses if course.name == "settles")
    course = msgspec.structs.replace(settles, payment="against")
    return make_day(msgspec.structs.replace(TABLES, courses=(course,)), 1, 1, TODAY)


DAY = one_trade()
TRADE = DAY.trades[0]
(EXPECTED,) = TRADE.expected
EVENT = EXPECTED.event
QUANTITY = Quantity(value=Decimal(EVENT["quantity"]["value"]), type=EVENT["quantity"]["type"])
AMOUNT = Amount(Decimal(EVENT["settlement_amount"]["value"]), EVENT["settlement_amount"]["currency"])
ARRIVED = BookEntry(
    number=1,
    at=NOW,
    carrier_key="out/0/0",
    business_message_id="MESSAGE1",
    transaction_id=EXPECTED.transaction_id,
    message_definition="sese.023.001.12",
    dialogue="settlement",
    possible_duplicate=False,
    sha256="",
    valid=True,
    violations=(),
    terms={
        "movement": EVENT["movement"],
        "payment": EVENT["payment"],
        "isin": EVENT["isin"],
        "quantity": EVENT["quantity"]["value"] + ".0",
        "quantity_type": EVENT["quantity"]["type"],
        "amount": EVENT["settlement_amount"]["value"],
        "currency": EVENT["settlement_amount"]["currency"],
        "trade_date": EVENT["trade_date"],
        "settlement_date": EVENT["settlement_date"],
        "safekeeping_account": EVENT["safekeeping_account"],
        "common_id": "beside the point",
    },
    scenario="settled",
    repeat=None,
    outcome=Outcome({"settlement": "settled"}, QUANTITY.value, AMOUNT.value, 1),
)
SETTLED = StatusEvent(
    schema="settlement_status/1",
    status_id="S1",
    source=TRADE.source,
    trade_id=TRADE.trade_id,
    instruction_number=1,
    transaction_id=EXPECTED.transaction_id,
    counterparty=TRADE.counterparty,
    dialogue="settlement",
    occurred_at=NOW,
    action="reply_applied",
    headline="settled",
    delivery="sent",
    sequence=3,
    head_hash="00",
    cause=Cause("message", "M1"),
    changes=(Change("settlement", None, "settled"),),
    axes={"settlement": AxisReport("settled", NOW)},
    settled_quantity=(QUANTITY,),
    settled_amount=(AMOUNT,),
)
PARKED = ExceptionEvent(
    schema="exception/1",
    status_id="X1",
    parked_id=1,
    stage="event",
    code="event_invalid",
    text="",
    occurred_at=NOW,
    origin="trade.events/0/0",
    violations=(Violation("identifier_check_digit", "isin", "", None, ""),),
    trade_id=TRADE.trade_id,
)


def heard(*events: StatusEvent | ExceptionEvent) -> Upstream:
    upstream = Upstream("status", "exceptions")
    for offset, event in enumerate(events):
        topic = "status" if isinstance(event, StatusEvent) else "exceptions"
        upstream.take(Record(topic, 0, offset, b"key", encode(event), 0, (), 1))
    return upstream


def found(upstream: Upstream, *entries: BookEntry, bic: str = TRADE.counterparty) -> str:
    published = Counter({TRADE.trade_id: 1})
    return "\n".join(finding.text for finding in audit(DAY, published, upstream, {bic: entries}))


def test_nothing_is_found_where_the_three_books_agree() -> None:
    assert found(heard(SETTLED), ARRIVED) == ""


def test_a_marked_repeat_is_no_fault_and_an_unmarked_one_is() -> None:
    again = replace(ARRIVED, number=2, possible_duplicate=True, repeat=Repeat.MARKED)
    assert found(heard(SETTLED), ARRIVED, again) == ""
    assert "came twice" in found(heard(SETTLED), ARRIVED, replace(again, repeat=Repeat.UNMARKED))


@pytest.mark.parametrize(
    ("upstream", "entries", "text"),
    [
        (heard(SETTLED), (), "reached a counterparty 0 times"),
        (heard(SETTLED), (ARRIVED, replace(ARRIVED, number=2, business_message_id="MESSAGE2")), "2 times"),
        (heard(SETTLED), (replace(ARRIVED, terms=ARRIVED.terms | {"amount": "1"}),), "other terms: amount"),
        (heard(SETTLED), (replace(ARRIVED, valid=False),), "is invalid"),
        (heard(SETTLED), (ARRIVED, replace(ARRIVED, transaction_id="NOBODYS")), "is of no trade of the day"),
        (heard(SETTLED), (ARRIVED, replace(ARRIVED, dialogue="cancellation")), "was requested 1 times, not 0"),
        (heard(), (ARRIVED,), "upstream was told nothing"),
        (heard(replace(SETTLED, headline="matched")), (ARRIVED,), "ended matched, not settled"),
        (heard(replace(SETTLED, settled_amount=())), (ARRIVED,), "the amount 0 is settled"),
        (heard(replace(SETTLED, transaction_id="OTHER"), SETTLED), (ARRIVED,), "unexpected instruction OTHER"),
        (heard(SETTLED, replace(SETTLED, status_id="S2", sequence=2)), (ARRIVED,), "status 2 came after 3"),
        (heard(SETTLED, replace(SETTLED, headline="matched")), (ARRIVED,), "came again with other content"),
        (heard(SETTLED, PARKED), (ARRIVED,), "1 exceptions event_invalid:identifier_check_digit were published, 0"),
    ],
)
def test_what_is_lost_doubled_changed_or_invented_is_found(
    upstream: Upstream, entries: tuple[BookEntry, ...], text: str
) -> None:
    assert text in found(upstream, *entries)


def test_what_is_withdrawn_must_not_have_arrived_unless_it_was_theirs() -> None:
    withdrawn = replace(SETTLED, headline="withdrawn", axes={}, settled_quantity=(), settled_amount=())
    assert "was withdrawn, and reached" in found(heard(withdrawn), ARRIVED)


def test_what_an_act_names_goes_to_its_own_counterparty_with_the_amounts_of_the_trade() -> None:
    course = next(one for one in TABLES.courses if one.name == "delivered free, paid when it has settled")
    day = make_day(msgspec.structs.replace(TABLES, courses=(course,)), 1, 1, TODAY)
    (trade,) = day.trades
    settlement, payment = trade.expected
    assert (settlement.counterparty, payment.counterparty) == (trade.counterparty, "CORRGB2LXXX")
    assert settlement.event is not None
    assert payment.event is not None
    assert payment.event["settlement_date"] == settlement.event["settlement_date"]
    assert payment.event["remittance"] == ["SIM:payment-booked"]
    entry = replace(
        ARRIVED,
        transaction_id=payment.reference,
        dialogue="payment",
        scenario="payment-booked",
        terms={
            "amount": payment.event["settlement_amount"]["value"],
            "currency": payment.event["settlement_amount"]["currency"],
            "settlement_date": payment.event["settlement_date"],
        },
        outcome=Outcome({"booking": "booked"}),
    )
    told = replace(
        SETTLED,
        transaction_id=payment.transaction_id,
        dialogue="payment",
        headline="booked",
        axes={"booking": AxisReport("booked", NOW)},
        settled_quantity=(),
        settled_amount=(),
    )

    def judged(entry: BookEntry, bic: str = "CORRGB2LXXX") -> list[str]:
        findings = audit(day, {trade.trade_id: len(trade.events)}, heard(told), {bic: [entry]})
        return [finding.text for finding in findings if finding.text != "upstream was told nothing"]

    assert judged(entry) == []
    assert judged(replace(entry, terms=entry.terms | {"amount": "1"})) == ["arrived with other terms: amount"]
    assert judged(entry, trade.counterparty) == [f"reached {trade.counterparty}, not CORRGB2LXXX"]


def test_a_message_in_the_hands_of_another_counterparty_is_found() -> None:
    assert f"reached OTHRDEFFXXX, not {TRADE.counterparty}" in found(heard(SETTLED), ARRIVED, bic="OTHRDEFFXXX")


def test_what_a_counterparty_begins_is_judged_by_its_reference_and_by_what_it_was_asked() -> None:
    course = next(one for one in TABLES.courses if one.name == "confirmed by both, affirmed by itself")
    day = make_day(msgspec.structs.replace(TABLES, courses=(course,)), 1, 1, TODAY)
    (trade,) = day.trades
    _, theirs = trade.expected
    assert theirs.event is None
    assert theirs.asked == {"trade_answer affirm": 1}
    begun = replace(
        ARRIVED,
        transaction_id=theirs.reference,
        dialogue="alleged_trade",
        scenario="trade-confirmed",
        outcome=Outcome({"allegement": "alleged"}),
    )
    answered = replace(begun, number=2, dialogue="trade_answer", terms={"answer": "affirm"})
    told = replace(
        SETTLED,
        transaction_id=theirs.transaction_id,
        dialogue="alleged_trade",
        headline="answered",
        axes={"allegement": AxisReport("alleged", NOW)},
        settled_quantity=(),
        settled_amount=(),
    )

    def judged(*entries: BookEntry) -> str:
        findings = audit(day, {trade.trade_id: 1}, heard(told), {trade.counterparty: entries})
        return "\n".join(finding.text for finding in findings if "upstream was told nothing" not in finding.text)

    assert judged(begun, answered) == ""
    assert "its trade_answer affirm was requested 0 times, not 1" in judged(begun)
    other = replace(answered, terms={"answer": "disaffirm"})
    assert "its trade_answer disaffirm was requested 1 times, not 0" in judged(begun, other)
    assert "reached a counterparty 0 times" in judged(answered)


def test_the_day_has_every_dialogue_that_the_counterparties_begin_or_are_asked_in() -> None:
    expected = [item for trade in make_day(TABLES, len(TABLES.courses), 1, TODAY).trades for item in trade.expected]
    # Whoever rejects a message of theirs names it by its identifier, which nobody knows before the day.
    not_of_the_day = {Dialogue.MESSAGE_REJECTION}
    assert {item.dialogue for item in expected} == set(Dialogue) - not_of_the_day
    asked = {what.partition(" ")[0] for item in expected for what in item.asked}
    played = {"generation", "movement", *(item.dialogue for item in expected)}
    known = dialogues(simulator_tables().answers)
    named_by_theirs = {"message_rejection"}
    assert asked == {name for name, dialogue in known.items() if played.intersection(dialogue.about)} - named_by_theirs


def test_a_status_event_that_comes_again_unchanged_is_no_fault() -> None:
    upstream = heard(SETTLED, SETTLED)
    assert found(upstream, ARRIVED) == ""
    assert upstream.repeats == 1


# The command ----------------------------------------------------------------------------------------------------------


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.mark.slow
def test_the_demo_ends_0_with_an_object_in_which_the_books_agree(tmp_path: Path) -> None:
    process = start(tmp_path, "--json", "--trades", "40")
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stdout + stderr
    result = json.loads(stdout)
    assert result["passed"]
    assert result["findings"] == []
    assert result["trades"] == 40
    assert result["history"]["proven"]
    books = result["books"]
    assert books["upstream"]["instructions"] == books["publisher"]["expected"] == sum(result["headlines"].values())
    assert result["sent"] == books["publisher"]["expected"] - result["theirs"] - result["withdrawn"]
    assert books["counterparties"]["arrived"] >= result["sent"]
    assert sum(result["parked"].values()) > 5
    assert set(result["latency_milliseconds"]["event_to_sent"]) == {"p50", "p99", "maximum"}
    assert sum(row["settled"] for row in result["counterparties"].values()) == result["settled"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_no_process_outlives_the_demo(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = start(tmp_path, "--json", "--trades", "40")
    log = tmp_path / "gateway.jsonl"
    until = time.monotonic() + 120
    while not (log.is_file() and "gateway.started" in log.read_text()) and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 7
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
