"""The ledger's contract, the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, func, insert, or_, select

from gateway.calendar.deadlines import Cutoff, Deadline, Stage
from gateway.errors import ConfigError, Conflict, StoreError, StoreUnavailable, Violation
from gateway.model.events import EVENT_KINDS
from gateway.model.facts import (
    Amount,
    Axis,
    Delivery,
    Position,
    Quantity,
    Reason,
    State,
    StatementDifference,
    StatusValue,
)
from gateway.model.references import trade_key
from gateway.model.reports import Cause
from gateway.model.transitions import HEADLINES, REQUESTS, Dialogue
from gateway.store import (
    ArchiveState,
    InstructionRow,
    Ledger,
    OutboxState,
    Parking,
    StatementRow,
    Unit,
    WatchRow,
    received,
    tables,
)
from gateway.store.among import among
from gateway.store.engine import translate
from gateway.store.migration import HEAD, current_revision, upgrade
from gateway.store.tables import canonical
from tests import backends
from tests.conftest import absent
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

_BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.backend)]


@pytest.fixture(params=_BACKENDS)
def empty_url(request: pytest.FixtureRequest) -> str:
    """Give an empty database of each backend in turn."""
    if request.param == "sqlite":
        return sqlite_url(request.getfixturevalue("tmp_path"))
    found: str = request.getfixturevalue("postgres_database")
    return found


@pytest.fixture
def url(each_ledger_url: str) -> str:
    """Give an empty ledger that is up to date, of each kind in turn."""
    return each_ledger_url


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    ledger = await Ledger.open(url)
    yield ledger
    await ledger.close()


@pytest.fixture
async def sqlite_ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with opened(sqlite_url(tmp_path)) as ledger:
        yield ledger


async def count(ledger: Ledger, table: Any) -> int:
    return await ledger.query(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


async def rows(ledger: Ledger, table: Any) -> list[dict[str, Any]]:
    """Return a table in the order of its key."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        query = select(table).order_by(*table.primary_key.columns)
        return [dict(row) for row in connection.execute(query).mappings()]

    return await ledger.query(work)


# One transaction ------------------------------------------------------------------------------------------------------


async def test_an_event_its_instruction_document_outbox_history_and_status_are_written_together(ledger: Ledger) -> None:
    [(row, document)] = await ledger.write(NOW, recording(new_event()))
    written = {table.name: len(await rows(ledger, table)) for table in tables.metadata.sorted_tables}
    assert {name for name, number in written.items() if number == 1} == {
        "event",
        "instruction",
        "document",
        "outbox",
        "history",
        "publication",
    }
    [outbox] = await rows(ledger, tables.outbox)
    assert (outbox["document_id"], outbox["instruction_id"], outbox["state"]) == (document, row.id, OutboxState.READY)


async def test_work_that_raises_leaves_nothing_and_its_error_comes_back_as_it_is(ledger: Ledger) -> None:
    class Culprit(Exception):
        pass

    def work(unit: Unit) -> None:
        record(unit, new_event())
        unit.flush()
        raise Culprit

    with pytest.raises(Culprit):
        await ledger.write(NOW, work)
    assert [await count(ledger, table) for table in tables.metadata.sorted_tables] == [0] * len(tables.metadata.tables)


async def test_one_bad_row_takes_the_whole_batch_back(ledger: Ledger) -> None:
    def work(unit: Unit) -> None:
        for trade in range(20):
            record(unit, new_event(f"T{trade}"))
        record(unit, replace(new_event("bad"), kind=None, topic=None))  # type: ignore[arg-type]

    with pytest.raises(StoreError) as caught:
        await ledger.write(NOW, work, size=20)
    assert not caught.value.retriable
    assert await count(ledger, tables.event) == 0
    await ledger.write(NOW, recording(*(new_event(f"T{trade}") for trade in range(20))), size=20)
    assert await count(ledger, tables.event) == 20


async def test_the_same_event_twice_is_a_conflict_that_repeating_cannot_cure(ledger: Ledger) -> None:
    await ledger.write(NOW, recording(new_event("T1")))
    attempts = []

    def work(unit: Unit) -> None:
        attempts.append(1)
        unit.add_event(new_event("T1"), "applied")

    with pytest.raises(Conflict):
        await ledger.write(NOW, work)
    assert len(attempts) == 5
    assert await count(ledger, tables.event) == 1


async def test_an_event_identifier_belongs_to_its_source(ledger: Ledger) -> None:
    one, other = new_event("T1", event_id="E1"), new_event("T1", event_id="E1", source="other")
    await ledger.write(NOW, recording(one, other))
    known = await ledger.read(NOW, lambda unit: unit.known_events([("desk", "E1"), ("third", "E1"), ("desk", "E2")]))
    assert [(key, value[1:]) for key, value in known.items()] == [(("desk", "E1"), (one.digest, "applied"))]


async def test_work_is_repeated_after_a_conflict_and_sees_what_the_other_writer_wrote(ledger: Ledger) -> None:
    seen = []

    def work(unit: Unit) -> str:
        known = unit.known_events([("desk", "E1")])
        seen.append(len(known))
        if not known:
            raise Conflict("another writer was first")
        return "duplicate"

    def first_then(unit: Unit) -> str:
        if not seen:
            seen.append(-1)
            raise Conflict("another writer was first")
        return "repeated"

    assert await ledger.write(NOW, first_then) == "repeated"
    seen.clear()
    await ledger.write(NOW, recording(new_event("T1", event_id="E1")))
    assert await ledger.write(NOW, work) == "duplicate"
    assert seen == [1]


async def test_two_documents_cannot_have_one_business_message_identifier(ledger: Ledger) -> None:
    [(row, _)] = await ledger.write(NOW, recording(new_event()))

    def work(unit: Unit) -> None:
        found = unit.lock([row.id])[row.id]
        values = {"role": "cancellation", "cause": "E2", "message_definition": "sese.020.001.08"}
        same = f"M{row.transaction_id}"
        unit.add_document(found, business_message_id=same, content=b"", digest=digest(b""), channel=CHANNEL, **values)

    with pytest.raises(Conflict):
        await ledger.write(NOW, work)


