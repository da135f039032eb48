"""The history of an instruction is append-only, and any change to it is found and named."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from gateway.store import Ledger, tables, verification
from gateway.store.history import GENESIS, entry_hash
from gateway.store.tables import microseconds
from gateway.store.verification import verify_history, verify_witness
from gateway.store.views import Verification
from tests.ledgers import NOW, advance, new_event, opened, recording, sqlite_url

INSTRUCTIONS = 7
ENTRIES = 4


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Give a ledger of seven instructions with four entries each."""

    async def fill(ledger: Ledger) -> None:
        work = recording(*(new_event(f"T{number}") for number in range(INSTRUCTIONS)))
        ids = [row.id for row, _ in await ledger.write(NOW, work)]
        for headline in ("sent", "accepted", "matched"):
            await ledger.write(NOW, lambda unit, to=headline: [advance(unit, number, to) for number in ids])

    url = sqlite_url(tmp_path)
    run(url, fill)
    return url


def run(url: str, work: Callable[[Ledger], Any]) -> Any:
    async def go() -> Any:
        async with opened(url) as ledger:
            return await work(ledger)

    return asyncio.run(go())


def tamper(url: str, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    run(url, lambda ledger: ledger.execute(work))


def verify(url: str) -> Verification:
    found: Verification = run(url, lambda ledger: ledger.query(verify_history))
    return found


def faults(url: str) -> list[tuple[str, int, int | None]]:
    return [(fault.code, fault.instruction_id, fault.sequence) for fault in verify(url).faults]


def test_an_untouched_history_is_proven_whatever_the_page(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in (500, INSTRUCTIONS, 3, 1):
        monkeypatch.setattr(verification, "_PAGE", page)
        found = verify(url)
        assert found.proven
        assert (found.instructions, found.entries) == (INSTRUCTIONS, INSTRUCTIONS * ENTRIES)


def test_progress_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_PAGE", 3)
    told: list[int] = []
    run(url, lambda ledger: ledger.query(lambda connection: verify_history(connection, told.append)))
    assert told == [3, 6, 7]


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'nobody'",
        "action = 'other'",
        "cause = 'event:other'",
        "at = at + 1",
        "detail = CAST('{}' AS BLOB)",
        "detail = CAST(detail || ' ' AS BLOB)",
    ],
)
@pytest.mark.parametrize("sequence", [1, 2])
def test_a_changed_entry_is_named_and_no_other(url: str, change: str, sequence: int) -> None:
    tamper(url, f"UPDATE history SET {change} WHERE instruction_id = 3 AND sequence = {sequence}")
    assert faults(url) == [("history_altered", 3, sequence)]


def test_an_entry_whose_hash_was_made_to_fit_does_not_fit_the_next(url: str) -> None:
    def forge(connection: Connection) -> None:
        rewrite(connection, 3, only=2)

    run(url, lambda ledger: ledger.execute(forge))
    assert faults(url) == [("history_altered", 3, 3)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM history WHERE instruction_id = 3 AND sequence = 2", [("history_gap", 3, 2)]),
        ("DELETE FROM history WHERE instruction_id = 3 AND sequence = 1", [("history_gap", 3, 1)]),
        ("DELETE FROM history WHERE instruction_id = 3 AND sequence = 4", [("history_length", 3, 4)]),
        ("DELETE FROM history WHERE instruction_id = 3", [("history_length", 3, 4)]),
        ("DELETE FROM instruction WHERE id = 3", [("history_orphan", 3, None)]),
        ("DELETE FROM instruction WHERE id = 7", [("history_orphan", 7, None)]),
        ("UPDATE instruction SET head_hash = zeroblob(32) WHERE id = 3", [("history_head", 3, 4)]),
        ("UPDATE instruction SET sequence = 3 WHERE id = 3", [("history_length", 3, 3)]),
    ],
)
@pytest.mark.parametrize("page", [500, 3])
def test_what_is_missing_is_named(
    url: str, statement: str, expected: list[Any], page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_PAGE", page)
    tamper(url, statement)
    assert faults(url) == expected


def test_all_faults_are_counted_and_the_first_are_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_SHOWN", 2)
    tamper(url, "UPDATE history SET actor = 'nobody' WHERE sequence = 1")
    found = verify(url)
    assert (len(found.faults), found.fault_count, found.proven) == (2, INSTRUCTIONS, False)


def rewrite(connection: Connection, number: int, only: int | None = None) -> None:
    """Change entry 2 of an instruction and forge the hashes: of that entry only, or of the whole chain and its head."""
    table, instruction = tables.history, tables.instruction
    transaction = connection.execute(
        select(instruction.c.transaction_id).where(instruction.c.id == number)
    ).scalar_one()
    previous = GENESIS
    query = select(table).where(table.c.instruction_id == number).order_by(table.c.sequence)
    for row in connection.execute(query).mappings().all():
        actor = "nobody" if row["sequence"] == 2 else row["actor"]
        head = entry_hash(
            previous,
            transaction,
            row["sequence"],
            microseconds(row["at"]),
            actor,
            row["action"],
            row["cause"],
            bytes(row["detail"]),
        )
        if only in (None, row["sequence"]):
            key = (table.c.instruction_id == number) & (table.c.sequence == row["sequence"])
            connection.execute(table.update().where(key).values(actor=actor, hash=head))
        previous = head
    if only is None:
        connection.execute(instruction.update().where(instruction.c.id == number).values(head_hash=previous))


def test_a_chain_that_was_written_anew_differs_from_what_upstream_was_told(url: str) -> None:
    def heads(connection: Connection) -> list[tuple[str, int, str]]:
        table, instruction = tables.history, tables.instruction
        query = select(instruction.c.transaction_id, table.c.sequence, table.c.hash).join(
            instruction, instruction.c.id == table.c.instruction_id
        )
        return [(row[0], row[1], bytes(row[2]).hex()) for row in connection.execute(query)]

    told = run(url, lambda ledger: ledger.query(heads))
    run(url, lambda ledger: ledger.execute(lambda connection: rewrite(connection, 3)))
    assert verify(url).proven
    found: Verification = run(url, lambda ledger: ledger.query(lambda connection: verify_witness(connection, told)))
    assert {(fault.code, fault.instruction_id) for fault in found.faults} == {("history_witness", 3)}
    assert [fault.sequence for fault in found.faults] == [2, 3, 4]
    unknown: Verification = run(
        url, lambda ledger: ledger.query(lambda connection: verify_witness(connection, [("NONE", 1, "00")]))
    )
    assert [fault.code for fault in unknown.faults] == ["history_witness"]


def test_the_hash_is_that_of_the_documented_bytes() -> None:
    """Whoever checks a chain without the gateway needs no more than this."""
    expected = hashlib.sha256(GENESIS + b"2:TX" + b"1:7" + b"2:42" + b"6:Andr\xc3\xa9" + b"4:sent" + b"3:e:1" + b"{}")
    assert entry_hash(GENESIS, "TX", 7, 42, "André", "sent", "e:1", b"{}") == expected.digest()


_FIELDS = st.tuples(
    st.text(max_size=6), st.integers(1, 10**6), st.integers(0, 10**6), *[st.text(max_size=6)] * 3, st.binary(max_size=6)
)


@given(one=_FIELDS, other=_FIELDS)
def test_two_entries_have_one_hash_only_if_every_field_is_the_same(one: Any, other: Any) -> None:
    assert (entry_hash(GENESIS, *one) == entry_hash(GENESIS, *other)) == (one == other)
