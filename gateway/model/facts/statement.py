"""What statements say: holdings, transactions posted, pending or alleged, cash entries and balances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from gateway.model.facts.values import Amount, Quantity, StatusValue


@dataclass(frozen=True, slots=True)
class SubBalance:
    """A part of a holding: ``type`` is a code (``BLOK``, ``PEND``...) or a proprietary one."""

    type: str | None = None
    quantity: Quantity | None = None
    side: str | None = None  # long | short


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds of one security.

    ``quantity`` is the whole of it, or the closing balance of a posting report, whose ``opening`` one is beside it.
    ``account`` is the sub-account where the statement has them, else the statement's own.
    """

    isin: str | None = None
    other_identification: str | None = None
    description: str | None = None
    account: str | None = None
    quantity: Quantity | None = None
    side: str | None = None  # long | short
    available: Quantity | None = None
    not_available: Quantity | None = None
    opening: Quantity | None = None
    opening_side: str | None = None
    balances: tuple[SubBalance, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionEntry:
    """A transaction as a statement lists it: posted, pending, alleged, moved between balances, or one of its statuses.

    ``at`` is when a status of an audit trail came about; there ``settlements`` is 1 where it was settlement.
    """

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    common_id: str | None = None
    trade_id: str | None = None
    activity: str | None = None  # SETT, CORP, COLL... or proprietary
    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    isin: str | None = None
    other_identification: str | None = None
    account: str | None = None
    quantity: Quantity | None = None
    previously_settled_quantity: Quantity | None = None
    remaining_quantity: Quantity | None = None
    amount: Amount | None = None
    credit_debit: str | None = None  # credit | debit
    trade_date: date | None = None
    settlement_date: date | None = None
    effective_settlement_date: date | None = None
    balance_from: str | None = None
    balance_to: str | None = None
    processing: StatusValue | None = None
    inferred_matching: StatusValue | None = None
    matching: StatusValue | None = None
    settlement: StatusValue | None = None
    modification: StatusValue | None = None
    cancellation: StatusValue | None = None
    proprietary_status: str | None = None
    settlements: int = 0
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CashTransaction:
    """One transaction of a cash entry, which books one or a batch of them, with every reference it may be ours by."""

    message_id: str | None = None
    payment_information_id: str | None = None
    instruction_id: str | None = None
    end_to_end_id: str | None = None
    transaction_id: str | None = None
    unique_end_to_end_reference: str | None = None
    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    account_servicer_reference: str | None = None
    amount: Amount | None = None
    credit_debit: str | None = None  # credit | debit


@dataclass(frozen=True, slots=True)
class CashEntry:
    """One entry of a cash account: ``status`` is ``BOOK``, ``PDNG``, ``INFO``... or the bank's own word.

    ``bank_transaction_code`` is domain, family and sub-family (``PMNT/RCDT/ESCT``), or the bank's proprietary code.
    """

    amount: Amount | None = None
    credit_debit: str | None = None  # credit | debit
    reversal: bool = False
    status: str | None = None
    booking_date: date | None = None
    value_date: date | None = None
    entry_reference: str | None = None
    account_servicer_reference: str | None = None
    domain: str | None = None
    family: str | None = None
    sub_family: str | None = None
    proprietary_code: str | None = None
    transactions: tuple[CashTransaction, ...] = ()

    @property
    def bank_transaction_code(self) -> str | None:
        """Return the code in one word."""
        parts = [part for part in (self.domain, self.family, self.sub_family) if part is not None]
        return "/".join(parts) or self.proprietary_code


@dataclass(frozen=True, slots=True)
class CashBalance:
    """A balance of a cash account: ``type`` is a code (``OPBD``, ``CLBD``...) or a proprietary one."""

    type: str | None = None
    amount: Amount | None = None
    credit_debit: str | None = None  # credit | debit
    balance_date: date | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One page of a statement; which lists it fills depends on its ``kind``.

    ``custody_holdings`` (semt.002), ``accounting_holdings`` (semt.003), ``balance_movements`` (semt.016),
    ``postings`` (semt.017), ``pending`` (semt.018), ``allegements`` (semt.019), ``audit_trail`` (semt.022),
    ``cash_account`` (camt.053). ``reference`` is the same on all its pages; ``number`` counts the statements of an
    account, ``sequence`` those of a cash account. ``statement_date`` is the day it is of, or the last one of the period
    that ``begins``; ``at`` the instant where it states one. ``update`` is ``complete``, ``delta`` or a proprietary
    word. A statement that counts no pages is one.
    """

    kind: str
    reference: str | None = None
    number: str | None = None
    sequence: Decimal | None = None
    account: str | None = None
    currency: str | None = None
    statement_date: date | None = None
    at: datetime | None = None
    begins: date | None = None
    page: str = "1"
    last_page: bool = True
    update: str | None = None
    basis: str | None = None  # settled | traded | contractual
    activity: bool | None = None
    copy: str | None = None  # CODU, COPY, DUPL
    holdings: tuple[Holding, ...] = ()
    transactions: tuple[TransactionEntry, ...] = ()
    entries: tuple[CashEntry, ...] = ()
    balances: tuple[CashBalance, ...] = ()

    @property
    def page_number(self) -> int:
        """Return the number of the page, from 1."""
        return int(self.page)


@dataclass(frozen=True, slots=True)
class StatementProgress:
    """How far a statement has come, ``incomplete`` or ``complete``; a request for one may be ``rejected``."""

    statement: StatusValue | None = None
    processing: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """What a statement says that an account holds: short and debit are negative.

    ``instrument`` is an ISIN (or another identification), with ``unit`` the type of the quantity; or a currency.
    ``balance`` is ``held``, ``opening`` or ``closing``; of cash the type of the balance, such as ``CLBD``.
    """

    account: str
    instrument: str
    balance: str
    value: Decimal
    unit: str
    balance_date: date | None = None


@dataclass(frozen=True, slots=True)
class StatementDifference:
    """Where a statement and the ledger disagree, with both sides; ``code`` is that of its alert.

    ``subject`` is a transaction's reference, a security or a currency; ``transaction_id`` is ours.
    """

    code: str
    subject: str
    field: str
    ours: str | None
    theirs: str | None
    transaction_id: str | None = None
