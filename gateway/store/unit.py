"""One transaction's reads and writes: the verbs of the ledger.

A loop gets a ``Unit`` inside a transaction, reads what it needs, decides, and adds rows; they are written in bulk when
the loop's function returns. Nothing here decides what a message means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, false, func, or_, select, update

from gateway.model.facts import Alert, Change, State, Terms
from gateway.model.references import trade_key
from gateway.model.reports import (
    EXCEPTION_SCHEMA,
    STATUS_SCHEMA,
    Cause,
    ExceptionEvent,
    StatusEvent,
    axes_of,
    encode,
    settled_sums,
)
from gateway.store import tables
from gateway.store.history import GENESIS, entry_hash
from gateway.store.rows import (
    ArchiveState,
    CommandRow,
    InstructionRow,
    NewEvent,
    OutboxState,
    ParkedRow,
    Parking,
    SendRow,
    WaitingReply,
)
from gateway.store.statements import INSERT_ORDER, Statements
from gateway.store.tables import microseconds

_STATE = msgspec.json.Decoder(State)
_TERMS = msgspec.json.Decoder(Terms)


@dataclass(slots=True)
class _Moved:
    row: InstructionRow
    at: datetime


@dataclass(slots=True)
class Unit:
    """Reads and writes of one transaction. ``now`` is the time of every row it writes."""

    connection: Connection
    statements: Statements
    now: datetime
    size: int = 16  # how many items the loop expects to write: the block of row numbers asked for at once
    _touched: set[int] = field(default_factory=set)
    _rows: dict[Table, list[tuple[Any, ...]]] = field(default_factory=lambda: defaultdict(list))
    _moved: dict[int, _Moved] = field(default_factory=dict)
    _fresh: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    _outbox: list[tuple[Any, ...]] = field(default_factory=list)
    _published: list[tuple[Any, ...]] = field(default_factory=list)
    _ended: list[tuple[Any, ...]] = field(default_factory=list)
    _archived: list[tuple[Any, ...]] = field(default_factory=list)
    _ids: dict[str, tuple[int, int]] = field(default_factory=dict)

    # Identifiers ---------------------------------------------------------------------------------------------------

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

    # Events --------------------------------------------------------------------------------------------------------

    def known_events(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, bytes, str]]:
        """Return row number, digest and disposition of the events that are already here, by (source, event id)."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for source, event_id in keys:
            wanted[source].add(event_id)
        table = tables.event
        found = self.connection.execute(
            select(table.c.source, table.c.event_id, table.c.id, table.c.digest, table.c.disposition).where(
                or_(false(), *(and_(table.c.source == name, table.c.event_id.in_(ids)) for name, ids in wanted.items()))
            )
        )
        return {(row[0], row[1]): (row[2], bytes(row[3]), row[4]) for row in found}

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

    def held_events(self, key: int) -> list[int]:
        """Return the rows of a trade's held events, in the order they came."""
        table = tables.event
        query = select(table.c.id).where(table.c.trade_key == key, table.c.disposition == "held").order_by(table.c.id)
        return list(self.connection.execute(query).scalars())

    def open_trades(self, keys: Iterable[int]) -> dict[int, list[tuple[int, str, int | None, int | None]]]:
        """Return, by trade key, what holds a trade's later events: (parked id, stage, instruction number, event row).

        Those are its open parked events, and events held behind them that have not had their turn (parked id 0).
        """
        wanted = set(keys)
        table, events = tables.parked, tables.event
        found = self.connection.execute(
            select(table.c.trade_key, table.c.id, table.c.stage, table.c.instruction_number, table.c.event_row)
            .where(table.c.state == "open", table.c.trade_key.in_(wanted), table.c.stage == "event")
            .order_by(table.c.id)
        )
        result: dict[int, list[tuple[int, str, int | None, int | None]]] = defaultdict(list)
        for row in found:
            result[row[0]].append((row[1], row[2], row[3], row[4]))
        held = self.connection.execute(
            select(events.c.trade_key).distinct().where(events.c.trade_key.in_(wanted), events.c.disposition == "held")
        )
        for key in held.scalars():
            result[key].append((0, "held", None, None))
        return result

    def released_events(self, limit: int) -> list[int]:
        """Return held events that nothing parked holds any more: the first of each trade."""
        table, events = tables.parked, tables.event
        holding = select(1).where(
            table.c.state == "open", table.c.stage == "event", table.c.trade_key == events.c.trade_key
        )
        query = (
            select(func.min(events.c.id))
            .where(events.c.disposition == "held", ~holding.exists())
            .group_by(events.c.trade_key)
            .limit(limit)
        )
        return sorted(self.connection.execute(query).scalars())

    # Instructions --------------------------------------------------------------------------------------------------

    def lock(self, ids: Iterable[int]) -> dict[int, InstructionRow]:
        """Lock instructions in identifier order and return them; ones this unit has moved come as moved."""
        wanted = {number for number in ids if number not in self._moved}
        if wanted:
            table = tables.instruction
            query = select(*_INSTRUCTION_COLUMNS).where(table.c.id.in_(wanted)).order_by(table.c.id).with_for_update()
            for row in self.connection.execute(query):
                self._moved[row[0]] = _Moved(_instruction_row(row), self.now)
        return {number: self._moved[number].row for number in ids if number in self._moved}

    def by_transaction(self, transaction_ids: Iterable[str]) -> dict[str, int]:
        """Return instruction numbers by transaction identification."""
        table = tables.instruction
        found = self.connection.execute(
            select(table.c.transaction_id, table.c.id).where(table.c.transaction_id.in_(set(transaction_ids)))
        )
        return {row[0]: row[1] for row in found}

    def by_message(self, business_message_ids: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Return instruction number and role of our documents by business message identifier."""
        table = tables.document
        found = self.connection.execute(
            select(table.c.business_message_id, table.c.instruction_id, table.c.role).where(
                table.c.business_message_id.in_(set(business_message_ids))
            )
        )
        return {row[0]: (row[1], row[2]) for row in found}

    def by_servicer(self, references: Iterable[str]) -> dict[str, list[int]]:
        """Return instruction numbers by the account servicer's transaction identification."""
        table = tables.instruction
        found = self.connection.execute(
            select(table.c.account_servicer_transaction_id, table.c.id).where(
                table.c.account_servicer_transaction_id.in_(set(references))
            )
        )
        result: dict[str, list[int]] = defaultdict(list)
        for row in found:
            result[row[0]].append(row[1])
        return result

    def add_instruction(
        self, *, transaction_id: str, event: NewEvent, dialogue: str, counterparty: str, terms: Terms, state: State
    ) -> InstructionRow:
        """Add an instruction; its first ``move`` gives it its first history entry."""
        assert event.trade_id is not None
        assert event.instruction_number is not None
        row = InstructionRow(
            id=self._allocate(tables.instruction),
            transaction_id=transaction_id,
            source=event.source,
            trade_id=event.trade_id,
            dialogue=dialogue,
            instruction_number=event.instruction_number,
            counterparty=counterparty,
            terms=terms,
            state=state,
            headline="recorded",
            sequence=0,
            head_hash=GENESIS,
        )
        self._moved[row.id] = _Moved(row, self.now)
        self._fresh[row.id] = (encode(terms), self.now)
        return row

    def move(
        self,
        row: InstructionRow,
        state: State,
        headline: str,
        *,
        action: str,
        actor: str,
        cause: Cause,
        changes: tuple[Change, ...] = (),
        alerts: tuple[Alert, ...] = (),
        publish: bool = True,
    ) -> None:
        """Give an instruction a new state: one history entry, chained, and one status event."""
        before = row.headline
        sequence = row.sequence + 1
        detail = encode({"before": before, "headline": headline, "changes": changes, "alerts": alerts})
        head = entry_hash(
            row.head_hash,
            row.transaction_id,
            sequence,
            microseconds(self.now),
            actor,
            action,
            f"{cause.kind}:{cause.identifier}",
            detail,
        )
        row.state, row.headline, row.sequence, row.head_hash = state, headline, sequence, head
        moved = self._moved[row.id]
        moved.at = self.now
        self._rows[tables.history].append(
            (row.id, sequence, self.now, actor, action, f"{cause.kind}:{cause.identifier}", detail, head)
        )
        self._touched.add(row.id)
        if not publish:
            return
        quantities, amounts = settled_sums(state) if state.parts else ((), ())
        status_id = f"{row.transaction_id}-{sequence}"
        report = StatusEvent(
            schema=STATUS_SCHEMA,
            status_id=status_id,
            source=row.source,
            trade_id=row.trade_id,
            instruction_number=row.instruction_number,
            transaction_id=row.transaction_id,
            counterparty=row.counterparty,
            dialogue=row.dialogue,
            occurred_at=self.now,
            action=action,
            headline=headline,
            delivery=state.delivery.value,
            sequence=sequence,
            head_hash=head.hex(),
            cause=cause,
            changes=changes,
            axes=axes_of(state),
            settled_quantity=quantities,
            settled_amount=amounts,
            breaks=state.breaks,
            alerts=alerts,
        )
        self._publish("status", row.trade_id, status_id, row.id, encode(report))

    def name_servicer_reference(self, row: InstructionRow, reference: str) -> None:
        """Remember the account servicer's transaction identification, a key for later replies."""
        row.account_servicer_transaction_id = reference

    def _publish(self, topic: str, key: str, status_id: str, instruction_id: int | None, content: bytes) -> None:
        self._published.append((topic, key, status_id, instruction_id, content, self.now, None))

    # Documents and sends -------------------------------------------------------------------------------------------

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
        query = (
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
            .where(outbox.c.channel == channel, outbox.c.state == OutboxState.READY, outbox.c.state < 3, ~blocked)
            .order_by(outbox.c.document_id)
            .limit(limit)
            .with_for_update(of=outbox, skip_locked=True)
        )
        return [SendRow(*row) for row in self.connection.execute(query)]

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
        outbox, document = tables.outbox, tables.document
        query = (
            select(outbox.c.instruction_id)
            .join(document, document.c.id == outbox.c.document_id)
            .where(document.c.instruction_id.in_(set(instruction_ids)))
            .where(outbox.c.state < OutboxState.DONE, outbox.c.attempts > 0)
        )
        return set(self.connection.execute(query).scalars())

    def holds(self, channel: str, holder: str, epoch: int) -> bool:
        """Tell whether a lease is still held, and keep it from changing hands until the commit."""
        table = tables.lease
        query = select(table.c.expires_at).where(
            table.c.channel == channel, table.c.holder == holder, table.c.epoch == epoch
        )
        expires = self.connection.execute(query.with_for_update(read=True)).scalar()
        return expires is not None and expires > self.now

    def is_here(self) -> bool:
        """Ask the ledger something small."""
        return bool(self.connection.exec_driver_sql("SELECT 1").scalar())

    def backlog(self) -> int:
        """Count documents that wait to be sent."""
        outbox = tables.outbox
        return int(self.connection.execute(select(func.count()).where(outbox.c.state < OutboxState.DONE)).scalar_one())

    # Replies -------------------------------------------------------------------------------------------------------

    def archive(self, channel: str, incoming: Sequence[tuple[str, bytes, bytes]]) -> list[int | None]:
        """Archive (carrier key, content, digest); returns the archive number, None for bytes that are here already."""
        table = tables.archive
        known = dict(
            self.connection.execute(
                select(table.c.digest, table.c.id).where(
                    table.c.channel == channel, table.c.digest.in_({digest for _, _, digest in incoming})
                )
            ).fetchall()
        )
        seen = {bytes(digest): number for digest, number in known.items()}
        repeated: list[int] = []
        result: list[int | None] = []
        for carrier_key, content, digest in incoming:
            if digest in seen:
                repeated.append(seen[digest])
                result.append(None)
                continue
            number = self._allocate(table)
            seen[digest] = number
            result.append(number)
            self._rows[table].append(
                (number, channel, carrier_key, content, digest, self.now, 0, 0, None, None, None, None, None)
            )
        self._flush_rows(table)
        for number in repeated:
            self.connection.execute(update(table).where(table.c.id == number).values(repeats=table.c.repeats + 1))
        return result

    def waiting_replies(self, channel: str, limit: int) -> list[WaitingReply]:
        """Return archived replies of a channel that wait to be applied, in archive order."""
        table = tables.archive
        query = (
            select(table.c.id, table.c.content, table.c.repaired, table.c.carrier_key)
            .where(table.c.channel == channel, table.c.state == 0)
            .order_by(table.c.id)
            .limit(limit)
        )
        return [
            WaitingReply(r[0], bytes(r[2] if r[2] is not None else r[1]), r[3]) for r in self.connection.execute(query)
        ]

    def claim_replies(self, archive_ids: Iterable[int]) -> set[int]:
        """Lock archived replies that still wait; one that another process has or had is left out."""
        table = tables.archive
        query = (
            select(table.c.id)
            .where(table.c.id.in_(set(archive_ids)), table.c.state == 0)
            .order_by(table.c.id)
            .with_for_update(skip_locked=True)
        )
        return set(self.connection.execute(query).scalars())

    def replies_with(self, channel: str, business_message_ids: Iterable[str]) -> dict[str, tuple[int, bytes | None]]:
        """Return applied replies of a channel by business message identifier: (archive, document digest)."""
        table = tables.archive
        found = self.connection.execute(
            select(table.c.business_message_id, table.c.id, table.c.document_digest)
            .where(table.c.channel == channel, table.c.business_message_id.in_(set(business_message_ids)))
            .where(table.c.state == ArchiveState.APPLIED)
        )
        return {row[0]: (row[1], None if row[2] is None else bytes(row[2])) for row in found}

    def set_archive(
        self,
        archive_id: int,
        state: ArchiveState,
        *,
        message_definition: str | None = None,
        business_message_id: str | None = None,
        document_digest: bytes | None = None,
        instruction_id: int | None = None,
    ) -> None:
        """Say what became of an archived reply."""
        self._archived.append(
            (int(state), message_definition, business_message_id, document_digest, instruction_id, archive_id)
        )

    # Parking -------------------------------------------------------------------------------------------------------

    def park(self, parking: Parking) -> int:
        """Park something: a row for operators, and an exception event."""
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
                "open",
                None,
                self.now,
                None,
                None,
                None,
            )
        )
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
        return number

    def close_parked(self, parked_id: int, state: str, actor: str, reason: str, repaired: bytes | None = None) -> None:
        """Close a parked item: released, discarded or cancelled. The original stays where it is."""
        values: dict[str, Any] = {"state": state, "closed_at": self.now, "closed_by": actor, "reason": reason}
        if repaired is not None:
            values["repaired"] = repaired
        self.connection.execute(update(tables.parked).where(tables.parked.c.id == parked_id).values(values))

    def close_parked_documents(self, document_ids: Sequence[int], state: str, actor: str, reason: str) -> None:
        """Close the open parked sends of documents."""
        table = tables.parked
        self.connection.execute(
            update(table)
            .where(table.c.document_id.in_(document_ids), table.c.state == "open")
            .values(state=state, closed_at=self.now, closed_by=actor, reason=reason)
        )

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

    # Publication ---------------------------------------------------------------------------------------------------

    def unpublished(self, limit: int) -> list[tuple[int, str, str, bytes]]:
        """Return (number, topic, key, content) of events that are to be published, in order."""
        table = tables.publication
        query = (
            select(table.c.id, table.c.topic, table.c.message_key, table.c.content)
            .where(table.c.published_at.is_(None))
            .order_by(table.c.id)
            .limit(limit)
        )
        return [(row[0], row[1], row[2], bytes(row[3])) for row in self.connection.execute(query)]

    def mark_published(self, numbers: Sequence[int]) -> None:
        """Record that events were published."""
        if numbers:
            at = microseconds(self.now)
            self.connection.exec_driver_sql(self.statements.published, [(at, number) for number in numbers])

    # Writing -------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was added, in bulk. The ledger calls it before the commit; nothing is visible earlier."""
        updated: list[tuple[Any, ...]] = []
        for number in sorted(self._touched):
            row = self._moved[number].row
            state = encode(row.state)
            if number in self._fresh:
                terms, created = self._fresh[number]
                shown = row.terms
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
                        shown.amount.value if shown.amount else None,
                        shown.amount.currency if shown.amount else None,
                        terms,
                        state,
                        row.headline,
                        row.sequence,
                        row.head_hash,
                        row.account_servicer_transaction_id,
                        created,
                        self.now,
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
                        number,
                    )
                )
        for values in self._published:
            # Numbered last, with every lock held: a trade's numbers rise in the order its changes are committed.
            self._rows[tables.publication].append((self._allocate(tables.publication), *values))
        for table in INSERT_ORDER:
            self._flush_rows(table)
        for statement, rows in (
            (self.statements.update_instruction, updated),
            (self.statements.end_attempt, self._ended),
            (self.statements.update_outbox, self._outbox),
            (self.statements.update_archive, self._archived),
        ):
            if rows:
                self.connection.exec_driver_sql(statement, rows)

    def _flush_rows(self, table: Table) -> None:
        rows = self._rows.pop(table, None)
        if rows:
            self.statements.inserts[table].run(self.connection, rows)


