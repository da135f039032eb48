"""Compile a mapping table, placed in one version of a message, to a function that writes the message.

Every object of the event (the event itself, a party, a price) becomes a ``_Block``. Which of its fields are given
decides its shape; the text template of a shape is made once, in the order of the schema, and kept. Writing an object is
then one look-up, one fetch of its values and one ``template % values``. What a version lacks is known when the table is
compiled, and refused when an object gives it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from operator import attrgetter, itemgetter
from typing import Any, Protocol
from xml.sax.saxutils import escape

from pydantic import BaseModel

from gateway.errors import BuildError, ConfigError, Violation
from gateway.messages.catalogue import MessageDefinition, SimpleContentType, SimpleType
from gateway.messages.mapping import Row, Step, Table, place
from gateway.messages.sources import Kind, fields_of, kind_of, paths_of

_SHAPES_KEPT = 4096  # of one kind of object at one place; a busy desk uses a few dozen
_NOTHING = (None, ())

Render = Callable[[Any], str]
Fetch = Callable[[Any], tuple[Any, ...]]
Found = tuple[Row, str, object]
"""A row whose value has no place: the row, the allowed codes in words, the value."""


class _Refused(Exception):
    """A value has no place in the version; ``lacking`` tells which."""


class _Part(Protocol):
    """What writes one value, raising ``_Refused``, and can say what of it has no place."""

    def render(self, value: Any, /) -> str: ...

    def lacking(self, value: Any, /) -> Iterator[Found]: ...


# --- parts that write one value ---------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return escape(value) if "&" in value or "<" in value or ">" in value else value


def instant(moment: datetime) -> str:
    """Write an instant in UTC with milliseconds and ``Z``, the form that every header version accepts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _yes_no(value: bool) -> str:
    return "true" if value else "false"


_WRITERS: dict[str, Render] = {"text": _text, "instant": instant, "decimal": _decimal, "yes_no": _yes_no}


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that has its place: written by a function, or as it is (``asis``: identifiers, dates, numbers)."""

    render: Render = str

    def lacking(self, value: Any, /) -> Iterator[Found]:
        del value
        return iter(())


@dataclass(frozen=True, slots=True)
class _Codes:
    """A code, checked against those of the version and translated where the table says so."""

    row: Row
    texts: Mapping[str, str]
    rule: str

    def render(self, value: Any, /) -> str:
        text = self.texts.get(value)
        if text is None:
            raise _Refused
        return text

    def lacking(self, value: Any, /) -> Iterator[Found]:
        if value not in self.texts:
            yield self.row, self.rule, value


@dataclass(frozen=True, slots=True)
class _Absent:
    """A field that the version has no element for."""

    row: Row

    def render(self, value: Any, /) -> str:
        raise _Refused

    def lacking(self, value: Any, /) -> Iterator[Found]:
        yield self.row, "", value


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A value together with the elements around it."""

    inner: _Part
    opening: str
    closing: str

    def render(self, value: Any, /) -> str:
        return f"{self.opening}{self.inner.render(value)}{self.closing}"

    def lacking(self, value: Any, /) -> Iterator[Found]:
        return self.inner.lacking(value)


@dataclass(frozen=True, slots=True)
class _Repeated:
    """A list: every item in an element of its own."""

    item: _Part
    tag: str

    def render(self, items: Any, /) -> str:
        return f"<{self.tag}>" + f"</{self.tag}><{self.tag}>".join(map(self.item.render, items)) + f"</{self.tag}>"

    def lacking(self, items: Any, /) -> Iterator[Found]:
        for item in items:
            yield from self.item.lacking(item)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """One item of a list that has numbered elements."""

    item: _Part
    position: int

    def render(self, items: Any, /) -> str:
        return self.item.render(items[self.position])

    def lacking(self, items: Any, /) -> Iterator[Found]:
        return self.item.lacking(items[self.position])


@dataclass(frozen=True, slots=True)
class _TextOrObject:
    """A code as text, or a proprietary one as an object."""

    text: _Part
    other: _Part

    def render(self, value: Any, /) -> str:
        return self.text.render(value) if value.__class__ is str else self.other.render(value)

    def lacking(self, value: Any, /) -> Iterator[Found]:
        return (self.text if value.__class__ is str else self.other).lacking(value)


