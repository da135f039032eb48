"""Operators' commands: carried out on the normal path, with who and why on record, the original kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.store import ArchiveState, queries, tables
from gateway.store.views import CommandRefused
from tests.loops import (
    ACCEPTED,
    CHANNEL,
    MATCHED,
    Loops,
    cancel,
    instruct,
    party,
    refuse_rows,
    refused,
    settings_for,
    status,
    transaction,
)

BAD = instruct(isin="DE0007164601")


def content(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


async def park(loops: Loops, *events: dict[str, object]) -> int:
    """Take in a bad event and what follows it; returns the parked item's number."""
    await loops.take_in(*(events or (BAD,)))
    return (await loops.parked())[0].summary.id


# Events ---------------------------------------------------------------------------------------------------------------


async def test_a_repaired_event_goes_on_as_if_it_had_come_so(both_loops: Loops) -> None:
    number = await park(both_loops, BAD, instruct(number=2))
    view = await both_loops.command("repair", number, content(instruct()))
    assert (view.state, view.answer) == ("done", f"released: instructed {transaction()}")
    await both_loops.send()
    assert [item.key for item in both_loops.arrived()] == [transaction(), transaction(number=2)]
    await both_loops.prove()


async def test_the_original_is_kept_and_user_reason_and_repair_are_on_record(both_loops: Loops) -> None:
    number = await park(both_loops)
    await both_loops.command("repair", number, content(instruct()))
    [item] = await both_loops.parked("released")
    assert item.original == content(BAD).decode()
    assert item.repaired == content(instruct()).decode()
    assert (item.summary.closed_by, item.summary.reason) == ("alice", "as agreed")
    assert [(c.kind, c.actor, c.reason, c.state) for c in item.commands] == [("repair", "alice", "as agreed", "done")]
    [event] = await both_loops.rows(tables.event)
    assert (event["content"], event["disposition"]) == (content(BAD), "applied")


async def ends(loops: Loops) -> list[dict[str, Any]]:
    """Return what was told upstream of the ends of parked items."""
    return [told for told in await loops.published("exceptions") if told["schema"] == "exception_closed/1"]


async def test_the_end_of_a_parked_event_is_told_under_its_number_and_key(both_loops: Loops) -> None:
    number = await park(both_loops)
    await both_loops.command("release", number)  # refused: its cause is still there
    assert await ends(both_loops) == []
    await both_loops.command("repair", number, content(instruct()))
    [told] = await ends(both_loops)
    assert (told["parked_id"], told["status_id"]) == (number, f"parked-{number}-closed")
    assert (told["stage"], told["code"], told["outcome"]) == ("event", "event_invalid", "repaired")
    assert (told["closed_by"], told["reason"], told["trade_id"]) == ("alice", "as agreed", "T1")
    rows = [row for row in await both_loops.rows(tables.publication) if row["topic"] == "exceptions"]
    assert [row["message_key"] for row in rows] == ["T1", "T1"]


async def test_every_way_in_which_something_parked_ends_is_told_once(loops: Loops) -> None:
    number = await park(loops)
    await loops.command("discard", number)
    await loops.take_in(instruct("T2", isin="DE0007164601"), cancel("T2"))
    await loops.hear(status(ACCEPTED, "NOBODYS"))
    [reply] = await loops.parked()
    await loops.command("release", reply.summary.id)
    await loops.apply()
    [again] = await loops.parked()
    await loops.command("discard", again.summary.id)
    assert [(told["parked_id"], told["outcome"]) for told in await ends(loops)] == [
        (1, "discarded"),
        (2, "cancelled"),
        (reply.summary.id, "released"),
        (again.summary.id, "discarded"),
    ]


async def test_the_end_of_a_parked_send_is_told_when_its_instruction_is_cancelled(loops: Loops) -> None:
    loops.wires[CHANNEL].fates = [refused]
    await loops.take_in(instruct())
    await loops.send()
    [item] = await loops.parked()
    await loops.take_in(cancel())
    [told] = await ends(loops)
    assert (told["parked_id"], told["stage"], told["outcome"]) == (item.summary.id, "send", "cancelled")


