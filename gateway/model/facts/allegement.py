"""What the other side begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from gateway.model.facts.terms import Terms
from gateway.model.facts.values import Amount, Quantity, StatusValue


@dataclass(frozen=True, slots=True)
class Alleged:
    """A trade that the other side states and we did not: nothing of ours is named.

    An allegement by an account servicer (sese.028), a transaction that it generated on our account (sese.032), or a
    counterparty's own trade confirmation (setr.027), a foreign exchange trade at a central system (fxtr.017).
    ``reference`` is theirs. The terms are as seen from us: ``receive`` is into our account. ``price`` is per unit or a
    percentage, as the trade states it. What is bought and sold in foreign exchange is as seen from ``trading_party``;
    ``status`` is where such a trade stands at the system.
    """

    about: str  # the dialogue that it begins
    reference: str
    movement: str | None = None  # deliver | receive | unstated
    payment: str | None = None  # against | free
    isin: str | None = None
    quantity: Quantity | None = None
    amount: Amount | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    safekeeping_account: str | None = None
    price: Decimal | None = None
    accrued_interest: Amount | None = None
    common_reference: str | None = None
    delivering_agent: str | None = None
    receiving_agent: str | None = None
    status: StatusValue | None = None
    bought_amount: Amount | None = None
    sold_amount: Amount | None = None
    exchange_rate: Decimal | None = None
    unit_currency: str | None = None
    trading_party: str | None = None
    counterparty: str | None = None

    def terms(self) -> Terms:
        """State the terms that the other side alleges."""
        return Terms(
            movement=self.movement,
            payment=self.payment,
            isin=self.isin,
            quantity=self.quantity,
            amount=self.amount,
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            safekeeping_account=self.safekeeping_account,
            price=self.price,
            accrued_interest=self.accrued_interest,
            common_reference=self.common_reference,
            bought_amount=self.bought_amount,
            sold_amount=self.sold_amount,
            exchange_rate=self.exchange_rate,
            unit_currency=self.unit_currency,
        )


@dataclass(frozen=True, slots=True)
class AllegementAdvice:
    """What became of what the other side alleged: ``removed`` (sese.029), ``cancelled`` (setr.029 of theirs)...

    A trade that a central system alleges is ``withdrawn``, ``rejected`` or ``rescinded`` (fxtr.013), or ``matched``.
    """

    allegement: StatusValue
