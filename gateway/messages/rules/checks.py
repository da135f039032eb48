"""Checks that rules name (``is a valid isin``) and that no path can state, each with the value that would be right.

A check takes the text and its argument, a word or the text at a path, and knows nothing of XML. What it cannot judge
holds: a currency that is on no list is the matter of another rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from gateway.model.currencies import DECIMALS
from gateway.model.identifiers import BIC_PATTERN, COUNTRIES, iban_holds, isin_holds, lei_holds

_BIC = re.compile(BIC_PATTERN)
_OFFSET = re.compile(r"[+-][0-9]{2}:[0-9]{2}$")


@dataclass(frozen=True, slots=True)
class Check:
    """Whether a text holds, and what would be right where that is certain (or None)."""

    holds: Callable[[str, str], bool]
    suggest: Callable[[str, str], str | None] = lambda text, argument: None


def _right_digits(holds: Callable[[str], bool], start: int, end: int) -> Callable[[str, str], str | None]:
    """Return a function that puts the right check digits at a place of an identifier."""

    def suggest(text: str, _: str) -> str | None:
        width = (end or len(text)) - (start % len(text))
        for number in range(10**width):
            whole = f"{text[:start]}{number:0{width}d}{text[end:] if end else ''}"
            if holds(whole):
                return whole
        return None

    return suggest


def _decimals(text: str) -> int:
    return len(text.strip().partition(".")[2])


def _amount_holds(text: str, currency: str) -> bool:
    return _decimals(text) <= DECIMALS.get(currency, 5)


def _rounded(text: str, currency: str) -> str | None:
    step = Decimal(1).scaleb(-DECIMALS[currency])
    return f"{Decimal(text).quantize(step, ROUND_HALF_UP):f}"


CHECKS: Final[dict[str, Check]] = {
    "isin": Check(lambda text, _: isin_holds(text), _right_digits(isin_holds, -1, 0)),
    "lei": Check(lambda text, _: lei_holds(text), _right_digits(lei_holds, -2, 0)),
    "iban": Check(lambda text, _: iban_holds(text), _right_digits(iban_holds, 2, 4)),
    "bic": Check(lambda text, _: _BIC.match(text) is not None),
    "country": Check(lambda text, _: text in COUNTRIES),
    "currency": Check(lambda text, _: text in DECIMALS),
    "amount": Check(_amount_holds, _rounded),  # of a currency
    "offset": Check(lambda text, _: _OFFSET.search(text) is not None),
}
"""Checks by the name that rules give them; ``external code`` and ``business day`` are added where their data are."""
