"""Trades that the other side states: allegements (sese.028, .029) and confirmations of theirs (setr.027)."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import COMPARED, NOTHING, REQUEST, STATUS, DialogueTable, Edges

_ANSWERED: Final = ("requested", "rejected")

_answer: Final = (
    Edges((NOTHING, *_ANSWERED), ("requested",), REQUEST, "an answer may be given again, or another one"),
    Edges((NOTHING, "requested"), ("rejected",), STATUS, "our answer was refused technically"),
)

ALLEGEMENT: Final = DialogueTable(
    axes={
        "allegement": (
            Edges(
                (NOTHING, "alleged", "removed"), ("alleged", "removed"), STATUS, "a removal may overtake its alleging"
            ),
        ),
        "comparison": COMPARED,
        "answer": _answer,
    },
    headlines=(
        ("allegement", "removed", "removed"),
        ("answer", "requested", "answered"),
        ("comparison", "agrees", "agrees"),
        ("comparison", "differs", "differs"),
        ("allegement", "alleged", "alleged"),
    ),
    finished=frozenset({"removed"}),
    alerts={
        "allegement_unknown": "The other side alleges a trade, and nothing of ours is like it.",
        "allegement_differs": "The other side alleges a trade, and ours differs.",
        "allegement_of_unsent": "The other side alleges what is ours but has not left: it is parked, held or not sent.",
        "alleged_terms_changed": "The other side alleges the same transaction again with other terms.",
    },
)

ALLEGED_TRADE: Final = DialogueTable(
    axes={
        "allegement": (
            Edges(
                (NOTHING, "alleged", "cancelled"), ("alleged", "cancelled"), STATUS, "a cancellation may be overtaken"
            ),
        ),
        "comparison": COMPARED,
        "answer": _answer,
    },
    headlines=(
        ("allegement", "cancelled", "cancelled"),
        ("answer", "requested", "answered"),
        ("comparison", "agrees", "agrees"),
        ("comparison", "differs", "differs"),
        ("allegement", "alleged", "alleged"),
    ),
    finished=frozenset({"cancelled", "answered"}),
    alerts={
        "trade_unknown": "The other side confirms a trade, and nothing of ours is like it.",
        "trade_differs": "The other side confirms a trade, and ours differs.",
    },
)
