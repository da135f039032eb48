"""Make the functions that write messages of one shape.

Which fields an event gives, how long its lists are and which codes are proprietary decide its shape: the tags of its
message, and where in the event each value stands. For a shape that comes again a function is made as Python source and
compiled. It checks that an event has the shape, and joins the tags, which are constants, with the values between them.

The source is made of names of fields, tags of the schema dictionary, numbers and the forms below. Nothing that an event
says gets into it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, ClassVar, Final, TypeGuard
from xml.sax.saxutils import escape

from gateway.messages.sources import Kind, fields_of, kind_of

EACH = "[]"

Location = tuple[str | int, ...]
"""Where a value stands: the number of its source, then names of fields and positions in lists."""

Parts = tuple[str | Location, ...]
"""What a value is put together of: other values and the text between them."""


class Following(ABC):
    """What follows from an event for the rows of a table: a source that is given as its class, made where it is needed.

    ``DECIDES`` are fields of the event of which the value decides what follows, and not only that there is one.
    """

    __slots__ = ()
    DECIDES: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def of(cls, event: Any) -> Following:
        """Return what follows from an event. Raises ``BuildError``."""

    @classmethod
    @abstractmethod
    def stands(cls, event: Any) -> Mapping[Location, Parts] | None:
        """Say of what in the event each value consists, the same for all events of its shape; None where that varies.

        A place in it stands for all that is below it.
        """


def follows(source: Any) -> TypeGuard[type[Following]]:
    """Tell whether a source is yet to be made from the event."""
    return isinstance(source, type)


def made(sources: Sequence[Any]) -> list[Any]:
    """Return the sources with what follows from the event, the first of them."""
    return [source.of(sources[0]) if follows(source) else source for source in sources]


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
    if "." in text and "E" not in text and text[0] != "-":
        return text.replace(".", ",")
    if "E" in text:
        text = format(value, "f")
    whole, _, decimals = text.partition(".")
    return f"{whole.lstrip('-')},{decimals}"


def money(amount: Any) -> str:
    """Write a value and its currency as FIN does: ``N`` if it is below zero, currency, number."""
    value: Decimal = amount.value
    text = str(value)
    currency: str = amount.currency
    if "." in text and "E" not in text and text[0] != "-":
        return currency + text.replace(".", ",")
    return f"{'N' if value.is_signed() and value else ''}{currency}{comma(value)}"


@lru_cache(maxsize=4096)  # many trades are of one day
def iso_date(value: date) -> str:
    """Write a date, YYYY-MM-DD."""
    return value.isoformat()


@lru_cache(maxsize=4096)
def plain_date(value: date) -> str:
    """Write a date as FIN does, YYYYMMDD."""
    return value.isoformat().replace("-", "")


@lru_cache(maxsize=256)
def moment(value: datetime) -> str:
    """Write an instant in UTC as FIN does, YYYYMMDDHHMMSS."""
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat()[:19].replace("-", "").replace(":", "").replace("T", "")


_NO_BEGINNING = ("-", ":", " ", "")  # of a line


def lines(text: str, width: int) -> str:
    """Write a text as lines of at most a width, broken at spaces where there are some; nothing of it is lost.

    No line that is made so begins with a hyphen or colon, which FIN does not allow. More lines than the field has are
    the matter of whoever judges the message.
    """
    if len(text) <= width and "\n" not in text:
        return text
    if "\n" in text and _usual_lines(width)(text):
        return text
    written: list[str] = []
    for line in text.splitlines():
        rest = line
        while len(rest) > width:
            end, start = _line_end(rest, width)
            written.append(rest[:end])
            rest = rest[start:]
        if rest:  # an empty line would end the field
            written.append(rest)
    return "\n".join(written)


@cache
def _usual_lines(width: int) -> Callable[[str], object]:
    """Recognise texts of lines that are written as they are, at the speed of a regular expression."""
    line = f"[ -~]{{1,{width}}}"
    return re.compile(f"{line}(?:\n{line})*").fullmatch


def _line_end(text: str, width: int) -> tuple[int, int]:
    """Return where the first line of a longer text ends, and where the second begins."""
    space = text.rfind(" ", 1, width + 1)
    while space > 0:
        if text[space + 1 : space + 2] not in _NO_BEGINNING:
            return space, space + 1
        space = text.rfind(" ", 1, space)
    end = next((place for place in range(width, 0, -1) if text[place] not in _NO_BEGINNING), width)
    return end, end


_FORMS = {
    "identifier": "{}",
    "code": "{}",
    "date": "iso_date({})",
    "instant": "instant({})",
    "offset_instant": "offset_instant({})",
    "number": "str({})",
    "decimal": "decimal({})",
    "yes_no": "true_false[{}]",
    "amount": "decimal({})",
    "fin decimal": "comma({})",
    "fin signed": "('N' if {}.is_signed() and {} else '') + comma({})",
    "fin money": "money({})",
    "fin sign": "('N' if {}.is_signed() and {} else '')",
    "fin date date": "plain_date({})",
    "fin date date2": "plain_date({})[2:]",
    "fin instant moment": "moment({})",
    "fin instant date": "moment({})[:8]",
    "fin instant date2": "moment({})[2:8]",
    "fin yes_no": "y_n[{}]",
}
_WRITE_NONE = frozenset(  # as something, where all others raise an error
    {"number", "decimal", "amount", "fin decimal", "fin sign"}
)
_LINES = re.compile(r"fin text (?:[0-9]+\*)?([0-9]+)!?[a-z]")
_NAMES = {
    "true_false": {True: "true", False: "false"},
    "y_n": {True: "Y", False: "N"},
    "comma": comma,
    "money": money,
    "iso_date": iso_date,
    "plain_date": plain_date,
    "moment": moment,
    "lines": lines,
    "instant": instant,
    "offset_instant": offset_instant,
    "decimal": decimal,
    "escape": escape,
}


@dataclass(frozen=True, slots=True)
class Form:
    """How a value is written: an expression with ``{}`` for it, or the texts of the codes that there are.

    ``proves``: a function that writes it so fails where there is no value or, instead of a code, a proprietary one.
    """

    expression: str
    codes: Mapping[Any, str] | None = None
    render: Callable[[Any], str] = str
    proves: bool = True


@lru_cache(maxsize=64)
def form(conversion: str) -> Form:
    """Return the form of a conversion of the mapping tables other than a code's and ``amount``."""
    if conversion == "text":
        return Form("", render=escape)  # a writer escapes all texts at once
    if conversion.startswith("always "):
        constant = escape(conversion.removeprefix("always "))
        return Form(repr(constant), render=lambda _: constant, proves=False)
    if (found := _LINES.fullmatch(conversion)) is not None:
        expression = f"lines({{}}, {found[1]})" if "*" in conversion else "{}"
        return Form(expression, render=_compiled("value", (), expression.format("value")))
    if conversion.startswith("fin text "):  # lines of a form of their own, made as such
        return Form("{}", render=str)
    digits = conversion.removeprefix("digits ")
    expression = _FORMS[conversion] if digits == conversion else f"'%0{digits}d' % {{}}"
    render = _compiled("value", (), expression.replace("{}", "value"))
    return Form(expression, render=render, proves=conversion not in _WRITE_NONE)


