"""Read messages into facts, driven by the reading tables in ``schemas/reading``.

A table says, for one message family, which element fills which field of which fact; it is compiled against the schema
dictionary for each version that arrives. A table is lines of plain text, ``#`` begins a comment::

    messages  sese.024                      the family (or one variant: sese.024.002) that the table reads
    fact      StatusAdvice                  a class of gateway.model.facts
    each      TxDtls                        one fact for each of these elements (default: one for the message)
    codes NAME                              a code table: indented lines of an element or code, and our word for it
        Mtchd   matched
    FIELD     PATH      CONVERSION          a field, the element that fills it, and how
    FIELD     =         VALUE               a field that always has this value (a word, or yes or no); with
                                            ``.value`` behind it the field is a status that says this word

Paths are short tags below the message element. A field is of the fact, or ``references.`` or ``reply.`` and a field of
those. Several lines for one field are alternatives, the first one wins that is there. Elements that a version lacks are
left out. Conversions are those of ``gateway.messages.conversions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import ConfigError, InvalidMessage, UnreadableMessage
from gateway.messages.catalogue import ComplexType
from gateway.messages.conversions import COMPOUND, CONVERSIONS, CONVERSIONS_LATER, Convert
from gateway.messages.parsing import ParsedMessage, unreadable
from gateway.messages.shapes import Shapes
from gateway.model import facts
from gateway.model.facts import Fact, Reason, References, Reply, StatusValue

if TYPE_CHECKING:
    from lxml.etree import _Element

    from gateway.messages.catalogue import Catalogue, ElementDefinition, MessageDefinition, TypeDefinition
    from gateway.messages.validation import Validator

HEADER: Final = "head.001"
_YES_NO: Final = {"yes": True, "no": False}

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
    constants: Mapping[str, bool | str] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def parse_table(text: str, name: str) -> ReadingTable:
    """Parse a reading table; ``name`` is its file. Raises ``ConfigError`` naming the file and the line."""
    settings = {"messages": "", "fact": "", "each": ""}
    columns: list[Column] = []
    constants: dict[str, bool | str] = {}
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
            case [name_of_field, "=", value]:
                constants[name_of_field] = _YES_NO.get(value, value)
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
        self._compiled_later: dict[str, _CompiledTable] = {}
        self._shapes = Shapes(self._extract)

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
        return self.say(content, parsed)

    def say(self, content: bytes, parsed: ParsedMessage) -> Reply:
        """Return what a valid message says, from its bytes where its shape is known."""
        return self._shapes.read(content, parsed)

    def extract(self, parsed: ParsedMessage) -> Reply:
        """Return what a valid message says. Raises ``UnreadableMessage`` where there is no way to say it."""
        return self._extract(parsed)

    def _extract(self, parsed: ParsedMessage, later: bool = False) -> Reply:
        definition, document = parsed.message_definition, parsed.document
        compiled = None if definition is None else self._compile(definition, later)
        if definition is None or compiled is None or document is None:
            raise self._not_read(definition)
        shared, items = compiled.walk(document[0])
        header = self._header_table(parsed, later)
        if header is None or parsed.header is None:
            reply, related = compiled.reply(shared), None
        else:
            said_by_header, _ = header.walk(parsed.header)
            reply, related = compiled.reply(shared, header.reply(said_by_header)), said_by_header[_RELATED]
        reply[_MESSAGE_DEFINITION] = definition
        reply[_HEADER_DEFINITION] = parsed.header_definition
        reply[_FACTS] = tuple([compiled.said(slots, related) for slots in items])
        return Reply(*reply)

    def _not_read(self, definition: str | None) -> UnreadableMessage:
        families = ", ".join(sorted(family for family in self._tables if family != HEADER))
        what = f"{definition} is valid, but" if definition else "a header without a document:"
        return unreadable(
            "definition_not_read",
            f"{what} there is no reading table for it (there are tables for {families})",
            f"a message of {families}",
            value=definition,
        )

    def _table(self, definition_id: str) -> ReadingTable | None:
        prefix = definition_id
        while prefix:
            if prefix in self._tables:
                return self._tables[prefix]
            prefix = prefix.rpartition(".")[0]
        return None

    def _header_table(self, parsed: ParsedMessage, later: bool) -> _CompiledTable | None:
        definition = parsed.header_definition
        if definition is None and parsed.header is not None and len(parsed.header):
            # An envelope's own header that holds the elements of the ISO 20022 one, as on FedNow and RTP.
            definition = self._catalogue.identify(parsed.header[0].tag.rpartition("}")[0][1:])
        return None if definition is None else self._compile(definition, later)

    def _compile(self, definition_id: str, later: bool) -> _CompiledTable | None:
        kept = self._compiled_later if later else self._compiled
        compiled = kept.get(definition_id)
        if compiled is None:
            table = self._table(definition_id)
            if table is not None:
                message = self._catalogue.message(definition_id)
                compiled = kept[definition_id] = _CompiledTable(table, message, later=later)
        return compiled


def invalid(parsed: ParsedMessage, validator: Validator) -> InvalidMessage:
    """Make the error of a message that its schema refuses, with every violation; takes its time."""
    violations = validator.violations(parsed)
    name = parsed.message_definition or parsed.header_definition
    first = f"; first: {violations[0].text}" if violations else ""
    return InvalidMessage(f"{name} breaks its schema in {len(violations)} places{first}", violations=violations)


_REPLY_FIELDS: Final = [each.name for each in fields(Reply)]
_MESSAGE_DEFINITION, _FACTS, _HEADER_DEFINITION = map(
    _REPLY_FIELDS.index, ("message_definition", "facts", "header_definition")
)
_RELATED: Final = [each.name for each in fields(References)].index("related_business_message_id")

# A status whose parts are stated side by side, not in the choice that `status` reads: ``status.value`` and so on.
_STATUS_PARTS: Final = ("value", "proprietary", "reason_code", "reason_proprietary", "reason_text")


class _CompiledTable:
    """A table compiled for one version: nested look-ups by tag, so that a message is walked once.

    The walk fills a list of slots: one for each field of the references, then of the fact, then of the reply, so that
    each of them is made from a slice; then spare ones for what must be chosen from or put together afterwards. With
    ``later`` their values are still to be converted.
    """

    def __init__(self, table: ReadingTable, message: MessageDefinition, *, later: bool = False) -> None:
        fact_class = getattr(facts, table.fact, None) if table.fact else None
        if table.fact and fact_class is None:
            raise ConfigError(f"{table.name}: there is no fact '{table.fact}'", code="reading_table_invalid")
        self._fact_class = fact_class
        made = {"references.": References, "": fact_class, "reply.": Reply}
        self._template: Slots = []
        base: dict[str, int] = {}  # field -> slot
        for prefix, one in made.items():
            for each in fields(one) if one is not None else ():
                base[prefix + each.name] = len(self._template)
                self._template.append(None if each.default is MISSING else each.default)
        self._references = slice(0, len(fields(References)))
        self._reply = slice(base["reply.message_definition"], base["reply.message_definition"] + len(_REPLY_FIELDS))
        self._fact = slice(self._references.stop, self._reply.start)
        self._alternatives: list[tuple[int, list[int]]] = []
        self._statuses: dict[int, dict[str, list[int]]] = {}
        self._own_reply: list[tuple[int, int]] = []  # position in the reply, slot
        for constant, value in table.constants.items():
            name, _, part = constant.partition(".value")  # a status that the message is by being there
            stands = value if name == constant or part else StatusValue(str(value))
            self._template[self._slot(base, name, table.name)] = stands
        conversions = CONVERSIONS_LATER if later else CONVERSIONS
        tree: _Tree = {}
        for name, columns in _by_field(table, message).items():
            field_name, _, part = name.removeprefix("references.").removeprefix("reply.").partition(".")
            slot = self._slot(base, name.removesuffix(f".{part}"), table.name)
            if part and part not in _STATUS_PARTS:
                raise ConfigError(f"{table.name}: a status has no part '{part}'", code="reading_table_invalid")
            if part or (len(columns) > 1 and not _exclude_each_other(message, columns)):
                slots = [self._spare() for _ in columns]
                if part:
                    self._statuses.setdefault(slot, {})[part] = slots
                else:
                    self._alternatives.append((slot, slots))
            else:
                slots = [slot] * len(columns)
            if name.startswith("reply."):
                self._own_reply.append((_REPLY_FIELDS.index(field_name), slot))
            for column, place in zip(columns, slots, strict=True):
                convert = conversions[column.conversion](message.namespace, column.argument, table.codes)
                handler = _handler(place, column.conversion, convert, repeats=_repeats(message, column.path))
                _at(tree, column.path.split("/")).setdefault(_HERE, []).append(handler)
        self._each = bool(table.each)
        if self._each:
            _at(tree, table.each.split("/"))[_EACH] = self._template
        self._walk = _branch(tree, message, _below_document(message))

    @staticmethod
    def _slot(base: Mapping[str, int], name: str, table: str) -> int:
        if name not in base:
            raise ConfigError(f"{table}: there is no field '{name}'", code="reading_table_invalid")
        return base[name]

    def _spare(self) -> int:
        self._template.append(None)
        return len(self._template) - 1

    def walk(self, element: _Element) -> tuple[Slots, list[Slots]]:
        """Return the slots of the message and those of each item."""
        shared = self._template.copy()
        if not self._each:
            self._walk(element, shared)
            self._finish(shared)
            return shared, [shared]
        items: list[Slots] = []
        shared.append(items)
        self._walk(element, shared)
        for item in items:
            for place, (value, default) in enumerate(zip(item, self._template, strict=True)):
                if value is default:
                    item[place] = shared[place]
            self._finish(item)
        return shared, items

    def _finish(self, slots: Slots) -> None:
        for slot, places in self._alternatives:
            slots[slot] = _first(slots, places)
        for slot, parts in self._statuses.items():
            value, proprietary, *why = (_first(slots, parts.get(part, ())) for part in _STATUS_PARTS)
            if value is not None or proprietary is not None:
                reasons = (Reason(*why),) if any(part is not None for part in why) else ()
                slots[slot] = StatusValue(value or "proprietary", reasons, proprietary)

    def said(self, slots: Slots, related: str | None) -> tuple[References, Fact]:
        """Return the references and the fact of one item."""
        if related is not None and slots[_RELATED] is None:
            slots[_RELATED] = related
        assert self._fact_class is not None
        return References(*slots[self._references]), self._fact_class(*slots[self._fact])

    def reply(self, slots: Slots, values: list[Any] | None = None) -> list[Any]:
        """Return the fields of the reply in their order; ``values`` are those that the header already gave."""
        if values is None:
            return slots[self._reply]
        for position, slot in self._own_reply:
            values[position] = slots[slot]
        return values


def _by_field(table: ReadingTable, message: MessageDefinition) -> dict[str, list[Column]]:
    """Return the columns that this version has, by the field they fill."""
    found: dict[str, list[Column]] = {}
    for column in table.columns:
        if _applies(message, column):
            found.setdefault(column.field, []).append(column)
    return found


def _first(slots: Slots, places: Iterable[int]) -> Any:
    for place in places:
        if slots[place] is not None:
            return slots[place]
    return None


# The tree of the paths of a table. Under _HERE are what to do at an element, under _EACH that an item begins there.
_Tree = dict[str, Any]
_HERE: Final = " here"
_EACH: Final = " each"


def _at(tree: _Tree, steps: Iterable[str]) -> _Tree:
    for step in steps:
        tree = tree.setdefault(step, {})
    return tree


def _branch(tree: _Tree, message: MessageDefinition, parent: TypeDefinition | None) -> Handler:
    """Turn a tree of paths below a type into a function that walks an element once and fills the slots.

    Making an element known to Python is what reading costs, so that it looks at as few as the schema allows: at the
    only one of a choice, and at none after the last one that is wanted.
    """
    known: dict[str, Handler] = {}
    final: Handler | None = None
    children = _children(parent)
    for child in children:
        below = tree.get(child.name)
        if below is not None:
            handlers = list(below.get(_HERE, ()))
            if len(below) > (_HERE in below):
                handlers.append(_branch(below, message, message.types.get(child.type)))
            final = handlers[0] if len(handlers) == 1 else _all(handlers)
            known[f"{{{message.namespace}}}{child.name}"] = final
            if child.maximum != 1:
                final = None
    look_up = known.get

    def walk(element: _Element, slots: Slots) -> None:
        for child in element:
            handler = look_up(child.tag)
            if handler is not None:
                handler(child, slots)
                if handler is final:
                    break

    def walk_choice(element: _Element, slots: Slots) -> None:
        try:
            child = element[0]
        except IndexError:  # some versions allow a choice to be empty
            return
        handler = look_up(child.tag)
        if handler is not None:
            handler(child, slots)

    chosen = walk_choice if _holds_one(parent) else walk
    return _item(chosen, tree[_EACH]) if _EACH in tree else chosen


def _holds_one(parent: TypeDefinition | None) -> bool:
    """Say whether a type is a choice of single elements."""
    if not isinstance(parent, ComplexType) or parent.content.kind != "choice":
        return False
    return all(getattr(item, "maximum", None) == 1 for item in parent.content.items)


def _item(walk: Handler, template: Slots) -> Handler:
    place = len(template)

    def begin(element: _Element, slots: Slots) -> None:
        item = template.copy()
        slots[place].append(item)
        walk(element, item)

    return begin


def _all(handlers: Sequence[Handler]) -> Handler:
    def apply(element: _Element, slots: Slots) -> None:
        for handler in handlers:
            handler(element, slots)

    return apply


def _handler(slot: int, conversion: str, convert: Convert, *, repeats: bool) -> Handler:
    """Return what to do at an element: of several, the first one counts."""

    def count(_: _Element, slots: Slots) -> None:
        slots[slot] += 1

    def keep_first(element: _Element, slots: Slots) -> None:
        if slots[slot] is None:
            slots[slot] = convert(element)

    def keep_text(element: _Element, slots: Slots) -> None:
        slots[slot] = element.text

    def keep(element: _Element, slots: Slots) -> None:
        slots[slot] = convert(element)

    if conversion == "count":
        return count
    if repeats:
        return keep_first
    return keep_text if conversion == "text" else keep


def _applies(message: MessageDefinition, column: Column) -> bool:
    """Say whether this version has the element of a column, with a text where a text is read."""
    elements = _elements(message, column.path)
    if not elements:
        return False
    compound = isinstance(message.types.get(elements[-1].type), ComplexType)
    return compound == (column.conversion in COMPOUND) or column.conversion == "count"


def _repeats(message: MessageDefinition, path: str) -> bool:
    """Say whether an element can be there more than once."""
    return any(element.maximum != 1 for element in _elements(message, path))


def _exclude_each_other(message: MessageDefinition, columns: Sequence[Column]) -> bool:
    """Say whether at most one of some elements can be there, since a choice parts their paths."""
    common = _common(columns)
    if _repeats(message, "/".join(common)) or any(_repeats(message, column.path) for column in columns):
        return False
    parents = _elements(message, "/".join(common))
    parent = message.types.get(parents[-1].type) if parents else _below_document(message)
    return isinstance(parent, ComplexType) and parent.content.kind == "choice"


def _common(columns: Sequence[Column]) -> list[str]:
    steps = zip(*(column.path.split("/") for column in columns), strict=False)
    return [names[0] for names in takewhile(lambda names: len(set(names)) == 1, steps)]


def _elements(message: MessageDefinition, path: str) -> list[ElementDefinition]:
    """Return the elements along a path, empty when this version lacks one; paths begin below the message element."""
    found: list[ElementDefinition] = []
    parent = _below_document(message)
    for name in path.split("/") if path else ():
        element = next((child for child in _children(parent) if child.name == name), None)
        if element is None:
            return []
        found.append(element)
        parent = message.types.get(element.type)
    return found


def _below_document(message: MessageDefinition) -> TypeDefinition | None:
    """Return the type of the message element, whatever its name is: the only child of the document, or the header."""
    top = message.types.get(message.root_type)
    if message.root != "Document":
        return top
    children = _children(top)
    return message.types.get(children[0].type) if len(children) == 1 else None


def _children(definition: TypeDefinition | None) -> list[ElementDefinition]:
    return list(definition.content.elements()) if isinstance(definition, ComplexType) else []
