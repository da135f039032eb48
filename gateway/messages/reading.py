"""Read messages into facts, driven by the reading tables in ``schemas/reading``.

A table says, for one message family, which element fills which field of which fact; it is compiled against the schema
dictionary for each version that arrives. A table is lines of plain text, ``#`` begins a comment::

    messages  sese.024                      the family (or one variant: sese.024.002) that the table reads
    fact      StatusAdvice                  a class of gateway.model.facts
    each      TxDtls                        one fact for each of these elements (default: one for the message)
    codes NAME                              a code table: indented lines of an element or code, and our word for it
        Mtchd   matched
    FIELD     PATH      CONVERSION          a field, the element that fills it, and how
    FIELD     =         yes                 a field that always has this value (yes or no)

Paths are short tags below the message element. A field is of the fact, or ``references.`` or ``reply.`` and a field of
those. Several lines for one field are alternatives, the first one wins that is there. Elements that a version lacks are
left out. Conversions are those of ``gateway.messages.conversions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.errors import ConfigError, InvalidMessage
from gateway.messages.catalogue import ComplexType
from gateway.messages.conversions import COMPOUND, CONVERSIONS, Convert
from gateway.messages.parsing import ParsedMessage, unreadable
from gateway.model import facts
from gateway.model.facts import Fact, Reason, References, Reply, StatusValue

if TYPE_CHECKING:
    from lxml.etree import _Element

    from gateway.messages.catalogue import Catalogue, ElementDefinition, MessageDefinition
    from gateway.messages.validation import Validator

HEADER: Final = "head.001"

Slots = list[Any]
Handler = Callable[["_Element", Slots], None]


@dataclass(frozen=True, slots=True)
class Column:
    """One line of a reading table: a field, where it comes from, and how it is converted."""

    field: str
    path: str
    conversion: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class ReadingTable:
    """A reading table: the family it reads, the fact it makes, its lines, constants and code tables."""

    name: str
    family: str
    fact: str | None
    each: str
    columns: tuple[Column, ...]
    constants: Mapping[str, bool] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parse_table(text: str, name: str) -> ReadingTable:
    """Parse a reading table; ``name`` is its file. Raises ``ConfigError`` naming the file and the line."""
    settings = {"messages": "", "fact": "", "each": ""}
    columns: list[Column] = []
    constants: dict[str, bool] = {}
    codes: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].rstrip()
        words = line.split()
        match words:
            case []:
                continue
            case [code, word] if line[0].isspace() and current is not None:
                current[code] = word
            case ["codes", key]:
                current = codes.setdefault(key, {})
            case [("messages" | "fact" | "each") as key, value]:
                settings[key] = value
            case [name_of_field, "=", ("yes" | "no") as value]:
                constants[name_of_field] = value == "yes"
            case [name_of_field, path, conversion, *argument] if conversion in CONVERSIONS and len(argument) <= 1:
                columns.append(Column(name_of_field, path, conversion, *argument))
            case _:
                raise ConfigError(
                    f"{name}, line {number}: '{line.strip()}' is no line of a reading table; "
                    f"conversions are {', '.join(CONVERSIONS)}",
                    code="reading_table_invalid",
                )
    for column in columns:
        if column.conversion in ("code", "status") and column.argument not in codes:
            raise ConfigError(f"{name}: code table '{column.argument}' is not there", code="reading_table_invalid")
    return ReadingTable(
        name, settings["messages"], settings["fact"] or None, settings["each"], tuple(columns), constants, codes
    )


class Reader:
    """Read messages of every version in the catalogue for whose family there is a table."""

    def __init__(self, validator: Validator, catalogue: Catalogue, tables: Iterable[ReadingTable]) -> None:
        self._validator = validator
        self._catalogue = catalogue
        self._tables = {table.family: table for table in tables}
        self._compiled: dict[str, _CompiledTable] = {}

    def reads(self, definition_id: str) -> bool:
        """Say whether there is a table for a message definition."""
        return self._table(definition_id) is not None

    def read(self, content: bytes) -> Reply:
        """Parse, validate and extract one message.

        Raises ``UnreadableMessage`` (codes of ``Validator.parse``, ``definition_not_read``, ``code_unknown``,
        ``value_unrepresentable``) or ``InvalidMessage`` with every violation, whose explanation takes its time.
        """
        parsed = self._validator.parse(content)
        if not self._validator.is_valid(parsed):
            raise invalid(parsed, self._validator)
        return self.extract(parsed)

    def extract(self, parsed: ParsedMessage) -> Reply:
        """Return what a valid message says. Raises ``UnreadableMessage`` where there is no way to say it."""
        definition = parsed.message_definition
        table = None if definition is None else self._table(definition)
        if definition is None or table is None or parsed.document is None:
            families = ", ".join(sorted(family for family in self._tables if family != HEADER))
            what = f"{definition} is valid, but" if definition else "a header without a document:"
            raise unreadable(
                "definition_not_read",
                f"{what} there is no reading table for it (there are tables for {families})",
                f"a message of {families}",
                value=definition,
            )
        compiled = self._compiled.get(definition) or self._compile(definition, table)
        header: Slots = []
        header_table = None
        if parsed.header is not None:
            header_table = self._header_table(parsed)
            if header_table is not None:
                header = header_table.walk(parsed.header)[0]
        shared, items = compiled.walk(parsed.document[0])
        related = None if header_table is None else header_table.related(header)
        said = tuple((compiled.references(slots, shared, related), compiled.fact(slots, shared)) for slots in items)
        reply = compiled.reply(shared)
        if header_table is not None:
            reply |= header_table.reply(header)
        return Reply(definition, said, header_definition=parsed.header_definition, **reply)

    def _table(self, definition_id: str) -> ReadingTable | None:
        prefix = definition_id
        while prefix:
            if prefix in self._tables:
                return self._tables[prefix]
            prefix = prefix.rpartition(".")[0]
        return None

    def _header_table(self, parsed: ParsedMessage) -> _CompiledTable | None:
        definition = parsed.header_definition
        if definition is None and parsed.header is not None and len(parsed.header):
            # An envelope's own header that holds the elements of the ISO 20022 one, as on FedNow and RTP.
            definition = self._catalogue.identify(parsed.header[0].tag.rpartition("}")[0][1:])
        if definition is None:
            return None
        table = self._table(definition)
        return None if table is None else self._compiled.get(definition) or self._compile(definition, table)

    def _compile(self, definition_id: str, table: ReadingTable) -> _CompiledTable:
        compiled = self._compiled[definition_id] = _CompiledTable(table, self._catalogue.message(definition_id))
        return compiled


def invalid(parsed: ParsedMessage, validator: Validator) -> InvalidMessage:
    """Make the error of a message that its schema refuses, with every violation; takes its time."""
    violations = validator.violations(parsed)
    name = parsed.message_definition or parsed.header_definition
    first = f"; first: {violations[0].text}" if violations else ""
    return InvalidMessage(f"{name} breaks its schema in {len(violations)} places{first}", violations=violations)


class _CompiledTable:
    """A table compiled for one version: nested look-ups by tag, so that a message is walked once."""

    def __init__(self, table: ReadingTable, message: MessageDefinition) -> None:
        self._size = 0
        fact_class = getattr(facts, table.fact, None) if table.fact else None
        if table.fact and fact_class is None:
            raise ConfigError(f"{table.name}: there is no fact '{table.fact}'", code="reading_table_invalid")
        self._fact_class = fact_class
        places: dict[str, list[int]] = {}  # field -> slots, in the order of the table
        tree: _Tree = {}
        for column in table.columns:
            if not _applies(message, column):
                continue
            convert = CONVERSIONS[column.conversion](message.namespace, column.argument, table.codes)
            slot, self._size = self._size, self._size + 1
            places.setdefault(column.field, []).append(slot)
            _insert(
                tree, column.path.split("/"), _count(slot) if column.conversion == "count" else _keep(slot, convert)
            )
        self._each = bool(table.each)
        if self._each:
            _at(tree, table.each.split("/"))[_EACH] = self._size
        self._walk = _branch(tree, message.namespace)
        self._references = _plan(table.name, References, places, "references.")
        self._fact = None if fact_class is None else _plan(table.name, fact_class, places, "", table.constants)
        self._reply = [
            (name.removeprefix("reply."), slots) for name, slots in places.items() if name.startswith("reply.")
        ]
        self._related = places.get("references.related_business_message_id", [])

    def walk(self, element: _Element) -> tuple[Slots, list[Slots]]:
        """Return the values of the message and those of each item."""
        shared: Slots = [None] * (self._size + 1)
        if not self._each:
            self._walk(element, shared)
            return shared, [shared]
        items: list[Slots] = []
        shared[-1] = items
        self._walk(element, shared)
        return shared, items

    def references(self, slots: Slots, shared: Slots, related: str | None) -> References:
        """Return the references of one item."""
        values = _fill(self._references, slots, shared)
        if related is not None and values[_RELATED] is None:
            values[_RELATED] = related
        return References(*values)

    def fact(self, slots: Slots, shared: Slots) -> Fact:
        """Return the fact of one item."""
        assert self._fact is not None
        assert self._fact_class is not None
        return cast(Fact, self._fact_class(*_fill(self._fact, slots, shared)))

    def reply(self, slots: Slots) -> dict[str, Any]:
        """Return the fields of the reply that are there."""
        found = ((name, _first(places, slots, slots)) for name, places in self._reply)
        return {name: value for name, value in found if value is not None}

    def related(self, slots: Slots) -> str | None:
        """Return the business message identifier that the header says it is about."""
        value = _first(self._related, slots, slots)
        return None if value is None else str(value)


_RELATED = [each.name for each in fields(References)].index("related_business_message_id")


@dataclass(slots=True)
class _Plan:
    """The values something has by default, which slots fill which position, and which parts make up a status."""

    defaults: list[Any]
    positions: list[tuple[int, list[int]]]
    statuses: list[tuple[int, dict[str, list[int]]]]


def _plan(
    name: str, made: Any, places: Mapping[str, list[int]], prefix: str, constants: Mapping[str, bool] | None = None
) -> _Plan:
    names = [each.name for each in fields(made)]
    plan = _Plan([None if each.default is MISSING else each.default for each in fields(made)], [], [])
    parts: dict[int, dict[str, list[int]]] = {}
    wanted = (
        [key for key in places if key.startswith(prefix)]
        if prefix
        else [key for key in places if not key.startswith(("references.", "reply."))]
    )
    for key in (*wanted, *(constants or {})):
        field_name, _, part = key.removeprefix(prefix).partition(".")
        if field_name not in names or (part and part not in _STATUS_PARTS):
            raise ConfigError(f"{name}: {made.__name__} has no field '{key}'", code="reading_table_invalid")
        position = names.index(field_name)
        if constants and key in constants:
            plan.defaults[position] = constants[key]
        elif part:
            parts.setdefault(position, {})[part] = places[key]
        else:
            plan.positions.append((position, places[key]))
    plan.statuses = list(parts.items())
    return plan


def _fill(plan: _Plan, slots: Slots, shared: Slots) -> list[Any]:
    values = plan.defaults.copy()
    for position, places in plan.positions:
        for place in places:
            value = slots[place]
            if value is None:
                value = shared[place]
            if value is not None:
                values[position] = value
                break
    for position, parts in plan.statuses:
        values[position] = _status_of({part: _first(places, slots, shared) for part, places in parts.items()})
    return values


def _first(places: Sequence[int], slots: Slots, shared: Slots) -> Any:
    found = (slots[place] if slots[place] is not None else shared[place] for place in places)
    return next((value for value in found if value is not None), None)


# A status whose parts are stated side by side, not in the choice that `status` reads: ``status.value`` and so on.
_STATUS_PARTS: Final = ("value", "proprietary", "reason_code", "reason_proprietary", "reason_text")


def _status_of(parts: Mapping[str, Any]) -> StatusValue | None:
    value, proprietary, *why = (parts.get(part) for part in _STATUS_PARTS)
    if value is None and proprietary is None:
        return None
    reasons = (Reason(*why),) if any(part is not None for part in why) else ()
    return StatusValue(value or "proprietary", reasons, proprietary)


# The tree of the paths of a table. Under _HERE are what to do at an element, under _EACH that an item begins there.
_Tree = dict[str, Any]
_HERE: Final = " here"
_EACH: Final = " each"


def _at(tree: _Tree, steps: Iterable[str]) -> _Tree:
    for step in steps:
        tree = tree.setdefault(step, {})
    return tree


def _insert(tree: _Tree, steps: Iterable[str], handler: Handler) -> None:
    _at(tree, steps).setdefault(_HERE, []).append(handler)


def _branch(tree: _Tree, namespace: str) -> Handler:
    """Turn a tree of paths into a function that walks an element once and fills the slots."""
    known: dict[str, Handler] = {}
    for name, below in tree.items():
        if name not in (_HERE, _EACH):
            handlers = list(below.get(_HERE, ()))
            if any(step not in (_HERE, _EACH) for step in below) or _EACH in below:
                handlers.append(_branch(below, namespace))
            known[f"{{{namespace}}}{name}"] = handlers[0] if len(handlers) == 1 else _all(handlers)
    look_up = known.get

    def walk(element: _Element, slots: Slots) -> None:
        for child in element:
            handler = look_up(child.tag)
            if handler is not None:
                handler(child, slots)

    return _item(walk, tree[_EACH]) if _EACH in tree else walk


def _item(walk: Handler, size: int) -> Handler:
    def begin(element: _Element, slots: Slots) -> None:
        item: Slots = [None] * (size + 1)
        slots[size].append(item)
        walk(element, item)

    return begin


def _all(handlers: Sequence[Handler]) -> Handler:
    def apply(element: _Element, slots: Slots) -> None:
        for handler in handlers:
            handler(element, slots)

    return apply


def _keep(slot: int, convert: Convert) -> Handler:
    def keep(element: _Element, slots: Slots) -> None:
        if slots[slot] is None:
            slots[slot] = convert(element)

    return keep


def _count(slot: int) -> Handler:
    def count(_: _Element, slots: Slots) -> None:
        slots[slot] = (slots[slot] or 0) + 1

    return count


def _applies(message: MessageDefinition, column: Column) -> bool:
    """Say whether this version has the element of a column, with a text where a text is read."""
    path = column.path
    if message.root == "Document":
        names = [child.name for child in _children(message)]
        path = f"{names[0]}/{path}" if len(names) == 1 else ""
    element = message.element(path) if path else None
    if element is None:
        return False
    compound = isinstance(message.types.get(element.type), ComplexType)
    return compound == (column.conversion in COMPOUND) or column.conversion == "count"


def _children(message: MessageDefinition) -> list[ElementDefinition]:
    definition = message.types[message.root_type]
    return list(definition.content.elements()) if isinstance(definition, ComplexType) else []
