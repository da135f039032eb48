"""The gateway against the simulated custodian: both hold the same of a financing, a modification, a withdrawal."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.transitions import Dialogue
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Reader
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk
from gateway.simulator.tables import read_tables
from gateway.store.views import Story
from tests.loops import CHANNEL, OWN_BIC, START, Loops, event, instruct

OLDEST = (
    "sese.024.001.10",
    "sese.025.001.11",
    "sese.027.001.05",
    "sese.034.001.09",
    "sese.035.001.11",
    "sese.039.001.06",
    "semt.001.001.03",
)
REPO = {
    "financing_type": "repurchase",
    "payment": "against",
    "opening_amount": {"value": "1000.00", "currency": "EUR"},
    "termination_amount": {"value": "1005.00", "currency": "EUR"},
}
ROLL_OVER = {
    "modification_type": "ROLP",
    "repurchase_rate": None,
    "termination_date": "2026-03-25",
    "termination_amount": {"value": "1010.00", "currency": "EUR"},
}
NEW_AMOUNT = {"value": "61300.00", "currency": "EUR"}
DAY = timedelta(days=1)


@cache
def tools(versions: tuple[str, ...]) -> tuple[Reader, Writer]:
    tables, catalogue = read_tables(), load_catalogue()
    codes = tables.reading["codes"]
    writer = Writer(
        tables.answers, codes, catalogue.namespace, bic=CHANNEL, gateway_bic=OWN_BIC, seed=7, versions=versions
    )
    return Reader(Validator(catalogue), tables.reading, CHANNEL, OWN_BIC), writer


class Custodian:
    """A simulated custodian at the other end of the loops: its desk without channel and file."""

    def __init__(self, loops: Loops, *scenarios: str, versions: tuple[str, ...] = ()) -> None:
        self._loops = loops
        self._reader, self._writer = tools(versions)
        self._desk = Desk(self._writer, read_scenarios(), scenarios)
        self._taken = 0
        self._now = START + timedelta(minutes=1)
        self.chosen: list[str | None] = []
        self.said: list[Answer] = []

    async def take(self) -> None:
        """Take what the gateway sent, and say what is due at once."""
        new = self._loops.arrived()[self._taken :]
        self._taken += len(new)
        arrivals = [self._reader.read(item.business_message_id, item.content) for item in new]
        assert [arrival.violations for arrival in arrivals if not arrival.valid] == []
        recorded = self._desk.take(arrivals, self._now).recorded
        self.chosen += [item.scenario for item in recorded]
        await self.go_on(timedelta(seconds=1))

    async def go_on(self, passed: timedelta = DAY) -> None:
        """Let time pass, and say what falls due in it."""
        self._now += passed
        due = self._desk.due(self._now, 100)
        self.said += [answer for answer, _ in due]
        await self._loops.hear(*(self._writer.write(arrival, answer) for answer, arrival in due))

    def book(self) -> dict[str, str]:
        """Return where its answers leave each axis."""
        said = sorted(self.said, key=lambda answer: answer.said_at)
        return {answer.axis: answer.value for answer in said if answer.axis and answer.value}


async def sent(loops: Loops, *events: dict[str, Any]) -> None:
    results = await loops.take_in(*events)
    assert [result.code for result in results if result.code] == []
    await loops.send()


def axes(story: Story, names: dict[str, str]) -> dict[str, str | None]:
    held = story.state.axes or {}
    return {name: held[name].status.value if name in held else None for name in names}


def alerts(story: Story) -> list[str]:
    return [alert.code for step in story.history for alert in step.alerts]


def scenarios(dialogue: str, *without: str) -> list[str]:
    return [one.name for one in read_scenarios() if one.dialogue == dialogue and one.name not in without]


def repo(**changes: Any) -> dict[str, Any]:
    return event("instruct_securities_financing/1", **(REPO | changes))


async def financing(loops: Loops) -> Story:
    return await loops.story(dialogue=Dialogue.FINANCING)


# Financing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", scenarios("financing"))
async def test_both_hold_the_same_of_a_financing_in_every_scenario(
    loops: Loops, name: str, versions: tuple[str, ...]
) -> None:
    custodian = Custodian(loops, name, versions=versions)
    await sent(loops, repo())
    await custodian.take()
    await custodian.go_on()
    story = await financing(loops)
    assert axes(story, custodian.book()) == custodian.book()
    assert await loops.parked() == []
    assert bool(story.state.breaks) == name.startswith("wrong")
    expected = {"status-withdrawn": ["message_withdrawn"]}
    if not name.startswith("wrong"):
        assert alerts(story) == expected.get(name, [])


async def test_each_leg_has_an_account_of_its_own(loops: Loops) -> None:
    custodian = Custodian(loops, "closed-in-parts")
    await sent(loops, repo())
    await custodian.take()
    settled = [
        (one.step, one.values.get("settled_quantity"), one.values.get("settled_amount")) for one in custodian.said
    ]
    assert settled[2:] == [
        ("opening-part:40", "200", "400.00"),
        ("opening-rest", "300", "600.00"),
        ("closing-part:25", "125", "251.25"),
        ("closing-part:50", "250", "502.50"),
        ("closing-rest", "125", "251.25"),
    ]
    assert (await financing(loops)).instruction.headline == "closed"


async def test_an_open_loan_of_securities_free_of_payment_is_closed_when_it_is_said(loops: Loops) -> None:
    custodian = Custodian(loops, "closed")
    await sent(loops, event("instruct_securities_financing/1", termination="OPEN", termination_date=None))
    await custodian.take()
    assert custodian.said[-1].values["effective_date"] == "2026-03-02"
    assert (await financing(loops)).instruction.headline == "closed"


@pytest.mark.parametrize("name", scenarios("financing_modification", "call-accepted", "call-denied"))
async def test_both_hold_the_same_of_a_roll_over_and_the_closing_leg_follows_it(loops: Loops, name: str) -> None:
    custodian = Custodian(loops, "closed-later", name)
    await sent(loops, repo())
    await custodian.take()
    await sent(loops, event("modify_securities_financing/1", **ROLL_OVER))
    await custodian.take()
    await custodian.go_on()
    story = await financing(loops)
    modified = custodian.book().get("modification") == "accepted"
    assert axes(story, custodian.book()) == custodian.book() | ({"modification": "modified"} if modified else {})
    closing = next(one.values for one in custodian.said if one.axis == "closing")
    agreed = ("2026-03-25", "1010.00") if modified else ("2026-03-18", "1005.00")
    assert (closing["effective_date"], closing["settled_amount"]) == agreed
    assert (story.instruction.headline, story.state.breaks) == ("closed", ())
    assert await loops.parked() == []


@pytest.mark.parametrize("name", ["call-accepted", "call-denied"])
async def test_both_hold_the_same_of_a_call(loops: Loops, name: str) -> None:
    custodian = Custodian(loops, "closed-later", name)
    await sent(loops, repo())
    await custodian.take()
    call = {"modification_type": "CALL", "repurchase_rate": None, "termination_date": "2026-03-10"}
    await sent(loops, event("modify_securities_financing/1", **call))
    await custodian.take()
    await custodian.go_on()
    story = await financing(loops)
    done = {"modification": "modified"} if name == "call-accepted" else {}  # the closing leg shows it
    assert axes(story, custodian.book()) == custodian.book() | done
    assert (story.instruction.headline, story.state.breaks) == ("closed", ())


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", ["cancellation-done", "cancellation-denied", "cancellation-refused"])
async def test_both_hold_the_same_of_the_cancellation_of_a_financing(
    loops: Loops, name: str, versions: tuple[str, ...]
) -> None:
    custodian = Custodian(loops, "closed-later", name, versions=versions)
    await sent(loops, repo())
    await custodian.take()
    await sent(loops, event("cancel_securities_financing/1"))
    await custodian.take()
    await custodian.go_on()
    story = await financing(loops)
    assert axes(story, custodian.book()) == custodian.book()
    assert ("closing" in custodian.book()) == (name != "cancellation-done")
    assert await loops.parked() == []


async def test_a_financing_on_hold_closes_when_it_is_released(loops: Loops) -> None:
    custodian = Custodian(loops, "closed-later")
    await sent(loops, repo())
    await custodian.take()
    await sent(loops, event("change_financing_conditions/1", hold=True))
    await custodian.take()
    await custodian.go_on()
    assert (await financing(loops)).instruction.headline == "opened"
    release = event("change_financing_conditions/1", hold=False, event_id="release")
    await sent(loops, release)
    await custodian.take()
    await custodian.go_on()
    assert (await financing(loops)).instruction.headline == "closed"


async def test_the_cancellation_of_a_movement_ends_where_the_custodian_says(loops: Loops) -> None:
    custodian = Custodian(loops, "silence", "cancellation-done")
    await sent(loops, event("instruct_intra_position_movement/1"))
    await custodian.take()
    await sent(loops, event("cancel_intra_position_movement/1"))
    await custodian.take()
    story = await loops.story(dialogue=Dialogue.INTRA_POSITION_MOVEMENT)
    assert axes(story, custodian.book()) == custodian.book() == {"cancellation": "cancelled", "processing": "cancelled"}


# Modification ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", scenarios("modification", "modification-too-late", "modification-unknown"))
async def test_both_hold_the_same_of_a_modification_and_the_settlement_follows_it(
    loops: Loops, name: str, versions: tuple[str, ...]
) -> None:
    custodian = Custodian(loops, "settled-later", name, versions=versions)
    await sent(loops, instruct())
    await custodian.take()
    await sent(loops, event("modify_settlement/1", modification={"settlement_amount": NEW_AMOUNT}))
    await custodian.take()
    await custodian.go_on()
    story = await loops.story()
    assert axes(story, custodian.book()) == custodian.book()
    modified = custodian.book().get("modification") == "modified"
    assert custodian.said[-1].values["settled_amount"] == ("61300.00" if modified else "61234.56")
    assert (story.instruction.headline, story.state.breaks, await loops.parked()) == ("settled", (), [])


async def test_what_was_settled_before_a_modification_counts_towards_the_new_terms(loops: Loops) -> None:
    custodian = Custodian(loops, "partial-waiting", "modification-done")
    await sent(loops, instruct())
    await custodian.take()
    await sent(loops, event("modify_settlement/1", modification={"settlement_amount": NEW_AMOUNT}))
    await custodian.take()
    await custodian.go_on()
    part, rest = [one.values["settled_amount"] for one in custodian.said if "settled_amount" in one.values]
    assert (part, rest) == ("24493.82", "36806.18")
    story = await loops.story()
    assert (story.instruction.headline, story.state.breaks, alerts(story)) == ("settled", (), [])


async def test_what_is_modified_on_hold_settles_with_its_new_terms_once_released(loops: Loops) -> None:
    custodian = Custodian(loops, "settled", "modification-done")
    await sent(loops, instruct(hold=True))
    await custodian.take()
    await sent(loops, event("modify_settlement/1", modification={"settlement_amount": NEW_AMOUNT}))
    await custodian.take()
    assert "settlement" not in custodian.book()
    await sent(loops, event("change_settlement_conditions/1", hold=False))
    await custodian.take()
    await custodian.go_on()
    assert custodian.said[-1].values["settled_amount"] == "61300.00"
    story = await loops.story()
    assert (story.instruction.headline, story.state.breaks) == ("settled", ())


# Messages about messages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(), OLDEST], ids=["newest", "oldest"])
@pytest.mark.parametrize("name", ["status-withdrawn", "confirmation-withdrawn", "message-rejected"])
async def test_both_hold_the_same_where_the_custodian_withdraws_or_rejects_a_message(
    loops: Loops, name: str, versions: tuple[str, ...]
) -> None:
    custodian = Custodian(loops, name, versions=versions)
    await sent(loops, instruct())
    await custodian.take()
    story = await loops.story()
    assert axes(story, custodian.book()) == custodian.book()
    assert alerts(story) == ([] if name == "message-rejected" else ["message_withdrawn"])
    assert await loops.parked() == []


@pytest.mark.parametrize(
    ("name", "settles", "stands"),
    [
        ("withdrawal-noted", False, "requested"),
        ("withdrawal-ignored", True, "requested"),
        ("withdrawal-refused", True, "rejected"),
    ],
)
async def test_our_withdrawal_takes_back_what_was_not_answered_where_it_is_heard(
    loops: Loops, name: str, settles: bool, stands: str
) -> None:
    custodian = Custodian(loops, "settled-later", name)
    await sent(loops, instruct())
    await custodian.take()
    await sent(loops, event("withdraw_settlement_message/1", message_id=loops.arrived()[0].business_message_id))
    await custodian.take()
    await custodian.go_on()
    story = await loops.story()
    assert axes(story, {"withdrawal": ""}) == {"withdrawal": stands}
    assert axes(story, custodian.book()) == custodian.book()
    assert ("settlement" in custodian.book()) == settles


async def test_our_rejection_of_a_message_of_theirs_is_noted_and_of_another_refused(loops: Loops) -> None:
    custodian = Custodian(loops, "unknown-transaction")
    await sent(loops, instruct())
    await custodian.take()
    parked = await loops.only_parked()
    stray = next(one for one in custodian.said if one.step == "unknown-transaction").business_message_id
    assert stray in str(parked)
    for reference in (stray, "NOBODYS"):
        await sent(loops, event("reject_message/1", trade=reference, message_definition="sese.024.001.14"))
        await custodian.take()
    assert custodian.chosen[1:] == ["message-rejection-noted", "message-rejection-refused"]
    assert [one.step for one in custodian.said[-1:]] == ["refused"]
