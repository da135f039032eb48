"""The words that trade events are made of: texts, identifiers, amounts, parties, prices.

Every type is strict and closed (an unknown field is an error). Patterns and lengths are checked by pydantic's compiled
core; check digits, decimals of a currency and "exactly one of" by the small functions here. Lengths are those of the
ISO 20022 elements that the fields become.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.model import identifiers
from gateway.model.currencies import DECIMALS
from gateway.model.facts import Link
from gateway.model.strict import exactly_one, given, strict

# What XML 1.0 cannot carry unchanged: control characters (NUL among them; a carriage return becomes a line feed on
# reading), and the two non-characters that it forbids.
PRINTABLE_PATTERN = r"^[^\x00-\x1F\x7F\x{FFFE}\x{FFFF}]*$"
NARRATIVE_PATTERN = r"^[^\x00-\x08\x0B-\x1F\x7F\x{FFFE}\x{FFFF}]*$"
CODE_PATTERN = "^[A-Z0-9]{4}$"
SCHEME_CODE_PATTERN = "^[a-zA-Z0-9]{4}$"
DEFINITION_PATTERN = r"^[a-z]{4}\.[0-9]{3}\.[0-9]{3}\.[0-9]{2}$"

RULES = identifiers.RULES | {
    PRINTABLE_PATTERN: "text without control characters (NUL, tabs and line ends among them)",
    NARRATIVE_PATTERN: "text without control characters other than tab and line feed",
    CODE_PATTERN: "an ISO 20022 code: 4 capital letters or digits",
    SCHEME_CODE_PATTERN: "a proprietary code: 4 letters or digits",
    DEFINITION_PATTERN: "a message definition such as sese.023.001.12",
}
"""What each pattern asks for, in words."""


def _text(length: int, pattern: str = PRINTABLE_PATTERN) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=length, pattern=pattern)


def _check_digit(holds: Any, name: str) -> AfterValidator:
    @lru_cache(maxsize=65_536)  # the same securities and parties come again and again
    def check(value: str) -> str:
        if not holds(value):
            raise PydanticCustomError("identifier_check_digit", f"{name} whose check digits hold")
        return value

    return AfterValidator(check)


Text8 = Annotated[str, _text(8)]
Text16 = Annotated[str, _text(16)]
Text35 = Annotated[str, _text(35)]
Text70 = Annotated[str, _text(70)]
Text140 = Annotated[str, _text(140)]
Text210 = Annotated[str, _text(210, NARRATIVE_PATTERN)]
Text350 = Annotated[str, _text(350, NARRATIVE_PATTERN)]
Bic = Annotated[str, StringConstraints(pattern=identifiers.BIC_PATTERN)]
Country = Annotated[str, StringConstraints(pattern=identifiers.COUNTRY_PATTERN)]
MarketCode = Annotated[str, StringConstraints(pattern=identifiers.MIC_PATTERN)]
UniqueTransactionIdentifier = Annotated[str, StringConstraints(pattern=identifiers.UTI_PATTERN)]
Isin = Annotated[
    str, StringConstraints(pattern=identifiers.ISIN_PATTERN), _check_digit(identifiers.isin_holds, "an ISIN")
]
Lei = Annotated[str, StringConstraints(pattern=identifiers.LEI_PATTERN), _check_digit(identifiers.lei_holds, "an LEI")]
Iban = Annotated[
    str, StringConstraints(pattern=identifiers.IBAN_PATTERN), _check_digit(identifiers.iban_holds, "an IBAN")
]
IsoCode = Annotated[str, StringConstraints(pattern=CODE_PATTERN)]
DefinitionIdentifier = Annotated[str, StringConstraints(pattern=DEFINITION_PATTERN)]


def _known_currency(value: str) -> str:
    if value not in DECIMALS:
        raise PydanticCustomError("currency_unknown", "a currency code of ISO 4217")
    return value


Currency = Annotated[str, AfterValidator(_known_currency), WithJsonSchema({"type": "string", "enum": sorted(DECIMALS)})]

_MAX_DIGITS = 18
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def _exactly(value: object, places: int, *, signed: bool, zero: bool) -> Decimal:
    """Read a number that JSON gives as a string or as a number, without losing a digit.

    A binary float arrives only where its shortest text is the number as written (``parse_event`` sees to it).
    """
    text = format(Decimal(repr(value)), "f") if type(value) in (int, float) else value
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise PydanticCustomError("event_field_invalid", "a number such as 1250.00, as a string or a number")
    number = Decimal(text)
    if number.is_signed() and not signed:
        raise PydanticCustomError("event_field_invalid", "a number that is not negative")
    if not number and not zero:
        raise PydanticCustomError("event_field_invalid", "a number greater than zero")
    whole, _, fraction = text.lstrip("-").partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > places or len(whole.lstrip("0")) + len(fraction) > _MAX_DIGITS:
        rule = f"a number of at most {_MAX_DIGITS} digits, {places} of them after the point"
        raise PydanticCustomError("event_field_invalid", "{rule}", {"rule": rule})
    return number


_SMALLEST = {currency: Decimal(1).scaleb(-places) for currency, places in DECIMALS.items()}
_DECIMAL_SCHEMA = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}, {"type": "number"}]}
)


def _exact(places: int, *, signed: bool = False, zero: bool = True) -> PlainValidator:
    usual = re.compile(rf"[0-9]{{1,{_MAX_DIGITS - places}}}(\.[0-9]{{1,{places}}})?", re.ASCII).fullmatch

    def read(value: object) -> Decimal:
        if type(value) is str and usual(value) and (zero or value.strip("0.")):
            return Decimal(value)
        return _exactly(value, places, signed=signed, zero=zero)

    return PlainValidator(read)


AmountValue = Annotated[Decimal, _exact(5), _DECIMAL_SCHEMA]
PriceValue = Annotated[Decimal, _exact(13), _DECIMAL_SCHEMA]
Percentage = Annotated[Decimal, _exact(10, signed=True), _DECIMAL_SCHEMA]
UnsignedPercentage = Annotated[Decimal, _exact(10), _DECIMAL_SCHEMA]
QuantityValue = Annotated[Decimal, _exact(17, zero=False), _DECIMAL_SCHEMA]
RateValue = Annotated[Decimal, _exact(10, zero=False), _DECIMAL_SCHEMA]


def _written_instant(value: object) -> object:
    if not isinstance(value, str) or "T" not in value:  # digits would be taken for seconds since 1970
        raise PydanticCustomError("event_field_invalid", "an instant with its offset, such as 2026-03-02T09:15:00Z")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_written_instant)]


@strict
class Proprietary:
    """A code of a scheme of its own: four characters, the issuer of the scheme, and the scheme's name."""

    identification: Annotated[str, StringConstraints(pattern=SCHEME_CODE_PATTERN)]
    issuer: Text35
    scheme: Text35 | None = None


