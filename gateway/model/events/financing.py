"""Events of repos and securities lending: instruct, modify, cancel, change conditions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, EventKind, money
from gateway.model.events.settlement import ChangeSettlementConditions
from gateway.model.examples import financing as examples
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
    Investor,
    Isin,
    Linkage,
    PlaceOfClearing,
    PlaceOfTrade,
    Price,
    Priority,
    Quantity,
    RateName,
    SignedRate,
    Some,
    Text35,
    Text140,
    Text350,
    UniqueTransactionIdentifier,
)

FinancingType = Literal["repurchase", "reverse_repurchase", "borrowing", "lending", "buy_sell_back", "sell_buy_back"]
_DELIVERS: Final = frozenset({"repurchase", "lending", "sell_buy_back"})
"""The kinds that deliver in the opening leg; the others receive. The closing leg goes the other way."""


@strict
class FinancingTerms(Event):
    """What is agreed of the financing itself: its closing leg, rates, dates and amounts.

    ``termination_date`` is when the closing leg settles; ``termination`` is ``OPEN`` where it is not agreed yet.
    ``termination_amount`` is what is paid then.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.FINANCING

    termination_date: date | None = None
    termination: Code | None = None
    termination_amount: DirectedAmount | None = None
    termination_amount_per_collateral: DirectedAmount | None = None
    financing_trade_id: Text35 | None = None
    unique_transaction_identifier: UniqueTransactionIdentifier | None = None
    closing_leg_id: Text35 | None = None
    rate_change_date: date | None = None
    earliest_call_back_date: date | None = None
    commission_calculation_date: date | None = None
    rate_type: Code | None = None
    revaluation: bool | None = None
    legal_framework: Code | None = None
    interest_computation_method: Code | None = None
    maturity_date_modifiable: bool | None = None
    interest_payment: bool | None = None
    variable_rate: RateName | None = None
    repurchase_rate: SignedRate | None = None
    stock_loan_margin: SignedRate | None = None
    haircut: SignedRate | None = None
    charges_rate: SignedRate | None = None
    pricing_rate: SignedRate | None = None
    pricing_rate_name: RateName | None = None
    spread: SignedRate | None = None
    transaction_call_delay: Days | None = None
    collateral_instructions: Days | None = None
    deal_amount: DirectedAmount | None = None
    accrued_interest: DirectedAmount | None = None
    forfeit_amount: DirectedAmount | None = None
    premium_amount: DirectedAmount | None = None
    second_leg_text: Text140 | None = None
    accrued_days: Days | None = None
    common_reference: Text35 | None = None
    processing_text: Text350 | None = None


_TERMINATION: Final = Rule(
    "termination",
    ("termination_date", "termination"),
    "a termination date or a code for it (OPEN), not both",
    lambda event: event.termination_date is not None and event.termination is not None,
)
_PRICING: Final = Rule(
    "pricing_rate_name",
    ("pricing_rate", "pricing_rate_name"),
    "a pricing rate or the name of one, not both",
    lambda event: event.pricing_rate is not None and event.pricing_rate_name is not None,
)


def _goes_the_other_way(event: Any) -> bool:
    return bool((event.movement == "deliver") != (event.financing_type in _DELIVERS))


