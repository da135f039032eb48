"""Statements that came: their pages, the positions they state, and where they differ from the ledger.

They are few and long, so that rows are written at once, not with the bulk of the unit of work; lists are read in parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from gateway.model.facts import Position, StatementDifference
from gateway.model.transitions import Dialogue
from gateway.store import tables
from gateway.store.among import among
from gateway.store.instructions import INSTRUCTION_COLUMNS, instruction_row
from gateway.store.pending import Pending
from gateway.store.rows import InstructionRow
from gateway.store.tables import canonical

_PART = 500  # rows read at a time; well below what a statement of either backend takes as parameters


@dataclass(frozen=True, slots=True)
class StatementRow:
    """A statement as the ledger has it; see ``tables.statement``."""

    instruction_id: int
    counterparty: str
    kind: str
    account: str
    reference: str
    number: int | None
    statement_date: date | None
    stated_at: datetime | None
    update_kind: str | None
    basis: str | None
    last_page: int | None
    pages: int
    entries: int
    differences: int
    request_id: int | None

    @property
    def complete(self) -> bool:
        """Tell whether every page has come."""
        return self.last_page is not None and self.pages >= self.last_page


@dataclass
class Received(Pending):
    """Keep statements, and read what they are compared with."""

    def statement(self, statement_id: int) -> StatementRow | None:
        """Return a statement by the number of its row among the instructions."""
        table = tables.statement
        row = self.connection.execute(select(table).where(table.c.instruction_id == statement_id)).first()
        return None if row is None else StatementRow(*row)

    def statement_before(self, row: StatementRow) -> StatementRow | None:
        """Return the complete statement of the same kind and account that comes before this one by its date."""
        table = tables.statement
        query = (
            select(table)
            .where(table.c.counterparty == row.counterparty, table.c.kind == row.kind, table.c.account == row.account)
            .where(table.c.instruction_id != row.instruction_id, table.c.pages >= table.c.last_page)
            .order_by(table.c.statement_date.desc(), table.c.instruction_id.desc())
            .limit(1)
        )
        if row.statement_date is not None:
            query = query.where(table.c.statement_date < row.statement_date)
        found = self.connection.execute(query).first()
        return None if found is None else StatementRow(*found)

    def number_before(self, row: StatementRow) -> int | None:
        """Return the highest number of an earlier statement of the same kind and account, up to this one's date."""
        table = tables.statement
        query = (
            select(func.max(table.c.number))
            .where(table.c.counterparty == row.counterparty, table.c.kind == row.kind, table.c.account == row.account)
            .where(table.c.instruction_id != row.instruction_id, table.c.number < row.number)
        )
        return self.connection.execute(query).scalar()

    def keep_statement(self, row: StatementRow, *, fresh: bool) -> None:
        """Add a statement or write it again."""
        table, values = tables.statement, asdict(row)
        if fresh:
            self.connection.execute(insert(table).values(values))
        else:
            self.connection.execute(update(table).where(table.c.instruction_id == row.instruction_id).values(values))

    def statement_pages(self, statement_id: int) -> dict[int, bytes]:
        """Return the pages of a statement that have come, each with the digest of what it says."""
        table = tables.statement_page
        found = self.connection.execute(
            select(table.c.page, table.c.digest).where(table.c.statement_id == statement_id)
        )
        return {row[0]: bytes(row[1]) for row in found}

    def named_on_pages(self, statement_id: int) -> set[int]:
        """Return the numbers of our instructions that any page lists."""
        table = tables.statement_page
        query = select(table.c.named).where(table.c.statement_id == statement_id)
        named: set[int] = set()
        for content in self.connection.execute(query).scalars():
            named.update(msgspec.json.decode(bytes(content), type=list[int]))
        return named

    def add_page(
        self,
        statement_id: int,
        page: int,
        *,
        archive_id: int,
        digest: bytes,
        entries: int,
        named: Iterable[int],
        positions: Sequence[Position],
    ) -> None:
        """Record a page: what it lists of ours and the positions it states."""
        values = {
            "statement_id": statement_id,
            "page": page,
            "archive_id": archive_id,
            "digest": digest,
            "entries": entries,
            "named": msgspec.json.encode(sorted(set(named))),
        }
        self.connection.execute(insert(tables.statement_page).values(values))
        for part in _parts(list(enumerate(positions))):
            rows = [
                {"statement_id": statement_id, "page": page, "number": n, **asdict(one), "value": canonical(one.value)}
                for n, one in part
            ]
            self.connection.execute(insert(tables.statement_position), rows)

    def add_differences(self, statement_id: int, page: int, found: Sequence[StatementDifference]) -> None:
        """Record differences, after those that the page has already."""
        table = tables.statement_difference
        first = self.connection.execute(
            select(func.count()).where(table.c.statement_id == statement_id, table.c.page == page)
        ).scalar_one()
        for part in _parts(list(enumerate(found, first))):
            rows = [
                {"statement_id": statement_id, "page": page, "number": n, "found_at": self.now, **asdict(one)}
                for n, one in part
            ]
            self.connection.execute(insert(table), rows)

    def positions(self, statement_id: int) -> list[Position]:
        """Return the positions that a statement states, on all its pages."""
        return stated_positions(self.connection, statement_id)

    def asked_by(self, row: InstructionRow) -> bytes | None:
        """Return the event that asked for a statement."""
        document, event = tables.document, tables.event
        query = (
            select(event.c.content)
            .join(document, document.c.cause == event.c.event_id)
            .where(document.c.instruction_id == row.id, event.c.source == row.source)
            .limit(1)
        )
        content = self.connection.execute(query).scalar()
        return None if content is None else bytes(content)

    # What they are compared with ------------------------------------------------------------------------------------

    def look(self, ids: Iterable[int]) -> Iterator[InstructionRow]:
        """Yield instructions, unlocked: to compare, not to move; ones this unit has moved come as moved."""
        table = tables.instruction
        for part in _parts(sorted(ids)):
            query = select(*INSTRUCTION_COLUMNS).where(among(table.c.id, part)).order_by(table.c.id)
            for row in self.connection.execute(query).fetchall():
                yield self._moved[row[0]].row if row[0] in self._moved else instruction_row(row)
            for number in part:
                if number in self._fresh:  # added by this unit, not yet written
                    yield self._moved[number].row

    def named(self, transaction_ids: Iterable[str]) -> dict[str, int]:
        """Return instruction numbers by transaction identification, however many are asked for."""
        table, wanted = tables.instruction, set(transaction_ids)
        found = {
            moved.row.transaction_id: number
            for number, moved in self._moved.items()
            if moved.row.transaction_id in wanted
        }
        for part in _parts(sorted(wanted)):
            query = select(table.c.transaction_id, table.c.id).where(among(table.c.transaction_id, part))
            found.update((row[0], row[1]) for row in self.connection.execute(query))
        return found

    def settlements(
        self,
        counterparty: str,
        *,
        created_before: datetime | None = None,
        changed_since: datetime | None = None,
        settling: tuple[date, date] | None = None,
        quantities: Iterable[Decimal] | None = None,
        finished: Iterable[str] | None = None,
        headlines: Iterable[str] | None = None,
    ) -> Iterator[InstructionRow]:
        """Yield settlement instructions with a counterparty, unlocked, in parts; none with a ``finished`` headline."""
        table = tables.instruction
        wanted: list[ColumnElement[bool]] = [
            table.c.counterparty == counterparty,
            table.c.dialogue == Dialogue.SETTLEMENT,
        ]
        if created_before is not None:
            wanted.append(table.c.created_at < created_before)
        if changed_since is not None:
            wanted.append(table.c.updated_at >= changed_since)
        if settling is not None:
            wanted.append(table.c.settlement_date.between(*settling))
        if finished is not None:
            wanted.append(table.c.headline.not_in(set(finished)))
        if headlines is not None:
            wanted.append(among(table.c.headline, set(headlines)))
        if quantities is None:
            yield from self._in_parts(wanted)
            return
        for part in _parts(sorted(set(quantities))):
            yield from self._in_parts([*wanted, among(table.c.quantity, part)])

    def _in_parts(self, wanted: Sequence[ColumnElement[bool]]) -> Iterator[InstructionRow]:
        table, last = tables.instruction, 0
        while True:
            query = select(*INSTRUCTION_COLUMNS).where(*wanted, table.c.id > last).order_by(table.c.id).limit(_PART)
            rows = self.connection.execute(query).fetchall()
            yield from map(instruction_row, rows)
            if len(rows) < _PART:
                return
            last = rows[-1][0]


def stated_positions(connection: Connection, statement_id: int) -> list[Position]:
    """Return the positions that a statement states, page by page."""
    table = tables.statement_position
    columns = (table.c.account, table.c.instrument, table.c.balance, table.c.value, table.c.unit, table.c.balance_date)
    query = select(*columns).where(table.c.statement_id == statement_id).order_by(table.c.page, table.c.number)
    return [
        Position(account, instrument, balance, Decimal(value), unit, day)
        for account, instrument, balance, value, unit, day in connection.execute(query)
    ]


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _PART):
        yield items[start : start + _PART]