async def test_row_numbers_rise_beyond_what_a_loop_said_it_would_write(ledger: Ledger) -> None:
    work = recording(*(new_event(f"T{trade}") for trade in range(50)))
    numbers = [row.id for row, _ in await ledger.write(NOW, work, size=7)]
    numbers += [row.id for row, _ in await ledger.write(NOW, recording(new_event("last")), size=7)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 51


# History --------------------------------------------------------------------------------------------------------------


async def test_a_sequence_number_of_an_instruction_is_used_once(ledger: Ledger) -> None:
    [(row, _)] = await ledger.write(NOW, recording(new_event()))

    def forge(connection: Connection) -> None:
        values = {"at": NOW, "actor": "x", "action": "x", "cause": "x", "detail": b"", "hash": b""}
        connection.execute(insert(tables.history).values(instruction_id=row.id, sequence=1, **values))

    with pytest.raises(Conflict):
        await ledger.execute(forge)


async def test_two_writers_of_one_instruction_lose_no_change(ledger: Ledger, url: str) -> None:
    """Both read, decide and write at once; on PostgreSQL from two pools, as two gateway processes do."""
    [(row, _)] = await ledger.write(NOW, recording(new_event()))
    others = [ledger] if not ledger.is_postgresql else [ledger, await Ledger.open(url)]
    try:
        await asyncio.gather(
            *(
                others[number % len(others)].write(
                    NOW, lambda unit, n=number: advance(unit, row.id, "sent", cause=str(n))
                )
                for number in range(24)
            )
        )
    finally:
        for other in others[1:]:
            await other.close()
    entries = await rows(ledger, tables.history)
    assert sorted(entry["sequence"] for entry in entries) == list(range(1, 26))
    assert sorted(int(entry["cause"].split(":")[1]) for entry in entries[1:]) == list(range(24))
    [instruction] = await rows(ledger, tables.instruction)
    assert instruction["sequence"] == 25
    assert instruction["head_hash"] == max(entries, key=lambda entry: entry["sequence"])["hash"]


async def test_batches_that_lock_the_same_instructions_in_any_order_all_succeed(ledger: Ledger) -> None:
    recorded = await ledger.write(NOW, recording(*(new_event(f"T{trade}") for trade in range(6))))
    ids = [row.id for row, _ in recorded]

    def work(order: list[int]) -> Any:
        def move_all(unit: Unit) -> None:
            unit.lock(order)
            for instruction_id in order:
                advance(unit, instruction_id, "sent")

        return move_all

    await asyncio.gather(*(ledger.write(NOW, work(ids if turn % 2 else ids[::-1])) for turn in range(10)))
    assert {row["sequence"] for row in await rows(ledger, tables.instruction)} == {11}


async def test_an_instruction_that_this_unit_moved_is_locked_as_moved(ledger: Ledger) -> None:
    [(row, _)] = await ledger.write(NOW, recording(new_event()))

    def work(unit: Unit) -> tuple[str, int]:
        advance(unit, row.id, "sent")
        advance(unit, row.id, "accepted")
        again = unit.lock([row.id])[row.id]
        return again.headline, again.sequence

    assert await ledger.write(NOW, work) == ("accepted", 3)


# Sends ----------------------------------------------------------------------------------------------------------------


def eligible(unit: Unit) -> list[str]:
    return [send.business_message_id for send in unit.eligible(CHANNEL, 10)]


def add_cancellation(unit: Unit, instruction_id: int) -> int:
    row = unit.lock([instruction_id])[instruction_id]
    return unit.add_document(
        row,
        role="cancellation",
        cause="cancel",
        message_definition="sese.020.001.08",
        business_message_id=f"C{row.transaction_id}",
        content=b"<cancel/>",
        digest=digest(b"<cancel/>"),
        channel=CHANNEL,
    )


async def test_documents_leave_oldest_first_and_an_open_one_holds_its_own_trade_only(ledger: Ledger) -> None:
    (one, first), (two, _) = await ledger.write(NOW, recording(new_event("T1"), new_event("T2")))
    await ledger.write(NOW, lambda unit: add_cancellation(unit, one.id))
    [(again, _)] = await ledger.write(NOW, recording(new_event("T1", number=2)))
    names = {row.id: row.transaction_id for row in (one, two, again)}
    assert await ledger.write(NOW, eligible) == [f"M{names[one.id]}", f"M{names[two.id]}"]
    for state in (OutboxState.SENDING, OutboxState.PARKED):
        await ledger.write(NOW, lambda unit, to=state: unit.set_outbox(first, to, 1, 0))
        assert await ledger.write(NOW, eligible) == [f"M{names[two.id]}"]
    await ledger.write(NOW, lambda unit: unit.set_outbox(first, OutboxState.DONE, 1, 0))
    assert await ledger.write(NOW, eligible) == [f"M{names[two.id]}", f"C{names[one.id]}"]


async def test_a_withdrawn_document_holds_nothing(ledger: Ledger) -> None:
    [(row, first)] = await ledger.write(NOW, recording(new_event("T1")))
    await ledger.write(NOW, recording(new_event("T1", number=2)))
    await ledger.write(NOW, lambda unit: unit.set_outbox(first, OutboxState.WITHDRAWN, 0, 0))
    assert len(await ledger.write(NOW, eligible)) == 1
    assert await ledger.write(NOW, lambda unit: unit.open_outbox(row.id)) == []


async def test_channels_are_apart_and_a_batch_is_limited(ledger: Ledger) -> None:
    def work(unit: Unit) -> None:
        for trade in range(4):
            record(unit, new_event(f"T{trade}"))
        record(unit, new_event("other"), channel="OTHRDEFFXXX")

    await ledger.write(NOW, work)
    assert len(await ledger.write(NOW, lambda unit: unit.eligible(CHANNEL, 3))) == 3
    assert len(await ledger.write(NOW, lambda unit: unit.eligible("OTHRDEFFXXX", 3))) == 1
    assert await ledger.read(NOW, lambda unit: unit.backlog()) == 5


async def test_a_ledger_tells_how_well_it_keeps_up(ledger: Ledger) -> None:
    idle = await ledger.load(NOW)
    assert idle.unapplied == 0
    assert (idle.free_bytes is None) == ledger.is_postgresql
    replies = [(f"in/0/{number}", b"<r/>", digest(f"{number}".encode())) for number in range(3)]
    await ledger.write(NOW, lambda unit: unit.archive(CHANNEL, replies))
    busy = await ledger.load(NOW)
    assert busy.unapplied == 3
    assert busy.write_seconds > 0


async def test_an_attempt_is_kept_before_its_outcome_and_one_without_outcome_is_found_by_the_next_holder(
    ledger: Ledger,
) -> None:
    [(row, document)] = await ledger.write(NOW, recording(new_event()))

    def start(unit: Unit) -> None:
        content = b"<marked/>"
        unit.start_attempt(document, 1, 1, possible_duplicate=True, content=content, digest=digest(content))
        unit.set_outbox(document, OutboxState.SENDING, 1, 0)

    await ledger.write(NOW, start)
    [attempt] = await rows(ledger, tables.attempt)
    assert (attempt["content"], attempt["outcome"], attempt["started_at"]) == (b"<marked/>", None, NOW)
    assert await ledger.read(NOW, lambda unit: unit.unfinished_attempts(CHANNEL, 1)) == []
    unfinished = await ledger.read(NOW, lambda unit: unit.unfinished_attempts(CHANNEL, 2))
    assert unfinished == [(document, 1, row.id, "instruction", 1, 0)]

    def end(unit: Unit) -> None:
        unit.end_attempt(document, 1, "in_doubt", "send_in_doubt", None)
        unit.set_outbox(document, OutboxState.READY, 1, 1)

    await ledger.write(later(5), end)
    assert await ledger.read(NOW, lambda unit: unit.unfinished_attempts(CHANNEL, 2)) == []
    [attempt] = await rows(ledger, tables.attempt)
    assert (attempt["outcome"], attempt["code"], attempt["ended_at"]) == ("in_doubt", "send_in_doubt", later(5))
    [send] = await ledger.write(NOW, lambda unit: unit.eligible(CHANNEL, 10))
    assert (send.attempts, send.in_doubt, send.transaction_id) == (1, 1, row.transaction_id)


# Replies --------------------------------------------------------------------------------------------------------------


def archiving(*contents: bytes, channel: str = CHANNEL) -> Any:
    return lambda unit: unit.archive(channel, [(f"replies/0/{n}", c, digest(c)) for n, c in enumerate(contents)])


async def test_a_reply_that_is_archived_again_is_counted_and_changes_nothing(ledger: Ledger) -> None:
    first = await ledger.write(NOW, archiving(b"<a/>", b"<b/>", b"<a/>"))
    again = await ledger.write(NOW, archiving(b"<b/>", b"<c/>"))
    assert first[2] is None
    assert again[0] is None
    found = {row["content"]: row["repeats"] for row in await rows(ledger, tables.archive)}
    assert found == {b"<a/>": 1, b"<b/>": 1, b"<c/>": 0}
    [other] = await ledger.write(NOW, archiving(b"<a/>", channel="OTHRDEFFXXX"))
    assert other is not None
    waiting = await ledger.read(NOW, lambda unit: unit.waiting_replies(CHANNEL, 10))
    assert [reply.content for reply in waiting] == [b"<a/>", b"<b/>", b"<c/>"]
    assert [reply.content for reply in await ledger.read(NOW, lambda unit: unit.waiting_replies(CHANNEL, 2))] == [
        b"<a/>",
        b"<b/>",
    ]


async def test_a_reply_is_applied_once(ledger: Ledger) -> None:
    numbers = await ledger.write(NOW, archiving(b"<a/>", b"<b/>"))

    def apply(unit: Unit) -> set[int]:
        claimed = unit.claim_replies(numbers)
        for number in claimed:
            unit.set_archive(number, ArchiveState.APPLIED, business_message_id=f"R{number}", document_digest=b"d" * 32)
        return claimed

    results = await asyncio.gather(*(ledger.write(NOW, apply) for _ in range(6)))
    assert sorted(number for claimed in results for number in claimed) == sorted(numbers)
    assert await ledger.read(NOW, lambda unit: unit.waiting_replies(CHANNEL, 10)) == []
    known = await ledger.read(NOW, lambda unit: unit.replies_with(CHANNEL, [f"R{numbers[0]}", "unknown"]))
    assert known == {f"R{numbers[0]}": (numbers[0], b"d" * 32)}


@pytest.mark.backend
async def test_a_reply_that_another_process_is_applying_is_left_to_it(postgres_database: str) -> None:
    async with opened(postgres_database) as ledger:
        one, two = await ledger.write(NOW, archiving(b"<a/>", b"<b/>"))
        holder = await asyncpg.connect(postgres_database.replace("+asyncpg", ""))
        try:
            async with holder.transaction():
                await holder.execute("SELECT 1 FROM archive WHERE id = $1 FOR UPDATE", one)
                assert await ledger.write(NOW, lambda unit: unit.claim_replies([one, two])) == {two}
        finally:
            await holder.close()
        assert await ledger.write(NOW, lambda unit: unit.claim_replies([one, two])) == {one, two}


# Parking --------------------------------------------------------------------------------------------------------------

PARKING = Parking(
    stage="event",
    code="event_invalid",
    text="isin: check digit",
    origin="trade.events/0/7",
    violations=(Violation("isin_check_digit", "isin", "check digit 8", "DE0005140007", "isin: wrong"),),
    source="desk",
    trade_id="T1",
    instruction_number=1,
)


async def test_a_parked_event_is_shown_published_and_holds_its_trade_until_it_is_closed(ledger: Ledger) -> None:
    key = trade_key("desk", "T1")

    def park(unit: Unit) -> int:
        row = unit.add_event(new_event("T1"), "parked")
        return unit.park(replace(PARKING, event_row=row))

    number = await ledger.write(NOW, park)
    [publication] = await rows(ledger, tables.publication)
    assert (publication["topic"], publication["status_id"]) == ("exceptions", f"parked-{number}")
    holding = await ledger.read(NOW, lambda unit: unit.open_trades([key, trade_key("desk", "T2")]))
    assert {k: [item[0] for item in items] for k, items in holding.items()} == {key: [number]}
    repaired = b'{"isin": "DE0005140008"}'
    await ledger.write(later(60), lambda unit: unit.close_parked(number, "released", "anna", "typing error", repaired))
    assert await ledger.read(NOW, lambda unit: unit.open_trades([key])) == {}
    [parked] = await rows(ledger, tables.parked)
    assert (parked["state"], parked["closed_by"], parked["reason"]) == ("released", "anna", "typing error")
    assert (parked["repaired"], parked["closed_at"]) == (repaired, later(60))


async def test_nul_in_what_is_said_of_a_parked_item_is_made_harmless(ledger: Ledger) -> None:
    dirty = replace(
        PARKING, text="got 'a\x00b'", origin="inbound/odd\x00name.xml", source="de\x00sk", trade_id="T\x001"
    )
    await ledger.write(NOW, lambda unit: unit.park(dirty))
    [parked] = await rows(ledger, tables.parked)
    assert parked["text"] == "got 'a\\x00b'"
    assert parked["origin"] == "inbound/odd\\x00name.xml"
    assert (parked["source"], parked["trade_id"]) == ("de\\x00sk", "T\\x001")
    [publication] = await rows(ledger, tables.publication)
    assert publication["message_key"] == "T\\x001"


# Publication ----------------------------------------------------------------------------------------------------------


async def test_status_events_are_published_in_the_order_of_history_and_once_marked_not_again(ledger: Ledger) -> None:
    [(row, _)] = await ledger.write(NOW, recording(new_event()))
    for headline in ("sent", "accepted", "matched"):
        await ledger.write(NOW, lambda unit, to=headline: advance(unit, row.id, to))
    waiting = await ledger.read(NOW, lambda unit: unit.unpublished(10))
    ids = [item["status_id"] for item in sorted(await rows(ledger, tables.publication), key=lambda item: item["id"])]
    assert ids == [f"{row.transaction_id}-{sequence}" for sequence in range(1, 5)]
    assert [item[1:3] for item in waiting] == [("status", "T1")] * 4
    await ledger.write(later(1), lambda unit: unit.mark_published([item[0] for item in waiting[:3]]))
    assert await ledger.read(NOW, lambda unit: unit.unpublished(10)) == waiting[3:]
    assert await ledger.read(NOW, lambda unit: unit.unpublished(0)) == []


@pytest.mark.backend
async def test_publications_of_an_instruction_are_numbered_in_the_order_its_lock_was_held(
    postgres_database: str,
) -> None:
    """A process that took its row numbers before it got the lock must not publish before the one that held it."""
    async with opened(postgres_database) as ledger:
        (one, _), (two, _) = await ledger.write(NOW, recording(new_event("T1"), new_event("T2")))
        async with opened(postgres_database) as other:
            holder = await asyncpg.connect(postgres_database.replace("+asyncpg", ""))
            transaction = holder.transaction()
            await transaction.start()
            await holder.execute("SELECT 1 FROM instruction WHERE id = $1 FOR UPDATE", two.id)

            def early(unit: Unit) -> None:
                advance(unit, one.id, "sent")
                advance(unit, two.id, "accepted")  # waits for the holder

            waiting = asyncio.ensure_future(other.write(NOW, early))
            await blocked(holder)
            await ledger.write(NOW, recording(*(new_event(f"N{number}") for number in range(40))))
            await transaction.rollback()
            await waiting
            await holder.close()
        published = await rows(ledger, tables.publication)
        numbers = {item["status_id"]: item["id"] for item in published}
        newest = max(number for status, number in numbers.items() if status.endswith("-1"))
        assert numbers[f"{two.transaction_id}-2"] > newest


async def blocked(holder: asyncpg.Connection[asyncpg.Record]) -> None:
    """Return once another session waits for a lock."""
    while not await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.01)


