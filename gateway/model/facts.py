"""Facts: what messages say, in the field's words, free of XML and of any one message version.

Amounts and quantities are ``Decimal`` with their currency or type; instants are timezone-aware; business dates are
``date``. Readers in ``messages/`` make facts, ``lifecycle`` and ``matching`` consume them, the ledger keeps them as
JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


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
class Amount:
    """Money: a non-negative value in a currency (ISO 4217); the direction is the instruction's payment side."""

    value: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity of securities: ``type`` is ``unit``, ``face_amount`` or ``amortised_value``."""

    value: Decimal
    type: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a status holds: an ISO 20022 code (``LACK``, ``DMON``) or a proprietary identification, and free text."""

    code: str | None = None
    proprietary: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class StatusValue:
    """One value of one status axis, for instance ``unmatched``, with its reasons; ``proprietary`` names another."""

    value: str
    reasons: tuple[Reason, ...] = ()
    proprietary: str | None = None


@dataclass(frozen=True, slots=True)
class References:
    """Every reference a message carries that may tell which transaction it is about."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    common_id: str | None = None
    request_reference: str | None = None  # names the business message identifier of our request (sese.027 and alike)
    related_business_message_id: str | None = None  # the header's related message
    confirmation_reference: str | None = None  # a trade confirmation's reference (setr.030, setr.044)
    trade_id: str | None = None


@dataclass(frozen=True, slots=True)
class StatusAdvice:
    """A settlement status advice (sese.024): up to four axes at once; None where the message does not speak of one."""

    processing: StatusValue | None = None
    inferred_matching: StatusValue | None = None
    matching: StatusValue | None = None
    settlement: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class RequestAdvice:
    """What became of a request of ours (sese.027, .031, .039, .022); ``request`` is the axis that it opened."""

    request: str
    status: StatusValue


@dataclass(frozen=True, slots=True)
class SettlementConfirmation:
    """A settlement confirmation (sese.025) or, when ``reversal``, the advice that undoes one (sese.026).

    ``partial`` is ``PAIN`` (part) or ``PARC`` (last part) or None. Quantities and amounts are of this part, of what was
    settled before, and of what remains. A reversal's ``confirmation_id`` names the confirmation it undoes (``ConfRef``:
    the business message identifier of the sese.025); a confirmation without an identification of its own leaves it
    None. ``pre_confirmation`` is ``PRCA`` (cash) or ``PRSE`` (securities): announced, not yet settled.
    """

    reversal: bool = False
    confirmation_id: str | None = None
    previous_partial_confirmation_id: str | None = None
    partial: str | None = None
    settled_quantity: Quantity | None = None
    settled_amount: Amount | None = None
    credit_debit: str | None = None
    previously_settled_quantity: Quantity | None = None
    previously_settled_amount: Amount | None = None
    remaining_quantity: Quantity | None = None
    remaining_amount: Amount | None = None
    effective_settlement_date: date | None = None
    settlement_date: date | None = None
    trade_date: date | None = None
    safekeeping_account: str | None = None
    isin: str | None = None
    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    pre_confirmation: str | None = None


@dataclass(frozen=True, slots=True)
class ConfirmationAnswer:
    """The other side's answer to a trade confirmation (setr.030): ``affirmed``, ``disaffirmed``, ``received``..."""

    status: StatusValue


@dataclass(frozen=True, slots=True)
class ConfirmationStatus:
    """A trade confirmation's processing, matching, affirmation or cancellation status (setr.044)."""

    processing: StatusValue | None = None
    matching: StatusValue | None = None
    affirmation: StatusValue | None = None
    cancellation: StatusValue | None = None


