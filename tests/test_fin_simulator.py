"""The simulated counterparty that speaks FIN: what it takes, what it answers, and the gateway that hears it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.messages import fin
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.profile import KafkaCarrier
from gateway.simulator import Counterparty as Simulated
from gateway.simulator import Delays, SimulatorSettings, outcomes, read_book
from gateway.simulator.answers import Answer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.fin import FinWriter
from gateway.simulator.tables import read_tables
from gateway.store import Ledger
from tests.loops import CHANNEL, OWN_BIC, Counterparty, Loops, cancel, instruct, party, settings_for, transaction

NOON = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
async def loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway with a counterparty that speaks FIN."""
    ledger = await Ledger.open(ledger_url)
    yield Loops(ledger, settings_for(ledger_url, counterparties=[party(CHANNEL, language="fin")]))
    await ledger.close()


@cache
def validator() -> Validator:
    return Validator(load_catalogue())


def tools() -> tuple[Reader, FinWriter]:
    said = read_tables()
    codes, namespace = said.reading["codes"], load_catalogue().namespace
    writer = FinWriter(said.answers, codes, namespace, bic=CHANNEL, gateway_bic=OWN_BIC, seed=7)
    return Reader(validator(), said.reading, CHANNEL, OWN_BIC), writer


def instruction(*, kind: str = "543", function: str = "NEWM", links: str = "", money: str = "EUR61234,56") -> bytes:
    """Return an instruction of ours, written by hand."""
    lines = f"""
:16R:GENL
:20C::SEME//{"CANC01" if function == "CANC" else "TX01"}
:23G:{function}
{links}
:16S:GENL
:16R:TRADDET
:98A::SETT//20260304
:98A::TRAD//20260302
:35B:ISIN DE0007164600
:16S:TRADDET
:16R:FIAC
:36B::SETT//UNIT/500,
:97A::SAFE//CUST-4711
:16S:FIAC
:16R:SETDET
:22F::SETR//TRAD
:16R:SETPRTY
:95P::{"DEAG" if kind in ("540", "541") else "REAG"}//AGNTDEFFXXX
:16S:SETPRTY
:16R:SETPRTY
:95P::PSET//DAKVDEFFXXX
:16S:SETPRTY
{f":16R:AMT|:19A::SETT//{money}|:16S:AMT" if kind in ("541", "543") else ""}
:16S:SETDET
""".replace("|", "\n")
    text = "".join(f"{line}\r\n" for line in lines.split("\n") if line)
    sender, receiver = fin.logical_terminal(OWN_BIC, "A"), fin.logical_terminal(CHANNEL)
    return f"{{1:F01{sender}0000000000}}{{2:I{kind}{receiver}N}}{{3:{{108:MESSAGE01}}}}{{4:\r\n{text}-}}".encode()


PREVIOUS = ":16R:LINK\n:20C::PREV//TX01\n:16S:LINK"


def answers(content: bytes, dialogue: str, scenario: str) -> tuple[Arrival, list[tuple[Answer, bytes]]]:
    reader, writer = tools()
    arrival = reader.read("k", content)
    assert arrival.valid, arrival.violations
    planned = writer.plan(1, NOON, arrival, read_scenarios().named(dialogue, scenario))
    return arrival, [(answer, writer.write(arrival, answer)) for answer in planned]


def values(content: bytes, *paths: str) -> list[str | None]:
    parsed = validator().parse(content)
    assert parsed.document is not None
    return [below(parsed.document[0], path.split("/")) for path in paths]


def below(element: Any, path: list[str]) -> str | None:
    """Return the text at a path of the elements of a message."""
    if not path:
        return str(element.text)
    found = next((child for child in element if child.tag == f"{{}}{path[0]}"), None)
    return None if found is None else below(found, path[1:])


# What it reads --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "movement", "payment"),
    [
        ("540", "receive", "free"),
        ("541", "receive", "against"),
        ("542", "deliver", "free"),
        ("543", "deliver", "against"),
    ],
)
def test_instruction_is_read_by_its_type(kind: str, movement: str, payment: str) -> None:
    reader, _ = tools()
    arrival = reader.read("k", instruction(kind=kind))
    assert arrival.valid, arrival.violations
    assert (arrival.dialogue, arrival.transaction_id, arrival.business_message_id) == ("settlement", "TX01", "TX01")
    assert (arrival.terms["movement"], arrival.terms["payment"]) == (movement, payment)
    assert (arrival.terms["quantity"], arrival.terms["quantity_type"]) == ("500", "unit")
    assert arrival.terms.get("amount") == ("61234.56" if payment == "against" else None)
    assert "hold" not in arrival.terms