# Statements -----------------------------------------------------------------------------------------------------------


def a_statement(unit: Unit, reference: str, day: date, **changes: Any) -> StatementRow:
    """Keep a statement of one page that has come whole."""
    row, _ = record(unit, new_event(reference), dialogue=Dialogue.STATEMENT)
    values: dict[str, Any] = {
        "instruction_id": row.id,
        "counterparty": CHANNEL,
        "kind": "custody_holdings",
        "account": "SAFE-1",
        "reference": reference,
        "number": None,
        "statement_date": day,
        "stated_at": NOW,
        "update_kind": "complete",
        "basis": None,
        "last_page": 1,
        "pages": 1,
        "entries": 1,
        "differences": 0,
        "request_id": None,
    }
    kept = StatementRow(**(values | changes))
    unit.keep_statement(kept, fresh=True)
    return kept


async def test_a_statement_its_pages_positions_and_differences_come_back_as_they_were_kept(ledger: Ledger) -> None:
    token = Decimal("1.00000000000000000000000000001")
    held = [Position("SAFE-1", "DE0007164600", "held", token, "digital_token_unit", date(2026, 3, 4))]
    found = [StatementDifference("statement_terms_differ", "T1", "amount", "1 EUR", None, "TX1")]

    def keep(unit: Unit) -> StatementRow:
        kept = a_statement(unit, "S1", date(2026, 3, 4), pages=1, last_page=None)
        for page, named in ((1, {7, 3}), (2, {9})):
            unit.add_page(
                kept.instruction_id,
                page,
                archive_id=page,
                digest=digest(bytes([page])),
                entries=1,
                named=named,
                positions=held,
            )
        unit.add_differences(kept.instruction_id, 1, found)
        unit.add_differences(kept.instruction_id, 1, found)
        done = replace(kept, pages=2, last_page=2)
        unit.keep_statement(done, fresh=False)
        return done

    kept = await ledger.write(NOW, keep)

    def look(unit: Unit) -> None:
        assert unit.statement(kept.instruction_id) == kept
        assert kept.complete
        assert unit.statement(kept.instruction_id + 1) is None
        assert unit.statement_pages(kept.instruction_id) == {1: digest(b"\x01"), 2: digest(b"\x02")}
        assert unit.named_on_pages(kept.instruction_id) == {3, 7, 9}
        assert unit.positions(kept.instruction_id) == held * 2

    await ledger.read(NOW, look)
    differences = await rows(ledger, tables.statement_difference)
    assert [(row["number"], row["ours"], row["theirs"], row["found_at"]) for row in differences] == [
        (0, "1 EUR", None, NOW),
        (1, "1 EUR", None, NOW),
    ]