@strict
class InstructSecuritiesFinancing(FinancingTerms):
    """Open a repo, a securities loan or a buy-sell-back, and say when and for how much its closing leg settles.

    ``movement`` is that of the opening leg. ``opening_amount`` is credited on delivery and debited on receipt.
    """

    role: ClassVar[str] = "instruction"

    event_schema: Literal["instruct_securities_financing/1"] = Field(alias="schema")
    financing_type: FinancingType
    movement: Literal["deliver", "receive"]
    payment: Literal["against", "free"]
    isin: Isin
    quantity: Quantity
    opening_amount: Amount | None = None
    trade_date: date
    opening_date: date
    safekeeping_account: Text35
    place_of_settlement: Bic
    delivering_parties: Chain = ()
    receiving_parties: Chain = ()

    linkages: Some[Linkage] = ()
    security_description: Text140 | None = None
    place_of_trade: PlaceOfTrade | None = None
    place_of_clearing: PlaceOfClearing | None = None
    price: Price | None = None
    trade_conditions: Some[Code] = ()
    investor_capacity: Code | None = None
    reporting: Some[Code] = ()

    settlement_conditions: Some[Code] = ()
    hold: bool | None = None
    partial_settlement: Literal["PART", "NPAR", "PARC", "PARQ"] | None = None
    priority: Priority | None = None
    beneficial_ownership_change: bool | None = None
    central_counterparty_eligible: bool | None = None
    netting_eligible: bool | None = None
    real_time_gross_settlement: bool | None = None
    eligible_as_collateral: bool | None = None
    block_trade: Code | None = None
    cash_clearing_system: Code | None = None
    legal_restrictions: Code | None = None
    market_client_side: Code | None = None
    settling_capacity: Code | None = None
    settlement_system_method: Code | None = None
    tax_capacity: Code | None = None
    automatic_borrowing: Code | None = None

    account_owner: AccountOwner | None = None
    cash_account: CashAccount | None = None
    cash_parties: CashParties | None = None
    investors: Some[Investor] = ()
    accrued_interest_included: bool | None = None
    stamp_duty_included: bool | None = None
    value_date: date | None = None
    other_amounts: AmountsOfSettlement | None = None
    security_text: Text350 | None = None
    foreign_exchange_text: Text350 | None = None

    rules = (
        Rule(
            "opening_amount",
            ("payment", "opening_amount"),
            "an opening amount where the financing is against payment, and none where it is free",
            lambda event: (event.payment == "against") != (event.opening_amount is not None),
        ),
        Rule(
            "opening_amount",
            ("opening_amount", "value_date", "accrued_interest_included", "stamp_duty_included"),
            "an opening amount, since its value date or what it includes is given",
            lambda event: (
                event.opening_amount is None
                and (event.value_date, event.accrued_interest_included, event.stamp_duty_included) != (None, None, None)
            ),
        ),
        Rule(
            "movement",
            ("financing_type", "movement"),
            "deliver for a repurchase, a lending or a sell-buy-back, receive for the others: that of the opening leg",
            _goes_the_other_way,
        ),
        Rule(
            "termination",
            ("termination_date", "termination"),
            "when the closing leg settles: a termination date, or a code for it (OPEN)",
            lambda event: (event.termination_date is None) == (event.termination is None),
        ),
        Rule(
            "opening_date",
            ("trade_date", "opening_date"),
            "an opening date that is not before the trade date",
            lambda event: event.opening_date < event.trade_date,
        ),
        Rule(
            "termination_date",
            ("opening_date", "termination_date"),
            "a termination date that is not before the opening date",
            lambda event: event.termination_date is not None and event.termination_date < event.opening_date,
        ),
        Rule(
            "receiving_parties",
            ("movement", "receiving_parties"),
            "at least the receiving agent, since the opening leg delivers",
            lambda event: event.movement == "deliver" and not event.receiving_parties,
        ),
        Rule(
            "delivering_parties",
            ("movement", "delivering_parties"),
            "at least the delivering agent, since the opening leg receives",
            lambda event: event.movement == "receive" and not event.delivering_parties,
        ),
        Rule(
            "price.type",
            ("price",),
            "the type of the price (DISC, NEGA, PARV or PREM), which a financing instruction cannot leave out",
            lambda event: event.price is not None and event.price.type is None,
        ),
        _PRICING,
    )

    def terms(self) -> facts.Terms:
        """State what confirmations of both legs are compared with; the closing leg goes the other way."""
        return facts.Terms(
            movement=self.movement,
            payment=self.payment,
            isin=self.isin,
            quantity=facts.Quantity(self.quantity.value, self.quantity.type),
            amount=money(self.opening_amount),
            trade_date=self.trade_date,
            settlement_date=self.opening_date,
            safekeeping_account=self.safekeeping_account,
            common_reference=self.common_reference,
            financing_type=self.financing_type,
            closing_date=self.termination_date,
            closing_amount=money(self.termination_amount),
        )

    def links(self) -> tuple[facts.Link, ...]:
        """State what both legs settle before, with or after."""
        return tuple(linkage.link() for linkage in self.linkages)

    def axes_at_birth(self) -> dict[str, str]:
        """Say that a financing is born held."""
        return {"hold": "held"} if self.hold else {}


