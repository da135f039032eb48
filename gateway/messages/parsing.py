"""Hardened XML parsing, and finding the header and the document in whatever envelope they travel in.

No entities, no network, no document type definition, bounded size and depth. An envelope is any element, under any
prefix and namespace, that holds an ``AppHdr`` and a ``Document`` at any level, or one of them alone; ``Xchg``
(head.002) is an envelope and a message of its own. Some networks leave ``Document`` out: it is put back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Final, cast

from lxml import etree

from gateway.errors import UnreadableMessage, Violation

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 256  # the depth at which libxml2 itself stops

_DEFINITION = re.compile(r"[a-z]{4}\.[0-9]{3}\.[0-9]{3}\.[0-9]{2}$")
_WHITE_SPACE = (b"\n", b" ", b"\r", b"\t")
_NO_DOCUMENT = 4  # XML_ERR_DOCUMENT_EMPTY: no tag begins it
_RESOURCE_LIMIT = 114  # XML_ERR_RESOURCE_LIMIT: below ten megabytes only depth and entities reach it
_VALUE_LIMIT = 140
_PAIR = 2  # the usual envelope: a header and a document side by side

Identify = Callable[[str], str | None]


@dataclass(slots=True)
class ParsedMessage:
    """A parsed business message: the definitions of its header and document, and their elements.

    ``message_definition`` is None for a header that travels alone. ``header_definition`` is None where there is no
    header, or one that is the envelope's own and not an ISO 20022 header; its values can be asked for all the same.
    ``parts`` are the elements to validate, each with its definition. A FIN message has none: it was judged when it was
    parsed, ``found`` is what it is against; its elements are read like those of the others.
    """

    message_definition: str | None
    header_definition: str | None
    header: etree._Element | None
    document: etree._Element | None
    parts: tuple[tuple[str, etree._Element], ...]
    line_offset: int = 0
    found: tuple[Violation, ...] = ()

    @property
    def named(self) -> str | None:
        """Return what a refusal calls the message: its definition; of FIN also the reference, and who sent it."""
        name = self.message_definition or self.header_definition
        if self.parts or self.header is None:
            return name
        said = {element.tag.rpartition("}")[2]: element.text for element in self.header}
        sender = f"from {said['sender']}" if "sender" in said else None
        return " ".join(part for part in (name, said.get("reference"), sender) if part)

    def header_value(self, path: str) -> str | None:
        """Return the text of the first element at a path of short tags below the header (``CreDt``), or None."""
        return next(_values(self.header, path), None)

    def document_value(self, path: str) -> str | None:
        """Return the text of the first element at a path of short tags below the document, or None."""
        return next(_values(self.document, path), None)

    def document_values(self, path: str) -> list[str]:
        """Return the texts of all elements at a path of short tags below the document, in order."""
        return list(_values(self.document, path))

    def line(self, element: etree._Element) -> int | None:
        """Return the line of the bytes, from 1, on which an element starts."""
        return _line(element, self.line_offset)


@dataclass(frozen=True, slots=True)
class EnvelopeReferences:
    """What can be said of a message that cannot be read: definition, header identifier, sender and receiver, if any."""

    message_definition: str | None = None
    business_message_id: str | None = None
    sender: str | None = None
    receiver: str | None = None


class Parser:
    """Parse bytes into a ``ParsedMessage``; ``identify`` says which definition a namespace stands for, or None."""

    def __init__(self, identify: Identify, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> None:
        self._identify = identify
        self._places: dict[str, _Place] = {}
        self._pairs: dict[tuple[str, str, str], tuple[str, str]] = {}  # tags of root, header and document beside it
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._too_deep = etree.XPath("boolean(/" + "*/" * max_depth + "*)") if max_depth < MAX_DEPTH else None
        self._xml = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            dtd_validation=False,
            huge_tree=False,
            remove_comments=True,  # else a comment inside a value would cut the value short
            remove_pis=True,
        )

    def parse(self, content: bytes) -> ParsedMessage:
        """Parse one message.

        Raises ``UnreadableMessage`` with one violation; codes ``xml_malformed``, ``xml_too_large``, ``xml_too_deep``,
        ``xml_forbidden``, ``envelope_unknown``, ``envelope_ambiguous``, ``definition_unknown``.
        """
        root, line_offset = self._root(content)
        if len(root) != _PAIR:
            return self._open(root, line_offset)
        header, document = root
        tags = root.tag, header.tag, document.tag
        known = self._pairs.get(tags)
        if known is not None:
            message, heading = known
            return ParsedMessage(
                message, heading, header, document, ((heading, header), (message, document)), line_offset
            )
        parsed = self._open(root, line_offset)
        match parsed.parts:
            case ((heading, first), (message, second)) if first is parsed.header and second is parsed.document:
                if first is header and second is document and len(self._pairs) < _PLACES_KEPT:
                    self._pairs[tags] = message, heading
        return parsed

    def envelope_references(self, content: bytes) -> EnvelopeReferences:
        """Say what can be had of a message that is to be parked, whatever is wrong with it; empty when it is no XML."""
        try:
            root, _ = self._root(content)
        except UnreadableMessage:
            return EnvelopeReferences()
        found = self._locate(root)
        header = next((element for kind, _, element in found if kind is _Kind.HEADER), None)
        document = next((element for kind, _, element in found if kind is _Kind.DOCUMENT), None)
        definition = None if document is None else _tail(_namespace(document))
        return EnvelopeReferences(
            definition or next(_values(header, "MsgDefIdr"), None),
            next(_values(header, "BizMsgIdr"), None),
            _party(header, "Fr"),
            _party(header, "To"),
        )

    def _root(self, content: bytes) -> tuple[etree._Element, int]:
        if len(content) > self._max_bytes:
            raise unreadable(
                "xml_too_large",
                f"the message has {len(content)} bytes; at most {self._max_bytes} are accepted",
                f"at most {self._max_bytes} bytes",
                value=str(len(content)),
            )
        line_offset = 0
        if content.startswith(_WHITE_SPACE):  # often met before the XML declaration, where XML forbids it
            stripped = content.lstrip()
            line_offset = content.count(b"\n", 0, len(content) - len(stripped))
            content = stripped
        try:
            root = etree.fromstring(content, self._xml)
        except etree.XMLSyntaxError as error:
            raise self._refusal(error, content, line_offset) from None
        if root.getroottree().docinfo.internalDTD is not None:
            raise _forbidden()
        if self._too_deep is not None and self._too_deep(root):
            raise self._deep()
        return root, line_offset

    def _refusal(self, error: etree.XMLSyntaxError, content: bytes, line_offset: int) -> UnreadableMessage:
        line = (error.position[0] or 1) + line_offset
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            return _forbidden()
        if getattr(error, "code", None) == _RESOURCE_LIMIT:
            return self._deep(line)
        if getattr(error, "code", None) == _NO_DOCUMENT:
            return unreadable(
                "xml_malformed",
                "the message is neither XML nor FIN" if content else "the message is empty",
                "XML, which begins with <, or FIN with its headers, which begins with {1:",
                line=line,
            )
        reason = (error.msg or "no XML").strip()
        return unreadable(
            "xml_malformed", f"the message is not well-formed XML: {reason}", "well-formed XML 1.0", line=line
        )

    def _deep(self, line: int | None = None) -> UnreadableMessage:
        return unreadable(
            "xml_too_deep",
            f"the elements of the message are nested more than {self._max_depth} deep",
            f"at most {self._max_depth} levels of elements",
            line=line,
        )

    def _open(self, root: etree._Element, line_offset: int) -> ParsedMessage:
        header = document = business_file = message_definition = header_definition = None
        headers = documents = 0
        parts = []
        for kind, definition, element in self._locate(root):
            if definition is not None:
                parts.append((definition, element))
            elif _tail(_namespace(element)) is not None:
                raise self._unknown(element, line_offset)
            if kind is _Kind.HEADER:
                header, header_definition, headers = element, definition, headers + 1
            elif kind is _Kind.DOCUMENT:
                document, message_definition, documents = element, definition, documents + 1
            else:
                business_file = element
        if business_file is not None and (documents != 1 or headers > 1):  # many messages, or none: a message itself
            return ParsedMessage(parts[0][0], None, None, business_file, tuple(parts), line_offset)
        if headers > 1 or documents > 1:
            raise unreadable(
                "envelope_ambiguous",
                f"the envelope holds {headers} headers and {documents} documents; one message is expected",
                "at most one AppHdr and one Document",
            )
        if not parts:
            name = etree.QName(root)
            raise unreadable(
                "envelope_unknown",
                f"no business application header and no document of ISO 20022 in <{name.localname}> "
                f"(namespace {name.namespace or 'none'})",
                "an AppHdr or a Document in an ISO 20022 namespace, at any level",
                value=name.text,
            )
        return ParsedMessage(message_definition, header_definition, header, document, tuple(parts), line_offset)

    def _unknown(self, element: etree._Element, line_offset: int) -> UnreadableMessage:
        namespace = _namespace(element)
        return unreadable(
            "definition_unknown",
            f"message definition {_tail(namespace)} (namespace {namespace}) is not in the schema dictionary; "
            "import its XSD with: gateway schemas import FILE",
            "a definition that `gateway schemas list` names; others are added with `gateway schemas import FILE`",
            value=namespace,
            path=f"/{etree.QName(element).localname}",
            line=_line(element, line_offset),
        )

    def _locate(self, root: etree._Element) -> list[_Located]:
        """Return the business files, headers and documents of an envelope, in document order."""
        found: list[_Located] = []
        pending = [root]
        documents = False
        while pending:
            element = pending.pop()
            tag = element.tag
            place = self._places.get(tag)
            if place is None:
                place = self._place(tag)
                if len(self._places) < _PLACES_KEPT:
                    self._places[tag] = place
            kind, definition = place
            if kind is not _Kind.ENVELOPE:
                found.append((kind, definition, element))
                documents = documents or kind is _Kind.DOCUMENT
            if kind is _Kind.ENVELOPE or kind is _Kind.FILE:
                pending.extend(reversed(element))
        if not documents:
            found += self._bare_messages(root)
        return found

    def _place(self, tag: str) -> _Place:
        """Say what an element of a tag is in an envelope, and the definition of its namespace where it is known."""
        namespace, _, name = tag.rpartition("}")
        namespace = namespace[1:]
        definition = self._identify(namespace)
        standard = definition or _tail(namespace)
        if name == "AppHdr":
            return _Kind.HEADER, definition
        if name == "Document" and standard is not None:
            return _Kind.DOCUMENT, definition
        if name == "Xchg" and standard is not None and standard.startswith("head.002."):
            return _Kind.FILE, definition
        return _Kind.ENVELOPE, None

    def _bare_messages(self, root: etree._Element) -> list[_Located]:
        """Return the outermost elements in a message's namespace that have no ``Document``, and put one around each."""
        found: list[_Located] = []
        pending = [root]
        while pending:
            element = pending.pop()
            namespace = _namespace(element)
            definition = self._identify(namespace)
            standard = definition or _tail(namespace)
            if standard is not None and not standard.startswith(("head.", "nvlp.")):
                found.append((_Kind.DOCUMENT, definition, _with_document(element)))
            elif etree.QName(element).localname not in ("AppHdr", "Document"):  # a Document elsewhere is wrong
                pending.extend(reversed(element))
        return found


