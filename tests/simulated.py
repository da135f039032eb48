"""A counterparty as the simulator plays it, over a channel in memory, and what the system under test sends to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Self
from xml.sax.saxutils import escape

from gateway.errors import NotSent
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.profile import KafkaCarrier
from gateway.simulator import (
    BookEntry,
    Counterparty,
    SimulatorSettings,
    read_book,
)
from gateway.simulator.answers import Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import Scenario
from gateway.simulator.tables import read_tables
from gateway.transports import Incoming, Outcome, Outgoing, Sent

US, THEM = "OURSGB2LXXX", "BANKDEFFXXX"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD_VERSIONS = (
    "sese.024.001.10",
    "sese.025.001.11",
    "sese.026.001.10",
    "sese.027.001.05",
    "setr.030.001.02",
    "setr.044.001.03",
    "sese.022.001.06",
    "sese.028.001.10",
    "sese.029.001.06",
    "sese.031.001.09",
    "sese.032.001.11",
    "setr.027.001.04",
    "setr.029.001.02",
    "semt.014.001.07",
    "semt.015.001.09",
    "sese.034.001.09",
    "sese.035.001.11",
    "sese.039.001.06",
    "semt.020.001.07",
    "semt.001.001.03",
    "head.001.001.01",
)


# --- What the system under test sends ---------------------------------------------------------------------------------


def envelope(definition: str, body: str, message: str, *, marked: bool = False, sender: str = US) -> bytes:
    namespace = "urn:iso:std:iso:20022:tech:xsd:"
    mark = "<PssblDplct>true</PssblDplct>" if marked else ""
    return (
        f'<RequestPayload><AppHdr xmlns="{namespace}head.001.001.04">'
        f"<Fr><FIId><FinInstnId><BICFI>{sender}</BICFI></FinInstnId></FIId></Fr>"
        f"<To><FIId><FinInstnId><BICFI>{THEM}</BICFI></FinInstnId></FIId></To>"
        f"<BizMsgIdr>{message}</BizMsgIdr><MsgDefIdr>{definition}</MsgDefIdr><CreDt>2026-11-20T10:00:00+01:00</CreDt>{mark}"
        f'</AppHdr><Document xmlns="{namespace}{definition}">{body}</Document></RequestPayload>'
    ).encode()


def instruction(
    transaction: str,
    *,
    message: str | None = None,
    marked: bool = False,
    text: str = "",
    quantity: str = "100",
    element: str = "Unit",
    amount: str | None = "1234.56",
    account: str = "ACC-1",
    definition: str = "sese.023.001.12",
    sender: str = US,
    hold: bool = False,
) -> bytes:
    held = "<HldInd><Ind>true</Ind></HldInd>" if hold else ""
    note = f"<SttlmInstrPrcgAddtlDtls>{text}</SttlmInstrPrcgAddtlDtls>" if text else ""
    money = f'<SttlmAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd></SttlmAmt>' if amount else ""
    body = (
        f"<SctiesSttlmTxInstr><TxId>{transaction}</TxId><SttlmTpAndAddtlParams><SctiesMvmntTp>RECE</SctiesMvmntTp>"
        f"<Pmt>{'APMT' if amount else 'FREE'}</Pmt></SttlmTpAndAddtlParams>"
        "<TradDtls><TradDt><Dt><Dt>2026-11-19</Dt></Dt></TradDt>"
        f"<SttlmDt><Dt><Dt>2026-11-23</Dt></Dt></SttlmDt>{note}</TradDtls><FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId>"
        f"<QtyAndAcctDtls><SttlmQty><Qty><{element}>{quantity}</{element}></Qty></SttlmQty>"
        f"<SfkpgAcct><Id>{escape(account)}</Id></SfkpgAcct></QtyAndAcctDtls>"
        f"<SttlmParams>{held}<SctiesTxTp><Cd>TRAD</Cd></SctiesTxTp></SttlmParams>{money}</SctiesSttlmTxInstr>"
    )
    return envelope(definition, body, message or f"M{transaction}", marked=marked, sender=sender)


def cancellation(transaction: str, *, message: str | None = None) -> bytes:
    body = (
        f"<SctiesTxCxlReq><AcctOwnrTxId><SctiesSttlmTxId><TxId>{transaction}</TxId><SctiesMvmntTp>RECE</SctiesMvmntTp>"
        "<Pmt>APMT</Pmt></SctiesSttlmTxId></AcctOwnrTxId></SctiesTxCxlReq>"
    )
    return envelope("sese.020.001.08", body, message or f"C{transaction}")


def modification(transaction: str, amount: str) -> bytes:
    """Ask for another amount."""
    body = (
        f"<SctiesSttlmTxModReq><ModfdTxDtls><AcctOwnrTxId><TxId>{transaction}</TxId><SctiesMvmntTp>RECE</SctiesMvmntTp>"
        "<Pmt>APMT</Pmt></AcctOwnrTxId></ModfdTxDtls>"
        f'<UpdTp><Mod><SttlmAmt><Amt Ccy="EUR">{amount}</Amt></SttlmAmt></Mod></UpdTp></SctiesSttlmTxModReq>'
    )
    return envelope("sese.038.001.11", body, f"MOD{transaction}")


def withdrawal(message: str) -> bytes:
    body = f"<SctiesMsgCxlAdvc><Ref><OthrMsgId>{message}</OthrMsgId></Ref></SctiesMsgCxlAdvc>"
    return envelope("semt.020.001.07", body, f"W{message}")


def confirmation(transaction: str, *, text: str = "", definition: str = "setr.027.001.05") -> bytes:
    note = f"<AddtlTradInstrPrcgInf>{text}</AddtlTradInstrPrcgInf>" if text else ""
    body = (
        f"<SctiesTradConf><Id><TxId>{transaction}</TxId></Id><TradDtls><Sd>BUYI</Sd><TradDt><Dt><Dt>2026-11-19</Dt></Dt></TradDt>"
        "<SttlmDt><Dt><Dt>2026-11-23</Dt></Dt></SttlmDt><ConfQty><Qty><FaceAmt>5000</FaceAmt></Qty></ConfQty>"
        f'<DealPric><Val><Amt Ccy="EUR">1</Amt></Val></DealPric>{note}</TradDtls>'
        "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId><ConfPties/></SctiesTradConf>"
    )
    return envelope(definition, body, f"M{transaction}")


def movement(transaction: str, *, definition: str = "semt.013.001.07", to: str = "<Cd>BLOK</Cd>") -> bytes:
    body = (
        f"<IntraPosMvmntInstr><TxId>{transaction}</TxId><SfkpgAcct><Id>ACC-1</Id></SfkpgAcct>"
        "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId><IntraPosDtls><SttlmQty><Unit>100</Unit></SttlmQty>"
        f"<SttlmDt><Dt>2026-11-23</Dt></SttlmDt><BalFr><Tp><Cd>AVAI</Cd></Tp></BalFr><BalTo><Tp>{to}</Tp></BalTo>"
        "</IntraPosDtls></IntraPosMvmntInstr>"
    )
    return envelope(definition, body, f"M{transaction}")


def golden(name: str) -> bytes:
    """Return a message as the gateway writes it, from us to them."""
    content = (Path(__file__).parent / "golden" / f"{name}.xml").read_bytes()
    return content.replace(b"OWNRDEFFXXX", US.encode()).replace(b"CUSTGB2LXXX", THEM.encode())


def condition(transaction: str, change: str = "hold", *, message: str | None = None) -> bytes:
    """Ask to hold, to release, or for another priority."""
    what = {
        "hold": "<HldInd><Ind>true</Ind></HldInd>",
        "release": "<HldInd><Ind>false</Ind></HldInd>",
        "prioritise": "<Prty><Nmrc>0001</Nmrc></Prty>",
    }[change]
    body = (
        "<SctiesSttlmCondsModReq><SfkpgAcct><Id>ACC-1</Id></SfkpgAcct>"
        f"<ReqDtls><Ref><AcctOwnrTxId>{transaction}</AcctOwnrTxId></Ref>{what}</ReqDtls></SctiesSttlmCondsModReq>"
    )
    return envelope("sese.030.001.10", body, message or f"{change}-{transaction}")


def query(transaction: str, *, message: str | None = None) -> bytes:
    body = (
        "<SctiesTxStsQry><StsAdvcReqd><Nb><LngNb>sese.024.001.13</LngNb></Nb>"
        f"<Refs><AcctOwnrTxId>{transaction}</AcctOwnrTxId></Refs></StsAdvcReqd></SctiesTxStsQry>"
    )
    return envelope("sese.021.001.07", body, message or f"Q{transaction}")


def confirmation_cancellation(transaction: str) -> bytes:
    body = f"<SctiesTradConfCxl><Id><TxId>{transaction}</TxId></Id></SctiesTradConfCxl>"
    return envelope("setr.029.001.02", body, f"X{transaction}")


def allegement_answer(reference: str, answer: str = "Rjctd") -> bytes:
    body = (
        f"<SctiesSttlmTxCtrPtyRspn><TxId><AcctSvcrTxId>{reference}</AcctSvcrTxId></TxId>"
        f"<RspnSts><{answer}><Rsn><Cd><Cd>CPTR</Cd></Cd></Rsn></{answer}></RspnSts></SctiesSttlmTxCtrPtyRspn>"
    )
    return envelope("sese.040.001.06", body, f"R{reference}")


def trade_answer(reference: str, answer: str = "AFFI") -> bytes:
    body = (
        f"<SctiesTradConfRspn><Id><TxId>R{reference}</TxId></Id><Refs><Ref><ExctgPtyTxId>{reference}</ExctgPtyTxId></Ref></Refs>"
        f"<Sts><AffirmSts><Cd>{answer}</Cd></AffirmSts></Sts></SctiesTradConfRspn>"
    )
    return envelope("setr.030.001.03", body, f"R{reference}")


TERMS = {
    "movement": "receive",
    "payment": "against",
    "isin": "DE0007164600",
    "quantity": "100",
    "quantity_type": "unit",
    "amount": "1234.56",
    "currency": "EUR",
    "credit_debit": "DBIT",
    "trade_date": "2026-11-19",
    "settlement_date": "2026-11-23",
    "safekeeping_account": "ACC-1",
}
TRADE_TERMS = TERMS | {"side": "SELL", "price": "12.3456", "price_currency": "EUR", "buyer": US, "seller": THEM}


def initiative(reference: str, *play: str, after: float = 0.0, **terms: str) -> Initiative:
    trade = any(name.startswith("trade-") for name in play)
    return Initiative(reference, play, (TRADE_TERMS if trade else TERMS) | terms, after)


ARRIVALS: dict[str, list[bytes | Arrival]] = {
    "condition_modification": [condition("T7"), condition("T8", "prioritise")],
    "status_query": [query("T9")],
    "payment_cancellation": [golden("camt.056.001.08.complete"), golden("camt.056.001.08.minimal")],
    "confirmation_cancellation": [confirmation_cancellation("T10")],
    "allegement_answer": [allegement_answer("A1"), allegement_answer("A2", "Cnsntd")],
    "trade_answer": [trade_answer("B1"), trade_answer("B2", "NAFI")],
    "allegement": [initiative("A3", "alleged").arrival("allegement")],
    "generation": [initiative("G1", "generated").arrival("generation")],
    "alleged_trade": [initiative("B3", "trade-confirmed").arrival("alleged_trade")],
    "settlement": [
        instruction("T1"),
        instruction("T2", amount=None, quantity="3"),
        instruction("T3", quantity="1000000.5", element="FaceAmt", definition="sese.023.001.10"),
    ],
    "cancellation": [cancellation("T4")],
    "confirmation": [confirmation("T5"), confirmation("T6", definition="setr.027.001.04")],
    "payment": [golden("pacs.009.001.08.minimal"), golden("pacs.008.001.13.complete")],
    "notice": [golden("camt.057.001.08.complete"), golden("camt.057.001.08.minimal")],
    "modification": [golden("sese.038.001.11.complete"), golden("sese.038.001.09.minimal")],
    "withdrawal": [golden("semt.020.001.07.minimal")],
    "message_rejection": [golden("semt.001.001.04.complete"), golden("semt.001.001.03.minimal")],
    "financing": [golden("sese.033.001.13.complete"), golden("sese.033.001.11.minimal")],
    "financing_modification": [golden("sese.036.001.10.complete"), golden("sese.036.001.08.minimal")],
    "financing_cancellation": [golden("sese.020.001.08.cancel_securities_financing.minimal")],
    "movement_cancellation": [golden("sese.020.001.08.cancel_intra_position_movement.minimal")],
    "system_event": [Initiative("E1", ("system-event",), {"event_code": "CLSD"}).arrival("system_event")],
    "pending_statement": [
        Initiative("P1", ("pending-stated",), {"listed": listed}).arrival("pending_statement")
        for listed in ("[]", json.dumps([TERMS | {"transaction_id": "T1", "standing": "matched,failing:LACK"}]))
    ],
    "movement": [
        movement("T7"),
        movement("T8", definition="semt.013.001.06", to="<Prtry><Id>LOCL</Id><Issr>MARKET</Issr></Prtry>"),
    ],
}


# --- A channel in memory ----------------------------------------------------------------------------------------------


@dataclass
class Pipe:
    """A channel in memory that keeps what was sent; ``failures`` are outcomes to give before it works."""

    sent: list[Outgoing] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    waiting: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)
    carries_possible_duplicate_mark: bool = True

    def put(self, *contents: bytes, key: str = "in") -> None:
        for content in contents:
            self.waiting.put_nowait(Incoming(f"{key}/{self.waiting.qsize()}", content))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, NotSent):
                return [failure for _ in batch]
            self.sent.extend(batch)  # the carrier has it, and then the process dies
            raise failure
        self.sent.extend(batch)
        return [Sent(f"out/{number}") for number, _ in enumerate(batch)]

    async def receive(self, limit: int) -> list[Incoming]:
        batch = [await self.waiting.get()]
        while len(batch) < limit and not self.waiting.empty():
            batch.append(self.waiting.get_nowait())
        return batch

    async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
        self.acknowledged.extend(item.carrier_key for item in incoming)

    async def probe(self) -> None: ...


@cache
def validator() -> Validator:
    return Validator(load_catalogue())


@cache
def tools(versions: tuple[str, ...] = ()) -> tuple[Reader, Writer]:
    """Return the reader and the writer of a counterparty, without channel and book."""
    tables = read_tables()
    codes, namespace = tables.reading["codes"], load_catalogue().namespace
    writer = Writer(tables.answers, codes, namespace, bic=THEM, gateway_bic=US, seed=7, versions=versions)
    return Reader(validator(), tables.reading, THEM, US), writer


def settings(book: Path, **changes: object) -> SimulatorSettings:
    plain = {"seed": 7, "scenarios": ("settled", "affirmed", "cancellation-done"), **changes}
    return SimulatorSettings(THEM, US, KafkaCarrier(outbound_topic="o", inbound_topic="i"), book, **plain)  # type: ignore[arg-type]


async def play(
    book: Path, pipe: Pipe, *contents: bytes, idle: float = 0.05, key: str = "in", **changes: object
) -> list[BookEntry]:
    """Let a counterparty take the contents and answer all of them; return its book."""
    pipe.put(*contents, key=key)
    counterparty = Counterparty(settings(book, **changes), pipe, load_catalogue())
    running = asyncio.create_task(counterparty.run())
    idling = asyncio.create_task(counterparty.until_idle(idle))
    await asyncio.wait([running, idling], return_when=asyncio.FIRST_COMPLETED)
    counterparty.stop()
    idling.cancel()
    await running
    return read_book(book)


def values(content: bytes, *paths: str) -> list[str | None]:
    parsed = validator().parse(content)
    return [parsed.document_value(path) for path in paths]


ELSEWHERE = {  # test_simulated_exchange
    "foreign_exchange",
    "foreign_exchange_amendment",
    "foreign_exchange_cancellation",
    "alleged_exchange",
    "payment_query",  # test_simulated_payments
    "exchange_confirmation",  # of FIN alone, as the next two: test_simulated_fin
    "exchange_amendment",
    "exchange_cancellation",
}
STANDING = ("repair", "inferred-matched", "unmatched:CMIS", "failing:LACK")


def every_scenario() -> Iterator[Scenario]:
    yield from read_scenarios()


async def run_until(counterparty: Counterparty, answered: int) -> None:
    running = asyncio.create_task(counterparty.run())
    async with asyncio.timeout(30):
        while counterparty.progress.answered < answered and not running.done():
            await asyncio.sleep(0.01)
    counterparty.stop()
    await running
