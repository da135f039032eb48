"""How FIN names what a payment speaks of: institutions and customers by options of a field, narratives in coded lines.

A field takes an institution by its BIC (A), by name and address (D) or by its number in a clearing system alone (C); a
customer by BIC (A), in numbered lines (F) or in free ones (K, or no letter). What has no place in these forms is left
to the tables, which refuse it, or refused here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import BuildError, Violation
from gateway.model.cash import (
    AccountHolder,
    Agent,
    Coded,
    Customer,
    Institution,
    InstructionForAgent,
    PaymentAccount,
    StructuredAddress,
    UnderlyingTransfer,
)
from gateway.model.events.payment import (
    CancelNotice,
    CancelPayment,
    NotifyToReceive,
    QueryPaymentStatus,
    TransferBetweenInstitutions,
    TransferForCustomer,
)
from gateway.model.vocabulary import Amount

if TYPE_CHECKING:
    from gateway.model.events import TradeEvent

_WIDTH, _NUMBERED_WIDTH = 35, 33
CLEARING: Final = {
    "ATBLZ": "AT",
    "AUBSB": "AU",
    "CACPA": "CC",
    "CHBCC": "SW",
    "CHSIC": "SW",
    "CNAPS": "CN",
    "DEBLZ": "BL",
    "ESNCC": "ES",
    "GBDSC": "SC",
    "GRBIC": "GR",
    "HKNCC": "HK",
    "IENCC": "IE",
    "INFSC": "IN",
    "ITNCC": "IT",
    "NZNCC": "NZ",
    "PLKNR": "PL",
    "PTNCC": "PT",
    "RUCBC": "RU",
    "USABA": "FW",
    "USPID": "CP",
    "ZANCC": "ZA",
}
"""The two letters before a number in a clearing system, by the system's code in ISO 20022."""

NOT_GIVEN: Final = "NONREF"
_QUERY: Final = "PLEASE ADVISE THE STATUS"
_CANCEL: Final = "PLEASE CANCEL"


@dataclass(frozen=True, slots=True)
class NamedInstitution:
    """An institution: ``bic``, or ``name_and_address``, or ``number`` alone; ``account`` is the line before it.

    The account begins with a slash where it is a number in a clearing system.
    """

    bic: str | None = None
    name_and_address: str | None = None
    number: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class NamedCustomer:
    """A customer: ``bic``, or ``numbered`` lines, or ``free`` ones, with its account.

    ``identifier`` is the line before the numbered ones: the account with its slash.
    """

    bic: str | None = None
    numbered: str | None = None
    free: str | None = None
    account: str | None = None
    identifier: str | None = None


@dataclass(frozen=True, slots=True)
class TimeOfPayment:
    """A time of field 13C."""

    code: str
    time: str  # HHMM
    sign: str
    offset: str  # HHMM


@dataclass(frozen=True, slots=True)
class Cover:
    """What a cover payment repeats of the customers' transfer."""

    ordering_customer: NamedCustomer | None
    ordering_institution: NamedInstitution | None
    intermediary: NamedInstitution | None
    account_with: NamedInstitution | None
    beneficiary: NamedCustomer | None
    remittance: str | None
    to_receiver: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """What an event of the cash leg says, in the forms of FIN; what it does not say is None."""

    related_reference: str | None = None
    account: str | None = None
    times: tuple[TimeOfPayment, ...] = ()
    ordering_customer: NamedCustomer | None = None
    ordering_institution: NamedInstitution | None = None
    senders_correspondent: NamedInstitution | None = None
    receivers_correspondent: NamedInstitution | None = None
    third_institution: NamedInstitution | None = None
    intermediary: NamedInstitution | None = None
    account_with: NamedInstitution | None = None
    beneficiary_institution: NamedInstitution | None = None
    beneficiary: NamedCustomer | None = None
    remittance: str | None = None
    to_receiver: str | None = None
    narrative: str | None = None
    deducted: tuple[Amount, ...] = ()
    prepaid: Amount | None = None
    cover: Cover | None = None


def payment(event: TradeEvent) -> Payment | None:
    """Return an event of the cash leg in the forms of FIN; None for any other.

    Raises ``BuildError`` (``element_not_in_version``) where there is no form for something.
    """
    make = _FORMS.get(type(event))
    return None if make is None else make(event)


def _between_institutions(event: TransferBetweenInstitutions) -> Payment:
    told = [
        *_previous(event.previous_instructing_agents),
        *_coded("ACC", _said(event.instructions_for_creditor_agent)),
        *_coded("REC", _said(event.instructions_for_next_agent)),
        *_coded("BNF", event.remittance),
    ]
    return Payment(
        account=_number(event.settlement_account),
        times=tuple(_times(event)),
        ordering_institution=_institution(event.debtor, "debtor"),
        intermediary=_first(event.intermediary_agents),
        account_with=_institution(event.creditor_agent, "creditor_agent"),
        beneficiary_institution=_institution(event.creditor, "creditor"),
        to_receiver=_narrative(told),
        cover=None if event.underlying is None else _cover(event.underlying),
    )


