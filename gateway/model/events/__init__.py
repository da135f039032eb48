"""Trade events: what upstream asks for, as versioned JSON, and how bytes become one.

``EVENT_KINDS`` names every kind. A kind is a closed pydantic model whose ``schema`` is its name and major version;
within a major version only optional fields are added. ``parse_event`` refuses with every violation at once.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import Field, TypeAdapter, ValidationError

from gateway.errors import EventError
from gateway.model import examples, facts, refusals
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    AccountOwner,
    Amount,
    AmountsOfConfirmation,
    AmountsOfSettlement,
    Bic,
    CashAccount,
    CashParties,
    Chain,
    Code,
    Commission,
    ConfirmationReference,
    ConfirmingParty,
    Days,
    DirectedAmount,
    Event,
    HoldReason,
    Instant,
    Investor,
    Isin,
    Linkage,
    Lot,
    Party,
    PlaceOfClearing,
    PlaceOfTrade,
    Price,
    Priority,
    Quantity,
    Rule,
    Some,
    StandingSettlementInstruction,
    Text35,
    Text140,
    Text350,
    UniqueTransactionIdentifier,
)

MAX_EVENT_BYTES = 1_000_000
CANCELLATION = "cancellation"
"""The role of an event whose message is about an instruction that is there; the others begin one."""


def _settles_before_trade(event: InstructSettlement | ConfirmTrade) -> bool:
    return event.settlement_date < event.trade_date


_DATES = Rule(
    "settlement_date",
    ("trade_date", "settlement_date"),
    "a settlement date that is not before the trade date",
    _settles_before_trade,
)


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
        _DATES,
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
            amount=_money(self.settlement_amount),
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            safekeeping_account=self.safekeeping_account,
        )


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

    def terms(self) -> facts.Terms:
        """State nothing: a cancellation has no terms of its own."""
        return facts.Terms()


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
        _DATES,
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
            amount=_money(self.net_amount),
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
        )


def _money(amount: Amount | None) -> facts.Amount | None:
    return None if amount is None else facts.Amount(amount.value, amount.currency)


TradeEvent = InstructSettlement | CancelSettlement | ConfirmTrade


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of event: its model, an example that uses every field, and one with the required fields only."""

    model: type[InstructSettlement] | type[CancelSettlement] | type[ConfirmTrade]
    example: dict[str, Any]
    minimal: dict[str, Any]


EVENT_KINDS: dict[str, EventKind] = {
    "instruct_settlement/1": EventKind(
        InstructSettlement, examples.INSTRUCT_SETTLEMENT, examples.INSTRUCT_SETTLEMENT_MINIMAL
    ),
    "cancel_settlement/1": EventKind(CancelSettlement, examples.CANCEL_SETTLEMENT, examples.CANCEL_SETTLEMENT_MINIMAL),
    "confirm_trade/1": EventKind(ConfirmTrade, examples.CONFIRM_TRADE, examples.CONFIRM_TRADE_MINIMAL),
}
"""Every kind of event by its ``schema``: name and major version."""

TRADE_EVENT: TypeAdapter[TradeEvent] = TypeAdapter(Annotated[TradeEvent, Field(discriminator="event_schema")])
"""All kinds at once, told apart by ``schema``: the JSON Schema of the topic."""

_SCHEMA = re.compile(rb'"schema"\s*:\s*"([a-z_]+/[0-9]+)"')
_EXACT_DIGITS = 15  # what a binary float holds for sure
_LONG = b"\\u0000"


def _as_written(number: str) -> str:
    """Keep the text of a number that is no integer; one that a binary float may change gets a mark."""
    return number if len(number) <= _EXACT_DIGITS else f"{number}\0"


_decode = msgspec.json.Decoder(float_hook=_as_written).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def parse_event(content: bytes) -> TradeEvent:
    """Read one trade event.

    Raises ``EventError`` with every violation: the event cannot be decoded, its schema is unknown, a field is unknown,
    missing or invalid, a rule across fields is broken. Numbers are read exactly; a repeated key is refused.
    """
    named = _SCHEMA.search(content)
    kind = EVENT_KINDS.get(named[1].decode()) if named else None
    if kind is not None and _is_plain(content):
        try:
            return kind.model.model_validate_json(content)
        except ValidationError:
            pass  # read again with care, to say everything that is wrong
    return _parse_with_care(content)


def _is_plain(content: bytes) -> bool:
    """Tell whether pydantic alone reads these bytes right: no repeated key, no number beyond a binary float, no null.

    Keys are counted, without white space, before and after decoding. Without a backslash a quote stands only where a
    string begins or ends, so that the counts are equal only when no key was lost.
    """
    if len(content) > MAX_EVENT_BYTES or b"\\" in content:
        return False
    compact = _canonical(content)
    if compact is None or _LONG in compact or b":null" in compact or b":[]" in compact:
        return False
    return msgspec.json.format(content, indent=-1).count(b'":') == compact.count(b'":')


@lru_cache(maxsize=4)  # an event is parsed and then digested
def _canonical(content: bytes) -> bytes | None:
    """Return the JSON without white space and with its keys sorted, numbers as they were written; None for no JSON."""
    try:
        return _encode_sorted(_decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


def _parse_with_care(content: bytes) -> TradeEvent:
    if len(content) > MAX_EVENT_BYTES:
        raise EventError("the event is too large", violations=[refusals.too_large(len(content), MAX_EVENT_BYTES)])
    document, violations = refusals.decode(content)
    if isinstance(document, dict):
        kind = EVENT_KINDS.get(str(document.get("schema")))
        if kind is None:
            violations.append(refusals.unknown_schema(document, list(EVENT_KINDS)))
        else:
            try:
                event = kind.model.model_validate_json(json.dumps(document))
            except ValidationError as error:
                violations += refusals.explain(document, kind.model, error)
            else:
                if not violations:
                    return event
    raise EventError(refusals.summary(violations), violations=refusals.with_lines(violations, content))


def event_digest(content: bytes) -> bytes:
    """Return the SHA-256 of an event's content, blind to white space and to the order of keys.

    Bytes that are no JSON are digested as they are.
    """
    return hashlib.sha256(_canonical(content) or content).digest()
