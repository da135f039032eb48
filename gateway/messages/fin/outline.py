"""The definition of a FIN message line by line, for a person to read: sequences, fields, qualifiers, codes, rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from gateway.messages.fin.definitions import Definitions, FieldDefinition, QualifierRow, SequenceDefinition
from gateway.messages.fin.rules import NetworkRule


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an outline; ``depth`` counts from 0, ``path`` is that of the sequence, ``maximum`` None: unbounded.

    ``label`` is the letter of a sequence, the tags of a field, the qualifiers of a row (``?``: not public)
    with their letters. ``formats`` are a field's, by tag; ``likely`` marks what is only warned of.
    """

    depth: int
    path: str
    kind: Literal["sequence", "field", "qualifier"]
    label: str
    name: str
    minimum: int
    maximum: int | None
    block: str = ""
    formats: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    likely: bool = False
    count: int = 1


def outline(definitions: Definitions, message_type: str, path: str = "", depth: int | None = None) -> Iterator[Line]:
    """Yield the lines of a message, or of the sequence at a path (``E/E1``), ``depth`` levels of them (None: all).

    Raises ``KeyError`` for a message type or a sequence that is not there.
    """
    root = definitions.message(message_type).root
    at = root
    for step in filter(None, path.split("/")):
        below = (item for item in at.items if isinstance(item, SequenceDefinition) and step in {item.id, item.block})
        found = next(below, None)
        if found is None:
            raise KeyError(path)
        at = found
    yield from _Outline(definitions, message_type, depth).items(
        [at] if path else root.items, path.rpartition("/")[0], 0
    )


def rule_lines(rule: NetworkRule) -> Iterator[str]:
    """Yield a rule in the words of its file."""
    if rule.each:
        yield f"each {rule.each}"
    yield from (assertion.text for assertion in rule.assertions)


@dataclass(frozen=True, slots=True)
class _Outline:
    definitions: Definitions
    message_type: str
    limit: int | None

    def items(self, items: Iterable[FieldDefinition | SequenceDefinition], path: str, depth: int) -> Iterator[Line]:
        if self.limit is not None and depth > self.limit:
            return
        for item in items:
            if isinstance(item, SequenceDefinition):
                below = f"{path}/{item.id}".strip("/")
                yield Line(depth, below, "sequence", item.id, item.name, item.minimum, item.maximum, item.block)
                yield from self.items(item.items, below, depth + 1)
            else:
                yield self._field(item, path, depth)
                yield from self._rows(item, path, depth + 1)

    def _field(self, item: FieldDefinition, path: str, depth: int) -> Line:
        formats = tuple(f"{tag} {self.definitions.formats[tag].notation}" for tag in item.tags)
        codes = () if item.rows else self._codes(item.tags, "")
        label = "/".join(item.tags) + (f" (formerly {'/'.join(item.former)})" if item.former else "")
        return Line(depth, path, "field", label, item.name, item.minimum, item.maximum, "", formats, codes)

    def _rows(self, item: FieldDefinition, path: str, depth: int) -> Iterator[Line]:
        if self.limit is not None and depth > self.limit:
            return
        for row in item.rows:
            for letters, qualifiers in _by_letters(row).items():
                label = f"{' '.join(qualifiers) or '?'}  {'/'.join(letters)}"
                alone = qualifiers[0] if len(qualifiers) == 1 else ""
                name = self.definitions.names.get((item.number, alone), "")
                codes = self._codes([f"{item.number}{letter}" for letter in letters], alone) if alone else ()
                bounds = row.minimum, row.maximum
                yield Line(depth, path, "qualifier", label, name, *bounds, "", (), codes, row.likely, row.count)

    def _codes(self, tags: Iterable[str], qualifier: str) -> tuple[str, ...]:
        lists = (self.definitions.codes(tag, qualifier, self.message_type) for tag in tags)
        return tuple(sorted({code for codes in lists if codes for code in codes}))


def _by_letters(row: QualifierRow) -> dict[tuple[str, ...], list[str]]:
    """Return the qualifiers of a row by the letters they take."""
    if not row.qualifiers:
        return {tuple(sorted(row.letters)): []}
    found: dict[tuple[str, ...], list[str]] = {}
    for qualifier, letters in row.qualifiers.items():
        found.setdefault(tuple(sorted(letters)), []).append(qualifier)
    return found