async def test_a_release_whose_cause_is_still_there_is_refused_and_leaves_the_item_open(both_loops: Loops) -> None:
    number = await park(both_loops, instruct(), instruct(event_id="again"))
    view = await both_loops.command("release", number)
    assert view.state == "refused"
    assert "still refused" in (view.answer or "")
    assert (await both_loops.only_parked()).summary.id == number


async def test_a_released_event_passes_once_its_counterparty_is_configured(loops: Loops) -> None:
    number = await park(loops, instruct(counterparty="NEWBGB2LXXX"))
    url = loops.settings.store.url.get_secret_value()
    restarted = Loops(loops.ledger, settings_for(url, counterparties=[party("NEWBGB2LXXX")]), loops.time)
    assert (await restarted.command("release", number)).state == "done"
    await restarted.send("NEWBGB2LXXX")
    assert len(restarted.arrived("NEWBGB2LXXX")) == 1


@pytest.mark.parametrize(
    "change",
    [{"trade_id": "T2"}, {"source": "bonds-desk"}, {"event_id": "another"}],
    ids=["trade", "source", "event"],
)
async def test_a_repair_that_changes_whose_event_it_is_is_refused(loops: Loops, change: dict[str, object]) -> None:
    number = await park(loops)
    view = await loops.command("repair", number, content(instruct(**change)))
    assert view.state == "refused"
    assert "keeps source, event_id and trade_id" in (view.answer or "")
    assert await loops.rows(tables.instruction) == []


async def test_a_repair_that_is_still_wrong_is_refused_with_what_is_wrong(loops: Loops) -> None:
    number = await park(loops)
    view = await loops.command("repair", number, content(instruct(isin="DE0007164602")))
    assert view.state == "refused"
    assert "isin" in (view.answer or "")
    assert (await loops.only_parked()).repaired is None


async def test_a_repair_may_take_another_number_when_its_own_is_taken(loops: Loops) -> None:
    await loops.take_in(instruct())
    number = await park(loops, instruct(event_id="again"))
    view = await loops.command("repair", number, content(instruct(event_id="again", number=2)))
    assert view.state == "done"
    assert await loops.headline("T1", 2) == "recorded"


async def test_a_conflicting_event_can_be_repaired_into_an_instruction_of_its_own(loops: Loops) -> None:
    await loops.take_in(instruct())
    number = await park(loops, instruct(safekeeping_account="CUST-2"))
    view = await loops.command("repair", number, content(instruct(safekeeping_account="CUST-2", instruction_number=2)))
    assert view.state == "done", view
    assert await loops.headline("T1", 2) == "recorded"


async def test_an_identifier_may_hold_any_character_and_still_be_released(loops: Loops) -> None:
    number = await park(loops, instruct(event_id="desk#7#a", isin="DE0007164601"))
    view = await loops.command("repair", number, content(instruct(event_id="desk#7#a")))
    assert view.state == "done", view


async def test_undecodable_bytes_can_be_repaired_into_an_event(both_loops: Loops) -> None:
    await both_loops.take_in(b"\xff\x00", instruct("T2"))
    number = (await both_loops.only_parked()).summary.id
    refusal = await both_loops.command("repair", number, content(instruct("T2")))
    assert (refusal.state, "is here already" in (refusal.answer or "")) == ("refused", True)
    assert (await both_loops.command("repair", number, content(instruct()))).state == "done"
    assert await both_loops.headline() == "recorded"


async def test_a_discarded_event_stays_on_record_and_its_trade_goes_on(both_loops: Loops) -> None:
    number = await park(both_loops, BAD, instruct(number=2))
    await both_loops.command("discard", number)
    assert await both_loops.dispositions() == {"T1-instruct-1": "discarded", "T1-instruct-2": "applied"}
    assert [result.outcome for result in await both_loops.take_in(BAD)] == ["duplicate"]