# --- objects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row as seen from some object: the elements below the object's own (None: the version has none), and the rest of
    the path of its field and of its condition."""

    row: Row
    steps: tuple[Step, ...] | None
    path: tuple[str, ...]
    condition: tuple[str, ...] = ()

    def below(self, depth: int) -> _Entry:
        inner = self.condition[1:] if self.condition[:1] == self.path[:1] else ()
        return _Entry(self.row, self.steps and self.steps[depth:], self.path[1:], inner)


@dataclass(frozen=True, slots=True)
class _Slot:
    """One place in an object's template: its elements, the field it takes ("" for the object itself), what writes it.

    ``whole`` says that the part writes the last element itself. ``when`` is another field and the value it must have
    (None: any); ``position`` is the number of the item that must be there.
    """

    steps: tuple[Step, ...]
    field: str
    part: _Part
    whole: bool = False
    when: tuple[str, str | None] | None = None
    position: int = -1


@dataclass(slots=True)
class _Element:
    """An element of a template under construction."""

    position: int = 0
    slot: _Slot | None = None
    children: dict[str, _Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A template, the function that fetches its values, and which of them are converted first."""

    template: str
    fetch: Fetch
    converts: tuple[tuple[int, Render], ...]
    refused: bool

    def fill(self, value: Any) -> str:
        if self.refused:
            raise _Refused
        values = self.fetch(value)
        if self.converts:
            written = list(values)
            for position, convert in self.converts:
                written[position] = convert(written[position])
            values = tuple(written)
        return self.template % values


class _Block:
    """One kind of object at one place of the message: writes what is below its element."""

    def __init__(self, model: type, slots: Sequence[_Slot]) -> None:
        self._slots = slots
        self._wanted = tuple(dict.fromkeys(slot.when[0] for slot in slots if slot.when and slot.when[1] is not None))
        self._numbered = tuple(dict.fromkeys(slot.field for slot in slots if slot.position >= 0))
        self._optional = tuple(name for name, kind in fields_of(model).items() if kind.optional)
        self._pydantic = issubclass(model, BaseModel)
        self._shapes: dict[object, _Shape] = {}

    def render(self, value: Any, /) -> str:
        key = self.key(value)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._shapes.clear()
            shape = self._shapes[key] = _make_shape(self.present(value), _fetcher)
        return shape.fill(value)

    def key(self, value: Any) -> object:
        """Return what decides the shape: the fields that are given, values and lengths that rows depend on."""
        if not self._slots:
            return None
        if self._pydantic:  # it remembers what was given; parse_event lets no null and no empty list in
            key: object = frozenset(value.__pydantic_fields_set__)
        else:
            key = tuple([getattr(value, name) is None for name in self._optional])
        if self._wanted:
            key = key, *[getattr(value, name) for name in self._wanted]
        if self._numbered:
            key = key, *[len(getattr(value, name)) for name in self._numbered]
        return key

    def present(self, value: Any) -> list[_Slot]:
        """Return the places that this object fills."""

        def holds(slot: _Slot) -> bool:
            taken = getattr(value, slot.field) if slot.field else value
            if taken in _NOTHING or (slot.position >= 0 and slot.position >= len(taken)):
                return False
            if slot.when is None:
                return True
            other = getattr(value, slot.when[0])
            return other not in _NOTHING if slot.when[1] is None else bool(other == slot.when[1])

        return [slot for slot in self._slots if holds(slot)]

    def lacking(self, value: Any, /) -> Iterator[Found]:
        for slot in self.present(value):
            yield from slot.part.lacking(getattr(value, slot.field) if slot.field else value)


def _make_shape(slots: Sequence[_Slot], fetcher: Callable[[Sequence[_Slot]], Fetch]) -> _Shape:
    """Make the template of these places, in the order of the schema."""
    if any(isinstance(slot.part, _Absent) for slot in slots):
        return _Shape("", _itself, (), True)
    root = _Element()
    for slot in slots:
        here = root
        for step in slot.steps:
            here = here.children.setdefault(step.tag, _Element(step.position))
        if here.slot is not None or here.children:
            raise ConfigError(f"two rows claim the element {'/'.join(step.tag for step in slot.steps)}")
        here.slot = slot
    order: list[_Slot] = []
    template = _template(root, order)
    converts = tuple(
        (position, slot.part.render)
        for position, slot in enumerate(order)
        if not (isinstance(slot.part, _Value) and slot.part.render is str)
    )
    return _Shape(template, fetcher(order), converts, False)


def _template(element: _Element, order: list[_Slot]) -> str:
    text = ""
    for tag, child in sorted(element.children.items(), key=lambda item: item[1].position):
        if child.slot is None:
            text += f"<{tag}>{_template(child, order)}</{tag}>"
        else:
            order.append(child.slot)
            text += "%s" if child.slot.whole else f"<{tag}>%s</{tag}>"
    if element.slot is not None:
        order.append(element.slot)
        text += "%s"
    return text


def _fetcher(slots: Sequence[_Slot]) -> Fetch:
    fields = [slot.field for slot in slots]
    if not fields:
        return lambda value: ()
    if "" in fields:
        getters = [attrgetter(name) if name else _itself for name in fields]
        return lambda value: tuple([getter(value) for getter in getters])
    fetch = attrgetter(*fields)
    return fetch if len(fields) > 1 else lambda value: (fetch(value),)


