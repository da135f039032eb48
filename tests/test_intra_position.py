"""Movements between balances of one account: semt.013 out, semt.014 and semt.015 in."""

from __future__ import annotations

from typing import Any

from gateway.model.transitions import Dialogue
from gateway.store.views import Story
from tests.loops import ACCOUNT, Loops, cancellation_advice, envelope, event, transaction

TX = transaction(dialogue=Dialogue.INTRA_POSITION_MOVEMENT)
MOVE = event("instruct_intra_position_movement/1")


def advice(said: str, identifier: str = "STATUS1", **heading: Any) -> bytes:
    body = f"<TxId><AcctOwnrTxId>{TX}</AcctOwnrTxId></TxId>{said}"
    return envelope("semt.014.001.09", f"<IntraPosMvmntStsAdvc>{body}</IntraPosMvmntStsAdvc>", identifier, **heading)


def moved(quantity: str = "500", to: str = "BLOK", partial: str = "", identifier: str = "MOVED1") -> bytes:
    part = f"<PrtlSttlm>{partial}</PrtlSttlm>" if partial else ""
    body = (
        f"<AddtlParams>{part}<AcctOwnrTxId>{TX}</AcctOwnrTxId></AddtlParams><SfkpgAcct><Id>{ACCOUNT}</Id></SfkpgAcct>"
        "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId>"
        f"<IntraPosDtls><SttldQty><Unit>{quantity}</Unit></SttldQty><SttlmDt><Dt>2026-03-04</Dt></SttlmDt>"
        f"<BalFr><Tp><Cd>AVAI</Cd></Tp></BalFr><BalTo><Tp><Cd>{to}</Cd></Tp></BalTo></IntraPosDtls>"
    )
    return envelope("semt.015.001.10", f"<IntraPosMvmntConf>{body}</IntraPosMvmntConf>", identifier)


async def story(loops: Loops) -> Story:
    return await loops.story(dialogue=Dialogue.INTRA_POSITION_MOVEMENT)


async def begun(loops: Loops, *events: dict[str, Any]) -> list[str]:
    await loops.take_in(MOVE)
    await loops.send()
    await loops.take_in(*events)
    await loops.send()
    return [item.business_message_id for item in loops.arrived()]


async def test_a_movement_is_followed_from_its_status_to_its_confirmation(both_loops: Loops) -> None:
    await begun(both_loops)
    accepted = "<PrcgSts><AckdAccptd><NoSpcfdRsn>NORE</NoSpcfdRsn></AckdAccptd></PrcgSts>"
    pending = "<SttlmSts><Pdg><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn></Pdg></SttlmSts>"
    await both_loops.hear(advice(accepted), advice(pending, "STATUS2"))
    assert (await story(both_loops)).instruction.headline == "pending"
    await both_loops.hear(moved("200", partial="PAIN"), moved("300", partial="PARC", identifier="MOVED2"))
    end = await story(both_loops)
    assert (end.instruction.headline, end.state.breaks) == ("settled", ())
    await both_loops.prove()


async def test_a_movement_into_another_balance_is_a_break(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(moved(to="PLED"))
    end = await story(loops)
    assert end.instruction.headline == "settled"
    [difference] = end.state.breaks
    assert (difference.field, difference.instructed, difference.confirmed) == ("balance_to", "BLOK", "PLED")


async def test_a_rejection_keeps_its_reasons(loops: Loops) -> None:
    await begun(loops)
    await loops.hear(advice("<PrcgSts><Rjctd><Rsn><Cd><Cd>INVB</Cd></Cd></Rsn></Rjctd></PrcgSts>"))
    end = await story(loops)
    assert end.instruction.headline == "rejected"
    assert end.state.axes is not None
    assert [reason.code for reason in end.state.axes["processing"].status.reasons] == ["INVB"]


async def test_a_movement_is_cancelled_by_its_own_reference(loops: Loops) -> None:
    _, request = await begun(loops, event("cancel_intra_position_movement/1"))
    assert (
        f"<AcctOwnrTxId><IntraPosMvmntId>{TX}</IntraPosMvmntId></AcctOwnrTxId>".encode() in loops.arrived()[1].content
    )
    await loops.hear(cancellation_advice(request))
    assert (await story(loops)).instruction.headline == "cancelled"
