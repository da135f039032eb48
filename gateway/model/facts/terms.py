"""What was agreed, and in what two sides differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from gateway.model.facts.values import Amount, Quantity


@dataclass(frozen=True, slots=True)
class Terms:
    """What we instructed, kept beside the instruction to compare with what is confirmed.

    ``amount_tolerance`` is how far the settled amount may differ, in the amount's currency (market practice; zero
    unless stated). A foreign exchange trade has a bought and a sold amount, as seen from us, the rate with the currency
    of which it prices one unit, and the other side's BIC; its value date is the settlement date. Of a securities
    financing, movement, amount and settlement date are those of the opening leg; the closing leg goes the other way.
    Of a movement within an account, the balances are what it takes from and adds to.
    """

    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    isin: str | None = None
    quantity: Quantity | None = None
    amount: Amount | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    safekeeping_account: str | None = None
    amount_tolerance: Decimal = Decimal(0)
    price: Decimal | None = None
    accrued_interest: Amount | None = None
    common_reference: str | None = None
    bought_amount: Amount | None = None
    sold_amount: Amount | None = None
    exchange_rate: Decimal | None = None
    unit_currency: str | None = None
    other_party: str | None = None
    place_of_settlement: str | None = None  # BIC of the depository
    financing_type: str | None = None
    closing_date: date | None = None
    closing_amount: Amount | None = None
    balance_from: str | None = None
    balance_to: str | None = None
    cash_account: str | None = None  # of a payment or an expected one: where it is booked


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which a confirmation differs from the instruction: a break."""

    field: str
    instructed: str | None
    confirmed: str | None


@dataclass(frozen=True, slots=True)
class Counterpart:
    """One of ours that the other side's trade may be, with the fields in which the two differ beyond tolerance.

    ``kind`` is ``instruction`` (``identifier`` is its transaction identification, ``standing`` its headline) or
    ``parked`` (``identifier`` is the number of the parked item, ``standing`` its code).
    """

    kind: str
    identifier: str
    standing: str
    agreed: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
