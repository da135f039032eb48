"""The definitions of FIN messages: what the files of ``schemas/fin`` say, read when a message type first comes.

A message file (``messages/MT541.txt``) is a tree by indentation, two spaces a level::

    message  MT541  Receive Against Payment Instruction
    release  2025

    A  GENL  [1..1]  General Information           a sequence: letter, block name of 16R and 16S, how often, title
      20C  [1..1]  Reference                       a field: number and letters, how often, name
        SEME C  [1..1]                             a qualifier, its letters, how often
      98A/C/E  [0..1]  Date/Time
        PREP A/C/E  [0..1]
      95C/P/Q/R  [1..*]  Party
        BUYR SELL P/Q/R | PSET C/P/Q  [1..1]       one of these qualifiers
        ? P/Q/R  [0..1]  x2                        two rows whose qualifiers are not public

Instead of a block name a sequence has the field that opens it (``15A``), or ``-`` where it is known by its fields only.
``59-/A/F`` is a field with and without letter. ``57A/J(D)`` had the letter D in an older release: it is read, and
warned of. ``any`` stands for whatever fields follow. A row that ends with ``likely`` is what the market does and no
public source says of this release: what goes against it is warned of, and refuses nothing. So is a qualifier
in a place with ``?`` rows that no dictionary has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gateway.errors import ConfigError
from gateway.messages.fin.fields import FieldFormat

BLOCK_START: Final = "16R"
BLOCK_END: Final = "16S"

_MULTIPLICITY: Final = r"\[([01])\.\.([1*])\]"
_FIELD: Final = re.compile(rf"(\d\d)([^\s(]*)(?:\((\S+)\))?  {_MULTIPLICITY}  (\S.*)")
_SEQUENCE: Final = re.compile(rf"([A-Z]\w*)  (\S+)  {_MULTIPLICITY}  (\S.*)")
_ROW: Final = re.compile(rf"(\S.*?)  {_MULTIPLICITY}(  likely)?(?:  x(\d+))?")
_ANY: Final = re.compile(r"any  \[0\.\.\*\]  \S.*")
_CODES: Final = re.compile(r"(\d\d[A-Z]?) (\S+(?: \S+)*)  (\S.*)")


@dataclass(frozen=True, slots=True)
class QualifierRow:
    """One row of a qualifier table: its qualifiers and the letters of each; without qualifiers, ``count`` rows alike.

    ``maximum`` None is without limit. ``likely``: not sure enough to refuse a message.
    """

    qualifiers: Mapping[str, frozenset[str]]
    letters: frozenset[str]
    minimum: int
    maximum: int | None
    likely: bool = False
    count: int = 1


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field in its place: ``number`` 98, ``letters`` A, C, E (empty text: none), how often, and its qualifiers.

    ``former`` are letters that it had in older releases.
    """

    number: str
    letters: tuple[str, ...]
    minimum: int
    maximum: int | None
    name: str
    rows: tuple[QualifierRow, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags: number and letter."""
        return tuple(f"{self.number}{letter}" for letter in self.letters)

    @property
    def read(self) -> tuple[str, ...]:
        """Return the tags that are read: those, and the former ones."""
        return (*self.tags, *(f"{self.number}{letter}" for letter in self.former))

    @property
    def label(self) -> str:
        """Return how people write the field: ``98a``, ``20C``, ``59a``."""
        return f"{self.number}{self.letters[0] if len(self.letters) == 1 else 'a'}"


@dataclass(frozen=True)
class SequenceDefinition:
    """A sequence in its place; the message itself is one without identification.

    ``block`` is the name that 16R and 16S have, empty for a sequence that is known by its fields.
    """

    id: str
    block: str
    minimum: int
    maximum: int | None
    name: str
    items: tuple[FieldDefinition | SequenceDefinition, ...] = ()

    @property
    def label(self) -> str:
        """Return how people write it: ``E1 (SETPRTY)``."""
        return f"{self.id} ({self.block})" if self.block else self.id or "the message"

    @cached_property
    def first(self) -> frozenset[str]:
        """Return the tags that may begin it."""
        tags: set[str] = set()
        for item in self.items:
            tags |= set(item.read) if isinstance(item, FieldDefinition) else set(_opening(item))
            if item.minimum:
                break
        return frozenset(tags)

    @cached_property
    def entries(self) -> dict[str, tuple[int, ...]]:
        """Return the items that a tag may belong to or open, by tag; a block by its name with a colon."""
        return _index((number, item, _opening(item)) for number, item in enumerate(self.items))

    @cached_property
    def blocks(self) -> frozenset[str]:
        """Return the names of all blocks in it, at any depth."""
        return frozenset(item.block for item in self.walk() if isinstance(item, SequenceDefinition) and item.block)

    @cached_property
    def inside(self) -> dict[str, tuple[int, ...]]:
        """Return the sequences known by their fields that have a tag anywhere."""
        groups = ((number, item) for number, item in enumerate(self.items) if _is_group(item))
        return _index((number, item, {*item.entries, *item.inside}) for number, item in groups)  # type: ignore[union-attr]  # groups are sequences

    def walk(self) -> Iterator[FieldDefinition | SequenceDefinition]:
        """Yield every item at any depth, in order."""
        for item in self.items:
            yield item
            if isinstance(item, SequenceDefinition):
                yield from item.walk()


def _is_group(item: FieldDefinition | SequenceDefinition) -> bool:
    return isinstance(item, SequenceDefinition) and not item.block


def _opening(item: FieldDefinition | SequenceDefinition) -> frozenset[str]:
    if isinstance(item, FieldDefinition):
        return frozenset(item.read)
    return frozenset({f":{item.block}"}) if item.block else item.first


def _index(places: Iterator[tuple[int, object, frozenset[str] | set[str]]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number, _, tags in places:
        for tag in tags:
            found[tag] = (*found.get(tag, ()), number)
    return found


@dataclass(frozen=True, slots=True)
class MessageDefinition:
    """A message type: its tree, and whether whatever fields may follow (``open_end``)."""

    message_type: str
    name: str
    release: str
    root: SequenceDefinition
    open_end: bool = False


class Definitions:
    """Formats, qualifiers, codes and messages from the texts of their files; a message is compiled when it is needed.

    ``texts`` are the files by name: ``fields.txt``, ``qualifiers.txt``, ``codes.txt``; ``messages`` by message type.
    Raises ``ConfigError`` (``fin_definition_invalid``) with file and line.
    """

    def __init__(self, texts: Mapping[str, str], messages: Mapping[str, str], rules: Mapping[str, str]) -> None:
        self._messages = messages
        self.rule_texts = rules
        self._compiled: dict[str, MessageDefinition] = {}
        self.formats = dict(_formats(texts["fields.txt"]))
        self.names = dict(_names(texts["qualifiers.txt"]))
        self._codes = dict(_codes(texts["codes.txt"]))

    def message_types(self) -> list[str]:
        """Return the message types there are, in order."""
        return sorted(self._messages, key=lambda name: (name[2:5], name))

    def __contains__(self, message_type: object) -> bool:
        return message_type in self._messages

    def codes(self, tag: str, qualifier: str, message_type: str) -> frozenset[str] | None:
        """Return the codes that a field has, or None where no list is known."""
        return self._codes.get((tag, qualifier or message_type)) or self._codes.get((tag, "*"))

    def message(self, message_type: str) -> MessageDefinition:
        """Return the definition of a message type (``MT541``). Raises ``KeyError`` for one that is not there."""
        if message_type not in self._compiled:
            self._compiled[message_type] = parse_message(self._messages[message_type], message_type, self.formats)
        return self._compiled[message_type]


def parse_message(text: str, file: str, formats: Mapping[str, FieldFormat]) -> MessageDefinition:
    """Read the file of a message. Raises ``ConfigError`` (``fin_definition_invalid``)."""
    head = {"message": "", "release": ""}
    tree = _Block("")
    open_end = False
    stack = [tree]
    for number, line in enumerate(text.splitlines(), 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        word, _, rest = said.partition("  ")
        if word in head:
            head[word] = rest.strip()
            continue
        if _ANY.fullmatch(said):
            open_end = True
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        if depth >= len(stack):
            raise _mistaken(file, number, "a line as deep as the one above, or one level deeper")
        block = _Block(said, number)
        stack[depth].below.append(block)
        stack[depth + 1 :] = [block]
    message_type, _, name = head["message"].partition("  ")
    items = tuple(_item(block, file, formats) for block in tree.below)
    root = SequenceDefinition("", "", 1, 1, name.strip(), items)
    return MessageDefinition(message_type, name.strip(), head["release"], root, open_end)


@dataclass(slots=True)
class _Block:
    text: str
    line: int = 0
    below: list[_Block] = field(default_factory=list)


def _item(block: _Block, file: str, formats: Mapping[str, FieldFormat]) -> FieldDefinition | SequenceDefinition:
    if (found := _FIELD.fullmatch(block.text)) is not None:
        number, letters, former, minimum, maximum, name = found.groups()
        options = tuple("" if letter == "-" else letter for letter in letters.split("/"))
        rows = tuple(_row(row, options, file) for row in block.below)
        olds = tuple(former.split("/")) if former else ()
        item = FieldDefinition(number, options, int(minimum), _maximum(maximum), name, rows, olds)
        if unknown := [tag for tag in item.read if tag not in formats]:
            raise _mistaken(file, block.line, f"fields that are in fields.txt; {', '.join(unknown)} is not")
        return item
    if (found := _SEQUENCE.fullmatch(block.text)) is not None:
        id_, opening, minimum, maximum, name = found.groups()
        is_block = opening != "-" and not opening[0].isdigit()
        items = tuple(_item(below, file, formats) for below in block.below)
        return SequenceDefinition(id_, opening if is_block else "", int(minimum), _maximum(maximum), name, items)
    raise _mistaken(file, block.line, "a field `98A/C/E  [0..1]  Name` or a sequence `A  GENL  [1..1]  Name`")


def _row(block: _Block, options: tuple[str, ...], file: str) -> QualifierRow:
    found = _ROW.fullmatch(block.text)
    if found is None or block.below:
        raise _mistaken(file, block.line, "a row `SEME C  [1..1]`, `? C  [0..1]  x2`, with `likely` at its end or not")
    groups, minimum, maximum, likely, count = found.groups()
    qualifiers: dict[str, frozenset[str]] = {}
    letters: set[str] = set()
    for group in groups.split(" | "):
        *names, own = group.split()
        if not set(own.split("/")) <= set(options):
            raise _mistaken(file, block.line, f"letters of the field: {'/'.join(options)}")
        letters |= set(own.split("/"))
        qualifiers.update((name, frozenset(own.split("/"))) for name in names if name != "?")
    bounds = int(minimum), _maximum(maximum)
    return QualifierRow(qualifiers, frozenset(letters), *bounds, bool(likely), int(count or 1))


def _maximum(text: str) -> int | None:
    return None if text == "*" else int(text)


def _mistaken(file: str, line: int, right: str) -> ConfigError:
    return ConfigError(f"{file}, line {line}: this should be {right}", code="fin_definition_invalid")


def _said(text: str) -> Iterator[tuple[int, str]]:
    return ((n, line.rstrip()) for n, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#")


def _formats(text: str) -> Iterator[tuple[str, FieldFormat]]:
    for number, line in _said(text):
        tag, notation, *names = line.split()
        if not re.fullmatch(r"\d\d[A-Z]?", tag):
            raise _mistaken("fields.txt", number, "a tag, its format and the names of its components")
        yield tag, FieldFormat(tag, notation, " ".join(names))


def _names(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    for _, line in _said(text):
        number, qualifier, name = line.split(" ", 2)
        yield (number, qualifier), name


def _codes(text: str) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    for number, line in _said(text):
        found = _CODES.fullmatch(line)
        if found is None:
            raise _mistaken("codes.txt", number, "`22F SETR  CODE CODE`: tag, qualifiers or message types or *, codes")
        for place in found[2].split():
            yield (found[1], place), frozenset(found[3].split())
