"""Make the functions that write messages of one shape.

Which fields an event gives, how long its lists are and which codes are proprietary decide its shape: the tags of its
message, and where in the event each value stands. For a shape that comes again a function is made as Python source and
compiled. It checks that an event has the shape, and joins the tags, which are constants, with the values between them.

The source is made of names of fields, tags of the schema dictionary, numbers and the forms below. Nothing that an event
says gets into it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from pydantic import BaseModel

from gateway.messages.sources import Kind, fields_of, kind_of

EACH = "[]"

Location = tuple[str | int, ...]
"""Where a value stands: the number of its source, then names of fields and positions in lists."""


# --- how values are written -------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)  # all that is made in one transaction is made at one instant
def instant(moment: datetime) -> str:
    """Write an instant in UTC with milliseconds and ``Z``, the form that every header version accepts."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def offset_instant(moment: datetime) -> str:
    """Write an instant in UTC with milliseconds and ``+00:00``, the form of CBPR+."""
    return f"{instant(moment)[:-1]}+00:00"


def decimal(value: Decimal) -> str:
    """Write a number with all of its digits and without an exponent."""
    text = str(value)
    return format(value, "f") if "E" in text else text


def comma(value: Decimal) -> str:
    """Write a number as FIN does: with a decimal comma, whole numbers too, without its sign."""
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    text = text.replace(".", ",").lstrip("-")
    return text if "," in text else f"{text},"


@lru_cache(maxsize=256)
def moment(value: datetime) -> str:
    """Write an instant in UTC as FIN does, YYYYMMDDHHMMSS."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat()[:19].replace("-", "").replace(":", "").replace("T", "")


def lines(text: str, width: int) -> str:
    """Write a text as lines of at most a width, broken at spaces where there are some; nothing of it is lost.

    More lines than the field has are the matter of whoever judges the message.
    """
    if len(text) <= width and "\n" not in text:
        return text
    written: list[str] = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width:
            place = rest.rfind(" ", 1, width + 1)
            written.append(rest[: place if place > 0 else width])
            rest = rest[place + 1 :] if place > 0 else rest[width:]
        written.append(rest)
    return "\n".join(filter(None, written))  # an empty line would end the field


_FORMS = {
    "identifier": "{}",
    "code": "{}",
    "date": "{}.isoformat()",
    "instant": "instant({})",
    "offset_instant": "offset_instant({})",
    "number": "str({})",
    "decimal": "decimal({})",
    "yes_no": "('true' if {} else 'false')",
    "amount": "decimal({})",
    "fin decimal": "comma({})",
    "fin signed": "('N' if {}.is_signed() and {} else '') + comma({})",
    "fin sign": "('N' if {}.is_signed() and {} else '')",
    "fin date date": "{}.isoformat().replace('-', '')",
    "fin date date2": "{}.isoformat().replace('-', '')[2:]",
    "fin instant moment": "moment({})",
    "fin instant date": "moment({})[:8]",
    "fin instant date2": "moment({})[2:8]",
    "fin yes_no": "('Y' if {} else 'N')",
}
_LINES = re.compile(r"fin text (?:[0-9]+\*)?([0-9]+)!?[a-z]")
_FUNCTIONS = {
    "comma": comma,
    "moment": moment,
    "lines": lines,
    "instant": instant,
    "offset_instant": offset_instant,
    "decimal": decimal,
    "escape": escape,
}


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written: an expression with ``{}`` for it, or the texts of the codes that there are."""

    expression: str
    codes: Mapping[Any, str] | None = None
    render: Callable[[Any], str] = str


@lru_cache(maxsize=64)
def form(conversion: str) -> Form:
    """Return the form of a conversion of the mapping tables other than a code's and ``amount``."""
    if conversion == "text":
        return Form("", render=escape)  # a writer escapes all texts at once
    if conversion.startswith("always "):
        constant = escape(conversion.removeprefix("always "))
        return Form(repr(constant), render=lambda _: constant)
    if (found := _LINES.fullmatch(conversion)) is not None:
        expression = f"lines({{}}, {found[1]})" if "*" in conversion else "{}"
        return Form(expression, render=_compiled("value", (), expression.format("value")))
    if conversion.startswith("fin text "):  # lines of a form of their own, made as such
        return Form("{}", render=str)
    digits = conversion.removeprefix("digits ")
    expression = _FORMS[conversion] if digits == conversion else f"'%0{digits}d' % {{}}"
    return Form(expression, render=_compiled("value", (), expression.replace("{}", "value")))


DROPPED = Form("''", render=lambda _: "")
"""Of a value that is left out; it decides the shape of the message all the same."""


