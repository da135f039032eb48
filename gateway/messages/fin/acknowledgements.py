"""The network's own words: acknowledgements and refusals (service 21), explained, and the names of system messages.

What codes and types mean is data: ``schemas/fin/error_codes.txt`` and ``schemas/fin/service_messages.txt``, read by
``schema_files.load_network_words``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import ConfigError
from gateway.messages.fin.message import ACKNOWLEDGEMENT_SERVICE, FIN_SERVICE, FinMessage, TagBlock

_TIME, _VERDICT, _REASON, _USER_REFERENCE = "177", "451", "405", "108"
_UNCLOSED: Final = "{108:"  # some interfaces leave the reason open, and the reference ends up in it
_CODE: Final = re.compile(r"([A-Z][0-9]{2})([0-9]{3})?")
_MARKED: Final = re.compile(r"\[([A-Z][0-9]{2})\]")  # as some networks that copy FIN write several of them


@dataclass(frozen=True, slots=True)
class NetworkError:
    """One reason of a refusal: its code, the line of the text that it is about, if any, and what the code says.

    The line is within block 4, as the network counts. ``sure`` is high, medium or low; None where the table knows
    neither the code nor its letter.
    """

    code: str
    line: int | None
    explanation: str
    sure: str | None


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


class NetworkWords:
    """What codes and types mean; made of the texts of ``error_codes.txt`` and ``service_messages.txt``.

    Raises ``ConfigError`` with the line that is no row. A code ``H..`` explains every code of the letter H that has no
    row of its own.
    """

    def __init__(self, error_codes: str, service_messages: str) -> None:
        self.errors = _table(error_codes, "error_codes.txt", "code, explanation, how sure, source")
        self.names = _table(service_messages, "service_messages.txt", "service or type with its number, name")

    def explain(self, code: str, line: int | None = None) -> NetworkError:
        """Explain an error code, or say that the table does not know it."""
        row = self.errors.get(code) or self.errors.get(f"{code[:1]}..")
        if row is None:
            return NetworkError(code, line, "a code of a class that the table does not know", None)
        text, sure, _ = row
        return NetworkError(code, line, text.replace("{digits}", code[1:]), sure)

    def name(self, message: FinMessage) -> str:
        """Name a message in words: ``MT541``, ``MT010, warning of non-delivery``, ``service 06, logout``."""
        service, kind = message.basic_header.service_id, message.message_type
        if service != FIN_SERVICE or kind is None:
            return self._named(f"service {service}", f"service {service}")
        return self._named(f"MT{kind}", f"type {kind}")

    def acknowledgements(self, messages: Iterable[FinMessage]) -> Iterator[Acknowledgement]:
        """Give the acknowledgements among messages, in order, each with its original where that is the next message."""
        waiting: FinMessage | None = None
        for message in messages:
            if waiting is not None:
                yield self.read(waiting, message if _of(waiting, message) else None)
            waiting = message if message.basic_header.service_id == ACKNOWLEDGEMENT_SERVICE else None
        if waiting is not None:
            yield self.read(waiting)

    def read(self, message: FinMessage, original: FinMessage | None = None) -> Acknowledgement:
        """Read a message of service 21; raises ``ValueError`` for one of another service."""
        if message.basic_header.service_id != ACKNOWLEDGEMENT_SERVICE:
            raise ValueError(f"service {message.basic_header.service_id} is no acknowledgement")
        said = {block.tag: block.value for block in message.text or () if isinstance(block, TagBlock)}
        reason, unclosed, swallowed = (said.get(_REASON) or "").partition(_UNCLOSED)
        verdict = {"0": True, "1": False}.get(said.get(_VERDICT, ""))
        reference = swallowed if unclosed else said.get(_USER_REFERENCE)
        errors = tuple(self._errors(reason))
        return Acknowledgement(message, verdict, said.get(_TIME), reason or None, errors, reference, original)

    def _named(self, text: str, key: str) -> str:
        row = self.names.get(key)
        return text if row is None else f"{text}, {row[0]}"

    def _errors(self, reason: str) -> Iterator[NetworkError]:
        marked = _MARKED.findall(reason)
        for code in marked:
            yield self.explain(code)
        found = None if marked else _CODE.match(reason)
        if found is not None:
            yield self.explain(found[1], int(found[2]) if found[2] else None)


def is_system_message(message: FinMessage) -> bool:
    """Say whether a message is between a user and the network itself: of a service that is not 01, or a type MT0xx."""
    return message.basic_header.service_id != FIN_SERVICE or (message.message_type or "0").startswith("0")


def _table(text: str, name: str, columns: str) -> dict[str, list[str]]:
    """Read the rows of a table by their first column."""
    rows: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            key, *others = [part.strip() for part in line.split("|")]
            if key in rows or len(others) != columns.count(","):
                raise ConfigError(f"{name}, line {number}: expected a row not stated before: {columns}")
            rows[key] = others
    return rows


def _of(acknowledgement: FinMessage, message: FinMessage) -> bool:
    """Say whether a message is the one that an acknowledgement is of."""
    said, sent = acknowledgement.basic_header, message.basic_header
    same = (said.session_number, said.sequence_number, said.logical_terminal[:8]) == (
        sent.session_number,
        sent.sequence_number,
        sent.logical_terminal[:8],
    )
    return same and sent.service_id == FIN_SERVICE and not message.faults
