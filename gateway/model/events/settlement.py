"""Events of the settlement of securities: instruct, modify, cancel, change conditions, ask for the status."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, DATES, EventKind, money
from gateway.model.examples import settlement as examples
from gateway.model.strict import strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    AccountOwner,
    Amount,
    AmountsOfSettlement,
    Bic,
    CashAccount,
    CashParties,
    Chain,
    Code,
    Days,
    DirectedAmount,
    FurtherChain,
    HoldReason,
    Investor,
    Isin,
    Linkage,
    Lot,
    PlaceOfClearing,
    PlaceOfTrade,
    Price,
    Priority,
    Quantity,
    Some,
    Text35,
    Text140,
    Text350,
    UniqueTransactionIdentifier,
)


@strict
class InstructSettlement(Event):
    """Deliver or receive a security, against or free of payment.

    ``place_of_settlement`` is the depository at which the other side settles. Each chain begins with the participant of
    that depository. ``settlement_amount`` is credited on delivery and debited on receipt.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    role: ClassVar[str] = "instruction"

    event_schema: Literal["instruct_settlement/1"] = Field(alias="schema")
    movement: Literal["deliver", "receive"]
    payment: Literal["against", "free"]
    isin: Isin
    quantity: Quantity
    settlement_amount: Amount | None = None
    trade_date: date
    settlement_date: date
    safekeeping_account: Text35
    place_of_settlement: Bic
    delivering_parties: Chain = ()
    receiving_parties: Chain = ()
    transaction_type: Code

    common_reference: Text35 | None = None
    unique_transaction_identifier: UniqueTransactionIdentifier | None = None
    linkages: Some[Linkage] = ()
    security_description: Text140 | None = None
    place_of_trade: PlaceOfTrade | None = None
    place_of_clearing: PlaceOfClearing | None = None
    late_delivery_date: date | None = None
    price: Price | None = None
    accrued_days: Days | None = None
    trade_conditions: Some[Code] = ()
    investor_capacity: Code | None = None
    reporting: Some[Code] = ()

    settlement_conditions: Some[Code] = ()
    hold: bool | None = None
    hold_reasons: Some[HoldReason] = ()
    partial_settlement: Literal["PART", "NPAR", "PARC", "PARQ"] | None = None
    priority: Priority | None = None
    beneficial_ownership_change: bool | None = None
    central_counterparty_eligible: bool | None = None
    netting_eligible: bool | None = None
    real_time_gross_settlement: bool | None = None
    modification_cancellation_allowed: bool | None = None
    eligible_as_collateral: bool | None = None
    return_leg: bool | None = None
    block_trade: Code | None = None
    cash_clearing_system: Code | None = None
    legal_restrictions: Code | None = None
    market_client_side: Code | None = None
    registration: Code | None = None
    repurchase_type: Code | None = None
    settling_capacity: Code | None = None
    settlement_system_method: Code | None = None
    tax_capacity: Code | None = None
    automatic_borrowing: Code | None = None

    account_owner: AccountOwner | None = None
    cash_account: CashAccount | None = None
    lots: Some[Lot] = ()
    cash_parties: CashParties | None = None
    investors: Some[Investor] = ()
    accrued_interest_included: bool | None = None
    stamp_duty_included: bool | None = None
    value_date: date | None = None
    other_amounts: AmountsOfSettlement | None = None
    processing_text: Text350 | None = None
    security_text: Text350 | None = None
    foreign_exchange_text: Text350 | None = None

    rules = (
        Rule(
            "settlement_amount",
            ("payment", "settlement_amount"),
            "a settlement amount, since the instruction is against payment",
            lambda event: event.payment == "against" and event.settlement_amount is None,
        ),
        Rule(
            "settlement_amount",
            ("payment", "settlement_amount"),
            "no settlement amount, since the instruction is free of payment",
            lambda event: event.payment == "free" and event.settlement_amount is not None,
        ),
        Rule(
            "settlement_amount",
            ("settlement_amount", "value_date", "accrued_interest_included", "stamp_duty_included"),
            "a settlement amount, since its value date or what it includes is given",
            lambda event: (
                event.settlement_amount is None
                and (event.value_date, event.accrued_interest_included, event.stamp_duty_included) != (None, None, None)
            ),
        ),
        DATES,
        Rule(
            "receiving_parties",
            ("movement", "receiving_parties"),
            "at least the receiving agent, since the instruction delivers",
            lambda event: event.movement == "deliver" and not event.receiving_parties,
        ),
        Rule(
            "delivering_parties",
            ("movement", "delivering_parties"),
            "at least the delivering agent, since the instruction receives",
            lambda event: event.movement == "receive" and not event.delivering_parties,
        ),
        Rule(
            "hold",
            ("hold", "hold_reasons"),
            "hold true or false, since reasons for it are given",
            lambda event: event.hold is None and bool(event.hold_reasons),
        ),
        Rule(
            "price.type",
            ("price",),
            "the type of the price (DISC, NEGA, PARV or PREM), which a settlement instruction cannot leave out",
            lambda event: event.price is not None and event.price.type is None,
        ),
    )

    def terms(self) -> facts.Terms:
        """State what confirmations are compared with."""
        return facts.Terms(
            movement=self.movement,
            payment=self.payment,
            isin=self.isin,
            quantity=facts.Quantity(self.quantity.value, self.quantity.type),
            amount=money(self.settlement_amount),
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            safekeeping_account=self.safekeeping_account,
            common_reference=self.common_reference,
            place_of_settlement=self.place_of_settlement,
        )

    def links(self) -> tuple[facts.Link, ...]:
        """State what it settles before, with or after, and the block that it belongs to."""
        return tuple(linkage.link(block_trade=self.block_trade) for linkage in self.linkages)

    def axes_at_birth(self) -> dict[str, str]:
        """Say that an instruction is born held."""
        return {"hold": "held"} if self.hold else {}


