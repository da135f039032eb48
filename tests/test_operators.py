"""What operators see and ask, from the command line down to the ledger."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Connection, func, select
from typer import Typer
from typer.testing import CliRunner

from gateway.cli.operators import history, instructions, parked
from gateway.cli.store import store
from gateway.errors import ConfigError, Violation
from gateway.model.facts import Alert, Amount, Axis, Change, Delivery, Part, Quantity, Reason, State, StatusValue
from gateway.model.reports import Cause
from gateway.store import ArchiveState, Ledger, OutboxState, Parking, Unit, queries, tables
from gateway.store.migration import HEAD
from gateway.store.views import CommandRefused, Story
from tests import backends
from tests.ledgers import (
    CHANNEL,
    NOW,
    TERMS,
    advance,
    digest,
    later,
    new_event,
    opened,
    record,
    recording,
    sqlite_url,
)

STATUS = b"<RequestPayload>status</RequestPayload>"
SPOILT = b'{"isin": "DE0005140007", "safekeeping_account": "SAFE-4711"}\xff'


_BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.backend)]


@pytest.fixture(params=_BACKENDS)
def url(request: pytest.FixtureRequest) -> str:
    """Give an empty database of each backend in turn."""
    if request.param == "sqlite":
        return sqlite_url(request.getfixturevalue("tmp_path"))
    found: str = request.getfixturevalue("postgres_database")
    return found


@pytest.fixture(scope="module", params=_BACKENDS)
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give a ledger to look at, filled once; what changes it takes ``own_day``."""
    if request.param == "sqlite":
        address = sqlite_url(tmp_path_factory.mktemp("day"))
        asyncio.run(_day(address))
        yield address
        return
    address = backends.create_database(request.getfixturevalue("postgres_url"))
    asyncio.run(_day(address))
    yield address
    backends.drop_database(address)


@pytest.fixture
def own_day(url: str) -> str:
    """Give the same to a test that changes it."""
    asyncio.run(_day(url))
    return url


async def _day(url: str) -> None:
    """Write a sent and unmatched trade (T1), a parked one (T2) that holds an event, and one just recorded (T3)."""
    async with opened(url) as ledger:
        await ledger.acquire(CHANNEL, "gateway", NOW, 10)
        [(row, document)] = await ledger.write(NOW, recording(new_event("T1", content=b'{"event": 1}')))

        def start(unit: Unit) -> None:
            unit.start_attempt(document, 1, 1, possible_duplicate=False, content=None, digest=digest(b"x"))
            unit.set_outbox(document, OutboxState.SENDING, 1, 0)

        def sent(unit: Unit) -> None:
            unit.end_attempt(document, 1, "sent", None, "out/0/1")
            unit.set_outbox(document, OutboxState.DONE, 1, 0)
            advance(unit, row.id, "sent")

        def reply(unit: Unit) -> None:
            [number] = unit.archive(CHANNEL, [("in/0/1", STATUS, digest(STATUS))])
            assert number is not None
            locked = unit.lock([row.id])[row.id]
            word = StatusValue("unmatched", (Reason("DMON", None, "settlement amount"),))
            part = Part("CONF1", number, Quantity(TERMS.quantity.value, "unit"), Amount(TERMS.amount.value, "EUR"))  # type: ignore[union-attr]
            state = State(locked.state.dialogue, Delivery.SENT, {"matching": Axis(word, later(3), number)}, (part,))
            unit.move(
                locked,
                state,
                "unmatched",
                action="reply_applied",
                actor=CHANNEL,
                cause=Cause("message", "STATUS1", "sese.024.001.13"),
                changes=(Change("matching", None, "unmatched", word.reasons),),
                alerts=(Alert("settled_beyond_instruction", "too much"),),
            )
            unit.name_references(locked, "SERVICER-1")
            unit.set_archive(
                number,
                ArchiveState.APPLIED,
                message_definition="sese.024.001.13",
                business_message_id="STATUS1",
                instruction_id=row.id,
            )

        def park(unit: Unit) -> None:
            event = unit.add_event(replace(new_event("T2", content=SPOILT), offset=7), "parked")
            unit.park(
                Parking(
                    stage="event",
                    code="event_invalid",
                    text="isin: [check] digit",
                    origin="trade.events/0/7",
                    violations=(
                        Violation("isin_check_digit", "isin", "check digit 8", "DE0005140007", "isin: wrong", 3),
                    ),
                    source="desk",
                    trade_id="T2",
                    instruction_number=1,
                    counterparty=CHANNEL,
                    event_row=event,
                )
            )

        await ledger.write(later(1), start)
        await ledger.write(later(2), sent)
        await ledger.write(later(4), reply)
        await ledger.write(later(5), park)
        await ledger.write(later(6), lambda unit: unit.add_event(new_event("T2", number=2), "held"))
        await ledger.write(later(7), lambda unit: record(unit, new_event("T3", source="other/desk")))


