"""FIN messages as the catalogue sees messages: elements in elements, one kind of table for both syntaxes.

A sequence, a field and a component are elements; ``SETDET/SETPRTY_DEAG/95P/bic`` is the BIC of field 95P in the
sequence SETPRTY that is about DEAG. Names are:

* of a sequence its block (``GENL``), or its letter where it has no block (``B1``); of those in ``KNOWN_BY``, which
  repeat and say by the qualifier of one field what they are about, block and qualifier (``LINK_RELA``);
* of a field tag and qualifier (``98A_SETT``), the tag alone where it has none or the sequence's name says it;
* of a component the name that ``fields.txt`` gives it; of a coded narrative and of a field of a cash statement also
  its parts (``narratives``, ``statements``). A currency before a number is the number's attribute, a minus
  sign is in the number, where no part says it; a quantity is named by its type (``UNIT``, ``FAMT``, ``AMOR``,
  ``DIGI``), unless that is of a scheme of its own. A date with a time is ``moment`` besides. The first element of a
  message is ``message_type``.

Texts are in the form of XML Schema: dates with hyphens, numbers with a point; so reading tables need no second kind of
conversion. What begins and ends an element (``tags``) is FIN's own: a message is written by the same writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.messages.catalogue import (
    Attribute,
    ComplexType,
    ElementDefinition,
    Group,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    TypeDefinition,
)
from gateway.messages.fin import deriving, narratives, statements
from gateway.messages.fin.definitions import Definitions, FieldDefinition, QualifierRow, SequenceDefinition
from gateway.messages.fin.deriving import NOW, Derive
from gateway.messages.fin.fields import QUALIFIER, Component, FieldFormat
from gateway.messages.fin.message import Field
from gateway.messages.fin.structure import Sequence, qualifier_of

HEADER: Final = "FIN"
"""The definition of what stands around the text: its elements are those of ``HEADER_ELEMENTS``."""

HEADER_ELEMENTS: Final = (
    "message_type",
    "sender",
    "receiver",
    "reference",
    "user_reference",
    "uetr",
    "possible_duplicate",
    "created_at",
)

ACKNOWLEDGEMENT: Final = "F21"
"""The definition of a message of service 21: its elements are those of ``ACKNOWLEDGEMENT_ELEMENTS``.

``verdict`` is ``accepted`` or ``refused``; ``message`` names the message of ours by its user reference, or else by the
sender's reference in the message that follows; ``explanation`` is what all the codes of a refusal say.
"""

ACKNOWLEDGEMENT_ELEMENTS: Final = ("verdict", "message", "code", "line", "explanation")

KNOWN_BY: Final = {
    "LINK": "20",
    "SETPRTY": "95",
    "CONFPRTY": "95",
    "CSHPRTY": "95",
    "OTHRPRTY": "95",
    "AMT": "19",
    "STAT": "25",
}
"""The number of the field whose qualifier says what a repeating sequence is about, by the sequence's block."""

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(narratives.CODED, narratives.PARTS),
    **dict.fromkeys(narratives.PARTIES, ("bic",)),
    **statements.PARTS,
}
"""The elements of a field that follow from its components, by tag."""

_OF_ONE_CURRENCY: Final = ("MT940", "MT950")
_NEW_SEQUENCE: Final = "15"
QUANTITY_TYPES: Final = ("UNIT", "FAMT", "AMOR", "DIGI")
SCHEME: Final = "data_source_scheme"
CODES: Final = frozenset(
    {"indicator", "status_code", "reason_code", "sub_balance_type", "place_code", "date_code", "instrument_type_code"}
)
"""The components that are standard codes unless a scheme stands before them: then they are its own codes."""
_NUMBERS: Final = ("decimal", "amount")
_BASES: Final = {
    "date": "xs:date",
    "date2": "xs:date",
    "decimal": "xs:decimal",
    "amount": "xs:decimal",
    "number": "xs:integer",
}
CURRENCY: Final = "Ccy"  # the attribute, as in ISO 20022


