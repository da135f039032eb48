"""Trade confirmations in FIN: what is written and read, translated, and answered by the simulated counterparty."""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BuildError, GatewayError, InvalidMessage, Violation
from gateway.messages import Messages
from gateway.messages.schema_files import load_catalogue
from gateway.messages.translation import Translator
from gateway.messages.validation import Validator
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.facts import (
    Alleged,
    AllegementAdvice,
    Amount,
    ConfirmationAnswer,
    ConfirmationStatus,
    Quantity,
    Reason,
    RequestAdvice,
    StatusValue,
)
from gateway.model.profile import Profile
from gateway.simulator.arrival import Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.fin import FinWriter
from gateway.simulator.tables import read_tables
from tests.examples import encode, remove
from tests.fin_counterparty import fields
from tests.fin_trades import (
    CANCEL,
    CONFIRM,
    FIN,
    IDENTITY,
    ISO,
    MONEY,
    NOT_IN_FIN,
    PART_NOT_IN_FIN,
    affirmation,
    answer,
    built,
    complete,
    messages,
    minimal,
    status,
    theirs,
)
from tests.loops import (
    CHANNEL,
    OWN_BIC,
    START,
    party,
)
from tests.reference import needs_reference, shared

GOLDEN = Path(__file__).parent / "golden" / "fin"


# Written --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "original"),
    [
        ("built.MT515.minimal", minimal(), None),
        ("built.MT515.complete", complete(), None),
        ("built.MT515.rate", minimal(price={"rate": "99.5", "type": "PARV"}, payment="free"), None),
        ("built.MT518.minimal", minimal(trade_type="BRBR"), None),
        ("built.MT518.complete", complete(trade_type="BRBR"), None),
        ("built.MT517.minimal", answer("affirm"), "MT515"),
        ("built.MT509.affirmed", answer("affirm"), "MT518"),
        ("built.MT509.refused", answer("disaffirm", reason="NAFF", text="The price is 122.5"), "MT515"),
        ("built.MT509.minimal", answer("disaffirm"), "MT518"),
    ],
)
def test_what_is_sent_is_as_agreed(name: str, content: dict[str, Any], original: str | None) -> None:
    written = built(content, identity=replace(IDENTITY, original_definition=original))
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(written)
    assert written == golden.read_bytes()


def test_a_trade_of_broker_with_broker_is_confirmed_to_the_other_side_of_the_market() -> None:
    types = {
        kind: messages().definition_for(parse_event(encode(minimal(**({"trade_type": kind} if kind else {})))), FIN)
        for kind in ("", "TRAD", "BRBR")
    }
    assert types == {"": "MT515", "TRAD": "MT515", "BRBR": "MT518"}


def test_a_cancellation_is_the_confirmation_again_with_a_link_to_it() -> None:
    confirmed = messages().build(parse_event(encode(complete(trade_type="BRBR"))), FIN, IDENTITY)
    identity = replace(IDENTITY, business_message_id="MESSAGE000000002", original_definition="MT518")
    wanted = parse_event(encode(dict(EVENT_KINDS[CANCEL].minimal)))
    content = messages().build(wanted, FIN, identity, original=confirmed.content).content
    assert content.startswith(b"{1:F01OURSGB2LAXXX0000000000}{2:I518")
    before, after = fields(confirmed.content), fields(content)
    assert after[1:3] == ["20C::SEME//MESSAGE000000002", "23G:CANC"]
    assert f"20C::PREV//{IDENTITY.transaction_id}" in after
    assert after[after.index("16R:CONFDET") :] == before[before.index("16R:CONFDET") :]
    [(references, fact)] = messages().read(content).facts
    assert fact == AllegementAdvice(StatusValue("cancelled"))
    assert references.confirmation_reference == IDENTITY.transaction_id