def test_preadvice_is_held_and_cancellation_names_what_it_cancels() -> None:
    reader, _ = tools()
    assert reader.read("k", instruction(function="PREA")).terms["hold"] == "held"
    cancellation = reader.read("k", instruction(function="CANC", links=PREVIOUS))
    assert (cancellation.dialogue, cancellation.transaction_id) == ("cancellation", "TX01")
    assert cancellation.business_message_id == "CANC01"


def test_message_to_somebody_else_is_refused() -> None:
    reader, _ = tools()
    wrong = instruction().replace(b"I543CUSTDEFF", b"I543OTHRDEFF")
    assert [one.code for one in reader.read("k", wrong).violations] == ["header_address_wrong"]


# What it answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["540", "541", "542", "543"])
def test_every_answer_of_every_scenario_is_valid(kind: str) -> None:
    reader, writer = tools()
    written = set()
    for scenario in read_scenarios():
        content = {
            "settlement": instruction(kind=kind),
            "cancellation": instruction(kind=kind, function="CANC", links=PREVIOUS),
        }.get(scenario.dialogue)
        if content is None or "withdrawn" in scenario.name or scenario.name == "message-rejected":
            continue  # FIN has no message that withdraws or rejects another one
        arrival = reader.read("k", content)
        for answer in writer.plan(1, NOON, arrival, scenario):
            found = [
                one for one in validator().check(writer.write(arrival, answer)).violations if one.severity == "error"
            ]
            assert bool(found) == (answer.document is None), (scenario.name, answer.step, found)
            written.add(answer.message_definition)
    confirmation = {"540": "MT544", "541": "MT545", "542": "MT546", "543": "MT547"}[kind]
    assert written == {"MT548", confirmation, "F21", None}


def test_parts_add_up_and_the_last_one_says_so() -> None:
    _, said = answers(instruction(), "settlement", "partial")
    parts = [content for answer, content in said if answer.message_definition == "MT547"]
    paths = ("GENL/22F_PARS/indicator", "FIAC/36B_ESTT/UNIT", "FIAC/36B_PSTT/UNIT", "FIAC/36B_RSTT/UNIT")
    assert [values(part, *paths) for part in parts] == [["PAIN", "200", None, "300"], ["PARC", "300", "200", None]]


def test_reversal_names_the_confirmation() -> None:
    _, said = answers(instruction(), "settlement", "reversed")
    confirmed, reversed_ = [content for answer, content in said if answer.message_definition == "MT547"]
    assert values(reversed_, "GENL/23G/function") == ["RVSL"]
    assert values(reversed_, "GENL/LINK_PREV/20C/reference") == values(confirmed, "GENL/20C_SEME/reference")


def test_answer_to_a_cancellation_names_the_request() -> None:
    _, said = answers(instruction(function="CANC", links=PREVIOUS), "cancellation", "cancellation-denied")
    [(_, content)] = said
    paths = ("GENL/23G/function", "GENL/LINK_RELA/20C/reference", "GENL/STAT_CPRC/25D/status_code")
    assert values(content, *paths) == ["CAST", "CANC01", "DEND"]


def test_network_names_the_message_by_its_user_reference() -> None:
    _, said = answers(instruction(), "settlement", "refused")
    [(answer, content)] = said
    assert content.endswith(b"{451:1}{405:T12}{108:MESSAGE01}}")
    assert answer.axis is None  # it never came: nothing moves


def test_same_answer_is_the_same_bytes() -> None:
    assert answers(instruction(), "settlement", "settled")[1] == answers(instruction(), "settlement", "settled")[1]


# The gateway hears it -------------------------------------------------------------------------------------------------


async def converse(loops: Loops, book: Path, scenario: str, *more: str) -> str:
    """Let the simulated counterparty answer what was sent, and the gateway hear it; returns the headline."""
    await answered(loops, book, scenario, *more)
    return await loops.headline()


