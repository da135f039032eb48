"""What statements and reports of a securities account say, in either language.

Some fields are of one language alone, and what they say is put into others (``securities_statements``); what nothing is
done with is left to be named as not carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, Literal

from gateway.model.vocabulary import Amount, Code, ProprietaryIdentification

HOLDINGS: Final = "holdings_statement"
POSTINGS: Final = "postings_statement"
PENDING: Final = "pending_statement"
ALLEGEMENTS: Final = "allegements_report"
MOVEMENTS: Final = "movements_statement"
DELIVERING: Final = ("DEAG", "DEI2", "DEI1", "DECU", "SELL")
RECEIVING: Final = ("REAG", "REI2", "REI1", "RECU", "BUYR")
STATUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "processing": {
        "accepted": "PACK",
        "pending": "PPRC",
        "repair": "REPR",
        "cancelled": "CAND",
        "cancellation_pending": "CANP",
        "cancellation_requested": "CPRC",
        "modification_requested": "MPRC",
        "generated": "CGEN",
    },
    "matching": {"matched": "MACH", "unmatched": "NMAT"},
    "inferred_matching": {"matched": "MACH", "unmatched": "NMAT"},
    "settlement": {"pending": "PEND", "failing": "PENF"},
}
"""The statuses of each axis, and the code of each in FIN."""

WITH_REASONS: Final = ("PACK", "PPRC", "REPR", "CAND", "CANP", "CGEN", "NMAT", "PEND", "PENF")
_OF_ITS_OWN: Final = ("proprietary", ProprietaryIdentification | None, None)
CODES: Final = (
    *("AWAS", "BLCA", "BLOK", "BLOT", "BLOV", "BODE", "BORE", "BORR", "COLI", "COLO", "DRAW", "LOAN", "LODE", "LORE"),
    *("MARG", "OTHR", "PECA", "PEDA", "PEND", "PENR", "PLED", "REGO", "RSTR", "TRAN"),
)


@dataclass
class Quantity:
    """A quantity of securities."""

    type: Literal["unit", "face_amount", "amortised_value", "digital_token_unit"] | None = None
    value: Decimal | None = None


@dataclass
class Balance:
    """A balance, long or short; in FIN a short one is negative."""

    quantity: Quantity | None = None
    side: Literal["long", "short"] | None = None


@dataclass
class SubBalanceQuantity:
    """A part of a holding, and whether it is available."""

    quantity: Quantity | None = None
    availability: Literal["available", "not_available"] | None = None


Codes: Final = make_dataclass("Codes", [(code, SubBalanceQuantity | None, None) for code in CODES])


@dataclass
class Place:
    """A place of safekeeping: a kind of place with its BIC, or a country."""

    kind: str | None = None
    bic: str | None = None
    country: str | None = None


@dataclass
class SubBalance:
    """A part of a holding; in FIN one of ``codes``, or with a place what is held there."""

    type: str | None = None
    proprietary_type: ProprietaryIdentification | None = None
    side: Literal["long", "short"] | None = None
    quantity: Quantity | None = None
    counted: SubBalanceQuantity | None = None
    codes: Codes | None = None  # type: ignore[valid-type]
    counted_codes: Codes | None = None  # type: ignore[valid-type]
    aggregate: Balance | None = None
    available: Balance | None = None
    not_available: Balance | None = None
    place: Place | None = None
    narrative: str | None = None


@dataclass
class Price:
    """A price of a security; ``kind`` is MRKT or INDC."""

    kind: str | None = None
    type: Literal["PARV", "DISC", "PREM"] | None = None
    rate: Decimal | None = None
    amount: Amount | None = None


@dataclass
class Holding:
    """What is held of one security."""

    isin: str | None = None
    description: str | None = None
    aggregate: Balance | None = None
    available: Balance | None = None
    not_available: Balance | None = None
    market_price: Price | None = None
    indicative_price: Price | None = None
    prices: tuple[Price, ...] = ()
    value: Amount | None = None
    value_sign: Literal["plus", "minus"] | None = None
    value_in_its_currency: Amount | None = None
    value_in_its_currency_sign: Literal["plus", "minus"] | None = None
    balances: tuple[SubBalance, ...] = ()
    places: tuple[SubBalance, ...] = ()
    narrative: str | None = None


@dataclass
class Owner:
    """Who owns an account."""

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    lei: str | None = None


@dataclass
class SubAccount:
    """A sub-account; in FIN whatever is stated of no sub-account is in one that nothing is said of."""

    owner: Owner | None = None
    account: str | None = None
    wallet: str | None = None
    activity: bool | None = None
    holdings: tuple[Holding, ...] = ()


@dataclass
class _Report:
    """What any statement of a securities account says of itself."""

    page: str | None = None
    continuation: str | None = None
    last_page: bool | None = None
    reference: str | None = None
    short_number: str | None = None
    long_number: str | None = None
    query_reference: str | None = None
    frequency: Code | None = None
    update: Code | None = None
    activity: bool | None = None
    owner: Owner | None = None
    account: str | None = None
    typed_account: str | None = None
    wallet: str | None = None


@dataclass
class _Period:
    """The days that a statement is about, in FIN where it says their times ``timed``."""

    begins: date | None = None
    ends: date | None = None
    timed_begins: date | None = None
    timed_ends: date | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass
class _Moment:
    """The day, or the moment, that a statement is of."""

    statement_date: date | None = None
    statement_time: datetime | None = None


@dataclass
class HoldingsStatement(_Moment, _Report):
    """What an account holds."""

    kind: Literal["custody", "accounting"] | None = None
    basis: Code | None = None
    with_sub_accounts: bool | None = None
    audited: bool | None = None
    holdings: tuple[Holding, ...] = ()
    accounts: tuple[SubAccount, ...] = ()


@dataclass
class Party:
    """A party of a settlement chain."""

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    lei: str | None = None
    account: str | None = None
    processing_reference: str | None = None


_Parts = make_dataclass("_Parts", [(part, Party | None, None) for part in (*DELIVERING, *RECEIVING)])


@dataclass
class Transaction:
    """A transaction as a statement lists it; in FIN each part of its chains has a qualifier (``parts``)."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    transaction_reference: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    pool_id: str | None = None
    common_id: str | None = None
    corporate_action_id: str | None = None
    isin: str | None = None
    description: str | None = None
    activity: Code | None = None
    transaction_type: Code | None = None
    movement: Literal["deliver", "receive"] | None = None
    payment: Literal["against", "free"] | None = None
    quantity: Quantity | None = None
    settlement_quantity: Quantity | None = None
    amount: Amount | None = None
    credit_debit: Literal["credit", "debit"] | None = None
    trade_date: date | None = None
    trade_time: datetime | None = None
    settlement_date: date | None = None
    settlement_time: datetime | None = None
    effective_settlement_date: date | None = None
    effective_settlement_time: datetime | None = None
    parts: _Parts | None = None  # type: ignore[valid-type]
    place_of_settlement: str | None = None
    delivering_parties: tuple[Party, ...] = ()
    receiving_parties: tuple[Party, ...] = ()
    narrative: str | None = None


