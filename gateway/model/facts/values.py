"""What the facts are made of: money, quantities, reasons, statuses, references."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Amount:
    """Money: a non-negative value in a currency (ISO 4217); the direction is the instruction's payment side."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of securities: ``type`` is ``unit``, ``face_amount`` or ``amortised_value``."""

    value: Decimal
    type: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a status holds: an ISO 20022 code (``LACK``, ``DMON``) or a proprietary identification, and free text."""

    code: str | None = None
    proprietary: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class StatusValue:
    """One value of one status axis, for instance ``unmatched``, with its reasons; ``proprietary`` names another."""

    value: str
    reasons: tuple[Reason, ...] = ()
    proprietary: str | None = None


@dataclass(frozen=True, slots=True)
class References:
    """Every reference a message carries that may tell which transaction it is about."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    common_id: str | None = None
    request_reference: str | None = None  # names the business message identifier of our request (sese.027 and alike)
    related_business_message_id: str | None = None  # the header's related message
    confirmation_reference: str | None = None  # a trade confirmation's reference (setr.030, setr.044)
    trade_id: str | None = None
    original_transaction_id: str | None = None  # of a payment: TxId, and InstrId, which carries the same of ours
    original_instruction_id: str | None = None
    original_message_id: str | None = None  # the group header's message identification of what carried the payment
    uetr: str | None = None
    end_to_end_id: str | None = None
