"""Events of foreign exchange through a central system: instruct, amend, cancel."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gateway.model import facts
from gateway.model.event import Event, Rule
from gateway.model.events.kinds import CANCELLATION, DATES, EventKind, money
from gateway.model.examples import foreign_exchange as examples
from gateway.model.strict import given, strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    PRINTABLE_PATTERN,
    Address,
    Amount,
    Bic,
    Country,
    Currency,
    Instant,
    Lei,
    RateValue,
    Some,
    Text35,
    Text210,
    Text350,
    UniqueTransactionIdentifier,
)

Text4 = Annotated[str, StringConstraints(min_length=1, max_length=4, pattern=PRINTABLE_PATTERN)]
Text34 = Annotated[str, StringConstraints(min_length=1, max_length=34, pattern=PRINTABLE_PATTERN)]
Text105 = Annotated[str, StringConstraints(min_length=1, max_length=105, pattern=PRINTABLE_PATTERN)]
Session = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9]{4}$")]
_RATE_DIGITS = 11


@strict
class PartyIdentification:
    """A party as the system's static data has it: at least one of these, its account with the party before it."""

    name: Text34 | None = None
    bic: Bic | None = None
    account: Text34 | None = None
    address: Text105 | None = None
    clearing_system: Text35 | None = None
    lei: Lei | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(given(self)):
            raise PydanticCustomError("event_field_invalid", "at least one of the ways to identify a party")
        return self


@strict
class TradingParty:
    """A party of a foreign exchange trade: by BIC, by name and address, or by several identifications at once."""

    bic: Bic | None = None
    name: Text350 | None = None
    address: Address | None = None
    identification: PartyIdentification | None = None
    alternative_identifiers: Annotated[tuple[Text35, ...], Field(max_length=10, strict=False)] = ()

    @model_validator(mode="after")
    def _one_identification(self) -> Self:
        if (self.bic, self.name, self.identification).count(None) != 2:
            raise PydanticCustomError("event_field_invalid", "exactly one of bic, name, identification")
        if self.address is not None and self.name is None:
            raise PydanticCustomError("event_field_invalid", "an address only beside a name")
        if self.alternative_identifiers and self.identification is not None:
            raise PydanticCustomError(
                "event_field_invalid", "alternative_identifiers only beside a bic or a name, which they are for"
            )
        return self

    @property
    def stated_bic(self) -> str | None:
        """Return the party's BIC, wherever it is stated."""
        return self.bic or (self.identification.bic if self.identification else None)


@strict
class Fund:
    """A fund for which a side trades, its account with the custodian, and the custodian."""

    identification: Text35
    name: Text350 | None = None
    lei: Lei | None = None
    account: Text35 | None = None
    custodian: TradingParty | None = None


@strict
class TradeSide:
    """One side of a trade: who submits it, and for whom where that is another."""

    submitting_party: TradingParty
    trading_party: TradingParty | None = None
    funds: Some[Fund] = ()

    @property
    def bic(self) -> str | None:
        """Return the BIC of the party that trades."""
        return (self.trading_party or self.submitting_party).stated_bic


@strict
class ExchangeRate:
    """The agreed rate: so much of the quoted currency for one of the unit currency."""

    value: RateValue
    unit_currency: Currency | None = None
    quoted_currency: Currency | None = None

    @model_validator(mode="after")
    def _digits(self) -> Self:
        if len(self.value.normalize().as_tuple().digits) > _RATE_DIGITS:
            raise PydanticCustomError("event_field_invalid", "a rate of at most 11 digits, 10 of them after the point")
        return self


@strict
class RateSource:
    """Where the rate of a fixing comes from: the screen (``EMT00``, ...), the time of day there, country, place."""

    source: Annotated[str, StringConstraints(pattern="^[a-zA-Z]{3}[0-9]{1,2}$")]
    time: Annotated[str, StringConstraints(pattern="^[0-9]{4}$")] | None = None
    country: Country | None = None
    location: Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9]{2}$")] | None = None


@strict
class FixingConditions:
    """How a non-deliverable forward is settled: in which currency, valued on which date, by which rate."""

    settlement_currency: Currency
    valuation_date: date
    rate_sources: Annotated[tuple[RateSource, ...], Field(min_length=1, max_length=2, strict=False)]


@strict
class NonDeliverableForward:
    """The opening of a non-deliverable forward, with its conditions, or the fixing of one, which names its opening."""

    opening: bool
    conditions: FixingConditions | None = None
    opening_reference: Text35 | None = None

    @model_validator(mode="after")
    def _opening_or_fixing(self) -> Self:
        if (self.conditions is None) == (self.opening_reference is None):
            raise PydanticCustomError("event_field_invalid", "exactly one of conditions, opening_reference")
        return self


@strict
class SettlementAgents:
    """Where one side is paid: the receiving agent, those before it, and the institution that benefits."""

    delivery_agent: TradingParty | None = None
    intermediary: TradingParty | None = None
    receiving_agent: TradingParty
    beneficiary: TradingParty | None = None


@strict
class Agreement:
    """The master agreement under which the trade was made (``ISDA``, ``FEOMA``, ...), its date and version."""

    type: Annotated[str, StringConstraints(pattern="^[a-zA-Z]{1,6}$")]
    agreed_on: date | None = None
    version: Annotated[str, StringConstraints(pattern="^[0-9]{4}$")] | None = None


