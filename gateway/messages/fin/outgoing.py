"""FIN messages of ours: what stands around their text, cancellations, and what follows from an event for FIN alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.errors import BuildError
from gateway.messages.fin.addresses import OWN_TERMINAL, logical_terminal
from gateway.messages.fin.foreign_exchange import Exchange, cancellation_of_exchange, exchange
from gateway.messages.fin.message import Field
from gateway.messages.fin.parsing import parse
from gateway.model.vocabulary import Party

if TYPE_CHECKING:
    from gateway.model.events import TradeEvent

_FUNCTION, _REFERENCE = "23G", "20C"
_CANCEL: Final = "CANC"


@dataclass(frozen=True, slots=True)
class Derived:
    """What FIN says that follows from an event: the function of the message, the parties of a chain by their part in it.

    The participant of the depository is the agent; the last is the seller or buyer, the one before it the custodian,
    then come two intermediaries. A chain of one is the agent alone.
    """

    function: str = "NEWM"
    delivering_agent: Party | None = None
    delivering_intermediary_2: Party | None = None
    delivering_intermediary_1: Party | None = None
    deliverers_custodian: Party | None = None
    seller: Party | None = None
    receiving_agent: Party | None = None
    receiving_intermediary_2: Party | None = None
    receiving_intermediary_1: Party | None = None
    receivers_custodian: Party | None = None
    buyer: Party | None = None
    exchange: Exchange | None = None


def derived(event: TradeEvent) -> Derived:
    """Return what follows from an event."""
    delivering: Sequence[Party] = getattr(event, "delivering_parties", ())
    receiving: Sequence[Party] = getattr(event, "receiving_parties", ())
    function = "PREA" if getattr(event, "hold", None) else "NEWM"
    return Derived(function, *_placed(delivering), *_placed(receiving), exchange=exchange(event))


def _placed(chain: Sequence[Party]) -> list[Party | None]:
    first, *behind = chain or (None,)
    return [first, *[None] * (4 - len(behind)), *behind]


def envelope(own_bic: str, receiver_bic: str, definition: str, reference: str, uetr: str | None, text: str) -> bytes:
    """Put the blocks around the text of a message; ``reference`` is also the user's reference of block 3.

    ``text`` is the fields, each ended by a line feed; an empty line in it is left out, since FIN has none.
    """
    number, flag = definition[2:5], definition[5:]
    user = f"{{108:{reference}}}{f'{{119:{flag}}}' if flag else ''}{f'{{121:{uetr}}}' if uetr else ''}"
    sender, receiver = logical_terminal(own_bic, OWN_TERMINAL), logical_terminal(receiver_bic)
    body = text.replace("\n\n", "\n").replace("\n", "\r\n")
    return f"{{1:F01{sender}0000000000}}{{2:I{number}{receiver}N}}{{3:{user}}}{{4:\r\n{body}-}}".encode()


def cancellation(original: bytes, reference: str) -> str:
    """Write the text of the message that cancels another: the same fields with another function and reference.

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
        elif field.tag == _FUNCTION:
            said.append(Field(_FUNCTION, _CANCEL))
        elif (field.tag, field.value) == ("16S", "GENL"):
            said += (Field("16R", "LINK"), Field(_REFERENCE, f":PREV//{previous}"), Field("16S", "LINK"), field)
        else:
            said.append(field)
    if not previous:
        raise BuildError("there is no message in FIN to cancel", code="fin_nothing_to_cancel")
    return "".join(f":{field.tag}:{field.value}\n" for field in said)
