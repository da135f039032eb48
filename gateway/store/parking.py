"""Parked items, the commands that deal with them, and what is to be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from gateway.errors import Violation
from gateway.model.references import trade_key
from gateway.model.reports import (
    EXCEPTION_CLOSED_SCHEMA,
    EXCEPTION_SCHEMA,
    ExceptionClosed,
    ExceptionEvent,
    encode,
)
from gateway.store import tables
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import (
    ArchiveState,
    CommandRow,
    ParkedRow,
    Parking,
)
from gateway.store.tables import microseconds

_VIOLATIONS = msgspec.json.Decoder(tuple[Violation, ...])


def harmless(text: str) -> str:
    """Write out what no store holds (NUL, lone surrogates): what is said of a bad item must not be refused in turn."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def _harmless(text: str | None) -> str | None:
    return None if text is None else harmless(text)


def _harmless_parking(parking: Parking) -> Parking:
    violations = tuple(
        replace(
            v,
            path=_harmless(v.path) or "",
            value=_harmless(v.value),
            text=_harmless(v.text) or "",
            suggestion=_harmless(v.suggestion),
        )
        for v in parking.violations
    )
    return replace(
        parking,
        text=_harmless(parking.text) or "",
        origin=_harmless(parking.origin) or "",
        source=_harmless(parking.source),
        trade_id=_harmless(parking.trade_id),
        violations=violations,
    )


_UNPUBLISHED = (
    select(
        tables.publication.c.id,
        tables.publication.c.topic,
        tables.publication.c.message_key,
        tables.publication.c.content,
    )
    .where(tables.publication.c.published_at.is_(None))
    .order_by(tables.publication.c.id)
    .limit(bindparam("most"))
)


