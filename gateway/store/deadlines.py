"""Deadlines in the ledger: which instructions to look at, when, and the cut-offs that operators have changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, insert, or_, select, true, update

from gateway.calendar.deadlines import Cutoff
from gateway.model.reports import encode
from gateway.model.transitions import Dialogue
from gateway.store import tables, timing
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import CutoffChange, WatchRow
from gateway.store.tables import microseconds

_DOCUMENTS = "deadlines"
# On PostgreSQL a transaction of another process may commit a lower number after a higher one was seen.
_LATE_COMMIT = timedelta(seconds=60)


@dataclass
class Deadlines(Pending):
    """Follow documents, keep one row an instruction, find what is due. One process does it at a time, under a lease."""

    def undated(self, limit: int) -> list[tuple[WatchRow | None, int, int, datetime]]:
        """Return documents that were not taken account of: (row of its instruction, instruction, document, its time).

        The row is None where there is none yet. They come in the order of the documents; ``documents_seen`` makes the
        next look begin behind them.
        """
        document, deadline = tables.document, tables.deadline
        query = (
            select(
                document.c.id, document.c.instruction_id, document.c.created_at, deadline.c.next_at, deadline.c.content
            )
            .outerjoin(deadline, deadline.c.instruction_id == document.c.instruction_id)
            .where(document.c.id > self.position(_DOCUMENTS))
            .where(or_(deadline.c.document_id.is_(None), deadline.c.document_id < document.c.id))
            .order_by(document.c.id)
            .limit(limit)
        )
        found: list[tuple[WatchRow | None, int, int, datetime]] = []
        for number, instruction_id, created_at, next_at, content in self.connection.execute(query):
            row = None if content is None else WatchRow(instruction_id, number, next_at, timing.read_deadlines(content))
            found.append((row, instruction_id, number, created_at))
        return found

    def documents_seen(self, last: int | None) -> None:
        """Remember that documents are taken account of: up to ``last``, or all that are there when there was none.

        Where processes share the ledger, recent ones are looked at again, since a lower number may appear late.
        """
        table = tables.document
        before = self.position(_DOCUMENTS)
        query = select(func.max(table.c.id)).where(table.c.id > before)
        if last is not None:
            query = query.where(table.c.id <= last)
        if self.statements.postgres:
            query = query.where(table.c.created_at <= self.now - _LATE_COMMIT)
        position = self.connection.execute(query).scalar()
        if position is not None:
            self.set_position(_DOCUMENTS, position)

    def has_undated(self) -> bool:
        """Tell whether there is a document to take account of, or one that need not be looked at again."""
        document, deadline = tables.document, tables.deadline
        wanted = or_(deadline.c.document_id.is_(None), deadline.c.document_id < document.c.id)
        if self.statements.postgres:
            wanted = or_(wanted, document.c.created_at <= self.now - _LATE_COMMIT)
        query = (
            select(document.c.id)
            .outerjoin(deadline, deadline.c.instruction_id == document.c.instruction_id)
            .where(document.c.id > self.position(_DOCUMENTS), wanted)
            .limit(1)
        )
        return self.connection.execute(query).first() is not None

    def has_due(self) -> bool:
        """Tell whether ``due`` would return anything; for reading."""
        table = tables.deadline
        query = select(1).where(table.c.next_at.is_not(None), table.c.next_at <= self.now).limit(1)
        return self.connection.execute(query).first() is not None

    def due(self, limit: int) -> list[WatchRow]:
        """Lock and return the rows that are to be looked at by now, the longest due first."""
        table = tables.deadline
        query = (
            select(table.c.instruction_id, table.c.document_id, table.c.next_at, table.c.content)
            .where(table.c.next_at.is_not(None), table.c.next_at <= self.now)
            .order_by(table.c.next_at)
            .limit(limit)
            .with_for_update()
        )
        return [
            WatchRow(row[0], row[1], row[2], timing.read_deadlines(row[3])) for row in self.connection.execute(query)
        ]

    def add_watch(self, row: WatchRow) -> None:
        """Add the row of an instruction."""
        self._rows[tables.deadline].append((row.instruction_id, row.document_id, row.next_at, encode(row.deadlines)))

    def set_watch(self, row: WatchRow) -> None:
        """Write the row of an instruction."""
        at = None if row.next_at is None else microseconds(row.next_at)
        self._timed.append((row.document_id, at, encode(row.deadlines), row.instruction_id))

    def sent_at(self, instruction_ids: Iterable[int]) -> dict[int, datetime]:
        """Return when the last of an instruction's messages was taken by the carrier."""
        document, attempt = tables.document, tables.attempt
        query = (
            select(document.c.instruction_id, func.max(attempt.c.ended_at))
            .join(attempt, and_(attempt.c.document_id == document.c.id, attempt.c.outcome == "sent"))
            .where(among(document.c.instruction_id, set(instruction_ids)))
            .group_by(document.c.instruction_id)
        )
        return {row[0]: row[1] for row in self.connection.execute(query)}

    # Cut-offs ---

    def cutoff_changes(self) -> list[CutoffChange]:
        """Return every change that operators made to cut-offs, in order."""
        return timing.cutoff_changes(self.connection)

    def last_cutoff_change(self) -> int:
        """Return the number of the last change; 0 when there was none."""
        return timing.last_cutoff_change(self.connection)

    def recall(self, cutoffs: Sequence[Cutoff] | None, after: int, limit: int) -> int | None:
        """Have the next open instructions looked at now; returns the last of them, None at the end.

        Those that one of the cut-offs may be about, or all. They are taken in the order of their numbers, ``limit`` at
        a time, so that no transaction is long.
        """
        deadline, instruction = tables.deadline, tables.instruction
        two_currencies = instruction.c.dialogue == Dialogue.FOREIGN_EXCHANGE  # its row has the bought one
        scopes = [
            and_(
                true(),
                *(() if one.currency is None else (or_(instruction.c.currency == one.currency, two_currencies),)),
                *(() if one.on is None else (instruction.c.settlement_date == one.on,)),
                *(() if one.counterparty is None else (instruction.c.counterparty.startswith(one.counterparty[:8]),)),
            )
            for one in cutoffs or ()
        ]
        query = (
            select(deadline.c.instruction_id)
            .join(instruction, instruction.c.id == deadline.c.instruction_id)
            .where(
                deadline.c.instruction_id > after, deadline.c.next_at.is_not(None), or_(*scopes) if scopes else true()
            )
            .order_by(deadline.c.instruction_id)
            .limit(limit)
        )
        ids = list(self.connection.execute(query).scalars())
        if not ids:
            return None
        self.connection.execute(
            update(deadline)
            .where(among(deadline.c.instruction_id, ids), deadline.c.next_at.is_not(None))
            .values(next_at=self.now)
        )
        return int(ids[-1])

    # Positions ---

    def position(self, name: str) -> int:
        """Return how far something has come; 0 where it has not begun."""
        table = tables.progress
        return int(self.connection.execute(select(table.c.position).where(table.c.name == name)).scalar() or 0)

    def set_position(self, name: str, position: int) -> None:
        """Remember how far something has come (64 bits)."""
        table = tables.progress
        result = self.connection.execute(update(table).where(table.c.name == name).values(position=position))
        if not result.rowcount:
            self.connection.execute(insert(table).values(name=name, position=position))