async def test_the_statement_before_is_the_last_whole_one_of_the_same_account_and_kind(ledger: Ledger) -> None:
    def keep(unit: Unit) -> list[StatementRow]:
        return [
            a_statement(unit, "FIRST", date(2026, 3, 2), number=1),
            a_statement(unit, "SECOND", date(2026, 3, 3), number=2),
            a_statement(unit, "UNFINISHED", date(2026, 3, 4), last_page=2),
            a_statement(unit, "ELSEWHERE", date(2026, 3, 4), account="SAFE-2", number=8),
            a_statement(unit, "OTHER", date(2026, 3, 4), kind="accounting_holdings"),
            a_statement(unit, "LAST", date(2026, 3, 5), number=9),
        ]

    first, second, *_, last = await ledger.write(NOW, keep)

    def look(unit: Unit) -> None:
        assert unit.statement_before(last) == second
        assert unit.statement_before(first) is None
        assert (unit.number_before(last), unit.number_before(first)) == (2, None)

    await ledger.read(NOW, look)


async def test_settlements_are_read_in_parts_and_left_out_as_asked(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "_PART", 3)
    written = await ledger.write(NOW, recording(*(new_event(f"T{n}") for n in range(8))))
    numbers = [row.id for row, _ in written]
    await ledger.write(later(60), lambda unit: advance(unit, numbers[2], "settled"))

    def look(unit: Unit) -> None:
        assert [row.id for row in unit.settlements(CHANNEL)] == numbers
        assert numbers[2] not in {row.id for row in unit.settlements(CHANNEL, finished={"settled"})}
        assert [row.id for row in unit.settlements(CHANNEL, headlines={"settled"})] == [numbers[2]]
        assert [row.id for row in unit.settlements(CHANNEL, changed_since=later(1))] == [numbers[2]]
        assert list(unit.settlements(CHANNEL, created_before=NOW)) == []
        assert list(unit.settlements("NOBODYXXXXX")) == []
        quantity = TERMS.quantity.value if TERMS.quantity else Decimal(0)
        others = [Decimal(n) / 8 for n in range(1, 9)]
        assert [row.id for row in unit.settlements(CHANNEL, quantities=[quantity, *others])] == numbers
        assert list(unit.settlements(CHANNEL, quantities=[quantity + 1])) == []
        assert [row.id for row in unit.look(numbers)] == numbers
        assert len(unit.named(row.transaction_id for row, _ in written)) == 8

    await ledger.read(NOW, look)