@st.composite
def confirmations(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a trade: everything there is, or what FIN has a place for, with some of it left out or changed."""
    content = copy.deepcopy(draw(st.sampled_from([complete(), complete(), EVENT_KINDS[CONFIRM].example])))
    several = ("other_amounts", "cash_parties")
    paths = sorted(content.keys() - EVENT_KINDS[CONFIRM].minimal.keys())
    paths += [f"{name}.{one}" for name in several for one in sorted(content[name])]
    paths += ["buyer.investor_capacity", "seller.trading_capacity", "buyer.contact_text"]
    for path in draw(st.lists(st.sampled_from(paths), max_size=25, unique=True)):
        remove(content, path)
    for name in ("delivering_parties", "receiving_parties", "investors", "references"):
        if name in content:
            del content[name][draw(st.integers(0, len(content[name]))) :]
    number = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10) ** 9, places=4).map(str)
    content["quantity"] = {
        "type": draw(st.sampled_from(["unit", "face_amount", "amortised_value"])),
        "value": draw(number),
    }
    content["price"] = draw(
        st.one_of(
            st.builds(lambda value: {"amount": {"value": value, "currency": "EUR"}}, number),
            st.builds(lambda value: {"rate": value, "type": "PARV"}, st.decimals(1, 200, places=3).map(str)),
        )
    )
    content["side"] = draw(st.sampled_from(["buy", "sell"]))
    content["payment"] = draw(st.sampled_from(["against", "free"]))
    content["trade_type"] = draw(st.sampled_from(["TRAD", "BRBR", "PROG"]))
    return content


@given(content=confirmations())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_an_event_means_the_same_in_both_languages(content: dict[str, Any]) -> None:
    """What FIN carries is read back into the facts that ISO 20022 gives; what it cannot, it names."""
    try:
        iso = built(content, ISO)
    except GatewayError:
        return
    refused: tuple[Violation, ...] = ()
    try:
        fin = built(content)
    except GatewayError as error:
        refused = error.violations
        assert refused
    if refused:
        assert all(violation.path and violation.rule for violation in refused)
        return
    assert messages().read(fin).facts == messages().read(iso).facts


def test_the_drawn_events_are_not_all_refused() -> None:
    assert messages().read(built(complete())).facts == messages().read(built(complete(), ISO)).facts


@pytest.mark.parametrize("field", sorted(NOT_IN_FIN))
def test_a_field_without_a_place_in_fin_is_refused_by_name(field: str) -> None:
    with pytest.raises(BuildError) as refused:
        built(complete(**{field: EVENT_KINDS[CONFIRM].example[field]}))
    assert {violation.code for violation in refused.value.violations} == {"element_not_in_version"}
    assert all(violation.path.startswith(field) for violation in refused.value.violations)


@pytest.mark.parametrize("field", sorted(PART_NOT_IN_FIN))
def test_a_part_without_a_place_in_fin_is_refused_by_name(field: str) -> None:
    with pytest.raises(BuildError) as refused:
        built(minimal(transaction_type="TRAD", **{field: PART_NOT_IN_FIN[field]}))
    assert [violation.path.partition(".")[0].partition("[")[0] for violation in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"payment": None}, "payment"),
        ({"price": {"rate": "99.5", "type": "SPRE"}}, "price.type"),
        ({"trade_type": "VWAP"}, "trade_type"),
        ({"executed_at": "2026-03-02T23:30:00-05:00", "trade_date": "2026-03-03"}, "executed_at"),
        ({"executed_at": "2026-03-02T09:14:58.123456Z"}, "executed_at"),
        (
            {
                "commission": {"type": "BRKR", "amount": {"value": "5.50", "currency": "EUR"}},
                "other_amounts": {"executing_broker_amount": {"value": "6.00", "currency": "EUR"}},
            },
            "commission.amount",
        ),
    ],
)
def test_what_fin_has_to_state_or_has_no_code_for_is_refused_by_its_field(changes: dict[str, Any], path: str) -> None:
    content = {name: value for name, value in minimal(**changes).items() if value is not None}
    with pytest.raises(BuildError) as refused:
        built(content)
    assert [violation.path for violation in refused.value.violations] == [path]


@pytest.mark.parametrize(
    ("executed_at", "written"),
    [
        ("2026-03-02T09:14:58.125+01:00", "20260302091458,125/0100"),
        ("2026-03-02T23:30:00-05:30", "20260302233000/N0530"),
        ("2026-03-02T00:00:00Z", "20260302000000/0000"),
    ],
)
def test_the_time_of_a_trade_is_stated_with_its_date(executed_at: str, written: str) -> None:
    content = built(minimal(executed_at=executed_at))
    assert f"98E::TRAD//{written}" in fields(content)
    [(_, fact)] = messages().read(content).facts
    assert isinstance(fact, Alleged)
    assert fact.trade_date == date(2026, 3, 2)


def test_what_a_profile_does_without_is_left_out_and_said() -> None:
    drops = {CONFIRM: ["order_ids", "client_order_ids"]}
    without = Profile.model_validate(party(CHANNEL, language="fin", drops=drops))
    content = parse_event(encode(minimal(order_ids=["ORDER-1"])))
    made = Messages(load_catalogue(), [without], OWN_BIC).build(content, without, IDENTITY)
    assert made.dropped == ("order_ids[0]",)
    assert made.content == built(minimal())


def test_a_trade_is_translated_there_and_back() -> None:
    translator = Translator(load_catalogue())
    iso = built(complete(executed_at="2026-03-02T00:00:00Z", partial_settlement_allowed=False), ISO)
    there = translator.translate(iso, None, now=START)
    assert there.definition == "MT515"
    back = translator.translate(there.content, None, now=START)
    assert back.definition == "setr.027.001.05"
    facts = messages().read(iso).facts
    assert messages().read(there.content).facts == facts
    assert messages().read(back.content).facts == facts


def test_an_affirmation_has_no_place_for_words() -> None:
    with pytest.raises(BuildError) as refused:
        built(answer("affirm", text="Thank you"))
    assert [violation.path for violation in refused.value.violations] == ["text"]


def test_a_trade_that_is_too_long_for_a_reference_is_refused() -> None:
    with pytest.raises(InvalidMessage) as refused:
        built(minimal(trade_id="T-2026-000123-AND-MORE"))
    assert [violation.path for violation in refused.value.violations] == ["/4/A/A1[1]/20C/TRRF"]


# Read -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "axes"),
    [
        ("AFFM//AFFI", {"affirmation": StatusValue("affirmed")}),
        (
            "AFFM//NAFI NAFI//NARR NINE NOT TEN",
            {"affirmation": StatusValue("disaffirmed", (Reason("NARR", None, "NINE NOT TEN"),))},
        ),
        ("MTCH//MACH", {"matching": StatusValue("matched")}),
        ("MTCH//NMAT NMAT//DQUA", {"matching": StatusValue("unmatched", (Reason("DQUA"),))}),
        ("IPRC//PACK", {"processing": StatusValue("accepted")}),
        ("IPRC//REJT REJT/HOUSE/OWN1", {"processing": StatusValue("rejected", (Reason(None, "OWN1"),))}),
        ("IPRC//CAND", {"cancellation": StatusValue("cancelled")}),
        ("IPRC//CANP", {"cancellation": StatusValue("pending")}),
        ("CPRC//CAND", {"cancellation": StatusValue("cancelled")}),
        ("AFFM/HOUSE/AFFI", {"affirmation": StatusValue("proprietary", (), "AFFI")}),
        ("IPRC//WHAT", {"processing": StatusValue("proprietary", (), "WHAT", unknown=True)}),
    ],
)
def test_statuses_are_those_of_iso_20022(told: str, axes: dict[str, StatusValue]) -> None:
    [(references, fact)] = messages().read(status("OURS-1", told)).facts
    assert references.confirmation_reference == "OURS-1"
    assert fact == ConfirmationStatus(**axes)


def test_a_status_of_several_axes_is_read_on_each() -> None:
    [(_, fact)] = messages().read(status("OURS-1", "IPRC//PACK", "MTCH//MACH", "AFFM//AFFI")).facts
    assert fact == ConfirmationStatus(StatusValue("accepted"), StatusValue("matched"), StatusValue("affirmed"))


def test_what_becomes_of_a_request_is_said_of_the_request() -> None:
    [(references, fact)] = messages().read(status("REQUEST-1", "CPRC//DEND", function="CAST")).facts
    assert references.request_reference == "REQUEST-1"
    assert fact == RequestAdvice("cancellation", StatusValue("denied"))


def test_an_affirmation_may_be_forced_and_taken_back() -> None:
    [(_, forced)] = messages().read(affirmation("OURS-1", forced=True)).facts
    assert forced == ConfirmationAnswer(StatusValue("affirmed", (Reason("FORC"),)))
    [(references, back)] = messages().read(affirmation("OURS-1", "BACK1", function="CANC")).facts
    assert references.confirmation_reference == "OURS-1"
    assert back == ConfirmationAnswer(StatusValue("disaffirmed"))


@pytest.mark.parametrize("number", ["515", "518"])
def test_known_shapes_are_read_as_unknown_ones_are(number: str) -> None:
    fresh = Messages(load_catalogue(), [FIN], OWN_BIC)
    first = fresh.read(theirs(number=number))
    for one in range(60):  # long enough for the shape to be learned
        [(_, fact)] = fresh.read(theirs(f"B-{one}", number=number, price=f"1{one},5")).facts
        assert isinstance(fact, Alleged)
        assert (fact.reference, fact.price) == (f"B-{one}", Decimal(f"1{one}.5"))
    assert fresh.read(theirs(number=number)) == first
    [(_, cancelled)] = fresh.read(theirs(number=number, function="CANC", previous="B-1")).facts
    assert isinstance(cancelled, AllegementAdvice)


# The simulated counterparty -------------------------------------------------------------------------------------------


def simulated() -> tuple[Reader, FinWriter]:
    told = read_tables()
    catalogue = load_catalogue()
    writer = FinWriter(
        told.answers, told.reading["codes"], catalogue.namespace, bic=CHANNEL, gateway_bic=OWN_BIC, seed=7
    )
    return Reader(Validator(catalogue), told.reading, CHANNEL, OWN_BIC), writer


def test_every_answer_of_the_simulated_counterparty_is_valid_and_read() -> None:
    reader, writer = simulated()
    confirmation = messages().build(parse_event(encode(complete())), FIN, IDENTITY)
    identity = replace(IDENTITY, business_message_id="MESSAGE000000002", original_definition="MT515")
    cancellation = messages().build(
        parse_event(encode(dict(EVENT_KINDS[CANCEL].minimal))), FIN, identity, original=confirmation.content
    )
    written, read = set(), set()
    for dialogue, content in (
        ("confirmation", confirmation.content),
        ("confirmation_cancellation", cancellation.content),
    ):
        arrival = reader.read("k", content)
        assert (arrival.valid, arrival.dialogue, arrival.transaction_id) == (True, dialogue, IDENTITY.transaction_id)
        for scenario in read_scenarios():
            if scenario.dialogue != dialogue:
                continue
            for said_ in writer.plan(1, START, arrival, scenario):
                if said_.document is None:
                    continue  # bytes that are no message
                answered = writer.write(arrival, said_)
                written.add(said_.message_definition)
                read |= {type(fact).__name__ for _, fact in messages().read(answered).facts}
    assert written >= {"MT509", "MT517"}
    assert read >= {"ConfirmationAnswer", "ConfirmationStatus"}


def test_the_simulated_counterparty_states_the_same_trade_from_its_side_and_takes_it_back() -> None:
    reader, writer = simulated()
    arrival = reader.read("k", built(minimal(**MONEY)))
    mirrored = replace(
        arrival, transaction_id="THEIRS-1", dialogue="alleged_trade", terms=arrival.terms | {"side": "SELL"}
    )
    scenario = read_scenarios().named("alleged_trade", "trade-confirmed-then-cancelled")
    facts = [
        fact
        for one in writer.plan(1, START, mirrored, scenario)
        for _, fact in messages().read(writer.write(mirrored, one)).facts
    ]
    ours_ = parse_event(encode(minimal(**MONEY))).terms()
    [first, second] = facts
    assert isinstance(first, Alleged)
    assert (first.reference, first.terms()) == ("THEIRS-1", ours_)
    assert second == AllegementAdvice(StatusValue("cancelled"))


# Messages of other people ---------------------------------------------------------------------------------------------


@needs_reference
def test_samples_are_read_into_what_they_say() -> None:
    read, refused = {}, {}
    for file in sorted(one for number in ("515", "518") for one in (shared() / "samples" / f"MT{number}").iterdir()):
        try:
            [(_, read[file.stem])] = messages().read(file.read_bytes()).facts
        except GatewayError as error:
            refused[file.stem] = {violation.code for violation in error.violations}
    # One is a message without line ends, in the text of a program.
    assert refused == {"marcusmiris__Miris.SwiftMtReader__SwiftMtMessageOldApiExtensionsTests": {"fin_text_malformed"}}
    assert len(read) == 3
    assert read["prowide__prowide-integrator-examples__ExpandedPrintoutExample_2"] == Alleged(
        about="alleged_trade",
        reference="M1999999.1",
        movement="deliver",
        payment="against",
        isin="US99991UUT05",
        quantity=Quantity(Decimal(15000000), "face_amount"),
        amount=Amount(Decimal("234567.00"), "USD"),
        trade_date=date(2016, 7, 12),
        settlement_date=date(2016, 7, 15),
        price=Decimal(99),
        accrued_interest=Amount(Decimal("1246.50"), "USD"),
        delivering_agent="FOOHJPJ0MF1",
        receiving_agent="FOOXUS30XXX",
    )
    assert read["prowide__prowide-integrator-examples__ExpandedPrintoutExample_5-2"] == Alleged(
        about="alleged_trade",
        reference="900031",
        movement="deliver",
        payment="against",
        quantity=Quantity(Decimal(15000000), "face_amount"),
        amount=Amount(Decimal("14961933.38"), "USD"),
        trade_date=date(1999, 12, 7),
        settlement_date=date(1999, 12, 8),
        price=Decimal("99.375"),
    )
