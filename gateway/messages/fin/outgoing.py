"""FIN messages of ours: what stands around their text, cancellations, and what follows from an event for FIN alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final, cast

from gateway.errors import BuildError, Violation
from gateway.messages.fin.addresses import OWN_TERMINAL, logical_terminal
from gateway.messages.fin.confirmations import CONFIRMED, Executed, confirmed, in_iso_20022
from gateway.messages.fin.foreign_exchange import Exchange, cancellation_of_exchange, exchange
from gateway.messages.fin.message import Field
from gateway.messages.fin.parsing import parse_strictly
from gateway.messages.fin.payments import Payment, payment
from gateway.messages.writing import Following, Location, Parts, moment
from gateway.model.events.allegement import AnswerTrade
from gateway.model.events.confirmation import ConfirmTrade
from gateway.model.vocabulary import Code, DirectedAmount, Party, ProprietaryIdentification

if TYPE_CHECKING:
    from gateway.model.events import TradeEvent

_FUNCTION, _REFERENCE = "23G", "20C"
_CANCEL: Final = "CANC"


@dataclass(slots=True)  # not frozen, which takes three times as long to make
class PartyInFin:
    """A party as FIN states it: name and address are one text of lines, the others as in ``Party``."""

    FOLLOWS = True  # what it gives follows from what the event's party gives, which is checked

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    name_and_address: str | None = None
    lei: str | None = None
    nationality: str | None = None
    safekeeping_account: str | None = None
    processing_reference: str | None = None
    declaration_text: str | None = None
    contact_text: str | None = None


@dataclass(slots=True)
class Derived(Following):
    """What FIN says that follows from an event: the function of the message, the parties of a chain by their part.

    The participant of the depository is the agent; the last is the seller or buyer, the one before it the custodian,
    then come two intermediaries. A chain of one is the agent alone.
    """

    DECIDES: ClassVar[tuple[str, ...]] = ("hold",)

    function: str = "NEWM"
    delivering_agent: PartyInFin | None = None
    delivering_intermediary_2: PartyInFin | None = None
    delivering_intermediary_1: PartyInFin | None = None
    deliverers_custodian: PartyInFin | None = None
    seller: PartyInFin | None = None
    receiving_agent: PartyInFin | None = None
    receiving_intermediary_2: PartyInFin | None = None
    receiving_intermediary_1: PartyInFin | None = None
    receivers_custodian: PartyInFin | None = None
    buyer: PartyInFin | None = None
    investors: tuple[PartyInFin, ...] = ()
    market: str | None = None
    payment: Payment | None = None
    exchange: Exchange | None = None
    trade_date: date | None = None
    executed: Executed | None = None
    trade_type: Code | None = None
    transaction_type: Code | None = None
    percentage_type: str | None = None
    price_amount_type: str | None = None
    commission_type: Code | None = None
    commission: DirectedAmount | None = None
    confirmed_buyer: PartyInFin | None = None
    confirmed_seller: PartyInFin | None = None
    executing_broker: PartyInFin | None = None
    clearing_firm: PartyInFin | None = None
    introducing_firm: PartyInFin | None = None
    affirming_party: PartyInFin | None = None
    reason: Code | None = None

    @classmethod
    def of(cls, event: TradeEvent) -> Derived:
        """Return what follows from an event; see ``derived``."""
        return derived(event)

    @classmethod
    def stands(cls, event: TradeEvent) -> Mapping[Location, Parts] | None:
        """Say where parties, market and function come from; all else takes more than that, and is None."""
        return _stands(event)


def derived(event: TradeEvent, lacking: list[Violation] | None = None) -> Derived:
    """Return what follows from an event. Raises ``BuildError`` with what FIN has to state and cannot.

    What a confirmation of a trade leaves open goes to ``lacking`` instead where that is given.
    """
    made = parties(event)
    if isinstance(event, ConfirmTrade):
        values, left_open = confirmed(event)
        if lacking is not None:
            lacking += left_open
        elif left_open:
            raise BuildError(left_open[0].text, code=left_open[0].code, violations=left_open)
        for name, value in values.items():
            setattr(made, name, value)
    elif isinstance(event, AnswerTrade):
        made.reason = event.reason or (_IN_WORDS if event.text else None)
    return made


def parties(event: TradeEvent) -> Derived:
    """Return the part of what follows from an event that nothing can be wrong with: the parties in their parts."""
    place, investors = getattr(event, "place_of_trade", None), getattr(event, "investors", ())
    made = Derived(  # the parts of either side stand in its fields in their order
        _HELD if getattr(event, "hold", False) else "NEWM",
        *_placed(getattr(event, "delivering_parties", ())),
        *_placed(getattr(event, "receiving_parties", ())),
        tuple([party_in_fin(one) for one in investors]),
        None if place is None else place.market or place.description,
        payment(event),
        exchange(event),
    )
    if isinstance(event, ConfirmTrade):
        for name, field in CONFIRMING.items():
            if (party := getattr(event, field)) is not None:
                setattr(made, name, party_in_fin(party))
    return made


DELIVERING: Final = (
    "delivering_agent",
    "delivering_intermediary_2",
    "delivering_intermediary_1",
    "deliverers_custodian",
    "seller",
)
RECEIVING: Final = (
    "receiving_agent",
    "receiving_intermediary_2",
    "receiving_intermediary_1",
    "receivers_custodian",
    "buyer",
)


CONFIRMING: Final = {
    "confirmed_buyer": "buyer",
    "confirmed_seller": "seller",
    "executing_broker": "executing_broker",
    "clearing_firm": "clearing_firm",
    "introducing_firm": "introducing_firm",
    "affirming_party": "affirming_party",
}
"""The parties of a confirmed trade, and what the event calls them."""


_Side = tuple[PartyInFin | None, PartyInFin | None, PartyInFin | None, PartyInFin | None, PartyInFin | None]
_NOBODY: Final = (None,) * len(DELIVERING)


def _placed(chain: Sequence[Party]) -> _Side:
    """Give each part of a chain its party: the first is the agent, the others have the last parts that there are."""
    parties: list[PartyInFin | None] = [party_in_fin(party) for party in chain[: len(DELIVERING)]]
    parties[1:1] = _NOBODY[len(parties) :]
    return cast("_Side", parties)


def party_in_fin(party: Party) -> PartyInFin:
    """Return a party as FIN states it."""
    name, address = party.name, party.address
    if address is not None:
        place = (address.post_code, address.town, address.country)
        lines = (name, *address.lines, " ".join([part for part in place if part]))
        name = "\n".join([line for line in lines if line])
    return PartyInFin(
        party.bic,
        party.proprietary,
        name,
        party.lei,
        getattr(party, "nationality", None),
        party.safekeeping_account,
        party.processing_reference,
        party.declaration_text,
        party.contact_text,
    )


def _stands(event: TradeEvent) -> dict[Location, Parts] | None:
    """See ``Derived.stands``."""
    made = parties(event)
    if made.payment is not None or made.exchange is not None or isinstance(event, ConfirmTrade | AnswerTrade):
        return None
    found: dict[Location, Parts] = {("function",): (made.function,)}
    for chain, parts in _CHAINS.items():
        placed = (part for part in parts if getattr(made, part) is not None)
        for number, (part, party) in enumerate(zip(placed, getattr(event, chain, ()), strict=False)):
            found |= dict(_party_stands((part,), (chain, number), party))
    for number, investor in enumerate(getattr(event, "investors", ())):
        found |= dict(_party_stands(("investors", number), ("investors", number), investor))
    place = getattr(event, "place_of_trade", None)
    if place is not None:
        found["market",] = (("place_of_trade", "description" if place.market is None else "market"),)
    return found


def _party_stands(in_fin: Location, in_event: Location, party: Party) -> Iterator[tuple[Location, Parts]]:
    yield in_fin, (in_event,)
    name: Parts = ((*in_event, "name"),)
    if (address := party.address) is not None:
        there = (*in_event, "address")
        for number, _ in enumerate(address.lines):
            name += ("\n", (*there, "lines", number))
        place = [(*there, part) for part in ("post_code", "town", "country") if getattr(address, part)]
        name += ("\n", *[part for one in place for part in (" ", one)][1:])
    yield (*in_fin, "name_and_address"), name


_CHAINS: Final = {"delivering_parties": DELIVERING, "receiving_parties": RECEIVING}
_HELD: Final = "PREA"
_IN_WORDS: Final = "NARR"
_MARKET_CODE: Final = re.compile("[A-Z0-9]{4}")  # ISO 10383
IN_EVENT: Final = {"name_and_address": "name"}


def implied(said: Mapping[str, object]) -> Iterator[tuple[tuple[str | int, ...], str, object]]:
    """Yield what of an event follows from what FIN says: the way back from ``derived``.

    ``said`` are fields of ``Derived``. Each item is the path of a field of the event, the name of what implies it, and
    its value; of a party with the names of ``PartyInFin``, of which ``IN_EVENT`` says what the event calls them.
    """
    if said.get("function") == _HELD:
        yield ("hold",), "function", True
    for chain, parts in _CHAINS.items():
        for number, part in enumerate(part for part in parts if said.get(part) is not None):
            yield (chain, number), part, said[part]
    investors = said.get("investors")
    for number, investor in enumerate(investors if isinstance(investors, tuple | list) else ()):
        yield ("investors", number), "investors", investor
    for name, field in CONFIRMING.items():
        if said.get(name) is not None:
            yield (field,), name, said[name]
    for name, path in CONFIRMED:
        if (value := said.get(name)) is not None:
            yield path, name, in_iso_20022(name, value)
    commission = said.get("commission")
    if (kind := said.get("commission_type")) is not None:
        yield ("commission", "type"), "commission_type", kind
    if commission is not None:
        path = ("other_amounts", "executing_broker_amount") if kind is None else ("commission", "amount")
        yield path, "commission", commission
    if said.get("reason") is not None:
        yield ("reason",), "reason", said["reason"]
    market = said.get("market")
    if isinstance(market, str):
        field = "market" if _MARKET_CODE.fullmatch(market) else "description"
        yield ("place_of_trade", field), "market", market


def envelope(own_bic: str, receiver_bic: str, definition: str, reference: str, uetr: str | None, text: str) -> bytes:
    """Put the blocks around the text of a message; ``reference`` is also the user's reference of block 3.

    ``text`` is the fields, each ended by a line feed.
    """
    flag = definition[5:]
    user = f"{{108:{reference}}}{f'{{119:{flag}}}' if flag else ''}{f'{{121:{uetr}}}' if uetr else ''}"
    headers = _headers(own_bic, receiver_bic, definition[2:5])
    return f"{headers}{{3:{user}}}{{4:\n{text}-}}".encode().replace(b"\n", b"\r\n")


@lru_cache(maxsize=1024)
def _headers(own_bic: str, receiver_bic: str, number: str) -> str:
    sender, receiver = logical_terminal(own_bic, OWN_TERMINAL), logical_terminal(receiver_bic)
    return f"{{1:F01{sender}0000000000}}{{2:I{number}{receiver}N}}"


def cancellation(original: bytes, reference: str, created_at: datetime) -> str:
    """Write the text of the message that cancels another: the same fields with another function, reference and time.

    A link names the message that is cancelled. Raises ``BuildError`` (``fin_nothing_to_cancel``) where the original is
    no instruction in FIN, ``UnreadableMessage`` where it has faults.
    """
    message = parse_strictly(original) if original else None
    fields = () if message is None else message.fields
    if message is not None and message.message_type == "300":
        return cancellation_of_exchange(fields, reference)
    said: list[Field] = []
    previous = ""
    begins = 0  # where the last linkage does
    for field in fields:
        said.append(field)
        if field.tag == _REFERENCE and field.value.startswith(":SEME//") and not previous:
            previous = field.value.removeprefix(":SEME//")
            said[-1] = Field(_REFERENCE, f":SEME//{reference}")
        elif field.tag == "98C" and field.value.startswith(":PREP//"):
            said[-1] = Field("98C", f":PREP//{moment(created_at)}")
        elif field.tag == _FUNCTION:
            said[-1] = Field(_FUNCTION, _CANCEL)
        elif (field.tag, field.value) == ("16R", "LINK"):
            begins = len(said) - 1
        elif (field.tag, field.value) == ("16S", "LINK"):
            if any(one.tag == _REFERENCE and one.value.startswith(":PREV//") for one in said[begins:]):
                del said[begins:]  # only one message may be named so: the one that is cancelled
        elif (field.tag, field.value) == ("16S", "GENL"):
            link = (Field("16R", "LINK"), Field(_REFERENCE, f":PREV//{previous}"), Field("16S", "LINK"))
            said[-1:] = [*link, field]
    if not previous:
        raise BuildError("there is no message in FIN to cancel", code="fin_nothing_to_cancel")
    return "".join(f":{field.tag}:{field.value}\n" for field in said)
