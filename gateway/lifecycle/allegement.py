"""What the other side begins: an allegement, a generated transaction, a trade confirmation of theirs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from gateway.lifecycle.step import Advance, Evidence, Step, alert
from gateway.model.facts import (
    Alleged,
    Amount,
    Axis,
    Change,
    Counterpart,
    Difference,
    Quantity,
    State,
    StatusValue,
    Terms,
)
from gateway.model.transitions import COMPARISON, NOTHING, WAYS, Dialogue

_ON_THE_WAY: Final = frozenset({"recorded", "sending", "in_doubt", "refused", "parked", "held"})
"""Headlines of instructions that the other side's servicer cannot have matched yet."""

_SUBJECTS: Final = {
    Dialogue.ALLEGEMENT: "allegement",
    Dialogue.ALLEGED_TRADE: "trade",
    Dialogue.ALLEGED_EXCHANGE: "foreign_exchange",
}
_ALLEGED_BY_A_SYSTEM: Final = (Dialogue.ALLEGEMENT, Dialogue.ALLEGED_EXCHANGE)


def _alleged(step: Step, _fact: Alleged, _: tuple[Difference, ...]) -> None:
    step.say("allegement", StatusValue("alleged"))


def _generated(step: Step, _fact: Alleged, _: tuple[Difference, ...]) -> None:
    fresh = "processing" not in step.axes
    step.say("processing", StatusValue("generated"))
    if fresh:
        step.alert("transaction_generated", describe(step.terms))


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.ALLEGEMENT, Alleged): _alleged,
    (Dialogue.ALLEGED_TRADE, Alleged): _alleged,
    (Dialogue.SETTLEMENT, Alleged): _generated,
}


def compared(state: State, terms: Terms, counterparts: Sequence[Counterpart], evidence: Evidence) -> Advance:
    """Record what of ours the other side's trade was compared with; ``counterparts`` have the best one first.

    The axis ``comparison`` says ``agrees`` where the best one has no difference, ``differs`` or ``unknown``. What an
    operator must see is alerted once: nothing like it, a difference, or one of ours that has not left.
    """
    best = counterparts[0] if counterparts else None
    word = "unknown" if best is None else "differs" if best.differences else "agrees"
    axes = state.axes or {}
    held = axes.get("comparison")
    before = NOTHING if held is None else held.status.value
    kept = tuple(counterparts)
    if before == word and state.counterparts == kept:
        return Advance(state)
    assert before == word or (COMPARISON, before, word) in WAYS[state.dialogue, "comparison"]
    moved = Axis(StatusValue(word), evidence.asserted_at, evidence.archive_id)
    after = replace(state, axes={**axes, "comparison": moved}, counterparts=kept)
    about = _SUBJECTS.get(Dialogue(state.dialogue))
    alerts = []
    if about is None:
        pass  # what was generated is alerted by itself
    elif best is None:
        alerts.append(alert(f"{about}_unknown", describe(terms)))
    elif best.differences:
        said = "; ".join(f"{d.field}: ours {d.instructed}, theirs {d.confirmed}" for d in best.differences)
        alerts.append(alert(f"{about}_differs", f"{best.kind} {best.identifier}: {said}."))
    elif state.dialogue in _ALLEGED_BY_A_SYSTEM and (best.kind == "parked" or best.standing in _ON_THE_WAY):
        alerts.append(alert("allegement_of_unsent", f"{best.kind} {best.identifier} is {best.standing}."))
    changes = () if before == word else (Change("comparison", None if held is None else before, word),)
    return Advance(after, changes, tuple(alerts))


def describe(terms: Terms) -> str:
    """Say terms in a line, without accounts: what is delivered or received, or bought, against what, when."""
    words = [
        f"buy {_paid(terms.bought_amount)}" if terms.bought_amount else None,
        f"against {_paid(terms.sold_amount)}" if terms.sold_amount else None,
        f"at {_plain(terms.exchange_rate)}" if terms.exchange_rate else None,
        terms.movement,
        _measured(terms.quantity),
        terms.isin,
        f"against {_paid(terms.amount)}" if terms.amount else terms.payment,
        f"on {terms.settlement_date}" if terms.settlement_date else None,
        f"with {terms.other_party}" if terms.other_party else None,
    ]
    said = " ".join(word for word in words if word)
    return f"Theirs: {said}." if said else ""


def _measured(quantity: Quantity | None) -> str | None:
    return None if quantity is None else f"{_plain(quantity.value)} {quantity.type}"


def _paid(amount: Amount) -> str:
    return f"{_plain(amount.value)} {amount.currency}"


def _plain(value: Decimal) -> str:
    return format(value, "f")
