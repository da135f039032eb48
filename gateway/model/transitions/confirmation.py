"""The confirmation of a securities trade: setr.027 out, setr.030 and setr.044 in."""

from __future__ import annotations

from typing import Final

from gateway.model.transitions.edges import CANCELLATION, NOTHING, STATUS, DialogueTable, Edges

_OPEN: Final = (
    "accepted",
    "pending",
    "repair",
    "already_matched_and_affirmed",
    "default_action",
    "done",
    "fully_executed_confirmation_sent",
    "future",
    "generated",
    "no_instruction",
    "open_order",
    "received_at_intermediary",
    "settlement_instruction_sent",
    "standing_instruction",
    "trading_suspended",
    "treated",
    "proprietary",
)
_MATCHING: Final = ("matched", "matched_with_tolerance", "matching_alleged", "unmatched", "proprietary")
_ANSWERED: Final = ("affirmed", "disaffirmed", "proprietary")

AXES: Final = {
    "processing": (
        Edges((NOTHING, *_OPEN), _OPEN, STATUS),
        Edges((NOTHING, *_OPEN), ("rejected", "forced_rejection"), STATUS),
        Edges(("rejected",), ("forced_rejection",), STATUS, "the platform confirms the rejection"),
    ),
    "matching": (Edges((NOTHING, *_MATCHING), _MATCHING, STATUS),),
    "affirmation": (
        Edges((NOTHING,), ("received",), STATUS),
        Edges((NOTHING, "received"), _ANSWERED, STATUS),
        Edges(_ANSWERED, _ANSWERED, STATUS, "an affirmation may be withdrawn, and given after all"),
    ),
    "cancellation": CANCELLATION,
}

_RANKED_ABOVE: Final = frozenset({"pending", "repair", "already_matched_and_affirmed", "proprietary"})
HEADLINES: Final = (
    ("cancellation", "cancelled", "cancelled"),
    ("processing", "rejected", "rejected"),
    ("processing", "forced_rejection", "rejected"),
    ("affirmation", "disaffirmed", "disaffirmed"),
    ("affirmation", "affirmed", "affirmed"),
    ("processing", "already_matched_and_affirmed", "affirmed"),
    ("cancellation", "requested", "cancellation_requested"),
    ("cancellation", "accepted", "cancellation_requested"),
    ("cancellation", "pending", "cancellation_pending"),
    ("cancellation", "repair", "cancellation_pending"),
    ("processing", "repair", "repair"),
    ("matching", "unmatched", "unmatched"),
    ("matching", "matching_alleged", "unmatched"),  # their side is there, ours does not meet it
    ("matching", "matched", "matched"),
    ("matching", "matched_with_tolerance", "matched"),
    ("processing", "pending", "pending"),
    ("affirmation", "received", "received"),
    *(("processing", value, value) for value in _OPEN if value not in _RANKED_ABOVE),
    *((axis, "proprietary", "proprietary") for axis in ("affirmation", "matching", "processing")),
)

TABLE: Final = DialogueTable(
    axes=AXES,
    headlines=HEADLINES,
    finished=frozenset({"cancelled", "rejected", "withdrawn", "affirmed", "disaffirmed"}),
)
