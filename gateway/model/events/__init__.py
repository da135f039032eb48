"""Trade events: what upstream asks for, as versioned JSON, and how bytes become one.

``EVENT_KINDS`` names every kind. A kind is a closed type whose ``schema`` is its name and major version;
within a major version only optional fields are added. ``parse_event`` refuses with every violation at once.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
from collections.abc import Callable
from functools import lru_cache, reduce
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from pydantic import Field, TypeAdapter, ValidationError

from gateway.errors import EventError
from gateway.model import refusals
from gateway.model.event import Event
from gateway.model.events import (
    administration,
    allegement,
    confirmation,
    financing,
    foreign_exchange,
    intra_position,
    payment,
    settlement,
    statement,
    technical,
)
from gateway.model.events.kinds import CANCELLATION, EventKind

__all__ = [
    "CANCELLATION",
    "EVENT_KINDS",
    "MAX_EVENT_BYTES",
    "TRADE_EVENT",
    "EventKind",
    "TradeEvent",
    "event_digest",
    "parse_event",
]

MAX_EVENT_BYTES = 1_000_000

TradeEvent: TypeAlias = Event

EVENT_KINDS: Final[dict[str, EventKind]] = {
    **settlement.KINDS,
    **confirmation.KINDS,
    **allegement.KINDS,
    **foreign_exchange.KINDS,
    **technical.KINDS,
    **statement.KINDS,
    **financing.KINDS,
    **intra_position.KINDS,
    **administration.KINDS,
    **payment.KINDS,
}
"""Every kind of event by its ``schema``: name and major version."""

_ANY: Any = reduce(operator.or_, (kind.model for kind in EVENT_KINDS.values()))
TRADE_EVENT: TypeAdapter[TradeEvent] = TypeAdapter(Annotated[_ANY, Field(discriminator="event_schema")])
"""All kinds at once, told apart by ``schema``: the JSON Schema of the topic."""

_READ: Final[dict[str, Callable[[bytes | str], TradeEvent]]] = {
    name: TypeAdapter(kind.model).validator.validate_json for name, kind in EVENT_KINDS.items()
}

_SCHEMA = re.compile(rb'"schema"\s*:\s*"([a-z_]+/[0-9]+)"')
_EXACT_DIGITS = 15  # what a binary float holds for sure
_LONG = b"\\u0000"


def _as_written(number: str) -> str:
    """Keep the text of a number that is no integer; one that a binary float may change gets a mark."""
    return number if len(number) <= _EXACT_DIGITS else f"{number}\0"


_decode = msgspec.json.Decoder(float_hook=_as_written).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def parse_event(content: bytes) -> TradeEvent:
    """Read one trade event.

    Raises ``EventError`` with every violation: the event cannot be decoded, its schema is unknown, a field is unknown,
    missing or invalid, a rule across fields is broken. Numbers are read exactly; a repeated key is refused.
    """
    named = _SCHEMA.search(content)
    read = _READ.get(named[1].decode()) if named else None
    if read is not None and _is_plain(content):
        try:
            return read(content)
        except ValidationError:
            pass  # read again with care, to say everything that is wrong
    return _parse_with_care(content)


def _is_plain(content: bytes) -> bool:
    """Tell whether pydantic alone reads these bytes right: no repeated key, no number beyond a binary float, no null.

    Colons are counted before and after decoding: every key has one, and without a backslash those in strings stay as
    they are, so that the counts are equal only when no key was lost.
    """
    if len(content) > MAX_EVENT_BYTES or b"\\" in content:
        return False
    compact = _canonical(content)
    if compact is None or _LONG in compact or b":null" in compact or b":[]" in compact:
        return False
    return content.count(b":") == compact.count(b":")


@lru_cache(maxsize=4)  # an event is parsed and then digested
def _canonical(content: bytes) -> bytes | None:
    """Return the JSON without white space and with its keys sorted, numbers as they were written; None for no JSON."""
    try:
        return _encode_sorted(_decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


def _parse_with_care(content: bytes) -> TradeEvent:
    if len(content) > MAX_EVENT_BYTES:
        raise EventError("the event is too large", violations=[refusals.too_large(len(content), MAX_EVENT_BYTES)])
    document, violations = refusals.decode(content)
    if isinstance(document, dict):
        kind = EVENT_KINDS.get(str(document.get("schema")))
        if kind is None:
            violations.append(refusals.unknown_schema(document, list(EVENT_KINDS)))
        else:
            try:
                event = _READ[document["schema"]](json.dumps(document))
            except ValidationError as error:
                violations += refusals.explain(document, kind.model, error)
            else:
                if not violations:
                    return event
    raise EventError(refusals.summary(violations), violations=refusals.with_lines(violations, content))


def event_digest(content: bytes) -> bytes:
    """Return the SHA-256 of an event's content, blind to white space and to the order of keys.

    Bytes that are no JSON are digested as they are.
    """
    return hashlib.sha256(_canonical(content) or content).digest()
