"""The envelope and the business application header (head.001) of the messages that the gateway sends.

One root without a namespace holds header and document side by side::

    <RequestPayload><AppHdr xmlns="...">...</AppHdr><Document xmlns="...">...</Document></RequestPayload>
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import UnreadableMessage
from gateway.messages.fin import is_fin, text_block
from gateway.messages.parsing import ParsedMessage

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_HEADER = (b"<AppHdr ", b"</AppHdr>")
_ANY_HEADER = re.compile(rb"<((?:[\w.-]+:)?AppHdr)[\s>].*?</\1\s*>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class HeaderFields:
    """What the mapping table of the header can name; ``created_at`` as it is written, by ``writing``."""

    sender_bic: str
    receiver_bic: str
    business_message_id: str
    message_definition: str
    created_at: str
    business_service: str | None = None
    possible_duplicate: bool | None = None


def envelope(header: str, opening: str, message: str, closing: str) -> bytes:
    """Put header and document into one envelope: the exact bytes that are validated and sent."""
    return f"{_DECLARATION}<RequestPayload>{header}{opening}{message}{closing}</RequestPayload>".encode()


def fields_of_header(parsed: ParsedMessage, *, possible_duplicate: bool) -> HeaderFields:
    """Take the fields out of the header of a message that the gateway has written."""
    values = [
        parsed.header_value(path)
        for path in (
            "Fr/FIId/FinInstnId/BICFI",
            "To/FIId/FinInstnId/BICFI",
            "BizMsgIdr",
            "MsgDefIdr",
            "CreDt",
            "BizSvc",
        )
    ]
    sender, receiver, identifier, definition, created = [value or "" for value in values[:-1]]
    return HeaderFields(sender, receiver, identifier, definition, created, values[-1], possible_duplicate or None)


def replace_header(content: bytes, header: str) -> bytes:
    """Put another header into a message that the gateway has written; the document's bytes stay as they are."""
    start, end = content.find(_HEADER[0]), content.find(_HEADER[1])
    if start < 0 or end < start:
        raise UnreadableMessage("the message has no header of ours", code="header_missing")
    return content[:start] + header.encode() + content[end + len(_HEADER[1]) :]


def without_header(content: bytes) -> bytes:
    """Return a message of anybody's without its header, as bytes: equal for a message and its marked repeat.

    Any prefix, any envelope; of FIN the text block. Bytes in which no header is found are returned as they are.
    """
    if is_fin(content):
        return text_block(content)
    found = _ANY_HEADER.search(content)
    return content if found is None else content[: found.start()] + content[found.end() :]
