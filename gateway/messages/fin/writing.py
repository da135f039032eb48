"""Writing a FIN message's bytes from its parts, and the trailers that are added on the way."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest

from gateway.errors import BuildError, UnreadableMessage
from gateway.messages.fin.message import Field, FinMessage, Layout, TagBlock
from gateway.messages.fin.parsing import parse, parse_strictly

_POSSIBLE_DUPLICATE = "PDE"


def write(message: FinMessage) -> bytes:
    """Write a message; one that was parsed gives the bytes that it was parsed from.

    A message made of parts is read back: raises ``BuildError`` with code ``fin_not_writable`` and the violations where
    its parts could not be told apart again (a brace in a value, a line that begins with a colon), or are wrong (a
    foreign character) and not known to be: the faults of a message that was parsed stay with it.
    """
    content = _serialise(message)
    if not message.content:
        _read_back(message, content)
    return content


def with_trailer(message: FinMessage, code: str, value: str = "") -> FinMessage:
    """Return the message with one more trailer, after those that it has; block 5 is made where there is none."""
    if message.trailers is not None:
        return replace(message, trailers=(*message.trailers, TagBlock(code, value)), content=b"")
    gaps = message.layout.gaps
    if gaps:  # the new block comes after block 4, with nothing before it
        place = len(gaps) - len(message.user_blocks) - 1
        gaps = (*gaps[:place], "", *gaps[place:])
    layout = replace(message.layout, gaps=gaps)
    return replace(message, trailers=(TagBlock(code, value),), layout=layout, content=b"")


def without_trailer(message: FinMessage, code: str) -> FinMessage:
    """Return the message without the trailers of a code; block 5 stays where it held others, and goes with its last."""
    if message.trailer(code) is None:
        return message
    kept = tuple(trailer for trailer in message.trailers or () if trailer.tag != code)
    gaps = message.layout.gaps
    if gaps and not kept:
        place = len(gaps) - len(message.user_blocks) - 2
        gaps = (*gaps[:place], gaps[place] + gaps[place + 1], *gaps[place + 2 :])
    layout = replace(message.layout, gaps=gaps)
    return replace(message, trailers=kept or None, layout=layout, content=b"")


def mark_possible_duplicate(content: bytes) -> bytes:
    """Return a message with the possible-duplicate trailer (PDE); every other byte stays as it is.

    A message that has the mark already is returned as it is. Raises ``UnreadableMessage``.
    """
    message = parse_strictly(content)
    if message.trailer(_POSSIBLE_DUPLICATE) is not None:
        return content
    return write(with_trailer(message, _POSSIBLE_DUPLICATE))


def _serialise(message: FinMessage) -> bytes:
    blocks = [f"{{1:{message.basic_header}}}"]
    if message.application_header is not None:
        blocks.append(f"{{2:{message.application_header}}}")
    if message.user_header is not None:
        blocks.append(f"{{3:{_joined(message.user_header)}}}")
    if message.text is not None:
        blocks.append(_text(message.text, message.layout))
    if message.trailers is not None:
        blocks.append(f"{{5:{_joined(message.trailers)}}}")
    blocks += map(str, message.user_blocks)
    gaps = message.layout.gaps
    pieces = chain.from_iterable(zip_longest(gaps, blocks, fillvalue="")) if gaps else blocks
    return "".join(pieces).encode("latin-1", errors="replace")


def _joined(blocks: tuple[TagBlock, ...]) -> str:
    return "".join(map(str, blocks))


def _text(text: tuple[Field, ...] | tuple[TagBlock, ...], layout: Layout) -> str:
    if text and isinstance(text[0], TagBlock):
        return f"{{4:{''.join(map(str, text))}}}"
    lines = "".join([f"\n:{field.tag}:{field.value}" for field in text if isinstance(field, Field)])
    if layout.opening != "\n" and lines:
        lines = layout.opening + lines[1:]
    lines = f"{{4:{lines}{layout.closing}"
    return lines if layout.line_end == "\n" else lines.replace("\n", layout.line_end)


def _read_back(message: FinMessage, content: bytes) -> None:
    try:
        written = parse(content)
    except UnreadableMessage as error:
        raise BuildError(error.text, code="fin_not_writable", violations=error.violations) from None
    if _faults(written) != _faults(message):
        first = written.faults[0].text if written.faults else "the faults that it was read with are not there"
        raise BuildError(first, code="fin_not_writable", violations=written.faults)
    if _parts(written) != _parts(message):
        raise BuildError("the message would be read as another one than was to be written", code="fin_not_writable")


def _faults(message: FinMessage) -> list[tuple[str, str, str | None]]:
    return [(fault.code, fault.path, fault.value) for fault in message.faults]


def _parts(message: FinMessage) -> tuple[object, ...]:
    text = [(part.tag, part.value) for part in message.text] if message.text is not None else None
    return (
        message.basic_header,
        message.application_header,
        message.user_header,
        text,
        message.trailers,
        message.user_blocks,
    )
