"""Movements between balances of one account: semt.013 out, semt.014 and .015 in."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions import settlement
from gateway.model.transitions.edges import CONFIRMATION, NOTHING, STATUS, UNANSWERED, DialogueTable, Edges

_OPEN: Final = ("accepted", "repair", "proprietary")
_ADVISED: Final = ("pending", "failing", "proprietary")

AXES: Final = {
    "processing": (
        Edges((NOTHING, *_OPEN), _OPEN, STATUS),
        Edges((NOTHING, *_OPEN), ("rejected", "cancelled"), STATUS),
        Edges(("rejected",), ("cancelled",), STATUS, "a servicer clears what it rejected from its books"),
    ),
    "settlement": (
        Edges((NOTHING, *_ADVISED), _ADVISED, STATUS),
        Edges((NOTHING, *_ADVISED), settlement.SETTLED, CONFIRMATION),
        Edges(("partially_settled",), ("settled",), CONFIRMATION),
    ),
    "cancellation": settlement.AXES["cancellation"],
    "withdrawal": UNANSWERED,
}

HEADLINES: Final = (
    ("settlement", "settled", "settled"),
    ("settlement", "partially_settled", "partially_settled"),
    ("processing", "cancelled", "cancelled"),
    ("cancellation", "cancelled", "cancelled"),
    ("processing", "rejected", "rejected"),
    ("settlement", "failing", "failing"),
    ("cancellation", "requested", "cancellation_requested"),
    ("cancellation", "accepted", "cancellation_requested"),
    ("cancellation", "pending", "cancellation_pending"),
    ("cancellation", "repair", "cancellation_pending"),
    ("processing", "repair", "repair"),
    ("settlement", "pending", "pending"),
    ("processing", "accepted", "accepted"),
    *((axis, "proprietary", "proprietary") for axis in ("settlement", "processing")),
)

TABLE: Final = DialogueTable(
    axes=AXES,
    headlines=HEADLINES,
    finished=frozenset({"settled", "cancelled", "rejected", "withdrawn"}),
)
