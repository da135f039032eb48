"""The network's own words: acknowledgements and refusals (service 21), explained, and the names of system messages.

What codes and types mean is data: ``schemas/fin/error_codes.txt`` and ``schemas/fin/service_messages.txt``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from gateway.messages.data_files import read_tables
from gateway.messages.fin.message import ACKNOWLEDGEMENT_SERVICE, FIN_SERVICE, FinMessage, TagBlock

_TIME, _VERDICT, _REASON, _USER_REFERENCE = "177", "451", "405", "108"
_CODE: Final = re.compile(r"([A-Z][0-9]{2})([0-9]{3})?")
_MARKED: Final = re.compile(r"\[([A-Z][0-9]{2})\]")  # as some networks that copy FIN write several of them

HowSure = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class NetworkError:
    """One reason of a refusal: its code, the line of the text that it is about, if any, and what the code says.

    The line is within block 4, as the network counts. ``sure`` is None where the table knows neither the code nor its
    letter.
    """

    code: str
    line: int | None
    explanation: str
    sure: HowSure | None


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the network said to a message that was sent into it.

    ``accepted`` is None where it says neither 0 nor 1. ``time`` is the text of field 177 (YYMMDDHHMM, the sender's
    local time), ``reason`` that of 405. ``user_reference`` is the sent message's 108. The logical terminal, session and
    sequence number of ``message.basic_header`` are those of the sent message; ``original`` is that message, where it
    followed.
    """

    message: FinMessage
    accepted: bool | None
    time: str | None
    reason: str | None
    errors: tuple[NetworkError, ...]
    user_reference: str | None
    original: FinMessage | None = None


@dataclass(frozen=True, slots=True)
class ErrorCodes:
    """The table of error codes, by code; ``H..`` is what every other code of the letter H is explained by."""

    rows: dict[str, tuple[str, HowSure, str]]

    def explain(self, code: str, line: int | None = None) -> NetworkError:
        """Explain a code, or say that the table does not know it."""
        row = self.rows.get(code) or self.rows.get(f"{code[:1]}..")
        if row is None:
            return NetworkError(code, line, "a code of a class that the table does not know", None)
        text, sure, _ = row
        return NetworkError(code, line, text.replace("{digits}", code[1:]), sure)


def parse_error_codes(text: str) -> ErrorCodes:
    """Read the table; raises ``ValueError`` with the line that is no row of four columns."""
    rows: dict[str, tuple[str, HowSure, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match [part.strip() for part in line.split("|")]:
            case [code, explanation, "high" | "medium" | "low" as sure, source] if code not in rows:
                rows[code] = explanation, sure, source
            case _:
                raise ValueError(f"line {number} of the error codes is no row of code, explanation, how sure, source")
    return ErrorCodes(rows)


@cache
def error_codes() -> ErrorCodes:
    """Return the table of the gateway's data, read once."""
    return parse_error_codes(read_tables("fin", ".txt")["error_codes.txt"])


def acknowledgements(messages: Iterable[FinMessage]) -> Iterator[Acknowledgement]:
    """Give the acknowledgements among messages, in order, each with its original where that is the next message."""
    waiting: FinMessage | None = None
    for message in messages:
        if waiting is not None:
            yield read_acknowledgement(waiting, message if _of(waiting, message) else None)
        waiting = message if message.basic_header.service_id == ACKNOWLEDGEMENT_SERVICE else None
    if waiting is not None:
        yield read_acknowledgement(waiting)


def read_acknowledgement(message: FinMessage, original: FinMessage | None = None) -> Acknowledgement:
    """Read a message of service 21; raises ``ValueError`` for one of another service."""
    if message.basic_header.service_id != ACKNOWLEDGEMENT_SERVICE:
        raise ValueError(f"service {message.basic_header.service_id} is no acknowledgement")
    said = {block.tag: block.value for block in message.text or () if isinstance(block, TagBlock)}
    reason = said.get(_REASON)
    verdict = {"0": True, "1": False}.get(said.get(_VERDICT, ""))
    return Acknowledgement(
        message, verdict, said.get(_TIME), reason, tuple(_errors(reason or "")), said.get(_USER_REFERENCE), original
    )


def name(message: FinMessage) -> str:
    """Name a message in words: ``MT541``, ``MT010, warning of non-delivery``, ``service 06, logout``."""
    names = _names()
    service = message.basic_header.service_id
    kind = message.message_type
    if service != FIN_SERVICE or kind is None:
        known = names.get(f"service {service}")
        return f"service {service}, {known}" if known else f"service {service}"
    known = names.get(f"type {kind}")
    return f"MT{kind}, {known}" if known else f"MT{kind}"


def is_system_message(message: FinMessage) -> bool:
    """Say whether a message is between a user and the network itself: of a service that is not 01, or a type MT0xx."""
    return message.basic_header.service_id != FIN_SERVICE or (message.message_type or "0").startswith("0")


@cache
def _names() -> dict[str, str]:
    lines = read_tables("fin", ".txt")["service_messages.txt"].splitlines()
    rows = (line.split("|") for line in lines if line and not line.startswith("#"))
    return {key.strip(): text.strip() for key, text in rows}


def _errors(reason: str) -> Iterator[NetworkError]:
    table = error_codes()
    marked = _MARKED.findall(reason)
    for code in marked:
        yield table.explain(code)
    found = None if marked else _CODE.match(reason)
    if found is not None:
        yield table.explain(found[1], int(found[2]) if found[2] else None)


def _of(acknowledgement: FinMessage, message: FinMessage) -> bool:
    """Say whether a message is the one that an acknowledgement is of."""
    said, sent = acknowledgement.basic_header, message.basic_header
    same = (said.session_number, said.sequence_number, said.logical_terminal[:8]) == (
        sent.session_number,
        sent.sequence_number,
        sent.logical_terminal[:8],
    )
    return same and sent.service_id == FIN_SERVICE
