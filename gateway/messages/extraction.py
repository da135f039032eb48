"""Turn a reading table into a walk over the elements of one message version, and fill facts by it.

A walk fills a list of slots, one for each field; facts are made from slices of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import ConfigError
from gateway.messages.catalogue import ComplexType
from gateway.messages.conversions import (
    COMPOUND,
    CONVERSIONS,
    CONVERSIONS_LATER,
    STATUS_CODE,
    Convert,
    Unknown,
    unknown,
)
from gateway.messages.fin.elements import CODES, SCHEME
from gateway.model import facts
from gateway.model.facts import Fact, Reason, References, Reply, StatusValue

if TYPE_CHECKING:
    from lxml.etree import _Element

    from gateway.messages.catalogue import ElementDefinition, MessageDefinition, TypeDefinition
    from gateway.messages.reading import Column, ListLines, ReadingTable

Slots = list[Any]
Handler = Callable[["_Element", Slots], None]

_REPLY_FIELDS: Final = [each.name for each in fields(Reply)]
MESSAGE_DEFINITION, FACTS, HEADER_DEFINITION = map(
    _REPLY_FIELDS.index, ("message_definition", "facts", "header_definition")
)
_REFERENCES: Final = [each.name for each in fields(References)]
OF_HEADER: Final = tuple(map(_REFERENCES.index, ("related_business_message_id", "uetr")))
"""The references that stand in a header; they are of every fact of the message that does not say its own."""

# A status whose parts are stated side by side, not in the choice that `status` reads: ``status.value`` and so on.
_STATUS_PARTS: Final = ("value", "proprietary", "reason_code", "reason_proprietary", "reason_text")
_REASONS: Final = "reasons"


class CompiledTable:
    """A table compiled for one version: nested look-ups by tag, so that a message is walked once.

    The walk fills a list of slots: one for each field of the references, then of the fact, then of the reply, so that
    each of them is made from a slice; then spare ones for what must be chosen from or put together afterwards. Lists
    are walked apart. With ``later`` the values are still to be converted.
    """

    def __init__(self, table: ReadingTable, message: MessageDefinition, *, later: bool = False) -> None:
        fact_class = _fact_class(table.fact, table.name) if table.fact else None
        self._fact_class = fact_class
        made = {"references.": References, "": fact_class, "reply.": Reply}
        template: Slots = []
        base: dict[str, int] = {}  # field -> slot
        for prefix, one in made.items():
            for each in fields(one) if one is not None else ():
                base[prefix + each.name] = len(template)
                template.append(None if each.default is MISSING else each.default)
        self._references = slice(0, len(fields(References)))
        self._reply = slice(base["reply.message_definition"], base["reply.message_definition"] + len(_REPLY_FIELDS))
        self._fact = slice(self._references.stop, self._reply.start)
        for constant, value in table.constants.items():
            name, _, part = constant.partition(".value")  # a status that the message is by being there
            stands = value if name == constant or part else StatusValue(str(value))
            template[_slot(base, name, table.name)] = stands
        top = _below_document(message)
        self._filling = _Filling(table, message, top, table.columns, base, template, later=later)
        self._own_reply = [  # position in the reply, slot
            (_REPLY_FIELDS.index(name.removeprefix("reply.")), base[name])
            for name in {*table.constants, *(one.field for one in table.columns if _applies(message, top, one))}
            if name.startswith("reply.")
        ]
        self._each = bool(table.each)
        below = top
        lists: Sequence[ListLines] = table.lists
        if self._each:
            paths = [path for path in table.each if _elements(message, top, path)]
            for path in paths:
                _at(self._filling.tree, path.split("/"))[_EACH] = template
            outermost = paths[0] if paths else table.each[0]
            below = message.types.get(found[-1].type) if (found := _elements(message, top, outermost)) else None
            lists = [_inside(lines, outermost) for lines in table.lists]
        self._lists = [
            (_slot(base, lines.field, table.name), _CompiledList(lines, table, message, below, later=later))
            for lines in lists
        ]
        self._filling.compile(self._lists)

    def walk(self, element: _Element) -> tuple[Slots, list[Slots]]:
        """Return the slots of the message and those of each item."""
        filling = self._filling
        shared = filling.template.copy()
        if not self._each:
            filling.walk(element, shared)
            filling.finish(shared)
            for slot, items_of in self._lists:
                shared[slot] = items_of.read(element)
            return shared, [shared]
        shared.append([])
        filling.walk(element, shared)
        return shared, self._items(shared)

    def _items(self, around: Slots) -> list[Slots]:
        """Return the innermost items, each with the values of those around it; one with none below is one itself."""
        below: list[Slots] = around.pop()
        items: list[Slots] = []
        for item in below:
            _inherit(item, around, self._filling.template)
            items += self._items(item)
        self._filling.finish(around)
        return items or [around]

    def said(self, slots: Slots, of_header: Iterable[tuple[int, str]]) -> tuple[References, Fact]:
        """Return the references and the fact of one item; ``of_header`` are the header's, by their slot."""
        for slot, reference in of_header:
            if slots[slot] is None:
                slots[slot] = reference
        assert self._fact_class is not None
        return References(*slots[self._references]), self._fact_class(*slots[self._fact])

    def facts(self, element: _Element) -> list[Fact]:
        """Return the facts of a message without their references, but for one that says nothing."""
        return [fact for _, fact in (self.said(slots, ()) for slots in self.walk(element)[1]) if _says_something(fact)]

    def reply(self, slots: Slots, values: list[Any] | None = None) -> list[Any]:
        """Return the fields of the reply in their order; ``values`` are those that the header already gave."""
        if values is None:
            return slots[self._reply]
        for position, slot in self._own_reply:
            values[position] = slots[slot]
        return values


