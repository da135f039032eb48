"""Trades confirmed in FIN: ours affirmed, refused and cancelled, theirs compared and answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.model.facts import Reason
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries
from gateway.store.views import Story
from tests.fin_counterparty import fields
from tests.fin_trades import (
    CANCEL,
    MONEY,
    affirmation,
    answer,
    status,
    theirs,
)
from tests.loops import CHANNEL, OTHER, OWN_BIC, Loops, confirm, event, party, settings_for, transaction

# Ours and theirs ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway whose counterparties speak FIN; one of them has what agrees answered by itself."""
    ledger = await Ledger.open(ledger_url)
    parties = [party(CHANNEL, language="fin"), party(OTHER, language="fin", answers_agreed_trades=True)]
    yield Loops(ledger, settings_for(ledger_url, counterparties=parties))
    await ledger.close()


async def alleged(loops: Loops, reference: str = "BROKER-1", channel: str = CHANNEL) -> Story:
    name = transaction_id(OWN_BIC, channel, reference, Dialogue.ALLEGED_TRADE, 1)
    [found] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    return found


async def ours(loops: Loops) -> Story:
    return await loops.story(dialogue=Dialogue.CONFIRMATION)


def axes(story: Story) -> dict[str, str]:
    return {name: axis.status.value for name, axis in (story.state.axes or {}).items()}


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


NAME = transaction(dialogue=Dialogue.CONFIRMATION)


async def confirmed(loops: Loops, **changes: Any) -> list[str]:
    """Confirm a trade to them; returns the fields of what they got."""
    [result] = await loops.take_in(confirm(**(MONEY | changes)))
    assert result.outcome == "instructed", result
    await loops.send(changes.get("counterparty", CHANNEL))
    return fields(loops.arrived(changes.get("counterparty", CHANNEL))[-1].content)


async def test_ours_is_affirmed(loops: Loops) -> None:
    assert f"20C::SEME//{NAME}" in await confirmed(loops)
    await loops.hear(affirmation(NAME))
    assert ((await ours(loops)).instruction.headline, axes(await ours(loops))) == (
        "affirmed",
        {"affirmation": "affirmed"},
    )
    told = (await loops.published("status"))[-1]
    assert (told["headline"], told["axes"]["affirmation"]["status"]) == ("affirmed", "affirmed")
    await loops.prove()


async def test_ours_is_received_matched_and_refused_with_their_reason(loops: Loops) -> None:
    await confirmed(loops)
    await loops.hear(status(NAME, "IPRC//PACK", "MTCH//NMAT NMAT//DDEA"))
    assert (await ours(loops)).instruction.headline == "unmatched"
    await loops.hear(status(NAME, "AFFM//NAFI NAFI//NARR NINE NOT TEN", reference="STATUS2"))
    story = await ours(loops)
    assert story.instruction.headline == "disaffirmed"
    assert (story.state.axes or {})["affirmation"].status.reasons == (Reason("NARR", None, "NINE NOT TEN"),)
    await loops.prove()


async def test_a_status_of_theirs_alone_is_proprietary_and_an_unknown_one_is_alerted_besides(loops: Loops) -> None:
    await confirmed(loops)
    await loops.hear(status(NAME, "IPRC/HOUSE/OWN1"))
    assert (axes(await ours(loops)), alerts(await ours(loops))) == ({"processing": "proprietary"}, [])
    await loops.hear(status(NAME, "IPRC//WHAT", reference="STATUS2"))
    assert alerts(await ours(loops)) == ["status_code_unknown", "rule_warning"]


@pytest.mark.parametrize("direct", [True, False])
async def test_ours_is_cancelled(loops: Loops, direct: bool) -> None:
    await confirmed(loops)
    [result] = await loops.take_in(event(CANCEL, counterparty=CHANNEL))
    assert result.outcome == "cancelling"
    await loops.send()
    sent = fields(loops.arrived()[-1].content)
    [request] = [one.removeprefix("20C::SEME//") for one in sent if one.startswith("20C::SEME//")]
    assert f"20C::PREV//{NAME}" in sent
    assert request != NAME
    await loops.hear(status(request, "CPRC//PACK", function="CAST"))
    assert (await ours(loops)).instruction.headline == "cancellation_requested"
    if direct:
        await loops.hear(status(NAME, "IPRC//CAND", reference="STATUS2"))
    else:
        await loops.hear(status(request, "CPRC//CAND", function="CAST", reference="STATUS2"))
    assert (await ours(loops)).instruction.headline == "cancelled"
    await loops.prove()


@pytest.mark.parametrize("number", ["515", "518"])
async def test_theirs_is_compared_with_ours_field_by_field(loops: Loops, number: str) -> None:
    await loops.take_in(confirm(**MONEY))
    await loops.hear(theirs(number=number))
    story = await alleged(loops)
    assert (story.instruction.headline, alerts(story)) == ("agrees", [])
    assert {"movement", "payment", "isin", "quantity", "amount", "price", "trade_date", "settlement_date"} <= set(
        story.state.counterparts[0].agreed
    )
    await loops.hear(theirs("BROKER-2", number=number, price="122,5"))
    story = await alleged(loops, "BROKER-2")
    assert (story.instruction.headline, alerts(story)) == ("differs", ["trade_differs"])
    [difference] = story.state.counterparts[0].differences
    assert (difference.field, difference.instructed, difference.confirmed) == ("price", "122.4567", "122.5")
    await loops.prove()


