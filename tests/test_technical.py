"""Messages about systems and messages: notified events, receipts, requests to send again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.events import EVENT_KINDS
from gateway.model.facts import SystemEvent
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries, tables
from gateway.store.migration import upgrade
from gateway.store.views import Story
from tests.loops import (
    ACCEPTED,
    CHANNEL,
    OTHER,
    OWN_BIC,
    SOURCE,
    Loops,
    arrives_in_doubt,
    cancel,
    envelope,
    instruct,
    party,
    rejection,
    settings_for,
    status,
)


def system_event(code: str = "CLSD", *, identifier: str = "EVENT1", **heading: Any) -> bytes:
    body = (
        f"<EvtInf><EvtCd>{code}</EvtCd><EvtParam>2026-03-02</EvtParam><EvtParam>18:00</EvtParam>"
        "<EvtDesc>Closed for the day</EvtDesc><EvtTm>2026-03-02T18:00:00+01:00</EvtTm></EvtInf>"
    )
    return envelope("admi.004.001.02", f"<SysEvtNtfctn>{body}</SysEvtNtfctn>", identifier, **heading)


def receipt(*reports: tuple[str, str], identifier: str = "RECEIPT1", **heading: Any) -> bytes:
    """Return the receipt of messages of ours: their references, each with a code."""
    body = f"<MsgId><MsgId>{identifier}</MsgId></MsgId>" + "".join(
        f"<Rpt><RltdRef><Ref>{reference}</Ref></RltdRef><ReqHdlg><StsCd>{code}</StsCd><Desc>as agreed</Desc></ReqHdlg>"
        "</Rpt>"
        for reference, code in reports
    )
    return envelope("admi.007.001.01", f"<RctAck>{body}</RctAck>", identifier, **heading)


def event(kind: str, name: str, **changes: Any) -> dict[str, Any]:
    own = {"event_id": f"{name}-{kind}", "source": SOURCE, "trade_id": name, "counterparty": CHANNEL}
    return EVENT_KINDS[kind].minimal | own | changes


async def technical(loops: Loops, name: str, source: str = SOURCE) -> Story:
    identifier = transaction_id(OWN_BIC, source, name, Dialogue.TECHNICAL, 1)
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, identifier))
    return found


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def axis(story: Story, name: str) -> str | None:
    axes = story.state.axes or {}
    return axes[name].status.value if name in axes else None


# Events of their systems ----------------------------------------------------------------------------------------------


async def test_an_event_of_their_system_is_recorded_and_shown_to_operators(both_loops: Loops) -> None:
    await both_loops.hear(system_event())
    story = await technical(both_loops, "EVENT1", CHANNEL)
    assert (story.instruction.headline, story.state.delivery, alerts(story)) == (
        "notified",
        "theirs",
        ["system_event"],
    )
    [told] = await both_loops.published("status")
    text = told["alerts"][0]["text"]
    assert "CLSD at 2026-03-02T18:00:00+01:00 (2026-03-02, 18:00): Closed for the day" in text
    assert await both_loops.parked() == []
    await both_loops.prove()


async def test_the_same_notification_again_changes_nothing_and_another_one_is_another_event(loops: Loops) -> None:
    await loops.hear(system_event(), system_event(), system_event("OPEN", identifier="EVENT2"))
    assert len(await loops.rows(tables.instruction)) == 2
    assert len(await loops.published("status")) == 2


async def test_an_event_of_somebody_elses_system_is_not_believed(loops: Loops) -> None:
    await loops.hear(system_event(sender=OTHER))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"


def test_all_parameters_of_an_event_are_read_in_any_number(loops: Loops) -> None:
    for count in (0, 1, 3):
        said = "".join(f"<EvtParam>P{number}</EvtParam>" for number in range(count))
        body = f"<SysEvtNtfctn><EvtInf><EvtCd>X</EvtCd>{said}</EvtInf></SysEvtNtfctn>"
        for number in range(60):  # beyond the number of messages after which their shape is known
            [(_, fact)] = loops.messages.read(envelope("admi.004.001.02", body, f"E{number}")).facts
            assert isinstance(fact, SystemEvent)
            assert fact.parameters == tuple(f"P{place}" for place in range(count))


# Receipts -------------------------------------------------------------------------------------------------------------


async def test_a_receipt_proves_that_a_message_in_doubt_arrived_and_says_nothing_else(both_loops: Loops) -> None:
    both_loops.wires[CHANNEL].fates.append(arrives_in_doubt)
    await both_loops.take_in(instruct())
    await both_loops.send(retry=False)
    assert (await both_loops.story()).state.delivery == "in_doubt"
    await both_loops.hear(receipt((both_loops.arrived()[0].business_message_id, "TS01")))
    story = await both_loops.story()
    assert (story.state.delivery, story.state.axes) == ("sent", None)
    await both_loops.send()
    assert len(both_loops.arrived()) == 1
    await both_loops.prove()


async def test_a_rejecting_receipt_is_a_technical_rejection_and_each_report_is_of_its_message(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), instruct("T2"))
    await loops.send()
    one, two = (message.business_message_id for message in loops.arrived())
    await loops.hear(receipt((one, "TS01"), (two, "TA01")))
    assert [await loops.headline(trade) for trade in ("T1", "T2")] == ["sent", "rejected"]


async def test_a_rejecting_receipt_of_a_request_is_of_the_request(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(status(ACCEPTED))
    await loops.take_in(cancel())
    await loops.send()
    await loops.hear(receipt((loops.arrived()[-1].business_message_id, "TA01")))
    story = await loops.story()
    assert (axis(story, "cancellation"), axis(story, "processing")) == ("rejected", "accepted")


@pytest.mark.parametrize("code", ["E074", "TS04"])  # TS04: transferred, to pass by a signature by hand
async def test_a_code_that_the_profile_does_not_explain_is_shown_and_moves_nothing(loops: Loops, code: str) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(receipt((loops.arrived()[0].business_message_id, code)))
    story = await loops.story()
    assert (story.state.axes, alerts(story)) == (None, ["receipt_unclear"])


async def test_the_profile_says_what_a_code_means(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        strict = party(CHANNEL, receipt_codes={"E074": "rejected"})
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[strict]))
        await loops.take_in(instruct())
        await loops.send()
        await loops.hear(receipt((loops.arrived()[0].business_message_id, "E074")))
        assert await loops.headline() == "rejected"
    finally:
        await ledger.close()


async def test_a_receipt_of_what_we_never_sent_is_parked(loops: Loops) -> None:
    await loops.hear(receipt(("NOBODYS", "TS01")))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


# Ours -----------------------------------------------------------------------------------------------------------------


async def test_a_request_to_send_again_is_sent_and_its_receipt_noted(both_loops: Loops) -> None:
    missing = [{"recipient": OWN_BIC, "business_date": "2026-03-02", "ranges": [{"first": "7", "last": "9"}]}]
    [result] = await both_loops.take_in(event("request_resend/1", "GAP-1", missing=missing))
    assert result.outcome == "instructed"
    await both_loops.send()
    [message] = both_loops.arrived()
    assert b"<FrToSeq><FrSeq>7</FrSeq><ToSeq>9</ToSeq></FrToSeq>" in message.content
    assert f"<MsgId>{message.business_message_id}</MsgId>".encode() in message.content
    assert (await technical(both_loops, "GAP-1")).instruction.headline == "sent"
    await both_loops.hear(receipt((message.business_message_id, "TS01")))
    assert (await technical(both_loops, "GAP-1")).instruction.headline == "received"
    await both_loops.prove()


async def test_an_event_of_ours_is_told_and_may_be_rejected(loops: Loops) -> None:
    await loops.take_in(event("notify_system_event/1", "CLOSING-1", code="CLSD", parameters=["18:00"]))
    await loops.send()
    [message] = loops.arrived()
    assert b"<EvtCd>CLSD</EvtCd><EvtParam>18:00</EvtParam>" in message.content
    await loops.hear(rejection(message.business_message_id))
    assert (await technical(loops, "CLOSING-1")).instruction.headline == "rejected"
