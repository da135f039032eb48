"""Foreign exchange confirmed by both sides to each other (MT300): ours sent, theirs read, and the two compared."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BuildError, GatewayError
from gateway.messages import Identity, Messages
from gateway.messages.fin.foreign_exchange import common_reference
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.facts import Alleged, AllegementAdvice, References, StatusValue
from gateway.model.profile import Profile
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries
from gateway.store.views import Story
from tests.examples import encode
from tests.loops import CHANNEL, OWN_BIC, START, Loops, party, settings_for
from tests.reference import needs_reference, shared

GOLDEN = Path(__file__).parent / "golden" / "fin"
SOURCE = "fx-desk"
CATALOGUE = load_catalogue()
PROFILE = Profile.model_validate(party(CHANNEL, language="fin"))
MESSAGES = Messages(CATALOGUE, [PROFILE], OWN_BIC)
IDENTITY = Identity("TRANSACTION00001", "MESSAGE000000001", START)
_SIDES = {
    "trading_side": {"submitting_party": {"bic": OWN_BIC}},
    "counterparty_side": {"submitting_party": {"bic": CHANNEL}},
}
_COMPLETE: dict[str, Any] = {
    "trading_side": {"submitting_party": {"bic": OWN_BIC}, "trading_party": {"bic": "CLNTGB2LXXX"}},
    "counterparty_side": {
        "submitting_party": {"bic": CHANNEL},
        "trading_party": {
            "identification": {"bic": CHANNEL, "name": "Example Bank", "address": "1 Platz, Frankfurt", "account": "36"}
        },
    },
    "operation_scope": "BROK",
    "settlement_session": "MAIN",
    "payment_versus_payment": True,
    "non_deliverable_forward": {
        "opening": True,
        "conditions": {
            "settlement_currency": "USD",
            "valuation_date": "2026-03-03",
            "rate_sources": [
                {"source": "ECB37", "time": "1415", "country": "DE", "location": "01"},
                {"source": "WMR03"},
            ],
        },
    },
    "settlement_agents": {
        "delivery_agent": {"bic": "AGNTDEFFXXX"},
        "intermediary": {"name": "Intermediary Bank"},
        "receiving_agent": {"identification": {"bic": "AGNTDEFFXXX", "lei": "529900T8BM49AURSDO55"}},
    },
    "counterparty_settlement_agents": {
        "delivery_agent": {"name": "Delivery Bank"},
        "intermediary": {"bic": "CORRUS33XXX"},
        "receiving_agent": {"bic": "AGNTUS33XXX"},
        "beneficiary": {"bic": CHANNEL},
    },
    "block_trade": False,
    "dealing_method": "BROK",
    "broker": {"bic": "BRKRGB2LXXX"},
    "broker_reference": "BRK-77",
    "broker_commission": {"value": "25.00", "currency": "USD"},
    "counterparty_reference": "THEIRS-42",
    "dealing_branch": {"bic": "OWNRGB2LXXX"},
    "counterparty_dealing_branch": {"name": "Example Bank, London"},
    "agreement": {"type": "ISDA", "agreed_on": "2019-05-01", "version": "2002"},
    "definitions_year": 1998,
    "text": "Agreed by telephone and confirmed",
    "execution_venue": "XOFF",
}


def event(kind: str, trade: str = "T1", **changes: Any) -> dict[str, Any]:
    own = {"event_id": f"{trade}-{kind}", "source": SOURCE, "trade_id": trade, "counterparty": CHANNEL}
    return EVENT_KINDS[f"{kind}_foreign_exchange/1"].minimal | own | _SIDES | changes


def instruct(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    """Buy a million euros for dollars, value 4 March."""
    return event("instruct", trade, **changes)


def amend(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    """The same, value 5 March."""
    return event("amend", trade, **changes)


def cancel(trade: str = "T1", **changes: Any) -> dict[str, Any]:
    return event("cancel", trade, **changes)


def name_of(trade: str = "T1") -> str:
    return transaction_id(OWN_BIC, SOURCE, trade, Dialogue.FOREIGN_EXCHANGE, 1)


def theirs(
    reference: str = "THEIRS-1",
    operation: str = "NEWT",
    *,
    related: str | None = None,
    bought: str = "USD1083500,",
    sold: str = "EUR1000000,",
    rate: str = "1,0835",
    day: str = "20260304",
    traded: str = "20260302",
    common: str = "CUSTFF0835OURS2L",
    parties: tuple[str, str] = (CHANNEL, OWN_BIC),
    at: str = "1100",
    sender: str = CHANNEL,
) -> bytes:
    """Return the other side's confirmation: it sells us a million euros. ``at`` is the time at which it was sent."""
    fields = [
        ":15A:",
        f":20:{reference}",
        *([f":21:{related}"] if related else []),
        f":22A:{operation}",
        f":22C:{common}",
        f":82A:{parties[0]}",
        f":87A:{parties[1]}",
        ":15B:",
        f":30T:{traded}",
        f":30V:{day}",
        f":36:{rate}",
        f":32B:{bought}",
        ":57J:/SSIS/",
        f":33B:{sold}",
        ":57J:/SSIS/",
    ]
    terminal = f"{sender[:8]}A{sender[8:]}"
    receiver = f"{OWN_BIC[:8]}A{OWN_BIC[8:]}"
    heading = f"{{1:F01{receiver}0000000000}}{{2:O300{at}260302{terminal}0000000000260302{at}N}}"
    return (heading + "{4:\r\n" + "\r\n".join(fields) + "\r\n-}").encode()


