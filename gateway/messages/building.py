"""Compile a mapping table, placed in one version of a message, to a function that writes the message.

Which fields an event gives, and the codes and indicators in it, decide its shape. The text template of a shape is made
once, in the order of the schema, and kept; writing is then a few look-ups to find the shape, one fetch of the values
and one ``template % values``. Items of a list have shapes of their own. What a version lacks is known when the table is
compiled, and refused when it is given.

Templates hold two control characters in place of angle brackets until the end: no value can contain them (events refuse
control characters), so that all values are escaped at once and the tags are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import takewhile
from operator import attrgetter
from typing import Any, Protocol
from xml.sax.saxutils import escape

from pydantic import BaseModel

from gateway.errors import BuildError, ConfigError, Violation
from gateway.messages.catalogue import MessageDefinition, SimpleContentType, SimpleType
from gateway.messages.mapping import Row, Step, Table, place
from gateway.messages.sources import Kind, fields_of, kind_of, paths_of

_SHAPES_KEPT = 4096  # of one kind of object at one place; a busy desk uses a few dozen
_NOTHING = (None, ())
_OPEN, _CLOSE = "\x02", "\x03"

Render = Callable[[Any], str]
Fetch = Callable[[Any], tuple[Any, ...]]
Found = tuple[Row, str, object]
"""A row whose value has no place: the row, the allowed codes in words, the value."""


class _Refused(Exception):
    """A value has no place in the version; ``lacking`` tells which."""


class _Part(Protocol):
    """What writes one value, raising ``_Refused``, and can say what of it has no place."""

    @property
    def render(self) -> Render: ...

    def lacking(self, value: Any, /) -> Iterator[Found]: ...


def _wrap(tag: str, content: str) -> str:
    return f"{_OPEN}{tag}{_CLOSE}{content}{_OPEN}/{tag}{_CLOSE}"


# --- parts that write one value ---------------------------------------------------------------------------------------


def instant(moment: datetime) -> str:
    """Write an instant in UTC with milliseconds and ``Z``, the form that every header version accepts."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _decimal(value: Decimal) -> str:
    return format(value, "f")


_WRITERS: dict[str, Render] = {
    "instant": instant,
    "decimal": _decimal,
}


@dataclass(frozen=True)
class _Value:
    """A value that has its place: written by a function, or as ``%s`` writes it (texts, codes, dates, numbers)."""

    render: Render = str

    def lacking(self, value: Any, /) -> Iterator[Found]:
        del value
        return iter(())


class _Indicator(_Value):
    """Yes or no."""

    def __init__(self) -> None:
        super().__init__({True: "true", False: "false"}.__getitem__)


class _Texts(dict[Any, str]):
    """What is written for each code; a code that is not there is refused."""

    def __missing__(self, code: Any) -> str:
        raise _Refused


@dataclass(frozen=True, slots=True)
class _Codes:
    """A code, checked against those of the version and translated where the table says so."""

    row: Row
    texts: _Texts
    rule: str

    @property
    def render(self) -> Render:
        return self.texts.__getitem__

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
    template: str

    def render(self, value: Any, /) -> str:
        return self.template % self.inner.render(value)

    def lacking(self, value: Any, /) -> Iterator[Found]:
        return self.inner.lacking(value)


@dataclass(frozen=True, slots=True)
class _Items:
    """A list: each item in an element of its own, the same one again or the next of those that are numbered."""

    item: _Part
    tags: tuple[str, ...]
    templates: dict[int, str] = field(default_factory=dict)

    def render(self, items: Any, /) -> str:
        template = self.templates.get(len(items))
        if template is None:
            tags = self.tags if len(self.tags) > 1 else self.tags * len(items)
            template = self.templates[len(items)] = "".join(_wrap(tag, "%s") for tag in tags[: len(items)])
        return template % tuple(map(self.item.render, items))

    def lacking(self, items: Any, /) -> Iterator[Found]:
        for item in items:
            yield from self.item.lacking(item)


class _TextOrObject:
    """A code as text, or a proprietary one as an object."""

    def __init__(self, text: _Part, other: _Part) -> None:
        self._text, self._other = text, other

    def render(self, value: Any, /) -> str:
        return self._text.render(value) if value.__class__ is str else self._other.render(value)

    def lacking(self, value: Any, /) -> Iterator[Found]:
        return (self._text if value.__class__ is str else self._other).lacking(value)


