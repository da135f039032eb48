"""What the kinds of trade events share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.vocabulary import (
    Amount,
    DirectedAmount,
)

CANCELLATION: Final = "cancellation"
"""The role of an event that asks for the end of an instruction."""


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of event: its model, an example that uses every field, and one with the required fields only.

    Where fields exclude each other, ``others`` are examples that take the other ways.
    """

    model: type[Event]
    example: dict[str, Any]
    minimal: dict[str, Any]
    others: tuple[dict[str, Any], ...] = ()


def _settles_before_trade(event: Any) -> bool:
    return bool(event.settlement_date < event.trade_date)


DATES: Final = Rule(
    "settlement_date",
    ("trade_date", "settlement_date"),
    "a settlement date that is not before the trade date",
    _settles_before_trade,
)


def money(amount: Amount | DirectedAmount | None) -> facts.Amount | None:
    """Give an amount of an event as a fact."""
    return None if amount is None else facts.Amount(amount.value, amount.currency)
