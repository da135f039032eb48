"""Repos and securities lending: sese.033 and .036 out, sese.034 and .035 in; two legs, each settled by itself."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions import settlement
from gateway.model.transitions.edges import CONFIRMATION, NOTHING, REQUEST, STATUS, UNANSWERED, DialogueTable, Edges

OPENING: Final = "opening"
CLOSING: Final = "closing"

_ADVISED: Final = ("pending", "failing", "proprietary")

_leg: Final = (
    Edges((NOTHING, *_ADVISED), _ADVISED, STATUS),
    Edges((NOTHING, *_ADVISED), settlement.SETTLED, CONFIRMATION),
    Edges(("partially_settled",), ("settled",), CONFIRMATION),
)

AXES: Final = {
    "processing": settlement.AXES["processing"],
    "inferred_matching": settlement.AXES["inferred_matching"],
    "matching": settlement.AXES["matching"],
    # A status speaks of the leg that has not settled yet, a confirmation of the leg that goes its way.
    OPENING: _leg,
    CLOSING: _leg,
    "cancellation": settlement.AXES["cancellation"],
    "condition_modification": settlement.AXES["condition_modification"],
    # sese.036: there is no advice of its own, a status advice that names the request answers it. Its last word is that
    # the request is accepted; the confirmation of a leg shows that it is done.
    "modification": (
        *settlement.AXES["modification"],
        Edges(
            ("accepted",), ("requested",), REQUEST, "what is accepted may be done long after, and modified before it"
        ),
    ),
    "withdrawal": UNANSWERED,
    "hold": settlement.AXES["hold"],
}

HEADLINES: Final = (
    (CLOSING, "settled", "closed"),
    (CLOSING, "partially_settled", "partially_closed"),
    ("processing", "cancelled", "cancelled"),
    ("cancellation", "cancelled", "cancelled"),
    ("processing", "rejected", "rejected"),
    (OPENING, "failing", "failing"),
    (CLOSING, "failing", "failing"),
    ("cancellation", "requested", "cancellation_requested"),
    ("cancellation", "accepted", "cancellation_requested"),
    ("cancellation", "pending", "cancellation_pending"),
    ("cancellation", "repair", "cancellation_pending"),
    ("processing", "cancellation_pending", "cancellation_pending"),
    ("processing", "cancellation_requested", "cancellation_requested"),
    ("processing", "repair", "repair"),
    ("modification", "requested", "modification_requested"),
    ("modification", "pending", "modification_requested"),
    ("modification", "repair", "modification_requested"),
    (CLOSING, "pending", "closing_pending"),
    (OPENING, "settled", "opened"),
    (OPENING, "partially_settled", "partially_opened"),
    ("matching", "unmatched", "unmatched"),
    ("matching", "matched", "matched"),
    ("inferred_matching", "unmatched", "unmatched"),
    (OPENING, "pending", "pending"),
    ("inferred_matching", "matched", "matched"),
    ("processing", "pending", "pending"),
    ("processing", "modification_requested", "modification_requested"),
    ("processing", "accepted", "accepted"),
    ("processing", "generated", "generated"),
    *((axis, "proprietary", "proprietary") for axis in (OPENING, CLOSING, "matching", "inferred_matching")),
    ("processing", "proprietary", "proprietary"),
)

TABLE: Final = DialogueTable(
    axes=AXES,
    headlines=HEADLINES,
    finished=frozenset({"closed", "cancelled", "rejected", "withdrawn"}),
    # Not finished: what the opening leg moved is still with the other side.
    once_moved={"cancelled": "closing_cancelled", "rejected": "closing_rejected"},
    alerts={
        "modification_not_done": "A leg of a financing settled as it was before a modification that had been accepted.",
        "closing_given_up": "A financing is cancelled or rejected, and its opening leg has settled.",
        "closing_before_opening": "The closing leg of a financing is confirmed, and its opening leg has not settled.",
    },
    effects=settlement.EFFECTS,
)