@dataclass(frozen=True, slots=True)
class FinDefinition(MessageDefinition):
    """A message type as the catalogue's definitions are; ``marks`` begin and end an element.

    They are found by the type around it and its name. Texts of the marks end their lines with a line feed; two in a row
    are one, since FIN has no empty lines.
    """

    marks: Mapping[tuple[str, str], tuple[str, str]]
    formats: Mapping[str, FieldFormat]

    def tags(self, parent: str, element: ElementDefinition) -> tuple[str, str]:
        """Return what begins and what ends an element of a type."""
        return self.marks.get((parent, element.name), ("", ""))

    def objection(self, parent: str, element: str, type_name: str, text: str) -> str | None:
        """Say what would be right where a text does not fit a component of a field (``parent`` is the field's tag)."""
        del type_name
        parts = self.formats[parent].components
        if element in QUANTITY_TYPES:
            number = next((n for n, part in enumerate(parts) if part.name == _QUANTITY_TYPE), -1)
            return next(part for part in parts[number + 1 :] if part.type in _NUMBERS).objection(text)
        part = next((part for part in parts if part.name == element), None)
        return None if part is None else part.objection(text)

    def conversion(self, conversion: str, type_name: str) -> str:
        """Return how a value of a conversion is written in a component."""
        kind = type_name.removeprefix("fin ")
        if not kind:  # a row without an element
            return conversion
        match conversion:
            case "amount":
                return "fin decimal"
            case "decimal" if kind in _NUMBERS:
                return "fin signed"
            case "date" | "instant":
                return f"fin {conversion} {kind}"
            case "yes_no":
                return "fin yes_no"
            case "text":
                return f"fin {kind}" if kind.startswith("text ") else "identifier"
        return conversion


def header_definition() -> MessageDefinition:
    """Return the definition of the header: one text for each of its elements."""
    items = tuple(ElementDefinition(name, "text", 0) for name in HEADER_ELEMENTS)
    types: dict[str, TypeDefinition] = {
        "header": ComplexType("header", Group("sequence", items)),
        "text": SimpleType("text", "xs:string"),
    }
    return MessageDefinition(HEADER, "", "header", "header", types)


def definition_of(message_type: str, definitions: Definitions) -> FinDefinition:
    """Return a message type (``MT541``) as elements. Raises ``KeyError`` for one that is not there."""
    return _Maker(definitions).make(message_type)


def acknowledgement_definition() -> MessageDefinition:
    """Return what the network says to a message of ours, as elements: one text for each of its elements."""
    items = tuple(ElementDefinition(name, "text", 0) for name in ACKNOWLEDGEMENT_ELEMENTS)
    types: dict[str, TypeDefinition] = {
        "Document": ComplexType("Document", Group("sequence", (ElementDefinition(ACKNOWLEDGEMENT, ACKNOWLEDGEMENT),))),
        ACKNOWLEDGEMENT: ComplexType(ACKNOWLEDGEMENT, Group("sequence", items)),
        "text": SimpleType("text", "xs:string"),
    }
    return MessageDefinition(ACKNOWLEDGEMENT, "", "Document", "Document", types)


