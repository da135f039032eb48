"""The settlement of securities: sese.023 out, sese.024 to .027, .031, .039 and .022 in."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import (
    CANCELLATION,
    COMPARED,
    CONFIRMATION,
    NOTHING,
    REFUSALS,
    REQUEST,
    REVERSAL,
    STATUS,
    UNANSWERED,
    DialogueTable,
    Edges,
    request,
)

_OPEN: Final = (
    "accepted",
    "generated",  # by the servicer on our account (sese.032)
    "pending",
    "repair",
    "cancellation_pending",
    "cancellation_requested",
    "modification_requested",
    "proprietary",
)
_MATCHING: Final = ("matched", "unmatched", "proprietary")
_ADVISED: Final = ("pending", "failing", "proprietary")
SETTLED: Final = ("partially_settled", "settled")

_matching: Final = (
    Edges((NOTHING, *_MATCHING), _MATCHING, STATUS, "matched may turn unmatched: the other side can withdraw its leg"),
)

AXES: Final = {
    "processing": (
        Edges((NOTHING, *_OPEN), _OPEN, STATUS),
        Edges((NOTHING, *_OPEN), ("rejected", "cancelled"), STATUS),
        Edges(("rejected",), ("cancelled",), STATUS, "a servicer clears what it rejected from its books"),
    ),
    # The servicer's own view, before the depository's.
    "inferred_matching": _matching,
    "matching": _matching,
    "settlement": (
        Edges((NOTHING, *_ADVISED), _ADVISED, STATUS),
        Edges((NOTHING, *_ADVISED), SETTLED, CONFIRMATION),
        Edges(("partially_settled",), ("settled",), CONFIRMATION),
        Edges(("settled",), ("partially_settled",), REVERSAL, "one part of several was undone"),
        Edges(SETTLED, ("reversed",), REVERSAL),
        Edges(SETTLED, _ADVISED, REVERSAL, "a status newer than the reversal had come before it"),
        Edges(
            (NOTHING, *_ADVISED), ("reversed",), REVERSAL, "the reversal came before the confirmation that it undoes"
        ),
        Edges(("reversed",), _ADVISED, STATUS, "what was reversed waits for settlement again"),
        Edges(("reversed",), SETTLED, CONFIRMATION),
    ),
    "cancellation": CANCELLATION,
    "condition_modification": (
        *request(("accepted", "pending", *REFUSALS), ("completed",), refusals=REFUSALS),
        Edges(("requested", "accepted", "pending", "completed"), ("requested",), REQUEST, "held, released, held again"),
    ),
    "modification": (
        *request(("accepted", "pending", "repair", *REFUSALS), ("modified",), refusals=REFUSALS),
        Edges(("modified",), ("requested",), REQUEST, "what was modified may be modified again"),
    ),
    "status_query": (
        *request(("accepted", *REFUSALS), ("answered",), refusals=REFUSALS),
        Edges(
            ("answered",), ("accepted", *REFUSALS), STATUS, "a status that came meanwhile may not have been the answer"
        ),
        Edges(("requested", "accepted", "answered"), ("requested",), REQUEST, "it may be asked at any time"),
    ),
    "withdrawal": UNANSWERED,
    # What of ours a transaction that the servicer generated is like.
    "comparison": COMPARED,
    # What we have asked for and the servicer has done; an instruction may be born held.
    "hold": (Edges((NOTHING, "held", "released"), ("held", "released"), STATUS),),
}

EFFECTS: Final = {
    ("condition_modification", "completed", "hold"): ("hold", "held"),
    ("condition_modification", "completed", "release"): ("hold", "released"),
}

HEADLINES: Final = (
    ("settlement", "settled", "settled"),  # above cancelled: a confirmation is never undone by a status
    ("settlement", "partially_settled", "partially_settled"),
    ("processing", "cancelled", "cancelled"),
    ("cancellation", "cancelled", "cancelled"),
    ("processing", "rejected", "rejected"),
    ("settlement", "reversed", "reversed"),
    ("settlement", "failing", "failing"),
    ("cancellation", "requested", "cancellation_requested"),
    ("cancellation", "accepted", "cancellation_requested"),
    ("cancellation", "pending", "cancellation_pending"),
    ("cancellation", "repair", "cancellation_pending"),
    ("processing", "cancellation_pending", "cancellation_pending"),
    ("processing", "cancellation_requested", "cancellation_requested"),
    ("processing", "repair", "repair"),
    ("modification", "requested", "modification_requested"),
    ("modification", "accepted", "modification_requested"),
    ("modification", "pending", "modification_requested"),
    ("modification", "repair", "modification_requested"),
    ("matching", "unmatched", "unmatched"),
    ("matching", "matched", "matched"),  # above pending: every matched instruction is pending until its date
    ("inferred_matching", "unmatched", "unmatched"),
    ("settlement", "pending", "pending"),
    ("inferred_matching", "matched", "matched"),
    ("processing", "pending", "pending"),
    ("processing", "modification_requested", "modification_requested"),
    ("processing", "accepted", "accepted"),
    ("processing", "generated", "generated"),
    *((axis, "proprietary", "proprietary") for axis in ("settlement", "matching", "inferred_matching", "processing")),
)

TABLE: Final = DialogueTable(
    axes=AXES,
    headlines=HEADLINES,
    finished=frozenset({"settled", "cancelled", "rejected", "withdrawn"}),
    alerts={
        "transaction_generated": "The servicer generated a transaction on our account that nobody here instructed.",
        "confirmation_conflict": "A confirmation came again under its identification with other content; not counted.",
        "pre_confirmation": "A pre-confirmation came; it announces settlement and settles nothing.",
        "rejection_crossed_settlement": "An instruction that was rejected has settled.",
        "remainder_failing": "Part has settled, and the counterparty says that the rest is failing.",
        "reversal_differs": "A reversal states another quantity or amount than the confirmation that it undoes.",
        "reversal_without_confirmation": "A reversal names no confirmation that is known here.",
        "settled_beyond_instruction": "More was confirmed as settled than was instructed.",
        "status_says_nothing": "A status advice came that states no status.",
        "settlement_break": "What was confirmed differs from what was instructed.",
    },
    effects=EFFECTS,
)
