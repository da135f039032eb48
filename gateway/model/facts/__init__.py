"""Facts: what messages say, in the field's words, free of XML and of any one message version.

Amounts and quantities are ``Decimal`` with their currency or type; instants are timezone-aware; business dates are
``date``. Readers in ``messages/`` make facts, ``lifecycle`` and ``matching`` consume them, the ledger keeps them as
JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Violation
from gateway.model.facts.administration import MessageRejection
from gateway.model.facts.allegement import Alleged, AllegementAdvice
from gateway.model.facts.confirmation import ConfirmationAnswer, ConfirmationStatus
from gateway.model.facts.settlement import RequestAdvice, SettlementConfirmation, StatusAdvice
from gateway.model.facts.state import Alert, Asked, Axis, Change, Delivery, Part, State
from gateway.model.facts.terms import Counterpart, Difference, Terms
from gateway.model.facts.values import Amount, Quantity, Reason, References, StatusValue

__all__ = [
    "Alert",
    "Alleged",
    "AllegementAdvice",
    "Amount",
    "Asked",
    "Axis",
    "Change",
    "ConfirmationAnswer",
    "ConfirmationStatus",
    "Counterpart",
    "Delivery",
    "Difference",
    "Fact",
    "MessageRejection",
    "Part",
    "Quantity",
    "Reason",
    "References",
    "Reply",
    "RequestAdvice",
    "SettlementConfirmation",
    "State",
    "StatusAdvice",
    "StatusValue",
    "Terms",
]

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
    supplementary data blocks that stay in the archived bytes. ``warnings`` are the rules that the message goes against
    and that refuse nothing.
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
    warnings: tuple[Violation, ...] = ()
