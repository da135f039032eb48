"""What the confirmation of a foreign exchange trade (MT300) says that follows from an event.

Each side confirms the trade to the other, seen from itself. Both give it the same common reference, so that it is made
of what both know: the two parties and the rate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from gateway.errors import BuildError, Violation
from gateway.messages.fin.message import Field
from gateway.model.events.foreign_exchange import (
    ForeignExchangeTrade,
    PartyIdentification,
    SettlementAgents,
    TradeSide,
    TradingParty,
)
from gateway.model.strict import given

if TYPE_CHECKING:
    from gateway.model.events import TradeEvent

_NEW, _AMEND, _CANCEL = "NEWT", "AMND", "CANC"
_OPERATIONS: Final = {"instruction": (_NEW, "EXOP", "DUPL"), "amendment": (_AMEND,)}
_BROKERED: Final = "BROK"
_COMMON_REFERENCE: Final = re.compile("[A-Z]{4}[A-Z0-9]{2}[0-9]{4}[A-Z]{4}[A-Z0-9]{2}")
_REFERENCE, _RELATED, _OPERATION = "20", "21", "22A"
_LINE, _NAME = 35, 34  # characters of a line of an address, of a name
_LINES: Final = 5
_RATE_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class PartyOfExchange:
    """A party by its BIC and its account (option A), or by lines that each begin with what they are (option J)."""

    bic: str | None = None
    description: str | None = None
    account: str | None = None


STANDING_INSTRUCTIONS: Final = PartyOfExchange(description="/SSIS/")
"""The receiving agent where an event names none: the one of the standing settlement instructions."""


@dataclass(frozen=True, slots=True)
class AgentsOfExchange:
    """The way of one of the two amounts."""

    receiving_agent: PartyOfExchange
    delivery_agent: PartyOfExchange | None = None
    intermediary: PartyOfExchange | None = None
    beneficiary: PartyOfExchange | None = None


@dataclass(frozen=True, slots=True)
class CommonReference:
    """The common reference of both sides, by its components."""

    prefix_1: str
    suffix_1: str
    rate: str
    prefix_2: str
    suffix_2: str


@dataclass(frozen=True, slots=True)
class RateSourceOfExchange:
    """A source of the rate of a fixing, by the components of field 14S."""

    source: str
    number: str
    time: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One foreign exchange trade as MT300 states it; ``ours`` is the way of what is bought."""

    operation: str
    common_reference: CommonReference
    party_a: PartyOfExchange
    party_b: PartyOfExchange
    bought: AgentsOfExchange
    sold: AgentsOfExchange
    non_deliverable: bool | None = None
    rate_sources: tuple[RateSourceOfExchange, ...] = ()
    dealing_branch: PartyOfExchange | None = None
    counterparty_dealing_branch: PartyOfExchange | None = None
    broker: PartyOfExchange | None = None


def exchange(event: TradeEvent) -> Exchange | None:
    """Return what follows from an event that states a foreign exchange trade; None for any other.

    Raises ``BuildError`` with everything of its parties that MT300 has no place for.
    """
    if not isinstance(event, ForeignExchangeTrade):
        return None
    parties = _Parties()
    parties.check(event)
    fixing = event.non_deliverable_forward
    conditions = fixing.conditions if fixing else None
    made = Exchange(
        operation=event.operation_type or (_AMEND if event.role == "amendment" else _NEW),
        common_reference=_stated(event.common_reference)
        if event.common_reference
        else common_reference(
            parties.bic_of("trading_side", event.trading_side),
            event.counterparty_side.bic or event.counterparty,
            event.rate.value,
        ),
        party_a=parties.side("trading_side", event.trading_side),
        party_b=parties.side("counterparty_side", event.counterparty_side),
        bought=parties.agents("settlement_agents", event.settlement_agents),
        sold=parties.agents("counterparty_settlement_agents", event.counterparty_settlement_agents),
        non_deliverable=True if fixing else None,
        rate_sources=tuple(
            RateSourceOfExchange(
                source.source[:3],
                source.source[3:].zfill(2),
                source.time,
                f"{source.country or ''}{source.location or ''}" or None,
            )
            for source in (conditions.rate_sources if conditions else ())
        ),
        dealing_branch=parties.party("dealing_branch", event.dealing_branch),
        counterparty_dealing_branch=parties.party("counterparty_dealing_branch", event.counterparty_dealing_branch),
        broker=parties.party("broker", event.broker),
    )
    if parties.lacking:
        raise BuildError(parties.lacking[0].text, code=parties.lacking[0].code, violations=parties.lacking)
    return made


def common_reference(one_bic: str, other_bic: str, rate: Decimal) -> CommonReference:
    """Derive the common reference: bank and location code of both in the order of the alphabet, around the rate.

    Of the rate it has the last digit that is not zero and the three before it, wherever the point is.
    """
    first, second = sorted((one_bic[:4] + one_bic[6:8], other_bic[:4] + other_bic[6:8]))
    digits = f"{rate:f}".replace(".", "").rstrip("0").rjust(_RATE_DIGITS, "0")
    return CommonReference(first[:4], first[4:], digits[-_RATE_DIGITS:], second[:4], second[4:])


def _stated(text: str) -> CommonReference:
    """Divide a common reference that an event states; whether it is one is the matter of whoever judges the message."""
    return CommonReference(text[:4], text[4:6], text[6:10], text[10:14], text[14:])