def _for_customer(event: TransferForCustomer) -> Payment:
    told = [
        *_previous(event.previous_instructing_agents),
        *_coded("ACC", _said(event.instructions_for_creditor_agent)),
        *_coded("REC", _said(event.instructions_for_next_agent)),
    ]
    reference = () if event.end_to_end_id is None else (f"/ROC/{event.end_to_end_id}",)
    charges = tuple([charge.amount for charge in event.charges])
    ours = event.charge_bearer == "debtor"
    if ours and len(charges) > 1:
        raise _no_form("charges[1]", str(charges[1].value), "one charge, where the debtor bears them")
    return Payment(
        account=_number(event.settlement_account),
        times=tuple(_times(event)),
        ordering_customer=_holder(event.debtor, "debtor"),
        ordering_institution=_institution(event.debtor_agent, "debtor_agent"),
        senders_correspondent=_institution(event.instructing_reimbursement_agent, "instructing_reimbursement_agent"),
        receivers_correspondent=_institution(event.instructed_reimbursement_agent, "instructed_reimbursement_agent"),
        third_institution=_institution(event.third_reimbursement_agent, "third_reimbursement_agent"),
        intermediary=_first(event.intermediary_agents),
        account_with=_institution(event.creditor_agent, "creditor_agent"),
        beneficiary=_holder(event.creditor, "creditor"),
        remittance=_narrative((*reference, *event.remittance)),
        to_receiver=_narrative(told),
        deducted=() if ours else charges,
        prepaid=charges[0] if ours and charges else None,
    )


def _cover(transfer: UnderlyingTransfer) -> Cover:
    told = [
        *_previous(transfer.previous_instructing_agents),
        *_coded("ACC", _said(transfer.instructions_for_creditor_agent)),
        *_coded("REC", _said(transfer.instructions_for_next_agent)),
    ]
    return Cover(
        _holder(transfer.debtor, "underlying.debtor"),
        _institution(transfer.debtor_agent, "underlying.debtor_agent"),
        _first(transfer.intermediary_agents, "underlying."),
        _institution(transfer.creditor_agent, "underlying.creditor_agent"),
        _holder(transfer.creditor, "underlying.creditor"),
        _narrative(transfer.remittance),
        _narrative(told),
    )


def _notice(event: NotifyToReceive) -> Payment:
    customer = event.customer_debtor
    return Payment(
        related_reference=event.end_to_end_id or NOT_GIVEN,
        account=_number(event.account),
        ordering_customer=None if customer is None else _customer(customer, None, "customer_debtor"),
        ordering_institution=_institution(event.debtor, "debtor"),
        intermediary=_institution(event.intermediary_agent, "intermediary_agent"),
    )


# Parties --------------------------------------------------------------------------------------------------------------


def _number(account: PaymentAccount | None) -> str | None:
    return None if account is None else account.number


def _first(agents: tuple[Agent, ...], around: str = "") -> NamedInstitution | None:
    return _institution(agents[0], f"{around}intermediary_agents[0]") if agents else None


def _institution(party: Institution | None, path: str) -> NamedInstitution | None:
    if party is None:
        return None
    account = _number(party.account) if isinstance(party, Agent) else None
    number = None
    if party.clearing_member is not None:
        system = party.clearing_member.system or ""
        if system not in CLEARING:
            raise _no_form(f"{path}.clearing_member.system", system, f"one of {', '.join(CLEARING)}")
        number = f"/{CLEARING[system]}{party.clearing_member.member}"
    if party.bic is not None:
        return NamedInstitution(bic=party.bic, account=account or number)
    if party.name is not None:
        return NamedInstitution(
            name_and_address=_name_and_address(party.name, party.address), account=account or number
        )
    if party.address is not None:
        raise _no_form(f"{path}.address", party.address.country, "an address beside a name")
    return NamedInstitution(number=number)


def _holder(party: AccountHolder | None, path: str) -> NamedCustomer | None:
    return None if party is None else _customer(party, party.account, path)