class _Kind(Enum):
    """What an element is in an envelope."""

    ENVELOPE = auto()
    FILE = auto()  # Xchg: an envelope and a message
    HEADER = auto()
    DOCUMENT = auto()


_Place = tuple[_Kind, str | None]
_Located = tuple[_Kind, str | None, etree._Element]
_PLACES_KEPT = 1_000  # tags of envelopes remembered; a bound, since a sender may invent them


def unreadable(
    code: str, text: str, rule: str, *, value: str | None = None, path: str = "/", line: int | None = None
) -> UnreadableMessage:
    """Make the error of a message that cannot be read, with the one violation that says why."""
    value = value if value is None else value[:_VALUE_LIMIT]
    return UnreadableMessage(text, code=code, violations=(Violation(code, path, rule, value, text, line),))


def _forbidden() -> UnreadableMessage:
    return unreadable(
        "xml_forbidden",
        "the message has a document type definition, which may hide entities; none is accepted",
        "no DOCTYPE and no entity declarations",
    )


def _with_document(message: etree._Element) -> etree._Element:
    namespace = _namespace(message)
    document = etree.Element(f"{{{namespace}}}Document", nsmap={None: namespace})  # type: ignore[dict-item]  # the stubs lack None
    document.append(message)
    return document


def _namespace(element: etree._Element) -> str:
    return element.tag.rpartition("}")[0][1:]