async def test_what_a_unit_has_added_is_found_by_it_before_it_is_written(ledger: Ledger) -> None:
    def work(unit: Unit) -> None:
        row, _ = record(unit, new_event("T1"))
        assert unit.named([row.transaction_id]) == {row.transaction_id: row.id}
        assert list(unit.look([row.id])) == [row]

    await ledger.write(NOW, work)


# Leases ---------------------------------------------------------------------------------------------------------------


async def test_a_lease_is_held_by_one_renewed_by_it_and_taken_over_with_a_higher_epoch(ledger: Ledger) -> None:
    first = await ledger.acquire(CHANNEL, "one", NOW, 10)
    assert first is not None
    assert (first.holder, first.epoch, first.expires_at) == ("one", 1, later(10))
    assert await ledger.acquire(CHANNEL, "two", later(9), 10) is None
    renewed = await ledger.acquire(CHANNEL, "one", later(9), 10)
    assert renewed is not None
    assert (renewed.epoch, renewed.expires_at) == (1, later(19))
    assert await ledger.acquire(CHANNEL, "two", later(15), 10) is None
    taken = await ledger.acquire(CHANNEL, "two", later(19), 10)
    assert taken is not None
    assert (taken.holder, taken.epoch) == ("two", 2)
    assert await ledger.acquire(CHANNEL, "one", later(20), 10) is None


async def test_a_released_lease_is_free_at_once_and_a_late_release_takes_nothing_from_its_successor(
    ledger: Ledger,
) -> None:
    first = await ledger.acquire(CHANNEL, "one", NOW, 10)
    assert first is not None
    await ledger.release(first, later(1))
    second = await ledger.acquire(CHANNEL, "two", later(1), 10)
    assert second is not None
    assert second.epoch == 2
    await ledger.release(first, later(2))
    assert await ledger.acquire(CHANNEL, "three", later(3), 10) is None


async def test_a_channels_failures_and_next_attempt_outlive_its_holder(ledger: Ledger) -> None:
    first = await ledger.acquire(CHANNEL, "one", NOW, 10)
    assert first is not None
    await ledger.note_channel(first, 3, later(30), "connection refused")
    second = await ledger.acquire(CHANNEL, "two", later(11), 10)
    assert second is not None
    assert (second.failures, second.next_attempt_at) == (3, later(30))
    await ledger.note_channel(first, 9, None, "from the past")  # the old holder no longer speaks for the channel
    third = await ledger.acquire(CHANNEL, "two", later(12), 10)
    assert third is not None
    assert third.failures == 3


async def test_of_many_processes_that_start_at_once_one_gets_the_lease(ledger: Ledger) -> None:
    leases = await asyncio.gather(*(ledger.acquire(CHANNEL, f"process-{n}", NOW, 10) for n in range(5)))
    assert sum(lease is not None for lease in leases) == 1


# Values ---------------------------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00"), max_size=40)
_AMOUNT = st.decimals(min_value=0, max_value=Decimal("9" * 18), allow_nan=False, allow_infinity=False).map(
    lambda value: Decimal(f"{value:.18g}")
)
_WHEN = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)).flatmap(  # noqa: DTZ001
    lambda naive: st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    )
)
_runs = [0]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=_TEXT, digits=st.text("0123456789", min_size=18, max_size=18), places=st.integers(0, 18), when=_WHEN)
async def test_values_survive_storage(ledger: Ledger, text: str, digits: str, places: int, when: datetime) -> None:
    value = Decimal(digits).scaleb(-places)
    _runs[0] += 1
    event = replace(new_event(f"{_runs[0]}{text}", content=text.encode()), received_at=when)
    terms = replace(
        TERMS, amount=Amount(value, "EUR"), quantity=Quantity(value, "face_amount"), safekeeping_account=text
    )
    said = StatusValue("unmatched", (Reason("DMON", None, text),))
    state = State(Dialogue.SETTLEMENT, Delivery.SENT, {"matching": Axis(said, when, 7)})

    def work(unit: Unit) -> tuple[int, int]:
        row, _ = record(unit, event, terms=terms)
        cause = Cause("message", text)
        unit.move(row, state, "unmatched", action="status_advice", actor=text, cause=cause)
        return row.id, unit.add_event(replace(event, event_id=f"{event.event_id}-again"), "applied", row.id)

    instruction_id, event_row = await ledger.write(NOW, work)
    stored = await ledger.read(NOW, lambda unit: unit.stored_event(event_row))
    assert (stored.trade_id, stored.content, stored.received_at) == (event.trade_id, event.content, when)
    row = (await ledger.write(NOW, lambda unit: unit.lock([instruction_id])))[instruction_id]
    assert (row.terms, row.state, row.trade_id) == (terms, state, event.trade_id)

    def columns(connection: Connection) -> Any:
        table = tables.instruction
        return connection.execute(
            select(table.c.amount, table.c.quantity, table.c.settlement_date).where(table.c.id == instruction_id)
        ).one()

    found = await ledger.query(columns)
    assert tuple(found) == (value, value, TERMS.settlement_date)
    assert str(found[0]) == canonical(value)


@pytest.mark.parametrize("spoilt", ["\ud800", "a\udfff"])
async def test_a_lone_surrogate_is_refused_and_is_no_reason_to_try_again(ledger: Ledger, spoilt: str) -> None:
    def work(connection: Connection) -> None:
        values = {"holder": spoilt, "epoch": 1, "expires_at": NOW, "failures": 0}
        connection.execute(insert(tables.lease).values(channel="x", **values))

    with pytest.raises(StoreError) as caught:
        await ledger.execute(work)
    assert (caught.value.code, caught.value.retriable) == ("store_value_refused", False)


async def test_a_number_beyond_the_column_is_refused_and_is_no_reason_to_try_again(ledger: Ledger) -> None:
    with pytest.raises(StoreError) as caught:
        await ledger.write(NOW, lambda unit: unit.add_event(replace(new_event(), offset=1 << 70), "applied"))
    assert (caught.value.code, caught.value.retriable) == ("store_value_refused", False)


async def test_a_time_without_zone_does_not_enter_the_ledger(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="zone"):
        await ledger.write(NOW.replace(tzinfo=None), recording(new_event()))


