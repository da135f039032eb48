"""The plain text of the schema dictionary: blocks apart by an empty line, one line an element, code or facet.

::

    AccountIdentification4Choice choice        SettlementAmount5 sequence
      1..1 IBAN IBAN2007Identifier               0..1 AcrdIntrstInd YesNoIndicator
      1..1 Othr GenericAccountIdentification1    1..1 Amt ActiveCurrencyAndAmount

    ActiveCurrencyAndAmount content ActiveCurrencyAndAmount_SimpleType
      required @Ccy ActiveCurrencyCode

    DeliveryReceiptType2Code restriction xs:string
      code FREE
      code APMT

A type that differs between messages has variants: ``Name``, ``Name~2`` ... A definition names the variants it uses;
inside types, names are plain. Blocks are sorted by name, so that one is found by bisection in a mapped file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.messages.catalogue import (
    STANDARD_NAMESPACE,
    Attribute,
    ComplexType,
    ElementDefinition,
    Group,
    GroupKind,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    TypeDefinition,
    Wildcard,
    references,
)
from gateway.messages.xsd_text import write_xsd

_INDENT = "  "
_GAP = b"\n\n"


class Text(Protocol):
    """Bytes that can be searched without being read whole: ``bytes`` or a mapped file."""

    def find(self, sub: bytes, start: int = ..., end: int = ..., /) -> int: ...
    def rfind(self, sub: bytes, start: int = ..., end: int = ..., /) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...
    def __len__(self) -> int: ...


def type_lines(definition: TypeDefinition, variant: int = 1) -> list[str]:
    """Return the block of a type as lines; the first names it and its kind."""
    name = definition.name if variant == 1 else f"{definition.name}~{variant}"
    if isinstance(definition, ComplexType):
        return [f"{name} {definition.content.kind}", *_group_lines(definition.content, _INDENT)]
    if isinstance(definition, SimpleContentType):
        return [
            f"{name} content {definition.base}",
            *(f"{_INDENT}{'required' if a.required else 'optional'} @{a.name} {a.type}" for a in definition.attributes),
        ]
    return [
        f"{name} restriction {definition.base}",
        *(
            f"{_INDENT}{'code' if facet == 'enumeration' else facet} {_quoted(value)}"
            for facet, value in definition.facets
        ),
    ]


def _group_lines(group: Group, indent: str) -> Iterator[str]:
    for item in group.items:
        if isinstance(item, Group):
            yield f"{indent}{item.kind}"
            yield from _group_lines(item, indent + _INDENT)
        elif isinstance(item, Wildcard):
            yield f"{indent}{multiplicity(item.minimum, item.maximum)} any {item.namespace} {item.process}"
        else:
            yield f"{indent}{multiplicity(item.minimum, item.maximum)} {item.name} {item.type}"


def multiplicity(minimum: int, maximum: int | None) -> str:
    """Return ``0..1`` or, for an unbounded element, ``1..*``."""
    return f"{minimum}..{'*' if maximum is None else maximum}"


def _quoted(value: str) -> str:
    """Quote a value that a line of text could not carry unharmed: outer white space, control characters."""
    return value if value and value == value.strip() and value.isprintable() and value[0] != '"' else json.dumps(value)


def _unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def parse_type(block: str) -> TypeDefinition:
    """Read the block of a type; the variant's number is dropped from its name."""
    head, *lines = block.split("\n")
    key, kind, *rest = head.split(" ")
    name = key.partition("~")[0]
    if kind in {"sequence", "choice"}:
        items, _ = _parse_items(lines, 0, 1)
        return ComplexType(name, Group(cast(GroupKind, kind), items))
    if kind == "content":
        attributes = (line.split() for line in lines)
        return SimpleContentType(
            name, rest[0], tuple(Attribute(tag[1:], type_, use == "required") for use, tag, type_ in attributes)
        )
    facets = (line[2:].split(" ", 1) for line in lines)
    return SimpleType(
        name, rest[0], tuple(("enumeration" if facet == "code" else facet, _unquoted(value)) for facet, value in facets)
    )


def _parse_items(
    lines: list[str], start: int, depth: int
) -> tuple[tuple[ElementDefinition | Group | Wildcard, ...], int]:
    items: list[ElementDefinition | Group | Wildcard] = []
    index = start
    while index < len(lines):
        line = lines[index]
        if not line.startswith(_INDENT * depth):  # the group ends
            break
        index += 1
        words = line.split()
        if len(words) == 1:
            nested, index = _parse_items(lines, index, depth + 1)
            items.append(Group(cast(GroupKind, words[0]), nested))
            continue
        low, _, high = words[0].partition("..")
        bounds = int(low), None if high == "*" else int(high)
        if words[1] == "any" and len(words) == 4:
            items.append(Wildcard(words[2], words[3], *bounds))
        else:
            items.append(ElementDefinition(words[1], words[2], *bounds))
    return tuple(items), index


def canonical_form(message: MessageDefinition) -> str:
    """Return the text whose equality is the equality of two schemas.

    The order of types, comments, documentation, white space, prefixes and default occurrences do not count; all
    else does: namespace, root, order of elements, nested groups, wildcards, multiplicities, facets and their order,
    attributes.
    """
    lines = [f"{message.namespace} {message.root} {message.root_type}"]
    for name in sorted(message.types):
        lines += type_lines(message.types[name])
    return "\n".join(lines)


