"""What of an instruction has happened by now, for its deadlines. Pure.

The rows read the axes that a dialogue has, whatever its family: what has no such axis is never there by that word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.model.facts import Delivery, State
from gateway.model.transitions import CLOSING, TRANSITIONS
from gateway.model.transitions.edges import REFUSALS

_NOT_OURS: Final = (Delivery.THEIRS, Delivery.WITHDRAWN)


def has_happened(state: State, kind: str) -> bool:
    """Tell whether what a deadline waits for (``send``, ``match``, ``release``, ``settle``) is so now.

    ``match`` and ``release`` may cease to be so: the other side can withdraw its leg, and we can hold again. Of other
    kinds, ``reply`` has happened once nothing is unanswered, and ``overdue`` has not before everything is finished.
    """
    return _HAPPENED[kind](state)


def is_ours(state: State) -> bool:
    """Tell whether it is ours to send; what the other side begins has no deadline here."""
    return state.delivery not in _NOT_OURS


def unanswered(state: State) -> tuple[str, ...]:
    """Name what we have sent and nothing was said of: our first message, and requests other than status queries."""
    silent = () if state.sources else ("instruction",)
    asked = (state.requests or {}).values()
    return silent + tuple(
        one.request for one in asked if one.status.value == "requested" and one.request != "status_query"
    )


def has_open_modification(state: State) -> bool:
    """Tell whether the terms may still change by an answer to something that we have asked for.

    That of a financing ends at accepted; a leg that settles shows the rest.
    """
    answered = ("modified", *REFUSALS, *(("accepted",) if (state.dialogue, CLOSING) in TRANSITIONS else ()))
    return any(
        asked.terms is not None and asked.status.value not in answered for asked in (state.requests or {}).values()
    )


def can_be_queried(state: State) -> bool:
    """Tell whether the dialogue has a status query."""
    return (state.dialogue, "status_query") in TRANSITIONS


def settles(state: State) -> bool:
    """Tell whether the dialogue ends in a settlement."""
    return (state.dialogue, "settlement") in TRANSITIONS


def _value(state: State, axis: str) -> str | None:
    held = (state.axes or {}).get(axis)
    return None if held is None else held.status.value


def _matched(state: State) -> bool:
    said = _value(state, "matching")
    if said is None:
        # A servicer that speaks of settlement has matched before, where it does not say so in so many words.
        return _value(state, "settlement") is not None or _value(state, "affirmation") == "affirmed"
    return said.startswith("matched")


_HAPPENED: Final[Mapping[str, Callable[[State], bool]]] = {
    "send": lambda state: state.delivery is Delivery.SENT,
    "match": _matched,
    "release": lambda state: _value(state, "hold") != "held",
    "settle": lambda state: _value(state, "settlement") == "settled",
    "reply": lambda state: not unanswered(state),
    "overdue": lambda state: _value(state, "settlement") == "settled",
}