@pytest.mark.parametrize(
    ("value", "shown"), [("1E+2", "100"), ("100.00", "100"), ("0.50", "0.5"), ("-0.0", "0"), ("0", "0"), ("10", "10")]
)
def test_an_amount_has_one_form(value: str, shown: str) -> None:
    assert canonical(Decimal(value)) == shown


# Reading --------------------------------------------------------------------------------------------------------------


async def test_reads_during_a_write_see_the_last_commit(ledger: Ledger, url: str) -> None:
    await ledger.write(NOW, recording(new_event("T1")))
    reader = await Ledger.open(url, exclusive=False)
    try:
        inside = asyncio.Event()
        if ledger.is_postgresql:
            holder = await asyncpg.connect(url.replace("+asyncpg", ""))
            async with holder.transaction():
                await holder.execute("UPDATE instruction SET headline = 'changed'")
                [row] = await rows(reader, tables.instruction)
            await holder.close()
        else:
            beside = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            beside.execute("BEGIN IMMEDIATE")
            beside.execute("UPDATE instruction SET headline = 'changed'")
            [row] = await rows(reader, tables.instruction)
            beside.execute("COMMIT")
            beside.close()
        inside.set()
        assert row["headline"] == "recorded"
        [row] = await rows(reader, tables.instruction)
        assert row["headline"] == "changed"
    finally:
        await reader.close()


async def test_all_that_one_query_reads_is_as_of_one_commit(ledger: Ledger, url: str) -> None:
    await ledger.write(NOW, recording(new_event("T1")))
    started, written = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[int, int]:
        query = select(func.count()).select_from(tables.event)
        before = connection.execute(query).scalar_one()
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(written.wait(), loop).result(30)
        return before, connection.execute(query).scalar_one()

    async def read_elsewhere() -> tuple[int, int]:
        def run() -> tuple[int, int]:
            async def go() -> tuple[int, int]:
                reader = await Ledger.open(url, exclusive=False)
                try:
                    return await reader.query(twice)
                finally:
                    await reader.close()

            return asyncio.run(go())

        return await asyncio.to_thread(run)

    reading = asyncio.create_task(read_elsewhere())
    await started.wait()
    await ledger.write(NOW, recording(new_event("T2")))
    written.set()
    assert await reading == (1, 1)
    assert await count(ledger, tables.event) == 2


# Deadlines ------------------------------------------------------------------------------------------------------------


def watch(row: InstructionRow, document: int, at: datetime | None) -> WatchRow:
    deadlines = () if at is None else (Deadline("settle", later(3600), at, Stage.WARNED),)
    return WatchRow(row.id, document, at, deadlines)


async def test_instructions_are_followed_by_their_documents_each_once_and_again_with_a_further_one(
    ledger: Ledger,
) -> None:
    [(row, first), (_, second)] = await ledger.write(NOW, recording(new_event("T1"), new_event("T2")))

    def date_one(unit: Unit) -> list[tuple[int, int]]:
        found = unit.undated(1)
        for before, number, document, written_at in found:
            assert written_at == NOW
            (unit.add_watch if before is None else unit.set_watch)(watch(replace(row, id=number), document, None))
        unit.documents_seen(found[-1][2] if found else None)
        return [(number, document) for _, number, document, _ in found]

    other = second
    assert await ledger.write(NOW, date_one) == [(row.id, first)]
    assert [document for _, document in await ledger.write(NOW, date_one)] == [other]
    assert await ledger.write(NOW, date_one) == []

    def ask(unit: Unit) -> int:
        locked = unit.lock([row.id])[row.id]
        return unit.add_document(
            locked,
            role="cancellation",
            cause="E2",
            message_definition="sese.020.001.08",
            business_message_id="M2",
            content=b"<x/>",
            digest=digest(b"<x/>"),
            channel=CHANNEL,
        )

    third = await ledger.write(NOW, ask)
    assert await ledger.write(NOW, date_one) == [(row.id, third)]
    assert not await ledger.read(NOW, lambda unit: unit.has_undated())


async def test_a_document_that_another_process_commits_late_is_not_passed_over(ledger: Ledger) -> None:
    await ledger.write(NOW, recording(new_event("T1"), new_event("T2")))
    [early, _] = await rows(ledger, tables.document)
    # As if the transaction with the lower number were still under way; SQLite has one writer, and nothing is late.
    await ledger.execute(
        lambda connection: connection.execute(delete(tables.document).where(tables.document.c.id == 1))
    )
    await ledger.write(later(1), lambda unit: unit.documents_seen(None))
    await ledger.execute(lambda connection: connection.execute(insert(tables.document).values(**early)))
    found = await ledger.read(later(2), lambda unit: [document for _, _, document, _ in unit.undated(10)])
    assert found == ([1, 2] if ledger.is_postgresql else [])
    await ledger.write(later(120), lambda unit: unit.documents_seen(None))
    assert not await ledger.read(later(121), lambda unit: unit.has_undated())


async def test_what_is_due_comes_the_longest_due_first_and_what_is_over_never(ledger: Ledger) -> None:
    events = [new_event(f"T{number}") for number in range(4)]
    recorded = await ledger.write(NOW, recording(*events))
    times = [later(20), None, later(10), later(60)]

    def add(unit: Unit) -> None:
        for (row, document), at in zip(recorded, times, strict=True):
            unit.add_watch(watch(row, document, at))

    await ledger.write(NOW, add)
    assert not await ledger.read(later(9), lambda unit: unit.has_due())
    ids = [row.id for row, _ in recorded]
    found = await ledger.write(later(30), lambda unit: unit.due(10))
    assert [one.instruction_id for one in found] == [ids[2], ids[0]]
    assert found[0] == watch(*recorded[2], later(10))  # instants and stages survive
    assert [one.instruction_id for one in await ledger.write(later(30), lambda unit: unit.due(1))] == [ids[2]]


async def test_open_instructions_are_looked_at_again_where_a_cutoff_may_be_about_them(ledger: Ledger) -> None:
    recorded = await ledger.write(NOW, recording(*(new_event(f"T{number}") for number in range(5))))

    def add(unit: Unit) -> None:
        for row, document in recorded:
            unit.add_watch(watch(row, document, None if row is recorded[4][0] else later(3600)))

    await ledger.write(NOW, add)
    facts: dict[str, Any] = {"kind": "settle", "at": "16:00", "zone": "UTC"}

    async def recalled(when: float, **criteria: Any) -> list[int]:
        cutoff = Cutoff.model_validate(facts | criteria)
        first = await ledger.write(later(when), lambda unit: unit.recall([cutoff], 0, 3))
        if first is not None:
            last = await ledger.write(later(when), lambda unit: unit.recall([cutoff], first, 3))
            assert last is None or await ledger.write(later(when), lambda unit: unit.recall([cutoff], last, 3)) is None
        found = await ledger.write(later(when), lambda unit: unit.due(10))
        return [one.instruction_id for one in found if one.next_at == later(when)]

    everyone = [row.id for row, _ in recorded[:4]]
    assert await recalled(1, currency="XTS") == []
    assert await recalled(2, counterparty="NOBODEFFXXX") == []
    assert await recalled(3, on="2031-01-01") == []
    assert await recalled(4, counterparty=CHANNEL, currency="EUR") == everyone
    assert await recalled(5) == everyone