class _Parties:
    """Make parties of MT300, and collect what it has no place for."""

    def __init__(self) -> None:
        self.lacking: list[Violation] = []

    def check(self, event: ForeignExchangeTrade) -> None:
        """Collect what of the trade itself has no form in MT300."""
        operations = _OPERATIONS[event.role]
        if event.operation_type is not None and event.operation_type not in operations:
            self._lack("operation_type", event.operation_type, f"{' or '.join(operations)}")
        if event.common_reference is not None and not _COMMON_REFERENCE.fullmatch(event.common_reference):
            self._lack(
                "common_reference", event.common_reference, "codes of both parties around four digits of the rate"
            )
        if event.broker_commission is not None and event.operation_scope != _BROKERED:
            rule = f"not given unless the scope of the operation is {_BROKERED}: only a broker is paid"
            self._lack("broker_commission", f"{event.broker_commission.value}", rule)
        conditions = event.non_deliverable_forward and event.non_deliverable_forward.conditions
        for number, source in enumerate(conditions.rate_sources if conditions else ()):
            place = {"time": source.time, "country": source.country, "location": source.location}
            for name, value in place.items():
                if value is not None and None in place.values():
                    path = f"non_deliverable_forward.conditions.rate_sources[{number}].{name}"
                    self._lack(path, value, "time, country and location together, or none of them")

    def bic_of(self, path: str, side: TradeSide) -> str:
        if side.bic is None:
            self._lack(path, "", "a party with a BIC, from which the common reference follows")
        return side.bic or "".ljust(8)

    def side(self, path: str, side: TradeSide) -> PartyOfExchange:
        """Return the party that trades; who submits the trade for it is the sender of the message, or its receiver."""
        for number, fund in enumerate(side.funds):
            self._lack(f"{path}.funds[{number}]", fund.identification, "not given: a fund has no place")
        if side.trading_party is not None and side.submitting_party.stated_bic is None:
            self._lack(f"{path}.submitting_party", "", "a BIC: it is the address of the sender or receiver")
        name = "submitting_party" if side.trading_party is None else "trading_party"
        return self._made(f"{path}.{name}", side.trading_party or side.submitting_party)

    def agents(self, path: str, agents: SettlementAgents | None) -> AgentsOfExchange:
        if agents is None:
            return AgentsOfExchange(STANDING_INSTRUCTIONS)
        if agents.beneficiary is not None and path == "settlement_agents":
            self._lack(f"{path}.beneficiary", "", "not given: who benefits of the amount bought is the sender")
        return AgentsOfExchange(
            self._made(f"{path}.receiving_agent", agents.receiving_agent),
            self.party(f"{path}.delivery_agent", agents.delivery_agent),
            self.party(f"{path}.intermediary", agents.intermediary),
            self.party(f"{path}.beneficiary", agents.beneficiary),
        )

    def party(self, path: str, party: TradingParty | None) -> PartyOfExchange | None:
        return None if party is None else self._made(path, party)

    def _made(self, path: str, party: TradingParty) -> PartyOfExchange:
        for number, identifier in enumerate(party.alternative_identifiers):
            self._lack(f"{path}.alternative_identifiers[{number}]", identifier, "not given: there is no place for it")
        if party.address is not None:
            self._lack(f"{path}.address", party.address.country, "an identification, whose address has a place")
        if party.bic is not None:
            return PartyOfExchange(bic=party.bic)
        if party.identification is not None:
            stated = set(given(party.identification))
            if stated <= {"bic", "account"} and "bic" in stated:
                return PartyOfExchange(party.identification.bic, account=party.identification.account)
            return PartyOfExchange(description=self._described(f"{path}.identification", party.identification))
        name = party.name or ""
        if not name:  # which a translation may come to
            self._lack(path, "", f"a BIC, an identification, or a name of at most {_NAME} characters")
        elif len(name) > _NAME or "\n" in name:
            self._lack(f"{path}.name", name, f"a name of at most {_NAME} characters")
        return PartyOfExchange(description=f"/NAME/{name}")

    def _described(self, path: str, party: PartyIdentification) -> str:
        address = party.address or ""
        stated = [
            ("ABIC", party.bic, "bic"),
            ("ACCT", party.account, "account"),
            ("NAME", party.name, "name"),
            ("ADD1", address[:_LINE], "address"),
            ("ADD2", address[_LINE:], "address"),
            ("CLRC", party.clearing_system, "clearing_system"),
            ("LEIC", party.lei, "lei"),
        ]
        said = [(f"/{code}/{value}", name) for code, value, name in stated if value]
        if len(address) > 2 * _LINE:
            self._lack(f"{path}.address", address, f"an address of at most {2 * _LINE} characters")
        for line, name in said[_LINES:]:
            rule = f"at most {_LINES} lines: one for each way to identify it, two for a long address"
            self._lack(f"{path}.{name}", line, rule)
        return "\n".join(line for line, _ in said)

    def _lack(self, path: str, value: str, rule: str) -> None:
        text = f"{path}: MT300 cannot carry it; expected {rule}"
        self.lacking.append(Violation("element_not_in_version", path, rule, value[:140], text))


def cancellation_of_exchange(fields: Sequence[Field], reference: str) -> str:
    """Write the text of the message that cancels a confirmation: the same trade, with another operation and reference.

    It names the confirmation by the reference with which the trade began, as amendments do.
    """
    began = {field.tag: field.value for field in reversed(fields)}
    named = began[_RELATED] if began[_OPERATION] == _AMEND else began[_REFERENCE]
    said: list[Field] = []
    for field in fields:
        if field.tag == _REFERENCE:
            said += (Field(_REFERENCE, reference), Field(_RELATED, named))
        elif field.tag == _OPERATION:
            said.append(Field(_OPERATION, _CANCEL))
        elif field.tag != _RELATED:
            said.append(field)
    return "".join(f":{field.tag}:{field.value}\n" for field in said)