class _Maker:
    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._types: dict[str, TypeDefinition] = {}
        self._marks: dict[tuple[str, str], tuple[str, str]] = {}

    def make(self, message_type: str) -> FinDefinition:
        found = self._definitions.message(message_type)
        self._sequence(found.root, message_type, "")
        whole = self._types[message_type]
        assert isinstance(whole, ComplexType)
        items = (ElementDefinition(MESSAGE_TYPE, MESSAGE_TYPE, 0), *whole.content.items)
        self._types[message_type] = ComplexType(message_type, Group("sequence", items))
        self._types[MESSAGE_TYPE] = SimpleType(MESSAGE_TYPE, "xs:string")
        document = ElementDefinition(message_type, message_type)
        self._types["Document"] = ComplexType("Document", Group("sequence", (document,)))
        return FinDefinition(
            message_type, "", "Document", "Document", self._types, self._marks, self._definitions.formats
        )

    def _sequence(self, sequence: SequenceDefinition, type_name: str, about: str) -> None:
        """Make the type of a sequence; ``about`` is the qualifier that its name says."""
        if type_name in self._types:
            return
        self._types[type_name] = ComplexType(type_name, Group("sequence", ()))
        items: list[ElementDefinition] = []
        for item in sequence.items:
            if isinstance(item, FieldDefinition):
                items += self._fields(item, sequence, type_name, about)
                continue
            maximum = item.maximum
            for qualifier in qualifiers_of_sequence(item, self._definitions) or ("",):
                name = _joined(item.block or item.id, qualifier)
                inner = f"{item.id}:{qualifier}" if qualifier else f"{item.id}:"
                self._sequence(item, inner, qualifier)
                items.append(ElementDefinition(name, inner, item.minimum if not qualifier else 0, maximum))
                if item.block:
                    self._marks[type_name, name] = f":16R:{item.block}\n", f":16S:{item.block}\n"
                elif (first := _begins(item)) is not None:
                    self._marks[type_name, name] = f":{first}:\n", ""
        self._types[type_name] = ComplexType(type_name, Group("sequence", tuple(items)))

    def _fields(
        self, item: FieldDefinition, sequence: SequenceDefinition, type_name: str, about: str
    ) -> Iterator[ElementDefinition]:
        deciding = KNOWN_BY.get(sequence.block) == item.number and about
        qualifiers = _qualifiers(item, self._definitions) or [""]
        if deciding:  # the others that say what such a sequence is about are in sequences of their own
            beside = [name for row in item.rows if not row.minimum for name in row.qualifiers if name != about]
            qualifiers = [about, *beside]
        for qualifier in qualifiers:
            known = deciding and qualifier == about
            for tag in _tags_of(item, qualifier):
                name = tag if known else _joined(tag, qualifier)
                opening, closing = self._field(self._definitions.formats[tag])
                self._marks[type_name, name] = f":{tag}:{opening.replace(QUALIFIER, qualifier)}", closing
                yield ElementDefinition(name, tag, 0, _maximum(item, qualifier))

    def _field(self, format_: FieldFormat) -> tuple[str, str]:
        """Make the type of a field; returns what begins it, with a place for the qualifier, and what ends it."""
        opening, around, closing = format_.marks()
        items: list[ElementDefinition] = []
        for part, type_, kind in _values(format_):
            if isinstance(type_, SimpleContentType):
                self._types.setdefault(type_.base, SimpleType(type_.base, "xs:decimal"))
            self._types.setdefault(type_.name, type_)
            before, after = around[_of_type(format_, "date") if part.name == MOMENT else part.name]
            if kind:
                outer = around[_QUANTITY_TYPE]
                before = f"{outer[0]}{kind}{outer[1]}{before}"
            elif isinstance(type_, SimpleContentType):
                before = around[_before(part, format_).name][0] + before
            name = kind or part.name
            items.append(ElementDefinition(name, type_.name, 0))
            self._marks[format_.tag, name] = before, after
        self._types.setdefault("fin part", SimpleType("fin part", "xs:string"))
        items += [ElementDefinition(name, "fin part", 0) for name in PARTS.get(format_.tag, ())]
        self._types[format_.tag] = ComplexType(format_.tag, Group("sequence", tuple(items)))
        return opening, closing


def _begins(sequence: SequenceDefinition) -> str | None:
    """Return the field without content that begins a sequence with a letter (15A), where one does."""
    first = sequence.items[0]
    return first.tags[0] if isinstance(first, FieldDefinition) and first.number == _NEW_SEQUENCE else None


def _of_type(format_: FieldFormat, kind: str) -> str:
    return next(part.name for part in format_.components if part.type == kind)


def _before(part: Component, format_: FieldFormat) -> Component:
    return format_.components[format_.components.index(part) - 1]


MOMENT: Final = "moment"
MESSAGE_TYPE: Final = "message_type"
_DECIMALS: Final = "decimals"
_QUANTITY_TYPE = "quantity_type_code"


def _row(item: FieldDefinition, qualifier: str) -> QualifierRow | None:
    return next((row for row in item.rows if qualifier in row.qualifiers), None)


def _tags_of(item: FieldDefinition, qualifier: str) -> list[str]:
    row = _row(item, qualifier)
    return [tag for tag in item.read if row is None or tag[2:] in row.qualifiers[qualifier]]