_INSTRUCTION_COLUMNS = (
    tables.instruction.c.id,
    tables.instruction.c.transaction_id,
    tables.instruction.c.source,
    tables.instruction.c.trade_id,
    tables.instruction.c.dialogue,
    tables.instruction.c.instruction_number,
    tables.instruction.c.counterparty,
    tables.instruction.c.terms,
    tables.instruction.c.state,
    tables.instruction.c.headline,
    tables.instruction.c.sequence,
    tables.instruction.c.head_hash,
    tables.instruction.c.account_servicer_transaction_id,
)


def _harmless(text: str | None) -> str | None:
    """Write out what no store holds (NUL, lone surrogates): what is said of a bad item must not be refused in turn."""
    return None if text is None else text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def _harmless_parking(parking: Parking) -> Parking:
    violations = tuple(
        replace(v, path=_harmless(v.path) or "", value=_harmless(v.value), text=_harmless(v.text) or "")
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


def _instruction_row(row: Any) -> InstructionRow:
    return InstructionRow(
        id=row[0],
        transaction_id=row[1],
        source=row[2],
        trade_id=row[3],
        dialogue=row[4],
        instruction_number=row[5],
        counterparty=row[6],
        terms=_TERMS.decode(row[7]),
        state=_STATE.decode(row[8]),
        headline=row[9],
        sequence=row[10],
        head_hash=bytes(row[11]),
        account_servicer_transaction_id=row[12],
    )
