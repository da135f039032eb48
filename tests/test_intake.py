"""Intake: whatever upstream sends, each event is recorded once, or parked with its reason, and never stops the rest."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text, update
from structlog.testing import capture_logs

from gateway.bus import Bus, Message
from gateway.config import StoreSettings
from gateway.errors import StoreUnavailable
from gateway.intake import IntakeLoop
from gateway.pace import Signals, system_clock
from gateway.store import Ledger, Load, overload, tables
from tests.conftest import Broker, unique
from tests.loops import (
    CHANNEL,
    OTHER,
    Loops,
    cancel,
    confirm,
    crashes,
    instruct,
    lost,
    not_sent,
    party,
    refuse_rows,
    refused,
    settings_for,
    transaction,
)


def outcomes(results: list[Any]) -> list[str]:
    return [result.outcome for result in results]


# One event, one instruction -------------------------------------------------------------------------------------------


async def test_an_event_becomes_instruction_document_outbox_and_history_at_once(both_loops: Loops) -> None:
    assert outcomes(await both_loops.take_in(instruct())) == ["instructed"]
    story = await both_loops.story()
    assert story.instruction.headline == "recorded"
    [document] = story.documents
    assert (document.role, document.message_definition, document.state) == ("instruction", "sese.023.001.12", "ready")
    assert document.cause == "T1-instruct-1"
    assert [entry.action for entry in story.history] == ["recorded"]
    assert (await both_loops.dispositions()) == {"T1-instruct-1": "applied"}
    await both_loops.prove()


async def test_the_same_event_again_changes_nothing(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    before = await both_loops.counts()
    shuffled = dict(reversed(list(instruct().items())))
    again = await both_loops.take_in(instruct(), json.dumps(shuffled, indent=2).encode())
    assert outcomes(again) == ["duplicate", "duplicate"]
    assert await both_loops.counts() == before


async def test_the_same_event_twice_in_one_poll_is_recorded_once(both_loops: Loops) -> None:
    assert outcomes(await both_loops.take_in(instruct(), instruct())) == ["instructed", "duplicate"]


async def test_another_source_may_use_the_same_identifiers(loops: Loops) -> None:
    results = await loops.take_in(instruct(), instruct(source="bonds-desk"))
    assert outcomes(results) == ["instructed", "instructed"]
    assert results[0].transaction != results[1].transaction


async def test_the_same_identifier_with_other_content_is_parked_and_its_repeat_changes_nothing(
    both_loops: Loops,
) -> None:
    changed = instruct(safekeeping_account="CUST-9999")
    await both_loops.take_in(instruct())
    [conflict] = await both_loops.take_in(changed)
    assert (conflict.outcome, conflict.code) == ("parked", "event_conflict")
    item = await both_loops.only_parked()
    assert json.loads(item.original) == changed  # type: ignore[arg-type]
    assert [violation.path for violation in item.violations] == ["event_id"]
    before = await both_loops.counts()
    assert outcomes(await both_loops.take_in(changed, instruct())) == ["duplicate", "duplicate"]
    assert await both_loops.counts() == before


async def test_the_same_identifier_with_other_content_in_one_poll_is_parked_too(loops: Loops) -> None:
    results = await loops.take_in(instruct(), instruct(safekeeping_account="CUST-9999"))
    assert [(result.outcome, result.code) for result in results] == [("instructed", None), ("parked", "event_conflict")]


async def test_a_third_content_under_one_identifier_is_a_conflict_of_its_own(loops: Loops) -> None:
    await loops.take_in(*(instruct(safekeeping_account=f"CUST-{number}") for number in range(3)))
    assert [item.summary.code for item in await loops.parked()] == ["event_conflict", "event_conflict"]


# Bad input ------------------------------------------------------------------------------------------------------------

_WRONG = {
    "not-utf-8": (b'{"schema": "instruct_settlement/1", "isin": "\xff"}', "event_undecodable"),
    "no-json": (b"settle this please", "event_undecodable"),
    "empty": (b"", "event_undecodable"),
    "binary": (bytes(range(256)), "event_undecodable"),
    "nested-too-deep": (b"[" * 100_000, "event_undecodable"),
    "no-object": (b"[1, 2]", "event_undecodable"),
    "schema-unknown": (instruct(schema="instruct_settlement/9"), "event_schema_unknown"),
    "wrong-types": (instruct(quantity="many", instruction_number="one"), "event_field_invalid"),
    "field-unknown": (instruct(safekeping_account="X"), "event_field_unknown"),
    "field-missing": (instruct(isin=None), "event_field_missing"),
    "check-digit": (instruct(isin="DE0007164601"), "identifier_check_digit"),
    "currency-decimals": (
        instruct(settlement_amount={"value": "1.234", "currency": "EUR"}),
        "currency_decimals",
    ),
    "currency-unknown": (instruct(settlement_amount={"value": "1", "currency": "EUX"}), "currency_unknown"),
    "rule-broken": (instruct(settlement_date="2026-03-01"), "event_rule_broken"),
    "nul": (instruct(processing_text="a\x00b"), "event_field_invalid"),
    "nul-in-identifier": (instruct(event_id="a\x00b"), "event_field_invalid"),
    "lone-surrogate": (b'{"schema": "instruct_settlement/1", "event_id": "\\ud800"}', "event_undecodable"),
    "counterparty-unknown": (instruct(counterparty="NOBOGB2LXXX"), "counterparty_unknown"),
}


@pytest.mark.parametrize(("content", "code"), _WRONG.values(), ids=list(_WRONG))
async def test_a_bad_event_is_parked_with_its_reasons_and_the_rest_goes_on(
    both_loops: Loops, content: dict[str, Any] | bytes, code: str
) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    results = await both_loops.take_in(instruct("T8"), raw, instruct("T9"))
    assert outcomes(results) == ["instructed", "parked", "instructed"]
    item = await both_loops.only_parked()
    assert item.summary.stage == "event"
    assert code in {item.summary.code, *(violation.code for violation in item.violations)}
    assert all(violation.rule and violation.text for violation in item.violations)
    [kept] = [row["content"] for row in await both_loops.rows(tables.event) if row["disposition"] == "parked"]
    assert kept == raw
    [told] = await both_loops.published("exceptions")
    assert told["parked_id"] == item.summary.id
    assert told["code"] == item.summary.code
    assert len(told["violations"]) == len(item.violations)
    before = await both_loops.counts()
    [again] = await both_loops.take_in(raw)
    assert again.outcome in {"duplicate", "parked"}
    if isinstance(content, dict) and code != "event_field_invalid":
        assert await both_loops.counts() == before  # recognised by its own identifiers, wherever it comes again


async def test_undecodable_bytes_read_again_from_the_same_place_change_nothing(loops: Loops) -> None:
    for _ in range(2):
        item = loops.intake.prepare(b"\xff\x00", topic="trade.events", partition=3, offset=7)
        [result] = await loops.intake.record([item])
    assert result.outcome == "duplicate"
    [kept] = await loops.parked()
    assert kept.summary.origin == "trade.events/3/7"


async def test_every_violation_of_an_event_is_told_at_once(loops: Loops) -> None:
    await loops.take_in(instruct(isin="DE0007164601", quantity={"type": "unit", "value": "-1"}, colour="red"))
    item = await loops.only_parked()
    assert {violation.path for violation in item.violations} == {"isin", "quantity.value", "colour"}
    assert all(violation.line == 1 for violation in item.violations)


async def test_an_element_that_the_version_lacks_parks_the_event_and_names_it(ledger_url: str) -> None:
    old = party(CHANNEL, versions={"settlement_instruction": "sese.023.001.10"})
    ledger = await Ledger.open(ledger_url)
    loops = Loops(ledger, settings_for(ledger_url, counterparties=[old, party(OTHER)]))
    digital = instruct(unique_transaction_identifier="529900T8BM49AURSDO55TRADE0001")
    assert outcomes(await loops.take_in(digital, instruct("T2"))) == ["parked", "instructed"]
    item = await loops.only_parked()
    assert item.summary.code == "element_not_in_version"
    assert item.violations[0].path == "unique_transaction_identifier"
    assert "sese.023.001.10" in item.violations[0].text
    await ledger.close()


async def test_a_valid_event_that_yields_an_invalid_message_is_parked_with_the_element(loops: Loops) -> None:
    # Upstream's contract lets any four letters pass as a code; the message's schema has a list.
    await loops.take_in(instruct(partial_settlement="PARC", block_trade="ZZZZ"), instruct("T2"))
    item = await loops.only_parked()
    assert item.summary.code == "code_not_in_version"
    assert "ZZZZ" in {violation.value for violation in item.violations}
    assert await loops.headline("T2") == "recorded"


async def test_a_fault_of_ours_parks_the_event_and_never_its_partition(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(loops.messages), "definition_for", fail)
    with capture_logs():
        assert outcomes(await loops.take_in(instruct(), confirm("T2"))) == ["parked", "parked"]
    assert {item.summary.code for item in await loops.parked()} == {"internal_error"}


# Order within a trade -------------------------------------------------------------------------------------------------


async def test_a_parked_event_holds_the_later_events_of_its_trade_and_only_those(both_loops: Loops) -> None:
    bad = instruct("T1", isin="DE0007164601")
    await both_loops.take_in(bad, instruct("T1", 2), confirm("T1"), instruct("T2"), confirm("T3"))
    assert await both_loops.dispositions() == {
        "T1-instruct-1": "parked",
        "T1-instruct-2": "held",
        "T1-confirm-1": "held",
        "T2-instruct-1": "applied",
        "T3-confirm-1": "applied",
    }
    assert (await both_loops.only_parked()).holding == 2
    results = await both_loops.take_in(instruct("T1", 3), instruct("T4"))
    assert outcomes(results) == ["held", "instructed"]


async def test_held_events_go_on_in_order_once_nothing_holds_them(both_loops: Loops) -> None:
    await both_loops.take_in(instruct("T1", isin="DE0007164601"), instruct("T1", 2), cancel("T1", 2), confirm("T1"))
    item = await both_loops.only_parked()
    assert (await both_loops.command("discard", item.summary.id)).state == "done"
    assert await both_loops.dispositions() == {
        "T1-instruct-1": "discarded",
        "T1-instruct-2": "applied",
        "T1-cancel-2": "applied",
        "T1-confirm-1": "applied",
    }
    assert await both_loops.headline("T1", 2) == "withdrawn"


async def test_a_held_event_that_is_bad_itself_parks_in_its_turn_and_holds_the_rest(loops: Loops) -> None:
    await loops.take_in(instruct("T1", isin="DE0007164601"), instruct("T1", 2, isin="X"), instruct("T1", 3))
    await loops.command("discard", (await loops.only_parked()).summary.id)
    item = await loops.only_parked()
    assert item.summary.instruction_number == 2
    assert item.holding == 1
    await loops.command("discard", item.summary.id)
    assert await loops.headline("T1", 3) == "recorded"


async def test_a_held_event_sent_again_is_a_duplicate(loops: Loops) -> None:
    await loops.take_in(instruct("T1", isin="DE0007164601"), instruct("T1", 2))
    assert outcomes(await loops.take_in(instruct("T1", 2))) == ["duplicate"]


# Cancelling and amending ----------------------------------------------------------------------------------------------


async def test_a_cancellation_before_any_attempt_withdraws_and_sends_nothing(both_loops: Loops) -> None:
    results = await both_loops.take_in(instruct(), cancel())
    assert outcomes(results) == ["instructed", "withdrawn"]
    await both_loops.send()
    assert both_loops.arrived() == []
    story = await both_loops.story()
    assert story.instruction.headline == "withdrawn"
    assert [document.state for document in story.documents] == ["withdrawn"]
    [told] = await both_loops.published("status")
    assert (told["headline"], told["cause"]["identifier"]) == ("withdrawn", "T1-cancel-1")


async def test_a_cancellation_of_a_sent_instruction_goes_out_after_it(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    await both_loops.send()
    assert outcomes(await both_loops.take_in(cancel())) == ["cancelling"]
    await both_loops.send()
    first, second = both_loops.arrived()
    assert b"sese.023.001.12" in first.content
    assert b"sese.020.001.08" in second.content
    assert transaction().encode() in second.content
    assert first.business_message_id != second.business_message_id
    assert await both_loops.headline() == "cancellation_requested"


async def test_a_cancellation_of_an_instruction_in_doubt_goes_out_after_it(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [lost]
    await both_loops.send(retry=False)
    assert await both_loops.headline() == "in_doubt"
    assert outcomes(await both_loops.take_in(cancel())) == ["cancelling"]
    await both_loops.send()
    repeat, request = both_loops.arrived()
    assert repeat.possible_duplicate
    assert b"sese.020.001.08" in request.content


async def test_a_cancellation_while_the_attempt_is_under_way_goes_out_after_it(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [crashes]
    await both_loops.send_and_crash()
    assert outcomes(await both_loops.take_in(cancel())) == ["cancelling"]
    await both_loops.send()
    assert [b"sese.020" in item.content for item in both_loops.arrived()] == [False, True]


@pytest.mark.parametrize("fate", [not_sent, refused])
async def test_a_cancellation_of_what_certainly_never_arrived_withdraws_it(both_loops: Loops, fate: Any) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [fate]
    await both_loops.send(retry=False)
    assert outcomes(await both_loops.take_in(cancel())) == ["withdrawn"]
    await both_loops.send()
    assert both_loops.arrived() == []
    assert await both_loops.headline() == "withdrawn"
    assert await both_loops.parked() == []


async def test_a_cancellation_of_a_parked_instruction_closes_it_and_sends_nothing(both_loops: Loops) -> None:
    await both_loops.take_in(instruct(isin="DE0007164601"))
    assert outcomes(await both_loops.take_in(cancel(), instruct(number=2))) == ["withdrawn", "instructed"]
    [item] = await both_loops.parked("cancelled")
    assert item.summary.reason == "cancelled by event T1-cancel-1"
    assert await both_loops.dispositions() == {
        "T1-instruct-1": "cancelled",
        "T1-cancel-1": "applied",
        "T1-instruct-2": "applied",
    }


async def test_a_cancellation_never_closes_a_parked_confirmation_or_cancellation(both_loops: Loops) -> None:
    await both_loops.take_in(confirm(isin="DE0007164601"))
    assert outcomes(await both_loops.take_in(cancel())) == ["held"]
    assert len(await both_loops.parked()) == 1


async def test_a_cancellation_that_names_another_counterparty_is_parked(loops: Loops) -> None:
    await loops.take_in(instruct())
    [result] = await loops.take_in(cancel(counterparty=OTHER))
    assert (result.outcome, result.code) == ("parked", "request_other_counterparty")
    assert await loops.headline() == "recorded"


async def test_a_cancellation_that_is_asked_again_while_open_sends_no_second_request(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.take_in(cancel(), cancel(event_id="T1-cancel-again"))
    await loops.send()
    assert len({item.business_message_id for item in loops.arrived()}) == len(loops.arrived())


async def test_a_second_cancellation_of_a_withdrawn_instruction_is_parked(loops: Loops) -> None:
    await loops.take_in(instruct(), cancel())
    [result] = await loops.take_in(cancel(event_id="T1-cancel-again"))
    assert (result.outcome, result.code) == ("parked", "illegal_transition")


async def test_an_amendment_is_cancel_then_instruct_and_keeps_its_order(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    await both_loops.send()
    await both_loops.take_in(cancel(), instruct(number=2))
    both_loops.wires[CHANNEL].fates = [not_sent]
    await both_loops.send()
    kinds = [b"sese.020" in item.content for item in both_loops.arrived()]
    assert kinds == [False, True, False]
    assert transaction(number=2).encode() in both_loops.arrived()[2].content


async def test_an_instruction_number_is_taken_once(loops: Loops) -> None:
    await loops.take_in(instruct())
    [result] = await loops.take_in(instruct(event_id="other"))
    assert (result.outcome, result.code) == ("parked", "instruction_number_taken")


async def test_a_trade_may_be_confirmed_and_settled_under_one_number(loops: Loops) -> None:
    assert outcomes(await loops.take_in(instruct(), confirm())) == ["instructed", "instructed"]


async def test_a_clash_of_derived_identifiers_is_parked_and_named(loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.ledger.execute(
        lambda connection: connection.execute(update(tables.instruction).values(trade_id="T-OTHER"))
    )
    [result] = await loops.take_in(instruct(event_id="other"))
    assert (result.outcome, result.code) == ("parked", "identifier_clash")


# The ledger refuses, is full, is away ---------------------------------------------------------------------------------


async def test_the_culprit_of_a_batch_is_isolated_and_parked(loops: Loops) -> None:
    await refuse_rows(loops.ledger, "instruction", "NEW.trade_id = 'T13'")
    with capture_logs() as logs:
        results = await loops.take_in(*(instruct(f"T{number}") for number in range(40)))
    errors = [(line["event"], line["event_id"]) for line in logs if line["log_level"] == "error"]
    assert errors == [("event.not_recorded", "T13-instruct-1")]
    assert [result.event.trade_id for result in results] == [f"T{number}" for number in range(40)]
    assert [result.event.trade_id for result in results if result.outcome != "instructed"] == ["T13"]
    item = await loops.only_parked()
    assert (item.summary.trade_id, item.summary.code) == ("T13", "event_refused_by_ledger")


async def test_a_held_event_that_the_ledger_refuses_is_parked_in_its_turn_and_does_not_loop(loops: Loops) -> None:
    await loops.take_in(instruct("T1", isin="DE0007164601"), instruct("T1", 2))
    await loops.take_in(instruct("T2", isin="DE0007164601"), instruct("T2", 2))
    await refuse_rows(loops.ledger, "instruction", "NEW.trade_id = 'T1'")
    with capture_logs():
        for item in await loops.parked():
            await loops.command("discard", item.summary.id)
    item = await loops.only_parked()
    assert (item.summary.trade_id, item.summary.code) == ("T1", "event_refused_by_ledger")
    assert await loops.headline("T2", 2) == "recorded"


async def test_a_full_ledger_writes_nothing_of_the_batch_and_takes_it_when_there_is_room(loops: Loops) -> None:
    def allow(pages: int) -> Any:
        return lambda connection: connection.execute(text(f"PRAGMA max_page_count={pages}")).scalar()

    await loops.ledger.execute(allow(1))  # the least is what is used already
    before = await loops.counts()
    events = [instruct(f"T{number}") for number in range(100)]
    with pytest.raises(StoreUnavailable) as caught:
        await loops.take_in(*events)
    assert caught.value.code == "store_full"
    assert await loops.counts() == before
    await loops.ledger.execute(allow(1_000_000))
    assert set(outcomes(await loops.take_in(*events))) == {"instructed"}


# The loop: offsets and pauses -----------------------------------------------------------------------------------------


class Reading:
    """An intake loop on the embedded broker, and what upstream and the group see of it."""

    def __init__(self, loops: Loops, broker: Broker) -> None:
        self.topic, self.group = unique("events"), unique("gateway")
        self.kafka = broker.settings(group=self.group, topics={"trade_events": self.topic})
        self.loops = loops
        self.signals = Signals()

    async def publish(self, bus: Bus, *events: dict[str, Any] | bytes) -> None:
        contents = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
        outcomes = await bus.send(self.topic, [Message(b"key", content) for content in contents])
        assert all(isinstance(outcome, str) for outcome in outcomes)

    async def run(self, bus: Bus, until: Any, overloaded: Callable[[], str | None] = lambda: None) -> None:
        """Run the loop until ``until()`` holds, then stop it as SIGTERM would."""
        settings = settings_for("sqlite:///unused", loops={"retry_initial_seconds": 0.05})
        async with bus.consumer([self.topic]) as consumer:
            loop = IntakeLoop(self.loops.intake, consumer, self.signals, settings, system_clock, overloaded)
            task = asyncio.create_task(loop.run())
            async with asyncio.timeout(40):
                while not await until():
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.02)
            self.signals.stop()
            await task

    async def left(self, bus: Bus) -> int:
        """Return how many records the group has not committed."""
        async with bus.consumer([self.topic]) as consumer:
            found = 0
            for _ in range(6):
                found += len(await consumer.poll(max_records=1000, idle_ms=250))
            return found


@pytest.fixture
async def reading(loops: Loops, embedded_broker: Broker) -> Reading:
    reading = Reading(loops, embedded_broker)
    async with Bus(reading.kafka) as bus:
        await bus.ensure_topics([reading.topic], 1)
    return reading


async def test_poisoned_events_are_parked_the_partition_goes_on_and_offsets_are_committed(reading: Reading) -> None:
    async with Bus(reading.kafka) as bus:
        await reading.publish(bus, b"\xff\x00 not an event", instruct("T1"), b"", instruct("T2"))

        async def recorded() -> bool:
            return len(await reading.loops.rows(tables.event)) == 4

        await reading.run(bus, recorded)
        assert len(await reading.loops.rows(tables.instruction)) == 2
        assert await reading.left(bus) == 0


async def test_while_the_ledger_is_full_nothing_is_committed_and_then_nothing_is_lost(reading: Reading) -> None:
    loops = reading.loops
    full = {"now": True}

    async def pages(count: int) -> None:
        await loops.ledger.execute(
            lambda connection: connection.execute(text(f"PRAGMA max_page_count={count}")).scalar()
        )

    await pages(1)
    async with Bus(reading.kafka) as bus:
        await reading.publish(bus, *(instruct(f"T{number}") for number in range(300)))
        with capture_logs() as logs:

            async def recovered() -> bool:
                waits = [line for line in logs if line["event"] == "ledger.unavailable"]
                if full["now"] and len(waits) >= 3:
                    assert await loops.rows(tables.event) == []
                    assert {line["code"] for line in waits} == {"store_full"}
                    full["now"] = False
                    await pages(1_000_000)
                return len(await loops.rows(tables.instruction)) == 300

            await reading.run(bus, recovered)
        assert "ledger.available_again" in [line["event"] for line in logs]
        assert await reading.left(bus) == 0


async def test_while_the_ledger_cannot_keep_up_events_wait_and_then_nothing_is_lost(reading: Reading) -> None:
    asked: list[int] = []
    causes = {"now": "replies wait"}

    def overloaded() -> str | None:
        asked.append(1)
        return causes.get("now")

    async with Bus(reading.kafka) as bus:
        await reading.publish(bus, *(instruct(f"T{number}") for number in range(300)))
        with capture_logs() as logs:

            async def recovered() -> bool:
                if "now" in causes and len(asked) >= 4:
                    assert await reading.loops.rows(tables.event) == []
                    del causes["now"]
                return len(await reading.loops.rows(tables.instruction)) == 300

            await reading.run(bus, recovered, overloaded)
        told = [(line["event"], line.get("cause")) for line in logs if line["event"].startswith("intake.")]
        assert told == [("intake.paused", "replies wait"), ("intake.resumed", None)]
        assert await reading.left(bus) == 0


@pytest.mark.parametrize(
    ("load", "cause", "eased"),
    [
        (Load(0.1, 10, None), None, None),
        (Load(0.1, 10, 300_000_000), None, None),
        (Load(0.1, 10, 255_000_000), "255 MB left, store.reserve_megabytes is 256", "255 MB"),
        (Load(0.1, 10, 260_000_000), None, "260 MB"),
        (Load(6.0, 10, None), "takes 6.0 s, store.write_seconds_limit is 5", "6.0 s"),
        (Load(3.0, 10, None), None, "3.0 s"),
        (Load(0.1, 20_001, None), "20001 replies wait to be applied, store.unapplied_limit is 20000", "20001"),
        (Load(0.1, 10_001, None), None, "10001"),
    ],
)
def test_only_the_ledger_pauses_the_intake_and_it_goes_on_well_inside_the_limits(
    load: Load, cause: str | None, eased: str | None
) -> None:
    for paused, expected in ((False, cause), (True, eased)):
        said = overload(load, StoreSettings(), paused=paused)
        assert said is None if expected is None else said is not None and expected in said, (paused, said)


async def test_stopping_while_the_ledger_is_away_leaves_the_events_to_be_read_again(reading: Reading) -> None:
    loops = reading.loops
    await loops.ledger.execute(lambda connection: connection.execute(text("PRAGMA max_page_count=1")).scalar())
    async with Bus(reading.kafka) as bus:
        await reading.publish(bus, *(instruct(f"T{number}") for number in range(50)))
        with capture_logs() as logs:

            async def waiting() -> bool:
                return any(line["event"] == "ledger.unavailable" for line in logs)

            await reading.run(bus, waiting)
        assert await loops.rows(tables.event) == []
        assert await reading.left(bus) == 50