def canonical_digest(message: MessageDefinition) -> str:
    """Return the SHA-256 of the canonical form in hexadecimal."""
    return hashlib.sha256(canonical_form(message).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DefinitionEntry:
    """What the dictionary states of one definition beside its types; ``variants`` is type name -> variant number.

    The root type is stated by the one element in it (``Document/SctiesSttlmTxInstr``) where it is no more than that.
    """

    identifier: str
    namespace: str
    root: str
    root_type: str
    message_element: str | None
    digest: str
    variants: Mapping[str, int]

    def lines(self) -> list[str]:
        """Return the entry's block as lines."""
        root = self.root if self.message_element is None else f"{self.root}/{self.message_element}"
        lines = [self.identifier, f"{_INDENT}root {root} {self.root_type}", f"{_INDENT}digest {self.digest}"]
        if self.namespace != STANDARD_NAMESPACE + self.identifier:
            lines.append(f"{_INDENT}namespace {self.namespace}")
        return lines + [f"{_INDENT}variant {name}~{number}" for name, number in sorted(self.variants.items())]


def parse_definition(block: str) -> DefinitionEntry:
    """Read the block of a definition."""
    identifier, *lines = block.split("\n")
    stated: dict[str, str] = {}
    variants: dict[str, int] = {}
    for line in lines:
        word, _, value = line.strip().partition(" ")
        if word == "variant":
            name, _, number = value.partition("~")
            variants[name] = int(number)
        else:
            stated[word] = value
    root, root_type = stated["root"].split(" ")
    root, _, message_element = root.partition("/")
    namespace = stated.get("namespace", STANDARD_NAMESPACE + identifier)
    return DefinitionEntry(identifier, namespace, root, root_type, message_element or None, stated["digest"], variants)


def join_blocks(blocks: Iterable[list[str]]) -> bytes:
    """Join blocks, sorted by name, into the text of one file."""
    ordered = sorted(blocks, key=lambda lines: _order(lines[0].partition(" ")[0].encode()))
    return ("\n\n".join("\n".join(lines) for lines in ordered) + "\n").encode()


def find_block(text: Text, key: str) -> str | None:
    """Find the block of a name by bisection; None when the text has none."""
    wanted = _order(key.encode())
    low, high = 0, len(text)  # both always at the start of a block, or at the end of the text
    while low < high:
        middle = (low + high) // 2
        start = text.rfind(_GAP, low, middle) + 2
        start = start if start > 1 else low
        end = text.find(_GAP, max(start, middle - 1))
        end = len(text) - 1 if end < 0 else end
        block = text[start:end]
        here = _order(block[: block.find(b"\n")].partition(b" ")[0])
        if here == wanted:
            return block.decode()
        if here < wanted:
            low = min(end + 2, len(text))
        else:
            high = start
    return None


def _order(key: bytes) -> tuple[bytes, int]:
    name, _, number = key.partition(b"~")
    return name, int(number or 1)


def file_of(type_name: str) -> str:
    """Return the name of the dictionary's file that holds a type: its first letter."""
    return type_name[0].lower()


class Dictionary:
    """The schema dictionary as a source of definitions.

    ``definitions`` is the text of the definitions; ``types`` gives the text of one of the files that ``file_of`` names.
    """

    origin = "dictionary"

    def __init__(self, definitions: Text, types: Callable[[str], Text]) -> None:
        self._definitions = definitions
        self._types = types
        self._read: dict[tuple[str, int], TypeDefinition] = {}  # most types are shared by many definitions

    def identifiers(self) -> list[str]:
        """Return the identifiers of all definitions."""
        lines = self._definitions[0 : len(self._definitions)].decode().split("\n")
        return [line for line in lines if line and line[0] != " "]

    def entry(self, definition_id: str) -> DefinitionEntry:
        """Return what is stated of one definition; raises KeyError when it is absent."""
        block = find_block(self._definitions, definition_id)
        if block is None:
            raise KeyError(definition_id)
        return parse_definition(block)

    def namespace(self, definition_id: str) -> str:
        """Return the XML namespace of a definition."""
        return self.entry(definition_id).namespace

    def message_name(self, definition_id: str) -> str:
        """Return the name of the message (``SecuritiesSettlementTransactionInstructionV12``)."""
        return self.entry(definition_id).root_type

    def message(self, definition_id: str) -> MessageDefinition:
        """Read a definition and the closure of its types."""
        entry = self.entry(definition_id)
        types: dict[str, TypeDefinition] = {}
        pending = [entry.root_type]
        if entry.message_element is not None:
            content = Group("sequence", (ElementDefinition(entry.message_element, entry.root_type),))
            types[entry.root] = ComplexType(entry.root, content)
        while pending:
            name = pending.pop()
            if name in types:
                continue
            types[name] = found = self._type(name, entry.variants.get(name, 1))
            pending += references(found)
        root_type = entry.root if entry.message_element is not None else entry.root_type
        return MessageDefinition(definition_id, entry.namespace, entry.root, root_type, types)

    def digest(self, definition_id: str) -> str | None:
        """Return the canonical digest of the official schema."""
        return self.entry(definition_id).digest

    def xsd(self, definition_id: str) -> bytes:
        """Compile the XML Schema of a definition."""
        return write_xsd(self.message(definition_id))

    def _type(self, name: str, variant: int) -> TypeDefinition:
        found = self._read.get((name, variant))
        if found is None:
            block = find_block(self._types(file_of(name)), name if variant == 1 else f"{name}~{variant}")
            if block is None:
                raise KeyError(f"type {name} (variant {variant}) is missing from the schema dictionary")
            found = self._read[name, variant] = parse_type(block)
        return found
