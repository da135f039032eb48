"""Documents on their way out: the outbox, attempts, and what they may wait for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, select

from gateway.model.references import trade_key
from gateway.store import tables
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import (
    InstructionRow,
    OutboxState,
    SendRow,
)
from gateway.store.tables import microseconds


def _eligible() -> Select[Any]:
    outbox, document, instruction = tables.outbox, tables.document, tables.instruction
    earlier = outbox.alias("earlier")
    blocked = (
        select(1)
        .where(
            earlier.c.trade_key == outbox.c.trade_key,
            earlier.c.document_id < outbox.c.document_id,
            earlier.c.state < OutboxState.DONE,
        )
        .exists()
    )
    return (
        select(
            outbox.c.document_id,
            outbox.c.instruction_id,
            instruction.c.transaction_id,
            document.c.role,
            document.c.message_definition,
            document.c.business_message_id,
            document.c.content,
            outbox.c.attempts,
            outbox.c.in_doubt,
        )
        .join(document, document.c.id == outbox.c.document_id)
        .join(instruction, instruction.c.id == outbox.c.instruction_id)
        .where(outbox.c.channel == bindparam("on"), outbox.c.state == OutboxState.READY, outbox.c.state < 3, ~blocked)
        .order_by(outbox.c.document_id)
        .limit(bindparam("most"))
        .with_for_update(of=outbox, skip_locked=True)
    )


_ELIGIBLE = _eligible()
_READY = (
    select(1)
    .where(tables.outbox.c.channel == bindparam("on"))
    .where(tables.outbox.c.state == OutboxState.READY, tables.outbox.c.state < 3)
    .limit(1)
)
_ATTEMPTED = (
    select(tables.outbox.c.instruction_id)
    .join(tables.document, tables.document.c.id == tables.outbox.c.document_id)
    .where(among(tables.document.c.instruction_id, "ids"))
    .where(tables.outbox.c.state < OutboxState.DONE, tables.outbox.c.attempts > 0)
)


@dataclass
class Sends(Pending):
    """Read and move the outbox; the attempt is written before the send."""

    def add_document(
        self,
        row: InstructionRow,
        *,
        role: str,
        cause: str,
        message_definition: str,
        business_message_id: str,
        content: bytes,
        digest: bytes,
        channel: str,
    ) -> int:
        """Add an outgoing document and its outbox row; returns the document's number."""
        number = self._allocate(tables.document)
        self._rows[tables.document].append(
            (number, row.id, role, cause, message_definition, business_message_id, content, digest, self.now)
        )
        key = trade_key(row.source, row.trade_id)
        self._rows[tables.outbox].append((number, row.id, key, channel, int(OutboxState.READY), 0, 0))
        return number

    def eligible(self, channel: str, limit: int) -> list[SendRow]:
        """Return documents ready to be sent on a channel, oldest first, none behind an open item of its trade."""
        found = self.connection.execute(_ELIGIBLE, {"on": channel, "most": limit})
        return [SendRow(*row) for row in found]

    def has_ready(self, channel: str) -> bool:
        """Tell whether any document waits to be sent on a channel."""
        return self.connection.execute(_READY, {"on": channel}).first() is not None

    def set_outbox(self, document_id: int, state: OutboxState, attempts: int, in_doubt: int) -> None:
        """Move a document on its way out."""
        self._outbox.append((int(state), attempts, in_doubt, document_id))

    def open_outbox(self, instruction_id: int) -> list[tuple[int, str, int, int, int]]:
        """Return an instruction's unsent documents: (document, role, state, attempts, in doubt), in order."""
        outbox, document = tables.outbox, tables.document
        query = (
            select(outbox.c.document_id, document.c.role, outbox.c.state, outbox.c.attempts, outbox.c.in_doubt)
            .join(document, document.c.id == outbox.c.document_id)
            .where(outbox.c.instruction_id == instruction_id, document.c.instruction_id == instruction_id)
            .where(outbox.c.state < OutboxState.DONE)
            .order_by(outbox.c.document_id)
            .with_for_update(of=outbox)
        )
        return [(row[0], row[1], row[2], row[3], row[4]) for row in self.connection.execute(query)]

    def sent_document(self, instruction_id: int, business_message_id: str | None) -> tuple[int, int, int]:
        """Return a document of an instruction as (document, attempts, in doubt): the one named, or else the first."""
        outbox, document = tables.outbox, tables.document
        query = (
            select(outbox.c.document_id, outbox.c.attempts, outbox.c.in_doubt)
            .join(document, document.c.id == outbox.c.document_id)
            .where(outbox.c.instruction_id == instruction_id, document.c.instruction_id == instruction_id)
            .order_by(outbox.c.document_id)
            .limit(1)
            .with_for_update(of=outbox)
        )
        if business_message_id is not None:
            query = query.where(document.c.business_message_id == business_message_id)
        row = self.connection.execute(query).one()
        return row[0], row[1], row[2]

    def start_attempt(
        self,
        document_id: int,
        number: int,
        epoch: int,
        *,
        possible_duplicate: bool,
        content: bytes | None,
        digest: bytes,
    ) -> None:
        """Add an attempt before the send; ``content`` only where the bytes differ from the document's."""
        self._rows[tables.attempt].append(
            (document_id, number, epoch, int(possible_duplicate), content, digest, self.now, None, None, None, None)
        )

    def end_attempt(self, document_id: int, number: int, outcome: str, code: str | None, reference: str | None) -> None:
        """Record how an attempt ended."""
        self._ended.append((microseconds(self.now), outcome, code, reference, document_id, number))

    def unfinished_attempts(self, channel: str, epoch: int) -> list[tuple[int, int, int, str, int, int]]:
        """Return attempts that earlier holders left: (document, number, instruction, role, attempts, in doubt)."""
        attempt, outbox, document = tables.attempt, tables.outbox, tables.document
        query = (
            select(
                outbox.c.document_id,
                attempt.c.number,
                outbox.c.instruction_id,
                document.c.role,
                outbox.c.attempts,
                outbox.c.in_doubt,
            )
            .join(attempt, and_(attempt.c.document_id == outbox.c.document_id, attempt.c.number == outbox.c.attempts))
            .join(document, document.c.id == outbox.c.document_id)
            .where(outbox.c.channel == channel, outbox.c.state == OutboxState.SENDING, outbox.c.state < 3)
            .where(attempt.c.outcome.is_(None), attempt.c.epoch < epoch)
            .order_by(outbox.c.document_id)
        )
        return [tuple(row) for row in self.connection.execute(query)]

    def attempted(self, instruction_ids: Iterable[int]) -> set[int]:
        """Return the instructions of which an attempt is under way or in doubt."""
        return set(self.connection.execute(_ATTEMPTED, {"ids": list(set(instruction_ids))}).scalars())

    def holds(self, channel: str, holder: str, epoch: int) -> bool:
        """Tell whether a lease is still held, and keep it from changing hands until the commit."""
        table = tables.lease
        query = select(table.c.expires_at).where(
            table.c.channel == channel, table.c.holder == holder, table.c.epoch == epoch
        )
        expires = self.connection.execute(query.with_for_update(read=True)).scalar()
        return expires is not None and expires > self.now

    def backlog(self) -> int:
        """Count documents that wait to be sent."""
        outbox = tables.outbox
        return int(self.connection.execute(select(func.count()).where(outbox.c.state < OutboxState.DONE)).scalar_one())