@strict
class ForeignExchangeTrade(Event):
    """One foreign exchange trade, as seen from us. ``counterparty`` is the central system, the other bank a side.

    ``settlement_date`` is the value date. ``settlement_session`` asks for a session of the system's day.
    """

    dialogue: ClassVar[Dialogue] = Dialogue.FOREIGN_EXCHANGE

    trade_date: date
    settlement_date: date
    trading_side: TradeSide
    counterparty_side: TradeSide
    bought_amount: Amount
    sold_amount: Amount
    rate: ExchangeRate

    common_reference: Text35 | None = None
    operation_type: Text4 | None = None
    operation_scope: Text4 | None = None
    product_type: Text35 | None = None
    settlement_session: Session | None = None
    payment_versus_payment: bool | None = None
    non_deliverable_forward: NonDeliverableForward | None = None
    settlement_agents: SettlementAgents | None = None
    counterparty_settlement_agents: SettlementAgents | None = None

    block_trade: bool | None = None
    related_trade_reference: Text35 | None = None
    dealing_method: Literal["ELEC", "PHON", "BROK"] | None = None
    broker: TradingParty | None = None
    broker_reference: Text35 | None = None
    broker_commission: Amount | None = None
    counterparty_reference: Text35 | None = None
    dealing_branch: TradingParty | None = None
    counterparty_dealing_branch: TradingParty | None = None
    agreement: Agreement | None = None
    definitions_year: Annotated[int, Field(ge=1970, le=2100)] | None = None
    text: Text210 | None = None
    unique_transaction_identifier: UniqueTransactionIdentifier | None = None
    prior_transaction_identifier: UniqueTransactionIdentifier | None = None
    product: Literal["FORW", "NDFO", "SPOT", "SWAP"] | None = None
    execution_venue: Text35 | None = None
    executed_at: Instant | None = None

    rules = (
        DATES,
        Rule(
            "sold_amount.currency",
            ("bought_amount", "sold_amount"),
            "another currency than that of the bought amount",
            lambda event: event.bought_amount.currency == event.sold_amount.currency,
        ),
        Rule(
            "rate",
            ("bought_amount", "sold_amount", "rate"),
            "as unit and quoted currency the two that are exchanged",
            lambda event: not _prices_the_pair(event),
        ),
        Rule(
            "prior_transaction_identifier",
            ("unique_transaction_identifier", "prior_transaction_identifier"),
            "a unique transaction identifier, since a prior one is given",
            lambda event: (
                event.unique_transaction_identifier is None and event.prior_transaction_identifier is not None
            ),
        ),
    )

    def terms(self) -> facts.Terms:
        """State the trade, seen from us."""
        return facts.Terms(
            trade_date=self.trade_date,
            settlement_date=self.settlement_date,
            common_reference=self.common_reference,
            bought_amount=money(self.bought_amount),
            sold_amount=money(self.sold_amount),
            exchange_rate=self.rate.value,
            unit_currency=self.rate.unit_currency,
            other_party=self.counterparty_side.bic,
        )


def _prices_the_pair(event: ForeignExchangeTrade) -> bool:
    pair = {event.bought_amount.currency, event.sold_amount.currency}
    stated = [currency for currency in (event.rate.unit_currency, event.rate.quoted_currency) if currency is not None]
    return len(set(stated)) == len(stated) and pair.issuperset(stated)


@strict
class InstructForeignExchange(ForeignExchangeTrade):
    """Send a foreign exchange trade to the central system that matches and settles it."""

    role: ClassVar[str] = "instruction"

    event_schema: Literal["instruct_foreign_exchange/1"] = Field(alias="schema")


@strict
class AmendForeignExchange(ForeignExchangeTrade):
    """Amend the foreign exchange trade that has this ``instruction_number``: the whole trade, as it shall be."""

    role: ClassVar[str] = "amendment"

    event_schema: Literal["amend_foreign_exchange/1"] = Field(alias="schema")
    reason: Text35 | None = None

    def terms_asked(self, in_force: facts.Terms) -> facts.Terms:
        """State the trade as it shall be."""
        del in_force
        return self.terms()


@strict
class CancelForeignExchange(Event):
    """Cancel the foreign exchange trade that has this ``instruction_number``; both sides are named as instructed."""

    dialogue: ClassVar[Dialogue] = Dialogue.FOREIGN_EXCHANGE
    role: ClassVar[str] = CANCELLATION

    event_schema: Literal["cancel_foreign_exchange/1"] = Field(alias="schema")
    trading_side: TradeSide
    counterparty_side: TradeSide
    reason: Text35 | None = None
    operation_type: Text4 | None = None
    operation_scope: Text4 | None = None
    settlement_session: Session | None = None


KINDS: Final[dict[str, EventKind]] = {
    "instruct_foreign_exchange/1": EventKind(
        InstructForeignExchange,
        examples.INSTRUCT_FOREIGN_EXCHANGE,
        examples.INSTRUCT_FOREIGN_EXCHANGE_MINIMAL,
        others=(examples.INSTRUCT_FIXING,),
    ),
    "amend_foreign_exchange/1": EventKind(
        AmendForeignExchange, examples.AMEND_FOREIGN_EXCHANGE, examples.AMEND_FOREIGN_EXCHANGE_MINIMAL
    ),
    "cancel_foreign_exchange/1": EventKind(
        CancelForeignExchange, examples.CANCEL_FOREIGN_EXCHANGE, examples.CANCEL_FOREIGN_EXCHANGE_MINIMAL
    ),
}
