"""The words that cash events are made of: agents, parties, accounts, addresses, remittance.

Lengths are those of the ISO 20022 elements that the fields become. A code of an external set is written as it is, one
of a scheme of its own as ``{"proprietary": "..."}``.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gateway.model.facts import InstructionName, Link
from gateway.model.strict import exactly_one, strict
from gateway.model.transitions import Dialogue
from gateway.model.vocabulary import (
    PRINTABLE_PATTERN,
    Amount,
    Bic,
    Country,
    Currency,
    Iban,
    IsoCode,
    Lei,
    Some,
    Text16,
    Text35,
    Text70,
    Text140,
)

UETR_PATTERN = "^[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}$"
EXTERNAL_CODE_PATTERN = "^[A-Z0-9]{1,5}$"
TIME_PATTERN = "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-][0-9]{2}:[0-9]{2})$"

RULES = {
    UETR_PATTERN: "a UETR: a UUID of version 4 in small letters",
    EXTERNAL_CODE_PATTERN: "a code of an external code set: 1 to 5 capital letters or digits",
    TIME_PATTERN: "a time of day with its offset, such as 16:30:00+01:00",
}
"""What each pattern asks for, in words."""

Uetr = Annotated[str, StringConstraints(pattern=UETR_PATTERN)]
ExternalCode = Annotated[str, StringConstraints(pattern=EXTERNAL_CODE_PATTERN)]
TimeOfDay = Annotated[str, StringConstraints(pattern=TIME_PATTERN)]
Text105 = Annotated[str, StringConstraints(min_length=1, max_length=105, pattern=PRINTABLE_PATTERN)]


@strict
class OwnCode:
    """A code that is in no external set: agreed between the two sides."""

    proprietary: Text35


Coded = Annotated[IsoCode | OwnCode, Field(union_mode="left_to_right")]
"""A code of an external set as a string, or one of a scheme of its own as an object."""


def _at_least_one(item: object, *names: str) -> None:
    if all(getattr(item, name) in (None, ()) for name in names):
        raise PydanticCustomError("event_field_invalid", "at least one of {names}", {"names": ", ".join(names)})


def _only_beside(item: object, name: str, other: str) -> None:
    if getattr(item, name) is not None and getattr(item, other) is None:
        text = "an {name} only beside a {other}"
        raise PydanticCustomError("event_field_invalid", text, {"name": name, "other": other})


@strict
class StructuredAddress:
    """A postal address in its parts; ``lines`` for what has no part of its own."""

    department: Text70 | None = None
    sub_department: Text70 | None = None
    street: Text70 | None = None
    building_number: Text16 | None = None
    building_name: Text35 | None = None
    floor: Text70 | None = None
    post_box: Text16 | None = None
    room: Text70 | None = None
    post_code: Text16 | None = None
    town: Text35 | None = None
    town_location: Text35 | None = None
    district: Text35 | None = None
    country_subdivision: Text35 | None = None
    country: Country
    lines: Annotated[tuple[Text70, ...], Field(max_length=7, strict=False)] = ()


@strict
class OtherAccount:
    """An account as its servicer writes it, with the scheme (``BBAN``, ...) and who issued it."""

    identification: Annotated[str, StringConstraints(min_length=1, max_length=34, pattern=PRINTABLE_PATTERN)]
    scheme: Coded | None = None
    issuer: Text35 | None = None


@strict
class PaymentAccount:
    """A cash account, by IBAN or as its servicer writes it."""

    iban: Iban | None = None
    other: OtherAccount | None = None
    type: Coded | None = None
    currency: Currency | None = None
    name: Text70 | None = None

    _one_form = exactly_one("iban", "other")

    @property
    def number(self) -> str:
        """Return the account's identification, in whichever form it is given."""
        return self.iban or (self.other.identification if self.other else "")


@strict
class ClearingMember:
    """A member of a clearing system (``USABA``, ``GBDSC``, ...), by its number there."""

    system: ExternalCode | None = None
    member: Text35


@strict
class OtherIdentification:
    """An identification in a scheme (``TXID``, ``CUST``, ...) that the others do not cover."""

    identification: Text35
    scheme: Coded | None = None
    issuer: Text35 | None = None


@strict
class Institution:
    """A financial institution: by BIC, by its membership of a clearing system, or by name and address."""

    bic: Bic | None = None
    clearing_member: ClearingMember | None = None
    lei: Lei | None = None
    name: Text140 | None = None
    address: StructuredAddress | None = None
    other: OtherIdentification | None = None
    branch: Text35 | None = None

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        _at_least_one(self, "bic", "clearing_member", "name", "other")
        return self


@strict
class Agent(Institution):
    """An institution on the way of a payment, with the account that it holds with the one next to it."""

    account: PaymentAccount | None = None


@strict
class Birth:
    """When and where a person was born."""

    born_on: date
    province: Text35 | None = None
    city: Text35
    country: Country