def _customer(party: Customer, account: PaymentAccount | None, path: str) -> NamedCustomer:
    number = _number(account)
    born = None if party.person is None else party.person.birth
    if party.name is None:
        bic = None if party.organisation is None else party.organisation.bic
        if bic is None:
            raise _no_form(path, None, "a name, or the BIC of an organisation")
        if party.address is not None:
            raise _no_form(f"{path}.address", party.address.country, "an address beside a name")
        return NamedCustomer(bic=bic, account=number)
    address = party.address
    if address is None or address.lines or address.town is None or (number is None and path.endswith("debtor")):
        if born is not None:
            raise _no_form(
                f"{path}.person.birth", str(born.born_on), "an account and an address in its parts beside it"
            )
        return NamedCustomer(free=_name_and_address(party.name, address), account=number)
    lines = [
        *_numbered(1, party.name),
        *(line for part in _premises(address) for line in _numbered(2, part)),
        *_numbered(3, f"{address.country}/{' '.join(filter(None, (address.post_code, *_locality(address))))}"),
    ]
    if born is not None:
        lines += _numbered(4, f"{born.born_on:%Y%m%d}")
        lines += _numbered(5, f"{born.country}/{', '.join(filter(None, (born.city, born.province)))}")
    return NamedCustomer(numbered="\n".join(lines), account=number, identifier=None if number is None else f"/{number}")


def _numbered(number: int, text: str) -> list[str]:
    return [f"{number}/{line}" for line in textwrap.wrap(text, _NUMBERED_WIDTH)]


def _name_and_address(name: str, address: StructuredAddress | None) -> str:
    lines = [name]
    if address is not None:
        town = " ".join(filter(None, (address.post_code, ", ".join(_locality(address)))))
        lines += [*_premises(address), *address.lines, ", ".join(filter(None, (town, address.country)))]
    return "\n".join(lines)


def _premises(address: StructuredAddress) -> Iterator[str]:
    inside = (address.department, address.sub_department, address.building_name, address.floor, address.room)
    street = " ".join(filter(None, (address.street, address.building_number)))
    yield from filter(None, (", ".join(filter(None, inside)), ", ".join(filter(None, (street, address.post_box)))))


def _locality(address: StructuredAddress) -> list[str]:
    parts = (address.town, address.town_location, address.district, address.country_subdivision)
    return [part for part in parts if part is not None]


# Narratives -----------------------------------------------------------------------------------------------------------


def _previous(agents: tuple[Agent, ...]) -> Iterator[str]:
    """Name the banks that had the payment before us; a table refuses those that have no BIC."""
    return (f"/INS/{agent.bic}" for agent in agents if agent.bic is not None)


def _said(instructions: Iterable[InstructionForAgent]) -> Iterator[str]:
    """Return what is said in words alone; what has a code is the table's."""
    return (said.text for said in instructions if said.code is None and said.text is not None)


def _coded(code: str, texts: Iterable[str]) -> Iterator[str]:
    """Write texts behind a code word, continued in lines that begin with two slashes."""
    for text in texts:
        yield from textwrap.wrap(f"/{code}/{text}", _WIDTH, subsequent_indent="//")


def _narrative(lines: Iterable[str]) -> str | None:
    return "\n".join(lines) or None


def _reason(reason: Coded | None, texts: Iterable[str]) -> str | None:
    code = getattr(reason, "proprietary", reason)
    return _narrative((*(() if code is None else (f"/{code}/",)), *texts))


# Times ----------------------------------------------------------------------------------------------------------------


def _times(event: TransferBetweenInstitutions | TransferForCustomer) -> Iterator[TimeOfPayment]:
    if event.settlement_times is not None and event.settlement_times.cls is not None:
        said = event.settlement_times.cls  # HH:MM:SS and Z or an offset
        if said[6:8] != "00":
            raise _no_form("settlement_times.cls", said, "a time in whole minutes")
        offset = said[8:].replace("Z", "+00:00")
        yield TimeOfPayment("CLSTIME", said[:5].replace(":", ""), offset[0], offset[1:].replace(":", ""))
    for code, field in (("SNDTIME", "debited_at"), ("RNCTIME", "credited_at")):
        at: datetime | None = getattr(event, field)
        if at is None:
            continue
        there = at.astimezone(UTC)
        if there.date() != event.settlement_date or there.second or there.microsecond:
            raise _no_form(field, at.isoformat(), "a whole minute of the settlement date in UTC")
        yield TimeOfPayment(code, f"{there:%H%M}", "+", "0000")


def _no_form(path: str, value: str | None, rule: str) -> BuildError:
    text = f"{path}: FIN has no form for {value or 'it'}; expected {rule}"
    return BuildError(
        text,
        code="element_not_in_version",
        violations=[Violation("element_not_in_version", path, rule, value, text)],
    )


def _cancellation(event: CancelPayment | CancelNotice) -> Payment:
    return Payment(narrative=_reason(event.reason, event.texts) or _CANCEL)


_FORMS: Final[Mapping[type, Callable[[Any], Payment]]] = {
    TransferBetweenInstitutions: _between_institutions,
    TransferForCustomer: _for_customer,
    NotifyToReceive: _notice,
    CancelPayment: _cancellation,
    CancelNotice: _cancellation,
    QueryPaymentStatus: lambda _: Payment(narrative=_QUERY),
}
