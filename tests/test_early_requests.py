"""Requests that come before the instruction they are about: they wait for it, in their trade's order, for a time."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.events import EVENT_KINDS
from gateway.model.references import transaction_id
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, queries, tables
from gateway.store.migration import upgrade
from tests.loops import CHANNEL, OWN_BIC, SOURCE, Loops, cancel, confirm, instruct, settings_for
from tests.test_allegements import alleged

WAIT = 300.0


def request(kind: str, trade: str = "T1", number: int = 1, **changes: Any) -> dict[str, Any]:
    own = {"event_id": f"{trade}-{kind}-{number}", "source": SOURCE, "trade_id": trade, "instruction_number": number}
    return EVENT_KINDS[kind].minimal | own | {"counterparty": CHANNEL} | changes


async def outcome(loops: Loops, *events: dict[str, Any]) -> list[str]:
    return [result.outcome for result in await loops.take_in(*events)]


async def test_a_cancellation_before_its_instruction_is_applied_when_that_comes_and_nobody_is_told_before(
    both_loops: Loops,
) -> None:
    assert await outcome(both_loops, cancel(), instruct("T2")) == ["waiting", "instructed"]
    assert await both_loops.published("exceptions") == []
    assert await outcome(both_loops, instruct()) == ["held"]
    await both_loops.work_off()
    assert await both_loops.headline() == "withdrawn"
    assert set((await both_loops.dispositions()).values()) == {"applied"}
    assert await both_loops.parked() == await both_loops.parked("waiting") == []
    assert await both_loops.published("exceptions") == []
    await both_loops.prove()


async def test_both_in_one_poll_are_put_into_their_order(loops: Loops) -> None:
    assert await outcome(loops, cancel(), instruct()) == ["waiting", "held"]
    await loops.work_off()
    assert await loops.headline() == "withdrawn"


@pytest.mark.parametrize("kind", ["change_settlement_conditions/1", "query_settlement_status/1"])
async def test_any_request_waits_and_goes_out_behind_its_instruction(loops: Loops, kind: str) -> None:
    assert await outcome(loops, request(kind)) == ["waiting"]
    await loops.take_in(instruct())
    await loops.work_off()
    await loops.send()
    roles = [row["role"] for row in await loops.rows(tables.document)]
    assert roles == ["instruction", EVENT_KINDS[kind].model.role]
    assert len(loops.arrived()) == 2


async def test_a_request_that_waits_survives_a_crash_and_its_repeat_changes_nothing(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    before = Loops(ledger, settings_for(ledger_url))
    await before.take_in(cancel())
    await ledger.close()
    ledger = await Ledger.open(ledger_url)
    try:
        after = Loops(ledger, settings_for(ledger_url), before.time)
        assert await outcome(after, cancel()) == ["duplicate"]
        await after.take_in(instruct())
        await after.work_off()
        assert await outcome(after, cancel()) == ["duplicate"]
        assert await after.headline() == "withdrawn"
    finally:
        await ledger.close()


async def test_the_order_of_the_trade_holds_and_the_instruction_that_is_awaited_passes(both_loops: Loops) -> None:
    """Of two amendments everything comes the wrong way round; what goes out is in order all the same."""
    early = [cancel(), cancel(number=2), instruct(number=2), confirm()]
    assert await outcome(both_loops, *early) == ["waiting", "held", "held", "held"]
    await both_loops.work_off()
    assert await both_loops.rows(tables.instruction) == []
    await both_loops.take_in(instruct())
    await both_loops.work_off()
    assert set((await both_loops.dispositions()).values()) == {"applied"}
    assert [await both_loops.headline(number=number) for number in (1, 2)] == ["withdrawn", "withdrawn"]
    recorded = [(row["dialogue"], row["instruction_number"]) for row in await both_loops.rows(tables.instruction)]
    assert recorded == [("settlement", 1), ("settlement", 2), ("confirmation", 1)]


async def test_a_confirmation_of_the_same_number_is_not_what_a_cancellation_of_settlement_awaits(loops: Loops) -> None:
    await loops.take_in(cancel(), confirm())
    await loops.work_off()
    assert await loops.dispositions() == {"T1-cancel-1": "waiting", "T1-confirm-1": "held"}


async def test_operators_see_what_waits_and_may_discard_it(loops: Loops) -> None:
    await loops.take_in(cancel(), instruct(number=2))
    [row] = await loops.ledger.query(queries.list_parked)
    assert (row.state, row.code, row.instruction_number) == ("waiting", "cancel_unknown_instruction", 1)
    counted = await loops.ledger.query(queries.counts)
    assert (counted.waiting_requests, counted.held_events, counted.parked) == (1, 1, {})
    assert (await loops.command("release", row.id)).state == "refused"
    assert (await loops.command("discard", row.id)).state == "done"
    assert await loops.headline(number=2) == "recorded"


async def test_the_wait_is_bounded_then_it_is_parked_and_told_and_holds_its_trade_until_somebody_acts(
    both_loops: Loops,
) -> None:
    await both_loops.take_in(cancel())
    await both_loops.take_in(instruct(number=2))
    both_loops.time.move(WAIT - 10)
    await both_loops.work_off()
    assert await both_loops.parked() == []
    both_loops.time.move(20)
    await both_loops.work_off()
    item = await both_loops.only_parked()
    assert (item.summary.code, item.holding) == ("cancel_unknown_instruction", 1)
    assert item.violations[0].path == "instruction_number"
    [told] = await both_loops.published("exceptions")
    assert (told["code"], told["parked_id"]) == ("cancel_unknown_instruction", item.summary.id)
    await both_loops.command("discard", item.summary.id)
    assert await both_loops.headline(number=2) == "recorded"


async def test_without_a_wait_it_is_parked_at_once(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    try:
        loops = Loops(ledger, settings_for(ledger_url, loops={"instruction_wait_seconds": 0}))
        [result] = await loops.take_in(cancel())
        assert (result.outcome, result.code) == ("parked", "cancel_unknown_instruction")
    finally:
        await ledger.close()


async def test_an_awaited_instruction_that_is_parked_itself_holds_the_request_until_it_is_repaired(
    loops: Loops,
) -> None:
    await loops.take_in(cancel(), instruct(isin="DE0007164601"))
    await loops.work_off()
    # It cannot be read, so it is not known to be what is awaited: it waits its turn, which comes when the wait ends.
    assert await loops.dispositions() == {"T1-cancel-1": "waiting", "T1-instruct-1": "held"}
    query = request("query_settlement_status/1", "T2")
    await loops.take_in(query, instruct("T2", transaction_type="ZZZZ"))
    await loops.work_off()
    assert (await loops.dispositions())[query["event_id"]] == "held"
    item = await loops.only_parked()
    assert (item.summary.code, item.holding) == ("code_not_in_version", 1)
    await loops.command("discard", item.summary.id)
    assert (await loops.dispositions())[query["event_id"]] == "waiting"


async def test_an_awaited_instruction_that_cannot_be_sent_is_closed_by_the_cancellation_that_waits_for_it(
    both_loops: Loops,
) -> None:
    await both_loops.take_in(cancel(), instruct(transaction_type="ZZZZ"), instruct(number=2))
    await both_loops.work_off()
    assert await both_loops.dispositions() == {
        "T1-cancel-1": "applied",
        "T1-instruct-1": "cancelled",
        "T1-instruct-2": "applied",
    }
    assert await both_loops.parked() == await both_loops.parked("waiting") == []


async def test_an_answer_to_an_allegement_waits_for_the_allegement(both_loops: Loops) -> None:
    answer = request("answer_allegement/1", "ALLEGED1", pending="forwarded", source="operations")
    assert await outcome(both_loops, answer) == ["waiting"]
    await both_loops.hear(alleged())
    await both_loops.work_off()
    name = transaction_id(OWN_BIC, CHANNEL, "ALLEGED1", Dialogue.ALLEGEMENT, 1)
    [story] = await both_loops.ledger.query(lambda connection: queries.show_instruction(connection, name))
    assert story.instruction.headline == "answered"
    await both_loops.send()
    assert len(both_loops.arrived()) == 1
