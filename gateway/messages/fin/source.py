"""FIN messages for the rest of the gateway: their definitions as elements, and messages parsed and judged by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.errors import UnreadableMessage, Violation
from gateway.messages.catalogue import MessageDefinition
from gateway.messages.fin.addresses import bic_of
from gateway.messages.fin.elements import HEADER, MOMENT, Element, definition_of, elements_of, header_definition
from gateway.messages.fin.judging import Judge, definition_name
from gateway.messages.fin.message import FinMessage
from gateway.messages.fin.parsing import parse
from gateway.messages.fin.quick import DecidedBy, Extract, QuickReader, usual_blocks
from gateway.messages.parsing import EnvelopeReferences, ParsedMessage

if TYPE_CHECKING:
    from gateway.messages.fin.definitions import Definitions

_VALIDATION_FLAG: Final = "119"
_USER_REFERENCE, _UETR = "108", "121"


class FinMessages:
    """Definitions and messages; the files are read when the first message comes."""

    def __init__(self, load: Callable[[], Definitions]) -> None:
        self._load = load
        self._judge: Judge | None = None

    @property
    def judge(self) -> Judge:
        """Return what judges messages."""
        if self._judge is None:
            self._judge = Judge(self._load())
        return self._judge

    def has(self, definition_id: str) -> bool:
        """Tell whether there is a message type (``MT541``), or the definition of the header."""
        if definition_id == HEADER:
            return True
        return definition_id.startswith("MT") and definition_id in self.judge.definitions.message_types()

    def message(self, definition_id: str) -> MessageDefinition:
        """Return a message type as elements."""
        return header_definition() if definition_id == HEADER else definition_of(definition_id, self.judge.definitions)

    def parse(self, content: bytes) -> ParsedMessage:
        """Parse and judge one message; what it is against is in ``found``.

        Raises ``UnreadableMessage`` with the codes of ``gateway.messages.fin.parse``, or ``fin_message_unknown``.
        """
        message = parse(content)
        if message.message_type is None or (message.fields == () and message.text):
            text = f"service message {message.basic_header.service_id} is no message of a counterparty"
            raise _unreadable("fin_service_message", text, "an acknowledgement, or a message with fields")
        name = definition_name(message.message_type, message.user_value(_VALIDATION_FLAG) or "")
        if not self.has(name):
            known = ", ".join(self.judge.definitions.message_types())
            raise _unreadable("fin_message_unknown", f"there is no definition of {name}", f"one of {known}", name)
        root, violations = self.judge.read(message.fields, name)
        found = (*message.warnings, *violations)
        if not found and (blocks := usual_blocks(content)) is not None:
            self.judge.learn(blocks.text, message.fields, name)
        document = elements_of(root, name, self.judge.definitions)
        values = {
            "sender": _bic(message.sender),
            "receiver": _bic(message.receiver),
            "user_reference": message.user_value(_USER_REFERENCE),
            "uetr": message.user_value(_UETR),
            "possible_duplicate": "true" if message.possible_duplicate is not None else None,
        }
        header = header_of(name, values, document)
        return ParsedMessage(name, HEADER, cast("Any", header), cast("Any", document), (), found=found)

    def quick_reader(self, extract: Extract, decided_by: DecidedBy) -> QuickReader:
        """Return what reads messages of known shapes."""
        return QuickReader(self.judge, extract, header_of, decided_by)

    def envelope_references(self, content: bytes) -> EnvelopeReferences:
        """Say what can be had of a message that cannot be read; empty where it is no message."""
        try:
            message = parse(content)
        except UnreadableMessage:
            return EnvelopeReferences()
        name = message.message_type and definition_name(message.message_type)
        return EnvelopeReferences(name, _reference(message), _bic(message.sender), _bic(message.receiver))


def _unreadable(code: str, text: str, rule: str, value: str | None = None) -> UnreadableMessage:
    return UnreadableMessage(text, code=code, violations=(Violation(code, "/", rule, value, text),))


def _bic(address: str | None) -> str | None:
    return None if address is None else bic_of(address)


def _reference(message: FinMessage) -> str | None:
    """Return the sender's reference: field 20, or 20C with SEME."""
    for field in message.fields:
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
        "created_at": _text_below(document, "98C_PREP", MOMENT),
        **values,
    }
    header = Element("header", "", 1)
    for tag, text in said.items():
        if text is not None:
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
