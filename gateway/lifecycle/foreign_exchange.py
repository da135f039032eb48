"""How the statuses of a central system move foreign exchange trades: ours, and those that it alleges. Pure.

Amendments and cancellations have no answer of their own. A refusal that names one (by its reference, or as the related
message) is of the request, and the trade stands; what else is said of the trade tells whether the request was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from gateway.lifecycle.step import Advance, Evidence, Step, alert, break_order
from gateway.model.facts import (
    Alleged,
    Axis,
    Change,
    Counterpart,
    Difference,
    ForeignExchangeStatus,
    Reason,
    State,
    StatusValue,
    Terms,
)
from gateway.model.transitions import COMPARISON, NOTHING, WAYS, Dialogue
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


def confirm(state: State, theirs: str, counterpart: Counterpart | None, evidence: Evidence) -> Advance:
    """Record what the other side's own confirmation makes of a trade of ours.

    ``theirs`` is its transaction identification in the ledger, ``counterpart`` how ours compares with it; None where it
    confirms ours no longer. The reason of the status names it, so that another one confirms another trade.
    """
    held = (state.axes or {}).get("matching")
    before = NOTHING if held is None else held.status.value
    if counterpart is None:
        status = StatusValue("unmatched", (Reason(text="the other side confirms it no longer"),))
    elif counterpart.differences:
        said = "; ".join(f"{d.field}: ours {d.instructed}, theirs {d.confirmed}" for d in counterpart.differences)
        status = StatusValue("unmatched", (Reason(proprietary=theirs, text=said),))
    else:
        status = StatusValue("confirmed", (Reason(proprietary=theirs, text="the other side confirms the same"),))
    if held is not None and held.status == status:
        return Advance(state)
    word = status.value
    assert before == word or (COMPARISON, before, word) in WAYS[state.dialogue, "matching"]
    moved = Axis(status, evidence.asserted_at, evidence.archive_id)
    changes = () if before == word else (Change("matching", None if held is None else before, word, status.reasons),)
    alerts = (alert("foreign_exchange_unconfirmed", status.reasons[0].text or ""),) if before == "confirmed" else ()
    return Advance(replace(state, axes={**(state.axes or {}), "matching": moved}), changes, alerts)


def confirmed_by(state: State) -> str | None:
    """Return the transaction identification of the other side's confirmation that ours was compared with last."""
    held = (state.axes or {}).get("matching")
    return held.status.reasons[0].proprietary if held is not None and held.status.reasons else None


APPLY: Final[Mapping[tuple[str, type], Callable[[Step, Any, tuple[Difference, ...]], None]]] = {
    (Dialogue.FOREIGN_EXCHANGE, ForeignExchangeStatus): _status,
    (Dialogue.ALLEGED_EXCHANGE, Alleged): _alleged,
    (Dialogue.ALLEGED_EXCHANGE, ForeignExchangeStatus): _alleged,
}
