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
    """One value of one status axis, for instance ``unmatched``, with its reasons; ``proprietary`` names another.

    ``unknown`` is a code that no code set here has: it is kept as a proprietary one.
    """

    value: str
    reasons: tuple[Reason, ...] = ()
    proprietary: str | None = None
    unknown: bool = False


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
    originator_reference: str | None = None  # of whoever sent the trade to a central system: ours or the other side's
    matching_reference: str | None = None  # what a matching system calls both sides of a trade
    matched_side_reference: str | None = None  # what it calls the other side's trade, once they match
    related_reference: str | None = None  # of theirs: the message that this one changes or withdraws (field 21 in FIN)
    message_reference: str | None = None  # names a message of ours (admi.007)
    original_transaction_id: str | None = None  # of a payment: TxId, and InstrId, which carries the same of ours
    original_instruction_id: str | None = None
    original_message_id: str | None = None  # the group header's message identification of what carried the payment
    uetr: str | None = None
    end_to_end_id: str | None = None
