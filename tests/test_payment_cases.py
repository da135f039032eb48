"""What follows a payment: receipts, investigations, how a cancellation is resolved, and money that comes back."""

from __future__ import annotations

import pytest

from gateway.model.references import uetr
from tests.loops import CHANNEL, Loops, envelope
from tests.test_payments import OURS, PAY, alerts, axis, entry, event, notification, pay, report, returned, story, text

AGENT = f"<Agt><FinInstnId><BICFI>{CHANNEL}</BICFI></FinInstnId></Agt>"
UNDERLYING = f"<Undrlyg><IntrBk><OrgnlTxId>{PAY}</OrgnlTxId><OrgnlUETR>{uetr(PAY)}</OrgnlUETR></IntrBk></Undrlyg>"
REQUEST = (
    f"<MsgId>I1</MsgId><InvstgtnTp><Cd>UTAP</Cd></InvstgtnTp>{UNDERLYING}<Rqstr>{AGENT}</Rqstr><Rspndr>{AGENT}</Rspndr>"
)


def receipt(original: str, code: str, identifier: str = "RECEIPT1") -> bytes:
    body = (
        f"<Rct><MsgHdr><MsgId>R1</MsgId></MsgHdr><RctDtls><OrgnlMsgId><MsgId>{original}</MsgId></OrgnlMsgId>"
        f"<ReqHdlg><StsCd>{code}</StsCd></ReqHdlg></RctDtls></Rct>"
    )
    return envelope("camt.025.001.05", body, identifier)


def investigation() -> bytes:
    body = (
        f"<InvstgtnReq><InvstgtnReq>{REQUEST}</InvstgtnReq>"
        "<InvstgtnData><Rsn><Cd>IN03</Cd></Rsn></InvstgtnData></InvstgtnReq>"
    )
    return envelope("camt.110.001.01", body, "CASE1")


def response(code: str) -> bytes:
    body = (
        f"<InvstgtnRspn><InvstgtnRspn><MsgId>I2</MsgId><InvstgtnSts><Sts>{code}</Sts></InvstgtnSts></InvstgtnRspn>"
        f"<OrgnlInvstgtnReq>{REQUEST}</OrgnlInvstgtnReq></InvstgtnRspn>"
    )
    return envelope("camt.111.001.02", body, f"CASE-{code}")


def resolution(case: str, *, said: str, of_payment: str = "", identifier: str = "RESOLVED1") -> bytes:
    status = f"<TxCxlSts>{of_payment}</TxCxlSts>" if of_payment else ""
    body = (
        f"<RsltnOfInvstgtn><Assgnmt><Id>A1</Id><Assgnr>{AGENT}</Assgnr><Assgne>{AGENT}</Assgne>"
        f"<CreDtTm>2026-03-02T12:00:00Z</CreDtTm></Assgnmt><Sts><Conf>{said}</Conf></Sts><CxlDtls><TxInfAndSts>"
        f"<RslvdCase><Id>{case}</Id><Cretr>{AGENT}</Cretr></RslvdCase><OrgnlUETR>{uetr(PAY)}</OrgnlUETR>{status}"
        "</TxInfAndSts></CxlDtls></RsltnOfInvstgtn>"
    )
    return envelope("camt.029.001.09", body, identifier)


# Receipts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "word"), [("COMP", "completed"), ("SSET", "completed"), ("PDNG", "pending"), ("REJT", "rejected")]
)
async def test_a_receipt_of_the_payment_is_shown_and_moves_nothing_else(loops: Loops, code: str, word: str) -> None:
    await pay(loops)
    await loops.hear(receipt(text(loops.arrived()[0].content, "BizMsgIdr"), code))
    found = await story(loops)
    assert (axis(found, "receipt"), axis(found, "processing"), found.instruction.headline) == (word, None, "sent")


