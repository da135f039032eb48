"""Read messages into facts, driven by the reading tables in ``schemas/reading``.

A table says, for one message family, which element fills which field of which fact; it is compiled against the schema
dictionary for each version that arrives. A table is lines of plain text, ``#`` begins a comment::

    messages  sese.024                      the family (or one variant: sese.024.002) that the table reads, or several
    when      PATH = TEXT                   only messages with this text at a path, or with anything there (``when
                                            PATH``); of several tables for one family, the one that fits and has the
                                            most of these lines reads it
    beside                                  where another table makes one fact of the message, this one reads what is
                                            left: its fact, unless it says nothing, has the references of the other
    fact      StatusAdvice                  a class of gateway.model.facts
    each      Ntry                          one fact for each of these elements; of a message that has none, and of one
    each      Ntry/TxDtls                   without this line, one for the message. Several lines nest: an element is a
                                            fact where it has none below, and has the values of those around it; a line
                                            whose element a version lacks does not count there
    codes NAME                              a code table: indented lines of an element or code, and our word for it
        Mtchd   matched
    FIELD     PATH      CONVERSION          a field, the element that fills it, and how
    FIELD     =         VALUE               a field that always has this value (a word, or yes or no); with
                                            ``.value`` behind it the field is a status that says this word; ``.reasons``
                                            behind the field of a status are the reasons that stand beside it;
                                            ``none`` is what a field of ``reply.`` has whatever the header says

    list FIELD CLASS PATH               a field that holds a list: one CLASS of gateway.model.facts for each of these
                                        elements; several such lines for one field add up
    FIELD.FIELD PATH CONVERSION         a field of its items; the path begins below the item's element, and ``../``
                                        goes to the element above it. A field may be a part of a
                                        status, as above. What an element does not say itself, it takes
                                        from those above it. An item may hold a list in its turn (list FIELD.FIELD).

Paths are short tags below the message element. A field is of the fact, or ``references.`` or ``reply.`` and a field of
those. Several lines for one field are alternatives, the first one wins that is there. Elements that a version lacks are
left out. Conversions are those of ``gateway.messages.conversions``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import ConfigError, InvalidMessage, UnreadableMessage
from gateway.messages.conversions import CONVERSIONS
from gateway.messages.extraction import (
    FACTS,
    HEADER_DEFINITION,
    MESSAGE_DEFINITION,
    OF_HEADER,
    CompiledTable,
)
from gateway.messages.fin.parsing import is_fin
from gateway.messages.parsing import ParsedMessage, unreadable
from gateway.messages.shapes import Shapes
from gateway.model import facts
from gateway.model.facts import Reply

if TYPE_CHECKING:
    from lxml.etree import _Element

    from gateway.messages.catalogue import Catalogue
    from gateway.messages.fin.quick import QuickReader
    from gateway.messages.validation import Validator

HEADER: Final = "head.001"
FIN_HEADER: Final = "FIN"
_WORDS: Final = {"yes": True, "no": False, "none": None}


@dataclass(frozen=True, slots=True)
class Column:
    """One line of a reading table: a field, where it comes from, and how it is converted."""

    field: str
    path: str
    conversion: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class ListLines:
    """The lines of one list field: its name in the table, the class of its items, their paths, columns, inner lists."""

    field: str
    items: str
    paths: tuple[str, ...]
    columns: tuple[Column, ...]
    lists: tuple[ListLines, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadingTable:
    """A reading table: the families it reads, the fact it makes, its lines, constants, code tables and lists."""

    name: str
    family: str  # several with spaces between them
    fact: str | None
    each: tuple[str, ...]
    columns: tuple[Column, ...]
    constants: Mapping[str, bool | str | None] = field(default_factory=dict)
    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lists: tuple[ListLines, ...] = ()
    cases: tuple[tuple[str, str], ...] = ()  # path, text (empty: anything)
    beside: bool = False

    def is_for(self, message: _Element) -> bool:
        """Tell whether a message is of the cases that the table reads."""
        return all(_says(message, path.split("/"), text) for path, text in self.cases)


def _along(element: _Element, path: Sequence[str]) -> Iterator[_Element]:
    """Yield the elements at a path."""
    if not path:
        yield element
        return
    for child in element:
        if child.tag.rpartition("}")[2] == path[0]:
            yield from _along(child, path[1:])


def _says(element: _Element, path: Sequence[str], text: str) -> bool:
    """Tell whether there is an element at a path, with this text where one is asked for."""
    return any(not text or one.text == text for one in _along(element, path))


def parse_table(text: str, name: str) -> ReadingTable:
    """Parse a reading table; ``name`` is its file. Raises ``ConfigError`` naming the file and the line."""
    settings = {"messages": "", "fact": ""}
    each: list[str] = []
    cases: list[tuple[str, str]] = []
    beside = False
    columns: list[Column] = []
    constants: dict[str, bool | str | None] = {}
    codes: dict[str, dict[str, str]] = {}
    lists: dict[str, tuple[str, list[str]]] = {}
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
            case ["messages", *families] if families:
                settings["messages"] = " ".join(families)
            case ["fact", value]:
                settings["fact"] = value
            case ["when", path]:
                cases.append((path, ""))
            case ["when", path, "=", value]:
                cases.append((path, value))
            case ["beside"]:
                beside = True
            case ["each", value]:
                each.append(value)
            case ["list", name_of_field, items, path]:
                lists.setdefault(name_of_field, (items, []))[1].append(path)
            case [name_of_field, "=", value]:
                constants[name_of_field] = _WORDS.get(value, value)
            case [name_of_field, path, conversion, *argument] if conversion in CONVERSIONS and len(argument) <= 1:
                columns.append(Column(name_of_field, path, conversion, *argument))
            case _:
                raise ConfigError(
                    f"{name}, line {number}: '{line.strip()}' is no line of a reading table; "
                    f"conversions are {', '.join(CONVERSIONS)}",
                    code="reading_table_invalid",
                )
    for column in columns:
        if column.conversion in ("code", "status", "open_status") and column.argument not in codes:
            raise ConfigError(f"{name}: code table '{column.argument}' is not there", code="reading_table_invalid")
    own = tuple([column for column in columns if _list_of(column, lists) is None])
    kept = _lists_below("", lists, columns)
    fact = settings["fact"] or None
    return ReadingTable(
        name, settings["messages"], fact, tuple(each), own, constants, codes, kept, tuple(cases), beside
    )


def _list_of(column: Column, lists: Mapping[str, object]) -> str | None:
    """Return the innermost list of whose items a column fills a field, or a part of one."""
    return max((name for name in lists if column.field.startswith(f"{name}.")), key=len, default=None)


def _lists_below(
    outer: str, lists: Mapping[str, tuple[str, list[str]]], columns: Sequence[Column]
) -> tuple[ListLines, ...]:
    """Gather the lists that the fact, or the items of one, hold directly."""
    return tuple(
        [
            ListLines(
                name.rpartition(".")[2],
                items,
                tuple(paths),
                tuple(
                    [
                        replace(column, field=column.field.removeprefix(f"{name}."))
                        for column in columns
                        if _list_of(column, lists) == name
                    ]
                ),
                _lists_below(name, lists, columns),
            )
            for name, (items, paths) in lists.items()
            if name.rpartition(".")[0] == outer
        ]
    )


class Reader:
    """Read messages of every version in the catalogue for whose family there is a table."""

    def __init__(self, validator: Validator, catalogue: Catalogue, tables: Iterable[ReadingTable]) -> None:
        self._validator = validator
        self._catalogue = catalogue
        self._tables: dict[str, list[ReadingTable]] = {}
        for table in sorted(tables, key=lambda table: -len(table.cases)):
            for family in table.family.split():
                self._tables.setdefault(family, []).append(table)
        self._compiled: dict[tuple[str, str], list[CompiledTable]] = {}
        self._compiled_later: dict[tuple[str, str], list[CompiledTable]] = {}
        self._shapes = Shapes(self._extract)
        self._fin = catalogue.fin
        self._quick: QuickReader | None = None

    def reads(self, definition_id: str) -> bool:
        """Say whether there is a table for a message definition."""
        return bool(self._tables_for(definition_id))

    def families(self) -> Iterator[tuple[str, type, str | None]]:
        """Yield what is read: the message family, the kind of fact, and the request it answers where it answers one."""
        for family, table in ((family, table) for family, tables in self._tables.items() for table in tables):
            if table.fact is not None:
                request = table.constants.get("request")
                yield family, getattr(facts, table.fact), None if request is None else str(request)

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
        if parsed.header_definition == FIN_HEADER:
            return self._extract(parsed)
        return self._shapes.read(content, parsed)

    def quick(self, content: bytes) -> Reply | None:
        """Return what a valid FIN message of a known shape says; None for any other message."""
        if self._fin is None or not is_fin(content):
            return None
        if self._quick is None:
            self._quick = self._fin.quick_reader(self._extract, self._deciding)
        return self._quick.read(content)

    def _deciding(self, definition_id: str, document: Any) -> Iterator[Any]:
        """Yield the elements whose text decides which table reads a message."""
        for table in self._tables_for(definition_id):
            for path, text in table.cases:
                if text:
                    yield from _along(document[0], path.split("/"))

    def extract(self, parsed: ParsedMessage) -> Reply:
        """Return what a valid message says. Raises ``UnreadableMessage`` where there is no way to say it."""
        return self._extract(parsed)

    def _extract(self, parsed: ParsedMessage, later: bool = False) -> Reply:
        definition, document = parsed.message_definition, parsed.document
        tables = [] if definition is None else self._compile(definition, later, document)
        if definition is None or not tables or document is None:
            raise self._not_read(definition)
        compiled, *besides = tables
        shared, items = compiled.walk(document[0])
        header = self._header_table(parsed, later)
        if header is None or parsed.header is None:
            reply, of_header = compiled.reply(shared), []
        else:
            said_by_header, _ = header.walk(parsed.header)
            reply = compiled.reply(shared, header.reply(said_by_header))
            of_header = [(slot, said_by_header[slot]) for slot in OF_HEADER if said_by_header[slot] is not None]
        reply[MESSAGE_DEFINITION] = definition
        reply[HEADER_DEFINITION] = parsed.header_definition
        said = [compiled.said(slots, of_header) for slots in items]
        for table in besides:
            said += [(said[0][0], fact) for fact in table.facts(document[0])]
        reply[FACTS] = tuple(said)
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

    def _tables_for(self, definition_id: str) -> list[ReadingTable]:
        prefix = definition_id
        while prefix:
            if prefix in self._tables:
                return self._tables[prefix]
            prefix = prefix.rpartition(".")[0]
        return []

    def _header_table(self, parsed: ParsedMessage, later: bool) -> CompiledTable | None:
        definition = parsed.header_definition
        if definition is None and parsed.header is not None and len(parsed.header):
            # An envelope's own header that holds the elements of the ISO 20022 one, as on FedNow and RTP.
            definition = self._catalogue.identify(parsed.header[0].tag.rpartition("}")[0][1:])
        return next(iter([] if definition is None else self._compile(definition, later)), None)

    def _compile(self, definition_id: str, later: bool, document: _Element | None = None) -> list[CompiledTable]:
        """Return the table that reads a message, and those that read what it leaves."""
        tables = self._tables_for(definition_id)
        if document is not None and len(document):
            tables = [table for table in tables if not table.cases or table.is_for(document[0])]
        if not tables:
            return []
        first, *others = tables
        used = [first, *(table for table in others if table.beside and not first.each)]
        kept = self._compiled_later if later else self._compiled
        key = definition_id, " ".join(table.name for table in used)
        compiled = kept.get(key)
        if compiled is None:
            message = self._catalogue.message(definition_id)
            read: set[str] = set()
            compiled = kept[key] = []
            for table in used:
                left = [column for column in table.columns if column.path not in read]
                compiled.append(CompiledTable(replace(table, columns=tuple(left)), message, later=later))
                read.update(column.path for column in table.columns)
        return compiled


def invalid(parsed: ParsedMessage, validator: Validator) -> InvalidMessage:
    """Make the error of a message that its schema refuses, with every violation; takes its time."""
    violations = validator.violations(parsed)
    first = f"; first: {violations[0].text}" if violations else ""
    text = f"{parsed.named} breaks its schema in {len(violations)} places{first}"
    return InvalidMessage(text, violations=violations)
