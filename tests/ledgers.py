"""Ledgers for tests: open one on each backend, and fill it through its units of work."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from gateway.model.facts import Amount, Delivery, Quantity, State, Terms
from gateway.model.references import transaction_id
from gateway.model.reports import Cause
from gateway.model.transitions import Dialogue
from gateway.store import InstructionRow, Ledger, NewEvent, Unit
from gateway.store.migration import upgrade

NOW = datetime(2026, 3, 16, 9, 30, tzinfo=UTC)
CHANNEL = "CUSTDEFFXXX"
TERMS = Terms(
    movement="deliver",
    payment="against",
    isin="DE0005140008",
    quantity=Quantity(Decimal("1000"), "unit"),
    amount=Amount(Decimal("15250.75"), "EUR"),
    trade_date=date(2026, 3, 12),
    settlement_date=date(2026, 3, 16),
    safekeeping_account="SAFE-4711",
)


def later(seconds: float) -> datetime:
    """Return ``NOW`` plus seconds."""
    return NOW + timedelta(seconds=seconds)


def sqlite_url(folder: Path) -> str:
    """Return the address of a ledger in a folder."""
    return f"sqlite:///{folder}/ledger.db"


@asynccontextmanager
async def opened(url: str, *, exclusive: bool = True) -> AsyncIterator[Ledger]:
    """Bring a ledger up to date (unless another has it open), open it and close it."""
    if exclusive:
        await upgrade(url)
    ledger = await Ledger.open(url, exclusive=exclusive)
    try:
        yield ledger
    finally:
        await ledger.close()


def digest(content: bytes) -> bytes:
    """Return what the ledger keeps beside bytes."""
    return hashlib.sha256(content).digest()


def new_event(
    trade_id: str = "T1",
    *,
    event_id: str | None = None,
    source: str = "desk",
    number: int = 1,
    content: bytes = b"{}",
    offset: int = 0,
) -> NewEvent:
    """Return a trade event as intake hands it over."""
    return NewEvent(
        source=source,
        event_id=event_id or f"{trade_id}-instruct-{number}",
        digest=digest(content),
        topic="trade.events",
        partition=0,
        offset=offset,
        received_at=NOW,
        content=content,
        kind="instruct_settlement",
        trade_id=trade_id,
        instruction_number=number,
    )


def record(
    unit: Unit,
    event: NewEvent,
    *,
    terms: Terms = TERMS,
    channel: str = CHANNEL,
    content: bytes = b"<RequestPayload/>",
    dialogue: Dialogue = Dialogue.SETTLEMENT,
) -> tuple[InstructionRow, int]:
    """Write the group of rows of one event, as intake does; returns the instruction and its document's number."""
    assert event.trade_id is not None
    assert event.instruction_number is not None
    state = State(dialogue)
    row = unit.add_instruction(
        transaction_id=transaction_id("GATEDEFFXXX", event.source, event.trade_id, dialogue, event.instruction_number),
        event=event,
        dialogue=dialogue,
        counterparty=channel,
        terms=terms,
        state=state,
    )
    unit.add_event(event, "applied", row.id)
    unit.move(row, state, "recorded", action="recorded", actor="intake", cause=Cause("event", event.event_id))
    document = unit.add_document(
        row,
        role="instruction",
        cause=event.event_id,
        message_definition="sese.023.001.12",
        business_message_id=f"M{row.transaction_id}",
        content=content,
        digest=digest(content),
        channel=channel,
    )
    return row, document


def recording(*events: NewEvent) -> Callable[[Unit], list[tuple[InstructionRow, int]]]:
    """Return the work that records events."""
    return lambda unit: [record(unit, event) for event in events]


def advance(unit: Unit, instruction_id: int, headline: str, *, cause: str = "REPLY1") -> InstructionRow:
    """Move an instruction on as a reply would."""
    row = unit.lock([instruction_id])[instruction_id]
    state = State(row.state.dialogue, Delivery.SENT)
    unit.move(row, state, headline, action="status_advice", actor="replies", cause=Cause("message", cause))
    return row
