"""The simulated counterparty in FIN beyond settlement: payments, movements, trades that both sides confirm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.simulator import Initiative, outcomes, read_book
from gateway.simulator.answers import Answer
from gateway.simulator.arrival import Arrival
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk
from tests.dialogues import FAMILIES, FIN, Family, is_said, sides
from tests.loops import CHANNEL, OWN_BIC, Loops, event
from tests.test_fin_exchange import alleged, amend, cancel, instruct, name_of
from tests.test_fin_exchange import ours as ours_of
from tests.test_fin_simulator import NOON, answered, tools, validator, values

TRADE = {
    "trade_date": "2026-03-02",
    "settlement_date": "2026-03-04",
    "bought": "1000000.00",
    "bought_currency": "EUR",
    "sold": "1083500.00",
    "sold_currency": "USD",
    "rate": "1.0835",
}


async def arrivals(loops: Loops, family: Family) -> list[Arrival]:
    """Return what arrives of a dialogue and of everything that may be asked in it."""
    parties = sides(CHANNEL) if family.dialogue == "exchange_confirmation" else {}
    begun: dict[str, Any] = {**family.changes, **parties}
    asked = [one for requests in family.requests.values() for one in requests]
    for number, said in enumerate([{"schema": family.event} | begun, *(one | parties for one in asked)]):
        one = event(said["schema"], **said, event_id=f"E{number}")
        [result] = await loops.take_in(one)
        assert result.outcome != "parked", (said, await loops.parked())
        await loops.send()
    reader, _ = tools()
    return [reader.read("k", message.content) for message in loops.arrived()]


def said_to(arrival: Arrival) -> list[tuple[str, Answer, bytes]]:
    """Return everything that any scenario says to an arrival, with the scenario's name."""
    _, writer = tools()
    return [
        (scenario.name, answer, writer.write(arrival, answer))
        for scenario in read_scenarios()
        if scenario.dialogue == arrival.dialogue and is_said(scenario, FIN)
        for answer in writer.plan(1, NOON, arrival, scenario, standing=("accepted", "unmatched:CMIS"))
    ]


@pytest.mark.parametrize("family", FAMILIES[FIN], ids=lambda family: family.event)
async def test_everything_of_ours_is_read_and_every_answer_to_it_is_valid(fin_loops: Loops, family: Family) -> None:
    read = await arrivals(fin_loops, family)
    assert {arrival.dialogue for arrival in read} == {family.dialogue, *family.requests}
    for arrival in read:
        assert arrival.valid, arrival.violations
        assert arrival.transaction_id == read[0].transaction_id
        for scenario, answer, content in said_to(arrival):
            found = [one.text for one in validator().check(content).violations if one.severity == "error"]
            assert bool(found) == (answer.document is None), (scenario, answer.step, found, content)


@pytest.mark.parametrize(
    ("kind", "types"),
    [
        ("transfer_for_customer/1", {"MT199", "MT900", "MT202", "F21", "MT196"}),
        ("transfer_between_institutions/1", {"MT299", "MT900", "MT202", "F21", "MT296"}),
        ("notify_to_receive/1", {"MT910", "F21"}),
        ("instruct_intra_position_movement/1", {"MT548", "MT508", "F21"}),
        ("instruct_foreign_exchange/1", {"MT300", "F21"}),
    ],
)
async def test_answers_are_of_the_category_of_what_they_answer(fin_loops: Loops, kind: str, types: set[str]) -> None:
    family = next(one for one in FAMILIES[FIN] if one.event == kind)
    said = [one for arrival in await arrivals(fin_loops, family) for one in said_to(arrival)]
    assert {answer.message_definition for _, answer, _ in said} - {None} == types


# Trades that both sides confirm ---------------------------------------------------------------------------------------


def exchange(**changes: Any) -> dict[str, Any]:
    return instruct(**sides(CHANNEL), **changes)


async def test_what_it_buys_is_what_we_sell(fin_loops: Loops) -> None:
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    arrival = tools()[0].read("k", fin_loops.arrived()[0].content)
    content = next(content for name, _, content in said_to(arrival) if name == "exchange-confirmed")
    paths = ("B/B1/32B/amount", "B/B2/33B/amount", "A/82A/bic", "A/87A/bic", "A/22C/reference_code")
    assert values(content, *paths) == ["1083500.00", "1000000.00", CHANNEL, OWN_BIC, "0835"]


