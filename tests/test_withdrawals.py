"""Messages about messages: theirs withdrawn by semt.020, ours rejected by semt.001."""

# ruff: noqa: F401, F811  # fixtures are imported by name
from __future__ import annotations

from typing import Any

import pytest

from gateway.store.views import Story
from tests.loops import (
    OTHER,
    REJECTED,
    Loops,
    both_loops,
    envelope,
    instruct,
    ledger_url,
    loops,
    new_postgres,
    new_sqlite,
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
