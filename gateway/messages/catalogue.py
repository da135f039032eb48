"""Message definitions: what the schema dictionary and the user's own schemas say, as one catalogue.

A definition is its root element and the types reachable from it. Types are of three kinds, the only ones that ISO 20022
schemas have: complex types (a sequence or choice of elements, nested choices and wildcards), simple content with
attributes (amounts with their currency), and restrictions of a simple type. Built-in types are named ``xs:...``; every
other name is a key of the definition's ``types``. Nothing here touches files: ``schema_files`` feeds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from gateway.errors import UnreadableMessage

if TYPE_CHECKING:
    from gateway.messages.fin.quick import DecidedBy, Extract, QuickReader
    from gateway.messages.parsing import EnvelopeReferences, ParsedMessage

STANDARD_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
BUILT_IN = "xs:"

GroupKind = Literal["sequence", "choice"]


@dataclass(frozen=True, slots=True)
class ElementDefinition:
    """An element: its short tag, the name of its type, and how often it may occur (``maximum`` None: unbounded)."""

    name: str
    type: str
    minimum: int = 1
    maximum: int | None = 1


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Any element of ``namespace`` (``##any`` or a namespace name), checked as ``process`` says: lax, skip, strict."""

    namespace: str
    process: str
    minimum: int = 1
    maximum: int | None = 1


@dataclass(frozen=True, slots=True)
class Group:
    """A sequence or choice, once; ``items`` are elements, nested groups and wildcards in the order of the schema."""

    kind: GroupKind
    items: tuple[ElementDefinition | Group | Wildcard, ...]

    def elements(self) -> Iterator[ElementDefinition]:
        """Yield the elements of this group and of the groups nested in it, in order."""
        for item in self.items:
            if isinstance(item, ElementDefinition):
                yield item
            elif isinstance(item, Group):
                yield from item.elements()


