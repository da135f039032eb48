"""Make the functions that write messages of one shape.

Which fields an event gives, how long its lists are and which codes are proprietary decide its shape: the tags of its
message, and where in the event each value stands. For a shape that comes again, two kinds of functions are made as
Python source and compiled: those that recognise it (``asking``), and the one that writes it (``writer``), the tags as
constants with the values between them.

The source is made of names of fields, tags of the schema dictionary, numbers and the forms below. Nothing that an event
says gets into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from pydantic import BaseModel

from gateway.messages.sources import Kind, fields_of

EACH = "[]"

Location = tuple[str | int, ...]
"""Where a value stands: the number of its source, then names of fields and positions in lists."""


# --- how values are written -------------------------------------------------------------------------------------------


def instant(moment: datetime) -> str:
    """Write an instant in UTC with milliseconds and ``Z``, the form that every header version accepts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def decimal(value: Decimal) -> str:
    """Write a number with all of its digits and without an exponent."""
    text = str(value)
    return format(value, "f") if "E" in text else text


_FORMS = {
    "identifier": "{}",
    "code": "{}",
    "date": "{}.isoformat()",
    "instant": "instant({})",
    "number": "str({})",
    "decimal": "decimal({})",
    "yes_no": "('true' if {} else 'false')",
}
_FUNCTIONS = {"instant": instant, "decimal": decimal, "escape": escape}


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written: an expression with ``{}`` for it, or the texts of the codes that there are."""

    expression: str
    codes: Mapping[str, str] | None = None
    render: Callable[[Any], str] = str


@lru_cache(maxsize=64)
def form(conversion: str) -> Form:
    """Return the form of a conversion of the mapping tables other than a code's and ``amount``."""
    if conversion == "text":
        return Form("", render=escape)  # a writer escapes all texts at once
    digits = conversion.removeprefix("digits ")
    expression = _FORMS[conversion] if digits == conversion else f"'%0{digits}d' % {{}}"
    return Form(expression, render=_compiled("value", (), expression.format("value")))


def form_of_codes(texts: Mapping[str, str]) -> Form:
    """Return the form of a code that is checked and translated; ``KeyError`` says that there is no such code."""
    return Form("{}[{}]", texts, texts.__getitem__)


@dataclass(frozen=True, slots=True)
class Value:
    """A value between tags: where it stands, how it is written, and what it is in the event at hand."""

    location: Location
    form: Form
    value: Any


Piece = str | Value


# --- source -----------------------------------------------------------------------------------------------------------


def _compiled(parameters: str, lines: Sequence[str], result: str, **names: object) -> Callable[..., Any]:
    body = "".join(f"    {line}\n" for line in (*lines, f"return {result}"))
    made: dict[str, Any] = {**_FUNCTIONS, **names}
    exec(compile(f"def made({parameters}):\n{body}", "<shape of a message>", "exec"), made)  # noqa: S102 - our own source
    function: Callable[..., Any] = made["made"]
    return function


_shared_compiled = lru_cache(maxsize=256)(_compiled)


@dataclass(slots=True)
class _Body:
    """The lines of a function over the sources, and the names that it has given to the fields of objects."""

    sources: Sequence[Any]
    lines: list[str] = field(default_factory=list)
    named: dict[Location, str] = field(default_factory=dict)

    @property
    def parameters(self) -> str:
        return ", ".join(f"s{number}" for number in range(len(self.sources)))

    def expression(self, location: Location) -> str:
        """Write how to get at a value."""
        *around, last = location
        outer = tuple(around)
        if not outer:
            return f"s{last}"
        if isinstance(last, int):
            return f"{self.expression(outer)}[{last}]"
        if not isinstance(value_at(self.sources, outer), BaseModel):
            return f"{self.expression(outer)}.{last}"
        if outer not in self.named:  # a model looks for attributes in Python; its dictionary is at hand
            model = self.expression(outer)
            name = self.named[outer] = f"f{len(self.named)}"
            self.lines.append(f"{name} = {model}.__dict__")
        return f"{self.named[outer]}[{last!r}]"