def call(app: Typer, *words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def query(url: str, work: Callable[[Connection], Any]) -> Any:
    async def go() -> Any:
        async with opened(url, exclusive=False) as ledger:
            return await ledger.query(work)

    return asyncio.run(go())


def execute(url: str, statement: str) -> None:
    async def go() -> None:
        async with opened(url, exclusive=False) as ledger:
            await ledger.execute(lambda connection: connection.exec_driver_sql(statement))

    asyncio.run(go())


# Instructions ---------------------------------------------------------------------------------------------------------


def test_instructions_are_listed_newest_first_without_account_numbers(day: str) -> None:
    shown = call(instructions, "list", "--store", day).stdout
    assert shown.index("T3") < shown.index("T1")
    assert "15,250.75 EUR" in shown
    assert "unmatched" in shown
    assert "SAFE-4711" not in shown
    as_json = call(instructions, "list", "--store", day, "--json")
    assert "SAFE-4711" not in as_json.stdout
    assert [(row["trade_id"], row["headline"], row["amount"]) for row in lines(as_json)] == [
        ("T3", "recorded", "15250.75"),
        ("T1", "unmatched", "15250.75"),
    ]


@pytest.mark.parametrize(
    ("options", "trades"),
    [
        (["--headline", "unmatched"], ["T1"]),
        (["--trade", "T3"], ["T3"]),
        (["--trade", "desk/T1"], ["T1"]),
        (["--trade", "other/desk/T3"], []),
        (["--counterparty", "CUST"], ["T3", "T1"]),
        (["--counterparty", "C%"], []),
        (["--dialogue", "confirmation"], []),
        (["--since", "2026-03-16T09:30:05"], ["T3"]),
        (["--limit", "1"], ["T3"]),
        (["--limit", "0"], ["T3", "T1"]),
        (["--before", "2"], ["T1"]),
    ],
)
def test_a_list_is_narrowed(day: str, options: list[str], trades: list[str]) -> None:
    assert [row["trade_id"] for row in lines(call(instructions, "list", "--store", day, "--json", *options))] == trades


def test_a_long_list_is_read_in_pages(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fill() -> None:
        async with opened(url) as ledger:
            await ledger.write(NOW, recording(*(new_event(f"T{number}") for number in range(25))), size=25)

    asyncio.run(fill())
    monkeypatch.setattr("gateway.cli.operators._PAGE", 4)
    found = [row["trade_id"] for row in lines(call(instructions, "list", "--store", url, "--json", "-n", "0"))]
    assert found == [f"T{number}" for number in reversed(range(25))]
    assert len(lines(call(instructions, "list", "--store", url, "--json", "-n", "9"))) == 9


@pytest.mark.parametrize("name", ["transaction", "message", "STATUS1", "SERVICER-1", "T1", "desk/T1", "row"], ids=str)
def test_a_story_is_found_by_every_name_it_has(day: str, name: str) -> None:
    [listed] = lines(call(instructions, "list", "--store", day, "--json", "--trade", "T1"))
    named = {
        "transaction": listed["transaction_id"],
        "message": f"M{listed['transaction_id']}",
        "row": str(listed["id"]),
    }.get(name, name)
    [story] = lines(call(instructions, "show", named, "--store", day, "--json"))
    assert story["instruction"]["trade_id"] == "T1"


def test_a_trade_identification_goes_before_a_row_number(url: str) -> None:
    async def fill() -> None:
        async with opened(url) as ledger:
            await ledger.write(NOW, recording(new_event("A"), new_event("1")))

    asyncio.run(fill())
    [story] = query(url, lambda connection: queries.show_instruction(connection, "1"))
    assert story.instruction.trade_id == "1"


def test_all_instructions_of_a_trade_are_shown(url: str) -> None:
    async def fill() -> None:
        async with opened(url) as ledger:
            await ledger.write(NOW, recording(new_event("A"), new_event("A", number=2)))

    asyncio.run(fill())
    stories: list[Story] = query(url, lambda connection: queries.show_instruction(connection, "A"))
    assert [story.instruction.instruction_number for story in stories] == [1, 2]


def test_the_whole_story_is_told(day: str) -> None:
    [story] = lines(call(instructions, "show", "T1", "--store", day, "--json"))
    [event] = story["events"]
    assert (event["event_id"], event["origin"], event["disposition"]) == (
        "T1-instruct-1",
        "trade.events/0/0",
        "applied",
    )
    [document] = story["documents"]
    assert (document["message_definition"], document["state"]) == ("sese.023.001.12", "done")
    [attempt] = document["attempts"]
    assert (attempt["outcome"], attempt["reference"], attempt["possible_duplicate"]) == ("sent", "out/0/1", False)
    [reply] = story["replies"]
    assert (reply["business_message_id"], reply["state"], reply["carrier_key"]) == ("STATUS1", "applied", "in/0/1")
    assert [(entry["before"], entry["headline"]) for entry in story["history"]] == [
        ("recorded", "recorded"),
        ("recorded", "sent"),
        ("sent", "unmatched"),
    ]
    assert story["history"][2]["changes"][0]["reasons"][0]["code"] == "DMON"
    assert story["state"]["axes"]["matching"]["status"]["value"] == "unmatched"
    assert story["terms"]["safekeeping_account"] == "SAFE-4711"
    assert [event["content"], document["content"], reply["content"]] == [None] * 3


def test_the_story_reads_as_a_timeline(day: str) -> None:
    shown = call(instructions, "show", "T1", "--store", day).stdout
    steps = [
        "instruct_settlement",
        "sese.023.001.12 M",
        "attempt 1",
        "out/0/1",
        "sese.024.001.13 STATUS1",
        "matching: none",
    ]
    places = [shown.index(step) for step in steps]
    assert places == sorted(places)
    assert "DMON settlement amount" in shown
    assert "settled_beyond_instruction" in shown


def test_payloads_are_shown_only_when_asked_for(day: str) -> None:
    assert "<RequestPayload>" not in call(instructions, "show", "T1", "--store", day).stdout
    shown = call(instructions, "show", "T1", "--store", day, "--content").stdout
    assert "<RequestPayload>status</RequestPayload>" in shown
    assert '{"event": 1}' in shown
    [story] = lines(call(instructions, "show", "T1", "--store", day, "--content", "--json"))
    assert story["replies"][0]["content"] == STATUS.decode()


def test_an_unknown_identifier_is_said(day: str) -> None:
    result = call(instructions, "show", "T9", "--store", day, code=1)
    assert "knows no T9" in result.stderr
    assert call(instructions, "show", "T9", "--store", day, "--json", code=1).stdout == ""


def test_a_trade_that_is_only_parked_shows_what_was_parked(day: str) -> None:
    result = call(instructions, "show", "T2", "--store", day, code=1)
    assert "event_invalid" in result.stdout


# Parked items ---------------------------------------------------------------------------------------------------------


def test_parked_items_are_listed_and_shown_with_every_violation(day: str) -> None:
    [item] = lines(call(parked, "list", "--store", day, "--json"))
    assert (item["code"], item["trade_id"], item["state"]) == ("event_invalid", "T2", "open")
    assert "isin: [check] digit" in call(parked, "list", "--store", day).stdout
    shown = call(parked, "show", str(item["id"]), "--store", day).stdout
    for expected in ("isin_check_digit", "check digit 8", "DE0005140007", "trade.events/0/7", "1 later event"):
        assert expected in shown
    assert "SAFE-4711" not in shown
    [whole] = lines(call(parked, "show", str(item["id"]), "--store", day, "--json"))
    assert (whole["holding"], whole["violations"][0]["line"], whole["original"]) == (1, 3, None)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--code", "event_invalid"], 1),
        (["--code", "other"], 0),
        (["--stage", "reply"], 0),
        (["--trade", "desk/T2"], 1),
        (["--trade", "T1"], 0),
        (["--counterparty", CHANNEL], 1),
        (["--all"], 1),
    ],
)
def test_the_list_of_parked_items_is_narrowed(day: str, options: list[str], found: int) -> None:
    assert len(lines(call(parked, "list", "--store", day, "--json", *options))) == found


