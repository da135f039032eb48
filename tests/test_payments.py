"""The cash leg: payments and notices to receive, from the event to what the counterparty and the account say."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gateway.errors import MessageError
from gateway.messages import Messages
from gateway.messages.schema_files import load_catalogue
from gateway.model.facts import AccountEntry, PaymentReturn
from gateway.model.references import uetr
from gateway.model.transitions import FINISHED, Dialogue
from gateway.store.views import Story
from tests.loops import CHANNEL, OTHER, Loops, _event, envelope, rejection, transaction
from tests.reference import needs_reference, shared

PAY = transaction("T1", 1, Dialogue.PAYMENT)
NOTICE = transaction("T1", 1, Dialogue.NOTICE)


def event(kind: str, **changes: Any) -> dict[str, Any]:
    """Return an event of trade T1, its only one of that kind."""
    return _event(f"{kind}/1", f"T1-{kind}", "T1", 1, changes)


async def story(loops: Loops, dialogue: Dialogue = Dialogue.PAYMENT) -> Story:
    return await loops.story(dialogue=dialogue)


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def axis(story: Story, name: str) -> str | None:
    axes = story.state.axes or {}
    return axes[name].status.value if name in axes else None


def report(
    status: str, *, original: str = "", tx: str = "", uetr_of: str = PAY, extra: str = "", **heading: Any
) -> bytes:
    """Return a payment status report that names the payment by message, transaction or UETR."""
    group = f"<OrgnlGrpInf><OrgnlMsgId>{original}</OrgnlMsgId><OrgnlMsgNmId>any</OrgnlMsgNmId></OrgnlGrpInf>"
    body = (
        "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-03-02T11:00:00Z</CreDtTm></GrpHdr><TxInfAndSts>"
        + (group if original else "")
        + (f"<OrgnlTxId>{tx}</OrgnlTxId>" if tx else "")
        + (f"<OrgnlUETR>{uetr(uetr_of)}</OrgnlUETR>" if uetr_of else "")
        + f"<TxSts>{status}</TxSts>{extra}</TxInfAndSts>"
    )
    heading.setdefault("identifier", f"STATUS-{status}")
    return envelope("pacs.002.001.10", f"<FIToFIPmtStsRpt>{body}</FIToFIPmtStsRpt>", **heading)


def resolution(code: str, case: str, **heading: Any) -> bytes:
    """Return how a request to cancel ends."""
    agent = "<Agt><FinInstnId><BICFI>{}</BICFI></FinInstnId></Agt>"
    body = (
        f"<Assgnmt><Id>A1</Id><Assgnr>{agent.format(CHANNEL)}</Assgnr><Assgne>{agent.format('OURSGB2LXXX')}</Assgne>"
        f"<CreDtTm>2026-03-02T12:00:00Z</CreDtTm></Assgnmt><RslvdCase><Id>{case}</Id><Cretr>"
        f"{agent.format('OURSGB2LXXX')}</Cretr></RslvdCase><Sts><Conf>{code}</Conf></Sts>"
    )
    heading.setdefault("identifier", f"RESOLVED-{code}")
    return envelope("camt.029.001.09", f"<RsltnOfInvstgtn>{body}</RsltnOfInvstgtn>", **heading)


def returned(amount: str, identifier: str, *, currency: str = "EUR", charges: str = "", **heading: Any) -> bytes:
    """Return a payment return."""
    bank = "<Agt><FinInstnId><BICFI>CUSTDEFFXXX</BICFI></FinInstnId></Agt>"
    taken = f'<ChrgsInf><Amt Ccy="EUR">{charges}</Amt>{bank}</ChrgsInf>' if charges else ""
    body = (
        "<GrpHdr><MsgId>R</MsgId><CreDtTm>2026-03-05T11:00:00Z</CreDtTm><NbOfTxs>1</NbOfTxs>"
        "<SttlmInf><SttlmMtd>INDA</SttlmMtd></SttlmInf></GrpHdr>"
        f"<TxInf><RtrId>{identifier}</RtrId><OrgnlUETR>{uetr(PAY)}</OrgnlUETR>"
        f'<RtrdIntrBkSttlmAmt Ccy="{currency}">{amount}</RtrdIntrBkSttlmAmt>{taken}'
        "<RtrRsnInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>Account closed</AddtlInf></RtrRsnInf></TxInf>"
    )
    return envelope("pacs.004.001.09", f"<PmtRtr>{body}</PmtRtr>", identifier, **heading)


def entry(
    amount: str,
    references: str,
    *,
    side: str = "DBIT",
    status: str = "BOOK",
    currency: str = "EUR",
    reference: str = "E1",
    reversal: bool = False,
    day: str = "2026-03-04",
) -> str:
    """Return one entry of a notification."""
    undone = "<RvslInd>true</RvslInd>" if reversal else ""
    return (
        f'<Ntry><NtryRef>{reference}</NtryRef><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{undone}'
        f"<Sts><Cd>{status}</Cd></Sts><ValDt><Dt>{day}</Dt></ValDt><BkTxCd/>"
        f"<NtryDtls><TxDtls><Refs>{references}</Refs></TxDtls></NtryDtls></Ntry>"
    )


def notification(*entries: str, identifier: str = "NOTIFIED1", account: str = "", **heading: Any) -> bytes:
    """Return a debit and credit notification."""
    iban = account or "DE89370400440532013000"
    body = (
        "<GrpHdr><MsgId>N</MsgId><CreDtTm>2026-03-04T11:00:00Z</CreDtTm></GrpHdr><Ntfctn><Id>N1</Id>"
        f"<Acct><Id><IBAN>{iban}</IBAN></Id></Acct>{''.join(entries)}</Ntfctn>"
    )
    root = "BkToCstmrDbtCdtNtfctn"
    return envelope("camt.054.001.08", f"<{root}>{body}</{root}>", identifier, **heading)


OURS = f"<InstrId>{PAY}</InstrId>"


async def pay(loops: Loops, **changes: Any) -> None:
    await loops.take_in(event("transfer_between_institutions", **changes))
    await loops.send()


def text(content: bytes, tag: str) -> str:
    found = re.search(f"<{tag}[^>]*>([^<]*)</{tag}>".encode(), content)
    return found[1].decode() if found else ""


# Out ------------------------------------------------------------------------------------------------------------------


def test_a_derived_uetr_is_a_uuid_of_version_4_and_fixed() -> None:
    made = UUID(uetr(PAY))
    assert (made.version, made.variant) == (4, "specified in RFC 4122")
    assert uetr(PAY) == str(made) != uetr(NOTICE)


async def test_a_payment_leaves_with_derived_references_and_both_ends(both_loops: Loops) -> None:
    await pay(both_loops)
    [sent] = both_loops.arrived()
    assert text(sent.content, "MsgId") == text(sent.content, "BizMsgIdr")
    assert (text(sent.content, "InstrId"), text(sent.content, "EndToEndId")) == (PAY, PAY)
    assert text(sent.content, "UETR") == uetr(PAY)
    assert text(sent.content, "MsgDefIdr") == "pacs.009.001.08"
    assert (await story(both_loops)).instruction.headline == "sent"
    await both_loops.prove()


async def test_a_cancellation_quotes_the_message_and_every_reference_of_the_payment(loops: Loops) -> None:
    given = "3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44"
    await pay(loops, uetr=given, end_to_end_id="E2E-9")
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    payment, request = loops.arrived()
    assert text(request.content, "OrgnlMsgId") == text(payment.content, "BizMsgIdr")
    assert text(request.content, "OrgnlMsgNmId") == "pacs.009.001.08"
    assert (text(request.content, "OrgnlUETR"), text(request.content, "OrgnlEndToEndId")) == (given, "E2E-9")
    assert text(request.content, "OrgnlIntrBkSttlmAmt") == "61234.56"
    assert (await story(loops)).instruction.headline == "cancellation_requested"


async def test_a_payment_that_is_parked_is_cancelled_without_a_message(loops: Loops) -> None:
    await loops.take_in(event("transfer_between_institutions", payment_type={"clearing_channel": "ZZZZ"}))
    assert (await loops.only_parked()).summary.code == "code_not_in_version"
    [result] = await loops.take_in(event("cancel_payment"))
    assert (result.outcome, loops.arrived()) == ("withdrawn", [])


# Statuses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "headline"),
    [
        ("ACTC", "technically_valid"),
        ("ACSP", "settlement_in_process"),
        ("PDNG", "pending"),
        ("BLCK", "blocked"),
        ("PATC", "partially_authenticated"),
        ("PART", "partially_accepted"),
        ("ACFW", "funds_checked_unconfirmed"),
        ("ACSC", "settled_on_debtor_account"),
        ("ACCC", "credited"),
        ("RJCT", "rejected"),
        ("CANC", "cancelled"),
    ],
)
async def test_a_status_of_the_external_set_has_its_word(loops: Loops, code: str, headline: str) -> None:
    await pay(loops)
    await loops.hear(report(code))
    assert ((await story(loops)).instruction.headline, alerts(await story(loops))) == (headline, [])


async def test_a_payment_that_settled_on_our_account_goes_on_until_it_is_credited_or_comes_back(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(report("ACSC", identifier="S1"))
    assert "settled_on_debtor_account" not in FINISHED[Dialogue.PAYMENT]
    await loops.hear(report("ACWP", identifier="S2"), report("ACCC", identifier="S3"))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found), await loops.parked()) == ("credited", [], [])


@pytest.mark.parametrize(("code", "alert"), [("RJCT", "rejected_after_booking"), ("CANC", "cancelled_after_booking")])
async def test_a_payment_that_settled_on_our_account_and_ends_otherwise_is_alerted_once(
    loops: Loops, code: str, alert: str
) -> None:
    await pay(loops)
    await loops.hear(report("ACSC", identifier="S1"), report(code, identifier="S2"), report(code, identifier="S3"))
    assert alerts(await story(loops)) == [alert]


async def test_a_status_that_no_table_has_is_kept_as_it_came_and_alerted(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(report("ZZ9Z"))
    found = await story(loops)
    assert found.state.axes is not None
    assert found.state.axes["processing"].status.proprietary == "ZZ9Z"
    assert (found.instruction.headline, alerts(found)) == ("proprietary", ["payment_status_unknown"])


async def test_a_payment_is_found_by_message_transaction_and_uetr_and_they_must_agree(loops: Loops) -> None:
    await pay(loops)
    message = text(loops.arrived()[0].content, "BizMsgIdr")
    for number, names in enumerate(({"original": message}, {"tx": PAY}, {"uetr_of": PAY})):
        await loops.hear(report("ACSP", **({"uetr_of": ""} | names), identifier=f"S{number}"))
    assert await loops.parked() == []
    await loops.take_in(event("transfer_between_institutions") | {"trade_id": "T2", "event_id": "T2-pay"})
    await loops.hear(report("RJCT", tx=transaction("T2", 1, Dialogue.PAYMENT), identifier="S9"))
    assert (await loops.only_parked()).summary.code == "reply_ambiguous"
    assert (await story(loops)).instruction.headline == "settlement_in_process"


async def test_a_status_from_another_counterparty_is_never_accepted(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(report("RJCT", sender=OTHER), channel=OTHER)
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"


async def test_another_amount_in_a_status_is_a_break(loops: Loops) -> None:
    await pay(loops)
    repeated = '<OrgnlTxRef><IntrBkSttlmAmt Ccy="USD">61234.56</IntrBkSttlmAmt></OrgnlTxRef>'
    await loops.hear(report("ACSP", extra=repeated))
    found = await story(loops)
    assert [d.field for d in found.state.breaks] == ["currency"]
    assert alerts(found) == ["payment_break"]


async def test_a_query_is_answered_by_a_status(loops: Loops) -> None:
    await pay(loops)
    await loops.take_in(event("query_payment_status"))
    await loops.send()
    await loops.hear(report("ACSP"))
    found = await story(loops)
    assert (axis(found, "status_query"), axis(found, "processing")) == ("answered", "settlement_in_process")


@pytest.mark.parametrize(
    ("code", "value", "headline"),
    [
        ("CNCL", "cancelled", "cancelled"),
        ("PDCR", "pending", "cancellation_pending"),
        ("RJCR", "rejected", "sent"),
        ("PECR", "partially_cancelled", "cancellation_pending"),
    ],
)
async def test_a_resolution_answers_the_cancellation_that_it_names(
    loops: Loops, code: str, value: str, headline: str
) -> None:
    await pay(loops)
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    await loops.hear(resolution(code, text(loops.arrived()[1].content, "BizMsgIdr")))
    found = await story(loops)
    assert (axis(found, "cancellation"), found.instruction.headline) == (value, headline)


async def test_a_status_that_names_the_cancellation_is_about_it(loops: Loops) -> None:
    await pay(loops)
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    await loops.hear(report("RJCT", original=text(loops.arrived()[1].content, "BizMsgIdr")))
    found = await story(loops)
    assert (axis(found, "cancellation"), axis(found, "processing")) == ("rejected", None)


# Entries and returns --------------------------------------------------------------------------------------------------


async def test_a_debit_books_the_payment_and_its_reversal_undoes_it(both_loops: Loops) -> None:
    await pay(both_loops)
    await both_loops.hear(notification(entry("61234.56", OURS, status="PDNG")))
    assert (await story(both_loops)).instruction.headline == "pending"
    await both_loops.hear(notification(entry("61234.56", OURS), identifier="N2"))
    found = await story(both_loops)
    assert (found.instruction.headline, alerts(found), found.state.breaks) == ("booked", [], ())
    undone = entry("61234.56", OURS, side="CRDT", reversal=True)
    await both_loops.hear(notification(undone, identifier="N3", created_at="2026-03-05T11:00:00Z"))
    assert (await story(both_loops)).instruction.headline == "reversed"
    await both_loops.prove()


async def test_entries_that_are_not_ours_do_not_keep_ours_from_being_booked(loops: Loops) -> None:
    await pay(loops)
    foreign = entry("5.00", "<EndToEndId>NOBODY</EndToEndId>", reference="E0")
    await loops.hear(notification(foreign, entry("61234.56", OURS)))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found)) == ("booked", ["entries_unknown"])
    await loops.hear(notification(foreign, identifier="N2"))
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


@pytest.mark.parametrize(
    ("said", "fields", "headline", "codes"),
    [
        (entry("61000.00", OURS), ["amount"], "partially_booked", ["payment_break"]),
        (entry("61234.57", OURS), ["amount"], "booked", ["booked_beyond_payment", "payment_break"]),
        (entry("61234.56", OURS, currency="USD"), ["amount", "currency"], "partially_booked", ["payment_break"]),
        (entry("61234.56", OURS, day="2026-03-05"), ["value_date"], "booked", ["payment_break"]),
    ],
)
async def test_a_booking_that_differs_is_named(
    loops: Loops, said: str, fields: list[str], headline: str, codes: list[str]
) -> None:
    await pay(loops)
    await loops.hear(notification(said))
    found = await story(loops)
    assert [d.field for d in found.state.breaks] == fields
    assert (found.instruction.headline, alerts(found)) == (headline, codes)


async def test_a_return_shows_its_amount_and_reason_and_never_more_than_was_paid(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(notification(entry("61234.56", OURS)), returned("60000.00", "RTR1"))
    found = await story(loops)
    assert found.state.axes is not None
    assert [(r.code, r.text) for r in found.state.axes["return"].status.reasons] == [("AC04", "Account closed")]
    assert (found.instruction.headline, alerts(found)) == ("partially_returned", ["payment_returned"])
    await loops.hear(returned("60000.00", "RTR1", created_at="2026-03-06T10:00:00Z"))
    assert len((await story(loops)).state.returns) == 1
    await loops.hear(returned("1234.57", "RTR2"))
    found = await story(loops)
    assert found.instruction.headline == "returned"
    assert alerts(found)[1:] == ["returned_beyond_payment", "payment_returned"]


async def test_a_return_less_charges_is_whole(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(returned("61209.56", "RTR1", charges="25.00"))
    assert (await story(loops)).instruction.headline == "returned"


async def test_a_payment_that_is_cancelled_after_it_was_booked_stays_booked_until_it_returns(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(notification(entry("61234.56", OURS)))
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    await loops.hear(resolution("CNCL", text(loops.arrived()[1].content, "BizMsgIdr")))
    found = await story(loops)
    assert (found.instruction.headline, alerts(found)) == ("booked", ["cancelled_after_booking"])


async def test_a_technical_rejection_rejects_the_payment(loops: Loops) -> None:
    await pay(loops)
    await loops.hear(rejection(text(loops.arrived()[0].content, "BizMsgIdr")))
    assert (await story(loops)).instruction.headline == "rejected"


# Notices --------------------------------------------------------------------------------------------------------------

THEIRS = "<EndToEndId>THEIR-E2E</EndToEndId>"


async def notify(loops: Loops, **changes: Any) -> None:
    await loops.take_in(event("notify_to_receive", end_to_end_id="THEIR-E2E", **changes))
    await loops.send()


async def test_money_that_was_announced_is_credited_under_the_debtors_reference(both_loops: Loops) -> None:
    await notify(both_loops)
    assert (await story(both_loops, Dialogue.NOTICE)).instruction.headline == "expected"
    credit = entry("61234.56", f"<InstrId>SOMEBODYS</InstrId>{THEIRS}", side="CRDT")
    await both_loops.hear(notification(credit))
    found = await story(both_loops, Dialogue.NOTICE)
    assert (found.instruction.headline, found.state.breaks, alerts(found)) == ("credited", (), [])
    await both_loops.prove()


async def test_money_in_two_parts_on_another_account_is_a_break(loops: Loops) -> None:
    await notify(loops)
    first, second = (entry(a, THEIRS, side="CRDT", reference=f"E{a}") for a in ("61000.00", "234.56"))
    await loops.hear(notification(first))
    found = await story(loops, Dialogue.NOTICE)
    assert (found.instruction.headline, [d.field for d in found.state.breaks]) == ("partially_credited", ["amount"])
    await loops.hear(notification(second, identifier="N2", account="GB29NWBK60161331926819"))
    found = await story(loops, Dialogue.NOTICE)
    assert (found.instruction.headline, [d.field for d in found.state.breaks]) == ("credited", ["cash_account"])


async def test_a_notice_is_taken_back_and_what_comes_all_the_same_is_alerted(loops: Loops) -> None:
    await notify(loops)
    await loops.take_in(event("cancel_notice"))
    await loops.send()
    assert text(loops.arrived()[1].content, "MsgDefIdr") == "camt.058.001.09"
    assert text(loops.arrived()[1].content, "OrgnlNtfctnId") == NOTICE
    assert (await story(loops, Dialogue.NOTICE)).instruction.headline == "cancelled"
    await loops.hear(notification(entry("61234.56", THEIRS, side="CRDT")))
    found = await story(loops, Dialogue.NOTICE)
    assert (found.instruction.headline, alerts(found)) == ("credited", ["credited_after_cancellation"])


# Samples of others ----------------------------------------------------------------------------------------------------


@needs_reference
def test_payment_messages_of_others_are_read_with_their_amounts() -> None:
    reader, read = Messages(load_catalogue(), [], "OURSGB2LXXX"), 0
    for file in sorted((shared() / "samples").glob("*/*.xml")):
        if file.parent.name not in ("pacs.002", "pacs.004", "camt.029", "camt.054"):
            continue
        content = file.read_bytes()
        try:
            reply = reader.read(content)
        except MessageError:
            continue  # no message, or one that its schema refuses
        read += 1
        amounts = {
            Decimal(value)
            for value in re.findall(r"<(?:[\w.-]+:)?(?:Amt|RtrdIntrBkSttlmAmt) [^>]*>\s*([\d.]+)\s*<", content.decode())
        }
        for _, fact in reply.facts:
            if isinstance(fact, PaymentReturn):
                assert fact.amount is not None, file.name
                assert fact.amount.value in amounts, file.name
            if isinstance(fact, AccountEntry) and fact.entry_amount is not None:
                assert (fact.amount or fact.entry_amount).value in amounts, file.name
    assert read > 40
