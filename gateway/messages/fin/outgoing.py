"""FIN messages of ours: what stands around their text, cancellations, and what follows from an event for FIN alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from gateway.errors import BuildError
from gateway.messages.fin.addresses import OWN_TERMINAL, logical_terminal
from gateway.messages.fin.foreign_exchange import Exchange, cancellation_of_exchange, exchange
from gateway.messages.fin.message import Field
from gateway.messages.fin.parsing import parse
from gateway.messages.writing import moment
from gateway.model.vocabulary import Party, ProprietaryIdentification

if TYPE_CHECKING:
    from gateway.model.events import TradeEvent

_FUNCTION, _REFERENCE = "23G", "20C"
_CANCEL: Final = "CANC"


@dataclass(frozen=True, slots=True)
class PartyInFin:
    """A party as FIN states it: name and address are one text of lines, the others as in ``Party``."""

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    name_and_address: str | None = None
    lei: str | None = None
    nationality: str | None = None
    safekeeping_account: str | None = None
    processing_reference: str | None = None
    declaration_text: str | None = None
    contact_text: str | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """What FIN says that follows from an event: the function of the message, the parties of a chain by their part.

    The participant of the depository is the agent; the last is the seller or buyer, the one before it the custodian,
    then come two intermediaries. A chain of one is the agent alone.
    """

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
    exchange: Exchange | None = None


def derived(event: TradeEvent) -> Derived:
    """Return what follows from an event."""
    delivering: Sequence[Party] = getattr(event, "delivering_parties", ())
    receiving: Sequence[Party] = getattr(event, "receiving_parties", ())
    place = getattr(event, "place_of_trade", None)
    return Derived(
        function="PREA" if getattr(event, "hold", None) else "NEWM",
        investors=tuple([party_in_fin(one) for one in getattr(event, "investors", ())]),
        market=None if place is None else place.market or place.description,
        exchange=exchange(event),
        **_placed(DELIVERING, delivering),
        **_placed(RECEIVING, receiving),
    )


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


def _placed(parts: Sequence[str], chain: Sequence[Party]) -> dict[str, PartyInFin]:
    """Give each party of a chain its part: the first is the agent, the others the last parts that there are."""
    names = [parts[0], *parts[len(parts) + 1 - len(chain) :]]
    return {name: party_in_fin(party) for name, party in zip(names, chain, strict=False)}


def party_in_fin(party: Party) -> PartyInFin:
    """Return a party as FIN states it."""
    name = party.name
    if name is not None and party.address is not None:
        place = (party.address.post_code, party.address.town, party.address.country)
        name = "\n".join([name, *party.address.lines, " ".join(part for part in place if part)])
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


def envelope(own_bic: str, receiver_bic: str, definition: str, reference: str, uetr: str | None, text: str) -> bytes:
    """Put the blocks around the text of a message; ``reference`` is also the user's reference of block 3.

    ``text`` is the fields, each ended by a line feed; an empty line in it is left out, since FIN has none.
    """
    number, flag = definition[2:5], definition[5:]
    user = f"{{108:{reference}}}{f'{{119:{flag}}}' if flag else ''}{f'{{121:{uetr}}}' if uetr else ''}"
    sender, receiver = logical_terminal(own_bic, OWN_TERMINAL), logical_terminal(receiver_bic)
    body = text.replace("\n\n", "\n").replace("\n", "\r\n")
    return f"{{1:F01{sender}0000000000}}{{2:I{number}{receiver}N}}{{3:{user}}}{{4:\r\n{body}-}}".encode()


def cancellation(original: bytes, reference: str, created_at: datetime) -> str:
    """Write the text of the message that cancels another: the same fields with another function, reference and time.

    A link names the message that is cancelled. Raises ``BuildError`` (``fin_nothing_to_cancel``) where the original is
    no instruction in FIN.
    """
    message = parse(original) if original else None
    fields = () if message is None else message.fields
    if message is not None and message.message_type == "300":
        return cancellation_of_exchange(fields, reference)
    said: list[Field] = []
    previous = ""
    for field in fields:
        if field.tag == _REFERENCE and field.value.startswith(":SEME//") and not previous:
            previous = field.value.removeprefix(":SEME//")
            said.append(Field(_REFERENCE, f":SEME//{reference}"))
        elif field.tag == "98C" and field.value.startswith(":PREP//"):
            said.append(Field("98C", f":PREP//{moment(created_at)}"))
        elif field.tag == _FUNCTION:
            said.append(Field(_FUNCTION, _CANCEL))
        elif (field.tag, field.value) == ("16S", "GENL"):
            said += (Field("16R", "LINK"), Field(_REFERENCE, f":PREV//{previous}"), Field("16S", "LINK"), field)
        else:
            said.append(field)
    if not previous:
        raise BuildError("there is no message in FIN to cancel", code="fin_nothing_to_cancel")
    return "".join(f":{field.tag}:{field.value}\n" for field in said)