def _itself(value: Any) -> Any:
    return value


class _Compiler:
    """Make the blocks of one table in one version."""

    def __init__(self, table: Table, message: MessageDefinition) -> None:
        self._table, self._message = table, message

    def block(self, model: type, entries: Sequence[_Entry]) -> _Block:
        by_step: dict[str, list[_Entry]] = {}
        for entry in entries:
            by_step.setdefault(entry.path[0] if entry.path else "", []).append(entry)
        slots = [slot for step, inner in by_step.items() for slot in self._slots(model, step, inner)]
        claimed: set[tuple[Step, ...]] = set()
        for slot in slots:
            if slot.steps and slot.steps in claimed:
                tags = "/".join(step.tag for step in slot.steps)
                raise ConfigError(f"{self._table.name}: two rows claim the element {tags}")
            claimed.add(slot.steps)
        return _Block(model, slots)

    def _slots(self, model: type, step: str, entries: Sequence[_Entry]) -> Iterator[_Slot]:
        name, bracket, index = step.rstrip("]").partition("[")
        kind = fields_of(model).get(name) if name else Kind((model,))
        row = entries[0].row
        if kind is None or (kind.items is not None) != bool(bracket):
            known = ", ".join(fields_of(model))
            raise ConfigError(f"{self._table.name}, line {row.line}: {row.field!r} names no field; there are {known}")
        inside = kind_of(kind.items) if bracket else kind
        when = self._when(entries[0])
        position = int(index) if index else -1
        if not bracket and (
            not name or (all(len(entry.path) == 1 for entry in entries) and not (kind.plain and kind.models))
        ):
            for entry in entries:  # one value, written at one or several places
                yield self._leaf(name, entry)
            return
        placed = [entry.steps for entry in entries if entry.steps is not None]
        depth = _depth(placed, repeated=bracket == "[" and not index)
        part = self._part(inside, [entry.below(depth) for entry in entries])
        steps = placed[0][:depth] if placed else ()
        if bracket and not index:
            yield _Slot(steps, name, _Repeated(part, steps[-1].tag if steps else ""), True, when)
        else:
            yield _Slot(steps, name, _Numbered(part, position) if bracket else part, not placed, when, position)

    def _part(self, kind: Kind, entries: Sequence[_Entry]) -> _Part:
        here = [entry for entry in entries if not entry.path]
        if not kind.models:
            return self._writer(here[0])
        if not kind.plain:
            return self.block(kind.models[0], entries)
        other = self.block(kind.models[0], [entry for entry in entries if entry.path])
        return _TextOrObject(self._writer(here[0]), other)

    def _leaf(self, name: str, entry: _Entry) -> _Slot:
        steps = entry.steps or ()
        part = self._writer(_Entry(entry.row, entry.steps and entry.steps[-1:], ()), inside=True)
        return _Slot(steps, name, part, entry.row.conversion == "amount" or not steps, self._when(entry))

    def _when(self, entry: _Entry) -> tuple[str, str | None] | None:
        if not entry.condition or entry.row.condition is None or entry.condition[:1] == entry.path[:1]:
            return None
        if len(entry.condition) > 1:
            raise ConfigError(f"{self._table.name}, line {entry.row.line}: the condition is about another object")
        return entry.condition[0], entry.row.condition[1]

    def _writer(self, entry: _Entry, *, inside: bool = False) -> _Part:
        """Make what writes one value; with its elements, unless ``inside`` the last of them."""
        if entry.steps is None:
            return _Absent(entry.row)
        row, steps = entry.row, entry.steps
        around = () if inside else steps
        opening = "".join(f"<{step.tag}>" for step in around)
        closing = "".join(f"</{step.tag}>" for step in reversed(around))
        definition = self._message.types.get(steps[-1].type) if steps else None
        if row.conversion == "amount":
            attribute = definition.attributes[0].name if isinstance(definition, SimpleContentType) else "Ccy"
            return _Value(_amount_writer(steps[-1].tag, attribute))
        allowed = definition.codes if isinstance(definition, SimpleType) else ()
        if row.codes or (row.conversion == "code" and allowed):
            codes = row.codes or {code: code for code in allowed}
            texts = {said: opening + code + closing for said, code in codes.items() if not allowed or code in allowed}
            return _Codes(row, texts, ", ".join(allowed))
        render: Render = _WRITERS.get(row.conversion, str)
        if row.conversion.startswith("digits "):
            render = ("{:0" + row.conversion.removeprefix("digits ") + "d}").format
        return _Wrapped(_Value(render), opening, closing) if around else _Value(render)


def _amount_writer(tag: str, attribute: str) -> Render:
    template = f'<{tag} {attribute}="%s">%s</{tag}>'

    def write(amount: Any) -> str:
        return template % (amount.currency, format(amount.value, "f"))

    return write


