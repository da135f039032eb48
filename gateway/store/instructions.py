"""Instructions in the ledger: locked in order, moved with one history entry and one status event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec
from sqlalchemy import Column, case, select, text

from gateway.model.facts import Alert, Change, State, Terms
from gateway.model.reports import (
    STATUS_SCHEMA,
    Cause,
    StatusEvent,
    axes_of,
    encode,
    settled_sums,
)
from gateway.model.transitions import UNDONE
from gateway.store import tables
from gateway.store.among import among
from gateway.store.history import GENESIS, entry_hash
from gateway.store.pending import Moved, Pending
from gateway.store.rows import (
    Alleged,
    InstructionRow,
    NewEvent,
    Origin,
)
from gateway.store.tables import microseconds

_RESTATES: Final = "amendment"  # the role of a request whose message states the whole instruction once more
_REFUSED: Final = frozenset({"rejected", "denied"})
_STATE = msgspec.json.Decoder(State)
_TERMS = msgspec.json.Decoder(Terms)
_ALLEGED = select(
    tables.instruction.c.id,
    tables.instruction.c.counterparty,
    tables.instruction.c.settlement_date,
    tables.instruction.c.quantity,
    tables.instruction.c.amount,
).where(text(tables.OPEN_ALLEGEMENT))
_NO_REFERENCES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass
class Instructions(Pending):
    """Find, lock, add and move instructions."""

    def lock(self, ids: Iterable[int]) -> dict[int, InstructionRow]:
        """Lock instructions in identifier order and return them; ones this unit has moved come as moved."""
        wanted = {number for number in ids if number not in self._moved}
        if wanted:
            for row in self.connection.execute(_LOCK, {"ids": list(wanted)}):
                self._moved[row[0]] = Moved(instruction_row(row), self.now)
        return {number: self._moved[number].row for number in ids if number in self._moved}

    def look_up(self, ids: Iterable[int]) -> dict[int, InstructionRow]:
        """Return instructions as they are, unlocked: to look at, not to move."""
        table = tables.instruction
        query = select(*INSTRUCTION_COLUMNS).where(among(table.c.id, set(ids)))
        return {row[0]: instruction_row(row) for row in self.connection.execute(query)}

    def by_transaction(self, transaction_ids: Iterable[str]) -> dict[str, int]:
        """Return instruction numbers by transaction identification."""
        found = self.connection.execute(_BY_TRANSACTION, {"names": list(set(transaction_ids))})
        return {row[0]: row[1] for row in found}

    def by_message(self, business_message_ids: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Return instruction number and role of our documents by business message identifier."""
        table = tables.document
        found = self.connection.execute(
            select(table.c.business_message_id, table.c.instruction_id, table.c.role).where(
                among(table.c.business_message_id, set(business_message_ids))
            )
        )
        return {row[0]: (row[1], row[2]) for row in found}

    def by_servicer(self, references: Iterable[str]) -> dict[str, list[int]]:
        """Return instruction numbers by the account servicer's transaction identification."""
        return self._by_name(tables.instruction.c.account_servicer_transaction_id, references)

    def by_infrastructure(self, references: Iterable[str]) -> dict[str, list[int]]:
        """Return instruction numbers by the market infrastructure's transaction identification."""
        return self._by_name(tables.instruction.c.market_infrastructure_transaction_id, references)

    def _by_name(self, column: Column[Any], references: Iterable[str]) -> dict[str, list[int]]:
        found = self.connection.execute(select(column, tables.instruction.c.id).where(among(column, set(references))))
        result: dict[str, list[int]] = defaultdict(list)
        for row in found:
            result[row[0]].append(row[1])
        return result

    def by_reference(self, kind: str, values: Iterable[str]) -> dict[str, list[int]]:
        """Return instruction numbers by a reference of a kind (``uetr``, ``end_to_end_id``)."""
        table = tables.reference
        found = self.connection.execute(
            select(table.c.value, table.c.instruction_id).where(table.c.kind == kind, among(table.c.value, set(values)))
        )
        result: dict[str, list[int]] = defaultdict(list)
        for row in found:
            result[row[0]].append(row[1])
        return result

    def references_of(self, row: InstructionRow) -> dict[str, str]:
        """Return the references that an instruction was given, by kind."""
        table = tables.reference
        query = select(table.c.kind, table.c.value).where(table.c.instruction_id == row.id)
        return {found[0]: found[1] for found in self.connection.execute(query)}

    def first_document(self, row: InstructionRow) -> tuple[str, str, bytes, datetime] | None:
        """Return identifier, definition, bytes and creation time of the message that states an instruction.

        It is the one that carried it, or the last amendment that nobody refused, which states all of it once more.
        """
        table = tables.document
        refused = [name for name, asked in (row.state.requests or {}).items() if asked.status.value in _REFUSED]
        query = (
            select(table.c.business_message_id, table.c.message_definition, table.c.content, table.c.created_at)
            .where(table.c.instruction_id == row.id, table.c.business_message_id.not_in(refused))
            .order_by(case((table.c.role == _RESTATES, -table.c.id), else_=table.c.id))
            .limit(1)
        )
        found = self.connection.execute(query).first()
        return None if found is None else (found[0], found[1], found[2], found[3])

    def around(self, counterparty: str, dialogues: Iterable[str], earliest: date, latest: date) -> list[InstructionRow]:
        """Return instructions with a counterparty that settle between two dates, unlocked: to compare, not to move.

        Ones that this unit has moved come as moved.
        """
        table = tables.instruction
        query = (
            select(*INSTRUCTION_COLUMNS)
            .where(table.c.counterparty == counterparty, table.c.settlement_date.between(earliest, latest))
            .where(among(table.c.dialogue, set(dialogues)))
            .order_by(table.c.id)
        )
        found = self.connection.execute(query)
        return [self._moved[row[0]].row if row[0] in self._moved else instruction_row(row) for row in found]

    def open_allegements(self, counterparties: Iterable[str]) -> list[Alleged]:
        """Return what these counterparties alleged or confirmed and nobody has answered, in short."""
        found = self.connection.execute(_ALLEGED_BY, {"counterparties": list(set(counterparties))})
        return [Alleged(*row) for row in found]

    def allegements_around(self, ids: Iterable[int]) -> list[Alleged]:
        """Return what the counterparties of these instructions alleged or confirmed and nobody has answered."""
        other = tables.instruction.alias("other")
        theirs = select(other.c.counterparty).where(among(other.c.id, set(ids)))
        query = _ALLEGED.where(tables.instruction.c.counterparty.in_(theirs))
        return [Alleged(*row) for row in self.connection.execute(query)]

    def add_instruction(
        self,
        *,
        transaction_id: str,
        event: NewEvent | Origin,
        dialogue: str,
        counterparty: str,
        terms: Terms,
        state: State,
        references: Mapping[str, str] = _NO_REFERENCES,
    ) -> InstructionRow:
        """Add an instruction; its first ``move`` gives it its first history entry.

        ``references`` are further names of it, by kind.
        """
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
            created_at=self.now,
        )
        self._rows[tables.reference].extend((kind, value, row.id) for kind, value in references.items())
        self._moved[row.id] = Moved(row, self.now)
        self._fresh[row.id] = (encode(terms), self.now)
        return row

    def settles_on(self, row: InstructionRow, day: date | None) -> None:
        """Let an instruction be found by the settlement date that it has now; its terms stay as instructed."""
        if day is not None:
            self._dates[row.id] = day

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
        if headline in UNDONE and before not in UNDONE:
            self.recheck([row.id])
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

    def recheck(self, instruction_ids: Iterable[int]) -> None:
        """Have instructions looked at with what goes with them or was alleged, soon after this transaction."""
        self._rows[tables.recheck] += [(self._allocate(tables.recheck), number) for number in instruction_ids]

    def name_references(self, row: InstructionRow, servicer: str | None, infrastructure: str | None = None) -> None:
        """Remember the identifications that others give, keys for later replies and for links; the caller moves it."""
        before = row.account_servicer_transaction_id, row.market_infrastructure_transaction_id
        after = servicer or before[0], infrastructure or before[1]
        row.account_servicer_transaction_id, row.market_infrastructure_transaction_id = after
        if after != before and row.headline in UNDONE:  # what states a link to this name could not be told before
            self.recheck([row.id])


INSTRUCTION_COLUMNS = (
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
    tables.instruction.c.market_infrastructure_transaction_id,
    tables.instruction.c.created_at,
)


_LOCK = (
    select(*INSTRUCTION_COLUMNS)
    .where(among(tables.instruction.c.id, "ids"))
    .order_by(tables.instruction.c.id)
    .with_for_update()
)
_BY_TRANSACTION = select(tables.instruction.c.transaction_id, tables.instruction.c.id).where(
    among(tables.instruction.c.transaction_id, "names")
)
_ALLEGED_BY = _ALLEGED.where(among(tables.instruction.c.counterparty, "counterparties"))


def instruction_row(row: Any) -> InstructionRow:
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
        market_infrastructure_transaction_id=row[13],
        created_at=row[14],
    )