@dataclass
class Parked(Pending):
    """Park, repair, release, discard; read and mark publications."""

    def park(self, parking: Parking, *, awaits: str | None = None) -> int:
        """Park something: a row for operators, and an exception event.

        A request that ``awaits`` its instruction (by transaction identification) is shown as waiting, and nobody is
        told until its wait is over.
        """
        number = self._allocate(tables.parked)
        parking = _harmless_parking(parking)
        key = (
            None if parking.source is None or parking.trade_id is None else trade_key(parking.source, parking.trade_id)
        )
        self._rows[tables.parked].append(
            (
                number,
                parking.stage,
                parking.code,
                parking.text,
                encode(parking.violations),
                parking.source,
                parking.trade_id,
                key,
                parking.instruction_number,
                parking.counterparty,
                parking.event_row,
                parking.document_id,
                parking.archive_id,
                parking.instruction_id,
                parking.origin,
                "waiting" if awaits else "open",
                None,
                self.now,
                None,
                None,
                None,
                awaits,
            )
        )
        if awaits is None:
            self._tell(number, parking)
        return number

    def give_up_waiting(self, parked_id: int) -> None:
        """Park a request that has waited for its instruction in vain: it is open, and upstream is told."""
        table = tables.parked
        row = self.connection.execute(select(table).where(table.c.id == parked_id)).mappings().one()
        self.connection.execute(update(table).where(table.c.id == parked_id).values(state="open"))
        parking = Parking(
            stage=row["stage"],
            code=row["code"],
            text=row["text"],
            origin=row["origin"],
            violations=_VIOLATIONS.decode(row["violations"]),
            source=row["source"],
            trade_id=row["trade_id"],
            instruction_number=row["instruction_number"],
            counterparty=row["counterparty"],
            event_row=row["event_row"],
        )
        self._tell(parked_id, parking)

    def _tell(self, number: int, parking: Parking) -> None:
        """Tell upstream what is parked."""
        status_id = f"parked-{number}"
        report = ExceptionEvent(
            schema=EXCEPTION_SCHEMA,
            status_id=status_id,
            parked_id=number,
            stage=parking.stage,
            code=parking.code,
            text=parking.text,
            occurred_at=self.now,
            origin=parking.origin,
            violations=parking.violations,
            source=parking.source,
            trade_id=parking.trade_id,
            instruction_number=parking.instruction_number,
            counterparty=parking.counterparty,
        )
        self._publish(
            "exceptions", parking.trade_id or parking.origin, status_id, parking.instruction_id, encode(report)
        )

    def close_parked(self, parked_id: int, state: str, actor: str, reason: str, repaired: bytes | None = None) -> None:
        """Close a parked item: released, discarded or cancelled; upstream is told, if it was told of the item.

        The original stays where it is. One that is closed already is left as it is.
        """
        table = tables.parked
        row = self.connection.execute(select(table).where(table.c.id == parked_id).with_for_update()).mappings().first()
        if row is None or row["state"] not in ("open", "waiting"):
            return
        values: dict[str, Any] = {"state": state, "closed_at": self.now, "closed_by": actor, "reason": reason}
        if repaired is not None:
            values["repaired"] = repaired
        self.connection.execute(update(table).where(table.c.id == parked_id).values(values))
        if row["state"] == "waiting":
            return
        status_id = f"parked-{parked_id}-closed"
        report = ExceptionClosed(
            schema=EXCEPTION_CLOSED_SCHEMA,
            status_id=status_id,
            parked_id=parked_id,
            stage=row["stage"],
            code=row["code"],
            outcome=state if repaired is None else "repaired",
            occurred_at=self.now,
            closed_by=actor,
            reason=reason,
            source=row["source"],
            trade_id=row["trade_id"],
            instruction_number=row["instruction_number"],
            counterparty=row["counterparty"],
        )
        key = row["trade_id"] or row["origin"]
        self._publish("exceptions", key, status_id, row["instruction_id"], encode(report))

    def close_parked_documents(self, document_ids: Sequence[int], state: str, actor: str, reason: str) -> None:
        """Close the open parked sends of documents."""
        table = tables.parked
        query = select(table.c.id).where(among(table.c.document_id, document_ids), table.c.state == "open")
        for parked_id in self.connection.execute(query.order_by(table.c.id)).scalars().all():
            self.close_parked(parked_id, state, actor, reason)

    def lock_parked(self, parked_id: int) -> ParkedRow | None:
        """Lock a parked item and return it."""
        table = tables.parked
        query = select(table).where(table.c.id == parked_id).with_for_update()
        row = self.connection.execute(query).mappings().first()
        if row is None:
            return None
        return ParkedRow(
            id=row["id"],
            stage=row["stage"],
            code=row["code"],
            state=row["state"],
            source=row["source"],
            trade_id=row["trade_id"],
            event_row=row["event_row"],
            document_id=row["document_id"],
            archive_id=row["archive_id"],
            instruction_id=row["instruction_id"],
        )

    def waiting_commands(self, limit: int) -> list[CommandRow]:
        """Return operators' commands that wait, in the order they were given."""
        table = tables.command
        query = select(table).where(table.c.state == "waiting").order_by(table.c.id).limit(limit)
        return [
            CommandRow(
                id=row["id"],
                kind=row["kind"],
                parked_id=row["parked_id"],
                content=None if row["content"] is None else bytes(row["content"]),
                actor=row["actor"],
                reason=row["reason"],
                instruction_id=row["instruction_id"],
            )
            for row in self.connection.execute(query).mappings()
        ]

    def answer_command(self, command_id: int, state: str, answer: str) -> None:
        """Record what became of a command: ``done`` or ``refused``, with a sentence."""
        table = tables.command
        self.connection.execute(
            update(table).where(table.c.id == command_id).values(state=state, answer=answer, done_at=self.now)
        )

    def set_archive_state(self, archive_id: int, state: ArchiveState) -> None:
        """Give an archived reply another state and leave the rest as it is."""
        self.connection.execute(
            update(tables.archive).where(tables.archive.c.id == archive_id).values(state=int(state))
        )

    def reopen_reply(self, archive_id: int, repaired: bytes | None) -> None:
        """Let a parked reply be applied again, with repaired content where given; the original stays."""
        values: dict[str, Any] = {"state": int(ArchiveState.WAITING)}
        if repaired is not None:
            values["repaired"] = repaired
        self.connection.execute(update(tables.archive).where(tables.archive.c.id == archive_id).values(values))

    def unpublished(self, limit: int) -> list[tuple[int, str, str, bytes]]:
        """Return (number, topic, key, content) of events that are to be published, in order."""
        found = self.connection.execute(_UNPUBLISHED, {"most": limit})
        return [(row[0], row[1], row[2], bytes(row[3])) for row in found]

    def mark_published(self, numbers: Sequence[int]) -> None:
        """Record that events were published."""
        if numbers:
            at = microseconds(self.now)
            self.connection.exec_driver_sql(self.statements.published, [(at, number) for number in numbers])
