"""Compile a mapping table, placed in one version of a message, to what writes the message.

The rows of the table say for an event which values stand between which tags, in the order of the schema. For an event
of a shape that was seen before this is a function made for that shape (``writing``). What a version lacks is known when
the table is compiled, and refused when an event gives it; but what a profile is willing to drop is left out, and said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from operator import attrgetter
from typing import Any

from gateway.errors import BuildError, ConfigError, Violation
from gateway.messages.catalogue import MessageDefinition, SimpleContentType, SimpleType
from gateway.messages.mapping import Row, Step, Table, place
from gateway.messages.sources import Kind, fields_of, kind_of, paths_of
from gateway.messages.writing import (
    DROPPED,
    EACH,
    UNLIKE,
    Form,
    Location,
    Parts,
    Piece,
    Value,
    Writer,
    follows,
    form,
    form_of_codes,
    made,
    value_at,
    writer,
)

_SHAPES_KEPT = 512  # of one message version; a busy desk uses a few dozen
_SHAPES_ALIKE = 16  # that give the same fields of the event and differ within them: they are tried one by one
_SHAPES_SEEN = 10_000  # and counted
_WORTH_A_FUNCTION = 3  # times seen; to compile one takes as long as to write some ten messages without
_PIECES_OF_A_SHAPE = 1000  # a larger message is as rare as it is long, and not worth the memory
_EMPTY: tuple[Any, ...] = ()
_NOTHING = (None, _EMPTY)
_YES_NO = {"yes": True, "no": False}  # the words of the tables for a field that is one or the other
_IDENTITY = 1  # the place of what the gateway gives among the sources, behind the event

Place = tuple[tuple[int, int, str, str], ...]
"""Elements on the way to a value: of each the position among its siblings, which one of several it is, and its tags."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row ready to be applied: its elements (None: the version has none), where its value and condition stand."""

    row: Row
    steps: tuple[Step, ...] | None
    location: Location
    condition: Location
    form: Form
    attribute: str = ""  # of an amount: the one that holds the currency
    dropped: bool = False  # the version has no element, and the profile does without

    def values(self, sources: Sequence[Any]) -> Iterator[tuple[Location, Any]]:
        """Yield the values that the row applies to."""
        for location, value in _found(sources, self.location):
            if is_dataclass(value) and self.row.conversion != "amount":
                continue  # a proprietary code, where the row is for one as text
            if not self.row.condition:
                yield location, value
                continue
            numbers = self._numbers(location)
            other = value_at(sources, [next(numbers) if step == EACH else step for step in self.condition])
            wanted = self.row.condition[1]
            if other not in _NOTHING and wanted in (None, other):
                yield location, value

    def place(self, location: Location) -> Place:
        """Return the elements down to the value's own; the n-th that repeats belongs to the n-th list."""
        numbers = self._numbers(location)
        return tuple(
            (step.position, next(numbers) if step.repeated else step.number, step.opening, step.closing)
            for step in self.steps or ()
        )

    def _numbers(self, location: Location) -> Iterator[int]:
        """Yield the positions in the lists that the row goes through."""
        return (int(step) for step, said in zip(location, self.location, strict=True) if said == EACH)

    def pieces(self, location: Location, value: Any) -> list[Piece]:
        opening, closing = (self.steps[-1].opening, self.steps[-1].closing) if self.steps else ("", "")
        if not self.attribute:
            return [opening, Value(location, self.form, value), closing]
        if not opening.startswith("<"):
            return [opening, Value(location, form("fin money"), value), closing]
        currency = Value((*location, "currency"), form("identifier"), value.currency)
        number = Value((*location, "value"), self.form, value.value)
        return [f'{opening[:-1]} {self.attribute}="', currency, '">', number, closing]


def _found(value: Any, path: Location, before: Location = ()) -> Iterator[tuple[Location, Any]]:
    """Yield every value at a path, and where it stands."""
    for depth, step in enumerate(path):
        if step == EACH:
            for number, item in enumerate(value):
                yield from _found(item, path[depth + 1 :], (*before, *path[:depth], number))
            return
        if isinstance(step, int):
            value = value[step] if step < len(value) else None
        else:
            value = None if isinstance(value, str) else getattr(value, step)
        if value is None:
            return
    yield (*before, *path), value


Written = tuple[str, tuple[str, ...]]
"""What stands below a message's root element or in FIN's block of text, and the fields that it leaves out.

A field is one of the event, such as ``lots[0].number``. A plain tuple: a named one takes some percent of all.
"""