class _Filling:
    """The columns of one element, compiled: what fills its slots as it is walked, and what is made of them then."""

    def __init__(
        self,
        table: ReadingTable,
        message: MessageDefinition,
        top: TypeDefinition | None,
        columns: Iterable[Column],
        base: Mapping[str, int],
        template: Slots,
        *,
        later: bool,
    ) -> None:
        self.template = template
        self.tree: _Tree = {}
        self._message, self._top = message, top
        self._alternatives: list[tuple[int, list[int]]] = []
        self._statuses: dict[int, dict[str, list[int]]] = {}
        conversions = CONVERSIONS_LATER if later else CONVERSIONS
        for name, group in _by_field(message, top, columns).items():
            _, _, part = name.removeprefix("references.").removeprefix("reply.").partition(".")
            slot = _slot(base, name.removesuffix(f".{part}"), table.name)
            if part and part not in (*_STATUS_PARTS, _REASONS):
                raise ConfigError(f"{table.name}: a status has no part '{part}'", code="reading_table_invalid")
            counted = all(column.conversion == "count" for column in group)  # counts add up
            if part or (len(group) > 1 and not counted and not _exclude_each_other(message, top, group)):
                slots = [self._spare() for _ in group]
                if part:
                    self._statuses.setdefault(slot, {})[part] = slots
                else:
                    self._alternatives.append((slot, slots))
            else:
                slots = [slot] * len(group)
            for column, place in zip(group, slots, strict=True):
                conversion = STATUS_CODE if (part, column.conversion) == ("value", "code") else column.conversion
                convert = conversions[conversion](message.namespace, column.argument, table.codes)
                empty, repeats = template[place], _repeats(message, top, column.path)
                handler = _handler(place, column.conversion, convert, empty, repeats=repeats)
                of_scheme = _refusing(table.codes[column.argument]) if conversion == "code" else _nothing
                _at(self.tree, column.path.split("/")).setdefault(_HERE, []).append((handler, of_scheme))

    def compile(self, lists: Sequence[tuple[int, _CompiledList]] = ()) -> None:
        """Make the walk of what is in the tree now; ``lists`` are those of each item."""
        self.walk = _branch(self.tree, self._message, self._top, lists)

    def _spare(self) -> int:
        self.template.append(None)
        return len(self.template) - 1

    def finish(self, slots: Slots) -> None:
        """Choose among alternatives and put statuses together."""
        for slot, places in self._alternatives:
            found = _first(slots, places)
            if found is not None:
                slots[slot] = found
        for slot, parts in self._statuses.items():
            value, proprietary, *why = (_first(slots, parts.get(part, ())) for part in _STATUS_PARTS)
            reasons = (Reason(*why),) if any(part is not None for part in why) else ()
            reasons += _first(slots, parts.get(_REASONS, ())) or ()
            stated = slots[slot]
            if value is not None or proprietary is not None:
                if isinstance(value, Unknown):
                    slots[slot] = StatusValue("proprietary", reasons, proprietary or str(value), unknown=True)
                else:
                    slots[slot] = StatusValue(value or "proprietary", reasons, proprietary)
            elif stated is not None and reasons:  # said as a whole, with the reasons beside it
                slots[slot] = replace(stated, reasons=(*stated.reasons, *reasons))