@dataclass(frozen=True, slots=True)
class MessageRejection:
    """A technical rejection of one of our messages (admi.002); ``reference`` names the message it rejects."""

    reference: str | None
    reason_code: str | None
    text: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Alleged:
    """A trade that the other side states and we did not: nothing of ours is named.

    An allegement by an account servicer (sese.028), a transaction that it generated on our account (sese.032), or a
    counterparty's own trade confirmation (setr.027). ``reference`` is theirs. The terms are as seen from us:
    ``receive`` is into our account. ``price`` is per unit or a percentage, as the trade states it.
    """

    about: str  # the dialogue that it begins
    reference: str
    movement: str | None = None  # deliver | receive | unstated
    payment: str | None = None  # against | free
    isin: str | None = None
    quantity: Quantity | None = None
    amount: Amount | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    safekeeping_account: str | None = None
    price: Decimal | None = None
    accrued_interest: Amount | None = None
    common_reference: str | None = None
    delivering_agent: str | None = None
    receiving_agent: str | None = None

    def terms(self) -> Terms:
        """State the terms that the other side alleges."""
        return Terms(
            movement=self.movement,
            payment=self.payment,
            isin=self.isin,
            quantity=self.quantity,
            amount=self.amount,
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            safekeeping_account=self.safekeeping_account,
            price=self.price,
            accrued_interest=self.accrued_interest,
            common_reference=self.common_reference,
        )


@dataclass(frozen=True, slots=True)
class AllegementAdvice:
    """What became of what the other side alleged: ``removed`` (sese.029) or ``cancelled`` (setr.029 of theirs)."""

    allegement: StatusValue


Fact = (
    Alleged
    | AllegementAdvice
    | StatusAdvice
    | RequestAdvice
    | SettlementConfirmation
    | ConfirmationAnswer
    | ConfirmationStatus
    | MessageRejection
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one incoming message says: its envelope and one fact for each transaction it speaks of.

    ``created_at`` is the header's creation time (aware), or None where there is no header. ``supplementary`` counts the
    supplementary data blocks that stay in the archived bytes.
    """

    message_definition: str
    facts: tuple[tuple[References, Fact], ...]
    business_message_id: str | None = None
    created_at: datetime | None = None
    sender_bic: str | None = None
    receiver_bic: str | None = None
    possible_duplicate: bool = False
    header_definition: str | None = None
    supplementary: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What we instructed, kept beside the instruction to compare with what is confirmed.

    ``amount_tolerance`` is how far the settled amount may differ, in the amount's currency (market practice; zero
    unless stated).
    """

    movement: str | None = None  # deliver | receive
    payment: str | None = None  # against | free
    isin: str | None = None
    quantity: Quantity | None = None
    amount: Amount | None = None
    trade_date: date | None = None
    settlement_date: date | None = None
    safekeeping_account: str | None = None
    amount_tolerance: Decimal = Decimal(0)
    price: Decimal | None = None
    accrued_interest: Amount | None = None
    common_reference: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One field in which a confirmation differs from the instruction: a break."""

    field: str
    instructed: str | None
    confirmed: str | None


@dataclass(frozen=True, slots=True)
class Counterpart:
    """One of ours that the other side's trade may be, with the fields in which the two differ beyond tolerance.

    ``kind`` is ``instruction`` (``identifier`` is its transaction identification, ``standing`` its headline) or
    ``parked`` (``identifier`` is the number of the parked item, ``standing`` its code).
    """

    kind: str
    identifier: str
    standing: str
    agreed: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


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
    ``reversed``. ``whole`` confirms everything at once; ``last`` says that nothing remains after it.
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


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of ours about an instruction, a small life of its own beside the others of its kind.

    ``request`` is the axis it opened, ``asks`` what was asked (``hold``, ``release``, ``cancel``, ``modify``...). The
    terms are those that hold once a modification is done.
    """

    request: str
    asks: str
    status: StatusValue
    asserted_at: datetime | None = None
    archive_id: int = 0
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The lifecycle state of one instruction: delivery, status axes by name, settled parts, breaks and alerts.

    Axes of a settlement: processing, inferred_matching, matching, settlement, cancellation. Of a trade confirmation:
    processing, matching, affirmation, cancellation. ``settlement`` is ``settled`` or ``partially_settled`` by
    confirmation only; ``advised`` keeps what status advices said of settlement beside it, for when a reversal undoes
    the confirmations. ``sources`` are the replies applied, with the archive number under which each came first.
    ``requests`` are ours by business message identifier, in the order made; the axis of a kind shows its latest one.
    ``counterparts`` are what the other side's trade was compared with, the best one first.
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
