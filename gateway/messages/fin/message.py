"""What a FIN message is made of: headers, fields, trailers, and the layout that its bytes had.

A message is five blocks in braces: basic header, application header, user header, text, trailers; an interface may add
blocks of its own after them. Every value is the text that was met, so that writing a message gives its bytes back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.errors import Violation

FIN_SERVICE: Final = "01"
ACKNOWLEDGEMENT_SERVICE: Final = "21"
_POSSIBLE_DUPLICATES = ("PDE", "PDM")


class Field(msgspec.Struct, frozen=True, gc=False):
    """One field of the text block.

    ``tag`` has no colons (``20C``). ``value`` is all that follows the second colon, lines joined by ``\\n``; that of a
    generic field therefore begins with a colon (``:SEME//2007``). ``line`` counts from 1 in the bytes that were parsed;
    0 in a message that was not parsed.
    """

    tag: str
    value: str
    line: int = 0


class TagBlock(msgspec.Struct, frozen=True, gc=False):
    """One block inside a block: ``{108:REFERENCE}`` has the tag 108. A value may hold blocks again, as text."""

    tag: str
    value: str = ""

    def __str__(self) -> str:
        return f"{{{self.tag}:{self.value}}}"


@dataclass(frozen=True, slots=True)
class BasicHeader:
    """Block 1: who holds the session. ``logical_terminal`` has 12 characters; it is our own side, in and out."""

    logical_terminal: str
    session_number: str = "0000"
    sequence_number: str = "000000"
    application_id: str = "F"
    service_id: str = FIN_SERVICE

    def __str__(self) -> str:
        return (
            f"{self.application_id}{self.service_id}{self.logical_terminal}{self.session_number}{self.sequence_number}"
        )


@dataclass(frozen=True, slots=True)
class InputHeader:
    """Block 2 of a message on its way into the network; ``receiver`` is a logical terminal address of 12 characters."""

    message_type: str
    receiver: str
    priority: str | None = "N"
    delivery_monitoring: str | None = None
    obsolescence: str | None = None

    def __str__(self) -> str:
        optional = f"{self.priority or ''}{self.delivery_monitoring or ''}{self.obsolescence or ''}"
        return f"I{self.message_type}{self.receiver}{optional}"


@dataclass(frozen=True, slots=True)
class MessageReference:
    """A message input or output reference: date YYMMDD, logical terminal, session and sequence number."""

    date: str
    logical_terminal: str
    session_number: str
    sequence_number: str

    def __str__(self) -> str:
        return f"{self.date}{self.logical_terminal}{self.session_number}{self.sequence_number}"

    @classmethod
    def read(cls, text: str) -> MessageReference:
        """Cut the 28 characters of a reference that was checked before."""
        return cls(text[:6], text[6:18], text[18:22], text[22:])


@dataclass(frozen=True, slots=True)
class PossibleDuplicate:
    """A trailer that says that a message may have come before: ``PDE`` by its sender, ``PDM`` by the network.

    ``time`` HHMM and ``reference`` are of the earlier emission, where the trailer has them.
    """

    code: str
    time: str | None = None
    reference: MessageReference | None = None


@dataclass(frozen=True, slots=True)
class OutputHeader:
    """Block 2 of a message that the network delivers.

    ``input_time`` HHMM is the sender's local time, ``output_date`` YYMMDD and ``output_time`` HHMM the receiver's;
    ``input_reference`` names the sender.
    """

    message_type: str
    input_time: str
    input_reference: MessageReference
    output_date: str
    output_time: str
    priority: str | None = "N"

    def __str__(self) -> str:
        moments = f"{self.output_date}{self.output_time}{self.priority or ''}"
        return f"O{self.message_type}{self.input_time}{self.input_reference}{moments}"


@dataclass(frozen=True, slots=True)
class MalformedHeader:
    """A block 2 that says neither which way the message goes nor its type; ``content`` is all that it holds."""

    content: str
    message_type: None = None

    def __str__(self) -> str:
        return self.content


@dataclass(frozen=True, slots=True)
class Layout:
    """How the bytes of a message were laid out where the standard's own way is not the only one met.

    ``line_end`` is that of the text block. ``gaps`` is the white space before each block and after the last one, in
    order; empty where there is none at all. ``opening`` stands before the first field of a text, ``closing`` after the
    last one; both have line ends of LF.
    """

    line_end: str = "\r\n"
    gaps: tuple[str, ...] = ()
    opening: str = "\n"
    closing: str = "\n-}"


STANDARD_LAYOUT: Final = Layout()


@dataclass(frozen=True, slots=True)
class FinMessage:
    """One FIN message.

    A block that is not there is None; a block with nothing in it is empty. ``text`` holds fields, or the blocks of a
    service message. ``user_blocks`` follow block 5 (``S``), their values as text. ``content`` are the bytes that were
    parsed, empty in a message that is yet to be written. ``faults`` are the errors of a message that could be read all
    the same: it can be shown and written back, and nothing else; ``warnings`` is what it goes against without being
    refused.
    """

    basic_header: BasicHeader
    application_header: InputHeader | OutputHeader | MalformedHeader | None = None
    user_header: tuple[TagBlock, ...] | None = None
    text: tuple[Field, ...] | tuple[TagBlock, ...] | None = None
    trailers: tuple[TagBlock, ...] | None = None
    user_blocks: tuple[TagBlock, ...] = ()
    layout: Layout = STANDARD_LAYOUT
    content: bytes = b""
    faults: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()

    @property
    def message_type(self) -> str | None:
        """Return the three digits of the message type, None where block 2 is not there or does not say it."""
        header = self.application_header
        return None if header is None else header.message_type

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return the fields of the text block; none where there is no text, or blocks."""
        text = self.text
        return text if text and isinstance(text[0], Field) else ()

    @property
    def sender(self) -> str | None:
        """Return the logical terminal that sends the message; of a delivered one it is in the input reference."""
        match self.application_header:
            case InputHeader():
                return self.basic_header.logical_terminal
            case OutputHeader(input_reference=reference):
                return reference.logical_terminal
        return None

    @property
    def receiver(self) -> str | None:
        """Return the logical terminal that receives the message."""
        match self.application_header:
            case InputHeader(receiver=receiver):
                return receiver
            case OutputHeader():
                return self.basic_header.logical_terminal
        return None

    def user_value(self, tag: str) -> str | None:
        """Return the value of a block of the user header: 108 is the user's reference, 121 the UETR."""
        return next((block.value for block in self.user_header or () if block.tag == tag), None)

    def trailer(self, code: str) -> str | None:
        """Return the value of a trailer (``PDE``), empty where it has none; None where the trailer is not there."""
        return next((block.value for block in self.trailers or () if block.tag == code), None)

    @property
    def possible_duplicate(self) -> PossibleDuplicate | None:
        """Return what the message says of an earlier emission of itself, or None."""
        for trailer in self.trailers or ():
            if trailer.tag in _POSSIBLE_DUPLICATES:
                value = trailer.value
                earlier = (value[:4], MessageReference.read(value[4:])) if value else (None, None)
                return PossibleDuplicate(trailer.tag, *earlier)
        return None