DROPPED = Form("''", render=lambda _: "", proves=False)
"""Of a value that is left out; it decides the shape of the message all the same."""


def form_of_codes(texts: Mapping[Any, str]) -> Form:
    """Return the form of a code that is checked and translated; ``KeyError`` says that there is no such code."""
    return Form("{}[{}]", texts, texts.__getitem__)


@dataclass(frozen=True, slots=True)
class Value:
    """A value between tags: where it stands, how it is written, and what it is in the event at hand.

    ``parts``: what a text consists of that stands in no one place.
    """

    location: Location
    form: Form
    value: Any
    parts: Parts = ()


Piece = str | Value
Writer = Callable[..., str | None]


# --- source -----------------------------------------------------------------------------------------------------------


UNLIKE: Final = (AttributeError, KeyError, TypeError, ValueError)
"""What a function raises for sources that are not of its shape, or have a code without a text."""


def _compiled(parameters: str, lines: Sequence[str], result: str, **names: object) -> Callable[..., Any]:
    body = "".join(f"    {line}\n" for line in (*lines, f"return {result}"))
    made: dict[str, Any] = {**_NAMES, **names}
    exec(compile(f"def made({parameters}):\n{body}", "<shape of a message>", "exec"), made)  # noqa: S102 - our own source
    function: Callable[..., Any] = made["made"]
    return function