async def test_who_buys_is_decided_by_the_parties_and_not_by_whose_order_it_was(loops: Loops) -> None:
    await loops.take_in(confirm(**MONEY))
    await loops.hear(theirs(side="BUYI"))
    assert (await alleged(loops)).instruction.headline == "agrees"
    await loops.hear(theirs("BROKER-2", parties=(CHANNEL, OWN_BIC)))
    assert alerts(await alleged(loops, "BROKER-2")) == ["trade_unknown"]  # we sold nothing


async def test_what_agrees_is_affirmed_once_where_the_profile_allows_it(loops: Loops) -> None:
    await confirmed(loops, counterparty=OTHER)
    await loops.hear(theirs(sender=OTHER, parties=(OWN_BIC, OTHER)), channel=OTHER)
    await loops.send(OTHER)
    affirmed = fields(loops.arrived(OTHER)[-1].content)
    assert "{2:I517" in loops.arrived(OTHER)[-1].content.decode()
    assert [one for one in affirmed if "LINK//" in one or "RELA" in one or "AFFM" in one] == [
        f"95P::AFFM//{OWN_BIC}",
        "13A::LINK//515",
        "20C::RELA//BROKER-1",
    ]
    await loops.hear(theirs("BROKER-2", price="122,5", sender=OTHER, parties=(OWN_BIC, OTHER)), channel=OTHER)
    await loops.send(OTHER)
    assert len(loops.arrived(OTHER)) == 2  # ours and one answer
    assert (await alleged(loops, channel=OTHER)).instruction.headline == "answered"
    await loops.prove()


async def test_what_agrees_and_came_from_the_market_is_answered_by_a_status(loops: Loops) -> None:
    await confirmed(loops, counterparty=OTHER)
    await loops.hear(theirs(number="518", sender=OTHER, parties=(OWN_BIC, OTHER)), channel=OTHER)
    await loops.send(OTHER)
    sent = fields(loops.arrived(OTHER)[-1].content)
    assert "{2:I509" in loops.arrived(OTHER)[-1].content.decode()
    assert {"13A::LINK//518", "20C::RELA//BROKER-1", "25D::AFFM//AFFI"} <= set(sent)


async def test_ours_that_comes_later_lets_theirs_be_answered_as_it_came(loops: Loops) -> None:
    await loops.hear(theirs(number="518", sender=OTHER, parties=(OWN_BIC, OTHER)), channel=OTHER)
    assert alerts(await alleged(loops, channel=OTHER)) == ["trade_unknown"]
    await loops.take_in(confirm(**MONEY, counterparty=OTHER))
    await loops.work_off()
    await loops.send(OTHER)
    answers = [one.content for one in loops.arrived(OTHER) if b"{2:I509" in one.content]
    assert [b":13A::LINK//518" in one for one in answers] == [True]


async def test_an_operator_refuses_what_differs(loops: Loops) -> None:
    await loops.hear(theirs())
    assert alerts(await alleged(loops)) == ["trade_unknown"]
    refusal = answer("disaffirm", source="operations", reason="NAFF", text="Not ours")
    [result] = await loops.take_in(refusal)
    assert result.outcome == "requested", result
    await loops.send()
    sent = fields(loops.arrived()[-1].content)
    assert {
        "13A::LINK//515",
        "20C::RELA//BROKER-1",
        "25D::AFFM//NAFI",
        "24B::NAFI//NAFF",
        "70D::REAS//Not ours",
    } <= set(sent)
    assert (await alleged(loops)).instruction.headline == "answered"


@pytest.mark.parametrize("number", ["515", "518"])
async def test_theirs_is_cancelled_by_their_reference(loops: Loops, number: str) -> None:
    await loops.hear(theirs(number=number))
    await loops.hear(theirs(number=number, function="CANC", previous="BROKER-1"))
    assert (await alleged(loops)).instruction.headline == "cancelled"
    assert await loops.parked() == []
    await loops.prove()


async def test_a_cancellation_of_what_was_never_confirmed_is_parked(loops: Loops) -> None:
    await loops.hear(theirs(function="CANC", previous="NOTHING"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_the_same_confirmation_twice_is_one_trade(loops: Loops) -> None:
    await loops.take_in(confirm(**MONEY))
    await loops.hear(theirs(), theirs())
    assert len((await alleged(loops)).history) == 1
    assert await loops.parked() == []


async def test_a_confirmation_of_somebody_else_is_parked(loops: Loops) -> None:
    await loops.hear(theirs(sender=OTHER))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"


async def test_an_affirmation_of_nothing_of_ours_is_parked(loops: Loops) -> None:
    await loops.hear(affirmation("NOTHING"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"