@dataclass
class EndBalance:
    """A balance at one end of a statement, or of a page that is not its first or last."""

    side: Literal["long", "short"] | None = None
    final: Quantity | None = None
    intermediate: Quantity | None = None


@dataclass
class Posted:
    """What was booked of one security, and what was held before and after."""

    isin: str | None = None
    description: str | None = None
    opening: EndBalance | None = None
    closing: EndBalance | None = None
    transactions: tuple[Transaction, ...] = ()


@dataclass
class PostedAccount:
    """What was booked on a sub-account."""

    owner: Owner | None = None
    account: str | None = None
    wallet: str | None = None
    activity: bool | None = None
    holdings: tuple[Posted, ...] = ()


@dataclass
class PostingsStatement(_Period, _Report):
    """What was booked on an account."""

    basis: Code | None = None
    with_sub_accounts: bool | None = None
    holdings: tuple[Posted, ...] = ()
    accounts: tuple[PostedAccount, ...] = ()


@dataclass
class Alleged(Transaction):
    """An instruction of another side that nothing of ours matches."""

    safekeeping_account: str | None = None


@dataclass
class AllegementsReport(_Moment, _Report):
    """What others have instructed against an account."""

    transactions: tuple[Alleged, ...] = ()


@dataclass
class Movement:
    """What was moved to another balance; ISO 20022 names it by one of its identifications."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    transaction_reference: str | None = None
    market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    pool_id: str | None = None
    balance_to: Code | None = None
    quantity: Quantity | None = None
    settlement_date: date | None = None
    settlement_time: datetime | None = None


@dataclass
class MovedFrom:
    """The balance that something was moved from."""

    balance_from: Code | None = None
    movements: tuple[Movement, ...] = ()


@dataclass
class Moved:
    """What was moved of one security."""

    isin: str | None = None
    description: str | None = None
    balances: tuple[MovedFrom, ...] = ()


@dataclass
class MovementsStatement(_Period, _Report):
    """What was moved between the balances of an account."""

    securities: tuple[Moved, ...] = ()


_Qualified = make_dataclass("_Qualified", [(code, Code | None, None) for code in WITH_REASONS])


@dataclass
class Reason:
    """Why a transaction has a status; in FIN its code has the status as its qualifier (``codes``)."""

    code: Code | None = None
    codes: _Qualified | None = None  # type: ignore[valid-type]
    text: str | None = None


@dataclass
class Status:
    """A status, with reasons or with ``none``; ``stated`` where ISO 20022 takes it to need none."""

    none: str | None = None
    stated: str | None = None
    reasons: tuple[Reason, ...] = ()


_Axes = make_dataclass(
    "_Axes",
    [
        (axis, make_dataclass(axis, [*((word, Status | None, None) for word in words), _OF_ITS_OWN]) | None, None)
        for axis, words in STATUSES.items()
    ],
)


@dataclass
class StatusSequence:
    """A status as FIN says it, and the transactions that have it."""

    code: Code | None = None
    reasons: tuple[Reason, ...] = ()
    transactions: tuple[Transaction, ...] = ()


@dataclass
class PendingOfStatus:
    """The transactions of one status."""

    statuses: _Axes | None = None  # type: ignore[valid-type]
    transactions: tuple[Transaction, ...] = ()


@dataclass
class _Sequences:
    """The statuses as FIN says them, by what they are about."""

    processing_sequences: tuple[StatusSequence, ...] = ()
    matching_sequences: tuple[StatusSequence, ...] = ()
    inferred_matching_sequences: tuple[StatusSequence, ...] = ()
    settlement_sequences: tuple[StatusSequence, ...] = ()


@dataclass
class PendingTransaction(_Sequences, Transaction):
    """A transaction with its statuses."""

    statuses: tuple[_Axes, ...] = ()  # type: ignore[valid-type]


@dataclass
class PendingStatement(_Sequences, _Moment, _Report):
    """What is pending, by status or by transaction."""

    structure: Literal["STAT", "TRAN"] | None = None
    groups: tuple[PendingOfStatus, ...] = ()
    pending: tuple[PendingTransaction, ...] = ()


MODELS: Final[Mapping[str, type]] = {
    PENDING: PendingStatement,
    HOLDINGS: HoldingsStatement,
    POSTINGS: PostingsStatement,
    ALLEGEMENTS: AllegementsReport,
    MOVEMENTS: MovementsStatement,
}