class _CompiledList:
    """The lines of a list compiled for one version: its items are found below an element, along every path."""

    def __init__(
        self,
        lines: ListLines,
        table: ReadingTable,
        message: MessageDefinition,
        top: TypeDefinition | None,
        *,
        later: bool,
    ) -> None:
        self._items = _fact_class(lines.items, table.name)
        self._length = len(fields(self._items))
        self._paths: list[tuple[list[str], list[_Filling | None]]] = []
        base = {each.name: place for place, each in enumerate(fields(self._items))}
        self._inner: list[list[tuple[int, _CompiledList]]] = []
        for path in lines.paths:
            elements = _elements(message, top, path)
            if not elements:
                continue
            levels = [top, *(message.types.get(element.type) for element in elements)]
            columns: list[list[Column]] = [[] for _ in levels]
            for column in lines.columns:
                own = column.path
                level = len(elements)
                while own.startswith("../"):
                    own, level = own.removeprefix("../"), level - 1
                if level >= 0:
                    columns[level].append(replace(column, path=own))
            fillings = []
            for level, (parent, found) in enumerate(zip(levels, columns, strict=True)):
                template = [each.default for each in fields(self._items)]
                filling = _Filling(table, message, parent, found, base, template, later=later)
                filling.compile()
                fillings.append(filling if filling.tree or level == len(elements) else None)
            tags = [f"{{{message.namespace}}}{element.name}" for element in elements]
            self._paths.append((tags, fillings))
            self._inner.append(
                [
                    (
                        _slot(base, inner.field, table.name),
                        _CompiledList(inner, table, message, levels[-1], later=later),
                    )
                    for inner in lines.lists
                ]
            )

    def read(self, element: _Element) -> tuple[Any, ...]:
        """Return the items below an element, path by path in the order of the message."""
        items: list[Any] = []
        for (tags, fillings), inner in zip(self._paths, self._inner, strict=True):
            self._descend(element, None, tags, fillings, inner, items)
        return tuple(items)

    def _descend(
        self,
        element: _Element,
        above: Slots | None,
        tags: Sequence[str],
        fillings: Sequence[_Filling | None],
        inner: Sequence[tuple[int, _CompiledList]],
        items: list[Any],
    ) -> None:
        filling = fillings[-1 - len(tags)]
        slots = above
        if filling is not None:
            slots = filling.template.copy()
            filling.walk(element, slots)
            filling.finish(slots)
            if above is not None:
                _inherit(slots, above, filling.template, self._length)
        if tags:
            for child in element:
                if child.tag == tags[0]:
                    self._descend(child, slots, tags[1:], fillings, inner, items)
            return
        assert slots is not None  # an item has a filling of its own
        for slot, items_of in inner:
            slots[slot] = items_of.read(element)
        items.append(self._items(*slots[: self._length]))


