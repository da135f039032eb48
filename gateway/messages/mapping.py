"""Mapping tables: which element of a message says which field of an event.

A table (``schemas/mapping/*.map``) is plain text for a business analyst. Head lines name the message, the event (or
several that have the same fields: ``event one/1, other/1``), the profile's key for its version, which the tables of
one message share, the version for profiles that name none, and, where the dictionary has some that nobody is to begin
with any more, the ``oldest`` that is offered. FIN has a message type for each case of an event, and its table a line
for each: ``message MT541 when movement = receive, payment = against``; a field alone stands for one that is given,
``no FIELD`` for one that is not, and ``original = MT103`` for what carried the instruction that a request is about. One
with the line ``copies original`` repeats that message, and has no rows of its own. Then comes one row an element::

    element path | field of the event | conversion | note

* A path begins below the root element of the message. ``A or B`` are alternatives: the first that a version has is
  written; a translation reads any. ``Lnkgs[]`` repeats, once for each item of the list; ``UpdTp[2]`` is one of
  several, and the number keeps it apart from the others and in order; ``Pty#`` stands for Pty1, Pty2 ... and ``[#]``
  for the items in turn. The order of rows does not matter: order and choices come from the schema dictionary.
* A field is a path into the event (``place_of_trade.market``), or begins with ``identity.`` (identifiers and time that
  the gateway gives), ``instructed.`` (terms of the instruction that is asked about, as they are in force), ``asked.``
  (those terms with what the event changes) or ``correspondents.`` (our BIC and the counterparty's). ``F when C`` and
  ``F when C = V`` apply the row only then. Containers appear when something in them does. What ``identity.`` gives is
  left out where a version has no place for it.
* Conversions: ``text``, ``identifier`` (has no character to escape), ``code`` (checked against the codes of the
  version), ``date``, ``instant`` (with Z), ``offset_instant`` (with +00:00), ``number``, ``decimal``, ``amount``,
  ``yes_no``, ``digits 4``, ``always TEXT`` (the text itself, wherever the field is given), ``this=THAT, other=ELSE``
  (``yes=Y, no=N`` of a field that is one or the other),
  and ``group NAME``, which applies the rows of ``[NAME]`` below the element and the field; there, ``itself`` is the
  field, and where it may be text or an object, the text.
* ``-`` instead of a path: no version has an element for the field, and an event that gives it is refused; with the
  conversion ``internal`` it is not meant for the counterparty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from gateway.errors import ConfigError
from gateway.messages.catalogue import ComplexType, ElementDefinition, MessageDefinition

NUMBERED = 5  # Pty1 to Pty5: no message numbers more parties of a chain
CONVERSIONS = (
    "text",
    "identifier",
    "code",
    "date",
    "instant",
    "offset_instant",
    "number",
    "decimal",
    "amount",
    "yes_no",
    "internal",
)
_PARAMETRIC = re.compile(r"digits [1-9]|always [\w.]+")
_TAG = re.compile(r"(?P<tag>\w+)(\[(?P<number>[0-9]*)\])?")
_HEAD = ("message", "event", "version", "default")
_OLDEST, _COPIES = "oldest", "copies"
_ORIGINAL = "original"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: element paths (alternatives), field, condition (field, wanted value or None), conversion, note, line."""

    elements: tuple[str, ...]
    field: str
    condition: tuple[str, str | None] | None
    conversion: str
    note: str
    line: int

    @property
    def codes(self) -> dict[str, str]:
        """Return the code table of a conversion such as ``deliver=DELI, receive=RECE``; empty for others."""
        if "=" not in self.conversion:
            return {}
        return dict(pair.strip().split("=", 1) for pair in self.conversion.split(","))


@dataclass(frozen=True, slots=True)
class Table:
    """One mapping table: message family (``sese.023``), event kinds, rows, groups of rows.

    ``version`` is the key under which a profile names the definition, ``default`` the one for profiles that do not,
    ``oldest`` the first that is offered (empty: every one of the dictionary).
    """

    name: str
    message: str
    events: tuple[str, ...]
    version: str
    default: str
    rows: tuple[Row, ...]
    groups: Mapping[str, tuple[Row, ...]]
    oldest: str = ""
    case: tuple[tuple[str, str], ...] = ()
    copies: bool = False

    @property
    def is_fin(self) -> bool:
        """Tell whether the message is one of SWIFT FIN."""
        return self.message.startswith("MT")

    def is_for(self, event: object, original: str | None = None) -> bool:
        """Tell whether an event of the table's kind is of its case; ``original`` is the definition it is about."""
        for name, word in self.case:
            if getattr(event, name) != word if word and name != _ORIGINAL else not _holds(name, word, event, original):
                return False
        return True

    def offers(self, definition: str) -> bool:
        """Say whether a definition is a version of this message that a profile may name."""
        variant = self.oldest.rpartition(".")[0]
        older = definition.rpartition(".")[0] == variant and definition < self.oldest
        return f"{definition}.".startswith(f"{self.message}.") and not older

    def leaves(self) -> Iterator[Row]:
        """Yield every row with groups applied and numbers written out: one element, one field."""
        for row in self.rows:
            yield from self._expand(row)

    def _expand(self, row: Row) -> Iterator[Row]:
        if "#" in row.elements[0]:
            for number in range(1, NUMBERED + 1):
                yield from self._expand(
                    replace(
                        row,
                        elements=tuple(path.replace("#", str(number)) for path in row.elements),
                        field=row.field.replace("[#]", f"[{number - 1}]"),
                    )
                )
        elif row.conversion.startswith("group "):
            for inner in self.groups[row.conversion.removeprefix("group ")]:
                if row.elements == ("-",) or inner.elements == ("-",):
                    elements: tuple[str, ...] = ("-",)
                else:
                    elements = tuple(f"{outer}/{path}" for outer in row.elements for path in inner.elements)
                condition = inner.condition and (_join(row.field, inner.condition[0]), inner.condition[1])
                if condition and row.condition:
                    raise ConfigError(
                        f"{self.name}, line {row.line}: a condition on a group that has conditions itself"
                    )
                yield from self._expand(
                    replace(
                        inner,
                        elements=elements,
                        field=_join(row.field, inner.field),
                        condition=condition or row.condition,
                        line=row.line,
                    )
                )
        else:
            yield row