@strict
class Organisation:
    """How an organisation is identified."""

    bic: Bic | None = None
    lei: Lei | None = None
    others: Some[OtherIdentification] = ()

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        _at_least_one(self, "bic", "lei", "others")
        return self


@strict
class Person:
    """How a person is identified."""

    birth: Birth | None = None
    others: Some[OtherIdentification] = ()

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        _at_least_one(self, "birth", "others")
        return self


@strict
class Customer:
    """A party of a payment that is no financial institution, or pays and is paid like none."""

    name: Text140 | None = None
    address: StructuredAddress | None = None
    organisation: Organisation | None = None
    person: Person | None = None
    country_of_residence: Country | None = None

    @model_validator(mode="after")
    def _is_identified(self) -> Self:
        _at_least_one(self, "name", "organisation", "person")
        if self.organisation is not None and self.person is not None:
            raise PydanticCustomError("event_field_invalid", "an organisation or a person, not both")
        return self


@strict
class AccountHolder(Customer):
    """A party that is debited or credited, with its account."""

    account: PaymentAccount | None = None


Agents = Annotated[tuple[Agent, ...], Field(max_length=3, strict=False)]
"""Up to three agents in the order of the payment."""


@strict
class PaymentType:
    """How the payment is to be processed: service levels, local instrument, category of its purpose."""

    instruction_priority: Literal["high", "normal"] | None = None
    clearing_channel: IsoCode | None = None
    service_levels: Some[Coded] = ()
    local_instrument: Coded | None = None
    category_purpose: Coded | None = None


@strict
class SettlementTimes:
    """Times of the settlement date: of CLS, latest, earliest, and after which the payment is to be rejected."""

    cls: TimeOfDay | None = None
    till: TimeOfDay | None = None
    since: TimeOfDay | None = None
    reject: TimeOfDay | None = None


@strict
class InstructionForAgent:
    """What an agent is to do, as a code (``PHOB``, ``HOLD``, ...), in words, or both."""

    code: IsoCode | None = None
    text: Text140 | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        _at_least_one(self, "code", "text")
        return self


@strict
class ReferredDocument:
    """A document that the payment is for: an invoice (``CINV``), a statement (``SOAC``)..."""

    type: Coded | None = None
    issuer: Text35 | None = None
    number: Text35 | None = None

    @model_validator(mode="after")
    def _issuer_of_a_type(self) -> Self:
        _only_beside(self, "issuer", "type")
        return self


@strict
class StructuredRemittance:
    """What the payment is for, in parts; ``reference`` is the creditor's (``SCOR``, ...)."""

    documents: Some[ReferredDocument] = ()
    amount_due: Amount | None = None
    amount_remitted: Amount | None = None
    reference_type: Coded | None = None
    reference_issuer: Text35 | None = None
    reference: Text35 | None = None
    additional: Annotated[tuple[Text140, ...], Field(max_length=3, strict=False)] = ()

    @model_validator(mode="after")
    def _issuer_of_a_type(self) -> Self:
        _only_beside(self, "reference_issuer", "reference_type")
        return self


@strict
class Charge:
    """Charges that an agent has taken."""

    amount: Amount
    agent: Institution


@strict
class RegulatoryDetail:
    """One thing that an authority is told."""

    type: Text35 | None = None
    dated: date | None = None
    country: Country | None = None
    code: Annotated[str, StringConstraints(min_length=1, max_length=10, pattern=PRINTABLE_PATTERN)] | None = None
    amount: Amount | None = None
    information: Some[Text35] = ()


@strict
class RegulatoryReport:
    """What the authority of a side, or of both, is told of the payment."""

    side: Literal["credit", "debit", "both"] | None = None
    authority: Text140 | None = None
    authority_country: Country | None = None
    details: Some[RegulatoryDetail] = ()


@strict
class UnderlyingTransfer:
    """The customers' transfer that a cover payment is for."""

    ultimate_debtor: Customer | None = None
    initiating_party: Customer | None = None
    debtor: AccountHolder
    debtor_agent: Agent
    previous_instructing_agents: Agents = ()
    intermediary_agents: Agents = ()
    creditor_agent: Agent
    creditor: AccountHolder
    ultimate_creditor: Customer | None = None
    instructions_for_creditor_agent: Some[InstructionForAgent] = ()
    instructions_for_next_agent: Some[InstructionForAgent] = ()
    remittance: Some[Text140] = ()
    structured_remittance: Some[StructuredRemittance] = ()
    instructed_amount: Amount | None = None


@strict
class SettledInstruction:
    """The settlement instruction of ours whose cash leg this is, named as upstream names it."""

    source: Text35
    trade_id: Text35
    instruction_number: Annotated[int, Field(ge=1, le=999_999)]

    def link(self) -> Link:
        """State that the payment goes with that instruction, as its ``payment``."""
        name = InstructionName(self.source, self.trade_id, self.instruction_number, Dialogue.SETTLEMENT)
        return Link("payment", name)