@strict
class SettlementDetails:
    """What of a settlement instruction may be added, taken away or changed; at least one detail.

    What, how much, when and with which participant is settled cannot: that is cancel, then instruct. The parties are
    those behind the participants, from the second of each chain on.
    """

    common_reference: Text35 | None = None
    trade_reference: Text35 | None = None
    unique_transaction_identifier: UniqueTransactionIdentifier | None = None
    linkages: Some[Linkage] = ()
    place_of_trade: PlaceOfTrade | None = None
    place_of_clearing: PlaceOfClearing | None = None
    trade_date: date | None = None
    late_delivery_date: date | None = None
    price: Price | None = None
    accrued_days: Days | None = None
    trade_conditions: Some[Code] = ()
    investor_capacity: Code | None = None
    reporting: Some[Code] = ()

    transaction_type: Code | None = None
    settlement_conditions: Some[Code] = ()
    beneficial_ownership_change: bool | None = None
    central_counterparty_eligible: bool | None = None
    netting_eligible: bool | None = None
    modification_cancellation_allowed: bool | None = None
    eligible_as_collateral: bool | None = None
    return_leg: bool | None = None
    cash_clearing_system: Code | None = None
    legal_restrictions: Code | None = None
    market_client_side: Code | None = None
    registration: Code | None = None
    settling_capacity: Code | None = None
    tax_capacity: Code | None = None

    account_owner: AccountOwner | None = None
    cash_account: CashAccount | None = None
    lots: Some[Lot] = ()
    further_delivering_parties: FurtherChain = ()
    further_receiving_parties: FurtherChain = ()
    cash_parties: CashParties | None = None
    investors: Some[Investor] = ()
    settlement_amount: DirectedAmount | None = None
    accrued_interest_included: bool | None = None
    stamp_duty_included: bool | None = None
    value_date: date | None = None
    other_amounts: AmountsOfSettlement | None = None
    processing_text: Text350 | None = None
    security_text: Text350 | None = None
    foreign_exchange_text: Text350 | None = None

    def applied_to(self, terms: facts.Terms) -> facts.Terms:
        """Put these details into the terms of an instruction."""
        return replace(
            terms,
            trade_date=self.trade_date or terms.trade_date,
            amount=money(self.settlement_amount) or terms.amount,
            common_reference=self.common_reference or terms.common_reference,
        )


def _updates(event: Any) -> list[SettlementDetails]:
    return [details for details in (event.addition, event.deletion, event.modification) if details is not None]


