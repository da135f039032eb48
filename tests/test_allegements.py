"""Trades that the other side begins: alleged, generated, confirmed; compared with ours, removed, answered."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.matching import Ours, Tolerances, rank
from gateway.model.events import parse_event
from gateway.model.facts import Terms
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries, tables
from gateway.store.migration import upgrade
from gateway.store.views import Story
from tests.loops import (
    ACCEPTED,
    ACCOUNT,
    CHANNEL,
    OTHER,
    OWN_BIC,
    Loops,
    confirm,
    envelope,
    instruct,
    party,
    rejection,
    settings_for,
    settled,
    status,
    transaction,
)

BODY = (
    "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId><QtyAndAcctDtls><SttlmQty>{quantity}</SttlmQty>"
    f"<SfkpgAcct><Id>{ACCOUNT}</Id></SfkpgAcct></QtyAndAcctDtls>"
)
PARTIES = (
    "<DlvrgSttlmPties><Dpstry><Id><AnyBIC>DAKVDEFFXXX</AnyBIC></Id></Dpstry></DlvrgSttlmPties>"
    "<RcvgSttlmPties><Dpstry><Id><AnyBIC>DAKVDEFFXXX</AnyBIC></Id></Dpstry></RcvgSttlmPties>"
)


def alleged(
    reference: str = "ALLEGED1",
    *,
    amount: str = "61234.56",
    quantity: str = "500",
    movement: str = "DELI",
    day: str = "2026-03-04",
    identifier: str = "ALLEGEMENT1",
    **heading: Any,
) -> bytes:
    """Return a settlement allegement."""
    body = (
        f"<TxId>{reference}</TxId><SttlmTpAndAddtlParams><SctiesMvmntTp>{movement}</SctiesMvmntTp><Pmt>APMT</Pmt>"
        f"</SttlmTpAndAddtlParams><TradDtls><SttlmDt><Dt><Dt>{day}</Dt></Dt></SttlmDt></TradDtls>"
        + BODY.format(quantity=f"<Unit>{quantity}</Unit>")
        + "<SttlmParams><SctiesTxTp><Cd>TRAD</Cd></SctiesTxTp></SttlmParams>"
        + PARTIES
        + f'<SttlmAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttlmAmt>'
    )
    return envelope(
        "sese.028.001.12", f"<SctiesSttlmTxAllgmtNtfctn>{body}</SctiesSttlmTxAllgmtNtfctn>", identifier, **heading
    )


def removal(reference: str = "ALLEGED1", *, identifier: str = "REMOVAL1", **heading: Any) -> bytes:
    """Return the removal of an allegement."""
    body = f"<AcctSvcrTxId><TxId>{reference}</TxId><SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt></AcctSvcrTxId>"
    root = "SctiesSttlmAllgmtRmvlAdvc"
    return envelope("sese.029.001.08", f"<{root}>{body}</{root}>", identifier, **heading)


def generated(reference: str = "GENERATED1", *, servicer: str = "SVC-9", identifier: str = "GENERATION1") -> bytes:
    """Return the notification of a transaction that the servicer generated on our account."""
    body = (
        f"<TxIdDtls><AcctOwnrTxId>{reference}</AcctOwnrTxId><AcctSvcrTxId>{servicer}</AcctSvcrTxId>"
        "<SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt></TxIdDtls>"
        "<TradDtls><SttlmDt><Dt><Dt>2026-03-04</Dt></Dt></SttlmDt></TradDtls>"
        + BODY.format(quantity="<Qty><Unit>500</Unit></Qty>")
        + "<SttlmParams><SctiesTxTp><Cd>TRAD</Cd></SctiesTxTp></SttlmParams>"
        '<SttlmAmt><Amt Ccy="EUR">61234.56</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttlmAmt>'
    )
    root = "SctiesSttlmTxGnrtnNtfctn"
    return envelope("sese.032.001.13", f"<{root}>{body}</{root}>", identifier)


def their_confirmation(
    reference: str = "BROKER-1", *, price: str = "122.4567", amount: str = "61234.56", identifier: str = "CONFIRMED1"
) -> bytes:
    """Return a trade confirmation of theirs: they sell, we buy."""
    body = (
        f"<Id><TxId>{reference}</TxId></Id><TradDtls><Sd>SELL</Sd><Pmt>APMT</Pmt>"
        "<TradDt><Dt><Dt>2026-03-02</Dt></Dt></TradDt><SttlmDt><Dt><Dt>2026-03-04</Dt></Dt></SttlmDt>"
        f'<ConfQty><Qty><Unit>500</Unit></Qty></ConfQty><DealPric><Val><Amt Ccy="EUR">{price}</Amt></Val>'
        "</DealPric></TradDtls><FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId>"
        "<ConfPties><Buyr><Id><AnyBIC>"
        f"{OWN_BIC}</AnyBIC></Id></Buyr><Sellr><Id><AnyBIC>{CHANNEL}</AnyBIC></Id></Sellr></ConfPties>"
        f'<SttlmAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></SttlmAmt>'
    )
    return envelope("setr.027.001.05", f"<SctiesTradConf>{body}</SctiesTradConf>", identifier)


async def theirs(loops: Loops, reference: str, dialogue: Dialogue) -> Story:
    name = transaction_id(OWN_BIC, CHANNEL, reference, dialogue, 1)
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    return found


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def axis(story: Story, name: str) -> str | None:
    axes = story.state.axes or {}
    return axes[name].status.value if name in axes else None


# Allegements ----------------------------------------------------------------------------------------------------------


async def test_an_allegement_of_what_nobody_here_knows_is_alerted_with_its_terms(both_loops: Loops) -> None:
    await both_loops.hear(alleged())
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert (story.instruction.headline, story.state.delivery) == ("alleged", "theirs")
    assert alerts(story) == ["allegement_unknown"]
    [told] = await both_loops.published("status")
    assert (told["source"], told["trade_id"], told["dialogue"]) == (CHANNEL, "ALLEGED1", "allegement")
    text = told["alerts"][0]["text"]
    assert "deliver 500 unit DE0007164600 against 61234.56 EUR on 2026-03-04" in text
    assert ACCOUNT not in text
    await both_loops.prove()


async def test_an_allegement_of_what_was_sent_agrees_without_an_alert_and_its_removal_ends_it(loops: Loops) -> None:
    await loops.take_in(instruct(payment="against"))
    await loops.send()
    await loops.hear(alleged())
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert (story.instruction.headline, alerts(story)) == ("agrees", [])
    [ours] = story.state.counterparts
    assert (ours.kind, ours.identifier, ours.differences) == ("instruction", transaction(), ())
    assert {"isin", "movement", "amount", "settlement_date"} <= set(ours.agreed)
    await loops.hear(removal())
    assert (await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)).instruction.headline == "removed"
    await loops.prove()


async def test_an_allegement_of_what_is_still_parked_or_held_shows_both(loops: Loops) -> None:
    await loops.take_in(instruct("T1", place_of_trade={"type": "EXCH", "market": "XETR"}, transaction_type="ZZZZ"))
    [item] = await loops.parked()
    await loops.hear(alleged())
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    [ours] = story.state.counterparts
    assert (ours.kind, ours.identifier, ours.standing) == ("parked", str(item.summary.id), "code_not_in_version")
    assert alerts(story) == ["allegement_of_unsent"]

    await loops.take_in(instruct("T2", quantity={"type": "unit", "value": "700"}, lots=[], hold=True))
    await loops.send()
    await loops.hear(alleged("ALLEGED2", quantity="700", identifier="ALLEGEMENT2"))
    story = await theirs(loops, "ALLEGED2", Dialogue.ALLEGEMENT)
    assert (story.state.counterparts[0].standing, alerts(story)) == ("held", ["allegement_of_unsent"])


async def test_an_allegement_that_differs_names_the_fields_of_the_most_alike(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), instruct("T2", settlement_amount={"value": "99.00", "currency": "EUR"}))
    await loops.send()
    await loops.hear(alleged(amount="61234.57", day="2026-03-05"))
    story = await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert (story.instruction.headline, alerts(story)) == ("differs", ["allegement_differs"])
    best, other = story.state.counterparts
    assert best.identifier == transaction("T1") or best.identifier == transaction("T2")
    assert {d.field for d in best.differences} == {"amount", "settlement_date"}
    assert other.identifier != best.identifier


async def test_tolerances_of_the_profile_decide_what_agrees(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        tolerant = party(CHANNEL, tolerances={"amount": "2.00", "settlement_date_days": 1})
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[tolerant]))
        await loops.take_in(instruct())
        await loops.send()
        await loops.hear(alleged(amount="61236.56", day="2026-03-05"))
        assert (await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)).instruction.headline == "agrees"
        await loops.hear(alleged("ALLEGED2", amount="61236.57", identifier="ALLEGEMENT2"))
        assert (await theirs(loops, "ALLEGED2", Dialogue.ALLEGEMENT)).instruction.headline == "differs"
    finally:
        await ledger.close()


async def test_the_same_allegement_again_changes_nothing_and_other_terms_are_alerted(both_loops: Loops) -> None:
    await both_loops.hear(alleged(), alleged(identifier="AGAIN", created_at="2026-03-02T11:05:00Z"))
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert alerts(story) == ["allegement_unknown"]
    await both_loops.hear(alleged(amount="1.00", identifier="OTHER", created_at="2026-03-02T11:10:00Z"))
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert alerts(story)[-1] == "alleged_terms_changed"
    assert str(story.terms.amount.value if story.terms.amount else None) == "61234.56"
    assert len(await both_loops.rows(tables.instruction)) == 1


async def test_a_removal_in_the_same_batch_finds_its_allegement(loops: Loops) -> None:
    await loops.archive(alleged(), removal(created_at="2026-03-02T11:30:00Z"))
    await loops.apply()
    assert (await theirs(loops, "ALLEGED1", Dialogue.ALLEGEMENT)).instruction.headline == "removed"
    assert await loops.parked() == []


@pytest.mark.parametrize("together", [True, False])
async def test_a_removal_that_comes_before_its_allegement_is_applied_after_it(
    both_loops: Loops, together: bool
) -> None:
    heard = (removal(created_at="2026-03-02T11:30:00Z"), alleged())
    await both_loops.hear(removal("NOBODYS", identifier="OTHER"))
    if together:
        await both_loops.hear(*heard)
    else:
        await both_loops.hear(heard[0])
        assert len(await both_loops.parked()) == 2
        await both_loops.hear(heard[1])
    assert (await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)).instruction.headline == "removed"
    left = await both_loops.only_parked()
    assert "NOBODYS" in left.summary.text
    await both_loops.prove()


async def test_a_removal_of_what_was_never_alleged_is_parked(loops: Loops) -> None:
    await loops.hear(removal("NOBODYS"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_an_allegement_whose_sender_is_not_the_channels_counterparty_is_never_accepted(loops: Loops) -> None:
    await loops.hear(alleged(sender=OTHER))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"
    assert await loops.rows(tables.instruction) == []


async def test_our_answer_to_an_allegement_is_sent_and_its_technical_rejection_is_of_the_answer(
    both_loops: Loops,
) -> None:
    await both_loops.hear(alleged())
    answer = {
        "schema": "answer_allegement/1",
        "event_id": "ANSWER1",
        "source": "operations",
        "trade_id": "ALLEGED1",
        "instruction_number": 1,
        "occurred_at": "2026-03-02T12:00:00Z",
        "counterparty": CHANNEL,
        "rejection": {"reason": "CPTR"},
    }
    [result] = await both_loops.take_in(answer)
    assert result.outcome == "requested"
    await both_loops.send()
    [message] = both_loops.arrived()
    assert b"<AcctSvcrTxId>ALLEGED1</AcctSvcrTxId>" in message.content
    assert b"<Rjctd><Rsn><Cd><Cd>CPTR</Cd></Cd></Rsn></Rjctd>" in message.content
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert (story.instruction.headline, story.state.delivery) == ("answered", "theirs")
    await both_loops.hear(rejection(message.business_message_id))
    story = await theirs(both_loops, "ALLEGED1", Dialogue.ALLEGEMENT)
    assert axis(story, "answer") == "rejected"
    await both_loops.prove()


async def test_an_answer_to_what_was_never_alleged_waits_for_it(loops: Loops) -> None:
    answer = {
        "schema": "answer_allegement/1",
        "event_id": "ANSWER1",
        "source": "operations",
        "trade_id": "NOBODYS",
        "instruction_number": 1,
        "occurred_at": "2026-03-02T12:00:00Z",
        "counterparty": CHANNEL,
        "pending": "forwarded",
    }
    [result] = await loops.take_in(answer)
    assert (result.outcome, result.code) == ("waiting", "request_unknown_instruction")


# Generated transactions -----------------------------------------------------------------------------------------------


async def test_a_generated_transaction_is_followed_like_an_instruction_under_either_of_its_names(
    both_loops: Loops,
) -> None:
    await both_loops.hear(generated())
    story = await theirs(both_loops, "GENERATED1", Dialogue.SETTLEMENT)
    assert (story.instruction.headline, alerts(story)) == ("generated", ["transaction_generated"])
    await both_loops.hear(status(ACCEPTED, "GENERATED1", servicer_id=None))
    await both_loops.hear(settled(transaction_id="GENERATED1"))
    story = await theirs(both_loops, "GENERATED1", Dialogue.SETTLEMENT)
    assert story.instruction.headline == "settled"
    assert alerts(story) == ["transaction_generated"]
    await both_loops.prove()


async def test_a_generated_transaction_without_a_name_of_ours_goes_by_the_servicers(loops: Loops) -> None:
    await loops.hear(generated("NONREF", servicer="SVC-7"))
    await loops.hear(status(ACCEPTED, "NONREF", servicer_id="SVC-7"))
    story = await theirs(loops, "SVC-7", Dialogue.SETTLEMENT)
    assert axis(story, "processing") == "accepted"


# Their trade confirmations --------------------------------------------------------------------------------------------


async def test_their_confirmation_is_compared_with_ours_and_waits_for_an_answer(both_loops: Loops) -> None:
    await both_loops.take_in(confirm(payment="against", net_amount={"value": "61234.56", "currency": "EUR"}))
    await both_loops.hear(their_confirmation())
    story = await theirs(both_loops, "BROKER-1", Dialogue.ALLEGED_TRADE)
    assert (story.instruction.headline, alerts(story)) == ("agrees", [])
    assert "price" in story.state.counterparts[0].agreed
    assert axis(story, "answer") is None
    await both_loops.hear(their_confirmation("BROKER-2", price="122.5", identifier="CONFIRMED2"))
    story = await theirs(both_loops, "BROKER-2", Dialogue.ALLEGED_TRADE)
    assert (story.instruction.headline, alerts(story)) == ("differs", ["trade_differs"])
    [difference] = story.state.counterparts[0].differences
    assert (difference.field, difference.instructed, difference.confirmed) == ("price", "122.4567", "122.5")
    await both_loops.prove()


async def test_a_confirmation_of_theirs_is_cancelled_by_their_reference(both_loops: Loops) -> None:
    await both_loops.hear(their_confirmation())
    body = "<SctiesTradConfCxl><Id><TxId>BROKER-1</TxId></Id></SctiesTradConfCxl>"
    await both_loops.hear(envelope("setr.029.001.02", body, "CANCELLED1", created_at="2026-03-02T12:30:00Z"))
    story = await theirs(both_loops, "BROKER-1", Dialogue.ALLEGED_TRADE)
    assert (story.instruction.headline, axis(story, "allegement")) == ("cancelled", "cancelled")
    assert await both_loops.parked() == []
    await both_loops.prove()


async def test_an_operator_disaffirms_what_differs(loops: Loops) -> None:
    await loops.hear(their_confirmation())
    story = await theirs(loops, "BROKER-1", Dialogue.ALLEGED_TRADE)
    assert alerts(story) == ["trade_unknown"]
    answer = {
        "schema": "answer_trade/1",
        "event_id": "ANSWER1",
        "source": "operations",
        "trade_id": "BROKER-1",
        "instruction_number": 1,
        "occurred_at": "2026-03-02T12:00:00Z",
        "counterparty": CHANNEL,
        "answer": "disaffirm",
        "reason": "NAFF",
    }
    [result] = await loops.take_in(answer)
    assert result.outcome == "requested"
    await loops.send()
    [message] = loops.arrived()
    assert b"<ExctgPtyTxId>BROKER-1</ExctgPtyTxId>" in message.content
    assert b"<Cd>NAFI</Cd>" in message.content


async def test_what_agrees_is_affirmed_by_itself_once_where_the_profile_allows_it(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        trusting = party(CHANNEL, answers_agreed_trades=True)
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[trusting]))
        await loops.take_in(confirm(payment="against", net_amount={"value": "61234.56", "currency": "EUR"}))
        await loops.send()
        await loops.hear(their_confirmation())
        await loops.send()
        await loops.hear(their_confirmation(identifier="AGAIN"))
        await loops.hear(their_confirmation("BROKER-2", price="122.5", identifier="CONFIRMED2"))
        await loops.send()
        answers = [m.content for m in loops.arrived() if b"SctiesTradConfRspn" in m.content]
        assert len(answers) == 1
        assert b"<Cd>AFFI</Cd>" in answers[0]
        assert b"<ExctgPtyTxId>BROKER-1</ExctgPtyTxId>" in answers[0]
        story = await theirs(loops, "BROKER-1", Dialogue.ALLEGED_TRADE)
        assert story.instruction.headline == "answered"
        [asked] = [entry for entry in story.history if entry.action == "answer_requested"]
        assert (asked.actor, asked.cause) == (
            "gateway",
            f"comparison:{transaction(dialogue=Dialogue.CONFIRMATION)}",
        )
        await loops.prove()
    finally:
        await ledger.close()


# The comparison itself ------------------------------------------------------------------------------------------------


def ours(identifier: str, **changes: Any) -> Ours:
    event = parse_event_of(instruct(**changes))
    return Ours("instruction", identifier, "sent", event)


def parse_event_of(event: dict[str, Any]) -> Terms:
    return parse_event(json.dumps(event).encode()).terms()


def test_another_security_or_direction_is_no_counterpart() -> None:
    theirs_ = parse_event_of(instruct())
    same = ours("SAME")
    assert [c.identifier for c in rank(theirs_, [same])] == ["SAME"]
    assert rank(theirs_, [ours("ISIN", isin="DE0001102580")]) == ()
    back = instruct(movement="receive", delivering_parties=[{"bic": "AGNTDEFFXXX"}])
    assert rank(parse_event_of(back), [same]) == ()


def test_the_fewest_differences_come_first_and_then_what_agrees_in_more() -> None:
    theirs_ = parse_event_of(instruct())
    found = rank(
        theirs_,
        [
            ours("TWO", settlement_amount={"value": "1.00", "currency": "EUR"}, settlement_date="2026-03-05"),
            ours("NONE"),
            ours("ONE", settlement_date="2026-03-05"),
        ],
    )
    assert [c.identifier for c in found] == ["NONE", "ONE", "TWO"]
    assert [len(c.differences) for c in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "currency", "agrees"),
    [("61234.56", "EUR", True), ("61236.56", "EUR", True), ("61236.57", "EUR", False), ("61234.56", "USD", False)],
)
def test_an_amount_agrees_within_its_tolerance_and_in_its_currency_only(
    value: str, currency: str, agrees: bool
) -> None:
    theirs_ = parse_event_of(instruct(settlement_amount={"value": value, "currency": currency}))
    [found] = rank(theirs_, [ours("X")], Tolerances(amount=Decimal("2.00")))
    assert ("amount" in found.agreed) is agrees