async def answered(loops: Loops, book: Path, scenario: str, *more: str) -> None:
    """Let the simulated counterparty answer what was sent, and the gateway hear it."""
    settings = SimulatorSettings(
        CHANNEL,
        OWN_BIC,
        KafkaCarrier(outbound_topic="o", inbound_topic="i"),
        book,
        seed=7,
        scenarios=(scenario, *more),
        delays=Delays(0.01, 0.01, 0.02),  # FIN tells milliseconds apart
        language="fin",
    )
    profile = loops.settings.counterparties[0]
    simulated = Simulated(settings, Counterparty(loops.wires[CHANNEL], profile, theirs=True), load_catalogue())
    running = asyncio.create_task(simulated.run())
    idling = asyncio.create_task(simulated.until_idle(0.1))
    await asyncio.wait([running, idling], return_when=asyncio.FIRST_COMPLETED)
    simulated.stop()
    await asyncio.gather(running, idling)
    assert simulated.progress.unsendable == 0
    await loops.hear()


@pytest.mark.parametrize(
    ("scenario", "headline"),
    [
        ("settled", "settled"),
        ("partials", "settled"),
        ("partial-open", "partially_settled"),
        ("reversed", "reversed"),
        ("rejected", "rejected"),
        ("failing", "failing"),
        ("unmatched", "unmatched"),
        ("out-of-order", "settled"),
        ("duplicates", "settled"),
        ("garbage", "settled"),
        ("acknowledged", "settled"),
        ("refused", "refused"),
        ("impostor", "settled"),
        ("unknown-transaction", "settled"),
    ],
)
async def test_gateway_and_counterparty_agree_where_it_ends(
    loops: Loops, tmp_path: Path, scenario: str, headline: str
) -> None:
    await loops.take_in(instruct())
    await loops.send()
    assert await converse(loops, tmp_path / "book", scenario) == headline
    axes = (await loops.story()).state.axes or {}
    [entry] = read_book(tmp_path / "book")
    assert {name: axis.status.value for name, axis in axes.items()} == outcomes([entry])[transaction()].axes
    parked = [item.summary.code for item in await loops.parked()]
    expected = {
        "garbage": ["xml_malformed"],
        "refused": ["network_refused"],
        "impostor": ["reply_wrong_counterparty"],
        "unknown-transaction": ["reply_unknown_transaction"],
    }
    assert parked == expected.get(scenario, [])
    await loops.prove()


async def test_cancellation_is_done_on_both_sides(loops: Loops, tmp_path: Path) -> None:
    await loops.take_in(instruct())
    await loops.send()
    assert await converse(loops, tmp_path / "book", "matched", "cancellation-done") == "matched"
    await loops.take_in(cancel())
    await loops.send()
    assert await converse(loops, tmp_path / "book", "matched", "cancellation-done") == "cancelled"
    assert await loops.parked() == []


# The command line -----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, check=False)


def test_files_of_several_messages_are_judged_and_read_one_by_one(tmp_path: Path) -> None:
    _, said = answers(instruction(), "settlement", "acknowledged")
    several = tmp_path / "several.rje"
    several.write_bytes(fin.join([content for _, content in said], fin.FileKind.RJE))
    judged = run("validate", str(tmp_path), "--json")
    assert judged.returncode == 0
    rows = [json.loads(line) for line in judged.stdout.splitlines()]
    assert [row["file"] for row in rows] == [f"{several}#{number}" for number in (1, 2, 3, 4)]
    assert [row["message_definition"] for row in rows] == ["F21", "MT548", "MT548", "MT547"]
    read = run("read", str(several), "--json")
    assert [json.loads(line)["facts"][0]["fact"] for line in read.stdout.splitlines()] == [
        "Receipt",
        "StatusAdvice",
        "StatusAdvice",
        "SettlementConfirmation",
    ]


def test_violation_of_a_later_message_names_its_line_in_the_file(tmp_path: Path) -> None:
    _, said = answers(instruction(), "settlement", "accepted")
    good = said[0][1]
    several = tmp_path / "several.fin"
    several.write_bytes(good + b"\r\n" + good.replace(b":25D::IPRC", b":25X::IPRC"))
    judged = run("validate", str(several), "--json")
    assert judged.returncode == 1
    first, second = [json.loads(line) for line in judged.stdout.splitlines()]
    assert first["valid"]
    line = second["violations"][0]["line"]
    assert line > good.count(b"\n")
    assert several.read_bytes().split(b"\n")[line - 1].startswith(b":16R:STAT")
