"""Facts: what messages say, in the field's words, free of XML and of any one message version.

Amounts and quantities are ``Decimal`` with their currency or type; instants are timezone-aware; business dates are
``date``. Readers in ``messages/`` make facts, ``lifecycle`` and ``matching`` consume them, the ledger keeps them as
JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.errors import Violation
from gateway.model.facts.administration import MessageRejection, MessageWithdrawal, Receipt, SystemEvent
from gateway.model.facts.allegement import Alleged, AllegementAdvice
from gateway.model.facts.confirmation import ConfirmationAnswer, ConfirmationStatus
from gateway.model.facts.financing import FinancingStatus
from gateway.model.facts.foreign_exchange import ForeignExchangeStatus
from gateway.model.facts.links import OWN_NAMES, InstructionName, Link
from gateway.model.facts.payment import (
    AccountEntry,
    PaymentInvestigation,
    PaymentResolution,
    PaymentReturn,
    PaymentStatus,
    RequestReceipt,
)
from gateway.model.facts.penalty import PenaltyDay, PenaltyReport, ReportedPenalty
from gateway.model.facts.settlement import (
    RequestAdvice,
    SettlementConfirmation,
    SettlementInstruction,
    StatusAdvice,
)
from gateway.model.facts.state import Alert, Asked, Axis, Change, Delivery, Part, State
from gateway.model.facts.statement import (
    CashBalance,
    CashEntry,
    CashTransaction,
    Holding,
    Position,
    Statement,
    StatementDifference,
    StatementProgress,
    SubBalance,
    TransactionEntry,
)
from gateway.model.facts.terms import Counterpart, Difference, Terms
from gateway.model.facts.values import Amount, Quantity, Reason, References, StatusValue

__all__ = [
    "OWN_NAMES",
    "AccountEntry",
    "Alert",
    "Alleged",
    "AllegementAdvice",
    "Amount",
    "Asked",
    "Axis",
    "CashBalance",
    "CashEntry",
    "CashTransaction",
    "Change",
    "ConfirmationAnswer",
    "ConfirmationStatus",
    "Counterpart",
    "Delivery",
    "Difference",
    "Fact",
    "FinancingStatus",
    "ForeignExchangeStatus",
    "Holding",
    "InstructionName",
    "Link",
    "MessageRejection",
    "MessageWithdrawal",
    "Part",
    "PaymentInvestigation",
    "PaymentResolution",
    "PaymentReturn",
    "PaymentStatus",
    "PenaltyDay",
    "PenaltyReport",
    "Position",
    "Quantity",
    "Reason",
    "Receipt",
    "References",
    "Reply",
    "ReportedPenalty",
    "RequestAdvice",
    "RequestReceipt",
    "SettlementConfirmation",
    "SettlementInstruction",
    "State",
    "Statement",
    "StatementDifference",
    "StatementProgress",
    "StatusAdvice",
    "StatusValue",
    "SubBalance",
    "SystemEvent",
    "Terms",
    "TransactionEntry",
]

Fact = (
    Alleged
    | AllegementAdvice
    | StatusAdvice
    | RequestAdvice
    | SettlementConfirmation
    | PenaltyReport
    | ConfirmationAnswer
    | ConfirmationStatus
    | ForeignExchangeStatus
    | AccountEntry
    | PaymentInvestigation
    | PaymentResolution
    | PaymentReturn
    | PaymentStatus
    | RequestReceipt
    | MessageRejection
    | Receipt
    | SystemEvent
    | Statement
    | StatementProgress
    | MessageWithdrawal
    | FinancingStatus
    | SettlementInstruction
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
    stated_definition: str | None = None  # what the header says that the document is
    supplementary: int = 0
    warnings: tuple[Violation, ...] = ()