class MessageWriter:
    """Write one version of a message from its sources: the event, and what the gateway adds.

    ``sources`` are their types by the name that the table uses, the event first. ``drops`` are fields of the event, or
    what contains them, that are left out where this version has no element for them. Raises ``ConfigError`` where the
    table names an unknown field, leaves out a field of the event, or gives two rows one element.
    """

    def __init__(
        self,
        table: Table,
        message: MessageDefinition,
        sources: Mapping[str, type],
        drops: frozenset[str] = frozenset(),
    ) -> None:
        self._message = message
        placed = place(table, message)
        compiler = _Compiler(table, message, sources, drops)
        lines = [compiler.line(row, steps) for row, steps in placed if row.conversion != "internal"]
        compiler.check_elements(lines)
        _check_coverage(table, [row for row, _ in placed], next(iter(sources.values())))
        conditions = [line.condition for line in lines if line.row.condition and line.row.condition[1] is not None]
        self._conditions = frozenset(
            tuple(EACH if number and isinstance(step, int) else step for number, step in enumerate(condition))
            for condition in conditions
        )
        self._lines: dict[tuple[int, str], list[Line]] = {}
        for line in lines:
            self._lines.setdefault((int(line.location[0]), str(line.location[1])), []).append(line)
        self._names: dict[int, list[str]] = {}
        for number, name in self._lines:
            self._names.setdefault(number, []).append(name)
        self._seen: dict[int, int] = {}
        self._shapes: dict[object, list[_Shape]] = {}
        self._latest: _Shape | None = None  # is tried before it is looked which fields are given
        self._kept = 0

    def write(self, *sources: Any) -> Written:
        """Return what stands below the root element; a source that follows from the event may be given as its class.

        Raises ``BuildError`` with all that this version has no place for.
        """
        if (latest := self._latest) is not None and (text := _written(latest, sources)) is not None:
            return text, latest[1]
        shapes = self._shapes.get(_given(sources[0]), [])
        for number, shape in enumerate(shapes):
            if shape is not latest and (text := _written(shape, sources)) is not None:
                self._latest = shape
                shapes.insert(0, shapes.pop(number))
                return text, shape[1]
        pieces = self._pieces(made(sources))
        text = "".join([piece if isinstance(piece, str) else piece.form.render(piece.value) for piece in pieces])
        self._learn(pieces, sources, text)
        return text, _dropped(pieces)

    def applied(self, sources: Sequence[Any]) -> Iterator[tuple[Line, Location, Any]]:
        """Yield the lines that apply to an event, each with a value and where that stands; elements or none."""
        given = (
            line
            for (source, name), lines in self._lines.items()
            if getattr(sources[source], name) not in _NOTHING
            for line in lines
        )
        for line in given:
            if line.steps is None and int(line.location[0]) == _IDENTITY:
                continue  # what the gateway gives goes where a version has a place for it
            for location, value in line.values(sources):
                yield line, location, value

    def _pieces(self, sources: Sequence[Any]) -> list[Piece]:
        """Apply the rows to an event: its tags in the order of the schema, with the values between them."""
        lacking: list[Violation] = []
        dropped: list[Piece] = []
        placed: list[tuple[Place, list[Piece]]] = []
        for line, location, value in self.applied(sources):
            if line.dropped:
                dropped.append(Value(location, DROPPED, value))
            elif line.steps is None or (line.form.codes is not None and value not in line.form.codes):
                lacking.append(_violation(self._message, line, value))
            else:
                placed.append((line.place(location), line.pieces(location, value)))
        if lacking:
            raise BuildError(lacking[0].text, code=lacking[0].code, violations=lacking)
        placed.sort(key=lambda item: item[0])
        return [*joined(placed), *dropped]

    def _learn(self, pieces: Sequence[Piece], sources: Sequence[Any], text: str) -> None:
        """Count a shape; when it has come often enough, make the function that writes it.

        What is remembered is bounded: an upstream with ever new shapes is served without functions.
        """
        if len(pieces) > _PIECES_OF_A_SHAPE:
            return
        key = hash(tuple(piece if isinstance(piece, str) else piece.location for piece in pieces))
        if len(self._seen) >= _SHAPES_SEEN:
            self._seen.clear()
        self._seen[key] = self._seen.get(key, 0) + 1
        if self._seen[key] < _WORTH_A_FUNCTION:
            return
        shape = self._writer(pieces, sources), _dropped(pieces)
        if _written(shape, sources) != text:
            self._seen[key] = -_SHAPES_SEEN  # no function writes what the rows do
            return
        if self._kept >= _SHAPES_KEPT:
            self._kept = 0
            self._shapes.clear()
        self._kept += 1
        self._latest = shape
        shapes = self._shapes.setdefault(_given(sources[0]), [])
        shapes.insert(0, shape)
        del shapes[_SHAPES_ALIKE:]

    def _writer(self, pieces: Sequence[Piece], sources: Sequence[Any]) -> Writer:
        """Make the function of a shape; what only repeats the event is taken from there."""
        names, decide = self._names, self._conditions
        for number, source in enumerate(sources):
            if follows(source) and (stands := source.stands(sources[0])) is not None:
                pieces = [_in_event(piece, number, stands) for piece in pieces]
                names = {other: fields for other, fields in names.items() if other != number}
                decide |= {(0, name) for name in source.DECIDES}
        return writer(pieces, sources, names, decide)