Code = Annotated[IsoCode | Proprietary, Field(union_mode="left_to_right")]
"""An ISO 20022 code as a string, or a proprietary one as an object."""

Item = TypeVar("Item")
Some = Annotated[tuple[Item, ...], Field(max_length=100, strict=False)]
"""A list of up to 100; absent and empty are the same."""

Days = Annotated[int, Field(ge=0, le=999)]
Priority = Annotated[int, Field(ge=1, le=9999)]
"""1 is the highest."""


@strict
class ProprietaryIdentification:
    """A party's identification in a scheme of its own (a CSD's participant number, a client number)."""

    identification: Text35
    issuer: Text35
    scheme: Text35 | None = None


@strict
class Amount:
    """Money: a value that is not negative, with no more decimals than its currency (ISO 4217) has."""

    value: AmountValue
    currency: Currency

    @model_validator(mode="after")
    def _decimals_of_the_currency(self) -> Self:
        if self.value % _SMALLEST[self.currency]:
            rule = f"at most {DECIMALS[self.currency]} decimals in {self.currency}"
            raise PydanticCustomError("currency_decimals", "{rule}", {"rule": rule})
        return self


@strict
class DirectedAmount(Amount):
    """Money and, where it matters, whether it is credited or debited."""

    direction: Literal["credit", "debit"] | None = None


@strict
class SignedRate:
    """A rate in per cent, and its sign where it matters."""

    value: UnsignedPercentage
    sign: Literal["plus", "minus"] | None = None


@strict
class RateName:
    """A reference rate by its name, and who publishes it."""

    name: Text35
    issuer: Text8 | None = None


@strict
class PriceAmount:
    """A price in money; a price may have more decimals than its currency."""

    value: PriceValue
    currency: Currency


@strict
class Price:
    """A price: a percentage (``rate``) or an amount for one unit. ``type`` says how it is meant (``PARV``)."""

    rate: Percentage | None = None
    amount: PriceAmount | None = None
    type: IsoCode | None = None

    _rate_or_amount = exactly_one("rate", "amount")


@strict
class Quantity:
    """How many: units (shares), or a face or amortised amount in the security's currency (debt)."""

    type: Literal["unit", "face_amount", "amortised_value"]
    value: QuantityValue

    @model_validator(mode="after")
    def _places(self) -> Self:
        if self.type != "unit" and self.value != round(self.value, 5):
            raise PydanticCustomError("event_field_invalid", "at most 5 decimals in a face or amortised amount")
        return self


