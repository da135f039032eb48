"""Definitions element by element: the outline that a person reads, and the comparison of two definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.messages.catalogue import (
    BUILT_IN,
    Attribute,
    ComplexType,
    ElementDefinition,
    Group,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    TypeDefinition,
)
from gateway.messages.schema_text import type_lines


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an outline; ``depth`` counts from 0, ``path`` is below the root element, ``maximum`` None: unbounded.

    ``kind`` is an element, an attribute, a wildcard (``name`` is its namespace, ``type`` how it is checked) or a choice
    or sequence nested in another. ``content`` is ``choice`` or ``sequence`` where elements follow, else empty.
    ``simple`` is the type that a value must match. ``recursive`` marks an element whose type encloses it, which is not
    opened again.
    """

    depth: int
    path: str
    kind: Literal["element", "attribute", "wildcard", "choice", "sequence"]
    name: str
    type: str
    minimum: int
    maximum: int | None
    content: str = ""
    simple: SimpleType | None = None
    recursive: bool = False


def outline(message: MessageDefinition, path: str = "", depth: int | None = None) -> Iterator[Row]:
    """Yield the elements at and below a path, in the order of the schema, ``depth`` levels of them (None: all).

    Raises KeyError when the definition has no element at ``path``.
    """
    top = message.element(path)
    if top is None:
        raise KeyError(path)
    yield from _Outline(message, depth).element_rows(top, path.strip("/"), 0, ())


@dataclass(frozen=True, slots=True)
class _Outline:
    message: MessageDefinition
    limit: int | None

    def element_rows(self, element: ElementDefinition, path: str, depth: int, above: tuple[str, ...]) -> Iterator[Row]:
        definition = self.message.types.get(element.type)
        recursive = element.type in above
        yield Row(
            depth=depth,
            path=path,
            kind="element",
            name=element.name,
            type=element.type,
            minimum=element.minimum,
            maximum=element.maximum,
            content=definition.content.kind if isinstance(definition, ComplexType) else "",
            simple=simple_type(self.message, element.type),
            recursive=recursive,
        )
        if recursive or (self.limit is not None and len(above) >= self.limit):
            return
        if isinstance(definition, ComplexType):
            yield from self.group_rows(definition.content, path, depth + 1, (*above, element.type))
        elif isinstance(definition, SimpleContentType):
            yield from (self.attribute_row(attribute, path, depth + 1) for attribute in definition.attributes)

    def attribute_row(self, attribute: Attribute, path: str, depth: int) -> Row:
        return Row(
            depth=depth,
            path=f"{path}/@{attribute.name}",
            kind="attribute",
            name=attribute.name,
            type=attribute.type,
            minimum=int(attribute.required),
            maximum=1,
            simple=simple_type(self.message, attribute.type),
        )

    def group_rows(self, group: Group, path: str, depth: int, above: tuple[str, ...]) -> Iterator[Row]:
        for item in group.items:
            if isinstance(item, ElementDefinition):
                yield from self.element_rows(item, f"{path}/{item.name}" if path else item.name, depth, above)
            elif isinstance(item, Group):
                yield Row(depth=depth, path=path, kind=item.kind, name="", type="", minimum=1, maximum=1)
                yield from self.group_rows(item, path, depth + 1, above)
            else:
                yield Row(
                    depth=depth,
                    path=path,
                    kind="wildcard",
                    name=item.namespace,
                    type=item.process,
                    minimum=item.minimum,
                    maximum=item.maximum,
                )


def simple_type(message: MessageDefinition, name: str) -> SimpleType | None:
    """Return the type that a value of type ``name`` must match; None for a type that has elements.

    The base of an amount is looked up, and a restriction of a named type gathers the facets of both.
    """
    if name.startswith(BUILT_IN):
        return SimpleType(name, name)
    definition = message.types[name]
    if isinstance(definition, ComplexType):
        return None
    if isinstance(definition, SimpleContentType):
        return simple_type(message, definition.base)
    if definition.base.startswith(BUILT_IN):
        return definition
    base = simple_type(message, definition.base)
    return SimpleType(name, base.base, base.facets + definition.facets) if base else None


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two definitions at an element path; ``ours`` or ``theirs`` may be empty."""

    path: str
    ours: str
    theirs: str


def compare(ours: MessageDefinition, theirs: MessageDefinition, limit: int = 100) -> list[Difference]:
    """Compare two definitions element by element and return where they differ, at most ``limit`` differences.

    Each pair of types is compared once, at the first path that leads to it.
    """
    found: list[Difference] = []
    for label, left, right in (
        ("namespace", ours.namespace, theirs.namespace),
        ("root element", ours.root, theirs.root),
        ("root type", ours.root_type, theirs.root_type),
    ):
        if left != right:
            found.append(Difference("/", f"{label} {left}", f"{label} {right}"))
    seen: set[tuple[str, str]] = set()
    pending = [("/" + ours.root, ours.root_type, theirs.root_type)]
    while pending and len(found) < limit:
        path, left, right = pending.pop()
        if (left, right) in seen or (left == right and left.startswith(BUILT_IN)):
            continue
        seen.add((left, right))
        mine, other = ours.types.get(left), theirs.types.get(right)
        if mine is None or other is None:
            if mine is not other or left != right:
                found.append(Difference(path, f"type {left}", f"type {right}"))
            continue
        found += [Difference(path, *pair) for pair in _line_differences(type_lines(mine), type_lines(other))]
        pending += reversed(list(_pairs(path, mine, other)))
    unused = set(ours.types) ^ set(theirs.types)
    found += [
        Difference("/", f"type {name}" if name in ours.types else "", f"type {name}" if name in theirs.types else "")
        for name in sorted(unused)
        if not any(name in pair for pair in seen)
    ]
    return found[:limit]


def _pairs(path: str, mine: TypeDefinition, other: TypeDefinition) -> Iterator[tuple[str, str, str]]:
    if isinstance(mine, ComplexType) and isinstance(other, ComplexType):
        theirs = {element.name: element.type for element in other.content.elements()}
        for element in mine.content.elements():
            if element.name in theirs:
                yield f"{path}/{element.name}", element.type, theirs[element.name]
    elif isinstance(mine, SimpleContentType) and isinstance(other, SimpleContentType):
        yield path, mine.base, other.base
        types = {attribute.name: attribute.type for attribute in other.attributes}
        for attribute in mine.attributes:
            if attribute.name in types:
                yield f"{path}/@{attribute.name}", attribute.type, types[attribute.name]
    elif isinstance(mine, SimpleType) and isinstance(other, SimpleType):
        yield path, mine.base, other.base


def _line_differences(mine: list[str], other: list[str]) -> Iterator[tuple[str, str]]:
    if mine == other:
        return
    only_mine = [line for line in mine if line not in other]
    only_other = [line for line in other if line not in mine]
    if not only_mine and not only_other:
        yield "order: " + "; ".join(mine), "order: " + "; ".join(other)
    for index in range(max(len(only_mine), len(only_other))):
        yield (
            only_mine[index] if index < len(only_mine) else "",
            only_other[index] if index < len(only_other) else "",
        )