def _in_event(piece: Piece, source: int, stands: Mapping[Location, Parts]) -> Piece:
    """Say of a value that follows from the event where in it that stands."""
    if isinstance(piece, str) or piece.location[0] != source:
        return piece
    location = piece.location
    end = next(end for end in range(len(location), 0, -1) if location[1:end] in stands)
    parts = tuple(part if isinstance(part, str) else (0, *part, *location[end:]) for part in stands[location[1:end]])
    only = parts[0] if len(parts) == 1 else ""
    return replace(piece, location=only) if isinstance(only, tuple) else replace(piece, parts=parts)


_Shape = tuple[Writer, tuple[str, ...]]  # what writes it, and what of the event that leaves out


def _written(shape: _Shape, sources: Sequence[Any]) -> str | None:
    """Return the text of sources that are of a shape; None for others, which are looked at row by row."""
    try:
        return shape[0](*sources)
    except UNLIKE:
        return None


def _given(event: Any) -> tuple[bool, ...]:
    """Say of each field of an event whether there is something in it."""
    model: type = type(event)
    return tuple([value is not None and value is not _EMPTY for value in _all_of(model)(event)])


@cache
def _all_of(model: type) -> Callable[[Any], tuple[Any, ...]]:
    """Make what returns the values of all fields; a type has two or more."""
    return attrgetter(*fields_of(model))