@pytest.fixture
async def loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway whose counterparty speaks FIN, and lets amounts differ by a cent."""
    tolerances = {"amount": "0.01", "exchange_rate": "0.0001", "settlement_date_days": 0}
    ledger = await Ledger.open(ledger_url)
    parties = [party(CHANNEL, language="fin", tolerances=tolerances)]
    yield Loops(ledger, settings_for(ledger_url, counterparties=parties))
    await ledger.close()


async def sent(loops: Loops, *events: dict[str, Any]) -> list[bytes]:
    """Take events in and send what they ask for; returns everything that has arrived."""
    for one in events:
        [result] = await loops.take_in(one)
        assert result.outcome in ("instructed", "requested", "cancelling"), result
        await loops.send()
    await loops.work_off()
    return [message.content for message in loops.arrived()]


async def ours(loops: Loops, trade: str = "T1") -> Story:
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name_of(trade)))
    return found


async def alleged(loops: Loops, reference: str = "THEIRS-1") -> Story:
    name = transaction_id(OWN_BIC, CHANNEL, reference, Dialogue.ALLEGED_EXCHANGE, 1)
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    return found


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


async def words(loops: Loops) -> tuple[str, str]:
    """Return the headlines of ours and of theirs."""
    return (await ours(loops)).instruction.headline, (await alleged(loops)).instruction.headline


# Written --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("built.MT300.minimal", instruct()),
        ("built.MT300.complete", instruct(**_COMPLETE)),
        ("built.MT300.amendment", amend(**_COMPLETE)),
        (
            "built.MT300.fixing",
            instruct(
                non_deliverable_forward={"opening": False, "opening_reference": "FX-41"}, related_trade_reference="S1"
            ),
        ),
    ],
)
def test_what_is_sent_is_as_agreed(name: str, content: dict[str, Any]) -> None:
    built = MESSAGES.build(parse_event(encode(content)), PROFILE, IDENTITY).content
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(built)
    assert built == golden.read_bytes()


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        ("1.0835", "0835"),
        ("1.6", "0016"),
        ("100", "0001"),
        ("11.06", "1106"),
        ("0.91000", "0091"),
        ("123.4567", "4567"),
    ],
)
def test_the_common_reference_has_the_last_digits_of_the_rate(rate: str, said: str) -> None:
    assert common_reference(OWN_BIC, CHANNEL, Decimal(rate)).rate == said


bics = st.from_regex(r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", fullmatch=True)


@given(bics, bics, st.decimals("0.00001", "99999", places=5))
def test_both_sides_derive_the_same_common_reference(one: str, other: str, rate: Decimal) -> None:
    assert common_reference(one, other, rate) == common_reference(other, one, rate)


amounts = st.decimals("0.01", "9999999999.99", places=2)


@given(
    amounts, amounts, st.decimals("0.00001", "99999", places=5), st.dates().filter(lambda day: 1980 < day.year < 2079)
)
def test_what_is_written_is_read_back_value_by_value_and_mirrored(
    bought: Decimal, sold: Decimal, rate: Decimal, day: Any
) -> None:
    said = instruct(
        bought_amount={"value": str(bought), "currency": "EUR"},
        sold_amount={"value": str(sold), "currency": "USD"},
        rate={"value": str(rate)},
        trade_date=day.isoformat(),
        settlement_date=day.isoformat(),
    )
    parsed = parse_event(encode(said))
    reply = MESSAGES.read(MESSAGES.build(parsed, PROFILE, IDENTITY).content)
    [(references, fact)] = reply.facts
    assert isinstance(fact, Alleged)
    terms = parsed.terms()
    assert references == References()
    assert (fact.reference, fact.trading_party, fact.counterparty) == (IDENTITY.transaction_id, OWN_BIC, CHANNEL)
    assert (fact.bought_amount, fact.sold_amount) == (terms.bought_amount, terms.sold_amount)
    assert (fact.exchange_rate, fact.trade_date, fact.settlement_date) == (terms.exchange_rate, day, day)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"product_type": "NDFO"}, "product_type"),
        ({"unique_transaction_identifier": "529900T8BM49AURSDO55FX0001"}, "unique_transaction_identifier"),
        ({"executed_at": "2026-03-02T08:59:30.125Z"}, "executed_at"),
        (
            {"trading_side": {"submitting_party": {"bic": OWN_BIC}, "funds": [{"identification": "F"}]}},
            "trading_side.funds[0]",
        ),
        ({"broker": {"name": "x" * 35}}, "broker.name"),
        ({"broker": {"bic": "BRKRGB2LXXX", "alternative_identifiers": ["A"]}}, "broker.alternative_identifiers[0]"),
        ({"trading_side": {"submitting_party": {"name": "Us"}}}, "trading_side"),
    ],
)
def test_what_has_no_place_is_refused_by_its_field(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BuildError) as refused:
        MESSAGES.build(parse_event(encode(instruct(**changes))), PROFILE, IDENTITY)
    assert [violation.path for violation in refused.value.violations] == [path]


# Ours and theirs ------------------------------------------------------------------------------------------------------


async def test_ours_is_confirmed_when_theirs_agrees(loops: Loops) -> None:
    [message] = await sent(loops, instruct())
    assert f":20:{name_of()}\r\n:22A:NEWT\r\n:22C:CUSTFF0835OURS2L\r\n".encode() in message
    assert (await ours(loops)).instruction.headline == "sent"
    await loops.hear(theirs())
    assert await words(loops) == ("confirmed", "agrees")
    story = await alleged(loops)
    [same] = story.state.counterparts
    assert same.differences == ()
    assert {"bought_amount", "sold_amount", "exchange_rate", "trade_date", "settlement_date", "other_party"} <= set(
        same.agreed
    )
    assert alerts(story) == alerts(await ours(loops)) == []
    told = (await loops.published("status"))[-1]
    assert (told["headline"], told["axes"]["matching"]["status"]) == ("confirmed", "confirmed")
    await loops.prove()


async def test_ours_that_comes_after_theirs_is_confirmed_as_well(loops: Loops) -> None:
    await loops.hear(theirs())
    assert alerts(await alleged(loops)) == ["foreign_exchange_unknown"]
    await sent(loops, instruct())
    assert await words(loops) == ("confirmed", "agrees")


async def test_theirs_that_differs_within_tolerance_confirms_ours_and_beyond_it_does_not(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs(bought="USD1083500,02", day="20260305"))
    assert await words(loops) == ("unmatched", "differs")
    story = await alleged(loops)
    assert alerts(story) == ["foreign_exchange_differs"]
    assert {(d.field, d.instructed, d.confirmed) for d in story.state.counterparts[0].differences} == {
        ("sold_amount", "1083500.00 USD", "1083500.02 USD"),
        ("settlement_date", "2026-03-04", "2026-03-05"),
    }
    reasons = ((await ours(loops)).state.axes or {})["matching"].status.reasons
    assert "settlement_date: ours 2026-03-04, theirs 2026-03-05" in (reasons[0].text or "")
    await loops.hear(theirs("AMENDED", "AMND", related="THEIRS-1", bought="USD1083500,01", rate="1,0836", at="1200"))
    assert await words(loops) == ("confirmed", "agrees")


def test_however_many_alike_came_before_theirs_is_read_as_it_says() -> None:
    readers = Messages(CATALOGUE, [PROFILE], OWN_BIC)
    for number in range(50):
        common = f"CUSTFF{number:04}OURS2L"
        [(_, fact)] = readers.read(theirs(common=common)).facts
        assert isinstance(fact, Alleged)
        assert fact.common_reference == common


@pytest.mark.parametrize(
    ("lines", "bic"), [(f"/ABIC/{CHANNEL}\r\n/NAME/Custodian", CHANNEL), ("/ABIC/UKWN\r\n/NAME/Custodian", None)]
)
def test_a_party_in_lines_is_known_by_the_bic_in_them(lines: str, bic: str | None) -> None:
    said = theirs().replace(f":82A:{CHANNEL}".encode(), f":82J:{lines}".encode())
    assert said != theirs()
    [(_, fact)] = Messages(CATALOGUE, [PROFILE], OWN_BIC).read(said).facts
    assert isinstance(fact, Alleged)
    assert fact.trading_party == bic


async def test_a_common_reference_that_ours_states_is_compared(loops: Loops) -> None:
    await sent(loops, instruct(common_reference="CUSTFF0835OURS2L"))
    await loops.hear(theirs(common="CUSTFF9999OURS2L"))
    [difference] = (await alleged(loops)).state.counterparts[0].differences
    assert difference.field == "common_reference"


async def test_their_amendment_takes_the_place_of_what_they_confirmed_and_a_second_may_name_the_first(
    loops: Loops,
) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs())
    await loops.hear(theirs("SECOND", "AMND", related="THEIRS-1", day="20260306", at="1200"))
    assert await words(loops) == ("unmatched", "differs")
    assert alerts(await ours(loops)) == ["foreign_exchange_unconfirmed"]
    await loops.hear(theirs("THIRD", "AMND", related="SECOND", at="1300"))
    assert await words(loops) == ("confirmed", "agrees")
    assert await loops.parked() == []


@pytest.mark.parametrize("named", ["THEIRS-1", "SECOND"])
async def test_what_they_withdraw_confirms_ours_no_longer(loops: Loops, named: str) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs(), theirs("SECOND", "AMND", related="THEIRS-1", at="1200"))
    assert await words(loops) == ("confirmed", "agrees")
    await loops.hear(theirs("THIRD", "CANC", related=named, at="1300"))
    assert await words(loops) == ("unmatched", "withdrawn")
    assert alerts(await ours(loops)) == ["foreign_exchange_unconfirmed"]
    await loops.hear(theirs("FOURTH", at="1400"))
    assert (await ours(loops)).instruction.headline == "confirmed"
    await loops.prove()


async def test_a_withdrawal_of_what_was_never_confirmed_is_parked(loops: Loops) -> None:
    await loops.hear(theirs("THIRD", "CANC", related="NOTHING"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_the_same_confirmation_twice_changes_nothing(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs(), theirs())
    await loops.hear(theirs("COPY", "DUPL", related="THEIRS-1", at="1200"))
    assert await words(loops) == ("confirmed", "agrees")
    assert alerts(await alleged(loops)) == []
    assert len((await ours(loops)).history) == 3  # recorded, sent, confirmed
    assert await loops.parked() == []


async def test_of_two_equal_trades_each_is_confirmed_by_one_of_theirs(loops: Loops) -> None:
    await sent(loops, instruct("T1"), instruct("T2"))
    await loops.hear(theirs())
    said = {(await ours(loops, trade)).instruction.headline for trade in ("T1", "T2")}
    assert said == {"confirmed", "sent"}
    await loops.hear(theirs("THEIRS-2", at="1200"))
    assert [(await ours(loops, trade)).instruction.headline for trade in ("T1", "T2")] == ["confirmed", "confirmed"]


async def test_another_one_of_theirs_confirms_ours_once_the_first_is_withdrawn(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs())
    await loops.hear(theirs("THEIRS-2", at="1200"))
    await loops.hear(theirs("THIRD", "CANC", related="THEIRS-1", at="1300"))
    await loops.work_off()
    assert await words(loops) == ("confirmed", "withdrawn")
    assert (await alleged(loops, "THEIRS-2")).instruction.headline == "agrees"
    assert alerts(await ours(loops)) == ["foreign_exchange_unconfirmed"]
    await loops.prove()


async def test_our_amendment_holds_from_when_it_is_said_and_is_compared_anew(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs(day="20260305"))
    assert await words(loops) == ("unmatched", "differs")
    *_, message = await sent(loops, amend())
    assert f":21:{name_of()}\r\n:22A:AMND\r\n".encode() in message
    assert b":30V:20260305" in message
    assert await words(loops) == ("confirmed", "agrees")
    assert {name: axis.status.value for name, axis in ((await ours(loops)).state.axes or {}).items()} == {
        "amendment": "modified",
        "matching": "confirmed",
    }


async def test_our_cancellation_repeats_what_was_confirmed_last_and_ends_ours(loops: Loops) -> None:
    await sent(loops, instruct(), amend())
    *_, amended, message = await sent(loops, cancel())
    assert f":21:{name_of()}\r\n:22A:CANC\r\n".encode() in message
    assert message[message.index(b":22C:") :] == amended[amended.index(b":22C:") :]
    assert (await ours(loops)).instruction.headline == "cancelled"
    await loops.hear(theirs(day="20260305"))
    assert alerts(await alleged(loops)) == ["foreign_exchange_unknown"]
    await loops.prove()


async def test_theirs_stands_alone_once_ours_is_cancelled(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs())
    await sent(loops, cancel())
    assert await words(loops) == ("cancelled", "alleged")
    assert alerts(await alleged(loops)) == ["foreign_exchange_unknown"]


def refused_by_network(message: bytes) -> bytes:
    """Return what the network says when it does not carry a message of ours."""
    named = message[message.index(b"{108:") + 5 :].partition(b"}")[0].decode()
    return f"{{1:F21OURSGB2LAXXX0001000001}}{{4:{{177:2603021200}}{{451:1}}{{405:T50}}{{108:{named}}}}}".encode()


async def test_a_cancellation_that_the_network_refuses_was_never_said(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs())
    *_, message = await sent(loops, cancel())
    assert await words(loops) == ("cancelled", "alleged")
    await loops.hear(refused_by_network(message))
    await loops.work_off()
    assert alerts(await ours(loops)) == ["network_refused"]
    assert await words(loops) == ("confirmed", "agrees")
    *_, again = await sent(loops, cancel() | {"event_id": "T1-cancel-again"})
    assert b":22A:CANC\r\n" in again
    assert (await ours(loops)).instruction.headline == "cancelled"
    await loops.prove()


async def test_an_amendment_that_the_network_refuses_is_neither_in_force_nor_cancelled(loops: Loops) -> None:
    [first] = await sent(loops, instruct())
    *_, message = await sent(loops, amend())
    await loops.hear(refused_by_network(message))
    await loops.hear(theirs())
    assert await words(loops) == ("confirmed", "agrees")
    *_, cancelled = await sent(loops, cancel())
    assert cancelled[cancelled.index(b":22C:") :] == first[first.index(b":22C:") :]
    await loops.prove()


@pytest.mark.parametrize("first", ["theirs", "network"])
async def test_a_confirmation_that_the_network_refuses_is_parked_whatever_they_confirm(
    loops: Loops, first: str
) -> None:
    """Theirs is no answer to ours: they never had that, and wait for it."""
    [message] = await sent(loops, instruct())
    said = [theirs(), refused_by_network(message)]
    await loops.hear(*(said if first == "theirs" else reversed(said)))
    await loops.work_off()
    story = await ours(loops)
    item = await loops.only_parked()
    assert (item.summary.code, story.state.delivery) == ("network_refused", "refused")
    assert alerts(story) == ["network_refused"]
    assert (await loops.command("release", item.summary.id)).state == "done"
    await loops.send()
    await loops.work_off()
    assert (await ours(loops)).state.delivery == "sent"
    assert await words(loops) == ("confirmed", "agrees")
    assert len(loops.arrived()) == 2
    await loops.prove()


async def test_a_reason_has_no_place_in_a_cancellation(loops: Loops) -> None:
    await sent(loops, instruct())
    [result] = await loops.take_in(cancel(reason="BOOKED TWICE"))
    assert result.outcome == "parked"
    assert (await loops.only_parked()).summary.code == "element_not_in_version"
    assert (await ours(loops)).instruction.headline == "sent"


async def test_a_confirmation_of_another_channels_sender_is_never_accepted(loops: Loops) -> None:
    await loops.hear(theirs(sender="BROKFRPPXXX"))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"


@pytest.mark.parametrize("first", ["20260304", "20260331"])
async def test_a_trade_that_both_sides_amend_to_a_distant_day_is_confirmed(loops: Loops, first: str) -> None:
    await sent(loops, instruct())
    if first == "20260304":
        await loops.hear(theirs())
    await sent(loops, amend(settlement_date="2026-03-31"))
    if first == "20260304":
        await loops.hear(theirs("SECOND", "AMND", related="THEIRS-1", day="20260331", at="1200"))
    else:
        await loops.hear(theirs(day="20260331"))
    assert await words(loops) == ("confirmed", "agrees")


async def test_ours_that_is_amended_to_the_distant_day_of_theirs_is_confirmed(loops: Loops) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs())
    await loops.hear(theirs("SECOND", "AMND", related="THEIRS-1", day="20260331", at="1200"))
    assert (await alleged(loops)).instruction.headline != "agrees"
    await sent(loops, amend(settlement_date="2026-03-31"))
    assert await words(loops) == ("confirmed", "agrees")


@pytest.mark.parametrize("gives_way", ["withdrawn", "amended"])
async def test_another_confirmation_takes_the_place_of_one_that_gives_way(loops: Loops, gives_way: str) -> None:
    await sent(loops, instruct())
    await loops.hear(theirs(), theirs("OTHER-1", at="1130"))
    assert await words(loops) == ("confirmed", "agrees")
    if gives_way == "withdrawn":
        await loops.hear(theirs("SECOND", "CANC", related="THEIRS-1", at="1200"))
    else:
        await loops.hear(theirs("SECOND", "AMND", related="THEIRS-1", bought="USD7,", at="1200"))
    await loops.work_off()
    assert (await ours(loops)).instruction.headline == "confirmed"
    assert (await alleged(loops, "OTHER-1")).instruction.headline == "agrees"
    await loops.prove()


# Messages of other people ---------------------------------------------------------------------------------------------


@needs_reference
def test_samples_are_read_into_what_they_say() -> None:
    read, refused = {}, {}
    for file in sorted((shared() / "samples" / "MT300").iterdir()):
        try:
            read[file.stem] = MESSAGES.read(file.read_bytes())
        except GatewayError as error:
            refused[file.stem] = error.violations[0].code
    # Of another type, with another text in front of the first field, or in the text of a program.
    assert set(refused.values()) == {"fin_message_unknown", "fin_text_malformed", "fin_code_artefact"}
    assert {name.split("__")[1] for name in read} == {"prowide-integrator-examples"}
    for reply in read.values():  # both are of an older release, which is warned of
        [(references, fact)] = reply.facts
        assert (references.related_reference, fact) == ("NEW222", AllegementAdvice(StatusValue("withdrawn")))
        assert {warning.code for warning in reply.warnings} == {"fin_option_former"}
