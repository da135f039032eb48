"""What the gateway tells upstream: status events and exception events, versioned, keyed by trade.

They arrive at least once, in order per trade; a repeat carries the same ``status_id``. Times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from gateway.errors import Violation
from gateway.model.facts import Alert, Amount, Change, Difference, Quantity, Reason, State

STATUS_SCHEMA = "settlement_status/1"
EXCEPTION_SCHEMA = "exception/1"
EXCEPTION_CLOSED_SCHEMA = "exception_closed/1"


@dataclass(frozen=True, slots=True)
class AxisReport:
    """Where one status axis stands now."""

    status: str
    asserted_at: datetime | None
    reasons: tuple[Reason, ...] = ()
    proprietary: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """What made the status change: an event, a message of the counterparty, a send, an operator's command.

    ``comparison`` is our own: theirs agreed with the instruction that the identifier names; so are ``deadline``, of the
    kind that the identifier names, and ``link``, which names a linked instruction that ended.
    """

    kind: str  # event | message | send | command | comparison | deadline | link
    identifier: str
    message_definition: str | None = None


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One change of one instruction. ``head_hash`` (hexadecimal) makes upstream a witness of the history."""

    schema: str
    status_id: str
    source: str
    trade_id: str
    instruction_number: int
    transaction_id: str
    counterparty: str
    dialogue: str
    occurred_at: datetime
    action: str
    headline: str
    delivery: str
    sequence: int
    head_hash: str
    cause: Cause
    changes: tuple[Change, ...]
    axes: dict[str, AxisReport]
    settled_quantity: tuple[Quantity, ...] = ()
    settled_amount: tuple[Amount, ...] = ()
    breaks: tuple[Difference, ...] = ()
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class ExceptionEvent:
    """One parked item: what, why with every violation, and how to find it (``gateway parked show PARKED_ID``)."""

    schema: str
    status_id: str
    parked_id: int
    stage: str
    code: str
    text: str
    occurred_at: datetime
    origin: str
    violations: tuple[Violation, ...]
    source: str | None = None
    trade_id: str | None = None
    instruction_number: int | None = None
    counterparty: str | None = None


@dataclass(frozen=True, slots=True)
class ExceptionClosed:
    """How a parked item that was told ended: ``released``, ``repaired``, ``discarded`` or ``cancelled``, by whom, why.

    It follows the exception with the same ``parked_id``, under the same key. What is parked again is a new exception.
    """

    schema: str
    status_id: str
    parked_id: int
    stage: str
    code: str
    outcome: str
    occurred_at: datetime
    closed_by: str
    reason: str
    source: str | None = None
    trade_id: str | None = None
    instruction_number: int | None = None
    counterparty: str | None = None


_ENCODER = msgspec.json.Encoder(decimal_format="string")


def encode(value: Any) -> bytes:
    """Return the JSON bytes of a report, a state or terms: decimals as strings, times in ISO 8601."""
    return _ENCODER.encode(value)


def axes_of(state: State) -> dict[str, AxisReport]:
    """Return the axes of a state as they are told upstream."""
    return {
        name: AxisReport(axis.status.value, axis.asserted_at, axis.status.reasons, axis.status.proprietary)
        for name, axis in (state.axes or {}).items()
    }


def settled_sums(state: State) -> tuple[tuple[Quantity, ...], tuple[Amount, ...]]:
    """Add up the parts that stand: one quantity a type, one amount a currency."""
    quantities: dict[str, Quantity] = {}
    amounts: dict[str, Amount] = {}
    for part in state.parts:
        if part.reversed:
            continue
        if part.quantity is not None:
            sofar = quantities.get(part.quantity.type)
            value = part.quantity.value + (sofar.value if sofar else 0)
            quantities[part.quantity.type] = Quantity(value, part.quantity.type)
        if part.amount is not None:
            so_far = amounts.get(part.amount.currency)
            amount = part.amount.value + (so_far.value if so_far else 0)
            amounts[part.amount.currency] = Amount(amount, part.amount.currency)
    return tuple(quantities.values()), tuple(amounts.values())
