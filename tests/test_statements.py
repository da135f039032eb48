"""Statements: asked for or not, page by page, and compared with the ledger; nothing is advanced by one."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway import statements as statements_room
from gateway.cli.operators import statements as statements_command
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import queries, tables
from gateway.store.views import Story
from tests.loops import (
    ACCOUNT,
    CHANNEL,
    MATCHED,
    OTHER,
    OWN_BIC,
    Loops,
    envelope,
    instruct,
    rejection,
    settled,
    status,
    transaction,
)
from tests.test_allegements import alleged
from tests.test_statement_reading import LACKING, UNMATCHED

ISIN = "DE0007164600"


# What the servicer says -----------------------------------------------------------------------------------------------


def listed(
    reference: str, said: str = LACKING, *, quantity: str = "500", amount: str = "61234.56", day: str = "2026-03-04"
) -> str:
    """Return one pending transaction with its status."""
    return (
        f"<Txs><AcctOwnrTxId>{reference}</AcctOwnrTxId><TxDtls><TxActvty><Cd>SETT</Cd></TxActvty>"
        f"<SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt><FinInstrmId><ISIN>{ISIN}</ISIN></FinInstrmId>"
        f"<PstngQty><Qty><Unit>{quantity}</Unit></Qty></PstngQty>"
        f'<PstngAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></PstngAmt>'
        f"<SttlmDt><Dt><Dt>{day}</Dt></Dt></SttlmDt></TxDtls>{said}</Txs>"
    )


def pending(
    entries: str,
    *,
    reference: str = "PENDING-1",
    page: int = 1,
    last: bool = True,
    number: str = "00017",
    update: str = "COMP",
    query: str = "",
    at: str = "2026-03-03T18:00:00Z",
    identifier: str = "STATEMENT1",
    **heading: Any,
) -> bytes:
    asked = f"<QryRef>{query}</QryRef>" if query else ""
    body = (
        f"<Pgntn><PgNb>{page}</PgNb><LastPgInd>{'true' if last else 'false'}</LastPgInd></Pgntn><StmtGnlDtls>"
        f"<RptNb><Lng>{number:0>5}</Lng></RptNb>{asked}<StmtId>{reference}</StmtId><StmtDtTm><DtTm>{at}</DtTm></StmtDtTm>"
        f"<UpdTp><Cd>{update}</Cd></UpdTp><StmtStr>TRAN</StmtStr><ActvtyInd>true</ActvtyInd></StmtGnlDtls>"
        f"<SfkpgAcct><Id>{ACCOUNT}</Id></SfkpgAcct>{entries}"
    )
    heading = {"created_at": "2026-03-03T18:05:00Z"} | heading
    return envelope("semt.018.001.15", f"<SctiesTxPdgRpt>{body}</SctiesTxPdgRpt>", identifier, **heading)


def posted(reference: str, *, quantity: str = "500", amount: str = "61234.56") -> str:
    return (
        f"<Tx><AcctOwnrTxId>{reference}</AcctOwnrTxId><TxDtls><TxActvty><Cd>SETT</Cd></TxActvty><SctiesMvmntTp>DELI"
        f"</SctiesMvmntTp><Pmt>APMT</Pmt><PstngQty><Qty><Unit>{quantity}</Unit></Qty></PstngQty>"
        f'<PstngAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbt>CRDT</CdtDbt></PstngAmt>'
        "<FctvSttlmDt><Dt>2026-03-04</Dt></FctvSttlmDt></TxDtls></Tx>"
    )


def postings(transactions: str, *, reference: str = "POSTED-1", identifier: str = "POSTINGS1") -> bytes:
    body = (
        "<Pgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></Pgntn>"
        f"<StmtGnlDtls><StmtId>{reference}</StmtId><StmtPrd><FrDtToDt><FrDt>2026-03-02</FrDt><ToDt>2026-03-04</ToDt>"
        "</FrDtToDt></StmtPrd><StmtBsis><Cd>SETT</Cd></StmtBsis><ActvtyInd>true</ActvtyInd><SubAcctInd>false"
        f"</SubAcctInd></StmtGnlDtls><SfkpgAcct><Id>{ACCOUNT}</Id></SfkpgAcct>"
        f"<FinInstrmDtls><FinInstrmId><ISIN>{ISIN}</ISIN></FinInstrmId>{transactions}</FinInstrmDtls>"
    )
    created = "2026-03-04T18:00:00Z"
    return envelope("semt.017.001.14", f"<SctiesTxPstngRpt>{body}</SctiesTxPstngRpt>", identifier, created_at=created)


def holdings(
    quantities: dict[str, str], day: str, *, identifier: str, page: int = 1, last: bool = True, reference: str = ""
) -> bytes:
    held = "".join(
        f"<BalForAcct><FinInstrmId><ISIN>{isin}</ISIN></FinInstrmId><AggtBal><ShrtLngInd>"
        f"{'SHOR' if value.startswith('-') else 'LONG'}</ShrtLngInd><Qty><Qty><Qty><Unit>{value.lstrip('-')}</Unit>"
        "</Qty></Qty></Qty></AggtBal></BalForAcct>"
        for isin, value in quantities.items()
    )
    body = (
        f"<Pgntn><PgNb>{page}</PgNb><LastPgInd>{'true' if last else 'false'}</LastPgInd></Pgntn>"
        f"<StmtGnlDtls><StmtId>{reference or day}</StmtId><StmtDtTm><Dt>{day}</Dt></StmtDtTm><Frqcy><Cd>DAIL</Cd>"
        "</Frqcy><UpdTp><Cd>COMP</Cd></UpdTp><StmtBsis><Cd>SETT</Cd></StmtBsis><ActvtyInd>true</ActvtyInd>"
        f"<SubAcctInd>false</SubAcctInd></StmtGnlDtls><SfkpgAcct><Id>{ACCOUNT}</Id></SfkpgAcct>{held}"
    )
    created = f"{day}T20:00:00Z"
    return envelope("semt.002.001.12", f"<SctiesBalCtdyRpt>{body}</SctiesBalCtdyRpt>", identifier, created_at=created)


def cash(
    entries: str,
    *,
    day: str = "2026-03-04",
    opening: str = "100.00",
    closing: str = "100.00",
    sequence: int = 7,
    query: str = "",
    identifier: str = "CASH1",
) -> bytes:
    def balance(kind: str, value: str) -> str:
        return (
            f'<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">{value}</Amt><CdtDbtInd>CRDT'
            f"</CdtDbtInd><Dt><Dt>{day}</Dt></Dt></Bal>"
        )

    asked = f"<OrgnlBizQry><MsgId>{query}</MsgId></OrgnlBizQry>" if query else ""
    body = (
        f"<GrpHdr><MsgId>{identifier}</MsgId><CreDtTm>{day}T20:00:00Z</CreDtTm>{asked}</GrpHdr><Stmt><Id>CASH-{day}</Id>"
        f"<ElctrncSeqNb>{sequence}</ElctrncSeqNb><Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{balance('OPBD', opening)}{balance('CLBD', closing)}{entries}</Stmt>"
    )
    created = f"{day}T20:00:00Z"
    return envelope("camt.053.001.08", f"<BkToCstmrStmt>{body}</BkToCstmrStmt>", identifier, created_at=created)


def booked(reference: str, amount: str = "61234.56", *, side: str = "CRDT", sts: str = "BOOK") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>{sts}</Cd></Sts><BkTxCd/>'
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
    )


def ask(kind: str = "request_securities_statement/1", **changes: Any) -> dict[str, Any]:
    return {
        "schema": kind,
        "event_id": "ASK1",
        "source": "operations",
        "trade_id": "ASKED",
        "instruction_number": 1,
        "occurred_at": "2026-03-03T09:00:00Z",
        "counterparty": CHANNEL,
        "requested_message": "semt.018.001.15",
    } | changes


async def statement(loops: Loops, reference: str = "PENDING-1", kind: str = "pending", account: str = ACCOUNT) -> Story:
    name = transaction_id(OWN_BIC, CHANNEL, f"{kind}/{account}/{reference}", Dialogue.STATEMENT, 1)
    [story] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    return story


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


async def differences(loops: Loops) -> list[tuple[str, str, str | None, str | None]]:
    assert await loops.parked() == []
    rows = await loops.rows(tables.statement_difference)
    return [(row["code"], row["field"], row["ours"], row["theirs"]) for row in rows]


async def sent(loops: Loops, *events: dict[str, Any]) -> None:
    await loops.take_in(*(events or (instruct(),)))
    await loops.send()


# Pending transactions -------------------------------------------------------------------------------------------------


async def test_a_statement_that_agrees_is_complete_and_says_so(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(pending(listed(transaction())))
    story = await statement(both_loops)
    assert (story.instruction.headline, alerts(story)) == ("agrees", [])
    assert (story.state.delivery, story.instruction.trade_id) == ("theirs", "PENDING-1")
    assert await differences(both_loops) == []
    told = (await both_loops.published("status"))[-1]
    assert (told["dialogue"], told["headline"]) == ("statement", "agrees")
    await both_loops.prove()


async def test_another_status_there_is_alerted_at_the_statement_and_at_the_instruction_and_moves_nothing(
    both_loops: Loops,
) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED))
    before = (await both_loops.story()).state
    await both_loops.hear(pending(listed(transaction(), UNMATCHED)))
    story = await statement(both_loops)
    assert (story.instruction.headline, alerts(story)) == ("differs", ["statement_status_differs"])
    assert await differences(both_loops) == [("statement_status_differs", "matching", "matched", "unmatched")]
    ours = await both_loops.story()
    assert alerts(ours) == ["statement_status_differs"]
    assert (ours.state.axes, ours.instruction.headline) == (before.axes, "matched")
    await both_loops.prove()


async def test_a_status_that_came_after_the_statement_was_made_is_no_difference(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(status(MATCHED, created_at="2026-03-03T19:00:00Z"), pending(listed(transaction(), UNMATCHED)))
    assert await differences(loops) == []


async def test_bad_news_that_never_came_is_a_difference_and_good_news_is_none(loops: Loops) -> None:
    await sent(loops, instruct("T1"), instruct("T2"))
    await loops.hear(pending(listed(transaction("T1"), UNMATCHED) + listed(transaction("T2"), LACKING)))
    assert await differences(loops) == [("statement_status_differs", "matching", None, "unmatched")]


async def test_what_is_finished_here_and_pending_there_is_a_difference(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(settled(created_at="2026-03-03T12:00:00Z"), pending(listed(transaction())))
    assert await differences(loops) == [("statement_open_there", "status", "settled", "pending")]
    await loops.hear(
        pending(listed(transaction()), reference="EARLIER", at="2026-03-03T08:00:00Z", number="1", identifier="S2")
    )
    assert len(await differences(loops)) == 1


async def test_other_terms_are_named_field_by_field(loops: Loops) -> None:
    await sent(loops)
    entry = listed(transaction(), quantity="400", amount="99.5", day="2026-03-05")
    await loops.hear(pending(entry))
    assert await differences(loops) == [
        ("statement_terms_differ", "settlement_date", "2026-03-04", "2026-03-05"),
        ("statement_terms_differ", "quantity", "500 unit", "400 unit"),
        ("statement_terms_differ", "amount", "61234.56 EUR", "99.5 EUR"),
    ]


async def test_a_complete_statement_that_lacks_what_is_open_here_is_alerted_and_a_delta_is_not(
    both_loops: Loops,
) -> None:
    await sent(both_loops, instruct("T1"), instruct("T2"))
    await both_loops.hear(pending(listed(transaction("T1")), update="DELT", reference="DELTA", identifier="D1"))
    assert await differences(both_loops) == []
    await both_loops.hear(pending(listed(transaction("T1"))))
    assert await differences(both_loops) == [("statement_transaction_missing", "status", "sent", None)]
    assert alerts(await both_loops.story("T2")) == ["statement_transaction_missing"]
    assert alerts(await both_loops.story("T1")) == []


async def test_what_was_instructed_after_the_statement_or_has_not_left_is_not_missed(loops: Loops) -> None:
    await sent(loops, instruct("T1"))
    await loops.hear(pending("", at="2026-03-02T08:00:00Z", reference="BEFORE"))  # made before we instructed
    await loops.take_in(instruct("T2"))  # recorded, not sent
    await loops.hear(pending(listed(transaction("T1")), identifier="S2", number="18"))
    assert await differences(loops) == []


async def test_a_statement_of_a_day_without_a_time_is_not_expected_to_list_what_was_instructed_on_that_day(
    loops: Loops,
) -> None:
    await sent(loops)  # on 2 March
    dated = pending("").replace(b"<DtTm>2026-03-03T18:00:00Z</DtTm>", b"<Dt>2026-03-02</Dt>")
    await loops.hear(dated)
    assert await differences(loops) == []
    next_day = pending("", reference="P2", number="18", identifier="S2")
    await loops.hear(next_day.replace(b"<DtTm>2026-03-03T18:00:00Z</DtTm>", b"<Dt>2026-03-03</Dt>"))
    assert [code for code, *_ in await differences(loops)] == ["statement_transaction_missing"]


async def test_a_reference_that_nobody_here_knows_is_alerted_with_its_terms_without_an_account(loops: Loops) -> None:
    await loops.hear(pending(listed("ELSEWHERE1")))
    [(code, _, ours, theirs)] = await differences(loops)
    assert (code, ours) == ("statement_transaction_unknown", None)
    assert theirs == f"deliver 500 unit {ISIN} against 61234.56 EUR on 2026-03-04"
    assert ACCOUNT not in str(alerts(await statement(loops)))


async def test_an_entry_that_names_nothing_is_recognised_by_its_terms_unless_two_are_alike(loops: Loops) -> None:
    await sent(loops, instruct("T1"))
    await loops.hear(pending(listed("NONREF", UNMATCHED)))
    assert await differences(loops) == [("statement_status_differs", "matching", None, "unmatched")]
    assert alerts(await loops.story("T1")) == ["statement_status_differs"]
    await loops.hear(pending(listed("NONREF", UNMATCHED) * 2, reference="P2", update="DELT", identifier="S2"))
    assert len(await differences(loops)) == 1
    await sent(loops, instruct("T2"))
    await loops.hear(pending(listed("NONREF", UNMATCHED), reference="P3", update="DELT", identifier="S3"))
    assert len(await differences(loops)) == 1


async def test_an_entry_that_names_something_else_is_not_taken_for_ours_by_its_terms(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(pending(listed("ELSEWHERE1", UNMATCHED), update="DELT"))
    assert [code for code, *_ in await differences(loops)] == ["statement_transaction_unknown"]
    assert alerts(await loops.story()) == []


# Pages ----------------------------------------------------------------------------------------------------------------


async def test_pages_add_up_in_any_order_and_only_the_whole_is_searched_for_what_is_missing(both_loops: Loops) -> None:
    await sent(both_loops, instruct("T1"), instruct("T2"), instruct("T3"))
    second = pending(listed(transaction("T2")), page=2, last=True, identifier="P2", created_at="2026-03-03T18:06:00Z")
    await both_loops.hear(second)
    story = await statement(both_loops)
    assert (story.instruction.headline, alerts(story)) == ("incomplete", ["statement_page_missing"])
    assert await differences(both_loops) == []
    await both_loops.hear(pending(listed(transaction("T1")), page=1, last=False, identifier="P1"))
    story = await statement(both_loops)
    assert story.instruction.headline == "differs"
    assert await differences(both_loops) == [("statement_transaction_missing", "status", "sent", None)]
    assert alerts(await both_loops.story("T3")) == ["statement_transaction_missing"]
    [row] = await both_loops.rows(tables.statement)
    assert (row["pages"], row["last_page"], row["entries"], row["differences"]) == (2, 2, 2, 1)
    await both_loops.prove()


async def test_the_same_page_again_changes_nothing_and_other_content_is_alerted(both_loops: Loops) -> None:
    page = listed("ELSEWHERE1")
    await both_loops.hear(pending(page), pending(page, identifier="AGAIN", created_at="2026-03-03T19:00:00Z"))
    assert alerts(await statement(both_loops)) == ["statement_transaction_unknown"]
    assert len(await differences(both_loops)) == 1
    await both_loops.hear(pending(listed("ELSEWHERE2"), identifier="CHANGED"))
    assert alerts(await statement(both_loops))[-1] == "statement_page_changed"
    assert len(await differences(both_loops)) == 1
    assert len(await both_loops.rows(tables.statement_page)) == 1


async def test_a_gap_in_the_numbers_of_an_account_is_alerted(loops: Loops) -> None:
    await loops.hear(pending("", reference="A", number="00016", identifier="A"))
    await loops.hear(pending("", reference="B", number="00017", identifier="B"))
    assert alerts(await statement(loops, "B")) == []
    await loops.hear(pending("", reference="C", number="00019", identifier="C"))
    assert alerts(await statement(loops, "C")) == ["statement_number_gap"]
    await loops.hear(pending("", reference="D", number="00001", identifier="D"))  # a new year begins again
    assert alerts(await statement(loops, "D")) == []


async def test_a_statement_of_another_sender_is_parked(loops: Loops) -> None:
    await loops.hear(pending("", sender=OTHER))
    assert (await loops.only_parked()).summary.code == "reply_wrong_counterparty"
    assert await loops.rows(tables.statement) == []


async def test_differences_beyond_the_bound_are_counted_not_kept(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements_room, "_MOST_DIFFERENCES", 3)
    await loops.hear(pending("".join(listed(f"ELSEWHERE{n}") for n in range(5))))
    story = await statement(loops)
    assert alerts(story) == ["statement_transaction_unknown", "statement_too_many_differences"]
    assert len(await differences(loops)) == 3
    assert (await loops.rows(tables.statement))[0]["differences"] == 5


async def test_a_statement_of_another_counterpartys_transaction_is_unknown(loops: Loops) -> None:
    await loops.take_in(instruct("T1", counterparty=OTHER))
    await loops.send(OTHER)
    await loops.hear(pending(listed(transaction("T1"))))
    assert [code for code, *_ in await differences(loops)] == ["statement_transaction_unknown"]
    assert alerts(await loops.story("T1")) == []


# Requests -------------------------------------------------------------------------------------------------------------


async def test_a_request_is_answered_page_by_page_until_it_is_complete(both_loops: Loops) -> None:
    await sent(both_loops, ask())
    [message] = both_loops.arrived()
    assert b"<LngNb>semt.018.001.15</LngNb>" in message.content
    query = message.business_message_id
    await both_loops.hear(pending("", page=1, last=False, query=query, identifier="P1"))
    request = transaction_id(OWN_BIC, "operations", "ASKED", Dialogue.STATEMENT, 1)

    async def headline() -> str:
        [story] = await both_loops.ledger.query(lambda connection: queries.show_instruction(connection, request))
        return story.instruction.headline

    assert await headline() == "incomplete"
    await both_loops.hear(pending("", page=2, query=query, identifier="P2"))
    assert await headline() == "complete"
    [row] = await both_loops.rows(tables.statement)
    assert row["request_id"] is not None
    await both_loops.prove()


async def test_a_request_that_is_rejected_technically_says_so(loops: Loops) -> None:
    await sent(loops, ask())
    await loops.hear(rejection(loops.arrived()[0].business_message_id))
    request = transaction_id(OWN_BIC, "operations", "ASKED", Dialogue.STATEMENT, 1)
    [story] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, request))
    assert story.instruction.headline == "rejected"


async def test_an_answer_about_some_securities_does_not_miss_the_others(loops: Loops) -> None:
    await sent(loops, instruct("T1"))
    await sent(loops, ask(securities=["FR0000131104"]))
    query = loops.arrived()[-1].business_message_id
    await loops.hear(pending("", query=query))
    assert await differences(loops) == []


async def test_a_cash_report_is_asked_for_and_answered(loops: Loops) -> None:
    event = ask("request_account_report/1", requested_message="camt.053.001.08", account_owner=OWN_BIC)
    await sent(loops, event)
    [message] = loops.arrived()
    await loops.hear(cash("", query=message.business_message_id))
    request = transaction_id(OWN_BIC, "operations", "ASKED", Dialogue.STATEMENT, 1)
    [story] = await loops.ledger.query(lambda connection: queries.show_instruction(connection, request))
    assert story.instruction.headline == "complete"


# Postings -------------------------------------------------------------------------------------------------------------


async def test_a_missed_confirmation_is_alerted_with_its_terms_and_the_instruction_stays_open(
    both_loops: Loops,
) -> None:
    await sent(both_loops)
    await both_loops.hear(status(MATCHED), postings(posted(transaction())))
    [(code, field, ours, theirs)] = await differences(both_loops)
    assert (code, field, ours) == ("statement_settled_there", "settlement", "matched")
    assert theirs == f"deliver 500 unit {ISIN} against 61234.56 EUR on 2026-03-04"
    story = await both_loops.story()
    assert (story.instruction.headline, story.state.parts, alerts(story)) == (
        ("matched", (), ["statement_settled_there"])
    )
    await both_loops.prove()


@pytest.mark.parametrize(
    ("quantity", "amount", "fields"),
    [("500", "61234.56", []), ("400", "61234.56", ["quantity"]), ("500", "61234.5", ["amount"])],
)
async def test_a_posting_is_compared_with_what_was_confirmed(
    loops: Loops, quantity: str, amount: str, fields: list[str]
) -> None:
    await sent(loops)
    await loops.hear(settled(), postings(posted(transaction(), quantity=quantity, amount=amount)))
    assert [field for _, field, _, _ in await differences(loops)] == fields


async def test_a_posting_may_be_of_a_part(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(
        settled("200", "24493.82", partial="PAIN", identifier="PART1"),
        settled("300", "36740.74", partial="PARC", identifier="PART2"),
        postings(posted(transaction(), quantity="200", amount="24493.82")),
    )
    assert await differences(loops) == []


async def test_an_audit_trail_that_ends_with_settlement_tells_of_a_missed_confirmation(loops: Loops) -> None:
    await sent(loops)
    trail = (
        "<Pgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></Pgntn><QryRef>TRAIL1</QryRef>"
        f"<TxId><AcctOwnrTxId>{transaction()}</AcctOwnrTxId></TxId>"
        "<StsTrl><StsDt>2026-03-04T10:00:00Z</StsDt><Sttld/></StsTrl>"
        "<StsTrl><StsDt>2026-03-04T09:00:00Z</StsDt><MtchgSts><Mtchd/></MtchgSts></StsTrl>"
    )
    root = "SctiesSttlmTxAudtTrlRpt"
    await loops.hear(envelope("semt.022.001.07", f"<{root}>{trail}</{root}>", "TRAIL"))
    assert await differences(loops) == [("statement_settled_there", "settlement", "sent", "settled")]


# Holdings and cash ----------------------------------------------------------------------------------------------------


async def test_holdings_change_by_what_settled_here_or_are_alerted(both_loops: Loops) -> None:
    await sent(both_loops)
    await both_loops.hear(holdings({ISIN: "900", "FR0000131104": "10"}, "2026-03-03", identifier="H1"))
    assert (await statement(both_loops, "2026-03-03", "custody_holdings")).instruction.headline == "agrees"
    both_loops.time.move(86_400)
    await both_loops.hear(settled(created_at="2026-03-04T11:00:00Z"))
    await both_loops.hear(holdings({ISIN: "400", "FR0000131104": "10"}, "2026-03-04", identifier="H2"))
    assert await differences(both_loops) == []
    await both_loops.hear(holdings({ISIN: "300"}, "2026-03-05", identifier="H3"))
    assert await differences(both_loops) == [
        ("statement_holding_differs", "quantity", "400 unit (0 settled here since)", "300 unit"),
        ("statement_holding_differs", "quantity", "10 unit (0 settled here since)", "0 unit"),
    ]
    positions = await both_loops.rows(tables.statement_position)
    assert {(p["instrument"], p["value"]) for p in positions} >= {(ISIN, "900"), (ISIN, "300")}
    assert positions[0]["balance_date"] == date(2026, 3, 3)
    await both_loops.prove()


async def test_holdings_on_several_pages_are_compared_when_the_last_one_comes(loops: Loops) -> None:
    await loops.hear(holdings({ISIN: "900", "FR0000131104": "-10"}, "2026-03-03", identifier="H1"))
    first = holdings({ISIN: "900"}, "2026-03-04", identifier="H2", page=1, last=False)
    second = holdings({"FR0000131104": "-11"}, "2026-03-04", identifier="H3", page=2)
    await loops.hear(first)
    assert await differences(loops) == []
    await loops.hear(second)
    assert await differences(loops) == [
        ("statement_holding_differs", "quantity", "-10 unit (0 settled here since)", "-11 unit")
    ]


async def test_a_cash_account_that_does_not_add_up_is_alerted(both_loops: Loops) -> None:
    await both_loops.hear(cash(booked("X", "10.00", side="DBIT") + booked("Y", "5.5", sts="PDNG"), closing="90.00"))
    assert await differences(both_loops) == []
    await both_loops.hear(cash("", day="2026-03-05", opening="91.00", closing="90.50", sequence=8, identifier="CASH2"))
    assert await differences(both_loops) == [
        ("statement_balance_differs", "opening_balance", "90 EUR", "91 EUR"),
        ("statement_balance_differs", "closing_balance", "91 EUR", "90.5 EUR"),
    ]


async def test_a_booked_entry_of_ours_tells_of_a_missed_confirmation_and_of_another_amount(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(cash(booked(transaction(), "61234.50"), closing="61334.50"))
    assert await differences(loops) == [
        ("statement_settled_there", "settlement", "sent", "booked 61234.5 EUR"),
        ("statement_terms_differ", "amount", "61234.56 EUR", "61234.5 EUR"),
    ]
    assert alerts(await loops.story()) == ["statement_settled_there", "statement_terms_differ"]


async def test_an_allegement_report_names_what_never_came_and_what_came_otherwise(loops: Loops) -> None:
    def entry(reference: str, quantity: str) -> str:
        return (
            f"<AllgmtDtls><AcctSvcrTxId>{reference}</AcctSvcrTxId><SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt>"
            "<SttlmDt><Dt><Dt>2026-03-04</Dt></Dt></SttlmDt>"
            f"<FinInstrmId><ISIN>{ISIN}</ISIN></FinInstrmId><QtyAndAcctDtls><SttlmQty><Unit>{quantity}</Unit></SttlmQty>"
            "</QtyAndAcctDtls><SttlmParams><SctiesTxTp><Cd>TRAD</Cd></SctiesTxTp></SttlmParams></AllgmtDtls>"
        )

    await loops.hear(alleged("KNOWN1"), alleged("KNOWN2", identifier="A2"))
    body = (
        "<Pgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></Pgntn><StmtGnlDtls><StmtId>ALL-1</StmtId><StmtDtTm>"
        "<Dt>2026-03-03</Dt></StmtDtTm><ActvtyInd>true</ActvtyInd></StmtGnlDtls>"
        + entry("KNOWN1", "500")
        + entry("KNOWN2", "499")
        + entry("NEW1", "7")
    )
    root = "SctiesSttlmTxAllgmtRpt"
    await loops.hear(envelope("semt.019.001.12", f"<{root}>{body}</{root}>", "REPORT1"))
    assert await differences(loops) == [
        ("statement_terms_differ", "quantity", "500 unit", "499 unit"),
        (
            "statement_allegement_unknown",
            "allegement",
            None,
            f"deliver 7 unit {ISIN} against on 2026-03-04",
        ),
    ]


# What operators see ---------------------------------------------------------------------------------------------------


async def seen(url: str, *arguments: str) -> Result:
    """Run a command of an operator beside the running gateway."""
    return await asyncio.to_thread(CliRunner().invoke, statements_command, [*arguments, "--store", url])


async def test_operators_list_show_and_compare_statements(both_loops: Loops) -> None:
    url = both_loops.settings.store.url.get_secret_value()
    await sent(both_loops)
    await both_loops.hear(holdings({ISIN: "-900"}, "2026-03-03", identifier="H1"))
    await both_loops.hear(pending(listed(transaction(), UNMATCHED) + listed("ELSEWHERE1")))

    rows = [json.loads(line) for line in (await seen(url, "list", "--json")).output.splitlines()]
    assert [(row["kind"], row["headline"], row["differences"], row["pages"]) for row in rows] == [
        ("pending", "differs", 2, 1),
        ("custody_holdings", "agrees", 0, 1),
    ]
    assert all("account" not in row for row in rows)
    [differing] = (await seen(url, "list", "--differing", "--json")).output.splitlines()
    assert json.loads(differing)["reference"] == "PENDING-1"
    of_the_day = await seen(url, "list", "--date", "2026-03-03", "--kind", "custody_holdings", "--json")
    assert json.loads(of_the_day.output)["id"] == rows[1]["id"]

    [story] = (await seen(url, "show", "2026-03-03", "--json")).output.splitlines()
    [position] = json.loads(story)["positions"]
    assert (position["instrument"], position["balance"], position["value"]) == (ISIN, "held", "-900")

    shown = (await seen(url, "show", "PENDING-1")).output
    assert ACCOUNT in shown
    assert "statement_status_differs" in shown
    found = (await seen(url, "differences", "--transaction", transaction(), "--json")).output
    difference = json.loads(found)
    assert (difference["field"], difference["ours"], difference["theirs"]) == ("matching", None, "unmatched")
    assert "ELSEWHERE1" in (await seen(url, "differences", "--code", "statement_transaction_unknown")).output
    assert ACCOUNT not in (await seen(url, "list")).output

    nothing = await seen(url, "show", "NOBODYS")
    assert nothing.exit_code == 1
