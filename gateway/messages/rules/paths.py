"""Paths of rules in one version of a message: what they lead to, as XPath; and the elements of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.messages.catalogue import ComplexType, ElementDefinition, MessageDefinition, SimpleContentType
from gateway.messages.mapping import NUMBERED
from gateway.messages.rules.language import Path
from gateway.messages.schema_tree import simple_type

if TYPE_CHECKING:
    from lxml.etree import _Element

PREFIX: Final = "n"
_PRICE_DECIMALS = 5  # an amount of money carries at most five; what carries more is a price


def _external(name: str) -> bool:
    return name.startswith("External") and name.endswith("Code")


_KIND_OF_TYPE: Final[dict[str, Callable[[str], bool]]] = {
    "isin": lambda name: name.startswith("ISIN") and name.endswith("Identifier"),
    "lei": lambda name: name == "LEIIdentifier",
    "iban": lambda name: name.startswith("IBAN"),
    "bic": lambda name: "BIC" in name and name.endswith("Identifier"),
    "currency": lambda name: name in ("ActiveCurrencyCode", "ActiveOrHistoricCurrencyCode", "CurrencyCode"),
    "country": lambda name: name == "CountryCode",
    "external code": _external,
    "text": lambda name: name.endswith("Text"),
    "address": lambda name: name.startswith("PostalAddress"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads in a version: its XPath, and the elements that may be there (none for an attribute)."""

    xpath: str
    elements: tuple[ElementDefinition, ...]
    chain: tuple[tuple[ElementDefinition, ...], ...] = ()  # the elements that each step came from
    repeats: bool = False
    certain: bool = False  # every message has it


