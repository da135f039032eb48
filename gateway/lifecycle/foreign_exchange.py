"""How the statuses of a central system move foreign exchange trades: ours, and those that it alleges. Pure.

Amendments and cancellations have no answer of their own. A refusal that names one (by its reference, or as the related
message) is of the request, and the trade stands; what else is said of the trade tells whether the request was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from gateway.lifecycle.step import Step, break_order
from gateway.model.facts import Alleged, Difference, ForeignExchangeStatus, StatusValue, Terms
from gateway.model.transitions import Dialogue
from gateway.model.transitions.foreign_exchange import ENDS_ALLEGEMENT, SAYS

_REFUSED: Final = ("rejected", "invalid")
_REQUESTS: Final = ("amendment", "cancellation")


def _status(step: Step, fact: ForeignExchangeStatus, differences: tuple[Difference, ...]) -> None:
    word, about = fact.status.value, step.evidence.about
    if about in _REQUESTS and _is_open(step, about):
        if word in _REFUSED:
            step.answer(about, StatusValue("rejected", fact.status.reasons, fact.status.proprietary))
            return
        if about == "amendment":
            step.answer("amendment", StatusValue("modified"))
    step.prove_delivery()
    if word == "rescinded" and step.value("cancellation") == "requested":
        step.answer("cancellation", StatusValue("cancelled"))
    if fact.split and word != "split":
        step.alert("foreign_exchange_split", f"It says {word}.")
        if word == "settled":
            step.say("settlement", StatusValue("partially_settled"))
        return
    for axis, value in SAYS[word]:
        step.say(axis, fact.status if value == word else StatusValue(value))
    newest = step.axes["processing"].archive_id == step.evidence.archive_id
    if fact.states_trade and not fact.split and newest:
        _compare(step, fact.terms(), differences)


def _is_open(step: Step, request: str) -> bool:
    asked = (step.requests or {}).get(step.evidence.names or "")
    return asked is not None and asked.request == request and asked.status.value == "requested"


def _compare(step: Step, stated: Terms, differences: tuple[Difference, ...]) -> None:
    """Tell whether the system holds the trade as instructed, or as we asked to amend it."""
    amendments = [
        one
        for one in (step.requests or {}).values()
        if one.request == "amendment" and one.status.value in ("requested", "modified")
    ]
    amended = amendments[-1].terms if amendments else None
    if differences and amended is not None and _is_stated(amended, stated):
        step.answer("amendment", StatusValue("modified"))
        differences = ()
    fresh = set(differences).difference(step.breaks)
    step.breaks = tuple(sorted(differences, key=break_order))
    if fresh:
        said = (f"{d.field}: instructed {d.instructed}, held {d.confirmed}" for d in step.breaks if d in fresh)
        step.alert("foreign_exchange_break", "; ".join(said) + ".")


def _is_stated(terms: Terms, stated: Terms) -> bool:
    """Say whether everything that is stated is so in these terms."""
    nothing = Terms()
    return all(
        getattr(stated, each.name) in (getattr(nothing, each.name), getattr(terms, each.name)) for each in fields(Terms)
    )


def _alleged(step: Step, fact: Alleged | ForeignExchangeStatus, _: tuple[Difference, ...]) -> None:
    word = "alleged" if fact.status is None else ENDS_ALLEGEMENT.get(fact.status.value, "alleged")
    step.say("allegement", StatusValue(word, () if fact.status is None else fact.status.reasons))


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.FOREIGN_EXCHANGE, ForeignExchangeStatus): _status,
    (Dialogue.ALLEGED_EXCHANGE, Alleged): _alleged,
    (Dialogue.ALLEGED_EXCHANGE, ForeignExchangeStatus): _alleged,
}