class Choice:
    """Which of several tables an event of a kind is written by: the first of whose case it is."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        names = [name for name, _ in tables[0].case]
        alike = all([name for name, _ in table.case] == names and all(dict(table.case).values()) for table in tables)
        # each is of other words of the same fields: MT540 to 543
        self._words = attrgetter(*names) if alike and len(names) > 1 and _ORIGINAL not in names else None
        self._by_words = {tuple(word for _, word in table.case): table for table in tables}

    def table(self, event: object, original: str | None = None) -> Table | None:
        """Return the table for an event; ``original`` is the definition that it is about."""
        if self._words is not None:
            return self._by_words.get(self._words(event))
        return next((table for table in self._tables if table.is_for(event, original)), None)


def _holds(name: str, word: str, event: object, original: str | None) -> bool:
    """Tell whether a field has a word; without one, whether it is given or, after ``no``, not given."""
    if name == _ORIGINAL:
        return original == word
    if word:
        return bool(getattr(event, name) == word)
    field = name.removeprefix("no ")
    given = getattr(event, field) not in (None, ())
    return given == (field == name)


def _join(outer: str, inner: str) -> str:
    return outer if inner == "itself" else f"{outer}.{inner}"


def parse_table(text: str, name: str) -> Table:
    """Read a mapping table of one message. Raises ``ConfigError`` naming the file and the line."""
    return parse_tables(text, name)[0]


def parse_tables(text: str, name: str) -> list[Table]:
    """Read a mapping table, one for each case of its event. Raises ``ConfigError`` naming the file and the line."""
    head: dict[str, str] = {}
    cases: list[str] = []
    groups: dict[str, list[Row]] = {"": []}
    group = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
            groups.setdefault(group, [])
        elif "|" in line:
            groups[group].append(_parse_row(line, number, name))
        else:
            key, _, value = line.partition(" ")
            if key not in (*_HEAD, _OLDEST, _COPIES):
                known = ", ".join((*_HEAD, _OLDEST, _COPIES))
                raise ConfigError(f"{name}, line {number}: expected a row, a [group], or one of {known}")
            head[key] = value.strip()
            if key == "message":
                cases.append(value.strip())
    if missing := [key for key in _HEAD if key not in head]:
        raise ConfigError(f"{name}: the head lacks {', '.join(missing)}")
    rows = groups.pop("")
    _, event, version, default = (head[key] for key in _HEAD)
    kept = {k: tuple(v) for k, v in groups.items()}
    events = tuple(each.strip() for each in event.split(","))
    tables = []
    for said in cases:
        message, _, case = said.partition(" when ")
        words = [
            (name.strip(), word.strip()) for name, _, word in (pair.partition("=") for pair in case.split(",") if pair)
        ]
        own = message.strip() if case else default
        table = Table(
            name,
            message.strip(),
            events,
            version,
            own,
            tuple(rows),
            kept,
            head.get(_OLDEST, ""),
            tuple(words),
            _COPIES in head,
        )
        tables.append(table)
    for row in (*rows, *(row for rows in groups.values() for row in rows)):
        _check_conversion(row, tables[0])
    return tables


def _parse_row(line: str, number: int, name: str) -> Row:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) not in (3, 4) or not all(columns[:3]):
        raise ConfigError(f"{name}, line {number}: expected element | field | conversion | note")
    field, _, condition = columns[1].partition(" when ")
    wanted_field, equals, wanted = condition.partition("=")
    return Row(
        elements=tuple(path.strip() for path in columns[0].split(" or ")),
        field=field.strip(),
        condition=(wanted_field.strip(), wanted.strip() if equals else None) if condition else None,
        conversion=columns[2],
        note=columns[3] if len(columns) == 4 else "",
        line=number,
    )


def _check_conversion(row: Row, table: Table) -> None:
    conversion = row.conversion
    group = conversion.removeprefix("group ") if conversion.startswith("group ") else None
    if group in table.groups or conversion in CONVERSIONS or row.codes or _PARAMETRIC.fullmatch(conversion):
        return
    known = ", ".join(
        (*CONVERSIONS, "digits N", "always TEXT", "a=B, c=D", *(f"group {name}" for name in table.groups))
    )
    raise ConfigError(f"{table.name}, line {row.line}: {conversion!r} is no conversion; they are {known}")


@dataclass(frozen=True, slots=True)
class Step:
    """An element on the way to a row's own: its tag and type, its place among its siblings, whether it repeats.

    ``number`` is which one of several it is, where the table says so. ``opening`` and ``closing`` are what the syntax
    of the message writes around what is in it.
    """

    tag: str
    type: str
    position: int
    repeated: bool
    number: int = 0
    opening: str = ""
    closing: str = ""


class Below(dict[str, dict[str, tuple[int, ElementDefinition]]]):
    """The elements of each type of a message by name, with their places; a type is looked into once."""

    def __init__(self, message: MessageDefinition) -> None:
        super().__init__()
        self.message = message

    def __missing__(self, type_name: str) -> dict[str, tuple[int, ElementDefinition]]:
        definition = self.message.types.get(type_name)
        found: dict[str, tuple[int, ElementDefinition]] = {}
        if isinstance(definition, ComplexType):
            for position, element in enumerate(definition.content.elements()):
                found.setdefault(element.name, (position, element))
        self[type_name] = found
        return found


def place(table: Table, message: MessageDefinition) -> list[tuple[Row, tuple[Step, ...] | None]]:
    """Find the elements of every row in one version of the message; None where the version has none of them."""
    top, below = _top(message), Below(message)
    return [
        (row, next((found for path in row.elements if (found := _steps(below, top, path))), None))
        for row in table.leaves()
    ]


def _top(message: MessageDefinition) -> ElementDefinition:
    root = ElementDefinition(message.root, message.root_type)
    return elements_below(message, root)[0] if message.root == "Document" else root


def places(table: Table, message: MessageDefinition) -> Iterator[tuple[Row, tuple[Step, ...]]]:
    """Yield the elements of every row, of alternatives each that the version has: where to look for the field."""
    top, below = _top(message), Below(message)
    for row in table.leaves():
        yield from ((row, found) for path in row.elements if (found := _steps(below, top, path)))


def elements_below(message: MessageDefinition, parent: ElementDefinition) -> list[ElementDefinition]:
    """Return the elements directly below one, in the order of the schema."""
    definition = message.types.get(parent.type)
    return list(definition.content.elements()) if isinstance(definition, ComplexType) else []


def _steps(elements: Below, root: ElementDefinition, path: str) -> tuple[Step, ...] | None:
    if path == "-":
        return None
    here, steps = root, []
    for name in path.split("/"):
        found = _TAG.fullmatch(name)
        if found is None:
            return None
        tag, number = found["tag"], found["number"]
        position, element = elements[here.type].get(tag, (-1, here))
        if position < 0 or (number is not None and element.maximum == 1):
            return None
        opening, closing = elements.message.tags(here.type, element)
        here = element
        steps.append(Step(tag, here.type, position, number == "", int(number or 0), opening, closing))
    return tuple(steps)


def mapping_page(tables: Sequence[Table], versions: Mapping[str, Sequence[MessageDefinition]]) -> str:
    """Write the mapping page of the documentation (Markdown) from the tables; ``versions`` by message family."""
    lines = [
        "# How a trade event becomes a message",
        "",
        "Generated from the tables in `schemas/mapping/`; the language of the tables is described at the top of",
        "`gateway/messages/mapping.py`. Order and choices come from the schema dictionary.",
    ]
    for table in tables:
        about = " and ".join(f"`{event}`" for event in table.events)
        lines += ["", f"## {table.message}: {about}", ""]
        lines += _page_rows(table.rows)
        for name, rows in table.groups.items():
            lines += ["", f"### {table.message}, group {name}", "", *_page_rows(rows)]
        lines += ["", f"### {table.message}, what a version lacks", ""]
        lines += ["An event that gives one of these fields is parked with `element_not_in_version`.", ""]
        for message in versions[table.message]:
            unplaced = (row for row, steps in place(table, message) if steps is None and row.conversion != "internal")
            lacking = sorted({re.sub(r"\[\d*\]", "[]", row.field) for row in unplaced})
            lines.append(f"- `{message.identifier}`: " + (", ".join(f"`{field}`" for field in lacking) or "nothing"))
    return "\n".join(lines) + "\n"


def _page_rows(rows: Sequence[Row]) -> Iterator[str]:
    yield "| element | field | conversion | note |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        elements = " or ".join(f"`{path}`" for path in row.elements)
        field = f"`{row.field}`"
        if row.condition:
            field += " when `" + " = ".join(part for part in row.condition if part) + "`"
        yield f"| {elements} | {field} | {row.conversion} | {row.note} |"
