"""The simulated counterparty's cash desk: cancellation requests and status requests answered from its own book."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.simulator.book import AnswerState
from gateway.simulator.scenario import Delays
from tests.simulated import THEM, Pipe, envelope, play, validator, values

UETR = "3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44"


def payment(transaction: str, play: str = "") -> bytes:
    note = f"<RmtInf><Ustrd>SIM:{play}</Ustrd></RmtInf>" if play else ""
    bank = f"<FinInstnId><BICFI>{THEM}</BICFI></FinInstnId>"
    body = (
        f"<FICdtTrf><GrpHdr><MsgId>M{transaction}</MsgId><CreDtTm>2026-11-20T09:00:00Z</CreDtTm><NbOfTxs>1</NbOfTxs>"
        f"<SttlmInf><SttlmMtd>INDA</SttlmMtd></SttlmInf></GrpHdr><CdtTrfTxInf><PmtId><InstrId>{transaction}</InstrId>"
        f"<EndToEndId>E2E</EndToEndId><TxId>{transaction}</TxId><UETR>{UETR}</UETR></PmtId>"
        f'<IntrBkSttlmAmt Ccy="EUR">12.50</IntrBkSttlmAmt><IntrBkSttlmDt>2026-11-23</IntrBkSttlmDt>'
        f"<Dbtr>{bank}</Dbtr><Cdtr>{bank}</Cdtr>{note}</CdtTrfTxInf></FICdtTrf>"
    )
    return envelope("pacs.009.001.08", body, f"M{transaction}")


def original(transaction: str) -> str:
    return (
        f"<OrgnlGrpInf><OrgnlMsgId>M{transaction}</OrgnlMsgId><OrgnlMsgNmId>pacs.009.001.08</OrgnlMsgNmId></OrgnlGrpInf>"
        f"<OrgnlInstrId>{transaction}</OrgnlInstrId><OrgnlTxId>{transaction}</OrgnlTxId><OrgnlUETR>{UETR}</OrgnlUETR>"
    )


def cancellation(transaction: str) -> bytes:
    agent = f"<Agt><FinInstnId><BICFI>{THEM}</BICFI></FinInstnId></Agt>"
    body = (
        f"<FIToFIPmtCxlReq><Assgnmt><Id>A1</Id><Assgnr>{agent}</Assgnr><Assgne>{agent}</Assgne>"
        "<CreDtTm>2026-11-20T10:00:00Z</CreDtTm></Assgnmt><Undrlyg><TxInf>"
        f"<Case><Id>C{transaction}</Id><Cretr>{agent}</Cretr></Case>{original(transaction)}</TxInf></Undrlyg></FIToFIPmtCxlReq>"
    )
    return envelope("camt.056.001.08", body, f"C{transaction}")


def query(transaction: str, number: int = 1) -> bytes:
    body = (
        "<FIToFIPmtStsReq><GrpHdr><MsgId>Q1</MsgId><CreDtTm>2026-11-20T10:00:00Z</CreDtTm></GrpHdr>"
        f"<TxInf>{original(transaction)}</TxInf></FIToFIPmtStsReq>"
    )
    return envelope("pacs.028.001.03", body, f"Q{transaction}-{number}")


RESOLUTION, DETAILS = "RsltnOfInvstgtn/", "RsltnOfInvstgtn/CxlDtls/TxInfAndSts/"
REPORT = "FIToFIPmtStsRpt/TxInfAndSts/"


@pytest.mark.parametrize(
    ("scenario", "codes", "axis"),
    [
        ("payment-cancelled", [("CNCL", None)], "cancelled"),
        ("payment-cancellation-pending", [("PDCR", "ARPL"), ("CNCL", None)], "cancelled"),
        ("payment-cancellation-open", [("PDCR", "ARPL")], "pending"),
        ("payment-cancellation-rejected", [("RJCR", "CUST")], "rejected"),
    ],
)
async def test_a_cancellation_request_is_answered_under_its_case(
    tmp_path: Path, scenario: str, codes: list[tuple[str, str | None]], axis: str
) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, payment("P1", f"payment-pending,{scenario}"), cancellation("P1"))
    answers = [sent.content for sent in pipe.sent if b"RsltnOfInvstgtn" in sent.content]
    said = [values(one, RESOLUTION + "Sts/Conf", DETAILS + "CxlStsRsnInf/Rsn/Cd") for one in answers]
    assert [tuple(one) for one in said] == codes
    for content in answers:
        assert validator().check(content).violations == ()
        names = ("RslvdCase/Id", "OrgnlGrpInf/OrgnlMsgId", "OrgnlTxId", "OrgnlUETR")
        assert values(content, *(DETAILS + name for name in names)) == ["CP1", "MP1", "P1", UETR]
    assert entries[1].scenario == scenario
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["cancellation"] == axis


async def test_a_cancelled_payment_is_not_settled_any_more(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b", pipe, payment("P1", "payment-booked,payment-cancelled"), cancellation("P1"), idle=0.05
    )
    states = {answer.state for answer in entries[0].answers}
    assert AnswerState.DROPPED in states
    assert not any(b"BkToCstmrDbtCdtNtfctn" in sent.content for sent in pipe.sent)


async def test_a_status_of_a_payment_that_nobody_sent_names_nothing_of_what_came(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, payment("P1", "unknown-transaction"))
    unknown, known = (sent.content for sent in pipe.sent)
    assert validator().check(unknown).violations == ()
    assert [name in unknown for name in (b">P1<", b">MP1<", UETR.encode())] == [False, False, False]
    assert [name in known for name in (b">P1<", b">MP1<")] == [True, True]


async def test_a_refused_cancellation_crosses_with_the_settlement(tmp_path: Path) -> None:
    pipe = Pipe()
    text = "payment-booked,payment-cancellation-crossed"
    entries = await play(tmp_path / "b", pipe, payment("P1", text), cancellation("P1"), delays=Delays(late=0))
    assert entries[0].outcome is not None
    axes = entries[0].outcome.axes
    assert (axes["booking"], axes["cancellation"]) == ("booked", "rejected")


async def test_what_is_booked_or_unknown_cannot_be_cancelled(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, payment("P1", "payment-booked"))
    entries = await play(tmp_path / "b", pipe, cancellation("P1"), cancellation("NEVER"), key="next")
    assert [one.scenario for one in entries[1:]] == ["payment-cancellation-too-late", "payment-cancellation-unknown"]
    said = [values(one.content, RESOLUTION + "Sts/Conf", DETAILS + "CxlStsRsnInf/Rsn/Cd") for one in pipe.sent[-2:]]
    assert said == [["RJCR", "AGNT"], ["RJCR", "NOOR"]]


@pytest.mark.parametrize(
    ("scenario", "code", "reason"),
    [
        ("payment-booked", "ACSC", None),
        ("payment-pending", "PDNG", "AG08"),
        ("payment-rejected", "RJCT", "AC04"),
        ("silence", "RCVD", None),
    ],
)
async def test_a_status_request_is_told_where_the_payment_stands(
    tmp_path: Path, scenario: str, code: str, reason: str | None
) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, payment("P1", scenario))
    await play(tmp_path / "b", pipe, query("P1"), key="next", scenarios=("payment-status-told",))
    told = pipe.sent[-1].content
    assert validator().check(told).violations == ()
    assert values(told, REPORT + "TxSts", REPORT + "StsRsnInf/Rsn/Cd") == [code, reason]
    assert values(told, REPORT + "OrgnlGrpInf/OrgnlMsgId", REPORT + "OrgnlTxId") == ["MP1", "P1"]


async def test_a_status_request_about_no_payment_is_refused(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, query("NEVER"))
    assert entries[0].scenario == "payment-query-refused"
    assert b"admi.002.001.01" in pipe.sent[-1].content