async def test_how_far_a_loop_has_come_is_kept(ledger: Ledger) -> None:
    assert await ledger.read(NOW, lambda unit: unit.position("x")) == 0
    for position in (7, (1 << 56) - 1):
        await ledger.write(NOW, lambda unit, at=position: unit.set_position("x", at))  # type: ignore[misc]
        assert await ledger.read(NOW, lambda unit: unit.position("x")) == position


# What is open, and by what plan ------------------------------------------------------------------------------------


async def test_what_the_loops_ask_again_and_again_is_answered_from_an_index(sqlite_ledger: Ledger) -> None:
    """A ledger of millions is asked a few times a second: nothing may read a table from end to end."""
    seen: list[tuple[str, Any]] = []

    def work(unit: Unit) -> list[str]:
        original = unit.connection.execute

        class Watched:
            def execute(self, statement: Any, values: dict[str, Any] | None = None) -> Any:
                statement = statement.params(values or {})
                compiled = statement.compile(dialect=unit.connection.dialect)
                state = compiled.construct_expanded_state()
                seen.append((state.statement, [state.parameters[name] for name in state.positiontup or ()]))
                return original(statement)

            exec_driver_sql = unit.connection.exec_driver_sql
            dialect = unit.connection.dialect

        watched = Unit(Watched(), unit.statements, unit.now)  # type: ignore[arg-type]
        watched.eligible(CHANNEL, 10)
        watched.has_ready(CHANNEL)
        watched.claim_replies([1])
        watched.lock([1])
        watched.allegements_around([1])
        watched.open_outbox(1)
        watched.unfinished_attempts(CHANNEL, 2)
        watched.attempted([1, 2])
        watched.backlog()
        watched.unapplied()
        watched.waiting_replies(CHANNEL, 10)
        watched.unpublished(10)
        watched.open_trades([1, 2])
        watched.released_events(10)
        watched.awaited_events(["instruct_settlement/1"], 10)
        watched.overdue(NOW, 10)
        watched.end_wait(["A"])
        watched.rechecks(10)
        watched.open_allegements([CHANNEL])
        watched.causes([1], "link")
        watched.held_events(1)
        watched.known_events([("desk", "E1")])
        watched.by_transaction(["A"])
        watched.around(CHANNEL, ["settlement"], NOW.date(), NOW.date())
        watched.parked_events(CHANNEL)
        watched.by_message(["A"])
        watched.by_servicer(["A"])
        watched.by_infrastructure(["A"])
        watched.replies_with(CHANNEL, ["A"])
        watched.has_undated()
        watched.documents_seen(None)
        watched.has_due()
        watched.due(10)
        watched.sent_at([1, 2])
        watched.look_up([1, 2])
        watched.last_cutoff_change()
        watched.position("deadlines")
        open_rows = ("outbox_open", "outbox_open_trade", "publication_open", "event_held", "archive_waiting")
        open_rows += ("parked_waiting", "recheck")
        scans = []
        for statement, values in seen:
            for step in unit.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(values)):
                if step[3].startswith("SCAN") and not step[3].endswith(open_rows):
                    scans.append(f"{step[3]}: {statement}")
        return scans

    assert await sqlite_ledger.write(NOW, work) == []


# Failures -------------------------------------------------------------------------------------------------------------


async def test_a_full_disk_is_said_nothing_is_half_written_and_work_goes_on_when_there_is_room(
    sqlite_ledger: Ledger,
) -> None:
    await sqlite_ledger.write(NOW, recording(new_event("T0")))

    def limit(pages: int) -> Any:
        return lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar()

    await sqlite_ledger.execute(limit(1))  # no more than what it has
    bulky = new_event("T1", content=b"x" * 500_000)
    with pytest.raises(StoreUnavailable) as caught:
        await sqlite_ledger.write(NOW, recording(bulky))
    assert (caught.value.code, caught.value.retriable) == ("store_full", True)
    assert await count(sqlite_ledger, tables.event) == 1
    await sqlite_ledger.execute(limit(100_000))
    await sqlite_ledger.write(NOW, recording(bulky))
    assert await count(sqlite_ledger, tables.event) == 2


async def test_one_process_has_a_sqlite_ledger_and_operators_look_at_it_beside(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    async with opened(url) as ledger:
        with pytest.raises(ConfigError) as caught:
            await Ledger.open(url)
        assert caught.value.code == "store_locked"
        with pytest.raises(ConfigError) as caught:
            await upgrade(url)
        assert caught.value.code == "store_locked"
        async with opened(url, exclusive=False) as beside:
            await ledger.write(NOW, recording(new_event()))
            assert await count(beside, tables.event) == 1
    async with opened(url) as again:
        assert await count(again, tables.event) == 1


async def test_an_operator_does_not_make_a_ledger_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        await Ledger.open(sqlite_url(tmp_path), exclusive=False)
    assert caught.value.code == "store_absent"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "mysql://host/db"])
async def test_what_is_no_ledger_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        await Ledger.open(address)


async def test_an_older_ledger_is_refused_with_the_command_that_brings_it_up_to_date(empty_url: str) -> None:
    with pytest.raises(ConfigError, match="gateway store upgrade") as caught:
        await Ledger.open(empty_url)
    assert caught.value.code == "store_outdated"
    assert await upgrade(empty_url) == (None, HEAD)
    assert await upgrade(empty_url) == (HEAD, HEAD)
    ledger = await Ledger.open(empty_url)
    assert await ledger.query(current_revision) == HEAD
    await ledger.close()


@pytest.mark.backend
async def test_processes_that_upgrade_at_once_wait_for_each_other(postgres_database: str) -> None:
    results = await asyncio.gather(*(upgrade(postgres_database) for _ in range(3)))
    assert {after for _, after in results} == {HEAD}


async def test_migrations_make_the_tables_that_the_code_uses(ledger: Ledger) -> None:
    def differences(connection: Connection) -> Any:
        found = compare_metadata(MigrationContext.configure(connection), tables.metadata)
        if connection.dialect.name == "sqlite":  # it does not look at the length of a text, so no migration changes it
            found = [each for each in found if each[0][0] != "modify_type" or "VARCHAR" not in str(each[0][5])]
        return found

    assert await ledger.query(differences) == []


