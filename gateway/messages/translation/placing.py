"""Put values into a message of another language, and say of each that has no place there, or does not fit, why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.messages.building import Place, joined
from gateway.messages.catalogue import (
    ComplexType,
    ElementDefinition,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
)
from gateway.messages.fin.elements import QUANTITY_TYPES
from gateway.messages.mapping import Step
from gateway.messages.writing import Form, Piece, Value, instant

_NEGATIVE: Final = "N"


@dataclass(frozen=True, slots=True)
class Placed:
    """A value in its place: what is written, the path of its element, and the text in it."""

    place: Place
    pieces: tuple[Piece, ...]
    path: str
    text: str


def path_of(steps: Sequence[Step], place: Place) -> str:
    """Return the path of an element as people write it; the number of one of several stands behind its tag."""
    return "/".join(
        f"{step.tag}[{number + (step.repeated)}]" if number else step.tag
        for step, (_, number, _, _) in zip(steps, place, strict=True)
    )


def rendered(form: Form, value: Any) -> str:
    """Return a value as it stands in the message, before anything is escaped."""
    if form.codes is not None:
        return form.codes.get(value, str(value))
    return str(value) if not form.expression else form.render(value)


def changed(text: str, value: Any) -> str | None:
    """Say that a text goes over lines which it did not, or an instant is no longer told to the millisecond."""
    if isinstance(value, datetime):
        exact = instant(value)[:-1].rstrip("0").rstrip(".")
        return None if "." in text or "." not in exact else "to the second"
    if not isinstance(value, str) or text.count("\n") == value.count("\n"):
        return None
    same = text.split() == value.split()
    return "goes over lines" if same else "goes over lines, within words"


def objection(message: MessageDefinition, steps: Sequence[Step], text: str) -> str | None:
    """Say what would be right where a text does not fit its element."""
    step = steps[-1]
    around = steps[-2].type if len(steps) > 1 else ""
    definition = message.types.get(step.type)
    if text.startswith(_NEGATIVE) and (step.tag in QUANTITY_TYPES or base_of(message, step.type) == "xs:decimal"):
        text = text.removeprefix(_NEGATIVE)
    type_name = definition.base if isinstance(definition, SimpleContentType) else step.type
    return message.objection(around, step.tag, type_name, text)


def base_of(message: MessageDefinition, type_name: str) -> str:
    """Return the built-in type that a type restricts; empty for one of elements."""
    while not type_name.startswith("xs:"):
        definition = message.types.get(type_name)
        if not isinstance(definition, SimpleType | SimpleContentType):
            return ""
        type_name = definition.base
    return type_name


def too_many(message: MessageDefinition, steps: Sequence[Step], place: Place) -> str | None:
    """Say how often an element may be there where this one is beyond that."""
    parent = message.root_type
    if message.root == "Document":
        parent = _below(message, parent)[0].type
    for step, (position, number, _, _) in zip(steps, place, strict=True):
        maximum = _below(message, parent)[position].maximum
        if step.repeated and maximum is not None and number >= maximum:
            return f"at most {maximum} of {step.tag}"
        parent = step.type
    return None


def _below(message: MessageDefinition, type_name: str) -> list[Any]:
    definition: Any = message.types[type_name]
    return list(definition.content.elements())


def incomplete(message: MessageDefinition, placed: Iterable[Placed]) -> Iterator[tuple[Place, str]]:
    """Yield the optional elements that lack a mandatory one, each by its place, and what it lacks."""
    inside: dict[Place, set[int]] = {}
    for each in placed:
        for depth, part in enumerate(each.place):
            inside.setdefault(each.place[:depth], set()).add(part[0])
    top = message.root_type
    if message.root == "Document":
        top = _below(message, top)[0].type
    for around, there in inside.items():
        optional, type_name = Place(), top
        for depth, (position, _, _, _) in enumerate(around, 1):
            element = _below(message, type_name)[position]
            type_name = element.type
            optional = optional if element.minimum else around[:depth]
        definition: Any = message.types[type_name]
        if not isinstance(definition, ComplexType):
            continue
        elements = list(definition.content.elements())
        wanted = [each for each in definition.content.items if isinstance(each, ElementDefinition) and each.minimum]
        lacking = [each.name for each in wanted if elements.index(each) not in there]
        if optional and lacking and definition.content.kind == "sequence":
            yield optional, lacking[0]


def shortened(message: MessageDefinition, steps: Sequence[Step], form: Form, text: str) -> str | None:
    """Return the longest beginning of a text that fits its element; None where none does."""
    for length in range(len(text) - 1, 0, -1):
        if objection(message, steps, rendered(form, text[:length])) is None:
            return text[:length].rstrip()
    return None


def written(placed: Iterable[Placed]) -> str:
    """Return the text of a message: all values in the order of its definition."""
    ordered = sorted(placed, key=lambda each: each.place)
    pieces = joined([(each.place, list(each.pieces)) for each in ordered])
    return "".join([piece if isinstance(piece, str) else _text(piece) for piece in pieces])


def _text(piece: Value) -> str:
    return piece.form.render(piece.value)
