"""What the confirmation of a securities trade (MT515, MT518) says that follows from an event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.errors import Violation
from gateway.model.events.confirmation import ConfirmTrade
from gateway.model.strict import unchecked
from gateway.model.vocabulary import Code, DirectedAmount, Price

USUAL: Final = "TRAD"
"""The type of a trade and of its settlement where an event names none: FIN has to state one."""

TRADE_TYPES: Final = {
    "BSKT": "BASK",
    "BRBR": "BRKR",
    "EMTR": "EMTR",
    "INDX": "INDX",
    "LIST": "LIST",
    "PRAL": "PALL",
    "PROG": "PROG",
    "TRAD": "TRAD",
}
"""What FIN calls the types of a trade that it has, by the code of ISO 20022."""

PERCENTAGES: Final = {"PRCT": "PRCT", "PARV": "PRCT", "DISC": "DISC", "PREM": "PREM", "YIEL": "YIEL"}
AMOUNTS: Final = {"ACTU": "ACTU", "PARV": "ACTU", "DISC": "DISC", "PREM": "PREM"}
"""How a price in per cent, and one in money, is meant: the code of FIN by that of ISO 20022, the usual one first."""

CONFIRMED: Final = (
    ("trade_date", ("trade_date",)),
    ("trade_type", ("trade_type",)),
    ("transaction_type", ("transaction_type",)),
    ("percentage_type", ("price", "type")),
    ("price_amount_type", ("price", "type")),
)
"""Types that ``confirmed`` states, and where an event has them."""

_IN_ISO_20022: Final = {code: said for said, code in TRADE_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Executed:
    """When a trade was made, by components of field 98E: time, milliseconds, and distance from UTC (N: west)."""

    time: str
    decimals: str | None
    offset: str


def confirmed(event: ConfirmTrade) -> tuple[dict[str, Any], list[Violation]]:
    """Return what FIN states of a trade: types that an event may leave open, and the executing broker's commission.

    A price is a percentage or an amount for one unit as it stands, unless the event says how else it is meant. With it
    comes what FIN has to state and the event leaves open, or has no code for.
    """
    lacking = []
    if event.payment is None:
        lacking.append(_violation("payment", "", "against or free: a confirmation in FIN states it"))
    trade_type: Code | None = event.trade_type or USUAL
    if isinstance(trade_type, str):
        trade_type = TRADE_TYPES.get(trade_type)
        if trade_type is None:
            known = f"one of {', '.join(TRADE_TYPES)}, or a code of a scheme of its own"
            lacking.append(_violation("trade_type", str(event.trade_type), known))
    name, codes = ("price_amount_type", AMOUNTS) if event.price.rate is None else ("percentage_type", PERCENTAGES)
    price_type = _kind(event.price, codes)
    if price_type is None:
        lacking.append(_violation("price.type", event.price.type or "", f"one of {', '.join(sorted(codes))}"))
    amounts = event.other_amounts
    commission = None if amounts is None else amounts.executing_broker_amount
    if event.commission is not None and event.commission.amount is not None:
        if commission is not None:
            rule = "not given beside the amount of the executing broker, which has the same place"
            lacking.append(_violation("commission.amount", str(event.commission.amount.value), rule))
        amount = event.commission.amount
        commission = unchecked(DirectedAmount, {"value": amount.value, "currency": amount.currency})
    executed = None if event.executed_at is None else _executed(event.executed_at)
    if event.executed_at is not None and (executed is None or event.executed_at.date() != event.trade_date):
        rule = "milliseconds at most, on the trade date in the zone that it names: both have one place"
        lacking.append(_violation("executed_at", event.executed_at.isoformat(), rule))
    stated = {
        "trade_date": event.trade_date if executed is None else None,
        "executed": executed,
        "trade_type": trade_type,
        "transaction_type": event.transaction_type or USUAL,
        name: price_type,
        "commission_type": None if event.commission is None else event.commission.type,
        "commission": commission,
    }
    return stated, lacking


def _executed(moment: datetime) -> Executed | None:
    """Take a time apart; None where it is finer than FIN can state it."""
    offset = moment.utcoffset() or timedelta()
    minutes, rest = divmod(abs(offset), timedelta(minutes=1))
    milliseconds, finer = divmod(moment.microsecond, 1000)
    if rest or finer:
        return None
    return Executed(
        time=f"{moment:%H%M%S}",
        decimals=f"{milliseconds:03}" if milliseconds else None,
        offset=f"{'N' if offset < timedelta() else ''}{minutes // 60:02}{minutes % 60:02}",
    )


def in_iso_20022(name: str, code: object) -> object:
    """Return what an event calls a code that FIN states: the way back from ``confirmed``."""
    return _IN_ISO_20022.get(code, code) if name == "trade_type" and isinstance(code, str) else code


def _kind(price: Price, codes: dict[str, str]) -> str | None:
    return next(iter(codes)) if price.type is None else codes.get(price.type)


def _violation(path: str, value: str, rule: str) -> Violation:
    return Violation("element_not_in_version", path, rule, value, f"{path}: FIN cannot carry it; expected {rule}")