def _dropped(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Name the fields of the event that are left out."""
    return tuple(
        "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in piece.location[1:]).lstrip(".")
        for piece in pieces
        if not isinstance(piece, str) and piece.form is DROPPED
    )


def joined(placed: Sequence[tuple[Place, list[Piece]]]) -> list[Piece]:
    """Put tags around values that are in the order of the schema; neighbouring texts become one."""
    pieces: list[Piece] = []
    text, opened = "", Place()
    for place_, inner in placed:
        around = place_[:-1]
        shared = 0
        while shared < min(len(opened), len(around)) and opened[shared] == around[shared]:
            shared += 1
        text += "".join(closing for _, _, _, closing in reversed(opened[shared:]))
        text += "".join(opening for _, _, opening, _ in around[shared:])
        opened = around
        for piece in inner:
            if isinstance(piece, str):
                text += piece
            else:
                pieces += (_without_empty_lines(text), piece)
                text = ""
    return [*pieces, _without_empty_lines(text + "".join(closing for _, _, _, closing in reversed(opened)))]


def _without_empty_lines(text: str) -> str:
    """Leave out the lines of a FIN field that none of its components is on."""
    return text.replace("\n\n", "\n")


class _Compiler:
    """Make lines of the rows of one table in one version."""

    def __init__(
        self, table: Table, message: MessageDefinition, sources: Mapping[str, type], drops: frozenset[str]
    ) -> None:
        self._table, self._message = table, message
        self._drops = drops
        self._names, self._models = list(sources), list(sources.values())

    def line(self, row: Row, steps: tuple[Step, ...] | None) -> Line:
        location = self._location(row.field)
        condition = self._location(row.condition[0]) if row.condition else ()
        if condition and condition[0] != location[0]:
            raise self._wrong(row, "the condition is about another source")
        self._check_field(row, location)
        if steps and sum(step.repeated for step in steps) != location.count(EACH):
            raise self._wrong(row, f"{row.field!r} names no field of the length of its elements; each has its own []")
        definition = self._message.types.get(steps[-1].type) if steps else None
        attribute = ""
        if row.conversion == "amount":
            attribute = definition.attributes[0].name if isinstance(definition, SimpleContentType) else "Ccy"
        dropped = steps is None and not self._drops.isdisjoint(containing(row.field))
        return Line(
            row,
            steps,
            location,
            condition,
            self._form(row, definition, steps[-1].type if steps else ""),
            attribute,
            dropped,
        )

    def check_elements(self, lines: Sequence[Line]) -> None:
        """Raise where two rows claim one element; a code as text and one of a scheme, in its place, may."""
        claimed: dict[tuple[Step, ...], str] = {}
        for line in lines:
            field = line.row.field
            other = claimed.get(line.steps or (), "")
            if other and not field.startswith(f"{other}.") and not other.startswith(f"{field}."):
                raise ConfigError(f"{self._table.name}: two rows claim the element {line.row.elements[0]}")
            if line.steps:
                claimed[line.steps] = field

    def _location(self, path: str) -> Location:
        first, _, rest = path.partition(".")
        number, path = (self._names.index(first), rest) if first in self._names[1:] else (0, path)
        steps: list[str | int] = [number]
        for part in path.split("."):
            name, bracket, index = part.partition("[")
            steps.append(name)
            if bracket:
                steps.append(EACH if index == "]" else int(index[:-1]))
        return tuple(steps)

    def _check_field(self, row: Row, location: Location) -> None:
        kind = Kind((self._models[int(location[0])],))
        for step in location[1:]:
            there: Mapping[str, Kind] = fields_of(kind.models[0]) if kind.models else {}
            following = kind_of(kind.items) if step == EACH or isinstance(step, int) else there.get(step)
            if following is None or (kind.items is not None) != (step == EACH or isinstance(step, int)):
                raise self._wrong(row, f"{row.field!r} names no field; there are {', '.join(there)}")
            kind = following
        if kind.items is not None:
            raise self._wrong(row, f"{row.field!r} names no field but a list")

    def _form(self, row: Row, definition: object, type_name: str) -> Form:
        allowed = definition.codes if isinstance(definition, SimpleType) else ()
        if row.codes or (row.conversion == "code" and allowed):
            codes: Mapping[Any, str] = row.codes or {code: code for code in allowed}
            if codes.keys() <= _YES_NO.keys():
                codes = {_YES_NO[word]: code for word, code in codes.items()}
            return form_of_codes({said: code for said, code in codes.items() if not allowed or code in allowed})
        return form(self._message.conversion(row.conversion, type_name) if type_name else row.conversion)

    def _wrong(self, row: Row, text: str) -> ConfigError:
        return ConfigError(f"{self._table.name}, line {row.line}: {text}")


def containing(field: str) -> list[str]:
    """List a field of the tables and all that contains it: ``lots[].number``, ``lots[]``, ``lots``."""
    field = re.sub(r"\[[\d#]*\]", EACH, field)
    ends = [match.start() for match in re.finditer(r"\.|\[", field)]
    return [field, *(field[:end] for end in ends), *(field[: end + 2] for end in ends if field[end] == "[")]


def _violation(message: MessageDefinition, line: Line, value: object) -> Violation:
    row, element, shown = line.row, line.row.elements[0], str(value)[:140]
    if line.steps is not None:
        codes = ", ".join(dict.fromkeys((line.form.codes or {}).values()))
        text = f"{row.field}: {message.identifier} does not have the code {shown} in {element}; it has {codes}"
        return Violation("code_not_in_version", row.field, f"one of {codes}", shown, text)
    rule = f"not given, or a profile with a message version that has {element}"
    text = f"{row.field}: {message.identifier} has no element {element}"
    return Violation("element_not_in_version", row.field, rule, shown, text)


def _check_coverage(table: Table, rows: Sequence[Row], model: type) -> None:
    said = {re.sub(r"\[\d*\]", EACH, row.field) for row in rows}
    said |= {re.sub(r"\[\d*\]", EACH, row.condition[0]) for row in rows if row.condition}
    amounts = tuple(re.sub(r"\[\d*\]", EACH, row.field) + "." for row in rows if row.conversion == "amount")
    internal = tuple(f"{row.field}{sign}" for row in rows if row.conversion == "internal" for sign in ".[")
    covered = (*amounts, *internal)
    if left := [path for path in paths_of(model) if path not in said and not path.startswith(covered)]:
        raise ConfigError(f"{table.name}: no row for {', '.join(left)}; a field that is not sent has the row '-'")