def value_at(sources: Sequence[Any], location: Sequence[str | int]) -> Any:
    """Return the value at a location; None where something on the way is absent."""
    value: Any = sources
    for step in location:
        value = value[step] if isinstance(step, int) else getattr(value, step, None)
    return value


def writer(pieces: Sequence[Piece], sources: Sequence[Any]) -> Callable[..., str]:
    """Make the function from sources of this shape to text. It raises ``KeyError`` for a code without a text."""
    body = _Body(sources)
    parts: list[str] = []
    texts: list[str] = []
    codes: dict[str, object] = {}
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(repr(piece))
            continue
        value = body.expression(piece.location)
        if piece.form.codes is not None:
            name = f"c{len(codes)}"
            codes[name] = dict(piece.form.codes)
            parts.append(piece.form.expression.format(name, value))
        elif piece.form.expression:
            parts.append(piece.form.expression.format(value))
        else:
            texts.append(f"t{len(texts)}")
            body.lines.append(f"{texts[-1]} = {value}")
            parts.append(texts[-1])
    if texts:
        names = f"{', '.join(texts)},"
        body.lines.append(f"all = ''.join(({names}))")
        body.lines.append(f"if '&' in all or '<' in all or '>' in all: {names} = map(escape, ({names}))")
    return _compiled(body.parameters, body.lines, f"''.join(({', '.join(parts)},))", **codes)


# --- what to ask an event ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """Something that shapes differ in: the fields that an object gives, what a list has, a type, or a value itself."""

    about: str  # fields | items | type | value
    location: Location


@dataclass(frozen=True, slots=True)
class Questions:
    """What to ask about sources of these types. ``conditions`` are the places of values that rows depend on."""

    conditions: frozenset[Location]

    def first(self, sources: Sequence[Any]) -> list[Question]:
        """Return what to ask first."""
        return [found for number, source in enumerate(sources) for found in self._object((number,), source)]

    def next(self, questions: Sequence[Question], sources: Sequence[Any]) -> list[Question]:
        """Return what to ask when these questions have been answered as the sources at hand answer them."""
        following: list[Question] = []
        for question in questions:
            value, location = value_at(sources, question.location), question.location
            if question.about == "fields":
                following += self._fields(location, value)
            elif question.about == "type" and not isinstance(value, str):
                following += self._object(location, value)
            elif question.about == "items":
                for number, item in enumerate(value):
                    if not isinstance(item, str):
                        following += self._object((*location, number), item)
        return following

    def _object(self, location: Location, value: Any) -> Iterator[Question]:
        model: type = type(value)
        if any(kind.optional or kind.items is not None for kind in fields_of(model).values()):
            yield Question("fields", location)
        else:
            yield from self._fields(location, value)

    def _fields(self, location: Location, value: Any) -> Iterator[Question]:
        pattern = tuple(EACH if isinstance(step, int) else step for step in location[1:])
        model: type = type(value)
        for name, kind in fields_of(model).items():
            here, inner = (*location, name), getattr(value, name)
            if inner is None or inner == ():
                continue
            if (location[0], *pattern, name) in self.conditions:
                yield Question("value", here)
            if kind.items is not None:
                yield Question("items", here)
            elif kind.models:
                yield from [Question("type", here)] if kind.plain else self._object(here, inner)


def asking(questions: Sequence[Question], sources: Sequence[Any]) -> Callable[..., object]:
    """Make the function from sources to their answers, which can be a key."""
    body = _Body(sources)
    answers = []
    for question in questions:
        value = value_at(sources, question.location)
        here = body.expression(question.location)
        if question.about == "items":
            answers.append(f"(*map(type, {here}),)")
        elif question.about != "fields":
            answers.append(here if question.about == "value" else f"type({here})")
        elif isinstance(value, BaseModel):
            # pydantic remembers which fields were given; parse_event lets no null and no empty list in.
            answers.append(f"frozenset({here}.__pydantic_fields_set__)")
        else:
            answers += [f"{here}.{name} is None" for name, kind in _optional(type(value))]
    return _shared_compiled(body.parameters, tuple(body.lines), f"({', '.join(answers)},)" if answers else "()")


def _optional(model: type) -> list[tuple[str, Kind]]:
    return [(name, kind) for name, kind in fields_of(model).items() if kind.optional]
