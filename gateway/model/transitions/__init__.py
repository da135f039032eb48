"""Transition tables: which way each axis of each dialogue may move, how the headline is chosen, what alerts mean.

``lifecycle`` walks them, ``docs/lifecycle.md`` is drawn from them. Each dialogue has its own file here, with one
``DialogueTable``; a further one adds its file, its name in ``edges.Dialogue`` and its line in ``DIALOGUES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

from gateway.model.facts import Delivery
from gateway.model.transitions import allegement, confirmation, settlement
from gateway.model.transitions.edges import (
    COMPARISON,
    CONFIRMATION,
    NOTHING,
    REQUEST,
    REVERSAL,
    STATUS,
    Cause,
    Dialogue,
    DialogueTable,
    Edges,
)
from gateway.model.transitions.settlement import SETTLED

__all__ = [
    "ALERTS",
    "COMPARISON",
    "CONFIRMATION",
    "DELIVERY",
    "DIALOGUES",
    "EFFECTS",
    "FINISHED",
    "HEADLINES",
    "NOTHING",
    "OVERTAKEN",
    "PROVABLE",
    "RANKS",
    "REQUEST",
    "REQUESTS",
    "REVERSAL",
    "SETTLED",
    "STATUS",
    "TRANSITIONS",
    "WAYS",
    "Cause",
    "Dialogue",
    "DialogueTable",
    "Edges",
]

DIALOGUES: Final[Mapping[Dialogue, DialogueTable]] = {
    Dialogue.SETTLEMENT: settlement.TABLE,
    Dialogue.CONFIRMATION: confirmation.TABLE,
    Dialogue.ALLEGEMENT: allegement.ALLEGEMENT,
    Dialogue.ALLEGED_TRADE: allegement.ALLEGED_TRADE,
}

TRANSITIONS: Final[Mapping[tuple[str, str], tuple[Edges, ...]]] = {
    (dialogue, axis): rows for dialogue, table in DIALOGUES.items() for axis, rows in table.axes.items()
}
HEADLINES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    dialogue: table.headlines for dialogue, table in DIALOGUES.items()
}
EFFECTS: Final[Mapping[tuple[str, str, str, str], tuple[str, str]]] = {
    (dialogue, *key): effect for dialogue, table in DIALOGUES.items() for key, effect in table.effects.items()
}
# The headlines after which nothing more is expected, though a reversal may still come; or the remainder was given up.
FINISHED: Final[Mapping[str, frozenset[str]]] = {dialogue: table.finished for dialogue, table in DIALOGUES.items()}

REQUESTS: Final = frozenset(
    axis for (_, axis), rows in TRANSITIONS.items() if any(row.cause == REQUEST for row in rows)
)
"""The axes that we open by a request about an instruction that is there; each is also the role of its message."""

_COMMON_ALERTS: Final = {
    "cancellation_crossed_settlement": "A cancellation and a settlement crossed: the instruction has settled.",
    "rejected_after_answer": "A message was refused technically after it was answered: perhaps only its duplicate.",
    "reply_to_unsent": "A reply came for a message that this ledger holds as never sent.",
    "rule_warning": "The message goes against a rule that warns.",
    "request_not_made": "The counterparty answers a request that this ledger did not make.",
}
ALERTS: Final[Mapping[str, str]] = {
    **_COMMON_ALERTS,
    **{code: text for table in DIALOGUES.values() for code, text in table.alerts.items()},
}

DELIVERY: Final[Mapping[Delivery, Mapping[Delivery, str]]] = {
    Delivery.RECORDED: {
        Delivery.SENDING: "the attempt is committed",
        Delivery.PARKED: "cannot be sent as it is",
        Delivery.WITHDRAWN: "cancelled before any attempt",
    },
    Delivery.SENDING: {
        Delivery.SENT: "the carrier took it, or a reply proves it",
        Delivery.IN_DOUBT: "no outcome (time-out, crash)",
        Delivery.RECORDED: "nothing left this process, so it is tried again",
        Delivery.REFUSED: "the carrier or network refused it",
        Delivery.PARKED: "attempts are used up",
    },
    Delivery.IN_DOUBT: {
        Delivery.SENDING: "sent again, marked as possible duplicate",
        Delivery.SENT: "a reply proves it",
        Delivery.PARKED: "the mark cannot be carried, or attempts are used up",
    },
    Delivery.SENT: {},
    Delivery.REFUSED: {
        Delivery.RECORDED: "repaired and released",
        Delivery.PARKED: "shown to operators",
        Delivery.WITHDRAWN: "discarded, or cancelled, since the counterparty never had it",
    },
    Delivery.PARKED: {
        Delivery.RECORDED: "repaired and released",
        Delivery.IN_DOUBT: "released while still in doubt",
        Delivery.SENT: "a reply proves that what was in doubt had arrived",
        Delivery.WITHDRAWN: "discarded, or cancelled before any attempt",
    },
    Delivery.WITHDRAWN: {},
    Delivery.THEIRS: {},
}
# A reply can overtake the outcome of the attempt that it answers, or of a later duplicate: its proof stands.
OVERTAKEN: Final = frozenset({Delivery.RECORDED, Delivery.IN_DOUBT, Delivery.REFUSED, Delivery.PARKED})
PROVABLE: Final = frozenset({Delivery.SENDING, Delivery.IN_DOUBT, Delivery.PARKED})


def _ways(rows: tuple[Edges, ...]) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (cause, before, after) for befores, afters, cause, _ in rows for before, after in product(befores, afters)
    )


WAYS: Final[Mapping[tuple[str, str], frozenset[tuple[str, str, str]]]] = {
    place: _ways(rows) for place, rows in TRANSITIONS.items()
}
RANKS: Final[Mapping[str, dict[tuple[str, str], tuple[int, str]]]] = {
    dialogue: {
        (axis, value): (rank, word)
        for rank, (axis, value, word) in reversed(
            tuple(enumerate((*rows, *(("delivery", delivery.value, delivery.value) for delivery in Delivery))))
        )
    }
    for dialogue, rows in HEADLINES.items()
}