def _maximum(item: FieldDefinition, qualifier: str) -> int | None:
    row = _row(item, qualifier)
    return item.maximum if row is None else row.maximum


def _joined(name: str, qualifier: str) -> str:
    return f"{name}_{qualifier}" if qualifier else name


def qualifiers_of_sequence(sequence: SequenceDefinition, definitions: Definitions) -> list[str]:
    """Return what a sequence may be about, where its name says so."""
    number = KNOWN_BY.get(sequence.block)
    if number is None or sequence.maximum == 1:
        return []
    item = next((item for item in sequence.items if isinstance(item, FieldDefinition) and item.number == number), None)
    if item is None:
        return []
    deciding = [name for row in item.rows if row.minimum for name in row.qualifiers]
    return deciding if deciding and all(row.qualifiers for row in item.rows) else _qualifiers(item, definitions)


def _qualifiers(item: FieldDefinition, definitions: Definitions) -> list[str]:
    if not definitions.formats[item.tags[0]].generic:
        return []
    stated = [name for row in item.rows for name in row.qualifiers]
    if not stated or any(not row.qualifiers for row in item.rows):  # the set is open: whatever any message has
        stated += sorted(name for number, name in definitions.names if number == item.number)
    return list(dict.fromkeys(stated))


def _values(format_: FieldFormat) -> Iterator[tuple[Component, SimpleType | SimpleContentType, str]]:
    """Yield the components that are elements, their types, and the quantity type that one is named by."""
    parts = format_.components
    for number, part in enumerate(parts):
        if part.type == "qualifier" or part.name == _QUANTITY_TYPE:
            continue
        if part.type == "minus":  # to be written; read, it is in the number
            yield part, SimpleType("fin minus", "xs:string"), ""
            continue
        following = parts[number + 1] if number + 1 < len(parts) else None
        if part.type == "currency" and following is not None and following.type in _NUMBERS:
            continue
        name = f"fin text {part.notation}" if part.type in ("text", "reference", "description") else f"fin {part.type}"
        type_ = SimpleType(name, _BASES.get(part.type, "xs:string"))
        if number and parts[number - 1].type == "currency" and part.type in _NUMBERS:
            yield part, SimpleContentType("fin money", "fin amount", (Attribute(CURRENCY, "fin currency", True),)), ""
        elif part.type in _NUMBERS and any(before.name == _QUANTITY_TYPE for before in parts[:number]):
            yield from ((part, type_, kind) for kind in QUANTITY_TYPES)
        else:
            yield part, type_, ""
    if {"date", "time"} <= {part.type for part in parts}:
        yield Component(MOMENT, MOMENT, ""), SimpleType("fin moment", "xs:dateTime"), ""


class Element(list["Element"]):
    """An element as far as reading tables look at one: its elements, ``tag``, ``text``, attributes; and where it is."""

    __slots__ = ("path", "sourceline", "tag", "text", "values")

    def __init__(self, tag: str, path: str, line: int, text: str | None = None, currency: str | None = None) -> None:
        super().__init__()
        self.tag = f"{{}}{tag}"
        self.path, self.sourceline, self.text = path, line, text
        self.values = {} if currency is None else {CURRENCY: currency}

    def get(self, name: str) -> str | None:
        """Return an attribute."""
        return self.values.get(name)

    @property
    def attrib(self) -> Mapping[str, str]:
        """Return all attributes."""
        return self.values


TextsOf = Callable[[Field, FieldFormat], Mapping[str, str]]
"""Takes a field apart: its components as texts, by name."""


def _texts(field: Field, format_: FieldFormat) -> Mapping[str, str]:
    return format_.texts(field.value) or {}


def elements_of(
    root: Sequence,
    message_type: str,
    definitions: Definitions,
    texts_of: TextsOf = _texts,
    derive: Derive = NOW,
) -> Element:
    """Return the document of a message: an element with the message in it, everything that its fields say below."""
    document = Element("Document", "", root.line)
    message = _Reading(definitions, texts_of, derive).sequence(root, message_type, "")
    message.insert(0, Element(MESSAGE_TYPE, "", root.line, message_type))
    document.append(message)
    if message_type in _OF_ONE_CURRENCY:
        _give_currency(document)
    return document


