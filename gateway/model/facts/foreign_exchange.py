"""What a central system says of foreign exchange trades."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from gateway.model.facts.allegement import Alleged
from gateway.model.facts.terms import Terms
from gateway.model.facts.values import Amount, StatusValue


@dataclass(frozen=True, slots=True)
class ForeignExchangeStatus:
    """The status of one trade (fxtr.008, fxtr.030), with the trade as the system holds it (fxtr.017).

    ``alleged`` says that the other side sent the trade and we did not; what is bought and sold is then as seen from the
    party that sent it, like everything that the message states. ``split`` says that it speaks of a part of a trade
    that the system has split.
    """

    status: StatusValue
    alleged: bool = False
    split: bool = False
    system_reference: str | None = None
    bought_amount: Amount | None = None
    sold_amount: Amount | None = None
    exchange_rate: Decimal | None = None
    unit_currency: str | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    common_reference: str | None = None
    trading_party: str | None = None
    counterparty: str | None = None

    @property
    def states_trade(self) -> bool:
        """Say whether the message states the trade, not only its status."""
        return self.bought_amount is not None or self.sold_amount is not None

    def terms(self) -> Terms:
        """State the trade as the message does."""
        return Terms(
            bought_amount=self.bought_amount,
            sold_amount=self.sold_amount,
            exchange_rate=self.exchange_rate,
            unit_currency=self.unit_currency,
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            common_reference=self.common_reference,
        )

    def alleging(self) -> Alleged:
        """Say the same as a trade that the other side begins."""
        return Alleged(
            about="alleged_exchange",
            reference=self.system_reference or "",
            status=self.status,
            bought_amount=self.bought_amount,
            sold_amount=self.sold_amount,
            exchange_rate=self.exchange_rate,
            unit_currency=self.unit_currency,
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            common_reference=self.common_reference,
            trading_party=self.trading_party,
            counterparty=self.counterparty,
        )
