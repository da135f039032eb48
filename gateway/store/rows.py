"""What the ledger hands out and takes in: rows as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum

from gateway.calendar.deadlines import Cutoff, Deadline
from gateway.errors import Violation
from gateway.model.facts import State, Terms


class OutboxState(IntEnum):
    """Where a document stands on its way out; below DONE it is open and holds the later items of its trade."""

    READY = 0
    SENDING = 1
    PARKED = 2
    DONE = 3
    WITHDRAWN = 4


class ArchiveState(IntEnum):
    """What became of an archived reply."""

    WAITING = 0
    APPLIED = 1
    DUPLICATE = 2
    PARKED = 3
    DISCARDED = 4


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A trade event as it came, with what could be read of it. ``trade_id`` is None where it could not be decoded."""

    source: str
    event_id: str
    digest: bytes
    topic: str
    partition: int
    offset: int
    received_at: datetime
    content: bytes
    kind: str | None = None
    trade_id: str | None = None
    instruction_number: int | None = None

    @property
    def origin(self) -> str:
        """Return ``topic/partition/offset``: evidence, never a key."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose trade an instruction is: for one that the other side begins, its BIC and its reference."""

    source: str
    trade_id: str
    instruction_number: int


@dataclass(slots=True)
class InstructionRow:
    """An instruction as the ledger has it, locked by this transaction."""

    id: int
    transaction_id: str
    source: str
    trade_id: str
    dialogue: str
    instruction_number: int
    counterparty: str
    terms: Terms
    state: State
    headline: str
    sequence: int
    head_hash: bytes
    account_servicer_transaction_id: str | None = None
    market_infrastructure_transaction_id: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alleged:
    """What the other side began and nobody has answered."""

    instruction_id: int
    counterparty: str
    settlement_date: date | None
    quantity: Decimal | None
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Linked:
    """One thing that an instruction goes with: ``instruction_id`` is None where nobody here has that name.

    ``direction`` is ``states``, ``stated_by``, or ``shares`` where both state the same pool, block or allocation.
    """

    direction: str
    relation: str
    names: str
    value: str
    instruction_id: int | None
    ended: bool


@dataclass(frozen=True, slots=True)
class SendRow:
    """A document that is to be sent."""

    document_id: int
    instruction_id: int
    transaction_id: str
    role: str
    message_definition: str
    business_message_id: str
    content: bytes
    attempts: int
    in_doubt: int


@dataclass(frozen=True, slots=True)
class WaitingReply:
    """An archived reply that has not been applied; ``content`` is the repaired one where an operator gave it."""

    archive_id: int
    content: bytes
    carrier_key: str


@dataclass(frozen=True, slots=True)
class Parking:
    """Why something is parked, and where the original is."""

    stage: str  # event | send | reply
    code: str
    text: str
    origin: str
    violations: tuple[Violation, ...] = ()
    source: str | None = None
    trade_id: str | None = None
    instruction_number: int | None = None
    counterparty: str | None = None
    event_row: int | None = None
    document_id: int | None = None
    archive_id: int | None = None
    instruction_id: int | None = None


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A parked item as an operator's command finds it."""

    id: int
    stage: str
    code: str
    state: str
    source: str | None
    trade_id: str | None
    event_row: int | None
    document_id: int | None
    archive_id: int | None
    instruction_id: int | None


@dataclass(frozen=True, slots=True)
class CommandRow:
    """An operator's command: repair, release or discard a parked item, or answer what the other side began."""

    id: int
    kind: str
    parked_id: int | None
    content: bytes | None
    actor: str
    reason: str
    instruction_id: int | None = None


@dataclass(frozen=True, slots=True)
class WatchRow:
    """The deadlines of an instruction; ``next_at`` is when to look at it again, None when nothing more is to be told.

    ``document_id`` is the last of its documents that was taken account of.
    """

    instruction_id: int
    document_id: int
    next_at: datetime | None
    deadlines: tuple[Deadline, ...]


@dataclass(frozen=True, slots=True)
class CutoffChange:
    """An operator sets or clears a cut-off while the gateway runs."""

    id: int
    action: str  # set | clear
    cutoff: Cutoff
    actor: str
    reason: str
    created_at: datetime


def cutoffs_in_force(configured: Iterable[Cutoff], changes: Iterable[CutoffChange]) -> list[Cutoff]:
    """Return the cut-offs that hold: those configured, with what operators have changed since.

    One that was set takes the place of the configured one with the same criteria; once cleared, that one holds again.
    """
    changed: dict[object, Cutoff | None] = {}
    for change in changes:
        changed[change.cutoff.key] = change.cutoff if change.action == "set" else None
    standing = [cutoff for cutoff in changed.values() if cutoff is not None]
    replaced = {cutoff.key for cutoff in standing}
    return [*(cutoff for cutoff in configured if cutoff.key not in replaced), *standing]