async def test_full_durability_is_read_back(ledger: Ledger) -> None:
    found = await ledger.durability()
    expected = (
        {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
        if ledger.is_postgresql
        else {"synchronous": "2", "journal_mode": "wal"}
    )
    assert found == {name: (value, True) for name, value in expected.items()}


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[backends.Postgres]:
    """Give a PostgreSQL to stop and to spoil."""
    try:
        server = backends.start_postgres()
    except backends.BackendAbsent as reason:
        absent(reason)
        raise
    with server:
        yield server


@pytest.mark.backend
async def test_a_database_that_does_not_wait_for_the_disk_is_refused(own_postgres: backends.Postgres) -> None:
    url = own_postgres.create_database()
    await upgrade(url)
    holder = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        for value in ("off", "on"):
            await holder.execute(f"ALTER SYSTEM SET fsync = {value}")
            await holder.execute("SELECT pg_reload_conf()")
            while await holder.fetchval("SHOW fsync") != value:
                await asyncio.sleep(0.01)
            if value == "off":
                with pytest.raises(ConfigError, match="fsync=off") as caught:
                    await Ledger.open(url)
                assert caught.value.code == "store_not_durable"
    finally:
        await holder.close()


@pytest.mark.backend
async def test_a_stopped_postgresql_is_unavailable_and_is_used_again_when_it_is_back(
    own_postgres: backends.Postgres,
) -> None:
    async with opened(own_postgres.create_database()) as ledger:
        await ledger.write(NOW, recording(new_event("T1")))
        own_postgres.kill()
        try:
            for _ in range(2):  # first a connection of the pool breaks, then none can be made
                with pytest.raises(StoreUnavailable) as caught:
                    await ledger.write(NOW, recording(new_event("T2")))
                assert caught.value.retriable
            with pytest.raises(StoreUnavailable):
                await ledger.read(NOW, lambda unit: unit.backlog())
        finally:
            own_postgres.start()
        await ledger.write(NOW, recording(new_event("T2")))
        assert await count(ledger, tables.event) == 2


def sqlite_error(number: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("text that nobody reads")
    error.sqlite_errorcode = number
    error.sqlite_errorname = "NAME"
    return error


def postgres_error(state: str) -> Exception:
    error = asyncpg.PostgresError("text that nobody reads")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (sqlite_error(sqlite3.SQLITE_FULL), StoreUnavailable, "store_full"),
        (sqlite_error(sqlite3.SQLITE_BUSY), StoreUnavailable, "store_unavailable"),
        (sqlite_error(sqlite3.SQLITE_IOERR | 10 << 8), StoreUnavailable, "store_unavailable"),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_UNIQUE), Conflict, "store_conflict"),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY), Conflict, "store_conflict"),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_NOTNULL), StoreError, "store_error"),
        (sqlite_error(sqlite3.SQLITE_CORRUPT), StoreError, "store_error"),
        (postgres_error("23505"), Conflict, "store_conflict"),
        (postgres_error("40P01"), Conflict, "store_conflict"),
        (postgres_error("40001"), Conflict, "store_conflict"),
        (postgres_error("23502"), StoreError, "store_error"),
        (postgres_error("53100"), StoreUnavailable, "store_full"),
        (postgres_error("57P01"), StoreUnavailable, "store_unavailable"),
        (postgres_error("08006"), StoreUnavailable, "store_unavailable"),
        (postgres_error("25006"), StoreUnavailable, "store_unavailable"),
        (postgres_error("22021"), StoreError, "store_value_refused"),
        (postgres_error("42P01"), StoreError, "store_error"),
        (asyncpg.DataError("invalid input"), StoreError, "store_value_refused"),
        (asyncpg.InterfaceError("connection is closed"), StoreUnavailable, "store_unavailable"),
        (OSError(errno.ECONNREFUSED, "refused"), StoreUnavailable, "store_unavailable"),
        (TimeoutError(), StoreUnavailable, "store_unavailable"),
        (RuntimeError("something new"), StoreError, "store_error"),
    ],
)
def test_driver_errors_are_told_apart_by_their_number(error: Exception, kind: type[StoreError], code: str) -> None:
    ours = translate(error)
    assert type(ours) is kind
    assert ours.code == code


async def test_a_cancelled_write_is_either_whole_or_absent(ledger: Ledger) -> None:
    await ledger.write(NOW, recording(new_event("T0")))
    for number in range(1, 6):
        writing = asyncio.create_task(ledger.write(NOW, recording(new_event(f"T{number}"))))
        for _ in range(number):
            await asyncio.sleep(0)
        writing.cancel()
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # unless it was done before
            await writing
    await ledger.write(NOW, recording(new_event("last")))
    written = [
        await count(ledger, table) for table in (tables.event, tables.instruction, tables.history, tables.outbox)
    ]
    assert len(set(written)) == 1


async def test_a_list_in_a_condition_may_be_empty_or_long_and_of_any_type(ledger: Ledger) -> None:
    """Also when the statement was compiled for a list of another length."""
    numbers = range(1, 8)
    for number in numbers:
        await ledger.write(NOW, recording(new_event(f"T{number}")))
    instruction, document, event = tables.instruction.c, tables.document.c, tables.event.c
    for column in (instruction.id, instruction.transaction_id, instruction.quantity, event.digest, document.created_at):
        all_of_them = [row[column.name] for row in await rows(ledger, column.table)]
        for wanted in (all_of_them[:3], [], all_of_them[2:3], all_of_them * 50):
            query = select(column).where(among(column, iter(wanted)), column.is_not(None))
            found = await ledger.query(lambda connection, query=query: list(connection.execute(query).scalars()))
            assert set(found) == set(wanted)
    names, ids = zip(*[(row["event_id"], row["id"]) for row in await rows(ledger, tables.event)], strict=True)
    named = select(event.id).where(or_(among(event.event_id, "first"), among(event.id, "second")))

    def work(connection: Connection) -> list[int]:
        lists = ([[], []], [[names[0]], []], [[names[0], names[1]], [ids[2]]])
        return [len(connection.execute(named, {"first": one, "second": other}).all()) for one, other in lists]

    assert await ledger.query(work) == [0, 1, 3]


def test_every_word_of_the_model_fits_its_column() -> None:
    kinds = EVENT_KINDS.values()
    roles = {kind.model.role for kind in kinds} | REQUESTS
    headlines = {word for rows in HEADLINES.values() for _, _, word in rows}
    for column, words in (
        (tables.instruction.c.dialogue, set(Dialogue)),
        (tables.instruction.c.headline, headlines),
        (tables.document.c.role, roles),
        (tables.history.c.action, {f"{role}_requested" for role in roles}),
        (tables.event.c.kind, set(EVENT_KINDS)),
    ):
        assert [word for word in words if len(word) > column.type.length] == []
