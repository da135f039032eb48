"""Messages about messages: withdrawn by semt.020, rejected by semt.001, theirs and ours."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import ArchiveState, queries, tables
from gateway.store.views import Story
from tests.loops import (
    CHANNEL,
    OTHER,
    OWN_BIC,
    REJECTED,
    Loops,
    envelope,
    event,
    instruct,
    rejection,
    settled,
    status,
    transaction,
)


def withdrawal(reference: str, kind: str = "OthrMsgId", identifier: str = "WITHDRAWN1", **heading: Any) -> bytes:
    named = f"<{kind}>{reference}</{kind}>"
    if kind == "SctiesSttlmTxConfId":
        named = f"<{kind}><TxId>{reference}</TxId><SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt></{kind}>"
    return envelope(
        "semt.020.001.07", f"<SctiesMsgCxlAdvc><Ref>{named}</Ref></SctiesMsgCxlAdvc>", identifier, **heading
    )


def message_rejection(reference: str, **heading: Any) -> bytes:
    body = (
        f"<RltdRef><Ref>{reference}</Ref><MsgNb><LngNb>sese.023.001.12</LngNb></MsgNb></RltdRef>"
        "<Rsn><Rsn>REFE</Rsn><AddtlInf>not a client of ours</AddtlInf></Rsn>"
    )
    content = envelope("semt.001.001.04", f"<SctiesMsgRjctn>{body}</SctiesMsgRjctn>", "REJECTION1", **heading)
    # This family keeps a namespace of its own.
    return content.replace(b"urn:iso:std:iso:20022:tech:xsd:semt.001", b"urn:swift:xsd:semt.001")


def alerts(story: Story) -> list[str]:
    return [alert.code for step in story.history for alert in step.alerts]


async def begun(loops: Loops) -> str:
    await loops.take_in(instruct())
    await loops.send()
    return loops.arrived()[0].business_message_id


@pytest.mark.parametrize("named", ["message", "transaction"])
async def test_a_confirmation_that_is_withdrawn_is_alerted_and_undoes_nothing(loops: Loops, named: str) -> None:
    await begun(loops)
    await loops.hear(settled())
    content = withdrawal("SETTLED1") if named == "message" else withdrawal(transaction(), "SctiesSttlmTxConfId")
    await loops.hear(content)
    story = await loops.story()
    assert (story.instruction.headline, alerts(story)) == ("settled", ["message_withdrawn"])


async def test_a_withdrawal_finds_a_status_of_theirs_on_each_ledger(both_loops: Loops) -> None:
    await begun(both_loops)
    await both_loops.hear(status(REJECTED))
    await both_loops.hear(withdrawal("STATUS1"))
    story = await both_loops.story()
    assert (story.instruction.headline, alerts(story)) == ("rejected", ["message_withdrawn"])
    await both_loops.prove()


async def test_a_message_and_its_withdrawal_may_come_together(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(status(REJECTED), withdrawal("STATUS1"))
    assert alerts(await loops.story()) == ["message_withdrawn"]
    assert await loops.parked() == []


async def test_a_withdrawal_of_what_never_came_is_parked(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(withdrawal("NOBODYS"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_somebody_else_withdraws_nothing_of_theirs(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(status(REJECTED))
    await loops.hear(withdrawal("STATUS1", sender=OTHER), channel=OTHER)
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_a_rejection_of_our_message_is_like_a_technical_one(loops: Loops) -> None:
    await loops.hear(message_rejection(await begun(loops)))
    story = await loops.story()
    assert story.instruction.headline == "rejected"
    assert story.state.axes is not None
    [reason] = story.state.axes["processing"].status.reasons
    assert (reason.proprietary, reason.text) == ("REFE", "technical rejection: not a client of ours")


async def test_our_withdrawal_names_our_message_and_only_its_own_rejection_is_heard(loops: Loops) -> None:
    ours = await begun(loops)
    await loops.take_in(event("withdraw_settlement_message/1", message_id=ours))
    await loops.send()
    sent = loops.arrived()[1]
    assert f"<Ref><OthrMsgId>{ours}</OthrMsgId></Ref>".encode() in sent.content
    await loops.hear(rejection(sent.business_message_id))
    story = await loops.story()
    assert (story.instruction.headline, story.state.axes is not None) == ("sent", True)
    assert story.state.axes is not None
    assert story.state.axes["withdrawal"].status.value == "rejected"


async def test_a_message_of_theirs_is_rejected_once_and_our_rejection_can_be_refused(loops: Loops) -> None:
    await loops.hear(status(REJECTED, "NOBODYS"))
    item = await loops.only_parked()
    assert item.summary.code == "reply_unknown_transaction"
    reject = event("reject_message/1", trade="STATUS1", message_definition="sese.024.001.14")
    await loops.hear(status(REJECTED, "NOBODYS-EITHER", identifier="STATUS2"))
    [result] = await loops.take_in(reject)
    assert result.outcome == "instructed"
    assert "NOBODYS-EITHER" in (await loops.only_parked()).summary.text
    [closed] = [row for row in await loops.rows(tables.parked) if row["state"] == "discarded"]
    assert (closed["id"], closed["closed_by"]) == (item.summary.id, "gateway")
    assert [row["state"] for row in await loops.rows(tables.archive)] == [ArchiveState.DISCARDED, ArchiveState.PARKED]
    await loops.send()
    [sent] = loops.arrived()
    assert b"<RltdRef><Ref>STATUS1</Ref><MsgNb><LngNb>sese.024.001.14</LngNb></MsgNb></RltdRef>" in sent.content
    [again] = await loops.take_in(reject | {"event_id": "again"})
    assert again.code == "instruction_number_taken"
    identifier = transaction_id(OWN_BIC, CHANNEL, "STATUS1", Dialogue.MESSAGE_REJECTION, 1)
    [story] = await loops.ledger.query(lambda c: queries.show_instruction(c, identifier, content=True))
    assert story.instruction.headline == "sent"
    await loops.hear(rejection(sent.business_message_id))
    [story] = await loops.ledger.query(lambda c: queries.show_instruction(c, identifier, content=True))
    assert story.instruction.headline == "rejected"
