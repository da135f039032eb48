"""Events of movements between balances of one account: instruct, cancel."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Final, Literal

from pydantic import Field

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, EventKind
from gateway.model.examples import intra_position as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import Bic, Code, Isin, Linkage, Priority, Quantity, Some, Text35, Text140, Text350


@strict
class InstructIntraPositionMovement(Event):
    """Move a quantity of a security from one balance of an account to another: block it, pledge it, set it free."""

    dialogue: ClassVar[Dialogue] = Dialogue.INTRA_POSITION_MOVEMENT
    role: ClassVar[str] = "instruction"

    event_schema: Literal["instruct_intra_position_movement/1"] = Field(alias="schema")
    isin: Isin
    quantity: Quantity
    settlement_date: date
    safekeeping_account: Text35
    balance_from: Code
    balance_to: Code
    priority: Priority | None = None
    sub_balance: Text35 | None = None
    account_owner: Bic | None = None
    corporate_action_event_id: Text35 | None = None
    security_description: Text140 | None = None
    linkages: Some[Linkage] = ()
    processing_text: Text350 | None = None

    rules = (
        Rule(
            "balance_to",
            ("balance_from", "balance_to"),
            "another balance than the one that it is taken from",
            lambda event: event.balance_from == event.balance_to,
        ),
    )

    def terms(self) -> facts.Terms:
        """State what confirmations are compared with."""
        return facts.Terms(
            isin=self.isin,
            quantity=facts.Quantity(self.quantity.value, self.quantity.type),
            settlement_date=self.settlement_date,
            safekeeping_account=self.safekeeping_account,
            balance_from=_plain(self.balance_from),
            balance_to=_plain(self.balance_to),
        )


def _plain(code: Code) -> str:
    return code if isinstance(code, str) else code.identification


@strict
class CancelIntraPositionMovement(Event):
    """Cancel the movement between balances of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.INTRA_POSITION_MOVEMENT
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_intra_position_movement/1"] = Field(alias="schema")
    reason: Code
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None
    corporate_action_event_id: Text35 | None = None


KINDS: Final[dict[str, EventKind]] = {
    "instruct_intra_position_movement/1": EventKind(
        InstructIntraPositionMovement,
        examples.INSTRUCT_INTRA_POSITION_MOVEMENT,
        examples.INSTRUCT_INTRA_POSITION_MOVEMENT_MINIMAL,
    ),
    "cancel_intra_position_movement/1": EventKind(
        CancelIntraPositionMovement,
        examples.CANCEL_INTRA_POSITION_MOVEMENT,
        examples.CANCEL_INTRA_POSITION_MOVEMENT_MINIMAL,
    ),
}