# --- objects ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Slot:
    """One place in an object's template.

    ``steps`` are its elements and ``path`` the value it takes (dotted; "" for the object itself). ``form`` is what
    stands there, ``fields`` are the values that it takes instead of the one at ``path``, ``whole`` says that the form
    has the last element in it. ``when`` is another path and the value wanted there (None: any).
    """

    steps: tuple[Step, ...]
    path: str
    part: _Part
    form: str = "%s"
    fields: tuple[str, ...] = ()
    whole: bool = False
    when: tuple[str, str | None] | None = None
    source: int = 0

    @property
    def static(self) -> bool:
        """Tell whether the value is one of a few, so that it belongs to the template."""
        part = self.part.item if isinstance(self.part, _Items) else self.part
        return not self.source and isinstance(part, _Codes | _TextOrObject | _Indicator)


@dataclass(slots=True)
class _Element:
    """An element of a template under construction."""

    position: int = 0
    slot: _Slot | None = None
    children: dict[str, _Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A template, the fetch of its values, which of them are converted, and which come from other sources."""

    template: str
    fetch: Fetch
    converts: tuple[tuple[int, Render], ...]
    others: tuple[tuple[int, int, Callable[[Any], Any]], ...]
    simple: bool


class _State:
    """A step towards the shape: ``look`` at some more of the object, and go on to what that means."""

    __slots__ = ("frontier", "look", "next", "shape")

    def __init__(self, look: Callable[[Any], object] | None, frontier: tuple[str, ...], shape: _Shape | None) -> None:
        self.look, self.frontier, self.shape = look, frontier, shape
        self.next: dict[object, _State] = {}


class _Object:
    """One kind of object at one place of the message: writes what is below its element.

    Objects within it that are not in a list are written with it. ``others`` are further sources beside it.
    """

    def __init__(self, model: type, slots: Sequence[_Slot]) -> None:
        self._slots = slots
        self._models = {"": model}
        for path in (part for slot in slots if not slot.source for part in _prefixes(slot.path)):
            outer, _, name = path.rpartition(".")
            kind = fields_of(self._models[outer])[name]
            if kind.models and not kind.plain:
                self._models[path] = kind.models[0]
        wanted = [slot.when[0] for slot in slots if slot.when and slot.when[1] is not None and not slot.source]
        self._wanted = tuple(dict.fromkeys(wanted + [slot.path for slot in slots if slot.static]))
        self._first = self._state([""], [], None)
        self._states = 0

    def render(self, value: Any, others: Sequence[Any] = ()) -> str:
        state = self._first
        while (look := state.look) is not None:
            key = look(value)
            following = state.next.get(key)
            state = self._grow(state, key, value, others) if following is None else following
        shape = state.shape
        if shape is None:
            raise _Refused
        if shape.simple:
            return shape.template % shape.fetch(value)
        values = list(shape.fetch(value))
        for position, convert in shape.converts:
            values[position] = convert(values[position])
        for position, source, get in shape.others:
            values[position] = get(others[source - 1])
        return shape.template % tuple(values)

    def lacking(self, *sources: Any) -> Iterator[Found]:
        for slot in self._present(sources):
            yield from slot.part.lacking(_value(sources[slot.source], slot.path))

    # pydantic remembers which fields were given; parse_event lets no null and no empty list in.
    def _grow(self, state: _State, key: object, value: Any, others: Sequence[Any]) -> _State:
        if self._states >= _SHAPES_KEPT:
            self._states, self._first.next = 0, {}
        self._states += 1
        frontier: list[str] = []
        known = list(state.frontier)
        for path in known:
            for inner in self._models:
                if inner and inner.rpartition(".")[0] == path and _value(value, inner) is not None:
                    (frontier if _varies(self._models[inner]) else known).append(inner)
        wanted = [path for path in self._wanted if path.rpartition(".")[0] in known]
        following = self._state(frontier, wanted, None)
        if following.look is None:
            slots = self._present((value, *others))
            absent = any(isinstance(slot.part, _Absent) for slot in slots)
            following = _State(None, (), None if absent else _shape(slots, value))
        state.next[key] = following
        return following

    def _state(self, frontier: Sequence[str], wanted: Sequence[str], shape: _Shape | None) -> _State:
        sets = [
            _join(path, "__pydantic_fields_set__") for path in frontier if issubclass(self._models[path], BaseModel)
        ]
        kinds = [
            _join(path, name)
            for path in frontier
            if not issubclass(self._models[path], BaseModel)
            for name, kind in fields_of(self._models[path]).items()
            if kind.optional
        ]
        return _State(_looker(sets, kinds, wanted), tuple(frontier), shape)

    def _present(self, sources: Sequence[Any]) -> list[_Slot]:
        def holds(slot: _Slot) -> bool:
            source = sources[slot.source]
            if _value(source, slot.path) in _NOTHING:
                return False
            if slot.when is None:
                return True
            other = _value(source, slot.when[0])
            return other not in _NOTHING if slot.when[1] is None else bool(other == slot.when[1])

        return [slot for slot in self._slots if holds(slot)]


def _prefixes(path: str) -> Iterator[str]:
    names = path.split(".") if path else []
    return (".".join(names[: number + 1]) for number in range(len(names)))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _varies(model: type) -> bool:
    return any(kind.optional or kind.items is not None for kind in fields_of(model).values())


def _value(source: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if source is None:
            return None
        source = getattr(source, name)
    return source


def _fetcher(paths: Sequence[str]) -> Fetch:
    if not paths:
        return lambda value: ()
    fetch = attrgetter(*paths)
    return fetch if len(paths) > 1 else lambda value: (fetch(value),)


def _looker(sets: Sequence[str], kinds: Sequence[str], wanted: Sequence[str]) -> Callable[[Any], object] | None:
    """Make the function that tells shapes apart: by fields given, by what is None, by values that rows depend on."""
    if not kinds and not wanted:
        if not sets:
            return None
        if len(sets) == 1:
            given = attrgetter(sets[0])
            return lambda value: frozenset(given(value))
    some, others, raws = _fetcher(sets), _fetcher(kinds), _fetcher(wanted)
    if kinds:
        return lambda value: (*map(frozenset, some(value)), *map(type, others(value)), *raws(value))
    if wanted:
        return lambda value: (*map(frozenset, some(value)), *raws(value))
    return lambda value: tuple(map(frozenset, some(value)))


def _shape(slots: Sequence[_Slot], value: Any) -> _Shape:
    """Make the template of these places, in the order of the schema."""
    root = _Element()
    for given in slots:
        slot = given
        if given.static:
            text = given.part.render(_value(value, given.path)).replace("%", "%%")
            slot = replace(given, form=text, fields=(), part=_Value(), path="")
        here = root
        for step in slot.steps:
            here = here.children.setdefault(step.tag, _Element(step.position))
        here.slot = slot
    order: list[_Slot] = []
    template = _template(root, order)
    paths: list[str] = []
    converts: list[tuple[int, Render]] = []
    others: list[tuple[int, int, Callable[[Any], Any]]] = []
    for slot in order:
        position = len(paths)
        if "%s" not in slot.form and "%0" not in slot.form:
            continue
        if slot.source:
            getter, render = attrgetter(*(slot.fields or (slot.path,))), slot.part.render
            plain = render is str
            others.append((position, slot.source, getter if plain else _chain(getter, render)))
            paths.append("__class__")  # holds the place; every object has it
            continue
        paths += slot.fields or (slot.path or "__class__",)
        if slot.part.render is not str:
            converts.append((position, slot.part.render))
    return _Shape(template, _fetcher(paths), tuple(converts), tuple(others), not converts and not others)


def _chain(get: Callable[[Any], Any], render: Render) -> Callable[[Any], str]:
    return lambda value: render(get(value))


def _template(element: _Element, order: list[_Slot]) -> str:
    text = ""
    for tag, child in sorted(element.children.items(), key=lambda item: item[1].position):
        if child.slot is None:
            text += _wrap(tag, _template(child, order))
        else:
            order.append(child.slot)
            text += child.slot.form if child.slot.whole else _wrap(tag, child.slot.form)
    return text


# --- from rows to objects ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row as seen from some object: its elements below the object's (None: the version has none), and the rest of
    the paths of its field and of its condition."""

    row: Row
    steps: tuple[Step, ...] | None
    path: tuple[str, ...]
    condition: tuple[str, ...] = ()  # from the object whose template the row is in

    def inside(self) -> _Entry:
        """Return the row as seen from an object within, that is written with the one around it."""
        return _Entry(self.row, self.steps, self.path[1:], self.condition)

    def below(self, depth: int, prefix: str) -> _Entry:
        """Return the row as seen from an object of its own, ``depth`` elements further in; ``prefix`` led to it."""
        taken = len(prefix.split("."))  # names before it, and its own
        condition = self.condition[taken:] if self.condition[taken - 1 : taken] == self.path[:1] else ()
        return _Entry(self.row, self.steps and self.steps[depth:], self.path[1:], condition)


class _Compiler:
    """Make the objects of one table in one version."""

    def __init__(self, table: Table, message: MessageDefinition) -> None:
        self._table, self._message = table, message

    def slots(self, model: type, entries: Sequence[_Entry], prefix: str = "", source: int = 0) -> Iterator[_Slot]:
        """Yield the places of an object, and of the objects in it that are not in a list."""
        by_field: dict[str, list[_Entry]] = {}
        for entry in entries:
            by_field.setdefault(entry.path[0].partition("[")[0] if entry.path else "", []).append(entry)
        for name, inner in by_field.items():
            kind = fields_of(model).get(name) if name else Kind((model,))
            bracketed = "[" in inner[0].path[0] if name else False
            if kind is None or (kind.items is not None) != bracketed:
                known, row = ", ".join(fields_of(model)), inner[0].row
                raise ConfigError(
                    f"{self._table.name}, line {row.line}: {row.field!r} names no field; there are {known}"
                )
            path = prefix + name if name else prefix.removesuffix(".")
            here = [entry for entry in inner if len(entry.path) < 2]
            if bracketed:
                yield self._list(kind_of(kind.items), inner, path, source)
            elif kind.plain and kind.models:
                yield self._text_or_object(kind, inner, path, source)
            else:
                for entry in here:
                    yield self._leaf(entry, path, source)
                deeper = [entry.inside() for entry in inner if len(entry.path) > 1]
                if deeper and not kind.models:
                    row = deeper[0].row
                    raise ConfigError(f"{self._table.name}, line {row.line}: {row.field!r} names no field")
                yield from self.slots(kind.models[0], deeper, f"{path}.", source) if deeper else ()

    def object(self, model: type, entries: Sequence[_Entry]) -> _Object:
        return _Object(model, self.unclaimed(list(self.slots(model, entries))))

    def unclaimed(self, slots: list[_Slot]) -> list[_Slot]:
        """Return the places, or raise where two rows claim one element."""
        claimed: set[tuple[Step, ...]] = set()
        for slot in slots:
            if slot.steps and slot.steps in claimed:
                tags = "/".join(step.tag for step in slot.steps)
                raise ConfigError(f"{self._table.name}: two rows claim the element {tags}")
            claimed.add(slot.steps)
        return slots

    def _leaf(self, entry: _Entry, path: str, source: int) -> _Slot:
        when = self._when(entry)
        if entry.steps is None:
            return _Slot((), path, _Absent(entry.row), when=when, source=source)
        row, steps = entry.row, entry.steps
        if row.conversion != "amount":
            form = f"%0{row.conversion.removeprefix('digits ')}d" if row.conversion.startswith("digits ") else "%s"
            return _Slot(steps, path, self._writer(entry), form, when=when, source=source)
        definition = self._message.types.get(steps[-1].type)
        attribute = definition.attributes[0].name if isinstance(definition, SimpleContentType) else "Ccy"
        tag = steps[-1].tag
        form = f'{_OPEN}{tag} {attribute}="%s"{_CLOSE}%s{_OPEN}/{tag}{_CLOSE}'
        if source:
            return _Slot(steps, path, _Value(_amount(form)), whole=True, when=when, source=source)
        return _Slot(steps, path, _Value(), form, (_join(path, "currency"), _join(path, "value")), True, when)

    def _list(self, item: Kind, entries: Sequence[_Entry], path: str, source: int) -> _Slot:
        """Place a list: in an element that repeats, or in elements that are numbered and otherwise alike."""
        index = entries[0].path[0].partition("[")[2]
        first = [entry for entry in entries if entry.path[0].endswith(f"[{index}")]
        placed = [entry.steps for entry in first if entry.steps is not None]
        if not placed:
            return _Slot(
                (), path, _Items(self._part(item, [entry.below(0, path) for entry in first]), ("-",)), source=source
            )
        if index == "]":
            depth = next(number + 1 for number, step in enumerate(placed[0]) if step.repeated)
            tags: tuple[str, ...] = (placed[0][depth - 1].tag,)
        else:
            depth = _shared(placed)
            numbered = {
                entry.steps[depth - 1] for entry in entries if entry.steps and entry.path[1:] == first[0].path[1:]
            }
            ordered = sorted(numbered, key=lambda step: step.position)
            if len({step.type for step in ordered}) > 1:
                raise ConfigError(f"{self._table.name}, line {first[0].row.line}: the numbered elements differ in type")
            tags = tuple(step.tag for step in ordered)
        part = self._part(item, [entry.below(depth, path) for entry in first])
        return _Slot(placed[0][:depth], path, _Items(part, tags), whole=True, source=source)

    def _text_or_object(self, kind: Kind, entries: Sequence[_Entry], path: str, source: int) -> _Slot:
        placed = [entry.steps for entry in entries if entry.steps is not None]
        depth = _shared(placed)
        part = self._part(kind, [entry.below(depth, path) for entry in entries])
        return _Slot(placed[0][:depth] if placed else (), path, part, whole=not placed, source=source)

    def _part(self, kind: Kind, entries: Sequence[_Entry]) -> _Part:
        here = [entry for entry in entries if not entry.path]
        if not kind.models:
            return self._wrapped(here[0])
        if not kind.plain:
            return self.object(kind.models[0], entries)
        other = self.object(kind.models[0], [entry for entry in entries if entry.path])
        return _TextOrObject(self._wrapped(here[0]), other)

    def _wrapped(self, entry: _Entry) -> _Part:
        """Make what writes a value with the elements around it."""
        if entry.steps is None:
            return _Absent(entry.row)
        template = "%s"
        for step in reversed(entry.steps):
            template = _wrap(step.tag, template)
        inner = self._writer(entry)
        if isinstance(inner, _Codes):
            return _Codes(inner.row, _Texts({code: template % text for code, text in inner.texts.items()}), inner.rule)
        return _Wrapped(inner, template) if entry.steps else inner

    def _writer(self, entry: _Entry) -> _Part:
        row, steps = entry.row, entry.steps or ()
        definition = self._message.types.get(steps[-1].type) if steps else None
        allowed = definition.codes if isinstance(definition, SimpleType) else ()
        if row.codes or (row.conversion == "code" and allowed):
            codes = row.codes or {code: code for code in allowed}
            texts = _Texts({said: code for said, code in codes.items() if not allowed or code in allowed})
            return _Codes(row, texts, ", ".join(allowed))
        return _Indicator() if row.conversion == "yes_no" else _Value(_WRITERS.get(row.conversion, str))

    def _when(self, entry: _Entry) -> tuple[str, str | None] | None:
        if not entry.condition or entry.row.condition is None:
            return None
        return ".".join(entry.condition), entry.row.condition[1]


def _amount(form: str) -> Render:
    return lambda amount: form % (amount.currency, format(amount.value, "f"))


def _shared(placed: Sequence[tuple[Step, ...]]) -> int:
    """Count the elements that all these rows share; a row that stands alone does not share its own."""
    if len(placed) < 2:
        return len(placed[0]) - 1 if placed else 0
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
        self._model = sources[names[0]]
        self._slots = compiler.unclaimed(
            [
                slot
                for number, name in enumerate(names)
                for slot in compiler.slots(sources[name], entries[name], source=number)
            ]
        )
        _check_coverage(table, [row for row, _ in placed], self._model)
        # What is there of the other sources, and what rows ask of them, decides the shape too.
        self._others = [
            (
                number,
                [field for field, kind in fields_of(sources[name]).items() if kind.optional],
                [slot.when[0] for slot in self._slots if slot.source == number + 1 and slot.when and slot.when[1]],
            )
            for number, name in enumerate(names[1:])
            if any(kind.optional for kind in fields_of(sources[name]).values()) and entries[name]
        ]
        self._objects: dict[object, _Object] = {}

    def write(self, *sources: Any) -> str:
        """Return the XML below the root element. Raises ``BuildError`` with all that this version has no place for."""
        others = sources[1:]
        key = tuple(
            [
                (
                    *[getattr(others[number], name) is None for name in optional],
                    *[_value(others[number], path) for path in wanted],
                )
                for number, optional, wanted in self._others
            ]
        )
        writer = self._objects.get(key)
        if writer is None:
            writer = self._objects[key] = _Object(self._model, self._slots)
        try:
            text = writer.render(sources[0], others)
        except _Refused:
            found = [_violation(self._message, *lacking) for lacking in writer.lacking(*sources)]
            raise BuildError(found[0].text, code=found[0].code, violations=found) from None
        if "&" in text or "<" in text or ">" in text:
            text = escape(text)
        return text.replace(_OPEN, "<").replace(_CLOSE, ">")


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
