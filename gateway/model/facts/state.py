"""Where an instruction stands, and what moved it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway.model.facts.penalty import ReportedPenalty
from gateway.model.facts.terms import Counterpart, Difference, Terms
from gateway.model.facts.values import Amount, Quantity, Reason, StatusValue


class Delivery(StrEnum):
    """Where our own message stands between the ledger and the counterparty. It says nothing of the business answer."""

    RECORDED = "recorded"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    SENT = "sent"
    REFUSED = "refused"
    PARKED = "parked"
    WITHDRAWN = "withdrawn"  # cancelled in the ledger before any attempt; nothing was sent
    THEIRS = "theirs"  # the other side began: there is no instruction of ours to deliver


@dataclass(frozen=True, slots=True)
class Axis:
    """The value a status axis holds now: what was said, the header time that asserted it, and the archive number."""

    status: StatusValue
    asserted_at: datetime | None
    archive_id: int


@dataclass(frozen=True, slots=True)
class Part:
    """One settled part: the confirmation's identity (its own or its business message identifier), quantity and amount.

    ``archive_id`` and ``asserted_at`` are of the last word on this part: the confirmation, or the reversal once
    ``reversed``. ``whole`` confirms everything at once; ``last`` says that nothing remains after it. ``axis`` is the
    one that it moves: a financing has one for each leg.
    """

    confirmation_id: str
    archive_id: int
    quantity: Quantity | None
    amount: Amount | None
    reversed: bool = False
    asserted_at: datetime | None = None
    whole: bool = False
    last: bool = False
    differences: tuple[Difference, ...] = ()
    axis: str = "settlement"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of ours about an instruction, a small life of its own beside the others of its kind.

    ``request`` is the axis it opened, ``asks`` what was asked (``hold``, ``release``, ``cancel``, ``modify``...). The
    terms are those that hold once a modification is done, ``before`` those that held when it was asked for.
    """

    request: str
    asks: str
    status: StatusValue
    asserted_at: datetime | None = None
    archive_id: int = 0
    terms: Terms | None = None
    before: Terms | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The lifecycle state of one instruction: delivery, status axes by name, settled parts, breaks and alerts.

    Axes of a settlement: processing, inferred_matching, matching, settlement, cancellation. Of a securities financing:
    opening and closing instead of settlement. Of a trade confirmation: processing, matching, affirmation,
    cancellation. Of a foreign exchange trade: processing, matching, settlement, amendment, cancellation. In a
    settlement, ``settlement`` is ``settled`` or ``partially_settled`` by confirmation only; ``advised`` keeps what
    status advices said of settlement beside it, for when a reversal undoes the confirmations; of a financing, for
    when it is seen which leg it was of. ``sources`` are the replies applied, with the archive number under which
    each came first. ``requests`` are ours by business message identifier, in the order made; the axis of a kind
    shows its latest one.
    ``counterparts`` are what the other side's trade was compared with, the best one first, and ``stated`` its terms as
    the other side states them now, where they are no longer the first ones. Of a payment, the parts are the entries
    that booked it, and ``returns`` is what came back. ``penalties`` are those that were reported of it.
    """

    dialogue: str  # a Dialogue of transitions.py
    delivery: Delivery = Delivery.RECORDED
    axes: dict[str, Axis] | None = None
    parts: tuple[Part, ...] = ()
    breaks: tuple[Difference, ...] = ()
    advised: Axis | None = None
    sources: dict[str, int] | None = None
    requests: dict[str, Asked] | None = None
    counterparts: tuple[Counterpart, ...] = ()
    stated: Terms | None = None
    returns: tuple[Part, ...] = ()
    penalties: tuple[ReportedPenalty, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One axis that moved, for history and for the status topic; a further settled part counts, the word may stay.

    ``request`` is set when not the axis moved but an earlier request of its kind, named by its business message
    identifier: the axis shows the latest one.
    """

    axis: str
    before: str | None
    after: str
    reasons: tuple[Reason, ...] = ()
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """Something an operator must see although the message was applied: ``code`` has a runbook entry."""

    code: str
    text: str
