"""What a transition table is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple


class Dialogue(StrEnum):
    """The kind of conversation an instruction belongs to; each has its own transition table."""

    SETTLEMENT = "settlement"
    CONFIRMATION = "confirmation"
    ALLEGEMENT = "allegement"
    ALLEGED_TRADE = "alleged_trade"
    FOREIGN_EXCHANGE = "foreign_exchange"
    ALLEGED_EXCHANGE = "alleged_exchange"
    TECHNICAL = "technical"
    STATEMENT = "statement"
    FINANCING = "financing"
    INTRA_POSITION_MOVEMENT = "intra_position"
    MESSAGE_REJECTION = "rejection"
    PAYMENT = "payment"
    NOTICE = "notice"


NOTHING: Final = "nothing"  # where an axis stands before anything was said on it

Cause = Literal["status", "confirmation", "reversal", "request", "comparison"]
STATUS: Final = "status"  # a status advice, an answer, a technical rejection
CONFIRMATION: Final = "confirmation"  # a settlement confirmation: sese.025
REVERSAL: Final = "reversal"  # its undoing: sese.026
REQUEST: Final = "request"  # we ask
COMPARISON: Final = "comparison"  # we compare what the other side alleges with what is ours


class Edges(NamedTuple):
    """Every way from one of ``before`` to one of ``after`` by ``cause``; ``why`` explains an odd one."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    cause: Cause
    why: str = ""


@dataclass(frozen=True, slots=True)
class DialogueTable:
    """Everything that tells one dialogue from another.

    ``axes`` say which ways each axis may move. ``headlines`` are (axis, value, word): the first row that holds gives
    the word for the whole; the delivery's own words come behind them. ``finished`` are the headlines after which
    nothing more is expected, ``once_moved`` gives some words another one where something has settled and stands,
    ``alerts`` say what its codes mean. ``effects`` say what an answered request does elsewhere: (axis of the request,
    value, what was asked) -> (axis, value).
    """

    axes: Mapping[str, tuple[Edges, ...]]
    headlines: tuple[tuple[str, str, str], ...]
    finished: frozenset[str]
    once_moved: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, str] = field(default_factory=dict)
    effects: Mapping[tuple[str, str, str], tuple[str, str]] = field(default_factory=dict)


# Values that follow each other in any order. Tables are transitively closed within a cause: what a counterparty may say
# in three messages it may say in the first and the third, since the second can be late, lost or overtaken.


def request(answers: tuple[str, ...], ends: tuple[str, ...], *, refusals: tuple[str, ...]) -> tuple[Edges, ...]:
    """Give the ways of a request: ``answers`` follow each other in any order, ``ends`` are final.

    After one of the ``refusals`` the request may be made again.
    """
    return (
        Edges((NOTHING,), ("requested",), REQUEST),
        Edges(refusals, ("requested",), REQUEST, "a refused request may be made again"),
        Edges((NOTHING,), (*answers, *ends), STATUS, "asked for by telephone or on the servicer's screen; alerted"),
        Edges(("requested",), (*answers, *ends), STATUS),
        Edges(answers, answers, STATUS, "a refusal may be of the marked duplicate of a request that goes on"),
        Edges(answers, ends, STATUS),
    )


UNANSWERED: Final = (
    Edges((NOTHING, "requested", "rejected"), ("requested",), REQUEST, "it may be said again"),
    Edges((NOTHING, "requested"), ("rejected",), STATUS, "there is no answer to it but a technical rejection"),
)
"""The ways of what we say and nobody answers, such as that we withdraw a message (semt.020)."""

REFUSALS: Final = ("rejected", "denied", "proprietary")
CANCELLATION: Final = (
    *request(("accepted", "pending", "repair", *REFUSALS), ("cancelled",), refusals=REFUSALS),
    Edges((NOTHING,), ("requested",), STATUS, "setr.044 says it of a request that we made by other means"),
)

_COMPARED: Final = ("agrees", "differs", "unknown")
COMPARED: Final = (
    Edges((NOTHING, *_COMPARED), _COMPARED, COMPARISON, "ours may come, change or go, and theirs may come again"),
)