def _tail(namespace: str) -> str | None:
    """Return the definition identifier a namespace ends with, whether known or not."""
    match = _DEFINITION.search(namespace)
    return match[0] if match else None


def _line(element: etree._Element, line_offset: int) -> int | None:
    line = cast("int | None", element.sourceline)  # the stubs know it as an ellipsis
    return None if line is None else line + line_offset


def _values(element: etree._Element | None, path: str) -> Iterator[str]:
    if element is None:
        return
    for found in element.iterfind("/".join("{*}" + name for name in path.split("/"))):
        if found.text is not None:
            yield found.text


_PARTIES = (
    "FIId/FinInstnId/BICFI",
    "OrgId/Id/OrgId/AnyBIC",
    "OrgId/Id/OrgId/BICOrBEI",
    "FIId/FinInstnId/ClrSysMmbId/MmbId",
)


def _party(header: etree._Element | None, side: str) -> str | None:
    return next((value for path in _PARTIES for value in _values(header, f"{side}/{path}")), None)


def position(element: etree._Element) -> int:
    """Return the place of an element, from 1, among its siblings of the same tag."""
    return 1 + sum(1 for _ in element.itersiblings(element.tag, preceding=True))


def element_path(element: etree._Element) -> str:
    """Return the path of short tags from the root (``/Document/X/Rsn[2]/Cd``), with positions where a tag repeats."""
    if not isinstance(element, etree._Element):
        return str(element.path)  # of a FIN message, which says it
    steps = []
    step: etree._Element | None = element
    while step is not None:
        name = etree.QName(step).localname
        parent = step.getparent()
        repeats = parent is not None and len(list(islice(parent.iterchildren(step.tag), 2))) > 1
        steps.append(f"{name}[{position(step)}]" if repeats else name)
        step = parent
    return "/" + "/".join(reversed(steps))
