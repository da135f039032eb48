"""Transition tables: which way each axis of each dialogue may move, how the headline is chosen, what alerts mean.

``lifecycle`` walks them, ``docs/lifecycle.md`` is drawn from them. Each dialogue has its own file here, with one
``DialogueTable``; a further one adds its file, its name in ``edges.Dialogue`` and its line in ``DIALOGUES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

from gateway.model.facts import Delivery
from gateway.model.transitions import (
    allegement,
    confirmation,
    deadlines,
    financing,
    foreign_exchange,
    intra_position,
    payment,
    rejection,
    settlement,
    statement,
    technical,
)
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
from gateway.model.transitions.financing import CLOSING, OPENING
from gateway.model.transitions.settlement import SETTLED

__all__ = [
    "ALERTS",
    "CLOSING",
    "COMPARISON",
    "CONFIRMATION",
    "DELIVERY",
    "DIALOGUES",
    "EFFECTS",
    "FINISHED",
    "GIVEN_UP",
    "HEADLINES",
    "NOTHING",
    "ONCE_MOVED",
    "OPENING",
    "OVERTAKEN",
    "PROVABLE",
    "RANKS",
    "REQUEST",
    "REQUESTS",
    "REVERSAL",
    "SETTLED",
    "STATUS",
    "TAKEN_BACK",
    "TRANSITIONS",
    "UNDONE",
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
    Dialogue.FOREIGN_EXCHANGE: foreign_exchange.TABLE,
    Dialogue.ALLEGED_EXCHANGE: foreign_exchange.ALLEGED,
    Dialogue.TECHNICAL: technical.TABLE,
    Dialogue.STATEMENT: statement.TABLE,
    Dialogue.FINANCING: financing.TABLE,
    Dialogue.INTRA_POSITION_MOVEMENT: intra_position.TABLE,
    Dialogue.MESSAGE_REJECTION: rejection.TABLE,
    Dialogue.PAYMENT: payment.PAYMENT,
    Dialogue.NOTICE: payment.NOTICE,
}

TRANSITIONS: Final[Mapping[tuple[str, str], tuple[Edges, ...]]] = {
    (dialogue, axis): rows for dialogue, table in DIALOGUES.items() for axis, rows in table.axes.items()
}
HEADLINES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    dialogue: table.headlines for dialogue, table in DIALOGUES.items()
}
ONCE_MOVED: Final[Mapping[str, Mapping[str, str]]] = {
    dialogue: table.once_moved for dialogue, table in DIALOGUES.items()
}
EFFECTS: Final[Mapping[tuple[str, str, str, str], tuple[str, str]]] = {
    (dialogue, *key): effect for dialogue, table in DIALOGUES.items() for key, effect in table.effects.items()
}
# The headlines after which nothing more is expected, though a reversal may still come; or the remainder was given up.
FINISHED: Final[Mapping[str, frozenset[str]]] = {dialogue: table.finished for dialogue, table in DIALOGUES.items()}

GIVEN_UP: Final = frozenset({"cancelled", "rejected", "withdrawn"})
"""The headlines of an instruction that ended without settling."""

UNDONE: Final = GIVEN_UP | {"returned"}
"""The headlines of an instruction that settles nothing, or no longer: what is linked with it must know."""

REQUESTS: Final = frozenset(
    axis for (_, axis), rows in TRANSITIONS.items() if any(row.cause == REQUEST for row in rows)
)
"""The axes that we open by a request about an instruction that is there; each is also the role of its message."""

_COMMON_ALERTS: Final = {
    "message_withdrawn": "The other side withdraws a message of its own; what it said stands until it says otherwise.",
    "cancellation_crossed_settlement": "A cancellation and a settlement crossed: the instruction has settled.",
    "fields_dropped": "What was sent leaves out fields of the event, as the counterparty's profile allows.",
    "linked_instruction_ended": "An instruction that this one is linked with will not settle.",
    "network_refused": "The network refused a message of ours: the counterparty never had it.",
    "rejected_after_answer": "A message was refused technically after it was answered: perhaps only its duplicate.",
    "penalty_differs": "A cash penalty is reported that differs from our estimate of it.",
    "reply_to_unsent": "A reply came for a message that this ledger holds as never sent.",
    "receipt_unclear": "A message was acknowledged with a code that the counterparty's profile does not explain.",
    "status_code_unknown": "The counterparty states a status that no code set here has; it is kept as proprietary.",
    "rule_warning": "The message goes against a rule that warns.",
    "request_not_made": "The counterparty answers a request that this ledger did not make.",
}
ALERTS: Final[Mapping[str, str]] = {
    **_COMMON_ALERTS,
    **deadlines.ALERTS,
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
# What the network's refusal makes of what the carrier took, or may have taken: in doubt, an attempt may have arrived.
TAKEN_BACK: Final[Mapping[Delivery, Delivery]] = {
    Delivery.SENDING: Delivery.REFUSED,
    Delivery.SENT: Delivery.REFUSED,
    Delivery.IN_DOUBT: Delivery.PARKED,
}


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