@strict
class ModifySettlement(Event):
    """Add details to the settlement instruction, take some away, or change some."""

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    role: ClassVar[str] = "modification"

    event_schema: Literal["modify_settlement/1"] = Field(alias="schema")
    addition: SettlementDetails | None = None
    deletion: SettlementDetails | None = None
    modification: SettlementDetails | None = None
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None

    rules = (
        Rule(
            "modification",
            ("addition", "deletion", "modification"),
            "at least one of addition, deletion and modification, each with at least one detail",
            lambda event: not _updates(event) or SettlementDetails() in _updates(event),
        ),
        Rule(
            "modification.price.type",
            ("addition", "deletion", "modification"),
            "the type of every price (DISC, NEGA, PARV or PREM), which a settlement instruction cannot leave out",
            lambda event: any(details.price and not details.price.type for details in _updates(event)),
        ),
        Rule(
            "deletion.settlement_amount",
            ("deletion",),
            "no settlement amount among what is taken away: an amount is changed, or the instruction cancelled",
            lambda event: event.deletion is not None and event.deletion.settlement_amount is not None,
        ),
    )

    def terms_asked(self, in_force: facts.Terms) -> facts.Terms | None:
        """State the terms that hold once the servicer has modified the instruction."""
        terms = in_force
        if self.deletion is not None:
            terms = replace(
                terms,
                trade_date=None if self.deletion.trade_date else terms.trade_date,
                common_reference=None if self.deletion.common_reference else terms.common_reference,
            )
        for details in (self.addition, self.modification):
            terms = terms if details is None else details.applied_to(terms)
        return None if terms == in_force else terms


@strict
class CancelSettlement(Event):
    """Cancel the settlement instruction of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_settlement/1"] = Field(alias="schema")
    reason: Code
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None
    corporate_action_event_id: Text35 | None = None
    foreign_exchange_cancellation: bool | None = None


@strict
class ChangeSettlementConditions(Event):
    """Hold, release, prioritise, link or unlink the settlement instruction, or say whether it may settle in parts.

    Nothing that is matched is changed; at least one condition is.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    role: ClassVar[str] = "condition_modification"

    event_schema: Literal["change_settlement_conditions/1"] = Field(alias="schema")
    hold: bool | None = None
    hold_reasons: Some[HoldReason] = ()
    partial_settlement: Literal["PART", "NPAR", "PARC", "PARQ"] | None = None
    priority: Priority | None = None
    linkage: Code | None = None
    linkages: Some[Linkage] = ()
    automatic_borrowing: Code | None = None
    return_leg: bool | None = None
    real_time_gross_settlement: bool | None = None
    matching_denial: Code | None = None
    unilateral_split: Code | None = None
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None

    rules = (
        Rule(
            "hold",
            (
                "hold",
                "partial_settlement",
                "priority",
                "linkage",
                "linkages",
                "automatic_borrowing",
                "return_leg",
                "real_time_gross_settlement",
                "matching_denial",
                "unilateral_split",
            ),
            "at least one condition to change, such as hold, priority, partial_settlement or linkages",
            lambda event: all(
                value in (None, ())
                for value in (
                    event.hold,
                    event.partial_settlement,
                    event.priority,
                    event.linkage,
                    event.linkages,
                    event.automatic_borrowing,
                    event.return_leg,
                    event.real_time_gross_settlement,
                    event.matching_denial,
                    event.unilateral_split,
                )
            ),
        ),
        Rule(
            "hold",
            ("hold", "hold_reasons"),
            "hold true or false, since reasons for it are given",
            lambda event: event.hold is None and bool(event.hold_reasons),
        ),
    )

    def links(self) -> tuple[facts.Link, ...]:
        """State what it is to be linked with from now on, or no longer."""
        return tuple(linkage.link(ends=self.linkage == "UNLK") for linkage in self.linkages)

    def asks(self) -> str:
        """Say ``hold`` or ``release`` where that is what it is about."""
        return {True: "hold", False: "release", None: "change"}[self.hold]


@strict
class QuerySettlementStatus(Event):
    """Ask the counterparty where the settlement instruction stands."""

    dialogue: ClassVar[Dialogue] = Dialogue.SETTLEMENT
    role: ClassVar[str] = "status_query"

    event_schema: Literal["query_settlement_status/1"] = Field(alias="schema")
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None


KINDS: Final[dict[str, EventKind]] = {
    "instruct_settlement/1": EventKind(
        InstructSettlement, examples.INSTRUCT_SETTLEMENT, examples.INSTRUCT_SETTLEMENT_MINIMAL
    ),
    "modify_settlement/1": EventKind(ModifySettlement, examples.MODIFY_SETTLEMENT, examples.MODIFY_SETTLEMENT_MINIMAL),
    "cancel_settlement/1": EventKind(CancelSettlement, examples.CANCEL_SETTLEMENT, examples.CANCEL_SETTLEMENT_MINIMAL),
    "change_settlement_conditions/1": EventKind(
        ChangeSettlementConditions,
        examples.CHANGE_SETTLEMENT_CONDITIONS,
        examples.CHANGE_SETTLEMENT_CONDITIONS_MINIMAL,
    ),
    "query_settlement_status/1": EventKind(
        QuerySettlementStatus, examples.QUERY_SETTLEMENT_STATUS, examples.QUERY_SETTLEMENT_STATUS_MINIMAL
    ),
}
