"""The cash leg and the settlement instruction that it pays: shown both ways, and told of each other's end."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.story import whole
from gateway.model.transitions import Dialogue
from gateway.store.views import Story
from tests.loops import REJECTED, SOURCE, Loops, cancel, cancellation_advice, event, instruct, status, transaction
from tests.test_payments import report, returned

SETTLED = {"source": SOURCE, "trade_id": "T1", "instruction_number": 1}
KINDS = {
    "transfer_between_institutions/1": Dialogue.PAYMENT,
    "transfer_for_customer/1": Dialogue.PAYMENT,
    "notify_to_receive/1": Dialogue.NOTICE,
}
PAYS = "transfer_between_institutions/1"


def alerts(story: Story) -> list[str]:
    return [alert.code for entry in story.history for alert in entry.alerts]


def pay(**changes: Any) -> dict[str, Any]:
    return event(PAYS, settlement_of=SETTLED, **changes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["cash", "securities"])
async def test_cash_leg_and_instruction_show_each_other_in_whichever_order_both_come(
    both_loops: Loops, kind: str, first: str
) -> None:
    events = [event(kind, settlement_of=SETTLED), instruct("T1")]
    await both_loops.take_in(*(events if first == "cash" else events[::-1]))
    [cash] = (await both_loops.story("T1", dialogue=KINDS[kind])).links
    [securities] = (await both_loops.story("T1")).links
    assert (cash.direction, cash.relation, cash.dialogue) == ("states", "payment", "settlement")
    assert (securities.direction, securities.relation, securities.dialogue) == ("stated_by", "payment", KINDS[kind])
    out = StringIO()
    Console(file=out, width=200).print(whole(await both_loops.story("T1")))
    assert transaction("T1", 1, KINDS[kind]) in out.getvalue()


async def test_the_cash_leg_is_told_that_its_instruction_is_rejected_and_not_the_other_way_round(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), pay())
    await loops.send()
    await loops.hear(status(REJECTED, transaction("T1")))
    await loops.work_off()
    assert alerts(await loops.story("T1", dialogue=Dialogue.PAYMENT)) == ["linked_instruction_ended"]
    assert "linked_instruction_ended" not in alerts(await loops.story("T1"))


async def test_the_cash_leg_is_told_that_its_instruction_is_cancelled(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), pay())
    await loops.send()
    await loops.take_in(cancel("T1"))
    await loops.send()
    await loops.hear(cancellation_advice(loops.arrived()[-1].business_message_id))
    await loops.work_off()
    assert (await loops.headline("T1")) == "cancelled"
    assert alerts(await loops.story("T1", dialogue=Dialogue.PAYMENT)) == ["linked_instruction_ended"]


@pytest.mark.parametrize("said", ["RJCT", "CANC"])
async def test_an_instruction_is_told_that_its_cash_leg_ends(loops: Loops, said: str) -> None:
    await loops.take_in(instruct("T1"), pay())
    await loops.send()
    await loops.hear(report(said))
    await loops.work_off()
    assert alerts(await loops.story("T1")) == ["linked_instruction_ended"]


async def test_an_instruction_is_told_once_that_its_cash_leg_came_back_in_whole(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), pay())
    await loops.send()
    await loops.hear(report("ACSC"), returned("1234.56", "RTR1"))
    await loops.work_off()
    assert alerts(await loops.story("T1")) == []
    await loops.hear(returned("60000.00", "RTR2"))
    await loops.work_off()
    await loops.hear(returned("60000.00", "RTR2", created_at="2026-03-06T10:00:00Z"))
    await loops.work_off()
    assert alerts(await loops.story("T1")) == ["linked_instruction_ended"]


async def test_a_payment_that_pays_no_instruction_of_ours_goes_with_none(loops: Loops) -> None:
    await loops.take_in(instruct("T1"), event(PAYS))
    assert (await loops.story("T1", dialogue=Dialogue.PAYMENT)).links == ()


async def test_the_legs_of_a_repo_go_with_what_their_linkages_name(loops: Loops) -> None:
    linkages = [{"position": "WITH", "settlement_transaction_id": transaction("T1")}]
    await loops.take_in(instruct("T1"), event("instruct_securities_financing/1", "T2", linkages=linkages))
    [link] = (await loops.story("T1")).links
    assert (link.direction, link.relation, link.trade_id) == ("stated_by", "with", "T2")
