"""Repos and securities lending: both legs are followed, each with its sums and breaks."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from gateway.errors import EventError
from gateway.lifecycle import terms_in_force
from gateway.lifecycle.timing import has_open_modification
from gateway.model.events import parse_event
from gateway.model.facts import Terms
from gateway.model.transitions import FINISHED, UNDONE, Dialogue
from gateway.store.views import Story
from tests.examples import document, encode
from tests.loops import CHANNEL, OWN_BIC, Loops, cancellation_advice, envelope, event, transaction

REPO = {
    "financing_type": "repurchase",
    "payment": "against",
    "opening_amount": {"value": "1000.00", "currency": "EUR"},
    "termination_amount": {"value": "1005.00", "currency": "EUR"},
}
TX = transaction(dialogue=Dialogue.FINANCING)


def repo(**changes: Any) -> dict[str, Any]:
    return event("instruct_securities_financing/1", **(REPO | changes))


def confirmed(
    movement: str, amount: str, day: str, quantity: str = "500", *, identifier: str, partial: str = "", **heading: Any
) -> bytes:
    """Return the confirmation of a leg or of a part of it."""
    part = f"<AddtlParams><PrtlSttlm>{partial}</PrtlSttlm></AddtlParams>" if partial else ""
    side = "CRDT" if movement == "DELI" else "DBIT"
    body = (
        f"<TxIdDtls><AcctOwnrTxId>{TX}</AcctOwnrTxId><SctiesFincgTxTp>REPU</SctiesFincgTxTp>"
        f"<SctiesMvmntTp>{movement}</SctiesMvmntTp><Pmt>APMT</Pmt></TxIdDtls>{part}"
        f"<TradDtls><FctvSttlmDt><Dt><Dt>{day}</Dt></Dt></FctvSttlmDt></TradDtls>"
        "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId>"
        f"<QtyAndAcctDtls><SttldQty><Qty><Unit>{quantity}</Unit></Qty></SttldQty></QtyAndAcctDtls>"
        f'<SttldAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd></SttldAmt>'
    )
    return envelope("sese.035.001.13", f"<SctiesFincgConf>{body}</SctiesFincgConf>", identifier, **heading)


def opened(amount: str = "1000.00", **changes: Any) -> bytes:
    return confirmed("DELI", amount, "2026-03-04", **({"identifier": "OPENED1"} | changes))


def closed(amount: str = "1005.00", day: str = "2026-03-18", **changes: Any) -> bytes:
    return confirmed("RECE", amount, day, **({"identifier": "CLOSED1"} | changes))


def advice(said: str, identifier: str, about: str = "", created_at: str = "2026-03-02T11:00:00Z") -> bytes:
    """Return a status advice; ``about`` names the request that it answers in its header."""
    parties = [f"<FIId><FinInstnId><BICFI>{bic}</BICFI></FinInstnId></FIId>" for bic in (OWN_BIC, CHANNEL)]
    related = (
        f"<Rltd><Fr>{parties[0]}</Fr><To>{parties[1]}</To><BizMsgIdr>{about}</BizMsgIdr>"
        "<MsgDefIdr>sese.036.001.10</MsgDefIdr><CreDt>2026-03-02T10:00:00Z</CreDt></Rltd>"
    )
    return envelope(
        "sese.034.001.11",
        f"<SctiesFincgStsAdvc><TxId><AcctOwnrTxId>{TX}</AcctOwnrTxId></TxId>{said}</SctiesFincgStsAdvc>",
        identifier,
        related=related if about else "",
        created_at=created_at,
    )


def status(axis: str, value: str) -> str:
    return f"<{axis}><{value}><NoSpcfdRsn>NORE</NoSpcfdRsn></{value}></{axis}>"


async def begun(loops: Loops, *events: dict[str, Any], **changes: Any) -> list[str]:
    """Instruct a repo, ask what follows; returns the business message identifiers of what was sent."""
    await loops.take_in(repo(**changes))
    await loops.send()
    await loops.take_in(*events)
    await loops.send()
    return [item.business_message_id for item in loops.arrived()]


async def story(loops: Loops) -> Story:
    return await loops.story(dialogue=Dialogue.FINANCING)


async def headline(loops: Loops) -> str:
    return (await story(loops)).instruction.headline


def axis(story: Story, name: str) -> str | None:
    axes = story.state.axes or {}
    return axes[name].status.value if name in axes else None


def alerts(story: Story) -> list[str]:
    return [alert.code for step in story.history for alert in step.alerts]


async def test_both_legs_are_followed_to_the_end(both_loops: Loops) -> None:
    await begun(both_loops)
    await both_loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S1"))
    assert await headline(both_loops) == "accepted"
    await both_loops.hear(opened())
    assert await headline(both_loops) == "opened"
    await both_loops.hear(advice(status("SttlmSts", "Pdg"), "S2", created_at="2026-03-18T09:00:00Z"))
    assert await headline(both_loops) == "closing_pending"
    await both_loops.hear(closed(created_at="2026-03-18T12:00:00Z"))
    end = await story(both_loops)
    assert (end.instruction.headline, end.state.breaks, alerts(end)) == ("closed", (), [])
    await both_loops.prove()


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
async def test_a_status_said_after_the_opening_leg_settled_is_of_the_closing_leg_in_whichever_order_it_came(
    loops: Loops, order: tuple[int, ...]
) -> None:
    await begun(loops)
    said = [
        opened("400.00", quantity="200", partial="PAIN", created_at="2026-03-04T10:00:00Z"),
        opened("600.00", quantity="300", partial="PARC", identifier="OPENED2", created_at="2026-03-04T11:00:00Z"),
        advice(status("SttlmSts", "Flng"), "S1", created_at="2026-03-18T18:00:00Z"),
    ]
    await loops.hear(*(said[number] for number in order))
    end = await story(loops)
    assert (axis(end, "opening"), axis(end, "closing"), end.state.breaks) == ("settled", "failing", ())
    await loops.hear(closed(created_at="2026-03-19T10:00:00Z"))
    assert await headline(loops) == "closed"
    await loops.prove()


async def test_a_status_that_was_said_before_the_opening_leg_settled_is_none_of_the_closing_leg(loops: Loops) -> None:
    await begun(loops)
    failing = advice(status("SttlmSts", "Flng"), "S1", created_at="2026-03-04T18:00:00Z")
    await loops.hear(failing, opened(created_at="2026-03-05T10:00:00Z"))
    end = await story(loops)
    assert (axis(end, "opening"), axis(end, "closing")) == ("settled", None)


async def test_breaks_name_the_leg_and_stay_beside_those_of_the_other(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(opened("999.00"), closed("1006.00", "2026-03-17"))
    found = {(d.field, d.instructed, d.confirmed) for d in (await story(loops)).state.breaks}
    assert found == {
        ("opening.amount", "1000.00", "999.00"),
        ("closing.amount", "1005.00", "1006.00"),
        ("closing.effective_settlement_date", "2026-03-18", "2026-03-17"),
    }


async def test_parts_of_a_leg_are_summed_by_themselves(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(opened("400.00", quantity="200", partial="PAIN", identifier="P1"))
    assert await headline(loops) == "partially_opened"
    await loops.hear(opened("600.00", quantity="300", partial="PARC", identifier="P2"))
    assert await headline(loops) == "opened"
    await loops.hear(closed("402.00", quantity="200", partial="PAIN"))
    end = await story(loops)
    assert (end.instruction.headline, end.state.breaks) == ("partially_closed", ())
    await loops.hear(closed("603.00", quantity="310", partial="PARC", identifier="CLOSED2"))
    end = await story(loops)
    assert [d.field for d in end.state.breaks] == ["closing.settled_quantity"]
    assert alerts(end)[-2:] == ["settled_beyond_instruction", "settlement_break"]


async def test_a_closing_leg_that_is_confirmed_first_is_alerted_and_kept(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(closed())
    end = await story(loops)
    assert (end.instruction.headline, alerts(end)) == ("closed", ["closing_before_opening"])
    await loops.hear(opened())
    assert axis(await story(loops), "opening") == "settled"


ROLL = event(
    "modify_securities_financing/1",
    modification_type="ROLP",
    repurchase_rate=None,
    termination_date="2026-03-25",
    termination_amount={"value": "1010.00", "currency": "EUR"},
)


def terms_of(story: Story) -> Terms:
    return terms_in_force(story.state, story.terms)


async def test_a_roll_over_is_done_once_the_closing_leg_settles_as_it_says(both_loops: Loops) -> None:
    loops = both_loops
    _, request = await begun(loops, ROLL)
    content = loops.arrived()[1].content
    assert b"<ModTp><Cd>ROLP</Cd></ModTp>" in content
    assert b"<SctiesFincgTxTp>REPU</SctiesFincgTxTp>" in content
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S1"))
    assert axis(await story(loops), "modification") == "requested"  # that one is of the instruction
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S2", request), opened())
    agreed = await story(loops)
    assert (agreed.instruction.headline, axis(agreed, "modification")) == ("opened", "accepted")
    assert str(terms_of(agreed).closing_date) == "2026-03-18"
    await loops.hear(closed("1010.00", "2026-03-25", created_at="2026-03-25T12:00:00Z"))
    end = await story(loops)
    assert (end.state.breaks, alerts(end), axis(end, "modification")) == ((), [], "modified")
    assert str(terms_of(end).closing_date) == "2026-03-25"
    # An answer that comes late says nothing new.
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S3", request, created_at="2026-03-25T13:00:00Z"))
    assert axis(await story(loops), "modification") == "modified"
    assert await loops.parked() == []
    await loops.prove()


@pytest.mark.parametrize(
    ("asked", "settles", "done"),
    [
        ("2026-03-25", "2026-03-26", True),  # late by the new date
        ("2026-03-25", "2026-03-20", False),  # late by the old one
        ("2026-03-10", "2026-03-11", True),
        ("2026-03-10", "2026-03-19", False),
    ],
)
async def test_the_date_on_which_a_leg_settles_shows_whether_it_was_moved(
    loops: Loops, asked: str, settles: str, done: bool
) -> None:
    _, request = await begun(loops, ROLL | {"termination_date": asked, "termination_amount": None})
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S2", request))
    assert not has_open_modification((await story(loops)).state)
    await loops.hear(opened(), closed(day=settles))
    end = await story(loops)
    assert (axis(end, "modification"), end.state.breaks) == ("modified" if done else "accepted", ())
    assert alerts(end) == ([] if done else ["modification_not_done"])


async def test_a_call_of_an_open_financing_is_done_once_it_closes(loops: Loops) -> None:
    call = event(
        "modify_securities_financing/1", modification_type="CALL", repurchase_rate=None, termination_date="2026-03-10"
    )
    await begun(loops, call, termination="OPEN", termination_date=None)
    await loops.hear(advice(status("RepoCallReqSts", "AckdAccptd"), "S1"), opened(), closed(day="2026-03-11"))
    end = await story(loops)
    assert (axis(end, "modification"), alerts(end)) == ("modified", [])


async def test_a_leg_that_settles_as_it_was_before_an_accepted_roll_over_is_alerted(loops: Loops) -> None:
    _, request = await begun(loops, ROLL)
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S2", request), opened(), closed())
    end = await story(loops)
    assert (end.state.breaks, alerts(end)) == ((), ["modification_not_done"])
    assert (end.instruction.headline, axis(end, "modification")) == ("closed", "accepted")


async def test_parts_of_a_leg_show_a_changed_quantity_once_they_add_up_to_it(loops: Loops) -> None:
    adjust = event(
        "modify_securities_financing/1",
        modification_type="PADJ",
        quantity={"type": "unit", "value": "400"},
        opening_amount={"value": "800.00", "currency": "EUR"},
    )
    _, request = await begun(loops, adjust)
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S2", request))
    await loops.hear(opened("200.00", quantity="100", partial="PAIN", identifier="P1"))
    assert axis(await story(loops), "modification") == "accepted"
    await loops.hear(opened("600.00", quantity="300", partial="PARC", identifier="P2"))
    end = await story(loops)
    assert (axis(end, "modification"), end.state.breaks, alerts(end)) == ("modified", (), [])


async def test_what_was_accepted_stands_in_the_next_modification(loops: Loops) -> None:
    adjust = event(
        "modify_securities_financing/1",
        event_id="ADJUST",
        modification_type="PADJ",
        quantity={"type": "unit", "value": "400"},
    )
    _, request = await begun(loops, adjust)
    await loops.hear(advice(status("PrcgSts", "AckdAccptd"), "S2", request))
    [result] = await loops.take_in(ROLL)
    assert result.outcome == "requested"
    await loops.send()
    assert b"<SttlmQty><Unit>400</Unit></SttlmQty>" in loops.arrived()[2].content


@pytest.mark.parametrize(("said", "stands"), [("AckdAccptd", "accepted"), ("Dnd", "denied")])
async def test_a_call_is_answered_in_words_of_its_own(loops: Loops, said: str, stands: str) -> None:
    call = event(
        "modify_securities_financing/1", modification_type="CALL", repurchase_rate=None, termination_date="2026-03-10"
    )
    await begun(loops, call)
    await loops.hear(opened(), advice(status("RepoCallReqSts", said), "S1"))
    assert axis(await story(loops), "modification") == stands
    await loops.hear(closed(day="2026-03-10"))
    end = await story(loops)
    early = [d.field for d in end.state.breaks]
    assert early == ([] if stands == "accepted" else ["closing.effective_settlement_date"])
    assert axis(end, "modification") == ("modified" if stands == "accepted" else "denied")


async def test_a_financing_is_cancelled_and_held_by_the_requests_of_a_settlement(loops: Loops) -> None:
    hold = event("change_financing_conditions/1", hold=True)
    _, _, request = await begun(loops, hold, event("cancel_securities_financing/1"))
    assert b"<SctiesFincgTxId><TxId>" in loops.arrived()[2].content
    assert b"<HldInd><Ind>true</Ind></HldInd>" in loops.arrived()[1].content
    assert await headline(loops) == "cancellation_requested"
    await loops.hear(cancellation_advice(request))
    assert await headline(loops) == "cancelled"


@pytest.mark.parametrize(
    ("said", "headline"), [("Canc", "closing_cancelled"), ("Rjctd", "closing_rejected")], ids=["cancelled", "rejected"]
)
@pytest.mark.parametrize(
    "opening", [{}, {"amount": "400.00", "quantity": "200", "partial": "PAIN"}], ids=["all", "part"]
)
@pytest.mark.parametrize("last", ["opening", "status"])
async def test_what_is_given_up_once_its_opening_leg_settled_is_not_finished_and_alerted(
    loops: Loops, said: str, headline: str, opening: dict[str, Any], last: str
) -> None:
    await begun(loops)
    heard = [opened(**opening), advice(status("PrcgSts", said), "S1", created_at="2026-03-10T09:00:00Z")]
    await loops.hear(*(heard if last == "status" else reversed(heard)))
    end = await story(loops)
    assert (end.instruction.headline, alerts(end)) == (headline, ["closing_given_up"])
    assert headline not in FINISHED[Dialogue.FINANCING] | UNDONE
    await loops.hear(closed(created_at="2026-03-18T12:00:00Z"))
    assert (await story(loops)).instruction.headline == "closed"


async def test_a_cancellation_of_a_parked_financing_closes_it_and_sends_nothing(loops: Loops) -> None:
    await loops.take_in(repo(rate_type="ZZZZ"))
    assert (await loops.only_parked()).summary.code == "code_not_in_version"
    [result] = await loops.take_in(event("cancel_securities_financing/1"))
    assert (result.outcome, await loops.parked()) == ("withdrawn", [])


@pytest.mark.parametrize(
    "change",
    [
        {"movement": "receive"},
        {"financing_type": "borrowing"},
        {"termination": "OPEN"},
        {"opening_amount": {"value": "1.00", "currency": "EUR"}},
        {"termination_date": "2026-03-03"},
        {"opening_date": "2026-03-01"},
    ],
)
def test_what_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(EventError):
        parse_event(encode(document("instruct_securities_financing/1", minimal=True) | change))