@strict
class ModifySecuritiesFinancing(FinancingTerms):
    """Change the rate, the closing, the quantity or the amount of a financing, roll it over, or call it.

    ``modification_type`` is ``RATE``, ``ROLP``, ``PADJ`` or ``CALL``. What is not given stays as it was.
    """

    role: ClassVar[str] = "modification"

    event_schema: Literal["modify_securities_financing/1"] = Field(alias="schema")
    modification_type: Code
    quantity: Quantity | None = None
    opening_amount: Amount | None = None
    account_servicer_transaction_id: Text35 | None = None
    pool_id: Text35 | None = None

    rules = (
        Rule(
            "termination_date",
            ("modification_type", "termination_date", "termination"),
            "the new termination date or a code for it, since the financing is rolled over",
            lambda event: (
                event.modification_type == "ROLP" and event.termination_date is None and event.termination is None
            ),
        ),
        _TERMINATION,
        _PRICING,
    )

    def asks(self) -> str:
        """Say ``call`` where the financing is called, which is answered in words of its own."""
        return "call" if self.modification_type == "CALL" else "modify"

    def terms_asked(self, in_force: facts.Terms) -> facts.Terms | None:
        """State the terms that hold once the counterparty has agreed."""
        terms = replace(
            in_force,
            quantity=facts.Quantity(self.quantity.value, self.quantity.type) if self.quantity else in_force.quantity,
            amount=money(self.opening_amount) or in_force.amount,
            closing_date=self.termination_date or (None if self.termination else in_force.closing_date),
            closing_amount=money(self.termination_amount) or in_force.closing_amount,
        )
        return None if terms == in_force else terms


@strict
class CancelSecuritiesFinancing(Event):
    """Cancel the securities financing of this trade that has this ``instruction_number``."""

    dialogue: ClassVar[Dialogue] = Dialogue.FINANCING
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_securities_financing/1"] = Field(alias="schema")
    reason: Code
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    processor_transaction_id: Text35 | None = None
    corporate_action_event_id: Text35 | None = None


@strict
class ChangeFinancingConditions(ChangeSettlementConditions):
    """Hold, release, prioritise or link the legs of a financing, or say whether they may settle in parts."""

    dialogue: ClassVar[Dialogue] = Dialogue.FINANCING

    event_schema: Literal["change_financing_conditions/1"] = Field(alias="schema")  # type: ignore[assignment]  # its own


KINDS: Final[dict[str, EventKind]] = {
    "instruct_securities_financing/1": EventKind(
        InstructSecuritiesFinancing,
        examples.INSTRUCT_SECURITIES_FINANCING,
        examples.INSTRUCT_SECURITIES_FINANCING_MINIMAL,
        others=(examples.INSTRUCT_SECURITIES_FINANCING_OPEN,),
    ),
    "modify_securities_financing/1": EventKind(
        ModifySecuritiesFinancing,
        examples.MODIFY_SECURITIES_FINANCING,
        examples.MODIFY_SECURITIES_FINANCING_MINIMAL,
        others=(examples.MODIFY_SECURITIES_FINANCING_OPEN,),
    ),
    "cancel_securities_financing/1": EventKind(
        CancelSecuritiesFinancing,
        examples.CANCEL_SECURITIES_FINANCING,
        examples.CANCEL_SECURITIES_FINANCING_MINIMAL,
    ),
    "change_financing_conditions/1": EventKind(
        ChangeFinancingConditions,
        examples.CHANGE_FINANCING_CONDITIONS,
        examples.CHANGE_FINANCING_CONDITIONS_MINIMAL,
    ),
}