@dataclass(slots=True)
class _Body:
    """The lines of a function over the sources, the names that it has given to objects and items, its constants.

    ``proved`` are the places of values that need no check, since to write them is one.
    """

    sources: Sequence[Any]
    conditions: frozenset[Location]
    proved: frozenset[Location]
    lines: list[str] = field(default_factory=list)
    items: dict[Location, str] = field(default_factory=dict)
    constants: dict[str, object] = field(default_factory=dict)

    def constant(self, value: object) -> str:
        """Name a constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def refuse(self, *signs: str) -> None:
        """Go on only where none of these holds."""
        if signs:
            self.lines.append(f"if {' or '.join(signs)}: return None")

    def expression(self, location: Location) -> str:
        """Write how to get at a value."""
        if location in self.items:
            return self.items[location]
        *around, last = location
        return f"{self.expression(tuple(around))}.{last}" if around else f"s{last}"

    def text(self, parts: Parts) -> str:
        """Write how to put a text together. Fails where a part of it is none."""
        joined = [repr(part) if isinstance(part, str) else self.expression(part) for part in parts]
        return joined[0] if len(joined) == 1 else f"''.join(({', '.join(joined)}))"

    def notices(self, location: Location, value: Any) -> bool:
        """Tell whether the function fails where a value is not there: it writes it or what is in it, or unpacks it."""
        length = len(location)
        return isinstance(value, tuple) or any(place[:length] == location for place in self.proved)

    def hold(self, location: Location) -> None:
        """Name an object."""
        name = f"o{len(self.items)}"
        self.lines.append(f"{name} = {self.expression(location)}")
        self.items[location] = name

    def unpack(self, location: Location, count: int) -> list[Location]:
        """Name the items of a list, and return their places. Fails where it has more or fewer."""
        places: list[Location] = [(*location, number) for number in range(count)]
        names = [f"i{len(self.items) + number}" for number in range(count)]
        self.items |= zip(places, names, strict=True)
        self.lines.append(f"{', '.join(names)}, = {self.expression(location)}")
        return places


def value_at(sources: Sequence[Any], location: Sequence[str | int]) -> Any:
    """Return the value at a location; None where something on the way is absent."""
    value: Any = sources
    for step in location:
        value = value[step] if isinstance(step, int) else getattr(value, step, None)
    return value


# --- functions --------------------------------------------------------------------------------------------------------


def writer(
    pieces: Sequence[Piece],
    sources: Sequence[Any],
    names: Mapping[int, Collection[str]],
    conditions: frozenset[Location],
) -> Writer:
    """Make the function from sources to text for the shape that these sources have.

    For sources of another shape it returns None or raises one of ``UNLIKE``. ``names`` are the fields that the table
    speaks of, by source; they are checked whether this shape has something in them or not, and so is all of the event.
    ``conditions`` are the places of values that decide by themselves what is written.
    """
    values = [piece for piece in pieces if isinstance(piece, Value)]
    proved = frozenset(value.location for value in values if value.form.proves and not value.parts)
    proved |= {part for value in values for part in value.parts if isinstance(part, tuple)}
    body = _Body(made(sources), conditions, proved)
    body.refuse(f"type(s0) is not {body.constant(type(sources[0]))}")
    for number, source in enumerate(sources):
        if follows(source) and number in names:
            body.lines.append(f"s{number} = s{number}.of(s0)")
    there: list[Location] = [(number,) for number in range(len(sources)) if number == 0 or number in names]
    while there:  # level by level, so that the processor can fetch several objects at a time
        models = [location for location in there if is_dataclass(value_at(body.sources, location))]
        for location in models:
            if len(location) > 1 and location not in body.items:
                body.hold(location)
        there = [inner for location in there for inner in _check_object(location, names, body)]
    parts: list[str] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            if piece:
                parts.append(repr(piece))
            continue
        value = body.text(piece.parts) if piece.parts else body.expression(piece.location)
        if piece.form.codes is not None:
            parts.append(f"{body.constant(dict(piece.form.codes))}[{value}]")
        elif piece.form.expression:
            parts.append(piece.form.expression.replace("{}", value))
        else:
            texts.append(f"t{len(texts)}")
            body.lines.append(f"{texts[-1]} = {value}")
            parts.append(texts[-1])
    if texts:
        all_texts = f"{', '.join(texts)},"
        body.lines.append(f"said = ''.join(({all_texts}))")
        escaped = f"{all_texts} = map(escape, ({all_texts}))"
        body.lines.append(f"if '&' in said or '<' in said or '>' in said: {escaped}")
    parameters = ", ".join(f"s{number}" for number in range(len(sources)))
    return _compiled(parameters, body.lines, f"''.join([{', '.join(parts)}])", **body.constants)


def _check_object(location: Location, names: Mapping[int, Collection[str]], body: _Body) -> list[Location]:
    """Check that an object has values where this one has some, and nothing where it has nothing; say what is in it.

    What a field holds is looked at, not which were given: a default counts as what it is.
    """
    value = value_at(body.sources, location)
    model: type = type(value)
    pattern = tuple(EACH if number and isinstance(step, int) else step for number, step in enumerate(location))
    follows = getattr(model, "FOLLOWS", False)
    kinds = fields_of(model)
    there: list[tuple[Location, Kind]] = []
    unlike: list[str] = []
    for name in kinds if location == (0,) or len(location) > 1 else names[int(location[0])]:
        kind, here, inner = kinds[name], (*location, name), getattr(value, name)
        if inner is None:
            if not follows:
                unlike.append(f"{body.expression(here)} is not None")
        elif kind.items is not None and not inner:
            unlike.append(body.expression(here))
        else:
            there.append((here, kind))
            if (*pattern, name) in body.conditions:
                unlike.append(f"{body.expression(here)} != {body.constant(inner)}")
            elif kind.optional and not follows and not body.notices(here, inner):
                unlike.append(f"{body.expression(here)} is None")
    body.refuse(*unlike)
    objects: list[Location] = []
    for here, kind in there:
        one = kind if kind.items is None else kind_of(kind.items)
        for place in (here,) if kind.items is None else body.unpack(here, len(getattr(value, str(here[-1])))):
            inner = value_at(body.sources, place)
            if len(one.models) + one.plain > 1 and place not in body.proved:
                body.refuse(f"{body.expression(place)}.__class__ is not {body.constant(type(inner))}")
            if isinstance(inner, one.models):
                objects.append(place)
    return objects