async def test_a_receipt_of_a_code_that_no_table_has_is_alerted(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(receipt(text(loops.arrived()[0].content, "BizMsgIdr"), "ZZZZ"))
    assert alerts(await story(loops)) == ["payment_status_unknown"]


async def test_a_receipt_that_refuses_a_cancellation_request_refuses_the_request_alone(loops: Loops) -> None:
    await pay(loops)
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    await loops.hear(receipt(text(loops.arrived()[1].content, "BizMsgIdr"), "REJT"))
    found = await story(loops)
    assert (axis(found, "cancellation"), found.instruction.headline) == ("rejected", "sent")


# Investigations -------------------------------------------------------------------------------------------------------


async def test_an_investigation_that_they_open_is_alerted_and_followed_to_its_end(both_loops: Loops) -> None:
    await pay(both_loops)
    await both_loops.hear(investigation())
    found = await story(both_loops)
    assert (axis(found, "investigation"), alerts(found)) == ("opened", ["investigation_opened"])
    await both_loops.hear(response("PDNG"))
    assert axis(await story(both_loops), "investigation") == "pending"
    await both_loops.hear(response("CLSD"))
    found = await story(both_loops)
    assert (axis(found, "investigation"), found.instruction.headline) == ("closed", "sent")
    assert await both_loops.parked() == []


async def test_an_investigation_that_is_rejected_says_nothing_of_the_payment(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(response("RJCT"))
    found = await story(loops)
    assert (axis(found, "investigation"), found.instruction.headline, alerts(found)) == ("rejected", "sent", [])


# Resolutions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "of_payment", "word", "headline"),
    [
        ("CNCL", "ACCR", "cancelled", "cancelled"),
        ("CWFW", "ACCR", "accepted", "cancellation_requested"),
        ("PDCR", "ACCR", "accepted", "cancellation_requested"),
        ("CNCL", "", "cancelled", "cancelled"),
        ("PECR", "RJCR", "rejected", "sent"),
        ("RJCR", "RJCR", "rejected", "sent"),
    ],
)
async def test_an_accepted_cancellation_is_done_only_where_the_case_says_so(
    loops: Loops, said: str, of_payment: str, word: str, headline: str
) -> None:
    await pay(loops)
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    case = text(loops.arrived()[1].content, "BizMsgIdr")
    await loops.hear(resolution(case, said=said, of_payment=of_payment))
    found = await story(loops)
    assert (axis(found, "cancellation"), found.instruction.headline) == (word, headline)


async def test_an_accepted_cancellation_may_be_done_later(loops: Loops) -> None:
    await pay(loops)
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    case = text(loops.arrived()[1].content, "BizMsgIdr")
    await loops.hear(resolution(case, said="CWFW", of_payment="ACCR"))
    await loops.hear(resolution(case, said="CNCL", of_payment="ACCR", identifier="RESOLVED2"))
    assert (await story(loops)).instruction.headline == "cancelled"


# Returns --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settled", [report("ACSC"), notification(entry("61234.56", OURS))], ids=["status", "entry"])
async def test_a_payment_that_settled_comes_back_in_whole(loops: Loops, settled: bytes) -> None:
    await pay(loops)
    await loops.hear(settled)
    await loops.hear(returned("61234.56", "RTR1"))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found)) == ("returned", ["payment_returned"])


async def test_a_payment_comes_back_in_parts(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(report("ACSC"), returned("1234.56", "RTR1"), returned("20000.00", "RTR2"))
    assert (await story(loops)).instruction.headline == "partially_returned"
    await loops.hear(returned("40000.00", "RTR3"))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found)) == ("returned", ["payment_returned"] * 3)


async def test_a_return_beyond_the_payment_is_alerted(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(returned("61234.57", "RTR1"))
    found = await story(loops)
    assert found.instruction.headline == "returned"
    assert alerts(found) == ["returned_beyond_payment", "payment_returned"]


async def test_a_return_in_another_currency_is_alerted_and_makes_nothing_whole(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(returned("70000.00", "RTR1", currency="USD"))
    found = await story(loops)
    assert found.instruction.headline == "partially_returned"
    assert alerts(found) == ["return_currency_differs", "payment_returned"]


async def test_a_return_under_one_reference_with_another_amount_is_not_counted(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(returned("1000.00", "RTR1"))
    again = returned("61234.56", "RTR1", created_at="2026-03-06T10:00:00Z")
    await loops.hear(again.replace(b"<BizMsgIdr>RTR1<", b"<BizMsgIdr>RTR1-AGAIN<"))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found)) == (
        "partially_returned",
        ["payment_returned", "return_conflict"],
    )
