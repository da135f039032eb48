"""Events about messages: withdraw one of ours, reject one of theirs."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from gateway.model.event import Event
from gateway.model.events.kinds import EventKind
from gateway.model.examples import administration as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import Bic, DefinitionIdentifier, Text35, Text350


@strict
class WithdrawMessage(Event):
    """Tell the counterparty that a message of ours about this trade is void; ``message_id`` is its identifier.

    It withdraws the message, not the trade: to cancel an instruction there is a cancellation.
    """

    role: ClassVar[str] = "withdrawal"

    message_id: Text35
    account_owner: Bic | None = None


@strict
class WithdrawSettlementMessage(WithdrawMessage):
    """Withdraw a message of ours about a settlement."""

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    event_schema: Literal["withdraw_settlement_message/1"] = Field(alias="schema")


@strict
class WithdrawFinancingMessage(WithdrawMessage):
    """Withdraw a message of ours about a securities financing."""

    dialogue: ClassVar[Dialogue] = Dialogue.FINANCING
    event_schema: Literal["withdraw_financing_message/1"] = Field(alias="schema")


@strict
class WithdrawIntraPositionMessage(WithdrawMessage):
    """Withdraw a message of ours about a movement between balances."""

    dialogue: ClassVar[Dialogue] = Dialogue.INTRA_POSITION_MOVEMENT
    event_schema: Literal["withdraw_intra_position_message/1"] = Field(alias="schema")


@strict
class RejectMessage(Event):
    """Reject a message of theirs that cannot be dealt with; ``trade_id`` is its business message identifier.

    ``reason`` is ``REFE`` (reference not known) or ``NALO`` (not allowed).
    """

    dialogue: ClassVar[Dialogue] = Dialogue.MESSAGE_REJECTION
    role: ClassVar[str] = "rejection"
    answers: ClassVar[bool] = True

    event_schema: Literal["reject_message/1"] = Field(alias="schema")
    message_definition: DefinitionIdentifier
    reason: Literal["NALO", "REFE"]
    text: Text350 | None = None

    def rejects(self) -> str | None:
        """Name the message of theirs that it rejects."""
        return self.trade_id


KINDS: Final[dict[str, EventKind]] = {
    "withdraw_settlement_message/1": EventKind(
        WithdrawSettlementMessage,
        examples.WITHDRAW_SETTLEMENT_MESSAGE,
        examples.WITHDRAW_SETTLEMENT_MESSAGE_MINIMAL,
    ),
    "withdraw_financing_message/1": EventKind(
        WithdrawFinancingMessage,
        examples.WITHDRAW_FINANCING_MESSAGE,
        examples.WITHDRAW_FINANCING_MESSAGE_MINIMAL,
    ),
    "withdraw_intra_position_message/1": EventKind(
        WithdrawIntraPositionMessage,
        examples.WITHDRAW_INTRA_POSITION_MESSAGE,
        examples.WITHDRAW_INTRA_POSITION_MESSAGE_MINIMAL,
    ),
    "reject_message/1": EventKind(RejectMessage, examples.REJECT_MESSAGE, examples.REJECT_MESSAGE_MINIMAL),
}
