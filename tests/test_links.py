"""What goes with what: links resolved in whichever order both come, shown both ways, and marked when a part ends."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import text

from gateway.cli.story import whole
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.facts import InstructionName, Link
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, tables
from gateway.store.links import Links, linked_with
from gateway.store.migration import upgrade
from gateway.store.statements import Statements
from gateway.store.views import LinkView, Story
from tests.examples import document, encode
from tests.loops import (
    ACCEPTED,
    OTHER,
    REJECTED,
    Loops,
    cancel,
    confirm,
    envelope,
    instruct,
    settings_for,
    status,
    transaction,
)
from tests.test_early_requests import request


def after(trade: str, **reference: str) -> dict[str, Any]:
    """Return an instruction that settles after another one."""
    return instruct(trade, linkages=[{"position": "AFTE", **reference}])


def seen(story: Story) -> list[tuple[str, str, str | None, str | None]]:
    return [(link.direction, link.relation, link.trade_id, link.headline) for link in story.links]


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


async def reject(loops: Loops, trade: str, **names: Any) -> None:
    await loops.send()
    await loops.hear(status(REJECTED, transaction(trade), identifier=f"REJECTED-{trade}", **names))
    await loops.work_off()


# What events say ------------------------------------------------------------------------------------------------------


def test_every_reference_of_the_events_becomes_a_link() -> None:
    settlement = parse_event(encode(document("instruct_settlement/1"))).links()
    assert settlement == (
        Link("after", "TX-1"),
        Link("linked", "SERVICER-2", "account_servicer_transaction_id"),
        Link("linked", "MITI-3", "market_infrastructure_transaction_id"),
        Link("allocation", "POOL-4", "pool_id"),
        Link("linked", "OTHER-5"),
    )
    confirmation = parse_event(encode(document("confirm_trade/1"))).links()
    assert {(link.relation, link.names) for link in confirmation} == {
        ("reference", "transaction_id"),
        ("reference", "market_infrastructure_transaction_id"),
        ("block", "block_id"),
        ("allocation", "allocation_id"),
        ("allocation", "individual_allocation_id"),
        ("reference", "pool_id"),
        ("reference", "common_reference"),
        ("reference", "collateral_transaction_id"),
        ("reference", "unique_transaction_id"),
    }
    assert parse_event(encode(document("cancel_settlement/1"))).links() == ()


# Resolved in whichever order ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["the one that states it", "the one that is named"])
async def test_a_link_is_found_in_whichever_order_both_come_and_from_both_sides(both_loops: Loops, first: str) -> None:
    events = [after("T2", settlement_transaction_id=transaction("T1")), instruct("T1")]
    await both_loops.take_in(*(events if first == "the one that states it" else events[::-1]))
    assert seen(await both_loops.story("T2")) == [("states", "after", "T1", "recorded")]
    assert seen(await both_loops.story("T1")) == [("stated_by", "after", "T2", "recorded")]


async def test_a_name_that_nobody_has_is_shown_as_it_was_said(loops: Loops) -> None:
    await loops.take_in(after("T2", settlement_transaction_id="NOBODYS"))
    [link] = (await loops.story("T2")).links
    assert link == LinkView("states", "after", "transaction_id", "NOBODYS", ended=False)


async def test_the_servicers_and_the_infrastructures_names_are_found_once_they_are_known(both_loops: Loops) -> None:
    await both_loops.take_in(
        after("T2", account_servicer_transaction_id="SERVICER-1"),
        after("T3", market_infrastructure_transaction_id="MITI-1"),
        instruct("T1"),
    )
    await both_loops.send()
    assert [link.trade_id for link in (await both_loops.story("T2")).links] == [None]
    names = (
        f"<TxId><AcctOwnrTxId>{transaction('T1')}</AcctOwnrTxId><AcctSvcrTxId>SERVICER-1</AcctSvcrTxId>"
        "<MktInfrstrctrTxId>MITI-1</MktInfrstrctrTxId></TxId>"
    )
    body = f"<SctiesSttlmTxStsAdvc>{names}{ACCEPTED}</SctiesSttlmTxStsAdvc>"
    await both_loops.hear(envelope("sese.024.001.14", body, "STATUS1"))
    for trade in ("T2", "T3"):
        assert seen(await both_loops.story(trade)) == [("states", "after", "T1", "accepted")]
    assert {link.trade_id for link in (await both_loops.story("T1")).links} == {"T2", "T3"}


async def test_a_servicers_name_means_nothing_with_another_servicer(loops: Loops) -> None:
    await loops.take_in(instruct("T1"))
    await loops.send()
    await loops.hear(status(ACCEPTED, transaction("T1")))
    await loops.take_in(after("T2", account_servicer_transaction_id="SERVICER-1") | {"counterparty": OTHER})
    assert [link.trade_id for link in (await loops.story("T2")).links] == [None]
    assert (await loops.story("T1")).links == ()


async def test_a_block_and_its_allocations_belong_together(both_loops: Loops) -> None:
    pool = [{"pool_id": "POOL-1"}]
    await both_loops.take_in(
        instruct("A1", linkages=pool, block_trade="BLCH"),
        instruct("B", linkages=pool, block_trade="BLPA"),
        instruct("A2", linkages=pool, block_trade="BLCH"),
        confirm("C1", references=[{"block_id": "BLOCK-1"}]),
        confirm("C2", references=[{"block_id": "BLOCK-1"}, {"allocation_id": "ALLOC-1"}]),
    )
    assert seen(await both_loops.story("B")) == [
        ("shares", "block", "A1", "recorded"),
        ("shares", "block", "A2", "recorded"),
    ]
    assert {link.trade_id for link in (await both_loops.story("A1")).links} == {"B", "A2"}
    confirmation = await both_loops.story("C2", dialogue=Dialogue.CONFIRMATION)
    assert seen(confirmation) == [("shares", "block", "C1", "recorded"), ("shares", "allocation", None, None)] or seen(
        confirmation
    ) == [("shares", "allocation", None, None), ("shares", "block", "C1", "recorded")]


async def test_the_common_reference_of_another_instruction_is_found(loops: Loops) -> None:
    await loops.take_in(
        confirm("C1", references=[{"common_id": "COMMON-1"}]), instruct("T1", common_reference="COMMON-1")
    )
    assert [link.trade_id for link in (await loops.story("C1", dialogue=Dialogue.CONFIRMATION)).links] == ["T1"]
    assert seen(await loops.story("T1")) == [("stated_by", "reference", "C1", "recorded")]


async def test_an_event_may_name_an_instruction_as_upstream_does(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    name = InstructionName("equities-desk", "T1", 1, "settlement")
    kind = EVENT_KINDS["instruct_settlement/1"].model
    monkeypatch.setattr(kind, "links", lambda event: (Link("payment", name),) if event.trade_id == "T2" else ())
    await loops.take_in(instruct("T2"), instruct("T1"))
    assert seen(await loops.story("T2")) == [("states", "payment", "T1", "recorded")]


async def test_linking_and_unlinking_by_a_request_holds_from_its_completion(loops: Loops) -> None:
    linkages = [{"position": "WITH", "settlement_transaction_id": transaction("T1")}]
    link = request("change_settlement_conditions/1", "T2", linkage="LINK", linkages=linkages, event_id="link")
    del link["hold"]
    await loops.take_in(instruct("T1"), instruct("T2"))
    await loops.send()
    await loops.take_in(link)
    assert seen(await loops.story("T2")) == [("states", "with", "T1", "sent")]
    await loops.take_in(link | {"linkage": "UNLK", "event_id": "unlink"})
    await loops.send()
    assert [found.ended for found in (await loops.story("T2")).links] == [False]
    asked = loops.arrived()[-1].business_message_id
    body = f"<ReqRef>{asked}</ReqRef><PrcgSts><Cmpltd/></PrcgSts>"
    root = "SctiesSttlmCondModStsAdvc"
    await loops.hear(envelope("sese.031.001.11", f"<{root}>{body}</{root}>", "UNLINKED1"))
    assert await loops.parked() == []
    assert [found.ended for found in (await loops.story("T2")).links] == [True]
    await reject(loops, "T1", servicer_id="SERVICER-T1")
    assert alerts(await loops.story("T2")) == []


# A part that ends marks the rest --------------------------------------------------------------------------------------


async def test_a_rejected_part_marks_the_rest_once_in_history_and_upstream(both_loops: Loops) -> None:
    await both_loops.take_in(
        instruct("T1"),
        after("T2", settlement_transaction_id=transaction("T1")),
        after("T3", settlement_transaction_id=transaction("T1")),
        instruct("T4"),
    )
    await both_loops.work_off()
    await reject(both_loops, "T1")
    for trade in ("T2", "T3"):
        story = await both_loops.story(trade)
        assert alerts(story) == ["linked_instruction_ended"]
        entry = story.history[-1]
        assert (entry.action, entry.actor, entry.cause) == ("linked_ended", "gateway", f"link:{transaction('T1')}")
        assert "T1 #1, linked as after) is rejected" in entry.alerts[0].text
        assert story.instruction.headline == "sent"
    assert alerts(await both_loops.story("T4")) == []
    told = [event for event in await both_loops.published("status") if event["action"] == "linked_ended"]
    assert [event["trade_id"] for event in told] == ["T2", "T3"]
    # What clears the rejected one from the books is no second end.
    cancelled = "<PrcgSts><Canc><NoSpcfdRsn>NORE</NoSpcfdRsn></Canc></PrcgSts>"
    await both_loops.hear(status(cancelled, transaction("T1"), identifier="CLEARED", created_at="2026-03-02T12:00:00Z"))
    await both_loops.work_off()
    assert alerts(await both_loops.story("T2")) == ["linked_instruction_ended"]
    await both_loops.prove()


async def test_a_withdrawal_marks_too_and_what_ended_itself_is_left_alone(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), after("T2", settlement_transaction_id=transaction("T1")))
    await loops.take_in(cancel("T1"), cancel("T2"))
    await loops.work_off()
    assert [alerts(await loops.story(trade)) for trade in ("T1", "T2")] == [[], []]
    await loops.take_in(instruct("T3"), after("T4", settlement_transaction_id=transaction("T3")))
    await loops.take_in(cancel("T4"))
    await loops.work_off()
    assert alerts(await loops.story("T3")) == ["linked_instruction_ended"]


async def test_what_states_a_link_to_one_that_has_ended_is_marked_when_it_comes(loops: Loops) -> None:
    await loops.take_in(instruct("T1"))
    await reject(loops, "T1")
    await loops.take_in(after("T2", settlement_transaction_id=transaction("T1")))
    await loops.work_off()
    await loops.work_off()
    assert alerts(await loops.story("T2")) == ["linked_instruction_ended"]


async def test_an_end_that_is_told_with_the_servicers_name_reaches_who_links_by_it(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), after("T2", account_servicer_transaction_id="SERVICER-1"))
    await reject(loops, "T1")
    assert alerts(await loops.story("T2")) == ["linked_instruction_ended"]


async def test_marking_survives_a_crash_between_the_end_and_the_marking_and_happens_once(ledger_url: str) -> None:
    await upgrade(ledger_url)
    ledger = await Ledger.open(ledger_url)
    before = Loops(ledger, settings_for(ledger_url))
    await before.take_in(instruct("T1"), after("T2", settlement_transaction_id=transaction("T1")))
    await before.send()
    await before.hear(status(REJECTED, transaction("T1")))
    await ledger.close()
    ledger = await Ledger.open(ledger_url)
    try:
        now = Loops(ledger, settings_for(ledger_url), before.time)
        assert alerts(await now.story("T2")) == []
        await now.work_off()
        await now.work_off()
        assert alerts(await now.story("T2")) == ["linked_instruction_ended"]
        assert await now.rows(tables.recheck) == []
        await now.prove()
    finally:
        await ledger.close()


async def test_operators_see_links_on_the_terminal(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), after("T2", settlement_transaction_id=transaction("T1")))
    console = Console(width=200, file=StringIO())
    console.print(whole(await loops.story("T2")))
    assert isinstance(console.file, StringIO)
    assert f"transaction_id {transaction('T1')}" in console.file.getvalue()


async def test_links_are_answered_from_an_index(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), after("T2", settlement_transaction_id=transaction("T1")))
    seen: list[str] = []

    def work(connection: Any) -> list[str]:
        class Watched:
            def execute(self, statement: Any) -> Any:
                compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
                seen.append(str(compiled))
                return connection.execute(statement)

        for number in (1, 2):
            linked_with(Watched(), number)  # type: ignore[arg-type]  # it watches what is asked
        watched: Any = Watched()
        Links(watched, Statements(connection.dialect), loops.time.now).parted([1, 2])
        steps = [step[3] for one in seen for step in connection.execute(text(f"EXPLAIN QUERY PLAN {one}"))]
        return [step for step in steps if step.startswith("SCAN")]

    assert await loops.ledger.query(work) == []
    assert len(seen) > 3