def test_the_original_of_a_parked_item_is_saved_byte_for_byte(day: str, tmp_path: Path) -> None:
    target = tmp_path / "broken.json"
    call(parked, "show", "1", "--store", day, "--save", str(target))
    assert target.read_bytes() == SPOILT
    assert "SAFE-4711" in call(parked, "show", "1", "--store", day, "--content").stdout


def test_an_unknown_parked_item_is_said(day: str) -> None:
    assert "no parked item 99" in call(parked, "show", "99", "--store", day, code=1).stderr


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering(own_day: str) -> Iterator[str]:
    """Give the own_day's ledger while another task has it open and answers commands, as the gateway does."""
    stop = threading.Event()
    ready = threading.Event()

    async def answer() -> None:
        ledger = await Ledger.open(own_day)
        ready.set()

        def work(unit: Unit) -> None:
            for command in unit.waiting_commands(10):
                if command.reason == "refuse":
                    unit.answer_command(command.id, "refused", "the event is still refused")
                    continue
                unit.close_parked(command.parked_id, "released", command.actor, command.reason, command.content)
                unit.answer_command(command.id, "done", f"{command.kind}: it goes on")

        while not stop.is_set():
            await ledger.write(later(60), work)
            await asyncio.to_thread(stop.wait, 0.02)
        await ledger.close()

    thread = threading.Thread(target=lambda: asyncio.run(answer()))
    thread.start()
    ready.wait()
    yield own_day
    stop.set()
    thread.join()


