"""What a counterparty has settled of one instruction, and what its next confirmation says. Pure, in exact decimals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal


class Account:
    """What the confirmations of one instruction have settled so far, in exact decimals."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        self._terms = terms
        self._quantity = Decimal(terms.get("quantity", "0"))
        self._amount = Decimal(terms["amount"]) if "amount" in terms else None
        self._settled_quantity = Decimal(0)
        self._settled_amount = Decimal(0)
        self.last_confirmation: str | None = None

    def settle(self, share: str, argument: str | None, at: datetime) -> dict[str, str] | None:
        """Return the values of a confirmation or reversal; None where nothing is left or a part would be nothing."""
        values = {"effective_date": self._terms.get("settlement_date", at.date().isoformat())}
        match share:
            case "none":
                return self._reverse(values)
            case "part":
                return self._part(values, argument)
            case _:
                return self._all(values, argument)

    def count(self, values: Mapping[str, str], confirmation: str) -> None:
        """Take a confirmation that was given already."""
        self._settled_quantity += Decimal(values["settled_quantity"])
        self._settled_amount += Decimal(values.get("settled_amount", "0"))
        self.last_confirmation = confirmation

    def _part(self, values: dict[str, str], argument: str | None) -> dict[str, str] | None:
        share = Decimal(argument or "50") / 100
        quantity = _share(self._quantity, share)
        if quantity <= 0 or self._settled_quantity + quantity >= self._quantity:
            return None
        amount = None if self._amount is None else _share(self._amount, share)
        return self._confirm(values, quantity, amount, "PAIN")

    def _all(self, values: dict[str, str], argument: str | None) -> dict[str, str] | None:
        quantity = self._quantity - self._settled_quantity
        amount = None if self._amount is None else self._amount - self._settled_amount
        if quantity <= 0:
            return None
        match argument:
            case "amount" if amount is not None:
                amount += 1
            case "quantity":
                quantity += 1
            case "date":
                values["effective_date"] = (
                    date.fromisoformat(values["effective_date"]) + timedelta(days=1)
                ).isoformat()
            case "account":
                values["safekeeping_account"] = ("WRONG" + self._terms.get("safekeeping_account", ""))[:35]
        if argument and not (argument == "amount" and amount is None):
            values["differs"] = argument
        return self._confirm(values, quantity, amount, "PARC" if self._settled_quantity else None)

    def _confirm(
        self, values: dict[str, str], quantity: Decimal, amount: Decimal | None, partial: str | None
    ) -> dict[str, str]:
        values["settled_quantity"] = format(quantity, "f")
        if amount is not None:
            values["settled_amount"] = format(amount, "f")
        if partial:
            values["partial"] = partial
        if self._settled_quantity:
            values["previously_settled_quantity"] = format(self._settled_quantity, "f")
            if amount is not None:
                values["previously_settled_amount"] = format(self._settled_amount, "f")
            if self.last_confirmation:
                values["previous_confirmation"] = self.last_confirmation
        self._settled_quantity += quantity
        if amount is not None:
            self._settled_amount += amount
        if partial == "PAIN":
            values["remaining_quantity"] = format(self._quantity - self._settled_quantity, "f")
            if self._amount is not None:
                values["remaining_amount"] = format(self._amount - self._settled_amount, "f")
        return values

    def _reverse(self, values: dict[str, str]) -> dict[str, str] | None:
        if self.last_confirmation is None:
            return None
        values |= {
            "previous_confirmation": self.last_confirmation,
            "settled_quantity": format(self._settled_quantity, "f"),
        }
        if self._amount is not None:
            values["settled_amount"] = format(self._settled_amount, "f")
        self._settled_quantity = self._settled_amount = Decimal(0)
        return values


def _share(whole: Decimal, share: Decimal) -> Decimal:
    exponent = whole.as_tuple().exponent
    return (whole * share).quantize(Decimal((0, (1,), exponent if isinstance(exponent, int) else 0)), ROUND_DOWN)