@pytest.mark.parametrize(
    ("scenario", "ours", "theirs"),
    [
        ("exchange-confirmed", "confirmed", "agrees"),
        ("exchange-acknowledged", "confirmed", "agrees"),
        ("exchange-differs", "unmatched", "differs"),
        ("exchange-amended", "confirmed", "agrees"),
        ("exchange-amended-away", "unmatched", "differs"),
        ("exchange-late", "confirmed", "agrees"),
        ("exchange-withdrawn", "unmatched", "withdrawn"),
        ("exchange-duplicates", "confirmed", "agrees"),
        ("exchange-unanswered", "sent", None),
        ("refused", "refused", None),
    ],
)
async def test_both_sides_agree_where_a_trade_ends(
    fin_loops: Loops, tmp_path: Path, scenario: str, ours: str, theirs: str | None
) -> None:
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    await answered(fin_loops, tmp_path / "book", scenario)
    _, writer = tools()
    reference = writer.identifier("servicer", name_of())
    [entry] = read_book(tmp_path / "book")
    assert entry.scenario == scenario
    story = await ours_of(fin_loops)
    axes = {name: axis.status.value for name, axis in (story.state.axes or {}).items()}
    assert (story.instruction.headline, axes) == (ours, outcomes([entry])[name_of()].axes)
    if theirs is not None:
        assert (await alleged(fin_loops, reference)).instruction.headline == theirs
    await fin_loops.prove()


@pytest.mark.parametrize(
    ("answer", "ours", "theirs"),
    [("exchange-amended-too", "confirmed", "agrees"), ("exchange-amendment-unanswered", "unmatched", "differs")],
)
async def test_it_amends_its_own_as_we_amend_ours(
    fin_loops: Loops, tmp_path: Path, answer: str, ours: str, theirs: str
) -> None:
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", answer)
    await fin_loops.take_in(amend(**sides(CHANNEL)))
    await fin_loops.send()
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", answer)
    await fin_loops.work_off()
    reference = tools()[1].identifier("servicer", name_of())
    assert await headline(fin_loops) == ours
    assert (await alleged(fin_loops, reference)).instruction.headline == theirs


@pytest.mark.parametrize(
    ("answer", "theirs"), [("exchange-withdrawn-too", "withdrawn"), ("exchange-stands", "alleged")]
)
async def test_it_withdraws_its_own_as_we_cancel_ours(
    fin_loops: Loops, tmp_path: Path, answer: str, theirs: str
) -> None:
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", answer)
    await fin_loops.take_in(cancel(**sides(CHANNEL)))
    await fin_loops.send()
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", answer)
    await fin_loops.work_off()
    reference = tools()[1].identifier("servicer", name_of())
    assert await headline(fin_loops) == "cancelled"
    assert (await alleged(fin_loops, reference)).instruction.headline == theirs


async def headline(loops: Loops) -> str:
    return (await ours_of(loops)).instruction.headline


async def test_it_may_confirm_a_trade_first(fin_loops: Loops) -> None:
    _, writer = tools()
    desk = Desk(writer, read_scenarios(), ())
    desk.begin([Initiative("FIRST", ("fx-alleged",), TRADE)], NOON)
    [(answer, arrival)] = desk.due(NOON.replace(hour=13), 10)
    await fin_loops.hear(writer.write(arrival, answer))
    assert (await alleged(fin_loops, "FIRST")).instruction.headline == "alleged"
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    await fin_loops.work_off()
    assert (await headline(fin_loops), (await alleged(fin_loops, "FIRST")).instruction.headline) == (
        "confirmed",
        "agrees",
    )


@pytest.mark.parametrize("asks", [amend, cancel], ids=["amendment", "cancellation"])
async def test_what_the_network_refuses_to_say_of_a_trade_was_never_said(
    fin_loops: Loops, tmp_path: Path, asks: Any
) -> None:
    await fin_loops.take_in(exchange())
    await fin_loops.send()
    refusals = ("exchange-amendment-refused", "exchange-cancellation-refused")
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", *refusals)
    await fin_loops.take_in(asks(**sides(CHANNEL)))
    await fin_loops.send()
    await fin_loops.work_off()
    assert await headline(fin_loops) != "confirmed"
    await answered(fin_loops, tmp_path / "book", "exchange-confirmed", *refusals)
    await fin_loops.work_off()
    story = await ours_of(fin_loops)
    assert story.instruction.headline == "confirmed"
    assert [asked.status.value for asked in (story.state.requests or {}).values()] == ["rejected"]
    assert "network_refused" in [alert.code for entry in story.history for alert in entry.alerts]
    assert await fin_loops.parked() == []
    [again] = await fin_loops.take_in(asks(**sides(CHANNEL)) | {"event_id": "AGAIN"})
    assert again.outcome != "parked"
    await fin_loops.prove()
