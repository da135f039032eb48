"""Events of the confirmation of securities trades."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Final, Literal

from pydantic import Field

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, DATES, EventKind, money
from gateway.model.examples import confirmation as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    Amount,
    AmountsOfConfirmation,
    Bic,
    CashParties,
    Chain,
    Code,
    Commission,
    ConfirmationReference,
    ConfirmingParty,
    Days,
    DirectedAmount,
    Instant,
    Investor,
    Isin,
    Party,
    PlaceOfTrade,
    Price,
    Priority,
    Quantity,
    Some,
    StandingSettlementInstruction,
    Text35,
    Text140,
    Text350,
)


@strict
class ConfirmTrade(Event):
    """Confirm the economics of an execution to the other side, who answers whether it agrees."""

    dialogue: ClassVar[Dialogue] = Dialogue.CONFIRMATION
    role: ClassVar[str] = "confirmation"

    event_schema: Literal["confirm_trade/1"] = Field(alias="schema")
    side: Literal["buy", "sell"]
    isin: Isin
    quantity: Quantity
    price: Price
    trade_date: date
    settlement_date: date
    buyer: ConfirmingParty
    seller: ConfirmingParty

    payment: Literal["against", "free"] | None = None
    security_description: Text140 | None = None
    executed_at: Instant | None = None
    price_type: Code | None = None
    gross_amount: DirectedAmount | None = None
    net_amount: Amount | None = None
    accrued_interest: DirectedAmount | None = None
    accrued_days: Days | None = None
    commission: Commission | None = None
    other_amounts: AmountsOfConfirmation | None = None
    accrued_interest_included: bool | None = None
    stamp_duty_included: bool | None = None
    value_date: date | None = None
    place_of_trade: PlaceOfTrade | None = None
    business_process: Code | None = None
    trade_type: Code | None = None
    trade_conditions: Some[Code] = ()
    reporting: Some[Code] = ()
    references: Some[ConfirmationReference] = ()
    order_ids: Some[Text35] = ()
    client_order_ids: Some[Text35] = ()

    executing_broker: Party | None = None
    clearing_firm: Party | None = None
    introducing_firm: Party | None = None
    affirming_party: Party | None = None
    trade_beneficiary: Party | None = None

    transaction_type: Code | None = None
    settlement_conditions: Some[Code] = ()
    hold: bool | None = None
    partial_settlement_allowed: bool | None = None
    priority: Priority | None = None
    settlement_instruction_generation: Code | None = None
    central_counterparty_eligible: bool | None = None
    netting_eligible: bool | None = None
    standing_settlement_instruction: StandingSettlementInstruction | None = None
    place_of_settlement: Bic | None = None
    delivering_parties: Chain = ()
    receiving_parties: Chain = ()
    cash_parties: CashParties | None = None
    investors: Some[Investor] = ()
    processing_text: Text350 | None = None
    security_text: Text350 | None = None

    rules = (
        DATES,
        Rule(
            "net_amount",
            ("net_amount", "value_date", "accrued_interest_included", "stamp_duty_included"),
            "a net amount, since its value date or what it includes is given",
            lambda event: (
                event.net_amount is None
                and (event.value_date, event.accrued_interest_included, event.stamp_duty_included) != (None, None, None)
            ),
        ),
        Rule(
            "transaction_type",
            (
                "transaction_type",
                "settlement_conditions",
                "hold",
                "partial_settlement_allowed",
                "priority",
                "settlement_instruction_generation",
                "central_counterparty_eligible",
                "netting_eligible",
            ),
            "the settlement transaction type, since settlement parameters are given",
            lambda event: (
                event.transaction_type is None
                and (
                    bool(event.settlement_conditions)
                    or event.hold is not None
                    or event.partial_settlement_allowed is not None
                    or event.priority is not None
                    or event.settlement_instruction_generation is not None
                    or event.central_counterparty_eligible is not None
                    or event.netting_eligible is not None
                )
            ),
        ),
    )

    def terms(self) -> facts.Terms:
        """State what was traded, seen from us: a purchase is received, a sale delivered."""
        return facts.Terms(
            movement="receive" if self.side == "buy" else "deliver",
            payment=self.payment,
            isin=self.isin,
            quantity=facts.Quantity(self.quantity.value, self.quantity.type),
            amount=money(self.net_amount),
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            price=self.price.rate if self.price.amount is None else self.price.amount.value,
            accrued_interest=money(self.accrued_interest),
        )

    def links(self) -> tuple[facts.Link, ...]:
        """State the block or the allocations that it belongs to, and what else it refers to."""
        return tuple(reference.link() for reference in self.references)


@strict
class CancelConfirmation(Event):
    """Cancel the trade confirmation of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.CONFIRMATION
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_confirmation/1"] = Field(alias="schema")
    references: Some[ConfirmationReference] = ()


KINDS: Final[dict[str, EventKind]] = {
    "confirm_trade/1": EventKind(ConfirmTrade, examples.CONFIRM_TRADE, examples.CONFIRM_TRADE_MINIMAL),
    "cancel_confirmation/1": EventKind(
        CancelConfirmation, examples.CANCEL_CONFIRMATION, examples.CANCEL_CONFIRMATION_MINIMAL
    ),
}