@strict
class Address:
    """A postal address."""

    lines: Annotated[tuple[Text70, ...], Field(max_length=5, strict=False)] = ()
    post_code: Text16 | None = None
    town: Text35 | None = None
    country: Country


@strict
class Party:
    """A party of the trade, its settlement or its confirmation: one of BIC, proprietary identification, or name.

    ``safekeeping_account`` is the account it holds with the party before it in the chain; ``processing_reference`` its
    own reference for the transaction; the texts are for that party.
    """

    bic: Bic | None = None
    proprietary: ProprietaryIdentification | None = None
    name: Text350 | None = None
    address: Address | None = None
    lei: Lei | None = None
    safekeeping_account: Text35 | None = None
    processing_reference: Text35 | None = None
    declaration_text: Text350 | None = None
    contact_text: Text140 | None = None

    _one_identification = exactly_one("bic", "proprietary", "name", beside={"address": "name"})


Chain = Annotated[tuple[Party, ...], Field(max_length=5, strict=False)]
"""Parties from the place of settlement outwards: its participant first, the buyer or seller last."""


FurtherChain = Annotated[tuple[Party, ...], Field(max_length=4, strict=False)]
"""Parties behind the participant of the place of settlement: the second to the fifth of a chain."""


@strict
class CashAccount:
    """A cash account, by IBAN or as the account servicer writes it."""

    iban: Iban | None = None
    proprietary: Annotated[str, _text(34)] | None = None

    _one_form = exactly_one("iban", "proprietary")


@strict
class CashParty:
    """A party of the cash leg, with its account."""

    bic: Bic | None = None
    proprietary: ProprietaryIdentification | None = None
    name: Text350 | None = None
    cash_account: CashAccount | None = None

    _one_identification = exactly_one("bic", "proprietary", "name")


@strict
class CashParties:
    """Who pays and who is paid, each with its agent."""

    debtor: CashParty | None = None
    debtor_agent: CashParty | None = None
    creditor: CashParty | None = None
    creditor_agent: CashParty | None = None


@strict
class PlaceOfTrade:
    """Where the trade was made: the kind of market (``EXCH``, ``OTCO``, ...) and which one, by MIC or description."""

    type: Code
    market: MarketCode | None = None
    description: Text35 | None = None

    @model_validator(mode="after")
    def _market_or_description(self) -> Self:
        if self.market is not None and self.description is not None:
            raise PydanticCustomError("event_field_invalid", "a market or a description, not both")
        return self


@strict
class PlaceOfClearing:
    """Where the trade is cleared: the clearing house by BIC, LEI or both."""

    bic: Bic | None = None
    lei: Lei | None = None

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if self.bic is None and self.lei is None:
            raise PydanticCustomError("event_field_invalid", "at least one of bic, lei")
        return self


@strict
class HoldReason:
    """Why an instruction is held (``PTYH``, ``CSDH``, ...)."""

    code: Code
    text: Text210 | None = None


@strict
class Linkage:
    """Another transaction that this one goes with: before, with or after it (``BEFO``, ``WITH``, ``AFTE``)."""

    position: Code | None = None
    message_definition: DefinitionIdentifier | None = None
    settlement_transaction_id: Text35 | None = None
    account_servicer_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    pool_id: Text35 | None = None
    other_transaction_id: Text35 | None = None

    _one_reference = exactly_one(
        "settlement_transaction_id",
        "account_servicer_transaction_id",
        "market_infrastructure_transaction_id",
        "pool_id",
        "other_transaction_id",
    )

    def link(self, *, block_trade: Code | None = None, ends: bool = False) -> Link:
        """State the link; one of a pool is that of a block with its allocations where ``block_trade`` says which."""
        position = _POSITIONS.get(str(self.position), "linked")
        for names, value in (
            ("account_servicer_transaction_id", self.account_servicer_transaction_id),
            ("market_infrastructure_transaction_id", self.market_infrastructure_transaction_id),
        ):
            if value is not None:
                return Link(position, value, names, ends)
        if self.pool_id is not None:
            return Link(_BLOCKS.get(str(block_trade), position), self.pool_id, "pool_id", ends)
        return Link(position, self.settlement_transaction_id or self.other_transaction_id or "", ends=ends)


_POSITIONS = {"BEFO": "before", "WITH": "with", "AFTE": "after", "INFO": "information"}
_BLOCKS = {"BLPA": "block", "BLCH": "allocation"}  # what this instruction is of the block trade