def form_of_codes(texts: Mapping[Any, str]) -> Form:
    """Return the form of a code that is checked and translated; ``KeyError`` says that there is no such code."""
    return Form("{}[{}]", texts, texts.__getitem__)


@dataclass(frozen=True, slots=True)
class Value:
    """A value between tags: where it stands, how it is written, and what it is in the event at hand."""

    location: Location
    form: Form
    value: Any


Piece = str | Value
Writer = Callable[..., str | None]


# --- source -----------------------------------------------------------------------------------------------------------


def _compiled(parameters: str, lines: Sequence[str], result: str, **names: object) -> Callable[..., Any]:
    body = "".join(f"    {line}\n" for line in (*lines, f"return {result}"))
    made: dict[str, Any] = {**_FUNCTIONS, **names}
    exec(compile(f"def made({parameters}):\n{body}", "<shape of a message>", "exec"), made)  # noqa: S102 - our own source
    function: Callable[..., Any] = made["made"]
    return function


@dataclass(slots=True)
class _Body:
    """The lines of a function over the sources, the names that it has given to the fields of objects, its constants."""

    sources: Sequence[Any]
    lines: list[str] = field(default_factory=list)
    named: dict[Location, str] = field(default_factory=dict)
    constants: dict[str, object] = field(default_factory=dict)

    def constant(self, value: object) -> str:
        """Name a constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def check(self, holds: str) -> None:
        """Go on only where this holds."""
        self.lines.append(f"if not ({holds}): return None")

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


# --- functions --------------------------------------------------------------------------------------------------------


def writer(pieces: Sequence[Piece], conditions: frozenset[Location], sources: Sequence[Any]) -> Writer:
    """Make the function from sources to text for the shape that these sources have.

    It is for first sources that give the same fields as this one, and returns None for sources of another shape. It
    raises ``KeyError`` for a code without a text. ``conditions`` are the places of values that decide by themselves
    what is written.
    """
    body = _Body(sources)
    for number, source in enumerate(sources):
        if any(not isinstance(piece, str) and piece.location[0] == number for piece in pieces):
            _check_object((number,), source, conditions, body)
    parts: list[str] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(repr(piece))
            continue
        value = body.expression(piece.location)
        if piece.form.codes is not None:
            parts.append(f"{body.constant(dict(piece.form.codes))}[{value}]")
        elif piece.form.expression:
            parts.append(piece.form.expression.replace("{}", value))
        else:
            texts.append(f"t{len(texts)}")
            body.lines.append(f"{texts[-1]} = {value}")
            parts.append(texts[-1])
    if texts:
        names = f"{', '.join(texts)},"
        body.lines.append(f"said = ''.join(({names}))")
        body.lines.append(f"if '&' in said or '<' in said or '>' in said: {names} = map(escape, ({names}))")
    parameters = ", ".join(f"s{number}" for number in range(len(sources)))
    return _compiled(parameters, body.lines, f"''.join(({', '.join(parts)},))", **body.constants)


def _check_object(location: Location, value: Any, conditions: frozenset[Location], body: _Body) -> None:
    """Check that an object gives the fields that this one gives, and what it holds."""
    model: type = type(value)
    kinds = fields_of(model)
    pattern = tuple(EACH if number and isinstance(step, int) else step for number, step in enumerate(location))
    if issubclass(model, BaseModel):
        # pydantic remembers which fields were given; parse_event lets no null and no empty list in.
        if location != (0,) and any(kind.optional or kind.items is not None for kind in kinds.values()):
            given = body.constant(frozenset(value.model_fields_set))
            body.check(f"{body.expression(location)}.__pydantic_fields_set__ == {given}")
    elif not getattr(model, "FOLLOWS", False):
        for name in (name for name, kind in kinds.items() if kind.optional):
            wanted = "is" if getattr(value, name) is None else "is not"
            body.check(f"{body.expression((*location, name))} {wanted} None")
    for name, kind in kinds.items():
        here, inner = (*location, name), getattr(value, name)
        if (*pattern, name) in conditions and inner is not None:
            body.check(f"{body.expression(here)} == {body.constant(inner)}")
        if kind.items is not None and inner:
            body.check(f"len({body.expression(here)}) == {len(inner)}")
            for number, item in enumerate(inner):
                _check_value((*here, number), item, kind_of(kind.items), conditions, body)
        elif inner is not None:
            _check_value(here, inner, kind, conditions, body)


def _check_value(location: Location, value: Any, kind: Kind, conditions: frozenset[Location], body: _Body) -> None:
    if kind.plain and kind.models:
        body.check(f"{body.expression(location)}.__class__ is {body.constant(value.__class__)}")
    if isinstance(value, kind.models):
        _check_object(location, value, conditions, body)
