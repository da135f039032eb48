"""Trade events in the ledger: repeats, parked and held ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, select, text, update

from gateway.model.references import trade_key
from gateway.store import tables
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import (
    NewEvent,
)

_HOLDING = "parked.state IN ('open', 'waiting')"  # as the index says it


_HOLDING_TRADES = (
    select(
        tables.parked.c.trade_key,
        tables.parked.c.id,
        tables.parked.c.stage,
        tables.parked.c.instruction_number,
        tables.parked.c.event_row,
        tables.parked.c.state,
    )
    .where(text(_HOLDING), among(tables.parked.c.trade_key, "keys"))
    .where(tables.parked.c.stage == "event")
    .order_by(tables.parked.c.id)
)
_HELD_TRADES = (
    select(tables.event.c.trade_key)
    .distinct()
    .where(among(tables.event.c.trade_key, "keys"), tables.event.c.disposition == "held")
)
_KNOWN = select(
    tables.event.c.source, tables.event.c.event_id, tables.event.c.id, tables.event.c.digest, tables.event.c.disposition
).where(tables.event.c.source == bindparam("of"), among(tables.event.c.event_id, "names"))


@dataclass
class Events(Pending):
    """Read and add trade events."""

    def known_events(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, bytes, str]]:
        """Return row number, digest and disposition of the events that are already here, by (source, event id)."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for source, event_id in keys:
            wanted[source].add(event_id)
        return {
            (row[0], row[1]): (row[2], bytes(row[3]), row[4])
            for name, ids in wanted.items()
            for row in self.connection.execute(_KNOWN, {"of": name, "names": list(ids)})
        }

    def add_event(self, event: NewEvent, disposition: str, instruction_id: int | None = None) -> int:
        """Add an event row and return its number."""
        number = self._allocate(tables.event)
        key = None if event.trade_id is None else trade_key(event.source, event.trade_id)
        self._rows[tables.event].append(
            (
                number,
                event.source,
                event.event_id,
                event.digest,
                event.kind,
                event.trade_id,
                key,
                event.instruction_number,
                event.topic,
                event.partition,
                event.offset,
                event.received_at,
                event.content,
                disposition,
                instruction_id,
            )
        )
        return number

    def dispose_event(self, event_row: int, disposition: str, instruction_id: int | None = None) -> None:
        """Say what became of an event that was parked or held."""
        values: dict[str, Any] = {"disposition": disposition}
        if instruction_id is not None:
            values["instruction_id"] = instruction_id
        self.connection.execute(update(tables.event).where(tables.event.c.id == event_row).values(values))

    def stored_event(self, event_row: int) -> NewEvent:
        """Return an event as it came."""
        table = tables.event
        row = self.connection.execute(select(table).where(table.c.id == event_row)).mappings().one()
        return NewEvent(
            source=row["source"],
            event_id=row["event_id"],
            digest=bytes(row["digest"]),
            topic=row["topic"],
            partition=row["partition"],
            offset=row["offset"],
            received_at=row["received_at"],
            content=bytes(row["content"]),
            kind=row["kind"],
            trade_id=row["trade_id"],
            instruction_number=row["instruction_number"],
        )

    def parked_events(self, counterparty: str) -> list[tuple[int, str, bytes]]:
        """Return a counterparty's open parked events: (parked item, code, content as it came)."""
        table, events = tables.parked, tables.event
        query = (
            select(table.c.id, table.c.code, events.c.content)
            .join(events, events.c.id == table.c.event_row)
            .where(text("parked.state = 'open'"))  # as the index says it
            .where(table.c.stage == "event", table.c.counterparty == counterparty)
            .order_by(table.c.id)
        )
        return [(row[0], row[1], bytes(row[2])) for row in self.connection.execute(query)]

    def held_events(self, key: int) -> list[int]:
        """Return the rows of a trade's held events, in the order they came."""
        table = tables.event
        query = select(table.c.id).where(table.c.trade_key == key, table.c.disposition == "held").order_by(table.c.id)
        return list(self.connection.execute(query).scalars())

    def open_trades(self, keys: Iterable[int]) -> dict[int, list[tuple[int, str, int | None, int | None]]]:
        """Return, by trade key, what holds a trade's later events: (parked id, stage, instruction number, event row).

        Those are its parked events, requests that wait for their instruction, and events held behind them that have
        not had their turn (parked id 0). The stage of a request that waits is ``waiting``.
        """
        wanted = list(set(keys))
        found = self.connection.execute(_HOLDING_TRADES, {"keys": wanted})
        result: dict[int, list[tuple[int, str, int | None, int | None]]] = defaultdict(list)
        for row in found:
            result[row[0]].append((row[1], row[2] if row[5] == "open" else "waiting", row[3], row[4]))
        held = self.connection.execute(_HELD_TRADES, {"keys": wanted})
        for key in held.scalars():
            result[key].append((0, "held", None, None))
        return result

    def released_events(self, limit: int) -> list[int]:
        """Return held events that nothing parked holds any more: the first of each trade."""
        table, events = tables.parked, tables.event
        holding = select(1).where(text(_HOLDING), table.c.stage == "event", table.c.trade_key == events.c.trade_key)
        query = (
            select(func.min(events.c.id))
            .where(events.c.disposition == "held", ~holding.exists())
            .group_by(events.c.trade_key)
            .limit(limit)
        )
        return sorted(self.connection.execute(query).scalars())

    # Requests that came before the instruction they are about --------------------------------------------------------

    def awaited_events(self, kinds: Iterable[str], limit: int) -> list[tuple[int, str]]:
        """Return held events of these kinds with the number that a request of their trade waits for, and for what."""
        table, events = tables.parked, tables.event
        query = (
            select(events.c.id, table.c.awaits)
            .join(events, and_(events.c.trade_key == table.c.trade_key, events.c.disposition == "held"))
            .where(text("parked.state = 'waiting'"), events.c.instruction_number == table.c.instruction_number)
            .where(among(events.c.kind, set(kinds)))
            .order_by(events.c.id)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self.connection.execute(query)]

    def overdue(self, since: datetime, limit: int) -> list[tuple[int, str]]:
        """Return requests that have waited since then or longer: (parked item, what it waits for)."""
        table = tables.parked
        query = (
            select(table.c.id, table.c.awaits)
            .where(text("parked.state = 'waiting'"), table.c.created_at <= since)
            .order_by(table.c.created_at)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self.connection.execute(query)]

    def waiting_for(self, transaction_ids: Iterable[str]) -> list[tuple[int, int]]:
        """Return the requests that wait for these instructions: (parked item, event row)."""
        table = tables.parked
        query = select(table.c.id, table.c.event_row).where(
            text("parked.state = 'waiting'"), among(table.c.awaits, set(transaction_ids))
        )
        return [(row[0], row[1]) for row in self.connection.execute(query)]

    def end_wait(self, transaction_ids: Iterable[str]) -> int:
        """Let the requests that wait for these instructions have their turn; returns how many there were."""
        table = tables.parked
        found = self.waiting_for(transaction_ids)
        for parked_id, event_row in found:
            values = {
                "state": "released",
                "closed_at": self.now,
                "closed_by": "gateway",
                "reason": "what it is about came",
            }
            self.connection.execute(update(table).where(table.c.id == parked_id).values(values))
            self.dispose_event(event_row, "held")
        return len(found)