def test_a_command_waits_for_the_gateways_answer(answering: str, tmp_path: Path) -> None:
    repaired = tmp_path / "repaired.json"
    repaired.write_bytes(b'{"isin": "DE0005140008"}')
    words = ["repair", "1", str(repaired), "--reason", "typing error", "--user", "anna", "--store", answering]
    assert call(parked, *words, "--wait", "30").stdout == "done: repair: it goes on\n"
    assert lines(call(parked, "list", "--store", answering, "--json")) == []
    [item] = lines(call(parked, "show", "1", "--store", answering, "--json", "--content"))
    assert (item["summary"]["closed_by"], item["summary"]["reason"]) == ("anna", "typing error")
    assert item["repaired"] == '{"isin": "DE0005140008"}'
    assert isinstance(item["original"], str)  # base64: the original is no text
    [command] = item["commands"]
    assert (command["kind"], command["actor"], command["state"]) == ("repair", "anna", "done")
    again = call(parked, "release", "1", "--reason", "again", "--store", answering, code=1)
    assert "released already [parked_closed]" in again.stderr
    assert "typing error" in call(parked, "show", "1", "--store", answering).stdout


def test_a_refused_command_says_why_and_fails(answering: str) -> None:
    words = ["release", "1", "--reason", "refuse", "--store", answering, "--wait", "30"]
    assert "refused: the event is still refused" in call(parked, *words, code=1).stdout
    assert len(lines(call(parked, "list", "--store", answering, "--json"))) == 1


def test_without_a_gateway_the_command_stays_and_is_not_given_twice(own_day: str) -> None:
    words = ["discard", "1", "--reason", "cancelled by phone", "--store", own_day]
    assert "is the gateway running?" in call(parked, *words, "--wait", "0.05", code=3).stdout
    assert "waits already [command_waiting]" in call(parked, *words, "--wait", "0", code=1).stderr
    [item] = lines(call(parked, "show", "1", "--store", own_day, "--json"))
    assert [(command["kind"], command["state"]) for command in item["commands"]] == [("discard", "waiting")]
    assert item["commands"][0]["actor"]


def test_a_command_that_is_only_left_behind_succeeds(own_day: str) -> None:
    [command] = lines(call(parked, "release", "1", "--reason", "r", "--store", own_day, "--wait", "0", "--json"))
    assert (command["state"], command["kind"]) == ("waiting", "release")