@dataclass(frozen=True, slots=True)
class ComplexType:
    """A type made of elements."""

    name: str
    content: Group


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute and the name of its simple type."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class SimpleContentType:
    """A value of the simple type ``base`` with attributes, such as an amount with its currency."""

    name: str
    base: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class SimpleType:
    """A restriction of ``base`` (built-in or named); ``facets`` are (facet, value) in the order of the schema.

    Facets carry the names of XML Schema; an allowed code is the facet ``enumeration``.
    """

    name: str
    base: str
    facets: tuple[tuple[str, str], ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """Return the allowed codes; empty when the type is no code set."""
        return self.values("enumeration")

    def values(self, facet: str) -> tuple[str, ...]:
        """Return the values of one facet; several patterns of one type are alternatives."""
        return tuple(value for name, value in self.facets if name == facet)


TypeDefinition = ComplexType | SimpleContentType | SimpleType


def references(definition: TypeDefinition) -> Iterator[str]:
    """Yield the names of the types, built-in ones left out, that a type refers to."""
    names: Iterable[str]
    if isinstance(definition, ComplexType):
        names = (element.type for element in definition.content.elements())
    elif isinstance(definition, SimpleContentType):
        names = (definition.base, *(attribute.type for attribute in definition.attributes))
    else:
        names = (definition.base,)
    return (name for name in names if not name.startswith(BUILT_IN))


@dataclass(frozen=True, slots=True)
class MessageDefinition:
    """One version of a message: ``sese.023.001.12``, its namespace, root element, root type and all types by name."""

    identifier: str
    namespace: str
    root: str
    root_type: str
    types: Mapping[str, TypeDefinition]

    def tags(self, parent: str, element: ElementDefinition) -> tuple[str, str]:
        """Return what begins and what ends an element of a type in the message's own syntax."""
        del parent
        return f"<{element.name}>", f"</{element.name}>"

    def conversion(self, conversion: str, type_name: str) -> str:
        """Return how a value of a conversion is written in an element of a type; in XML always the same."""
        del type_name
        return conversion

    def element(self, path: str) -> ElementDefinition | None:
        """Return the element at a path of short tags below the root element, or None when this version lacks it."""
        found = ElementDefinition(self.root, self.root_type)
        for name in path.strip("/").split("/") if path.strip("/") else ():
            below = self.child(found, name)
            if below is None:
                return None
            found = below
        return found

    def child(self, parent: ElementDefinition, name: str) -> ElementDefinition | None:
        """Return the element ``name`` directly below ``parent``, through nested choices, or None."""
        definition = self.types.get(parent.type)
        if not isinstance(definition, ComplexType):
            return None
        return next((element for element in definition.content.elements() if element.name == name), None)


class Source(Protocol):
    """Where definitions come from: the dictionary, or the user's own schemas."""

    @property
    def origin(self) -> str:
        """Say where the definitions come from: ``dictionary`` or ``user``."""
        ...

    def identifiers(self) -> Sequence[str]:
        """Return the identifiers of all definitions, without reading the definitions."""
        ...

    def namespace(self, definition_id: str) -> str:
        """Return the XML namespace of one definition."""
        ...

    def message_name(self, definition_id: str) -> str:
        """Return the name of the message with its version, without reading its types where that is possible."""
        ...

    def digest(self, definition_id: str) -> str | None:
        """Return the canonical digest of the official schema, None where none is kept."""
        ...

    def message(self, definition_id: str) -> MessageDefinition:
        """Read one definition and the types it needs."""
        ...

    def xsd(self, definition_id: str) -> bytes:
        """Return the XML Schema of one definition."""
        ...


class FinSource(Protocol):
    """Where the definitions of FIN messages come from, as elements."""

    def has(self, definition_id: str) -> bool:
        """Tell whether there is a message type (``MT541``), or the definition of the header (``FIN``)."""
        ...

    def message(self, definition_id: str) -> MessageDefinition:
        """Return one definition."""
        ...

    def parse(self, content: bytes) -> ParsedMessage:
        """Parse and judge one message. Raises ``UnreadableMessage``."""
        ...

    def envelope_references(self, content: bytes) -> EnvelopeReferences:
        """Say what can be had of a message that cannot be read."""
        ...

    def quick_reader(self, extract: Extract, decided_by: DecidedBy) -> QuickReader:
        """Return what reads messages of known shapes."""
        ...


class Catalogue:
    """All message definitions; an earlier source takes precedence over a later one.

    Lazy: a definition is read when it is first asked for and then kept. Raises ``UnreadableMessage`` (code
    ``definition_unknown``) for an identifier that no source has.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        guidelines: Mapping[str, Source] | None = None,
        fin: FinSource | None = None,
    ) -> None:
        self._guidelines = guidelines or {}
        self.fin = fin
        self._source: dict[str, Source] = {}
        for source in reversed(sources):
            self._source.update(dict.fromkeys(source.identifiers(), source))
        self._messages: dict[str, MessageDefinition] = {}
        self._by_namespace: dict[str, str] | None = None

    def definitions(self, area: str | None = None) -> list[str]:
        """Return the identifiers of all definitions, or those of one business area (``sese``), sorted."""
        return sorted(name for name in self._source if area is None or name.split(".", 1)[0] == area)

    def __contains__(self, definition_id: object) -> bool:
        return definition_id in self._source or (self.fin is not None and self.fin.has(str(definition_id)))

    def namespace(self, definition_id: str) -> str:
        """Return the XML namespace of a definition."""
        return self._of(definition_id).namespace(definition_id)

    def message_name(self, definition_id: str) -> str:
        """Return the name of a message with its version: ``SecuritiesSettlementTransactionInstructionV12``."""
        return self._of(definition_id).message_name(definition_id)

    def guidelines(self) -> list[str]:
        """Return the names of the usage guidelines that were imported."""
        return sorted(self._guidelines)

    def guideline(self, name: str) -> Catalogue | None:
        """Return the definitions of a usage guideline, or None where there is none of that name."""
        return Catalogue([self._guidelines[name]]) if name in self._guidelines else None

    def origin(self, definition_id: str) -> str:
        """Say where a definition comes from: ``dictionary``, or ``user`` for one that was imported."""
        return self._of(definition_id).origin

    def digest(self, definition_id: str) -> str | None:
        """Return the canonical digest of the official schema; None for the user's own."""
        return self._of(definition_id).digest(definition_id)

    def identify(self, namespace: str) -> str | None:
        """Return the definition that an XML namespace stands for, or None when the catalogue lacks it."""
        identifier = namespace.removeprefix(STANDARD_NAMESPACE)
        if identifier != namespace:
            return identifier if identifier in self._source else None
        if self._by_namespace is None:
            self._by_namespace = {self.namespace(name): name for name in self._source}
        return self._by_namespace.get(namespace)

    def message(self, definition_id: str) -> MessageDefinition:
        """Return a definition with the transitive closure of its types."""
        found = self._messages.get(definition_id)
        if found is None:
            source = self.fin if self.fin is not None and self.fin.has(definition_id) else self._of(definition_id)
            found = self._messages[definition_id] = source.message(definition_id)
        return found

    def xsd(self, definition_id: str) -> bytes:
        """Return the XML Schema of a definition, equal in canonical form to the official one (UTF-8)."""
        return self._of(definition_id).xsd(definition_id)

    def element(self, definition_id: str, path: str) -> ElementDefinition | None:
        """Return the element at a path below the root element (``SctiesSttlmTxInstr/TxId``), or None."""
        return self.message(definition_id).element(path)

    def _of(self, definition_id: str) -> Source:
        try:
            return self._source[definition_id]
        except KeyError:
            versions = ", ".join(self._near(definition_id)) or "none like it"
            raise UnreadableMessage(
                f"message definition {definition_id} is not in the schema dictionary (there: {versions}); "
                f"import its XSD with: gateway schemas import FILE",
                code="definition_unknown",
            ) from None

    def _near(self, definition_id: str) -> list[str]:
        """Return the versions of the message that an identifier begins like, or the messages of its business area."""
        stem = definition_id
        while stem:
            if found := [name for name in self.definitions() if name.startswith(f"{stem}.")]:
                return found
            stem = stem.rpartition(".")[0]
        return []