def _depth(placed: Sequence[tuple[Step, ...]], *, repeated: bool) -> int:
    """Count the elements that belong to the object as a whole: up to the repeated one, or all that its rows share."""
    if not placed:
        return 0
    if repeated:
        return next(number + 1 for number, step in enumerate(placed[0]) if step.repeated)
    if len(placed) == 1:
        return len(placed[0]) - 1
    return sum(1 for _ in takewhile(lambda steps: len(set(steps)) == 1, zip(*placed, strict=False)))


# --- messages ---------------------------------------------------------------------------------------------------------


class MessageWriter:
    """Write one version of a message from its sources: the event, and what the gateway adds.

    ``sources`` are their types by the name that the table uses, the event first. Raises ``ConfigError`` where the table
    names an unknown field, leaves out a field of the event, or gives two rows one element.
    """

    def __init__(self, table: Table, message: MessageDefinition, sources: Mapping[str, type]) -> None:
        self._message = message
        names = list(sources)
        entries: dict[str, list[_Entry]] = {name: [] for name in names}
        placed = place(table, message)
        for row, steps in placed:
            if row.conversion == "internal":
                continue
            source, path = _split(row.field, names)
            owner, condition = _split(row.condition[0], names) if row.condition else (source, ())
            if owner != source:
                raise ConfigError(f"{table.name}, line {row.line}: the condition is about another source")
            entries[source].append(_Entry(row, steps, path, condition))
        compiler = _Compiler(table, message)
        self._blocks = [compiler.block(sources[name], entries[name]) for name in names]
        _check_coverage(table, [row for row, _ in placed], sources[names[0]])
        self._shapes: dict[object, _Shape] = {}

    def write(self, *sources: Any) -> str:
        """Return the XML below the root element. Raises ``BuildError`` with all that this version has no place for."""
        key = tuple([block.key(source) for block, source in zip(self._blocks, sources, strict=True)])
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _SHAPES_KEPT:
                self._shapes.clear()
            shape = self._shapes[key] = self._shape(sources)
        try:
            return shape.fill(sources)
        except _Refused:
            raise self._refusal(sources) from None

    def _shape(self, sources: Sequence[Any]) -> _Shape:
        owners = {
            id(slot): number
            for number, (block, source) in enumerate(zip(self._blocks, sources, strict=True))
            for slot in block.present(source)
        }
        slots = [slot for block, source in zip(self._blocks, sources, strict=True) for slot in block.present(source)]

        def fetcher(order: Sequence[_Slot]) -> Fetch:
            of_source = [
                [n for n, slot in enumerate(order) if owners[id(slot)] == number] for number in range(len(sources))
            ]
            fetches = [_fetcher([order[n] for n in positions]) for positions in of_source]
            fetched = [n for positions in of_source for n in positions]
            if len(fetched) < 2 or fetched == sorted(fetched):
                return lambda given: tuple([v for fetch, one in zip(fetches, given, strict=True) for v in fetch(one)])
            arrange = itemgetter(*sorted(range(len(fetched)), key=fetched.__getitem__))
            return lambda given: arrange([v for fetch, one in zip(fetches, given, strict=True) for v in fetch(one)])

        return _make_shape(slots, fetcher)

    def _refusal(self, sources: Sequence[Any]) -> BuildError:
        found = [
            _violation(self._message, *lacking)
            for block, source in zip(self._blocks, sources, strict=True)
            for lacking in block.lacking(source)
        ]
        return BuildError(found[0].text, code=found[0].code, violations=found)


def _violation(message: MessageDefinition, row: Row, codes: str, value: object) -> Violation:
    element, shown = row.elements[0], str(value)[:140]
    if codes:
        text = f"{row.field}: {message.identifier} does not have the code {shown} in {element}; it has {codes}"
        return Violation("code_not_in_version", row.field, f"one of {codes}", shown, text)
    rule = f"not given, or a profile with a message version that has {element}"
    text = f"{row.field}: {message.identifier} has no element {element}"
    return Violation("element_not_in_version", row.field, rule, shown, text)


def _split(path: str, sources: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    first, _, rest = path.partition(".")
    return (first, tuple(rest.split("."))) if first in sources[1:] else (sources[0], tuple(path.split(".")))


def _check_coverage(table: Table, rows: Sequence[Row], model: type) -> None:
    said = {re.sub(r"\[\d*\]", "[]", row.field) for row in rows}
    said |= {re.sub(r"\[\d*\]", "[]", row.condition[0]) for row in rows if row.condition}
    amounts = tuple(re.sub(r"\[\d*\]", "[]", row.field) + "." for row in rows if row.conversion == "amount")
    if left := [path for path in paths_of(model) if path not in said and not path.startswith(amounts)]:
        raise ConfigError(f"{table.name}: no row for {', '.join(left)}; a field that is not sent has the row '-'")
