"""The two headers of a FIN message: what each place holds, read at once or explained place by place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.messages.fin.message import BasicHeader, InputHeader, MalformedHeader, MessageReference, OutputHeader


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    length: int
    pattern: str
    rule: str


def _digits(name: str, length: int) -> _Place:
    return _Place(name, length, f"[0-9]{{{length}}}", f"{length} digits")


def _number(name: str, length: int) -> _Place:
    """Make a place for what is a number in SWIFT's network, and has letters in networks that copy it."""
    return _Place(name, length, f"[0-9A-Z]{{{length}}}", f"{length} digits")


_TERMINAL_RULE = "12 capital letters and digits: BIC of 8, terminal code, branch of 3"
_PRIORITY = _Place("priority", 1, "[SUN]", "S, U or N")


class Header:
    """The places of a header in order; those from ``required`` on may be left out, from the end."""

    def __init__(self, name: str, required: int, *places: _Place) -> None:
        self.name = name
        self._places, self._required = places, required
        optional = "".join(f"(?:({place.pattern})" for place in places[required:])
        self.match = re.compile(
            "".join(f"({place.pattern})" for place in places[:required]) + optional + ")?" * (len(places) - required)
        ).fullmatch
        counts = range(required, len(places) + 1)
        self.lengths = [sum(place.length for place in places[:count]) for count in counts]

    def explain(self, text: str) -> Iterator[tuple[str, str, str]]:
        """Say of a text that does not match what is wrong: what part, what it should be, what it is.

        Of a text that has the wrong length only the first: what follows would be named in vain.
        """
        start = 0
        fits = len(text) in self.lengths
        for index, place in enumerate(self._places):
            part = text[start : start + place.length]
            if not part and index >= self._required:
                return
            if not re.fullmatch(place.pattern, part):
                yield place.name, place.rule, part
                if not fits:
                    return
            start += place.length
        if len(text) > start:
            yield "end", f"nothing after character {start}", text[start:]


_REFERENCE = (
    _digits("date of the input reference", 6),
    _Place("logical terminal of the input reference", 12, "[A-Z0-9]{12}", _TERMINAL_RULE),
    _number("session number of the input reference", 4),
    _number("sequence number of the input reference", 6),
)

BASIC: Final = Header(
    "basic header",
    5,
    _Place("application identifier", 1, "[AFL]", "F (FIN), A or L"),
    _digits("service identifier", 2),
    _Place("logical terminal", 12, "[A-Z0-9]{12}", _TERMINAL_RULE),
    _number("session number", 4),
    _number("sequence number", 6),
)
INPUT: Final = Header(
    "application header",
    3,
    _Place("input or output", 1, "I", "I or O"),
    _digits("message type", 3),
    _Place("receiver", 12, "[A-Z0-9]{12}", _TERMINAL_RULE),
    _PRIORITY,
    _Place("delivery monitoring", 1, "[123]", "1, 2 or 3"),
    _digits("obsolescence period", 3),
)
OUTPUT: Final = Header(
    "application header",
    9,
    _Place("input or output", 1, "O", "I or O"),
    _digits("message type", 3),
    _digits("input time", 4),
    *_REFERENCE,
    _digits("output date", 6),
    _digits("output time", 4),
    _PRIORITY,
)


_TYPED = re.compile("[IO][0-9]{3}")
_INSTITUTION = re.compile("(?:[AFL][0-9]{2}|I[0-9]{3}|O[0-9]{13})([A-Z]{6}[A-Z0-9]{2})")


def application(text: str) -> Header:
    """Return the header that block 2 is to be read as."""
    return OUTPUT if text.startswith("O") else INPUT


def read_basic(text: str) -> BasicHeader | None:
    """Read block 1, or return None."""
    found = BASIC.match(text)
    if found is None:
        return None
    application_id, service_id, terminal, session, sequence = found.groups()
    return BasicHeader(terminal, session, sequence, application_id, service_id)


def read_application(text: str) -> InputHeader | OutputHeader | None:
    """Read block 2, or return None."""
    found = application(text).match(text)
    if found is None:
        return None
    direction, message_type, *rest = found.groups()
    if direction == "I":
        return InputHeader(message_type, *rest)
    time, date, terminal, session, sequence, output_date, output_time, priority = rest
    reference = MessageReference(date, terminal, session, sequence)
    return OutputHeader(message_type, time, reference, output_date, output_time, priority)


def cut_basic(text: str) -> BasicHeader:
    """Cut a block 1 that does not hold where its parts should be; together they are the text."""
    return BasicHeader(text[3:15], text[15:19], text[19:], text[:1], text[1:3])


def cut_application(text: str) -> InputHeader | OutputHeader | MalformedHeader:
    """Cut a block 2 that does not hold where its parts should be; together they are the text."""
    if not _TYPED.match(text):
        return MalformedHeader(text)
    if text.startswith("I"):
        return InputHeader(text[1:4], text[4:16], text[16:17] or None, text[17:18] or None, text[18:] or None)
    reference = MessageReference(text[8:14], text[14:26], text[26:30], text[30:36])
    return OutputHeader(text[1:4], text[4:8], reference, text[36:42], text[42:46], text[46:] or None)


def institution(header: object) -> str | None:
    """Return the BIC of eight that a header names which does not hold, where all before it does; None elsewhere.

    Of a header that is too short nobody knows whether the terminal lacks a character or what follows it.
    """
    found = _INSTITUTION.match(str(header))
    return None if found is None else found[1]