def _says_something(fact: Fact) -> bool:
    return any(getattr(fact, each.name) != each.default for each in fields(fact))


def _fact_class(name: str, table: str) -> Any:
    found = getattr(facts, name, None)
    if found is None:
        raise ConfigError(f"{table}: there is no fact '{name}'", code="reading_table_invalid")
    return found


def _slot(base: Mapping[str, int], name: str, table: str) -> int:
    if name not in base:
        raise ConfigError(f"{table}: there is no field '{name}'", code="reading_table_invalid")
    return base[name]


def _inherit(slots: Slots, above: Slots, template: Slots, length: int | None = None) -> None:
    """Take from above what an element did not say itself."""
    for place, default in enumerate(template[:length]):
        if slots[place] is default:
            slots[place] = above[place]


def _inside(lines: ListLines, each: str) -> ListLines:
    """Let the paths of a list begin below the element of each item."""
    return replace(lines, paths=tuple([path.removeprefix(f"{each}/") for path in lines.paths]))


def _by_field(
    message: MessageDefinition, top: TypeDefinition | None, columns: Iterable[Column]
) -> dict[str, list[Column]]:
    """Return the columns that this version has, by the field they fill; ``top`` is where their paths begin."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        if _applies(message, top, column):
            found.setdefault(column.field, []).append(column)
    return found


def _first(slots: Slots, places: Iterable[int]) -> Any:
    for place in places:
        if slots[place] is not None:
            return slots[place]
    return None


# The tree of the paths of a table. Under _HERE are what to do at an element, and what where it is a code of a scheme of
# its own; under _EACH that an item begins there.
_Tree = dict[str, Any]
_HERE: Final = " here"
_EACH: Final = " each"
_SCHEME: Final = f"{{}}{SCHEME}"


def _at(tree: _Tree, steps: Iterable[str]) -> _Tree:
    for step in steps:
        tree = tree.setdefault(step, {})
    return tree


def _branch(
    tree: _Tree,
    message: MessageDefinition,
    parent: TypeDefinition | None,
    lists: Sequence[tuple[int, _CompiledList]] = (),
) -> Handler:
    """Turn a tree of paths below a type into a function that walks an element once and fills the slots.

    Making an element known to Python is what reading costs, so that it looks at as few as the schema allows: at the
    only one of a choice, and at none after the last one that is wanted.
    """
    known: dict[str, Handler] = {}
    of_scheme: dict[str, Handler] = {}
    final: Handler | None = None
    children = _children(parent)
    for child in children:
        below = tree.get(child.name)
        if below is not None:
            handlers = [handler for handler, _ in below.get(_HERE, ())]
            if child.name in CODES:
                of_scheme[f"{{}}{child.name}"] = _all([refusal for _, refusal in below[_HERE]])
            if len(below) > (_HERE in below):
                handlers.append(_branch(below, message, message.types.get(child.type), lists))
            final = handlers[0] if len(handlers) == 1 else _all(handlers)
            known[f"{{{message.namespace}}}{child.name}"] = final
            if child.maximum != 1 or not message.namespace:  # in FIN, fields of one number come in any order
                final = None
    look_up = known.get

    def walk(element: _Element, slots: Slots) -> None:
        for child in element:
            handler = look_up(child.tag)
            if handler is not None:
                handler(child, slots)
                if handler is final:
                    break

    def walk_coded(element: _Element, slots: Slots) -> None:
        handlers = known
        for child in element:
            tag = child.tag
            if tag == _SCHEME:
                handlers = {**known, **of_scheme}
            elif tag in handlers:
                handlers[tag](child, slots)

    def walk_choice(element: _Element, slots: Slots) -> None:
        try:
            child = element[0]
        except IndexError:  # some versions allow a choice to be empty
            return
        handler = look_up(child.tag)
        if handler is not None:
            handler(child, slots)

    chosen = walk_choice if _holds_one(parent) else walk
    if of_scheme and not message.namespace:
        chosen = walk_coded
    return _item(chosen, tree[_EACH], lists) if _EACH in tree else chosen


def _holds_one(parent: TypeDefinition | None) -> bool:
    """Say whether a type is a choice of single elements."""
    if not isinstance(parent, ComplexType) or parent.content.kind != "choice":
        return False
    return all(getattr(item, "maximum", None) == 1 for item in parent.content.items)


def _item(walk: Handler, template: Slots, lists: Sequence[tuple[int, _CompiledList]]) -> Handler:
    place = len(template)

    def begin(element: _Element, slots: Slots) -> None:
        item = [*template, []]
        slots[place].append(item)
        walk(element, item)
        for slot, items_of in lists:
            item[slot] = items_of.read(element)

    return begin


def _nothing(*_: Any) -> None:
    """Leave a code of a scheme of its own unread: it is not the standard one that it is spelt like."""


def _refusing(words: Mapping[str, str]) -> Handler:
    def refuse(element: _Element, _: Slots) -> None:
        raise unknown(element, element.text, words)

    return refuse


def _all(handlers: Sequence[Handler]) -> Handler:
    def apply(element: _Element, slots: Slots) -> None:
        for handler in handlers:
            handler(element, slots)

    return apply


def _handler(slot: int, conversion: str, convert: Convert, empty: Any, *, repeats: bool) -> Handler:
    """Return what to do at an element: of several, the first one counts, where the slot is still ``empty``.

    All of their ``texts`` and ``reasons`` are wanted.
    """

    def count(_: _Element, slots: Slots) -> None:
        slots[slot] += 1

    def keep_all(element: _Element, slots: Slots) -> None:
        slots[slot] = (*slots[slot], convert(element))

    def keep_first(element: _Element, slots: Slots) -> None:
        if slots[slot] is empty:
            slots[slot] = convert(element)

    def keep_text(element: _Element, slots: Slots) -> None:
        slots[slot] = element.text

    def keep(element: _Element, slots: Slots) -> None:
        slots[slot] = convert(element)

    def collect(element: _Element, slots: Slots) -> None:
        slots[slot] = (*(slots[slot] or ()), *convert(element))

    if conversion == "count":
        return count
    if conversion == "reasons":
        return collect
    if conversion == "texts":
        return keep_all
    if repeats:
        return keep_first
    return keep_text if conversion == "text" else keep


def _applies(message: MessageDefinition, top: TypeDefinition | None, column: Column) -> bool:
    """Say whether this version has the element of a column, with a text where a text is read."""
    elements = _elements(message, top, column.path)
    if not elements:
        return False
    compound = isinstance(message.types.get(elements[-1].type), ComplexType)
    return compound == (column.conversion in COMPOUND) or column.conversion == "count"


def _repeats(message: MessageDefinition, top: TypeDefinition | None, path: str) -> bool:
    """Say whether an element can be there more than once."""
    return any(element.maximum != 1 for element in _elements(message, top, path))


def _exclude_each_other(message: MessageDefinition, top: TypeDefinition | None, columns: Sequence[Column]) -> bool:
    """Say whether at most one of some elements can be there, since a choice parts their paths."""
    common = _common(columns)
    if _repeats(message, top, "/".join(common)) or any(_repeats(message, top, column.path) for column in columns):
        return False
    parents = _elements(message, top, "/".join(common))
    parent = message.types.get(parents[-1].type) if parents else top
    return isinstance(parent, ComplexType) and parent.content.kind == "choice"


def _common(columns: Sequence[Column]) -> list[str]:
    steps = zip(*(column.path.split("/") for column in columns), strict=False)
    return [names[0] for names in takewhile(lambda names: len(set(names)) == 1, steps)]


def _elements(message: MessageDefinition, top: TypeDefinition | None, path: str) -> list[ElementDefinition]:
    """Return the elements along a path below a type, empty when this version lacks one."""
    found: list[ElementDefinition] = []
    parent = top
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
