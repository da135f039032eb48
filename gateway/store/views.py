"""What operators see of the ledger: rows joined and decoded, ready for a table or for JSON.

``content`` is text where the bytes are UTF-8, else the bytes (base64 in JSON), and None unless it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from gateway.calendar.deadlines import Deadline
from gateway.errors import Violation
from gateway.matching import FieldCompared
from gateway.model.facts import Alert, Change, Position, State, Terms

Content = str | bytes | None


@dataclass(frozen=True, slots=True)
class InstructionSummary:
    """One line of a list; account numbers are not part of it."""

    id: int
    transaction_id: str
    source: str
    trade_id: str
    instruction_number: int
    dialogue: str
    counterparty: str
    headline: str
    movement: str | None
    payment: str | None
    isin: str | None
    quantity: Decimal | None
    quantity_type: str | None
    amount: Decimal | None
    currency: str | None
    settlement_date: date | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class EventView:
    """A trade event: where it came from (``origin`` is topic/partition/offset) and what became of it."""

    id: int
    source: str
    event_id: str
    kind: str | None
    received_at: datetime
    origin: str
    disposition: str
    content: Content = None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt to send a document; ``outcome`` None is under way, or in doubt after a crash."""

    number: int
    started_at: datetime
    ended_at: datetime | None
    possible_duplicate: bool
    outcome: str | None
    code: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """One of our messages, where it stands on its way out, and every attempt."""

    id: int
    role: str
    cause: str
    message_definition: str
    business_message_id: str
    created_at: datetime
    channel: str
    state: str
    attempts: tuple[AttemptView, ...]
    content: Content = None


@dataclass(frozen=True, slots=True)
class ReplyView:
    """An archived message of the counterparty."""

    archive_id: int
    channel: str
    carrier_key: str
    received_at: datetime
    state: str
    repeats: int
    message_definition: str | None
    business_message_id: str | None
    content: Content = None


@dataclass(frozen=True, slots=True)
class HistoryView:
    """One entry of an instruction's history: who, what, when, before, after."""

    sequence: int
    at: datetime
    actor: str
    action: str
    cause: str
    before: str
    headline: str
    changes: tuple[Change, ...]
    alerts: tuple[Alert, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class CommandView:
    """What an operator asked for, and the gateway's answer."""

    id: int
    kind: str
    parked_id: int | None
    actor: str
    reason: str
    created_at: datetime
    state: str
    answer: str | None
    done_at: datetime | None
    instruction_id: int | None = None


@dataclass(frozen=True, slots=True)
class ParkedSummary:
    """One parked item in a list."""

    id: int
    stage: str
    code: str
    text: str
    state: str
    source: str | None
    trade_id: str | None
    instruction_number: int | None
    counterparty: str | None
    origin: str
    created_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """One parked item whole: every violation, the original and what replaced it, and the commands given."""

    summary: ParkedSummary
    violations: tuple[Violation, ...]
    transaction_id: str | None
    holding: int
    commands: tuple[CommandView, ...]
    original: Content
    repaired: Content


@dataclass(frozen=True, slots=True)
class CounterpartView:
    """One of ours that the other side's trade may be.

    It is an ``instruction`` (by its transaction identification) or ``parked`` (by the number of the parked item).

    ``compared_as`` is where it stood when the two were compared, ``stands`` where it does now.
    """

    kind: str
    identifier: str
    source: str | None
    trade_id: str | None
    instruction_number: int | None
    compared_as: str
    stands: str | None
    fields: tuple[FieldCompared, ...]


@dataclass(frozen=True, slots=True)
class AllegementSummary:
    """A trade that the other side began, and what of ours is most like it."""

    id: int
    transaction_id: str
    counterparty: str
    reference: str  # theirs
    dialogue: str
    headline: str
    comparison: str | None
    terms: str
    ours: CounterpartView | None
    agreed: tuple[str, ...]
    differing: tuple[str, ...]
    unstated: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LinkView:
    """What an instruction goes with: ``direction`` is ``states``, ``stated_by`` or ``shares``.

    What follows ``ended`` is of the other one, and None where nobody here has the name (yet).
    """

    direction: str
    relation: str
    names: str
    value: str
    ended: bool
    transaction_id: str | None = None
    source: str | None = None
    trade_id: str | None = None
    instruction_number: int | None = None
    dialogue: str | None = None
    counterparty: str | None = None
    headline: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the ledger knows of one instruction."""

    instruction: InstructionSummary
    account_servicer_transaction_id: str | None
    terms: Terms
    state: State
    events: tuple[EventView, ...]
    documents: tuple[DocumentView, ...]
    replies: tuple[ReplyView, ...]
    history: tuple[HistoryView, ...]
    parked: tuple[ParkedSummary, ...]
    links: tuple[LinkView, ...] = ()
    counterparts: tuple[CounterpartView, ...] = ()
    deadlines: tuple[Deadline, ...] = ()


@dataclass(frozen=True, slots=True)
class DeadlineView:
    """An instruction of which something is still to be told: what comes next, and all its deadlines.

    ``told_at`` is when operators are told unless it has happened: at the warning, or when it is due.
    """

    transaction_id: str
    source: str
    trade_id: str
    instruction_number: int
    counterparty: str
    headline: str
    settlement_date: date | None
    currency: str | None
    kind: str
    due_at: datetime
    told_at: datetime
    deadlines: tuple[Deadline, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of what is in the ledger, and what is open in it."""

    instructions: dict[str, int]  # by headline
    parked: dict[str, int]  # open, by code
    held_events: int
    waiting_requests: int  # that came before their instruction
    outbox: dict[str, int]  # open, by 'channel state'
    unpublished: dict[str, int]  # by topic
    archive: dict[str, int]  # by state
    commands: int  # waiting


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a chain of history does not prove."""

    code: str
    instruction_id: int
    transaction_id: str | None
    sequence: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified; ``faults`` holds the first ones, ``fault_count`` counts all."""

    instructions: int
    entries: int
    faults: tuple[Fault, ...]
    fault_count: int

    @property
    def proven(self) -> bool:
        """Tell whether every chain holds."""
        return not self.fault_count


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """Why a command is not accepted."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class StatementSummary:
    """One statement in a list; its account is not part of it. ``differences`` counts those of all its pages."""

    id: int
    transaction_id: str
    counterparty: str
    kind: str
    reference: str
    number: int | None
    statement_date: date | None
    update: str | None
    headline: str
    pages: int
    last_page: int | None
    entries: int
    differences: int
    requested: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PageView:
    """One page of a statement: the number of its message in the archive, and how much it lists."""

    page: int
    archive_id: int
    entries: int


@dataclass(frozen=True, slots=True)
class DifferenceView:
    """Where a statement and the ledger disagree, with both sides; ``transaction_id`` is ours, if it is about one."""

    statement_id: int
    counterparty: str
    kind: str
    reference: str
    statement_date: date | None
    page: int
    code: str
    subject: str
    field: str
    ours: str | None
    theirs: str | None
    transaction_id: str | None
    found_at: datetime


@dataclass(frozen=True, slots=True)
class StatementStory:
    """A statement whole: its pages, the holdings or balances that it states, and where it differs."""

    statement: StatementSummary
    account: str | None
    pages: tuple[PageView, ...]
    positions: tuple[Position, ...]
    differences: tuple[DifferenceView, ...]
