"""How the statuses of a central system move foreign exchange trades: ours, and those that it alleges. Pure.

Amendments and cancellations have no answer of their own. A refusal that names one (by its reference, or as the related
message) is of the request, and the trade stands; what else is said of the trade tells whether the request was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from gateway.lifecycle.step import Step, break_order
from gateway.model.facts import Alleged, Difference, ForeignExchangeStatus, StatusValue, Terms
from gateway.model.transitions import Dialogue
from gateway.model.transitions.foreign_exchange import ENDS_ALLEGEMENT, SAYS

_REFUSED: Final = ("rejected", "invalid")
_REQUESTS: Final = ("amendment", "cancellation")


def _status(step: Step, fact: ForeignExchangeStatus, differences: tuple[Difference, ...]) -> None:
    word, about = fact.status.value, step.evidence.about
    if about in _REQUESTS and word in _REFUSED:
        _refused(step, about, fact.status)
        return
    if about == "amendment" and _is_open(step):
        step.answer("amendment", StatusValue("modified"))
    step.prove_delivery()
    if word == "rescinded":
        _cancelled(step)
    if fact.split and word != "split":
        step.alert("foreign_exchange_split", f"It says {word}.")
        if word == "settled":
            step.say("settlement", StatusValue("partially_settled"))
        return
    for axis, value in SAYS[word]:
        step.say(axis, fact.status if value == word else StatusValue(value))
    if fact.states_trade and not fact.split:
        stated = fact.terms()
        amended = bool(differences) and _is_amended(step, stated)
        if step.axes["processing"].archive_id == step.evidence.archive_id:  # nothing newer was said before
            _compare(step, () if amended else differences)


def _refused(step: Step, request: str, status: StatusValue) -> None:
    """Take a refusal that names a request as one of that, and never of the trade."""
    if not _is_open(step) and step.value("processing") == "rescinded":
        return  # another request crossed it: there is nothing left to cancel
    step.answer(request, StatusValue("rejected", status.reasons, status.proprietary))


def _cancelled(step: Step) -> None:
    """Answer every cancellation that is open: the system does not say which of them it has done."""
    evidence = step.evidence
    for name, asked in (step.requests or {}).items():
        if asked.request == "cancellation" and asked.status.value == "requested":
            step.evidence = replace(evidence, names=name)
            step.answer("cancellation", StatusValue("cancelled"))
    step.evidence = evidence


def _is_open(step: Step) -> bool:
    asked = (step.requests or {}).get(step.evidence.names or "")
    return asked is not None and asked.status.value == "requested"


def _is_amended(step: Step, stated: Terms) -> bool:
    """Tell whether the system holds the trade as we asked to amend it; the first such amendment is done then."""
    so = {
        name: one
        for name, one in (step.requests or {}).items()
        if one.request == "amendment"
        and one.status.value in ("requested", "modified")
        and one.terms is not None
        and _is_stated(one.terms, stated)
    }
    opened = next((name for name, one in so.items() if one.status.value == "requested"), None)
    if opened is not None:
        evidence = step.evidence
        step.evidence = replace(evidence, names=opened)
        step.answer("amendment", StatusValue("modified"))
        step.evidence = evidence
    return bool(so)


def _compare(step: Step, differences: tuple[Difference, ...]) -> None:
    """Keep in what the system holds the trade otherwise than instructed or amended, and alert what is new."""
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
