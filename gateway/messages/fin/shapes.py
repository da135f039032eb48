"""Recognise messages of a shape that was judged before, in one match of a regular expression.

Counterparties write few shapes of message: the same fields with the same qualifiers in the same order around other
values. What structure and rules say of a message depends on which fields and components are there and on the codes
that rules compare; so a shape is one pattern over the text of block 4 in which all of these stand literally, with a
group for every other component. It is made from a message without any violation, and asks of a message that fits only
what no pattern can state: that dates are real, currencies known, decimals few enough. What does not fit is judged at
length, which finds the mistake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from gateway.messages.fin.definitions import Definitions
from gateway.messages.fin.fields import CHECKS, DIGITS, FieldFormat, amount_holds, references_hold
from gateway.messages.fin.message import Field
from gateway.messages.fin.rules import NetworkRule
from gateway.messages.fin.structure import qualifier_of
from gateway.messages.shapes import getter

# What a sender can make the gateway keep and do: a shape takes some thirty times the bytes of its message, and a
# hundred times as long to make as to judge one message.
_LONGEST: Final = 16_000  # characters of block 4
_ALIKE: Final = 16  # shapes of one message type with as many fields
_OUTLINES: Final = 64  # message types and numbers of fields with shapes
_PATIENCE: Final = 20  # messages that are judged at length before one of them is learned
_STRANGERS: Final = 1_000  # outlines counted without a shape
_OF_STRUCTURE: Final = {"block", "qualifier", "minus"}  # types of components that are no values


Take = Callable[[Sequence[str]], tuple[str, ...]]


class Part(NamedTuple):
    """What a group of a shape is: a component of the n-th field."""

    field: int
    component: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape: what fits it, what its groups are, and the fields of the message that it was learned from."""

    fits: Callable[[str], re.Match[str] | None]
    parts: tuple[Part, ...]
    fields: tuple[Field, ...]
    checks: tuple[tuple[Take, Callable[[str], object]], ...]  # some groups, and what holds of each
    references: Take
    amounts: tuple[tuple[int, int], ...]  # the groups of an amount and its currency
    signed: tuple[int, ...]  # numbers with a minus sign: not zero

    def read(self, text: str) -> tuple[str, ...] | None:
        """Return the texts of the groups, or None for a message of another shape or with a value that cannot be."""
        found = self.fits(text)
        if found is None:
            return None
        texts = found.groups()
        for take, holds in self.checks:
            if not all(map(holds, take(texts))):
                return None
        if not references_hold("\n".join(self.references(texts))):
            return None
        for number, currency in self.amounts:
            if not amount_holds(texts[number], texts[currency]):
                return None
        for number in self.signed:
            if not texts[number].strip("0,"):
                return None
        return texts


class Recognised(NamedTuple):
    """A message of a known shape, without violations: the texts are those of the shape's parts."""

    shape: Shape
    texts: tuple[str, ...]


class Shapes:
    """The shapes that were learned, by message type and number of fields, the last used first; bounded in number."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[Shape]] = {}
        self._last: dict[str, Shape] = {}  # of each message type, the last that fitted: it often does again
        self._strangers: Counter[tuple[str, int]] = Counter()

    def read(self, text: str, message_type: str) -> Recognised | None:
        """Return what a block 4 says if it is of a known shape and valid; lines end with a line feed."""
        last = self._last.get(message_type)
        if last is not None and (texts := last.read(text)) is not None:
            return Recognised(last, texts)
        known = self._known.get((message_type, text.count("\n:")), [])
        for number, shape in enumerate(known):
            if (texts := shape.read(text)) is not None:
                if number:
                    known.insert(0, known.pop(number))
                self._last[message_type] = shape
                return Recognised(shape, texts)
        return None

    def learn(
        self,
        text: str,
        message_type: str,
        fields: Sequence[Field],
        rules: Iterable[NetworkRule],
        definitions: Definitions,
    ) -> None:
        """Count a message without violations, and learn its shape when such messages have come often enough."""
        outline = message_type, text.count("\n:")
        self._strangers[outline] += 1
        if self._strangers[outline] < _PATIENCE:
            if len(self._strangers) > _STRANGERS:
                self._strangers.clear()
            return
        del self._strangers[outline]
        if len(text) > _LONGEST:
            return
        shape = shape_of(fields, message_type, rules, definitions)
        if shape.read(text) is None:
            return  # a message with what no shape is made for
        self._known[outline] = [shape, *self._known.pop(outline, ())][:_ALIKE]
        if len(self._known) > _OUTLINES:
            del self._known[next(iter(self._known))]


def shape_of(
    fields: Sequence[Field], message_type: str, rules: Iterable[NetworkRule], definitions: Definitions
) -> Shape:
    """Return the shape of a message that is without violations."""
    reads = [place for rule in rules for place in rule.reads]
    pattern: list[str] = []
    parts: list[Part] = []
    checks: dict[Callable[[str], object], list[int]] = {references_hold: []}
    amounts: list[tuple[int, int]] = []
    signed: list[int] = []
    for number, found in enumerate(fields):
        format_ = definitions.formats[found.tag]
        texts = format_.texts(found.value) or {}
        pinned = {place.component or format_.code for place in reads if place.is_of(found)}
        fixed = {part.name for part in format_.components if part.name in pinned or part.type in _OF_STRUCTURE}
        allowed = definitions.codes(found.tag, qualifier_of(found), message_type)
        said, names = format_.shape(texts, fixed, None if "data_source_scheme" in texts else allowed)
        pattern.append(f":{found.tag}:{said}")
        currency: int | str = ""
        for part in format_.components:
            if part.name not in texts:
                continue
            group = len(parts) + names.index(part.name) if part.name in names else None
            if part.type == "currency":
                currency = texts[part.name] if group is None else group
            if group is None:
                continue
            if (check := CHECKS.get(part.type) or DIGITS.get(part.type)) is not None:
                checks.setdefault(check.holds, []).append(group)
            elif part.type == "amount":
                if isinstance(currency, int):
                    amounts.append((group, currency))
                else:
                    checks[partial(amount_holds, currency=currency)] = [group]
            if part.type in {"amount", "decimal", "number"} and _has_minus(format_, texts):
                signed.append(group)
        parts += [Part(number, name) for name in names]
    references = checks.pop(references_hold)
    return Shape(
        re.compile("\n".join(pattern)).fullmatch,
        tuple(parts),
        tuple(fields),
        tuple([(getter(groups), holds) for holds, groups in checks.items()]),
        getter(references),
        tuple(amounts),
        tuple(signed),
    )


def _has_minus(format_: FieldFormat, texts: Mapping[str, str]) -> bool:
    return any(part.type == "minus" and part.name in texts for part in format_.components)