@pytest.mark.parametrize(
    ("kind", "number", "content", "reason", "code"),
    [
        ("burn", 1, None, "r", "command_unknown"),
        ("release", 99, None, "r", "parked_unknown"),
        ("release", 1, None, "  ", "command_without_reason"),
        ("repair", 1, None, "r", "repair_without_content"),
        ("repair", 1, b"", "r", "repair_without_content"),
        ("discard", 1, b"x", "r", "repair_without_content"),
    ],
)
def test_a_command_without_sense_is_refused_and_leaves_no_row(
    day: str, kind: str, number: int, content: bytes | None, reason: str, code: str
) -> None:
    async def go() -> Any:
        async with opened(day, exclusive=False) as ledger:
            refusal = await ledger.execute(
                lambda connection: queries.submit_command(connection, kind, number, content, "anna", reason, NOW)
            )
            count = select(func.count()).select_from(tables.command)
            return refusal, await ledger.query(lambda connection: connection.execute(count).scalar_one())

    refusal, rows = asyncio.run(go())
    assert isinstance(refusal, CommandRefused)
    assert (refusal.code, rows) == (code, 0)


# Summary --------------------------------------------------------------------------------------------------------------


def test_what_is_open_is_counted(day: str) -> None:
    found = query(day, queries.counts)
    assert found.instructions == {"recorded": 1, "unmatched": 1}
    assert found.parked == {"event_invalid": 1}
    assert found.held_events == 1
    assert found.outbox == {f"{CHANNEL} ready": 1}
    assert found.unpublished == {"exceptions": 1, "status": 4}
    assert found.archive == {"applied": 1}
    assert found.commands == 0


# Finding the ledger ---------------------------------------------------------------------------------------------------


def test_store_upgrade_makes_a_ledger_and_is_safe_to_repeat(url: str) -> None:
    assert lines(call(store, "upgrade", "--store", url, "--json")) == [{"before": None, "after": HEAD}]
    assert "up to date" in call(store, "upgrade", "--store", url).stdout
    assert "no instruction" in call(instructions, "list", "--store", url).stdout


def test_the_ledger_is_the_configurations_unless_named(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[gateway]\nbic = "GATEDEFFXXX"\n[store]\nurl = "{sqlite_url(tmp_path)}"\n'
        '[[counterparties]]\nbic = "CUSTDEFFXXX"\nname = "Custodian"\n'
        '[counterparties.channel]\ncarrier = "kafka"\noutbound_topic = "out"\ninbound_topic = "in"\n'
    )
    assert f"is at {HEAD} now" in call(store, "upgrade", "--config", str(config)).stdout
    assert "nothing is parked" in call(parked, "list", "--config", str(config)).stdout


def test_without_a_ledger_to_look_at_the_options_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.delenv("GATEWAY_STORE__URL", raising=False)
    assert "--store" in call(instructions, "list", code=2).stderr


def test_a_ledger_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        call(instructions, "list", "--store", sqlite_url(tmp_path))
    assert caught.value.code == "store_absent"
    assert list(tmp_path.iterdir()) == []


def test_history_is_verified_from_the_command_line(own_day: str, tmp_path: Path) -> None:
    assert "2 instruction(s), 4 entries: every one holds" in call(history, "verify", "--store", own_day).stdout
    told = tmp_path / "status.jsonl"

    def published(connection: Connection) -> list[bytes]:
        table = tables.publication
        return list(connection.execute(select(table.c.content).where(table.c.topic == "status")).scalars())

    told.write_bytes(b"\n".join(bytes(line) for line in query(own_day, published)) + b"\n")
    results = lines(call(history, "verify", "--store", own_day, "--witness", str(told), "--json"))
    assert [(result["entries"], result["fault_count"]) for result in results] == [(4, 0), (4, 0)]
    execute(own_day, "UPDATE history SET actor = 'nobody' WHERE sequence = 2")
    shown = call(history, "verify", "--store", own_day, code=1).stdout
    assert "history_altered" in shown
    told.write_text('{"transaction_id": "X"}\n')
    with pytest.raises(ConfigError, match="line 1"):
        call(history, "verify", "--store", own_day, "--witness", str(told))
