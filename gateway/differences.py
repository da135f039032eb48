"""How what a fact states differs from what was instructed, or from what was to be expected."""

from __future__ import annotations

from datetime import datetime

from gateway import lifecycle, matching
from gateway.model.facts import (
    AccountEntry,
    Difference,
    Fact,
    ForeignExchangeStatus,
    PenaltyReport,
    SettlementConfirmation,
    State,
)
from gateway.penalties import Estimator, fail_of
from gateway.store import InstructionRow


def differences_of(
    fact: Fact, row: InstructionRow, state: State, estimator: Estimator, now: datetime
) -> tuple[Difference, ...]:
    """Compare a fact with the instruction it is about; ``state`` is where it stands, ``now`` for one that began now."""
    if isinstance(fact, SettlementConfirmation):
        return matching.compare(lifecycle.terms_confirmed(state, row.terms, fact), fact)
    if isinstance(fact, ForeignExchangeStatus):
        return matching.compare_trade(lifecycle.terms_in_force(state, row.terms), fact.terms())
    if isinstance(fact, AccountEntry):
        return matching.compare_entry(row.terms, fact)
    if isinstance(fact, PenaltyReport) and lifecycle.timing.settles(state):
        terms, instructed_on = lifecycle.terms_in_force(state, row.terms), (row.created_at or now).date()
        return estimator.differences(fail_of(row.transaction_id, terms, state, instructed_on), fact)
    return ()