@dataclass(slots=True)
class Version:
    """One version of a message as rules see it; ``element`` is the one that paths begin below."""

    message: MessageDefinition
    element: ElementDefinition = field(init=False)
    _all: tuple[ElementDefinition, ...] = ()
    _types: dict[tuple[str, ...], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        root = ElementDefinition(self.message.root, self.message.root_type)
        below = self._below(root)
        self.element = below[0] if self.message.root == "Document" and below else root

    @property
    def top(self) -> Place:
        """Return the message element itself."""
        return Place(".", (self.element,))

    def find(self, path: Path, start: Place) -> list[Place]:
        """Return what each alternative of a path leads to from a place; empty where this version lacks all of them."""
        return [
            place
            for alternative in path.alternatives
            for written in _numbered(alternative)
            if (place := self._find(written, start)) is not None
        ]

    def _find(self, path: str, start: Place) -> Place | None:
        if path == "itself":
            return Place(".", start.elements, start.chain)
        deep, repeats, certain, xpath, steps = False, False, True, "", path.split("/")
        here = Place("", start.elements, start.chain)
        if path.startswith("/") and not path.startswith("//"):
            here = Place("", (self.element,))
            if start.elements != (self.element,):
                xpath = f"ancestor::{PREFIX}:{self.element.name}"
            steps = steps[1:]
        elif path.startswith("//"):
            xpath, steps = ".", steps[1:]
        for step in steps:
            if not step:
                deep = True
                continue
            found = self._step(step, here, deep=deep)
            if found is None:
                return None
            separator = "//" if deep else "/" if xpath else ""
            certain = certain and step not in ("*", "..") and self._is_certain(here, step)
            repeats = repeats or deep or (step == "*" and not self._is_choice(here))
            repeats = repeats or any(one.maximum != 1 for one in found.elements)
            xpath, here, deep = f"{xpath}{separator}{found.xpath}", found, False
        return Place(xpath, here.elements, here.chain, repeats, certain)

    def _step(self, step: str, here: Place, *, deep: bool) -> Place | None:
        if step == "..":
            return Place("..", here.chain[-1] if here.chain else (), here.chain[:-1])
        if step.startswith("@"):
            types = [self.message.types.get(element.type) for element in here.elements]
            named = any(
                isinstance(found, SimpleContentType) and any(f"@{a.name}" == step for a in found.attributes)
                for found in types
            )
            return Place(step, ()) if named else None
        if not here.elements:  # the element around one of a kind: whatever it is
            return Place(step if step == "*" else f"{PREFIX}:{step}", ())
        if deep:
            found = tuple(element for element in self._all_below() if element.name == step)
        else:
            below = (element for parent in here.elements for element in self._below(parent))
            found = tuple(dict.fromkeys(element for element in below if step in ("*", element.name)))
        if not found:
            return None
        around = self._around(found) if deep else here.elements
        return Place(step if step == "*" else f"{PREFIX}:{step}", found, (*here.chain, around))

    def _below(self, parent: ElementDefinition) -> tuple[ElementDefinition, ...]:
        definition = self.message.types.get(parent.type)
        return tuple(definition.content.elements()) if isinstance(definition, ComplexType) else ()

    def _all_below(self) -> tuple[ElementDefinition, ...]:
        if not self._all:
            types = (t for t in self.message.types.values() if isinstance(t, ComplexType))
            self._all = tuple(element for found in types for element in found.content.elements())
        return self._all

    def _is_choice(self, here: Place) -> bool:
        """Tell whether there is one element, whichever it is, below a place."""
        types = [self.message.types.get(element.type) for element in here.elements]
        return bool(types) and all(isinstance(one, ComplexType) and one.content.kind == "choice" for one in types)

    def _is_certain(self, here: Place, tag: str) -> bool:
        for parent in here.elements:
            definition = self.message.types.get(parent.type)
            content = definition.content if isinstance(definition, ComplexType) else None
            if content is None or content.kind != "sequence":
                return False
            items = [item for item in content.items if isinstance(item, ElementDefinition) and item.name == tag]
            if not items or items[0].minimum == 0:
                return False
        return bool(here.elements)

    def is_certain(self, tag: str) -> bool:
        """Tell whether every message has exactly one element of a tag directly below the message element."""
        there = [element for element in self._below(self.element) if element.name == tag]
        return self._is_certain(self.top, tag) and all(element.maximum == 1 for element in there)

    def only(self, xpath: str) -> ElementDefinition | None:
        """Return the element directly below the message element that an XPath names; None for any other XPath."""
        below = {f"{PREFIX}:{element.name}": element for element in self._below(self.element)}
        return below.get(xpath)

    def singles(self, parent: ElementDefinition) -> frozenset[str]:
        """Return the XPath of the elements directly below one that are there at most once."""
        return frozenset(f"{PREFIX}:{element.name}" for element in self._below(parent) if element.maximum == 1)

    def is_plain(self, place: Place) -> bool:
        """Tell whether what stands at a place has no line break within it: no free text."""
        types = [simple_type(self.message, element.type) for element in place.elements]
        return all(
            found is not None and bool(found.codes or found.values("pattern") or found.base != "xs:string")
            for found in types
        )

    def base(self, place: Place) -> str:
        """Return the built-in type of the text at a place (``xs:decimal``); empty where it is not known."""
        for element in place.elements:
            found = simple_type(self.message, element.type)
            if found is not None:
                return found.base
        return ""

    def codes(self, place: Place) -> frozenset[str] | None:
        """Return the codes that may stand at a place; None where it is no code set."""
        sets = [simple_type(self.message, element.type) for element in place.elements]
        if not sets or any(found is None or not found.codes for found in sets):
            return None
        return frozenset(code for found in sets if found is not None for code in found.codes)

    def is_kind(self, kind: str, type_name: str) -> bool:
        """Tell whether the elements of a type are of a kind."""
        if kind == "amount":
            definition = self.message.types.get(type_name)
            if not isinstance(definition, SimpleContentType):
                return False
            base = simple_type(self.message, definition.base)
            return base is not None and all(int(n) <= _PRICE_DECIMALS for n in base.values("fractionDigits"))
        return _KIND_OF_TYPE[kind](type_name)

    def of_kind(self, kind: str) -> Iterator[ElementDefinition]:
        """Yield the elements of a kind, wherever they are in the message; one of the same tag may be of another."""
        yield from dict.fromkeys(element for element in self._all_below() if self.is_kind(kind, element.type))

    def named(self, tag: str) -> Iterator[ElementDefinition]:
        """Yield the elements of a tag, wherever they are in the message."""
        return (element for element in self._all_below() if element.name == tag)

    def parents(self, element: ElementDefinition) -> frozenset[str]:
        """Return the tags of the elements that an element may be in."""
        return frozenset(outer.name for outer in self._around((element,)))

    def _around(self, elements: tuple[ElementDefinition, ...]) -> tuple[ElementDefinition, ...]:
        around = {
            name
            for name, found in self.message.types.items()
            if isinstance(found, ComplexType) and not set(elements).isdisjoint(found.content.elements())
        }
        return tuple(dict.fromkeys(outer for outer in (*self._all_below(), self.element) if outer.type in around))

    def ways_to(self, element: ElementDefinition, limit: int) -> list[str] | None:
        """Return the XPath of every place below the message element where an element may be; None for too many."""
        found: list[str] = []
        pending = [(self.element, "", frozenset[str]())]
        while pending:
            here, path, above = pending.pop()
            if here.type in above:
                return None
            for below in self._below(here):
                way = f"{path}/{PREFIX}:{below.name}" if path else f"{PREFIX}:{below.name}"
                if below == element:
                    found.append(way)
                    if len(found) > limit:
                        return None
                pending.append((below, way, above | {here.type}))
        return found

    def repeats(self, way: str) -> bool:
        """Tell whether an element at an XPath of ``ways_to`` may be there more than once."""
        here: ElementDefinition | None = self.element
        for step in way.split("/"):
            here = None if here is None else self.message.child(here, step.partition(":")[2])
            if here is None or here.maximum != 1:
                return True
        return False

    def type_of(self, element: _Element) -> str | None:
        """Return the name of the type of an element of a message, by where it is; None where that is not known."""
        tags = [element.tag]
        top = f"{{{self.message.namespace}}}{self.element.name}"
        for outer in element.iterancestors():
            if tags[-1] == top:
                break
            tags.append(outer.tag)
        key = tuple(tags)
        if key not in self._types:
            here: ElementDefinition | None = self.element
            for tag in reversed(key[:-1]):
                here = None if here is None else self.message.child(here, tag.rpartition("}")[2])
            self._types[key] = None if here is None else here.type
        return self._types[key]


def _numbered(path: str) -> list[str]:
    """Write out ``Pty#`` as Pty1, Pty2 ..."""
    if "#" not in path:
        return [path]
    return [path.replace("#", str(number)) for number in range(1, NUMBERED + 1)]
