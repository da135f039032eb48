"""Cut-offs as data, the deadlines that follow, and the loop that tells of them: once before and once after."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import Connection
from structlog.testing import capture_logs
from typer import Typer
from typer.testing import CliRunner

from gateway.calendar.deadlines import Cutoff, Deadline, Stage, Subject, Timetable, local_instant, rederived
from gateway.cli.operators import instructions
from gateway.cli.time import cutoffs, deadlines
from gateway.deadlines import Deadlines, first_deadlines, look, next_look, subject_of
from gateway.errors import BuildError
from gateway.messages import Messages
from gateway.messages.schema_files import load_calendars
from gateway.model.facts import Amount, Asked, Delivery, State, StatusValue, Terms
from gateway.model.transitions import Dialogue
from gateway.store import CutoffChange, InstructionRow, Ledger, cutoffs_in_force, tables, timing
from gateway.store.views import CommandRefused
from tests.loops import (
    ACCEPTED,
    CHANNEL,
    MATCHED,
    OTHER,
    OWN_BIC,
    Loops,
    Pacing,
    _event,
    cancel,
    confirm,
    instruct,
    party,
    settings_for,
    settled,
    status,
    transaction,
)
from tests.test_foreign_exchange import instruct as exchange

CALENDARS = load_calendars()
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
SETTLE = {"kind": "settle", "at": "16:00", "zone": BERLIN}


def cutoff(**changes: Any) -> Cutoff:
    return Cutoff.model_validate(SETTLE | changes)


def subject(day: date = date(2026, 3, 4), **changes: Any) -> Subject:
    facts = {
        "counterparty": CHANNEL,
        "place_of_settlement": "DAKVDEFFXXX",
        "currencies": ("EUR",),
        "payment": "against",
    }
    return Subject(dialogue="settlement", settlement_date=day, **(facts | changes))


def timetable(*cutoffs: Cutoff, zone: str = "UTC", overdue_at: time = time(7)) -> Timetable:
    return Timetable(CALENDARS, cutoffs, zone, overdue_at)


# Instants -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "at", "zone", "instant"),
    [
        (date(2026, 3, 27), time(16), BERLIN, "2026-03-27T15:00Z"),  # winter
        (date(2026, 3, 30), time(16), BERLIN, "2026-03-30T14:00Z"),  # summer: an hour earlier
        (date(2026, 3, 29), time(2, 30), BERLIN, "2026-03-29T01:00Z"),  # never shown: when the clock jumps over it
        (date(2026, 10, 25), time(2, 30), BERLIN, "2026-10-25T00:30Z"),  # shown twice: the first time
        (date(2026, 3, 8), time(2, 30), NEW_YORK, "2026-03-08T07:00Z"),
        (date(2026, 11, 1), time(1, 30), NEW_YORK, "2026-11-01T05:30Z"),
        (date(2026, 3, 16), time(16), NEW_YORK, "2026-03-16T20:00Z"),  # America has summer time, Europe not yet
        (date(2026, 3, 16), time(16), BERLIN, "2026-03-16T15:00Z"),
    ],
)
def test_a_local_time_is_the_instant_at_which_the_clock_first_shows_it(
    day: date, at: time, zone: str, instant: str
) -> None:
    assert local_instant(day, at, zone) == datetime.fromisoformat(instant)


@given(
    st.dates(date(2020, 1, 1), date(2040, 12, 31)),
    st.times(),
    st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_the_clock_shows_that_time_or_a_later_one_and_did_not_just_before(day: date, at: time, zone: str) -> None:
    at = at.replace(microsecond=0, fold=0)
    instant = local_instant(day, at, zone)
    wanted = datetime.combine(day, at)
    shown = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    before = (instant - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    assert shown >= wanted > before
    assert shown - wanted < timedelta(hours=1)


@given(st.dates(date(2020, 1, 1), date(2040, 12, 31)), st.integers(0, 10), st.integers(0, 3000))
def test_a_deadline_is_on_a_business_day_and_never_warned_of_after_it(day: date, before: int, warning: int) -> None:
    [found] = timetable(cutoff(days_before=before, warn_minutes=warning)).deadlines(subject(day))
    calendar = CALENDARS.of(place="DAKVDEFFXXX", currency="EUR")
    due = found.due_at.astimezone(ZoneInfo(BERLIN))
    assert calendar.is_business_day(due.date())
    assert calendar.business_days(due.date(), calendar.following(day)) == before
    assert (due.hour, due.minute) == (16, 0)
    assert (found.warn_at or found.due_at) <= found.due_at


# Cut-offs -------------------------------------------------------------------------------------------------------------


def test_the_most_specific_cutoff_is_in_force() -> None:
    cutoffs = [
        cutoff(at="18:00"),
        cutoff(at="17:00", payment="free"),
        cutoff(at="16:00", currency="EUR"),
        cutoff(at="15:00", place_of_settlement="DAKVDEFF", currency="EUR", payment="against"),
        cutoff(at="14:00", counterparty=CHANNEL),
        cutoff(at="13:00", on="2026-03-05"),
    ]

    def hour(**changes: Any) -> int:
        day = changes.pop("day", date(2026, 3, 4))
        [found] = timetable(*cutoffs).deadlines(subject(day, **changes))
        return found.due_at.astimezone(ZoneInfo(BERLIN)).hour

    assert hour() == 14
    assert hour(counterparty=OTHER) == 15
    assert hour(counterparty=OTHER, place_of_settlement="SICVFRPPXXX") == 16
    assert hour(counterparty=OTHER, place_of_settlement=None, currencies=(), payment="free") == 17
    assert hour(counterparty=OTHER, currencies=("USD",), payment="against") == 18
    assert hour(day=date(2026, 3, 5)) == 13


def test_an_instruction_against_payment_keeps_the_holidays_of_its_currency_a_free_one_does_not() -> None:
    labour_day = date(2026, 5, 1)  # TARGET is closed, T2S is not; a Friday
    [against] = timetable(cutoff()).deadlines(subject(labour_day))
    [free] = timetable(cutoff()).deadlines(subject(labour_day, payment="free"))
    assert against.due_at.date() == date(2026, 5, 4)
    assert free.due_at.date() == labour_day
    [release] = timetable(cutoff(kind="release", days_before=1)).deadlines(subject(date(2026, 4, 7)))
    assert release.due_at.date() == date(2026, 4, 2)  # over the four days of Easter


@pytest.mark.parametrize("currencies", [("EUR", "USD"), ("USD", "EUR")])
def test_a_trade_in_two_currencies_is_due_by_the_earliest_cutoff_of_either(currencies: tuple[str, str]) -> None:
    cutoffs = [
        cutoff(at="16:00", currency="EUR", dialogue="foreign_exchange"),
        cutoff(at="12:00", zone=NEW_YORK, currency="USD", dialogue="foreign_exchange"),
    ]

    def due(day: date, *of: Cutoff) -> datetime:
        exchange = Subject("foreign_exchange", CHANNEL, None, currencies, None, day)
        [found] = timetable(*of).deadlines(exchange)
        return found.due_at

    noon = datetime(2026, 3, 4, 17, tzinfo=UTC)
    assert due(date(2026, 3, 4), cutoffs[1]) == noon
    assert due(date(2026, 3, 4), *cutoffs) == noon - timedelta(hours=2)
    # Days before are business days of both: the Monday between is a holiday in America.
    before = cutoff(kind="send", days_before=1, currency="EUR", dialogue="foreign_exchange")
    assert due(date(2026, 9, 8), before).date() == date(2026, 9, 4)
    # Labour Day in Europe is none for the dollars, which are due on the day itself.
    assert due(date(2026, 5, 1), *cutoffs).date() == date(2026, 5, 1)


def test_what_operators_set_takes_the_place_of_the_configured_one_until_it_is_cleared() -> None:
    configured = [cutoff(), cutoff(currency="EUR")]
    ledger_says = [("set", cutoff(at="17:00")), ("set", cutoff(at="17:30")), ("set", cutoff(kind="send"))]

    def in_force(*changes: tuple[str, Cutoff]) -> list[str]:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        rows = [CutoffChange(n, action, one, "alice", "r", at) for n, (action, one) in enumerate(changes, 1)]
        return sorted(f"{one.kind} {one.at:%H:%M} {one.currency}" for one in cutoffs_in_force(configured, rows))

    assert in_force() == ["settle 16:00 EUR", "settle 16:00 None"]
    assert in_force(*ledger_says) == ["send 16:00 None", "settle 16:00 EUR", "settle 17:30 None"]
    assert in_force(*ledger_says, ("clear", cutoff())) == ["send 16:00 None", "settle 16:00 EUR", "settle 16:00 None"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "settle", "dialogue": "confirmation"},
        {"zone": "Europe/Nowhere"},
        {"at": "25:00"},
        {"at": "16:00+01:00"},
        {"kind": "pray"},
        {"days_before": -1},
    ],
)
def test_a_cutoff_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cutoff(**wrong)


def test_a_deadline_keeps_its_stage_unless_its_time_moves() -> None:
    at = datetime(2026, 3, 4, 15, tzinfo=UTC)
    told = (Deadline("settle", at, None, Stage.MISSED), Deadline("send", at, None, Stage.MET))
    assert rederived(told, (Deadline("settle", at), Deadline("send", at))) == told
    later = at + timedelta(hours=1)
    assert rederived(told, (Deadline("settle", later), Deadline("send", later))) == (
        Deadline("settle", later),
        Deadline("send", later, None, Stage.MET),
    )


def test_a_modification_moves_the_deadlines_once_it_is_done_and_its_answer_is_awaited_often() -> None:
    settles = Terms("deliver", "against", amount=Amount(Decimal(1), "EUR"), settlement_date=date(2026, 3, 4))
    later = replace(settles, settlement_date=date(2026, 3, 5))

    def row(status: str) -> InstructionRow:
        asked = Asked("modification", "modify", StatusValue(status), terms=later)
        state = State(Dialogue.SETTLEMENT, Delivery.SENT, sources={"A": 1}, requests={"M1": asked})
        return InstructionRow(1, "TX1", "s", "T1", "settlement", 1, CHANNEL, settles, state, "sent", 1, b"")

    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    known = timetable(cutoff())
    open_, done = row("requested"), row("modified")
    assert (subject_of(open_), subject_of(done)) == (
        subject(place_of_settlement=None),
        subject(date(2026, 3, 5), place_of_settlement=None),
    )
    first = first_deadlines(subject_of(open_), open_.state, known, None, now)
    assert next_look(first, open_.state, now) == now + timedelta(minutes=5)
    moved = look(first, done.state, subject_of(done), known, None, None, now).deadlines
    assert [one.due_at.day for one in moved] == [5, 6]
    assert next_look(moved, done.state, now) == moved[0].warn_at


# The loop -------------------------------------------------------------------------------------------------------------


class Day:
    """A gateway whose clock is set, and its loop of deadlines."""

    def __init__(self, ledger: Ledger, **changes: Any) -> None:
        chasing = changes.pop("chasing", None)
        parties = [party(CHANNEL, **({"chasing": chasing} if chasing else {})), party(OTHER)]
        self.loops = Loops(ledger, settings_for("sqlite:///unused", counterparties=parties, **changes))

    async def at(self, when: str) -> list[str]:
        """Set the clock (Berlin), let the loop work off what is due, and return what it told, in order."""
        time, before = self.loops.time, len(await self.loops.rows(tables.history))
        time.now = max(time.now, datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC))
        deadlines = Deadlines(
            self.loops.ledger, self.loops.messages, self.loops.settings, CALENDARS, Pacing(time), self.loops.time
        )
        await deadlines.run()
        history = sorted(await self.loops.rows(tables.history), key=lambda row: row["at"])
        return [row["action"] for row in history[before:]]


CUTOFFS = [
    {"kind": "send", "at": "12:00", "zone": BERLIN, "days_before": 1},
    {"kind": "match", "at": "18:00", "zone": BERLIN, "days_before": 1, "warn_minutes": 60},
    {"kind": "release", "at": "15:00", "zone": BERLIN},
    {"kind": "settle", "at": "16:00", "zone": BERLIN},
]


async def test_each_deadline_is_told_once_before_and_once_after(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct(hold=True))
    assert await day.at("2026-03-02T12:00") == []
    assert await day.at("2026-03-03T11:30") == ["send_deadline_near"]
    assert await day.at("2026-03-03T11:31") == []
    assert await day.at("2026-03-03T12:00") == ["send_deadline_missed"]
    await day.loops.send()
    assert await day.at("2026-03-03T17:00") == ["match_deadline_near"]
    assert await day.at("2026-03-03T18:00") == ["match_deadline_missed"]
    assert await day.at("2026-03-04T14:30") == ["release_deadline_near"]
    assert await day.at("2026-03-04T15:00") == ["release_deadline_missed"]
    assert await day.at("2026-03-04T15:30") == ["settle_deadline_near"]
    assert await day.at("2026-03-04T16:00") == ["settle_deadline_missed"]
    assert await day.at("2026-03-04T23:59") == []
    [*_, told] = await day.loops.published("status")
    assert told["action"] == "settle_deadline_missed"
    assert told["cause"] == {"kind": "deadline", "identifier": "settle", "message_definition": None}
    [alert] = told["alerts"]
    assert (alert["code"], "2026-03-04 15:00 UTC" in alert["text"]) == ("settle_deadline_missed", True)
    await day.loops.prove()


async def test_what_is_done_in_time_ends_without_a_word(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct())
    await day.loops.send()
    await day.loops.hear(status(MATCHED))
    assert await day.at("2026-03-03T11:30") == []
    assert await day.at("2026-03-03T18:00") == []
    await day.loops.hear(settled())
    assert await day.at("2026-03-09T18:00") == []
    [row] = await day.loops.rows(tables.deadline)
    assert row["next_at"] is None


async def test_an_instruction_that_comes_too_late_is_told_of_as_missed_at_once(loops: Loops) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    await day.at("2026-03-04T16:30")
    await day.loops.take_in(instruct())
    assert await day.at("2026-03-04T16:31") == [
        "send_deadline_missed",
        "match_deadline_missed",
        "settle_deadline_missed",
    ]


async def test_a_crash_between_the_look_and_its_commit_loses_nothing_and_repeats_nothing(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct())

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    await day.at("2026-03-02T12:00")
    with monkeypatch.context() as patched:
        patched.setattr("gateway.store.unit.Unit.flush", killed)
        with pytest.raises(Killed):
            await day.at("2026-03-03T11:30")
    assert await day.at("2026-03-03T11:30") == ["send_deadline_near"]
    assert await day.at("2026-03-03T11:30") == []


async def test_a_withdrawn_instruction_and_what_the_other_side_begins_have_no_deadlines(loops: Loops) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS, chasing={})
    await day.loops.take_in(instruct(), cancel())
    assert await day.at("2026-03-20T12:00") == []
    [row] = await day.loops.rows(tables.deadline)
    assert row["next_at"] is None


async def test_thousands_of_instructions_are_taken_in_batches(loops: Loops) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    trades = [f"T{number}" for number in range(450)]
    await day.loops.take_in(*(instruct(trade) for trade in trades))
    assert await day.at("2026-03-03T11:30") == ["send_deadline_near"] * 450
    assert await day.at("2026-03-03T11:31") == []


async def test_several_messages_of_one_instruction_do_not_hide_the_next_ones(loops: Loops) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    for number in range(120):
        await day.loops.take_in(instruct(f"T{number}"), query(f"T{number}"))
    assert await day.at("2026-03-02T12:00") == []
    assert len(await day.loops.rows(tables.deadline)) == 120


def query(trade: str) -> dict[str, Any]:
    return _event("query_settlement_status/1", f"{trade}-query", trade, 1, {})


@pytest.mark.parametrize("settles", ["9999-12-31", "3000-01-01"])
async def test_a_settlement_date_that_no_calendar_reaches_stops_nothing(loops: Loops, settles: str) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct("T1", settlement_date=settles), instruct("T2"))
    assert await day.at("2026-03-03T11:30") == ["send_deadline_near"]


async def test_an_instruction_that_cannot_be_looked_at_does_not_stop_the_others(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct("BAD", settlement_date="2026-03-05"), instruct("T2"))
    await day.at("2026-03-02T12:00")
    known = Timetable.deadlines

    def faulty(self: Timetable, subject: Subject) -> tuple[Deadline, ...]:
        if subject.settlement_date == date(2026, 3, 5):
            raise ArithmeticError("a fault")
        return known(self, subject)

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Timetable, "deadlines", faulty)
        assert await day.at("2026-03-04T11:30") == ["send_deadline_missed", "match_deadline_missed"]
    assert [line["instruction"] for line in logs if line["event"] == "deadline.not_looked_at"] == [transaction("BAD")]
    assert await day.at("2026-03-04T12:31") == ["send_deadline_missed"]  # an hour later, and mended


# Cut-offs that change during the day ----------------------------------------------------------------------------------


async def change(day: Day, action: str, **changes: Any) -> None:
    """Set a cut-off, or clear the one with the same criteria, as ``gateway cutoffs`` does."""

    def work(connection: Connection) -> None:
        standing = {one.cutoff.key: one.id for one in timing.standing_changes(timing.cutoff_changes(connection))}
        wanted: Cutoff | int = cutoff(**changes) if action == "set" else standing[cutoff(**changes).key]
        done = timing.change_cutoff(connection, action, wanted, "alice", "announced", day.loops.time())
        assert not isinstance(done, CommandRefused)

    await day.loops.ledger.execute(work)


async def test_a_cutoff_of_either_currency_holds_for_a_foreign_exchange_trade(both_loops: Loops) -> None:
    sold = {"kind": "send", "at": "12:00", "zone": BERLIN, "currency": "USD", "dialogue": "foreign_exchange"}
    day = Day(both_loops.ledger, cutoffs=[sold])
    await day.loops.take_in(exchange())  # of euros for dollars
    assert await day.at("2026-03-04T11:29") == []
    await change(day, "set", kind="send", at="11:45", currency="USD", dialogue="foreign_exchange")
    assert await day.at("2026-03-04T11:46") == ["send_deadline_missed"]


async def test_a_cutoff_that_an_operator_moves_holds_at_once_for_open_instructions(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, cutoffs=[SETTLE])
    await day.loops.take_in(instruct("T1"), instruct("T2", settlement_date="2026-03-05"), instruct("T3"))
    await day.loops.send()
    assert await day.at("2026-03-04T14:00") == []
    await change(day, "set", at="14:15", on="2026-03-04")  # the depository closes early, today only
    assert await day.at("2026-03-04T14:01") == ["settle_deadline_near"] * 2
    await change(day, "set", at="17:00", on="2026-03-04")  # no, late
    assert await day.at("2026-03-04T16:00") == []
    assert await day.at("2026-03-04T16:30") == ["settle_deadline_near"] * 2
    await change(day, "clear", on="2026-03-04")  # the configured 16:00 holds again
    assert await day.at("2026-03-04T16:31") == ["settle_deadline_missed"] * 2
    assert sorted(await day.at("2026-03-05T15:30")) == ["settle_deadline_near", *["settlement_overdue"] * 2]


async def test_another_configuration_holds_for_open_instructions_too(loops: Loops) -> None:
    day = Day(loops.ledger, cutoffs=[SETTLE])
    await day.loops.take_in(instruct())
    await day.at("2026-03-04T12:00")
    restarted = Day(loops.ledger, cutoffs=[SETTLE | {"at": "12:15"}])
    assert await restarted.at("2026-03-04T12:01") == ["settle_deadline_near"]


# Silence --------------------------------------------------------------------------------------------------------------

CHASING = {"query_after_seconds": 600, "alert_after_seconds": 300}


async def test_silence_is_asked_about_once_and_then_told_of_once(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, chasing=CHASING)
    await day.loops.take_in(instruct())
    await day.at("2026-03-02T11:00")
    await day.at("2026-03-02T11:20")  # not sent yet: that is no silence
    await day.loops.send()
    assert await day.at("2026-03-02T11:29") == []
    assert await day.at("2026-03-02T11:31") == ["status_query_requested"]
    assert await day.at("2026-03-02T11:32") == []
    await day.loops.send()
    assert [item.message_definition for item in await documents(day)] == ["sese.023.001.12", "sese.021.001.07"]
    assert await day.at("2026-03-02T11:37") == ["no_reply"]
    assert await day.at("2026-03-03T11:37") == []
    [*_, told] = await day.loops.published("status")
    assert "Unanswered: instruction" in told["alerts"][0]["text"]
    await day.loops.prove()


async def documents(day: Day, trade: str = "T1") -> Any:
    return (await day.loops.story(trade)).documents


async def test_a_reply_ends_the_silence_before_and_after_the_query(loops: Loops) -> None:
    day = Day(loops.ledger, chasing=CHASING)
    await day.loops.take_in(instruct("T1"), instruct("T2"))
    await day.loops.send()
    await day.loops.hear(status(ACCEPTED, transaction("T1")))
    assert await day.at("2026-03-02T11:20") == ["status_query_requested"]
    await day.loops.send()
    await day.loops.hear(status(ACCEPTED, transaction("T2"), identifier="STATUS2", servicer_id="SERVICER-2"))
    assert await day.at("2026-03-02T13:00") == []


async def test_an_unanswered_cancellation_is_chased_too(loops: Loops) -> None:
    day = Day(loops.ledger, chasing=CHASING)
    await day.loops.take_in(instruct())
    await day.loops.send()
    await day.loops.hear(status(ACCEPTED))
    assert await day.at("2026-03-02T11:15") == []
    await day.loops.take_in(cancel())
    await day.loops.send()
    assert await day.at("2026-03-02T11:20") == []
    assert await day.at("2026-03-02T11:30") == ["status_query_requested"]
    assert await day.at("2026-03-02T11:40") == ["no_reply"]
    [*_, told] = await day.loops.published("status")
    assert "Unanswered: cancellation" in told["alerts"][0]["text"]


async def test_a_dialogue_without_a_query_goes_straight_to_operators(loops: Loops) -> None:
    day = Day(loops.ledger, chasing=CHASING)
    await day.loops.take_in(confirm())
    await day.loops.send()
    assert await day.at("2026-03-02T11:20") == ["no_reply"]
    assert await day.at("2026-03-02T18:20") == []


async def test_a_profile_may_tell_operators_and_send_no_query(loops: Loops) -> None:
    day = Day(loops.ledger, chasing=CHASING | {"asks": False})
    await day.loops.take_in(instruct())
    await day.loops.send()
    assert await day.at("2026-03-02T11:20") == ["no_reply"]


async def test_a_query_that_cannot_be_built_is_told_with_its_cause_and_stops_nothing(
    loops: Loops, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(loops.ledger, chasing=CHASING)
    await day.loops.take_in(instruct("T1"), instruct("T2"))
    await day.loops.send()
    known = Messages.build

    def refuses(self: Messages, event: Any, *rest: Any, **named: Any) -> Any:
        if event.trade_id == "T1":
            raise BuildError("no such element")
        return known(self, event, *rest, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Messages, "build", refuses)
        assert sorted(await day.at("2026-03-02T11:20")) == ["no_reply", "status_query_requested"]
    [*_, told] = [one for one in await day.loops.published("status") if one["alerts"]]
    assert (told["trade_id"], "message_not_expressible" in told["alerts"][0]["text"]) == ("T1", True)
    await day.loops.prove()


async def test_without_chasing_silence_is_not_watched(loops: Loops) -> None:
    day = Day(loops.ledger)
    await day.loops.take_in(instruct())
    await day.loops.send()
    assert await day.at("2026-03-03T11:20") == []


# Overdue --------------------------------------------------------------------------------------------------------------


async def test_an_unsettled_instruction_is_overdue_on_each_business_day_after_its_date(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, deadlines={"zone": BERLIN, "overdue_at": "08:00"})
    await day.loops.take_in(instruct(settlement_date="2026-04-01"))  # the Wednesday before Easter
    await day.loops.send()
    assert await day.at("2026-04-02T07:59") == []
    assert await day.at("2026-04-02T08:00") == ["settlement_overdue"]
    assert await day.at("2026-04-06T12:00") == []  # Good Friday, the weekend and Easter Monday are no business days
    assert await day.at("2026-04-07T08:00") == ["settlement_overdue"]
    assert await day.at("2026-04-07T20:00") == []
    [*_, told] = await day.loops.published("status")
    assert "It was due on 2026-04-01, 2 business days ago." in told["alerts"][0]["text"]
    await day.loops.hear(settled(settlement_date="2026-04-01"))
    assert await day.at("2026-04-08T08:00") == []


async def test_after_days_of_rest_overdue_is_told_once_with_the_days_so_far(loops: Loops) -> None:
    day = Day(loops.ledger)
    await day.loops.take_in(instruct())
    await day.loops.send()
    assert await day.at("2026-03-12T12:00") == ["settlement_overdue"]
    [*_, told] = await day.loops.published("status")
    assert "6 business days ago" in told["alerts"][0]["text"]


async def test_a_trade_confirmation_is_never_overdue(loops: Loops) -> None:
    day = Day(loops.ledger)
    await day.loops.take_in(confirm())
    assert await day.at("2026-05-12T12:00") == []


# What operators see ---------------------------------------------------------------------------------------------------


def call(app: Typer, *words: str) -> Result:
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


async def test_what_comes_next_is_listed_first_and_what_has_happened_is_not(both_loops: Loops) -> None:
    day = Day(both_loops.ledger, cutoffs=CUTOFFS)
    await day.loops.take_in(instruct("LATER", settlement_date="2026-03-05"), instruct("NEXT"), instruct("DONE"))
    await day.loops.take_in(instruct("MATCHED"))
    await day.at("2026-03-02T11:10")
    await day.loops.send()
    done, matched = transaction("DONE"), transaction("MATCHED")
    await day.loops.hear(status(MATCHED, matched), settled(transaction_id=done))
    found = await day.loops.ledger.query(timing.list_deadlines)
    assert [(one.trade_id, one.kind) for one in found] == [("NEXT", "match"), ("MATCHED", "settle"), ("LATER", "match")]
    assert found[0].due_at == datetime(2026, 3, 3, 17, tzinfo=UTC)
    assert found[0].told_at == datetime(2026, 3, 3, 16, tzinfo=UTC)
    [only] = await day.loops.ledger.query(lambda connection: timing.list_deadlines(connection, kind="settle"))
    assert only.trade_id == "MATCHED"
    assert len(await day.loops.ledger.query(lambda connection: timing.list_deadlines(connection, limit=1))) == 1
    story = await day.loops.story("NEXT")
    assert [one.kind for one in story.deadlines] == ["send", "match", "release", "settle", "overdue"]


def prepared(url: str) -> None:
    """Fill a ledger with one instruction whose deadlines are known."""

    async def go() -> None:
        ledger = await Ledger.open(url)
        day = Day(ledger, cutoffs=CUTOFFS)
        await day.loops.take_in(instruct())
        await day.at("2026-03-02T11:10")
        await ledger.close()

    asyncio.run(go())


def test_deadlines_are_listed_and_shown_with_the_instruction(ledger_url: str) -> None:
    prepared(ledger_url)
    [line] = call(deadlines, "list", "--store", ledger_url, "--json").stdout.splitlines()
    assert json.loads(line)["kind"] == "send"
    assert json.loads(line)["deadlines"][0]["stage"] == "waiting"
    assert "2026-03-03 11:00:00" in call(deadlines, "list", "--store", ledger_url).stdout
    assert "nothing is due" in call(deadlines, "list", "--store", ledger_url, "--counterparty", "NOBODY").stdout
    shown = call(instructions, "show", "T1", "--store", ledger_url).stdout
    assert re.search(r"release +2026-03-04 14:00:00 +2026-03-04 13:30:00 +waiting", shown)
    [whole] = call(instructions, "show", "T1", "--store", ledger_url, "--json").stdout.splitlines()
    assert [one["kind"] for one in json.loads(whole)["deadlines"]] == ["send", "match", "release", "settle", "overdue"]


def test_cutoffs_are_set_listed_and_cleared_with_who_and_why(ledger_url: str, tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[gateway]\nbic = "{OWN_BIC}"\n[store]\nurl = "{ledger_url}"\n'
        f'[[counterparties]]\nbic = "{CHANNEL}"\nname = "C"\n'
        'channel = { carrier = "kafka", outbound_topic = "a", inbound_topic = "b" }\n'
        '[[cutoffs]]\nkind = "settle"\nat = 16:00:00\nzone = "Europe/Berlin"\ncurrency = "EUR"\n'
    )
    where = ("--config", str(config))
    who = ("--user", "alice", "--reason", "announced by the depository")
    told = ("--kind", "settle", "--zone", BERLIN, "--currency", "EUR", *who, *where)

    def in_force() -> list[tuple[str, str]]:
        lines = call(cutoffs, "list", *where, "--json").stdout.splitlines()
        return [(json.loads(line)["cutoff"]["at"], json.loads(line)["set_by"]) for line in lines]

    assert in_force() == [("16:00:00", "configuration")]
    assert "change 1" in call(cutoffs, "set", "--at", "17:00", *told).stdout
    assert in_force() == [("17:00:00", "alice")]
    assert call(cutoffs, "set", "--at", "15:00", "--on", "2026-03-04", *told).exit_code == 0
    assert in_force() == [("17:00:00", "alice"), ("15:00:00", "alice")]
    assert "announced by the depository" in call(cutoffs, "list", *where).stdout
    assert call(cutoffs, "clear", "1", *who, *where).exit_code == 0
    assert in_force() == [("16:00:00", "configuration"), ("15:00:00", "alice")]
    again = call(cutoffs, "clear", "1", *who, *where)
    assert (again.exit_code, "[cutoff_not_set]" in again.stderr) == (1, True)
    lines = call(cutoffs, "list", *where, "--history", "--json").stdout.splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["set", "set", "clear"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--at", "noon", "--zone", BERLIN, "--reason", "r"), "cutoff_invalid"),
        (("--at", "12:00", "--zone", "Mars/Base", "--reason", "r"), "cutoff_invalid"),
        (("--at", "12:00", "--zone", BERLIN, "--reason", " "), "command_without_reason"),
    ],
)
def test_a_cutoff_that_cannot_hold_is_refused_and_says_why(ledger_url: str, words: tuple[str, ...], code: str) -> None:
    words = ("set", "--kind", "settle", "--user", "alice", "--store", ledger_url, *words)
    result = CliRunner().invoke(cutoffs, list(words))
    assert result.exit_code != 0
    assert getattr(result.exception, "code", None) == code or f"[{code}]" in result.stderr
    assert call(cutoffs, "list", "--store", ledger_url).stdout.strip() == "no cut-off is in force"
