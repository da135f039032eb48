"""FIN messages for the rest of the gateway: their definitions as elements, and messages parsed and judged by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.errors import UnreadableMessage, Violation
from gateway.messages.catalogue import MessageDefinition
from gateway.messages.fin.acknowledgements import Acknowledgement, NetworkWords
from gateway.messages.fin.addresses import bic_of
from gateway.messages.fin.elements import (
    ACKNOWLEDGEMENT,
    HEADER,
    HEADER_ELEMENTS,
    MOMENT,
    Element,
    acknowledgement_definition,
    definition_of,
    elements_of,
    header_definition,
)
from gateway.messages.fin.files import split
from gateway.messages.fin.headers import institution
from gateway.messages.fin.judging import Judge, definition_name
from gateway.messages.fin.message import ACKNOWLEDGEMENT_SERVICE, FinMessage, InputHeader, OutputHeader
from gateway.messages.fin.parsing import parse, parse_strictly
from gateway.messages.fin.quick import DecidedBy, Extract, QuickReader, usual_blocks
from gateway.messages.fin.violations import MAX_VIOLATIONS, unreadable
from gateway.messages.parsing import EnvelopeReferences, ParsedMessage

if TYPE_CHECKING:
    from gateway.messages.fin.definitions import Definitions

_VALIDATION_FLAG: Final = "119"
_USER_REFERENCE, _UETR = "108", "121"
_FIXED: Final = {HEADER: header_definition, ACKNOWLEDGEMENT: acknowledgement_definition}
_ACKNOWLEDGED: Final = re.compile(rb"\s*\{1:F" + ACKNOWLEDGEMENT_SERVICE.encode())


class FinMessages:
    """Definitions and messages; the files are read when the first message comes."""

    def __init__(self, load: Callable[[], Definitions], load_words: Callable[[], NetworkWords]) -> None:
        self._load = load
        self._load_words = load_words
        self._judge: Judge | None = None
        self._words: NetworkWords | None = None

    @property
    def judge(self) -> Judge:
        """Return what judges messages."""
        if self._judge is None:
            self._judge = Judge(self._load())
        return self._judge

    def has(self, definition_id: str) -> bool:
        """Tell whether there is a message type (``MT541``), or the definition of the header."""
        if definition_id in _FIXED:
            return True
        return definition_id.startswith("MT") and definition_id in self.judge.definitions.message_types()

    def message(self, definition_id: str) -> MessageDefinition:
        """Return a message type as elements."""
        fixed = _FIXED.get(definition_id)
        return definition_of(definition_id, self.judge.definitions) if fixed is None else fixed()

    def parse(self, content: bytes) -> ParsedMessage:
        """Parse and judge one message; what it is against is in ``found``, its faults first.

        An acknowledgement may be followed by the message that it is of. Raises ``UnreadableMessage`` with the codes of
        ``gateway.messages.fin.parse``, or ``fin_message_unknown``; with the faults of a message that has some and of
        which nothing else can be judged.
        """
        messages = split(content).messages if _ACKNOWLEDGED.match(content) else ()
        message = parse(messages[0] if messages else content)
        if message.basic_header.service_id == ACKNOWLEDGEMENT_SERVICE:
            return self._acknowledgement(message, messages[1:])
        if message.message_type is None or (message.fields == () and message.text):
            if message.faults:
                raise unreadable(message.faults)
            text = f"service message {message.basic_header.service_id} is no message of a counterparty"
            raise _unreadable("fin_service_message", text, "an acknowledgement, or a message with fields")
        name = definition_name(message.message_type, message.user_value(_VALIDATION_FLAG) or "")
        if not self.has(name):
            if message.faults:
                raise unreadable(message.faults)
            known = ", ".join(self.judge.definitions.message_types())
            raise _unreadable("fin_message_unknown", f"there is no definition of {name}", f"one of {known}", name)
        root, violations = self.judge.read(message.fields, name)
        found = (*message.faults, *message.warnings, *_beside(message.faults, violations))[:MAX_VIOLATIONS]
        if not found and (blocks := usual_blocks(content)) is not None:
            self.judge.learn(blocks.text, message.fields, name)
        document = elements_of(root, name, self.judge.definitions)
        sender, receiver = _parties(message)
        values = {
            "sender": sender,
            "receiver": receiver,
            "user_reference": message.user_value(_USER_REFERENCE),
            "uetr": message.user_value(_UETR),
            "possible_duplicate": "true" if message.possible_duplicate is not None else None,
        }
        header = header_of(name, values, document)
        return ParsedMessage(name, HEADER, cast("Any", header), cast("Any", document), (), found=found)

    def quick_reader(self, extract: Extract, decided_by: DecidedBy) -> QuickReader:
        """Return what reads messages of known shapes."""
        return QuickReader(self.judge, extract, header_of, decided_by)

    def _acknowledgement(self, message: FinMessage, following: Sequence[bytes]) -> ParsedMessage:
        """Read what the network says; what follows and cannot be read takes nothing from it."""
        if self._words is None:
            self._words = self._load_words()
        original: FinMessage | None = None
        if len(following) == 1:
            with suppress(UnreadableMessage):
                original = parse_strictly(following[0])
        elif following:
            text = f"{len(following)} messages follow an acknowledgement"
            raise _unreadable("fin_several_messages", text, "an acknowledgement, and at most the message that it is of")
        said = _acknowledgement_element(self._words.read(message, original))
        header = Element("header", "", 1)
        return ParsedMessage(
            ACKNOWLEDGEMENT,
            HEADER,
            cast("Any", header),
            cast("Any", said),
            (),
            found=(*message.faults, *message.warnings),
        )

    def envelope_references(self, content: bytes) -> EnvelopeReferences:
        """Say what can be had of a message that cannot be read; empty where it is no message."""
        try:
            message = parse(content)
        except UnreadableMessage:
            return EnvelopeReferences()
        name = message.message_type and definition_name(message.message_type)
        return EnvelopeReferences(name, _reference(message), *_parties(message))


def _beside(faults: Sequence[Violation], violations: Sequence[Violation]) -> list[Violation]:
    """Leave out what is said of lines that have a fault in the text: it would be said twice."""
    lines = {fault.line for fault in faults if fault.path == "/4"}
    return [violation for violation in violations if violation.line not in lines]


def _unreadable(code: str, text: str, rule: str, value: str | None = None) -> UnreadableMessage:
    return UnreadableMessage(text, code=code, violations=(Violation(code, "/", rule, value, text),))


def _acknowledgement_element(said: Acknowledgement) -> Element:
    lines = dict.fromkeys(str(error.line) for error in said.errors if error.line is not None)
    original = said.original
    values = {
        "verdict": None if said.accepted is None else ("accepted" if said.accepted else "refused"),
        "message": said.user_reference or (original and (original.user_value(_USER_REFERENCE) or _reference(original))),
        "code": " ".join(error.code for error in said.errors) or said.reason,
        "line": f"line {', '.join(lines)} of the text" if lines else None,
        "explanation": "; ".join(error.explanation for error in said.errors) or None,
    }
    element = Element(ACKNOWLEDGEMENT, "", 1)
    for name, text in values.items():
        if text:
            element.append(Element(name, name, 1, text))
    document = Element("Document", "", 1)
    document.append(element)
    return document


def _bic(address: str | None) -> str | None:
    return None if address is None else bic_of(address)


def _parties(message: FinMessage) -> tuple[str | None, str | None]:
    """Return the BICs of sender and receiver; of headers with faults no more than the institutions."""
    if not any(fault.path in ("/1", "/2") for fault in message.faults):
        return _bic(message.sender), _bic(message.receiver)
    own, other = institution(message.basic_header), institution(message.application_header)
    match message.application_header:
        case InputHeader():
            return own, other
        case OutputHeader():
            return other, own
    return None, None


def _reference(message: FinMessage) -> str | None:
    """Return the sender's reference: field 20, or 20C with SEME; none that stands on a line with a fault."""
    wrong = {fault.line for fault in message.faults}
    for field in (field for field in message.fields if field.line not in wrong):
        if field.tag == "20":
            return field.value
        if field.tag == "20C" and field.value.startswith(":SEME//"):
            return field.value.removeprefix(":SEME//")
    return None


def header_of(definition: str, values: Mapping[str, str | None], document: Element) -> Element:
    """Make the header of a message: what its blocks say, and of its text the reference and when it was prepared."""
    said = {
        "message_type": definition,
        "reference": _text_below(document, "20C_SEME") or _text_below(document, "20"),
        "created_at": _text_below(document, "98C_PREP", MOMENT) or _text_below(document, "98E_PREP", MOMENT),
        **values,
    }
    header = Element("header", "", 1)
    for tag in HEADER_ELEMENTS:  # in their order, as they are read
        if (text := said.get(tag)) is not None:
            header.append(Element(tag, tag, 1, text))
    return header


def _text_below(element: Element, tag: str, name: str | None = None) -> str | None:
    """Return the text of the first field of a tag: of its component of a name, or its first one."""
    for child in element:
        if child.tag == f"{{}}{tag}":
            return next((part.text for part in child if name is None or part.tag == f"{{}}{name}"), None)
        if (text := _text_below(child, tag, name)) is not None:
            return text
    return None
