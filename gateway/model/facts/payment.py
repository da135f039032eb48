"""What messages say of payments and of entries on our cash accounts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from gateway.model.facts.values import Amount, StatusValue


@dataclass(frozen=True, slots=True)
class PaymentStatus:
    """Where a payment stands, or a request about it (pacs.002); ``amount`` is the payment's as they repeat it."""

    processing: StatusValue | None = None
    amount: Amount | None = None
    effective_settlement_date: date | None = None


@dataclass(frozen=True, slots=True)
class PaymentReturn:
    """Money of a settled payment that comes back (pacs.004), less charges; ``returned`` carries the reasons.

    ``instructed_amount`` is what comes back before the charges are taken.
    """

    returned: StatusValue
    amount: Amount | None = None
    instructed_amount: Amount | None = None
    charges: Amount | None = None
    return_id: str | None = None
    settlement_date: date | None = None


@dataclass(frozen=True, slots=True)
class PaymentResolution:
    """How a case ends (camt.029): ``cancellation`` where it answers a request to cancel.

    ``resolution`` is of the case as a whole, ``cancellation`` of the payment; the case's, where nothing closer is said.
    """

    cancellation: StatusValue | None = None
    resolution: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class PaymentInvestigation:
    """A case about a payment: the counterparty opens it (camt.110), or answers one (camt.111)."""

    investigation: StatusValue


@dataclass(frozen=True, slots=True)
class RequestReceipt:
    """What a system says of the handling of a message of ours (camt.025)."""

    receipt: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One transaction of an entry on our account (camt.054).

    ``amount`` is the transaction's, ``entry_amount`` that of the entry that it is part of. ``status`` is ``booked``,
    ``pending``, ``announced`` or proprietary. A ``reversal`` undoes an entry of the other direction.
    """

    status: StatusValue | None = None
    credit_debit: str | None = None
    entry_amount: Amount | None = None
    amount: Amount | None = None
    reversal: bool = False
    entry_reference: str | None = None
    servicer_reference: str | None = None
    value_date: date | None = None
    booking_date: date | None = None
    account: str | None = None