async def test_a_cancelled_item_cannot_be_released(both_loops: Loops) -> None:
    number = await park(both_loops)
    await both_loops.take_in(cancel())
    refusal = await both_loops.ledger.execute(
        lambda connection: queries.submit_command(
            connection, "release", number, None, "bob", "please", both_loops.time()
        )
    )
    assert isinstance(refusal, CommandRefused)
    assert refusal.code == "parked_closed"


async def test_a_command_given_before_the_item_was_cancelled_is_refused_in_its_turn(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [refused]
    await both_loops.send()
    number = (await both_loops.only_parked()).summary.id
    command = await both_loops.ledger.execute(
        lambda connection: queries.submit_command(
            connection, "release", number, None, "bob", "please", both_loops.time()
        )
    )
    assert isinstance(command, int)
    await both_loops.take_in(cancel())
    await both_loops.work_off()
    view = await both_loops.ledger.query(lambda connection: queries.await_command(connection, command))
    assert view is not None
    assert (view.state, view.answer) == ("refused", f"parked item {number} is cancelled already")
    await both_loops.send()
    assert both_loops.arrived() == []


# Sends and replies ----------------------------------------------------------------------------------------------------


async def test_a_command_on_a_send_enters_the_instructions_history_with_its_user(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    both_loops.wires[CHANNEL].fates = [refused]
    await both_loops.send()
    await both_loops.command("release", (await both_loops.only_parked()).summary.id)
    entry = (await both_loops.story()).history[-1]
    assert (entry.action, entry.actor, entry.cause) == ("send_released", "alice", "command:1")
    await both_loops.prove()


async def test_a_send_cannot_be_repaired(loops: Loops) -> None:
    await loops.take_in(instruct())
    loops.wires[CHANNEL].fates = [refused]
    await loops.send()
    view = await loops.command("repair", (await loops.only_parked()).summary.id, b"<x/>")
    assert view.state == "refused"
    assert "discard it and send a corrected event" in (view.answer or "")


async def test_a_parked_reply_is_applied_after_release_once_its_instruction_is_known(both_loops: Loops) -> None:
    await both_loops.hear(status(MATCHED))
    await both_loops.take_in(instruct())
    await both_loops.send()
    assert (await both_loops.command("release", (await both_loops.only_parked()).summary.id)).state == "done"
    await both_loops.apply()
    assert await both_loops.headline() == "matched"


async def test_a_repaired_reply_is_applied_and_the_original_bytes_stay(both_loops: Loops) -> None:
    await both_loops.take_in(instruct())
    await both_loops.send()
    broken = status("<MtchgSts><Mtched/></MtchgSts>")
    await both_loops.hear(broken)
    await both_loops.command("repair", (await both_loops.only_parked()).summary.id, status(MATCHED))
    await both_loops.apply()
    assert await both_loops.headline() == "matched"
    [kept] = await both_loops.rows(tables.archive)
    assert (kept["content"], kept["repaired"]) == (broken, status(MATCHED))


async def test_a_released_reply_that_fails_again_is_parked_again(loops: Loops) -> None:
    await loops.hear(status(MATCHED))
    await loops.command("release", (await loops.only_parked()).summary.id)
    await loops.apply()
    assert (await loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_a_discarded_reply_stays_in_the_archive(loops: Loops) -> None:
    await loops.hear(status(ACCEPTED))
    await loops.command("discard", (await loops.only_parked()).summary.id)
    assert [row["state"] for row in await loops.rows(tables.archive)] == [ArchiveState.DISCARDED]
    assert await loops.apply() == 0


# One bad command never stops the others -------------------------------------------------------------------------------


async def test_a_command_that_the_ledger_refuses_is_answered_and_the_next_one_done(loops: Loops) -> None:
    first = await park(loops)
    second = await park(loops, instruct("T2", isin="DE0007164601"))
    assert first == second
    second = (await loops.parked())[1].summary.id
    await refuse_rows(loops.ledger, "instruction", "NEW.trade_id = 'T1'")
    with capture_logs():
        view = await loops.command("repair", first, content(instruct()))
    assert view.state == "refused"
    assert (await loops.command("repair", second, content(instruct("T2")))).state == "done"
    assert (await loops.only_parked()).summary.trade_id == "T1"
