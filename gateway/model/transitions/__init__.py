"""Transition tables: which way each axis of each dialogue may move, how the headline is chosen, what alerts mean.

``lifecycle`` walks them, ``docs/lifecycle.md`` is drawn from them. A further dialogue adds its rows here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import Final, Literal, NamedTuple

from gateway.model.facts import Delivery


class Dialogue(StrEnum):
    """The kind of conversation an instruction belongs to; each has its own transition table."""

    SETTLEMENT = "settlement"
    CONFIRMATION = "confirmation"


NOTHING: Final = "nothing"  # where an axis stands before anything was said on it

Cause = Literal["status", "confirmation", "reversal", "request"]
STATUS: Final = "status"  # a status advice, an answer, a technical rejection
CONFIRMATION: Final = "confirmation"  # a settlement confirmation: sese.025
REVERSAL: Final = "reversal"  # its undoing: sese.026
REQUEST: Final = "request"  # we ask


class Edges(NamedTuple):
    """Every way from one of ``before`` to one of ``after`` by ``cause``; ``why`` explains an odd one."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    cause: Cause
    why: str = ""


# Values that follow each other in any order. Tables are transitively closed within a cause: what a counterparty may say
# in three messages it may say in the first and the third, since the second can be late, lost or overtaken.
_OPEN: Final = (
    "accepted",
    "pending",
    "repair",
    "cancellation_pending",
    "cancellation_requested",
    "modification_requested",
    "proprietary",
)
_OPEN_CONFIRMATION: Final = (
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
_MATCHING: Final = ("matched", "unmatched", "proprietary")
_MATCHING_CONFIRMATION: Final = ("matched", "matched_with_tolerance", "matching_alleged", "unmatched", "proprietary")
_ADVISED: Final = ("pending", "failing", "proprietary")
SETTLED: Final = ("partially_settled", "settled")
_ANSWERED: Final = ("affirmed", "disaffirmed", "proprietary")
_ASKED: Final = ("accepted", "pending", "repair", "rejected", "denied", "proprietary")

_matching: Final = (
    Edges((NOTHING, *_MATCHING), _MATCHING, STATUS, "matched may turn unmatched: the other side can withdraw its leg"),
)
_cancellation: Final = (
    Edges((NOTHING,), ("requested",), REQUEST),
    Edges(("rejected", "denied", "proprietary"), ("requested",), REQUEST, "a refused request may be made again"),
    Edges((NOTHING,), ("requested",), STATUS, "setr.044 says it of a request that we made by other means"),
    Edges((NOTHING,), (*_ASKED, "cancelled"), STATUS, "asked for by telephone or on the servicer's screen; alerted"),
    Edges(("requested",), (*_ASKED, "cancelled"), STATUS),
    Edges(_ASKED, _ASKED, STATUS, "a refusal may be of the marked duplicate of a request that goes on"),
    Edges(_ASKED, ("cancelled",), STATUS),
)

TRANSITIONS: Final[Mapping[tuple[str, str], tuple[Edges, ...]]] = {
    (Dialogue.SETTLEMENT, "processing"): (
        Edges((NOTHING, *_OPEN), _OPEN, STATUS),
        Edges((NOTHING, *_OPEN), ("rejected", "cancelled"), STATUS),
        Edges(("rejected",), ("cancelled",), STATUS, "a servicer clears what it rejected from its books"),
    ),
    # The servicer's own view, before the depository's.
    (Dialogue.SETTLEMENT, "inferred_matching"): _matching,
    (Dialogue.SETTLEMENT, "matching"): _matching,
    (Dialogue.SETTLEMENT, "settlement"): (
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
    (Dialogue.SETTLEMENT, "cancellation"): _cancellation,
    (Dialogue.CONFIRMATION, "processing"): (
        Edges((NOTHING, *_OPEN_CONFIRMATION), _OPEN_CONFIRMATION, STATUS),
        Edges((NOTHING, *_OPEN_CONFIRMATION), ("rejected", "forced_rejection"), STATUS),
        Edges(("rejected",), ("forced_rejection",), STATUS, "the platform confirms the rejection"),
    ),
    (Dialogue.CONFIRMATION, "matching"): (Edges((NOTHING, *_MATCHING_CONFIRMATION), _MATCHING_CONFIRMATION, STATUS),),
    (Dialogue.CONFIRMATION, "affirmation"): (
        Edges((NOTHING,), ("received",), STATUS),
        Edges((NOTHING, "received"), _ANSWERED, STATUS),
        Edges(_ANSWERED, _ANSWERED, STATUS, "an affirmation may be withdrawn, and given after all"),
    ),
    (Dialogue.CONFIRMATION, "cancellation"): _cancellation,
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
}
# A reply can overtake the outcome of the attempt that it answers, or of a later duplicate: its proof stands.
OVERTAKEN: Final = frozenset({Delivery.RECORDED, Delivery.IN_DOUBT, Delivery.REFUSED, Delivery.PARKED})
PROVABLE: Final = frozenset({Delivery.SENDING, Delivery.IN_DOUBT, Delivery.PARKED})

_RANKED_ABOVE: Final = frozenset({"pending", "repair", "already_matched_and_affirmed", "proprietary"})
# One word for the whole, by precedence: the first row that holds. Delivery rows come last and are complete.
HEADLINES: Final[Mapping[str, tuple[tuple[str, str, str], ...]]] = {
    Dialogue.SETTLEMENT: (
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
        ("matching", "unmatched", "unmatched"),
        ("matching", "matched", "matched"),  # above pending: every matched instruction is pending until its date
        ("inferred_matching", "unmatched", "unmatched"),
        ("settlement", "pending", "pending"),
        ("inferred_matching", "matched", "matched"),
        ("processing", "pending", "pending"),
        ("processing", "modification_requested", "modification_requested"),
        ("processing", "accepted", "accepted"),
        *(
            (axis, "proprietary", "proprietary")
            for axis in ("settlement", "matching", "inferred_matching", "processing")
        ),
    ),
    Dialogue.CONFIRMATION: (
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
        *(("processing", value, value) for value in _OPEN_CONFIRMATION if value not in _RANKED_ABOVE),
        *((axis, "proprietary", "proprietary") for axis in ("affirmation", "matching", "processing")),
    ),
}

# The headlines after which nothing more is expected, though a reversal may still come; or the remainder was given up.
FINISHED: Final = frozenset({"settled", "cancelled", "rejected", "withdrawn", "affirmed", "disaffirmed"})

ALERTS: Final[Mapping[str, str]] = {
    "cancellation_crossed_settlement": "A cancellation and a settlement crossed: the instruction has settled.",
    "rejection_crossed_settlement": "An instruction that was rejected has settled.",
    "cancellation_not_requested": "The counterparty answers a cancellation that this ledger did not request.",
    "confirmation_conflict": "A confirmation came again under the same identification with other content; not counted.",
    "pre_confirmation": "A pre-confirmation came; it announces settlement and settles nothing.",
    "rejected_after_answer": "A message was refused technically after it was answered: perhaps only its duplicate.",
    "remainder_failing": "Part has settled, and the counterparty says that the rest is failing.",
    "reply_to_unsent": "A reply came for a message that this ledger holds as never sent.",
    "reversal_differs": "A reversal states another quantity or amount than the confirmation that it undoes.",
    "reversal_without_confirmation": "A reversal names no confirmation that is known here.",
    "settled_beyond_instruction": "More was confirmed as settled than was instructed.",
    "settlement_break": "What was confirmed differs from what was instructed.",
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


def lifecycle_page() -> str:
    """Draw ``docs/lifecycle.md`` from the tables: Markdown with one Mermaid state diagram a table."""
    parts = [_PAGE_HEAD]
    for dialogue in Dialogue:
        parts.append(f"## {dialogue.capitalize()} dialogue\n")
        for (own, axis), rows in TRANSITIONS.items():
            if own is dialogue:
                parts.append(f"### {axis.replace('_', ' ').capitalize()}\n\n{_diagram(rows)}\n{_odd(rows)}")
        parts.append(
            "### Headline\n\nThe first row that holds gives the word.\n\n| axis | value | headline |\n"
            "| --- | --- | --- |"
        )
        parts.extend(f"| {axis} | {value} | **{word}** |" for axis, value, word in HEADLINES[dialogue])
        parts.append("| delivery | any | the delivery itself |\n")
    parts.append(
        f"## Delivery of our own message\n\n{_DELIVERY_HEAD}\n```mermaid\nstateDiagram-v2\n    [*] --> recorded"
    )
    parts.extend(f"    {one} --> {other} : {why}" for one, others in DELIVERY.items() for other, why in others.items())
    parts.append("```\n\n## Alerts\n\n| code | meaning |\n| --- | --- |")
    parts.extend(f"| `{code}` | {text} |" for code, text in ALERTS.items())
    return "\n".join(parts) + "\n"


def _diagram(rows: tuple[Edges, ...]) -> str:
    # Values that follow each other in any order are drawn as one composite state: fifty arrows explain nothing.
    meshes = [row.after for row in rows if len(row.after) > 1 and set(row.after) <= set(row.before)]
    mesh = meshes[0] if meshes else ()
    lines = ["```mermaid", "stateDiagram-v2"]
    if mesh:
        inside = "\n".join(f"        {value}" for value in mesh)
        lines.append(f"    state any_order {{\n{inside}\n    }}")
    drawn: dict[tuple[str, str], None] = {}
    for row in rows:
        for one, other in product(_drawn(row.before, mesh), _drawn(row.after, mesh)):
            if one != other:
                drawn[f"{'[*]' if one == NOTHING else one} --> {other}", row.cause] = None
    lines.extend(f"    {arrow} : {cause}" for arrow, cause in drawn)
    return "\n".join([*lines, "```", ""])


def _drawn(values: tuple[str, ...], mesh: tuple[str, ...]) -> tuple[str, ...]:
    if not mesh or not set(mesh) <= set(values):
        return values
    return ("any_order", *(value for value in values if value not in mesh))


def _odd(rows: tuple[Edges, ...]) -> str:
    lines = [f"- {', '.join(row.before)} → {', '.join(row.after)} ({row.cause}): {row.why}." for row in rows if row.why]
    return "\n".join([*lines, ""]) if lines else ""


_PAGE_HEAD: Final = """\
# The life of an instruction

Drawn from the tables in `gateway/model/transitions.py` by `lifecycle_page()`; a test says when it is out of date.

Every axis moves on its own, by a counterparty's *status*, by a settlement *confirmation* (sese.025), by its *reversal*
(sese.026), or by our own *request*. An assertion older than the one an axis holds (by the header's creation time; by
archive order where a time is missing or equal) goes to history and moves nothing, and so does the same reply again. A
way that is not drawn here is an `illegal_transition`: the reply is kept and parked, and the axis stays. A box
`any_order` holds values that may follow each other in any order. An axis that is told its own value again may change
its reasons.
"""
_DELIVERY_HEAD: Final = """\
Where our message stands between the ledger and the counterparty. Once a reply has proved it sent, the outcome of an
attempt that the reply overtook changes nothing.
"""
