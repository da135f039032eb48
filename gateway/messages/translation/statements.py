"""Statements and reports: what either language says of them, and what has to be put in other words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.messages.translation import cash_statements, securities_reports, securities_statements
from gateway.messages.translation.stating import Statement

MODELS: Final[Mapping[str, type]] = {
    cash_statements.CASH: cash_statements.CashStatement,
    **securities_reports.MODELS,
}
_Change = Callable[[Statement], None]
_FROM_FIN: Final[Mapping[str, _Change]] = {
    cash_statements.CASH: cash_statements.from_fin,
    **dict.fromkeys(securities_reports.MODELS, securities_statements.from_fin),
}
_TO_FIN: Final[Mapping[str, _Change]] = {
    cash_statements.CASH: cash_statements.to_fin,
    **dict.fromkeys(securities_reports.MODELS, securities_statements.to_fin),
}


def take_apart(said: Statement, kind: str) -> None:
    """State as ISO 20022 does what FIN says of a statement; what it leaves to be understood is derived."""
    if kind in _FROM_FIN:
        _FROM_FIN[kind](said)


def put_together(said: Statement, kind: str) -> None:
    """State as FIN does what ISO 20022 says of a statement."""
    if kind in _TO_FIN:
        _TO_FIN[kind](said)
