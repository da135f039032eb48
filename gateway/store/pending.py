"""Rows that a transaction has added, and how they are written: in bulk, when the unit of work is done."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Table, update

from gateway.model.references import trade_key
from gateway.model.reports import (
    encode,
)
from gateway.store import tables
from gateway.store.rows import (
    InstructionRow,
)
from gateway.store.statements import INSERT_ORDER, Statements
from gateway.store.tables import microseconds


@dataclass
class Moved:
    """An instruction that this unit has locked, and when it last moved it."""

    row: InstructionRow
    at: datetime


@dataclass
class Pending:
    """What a transaction has added and not yet written; ``now`` is the time of every row it writes."""

    connection: Connection
    statements: Statements
    now: datetime
    size: int = 16  # how many items the loop expects to write: the block of row numbers asked for at once
    _touched: set[int] = field(default_factory=set)
    _dates: dict[int, date] = field(default_factory=dict)
    _rows: dict[Table, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    _moved: dict[int, Moved] = field(default_factory=dict)
    _fresh: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _outbox: list[tuple[Any, ...]] = field(default_factory=list)
    _published: list[tuple[Any, ...]] = field(default_factory=list)
    _ended: list[tuple[Any, ...]] = field(default_factory=list)
    _archived: list[tuple[Any, ...]] = field(default_factory=list)
    _timed: list[tuple[Any, ...]] = field(default_factory=list)
    _ids: dict[str, tuple[int, int]] = field(default_factory=dict)

    def _allocate(self, table: Table) -> int:
        """Return the next row number of a table: a block of the sequence, or the highest plus one under the lock."""
        following, end = self._ids.get(table.name, (0, 0))
        if following == end:
            if self.statements.postgres:
                block = self.connection.exec_driver_sql(
                    f"SELECT nextval('{table.name}_id_seq') FROM generate_series(1, {self.size})"
                ).scalars()
                self._blocks(table, list(block))
                following, end = self._ids[table.name]
            else:
                highest = self.connection.exec_driver_sql(f"SELECT max(id) FROM {table.name}").scalar()
                following, end = (highest or 0) + 1, 1 << 62
        self._ids[table.name] = (following + 1, end)
        return following

    def _blocks(self, table: Table, numbers: list[int]) -> None:
        # The sequence caches per session, so a block is contiguous unless another process took its turn in between;
        # the contiguous head is used and the rest is left as a gap.
        length = next((i for i in range(1, len(numbers)) if numbers[i] != numbers[0] + i), len(numbers))
        self._ids[table.name] = (numbers[0], numbers[0] + length)

    def _publish(self, topic: str, key: str, status_id: str, instruction_id: int | None, content: bytes) -> None:
        self._published.append((topic, key, status_id, instruction_id, content, self.now, None))

    def flush(self) -> None:
        """Write what was added, in bulk. The ledger calls it before the commit; nothing is visible earlier."""
        updated: list[tuple[Any, ...]] = []
        for number in sorted(self._touched):
            row = self._moved[number].row
            state = encode(row.state)
            if number in self._fresh:
                terms, created = self._fresh[number]
                shown = row.terms
                money = shown.amount or shown.bought_amount
                self._rows[tables.instruction].append(
                    (
                        row.id,
                        row.transaction_id,
                        row.source,
                        row.trade_id,
                        trade_key(row.source, row.trade_id),
                        row.dialogue,
                        row.instruction_number,
                        row.counterparty,
                        shown.settlement_date,
                        shown.quantity.value if shown.quantity else None,
                        money.value if money else None,
                        money.currency if money else None,
                        terms,
                        state,
                        row.headline,
                        row.sequence,
                        row.head_hash,
                        row.account_servicer_transaction_id,
                        created,
                        self.now,
                        row.market_infrastructure_transaction_id,
                        shown.common_reference,
                    )
                )
            else:
                updated.append(
                    (
                        state,
                        row.headline,
                        row.sequence,
                        row.head_hash,
                        row.account_servicer_transaction_id,
                        microseconds(self.now),
                        row.market_infrastructure_transaction_id,
                        number,
                    )
                )
        for values in self._published:
            # Numbered last, with every lock held: a trade's numbers rise in the order its changes are committed.
            self._rows[tables.publication].append((self._allocate(tables.publication), *values))
        for table in INSERT_ORDER:
            self._flush_rows(table)
        for number, day in self._dates.items():
            dated = update(tables.instruction).where(tables.instruction.c.id == number)
            self.connection.execute(dated.values(settlement_date=day))
        for statement, rows in (
            (self.statements.update_instruction, updated),
            (self.statements.end_attempt, self._ended),
            (self.statements.update_outbox, self._outbox),
            (self.statements.update_archive, self._archived),
            (self.statements.update_deadline, self._timed),
        ):
            if rows:
                self.connection.exec_driver_sql(statement, rows)

    def _flush_rows(self, table: Table) -> None:
        rows = self._rows.pop(table, None)
        if rows:
            self.statements.inserts[table].run(self.connection, rows)
