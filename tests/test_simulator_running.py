"""The counterparty simulator over real carriers, killed, and as a command: nothing is said twice otherwise."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.bus import Bus, Message
from gateway.cli.simulate import simulate
from gateway.errors import NotSent
from gateway.messages.schema_files import load_catalogue
from gateway.model.profile import FolderCarrier, KafkaCarrier, Profile
from gateway.simulator import (
    AnswerState,
    Counterparty,
    Delays,
    SimulatorSettings,
    open_counterparty,
    outcomes,
    read_book,
)
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival
from gateway.transports import Incoming, open_transport
from tests.conftest import Broker, unique
from tests.simulated import (
    THEM,
    US,
    Pipe,
    confirmation,
    every_scenario,
    instruction,
    play,
    run_until,
    settings,
    validator,
    values,
)

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


# --- Real carriers and the command ------------------------------------------------------------------------------------


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
