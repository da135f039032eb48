"""Foreign exchange: through a central system (fxtr.014 to .016 out, fxtr.008, .013, .017 and .030 in), or bilateral.

The system gives one status at a time. What each of its words says on the axes is ``SAYS``: a matched trade is accepted
as well, a settled one is matched.

Where the two sides confirm a trade to each other (MT300 of both), nobody sends a status: ours is confirmed when theirs
agrees with it, and that is its end, until one of them is amended or withdrawn. What we say of our own confirmation
holds from then on, without an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.model.transitions.edges import (
    CANCELLATION,
    COMPARED,
    COMPARISON,
    NOTHING,
    REFUSALS,
    REQUEST,
    STATUS,
    DialogueTable,
    Edges,
    request,
)

_OPEN: Final = ("accepted", "invalid", "proprietary")
_ENDS: Final = ("rejected", "rescinded", "split")
_MATCHING: Final = ("unmatched", "open_matched", "partially_fixed", "fix_unmatched", "matched")
_CONFIRMATION: Final = ("unmatched", "confirmed")
_SETTLEMENT: Final = ("not_selected", "selected", "selected_pending")
_SETTLED: Final = ("settled", "partially_settled", "netted")
_ACCEPTED: Final = ("processing", "accepted")
_MATCHED: Final = ("matching", "matched")

SAYS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    **{word: (("processing", word),) for word in ("invalid", "rejected", "rescinded", "split", "proprietary")},
    **{word: (_ACCEPTED, ("matching", word), ("settlement", "not_selected")) for word in _MATCHING},
    **{
        word: (_ACCEPTED, _MATCHED, ("settlement", word))
        for word in ("selected", "selected_pending", "settled", "netted")
    },
}
"""What a status of the system says: (axis, value) of each axis."""

AXES: Final = {
    "processing": (
        Edges((NOTHING, *_OPEN), _OPEN, STATUS, "an invalid trade may be put right by an amendment"),
        Edges((NOTHING, *_OPEN), _ENDS, STATUS),
        Edges(("rejected", "split"), ("rescinded",), STATUS, "the system clears what it rejected or split"),
    ),
    "matching": (
        Edges(
            (NOTHING, *_MATCHING), _MATCHING, STATUS, "matched may turn unmatched: the other side can amend its trade"
        ),
        Edges((NOTHING, *_CONFIRMATION), _CONFIRMATION, COMPARISON, "by what the other side confirms to us itself"),
    ),
    "settlement": (
        Edges((NOTHING, *_SETTLEMENT), _SETTLEMENT, STATUS, "what was selected for a session may be left out of it"),
        Edges((NOTHING, *_SETTLEMENT, "partially_settled"), _SETTLED, STATUS),
    ),
    "amendment": (
        *request(REFUSALS, ("modified",), refusals=REFUSALS),
        Edges(("modified",), ("requested",), REQUEST, "what was amended may be amended again"),
        Edges((NOTHING, *REFUSALS), ("modified",), REQUEST, "said to the other side itself, which does not answer"),
        Edges(("modified",), ("rejected",), REQUEST, "the network refused to carry it: nothing was said"),
    ),
    "cancellation": (
        *CANCELLATION,
        Edges((NOTHING, *REFUSALS), ("cancelled",), REQUEST, "said to the other side itself, which does not answer"),
        Edges(("cancelled",), ("rejected",), REQUEST, "the network refused to carry it: nothing was said"),
    ),
}

HEADLINES: Final = (
    ("settlement", "settled", "settled"),
    ("settlement", "netted", "netted"),
    ("settlement", "partially_settled", "partially_settled"),
    ("cancellation", "cancelled", "cancelled"),
    ("processing", "rescinded", "rescinded"),
    ("processing", "rejected", "rejected"),
    ("cancellation", "requested", "cancellation_requested"),
    ("amendment", "requested", "amendment_requested"),
    ("processing", "split", "split"),
    ("processing", "invalid", "invalid"),
    ("settlement", "selected_pending", "selected_pending"),
    ("settlement", "selected", "selected"),
    ("matching", "confirmed", "confirmed"),
    *(("matching", value, value) for value in _MATCHING),
    ("processing", "proprietary", "proprietary"),
    ("processing", "accepted", "accepted"),
)

TABLE: Final = DialogueTable(
    axes=AXES,
    headlines=HEADLINES,
    finished=frozenset({"settled", "netted", "rescinded", "rejected", "cancelled", "withdrawn", "confirmed"}),
    alerts={
        "foreign_exchange_break": "The central system holds the trade with other terms than were instructed.",
        "foreign_exchange_unconfirmed": "The other side no longer confirms a trade of ours as it is, and had before.",
        "foreign_exchange_split": "The central system speaks of a part of a trade that it has split.",
    },
)

_ALLEGED: Final = ("alleged", "matched", "withdrawn", "rejected", "rescinded")

ALLEGED: Final = DialogueTable(
    axes={
        "allegement": (
            Edges(
                (NOTHING, *_ALLEGED), _ALLEGED, STATUS, "the end may overtake the alleging, and it may be sent again"
            ),
        ),
        "comparison": COMPARED,
    },
    headlines=(
        *(("allegement", value, value) for value in _ALLEGED if value != "alleged"),
        ("comparison", "agrees", "agrees"),
        ("comparison", "differs", "differs"),
        ("allegement", "alleged", "alleged"),
    ),
    finished=frozenset(_ALLEGED) - {"alleged"},
    alerts={
        "foreign_exchange_unknown": "The other side alleges a foreign exchange trade, and nothing of ours is like it.",
        "foreign_exchange_differs": "The other side alleges a foreign exchange trade, and ours differs.",
    },
)

ENDS_ALLEGEMENT: Final[Mapping[str, str]] = {
    "rejected": "rejected",
    "invalid": "rejected",
    "rescinded": "rescinded",
    "matched": "matched",
    "selected": "matched",
    "selected_pending": "matched",
    "settled": "matched",
    "netted": "matched",
}
"""What a status of the system ends an allegement with; every other leaves it alleged."""

UNANSWERED_BY_THE_OTHER_SIDE: Final[Mapping[str, str]] = {"amendment": "modified", "cancellation": "cancelled"}
"""Where a request of ours stands once it is said to the other side itself: what we confirm is ours to say."""
