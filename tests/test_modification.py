"""Modification of a settlement instruction: asked for by sese.038, answered by sese.039, compared with from then on."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.errors import EventError
from gateway.model.events import parse_event
from gateway.model.facts import Amount
from tests.examples import document, encode
from tests.loops import ACCEPTED, Loops, envelope, event, instruct, rejection, settled, status, transaction

NEW_AMOUNT = {"value": "61300.00", "currency": "EUR"}


def modify(number: int = 1, **details: Any) -> dict[str, Any]:
    """Return the event that changes these details of the instruction."""
    return event("modify_settlement/1", modification=details, event_id=f"T1-modify-{number}")


def advice(request: str, said: str, *, identifier: str = "MODIFIED1", **heading: Any) -> bytes:
    """Return what became of our request to modify."""
    body = f"<ModReqRef>{request}</ModReqRef><ModPrcgSts><{said}><NoSpcfdRsn>NORE</NoSpcfdRsn></{said}></ModPrcgSts>"
    named = f"<TxId><AcctOwnrTxId>{transaction()}</AcctOwnrTxId></TxId>"
    body = body.replace("<ModPrcgSts>", f"{named}<ModPrcgSts>")
    root = "SctiesSttlmTxModReqStsAdvc"
    return envelope("sese.039.001.08", f"<{root}>{body}</{root}>", identifier, **heading)


async def asked(loops: Loops, *modifications: dict[str, Any]) -> list[str]:
    """Instruct, have it accepted, ask for modifications; returns their business message identifiers."""
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(status(ACCEPTED))
    await loops.take_in(*modifications)
    await loops.send()
    return [item.business_message_id for item in loops.arrived()[1:]]


async def test_a_done_modification_is_what_confirmations_are_compared_with(both_loops: Loops) -> None:
    [request] = await asked(both_loops, modify(settlement_amount=NEW_AMOUNT, trade_date="2026-03-01"))
    content = both_loops.arrived()[1].content
    assert b"<Mod><TradDtls><TradDt><Dt><Dt>2026-03-01</Dt></Dt></TradDt></TradDtls><SttlmAmt>" in content
    assert b'<SttlmAmt><Amt Ccy="EUR">61234.56</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttlmAmt></TxDtls>' in content
    assert await both_loops.headline() == "modification_requested"
    await both_loops.hear(advice(request, "Modfd"), settled(amount="61300.00"))
    story = await both_loops.story()
    assert (story.instruction.headline, story.state.breaks) == ("settled", ())
    assert story.state.requests is not None
    terms = story.state.requests[request].terms
    assert terms is not None
    assert (terms.amount, terms.trade_date) == (Amount(Decimal("61300.00"), "EUR"), date(2026, 3, 1))
    await both_loops.prove()


@pytest.mark.parametrize(("said", "headline"), [("Dnd", "accepted"), ("Rjctd", "accepted"), ("PdgPrcg", None)])
async def test_a_modification_that_is_not_done_leaves_the_terms_as_they_are(
    loops: Loops, said: str, headline: str | None
) -> None:
    [request] = await asked(loops, modify(settlement_amount=NEW_AMOUNT))
    await loops.hear(advice(request, said))
    assert await loops.headline() == (headline or "modification_requested")
    await loops.hear(settled(amount="61300.00"))
    [difference] = (await loops.story()).state.breaks
    assert (difference.field, difference.instructed, difference.confirmed) == ("amount", "61234.56", "61300.00")


async def test_a_second_modification_states_the_terms_of_the_first_that_was_done(loops: Loops) -> None:
    [first] = await asked(loops, modify(settlement_amount=NEW_AMOUNT))
    await loops.hear(advice(first, "Modfd"))
    await loops.take_in(modify(2, common_reference="COMMON-2"))
    await loops.send()
    content = loops.arrived()[-1].content
    assert b'<SttlmAmt><Amt Ccy="EUR">61300.00</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttlmAmt></TxDtls>' in content
    await loops.hear(advice(loops.arrived()[-1].business_message_id, "Modfd", identifier="MODIFIED2"))
    await loops.hear(settled(amount="61300.00"))
    assert (await loops.story()).state.breaks == ()


async def test_each_of_two_open_modifications_is_answered_by_itself(loops: Loops) -> None:
    first, second = await asked(loops, modify(settlement_amount=NEW_AMOUNT), modify(2, trade_date="2026-03-01"))
    await loops.hear(advice(first, "Dnd"), advice(second, "Modfd", identifier="MODIFIED2"))
    requests = (await loops.story()).state.requests
    assert requests is not None
    assert [requests[name].status.value for name in (first, second)] == ["denied", "modified"]


async def test_of_two_modifications_that_were_open_at_once_both_are_in_force_once_done(loops: Loops) -> None:
    first, second = await asked(loops, modify(settlement_amount=NEW_AMOUNT), modify(2, trade_date="2026-03-01"))
    await loops.hear(advice(second, "Modfd"), advice(first, "Modfd", identifier="MODIFIED2"))
    await loops.hear(settled(amount="61300.00"))
    assert (await loops.story()).state.breaks == ()


async def test_a_technical_rejection_of_the_request_is_not_one_of_the_instruction(loops: Loops) -> None:
    [request] = await asked(loops, modify(settlement_amount=NEW_AMOUNT))
    await loops.hear(rejection(request))
    story = await loops.story()
    assert story.instruction.headline == "accepted"
    assert story.state.axes is not None
    assert story.state.axes["modification"].status.value == "rejected"


async def test_a_modification_of_what_is_not_there_waits_and_is_then_parked(loops: Loops) -> None:
    [result] = await loops.take_in(modify(settlement_amount=NEW_AMOUNT))
    assert (result.outcome, result.code) == ("waiting", "request_unknown_instruction")
    loops.time.move(loops.settings.loops.instruction_wait_seconds + 1)
    await loops.work_off()
    assert (await loops.only_parked()).summary.code == "request_unknown_instruction"


@pytest.mark.parametrize(
    "change",
    [
        {"modification": None},
        {"modification": {}},
        {"modification": {"price": {"rate": "100.5"}}},
        {"deletion": {"settlement_amount": NEW_AMOUNT}},
        {"modification": {"quantity": {"type": "unit", "value": "400"}}},
        {"modification": {"settlement_date": "2026-03-05"}},
    ],
)
def test_what_a_modification_cannot_say_is_refused(change: dict[str, Any]) -> None:
    changed = document("modify_settlement/1", minimal=True) | change
    stated = {name: value for name, value in changed.items() if value is not None}
    with pytest.raises(EventError):
        parse_event(encode(stated))


def test_what_is_taken_away_is_no_longer_compared() -> None:
    taken = document("modify_settlement/1", minimal=True) | {
        "deletion": {"common_reference": "C", "trade_date": "2026-03-02"}
    }
    del taken["modification"]
    asked_for = parse_event(encode(taken))
    in_force = parse_event(encode(document("instruct_settlement/1"))).terms()
    terms = asked_for.terms_asked(in_force)
    assert terms is not None
    assert (terms.common_reference, terms.trade_date, terms.amount) == (None, None, in_force.amount)
