"""The gateway against the simulated central system: what both hold of a foreign exchange trade is the same."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk
from gateway.simulator.scenario import Delays, Scenario
from gateway.simulator.tables import read_tables
from gateway.store import Ledger
from tests.loops import CHANNEL, OWN_BIC, Loops, party, settings_for
from tests.test_foreign_exchange import alerts, amend, axis, cancel, instruct, ours, sent, theirs

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OLDEST = ("fxtr.008.001.06", "fxtr.017.001.04", "fxtr.030.001.04")
SPOKEN = {
    "foreign_exchange_instruction": "fxtr.014.001.04",
    "foreign_exchange_amendment": "fxtr.015.001.04",
    "foreign_exchange_cancellation": "fxtr.016.001.04",
}


@cache
def system(versions: tuple[str, ...] = (), delays: Delays | None = None) -> tuple[Reader, Writer]:
    """Return a simulated central system, without channel and book."""
    tables, catalogue = read_tables(), load_catalogue()
    codes = tables.reading["codes"]
    writer = Writer(
        tables.answers,
        codes,
        catalogue.namespace,
        bic=CHANNEL,
        gateway_bic=OWN_BIC,
        seed=7,
        versions=versions,
        delays=delays,
    )
    return Reader(Validator(catalogue), tables.reading, CHANNEL, OWN_BIC), writer


def scenarios(dialogue: str) -> list[str]:
    return [scenario.name for scenario in read_scenarios() if scenario.dialogue == dialogue]


def plan(arrival: Arrival, name: str, versions: tuple[str, ...] = (), number: int = 1) -> list[tuple[Answer, bytes]]:
    """Return the answers of a scenario to what arrived, in the order in which they are sent."""
    _, writer = system(versions)
    scenario: Scenario = read_scenarios().named(arrival.dialogue or "", name)
    answers = writer.plan(number, NOON.replace(minute=number), arrival, scenario)
    return [(answer, writer.write(arrival, answer)) for answer in answers]


def last(loops: Loops, versions: tuple[str, ...] = ()) -> Arrival:
    """Return what arrived last, as the central system reads it."""
    arrival = system(versions)[0].read("k", loops.arrived()[-1].content)
    assert arrival.valid, arrival.violations
    return arrival


def book(answers: list[tuple[Answer, bytes]]) -> dict[str, str]:
    """Return where the simulator's answers leave each axis."""
    said = sorted((answer for answer, _ in answers), key=lambda answer: answer.said_at)
    return {answer.axis: answer.value for answer in said if answer.axis and answer.value}


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", scenarios("foreign_exchange"))
async def test_both_hold_the_same_of_a_trade_in_every_scenario(
    ledger_url: str, name: str, versions: tuple[str, ...]
) -> None:
    ledger = await Ledger.open(ledger_url)
    try:
        spoken = {"versions": SPOKEN} if versions else {}
        loops = Loops(ledger, settings_for(ledger_url, counterparties=[party(CHANNEL, **spoken)]))
        await sent(loops, instruct())
        answers = plan(last(loops, versions), name, versions)
        await loops.hear(*(content for _, content in answers))
        assert await loops.parked() == []
        story = await ours(loops)
        assert {one: axis(story, one) for one in book(answers)} == book(answers)
        assert alerts(story) == []
    finally:
        await ledger.close()


@pytest.mark.parametrize("dialogue", ["foreign_exchange_amendment", "foreign_exchange_cancellation"])
async def test_both_hold_the_same_of_a_request_in_every_scenario(loops: Loops, dialogue: str) -> None:
    for number, name in enumerate(scenarios(dialogue)):
        trade = f"T{number}"
        await sent(loops, instruct(trade))
        await loops.hear(*(content for _, content in plan(last(loops), "fx-unmatched")))
        await sent(loops, amend(trade) if dialogue.endswith("amendment") else cancel(trade))
        answers = plan(last(loops), name, number=2)
        await loops.hear(*(content for _, content in answers))
        story = await ours(loops, trade)
        assert {one: axis(story, one) for one in book(answers)} == book(answers), name
        assert alerts(story) == [], name
    assert await loops.parked() == []


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
async def test_what_the_system_alleges_agrees_with_ours_and_is_withdrawn(
    loops: Loops, versions: tuple[str, ...]
) -> None:
    await sent(loops, instruct())
    arrival = last(loops, versions)
    terms = arrival.terms | {"transaction_id": "THEIRS-1"}
    begun = replace(arrival, dialogue="alleged_exchange", transaction_id="THEIRS-1", terms=terms)
    (_, alleged), (_, withdrawn) = plan(begun, "fx-alleged-then-withdrawn", versions)
    await loops.hear(alleged)
    assert (await theirs(loops)).instruction.headline == "agrees"
    await loops.hear(withdrawn)
    assert (await theirs(loops)).instruction.headline == "withdrawn"


async def test_a_trade_may_ask_for_the_other_sides_beside_its_own(loops: Loops) -> None:
    await sent(loops, instruct(text="SIM:fx-matched,fx-alleged"))
    desk = Desk(system()[1], read_scenarios(), ())
    desk.take([last(loops)], NOON)
    answers = [system()[1].write(arrival, answer) for answer, arrival in desk.due(NOON.replace(minute=59), 100)]
    await loops.hear(*answers)
    assert (await ours(loops)).instruction.headline == "matched"
    told = [one for one in await loops.published("status") if one["dialogue"] == "alleged_exchange"]
    assert [one["headline"] for one in told] == ["agrees"]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("fx-unmatched,amendment-done,fx-cancellation-done", (amend, cancel)),
        ("fx-rejected,amendment-done", (amend,)),
        ("fx-settled,amendment-done", (amend,)),
    ],
)
async def test_nothing_is_said_of_how_a_trade_stands_after_its_end(
    loops: Loops, text: str, asked: tuple[Any, ...]
) -> None:
    _, writer = system(delays=Delays(shortest=1, longest=20))
    desk = Desk(writer, read_scenarios(), ())
    for number in range(12):  # delays are drawn for each trade
        await sent(loops, instruct(f"T{number}", text=f"SIM:{text}"))
        desk.take([last(loops)], NOON)
        for ask in asked:
            await sent(loops, ask(f"T{number}"))
            desk.take([last(loops)], NOON)
    said: dict[str | None, list[Answer]] = defaultdict(list)
    for answer, arrival in desk.due(NOON.replace(minute=59), 1000):
        said[arrival.transaction_id].append(answer)
    assert len(said) == 12
    for answers in said.values():
        ordered = sorted(answers, key=lambda answer: answer.said_at)
        end = next(place for place, answer in enumerate(ordered) if answer.final)
        assert not [answer.step for answer in ordered[end:] if writer.restates_status(answer)]