@strict
class ConfirmationReference:
    """Another identification of the confirmed trade, or what it was allocated from."""

    message_definition: DefinitionIdentifier | None = None
    instructing_party_transaction_id: Text35 | None = None
    executing_party_transaction_id: Text35 | None = None
    market_infrastructure_transaction_id: Text35 | None = None
    block_id: Text35 | None = None
    allocation_id: Text35 | None = None
    individual_allocation_id: Text35 | None = None
    pool_id: Text35 | None = None
    common_id: Text35 | None = None
    collateral_transaction_id: Text35 | None = None
    unique_transaction_id: UniqueTransactionIdentifier | None = None

    _one_reference = exactly_one(
        "instructing_party_transaction_id",
        "executing_party_transaction_id",
        "market_infrastructure_transaction_id",
        "block_id",
        "allocation_id",
        "individual_allocation_id",
        "pool_id",
        "common_id",
        "collateral_transaction_id",
        "unique_transaction_id",
    )

    def link(self) -> Link:
        """State the link: a transaction, or what those that state it have in common."""
        [name] = set(given(self)) - {"message_definition"}
        value = getattr(self, name)
        if name in ("instructing_party_transaction_id", "executing_party_transaction_id"):
            return Link("reference", value)
        relation = {"block_id": "block", "allocation_id": "allocation", "individual_allocation_id": "allocation"}
        return Link(relation.get(name, "reference"), value, "common_reference" if name == "common_id" else name)


@strict
class Lot:
    """One tax lot of the quantity."""

    number: Text35 | None = None
    quantity: Quantity | None = None
    acquisition_date: date | None = None
    price_type: Code | None = None


@strict
class Investor(Party):
    """The investor behind the trade."""

    nationality: Country | None = None


@strict
class ConfirmingParty(Party):
    """The buyer or the seller of a confirmed trade, and in which capacity it acts (``PRIN``, ``AGEN``, ...)."""

    investor_capacity: Code | None = None
    trading_capacity: Code | None = None


@strict
class AccountOwner:
    """Who owns the safekeeping account."""

    bic: Bic | None = None
    proprietary: ProprietaryIdentification | None = None
    lei: Lei | None = None

    _one_identification = exactly_one("bic", "proprietary")


@strict
class Vendor:
    """Who keeps a database of standing settlement instructions."""

    bic: Bic | None = None
    proprietary: ProprietaryIdentification | None = None
    name: Text350 | None = None

    _one_identification = exactly_one("bic", "proprietary", "name")


@strict
class Commission:
    """What the broker earns: a kind (``BRKR``, ``FLAT``, ...), with an amount or a percentage."""

    type: Code
    amount: Amount | None = None
    rate: Percentage | None = None

    _amount_or_rate = exactly_one("amount", "rate")


@strict
class StandingSettlementInstruction:
    """Whose database of standing settlement instructions holds the details (``INTE``, ``BRKR``, ``VEND``)."""

    database: Code
    vendor: Vendor | None = None
    other_delivering_parties: Chain = ()
    other_receiving_parties: Chain = ()


@strict
class OtherAmounts:
    """Fees, taxes and other amounts beside the settlement amount, each with its direction where it matters."""

    charges_fees: DirectedAmount | None = None
    country_national_federal_tax: DirectedAmount | None = None
    executing_broker_amount: DirectedAmount | None = None
    issue_discount_allowance: DirectedAmount | None = None
    payment_levy_tax: DirectedAmount | None = None
    local_tax: DirectedAmount | None = None
    local_broker_commission: DirectedAmount | None = None
    margin: DirectedAmount | None = None
    other: DirectedAmount | None = None
    regulatory_amount: DirectedAmount | None = None
    special_concession: DirectedAmount | None = None
    stamp_duty: DirectedAmount | None = None
    stock_exchange_tax: DirectedAmount | None = None
    transfer_tax: DirectedAmount | None = None
    transaction_tax: DirectedAmount | None = None
    value_added_tax: DirectedAmount | None = None
    withholding_tax: DirectedAmount | None = None
    net_gain_loss: DirectedAmount | None = None
    consumption_tax: DirectedAmount | None = None


@strict
class AmountsOfSettlement(OtherAmounts):
    """Other amounts of a settlement instruction."""

    accrued_interest: DirectedAmount | None = None
    trade_amount: DirectedAmount | None = None
    shipping_amount: DirectedAmount | None = None
    research_fee: DirectedAmount | None = None
    network_fee: DirectedAmount | None = None


@strict
class AmountsOfConfirmation(OtherAmounts):
    """Other amounts of a trade confirmation."""

    matching_confirmation_fee: DirectedAmount | None = None
    shared_brokerage_amount: DirectedAmount | None = None
    clearing_broker_commission: DirectedAmount | None = None
