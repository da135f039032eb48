"""The counterparty simulator: what it answers, that it never answers twice, and that its book tells the truth."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Self
from xml.sax.saxutils import escape

import msgspec
import pytest
import typer
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.bus import Bus, Message
from gateway.cli.simulate import simulate
from gateway.errors import BuildError, ConfigError, NotSent, StoreUnavailable
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.profile import FolderCarrier, KafkaCarrier, Profile
from gateway.simulator import (
    AnswerState,
    BookEntry,
    Counterparty,
    Delays,
    Repeat,
    SimulatorSettings,
    open_counterparty,
    outcomes,
    read_book,
)
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import Draw, Scenario, Step, scripted
from gateway.simulator.tables import read_tables
from gateway.simulator.template import Template
from gateway.transports import Incoming, Outcome, Outgoing, Sent, open_transport
from tests.conftest import Broker, unique

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


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(), OLD_VERSIONS], ids=["newest", "oldest"])
def test_every_answer_of_every_scenario_is_valid_in_the_version_asked_for(versions: tuple[str, ...]) -> None:
    reader, writer = tools(versions)
    written: set[str] = set()
    for scenario in every_scenario():
        if scenario.dialogue in ELSEWHERE:
            continue
        for number, content in enumerate(ARRIVALS.get(scenario.dialogue, [b"no XML at all"])):
            arrival = reader.read("k", content) if isinstance(content, bytes) else content
            assert arrival.valid or scenario.dialogue == "refusal", arrival.violations
            for answer in writer.plan(number, NOON, arrival, scenario, standing=STANDING, about=TERMS):
                answered = writer.write(arrival, answer)
                violations = validator().check(answered).violations
                assert bool(violations) == (answer.document is None), (scenario.name, answer.step, violations)
                written.add(answer.message_definition or "garbage")
    families = {definition[:8] for definition in written}
    expected = {
        "sese.022",
        "sese.024",
        "sese.025",
        "sese.026",
        "sese.027",
        "sese.028",
        "sese.029",
        "sese.031",
        "sese.032",
    }
    expected |= {"setr.027", "setr.029", "setr.030", "setr.044", "admi.002", "admi.007", "garbage"}
    expected |= {"pacs.002", "pacs.004", "camt.029", "camt.054"}
    expected |= {"semt.014", "semt.015", "sese.034", "sese.035", "sese.039", "semt.020", "semt.001"}
    expected |= {"semt.018", "admi.004"}
    assert families == expected
    assert set(versions) - {"head.001.001.01"} <= written


async def test_same_seed_gives_identical_answers_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    messages = [instruction(f"T{number}") for number in range(40)]
    forward, backward = Pipe(), Pipe()
    first = await play(tmp_path / "a", forward, *messages, scenarios=("random",), delays=Delays(late=0))
    second = await play(tmp_path / "b", backward, *reversed(messages), scenarios=("random",), delays=Delays(late=0))
    chosen = {entry.transaction_id: entry.scenario for entry in first}
    assert {entry.transaction_id: entry.scenario for entry in second} == chosen
    assert len(set(chosen.values())) > 3
    told = sorted(item.business_message_id for item in forward.sent)
    assert told == sorted(item.business_message_id for item in backward.sent)


async def test_another_seed_chooses_otherwise(tmp_path: Path) -> None:
    messages = [instruction(f"T{number}") for number in range(40)]
    first = await play(tmp_path / "a", Pipe(), *messages, scenarios=("random",), delays=Delays(late=0), seed=1)
    second = await play(tmp_path / "b", Pipe(), *messages, scenarios=("random",), delays=Delays(late=0), seed=2)
    assert [entry.scenario for entry in first] != [entry.scenario for entry in second]


def test_random_choice_follows_the_weights() -> None:
    scenarios = read_scenarios()
    drawn = [scenarios.choose("settlement", ("random",), Draw(1, str(number))).name for number in range(4000)]
    total = sum(scenario.weight for scenario in scenarios if scenario.dialogue == "settlement")
    for scenario in scenarios:
        if scenario.dialogue == "settlement":
            assert abs(drawn.count(scenario.name) / 4000 - scenario.weight / total) < 0.04
            assert scenario.weight or scenario.name not in drawn


async def test_instruction_names_its_own_scenario_in_its_processing_text(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="please SIM:unmatched-then-settled thanks"),
        confirmation("T2", text="SIM:disaffirmed"),
        instruction("T3", text="SIM:no-such-scenario"),
        instruction("T4", text="SIM:matched,cancellation-denied"),
        cancellation("T4"),
    )
    assert [entry.scenario for entry in entries] == [
        "unmatched-then-settled",
        "disaffirmed",
        "settled",
        "matched",
        "cancellation-denied",
    ]
    assert scripted("SIM:a-b,c rest") == ("a-b", "c")
    assert scripted(None) == ()


quantities = st.decimals(min_value=1, max_value=10**12, places=4).map(lambda number: format(number.normalize(), "f"))
amounts = st.decimals(min_value=0, max_value=10**12, places=2).map(lambda number: format(number, "f"))


@examples(max_examples=40)
@given(quantity=quantities, amount=st.none() | amounts, shares=st.lists(st.integers(1, 60), max_size=5))
def test_partial_settlements_add_up_exactly(quantity: str, amount: str | None, shares: list[int]) -> None:
    reader, writer = tools()
    arrival = reader.read("k", instruction("T", quantity=quantity, amount=amount))
    assert arrival.valid
    steps = (*(Step("partial", str(share)) for share in shares), Step("rest"))
    planned = writer.plan(1, NOON, arrival, Scenario("settlement", "s", steps, 1))
    root = "SctiesSttlmTxConf/"
    parts = [
        values(
            writer.write(arrival, answer),
            root + "QtyAndAcctDtls/SttldQty/Qty/Unit",
            root + "SttldAmt/Amt",
            root + "AddtlParams/PrtlSttlm",
            root + "AddtlParams/PrvsPrtlConfId",
        )
        for answer in planned
    ]
    assert sum(Decimal(part[0] or 0) for part in parts) == Decimal(quantity)
    if amount is not None:
        assert sum(Decimal(part[1] or 0) for part in parts) == Decimal(amount)
    codes = [part[2] for part in parts]
    assert codes == ([None] if len(parts) == 1 else ["PAIN"] * (len(parts) - 1) + ["PARC"])
    assert [part[3] for part in parts] == [None, *(answer.business_message_id for answer in planned)][: len(parts)]


@examples(max_examples=60)
@given(account=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=35))
def test_any_text_of_an_instruction_comes_back_unchanged(account: str) -> None:
    reader, writer = tools()
    arrival = reader.read("k", instruction("T", account=account))
    scenario = next(scenario for scenario in every_scenario() if scenario.name == "settled-at-once")
    content = writer.write(arrival, writer.plan(1, NOON, arrival, scenario)[0])
    assert values(content, "SctiesSttlmTxConf/QtyAndAcctDtls/SfkpgAcct/Id") == [account]


@pytest.mark.parametrize("term", ["amount", "quantity", "date", "account"])
async def test_wrong_confirmation_differs_in_the_named_term_only(tmp_path: Path, term: str) -> None:
    pipe = Pipe()
    entry = (await play(tmp_path / "b", pipe, instruction("T1"), scenarios=(f"wrong-{term}",)))[0]
    root = "SctiesSttlmTxConf/"
    confirmed = values(
        pipe.sent[-1].content,
        root + "SttldAmt/Amt",
        root + "QtyAndAcctDtls/SttldQty/Qty/Unit",
        root + "TradDtls/FctvSttlmDt/Dt/Dt",
        root + "QtyAndAcctDtls/SfkpgAcct/Id",
    )
    right = ["1234.56", "100", "2026-11-23", "ACC-1"]
    different = [
        name
        for name, is_, was in zip(("amount", "quantity", "date", "account"), confirmed, right, strict=True)
        if is_ != was
    ]
    assert different == [term]
    assert entry.outcome is not None
    assert entry.outcome.differs == (term,)


async def test_creation_times_order_the_answers_even_when_they_are_sent_last_first(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1"), scenarios=("out-of-order",))
    steps = [answer.step for answer in entries[0].answers]
    assert steps == ["settled", "matched", "unmatched:DMON", "accepted"]
    created = [validator().parse(item.content).header_value("CreDt") or "" for item in pipe.sent]
    assert created == sorted(created, reverse=True)
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes == {"processing": "accepted", "matching": "matched", "settlement": "settled"}


async def test_duplicates_are_the_same_bytes_and_count_once_in_the_outcome(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1"), scenarios=("duplicates",))
    contents = [item.content for item in pipe.sent]
    assert contents[0::2] == contents[1::2]
    assert len({item.business_message_id for item in pipe.sent}) == 6  # a folder would not write one name twice
    assert entries[0].outcome is not None
    assert entries[0].outcome.settled_quantity == 100


async def test_outcomes_say_where_each_scenario_ends(tmp_path: Path) -> None:
    names = ["partial", "partial-open", "rejected", "reversed", "refused", "silence", "garbage", "impostor"]
    entries = await play(tmp_path / "b", Pipe(), *(instruction(name, text=f"SIM:{name}") for name in names))
    found = outcomes(entries)
    assert (found["partial"].axes["settlement"], found["partial"].settled_quantity, found["partial"].parts) == (
        "settled",
        100,
        2,
    )
    assert found["partial"].settled_amount == Decimal("1234.56")
    assert (found["partial-open"].axes["settlement"], found["partial-open"].settled_quantity) == (
        "partially_settled",
        60,
    )
    assert found["rejected"].axes == {"processing": "rejected"}
    assert (found["reversed"].axes["settlement"], found["reversed"].settled_quantity) == ("reversed", 0)
    assert found["refused"].axes == {"processing": "rejected"}
    assert found["silence"].axes == {}
    assert found["garbage"].axes == found["impostor"].axes
    assert found["impostor"].axes["processing"] == "accepted"


# --- What arrives -----------------------------------------------------------------------------------------------------


async def test_marked_repeat_is_recorded_and_not_answered_again(tmp_path: Path) -> None:
    pipe = Pipe()
    first, second = await play(tmp_path / "b", pipe, instruction("T1"), instruction("T1", marked=True))
    assert len(pipe.sent) == 3
    assert (first.repeat, second.repeat, second.possible_duplicate) == (None, Repeat.MARKED, True)
    assert second.answers == ()
    assert first.sha256 != second.sha256


async def test_repeat_without_mark_or_with_other_terms_is_recorded_as_a_fault(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b", pipe, instruction("T1"), instruction("T1"), instruction("T1", marked=True, quantity="101")
    )
    assert [entry.repeat for entry in entries] == [None, Repeat.UNMARKED, Repeat.CHANGED]
    assert len(pipe.sent) == 3


async def test_transaction_instructed_again_by_another_message_is_refused_and_keeps_its_outcome(tmp_path: Path) -> None:
    pipe = Pipe()
    first, second = await play(tmp_path / "b", pipe, instruction("T1"), instruction("T1", message="OTHER"))
    assert second.repeat is Repeat.TRANSACTION
    assert second.violations[-1].code == "transaction_repeated"
    assert [answer.message_definition for answer in second.answers] == ["admi.002.001.01"]
    assert values(pipe.sent[-1].content, "admi.002.001.01/RltdRef/Ref") == ["OTHER"]
    assert first.outcome is not None
    assert first.outcome.axes["processing"] == "accepted"


async def test_marked_message_whose_first_copy_never_arrived_is_answered(tmp_path: Path) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1", marked=True))
    assert entry.repeat is None
    assert len(pipe.sent) == 3


async def test_same_message_delivered_again_by_the_carrier_is_no_second_arrival(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, instruction("T1"))
    entries = await play(tmp_path / "b", pipe, instruction("T1"))  # the same topic/partition/offset
    assert len(entries) == 1
    assert pipe.acknowledged == ["in/0", "in/0"]
    assert len(pipe.sent) == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\x00 no XML", "xml_malformed"),
        (b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "xml_forbidden"),
        (instruction("T1", quantity="many"), None),
        (instruction("T1", sender="ELSEGB2LXXX"), "header_address_wrong"),
        (
            envelope(
                "sese.024.001.14",
                "<SctiesSttlmTxStsAdvc><TxId><AcctOwnrTxId>T</AcctOwnrTxId></TxId></SctiesSttlmTxStsAdvc>",
                "M",
            ),
            "message_not_expected",
        ),
    ],
    ids=["bytes", "entities", "schema", "sender", "unexpected"],
)
async def test_what_is_not_accepted_is_refused_by_reference_with_the_reason(
    tmp_path: Path, content: bytes, code: str | None
) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, content)
    assert not entry.valid
    assert entry.violations
    assert code is None or entry.violations[0].code == code
    (refusal,) = pipe.sent
    assert validator().check(refusal.content).violations == ()
    reference, reason = values(refusal.content, "admi.002.001.01/RltdRef/Ref", "admi.002.001.01/Rsn/RjctgPtyRsn")
    assert reference == (entry.business_message_id or "NONREF")
    assert reason == entry.violations[0].code[:35]


async def test_book_holds_the_terms_seen(tmp_path: Path) -> None:
    (entry,) = await play(tmp_path / "b", Pipe(), instruction("T1"))
    assert entry.valid
    assert entry.message_definition == "sese.023.001.12"
    assert entry.terms == {
        "transaction_id": "T1",
        "movement": "receive",
        "payment": "against",
        "isin": "DE0007164600",
        "trade_date": "2026-11-19",
        "settlement_date": "2026-11-23",
        "safekeeping_account": "ACC-1",
        "transaction_type": "TRAD",
        "amount": "1234.56",
        "currency": "EUR",
        "credit_debit": "DBIT",
        "quantity": "100",
        "quantity_type": "unit",
    }
    assert all(answer.state is AnswerState.SENT and answer.sent_at and answer.sha256 for answer in entry.answers)


# --- Cancellations ----------------------------------------------------------------------------------------------------


async def test_cancellation_stops_what_was_not_said_and_is_confirmed_twice(tmp_path: Path) -> None:
    pipe = Pipe()
    instructed, cancelled = await play(
        tmp_path / "b",
        pipe,
        instruction("T1"),
        cancellation("T1"),
        scenarios=("late", "cancellation-done"),
        delays=Delays(late=3600),
    )
    assert [answer.state for answer in instructed.answers][-1] is AnswerState.DROPPED
    assert [answer.step for answer in cancelled.answers] == ["accepted", "cancelled", "instruction-cancelled"]
    request = next(
        item.content for item in pipe.sent if values(item.content, "SctiesTxCxlReqStsAdvc/CxlReqRef") != [None]
    )
    assert values(request, "SctiesTxCxlReqStsAdvc/CxlReqRef") == ["CT1"]
    assert instructed.outcome is not None
    assert instructed.outcome.axes["processing"] == "cancelled"
    assert instructed.outcome.axes["cancellation"] == "cancelled"
    assert "settlement" not in instructed.outcome.axes


async def test_cancellation_of_a_settled_instruction_is_denied_after_a_restart_too(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    entries = await play(tmp_path / "b", Pipe(), cancellation("T1"), key="next")
    assert entries[1].scenario == "cancellation-too-late"
    assert entries[1].outcome is not None
    assert entries[1].outcome.axes["cancellation"] == "denied"
    assert entries[1].outcome.axes["settlement"] == "settled"


async def test_cancellation_of_an_unknown_instruction_is_rejected(tmp_path: Path) -> None:
    (entry,) = await play(tmp_path / "b", Pipe(), cancellation("NEVER"))
    assert entry.scenario == "cancellation-unknown"


async def test_second_cancellation_is_too_late(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1"),
        cancellation("T1"),
        cancellation("T1", message="C2"),
        scenarios=("pending", "cancellation-done"),
    )
    assert [entry.scenario for entry in entries][1:] == ["cancellation-done", "cancellation-too-late"]


async def test_a_partly_settled_instruction_is_cancelled_for_its_remainder(tmp_path: Path) -> None:
    pipe = Pipe()
    pipe.put(instruction("T1", text="SIM:partial-waiting,cancellation-done"))
    counterparty = Counterparty(settings(tmp_path / "b"), pipe, load_catalogue())
    await run_until(counterparty, 3)
    entries = await play(tmp_path / "b", pipe, cancellation("T1"), key="next")
    assert [answer.state for answer in entries[0].answers][-1] is AnswerState.DROPPED
    outcome = entries[0].outcome
    assert outcome is not None
    assert outcome.axes["settlement"] == "partially_settled"
    assert (outcome.axes["processing"], outcome.axes["cancellation"]) == ("cancelled", "cancelled")
    assert outcome.settled_quantity == 40


async def test_a_modification_and_a_withdrawal_find_their_instruction_in_the_book_after_a_restart(
    tmp_path: Path,
) -> None:
    pipe, book = Pipe(), tmp_path / "b"
    pipe.put(instruction("T1", text="SIM:partial-waiting,modification-done,withdrawal-noted"))
    await run_until(Counterparty(settings(book), pipe, load_catalogue()), 3)
    pipe.put(modification("T1", "1300.00"), key="next")
    await run_until(Counterparty(settings(book), pipe, load_catalogue()), 2)
    rest = read_book(book)[0].answers[-1]
    assert (rest.state, rest.values["settled_amount"]) == (AnswerState.PLANNED, "806.18")
    (*_, withdrawn) = await play(book, pipe, withdrawal("MT1"), key="last")
    assert (withdrawn.transaction_id, withdrawn.scenario) == ("T1", "withdrawal-noted")
    entry = read_book(book)[0]
    assert entry.answers[-1].state is AnswerState.DROPPED
    assert entry.outcome is not None
    assert (entry.outcome.axes["modification"], entry.outcome.settled_amount) == ("modified", Decimal("493.82"))


async def test_a_modification_confirms_nothing_new_where_the_instruction_is_settled(tmp_path: Path) -> None:
    entries = await play(tmp_path / "b", Pipe(), instruction("T1"), modification("T1", "1300.00"), withdrawal("NEVER"))
    assert [entry.scenario for entry in entries] == ["settled", "modification-done", "withdrawal-refused"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.settled_amount == Decimal("1234.56")


async def test_bilateral_cancellation_waits_until_the_other_side_agrees_or_refuses(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="SIM:matched,cancellation-bilateral"),
        instruction("T2", text="SIM:matched,cancellation-bilateral-refused"),
        cancellation("T1"),
        cancellation("T2"),
        delays=Delays(late=0),
    )
    first, second = (outcomes(entries)[name].axes for name in ("T1", "T2"))
    assert [answer.value for answer in entries[2].answers] == ["accepted", "pending", "cancelled", "cancelled"]
    assert (first["processing"], first["cancellation"]) == ("cancelled", "cancelled")
    assert (second["processing"], second["cancellation"]) == ("accepted", "denied")


async def test_cancellation_of_a_trade_confirmation_stops_the_affirmation(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b",
        pipe,
        confirmation("T1", text="SIM:late"),
        confirmation_cancellation("T1"),
        confirmation_cancellation("NEVER"),
        delays=Delays(late=3600),
    )
    assert [answer.state for answer in entries[0].answers][-1] is AnswerState.DROPPED
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["cancellation"] == "cancelled"
    assert entries[2].scenario == "confirmation-cancellation-refused"


# --- Conditions and queries -------------------------------------------------------------------------------------------


async def test_what_is_instructed_on_hold_settles_only_once_it_is_released(tmp_path: Path) -> None:
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1", hold=True))
    assert [answer.state for answer in entry.answers] == [AnswerState.SENT, AnswerState.SENT, AnswerState.HELD]
    assert entry.outcome is not None
    assert entry.outcome.axes == {"hold": "held", "processing": "accepted", "matching": "matched"}
    entries = await play(tmp_path / "b", pipe, condition("T1", "release"), key="next")
    outcome = entries[0].outcome
    assert outcome is not None
    assert outcome.axes["hold"] == "released"
    assert outcome.axes["condition_modification"] == "completed"
    assert (outcome.axes["settlement"], outcome.settled_quantity) == ("settled", 100)
    created = [validator().parse(item.content).header_value("CreDt") or "" for item in pipe.sent]
    assert created == sorted(created)  # it settles after it was released


async def test_what_was_held_and_released_may_be_held_again(tmp_path: Path) -> None:
    entries = await play(
        tmp_path / "b",
        Pipe(),
        instruction("T1", text="SIM:settled-later"),
        condition("T1"),
        condition("T1", "release"),
        condition("T1", message="AGAIN"),
    )
    assert entries[0].answers[-1].state is AnswerState.HELD
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["hold"] == "held"
    assert "settlement" not in entries[0].outcome.axes


async def test_a_refused_release_releases_nothing_and_the_next_request_plays_the_next_name(tmp_path: Path) -> None:
    text = "SIM:settled,conditions-rejected,conditions-done"
    entries = await play(tmp_path / "b", Pipe(), instruction("T1", hold=True, text=text), condition("T1", "release"))
    assert entries[0].outcome is not None
    assert (entries[1].scenario, entries[0].outcome.axes["hold"]) == ("conditions-rejected", "held")
    entries = await play(tmp_path / "b", Pipe(), condition("T1", "release", message="AGAIN"), key="next")
    assert entries[0].outcome is not None
    assert (entries[2].scenario, entries[0].outcome.axes["settlement"]) == ("conditions-done", "settled")


async def test_a_condition_of_what_has_settled_is_denied_and_of_the_unknown_rejected(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    entries = await play(tmp_path / "b", Pipe(), condition("T1"), condition("NEVER"), key="next")
    assert [entry.scenario for entry in entries[1:]] == ["conditions-too-late", "conditions-unknown"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["condition_modification"] == "denied"


async def test_cancellation_of_what_is_on_hold_drops_what_waited(tmp_path: Path) -> None:
    entries = await play(tmp_path / "b", Pipe(), instruction("T1", hold=True), cancellation("T1"))
    assert entries[0].answers[-1].state is AnswerState.DROPPED
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes["processing"] == "cancelled"


async def test_a_status_query_is_answered_with_where_the_book_stands_on_every_axis(tmp_path: Path) -> None:
    pipe = Pipe()
    await play(tmp_path / "b", pipe, instruction("T1", text="SIM:failing"))
    entries = await play(tmp_path / "b", pipe, query("T1"), query("NEVER"), key="next")
    root = "SctiesSttlmTxStsAdvc/"
    told = pipe.sent[-2].content
    assert values(told, root + "PrcgSts/AckdAccptd/NoSpcfdRsn", root + "SttlmSts/Flng/Rsn/Cd/Cd") == ["NORE", "LACK"]
    assert b"<MtchgSts><Mtchd/></MtchgSts>" in told
    assert [entry.scenario for entry in entries[1:]] == ["status-told", "status-unknown"]
    assert entries[0].outcome is not None
    assert entries[0].outcome.axes == {
        "processing": "accepted",
        "matching": "matched",
        "settlement": "failing",
        "status_query": "answered",
    }


async def test_a_status_query_about_what_nothing_was_said_of_is_accepted_by_sese_022(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, instruction("T1", text="SIM:silence"), query("T1"))
    assert entries[1].scenario == "status-unavailable"
    assert values(pipe.sent[-1].content, "SctiesStsOrStmtQryStsAdvc/QryDtls/Ref") == ["QT1"]


# --- What it begins ---------------------------------------------------------------------------------------------------


def write_initiatives(path: Path, *initiatives: Initiative) -> Path:
    with path.open("ab") as file:
        file.writelines(msgspec.json.encode(one) + b"\n" for one in initiatives)
    return path


async def test_what_a_file_says_is_begun_once_and_answered_by_its_reference(tmp_path: Path) -> None:
    path = write_initiatives(
        tmp_path / "initiatives",
        initiative("A1", "alleged", "allegement-answer-removes"),
        initiative("G1", "generated-then-settled"),
        initiative("B1", "trade-confirmed", "trade-answer-cancels"),
    )
    pipe = Pipe()
    await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    before = [item.content for item in pipe.sent]
    assert len(before) == 6
    entries = await play(
        tmp_path / "b", pipe, allegement_answer("A1"), trade_answer("B1", "NAFI"), initiatives=path, idle=0.4
    )
    assert len(pipe.sent) == 8
    found = outcomes(entries)
    assert found["A1"].axes == {"allegement": "removed"}
    assert found["G1"].axes == {"processing": "accepted", "matching": "matched", "settlement": "settled"}
    assert found["G1"].settled_amount == Decimal("1234.56")
    assert found["B1"].axes == {"allegement": "cancelled"}
    assert [entry.terms.get("answer") for entry in entries[3:]] == ["rejection", "disaffirm"]
    removal = "SctiesSttlmAllgmtRmvlAdvc/AcctSvcrTxId/"
    assert [values(item.content, removal + "TxId", removal + "SctiesMvmntTp") for item in pipe.sent[6:]] == [
        ["A1", "RECE"],
        [None, None],
    ]


async def test_what_is_begun_is_the_same_bytes_after_a_kill(tmp_path: Path) -> None:
    path = write_initiatives(tmp_path / "initiatives", *(initiative(f"A{number}", "alleged") for number in range(5)))
    pipe = Pipe(failures=[RuntimeError("killed after the carrier had the batch, before the book had it")])
    with pytest.raises(RuntimeError, match="killed"):
        await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    after = Pipe()
    await play(tmp_path / "b", after, initiatives=path, idle=0.4)
    assert [item.content for item in after.sent] == [item.content for item in pipe.sent]


async def test_a_statement_lists_what_is_open_on_the_account_as_its_own_book_has_it(tmp_path: Path) -> None:
    book, path = tmp_path / "b", tmp_path / "initiatives"
    instructions = [
        instruction("OPEN", text="SIM:failing"),
        instruction("PART", text="SIM:partial-open", quantity="10"),
        instruction("OVER", text="SIM:settled"),
        instruction("REJECTED", text="SIM:rejected"),
    ]
    await play(book, Pipe(), *instructions, idle=0.4)
    account = read_book(book)[0].terms["safekeeping_account"]
    write_initiatives(
        path,
        Initiative("P1", ("pending-stated",), {"safekeeping_account": account}),
        Initiative("P2", ("pending-stated-without-one",), {"safekeeping_account": account}),
        Initiative("P3", ("pending-stated",), {"safekeeping_account": "ANOTHER"}),
    )
    pipe = Pipe()
    await play(book, pipe, initiatives=path, idle=0.4)
    assert [validator().check(item.content).violations for item in pipe.sent] == [(), (), ()]
    stated = {item.key: item.content.decode() for item in pipe.sent}
    names = {key: re.findall("<AcctOwnrTxId>(.*?)</AcctOwnrTxId>", content) for key, content in stated.items()}
    assert names == {"P1": ["OPEN", "PART"], "P2": ["OPEN"], "P3": []}
    assert stated["P1"].count("<MtchgSts><Mtchd/></MtchgSts>") == 2
    assert stated["P1"].count("<SttlmSts><Flng>") == 2
    assert "<ActvtyInd>false</ActvtyInd>" in stated["P3"]
    begun = next(entry for entry in read_book(book) if entry.transaction_id == "P1")
    assert begun.outcome is not None
    assert begun.outcome.axes == {"statement": "complete"}


async def test_an_event_of_their_system_is_known_by_its_own_reference(tmp_path: Path) -> None:
    path = write_initiatives(tmp_path / "initiatives", Initiative("EVENT-1", ("system-event-twice",)))
    pipe = Pipe()
    await play(tmp_path / "b", pipe, initiatives=path, idle=0.4)
    first, again = [item.content for item in pipe.sent]
    assert first == again
    assert b"<BizMsgIdr>EVENT-1</BizMsgIdr>" in first


async def test_initiatives_are_read_as_their_file_grows_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "initiatives"
    pipe = Pipe()
    counterparty = Counterparty(settings(tmp_path / "b", initiatives=path), pipe, load_catalogue())
    running = asyncio.create_task(counterparty.run())
    write_initiatives(path, initiative("A1", "alleged"))
    async with asyncio.timeout(20):
        while not pipe.sent:
            await asyncio.sleep(0.01)
        with path.open("ab") as file:
            file.write(b'{"reference": "A2", "play": ["settled"]}\n')
        with pytest.raises(ConfigError, match="none of settled begins anything"):
            await running
    path.write_bytes(b'{"reference": "A3", "plays": []}\n')
    counterparty = Counterparty(settings(tmp_path / "b", initiatives=path), pipe, load_catalogue())
    with pytest.raises(ConfigError, match=r"initiatives, line 1: .*plays"):
        await counterparty.run()


async def test_an_instruction_may_ask_for_an_allegement_of_itself_with_the_same_terms(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(
        tmp_path / "b",
        pipe,
        instruction("T1", text="SIM:unmatched,alleged", account="ACC-9"),
        confirmation("T2", text="SIM:silence,trade-confirmed"),
    )
    assert [entry.dialogue for entry in entries] == ["settlement", "allegement", "confirmation", "alleged_trade"]
    root = "SctiesSttlmTxAllgmtNtfctn/"
    alleged = next(item.content for item in pipe.sent if values(item.content, root + "TxId") != [None])
    assert values(alleged, root + "QtyAndAcctDtls/SttlmQty/Unit", root + "QtyAndAcctDtls/SfkpgAcct/Id") == [
        "100",
        "ACC-9",
    ]
    confirmed = pipe.sent[-1].content
    assert values(confirmed, "SctiesTradConf/TradDtls/Sd") == ["SELL"]
    assert values(confirmed, "SctiesTradConf/Id/TxId") == [entries[3].transaction_id]


async def test_an_answer_to_what_was_never_begun_is_refused(tmp_path: Path) -> None:
    pipe = Pipe()
    entries = await play(tmp_path / "b", pipe, allegement_answer("NOBODYS"), trade_answer("NOBODYS2"))
    assert [entry.scenario for entry in entries] == ["allegement-answer-refused", "trade-answer-refused"]
    assert [values(item.content, "admi.002.001.01/RltdRef/Ref") for item in pipe.sent] == [["RNOBODYS"], ["RNOBODYS2"]]


# --- Crashes and carriers that fail -----------------------------------------------------------------------------------


async def test_answers_sent_before_a_crash_are_sent_again_byte_for_byte(tmp_path: Path) -> None:
    pipe = Pipe(failures=[RuntimeError("killed after the carrier had the batch, before the book had it")])
    with pytest.raises(RuntimeError, match="killed"):
        await play(tmp_path / "b", pipe, *(instruction(f"T{number}") for number in range(5)))
    before = [item.content for item in pipe.sent]
    after = Pipe()
    entries = await play(tmp_path / "b", after)
    assert before
    assert [item.content for item in after.sent][: len(before)] == before
    assert len(after.sent) == 15
    assert all(answer.state is AnswerState.SENT for entry in entries for answer in entry.answers)


async def test_arrival_is_in_the_book_before_it_is_acknowledged(tmp_path: Path) -> None:
    book = tmp_path / "b"

    class Watched(Pipe):
        async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
            recorded = {entry.carrier_key for entry in read_book(book)}
            assert {item.carrier_key for item in incoming} <= recorded
            await super().acknowledge(incoming)

    pipe = Watched()
    await play(book, pipe, instruction("T1"), instruction("T2"))
    assert pipe.acknowledged == ["in/0", "in/1"]


async def test_answers_not_sent_are_tried_again_and_keep_their_order(tmp_path: Path) -> None:
    pipe = Pipe(failures=[NotSent("the broker is away"), NotSent("the broker is away")])
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1"))
    assert [values(item.content, "SctiesSttlmTxConf/TxIdDtls/AcctOwnrTxId")[0] for item in pipe.sent] == [
        None,
        None,
        "T1",
    ]
    assert all(answer.state is AnswerState.SENT for answer in entry.answers)


async def test_planned_answers_wait_in_the_book_over_a_restart(tmp_path: Path) -> None:
    pipe = Pipe()
    pipe.put(instruction("T1"))
    slow = settings(tmp_path / "b", scenarios=("late",), delays=Delays(late=3600))
    counterparty = Counterparty(slow, pipe, load_catalogue())
    running = asyncio.create_task(counterparty.run())
    while counterparty.progress.answered < 2:
        await asyncio.sleep(0)
    counterparty.stop()
    await running
    assert [answer.state for answer in read_book(tmp_path / "b")[0].answers][-1] is AnswerState.PLANNED

    later = Pipe()
    resumed = Counterparty(slow, later, load_catalogue(), clock=lambda: datetime.now(UTC) + timedelta(hours=2))
    running = asyncio.create_task(resumed.run())
    await resumed.until_idle(0.05)
    resumed.stop()
    await running
    assert [validator().parse(item.content).message_definition for item in later.sent] == ["sese.025.001.13"]


async def test_answer_that_fails_its_own_validation_is_kept_back_and_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Writer.write

    def spoilt(self: Writer, arrival: Arrival, answer: Answer) -> bytes:
        return write(self, arrival, answer).replace(b"NORE", b"NOPE")

    monkeypatch.setattr(Writer, "write", spoilt)
    pipe = Pipe()
    (entry,) = await play(tmp_path / "b", pipe, instruction("T1"))
    assert [answer.state for answer in entry.answers] == [AnswerState.INVALID, AnswerState.SENT, AnswerState.SENT]
    assert entry.answers[0].reference
    assert entry.outcome is not None
    assert "processing" not in entry.outcome.axes


# --- Settings and templates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scenarios": ("setled",)}, "scenario 'setled' is unknown"),
        ({"versions": ("pacs.008.001.10",)}, "never answers with"),
        ({"versions": ("sese.024.001.99",)}, "cannot answer with sese.024.001.99"),
        ({"scenario_file": Path("no-such-file.toml")}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_played_are_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Counterparty(settings(tmp_path / "b", **changes), Pipe(), load_catalogue())


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("[settlement]\nx = { steps = ['acceptd'] }", "unknown step 'acceptd'"),
        ("[settlement]\nx = { steps = ['late', 'duplicate'] }", "has to follow an answer"),
        ("[settlement]\nx = { steps = [], weight = -1 }", "whole number from 0"),
        ("[settlment]\nx = { steps = [] }", "no dialogue"),
        ("[settlement", "no TOML"),
    ],
)
def test_scenario_table_with_a_mistake_is_refused(tmp_path: Path, table: str, says: str) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text(table)
    with pytest.raises(ConfigError, match=says):
        read_scenarios(path)


def test_tables_of_every_family_are_laid_together_and_nothing_is_stated_twice(tmp_path: Path) -> None:
    (tmp_path / "answers.toml").write_text("[steps.settlement]\naccepted = { final = false }")
    (tmp_path / "repo.toml").write_text(
        "[reading.'sese.033']\ndialogue = 'repo'\n[steps.repo]\nopened = { final = false }\n"
        "[scenarios.repo]\nopened = { steps = ['opened'] }"
    )
    tables = read_tables(tmp_path)
    assert tables.reading == {"sese.033": {"dialogue": "repo"}}
    assert set(tables.answers["steps"]) == {"settlement", "repo"}
    assert tables.scenarios == {"repo": {"opened": {"steps": ["opened"]}}}
    (tmp_path / "twice.toml").write_text("[steps.settlement]\naccepted = { final = true }")
    with pytest.raises(ConfigError, match=r"twice.toml: steps\.settlement\.accepted\.final"):
        read_tables(tmp_path)


def test_own_table_of_scenarios_comes_first_and_alone_at_random(tmp_path: Path) -> None:
    path = tmp_path / "scenarios.toml"
    path.write_text("[settlement]\nslow = { weight = 1, steps = ['late', 'settled'] }")
    scenarios = read_scenarios(path)
    chosen = {scenarios.choose("settlement", wanted, Draw(1, "T")).name for wanted in ((), ("random",), ("slow",))}
    assert chosen == {"slow"}
    assert scenarios.choose("settlement", ("partial",), Draw(1, "T")).name == "partial"
    assert scenarios.choose("confirmation", (), Draw(1, "T")).name == "affirmed"


async def test_book_of_another_counterparty_or_seed_is_refused(tmp_path: Path) -> None:
    await play(tmp_path / "b", Pipe(), instruction("T1"))
    with pytest.raises(ConfigError, match="seed 7, not 8"):
        Counterparty(settings(tmp_path / "b", seed=8), Pipe(), load_catalogue())
    with pytest.raises(StoreUnavailable, match="no simulator's book"):
        read_book(tmp_path / "absent")


def test_template_drops_groups_whose_values_are_missing_and_escapes_the_rest() -> None:
    template = Template('<a b="{b}">[[<c>{c}</c>[[<d>{d}</d>]]||<e>{e}[[{f}]]</e>]]</a>')
    assert template.render({"b": '"&', "c": "<"}) == '<a b="&quot;&amp;"><c>&lt;</c></a>'
    assert template.render({"b": "1", "c": "2", "d": "3"}) == '<a b="1"><c>2</c><d>3</d></a>'
    assert template.render({"b": "1", "d": "3", "e": "4", "f": "5"}) == '<a b="1"><e>45</e></a>'
    with pytest.raises(BuildError, match="'e'"):
        template.render({"b": "1"})
    with pytest.raises(ConfigError, match="not closed"):
        Template("[[{a}")
    with pytest.raises(ConfigError, match="unknown"):
        Template("{>nothing}")


# --- Real carriers and the command ------------------------------------------------------------------------------------


async def run_until(counterparty: Counterparty, answered: int) -> None:
    running = asyncio.create_task(counterparty.run())
    async with asyncio.timeout(30):
        while counterparty.progress.answered < answered and not running.done():
            await asyncio.sleep(0.01)
    counterparty.stop()
    await running


async def test_over_folders(tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "in"
    out.mkdir()
    back.mkdir()
    (out / "1.xml").write_bytes(instruction("T1", text="SIM:duplicates"))
    (out / "2.xml").write_bytes(confirmation("T2"))
    channel = FolderCarrier(outbound=str(out), inbound=str(back), poll_seconds=0.02)
    async with open_counterparty(SimulatorSettings(THEM, US, channel, tmp_path / "book.db")) as counterparty:
        await run_until(counterparty, 7)
    files = sorted(back.glob("*.xml"))
    assert len(files) == len([answer for entry in read_book(tmp_path / "book.db") for answer in entry.answers])
    assert all(not validator().check(file.read_bytes()).violations for file in files)
    assert not list(out.glob("*.xml"))


async def test_over_kafka(tmp_path: Path, broker: Broker) -> None:
    out, back = unique("out"), unique("in")
    channel = KafkaCarrier(outbound_topic=out, inbound_topic=back)
    async with Bus(broker.settings()) as bus:
        await bus.ensure_topics([out, back], partitions=2)
        await bus.send(out, [Message(b"%d" % number, instruction(f"T{number}"), []) for number in range(50)])
        wanted = SimulatorSettings(THEM, US, channel, tmp_path / "book.db", broker.settings(), scenarios=("settled",))
        async with open_counterparty(wanted) as counterparty:
            await run_until(counterparty, 150)
    entries = read_book(tmp_path / "book.db")
    assert {entry.transaction_id for entry in entries} == {f"T{number}" for number in range(50)}
    assert all(answer.reference and answer.reference.startswith(back) for entry in entries for answer in entry.answers)


COMMAND = [
    sys.executable,
    "-c",
    "import typer; from gateway.cli.simulate import simulate; app = typer.Typer(); app.command()(simulate); app()",
]


def test_command_stops_cleanly_on_sigterm_and_prints_json_lines(tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "in"
    out.mkdir()
    back.mkdir()
    (out / "1.xml").write_bytes(instruction("T1"))
    book = tmp_path / "book.db"
    options = ["--bic", THEM, "--gateway-bic", US, "--channel", f"folder:{out},{back}", "--book", str(book)]
    with subprocess.Popen([*COMMAND, *options, "--scenario", "settled", "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["answered"] == 3:
                break
        process.send_signal(signal.SIGTERM)
        last = json.loads(process.stdout.read().splitlines()[-1])
        assert process.wait(timeout=20) == 0
    assert (last["event"], last["arrived"], last["waiting"]) == ("stopped", 1, 0)
    assert len(read_book(book)) == 1


@pytest.mark.crash
async def test_killed_simulator_goes_on_and_repeats_only_identical_answers(
    tmp_path: Path, embedded_broker: Broker
) -> None:
    out, back, book, count = unique("out"), unique("in"), tmp_path / "book.db", 400
    options = ["--bic", THEM, "--gateway-bic", US, "--channel", f"kafka:{out},{back}", "--book", str(book)]
    options += ["--kafka", embedded_broker.bootstrap_servers, "--scenario", "partials", "--delay", "0,0.5", "--json"]
    profile = Profile(bic=THEM, name="them", channel=KafkaCarrier(outbound_topic=out, inbound_topic=back))
    answers: list[bytes] = []
    async with Bus(embedded_broker.settings()) as bus, open_transport(profile, bus) as transport:
        await bus.ensure_topics([out, back], partitions=2)
        messages = [Message(b"%d" % number, instruction(f"T{number}"), []) for number in range(count)]
        await bus.send(out, messages)
        with subprocess.Popen([*COMMAND, *options], stdout=subprocess.DEVNULL) as first:
            while len(answers) < count:  # about a sixth of what it will say
                answers += [item.content for item in await transport.receive(100)]
            first.kill()
        done = subprocess.run([*COMMAND, *options, "--until-idle", "1"], stdout=subprocess.PIPE, check=True)
        said = [answer for entry in read_book(book) for answer in entry.answers]
        identifiers = {answer.business_message_id for answer in said}
        seen: dict[str, set[bytes]] = {}
        async with asyncio.timeout(30):
            while len(seen) < len(identifiers):
                for content in answers:
                    identifier = validator().parse(content).header_value("BizMsgIdr") or ""
                    seen.setdefault(identifier, set()).add(content)
                answers = [] if len(seen) == len(identifiers) else [i.content for i in await transport.receive(100)]
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "stopped"
    assert len(said) == 6 * count
    assert all(answer.state is AnswerState.SENT for answer in said)
    assert set(seen) == identifiers
    assert all(len(contents) == 1 for contents in seen.values())
    assert {outcome.settled_quantity for outcome in outcomes(read_book(book)).values()} == {Decimal(100)}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--gateway-bic", US], "--bic is required"),
        (["--bic", THEM], "--gateway-bic is required"),
        (["--bic", THEM, "--gateway-bic", "nobody", "--channel", "kafka:a,b"], "is no BIC"),
        (["--bic", THEM, "--gateway-bic", US, "--channel", "pigeon:a,b"], "kafka:OUT_TOPIC"),
        (["--bic", THEM, "--gateway-bic", US, "--channel", "kafka:a,b", "--delay", "3,1"], "--delay 3,1"),
    ],
)
def test_command_names_the_option_that_is_wrong(monkeypatch: pytest.MonkeyPatch, options: list[str], says: str) -> None:
    monkeypatch.delenv("GATEWAY_KAFKA__BOOTSTRAP_SERVERS", raising=False)
    application = typer.Typer()
    application.command()(simulate)
    done = CliRunner().invoke(application, options)
    assert done.exit_code == 2
    assert says in done.stderr


def test_command_lists_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    simulate(list_scenarios=True, as_json=True)
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["dialogue"], row["name"]) for row in listed} == {(s.dialogue, s.name) for s in every_scenario()}