class _Reading:
    def __init__(self, definitions: Definitions, texts_of: TextsOf, derive: Derive) -> None:
        self._formats, self._texts_of, self._derive = definitions.formats, texts_of, derive

    def sequence(self, sequence: Sequence, name: str, about: str) -> Element:
        element = Element(name, sequence.path, sequence.line)
        number = KNOWN_BY.get(sequence.block, "") if about else ""
        for field in sequence.fields:
            if field.tag not in self._formats:
                continue  # no field of FIN: the judge says so
            known = field.tag[:2] == number and qualifier_of(field) == about
            element.append(self._field(field, sequence.path, known=known))
        for inner in sequence.sequences:
            said = _about(inner)
            element.append(self.sequence(inner, _joined(inner.block or inner.id, said), said))
        return element

    def _field(self, field: Field, around: str, *, known: bool) -> Element:
        qualifier = qualifier_of(field)
        path = "/".join(part for part in (around, field.tag, qualifier) if part)
        element = Element(field.tag if known else _joined(field.tag, qualifier), path, field.line)
        format_ = self._formats[field.tag]
        texts = self._texts_of(field, format_)
        negative = any(part.type == "minus" and part.name in texts for part in format_.components)
        signed = negative and "side" not in PARTS.get(field.tag, ())
        currency: str | None = None
        kind = ""
        moment: dict[str, str] = {}
        for part in format_.components:
            text = texts.get(part.name)
            if text is None or part.type in ("qualifier", "minus"):
                continue
            if part.name == _QUANTITY_TYPE:
                kind = "" if SCHEME in texts else self._derive.pin(text)
                continue
            number = part.type in _NUMBERS
            if (say := deriving.SAY.get(part.type)) is not None:
                text = self._derive(deriving.negative if number and signed else say, text)
                moment[part.type] = text
            if negative and part.type == "offset":
                text = self._derive(deriving.west, text)
            name = kind if kind and number else part.name
            element.append(Element(name, f"{path}/{part.name}", field.line, text, currency if number else None))
            currency = text if part.type == "currency" else None
        if "time" in moment and (decimals := texts.get(_DECIMALS)) is not None:
            moment["time"] = self._derive(deriving.with_decimals, moment["time"], decimals)
        if "date" in moment and "time" in moment:
            offset = (moment["offset"], texts.get("sign", "")) if "offset" in moment else ()
            said = self._derive(deriving.moment, moment["date"], moment["time"], *offset)
            element.append(Element(MOMENT, path, field.line, said))
        if field.tag in PARTS:
            for name, text in _parts(field.tag, texts, self._derive):
                of_money = texts.get("currency") if name == "absolute" else None
                element.append(Element(name, f"{path}/{name}", field.line, text, of_money))
        return element


def _parts(tag: str, texts: Mapping[str, str], derive: Derive) -> Iterable[tuple[str, str]]:
    if tag in narratives.CODED:
        return derive.each(partial(narratives.said, tag), texts.get("narrative", ""))
    if tag in narratives.PARTIES:
        return derive.each(narratives.party, texts.get("party_identification", ""))
    return statements.parts(tag, texts, derive)


def _give_currency(document: Element) -> None:
    """Give the amounts of the entries of a cash statement its currency, which only its balances state."""
    fields = [field for element in document[0] for field in ((element, *element) if len(element) else (element,))]
    opening = next((field for field in fields if field.tag in ("{}60F", "{}60M")), ())
    currency = next((part.text for part in opening if part.tag == "{}currency"), None)
    if currency is not None:
        for amount in (part for field in fields if field.tag == "{}61" for part in field if part.tag == "{}amount"):
            amount.values[CURRENCY] = currency


def _about(sequence: Sequence) -> str:
    number = KNOWN_BY.get(sequence.block)
    fields: Iterable[Field] = sequence.fields if number is not None else ()
    return next((qualifier_of(field) for field in fields if field.tag[:2] == number), "")
